//! Requests to a tenant's identity providers and issuers, and verification of their signatures (`outbound_oidc.js`).

use serde_json::{Map, Value};
use wasm_bindgen::prelude::*;

use crate::credentials::jose::{TokenAlgorithm, UnverifiedToken};
use crate::credentials::jwk::PublicKey;
use crate::http::outbound::{self, OutboundRequest};
use crate::http::problem::{self, Problem};
use domain::outbound::OutboundUrl;

/// The longest response of a provider, in bytes.
const MAX_RESPONSE: u32 = 256 * 1024;

#[wasm_bindgen(module = "/src/auth/outbound_oidc.js")]
extern "C" {
    #[wasm_bindgen(catch)]
    async fn verifies(algorithm: &str, jwk: &str, signed: &str, signature: &[u8]) -> Result<JsValue, JsValue>;
}

/// A form that is posted to a provider.
pub struct ProviderForm {
    /// The form, encoded.
    pub body: String,
    /// `Authorization`, if our client authenticates by it.
    pub authorization: Option<String>,
}

/// A provider's response.
pub struct ProviderReply {
    /// The status.
    pub status: u16,
    /// The body; empty if it is not a JSON object.
    pub body: Map<String, Value>,
}

/// Gets a document, or posts a form. 503 if the provider does not respond, fails, or responds with too much.
pub async fn ask(url: &OutboundUrl, form: Option<ProviderForm>) -> Result<ProviderReply, Problem> {
    let mut headers = Map::from_iter([("Accept".to_owned(), Value::from("application/json"))]);
    let (method, body) = match form {
        None => ("GET", None),
        Some(form) => {
            headers.insert("Content-Type".to_owned(), "application/x-www-form-urlencoded".into());
            headers.extend(form.authorization.map(|value| ("Authorization".to_owned(), value.into())));
            ("POST", Some(form.body))
        }
    };
    let request = OutboundRequest { method, url, headers: headers.into(), body, most: MAX_RESPONSE };
    let response = outbound::send(request).await.map_err(|_| problem::unavailable("the provider does not respond"))?;
    if response.status >= 500 {
        return Err(problem::unavailable(format!("the provider responds with status {}", response.status)));
    }
    Ok(ProviderReply { status: response.status, body: serde_json::from_str(&response.body).unwrap_or_default() })
}

/// Gets a provider's document. 502 if the status is not 200.
pub async fn document(address: &OutboundUrl) -> Result<Map<String, Value>, Problem> {
    let reply = ask(address, None).await?;
    if reply.status == 200 { Ok(reply.body) } else { Err(problem::provider_unusable("status")) }
}

/// Whether a key signed a token. False for a token of another algorithm, and for a key that WebCrypto does not accept.
pub async fn is_signed_by(key: &PublicKey, token: &UnverifiedToken) -> bool {
    let (signed, signature) = token.signed();
    token.algorithm == TokenAlgorithm::Public(key.algorithm)
        && verifies(key.algorithm.as_str(), &key.jwk, signed, signature).await.is_ok_and(|it| it.is_truthy())
}
