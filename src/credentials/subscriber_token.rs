//! Subscriber tokens: JWT, HS256 with the tenant's subscription secret, so that a site can sign them in PHP.

use jwt_compact::alg::{Hs256, Hs256Key};
use jwt_compact::{AlgorithmExt, UntrustedToken};

use super::platform_token::{self, ClaimMap, InvalidToken, VerifiedToken};
use domain::clock::Timestamp;
use domain::minted::Minted;
use domain::selector::{Interest, Selector};

/// Seconds by which clocks may differ at a token's beginning; its end is exact.
const LEEWAY_SECONDS: i64 = 60;

/// The longest token that is parsed, in bytes.
const MAX_TOKEN: usize = 16 * 1024;

/// A version of a subscription secret that may have signed.
pub struct SubscriptionSecret<'a> {
    /// The version.
    pub version: u32,
    /// The secret as its owner was shown it; its UTF-8 bytes are the key.
    pub secret: &'a str,
}

/// A verified token: which private events its holder may see, and until when.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SubscriberToken {
    /// The selectors whose private events it opens.
    pub granted: Vec<Selector>,
    /// The end of its rights.
    pub expires_at: Timestamp,
    /// The tenant that it names, if it names one; it must be the request's tenant.
    pub tenant_id: Option<String>,
    /// The version of the secret that signed it, if a site signed it.
    pub secret_version: Option<u32>,
    /// Who minted it, if the platform signed it.
    pub minted: Option<Minted>,
}

impl SubscriberToken {
    /// The contents of a token that the platform signed.
    pub fn minted(verified: VerifiedToken) -> Result<Self, InvalidToken> {
        let minted = Minted { by: verified.claims.sub, at: verified.issued_at, also: verified.claims.rests_on };
        Ok(Self {
            granted: read_topics(&verified.claims.topics)?,
            expires_at: verified.expires_at,
            tenant_id: Some(verified.claims.tenant_id),
            secret_version: None,
            minted: Some(minted),
        })
    }
}

/// Parses selectors, within the bounds of one stream.
fn read_topics(topics: &[String]) -> Result<Vec<Selector>, InvalidToken> {
    let granted = topics.iter().map(|text| Selector::parse(text)).collect::<Result<Vec<_>, _>>();
    let granted = granted.map_err(|_| InvalidToken)?;
    let bounds = Interest { granted, ..Interest::default() };
    bounds.check().map_err(|_| InvalidToken)?;
    Ok(bounds.granted)
}

/// Verifies a token that a site signed. The algorithm is HS256, whatever the token says; `exp` is required.
pub fn verify(
    token: &str,
    secrets: &[SubscriptionSecret<'_>],
    now: Timestamp,
) -> Result<SubscriberToken, InvalidToken> {
    if token.len() > MAX_TOKEN {
        return Err(InvalidToken);
    }
    let token = UntrustedToken::new(token).map_err(|_| InvalidToken)?;
    let signed = secrets.iter().find_map(|candidate| {
        let key = Hs256Key::new(candidate.secret.as_bytes());
        let token = Hs256.validator::<ClaimMap>(&key).validate(&token).ok()?;
        Some((token, candidate.version))
    });
    let (token, secret_version) = signed.ok_or(InvalidToken)?;
    let (_, mut claims) = token.into_parts();
    let expires_at = claims.expiration.map(|at| Timestamp::from_millis(at.timestamp_millis())).ok_or(InvalidToken)?;
    let begins = claims.not_before.map_or(i64::MIN, |at| at.timestamp());
    if expires_at <= now || begins > now.seconds() + LEEWAY_SECONDS {
        return Err(InvalidToken);
    }
    Ok(SubscriberToken {
        granted: read_topics(&platform_token::texts(&mut claims.custom, "topics")?)?,
        expires_at,
        tenant_id: platform_token::text(&mut claims.custom, "tenant_id")?,
        secret_version: Some(secret_version),
        minted: None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use base64::Engine as _;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
    use hmac::{Hmac, Mac};
    use proptest::prelude::*;
    use serde_json::{Value, json};

    const NOW: Timestamp = Timestamp::from_millis(1_000_000_000);

    fn mint(header: Value, claims: Value, secret: &str) -> String {
        let signed = format!("{}.{}", BASE64.encode(header.to_string()), BASE64.encode(claims.to_string()));
        let mut mac = Hmac::<sha2::Sha256>::new_from_slice(secret.as_bytes()).unwrap();
        mac.update(signed.as_bytes());
        format!("{signed}.{}", BASE64.encode(mac.finalize().into_bytes()))
    }

    fn check(header: Value, claims: Value) -> Result<SubscriberToken, InvalidToken> {
        let secrets =
            [SubscriptionSecret { version: 1, secret: "old" }, SubscriptionSecret { version: 2, secret: "new" }];
        verify(&mint(header, claims, "new"), &secrets, NOW)
    }

    #[test]
    fn a_token_as_php_mints_it() {
        let token = check(
            json!({"alg": "HS256", "typ": "JWT"}),
            json!({"topics": ["post_*"], "exp": 1_000_001, "tenant_id": "acme"}),
        );
        let token = token.unwrap();
        assert_eq!(token.secret_version, Some(2));
        assert_eq!(token.granted, [Selector::parse("post_*").unwrap()]);
        assert_eq!(token.tenant_id.as_deref(), Some("acme"));
    }

    #[test]
    fn what_is_refused() {
        let header = json!({"alg": "HS256"});
        for claims in [
            json!({"topics": ["a"]}),
            json!({"topics": ["a"], "exp": 1_000_000}),
            json!({"topics": ["a"], "exp": 2_000_000, "nbf": 1_000_061}),
            json!({"topics": ["a*b"], "exp": 2_000_000}),
            json!({"topics": (0..101).map(|i| i.to_string()).collect::<Vec<_>>(), "exp": 2_000_000}),
        ] {
            assert_eq!(check(header.clone(), claims.clone()), Err(InvalidToken), "{claims}");
        }
        let claims = json!({"topics": ["a"], "exp": 2_000_000});
        for alg in ["none", "HS384", "RS256", "EdDSA"] {
            assert_eq!(check(json!({"alg": alg}), claims.clone()), Err(InvalidToken), "{alg}");
        }
        let stranger = mint(header, claims, "stranger");
        assert_eq!(verify(&stranger, &[SubscriptionSecret { version: 1, secret: "old" }], NOW), Err(InvalidToken));
        assert_eq!(verify(&stranger, &[], NOW), Err(InvalidToken));
    }

    proptest! {
        #[test]
        fn no_text_breaks_the_reader(text in "\\PC{0,200}") {
            let _ = verify(&text, &[SubscriptionSecret { version: 1, secret: "s" }], NOW);
        }
    }
}
