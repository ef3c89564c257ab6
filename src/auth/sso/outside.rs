//! What single sign-on needs of the platform (`outside.js`): calls to a provider, and signatures verified.

use serde_json::{Map, Value};
use wasm_bindgen::prelude::*;

use super::jwk::Key;
use crate::domain::outbound::OutboundUrl;
use crate::http::problem::{self, Answered};

/// How long a provider may take, in milliseconds, and how much it may answer, in bytes.
const TIMEOUT_MILLIS: u32 = 10_000;
const MAX_ANSWER: u32 = 256 * 1024;

#[wasm_bindgen(module = "/src/auth/sso/outside.js")]
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
    async fn verifies(algorithm: &str, jwk: &str, signed: &str, signature: &[u8]) -> Result<JsValue, JsValue>;
}

/// A form that is posted to a provider, with the header that says who we are.
pub struct Form {
    /// The form, encoded.
    pub body: String,
    /// `Authorization`, if we say it there.
    pub authorization: Option<String>,
}

/// What a provider answered: JSON, with its status.
pub struct Reply {
    /// The status.
    pub status: u16,
    /// The body; empty if it is no JSON object.
    pub body: Map<String, Value>,
}

/// Reads a document, or posts a form. 503 if the provider does not answer, fails, or answers too much.
pub async fn ask(url: &OutboundUrl, form: Option<Form>) -> Answered<Reply> {
    let mut headers = Map::from_iter([("Accept".to_owned(), Value::from("application/json"))]);
    let (method, body) = match form {
        None => ("GET", None),
        Some(form) => {
            headers.insert("Content-Type".to_owned(), "application/x-www-form-urlencoded".into());
            headers.extend(form.authorization.map(|value| ("Authorization".to_owned(), value.into())));
            ("POST", Some(form.body))
        }
    };
    let headers = Value::Object(headers).to_string();
    let answered = call(url.as_str(), method, &headers, body, TIMEOUT_MILLIS, MAX_ANSWER).await;
    // The platform's own words could hold the address; they are not logged.
    let text = answered.ok().and_then(|answer| answer.as_string());
    let text = text.ok_or_else(|| problem::unavailable("the provider does not answer"))?;
    let (status, body) = text.split_once(' ').unwrap_or((&text, ""));
    let status: u16 = status.parse().unwrap_or(0);
    if status >= 500 {
        return Err(problem::unavailable(format!("the provider answers {status}")));
    }
    Ok(Reply { status, body: serde_json::from_str(body).unwrap_or_default() })
}

/// Whether a signature is this key's. A key that the platform does not take verifies nothing.
pub async fn is_signed_by(key: &Key, signed: &str, signature: &[u8]) -> bool {
    let verified = verifies(key.algorithm.as_str(), &key.jwk, signed, signature).await;
    verified.is_ok_and(|verified| verified.is_truthy())
}
