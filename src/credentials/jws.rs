//! Tokens in the compact form of a JWS (RFC 7515, 7.1) that somebody else signed: parsed, not verified.
//!
//! Of the header only `alg`, `kid` and `typ` are read. Keys in a token (`jwk`, `jku`, `x5u`) are ignored, and a token with
//! critical extensions (`crit`) is refused.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use serde_json::{Map, Value};

/// The longest token that is parsed, in bytes.
const MAX_TOKEN: usize = 16 * 1024;

/// A token whose signature was not verified.
pub struct Unverified {
    /// Its `alg`.
    pub alg: String,
    /// Its `kid`.
    pub kid: Option<String>,
    /// Its `typ`.
    pub typ: Option<String>,
    /// The text that the signature covers.
    pub signed: String,
    /// The signature.
    pub signature: Vec<u8>,
    /// The claims.
    pub claims: Map<String, Value>,
}

impl Unverified {
    /// Parses a token; none if it does not have the form of one.
    pub fn parse(token: &str) -> Option<Self> {
        if token.len() > MAX_TOKEN {
            return None;
        }
        let (signed, signature) = token.rsplit_once('.')?;
        let (header, claims) = signed.split_once('.')?;
        let header = object(header)?;
        if header.contains_key("crit") {
            return None;
        }
        Some(Self {
            alg: text(&header, "alg")??,
            kid: text(&header, "kid")?,
            typ: text(&header, "typ")?,
            signed: signed.to_owned(),
            signature: BASE64.decode(signature).ok()?,
            claims: object(claims)?,
        })
    }

    /// A token with this header, these claims and a signature of nobody.
    #[cfg(test)]
    pub fn made(header: &Value, claims: &Value) -> Self {
        let part = |value: &Value| BASE64.encode(value.to_string());
        Self::parse(&format!("{}.{}.c2ln", part(header), part(claims))).unwrap()
    }
}

fn object(part: &str) -> Option<Map<String, Value>> {
    serde_json::from_slice(&BASE64.decode(part).ok()?).ok()
}

/// A string of a header, if it is there; none if it is there and not a string.
fn text(header: &Map<String, Value>, name: &str) -> Option<Option<String>> {
    match header.get(name) {
        None => Some(None),
        Some(value) => value.as_str().map(|text| Some(text.to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    fn token(header: Value, claims: Value) -> String {
        format!("{}.{}.c2ln", BASE64.encode(header.to_string()), BASE64.encode(claims.to_string()))
    }

    #[test]
    fn a_token_is_taken_apart() {
        let parts = Unverified::parse(&token(json!({"alg": "RS256", "kid": "k", "typ": "JWT"}), json!({"sub": "a"})));
        let parts = parts.unwrap();
        assert_eq!((parts.alg.as_str(), parts.kid.as_deref(), parts.typ.as_deref()), ("RS256", Some("k"), Some("JWT")));
        assert_eq!((parts.claims.get("sub"), parts.signature.as_slice()), (Some(&json!("a")), &b"sig"[..]));
        assert!(parts.signed.split_once('.').is_some());
    }

    #[test]
    fn what_is_no_token_is_refused() {
        let good = token(json!({"alg": "RS256"}), json!({}));
        assert!(Unverified::parse(&good).is_some());
        for bad in [
            "",
            "a.b",
            "..",
            &good.replace('.', ""),
            &format!("{good}.c2ln"),
            &format!("{good}="),
            &token(json!({"alg": "RS256", "crit": ["exp"]}), json!({})),
            &token(json!({"alg": "RS256", "kid": 7}), json!({})),
            &token(json!({"alg": "RS256", "typ": ["at+jwt"]}), json!({})),
            &token(json!({"alg": 256}), json!({})),
            &token(json!({"kid": "k"}), json!({})),
            &token(json!([]), json!({})),
            &token(json!({"alg": "RS256"}), json!([])),
            &token(json!({"alg": "RS256"}), json!({"x": "x".repeat(MAX_TOKEN)})),
        ] {
            assert!(Unverified::parse(bad).is_none(), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn no_text_breaks_the_reader(text in "\\PC{0,200}", a in "\\PC{0,40}") {
            let _ = Unverified::parse(&text);
            let _ = Unverified::parse(&format!("{}.{}.{}", BASE64.encode(&a), BASE64.encode(&a), BASE64.encode(&a)));
        }
    }
}
