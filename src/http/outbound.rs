//! Calls to servers that are not ours (`outbound.js`): no redirect is followed, and nothing is waited for or read
//! without bound.

use serde_json::Value;
use wasm_bindgen::prelude::*;

/// How long a server may take, in milliseconds.
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

/// A call to be made.
pub struct OutboundRequest<'a> {
    /// The method.
    pub method: &'static str,
    /// The address.
    pub url: &'a str,
    /// The headers, an object of texts.
    pub headers: Value,
    /// The body.
    pub body: Option<String>,
    /// Most bytes that the answer may have; 0 if only its status matters.
    pub most: u32,
}

/// What was answered.
pub struct OutboundResponse {
    /// The status.
    pub status: u16,
    /// The body.
    pub body: String,
}

/// Makes a call. None if nothing came back in time, or more than was asked for; why is not said, for the
/// platform's own words could hold the address.
pub async fn send(outgoing: OutboundRequest<'_>) -> Option<OutboundResponse> {
    let OutboundRequest { method, url, headers, body, most } = outgoing;
    let answer = call(url, method, &headers.to_string(), body, TIMEOUT_MILLIS, most).await.ok()?.as_string()?;
    let (status, body) = answer.split_once(' ')?;
    Some(OutboundResponse { status: status.parse().ok()?, body: body.to_owned() })
}
