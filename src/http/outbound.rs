//! Requests to other servers (`outbound.js`): the only code that calls `fetch`.
//!
//! Invariants
//! - What is called is an [`OutboundUrl`]: its text passed the guard, and no plain string can be called.
//! - No redirect is followed: a response that redirects is the response.
//! - Time is bounded. Bytes are, where a body is read; one that is passed on is a stream, and nobody here reads it.

use serde_json::Value;
use wasm_bindgen::JsCast as _;
use wasm_bindgen::prelude::*;

use domain::outbound::OutboundUrl;

/// How long a server may take to respond, body included, in milliseconds.
const TIMEOUT_MILLIS: u32 = 10_000;
/// How long a body that is passed on may take, once it has begun, in milliseconds.
const PASSED_ON_MILLIS: u32 = 60_000;

#[wasm_bindgen(module = "/src/http/outbound.js")]
extern "C" {
    #[wasm_bindgen(catch)]
    async fn call(
        url: &str,
        method: &str,
        headers: &str,
        body: Option<String>,
        millis: u32,
        most: u32,
    ) -> Result<JsValue, JsValue>;

    #[wasm_bindgen(catch)]
    async fn forward(
        url: &str,
        method: &str,
        headers: &str,
        body: JsValue,
        millis: u32,
        most_millis: u32,
    ) -> Result<JsValue, JsValue>;
}

#[wasm_bindgen(module = "/src/http/outbound.js")]
extern "C" {
    #[wasm_bindgen(catch)]
    async fn gather(stream: &web_sys::ReadableStream, most: u32) -> Result<JsValue, JsValue>;

    fn end(timer: &JsValue);
}

/// A body that was read as far as it is bounded.
pub enum GatheredBody {
    /// All of it.
    Text(String),
    /// It is too long, or no text: the same bytes as a stream.
    Stream(web_sys::ReadableStream),
}

/// Reads a body of at most so many bytes.
pub async fn read_text(stream: &web_sys::ReadableStream, most: u32) -> Result<GatheredBody, NoResponse> {
    let gathered = gather(stream, most).await.map_err(|error| no_response(&error))?;
    match gathered.as_string() {
        Some(text) => Ok(GatheredBody::Text(text)),
        None => gathered.dyn_into().map(GatheredBody::Stream).map_err(|_| NoResponse::Failed),
    }
}

/// A request to another server.
pub struct OutboundRequest<'a> {
    /// The method.
    pub method: &'static str,
    /// The address.
    pub url: &'a OutboundUrl,
    /// The headers, an object of strings.
    pub headers: Value,
    /// The body.
    pub body: Option<String>,
    /// Most bytes that the response's body may have; 0 if only its status matters.
    pub most: u32,
}

/// Another server's response.
pub struct OutboundResponse {
    /// The status; that of the redirect, if it redirects.
    pub status: u16,
    /// The body.
    pub body: String,
}

/// A request that is passed on to another server.
pub struct ForwardedRequest<'a> {
    /// The method.
    pub method: &'static str,
    /// The address.
    pub url: &'a OutboundUrl,
    /// The headers.
    pub headers: &'a [(String, String)],
    /// The body.
    pub body: ForwardedBody<'a>,
    /// How long the server may take until its response begins, in milliseconds.
    pub millis: u32,
}

/// The body of a request that is passed on.
#[derive(Clone, Copy)]
pub enum ForwardedBody<'a> {
    /// None.
    Empty,
    /// Text, which can be sent again.
    Text(&'a str),
    /// A stream, which can be sent once.
    Stream(&'a web_sys::ReadableStream),
}

/// Another server's response, to be passed on.
pub struct ForwardedResponse {
    /// The status; that of the redirect, if it redirects.
    pub status: u16,
    /// The headers, their names in lower case; each `Set-Cookie` is one.
    pub headers: Vec<(String, String)>,
    /// The body, if there is one.
    pub body: Option<web_sys::ReadableStream>,
    /// What ends the body in time.
    pub deadline: BodyDeadline,
}

/// What ends a body that takes too long.
pub struct BodyDeadline(JsValue);

impl BodyDeadline {
    /// The body was read.
    pub fn met(self) {
        end(&self.0);
    }
}

/// Why there is no response.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoResponse {
    /// It did not come in time.
    TimedOut,
    /// No connection, no certificate that is good, or a body that is too long. The reason is not given, because the
    /// runtime's error texts may contain the URL.
    Failed,
}

/// Sends a request, and waits ten seconds at most.
pub async fn send(request: OutboundRequest<'_>) -> Result<OutboundResponse, NoResponse> {
    send_within(request, TIMEOUT_MILLIS).await
}

/// Sends a request, and waits for so many milliseconds at most.
pub async fn send_within(request: OutboundRequest<'_>, millis: u32) -> Result<OutboundResponse, NoResponse> {
    let OutboundRequest { method, url, headers, body, most } = request;
    let listed: Vec<_> =
        headers.as_object().into_iter().flatten().map(|(name, value)| [&**name, text(value)]).collect();
    let headers = serde_json::to_string(&listed).map_err(|_| NoResponse::Failed)?;
    let outcome = call(url.as_str(), method, &headers, body, millis, most).await;
    let response = outcome.map_err(|error| no_response(&error))?.as_string().ok_or(NoResponse::Failed)?;
    let (status, body) = response.split_once(' ').ok_or(NoResponse::Failed)?;
    Ok(OutboundResponse { status: status.parse().map_err(|_| NoResponse::Failed)?, body: body.to_owned() })
}

/// The text of a header's value.
fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

/// Passes a request on.
pub async fn pass_on(request: ForwardedRequest<'_>) -> Result<ForwardedResponse, NoResponse> {
    let ForwardedRequest { method, url, headers, body, millis } = request;
    let headers = serde_json::to_string(headers).map_err(|_| NoResponse::Failed)?;
    let body = match body {
        ForwardedBody::Empty => JsValue::UNDEFINED,
        ForwardedBody::Text(text) => text.into(),
        ForwardedBody::Stream(stream) => stream.into(),
    };
    let outcome = forward(url.as_str(), method, &headers, body, millis, PASSED_ON_MILLIS).await;
    let parts: js_sys::Array =
        outcome.map_err(|error| no_response(&error))?.dyn_into().map_err(|_| NoResponse::Failed)?;
    let status = parts.get(0).as_f64().ok_or(NoResponse::Failed)?;
    let headers = parts.get(1).as_string().and_then(|headers| serde_json::from_str(&headers).ok());
    Ok(ForwardedResponse {
        status: status as u16,
        headers: headers.ok_or(NoResponse::Failed)?,
        body: parts.get(2).dyn_into().ok(),
        deadline: BodyDeadline(parts.get(3)),
    })
}

fn no_response(error: &JsValue) -> NoResponse {
    let name = js_sys::Reflect::get(error, &"name".into()).ok().and_then(|name| name.as_string());
    if name.as_deref() == Some("TimeoutError") { NoResponse::TimedOut } else { NoResponse::Failed }
}
