//! The authorization code is exchanged for a verified identity.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use form_urlencoded::Serializer;
use serde_json::Value;

use super::attempt::Attempt;
use super::discovery::{ClientProof, Metadata, ProviderClient};
use super::id_token::{self, ExpectedIdToken, Identity, identity};
use super::provider::Provider;
use crate::auth::outbound_oidc::{ProviderForm, ask, is_signed_by};
use crate::http::problem::{self, Problem};
use crate::storage::bindings::SystemClock;
use domain::clock::{Clock, Timestamp};

/// Exchanges a code for an ID token, and gives the identity that it asserts once it is verified.
pub async fn redeem(
    client: &ProviderClient<'_>,
    metadata: &Metadata,
    attempt: &Attempt,
    code: &str,
) -> Result<Identity, Problem> {
    let provider = client.provider;
    let secret = provider.secret(client.key, client.context.tenant)?;
    let form = form(provider, metadata.client_auth, secret.as_deref(), attempt, code);
    let reply = ask(&metadata.token, Some(form)).await?;
    if reply.status != 200 {
        return Err(problem::sso_refused().cause(format!("the token endpoint answers {}", reply.status)));
    }
    let token = reply.body.get("id_token").and_then(Value::as_str).unwrap_or_default();
    let (token, algorithm) = id_token::parse(token).map_err(problem::sso_token_invalid)?;
    let keys = client.keys(metadata, token.kid.as_deref()).await?;
    let key = keys.find(token.kid.as_deref(), algorithm).ok_or_else(|| problem::sso_token_invalid("key"))?;
    let (is_signed, now) = (is_signed_by(key, &token).await, SystemClock.now());
    let claims = token.into_claims(is_signed, now).map_err(problem::sso_token_invalid)?;
    identity(&claims, &expected(provider, attempt, now)).map_err(problem::sso_token_invalid)
}

fn expected<'a>(provider: &'a Provider, attempt: &'a Attempt, now: Timestamp) -> ExpectedIdToken<'a> {
    ExpectedIdToken {
        issuer: &provider.issuer,
        client_id: &provider.client_id,
        nonce: &attempt.nonce,
        role_claim: provider.role_claim.as_deref(),
        now,
    }
}

/// The request of RFC 6749, 4.1.3 with RFC 7636, 4.5.
fn form(provider: &Provider, proof: ClientProof, secret: Option<&str>, attempt: &Attempt, code: &str) -> ProviderForm {
    let mut body = Serializer::new(String::new());
    body.extend_pairs([
        ("grant_type", "authorization_code"),
        ("code", code),
        ("redirect_uri", &attempt.redirect_uri),
        ("code_verifier", &attempt.verifier),
    ]);
    let authorization = match (secret, proof) {
        (Some(secret), ClientProof::Basic) => Some(basic(&provider.client_id, secret)),
        (secret, _) => {
            body.append_pair("client_id", &provider.client_id);
            body.extend_pairs(secret.map(|secret| ("client_secret", secret)));
            None
        }
    };
    ProviderForm { body: body.finish(), authorization }
}

/// Both halves are form-encoded first (RFC 6749, 2.3.1).
fn basic(client_id: &str, secret: &str) -> String {
    let encoded = |text: &str| form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
    format!("Basic {}", BASE64.encode(format!("{}:{}", encoded(client_id), encoded(secret))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_halves_of_a_client_are_encoded() {
        assert_eq!(basic("a:b", "p w+%"), format!("Basic {}", BASE64.encode("a%3Ab:p+w%2B%25")));
    }
}
