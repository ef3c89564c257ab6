//! A tenant's secrets: sealed in the registry, opened in an isolate, never shown again.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde::Serialize;

use crate::credentials::signature::SigningSecret;
use crate::credentials::subscriber_token::SubscriptionSecret;
use crate::http::problem::{self, Problem};
use crate::storage::bindings::{Bindings, SystemClock};
use crate::storage::control_db::ControlDb;
use crate::storage::row::Column;
use crate::storage::row::row_types;
use crate::storage::sealed::{Place, SealKey, random};
use crate::storage::sql::{args, statements};
use crate::tenant_id::TenantId;
use domain::clock::{Clock, Timestamp};

statements! { ControlSql;
    /// The secrets of a tenant that somebody names; nothing for a tenant that is not served from here.
    SECRETS = "SELECT s.tenant_id, s.kind, s.version, s.sealed, s.expires_at, t.data_key, t.revision FROM tenant_secrets s JOIN tenants t ON t.id = s.tenant_id WHERE s.tenant_id = ?1 AND t.status <> 'purged' ORDER BY s.version DESC";
    /// A new version of a secret.
    INSERT_SECRET = "INSERT INTO tenant_secrets (tenant_id, kind, version, sealed, created_at, expires_at) VALUES (?1, ?2, ?3, ?4, ?5, NULL)";
    /// Ends the grace of what is not the newest version.
    END_GRACE = "UPDATE tenant_secrets SET expires_at = MIN(COALESCE(expires_at, ?4), ?4) WHERE tenant_id = ?1 AND kind = ?2 AND version < ?3";
    /// Takes away what nobody accepts any more.
    DELETE_EXPIRED = "DELETE FROM tenant_secrets WHERE tenant_id = ?1 AND kind = ?2 AND expires_at IS NOT NULL AND expires_at <= ?3";
}

/// How long an isolate keeps opened secrets without asking again, in milliseconds. A signature that
/// does not verify always asks again first.
const KEPT_MILLIS: i64 = 60_000;
/// Most tenants an isolate keeps secrets of.
const MAX_KEPT: usize = 5_000;

thread_local! {
    static KEPT: RefCell<HashMap<Box<str>, Kept>> = RefCell::new(HashMap::new());
}

/// Opened secrets, and until when they are good without asking again.
type Kept = (Rc<Secrets>, Timestamp);

/// The two secrets of a tenant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// WordPress → Carillon.
    Webhook,
    /// Subscriber tokens.
    Subscription,
}

impl Kind {
    /// As the column and the path hold it.
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

    /// A fresh secret of this kind: 256 bits. A webhook secret is one that Standard Webhooks knows.
    pub fn generate(self) -> Result<String, Problem> {
        let bytes = random::<32>().map_err(problem::internal)?;
        Ok(match self {
            Self::Webhook => format!("whsec_{}", BASE64.encode(bytes)),
            Self::Subscription => format!("subsec_{}", BASE64.encode(bytes)),
        })
    }
}

impl Column for Kind {
    fn read(value: serde_json::Value) -> Option<Self> {
        Self::parse(value.as_str()?)
    }
}

row_types! {
    struct SecretRow {
        tenant_id: String,
        kind: Kind,
        version: u32,
        sealed: String,
        expires_at: Option<i64>,
        data_key: Option<String>,
        revision: i64,
    }
}

struct Version {
    kind: Kind,
    version: u32,
    secret: String,
    expires_at: Option<Timestamp>,
}

/// A tenant's opened secrets; without a tenant there are none. Has no `Debug`: it is never printed.
pub struct Secrets {
    /// The tenant, if the name is one's.
    pub tenant: Option<TenantId>,
    /// The tenant's revision they were read at.
    pub revision: i64,
    key: Option<SealKey>,
    versions: Vec<Version>,
}

impl Secrets {
    /// The key that the tenant's secrets are sealed under.
    pub fn data_key(&self) -> Result<&SealKey, Problem> {
        self.key.as_ref().ok_or_else(|| problem::internal("the tenant has no data key"))
    }

    /// The webhook secrets that may sign now, newest first.
    pub fn signing(&self, now: Timestamp) -> Vec<SigningSecret<'_>> {
        self.current(Kind::Webhook, now).map(|v| SigningSecret { version: v.version, secret: &v.secret }).collect()
    }

    /// The subscription secrets that may sign tokens now, newest first.
    pub fn subscription(&self, now: Timestamp) -> Vec<SubscriptionSecret<'_>> {
        self.current(Kind::Subscription, now)
            .map(|v| SubscriptionSecret { version: v.version, secret: &v.secret })
            .collect()
    }

    fn current(&self, kind: Kind, now: Timestamp) -> impl Iterator<Item = &Version> {
        self.versions.iter().filter(move |v| v.kind == kind && v.expires_at.is_none_or(|at| now < at))
    }
}

/// The secrets of the tenant that somebody names: from memory, or from the registry.
pub async fn load(bindings: &Bindings, name: &str) -> Result<Rc<Secrets>, Problem> {
    let now = SystemClock.now();
    let kept = KEPT.with(|kept| kept.borrow().get(name).filter(|(_, until)| now < *until).map(|(s, _)| Rc::clone(s)));
    match kept {
        Some(secrets) => Ok(secrets),
        None => load_anew(bindings, name).await,
    }
}

/// The secrets of the tenant that somebody names, from the registry. An unknown name costs the same.
pub async fn load_anew(bindings: &Bindings, name: &str) -> Result<Rc<Secrets>, Problem> {
    let db = ControlDb::open(bindings, "open a tenant's secrets")?;
    let rows = db.rows::<SecretRow>(&SECRETS, args![name]).await?;
    let tenant = rows.first().map(|row| TenantId::proven(&row.tenant_id));
    let mut secrets =
        Secrets { tenant, revision: rows.first().map_or(0, |row| row.revision), key: None, versions: Vec::new() };
    if let Some(wrapped) = rows.first().and_then(|row| row.data_key.as_deref()) {
        let key = bindings.settings.keys.unwrap(name, wrapped).map_err(problem::internal)?;
        for row in &rows {
            let secret = open(&key, row).ok_or_else(|| problem::internal("a secret does not open"))?;
            let expires_at = row.expires_at.map(Timestamp::from_millis);
            secrets.versions.push(Version { kind: row.kind, version: row.version, secret, expires_at });
        }
        secrets.key = Some(key);
    }
    let secrets = Rc::new(secrets);
    let now = SystemClock.now();
    // Unknown names are kept too, so that they cost what known ones cost; they must not crowd those out.
    KEPT.with(|kept| {
        let mut kept = kept.borrow_mut();
        if kept.len() >= MAX_KEPT {
            kept.retain(|_, (secrets, until)| now < *until && secrets.tenant.is_some());
        }
        if kept.len() < MAX_KEPT {
            kept.insert(name.into(), (Rc::clone(&secrets), now.plus_millis(KEPT_MILLIS)));
        }
    });
    Ok(secrets)
}

/// Forgets a tenant's secrets in this isolate: they have just changed.
pub fn forget(tenant: &TenantId) {
    KEPT.with(|kept| kept.borrow_mut().remove(tenant.as_str()));
}

/// Seals a version of a secret for its row.
pub fn seal(key: &SealKey, tenant: &str, kind: Kind, version: u32, secret: &str) -> Result<String, Problem> {
    let row = row_id(kind, version);
    let place = Place { owner: tenant, table: "tenant_secrets", column: "sealed", row: &row };
    key.seal(&place, secret.as_bytes()).map_err(problem::internal)
}

fn open(key: &SealKey, row: &SecretRow) -> Option<String> {
    let id = row_id(row.kind, row.version);
    let place = Place { owner: &row.tenant_id, table: "tenant_secrets", column: "sealed", row: &id };
    String::from_utf8(key.open(&place, &row.sealed).ok()?).ok()
}

fn row_id(kind: Kind, version: u32) -> String {
    format!("{}:{version}", kind.as_str())
}
