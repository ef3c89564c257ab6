//! Checks the claims of a token whose signature was verified, in both generations of the protocol.
//!
//! Pure. The token's `typ` decides the rules: those of 1.0 for `at+jwt` (RFC 9068), those of before 1.0 for a token that
//! says no more than that it is a JWT. The header is signed too, so a token cannot have both.

use super::grants::{Grants, GrantsReader};
use crate::credentials::jose::{Fault, UnverifiedToken, VerifiedClaims};
use domain::clock::Timestamp;
use domain::matching::topic_url::Base;
use domain::mercure::Action;

/// The protocol's generation that a token is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Generation {
    /// 1.0.
    Current,
    /// Before 1.0.
    Older,
}

impl Generation {
    /// By a token's `typ`; none for a token of another kind.
    pub fn of(token: &UnverifiedToken) -> Option<Self> {
        match token.is_of_type("at+jwt") {
            true => Some(Self::Current),
            false => token.is_plain().then_some(Self::Older),
        }
    }
}

/// What a token is checked against.
pub struct ExpectedClaims<'a> {
    /// Whose key verified it; `iss` must name it in 1.0.
    pub issuer: &'a str,
    /// The hub's URL; `aud` must contain it in 1.0.
    pub hub: &'a Base,
    /// The actions that its signer may grant.
    pub allows: &'a [Action],
}

/// Reads what a token grants, and when it expires; only a token of before 1.0 need not. The error is the claim that is
/// wrong, for the log.
pub fn read(
    generation: Generation,
    claims: &VerifiedClaims,
    expected: &ExpectedClaims<'_>,
) -> Result<(Grants, Option<Timestamp>), Fault> {
    let reading = GrantsReader::new(expected.allows, expected.hub);
    let grants = match generation {
        Generation::Older => reading.older_claim(claims.map())?,
        Generation::Current => {
            claims.expires_at().ok_or("exp")?;
            check_issuer_and_audience(claims, expected)?;
            reading.details(claims.map())?
        }
    };
    Ok((grants, claims.expires_at()))
}

/// Checks `iss` and `aud`.
fn check_issuer_and_audience(claims: &VerifiedClaims, expected: &ExpectedClaims<'_>) -> Result<(), Fault> {
    if claims.text("iss")? != Some(expected.issuer) {
        return Err("iss");
    }
    if claims.audiences().any(|named| named == expected.hub.as_str()) { Ok(()) } else { Err("aud") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    const NOW: Timestamp = Timestamp::from_millis(1_000_000_500);
    const HUB: &str = "https://acme.test/.well-known/mercure";

    fn judged(generation: Generation, claims: Value) -> Result<(Grants, Option<Timestamp>), Fault> {
        let (issuer, allows): (_, &[Action]) = ("https://acme.test", &[Action::Publish, Action::Subscribe]);
        let expected = ExpectedClaims { issuer, hub: &Base::parse(HUB).unwrap(), allows };
        read(generation, &VerifiedClaims::made(&claims, NOW)?, &expected)
    }

    fn current(change: Value) -> Result<(Grants, Option<Timestamp>), Fault> {
        let detail = json!({"type": "https://mercure.rocks/authorization-detail", "actions": ["publish"],
            "topics": [{"match": "a"}]});
        let mut claims = json!({"iss": "https://acme.test", "aud": HUB, "exp": 1_000_060, "sub": "s",
            "authorization_details": [detail], "mercure": {"subscribe": ["*"]}});
        for (name, value) in change.as_object().unwrap() {
            match value {
                Value::Null => drop(claims.as_object_mut().unwrap().remove(name)),
                value => claims[name] = value.clone(),
            }
        }
        judged(Generation::Current, claims)
    }

    #[test]
    fn the_type_decides_the_generation() {
        let of = |header: Value| Generation::of(&UnverifiedToken::made(&header, &json!({})).unwrap());
        assert_eq!(of(json!({"alg": "HS256"})), Some(Generation::Older));
        for typ in ["at+jwt", "AT+JWT", "application/at+jwt", "Application/At+Jwt"] {
            assert_eq!(of(json!({"alg": "HS256", "typ": typ})), Some(Generation::Current), "{typ}");
        }
        for typ in ["JWT", "jwt", "application/jwt"] {
            assert_eq!(of(json!({"alg": "HS256", "typ": typ})), Some(Generation::Older), "{typ}");
        }
        for typ in ["", "at+jwt ", "text/at+jwt", "application/", "subscriber+jwt", "\u{e4}pplication/at+jwt"] {
            assert_eq!(of(json!({"alg": "HS256", "typ": typ})), None, "{typ}");
        }
    }

    #[test]
    fn a_token_of_1_0_is_read_by_its_own_rules_alone() {
        let (grants, expires_at) = current(json!({})).unwrap();
        assert_eq!((grants.publish.len(), grants.subscribe.len()), (1, 0));
        assert_eq!(expires_at, Some(Timestamp::from_millis(1_000_060_000)));
        assert!(current(json!({"aud": ["https://other.test", HUB]})).is_ok());
        assert!(current(json!({"nbf": 1_000_060, "exp": 1_000_000.6})).is_ok());
    }

    #[test]
    fn each_claim_of_1_0_must_be_right() {
        for (change, wrong) in [
            (json!({"iss": null}), "iss"),
            (json!({"iss": "https://acme.test/"}), "iss"),
            (json!({"iss": "https://globex.test"}), "iss"),
            (json!({"iss": ["https://acme.test"]}), "iss"),
            (json!({"aud": null}), "aud"),
            (json!({"aud": []}), "aud"),
            (json!({"aud": "https://acme.test"}), "aud"),
            (json!({"aud": [format!("{HUB}/")]}), "aud"),
            (json!({"aud": {"hub": HUB}}), "aud"),
            (json!({"exp": null}), "exp"),
            (json!({"exp": 1_000_000}), "exp"),
            (json!({"exp": 1_000_000.5}), "exp"),
            (json!({"exp": "1000060"}), "exp"),
            (json!({"nbf": 1_000_061}), "nbf"),
            (json!({"nbf": "0"}), "nbf"),
            (json!({"authorization_details": {}}), "authorization_details"),
        ] {
            assert_eq!(current(change.clone()), Err(wrong), "{change}");
        }
    }

    #[test]
    fn a_token_of_before_1_0_needs_neither_issuer_nor_audience_nor_end() {
        let older = |claims: Value| judged(Generation::Older, claims);
        let (grants, expires_at) = older(json!({"mercure": {"publish": ["*"]}})).unwrap();
        assert_eq!((grants.publish.len(), expires_at), (1, None));
        let (_, expires_at) = older(json!({"exp": 1_000_001, "iss": "x", "aud": "y"})).unwrap();
        assert_eq!(expires_at, Some(Timestamp::from_millis(1_000_001_000)));
        assert_eq!(older(json!({"exp": 1_000_000, "mercure": {}})), Err("exp"));
        assert_eq!(older(json!({"exp": null})), Err("exp"));
        assert_eq!(older(json!({"nbf": 1_000_061})), Err("nbf"));
        assert_eq!(older(json!({"mercure": 7})), Err("mercure"));
    }
}
