//! How a tenant changes: one CONTROL batch, then the shard's fence, the hub, KV.
//!
//! Invariants
//! - The batch writes the row, `revision + 1`, the audit entry and a row of `pending_changes`: after it, the change will
//!   happen, whatever crashes.
//! - Every later step is idempotent and carries the revision; fence and hub ignore lower ones.
//! - Each step sends the tenant's current state, never a stored step, so steps may be repeated, skipped by a later change,
//!   or run twice at the same time.

use serde_json::Value;

use super::domains::RELEASED_SECONDS;
use super::record::Status;
use super::registry::Tenant;
use super::{resolve, secrets, tenant_state};
use crate::http::problem::{self, Problem};
use crate::hub::client::HubClient;
use crate::hub::protocol::{Configure, Purge};
use crate::log;
use crate::storage::bindings::{Bindings, SystemClock};
use crate::storage::control_db::ControlDb;
use crate::storage::kv;
use crate::storage::r2::Bucket;
use crate::storage::row::row_types;
use crate::storage::sql::{Arg, ControlSql, StorageError};
use crate::storage::sql::{args, statements};
use crate::storage::tenant_db::{FenceMode, TenantDb};
use domain::clock::{Clock, Timestamp};
use domain::host::Host;

statements! { ControlSql;
    /// Takes the next revision, if the tenant still has the one that was read; PEND fails otherwise.
    BUMP = "UPDATE tenants SET revision = revision + 1, updated_at = ?3 WHERE id = ?1 AND revision = ?2";
    /// Marks the change as pending; fails the batch unless the tenant has this revision, because the column takes no NULL.
    PEND = "INSERT INTO pending_changes (tenant_id, revision, hosts, created_at, templates) VALUES (?1, (SELECT revision FROM tenants WHERE id = ?1 AND revision = ?2), ?3, ?4, ?5)";
    /// What was done, by whom.
    AUDIT = "INSERT INTO platform_audit (at, actor, operation, tenant_id, revision, request_id, detail) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)";
    /// A tenant's pending changes.
    PENDING_OF = "SELECT hosts, templates, created_at FROM pending_changes WHERE tenant_id = ?1 AND revision <= ?2";
    /// The changes have reached every store.
    ARRIVED = "DELETE FROM pending_changes WHERE tenant_id = ?1 AND revision <= ?2";
    /// Tenants with pending changes, oldest first.
    PENDING = "SELECT tenant_id FROM pending_changes WHERE created_at <= ?1 ORDER BY created_at LIMIT 50";
    /// Deletes a purged tenant's secrets.
    FORGET_SECRETS = "DELETE FROM tenant_secrets WHERE tenant_id = ?1";
    /// Deletes a purged tenant's data key, last, and its profile: from now on nothing sealed under the key can be opened.
    FORGET_DATA_KEY = "UPDATE tenants SET data_key = NULL, display_name = '', admin_email = NULL, wpgraphql_endpoint = NULL, features = '{}', resources = '{}', cors_origins = '[]', rate_limits = '{}', settings = '{}', branding = '{}' WHERE id = ?1 AND status = 'purged'";
    /// Deletes operators' grants of a tenant.
    FORGET_GRANTS = "DELETE FROM operator_grants WHERE tenant_id = ?1";
    /// Deletes stored responses that have expired.
    FORGET_RESPONSES = "DELETE FROM idempotency_keys WHERE created_at <= ?1";
    /// Deletes released domains that may be attached again.
    FORGET_RELEASED = "DELETE FROM released_domains WHERE released_at <= ?1";
}

/// The batch and the steps after it, in order; for fault injection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ChangeStep {
    Control,
    Fence,
    Hub,
    Kv,
}

impl ChangeStep {
    fn as_str(self) -> &'static str {
        match self {
            Self::Control => "control",
            Self::Fence => "fence",
            Self::Hub => "hub",
            Self::Kv => "kv",
        }
    }
}

row_types! {
    struct PendingRow {
        hosts: String,
        templates: String,
        created_at: i64,
    }

    struct PendingTenantRow {
        tenant_id: String,
    }
}

/// A change of a tenant.
pub struct TenantChange<'a> {
    /// The deployment.
    pub bindings: &'a Bindings,
    /// The tenant's id.
    pub tenant: &'a str,
    /// The revision it was read at; 0 for a new tenant.
    pub revision: i64,
    /// The actor, for the audit log.
    pub actor: String,
    /// The operation, for the audit log.
    pub operation: &'static str,
    /// The request's id, for the audit log.
    pub request_id: &'a str,
    /// Whether the request had an `If-Match`.
    pub is_conditional: bool,
    /// Hosts that the tenant has or gets: their cached tenants are dropped.
    pub hosts: Vec<String>,
    /// The templates that a new tenant's first collections are made from.
    pub templates: Vec<String>,
    /// What the operation was about, beyond its name, for the audit log.
    pub detail: Option<Value>,
}

impl TenantChange<'_> {
    /// Writes the change: these statements, the revision, the audit entry and the pending row, in one transaction.
    ///
    /// 412 or 409 if the tenant changed since it was read; `conflict` gives the problem of another constraint that does
    /// not hold.
    pub async fn write(
        &self,
        db: &ControlDb,
        statements: Vec<(ControlSql, Vec<Arg>)>,
        conflict: impl FnOnce(&str) -> Problem,
    ) -> Result<(), Problem> {
        let now = SystemClock.now();
        let mut batch = Vec::with_capacity(statements.len() + 3);
        let next = if self.revision == 0 { 1 } else { self.revision + 1 };
        if self.revision > 0 {
            batch.push((BUMP, args![self.tenant, self.revision, now.millis()]));
        }
        batch.extend(statements);
        let hosts = serde_json::to_string(&self.hosts).map_err(problem::internal)?;
        let templates = serde_json::to_string(&self.templates).map_err(problem::internal)?;
        batch.push((PEND, args![self.tenant, next, hosts, now.millis(), templates]));
        batch.push((
            AUDIT,
            args![
                now.millis(),
                self.actor.as_str(),
                self.operation,
                self.tenant,
                next,
                self.request_id,
                self.detail.as_ref().map(Value::to_string)
            ],
        ));
        match db.batch(batch).await {
            Ok(_) => Ok(()),
            Err(StorageError::Constraint(text)) if text.contains("pending_changes") => {
                Err(if self.is_conditional { problem::precondition_failed() } else { problem::changed_meanwhile() })
            }
            Err(StorageError::Constraint(text)) => Err(conflict(&text)),
            Err(error) => Err(error.into()),
        }
    }

    /// Brings the change to shard, hub and KV; true once all of them have it. What fails stays pending.
    pub async fn carry(&self, db: &ControlDb, provision: impl Provision) -> Result<bool, Problem> {
        match apply(self.bindings, db, self.tenant, &provision).await {
            Ok(()) => Ok(true),
            Err(problem) if self.bindings.settings.fault_after.is_some() => Err(problem),
            Err(problem) => {
                log::pending_change(self.tenant, problem.code, problem.cause.as_deref());
                Ok(false)
            }
        }
    }
}

/// Makes a new tenant's first collections from templates, by their names, as of a time in milliseconds since 1970. Handed
/// in, because collections belong to a room above this one.
pub trait Provision: AsyncFn(&TenantDb, &[String], i64) -> Result<(), Problem> {}

impl<F: AsyncFn(&TenantDb, &[String], i64) -> Result<(), Problem>> Provision for F {}

/// Brings shard, hub and KV to the tenant's current revision. Idempotent.
async fn apply(bindings: &Bindings, db: &ControlDb, id: &str, provision: &impl Provision) -> Result<(), Problem> {
    let Some(tenant) = Tenant::find_to_apply(db, id).await? else { return Ok(()) };
    let revision = tenant.row.revision;
    reached(bindings, ChangeStep::Control)?;
    let mode = match tenant.row.status {
        Status::Active => FenceMode::ReadWrite,
        Status::Suspended => FenceMode::ReadOnly,
        Status::Deleted | Status::Purged => FenceMode::Off,
    };
    let rows = TenantDb::open(bindings, &tenant.id, &tenant.placement())?;
    let pending = db.rows::<PendingRow>(&PENDING_OF, args![id, revision]).await?;
    if mode != FenceMode::Off {
        begin(&rows, revision, &pending, provision).await?;
    }
    rows.set_fence(mode, revision).await?;
    reached(bindings, ChangeStep::Fence)?;
    let hub = HubClient::of(bindings, &tenant.id).map_err(problem::unavailable)?;
    if tenant.row.status == Status::Purged {
        rows.purge().await?;
        Bucket::open(bindings)?.purge(&tenant.id).await?;
        hub.call(&Purge {}).await.map_err(problem::unavailable)?;
    } else {
        hub.call(&Configure { config: tenant.config(bindings)? }).await.map_err(problem::unavailable)?;
    }
    reached(bindings, ChangeStep::Hub)?;
    secrets::forget(&tenant.id);
    tenant_state::outdated(&tenant.id, revision);
    for host in hosts(&pending) {
        kv::forget_host(bindings, &host).await.map_err(problem::unavailable)?;
        resolve::forget(&host);
    }
    reached(bindings, ChangeStep::Kv)?;
    if tenant.row.status == Status::Purged {
        let forget = vec![
            (FORGET_SECRETS, args![id]),
            (FORGET_GRANTS, args![id]),
            (FORGET_DATA_KEY, args![id]),
            (ARRIVED, args![id, revision]),
        ];
        db.batch(forget).await?;
    } else {
        db.batch(vec![(ARRIVED, args![id, revision])]).await?;
    }
    Ok(())
}

/// Finishes pending changes, and deletes expired rows; how many tenants were finished. Run by cron each minute.
pub async fn finish_stale(bindings: &Bindings, provision: impl Provision) -> Result<usize, Problem> {
    let db = ControlDb::open(bindings, "finish pending changes")?;
    let now = SystemClock.now();
    let mut tenants = db.rows::<PendingTenantRow>(&PENDING, args![now.millis()]).await?;
    tenants.dedup_by(|a, b| a.tenant_id == b.tenant_id);
    let mut finished = 0;
    for PendingTenantRow { tenant_id } in &tenants {
        match apply(bindings, &db, tenant_id, &provision).await {
            Ok(()) => finished += 1,
            Err(problem) => log::pending_change(tenant_id, problem.code, problem.cause.as_deref()),
        }
    }
    let ago = |now: Timestamp, seconds: i64| now.plus_seconds(-seconds).millis();
    db.batch(vec![
        (FORGET_RESPONSES, args![ago(now, 24 * 3600)]),
        (FORGET_RELEASED, args![ago(now, RELEASED_SECONDS)]),
    ])
    .await?;
    Ok(finished)
}

/// Makes a new tenant's first collections; its fence must be open for that.
async fn begin(
    rows: &TenantDb,
    revision: i64,
    pending: &[PendingRow],
    provision: &impl Provision,
) -> Result<(), Problem> {
    for row in pending {
        let templates: Vec<String> = serde_json::from_str(&row.templates).map_err(problem::internal)?;
        if !templates.is_empty() {
            rows.set_fence(FenceMode::ReadWrite, revision).await?;
            provision(rows, &templates, row.created_at).await?;
        }
    }
    Ok(())
}

fn hosts(pending: &[PendingRow]) -> Vec<Host> {
    let names = pending.iter().flat_map(|row| serde_json::from_str::<Vec<String>>(&row.hosts).unwrap_or_default());
    names.filter_map(|name| Host::parse(&name).ok()).collect()
}

/// Fails after this step if `FAULT_AFTER` names it, so that tests can crash between any two steps.
fn reached(bindings: &Bindings, step: ChangeStep) -> Result<(), Problem> {
    match bindings.settings.fault_after.as_deref() {
        Some(fault) if fault == step.as_str() => Err(problem::unavailable(format!("stopped after step {fault}"))),
        _ => Ok(()),
    }
}
