//! The platform's signing keys: one signs; its predecessors verify until the last token that they signed has expired.
//!
//! Invariants
//! - A key's seed exists in the control database only, sealed.
//! - A token with an unknown `kid` makes an isolate read the keys again, at most once a second.

use std::cell::RefCell;
use std::rc::Rc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use ed25519_compact::{KeyPair, PublicKey, SecretKey, Seed};
use serde_json::Value;

use crate::credentials::key::fresh_id;
use crate::credentials::platform_token::{self, Claims, TokenKind, VerifiedToken, VerifyingKey};
use crate::http::problem::{self, Problem};
use crate::isolate_cache::{CacheKey, IsolateCache, KeyIdentity};
use crate::storage::bindings::{Bindings, SystemClock};
use crate::storage::control_db::ControlDb;
use crate::storage::row::row_types;
use crate::storage::sealed::{SealContext, random};
use crate::storage::sql::{Arg, ControlSql, StorageError};
use crate::storage::sql::{args, statements};
use domain::clock::{Clock, Timestamp};
use domain::json;

statements! { ControlSql;
    /// Every key whose tokens may still be good; the one that signs comes first.
    KEYS = "SELECT kid, public_key, sealed, retires_at FROM signing_keys WHERE retires_at IS NULL OR retires_at > ?1 ORDER BY retires_at IS NOT NULL, retires_at DESC";
    /// Sets when the key that signs stops verifying.
    RETIRE = "UPDATE signing_keys SET retires_at = ?1 WHERE retires_at IS NULL";
    /// A new key that signs; the table takes one only.
    INSERT = "INSERT INTO signing_keys (kid, public_key, sealed, created_at) VALUES (?1, ?2, ?3, ?4)";
    /// Deletes keys whose last token has expired.
    FORGET = "DELETE FROM signing_keys WHERE retires_at <= ?1";
}

/// How long an isolate caches the keys, in milliseconds: so long a key that was ended may verify in other isolates.
const CACHE_MILLIS: i64 = 10_000;
/// How long it waits before it reads them again for an unknown key, in milliseconds.
const REREAD_MILLIS: i64 = 1_000;
/// How long a replaced key verifies, in seconds: the life of the longest token, and the time that isolates cache keys.
const RETIRE_SECONDS: i64 = 3600 + 120;

/// The platform's one set of keys.
#[derive(PartialEq, Eq, Hash)]
struct PlatformKeySet;

impl CacheKey for PlatformKeySet {
    const IDENTITY: KeyIdentity =
        KeyIdentity::NeverRecurs("a deployment has one set; each key in it has a random `kid`");
}

thread_local! {
    static KEYS_READ: RefCell<IsolateCache<PlatformKeySet, Rc<SigningKeys>>> = RefCell::new(IsolateCache::new(1, CACHE_MILLIS));
}

row_types! {
    struct SigningKeyRow {
        kid: String,
        public_key: String,
        sealed: String,
        retires_at: Option<i64>,
    }
}

/// The keys as this isolate read them.
pub struct SigningKeys {
    signing: Option<(String, SecretKey)>,
    verifying: Vec<VerifyingKey>,
    read_at: Timestamp,
}

impl SigningKeys {
    /// The keys, at most ten seconds old.
    pub async fn load(bindings: &Bindings) -> Result<Rc<Self>, Problem> {
        let now = SystemClock.now();
        match KEYS_READ.with_borrow_mut(|cache| cache.get(&PlatformKeySet, now).cloned()) {
            Some(keys) => Ok(keys),
            None => Self::reload(bindings).await,
        }
    }

    /// The keys, read from the database.
    pub async fn reload(bindings: &Bindings) -> Result<Rc<Self>, Problem> {
        let db = ControlDb::open(bindings, "read the signing keys")?;
        let now = SystemClock.now();
        let mut rows = db.rows::<SigningKeyRow>(&KEYS, args![now.millis()]).await?;
        if rows.first().is_none_or(|row| row.retires_at.is_some()) {
            // The platform's first key. If another isolate makes one at the same moment, that one is used.
            match db.batch(vec![Self::fresh(bindings, now)?]).await {
                Ok(_) | Err(StorageError::Constraint(_)) => {}
                Err(error) => return Err(error.into()),
            }
            rows = db.rows::<SigningKeyRow>(&KEYS, args![now.millis()]).await?;
        }
        let keys = Rc::new(Self::read(bindings, &rows, now)?);
        KEYS_READ.with_borrow_mut(|cache| cache.insert(PlatformKeySet, Rc::clone(&keys), now));
        Ok(keys)
    }

    fn read(bindings: &Bindings, rows: &[SigningKeyRow], now: Timestamp) -> Result<Self, Problem> {
        let mut keys = Self { signing: None, verifying: Vec::new(), read_at: now };
        for row in rows {
            let public = BASE64.decode(&row.public_key).ok().and_then(|bytes| PublicKey::from_slice(&bytes).ok());
            let public = public.ok_or_else(|| problem::internal("a stored signing key is not an Ed25519 key"))?;
            if row.retires_at.is_none() {
                let seed = bindings.settings.keys.open(&place(&row.kid), &row.sealed).map_err(problem::internal)?;
                let seed =
                    Seed::from_slice(&seed).map_err(|_| problem::internal("a stored seed is not an Ed25519 seed"))?;
                keys.signing = Some((row.kid.clone(), KeyPair::from_seed(seed).sk));
            }
            let retires_at = row.retires_at.map(Timestamp::from_millis);
            keys.verifying.push(VerifyingKey { kid: row.kid.clone(), public, retires_at });
        }
        Ok(keys)
    }

    fn fresh(bindings: &Bindings, now: Timestamp) -> Result<(ControlSql, Vec<Arg>), Problem> {
        let kid = fresh_id("sig").map_err(problem::internal)?;
        let seed: [u8; 32] = random().map_err(problem::internal)?;
        let public = BASE64.encode(KeyPair::from_seed(Seed::new(seed)).pk.as_ref());
        let sealed = bindings.settings.keys.seal(&place(&kid), &seed).map_err(problem::internal)?;
        Ok((INSERT, args![kid, public, sealed, now.millis()]))
    }

    /// Makes a new key that signs; its predecessor verifies until its last token has expired. `audit` is written with it.
    pub async fn rotate(
        bindings: &Bindings,
        db: &ControlDb,
        audit: (ControlSql, Vec<Arg>),
    ) -> Result<Rc<Self>, Problem> {
        let now = SystemClock.now();
        let retire = (RETIRE, args![now.plus_seconds(RETIRE_SECONDS).millis()]);
        let forget = (FORGET, args![now.millis()]);
        db.batch(vec![forget, retire, Self::fresh(bindings, now)?, audit]).await?;
        Self::reload(bindings).await
    }

    /// The public keys as a JWK set (RFC 7517, RFC 8037).
    pub fn jwks(&self) -> Value {
        let key = |key: &VerifyingKey| {
            json!({ "kty": "OKP", "crv": "Ed25519", "alg": "EdDSA", "use": "sig", "kid": key.kid,
                    "x": BASE64.encode(key.public.as_ref()) })
        };
        json!({ "keys": self.verifying.iter().map(key).collect::<Vec<_>>() })
    }

    /// The keys as operators see them.
    pub fn shown(&self) -> Vec<Value> {
        let key = |key: &VerifyingKey| json!({ "kid": key.kid, "retires_at": key.retires_at });
        self.verifying.iter().map(key).collect()
    }
}

/// Whether a token names a key of ours; if not, somebody else has to verify it.
pub fn is_ours(token: &str) -> bool {
    platform_token::key_id(token).is_some_and(|kid| kid.starts_with("sig_"))
}

/// Signs a token with these claims, an issuer and an id; gives its text and its end.
pub async fn mint(
    bindings: &Bindings,
    kind: TokenKind,
    claims: Claims,
    seconds: i64,
) -> Result<(String, Timestamp), Problem> {
    let keys = SigningKeys::load(bindings).await?;
    let (kid, key) = keys.signing.as_ref().ok_or_else(|| problem::internal("there is no signing key"))?;
    let jti = fresh_id("jti").map_err(problem::internal)?;
    let claims = Claims { iss: issuer(bindings), jti, ..claims };
    Ok(platform_token::mint(kind, claims, (kid, key), SystemClock.now(), seconds))
}

/// Verifies a token of one of these kinds; none if it is not good.
pub async fn verify(bindings: &Bindings, token: &str, kinds: &[TokenKind]) -> Result<Option<VerifiedToken>, Problem> {
    let Some(kid) = platform_token::key_id(token) else { return Ok(None) };
    let now = SystemClock.now();
    let mut keys = SigningKeys::load(bindings).await?;
    let is_known = keys.verifying.iter().any(|key| key.kid == kid);
    if !is_known && kid.starts_with("sig_") && now.since(keys.read_at) >= REREAD_MILLIS {
        keys = SigningKeys::reload(bindings).await?;
    }
    Ok(platform_token::verify(token, kinds, &keys.verifying, &issuer(bindings), now).ok())
}

/// The platform's `iss`.
pub fn issuer(bindings: &Bindings) -> String {
    format!("https://{}", bindings.settings.root_domain.as_str())
}

/// The place that a key's seed is sealed for.
pub fn place(kid: &str) -> SealContext<'_> {
    SealContext { owner: "platform", table: "signing_keys", column: "sealed", row: kid }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_that_was_ended_by_hand_verifies_for_ten_seconds_and_no_longer() {
        let read_at = Timestamp::from_millis(1_000_000);
        let keys = Rc::new(SigningKeys { signing: None, verifying: Vec::new(), read_at });
        KEYS_READ.with_borrow_mut(|cache| {
            cache.insert(PlatformKeySet, keys, read_at);
            assert!(cache.get(&PlatformKeySet, read_at.plus_seconds(10).plus_millis(-1)).is_some());
            assert!(cache.get(&PlatformKeySet, read_at.plus_seconds(10)).is_none());
        });
    }
}
