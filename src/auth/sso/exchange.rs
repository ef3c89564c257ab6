//! From a code to somebody whom the provider vouches for.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use form_urlencoded::Serializer;
use serde_json::Value;

use super::attempt::Attempt;
use super::discovery::{ClientProof, Inquiry, Metadata};
use super::id_token::{Expected, Identity, identity};
use super::provider::Provider;
use crate::auth::outbound_oidc::{Form, ask, is_signed_by};
use crate::credentials::jws::Unverified;
use crate::http::problem::{self, Problem};
use crate::storage::bindings::SystemClock;
use domain::clock::{Clock, Timestamp};

/// Exchanges a code, and believes the ID token once everything about it is right.
pub async fn redeem(
    inquiry: &Inquiry<'_>,
    metadata: &Metadata,
    attempt: &Attempt,
    code: &str,
) -> Result<Identity, Problem> {
    let provider = inquiry.provider;
    let secret = provider.secret(inquiry.key, inquiry.lobby.tenant)?;
    let form = form(provider, metadata.proof, secret.as_deref(), attempt, code);
    let reply = ask(&metadata.token, Some(form)).await?;
    if reply.status != 200 {
        return Err(problem::sso_refused().cause(format!("the token endpoint answers {}", reply.status)));
    }
    let token = reply.body.get("id_token").and_then(Value::as_str).and_then(Unverified::parse);
    let token = token.ok_or_else(|| problem::sso_token_invalid("form"))?;
    let keys = inquiry.keys(metadata, token.kid.as_deref()).await?;
    let key = keys.find(token.kid.as_deref(), &token.alg).ok_or_else(|| problem::sso_token_invalid("key"))?;
    if !is_signed_by(key, &token.signed, &token.signature).await {
        return Err(problem::sso_token_invalid("signature"));
    }
    let expected = expected(provider, attempt, SystemClock.now());
    identity(&token, &expected).map_err(problem::sso_token_invalid)
}

fn expected<'a>(provider: &'a Provider, attempt: &'a Attempt, now: Timestamp) -> Expected<'a> {
    Expected {
        issuer: &provider.issuer,
        client_id: &provider.client_id,
        nonce: &attempt.nonce,
        role_claim: provider.role_claim.as_deref(),
        now,
    }
}

/// The request of RFC 6749, 4.1.3 with RFC 7636, 4.5.
fn form(provider: &Provider, proof: ClientProof, secret: Option<&str>, attempt: &Attempt, code: &str) -> Form {
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
    Form { body: body.finish(), authorization }
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
