//! Who stands outside: calls to a tenant's providers and issuers, and their signatures verified (`outside.js`).

use serde_json::{Map, Value};
use wasm_bindgen::prelude::*;

use crate::credentials::jwk::Key;
use crate::http::outbound::{self, OutboundRequest};
use crate::http::problem::{self, Problem};
use domain::outbound::OutboundUrl;

/// How much a provider may answer, in bytes.
const MAX_ANSWER: u32 = 256 * 1024;

#[wasm_bindgen(module = "/src/auth/outbound_oidc.js")]
extern "C" {
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
pub async fn ask(url: &OutboundUrl, form: Option<Form>) -> Result<Reply, Problem> {
    let mut headers = Map::from_iter([("Accept".to_owned(), Value::from("application/json"))]);
    let (method, body) = match form {
        None => ("GET", None),
        Some(form) => {
            headers.insert("Content-Type".to_owned(), "application/x-www-form-urlencoded".into());
            headers.extend(form.authorization.map(|value| ("Authorization".to_owned(), value.into())));
            ("POST", Some(form.body))
        }
    };
    let call = OutboundRequest { method, url: url.as_str(), headers: headers.into(), body, most: MAX_ANSWER };
    let answer = outbound::send(call).await.ok_or_else(|| problem::unavailable("the provider does not answer"))?;
    if answer.status >= 500 {
        return Err(problem::unavailable(format!("the provider answers {}", answer.status)));
    }
    Ok(Reply { status: answer.status, body: serde_json::from_str(&answer.body).unwrap_or_default() })
}

/// Reads a document of a provider. 502 if it has none there.
pub async fn document(address: &OutboundUrl) -> Result<Map<String, Value>, Problem> {
    let reply = ask(address, None).await?;
    if reply.status == 200 { Ok(reply.body) } else { Err(problem::provider_unusable("status")) }
}

/// Whether a signature is this key's. A key that the platform does not take verifies nothing.
pub async fn is_signed_by(key: &Key, signed: &str, signature: &[u8]) -> bool {
    let verified = verifies(key.algorithm.as_str(), &key.jwk, signed, signature).await;
    verified.is_ok_and(|verified| verified.is_truthy())
}
