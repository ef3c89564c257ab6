//! `/graphql` on a tenant's host, `/graphql/{tenant_id}` on the platform's: reads a request, judges it, and answers with what the
//! tenant's site says.

use std::rc::Rc;

use worker::Method;

use super::asking::Asking;
use super::documents;
use super::errors::{MediaType, Refused};
use super::exchange::{self, ResponseView, SiteRequest, SiteResponse};
use super::headers::{self, ClientConnection, HostOf};
use super::judged_request::{JudgedRequest, PassedRequest, RequestJudge};
use super::mutation;
use super::query_page;
use super::request::{self, GraphqlBody};
use super::serve::{self, ClientHas};
use super::tally;
use super::token_scope::VerifiedScope;
use super::told;
use super::verdict::CacheVerdict;
use crate::auth::principal::Visitor;
use crate::http::accept::Accept;
use crate::http::cors::Origin;
use crate::http::problem::{self, Problem};
use crate::http::request::Request;
use crate::http::response::Response;
use crate::tenant::site::Site;

/// `GET /graphql` and `/graphql/{tenant_id}`
pub async fn read(request: Request<Visitor>) -> Result<Response, Problem> {
    let accept = Accept::of(&request.incoming);
    let has_page = may_be_page(&request) && site(&request).await?.settings.graphiql;
    if has_page && query_page::is_preferred(&accept) {
        return Ok(query_page::page());
    }
    let (media_type, site) = (MediaType::chosen_by(&accept)?, site(&request).await?);
    let body = GraphqlBody::of_query(&request.incoming.query, &site.settings);
    let conditions = Some(request.preconditions());
    let client_has = ClientHas { media_type, conditions, heard: serve::heard_event(&request)? };
    let response = answer(&request, site, client_has, body).await?;
    Ok(if has_page { response.header("Vary", query_page::VARY) } else { response })
}

/// Whether a request to the tenant's host names no document.
fn may_be_page(request: &Request<Visitor>) -> bool {
    host_of(request) == HostOf::Tenant && !request::has_parameters(&request.incoming.query)
}

/// `POST /graphql` and `/graphql/{tenant_id}`
pub async fn ask(mut request: Request<Visitor>) -> Result<Response, Problem> {
    let media_type = MediaType::chosen_by(&Accept::of(&request.incoming))?;
    check_origin(&request)?;
    let heard = serve::heard_event(&request)?;
    let site = site(&request).await?;
    let body = GraphqlBody::of_body(&mut request.incoming, &site.settings).await;
    answer(&request, site, ClientHas { media_type, conditions: None, heard }, body).await
}

async fn site(request: &Request<Visitor>) -> Result<Rc<Site>, Problem> {
    let Visitor { tenant, config, .. } = &*request.caller;
    Site::of(&request.bindings, tenant, config.revision).await
}

async fn answer(
    request: &Request<Visitor>,
    site: Rc<Site>,
    client_has: ClientHas,
    body: Result<GraphqlBody, Refused>,
) -> Result<Response, Problem> {
    let endpoint = site.endpoint(&request.bindings)?;
    let incoming = &request.incoming;
    let sent = incoming.headers();
    if sent.iter().any(|(name, _)| name == told::VIA.0) {
        return Err(problem::site_not_graphql("The tenant's wpgraphql_endpoint leads back to this platform.".into()));
    }
    let (scheme, authority) = incoming.sent_to();
    let address = incoming.address();
    let client = ClientConnection { authority, scheme, address: &address, host: host_of(request) };
    let to_site = headers::to_site(&sent, &client, request.caller.member.is_some());
    let how = ResponseView {
        host: host_of(request),
        is_head: request.is_head(),
        is_somebodys: headers::says_who_asks(&to_site) || request.caller.member.is_some(),
    };
    let Visitor { tenant, config, member, .. } = &*request.caller;
    let token_scope = site.settings.cache.token_scope.as_ref();
    let scope = VerifiedScope::of(&request.bindings, (tenant, config), token_scope, &to_site).await;
    let judge = RequestJudge {
        tenant,
        site: &site,
        incoming,
        is_member: member.is_some(),
        to_site: &to_site,
        secret: told::secret_version(&request.bindings, tenant, &site).await?,
        scope: scope.as_ref(),
        media_type: client_has.media_type,
    };
    let judged = resolved_and_judged(request, &judge, body).await;
    let tenant = request.caller.tenant.clone();
    match judged {
        Ok(JudgedRequest::Keepable(question)) => {
            let asking =
                Asking { bindings: request.bindings.clone(), tenant, site, endpoint, question: Rc::new(question) };
            serve::answer(asking, request, how, &client_has).await
        }
        Ok(JudgedRequest::Passed(PassedRequest { sent: question, reason, operation, purges })) => {
            let verdict = CacheVerdict::Pass(reason);
            tally::count(&request.bindings, &request.background, &tenant, operation.as_deref(), verdict);
            let headers = headers_for(request, &site, &question, to_site).await?;
            let sent = exchange::send(&endpoint, &question, &headers, site.settings.timeout_ms).await;
            let outcome = match purges {
                true => mutation::answered(request, sent).await,
                false => sent.map(SiteResponse::streamed),
            };
            serve::passed(&tenant, outcome, how, reason)
        }
        Err(refused) => refused.into_response(client_has.media_type),
    }
}

/// Looks up what the request only names, judges all of it, and registers what was named and sent.
async fn resolved_and_judged(
    request: &Request<Visitor>,
    judge: &RequestJudge<'_>,
    body: Result<GraphqlBody, Refused>,
) -> Result<JudgedRequest, Refused> {
    let (body, unjudged) = documents::resolved(request, &judge.site.settings, body?).await?;
    let judged = judge.judge(body)?;
    unjudged.keep(request);
    Ok(judged)
}

/// A page of an origin that the tenant does not list sends nothing in the name of whoever looks at it.
fn check_origin(request: &Request<Visitor>) -> Result<(), Problem> {
    let (incoming, listed) = (&request.incoming, &request.caller.config.cors_origins);
    let origin = Origin::judge(incoming.header("Origin").as_deref(), listed, incoming.sent_to());
    let is_named = incoming.header("Cookie").is_some() || incoming.header("Authorization").is_some();
    match origin {
        Origin::Foreign if is_named && incoming.method == Method::Post => Err(problem::origin_not_allowed()),
        Origin::Foreign | Origin::Same | Origin::Allowed(_) => Ok(()),
    }
}

fn host_of(request: &Request<Visitor>) -> HostOf {
    if request.params.get("tenant_id").is_empty() { HostOf::Tenant } else { HostOf::Platform }
}

/// The headers of a request that passes.
async fn headers_for(
    request: &Request<Visitor>,
    site: &Site,
    question: &SiteRequest,
    to_site: Vec<(String, String)>,
) -> Result<Vec<(String, String)>, Problem> {
    let mut headers = to_site;
    headers.retain(|(name, _)| name != "content-type");
    headers.extend(question.content_type.iter().map(|content_type| ("content-type".to_owned(), content_type.clone())));
    headers.extend(told::to_site(&request.bindings, &request.caller.tenant, site).await?);
    Ok(headers)
}
