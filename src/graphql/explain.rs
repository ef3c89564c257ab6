//! Why a question is answered with what is kept, or not: the decisions of [`serve`](super::serve), told instead of carried out.

use std::rc::Rc;

use serde::Serialize;
use serde_json::Value;

use super::answer_store;
use super::asking::Asking;
use super::errors::{MediaType, Refused};
use super::fetching::Fetched;
use super::headers::{self, ClientConnection, HostOf};
use super::judged::{self, SentBy};
use super::question::{AskedFor, Question};
use super::request::{self, GraphqlRequest};
use super::token_scope::VerifiedScope;
use super::told;
use super::verdict::{CacheVerdict, SHIELD};
use crate::http::incoming::Query;
use crate::http::problem::{self, Problem};
use crate::hub::protocol::TenantConfig;
use crate::storage::bindings::{Bindings, SystemClock};
use crate::tenant::site::Site;
use crate::tenant_id::TenantId;
use domain::clock::Clock;
use domain::error::Invalid;
use domain::graphql_cache::{AnswerFreshness, AskedOperation, KeptAnswer, PassReason, Tag};
use domain::log_position::Cursor;

/// A question to explain, as a stranger would send it.
pub struct ExplainedQuestion {
    pub query: String,
    pub operation_name: Option<String>,
    pub variables: Option<Value>,
    /// Names in lower case.
    pub headers: Vec<(String, String)>,
    /// Parameters of the query that the site gets.
    pub parameters: Vec<(String, String)>,
    /// Whether the site is asked where nothing is kept.
    pub asks_site: bool,
}

/// What is told.
#[derive(Serialize)]
pub struct Explanation {
    /// What `X-Carillon-Cache` would say; none where that hangs on the site's answer and it was not asked.
    next: Option<String>,
    operation: Option<String>,
    /// The digest of the document, by which it can be purged.
    document: Option<String>,
    /// How far this isolate knows the tenant's purges.
    known_through: Option<Cursor>,
    kept: Option<ToldAnswer>,
    /// What the site answered, had it to be asked.
    site: Option<ToldAnswer>,
}

#[derive(Serialize)]
struct ToldAnswer {
    status: u16,
    /// Whether it is kept, and why not.
    keeps: bool,
    reason: Option<&'static str>,
    age_seconds: i64,
    fresh_seconds: i64,
    stale_while_revalidate_seconds: i64,
    stale_if_error_seconds: i64,
    /// A purge of any of them ends it.
    tags: Vec<Tag>,
    began: Option<Cursor>,
}

/// Explains.
pub async fn explain(
    bindings: &Bindings,
    tenant: &TenantId,
    config: &TenantConfig,
    asked: ExplainedQuestion,
) -> Result<Explanation, Problem> {
    let site = Site::of(bindings, tenant, config.revision).await?;
    let endpoint = site.endpoint(bindings)?;
    let ExplainedQuestion { query, operation_name, variables, headers, parameters, asks_site } = asked;
    let variables = variables.map(|variables| serde_json::value::to_raw_value(&variables)).transpose();
    let variables = variables.map_err(problem::internal)?;
    let asked = GraphqlRequest { query, operation_name, variables, extensions: None, name: None };
    let operation = judged::judge(&asked, &site.settings, SentBy::Post, false).map_err(refused)?;
    let client = ClientConnection { authority: "", scheme: "", address: "", host: HostOf::Tenant };
    let to_site = headers::to_site(&headers, &client, false);
    let token_scope = site.settings.cache.token_scope.as_ref();
    let scope = VerifiedScope::of(bindings, (tenant, config), token_scope, &to_site).await;
    let facts = AskedOperation {
        kind: operation.kind,
        introspects: operation.introspects,
        previews: operation.previews,
        has_extensions: false,
        is_members: false,
        has_verified_token: scope.is_some(),
    };
    let sent = to_site.iter().map(|(name, value)| (name.as_str(), value.as_str()));
    let query = form_urlencoded::Serializer::new(String::new()).extend_pairs(&parameters).finish();
    let query = Query::parse(&query);
    let parameters: Vec<(String, String)> = request::parameters_of_the_site(&query, &site.settings).collect();
    let names = parameters.iter().map(|(name, _)| name.as_str());
    if let Some(reason) = PassReason::of_request(&site.settings.cache, &facts, sent, names) {
        return Ok(Explanation::of(Some(CacheVerdict::Pass(reason)), operation.name));
    }
    let question = Question::of(AskedFor {
        tenant,
        site: &site,
        secret: told::secret_version(bindings, tenant, &site).await?,
        request: &asked,
        operation: &operation,
        parameters,
        headers: &to_site,
        scope: scope.as_ref(),
        media_type: MediaType::Json,
    });
    let question = Rc::new(question.map_err(refused)?);
    let asking = Asking { bindings: bindings.clone(), tenant: tenant.clone(), site, endpoint, question };
    looked_up(&asking, asks_site).await
}

async fn looked_up(asking: &Asking, asks_site: bool) -> Result<Explanation, Problem> {
    let question = &asking.question;
    let mut told = Explanation::of(None, question.document.operation.clone());
    told.document = Some(question.document.digest.clone());
    told.known_through = asking.renew(None, None).await;
    let Some(began) = told.known_through.clone() else {
        told.next = Some(CacheVerdict::Pass(PassReason::NoLog).text());
        return Ok(told);
    };
    let now = SystemClock.now();
    let judge = |kept: &KeptAnswer| asking.judge(kept, false, now);
    let found = answer_store::find(&asking.bindings, (&asking.tenant, &question.key), judge).await;
    told.kept = found.as_ref().map(|found| ToldAnswer::of(&found.answer, found.answer.age(now)));
    let shown = found.as_ref().and_then(CacheVerdict::of_found);
    told.next = shown.map(CacheVerdict::text);
    if shown.is_some() {
        return Ok(told);
    }
    if let Some(held) = asking.held_by_shield(false, &began).await {
        told.next = Some(CacheVerdict::Hit(SHIELD).text());
        told.kept = Some(ToldAnswer::of(&held, held.age(now)));
    } else if asks_site {
        let fetched = asking.ask_and_decide(&began).await;
        let stands_in = found.as_ref().is_some_and(|found| found.freshness == AnswerFreshness::IfSiteFails);
        match fetched {
            Fetched::NotKept(..) | Fetched::NoAnswer(_) if stands_in && fetched.has_failed() => {
                told.next = Some(CacheVerdict::SITE_FAILED.text());
            }
            Fetched::Kept(answer, _) => {
                told.next = Some(CacheVerdict::of_missing(found.as_ref()).text());
                told.site = Some(ToldAnswer::of(&answer, 0));
            }
            Fetched::NotKept(response, reason) => {
                told.next = Some(CacheVerdict::Pass(reason).text());
                told.site = Some(ToldAnswer::not_kept(response.status, reason));
            }
            Fetched::NoAnswer(_) => told.next = None,
        }
    }
    Ok(told)
}

impl Explanation {
    fn of(verdict: Option<CacheVerdict>, operation: Option<String>) -> Self {
        let next = verdict.map(CacheVerdict::text);
        Self { next, operation, document: None, known_through: None, kept: None, site: None }
    }
}

impl ToldAnswer {
    fn of(kept: &KeptAnswer, age: i64) -> Self {
        Self {
            status: 200,
            keeps: true,
            reason: None,
            age_seconds: age / 1_000,
            fresh_seconds: kept.lifetime.fresh / 1_000,
            stale_while_revalidate_seconds: kept.lifetime.stale_while_revalidate / 1_000,
            stale_if_error_seconds: kept.lifetime.stale_if_error / 1_000,
            tags: kept.tags.clone(),
            began: Some(kept.began.clone()),
        }
    }

    fn not_kept(status: u16, reason: PassReason) -> Self {
        Self {
            status,
            keeps: false,
            reason: Some(reason.as_str()),
            age_seconds: 0,
            fresh_seconds: 0,
            stale_while_revalidate_seconds: 0,
            stale_if_error_seconds: 0,
            tags: Vec::new(),
            began: None,
        }
    }
}

/// A document that would be refused.
fn refused(refused: Refused) -> Problem {
    match refused {
        Refused::Problem(problem) => problem,
        Refused::Request(error) | Refused::Document(error) | Refused::Method(error) => {
            problem::invalid_field("/query", Invalid::new("refused", error.message()))
        }
    }
}
