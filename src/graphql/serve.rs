//! Answers a question that may be answered with what is kept: from memory, from KV, or by the site.

use super::answer_store::{self, FoundAnswer};
use super::asking::Asking;
use super::errors::MediaType;
use super::exchange::{self, ResponseView, SiteResponse};
use super::fetching::{ETAG, Fetched};
use super::tally;
use super::verdict::{CacheVerdict, SHIELD};
use super::warming;
use crate::auth::principal::Visitor;
use crate::http::outbound::NoResponse;
use crate::http::precondition::{Preconditions, Validators};
use crate::http::problem::{self, Problem};
use crate::http::request::Request;
use crate::http::response::Response;
use crate::storage::bindings::SystemClock;
use crate::tenant_id::TenantId;
use domain::clock::Clock;
use domain::error::Invalid;
use domain::graphql_cache::{AnswerFreshness, KeptAnswer, PassReason};
use domain::log_position::{Cursor, ReadPosition};

/// Answers a request.
pub async fn answer(
    asking: Asking,
    request: &Request<Visitor>,
    how: ResponseView,
    client: &ClientHas,
) -> Result<Response, Problem> {
    let after = client.heard.clone();
    let operation = asking.question.document.operation.as_deref();
    let count = |verdict| tally::count(&asking.bindings, &request.background, &asking.tenant, operation, verdict);
    let Some(began) = asking.renew(Some(&request.caller.host), after.as_ref()).await else {
        count(CacheVerdict::Pass(PassReason::NoLog));
        return passed(&asking.tenant, asking.ask().await, how, PassReason::NoLog);
    };
    warming::after_purges(&asking.bindings, &request.background, &asking.tenant);
    let now = SystemClock.now();
    let judge = |kept: &KeptAnswer| asking.judge(kept, after.is_some(), now);
    let found = answer_store::find(&asking.bindings, (&asking.tenant, &asking.question.key), judge).await;
    let show = |answer: &KeptAnswer, verdict: CacheVerdict| {
        count(verdict);
        shown_kept(answer, client, (verdict, asking.question.has_token))
    };
    if let Some(found) = &found {
        found.hold(&asking.tenant, &asking.question);
        let verdict = CacheVerdict::of_found(found);
        if matches!(found.freshness, AnswerFreshness::Stale(_)) {
            asking.clone().revalidate(&request.background, began.clone());
        }
        if let Some(verdict) = verdict {
            if found.is_held() {
                asking.write_once(&found.answer, &request.background);
            }
            return show(&found.answer, verdict);
        }
    }
    let fetched = asking.fetch(after.is_some(), began, found.is_some(), &request.background).await;
    let in_its_place = match (&found, fetched.has_failed()) {
        (Some(found), true) => still_good(&asking, request, found, after.as_ref()).await,
        _ => None,
    };
    match fetched {
        Fetched::Kept(answer, true) => show(&answer, CacheVerdict::Hit(SHIELD)),
        Fetched::Kept(answer, false) => show(&answer, CacheVerdict::of_missing(found.as_ref())),
        Fetched::NotKept(response, reason) => match in_its_place {
            Some(answer) => show(answer, CacheVerdict::SITE_FAILED),
            None if reason == PassReason::NoJson => Err(exchange::no_json(&asking.tenant, response.status)),
            None => {
                count(CacheVerdict::Pass(reason));
                passed(&asking.tenant, Ok(response), how, reason)
            }
        },
        Fetched::NoAnswer(reason) => match in_its_place {
            Some(answer) => show(answer, CacheVerdict::SITE_FAILED),
            None => exchange::shown(&asking.tenant, Err(reason), how),
        },
    }
}

/// What may be shown in the place of an answer that the site failed to give. A purge may have come while it was waited for.
async fn still_good<'f>(
    asking: &Asking,
    request: &Request<Visitor>,
    found: &'f FoundAnswer,
    after: Option<&Cursor>,
) -> Option<&'f KeptAnswer> {
    if found.freshness != AnswerFreshness::IfSiteFails {
        return None;
    }
    asking.renew(Some(&request.caller.host), after).await?;
    let freshness = asking.judge(&found.answer, after.is_some(), SystemClock.now());
    (freshness == AnswerFreshness::IfSiteFails).then_some(&*found.answer)
}

/// The event that a client says it has heard.
pub fn heard_event(request: &Request<Visitor>) -> Result<Option<Cursor>, Problem> {
    let Some(sent) = request.incoming.header("X-Carillon-After") else { return Ok(None) };
    let (position, _) = ReadPosition::split(&sent);
    match Cursor::parse(position.strip_prefix('#').unwrap_or(position)) {
        Some(cursor) => Ok(Some(cursor)),
        None => Err(problem::invalid_header(
            "X-Carillon-After",
            Invalid::new("invalid_id", "must be the id of an event of this tenant"),
        )),
    }
}

/// What a client takes, and what it has already.
pub struct ClientHas {
    pub media_type: MediaType,
    /// The event that it has heard.
    pub heard: Option<Cursor>,
    /// Its conditions, if it reads by GET.
    pub conditions: Option<Preconditions>,
}

fn shown_kept(
    kept: &KeptAnswer,
    client: &ClientHas,
    (verdict, has_token): (CacheVerdict, bool),
) -> Result<Response, Problem> {
    let (mut headers, mut tag) = (kept.answer.headers.clone(), String::new());
    // The media type is the client's choice, and two of them are two representations.
    if let Some((_, known)) = headers.iter_mut().find(|(name, _)| name == ETAG) {
        if client.media_type == MediaType::Response {
            *known = format!("{}.r\"", known.trim_end_matches('"'));
        }
        tag.clone_from(known);
    }
    let known = client.conditions.as_ref().map(|conditions| conditions.is_known(Validators::tag(&tag))).transpose()?;
    let response = match known {
        Some(true) => Response::empty(304),
        Some(false) | None => Response::graphql(200, kept.answer.body.to_string(), client.media_type.header()),
    };
    let age = kept.age(SystemClock.now()) / 1_000;
    let cached_by = if has_token { "private, no-cache" } else { "no-cache" };
    let response = exchange::no_page(response).header("Cache-Control", cached_by).header("Age", age);
    Ok(verdict.told(response).passing_on(headers))
}

/// Shows an answer that is not kept.
pub fn passed(
    tenant: &TenantId,
    response: Result<SiteResponse, NoResponse>,
    how: ResponseView,
    reason: PassReason,
) -> Result<Response, Problem> {
    Ok(CacheVerdict::Pass(reason).told(exchange::shown(tenant, response, how)?))
}
