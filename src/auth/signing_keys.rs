//! The platform's signing keys: one signs, those before it verify until the last token they signed has ended.
//!
//! Invariants
//! - The seed of a key stands sealed in the control database and nowhere else.
//! - A token that names a key this isolate does not know makes it look again, at most once a second.

use std::cell::RefCell;
use std::rc::Rc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use ed25519_compact::{KeyPair, PublicKey, SecretKey, Seed};
use serde_json::Value;

use crate::credentials::key::fresh_id;
use crate::credentials::platform_token::{self, Claims, Kind, Verified, VerifyingKey};
use crate::http::problem::{self, Problem};
use crate::storage::bindings::{Bindings, SystemClock};
use crate::storage::control_db::ControlDb;
use crate::storage::row::row_types;
use crate::storage::sealed::{Place, random};
use crate::storage::sql::{Arg, ControlSql, StorageError};
use crate::storage::sql::{args, statements};
use domain::clock::{Clock, Timestamp};
use domain::json;

statements! { ControlSql;
    /// Every key whose tokens may still be good, the one that signs first.
    KEYS = "SELECT kid, public_key, sealed, retires_at FROM signing_keys WHERE retires_at IS NULL OR retires_at > ?1 ORDER BY retires_at IS NOT NULL, retires_at DESC";
    /// The one that signs becomes one that only verifies.
    RETIRE = "UPDATE signing_keys SET retires_at = ?1 WHERE retires_at IS NULL";
    /// A new one that signs; there is room for one.
    INSERT = "INSERT INTO signing_keys (kid, public_key, sealed, created_at) VALUES (?1, ?2, ?3, ?4)";
    /// Forgets keys whose last token has ended.
    FORGET = "DELETE FROM signing_keys WHERE retires_at <= ?1";
}

/// How long an isolate trusts what it has read, in milliseconds.
const KEPT_MILLIS: i64 = 60_000;
/// How soon it looks again for a key it does not know.
const LOOK_AGAIN_MILLIS: i64 = 1_000;
/// How long a replaced key verifies: the longest token's life, and what other isolates remember.
const RETIRE_SECONDS: i64 = 3600 + 120;

thread_local! {
    static KEPT: RefCell<Option<Rc<SigningKeys>>> = const { RefCell::new(None) };
}

row_types! {
    struct KeyRow {
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
    /// The keys, at most a minute old.
    pub async fn load(bindings: &Bindings) -> Result<Rc<Self>, Problem> {
        let now = SystemClock.now();
        let kept = KEPT.with(|kept| kept.borrow().clone());
        match kept.filter(|keys| now.since(keys.read_at) < KEPT_MILLIS) {
            Some(keys) => Ok(keys),
            None => Self::load_anew(bindings).await,
        }
    }

    /// The keys as they stand now.
    pub async fn load_anew(bindings: &Bindings) -> Result<Rc<Self>, Problem> {
        let db = ControlDb::open(bindings, "read the signing keys")?;
        let now = SystemClock.now();
        let mut rows = db.rows::<KeyRow>(&KEYS, args![now.millis()]).await?;
        if rows.first().is_none_or(|row| row.retires_at.is_some()) {
            // The first key of the platform; whoever else makes one at this moment is as good.
            match db.batch(vec![Self::fresh(bindings, now)?]).await {
                Ok(_) | Err(StorageError::Constraint(_)) => {}
                Err(error) => return Err(error.into()),
            }
            rows = db.rows::<KeyRow>(&KEYS, args![now.millis()]).await?;
        }
        let keys = Rc::new(Self::read(bindings, &rows, now)?);
        KEPT.with(|kept| *kept.borrow_mut() = Some(Rc::clone(&keys)));
        Ok(keys)
    }

    fn read(bindings: &Bindings, rows: &[KeyRow], now: Timestamp) -> Result<Self, Problem> {
        let mut keys = Self { signing: None, verifying: Vec::new(), read_at: now };
        for row in rows {
            let public = BASE64.decode(&row.public_key).ok().and_then(|bytes| PublicKey::from_slice(&bytes).ok());
            let public = public.ok_or_else(|| problem::internal("a signing key is no key"))?;
            if row.retires_at.is_none() {
                let seed = bindings.settings.keys.open(&place(&row.kid), &row.sealed).map_err(problem::internal)?;
                let seed = Seed::from_slice(&seed).map_err(|_| problem::internal("a seed is no seed"))?;
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

    /// Puts a new key in place; the one before verifies until its last token has ended.
    pub async fn rotate(
        bindings: &Bindings,
        db: &ControlDb,
        audit: (ControlSql, Vec<Arg>),
    ) -> Result<Rc<Self>, Problem> {
        let now = SystemClock.now();
        let retire = (RETIRE, args![now.plus_seconds(RETIRE_SECONDS).millis()]);
        let forget = (FORGET, args![now.millis()]);
        db.batch(vec![forget, retire, Self::fresh(bindings, now)?, audit]).await?;
        Self::load_anew(bindings).await
    }

    /// The public keys as a JWK set (RFC 7517, RFC 8037).
    pub fn jwks(&self) -> Value {
        let key = |key: &VerifyingKey| {
            json!({ "kty": "OKP", "crv": "Ed25519", "alg": "EdDSA", "use": "sig", "kid": key.kid,
                    "x": BASE64.encode(key.public.as_ref()) })
        };
        json!({ "keys": self.verifying.iter().map(key).collect::<Vec<_>>() })
    }

    /// The keys as an operator sees them.
    pub fn shown(&self) -> Vec<Value> {
        let key = |key: &VerifyingKey| json!({ "kid": key.kid, "retires_at": key.retires_at });
        self.verifying.iter().map(key).collect()
    }
}

/// Whether a token names one of our keys at all; else it is somebody else's to verify.
pub fn is_ours(token: &str) -> bool {
    platform_token::key_id(token).is_some_and(|kid| kid.starts_with("sig_"))
}

/// Signs a token: it gets issuer and id.
pub async fn mint(
    bindings: &Bindings,
    kind: Kind,
    claims: Claims,
    seconds: i64,
) -> Result<(String, Timestamp), Problem> {
    let keys = SigningKeys::load(bindings).await?;
    let (kid, key) = keys.signing.as_ref().ok_or_else(|| problem::internal("no key signs"))?;
    let jti = fresh_id("jti").map_err(problem::internal)?;
    let claims = Claims { iss: issuer(bindings), jti, ..claims };
    platform_token::mint(kind, claims, (kid, key), SystemClock.now(), seconds).map_err(problem::internal)
}

/// Verifies a token of one of these kinds; none if it is not good.
pub async fn verify(bindings: &Bindings, token: &str, kinds: &[Kind]) -> Result<Option<Verified>, Problem> {
    let Some(kid) = platform_token::key_id(token) else { return Ok(None) };
    let now = SystemClock.now();
    let mut keys = SigningKeys::load(bindings).await?;
    let is_known = keys.verifying.iter().any(|key| key.kid == kid);
    if !is_known && kid.starts_with("sig_") && now.since(keys.read_at) >= LOOK_AGAIN_MILLIS {
        keys = SigningKeys::load_anew(bindings).await?;
    }
    Ok(platform_token::verify(token, kinds, &keys.verifying, &issuer(bindings), now).ok())
}

/// The platform as `iss` names it.
pub fn issuer(bindings: &Bindings) -> String {
    format!("https://{}", bindings.settings.root_domain.as_str())
}

/// Where the seed of a key is sealed.
pub fn place(kid: &str) -> Place<'_> {
    Place { owner: "platform", table: "signing_keys", column: "sealed", row: kid }
}
