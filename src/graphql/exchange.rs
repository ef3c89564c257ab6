//! One question to a tenant's site and its answer: attempts, time-outs, and what of an answer a client is shown.

use super::errors::MediaType;
use super::headers::{self, HostOf};
use crate::http::outbound::{self, ForwardedBody, ForwardedRequest, ForwardedResponse, GatheredBody, NoResponse};
use crate::http::problem::{self, Problem};
use crate::http::response::Response;
use crate::log;
use crate::storage::bindings::SystemClock;
use crate::tenant_id::TenantId;
use domain::clock::Clock;
use domain::graphql_cache::SentAnswer;
use domain::outbound::OutboundUrl;

/// How long a form with files may take until the site's answer begins, in milliseconds: it is sent meanwhile.
const FORM_MILLIS: u32 = 60_000;
/// The least time that a second attempt is given, in milliseconds.
const LEAST_MILLIS: i64 = 250;
/// A response of a site is no page, whatever a browser makes of it.
const NO_PAGE: &str = "default-src 'none'; frame-ancestors 'none'; sandbox";

/// A request that was judged, as the site is asked.
pub struct SiteRequest {
    pub method: &'static str,
    pub content_type: Option<String>,
    pub body: SiteBody,
    /// Parameters of the query.
    pub parameters: Vec<(String, String)>,
    /// Whether it only reads, so that it may be sent once more.
    pub only_reads: bool,
}

pub enum SiteBody {
    Empty,
    Text(String),
    Form(web_sys::ReadableStream),
}

/// What a site answered.
pub struct SiteResponse {
    pub status: u16,
    /// Their names in lower case.
    pub headers: Vec<(String, String)>,
    /// None where there is none.
    pub body: Option<GatheredBody>,
}

impl SiteResponse {
    /// As it comes in.
    pub fn streamed(sent: ForwardedResponse) -> Self {
        let ForwardedResponse { status, headers, body, .. } = sent;
        Self { status, headers, body: body.map(GatheredBody::Stream) }
    }

    fn sent_type(&self) -> Option<&str> {
        self.headers.iter().find(|(name, _)| name == "content-type").map(|(_, value)| value.as_str())
    }

    /// Its media type, if it is one of GraphQL's.
    pub fn media_type(&self) -> Option<MediaType> {
        self.sent_type().and_then(MediaType::of_site)
    }

    /// Whether it is an answer at all. A platform's `Response` has a status from 200 to 599, and a redirect is the way to
    /// somewhere else.
    fn is_answer(&self) -> bool {
        matches!(self.status, 200..300 | 400..600) && self.media_type().is_some() || self.status == 304
    }

    /// Whether it makes whoever asked somebody.
    pub fn begins_a_session(&self) -> bool {
        SentAnswer { status: self.status, headers: &self.headers, body: "" }.begins_a_session()
            || self.headers.iter().any(|(name, value)| name == "cache-control" && value.contains("private"))
    }

    /// Whether the site says that its answer depends on a header of the request, named in lower case.
    pub fn varies_by(&self, header: &str) -> bool {
        let mut listed = self.headers.iter().filter(|(name, _)| name == "vary").flat_map(|(_, value)| value.split(','));
        listed.any(|name| name.trim().eq_ignore_ascii_case(header))
    }

    /// Whether the site has failed, so that what was answered before may be shown in its place.
    pub fn has_failed(&self) -> bool {
        matches!(self.status, 429 | 500..) || !self.is_answer()
    }
}

/// Asks the site; a request that only reads once more, if no answer came or a gateway in front of the site failed.
pub async fn send(
    endpoint: &OutboundUrl,
    question: &SiteRequest,
    headers: &[(String, String)],
    timeout_ms: u32,
) -> Result<ForwardedResponse, NoResponse> {
    let encode = |text: &str| form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
    let parameters = question.parameters.iter();
    let url = parameters.fold(endpoint.clone(), |url, (name, value)| url.with_parameter(&encode(name), &encode(value)));
    let millis = match question.body {
        SiteBody::Empty | SiteBody::Text(_) => timeout_ms,
        SiteBody::Form(_) => FORM_MILLIS,
    };
    let deadline = SystemClock.now().millis() + i64::from(millis);
    let mut attempts = if question.only_reads { 2 } else { 1 };
    loop {
        let left = deadline - SystemClock.now().millis();
        let outcome = outbound::pass_on(ForwardedRequest {
            method: question.method,
            url: &url,
            headers,
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
            return outcome;
        }
        if let Ok(ForwardedResponse { body: Some(body), .. }) = outcome {
            drop(body.cancel());
        }
    }
}

/// How an answer is shown.
#[derive(Debug, Clone, Copy)]
pub struct ResponseView {
    pub host: HostOf,
    pub is_head: bool,
    /// Whether the site was told who asks.
    pub is_somebodys: bool,
}

/// What the site said, or what is told in its place.
pub fn shown(
    tenant: &TenantId,
    outcome: Result<SiteResponse, NoResponse>,
    how: ResponseView,
) -> Result<Response, Problem> {
    let response = match outcome {
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
    let (status, is_answer, media_type) = (response.status, response.is_answer(), response.media_type());
    let has_body = is_answer && !how.is_head && !matches!(status, 204 | 205 | 304);
    if let Some(GatheredBody::Stream(stream)) = response.body.as_ref().filter(|_| !has_body) {
        drop(stream.cancel());
    }
    if !is_answer {
        return Err(not_graphql(tenant, status, response.sent_type()));
    }
    let passed = headers::to_client(&response.headers, how.host, how.is_somebodys);
    let shown = match (response.body, media_type) {
        (Some(GatheredBody::Stream(stream)), Some(media_type)) if has_body => {
            Response::bytes(status, stream).header("Content-Type", media_type.header())
        }
        (Some(GatheredBody::Text(text)), Some(media_type)) if has_body => {
            Response::graphql(status, text, media_type.header())
        }
        _ => Response::empty(status),
    };
    Ok(no_page(shown).passing_on(passed))
}

/// A response that no browser makes a page of.
pub fn no_page(response: Response) -> Response {
    response.header("Content-Security-Policy", NO_PAGE)
}

/// The site says that it answers with JSON, and does not.
pub fn no_json(tenant: &TenantId, status: u16) -> Problem {
    not_graphql(tenant, status, Some("a body that is no JSON"))
}

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
