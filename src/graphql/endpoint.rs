//! `/graphql` on a tenant's host, `/graphql/{tenant_id}` on the platform's: reads a request, judges it, and answers with what the
//! tenant's site says.

use std::rc::Rc;

use worker::Method;

use super::asking::Asking;
use super::documents;
use super::errors::{MediaType, Refused};
use super::exchange::{self, ResponseView, SiteBody, SiteRequest, SiteResponse};
use super::headers::{self, ClientConnection, HostOf};
use super::judged::{self, JudgedOperation, SentBy};
use super::query_page;
use super::question::{AskedFor, Question};
use super::request::{self, GraphqlBody, GraphqlRequest};
use super::serve::{self, ClientHas};
use super::tally;
use super::told;
use super::verdict::CacheVerdict;
use crate::auth::principal::Visitor;
use crate::auth::work_budget;
use crate::http::accept::Accept;
use crate::http::cors::Origin;
use crate::http::incoming::Incoming;
use crate::http::outbound::{ForwardedResponse, GatheredBody};
use crate::http::problem::{self, Problem};
use crate::http::request::Request;
use crate::http::response::Response;
use crate::tenant::site::Site;
use domain::graphql::OperationType;
use domain::graphql_cache::{AskedOperation, PassReason};

/// The longest document, in bytes, that a site is asked by GET where the client only named it: servers take so much of a URL.
const LONGEST_IN_URL: usize = 2_000;
/// Bytes of documents from which on a network pays for their reading, and how many are a unit of its work.
const LONG_DOCUMENTS: usize = 16_384;
const UNIT_BYTES: usize = 2_000;

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
    let secret = told::secret_version(&request.bindings, &request.caller.tenant, &site).await?;
    let judged = resolved_and_judged(request, &site, body, (&to_site, secret, client_has.media_type)).await;
    let tenant = request.caller.tenant.clone();
    match judged {
        Ok(JudgedRequest::Keepable(question)) => {
            let asking =
                Asking { bindings: request.bindings.clone(), tenant, site, endpoint, question: Rc::new(question) };
            serve::answer(asking, request, how, &client_has).await
        }
        Ok(JudgedRequest::Passed(question, reason, operation)) => {
            let verdict = CacheVerdict::Pass(reason);
            tally::count(&request.bindings, &request.background, &tenant, operation.as_deref(), verdict);
            let headers = headers_for(request, &site, &question, to_site).await?;
            let outcome = exchange::send(&endpoint, &question, &headers, site.settings.timeout_ms).await;
            let outcome = outcome.map(|ForwardedResponse { status, headers, body, .. }| SiteResponse {
                status,
                headers,
                body: body.map(GatheredBody::Stream),
            });
            serve::passed(&tenant, outcome, how, reason)
        }
        Err(refused) => refused.into_response(client_has.media_type),
    }
}

/// What is asked with a request: the headers that the site would get, the version of the secret that its key is made of, and the
/// media type of the answer.
type AskedWith<'a> = (&'a [(String, String)], Option<u32>, MediaType);

/// Looks up what the request only names, judges all of it, and registers what was named and sent.
async fn resolved_and_judged(
    request: &Request<Visitor>,
    site: &Site,
    body: Result<GraphqlBody, Refused>,
    asked_with: AskedWith<'_>,
) -> Result<JudgedRequest, Refused> {
    let (body, unjudged) = documents::resolved(request, &site.settings, body?).await?;
    let judged = judged(request, site, body, asked_with)?;
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

/// A request that was judged.
enum JudgedRequest {
    /// It may be answered with what is kept.
    Keepable(Question),
    /// It passes, for this reason; the name of its operation, if it is one.
    Passed(SiteRequest, PassReason, Option<String>),
}

/// Judges what was read, and writes it anew for the site.
fn judged(
    request: &Request<Visitor>,
    site: &Site,
    body: GraphqlBody,
    (to_site, secret, media_type): AskedWith<'_>,
) -> Result<JudgedRequest, Refused> {
    let (incoming, settings) = (&request.incoming, &site.settings);
    let is_member = request.caller.member.is_some();
    if !is_member {
        pay_for(body.document_bytes(), incoming)?;
    }
    let judge = |one: &GraphqlRequest, sent_by| judged::judge(one, settings, sent_by, is_member);
    let others: Vec<(String, String)> = request::parameters_of_the_site(&incoming.query, settings).collect();
    let json = |body: String, parameters, only_reads| SiteRequest {
        method: "POST",
        content_type: Some("application/json".into()),
        body: SiteBody::Text(body),
        parameters,
        only_reads,
    };
    let pass_reason = |one: &GraphqlRequest, operation: &JudgedOperation| {
        let asked = AskedOperation {
            kind: operation.kind,
            introspects: operation.introspects,
            previews: operation.previews,
            has_extensions: one.extensions.is_some(),
            is_members: is_member,
        };
        let sent = to_site.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        PassReason::of_request(&settings.cache, &asked, sent, others.iter().map(|(name, _)| name.as_str()))
    };
    let keepable = |request_sent: &GraphqlRequest, operation: &JudgedOperation| {
        Question::of(AskedFor {
            tenant: &request.caller.tenant,
            site,
            secret,
            request: request_sent,
            operation,
            parameters: others.clone(),
            headers: to_site,
            media_type,
        })
    };
    Ok(match body {
        GraphqlBody::Get(one) => {
            let operation = judge(&one, SentBy::Get)?;
            match pass_reason(&one, &operation) {
                None => JudgedRequest::Keepable(keepable(&one, &operation)?),
                Some(reason) if one.name.is_some() && one.query.len() > LONGEST_IN_URL => {
                    JudgedRequest::Passed(json(written(&one)?, others, true), reason, operation.name)
                }
                Some(reason) => {
                    let parameters = as_parameters(one).chain(others).collect();
                    let sent = SiteRequest {
                        method: "GET",
                        content_type: None,
                        body: SiteBody::Empty,
                        parameters,
                        only_reads: true,
                    };
                    JudgedRequest::Passed(sent, reason, operation.name)
                }
            }
        }
        GraphqlBody::Post(one) => {
            let operation = judge(&one, SentBy::Post)?;
            match pass_reason(&one, &operation) {
                None => JudgedRequest::Keepable(keepable(&one, &operation)?),
                Some(reason) => {
                    let only_reads = operation.kind == OperationType::Query;
                    JudgedRequest::Passed(json(written(&one)?, others, only_reads), reason, operation.name)
                }
            }
        }
        GraphqlBody::Batch(several) => {
            let judged = several.iter().map(|one| judge(one, SentBy::Post)).collect::<Result<Vec<_>, _>>()?;
            let only_reads = judged.iter().all(|operation| operation.kind == OperationType::Query);
            JudgedRequest::Passed(json(written(&several)?, others, only_reads), PassReason::Batch, None)
        }
        GraphqlBody::Form(media_type) => {
            if !judged::may_introspect(settings, is_member) {
                let told =
                    "Files are taken only from whom the schema is shown to: send the request as application/json.";
                return Err(Refused::request(told));
            }
            let sent = SiteRequest {
                method: "POST",
                content_type: Some(request::form_type(&media_type)?),
                body: SiteBody::Form(form(incoming, settings.max_upload_bytes)?),
                parameters: others,
                only_reads: false,
            };
            JudgedRequest::Passed(sent, PassReason::Upload, None)
        }
    })
}

/// To judge long documents takes time, which the network of a stranger pays for.
fn pay_for(bytes: usize, incoming: &Incoming) -> Result<(), Problem> {
    if bytes < LONG_DOCUMENTS {
        return Ok(());
    }
    if let Some(work) = work_budget::admit(incoming.network())? {
        work.settle(u32::try_from(bytes / UNIT_BYTES).unwrap_or(u32::MAX));
    }
    Ok(())
}

fn written<T: serde::Serialize>(body: &T) -> Result<String, Refused> {
    serde_json::to_string(body).map_err(|error| problem::internal(error).into())
}

fn as_parameters(one: GraphqlRequest) -> impl Iterator<Item = (String, String)> {
    let GraphqlRequest { query, operation_name, variables, extensions, name: _ } = one;
    let raw = |value: Option<Box<serde_json::value::RawValue>>| value.map(|value| value.get().to_owned());
    let all = [
        ("query", Some(query)),
        ("operationName", operation_name),
        ("variables", raw(variables)),
        ("extensions", raw(extensions)),
    ];
    all.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?)))
}

/// A form with files, whose length is known before.
fn form(incoming: &Incoming, most: u32) -> Result<web_sys::ReadableStream, Refused> {
    if most == 0 {
        return Err(Refused::request("Files are not taken here: send the request as application/json."));
    }
    let length = incoming.header("Content-Length").and_then(|length| length.parse::<u64>().ok());
    let length = length.ok_or_else(problem::length_required)?;
    if length > u64::from(most) {
        return Err(problem::body_too_large(usize::try_from(most).unwrap_or(usize::MAX)).into());
    }
    incoming.stream()?.ok_or_else(|| Refused::request("The form is empty."))
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
