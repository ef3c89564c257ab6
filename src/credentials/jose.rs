//! Tokens in the compact form of a JWS (RFC 7515, 7.1), read and judged by one set of rules, whoever signed them: the
//! platform, a site, an issuer or an OpenID provider.
//!
//! Invariants
//! - A token has three parts of strict base64url (no padding, no stray bits), and at most 16 KB. Its header and its claims
//!   are JSON objects in which no member, at any depth, stands twice: no two readers see two tokens.
//! - `crit` is honoured: no extension is known, so a token with it is refused, and so is an unencoded payload (`b64`, RFC
//!   7797) and a nested token (`cty`). Keys that a token brings along (`jwk`, `jku`, `x5u`, `x5c`) are not looked at.
//! - `alg` chooses no algorithm: it must name the one that the key is for. `none` is not known.
//! - `exp`, `nbf` and `iat`, wherever they stand, are numbers from 0 to the end of the year 9999. `exp` is exact; what
//!   begins later than [`LEEWAY_SECONDS`] from now is refused.
//! - `iss`, `sub` and `jti` are strings, `aud` a string or a list of strings.
//! - VerifiedClaims are given out once the signature is verified; before, only `iss` is, to find whose key it must be.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use ed25519_compact::{PublicKey, SecretKey, Signature};
use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};

use super::jwk::Algorithm;
use super::signature::is_mac;
use domain::clock::Timestamp;
use domain::json;

/// Seconds by which clocks may differ at a token's beginning; its end is exact.
pub const LEEWAY_SECONDS: i64 = 60;

/// The longest token that is parsed, in bytes.
const MAX_TOKEN: usize = 16 * 1024;
/// The longest `kid`, in bytes.
const MAX_KID: usize = 512;
/// The last second of the year 9999.
const MAX_DATE: f64 = 253_402_300_799.0;

/// VerifiedClaims as JSON.
pub type ClaimMap = Map<String, Value>;

/// What is wrong with a token: a claim, a part of its form, or `key` where no key of ours could have signed it. For the log.
pub type Fault = &'static str;

/// What `alg` names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TokenAlgorithm {
    /// HMAC with SHA-256, for secrets of the tenant.
    Hs256,
    /// A signature, for public keys.
    Public(Algorithm),
}

/// A token whose signature was not verified.
pub struct UnverifiedToken {
    /// Its `alg`.
    pub algorithm: TokenAlgorithm,
    /// Its `kid`.
    pub kid: Option<String>,
    /// Its `typ` in lower case, without `application/` (RFC 7515, 4.1.9).
    typ: Option<String>,
    signed: String,
    signature: Vec<u8>,
    claims: ClaimMap,
}

impl UnverifiedToken {
    /// Parses a token.
    pub fn parse(token: &str) -> Result<Self, Fault> {
        if token.len() > MAX_TOKEN {
            return Err("size");
        }
        let (signed, signature) = token.rsplit_once('.').ok_or("form")?;
        let (header, claims) = signed.split_once('.').ok_or("form")?;
        let header = object(header).ok_or("header")?;
        if ["crit", "b64"].iter().any(|name| header.contains_key(*name)) {
            return Err("crit");
        }
        let typ = text(&header, "typ")?.map(media_type);
        if text(&header, "cty")?.is_some_and(|content| media_type(content) == "jwt") {
            return Err("cty");
        }
        let kid = text(&header, "kid")?;
        if kid.is_some_and(|kid| kid.len() > MAX_KID) {
            return Err("kid");
        }
        let algorithm = match text(&header, "alg")? {
            Some("HS256") => TokenAlgorithm::Hs256,
            Some(named) => TokenAlgorithm::Public(Algorithm::parse(named).ok_or("key")?),
            None => return Err("alg"),
        };
        Ok(Self {
            algorithm,
            kid: kid.map(str::to_owned),
            typ,
            signed: signed.to_owned(),
            signature: BASE64.decode(signature).map_err(|_| "form")?,
            claims: object(claims).ok_or("claims")?,
        })
    }

    /// Whether it says that it is of this type, in lower case.
    pub fn is_of_type(&self, typ: &str) -> bool {
        self.typ.as_deref() == Some(typ)
    }

    /// Whether it says no more than that it is a JWT: `typ` is `JWT` or absent (RFC 8725, 3.11).
    pub fn is_plain(&self) -> bool {
        self.typ.as_deref().is_none_or(|typ| typ == "jwt")
    }

    /// Who signed it, as it says itself.
    pub fn claimed_issuer(&self) -> Option<&str> {
        self.claims.get("iss").and_then(Value::as_str)
    }

    /// The text that the signature covers, and the signature.
    pub fn signed(&self) -> (&str, &[u8]) {
        (&self.signed, &self.signature)
    }

    /// Whether this secret signed it; its UTF-8 bytes are the key.
    pub fn is_signed_with(&self, secret: &str) -> bool {
        self.algorithm == TokenAlgorithm::Hs256 && is_mac(secret, &self.signed, &self.signature)
    }

    /// Whether this Ed25519 key signed it.
    pub fn is_signed_by(&self, key: &PublicKey) -> bool {
        let signature = Signature::from_slice(&self.signature);
        self.algorithm == TokenAlgorithm::Public(Algorithm::EdDsa)
            && signature.is_ok_and(|signature| key.verify(self.signed.as_bytes(), &signature).is_ok())
    }

    /// The claims, if the signature was verified and they are timely.
    pub fn into_claims(self, is_signed: bool, now: Timestamp) -> Result<VerifiedClaims, Fault> {
        if is_signed { VerifiedClaims::read(self.claims, now) } else { Err("signature") }
    }

    /// A token with this header, these claims and a signature of nobody.
    #[cfg(test)]
    pub fn made(header: &Value, claims: &Value) -> Result<Self, Fault> {
        let part = |value: &Value| BASE64.encode(value.to_string());
        Self::parse(&format!("{}.{}.c2ln", part(header), part(claims)))
    }
}

/// Signs a token of a type with an Ed25519 key.
pub fn sign(typ: &str, (kid, key): (&str, &SecretKey), claims: ClaimMap) -> String {
    let part = |value: &Value| BASE64.encode(value.to_string());
    let header = json!({ "alg": Algorithm::EdDsa.as_str(), "typ": typ, "kid": kid });
    let signed = [part(&header), part(&Value::Object(claims))].join(".");
    let signature = BASE64.encode(key.sign(signed.as_bytes(), None));
    format!("{signed}.{signature}")
}

/// The claims of a token whose signature was verified, while they are good.
#[derive(Debug, Clone, PartialEq)]
pub struct VerifiedClaims {
    all: ClaimMap,
    expires_at: Option<Timestamp>,
    begins_at: Option<Timestamp>,
    issued_at: Option<Timestamp>,
}

impl VerifiedClaims {
    /// Reads claims, by the rules that hold for every token.
    fn read(all: ClaimMap, now: Timestamp) -> Result<Self, Fault> {
        for name in ["iss", "sub", "jti"] {
            text(&all, name)?;
        }
        check_audience(&all)?;
        let date = |name| numeric_date(&all, name);
        let (expires_at, begins_at, issued_at) = (date("exp")?, date("nbf")?, date("iat")?);
        if expires_at.is_some_and(|at| at <= now) {
            return Err("exp");
        }
        for (name, at) in [("nbf", begins_at), ("iat", issued_at)] {
            if at.is_some_and(|at| at > now.plus_seconds(LEEWAY_SECONDS)) {
                return Err(name);
            }
        }
        Ok(Self { all, expires_at, begins_at, issued_at })
    }

    /// All claims.
    pub fn map(&self) -> &ClaimMap {
        &self.all
    }

    /// All claims, to be taken apart.
    pub fn into_map(self) -> ClaimMap {
        self.all
    }

    /// A claim that is a string; none if it is absent.
    pub fn text(&self, name: Fault) -> Result<Option<&str>, Fault> {
        text(&self.all, name)
    }

    /// The audiences that `aud` names.
    pub fn audiences(&self) -> impl Iterator<Item = &str> {
        let listed =
            self.all.get("aud").map_or(&[][..], |aud| aud.as_array().map_or(std::slice::from_ref(aud), |list| list));
        listed.iter().filter_map(Value::as_str)
    }

    /// `exp`.
    pub fn expires_at(&self) -> Option<Timestamp> {
        self.expires_at
    }

    /// `nbf`.
    pub fn begins_at(&self) -> Option<Timestamp> {
        self.begins_at
    }

    /// `iat`.
    pub fn issued_at(&self) -> Option<Timestamp> {
        self.issued_at
    }

    /// VerifiedClaims of a token that is signed.
    #[cfg(test)]
    pub fn made(claims: &Value, now: Timestamp) -> Result<Self, Fault> {
        Self::read(claims.as_object().unwrap().clone(), now)
    }
}

fn check_audience(claims: &ClaimMap) -> Result<(), Fault> {
    match claims.get("aud") {
        None | Some(Value::String(_)) => Ok(()),
        Some(Value::Array(named)) if named.iter().all(Value::is_string) => Ok(()),
        Some(_) => Err("aud"),
    }
}

/// A time in seconds since 1970, with or without a fraction (RFC 7519, "NumericDate").
fn numeric_date(claims: &ClaimMap, name: Fault) -> Result<Option<Timestamp>, Fault> {
    let Some(value) = claims.get(name) else { return Ok(None) };
    let seconds = value.as_f64().filter(|seconds| (0.0..=MAX_DATE).contains(seconds)).ok_or(name)?;
    #[allow(clippy::cast_possible_truncation)]
    let millis = (seconds * 1000.0) as i64;
    Ok(Some(Timestamp::from_millis(millis)))
}

/// A member that is a string, if it is there; refused if it is there and not a string.
fn text(members: &ClaimMap, name: Fault) -> Result<Option<&str>, Fault> {
    members.get(name).map(|value| value.as_str().ok_or(name)).transpose()
}

/// A media type in lower case, without `application/` where nothing more is told of it.
fn media_type(text: &str) -> String {
    let lower = text.to_ascii_lowercase();
    match lower.strip_prefix("application/") {
        Some(rest) if !rest.contains('/') => rest.to_owned(),
        _ => lower,
    }
}

fn object(part: &str) -> Option<ClaimMap> {
    match serde_json::from_slice(&BASE64.decode(part).ok()?) {
        Ok(StrictJson(Value::Object(object))) => Some(object),
        _ => None,
    }
}

/// JSON in which no member of an object stands twice.
struct StrictJson(Value);

impl<'de> Deserialize<'de> for StrictJson {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(StrictVisitor).map(Self)
    }
}

struct StrictVisitor;

impl<'de> Visitor<'de> for StrictVisitor {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON without duplicate members")
    }

    fn visit_unit<E: Error>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E: Error>(self, flag: bool) -> Result<Value, E> {
        Ok(flag.into())
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<Value, E> {
        Ok(number.into())
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<Value, E> {
        Ok(number.into())
    }

    fn visit_f64<E: Error>(self, number: f64) -> Result<Value, E> {
        Ok(number.into())
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Value, E> {
        Ok(text.into())
    }

    fn visit_string<E: Error>(self, text: String) -> Result<Value, E> {
        Ok(text.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        while let Some(StrictJson(item)) = items.next_element()? {
            list.push(item);
        }
        Ok(Value::Array(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Value, A::Error> {
        let mut object = Map::new();
        while let Some((name, StrictJson(value))) = members.next_entry::<String, _>()? {
            if object.insert(name, value).is_some() {
                return Err(A::Error::custom("a member stands twice"));
            }
        }
        Ok(Value::Object(object))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const NOW: Timestamp = Timestamp::from_millis(1_000_000_500);

    fn token(header: &str, claims: &str) -> String {
        format!("{}.{}.c2ln", BASE64.encode(header), BASE64.encode(claims))
    }

    fn fault(token: &str) -> Option<Fault> {
        UnverifiedToken::parse(token).err()
    }

    #[test]
    fn a_token_is_taken_apart() {
        let text = token(r#"{"alg":"RS256","kid":"k","typ":"application/AT+jwt"}"#, r#"{"iss":"a","sub":"b"}"#);
        let token = UnverifiedToken::parse(&text).unwrap_or_else(|fault| panic!("{fault}"));
        assert_eq!((token.algorithm, token.kid.as_deref()), (TokenAlgorithm::Public(Algorithm::Rs256), Some("k")));
        assert!(token.is_of_type("at+jwt") && !token.is_plain());
        assert_eq!((token.claimed_issuer(), token.signed().1), (Some("a"), &b"sig"[..]));
        assert_eq!(token.into_claims(false, NOW).err(), Some("signature"));
    }

    #[test]
    fn the_type_is_a_media_type() {
        for (typ, is_access, is_plain) in [
            (r#""at+jwt""#, true, false),
            (r#""AT+JWT""#, true, false),
            (r#""Application/At+Jwt""#, true, false),
            (r#""JWT""#, false, true),
            (r#""application/jwt""#, false, true),
            (r#""text/at+jwt""#, false, false),
            (r#""application/at+jwt/x""#, false, false),
            (r#""at+jwt ""#, false, false),
            (r#""""#, false, false),
            (r#""dpop+jwt""#, false, false),
        ] {
            let text = token(&format!(r#"{{"alg":"HS256","typ":{typ}}}"#), "{}");
            let token = UnverifiedToken::parse(&text).unwrap_or_else(|fault| panic!("{typ}: {fault}"));
            assert_eq!((token.is_of_type("at+jwt"), token.is_plain()), (is_access, is_plain), "{typ}");
        }
    }

    #[test]
    fn what_is_no_token_is_refused() {
        let good = token(r#"{"alg":"RS256"}"#, "{}");
        assert_eq!(fault(&good), None);
        for (bad, part) in [
            ("", "form"),
            ("a.b", "form"),
            ("..", "header"),
            (&good.replace('.', ""), "form"),
            (&format!("{good}.c2ln"), "claims"),
            (&format!("{good}="), "form"),
            (&good.replace(".c2ln", ".c2lm="), "form"),
            (&good.replace(".c2ln", ".c2l"), "form"),
            (&good.replace(".c2ln", ".c2+n"), "form"),
            (&format!(" {good}"), "header"),
            (&format!("{good}\n"), "form"),
        ] {
            assert_eq!(fault(bad), Some(part), "{bad}");
        }
        for (header, part) in [
            (r#"{"alg":"RS256","crit":["exp"]}"#, "crit"),
            (r#"{"alg":"RS256","crit":[]}"#, "crit"),
            (r#"{"alg":"RS256","crit":null}"#, "crit"),
            (r#"{"alg":"RS256","crit":["b64"],"b64":false}"#, "crit"),
            (r#"{"alg":"RS256","b64":true}"#, "crit"),
            (r#"{"alg":"RS256","cty":"JWT"}"#, "cty"),
            (r#"{"alg":"RS256","cty":"application/jwt"}"#, "cty"),
            (r#"{"alg":"RS256","cty":7}"#, "cty"),
            (r#"{"alg":"RS256","kid":7}"#, "kid"),
            (r#"{"alg":"RS256","typ":["at+jwt"]}"#, "typ"),
            (r#"{"alg":"RS256","typ":null}"#, "typ"),
            (r#"{"alg":"none"}"#, "key"),
            (r#"{"alg":"hs256"}"#, "key"),
            (r#"{"alg":"HS512"}"#, "key"),
            (r#"{"alg":256}"#, "alg"),
            (r#"{"kid":"k"}"#, "alg"),
            (r#"{"alg":"RS256","alg":"HS256"}"#, "header"),
            (r#"{"alg":"RS256","kid":"a","kid":"a"}"#, "header"),
            (r#"{"alg":"RS256","jwk":{"k":1,"k":2}}"#, "header"),
            (r#"{"alg":"RS256"} x"#, "header"),
            ("[]", "header"),
            ("\u{feff}{}", "header"),
        ] {
            assert_eq!(fault(&token(header, "{}")), Some(part), "{header}");
        }
        assert_eq!(fault(&token(&format!(r#"{{"alg":"RS256","kid":"{}"}}"#, "k".repeat(513)), "{}")), Some("kid"));
        for claims in ["[]", "7", r#"{"a":1,"a":1}"#, r#"{"a":[{"b":1,"b":2}]}"#, r#"{"a":"#, "{\"a\":\"\u{1}\"}"] {
            assert_eq!(fault(&token(r#"{"alg":"RS256"}"#, claims)), Some("claims"), "{claims}");
        }
        let deep = format!("{}{}", "[".repeat(200), "]".repeat(200));
        assert_eq!(fault(&token(r#"{"alg":"RS256"}"#, &format!(r#"{{"a":{deep}}}"#))), Some("claims"));
        let long = format!(r#"{{"x":"{}"}}"#, "x".repeat(MAX_TOKEN));
        assert_eq!(fault(&token(r#"{"alg":"RS256"}"#, &long)), Some("size"));
    }

    #[test]
    fn an_escaped_name_is_the_same_name() {
        assert_eq!(fault(&token(r#"{"alg":"RS256","\u0061lg":"HS256"}"#, "{}")), Some("header"));
        assert_eq!(fault(&token(r#"{"alg":"RS256","c\u0072it":["x"]}"#, "{}")), Some("crit"));
    }

    fn claims_fault(claims: &Value) -> Option<Fault> {
        VerifiedClaims::made(claims, NOW).err()
    }

    #[test]
    fn registered_claims_have_their_form_and_time() {
        for good in [
            json!({}),
            json!({"exp": 1_000_001}),
            json!({"exp": 1_000_000.6, "nbf": 1_000_060, "iat": 1_000_060.5}),
            json!({"exp": 253_402_300_799_u64}),
            json!({"iss": "a", "sub": "", "jti": "j", "aud": ["a", "b"]}),
            json!({"aud": "a"}),
            json!({"aud": []}),
        ] {
            assert_eq!(claims_fault(&good), None, "{good}");
        }
        for (bad, name) in [
            (json!({"exp": 1_000_000}), "exp"),
            (json!({"exp": 1_000_000.5}), "exp"),
            (json!({"exp": "1000060"}), "exp"),
            (json!({"exp": null}), "exp"),
            (json!({"exp": true}), "exp"),
            (json!({"exp": [2_000_000]}), "exp"),
            (json!({"exp": -1}), "exp"),
            (json!({"exp": 253_402_300_800_u64}), "exp"),
            (json!({"exp": 1_700_000_000_000_u64}), "exp"),
            (json!({"exp": u64::MAX}), "exp"),
            (json!({"exp": 1e300}), "exp"),
            (json!({"nbf": 1_000_061}), "nbf"),
            (json!({"nbf": "0"}), "nbf"),
            (json!({"nbf": -0.5}), "nbf"),
            (json!({"iat": 1_000_061}), "iat"),
            (json!({"iat": null}), "iat"),
            (json!({"iat": 1e18}), "iat"),
            (json!({"iss": ["a"]}), "iss"),
            (json!({"sub": 7}), "sub"),
            (json!({"jti": null}), "jti"),
            (json!({"aud": 7}), "aud"),
            (json!({"aud": null}), "aud"),
            (json!({"aud": {"a": 1}}), "aud"),
            (json!({"aud": ["a", 7]}), "aud"),
        ] {
            assert_eq!(claims_fault(&bad), Some(name), "{bad}");
        }
    }

    #[test]
    fn no_key_verifies_a_token_of_another_algorithm() {
        let pair = ed25519_compact::KeyPair::from_seed(ed25519_compact::Seed::new([1; 32]));
        let text = sign("JWT", ("k", &pair.sk), ClaimMap::new());
        let own = UnverifiedToken::parse(&text).unwrap_or_else(|fault| panic!("{fault}"));
        assert!(own.is_signed_by(&pair.pk) && !own.is_signed_with("k"));
        let other = UnverifiedToken { algorithm: TokenAlgorithm::Public(Algorithm::Es256), ..own };
        assert!(!other.is_signed_by(&pair.pk));
    }

    proptest! {
        #[test]
        fn no_text_breaks_the_reader(text in "\\PC{0,200}", a in "\\PC{0,40}") {
            let _ = UnverifiedToken::parse(&text);
            let _ = UnverifiedToken::parse(&token(&a, &a));
        }

        #[test]
        fn no_time_breaks_the_reader(exp: f64, nbf: i64, iat: u64) {
            let _ = claims_fault(&json!({"exp": exp, "nbf": nbf, "iat": iat}));
        }

        #[test]
        fn a_signed_token_that_is_edited_anywhere_is_not_verified(at in 0usize..200, to in "[A-Za-z0-9_-]") {
            let pair = ed25519_compact::KeyPair::from_seed(ed25519_compact::Seed::new([1; 32]));
            let whole = sign("at+jwt", ("k", &pair.sk), json!({"sub": "a", "exp": 2_000_000_000}).as_object().unwrap().clone());
            let mut edited = whole.clone();
            let at = at % whole.len();
            edited.replace_range(at..=at, &to);
            let verified = UnverifiedToken::parse(&edited).is_ok_and(|token| token.is_signed_by(&pair.pk));
            prop_assert_eq!(verified, edited == whole);
        }
    }
}
