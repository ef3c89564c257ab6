//! Subscriber tokens: JWT, HS256 with the tenant's subscription secret, so that a site can sign them in PHP.

use super::jose::UnverifiedToken;
use super::platform_token::{self, InvalidToken, VerifiedToken};
use domain::clock::Timestamp;
use domain::minted::Minted;
use domain::selector::{Interest, Selector};

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

/// Verifies a token that a site signed: HS256, of no other type than `JWT`; `exp` is required.
pub fn verify(
    token: &str,
    secrets: &[SubscriptionSecret<'_>],
    now: Timestamp,
) -> Result<SubscriberToken, InvalidToken> {
    let token = UnverifiedToken::parse(token).map_err(|_| InvalidToken)?;
    if !token.is_plain() {
        return Err(InvalidToken);
    }
    let signer = secrets.iter().find(|candidate| token.is_signed_with(candidate.secret));
    let secret_version = signer.map(|secret| secret.version);
    let claims = token.into_claims(signer.is_some(), now).map_err(|_| InvalidToken)?;
    let expires_at = claims.expires_at().ok_or(InvalidToken)?;
    let mut claims = claims.into_map();
    Ok(SubscriberToken {
        granted: read_topics(&platform_token::texts(&mut claims, "topics")?)?,
        expires_at,
        tenant_id: platform_token::text(&mut claims, "tenant_id")?,
        secret_version,
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
            json!({"topics": ["a"], "exp": "2000000"}),
            json!({"topics": ["a"], "exp": 2_000_000, "iat": 1_000_061}),
            json!({"topics": (0..101).map(|i| i.to_string()).collect::<Vec<_>>(), "exp": 2_000_000}),
        ] {
            assert_eq!(check(header.clone(), claims.clone()), Err(InvalidToken), "{claims}");
        }
        let claims = json!({"topics": ["a"], "exp": 2_000_000});
        for alg in ["none", "HS384", "RS256", "EdDSA"] {
            assert_eq!(check(json!({"alg": alg}), claims.clone()), Err(InvalidToken), "{alg}");
        }
        for typ in ["at+jwt", "subscriber+jwt", "logout+jwt", ""] {
            assert_eq!(check(json!({"alg": "HS256", "typ": typ}), claims.clone()), Err(InvalidToken), "{typ}");
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
