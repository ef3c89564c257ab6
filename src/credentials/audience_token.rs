//! Tokens for an audience that a tenant has named: JWT, HS256 with the tenant's subscription secret, as a site mints them for its
//! visitors. What their claims mean is the tenant's matter.

use super::jose::{Fault, UnverifiedToken, VerifiedClaims};
use super::subscriber_token::SubscriptionSecret;
use domain::clock::Timestamp;

/// Verifies a token: HS256, of no other type than `JWT`; `exp` and the audience are required. Its claims, and the version of
/// the secret that signed it.
pub fn verify<'s>(
    token: &str,
    secrets: impl IntoIterator<Item = SubscriptionSecret<'s>>,
    audience: &str,
    now: Timestamp,
) -> Result<(VerifiedClaims, u32), Fault> {
    let token = UnverifiedToken::parse(token)?;
    if !token.is_plain() {
        return Err("typ");
    }
    let signer = secrets.into_iter().find(|candidate| token.is_signed_with(candidate.secret));
    let version = signer.map(|secret| secret.version);
    let claims = token.into_claims(version.is_some(), now)?;
    claims.expires_at().ok_or("exp")?;
    match version {
        Some(version) if claims.audiences().any(|named| named == audience) => Ok((claims, version)),
        _ => Err("aud"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use base64::Engine as _;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
    use hmac::{Hmac, Mac};
    use serde_json::{Value, json};

    fn verified(claims: Value, secret: &str) -> Result<(VerifiedClaims, u32), Fault> {
        let signed = format!("{}.{}", BASE64.encode(r#"{"alg":"HS256"}"#), BASE64.encode(claims.to_string()));
        let mut mac = Hmac::<sha2::Sha256>::new_from_slice(secret.as_bytes()).unwrap();
        mac.update(signed.as_bytes());
        let token = format!("{signed}.{}", BASE64.encode(mac.finalize().into_bytes()));
        let secrets = [(1, "old"), (2, "new")].map(|(version, secret)| SubscriptionSecret { version, secret });
        verify(&token, secrets, "shop", Timestamp::from_millis(1_000_000))
    }

    #[test]
    fn a_token_counts_with_its_audience_its_end_and_a_secret_of_the_tenant() {
        let good = json!({"aud": ["blog", "shop"], "exp": 1_001, "role": "member"});
        for (secret, expected) in [("old", 1), ("new", 2)] {
            let (claims, version) = verified(good.clone(), secret).unwrap();
            assert_eq!((&claims.map()["role"], version), (&json!("member"), expected));
        }
        assert_eq!(verified(good, "another's"), Err("signature"));
        assert_eq!(verified(json!({"aud": "shop", "exp": 1_000}), "new"), Err("exp"));
        assert_eq!(verified(json!({"aud": "shop"}), "new"), Err("exp"));
        assert_eq!(verified(json!({"aud": "shops", "exp": 1_001}), "new"), Err("aud"));
        assert_eq!(verified(json!({"exp": 1_001}), "new"), Err("aud"));
    }
}
