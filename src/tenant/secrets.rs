//! A tenant's secrets: sealed in the registry, opened and cached in an isolate.

use std::borrow::Borrow;
use std::cell::RefCell;
use std::rc::Rc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde::Serialize;

use crate::credentials::signature::SigningSecret;
use crate::credentials::subscriber_token::SubscriptionSecret;
use crate::credentials::webhook_secret::PREFIX;
use crate::http::problem::{self, Problem};
use crate::isolate_cache::{CacheKey, IsolateCache, KeyIdentity};
use crate::storage::bindings::{Bindings, SystemClock};
use crate::storage::control_db::ControlDb;
use crate::storage::row::FromColumn;
use crate::storage::row::row_types;
use crate::storage::sealed::{SealContext, SealKey, random};
use crate::storage::sql::{args, statements};
use crate::tenant_id::TenantId;
use domain::clock::{Clock, Timestamp};

statements! { ControlSql;
    /// The secrets of a tenant by its id; no row for one that does not exist.
    SECRETS = "SELECT s.tenant_id, s.kind, s.version, s.sealed, s.expires_at, t.data_key, t.revision FROM tenant_secrets s JOIN tenants t ON t.id = s.tenant_id WHERE s.tenant_id = ?1 AND t.status <> 'purged' ORDER BY s.version DESC";
    /// A new version of a secret.
    INSERT_SECRET = "INSERT INTO tenant_secrets (tenant_id, kind, version, sealed, created_at, expires_at) VALUES (?1, ?2, ?3, ?4, ?5, NULL)";
    /// Sets the end of all versions before ?3.
    END_GRACE = "UPDATE tenant_secrets SET expires_at = MIN(COALESCE(expires_at, ?4), ?4) WHERE tenant_id = ?1 AND kind = ?2 AND version < ?3";
    /// Deletes expired versions.
    DELETE_EXPIRED = "DELETE FROM tenant_secrets WHERE tenant_id = ?1 AND kind = ?2 AND expires_at IS NOT NULL AND expires_at <= ?3";
}

/// How long an isolate caches opened secrets, in milliseconds. Before a signature is refused, they are read again.
const CACHE_MILLIS: i64 = 60_000;
/// The least time between two reads of a tenant's secrets in an isolate, in milliseconds.
const RELOAD_MILLIS: i64 = 1000;
/// Most tenants whose secrets an isolate caches.
const MAX_TENANTS: usize = 5_000;
/// Most ids of no tenant that it caches.
const MAX_UNKNOWN: usize = 1_000;

/// An id that a request names, a tenant's or not.
#[derive(PartialEq, Eq, Hash)]
struct NamedTenant(Box<str>);

impl Borrow<str> for NamedTenant {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl CacheKey for NamedTenant {
    const IDENTITY: KeyIdentity = KeyIdentity::CheckedAgainst(
        "the versions that the tenant's hub accepts; ids are retired, and an id of no tenant is read again before it is refused",
    );
}

thread_local! {
    static TENANTS: RefCell<IsolateCache<NamedTenant, Rc<Secrets>>> = RefCell::new(IsolateCache::new(MAX_TENANTS, CACHE_MILLIS));
    // Ids of no tenant are cached too, so that they cost what known ones cost; apart, so that they crowd none out.
    static UNKNOWN: RefCell<IsolateCache<NamedTenant, Rc<Secrets>>> = RefCell::new(IsolateCache::new(MAX_UNKNOWN, CACHE_MILLIS));
    // Ids whose secrets are being read anew, or were less than a second ago.
    static RELOADS: RefCell<IsolateCache<NamedTenant, ()>> = RefCell::new(IsolateCache::new(MAX_TENANTS, RELOAD_MILLIS));
}

/// Which of a tenant's two secrets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum SecretKind {
    /// Signs webhooks from WordPress.
    Webhook,
    /// Signs subscriber tokens.
    Subscription,
}

impl SecretKind {
    /// As column and path spell it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Webhook => "webhook",
            Self::Subscription => "subscription",
        }
    }

    /// From the path.
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Webhook, Self::Subscription].into_iter().find(|kind| kind.as_str() == text)
    }

    /// A new secret of this kind: 256 bits. A webhook secret has the form of Standard Webhooks.
    pub fn generate(self) -> Result<String, Problem> {
        let bytes = random::<32>().map_err(problem::internal)?;
        Ok(match self {
            Self::Webhook => format!("{PREFIX}{}", BASE64.encode(bytes)),
            Self::Subscription => format!("subsec_{}", BASE64.encode(bytes)),
        })
    }
}

impl FromColumn for SecretKind {
    fn read(value: serde_json::Value) -> Option<Self> {
        Self::parse(value.as_str()?)
    }
}

row_types! {
    struct SecretRow {
        tenant_id: String,
        kind: SecretKind,
        version: u32,
        sealed: String,
        expires_at: Option<i64>,
        data_key: Option<String>,
        revision: i64,
    }
}

struct SecretVersion {
    kind: SecretKind,
    version: u32,
    secret: String,
    expires_at: Option<Timestamp>,
}

/// A tenant's opened secrets; empty if the id is no tenant's. Has no `Debug`, so that it is never printed.
pub struct Secrets {
    /// The tenant, if the id is one's.
    pub tenant: Option<TenantId>,
    /// The tenant's revision they were read at.
    pub revision: i64,
    read_at: Timestamp,
    key: Option<SealKey>,
    versions: Vec<SecretVersion>,
}

impl Secrets {
    /// The key that the tenant's secrets are sealed under.
    pub fn data_key(&self) -> Result<&SealKey, Problem> {
        self.key.as_ref().ok_or_else(|| problem::internal("the tenant has no data key"))
    }

    /// The webhook secrets that may sign now, newest first.
    pub fn signing(&self, now: Timestamp) -> Vec<SigningSecret<'_>> {
        self.current(SecretKind::Webhook, now)
            .map(|v| SigningSecret { version: v.version, secret: &v.secret })
            .collect()
    }

    /// The subscription secrets that may sign tokens now, newest first.
    pub fn subscription(&self, now: Timestamp) -> Vec<SubscriptionSecret<'_>> {
        self.current(SecretKind::Subscription, now)
            .map(|v| SubscriptionSecret { version: v.version, secret: &v.secret })
            .collect()
    }

    fn current(&self, kind: SecretKind, now: Timestamp) -> impl Iterator<Item = &SecretVersion> {
        self.versions.iter().filter(move |v| v.kind == kind && v.expires_at.is_none_or(|at| now < at))
    }
}

/// The secrets of the tenant of an id, at most a minute old.
pub async fn load(bindings: &Bindings, name: &str) -> Result<Rc<Secrets>, Problem> {
    match cached(name, SystemClock.now()) {
        Some(secrets) => Ok(secrets),
        None => read(bindings, name).await,
    }
}

/// Secrets before something that does not fit them is refused.
pub struct Reloaded {
    /// The secrets.
    pub secrets: Rc<Secrets>,
    /// Whether they were read since the request began; if not, less than a second ago.
    pub is_fresh: bool,
}

/// The secrets of the tenant of an id, read from the registry unless this isolate read them less than a second ago. An id
/// of no tenant costs the same. `since` is when the request began that they are to be judged by.
pub async fn reload(bindings: &Bindings, name: &str, since: Timestamp) -> Result<Reloaded, Problem> {
    let now = SystemClock.now();
    let is_due = RELOADS.with_borrow_mut(|reloads| {
        let is_due = reloads.get(name, now).is_none();
        if is_due {
            reloads.insert(NamedTenant(name.into()), (), now);
        }
        is_due
    });
    match cached(name, now).filter(|secrets| !is_due || now.since(secrets.read_at) < RELOAD_MILLIS) {
        Some(secrets) => Ok(Reloaded { is_fresh: secrets.read_at >= since, secrets }),
        None => Ok(Reloaded { secrets: read(bindings, name).await?, is_fresh: true }),
    }
}

fn cached(name: &str, now: Timestamp) -> Option<Rc<Secrets>> {
    let known = TENANTS.with_borrow_mut(|cache| cache.get(name, now).cloned());
    known.or_else(|| UNKNOWN.with_borrow_mut(|cache| cache.get(name, now).cloned()))
}

/// The same, read from the registry whatever this isolate knows: for who acts in the tenant.
pub async fn read(bindings: &Bindings, name: &str) -> Result<Rc<Secrets>, Problem> {
    let db = ControlDb::open(bindings, "open a tenant's secrets")?;
    let read_at = SystemClock.now();
    let rows = db.rows::<SecretRow>(&SECRETS, args![name]).await?;
    let tenant = rows.first().map(|row| TenantId::proven(&row.tenant_id));
    let mut secrets = Secrets {
        tenant,
        revision: rows.first().map_or(0, |row| row.revision),
        read_at,
        key: None,
        versions: Vec::new(),
    };
    if let Some(wrapped) = rows.first().and_then(|row| row.data_key.as_deref()) {
        let key = bindings.settings.keys.unwrap(name, wrapped).map_err(problem::internal)?;
        for row in &rows {
            let secret = open(&key, row).ok_or_else(|| problem::internal("a secret does not open"))?;
            let expires_at = row.expires_at.map(Timestamp::from_millis);
            secrets.versions.push(SecretVersion { kind: row.kind, version: row.version, secret, expires_at });
        }
        secrets.key = Some(key);
    }
    let secrets = Rc::new(secrets);
    let (cache, other) = if secrets.tenant.is_some() { (&TENANTS, &UNKNOWN) } else { (&UNKNOWN, &TENANTS) };
    other.with_borrow_mut(|cache| cache.take(name));
    cache.with_borrow_mut(|cache| cache.insert(NamedTenant(name.into()), Rc::clone(&secrets), read_at));
    Ok(secrets)
}

/// Drops a tenant's secrets from this isolate's cache: they have just changed.
pub fn forget(tenant: &TenantId) {
    let now = SystemClock.now();
    for cache in [&TENANTS, &UNKNOWN] {
        cache.with_borrow_mut(|cache| cache.forget(tenant.as_str(), now));
    }
    RELOADS.with_borrow_mut(|reloads| reloads.take(tenant.as_str()));
}

/// Drops a tenant's secrets from this isolate's cache if they were read before this revision of the tenant.
pub fn forget_before(tenant: &TenantId, revision: i64) {
    let now = SystemClock.now();
    TENANTS.with_borrow_mut(|cache| {
        if cache.get(tenant.as_str(), now).is_some_and(|secrets| secrets.revision < revision) {
            cache.forget(tenant.as_str(), now);
            RELOADS.with_borrow_mut(|reloads| reloads.take(tenant.as_str()));
        }
    });
}

/// Seals a version of a secret for its row.
pub fn seal(key: &SealKey, tenant: &str, kind: SecretKind, version: u32, secret: &str) -> Result<String, Problem> {
    let row = row_id(kind, version);
    let place = SealContext { owner: tenant, table: "tenant_secrets", column: "sealed", row: &row };
    key.seal(&place, secret.as_bytes()).map_err(problem::internal)
}

fn open(key: &SealKey, row: &SecretRow) -> Option<String> {
    let id = row_id(row.kind, row.version);
    let place = SealContext { owner: &row.tenant_id, table: "tenant_secrets", column: "sealed", row: &id };
    String::from_utf8(key.open(&place, &row.sealed).ok()?).ok()
}

fn row_id(kind: SecretKind, version: u32) -> String {
    format!("{}:{version}", kind.as_str())
}
