//! Answers for whoever has a token with equal claims: the tenant says which claims of a token make another answer, and a token
//! counts only where it was verified here.
//!
//! Invariants
//! - A token counts that the tenant's subscription secret signed (HS256), in a version that is accepted now, with the audience of
//!   the tenant's settings and half a minute left, and that has begun. It is verified for every request, one that is answered
//!   with what is kept, too.
//! - Any other token is the site's matter: its request passes.

use serde_json::Value;

use crate::credentials::audience_token;
use crate::hub::protocol::{TenantConfig, accepts};
use crate::storage::bindings::{Bindings, SystemClock};
use crate::tenant::secrets;
use crate::tenant_id::TenantId;
use domain::clock::Clock;
use domain::graphql_cache::{HeaderScope, TokenScope};
use domain::json;

/// How many seconds longer a token must be good: the site that is sent it judges it by its own clock, and a little later.
const MARGIN_SECONDS: i64 = 30;

/// The claims that split answers, of a token that was verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifiedScope {
    /// The version of the secret that signed it, and their values in the order of the settings, each as a text of JSON; `null`
    /// for one that the token does not have. A site may take one secret and not the other, so they share no answer.
    key: String,
}

impl VerifiedScope {
    /// The scope of a request with these headers, in lower case; none if it has no token that counts.
    pub async fn of(
        bindings: &Bindings,
        (tenant, config): (&TenantId, &TenantConfig),
        scope: Option<&TokenScope>,
        headers: &[(String, String)],
    ) -> Option<Self> {
        let scope = scope?;
        let mut presented = headers.iter().filter(|(name, _)| name == "authorization");
        let (Some((_, value)), None) = (presented.next(), presented.next()) else { return None };
        let (scheme, token) = value.split_once(' ')?;
        if !scheme.eq_ignore_ascii_case("bearer") {
            return None;
        }
        let (secrets, now) = (secrets::load(bindings, tenant.as_str()).await.ok()?, SystemClock.now());
        let is_accepted = |version| accepts(&config.subscription_versions, version, now);
        let accepted = secrets.subscription(now).into_iter().filter(|secret| is_accepted(secret.version));
        let (claims, version) = audience_token::verify(token.trim(), accepted, &scope.audience, now).ok()?;
        let goes_on = claims.expires_at().is_some_and(|end| end > now.plus_seconds(MARGIN_SECONDS));
        let has_begun = claims.begins_at().into_iter().chain(claims.issued_at()).all(|begin| begin <= now);
        if !goes_on || !has_begun {
            return None;
        }
        let values: Vec<Option<&Value>> = scope.claims.iter().map(|name| claims.map().get(name)).collect();
        if !values.iter().flatten().all(|value| is_exact(value)) {
            return None;
        }
        let values: Vec<Option<String>> = values.into_iter().map(|value| value.map(Value::to_string)).collect();
        let is_short = values.iter().flatten().all(|value| value.len() <= HeaderScope::MAX_VALUE);
        is_short.then(|| Self { key: json!([version, values]).to_string() })
    }

    /// As a part of a question's key.
    pub fn as_str(&self) -> &str {
        &self.key
    }
}

/// Whether a claim is what the token says, to the digit: two long numbers may have become one when they were read.
fn is_exact(claim: &Value) -> bool {
    match claim {
        Value::Number(number) => !number.is_f64(),
        Value::Array(items) => items.iter().all(is_exact),
        Value::Object(members) => members.values().all(is_exact),
        Value::Null | Value::Bool(_) | Value::String(_) => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_count_where_no_digit_is_lost() {
        let exact = |text: &str| is_exact(&serde_json::from_str(text).unwrap());
        for text in ["7", "-9223372036854775808", "18446744073709551615", "{\"a\":[1,null,\"1.5\"]}", "true"] {
            assert!(exact(text), "{text}");
        }
        for text in ["18446744073709551616", "-9223372036854775809", "0.5", "1.0", "1e3", "[{\"a\":1.5}]"] {
            assert!(!exact(text), "{text}");
        }
    }
}
