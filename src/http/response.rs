//! Responses: the envelope of successes, and the conversion into the platform's response.

use futures_util::stream;
use serde::Serialize;
use worker::{Headers, ResponseBuilder};

use super::body_text::BodyText;
use super::problem::Problem;

/// What tells how a rate stands.
pub const RATE_HEADERS: [&str; 5] =
    ["RateLimit", "RateLimit-Policy", "X-RateLimit-Limit", "X-RateLimit-Remaining", "X-RateLimit-Reset"];

/// What every answer tells of itself: the request's id, and the version that answered.
pub const ON_EVERY_ANSWER: [&str; 2] = ["X-Request-Id", "X-Carillon-Version"];

/// A handler's response. Boxed like problems, because it is moved often.
#[derive(Debug)]
pub struct Response(Box<ResponseParts>);

/// The contents of a response.
#[derive(Debug)]
pub struct ResponseParts {
    /// HTTP status.
    pub status: u16,
    /// The body.
    pub body: ResponseBody,
    /// Headers beside `Content-Type`, and `Cache-Control` where the usual one is wrong.
    pub headers: Vec<(&'static str, String)>,
    /// Headers of another server's response, which is passed on; their names in lower case.
    pub passed_on: Vec<(String, String)>,
}

/// A response's body.
#[derive(Debug)]
pub enum ResponseBody {
    /// Nothing.
    Empty,
    /// JSON.
    Json(BodyText),
    /// JSON-LD.
    LinkedJson(String),
    /// A GraphQL response, and its media type.
    Graphql(String, &'static str),
    /// Plain text.
    Text(String),
    /// An HTML page.
    Html(String),
    /// A style sheet.
    Css(String),
    /// Bytes that are passed on; the handler sets their `Content-Type`.
    Bytes(web_sys::ReadableStream),
    /// Server-Sent Events; none for a HEAD request.
    Events(Option<web_sys::ReadableStream>),
    /// A stream of events that is this text and ends.
    EventText(String),
}

impl ResponseBody {
    /// How many bytes it has, where a GET tells that before they are sent.
    fn known_length(&self) -> Option<usize> {
        match self {
            Self::Json(text) => Some(text.len()).filter(|_| !text.is_long()),
            Self::LinkedJson(text)
            | Self::Graphql(text, _)
            | Self::Text(text)
            | Self::Html(text)
            | Self::Css(text)
            | Self::EventText(text) => Some(text.len()),
            Self::Empty | Self::Bytes(_) | Self::Events(_) => None,
        }
    }

    /// How many bytes of JSON it is.
    pub fn json_bytes(&self) -> usize {
        if let Self::Json(text) = self { text.len() } else { 0 }
    }
}

/// A page's position in its list.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Pagination {
    /// The page's number, if the request named one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub page: Option<u32>,
    /// Most rows of a page.
    pub per_page: u32,
    /// The number of rows, if counted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub total: Option<u64>,
    /// Whether there may be more rows than `total`: counting ended at its bound.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub total_is_lower_bound: bool,
    /// The number of pages, if counted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub total_pages: Option<u64>,
    /// Whether rows follow.
    pub has_next: bool,
    /// Whether rows precede.
    pub has_prev: bool,
    /// Whether a bound on what is read or shown ended the page early. `cursor` goes on where there is one.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub partial: bool,
    /// Which bound made it partial. A list that has neither `cut` nor `cursor` ends with this page.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cut: Option<ListCut>,
    /// What to send as `cursor` for the rows that follow; none if no row follows, or none that can be listed.
    pub cursor: Option<String>,
}

/// The bound that ended a page early.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct ListCut {
    /// What it bounds.
    pub by: CutCause,
    /// How many of these.
    pub bound: i64,
}

/// What ends a page early.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum CutCause {
    /// Bytes of the rows that are shown.
    Bytes,
    /// Records that are read for the list.
    Records,
}

#[derive(Serialize)]
struct Envelope<'a, T> {
    success: bool,
    data: &'a T,
    #[serde(skip_serializing_if = "Option::is_none")]
    pagination: Option<Pagination>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tenant_id: Option<&'a str>,
}

impl std::ops::Deref for Response {
    type Target = ResponseParts;

    fn deref(&self) -> &ResponseParts {
        &self.0
    }
}

impl std::ops::DerefMut for Response {
    fn deref_mut(&mut self) -> &mut ResponseParts {
        &mut self.0
    }
}

impl Response {
    #[inline(never)]
    fn new(status: u16, body: ResponseBody) -> Self {
        Self(Box::new(ResponseParts { status, body, headers: Vec::new(), passed_on: Vec::new() }))
    }

    /// A success in the envelope; `tenant_id` says whose data it is.
    pub fn json<T: Serialize>(status: u16, data: &T, tenant_id: Option<&str>) -> Result<Self, Problem> {
        Self::enveloped(status, data, None, tenant_id)
    }

    /// The body of a list in the envelope.
    pub fn list_body<T: Serialize>(
        rows: &[T],
        pagination: Pagination,
        tenant_id: Option<&str>,
    ) -> Result<BodyText, Problem> {
        written(&Envelope { success: true, data: &rows, pagination: Some(pagination), tenant_id })
    }

    /// A list in the envelope.
    pub fn list<T: Serialize>(rows: &[T], pagination: Pagination, tenant_id: Option<&str>) -> Result<Self, Problem> {
        Self::enveloped(200, &rows, Some(pagination), tenant_id)
    }

    fn enveloped<T: Serialize>(
        status: u16,
        data: &T,
        pagination: Option<Pagination>,
        tenant_id: Option<&str>,
    ) -> Result<Self, Problem> {
        let envelope = Envelope { success: true, data, pagination, tenant_id };
        Ok(Self::new(status, ResponseBody::Json(written(&envelope)?)))
    }

    /// JSON without the envelope.
    pub fn plain_json(status: u16, body: impl Into<BodyText>) -> Self {
        Self::new(status, ResponseBody::Json(body.into()))
    }

    /// JSON-LD without the envelope.
    pub fn linked_json(body: String) -> Self {
        Self::new(200, ResponseBody::LinkedJson(body))
    }

    /// A GraphQL response.
    pub fn graphql(status: u16, body: String, media_type: &'static str) -> Self {
        Self::new(status, ResponseBody::Graphql(body, media_type))
    }

    /// No body.
    pub fn empty(status: u16) -> Self {
        Self::new(status, ResponseBody::Empty)
    }

    /// Text.
    pub fn text(status: u16, text: String) -> Self {
        Self::new(status, ResponseBody::Text(text))
    }

    /// A page.
    pub fn html(page: String) -> Self {
        Self::new(200, ResponseBody::Html(page))
    }

    /// A style sheet.
    pub fn css(sheet: String) -> Self {
        Self::new(200, ResponseBody::Css(sheet))
    }

    /// A stream of Server-Sent Events, which proxies must not buffer or change.
    pub fn events(stream: Option<web_sys::ReadableStream>) -> Self {
        Self::new(200, ResponseBody::Events(stream)).header("X-Accel-Buffering", "no")
    }

    /// A stream of Server-Sent Events that is this text and ends.
    pub fn event_text(text: String) -> Self {
        Self::new(200, ResponseBody::EventText(text)).header("X-Accel-Buffering", "no")
    }

    /// Bytes; the handler sets their `Content-Type`.
    pub fn bytes(status: u16, stream: web_sys::ReadableStream) -> Self {
        Self::new(status, ResponseBody::Bytes(stream))
    }

    /// Adds headers of another server's response, their names in lower case.
    #[must_use]
    pub fn passing_on(mut self, headers: Vec<(String, String)>) -> Self {
        self.passed_on = headers;
        self
    }

    /// Adds the entity tag of what it shows, to be sent back in `If-Match`. A proxy that compressed the answer would weaken
    /// the tag (RFC 9110, 8.8.1), and a weak one matches nothing there: so none may.
    #[must_use]
    pub fn tagged(self, etag: impl ToString) -> Self {
        self.header("ETag", etag).header("Cache-Control", "no-store, no-transform")
    }

    /// Adds what every answer carries.
    #[must_use]
    pub fn identified(self, request_id: &str) -> Self {
        let values = [request_id, env!("CARGO_PKG_VERSION")];
        let identified =
            ON_EVERY_ANSWER.into_iter().zip(values).fold(self, |answer, (name, value)| answer.header(name, value));
        identified.header("X-Content-Type-Options", "nosniff")
    }

    /// Adds a header.
    #[must_use]
    pub fn header(mut self, name: &'static str, value: impl ToString) -> Self {
        self.headers.push((name, value.to_string()));
        self
    }

    /// The response to a problem.
    pub fn problem(problem: &Problem, request_id: &str) -> Self {
        let mut response = Self::new(problem.status, ResponseBody::Json(problem.to_json(request_id).into()));
        response.headers.clone_from(&problem.headers);
        response
    }

    /// The platform's response; without a body for a HEAD request.
    pub fn into_response(self, head: bool) -> worker::Result<worker::Response> {
        let ResponseParts { status, body, headers: own, passed_on } = *self.0;
        let headers = Headers::new();
        let (media_type, caching) = match &body {
            ResponseBody::Empty | ResponseBody::Bytes(_) => (None, "no-store"),
            ResponseBody::Json(_) if status >= 400 => (Some("application/problem+json"), "no-store"),
            ResponseBody::Json(_) => (Some("application/json"), "no-store"),
            ResponseBody::LinkedJson(_) => (Some("application/ld+json"), "no-store"),
            ResponseBody::Graphql(_, media_type) => (Some(*media_type), "no-store"),
            ResponseBody::Text(_) => (Some("text/plain; charset=utf-8"), "no-store"),
            ResponseBody::Html(_) => (Some("text/html; charset=utf-8"), "no-cache"),
            ResponseBody::Css(_) => (Some("text/css; charset=utf-8"), "no-cache"),
            ResponseBody::Events(_) | ResponseBody::EventText(_) => {
                (Some("text/event-stream"), "no-cache, no-transform")
            }
        };
        if let Some(media_type) = media_type {
            headers.set("Content-Type", media_type)?;
        }
        let is_cached_as_told = own.iter().any(|(name, _)| *name == "Cache-Control")
            || passed_on.iter().any(|(name, _)| name == "cache-control");
        if !is_cached_as_told {
            headers.set("Cache-Control", caching)?;
        }
        let passed_on = passed_on.iter().map(|(name, value)| (name.as_str(), value));
        for (name, value) in own.iter().map(|(name, value)| (*name, value)).chain(passed_on) {
            headers.append(name, value)?;
        }
        if let Some(length) = body.known_length().filter(|_| head) {
            headers.set("Content-Length", &length.to_string())?;
        }
        let builder = ResponseBuilder::new().with_status(status).with_headers(headers);
        Ok(match body {
            ResponseBody::Json(text) if !head && text.is_long() => {
                builder.from_stream(stream::iter(text.into_pieces().map(Ok::<_, worker::Error>)))?
            }
            ResponseBody::Json(text) if !head => builder.fixed(text.into_bytes()),
            ResponseBody::LinkedJson(text)
            | ResponseBody::Graphql(text, _)
            | ResponseBody::Text(text)
            | ResponseBody::Html(text)
            | ResponseBody::Css(text)
            | ResponseBody::EventText(text)
                if !head =>
            {
                builder.fixed(text.into_bytes())
            }
            ResponseBody::Bytes(stream) | ResponseBody::Events(Some(stream)) if !head => builder.stream(stream),
            _ => builder.empty(),
        })
    }
}

/// A value as JSON.
fn written<T: Serialize>(value: &T) -> Result<BodyText, Problem> {
    let mut text = BodyText::default();
    serde_json::to_writer(&mut text, value).map_err(super::problem::internal)?;
    Ok(text)
}
