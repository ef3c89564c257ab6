//! Calls of the API that prepare what is measured.

use std::net::SocketAddr;

use serde_json::{Value, json};

use crate::Result;
use crate::peers::PLATFORM_KEY;
use crate::wire::{self, Caller};

/// Asks with a body, unless it is null. The answer, if it is one of success.
pub async fn ask(
    address: SocketAddr,
    method: &str,
    path: &str,
    host: &str,
    body: &Value,
    credential: Option<&str>,
) -> Result<Value> {
    let (name, network) = wire::client_address(0);
    let authorization = credential.map(|credential| format!("Bearer {credential}"));
    let mut headers = vec![(name, &*network)];
    headers.extend(authorization.as_deref().map(|authorization| ("Authorization", authorization)));
    let body = if body.is_null() { String::new() } else { body.to_string() };
    if !body.is_empty() {
        headers.push(("Content-Type", "application/json"));
    }
    let request = wire::request(method, path, host, &headers, body.as_bytes());
    let answer = Caller::connect(address).await?.call(&request).await?.succeeded()?;
    match answer.body.is_empty() {
        true => Ok(Value::Null),
        false => Ok(serde_json::from_slice(&answer.body)?),
    }
}

/// A key of the tenant at `host` that may do everything.
pub async fn key(address: SocketAddr, host: &str) -> Result<String> {
    let body = json!({"name": "bench", "scopes": ["*"]});
    text(&ask(address, "POST", "/api/v1/api-keys", host, &body, Some(PLATFORM_KEY)).await?, "/data/key")
}

/// A text of an answer.
pub fn text(answer: &Value, pointer: &str) -> Result<String> {
    let text = answer.pointer(pointer).and_then(Value::as_str);
    text.map(str::to_owned).ok_or_else(|| format!("an answer without {pointer}: {answer}").into())
}
