//! Requests to other servers (`outbound.js`): redirects are not followed, and time and bytes are bounded.

use serde_json::Value;
use wasm_bindgen::prelude::*;

/// How long a server may take to respond, in milliseconds.
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
    pub url: &'a str,
    /// The headers, an object of strings.
    pub headers: Value,
    /// The body.
    pub body: Option<String>,
    /// Most bytes that the response's body may have; 0 if only its status matters.
    pub most: u32,
}

/// Another server's response.
pub struct OutboundResponse {
    /// The status.
    pub status: u16,
    /// The body.
    pub body: String,
}

/// Sends a request. None if no response came in time, or it was too long; the reason is not given, because the runtime's
/// error texts may contain the URL.
pub async fn send(request: OutboundRequest<'_>) -> Option<OutboundResponse> {
    let OutboundRequest { method, url, headers, body, most } = request;
    let response = call(url, method, &headers.to_string(), body, TIMEOUT_MILLIS, most).await.ok()?.as_string()?;
    let (status, body) = response.split_once(' ')?;
    Some(OutboundResponse { status: status.parse().ok()?, body: body.to_owned() })
}
