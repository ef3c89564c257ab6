//! Requests to other servers (`outbound.js`): the only code that calls `fetch`.
//!
//! Invariants
//! - What is called is an [`OutboundUrl`]: its text passed the guard, and no plain string can be called.
//! - No redirect is followed: a response that redirects is the response.
//! - Time and bytes are bounded, and a body is never passed on as it came.

use serde_json::Value;
use wasm_bindgen::prelude::*;

use domain::outbound::OutboundUrl;

/// How long a server may take to respond, body included, in milliseconds.
const TIMEOUT_MILLIS: u32 = 10_000;

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
    let outcome = call(url.as_str(), method, &headers.to_string(), body, millis, most).await;
    let response = outcome.map_err(|error| no_response(&error))?.as_string().ok_or(NoResponse::Failed)?;
    let (status, body) = response.split_once(' ').ok_or(NoResponse::Failed)?;
    Ok(OutboundResponse { status: status.parse().map_err(|_| NoResponse::Failed)?, body: body.to_owned() })
}

fn no_response(error: &JsValue) -> NoResponse {
    let name = js_sys::Reflect::get(error, &"name".into()).ok().and_then(|name| name.as_string());
    if name.as_deref() == Some("TimeoutError") { NoResponse::TimedOut } else { NoResponse::Failed }
}
