//! Checks the claims of ID tokens (OpenID Connect Core 1.0, 2 and 3.1.3.7).
//!
//! Pure. The caller verifies the signature before, with a key of the provider.

use serde_json::Value;

use crate::credentials::constant_time::constant_time_eq;
use crate::credentials::jose::{ClaimMap, Fault, TokenAlgorithm, UnverifiedToken, VerifiedClaims};
use crate::credentials::jwk::Algorithm;
use crate::http::letters::lower_case;
use domain::clock::Timestamp;

/// The oldest token that is accepted, in seconds: it was requested just now.
const MAX_AGE_SECONDS: i64 = 3600;
/// The longest subject (Core, 2).
const MAX_SUBJECT: usize = 255;
/// The longest e-mail address (RFC 5321), and the longest part of a name that is stored.
const MAX_EMAIL: usize = 254;
const MAX_NAME: usize = 100;
/// Most values of the claim that names roles.
const MAX_ROLES: usize = 1000;

/// What a token is checked against.
pub struct ExpectedIdToken<'a> {
    /// The issuer, byte for byte.
    pub issuer: &'a str,
    /// Our client's id at the provider.
    pub client_id: &'a str,
    /// The nonce of this sign-in.
    pub nonce: &'a str,
    /// The claim that names roles.
    pub role_claim: Option<&'a str>,
    /// Now.
    pub now: Timestamp,
}

/// A person, as their provider identifies them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// The subject, which never changes hands at the provider.
    pub subject: String,
    /// The e-mail address in lower case, if the provider verified it.
    pub email: Option<String>,
    /// The name; may be empty.
    pub name: String,
    /// The values of the claim that names roles.
    pub roles: Vec<String>,
}

/// Parses an ID token; gives the algorithm that its provider's key must be for.
pub fn parse(text: &str) -> Result<(UnverifiedToken, Algorithm), Fault> {
    let token = UnverifiedToken::parse(text)?;
    let TokenAlgorithm::Public(algorithm) = token.algorithm else { return Err("key") };
    if token.is_plain() { Ok((token, algorithm)) } else { Err("typ") }
}

/// Reads the identity of a token whose signature was verified. The error is the claim that is wrong, for the log.
pub fn identity(claims: &VerifiedClaims, expected: &ExpectedIdToken<'_>) -> Result<Identity, Fault> {
    if claims.text("iss")? != Some(expected.issuer) {
        return Err("iss");
    }
    check_audience(claims, expected.client_id)?;
    check_times(claims, expected.now)?;
    if !constant_time_eq(claims.text("nonce")?.unwrap_or_default(), expected.nonce) {
        return Err("nonce");
    }
    let subject = claims.text("sub")?.filter(|sub| (1..=MAX_SUBJECT).contains(&sub.len())).ok_or("sub")?;
    let all = claims.map();
    let name = all.get("name").and_then(Value::as_str).unwrap_or_default();
    let name = name.chars().filter(|c| !c.is_control()).take(MAX_NAME).collect();
    let roles = expected.role_claim.and_then(|name| all.get(name)).map(texts).unwrap_or_default();
    Ok(Identity { subject: subject.to_owned(), email: verified_email(all), name, roles })
}

/// `aud` must contain our client; if it contains others too, `azp` must be our client.
fn check_audience(claims: &VerifiedClaims, client_id: &str) -> Result<(), Fault> {
    if !claims.audiences().any(|named| named == client_id) {
        return Err("aud");
    }
    match claims.text("azp")? {
        None if claims.audiences().count() == 1 => Ok(()),
        Some(azp) if azp == client_id => Ok(()),
        _ => Err("azp"),
    }
}

/// `exp` and `iat` must be there, and the token recent.
fn check_times(claims: &VerifiedClaims, now: Timestamp) -> Result<(), Fault> {
    claims.expires_at().ok_or("exp")?;
    let is_recent = claims.issued_at().is_some_and(|at| at.plus_seconds(MAX_AGE_SECONDS) >= now);
    if is_recent { Ok(()) } else { Err("iat") }
}

/// The e-mail address, if the provider verified it. Some providers send the flag as a string.
fn verified_email(claims: &ClaimMap) -> Option<String> {
    let verified = match claims.get("email_verified")? {
        Value::Bool(flag) => *flag,
        Value::String(flag) => flag == "true",
        _ => false,
    };
    let email = lower_case(claims.get("email")?.as_str()?);
    let (local, domain) = email.rsplit_once('@')?;
    let clean = !email.chars().any(|c| c.is_control() || c.is_whitespace());
    (verified && clean && !local.is_empty() && !domain.is_empty() && email.len() <= MAX_EMAIL).then_some(email)
}

/// A string, or the strings of an array.
fn texts(value: &Value) -> Vec<String> {
    let list = value.as_array().map_or(std::slice::from_ref(value), Vec::as_slice);
    list.iter().take(MAX_ROLES).filter_map(Value::as_str).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const NOW: Timestamp = Timestamp::from_millis(1_000_000_000);

    fn claims() -> Value {
        json!({"iss": "https://id.example.org", "aud": "carillon", "sub": "42", "nonce": "n", "exp": 1_000_060,
            "iat": 1_000_000, "email": "Ada@Example.org", "email_verified": true, "name": "Ada", "groups": ["staff"]})
    }

    fn read(change: Value) -> Result<Identity, Fault> {
        let mut all = claims();
        for (name, value) in change.as_object().unwrap() {
            all[name] = value.clone();
        }
        let claims = VerifiedClaims::made(&all, NOW)?;
        let (issuer, client_id) = ("https://id.example.org", "carillon");
        identity(&claims, &ExpectedIdToken { issuer, client_id, nonce: "n", role_claim: Some("groups"), now: NOW })
    }

    #[test]
    fn a_good_token_names_somebody() {
        let ada = read(json!({})).unwrap();
        assert_eq!((ada.subject.as_str(), ada.email.as_deref()), ("42", Some("ada@example.org")));
        assert_eq!((ada.name.as_str(), ada.roles.as_slice()), ("Ada", &["staff".to_owned()][..]));
        assert!(read(json!({"aud": ["carillon"]})).is_ok());
        assert!(read(json!({"aud": ["carillon", "other"], "azp": "carillon"})).is_ok());
    }

    #[test]
    fn each_claim_must_be_right() {
        for (change, wrong) in [
            (json!({"iss": "https://id.example.org/"}), "iss"),
            (json!({"aud": "other"}), "aud"),
            (json!({"aud": []}), "aud"),
            (json!({"aud": ["carillon", "other"]}), "azp"),
            (json!({"aud": ["carillon", "other"], "azp": "other"}), "azp"),
            (json!({"azp": "other"}), "azp"),
            (json!({"nonce": "other"}), "nonce"),
            (json!({"nonce": null}), "nonce"),
            (json!({"exp": 1_000_000}), "exp"),
            (json!({"exp": null}), "exp"),
            (json!({"exp": "1000060"}), "exp"),
            (json!({"iat": 1_000_061}), "iat"),
            (json!({"iat": 996_399}), "iat"),
            (json!({"iat": null}), "iat"),
            (json!({"nbf": 1_000_061}), "nbf"),
            (json!({"sub": ""}), "sub"),
            (json!({"sub": 42}), "sub"),
            (json!({"sub": "x".repeat(256)}), "sub"),
        ] {
            assert_eq!(read(change.clone()), Err(wrong), "{change}");
        }
    }

    #[test]
    fn an_address_counts_only_if_it_was_verified() {
        let email = |change: Value| read(change).unwrap().email;
        assert!(email(json!({"email_verified": "true"})).is_some());
        for change in [
            json!({"email_verified": false}),
            json!({"email_verified": "false"}),
            json!({"email_verified": 1}),
            json!({"email_verified": null}),
            json!({"email": "ada"}),
            json!({"email": "a da@example.org"}),
            json!({"email": null}),
        ] {
            assert_eq!(email(change.clone()), None, "{change}");
        }
    }
}
