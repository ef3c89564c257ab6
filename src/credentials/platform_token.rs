//! The platform's own tokens: JWT, EdDSA, signed with a key of the platform.
//!
//! Invariants, beside those of every token ([`jose`](super::jose))
//! - The key decides the algorithm, never the token; `kid` is looked up among the platform's keys only.
//! - Each kind of token has its own `typ` and `aud`, and both are checked (RFC 8725, 3.11 and 3.12): no token passes for
//!   another kind.
//! - A token names one tenant.

use ed25519_compact::{PublicKey, SecretKey};
use serde_json::Value;

use super::jose::{self, ClaimMap, UnverifiedToken};
use domain::clock::Timestamp;
use domain::json;

/// The token is not valid; it never says why.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the token is not valid")]
pub struct InvalidToken;

/// What a token is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TokenKind {
    /// A user's, issued with a session.
    Access,
    /// An operator's, for one tenant.
    Switch,
    /// An operator's, to act as a user.
    Impersonation,
    /// A subscriber's, for streams.
    Subscriber,
}

impl TokenKind {
    const ALL: [Self; 4] = [Self::Access, Self::Switch, Self::Impersonation, Self::Subscriber];

    /// Its `typ`.
    pub const fn typ(self) -> &'static str {
        match self {
            Self::Access => "at+jwt",
            Self::Switch => "switch+jwt",
            Self::Impersonation => "impersonation+jwt",
            Self::Subscriber => "subscriber+jwt",
        }
    }

    /// Its `aud`.
    pub const fn audience(self) -> &'static str {
        match self {
            Self::Access => "carillon:access",
            Self::Switch => "carillon:switch",
            Self::Impersonation => "carillon:impersonation",
            Self::Subscriber => "carillon:subscriber",
        }
    }

    /// The longest such a token may live, in seconds.
    pub const fn max_seconds(self) -> i64 {
        match self {
            Self::Access | Self::Switch => 15 * 60,
            Self::Impersonation | Self::Subscriber => 60 * 60,
        }
    }
}

/// Takes a claim that is a string; none if it is absent or null.
pub fn text(claims: &mut ClaimMap, name: &str) -> Result<Option<String>, InvalidToken> {
    match claims.remove(name).unwrap_or_default() {
        Value::String(text) => Ok(Some(text)),
        Value::Null => Ok(None),
        _ => Err(InvalidToken),
    }
}

/// Takes a claim that is an array of strings; empty if it is absent.
pub fn texts(claims: &mut ClaimMap, name: &str) -> Result<Vec<String>, InvalidToken> {
    let read = |value| match value {
        Value::String(text) => Ok(text),
        _ => Err(InvalidToken),
    };
    match claims.remove(name) {
        Some(Value::Array(values)) => values.into_iter().map(read).collect(),
        Some(_) => Err(InvalidToken),
        None => Ok(Vec::new()),
    }
}

/// The claim `act`: who really acts (RFC 8693, 4.1).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ActorClaim {
    /// The operator.
    pub sub: String,
}

/// The claims of our own tokens, beside their times.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Claims {
    /// `iss`: the platform.
    pub iss: String,
    /// `aud`: the kind's audience.
    pub aud: String,
    /// `sub`: who: `user:…`, `operator:…` or `key:…`.
    pub sub: String,
    /// `jti`: the token's own id.
    pub jti: String,
    /// `iat_ms`: when it was issued, in milliseconds: what is revoked and what comes after may share a second. 0 before it
    /// is signed, unless the rights that it hands on were proven before.
    pub iat_ms: i64,
    /// `tenant_id`: the tenant.
    pub tenant_id: String,
    /// `clientId`: the tenant, by the name that older clients read.
    pub client_id: String,
    /// `userId`: the user, where the token acts as one.
    pub user_id: Option<String>,
    /// `role`: the role when it was issued, for display only; permissions are read from the row.
    pub role: Option<String>,
    /// `sid`: the session it belongs to.
    pub sid: Option<String>,
    /// `basis`: what an operator's access to the tenant rests on: their standing, and the grant.
    pub basis: Option<String>,
    /// `act`: the operator behind an impersonation.
    pub act: Option<ActorClaim>,
    /// `topics`: the selectors whose private events a subscriber's token opens.
    pub topics: Vec<String>,
    /// `rests_on`: what a subscriber's token rests on beside its minter, by the names that revocations use.
    pub rests_on: Vec<String>,
}

impl Claims {
    /// As a token contains them; absent ones are left out.
    fn into_map(self) -> ClaimMap {
        let all = [
            ("iss", Some(Value::from(self.iss))),
            ("aud", Some(self.aud.into())),
            ("sub", Some(self.sub.into())),
            ("jti", Some(self.jti.into())),
            ("iat_ms", Some(self.iat_ms.into())),
            ("tenant_id", Some(self.tenant_id.into())),
            ("clientId", Some(self.client_id.into())),
            ("userId", self.user_id.map(Value::from)),
            ("role", self.role.map(Value::from)),
            ("sid", self.sid.map(Value::from)),
            ("basis", self.basis.map(Value::from)),
            ("act", self.act.map(|act| json!({ "sub": act.sub }))),
            ("topics", Some(self.topics).filter(|topics| !topics.is_empty()).map(Value::from)),
            ("rests_on", Some(self.rests_on).filter(|names| !names.is_empty()).map(Value::from)),
        ];
        all.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))).collect()
    }

    /// Reads what a token contains.
    fn from_map(mut claims: ClaimMap) -> Result<Self, InvalidToken> {
        let act = match claims.remove("act").unwrap_or_default() {
            Value::Null => None,
            Value::Object(mut act) => Some(ActorClaim { sub: text(&mut act, "sub")?.ok_or(InvalidToken)? }),
            _ => return Err(InvalidToken),
        };
        let iat_ms = claims.get("iat_ms").and_then(Value::as_i64).ok_or(InvalidToken)?;
        let topics = texts(&mut claims, "topics")?;
        let rests_on = texts(&mut claims, "rests_on")?;
        let mut optional = |name| text(&mut claims, name);
        let (user_id, role, sid) = (optional("userId")?, optional("role")?, optional("sid")?);
        let basis = optional("basis")?;
        let mut needed = |name| optional(name)?.ok_or(InvalidToken);
        Ok(Self {
            iss: needed("iss")?,
            aud: needed("aud")?,
            sub: needed("sub")?,
            jti: needed("jti")?,
            iat_ms,
            tenant_id: needed("tenant_id")?,
            client_id: needed("clientId")?,
            user_id,
            role,
            sid,
            basis,
            act,
            topics,
            rests_on,
        })
    }
}

/// A key that signs, or has signed.
pub struct VerifyingKey {
    /// Its id.
    pub kid: String,
    /// Its public half.
    pub public: PublicKey,
    /// When it stops verifying, once it was replaced.
    pub retires_at: Option<Timestamp>,
}

/// A token that verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifiedToken {
    /// What it is for.
    pub kind: TokenKind,
    /// What it says.
    pub claims: Claims,
    /// When it was issued.
    pub issued_at: Timestamp,
    /// When it ends.
    pub expires_at: Timestamp,
}

/// A token's `kid`; none if it cannot be parsed or has none.
pub fn key_id(token: &str) -> Option<String> {
    UnverifiedToken::parse(token).ok()?.kid
}

/// Signs a token of a kind, from now on for `seconds`, at most as long as its kind may live. Gives its text and its end.
/// A token that hands on rights begins when they were proven, if its claims say when (`iat_ms`).
pub fn mint(
    kind: TokenKind,
    mut claims: Claims,
    key: (&str, &SecretKey),
    now: Timestamp,
    seconds: i64,
) -> (String, Timestamp) {
    claims.aud = kind.audience().to_owned();
    // Rights that are taken between their proof and this moment must void the token.
    let issued_at = if claims.iat_ms == 0 { now } else { Timestamp::from_millis(claims.iat_ms).min(now) };
    claims.iat_ms = issued_at.millis();
    let expires_at = issued_at.plus_seconds(seconds.clamp(1, kind.max_seconds()));
    let mut all = claims.into_map();
    for (name, at) in [("iat", issued_at), ("nbf", issued_at), ("exp", expires_at)] {
        all.insert(name.to_owned(), at.seconds().into());
    }
    (jose::sign(kind.typ(), key, all), Timestamp::from_millis(expires_at.seconds() * 1000))
}

/// Verifies a token, which must be of one of these kinds.
pub fn verify(
    token: &str,
    kinds: &[TokenKind],
    keys: &[VerifyingKey],
    issuer: &str,
    now: Timestamp,
) -> Result<VerifiedToken, InvalidToken> {
    let token = UnverifiedToken::parse(token).map_err(|_| InvalidToken)?;
    let kind = TokenKind::ALL.into_iter().find(|kind| token.is_of_type(kind.typ())).ok_or(InvalidToken)?;
    let key = keys.iter().find(|key| Some(key.kid.as_str()) == token.kid.as_deref()).ok_or(InvalidToken)?;
    if !kinds.contains(&kind) || key.retires_at.is_some_and(|at| at <= now) {
        return Err(InvalidToken);
    }
    let is_signed = token.is_signed_by(&key.public);
    let all = token.into_claims(is_signed, now).map_err(|_| InvalidToken)?;
    let issued_second = all.issued_at().ok_or(InvalidToken)?.seconds();
    let expires_at = all.expires_at().ok_or(InvalidToken)?;
    all.begins_at().ok_or(InvalidToken)?;
    let claims = Claims::from_map(all.into_map())?;
    let issued_at = Timestamp::from_millis(claims.iat_ms);
    let timely = issued_at.seconds() == issued_second && expires_at.since(issued_at) <= kind.max_seconds() * 1000;
    let ours = claims.iss == issuer && claims.aud == kind.audience() && claims.tenant_id == claims.client_id;
    if timely && ours { Ok(VerifiedToken { kind, claims, issued_at, expires_at }) } else { Err(InvalidToken) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use base64::Engine as _;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
    use ed25519_compact::{KeyPair, Seed};
    use hmac::{Hmac, Mac};
    use proptest::prelude::*;
    use serde_json::{Value, json};

    const NOW: Timestamp = Timestamp::from_millis(1_800_000_000_000);
    const ISSUER: &str = "https://carillon.test";
    const ALL: &[TokenKind] = &TokenKind::ALL;

    fn pair(seed: u8) -> KeyPair {
        KeyPair::from_seed(Seed::new([seed; 32]))
    }

    fn keys() -> Vec<VerifyingKey> {
        let key = |kid: &str, seed| VerifyingKey { kid: kid.into(), public: pair(seed).pk, retires_at: None };
        vec![key("one", 1), key("two", 2)]
    }

    fn claims() -> Claims {
        Claims {
            iss: ISSUER.into(),
            sub: "user:u".into(),
            jti: "j".into(),
            tenant_id: "acme".into(),
            client_id: "acme".into(),
            user_id: Some("u".into()),
            ..Claims::default()
        }
    }

    fn minted(kind: TokenKind) -> String {
        mint(kind, claims(), ("one", &pair(1).sk), NOW, 60).0
    }

    fn part(token: &str, n: usize) -> Value {
        serde_json::from_slice(&BASE64.decode(token.split('.').nth(n).unwrap()).unwrap()).unwrap()
    }

    /// A token of any header and claims, signed with key one.
    fn forged(header: &Value, claims: &Value, seed: u8) -> String {
        let signed = format!("{}.{}", BASE64.encode(header.to_string()), BASE64.encode(claims.to_string()));
        format!("{signed}.{}", BASE64.encode(pair(seed).sk.sign(&signed, None).as_ref()))
    }

    #[test]
    fn each_kind_verifies_as_itself_only() {
        for kind in TokenKind::ALL {
            let token = minted(kind);
            let verified = verify(&token, ALL, &keys(), ISSUER, NOW).unwrap();
            assert_eq!((verified.kind, verified.claims.tenant_id.as_str()), (kind, "acme"));
            for other in TokenKind::ALL.into_iter().filter(|other| *other != kind) {
                assert_eq!(verify(&token, &[other], &keys(), ISSUER, NOW), Err(InvalidToken));
                // The same claims under another kind's `typ`, rightly signed: the audience is still the first kind's.
                let header = json!({"alg": "EdDSA", "typ": other.typ(), "kid": "one"});
                assert_eq!(verify(&forged(&header, &part(&token, 1), 1), ALL, &keys(), ISSUER, NOW), Err(InvalidToken));
            }
        }
    }

    #[test]
    fn the_key_decides_the_algorithm() {
        let token = minted(TokenKind::Access);
        let claims = part(&token, 1);
        for alg in ["none", "HS256", "RS256", "ES256", "Ed448"] {
            let header = json!({"alg": alg, "typ": "at+jwt", "kid": "one"});
            assert_eq!(verify(&forged(&header, &claims, 1), ALL, &keys(), ISSUER, NOW), Err(InvalidToken), "{alg}");
        }
        // HMAC with the public key as the secret.
        let signed = format!(
            "{}.{}",
            BASE64.encode(json!({"alg": "HS256", "typ": "at+jwt", "kid": "one"}).to_string()),
            BASE64.encode(claims.to_string())
        );
        let mut mac = Hmac::<sha2::Sha256>::new_from_slice(pair(1).pk.as_ref()).unwrap();
        mac.update(signed.as_bytes());
        let token = format!("{signed}.{}", BASE64.encode(mac.finalize().into_bytes()));
        assert_eq!(verify(&token, ALL, &keys(), ISSUER, NOW), Err(InvalidToken));
        let unsigned = format!("{}.", signed.replace("HS256", "none"));
        assert_eq!(verify(&unsigned, ALL, &keys(), ISSUER, NOW), Err(InvalidToken));
    }

    #[test]
    fn foreign_and_retired_keys_sign_nothing() {
        let claims = part(&minted(TokenKind::Access), 1);
        let header = |kid: &str| json!({"alg": "EdDSA", "typ": "at+jwt", "kid": kid});
        assert!(verify(&forged(&header("two"), &claims, 2), ALL, &keys(), ISSUER, NOW).is_ok());
        for (kid, seed) in [("one", 2), ("two", 1), ("three", 3), ("one", 3)] {
            assert_eq!(verify(&forged(&header(kid), &claims, seed), ALL, &keys(), ISSUER, NOW), Err(InvalidToken));
        }
        let mut keys = keys();
        keys[0].retires_at = Some(NOW);
        assert_eq!(verify(&minted(TokenKind::Access), ALL, &keys, ISSUER, NOW), Err(InvalidToken));
        keys[0].retires_at = Some(NOW.plus_millis(1));
        assert!(verify(&minted(TokenKind::Access), ALL, &keys, ISSUER, NOW).is_ok());
    }

    #[test]
    fn edited_and_untimely_claims_are_refused() {
        let token = minted(TokenKind::Access);
        let (header, right) = (part(&token, 0), part(&token, 1));
        let edits: [fn(&mut Value); 10] = [
            |c| c["iss"] = json!("https://elsewhere.test"),
            |c| c["aud"] = json!("carillon:switch"),
            |c| c["tenant_id"] = json!("globex"),
            |c| c["exp"] = json!(NOW.seconds()),
            |c| c["iat_ms"] = json!(NOW.millis() + 1000),
            |c| c["exp"] = json!(NOW.seconds() + 16 * 60),
            |c| c["nbf"] = json!(NOW.seconds() + 61),
            |c| _ = c.as_object_mut().unwrap().remove("exp"),
            |c| _ = c.as_object_mut().unwrap().remove("iat"),
            |c| _ = c.as_object_mut().unwrap().remove("nbf"),
        ];
        assert!(verify(&forged(&header, &right, 1), ALL, &keys(), ISSUER, NOW).is_ok());
        for (i, edit) in edits.iter().enumerate() {
            let mut claims = right.clone();
            edit(&mut claims);
            assert_eq!(verify(&forged(&header, &claims, 1), ALL, &keys(), ISSUER, NOW), Err(InvalidToken), "{i}");
        }
        // Edited without a new signature.
        let mut parts: Vec<_> = token.split('.').map(str::to_owned).collect();
        let mut claims = right;
        claims["userId"] = json!("somebody-else");
        parts[1] = BASE64.encode(claims.to_string());
        assert_eq!(verify(&parts.join("."), ALL, &keys(), ISSUER, NOW), Err(InvalidToken));
    }

    #[test]
    fn no_token_outlives_its_kind() {
        let (_, expires_at) = mint(TokenKind::Access, claims(), ("one", &pair(1).sk), NOW, 1_000_000);
        assert_eq!(expires_at, NOW.plus_seconds(900));
    }

    proptest! {
        #[test]
        fn no_text_breaks_the_reader(text in "\\PC{0,200}") {
            prop_assert_eq!(verify(&text, ALL, &keys(), ISSUER, NOW), Err(InvalidToken));
            let _ = key_id(&text);
        }
    }
}
