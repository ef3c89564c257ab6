//! `/graphql` on a tenant's host, `/graphql/{tenant_id}` on the platform's: reads a request, judges it, and answers with what the
//! tenant's site says.

use std::rc::Rc;

use worker::Method;

use super::documents;
use super::errors::{MediaType, Refused};
use super::headers::{self, ClientConnection, HostOf};
use super::judged::{self, SentBy};
use super::request::{self, GraphqlBody, GraphqlRequest};
use super::site::Site;
use crate::auth::principal::Visitor;
use crate::auth::work_budget;
use crate::credentials::site_key;
use crate::http::accept::Accept;
use crate::http::cors::Origin;
use crate::http::incoming::Incoming;
use crate::http::outbound::{self, ForwardedBody, ForwardedRequest, ForwardedResponse, NoResponse};
use crate::http::problem::{self, Problem};
use crate::http::request::Request;
use crate::http::response::Response;
use crate::log;
use crate::storage::bindings::{Bindings, SystemClock};
use crate::tenant::secrets;
use crate::tenant_id::TenantId;
use domain::clock::Clock;
use domain::graphql::OperationType;
use domain::outbound::OutboundUrl;

/// The header by which a site knows that its tenant's endpoint asks.
const SITE_KEY: &str = "x-carillon-site-key";
/// The header of what this platform asks, by which it knows its own request where an endpoint leads back here.
const VIA: (&str, &str) = ("x-carillon-via", "graphql");
/// How long a form with files may take until the site's answer begins, in milliseconds: it is sent meanwhile.
const FORM_MILLIS: u32 = 60_000;
/// The least time that a second attempt is given, in milliseconds.
const LEAST_MILLIS: i64 = 250;

/// The longest document, in bytes, that a site is asked by GET where the client only named it: servers take so much of a URL.
const LONGEST_IN_URL: usize = 2_000;
/// Bytes of documents from which on a network pays for their reading, and how many are a unit of its work.
const LONG_DOCUMENTS: usize = 16_384;
const UNIT_BYTES: usize = 2_000;

/// `GET /graphql` and `/graphql/{tenant_id}`
pub async fn read(request: Request<Visitor>) -> Result<Response, Problem> {
    let (media_type, site) = (MediaType::chosen_by(&Accept::of(&request.incoming))?, site(&request).await?);
    let body = GraphqlBody::of_query(&request.incoming.query, &site.settings);
    answer(&request, &site, media_type, resolved_and_judged(&request, &site, body).await).await
}

/// `POST /graphql` and `/graphql/{tenant_id}`
pub async fn ask(mut request: Request<Visitor>) -> Result<Response, Problem> {
    let media_type = MediaType::chosen_by(&Accept::of(&request.incoming))?;
    check_origin(&request)?;
    let site = site(&request).await?;
    let body = GraphqlBody::of_body(&mut request.incoming, &site.settings).await;
    answer(&request, &site, media_type, resolved_and_judged(&request, &site, body).await).await
}

/// Looks up what the request only names, judges all of it, and registers what was named and sent.
async fn resolved_and_judged(
    request: &Request<Visitor>,
    site: &Site,
    body: Result<GraphqlBody, Refused>,
) -> Result<SiteRequest, Refused> {
    let (body, unjudged) = documents::resolved(request, &site.settings, body?).await?;
    let question = judged(request, site, body)?;
    unjudged.keep(request);
    Ok(question)
}

async fn site(request: &Request<Visitor>) -> Result<Rc<Site>, Problem> {
    let Visitor { tenant, config, .. } = &*request.caller;
    Site::of(&request.bindings, tenant, config.revision).await
}

async fn answer(
    request: &Request<Visitor>,
    site: &Site,
    media_type: MediaType,
    judged: Result<SiteRequest, Refused>,
) -> Result<Response, Problem> {
    let endpoint = site.endpoint(&request.bindings)?;
    if request.incoming.headers().iter().any(|(name, _)| name == VIA.0) {
        return Err(problem::site_not_graphql("The tenant's wpgraphql_endpoint leads back to this platform.".into()));
    }
    match judged {
        Ok(question) => ask_site(request, site, &endpoint, question).await,
        Err(refused) => refused.into_response(media_type),
    }
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

/// A request that was judged, as the site is asked.
struct SiteRequest {
    method: &'static str,
    content_type: Option<String>,
    body: SiteBody,
    /// Parameters of the query.
    parameters: Vec<(String, String)>,
    /// Whether it only reads, so that it may be sent once more.
    only_reads: bool,
}

enum SiteBody {
    Empty,
    Text(String),
    Form(web_sys::ReadableStream),
}

/// Judges what was read, and writes it anew for the site.
fn judged(request: &Request<Visitor>, site: &Site, body: GraphqlBody) -> Result<SiteRequest, Refused> {
    let (incoming, settings) = (&request.incoming, &site.settings);
    let is_member = request.caller.member.is_some();
    if !is_member {
        pay_for(body.document_bytes(), incoming)?;
    }
    let judge = |one: &GraphqlRequest, sent_by| judged::judge(one, settings, sent_by, is_member);
    let others = request::parameters_of_the_site(&incoming.query, settings);
    let json = |body: String, parameters, only_reads| SiteRequest {
        method: "POST",
        content_type: Some("application/json".into()),
        body: SiteBody::Text(body),
        parameters,
        only_reads,
    };
    Ok(match body {
        GraphqlBody::Get(one) => {
            judge(&one, SentBy::Get)?;
            if one.name.is_some() && one.query.len() > LONGEST_IN_URL {
                return Ok(json(written(&one)?, others.collect(), true));
            }
            let parameters = as_parameters(one).chain(others).collect();
            SiteRequest { method: "GET", content_type: None, body: SiteBody::Empty, parameters, only_reads: true }
        }
        GraphqlBody::Post(one) => {
            let kind = judge(&one, SentBy::Post)?;
            json(written(&one)?, others.collect(), kind == OperationType::Query)
        }
        GraphqlBody::Batch(several) => {
            let kinds = several.iter().map(|one| judge(one, SentBy::Post)).collect::<Result<Vec<_>, _>>()?;
            let only_reads = kinds.iter().all(|kind| *kind == OperationType::Query);
            json(written(&several)?, others.collect(), only_reads)
        }
        GraphqlBody::Form(media_type) => {
            if !judged::may_introspect(settings, is_member) {
                let told =
                    "Files are taken only from whom the schema is shown to: send the request as application/json.";
                return Err(Refused::request(told));
            }
            SiteRequest {
                method: "POST",
                content_type: Some(request::form_type(&media_type)?),
                body: SiteBody::Form(form(incoming, settings.max_upload_bytes)?),
                parameters: others.collect(),
                only_reads: false,
            }
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

/// Asks the site; a request that only reads once more, if no answer came or a gateway in front of the site failed.
async fn ask_site(
    request: &Request<Visitor>,
    site: &Site,
    endpoint: &OutboundUrl,
    question: SiteRequest,
) -> Result<Response, Problem> {
    let headers = headers_for(request, site, &question).await?;
    let encode = |text: &str| form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
    let parameters = question.parameters.iter();
    let url = parameters.fold(endpoint.clone(), |url, (name, value)| url.with_parameter(&encode(name), &encode(value)));
    let millis = match question.body {
        SiteBody::Empty | SiteBody::Text(_) => site.settings.timeout_ms,
        SiteBody::Form(_) => FORM_MILLIS,
    };
    let deadline = SystemClock.now().millis() + i64::from(millis);
    let mut attempts = if question.only_reads { 2 } else { 1 };
    loop {
        let left = deadline - SystemClock.now().millis();
        let outcome = outbound::pass_on(ForwardedRequest {
            method: question.method,
            url: &url,
            headers: &headers,
            body: match &question.body {
                SiteBody::Empty => ForwardedBody::Empty,
                SiteBody::Text(text) => ForwardedBody::Text(text),
                SiteBody::Form(stream) => ForwardedBody::Stream(stream),
            },
            millis: u32::try_from(left.max(1)).unwrap_or(u32::MAX),
        });
        let outcome = outcome.await;
        attempts -= 1;
        let has_failed = match &outcome {
            Err(NoResponse::Failed) => true,
            Err(NoResponse::TimedOut) => false,
            Ok(response) => matches!(response.status, 502 | 504),
        };
        let is_left = attempts > 0 && deadline - SystemClock.now().millis() >= LEAST_MILLIS;
        if !(has_failed && is_left) {
            return shown(request, outcome, headers::says_who_asks(&headers));
        }
        if let Ok(ForwardedResponse { body: Some(body), .. }) = outcome {
            drop(body.cancel());
        }
    }
}

fn host_of(request: &Request<Visitor>) -> HostOf {
    if request.params.get("tenant_id").is_empty() { HostOf::Tenant } else { HostOf::Platform }
}

async fn headers_for(
    request: &Request<Visitor>,
    site: &Site,
    question: &SiteRequest,
) -> Result<Vec<(String, String)>, Problem> {
    let incoming = &request.incoming;
    let (scheme, authority) = incoming.sent_to();
    let address = incoming.address();
    let client = ClientConnection { authority, scheme, address: &address, host: host_of(request) };
    let mut headers = headers::to_site(&incoming.headers(), &client, request.caller.member.is_some());
    headers.retain(|(name, _)| name != "content-type");
    headers.push((VIA.0.to_owned(), VIA.1.to_owned()));
    headers.extend(question.content_type.iter().map(|content_type| ("content-type".to_owned(), content_type.clone())));
    if site.settings.send_site_key {
        headers.push((SITE_KEY.into(), key_for(&request.bindings, &request.caller.tenant).await?));
    }
    Ok(headers)
}

async fn key_for(bindings: &Bindings, tenant: &TenantId) -> Result<String, Problem> {
    let kept = secrets::load(bindings, tenant.as_str()).await?;
    let newest = kept.signing(SystemClock.now()).into_iter().max_by_key(|secret| secret.version);
    let secret = newest.ok_or_else(|| problem::internal("the tenant has no webhook secret"))?;
    Ok(site_key::of(secret.secret))
}

/// What the site said, or what is told in its place. `is_somebodys`: the site was told who asks.
fn shown(
    request: &Request<Visitor>,
    outcome: Result<ForwardedResponse, NoResponse>,
    is_somebodys: bool,
) -> Result<Response, Problem> {
    let tenant = &request.caller.tenant;
    let ForwardedResponse { status, headers, body } = match outcome {
        Ok(response) => response,
        Err(NoResponse::TimedOut) => {
            log::site_failed(tenant.as_str(), "timed out");
            return Err(problem::site_timed_out());
        }
        Err(NoResponse::Failed) => {
            log::site_failed(tenant.as_str(), "no response");
            return Err(problem::site_unavailable("The tenant's site cannot be reached."));
        }
    };
    let sent_type = headers.iter().find(|(name, _)| name == "content-type").map(|(_, value)| value.as_str());
    let media_type = sent_type.and_then(MediaType::of_site);
    // A platform's `Response` has a status from 200 to 599, and a redirect is the way to somewhere else.
    let is_answer = matches!(status, 200..300 | 400..600) && media_type.is_some() || status == 304;
    let has_body = is_answer && !request.is_head() && !matches!(status, 204 | 205 | 304);
    if let Some(body) = body.as_ref().filter(|_| !has_body) {
        drop(body.cancel());
    }
    if !is_answer {
        return Err(not_graphql(tenant, status, sent_type));
    }
    let is_somebodys = is_somebodys || request.caller.member.is_some();
    let response = match (body, media_type) {
        (Some(body), Some(media_type)) if has_body => {
            Response::bytes(status, body).header("Content-Type", media_type.header())
        }
        _ => Response::empty(status),
    };
    let passed = headers::to_client(&headers, host_of(request), is_somebodys);
    Ok(response.header("Content-Security-Policy", NO_PAGE).passing_on(passed))
}

/// A response of a site is no page, whatever a browser makes of it.
const NO_PAGE: &str = "default-src 'none'; frame-ancestors 'none'; sandbox";

fn not_graphql(tenant: &TenantId, status: u16, sent_type: Option<&str>) -> Problem {
    let what = match status {
        300..400 => "a redirect, which is not followed".to_owned(),
        _ => sent_type.map_or_else(|| "no media type".to_owned(), |sent_type| sent_type.chars().take(100).collect()),
    };
    log::site_failed(tenant.as_str(), &format!("status {status}, {what}"));
    let told = format!("The tenant's site answered with status {status} and {what}, not with GraphQL.");
    match status {
        500..600 => problem::site_unavailable(told),
        _ => problem::site_not_graphql(told),
    }
}
