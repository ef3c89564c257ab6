//! An issuer's public keys (RFC 7517), and which of them a token was signed with.
//!
//! The key decides the algorithm, never the token: a token that names another one than its key's is refused.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use domain::json;

/// Most keys that are read, and most bytes of one with its `kid`.
const MAX_KEYS: usize = 50;
const MAX_KEY: usize = 2_048;
/// The length of an RSA key's modulus, in characters of base64url: 2048 to 8192 bits.
const RSA_MODULUS: std::ops::RangeInclusive<usize> = 342..=1366;

/// The algorithms that we accept from issuers: neither `none` nor a symmetric one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Algorithm {
    /// RSASSA-PKCS1-v1_5 with SHA-256.
    Rs256,
    /// ECDSA on P-256 with SHA-256.
    Es256,
    /// Ed25519.
    EdDsa,
}

impl Algorithm {
    /// Reads `alg`; none for an algorithm that we do not accept.
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Rs256, Self::Es256, Self::EdDsa].into_iter().find(|known| known.as_str() == text)
    }

    /// As `alg` names it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Rs256 => "RS256",
            Self::Es256 => "ES256",
            Self::EdDsa => "EdDSA",
        }
    }
}

/// A public key.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PublicKey {
    /// Its `kid`, if it has one.
    pub kid: Option<String>,
    /// The algorithm that it is for.
    pub algorithm: Algorithm,
    /// Its public members, as JSON.
    pub jwk: String,
}

impl PublicKey {
    /// Reads a key; none if we cannot verify with it.
    fn read(jwk: &Value) -> Option<Self> {
        let text = |name: &str| jwk.get(name).and_then(Value::as_str);
        let verifies = |operations: &Vec<Value>| operations.iter().any(|operation| operation == "verify");
        let is_for_signatures = text("use").is_none_or(|purpose| purpose == "sig")
            && jwk.get("key_ops").is_none_or(|operations| operations.as_array().is_some_and(verifies));
        if !is_for_signatures {
            return None;
        }
        let (algorithm, jwk) = match (text("kty")?, text("crv")) {
            ("RSA", _) if RSA_MODULUS.contains(&text("n")?.len()) => {
                (Algorithm::Rs256, json!({ "kty": "RSA", "n": text("n")?, "e": text("e")? }))
            }
            ("EC", Some("P-256")) => {
                (Algorithm::Es256, json!({ "kty": "EC", "crv": "P-256", "x": text("x")?, "y": text("y")? }))
            }
            ("OKP", Some("Ed25519")) => (Algorithm::EdDsa, json!({ "kty": "OKP", "crv": "Ed25519", "x": text("x")? })),
            _ => return None,
        };
        if text("alg").is_some_and(|named| named != algorithm.as_str()) {
            return None;
        }
        let (kid, jwk) = (text("kid"), jwk.to_string());
        let fits = jwk.len() + kid.map_or(0, str::len) <= MAX_KEY;
        fits.then(|| Self { kid: kid.map(str::to_owned), algorithm, jwk })
    }
}

/// The keys of an issuer.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct KeySet(Vec<PublicKey>);

impl KeySet {
    /// Reads a JWK set, leaving out keys that we cannot verify with; none if it is not a JWK set.
    pub fn parse(document: &Map<String, Value>) -> Option<Self> {
        let keys = document.get("keys")?.as_array()?;
        Some(Self(keys.iter().take(MAX_KEYS).filter_map(PublicKey::read).collect()))
    }

    /// The key that a token's header names: by `kid`, or the only one of its algorithm if it has none.
    pub fn find(&self, kid: Option<&str>, algorithm: Algorithm) -> Option<&PublicKey> {
        let mut fitting =
            self.0.iter().filter(|key| key.algorithm == algorithm && (kid.is_none() || key.kid.as_deref() == kid));
        let found = fitting.next()?;
        (kid.is_some() || fitting.next().is_none()).then_some(found)
    }

    /// Whether a key has this `kid`, whatever its algorithm; true without a `kid`.
    pub fn knows(&self, kid: Option<&str>) -> bool {
        kid.is_none() || self.0.iter().any(|key| key.kid.as_deref() == kid)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn set(keys: Value) -> KeySet {
        KeySet::parse(json!({ "keys": keys }).as_object().unwrap()).unwrap()
    }

    fn rsa(kid: &str) -> Value {
        json!({"kty": "RSA", "kid": kid, "n": "n".repeat(342), "e": "AQAB", "use": "sig", "d": "private"})
    }

    #[test]
    fn a_key_is_found_by_name_and_for_its_own_algorithm_only() {
        let keys = set(json!([rsa("a"), {"kty": "EC", "kid": "b", "crv": "P-256", "x": "x", "y": "y"},
            {"kty": "OKP", "kid": "c", "crv": "Ed25519", "x": "x", "alg": "EdDSA"}]));
        for (kid, algorithm) in [("a", Algorithm::Rs256), ("b", Algorithm::Es256), ("c", Algorithm::EdDsa)] {
            assert_eq!(keys.find(Some(kid), algorithm).unwrap().kid.as_deref(), Some(kid));
        }
        for (kid, algorithm) in [("a", Algorithm::Es256), ("b", Algorithm::EdDsa), ("z", Algorithm::Rs256)] {
            assert_eq!(keys.find(Some(kid), algorithm), None, "{kid} {algorithm:?}");
        }
        for alg in ["none", "HS256", "rs256", "PS256", ""] {
            assert_eq!(Algorithm::parse(alg), None, "{alg}");
        }
        assert!(keys.knows(Some("a")) && !keys.knows(Some("z")));
    }

    #[test]
    fn a_token_without_a_name_means_the_only_key() {
        assert!(set(json!([rsa("a")])).find(None, Algorithm::Rs256).is_some());
        assert_eq!(set(json!([rsa("a"), rsa("b")])).find(None, Algorithm::Rs256), None);
    }

    #[test]
    fn what_is_no_signing_key_is_left_out() {
        let short = json!({"kty": "RSA", "kid": "a", "n": "n".repeat(171), "e": "AQAB"});
        for other in [
            short,
            json!({"kty": "oct", "kid": "a", "k": "c2VjcmV0"}),
            json!({"kty": "EC", "kid": "a", "crv": "secp256k1", "x": "x", "y": "y"}),
            json!({"kty": "OKP", "kid": "a", "crv": "Ed25519", "x": "x", "alg": "ES256"}),
            json!({"kty": "OKP", "kid": "a", "crv": "Ed25519", "x": "x", "use": "enc"}),
            json!({"kty": "OKP", "kid": "a", "crv": "Ed25519", "x": "x", "key_ops": ["sign"]}),
            json!({"kty": "OKP", "kid": "a", "crv": "Ed25519", "x": "x", "key_ops": "verify"}),
            json!({"kty": "OKP", "kid": "a", "crv": "Ed25519", "x": "x".repeat(2048)}),
            json!("a"),
        ] {
            assert!(!set(json!([other.clone()])).knows(Some("a")), "{other}");
        }
        assert!(!set(json!([rsa("a")])).find(Some("a"), Algorithm::Rs256).unwrap().jwk.contains("private"));
        assert_eq!(KeySet::parse(&Map::new()), None);
    }

    proptest! {
        #[test]
        fn no_set_breaks_the_reader(kty in "(RSA|EC|OKP|oct|\\PC{0,5})", crv in "(P-256|Ed25519|\\PC{0,5})", x in "\\PC{0,20}") {
            let _ = set(json!([{"kty": kty, "crv": crv, "x": x, "y": x, "n": x, "e": x, "kid": x}]));
        }
    }
}
