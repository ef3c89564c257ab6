//! How a tenant changes: one CONTROL batch, then the shard's fence, the hub, KV.
//!
//! Invariants
//! - The batch holds the row, `revision + 1`, the audit and a `pending_changes` row: after it, the
//!   change will happen, whatever crashes.
//! - Every later step is idempotent and carries the revision; fence and hub ignore lower ones.
//! - What is sent is the tenant as it stands, never a remembered step, so steps may be repeated,
//!   skipped by a later change, or run by two at once.

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
    /// Takes the next revision, if the tenant still has the one that was read. A CHECK of the batch follows.
    BUMP = "UPDATE tenants SET revision = revision + 1, updated_at = ?3 WHERE id = ?1 AND revision = ?2";
    /// Fails the batch unless the tenant has the revision it should have by now: `pending_changes.revision` takes no NULL.
    PEND = "INSERT INTO pending_changes (tenant_id, revision, hosts, created_at, templates) VALUES (?1, (SELECT revision FROM tenants WHERE id = ?1 AND revision = ?2), ?3, ?4, ?5)";
    /// What was done, by whom.
    AUDIT = "INSERT INTO platform_audit (at, actor, operation, tenant_id, revision, request_id) VALUES (?1, ?2, ?3, ?4, ?5, ?6)";
    /// The changes of a tenant that are still on their way.
    PENDING_OF = "SELECT hosts, templates, created_at FROM pending_changes WHERE tenant_id = ?1 AND revision <= ?2";
    /// The change arrived everywhere.
    ARRIVED = "DELETE FROM pending_changes WHERE tenant_id = ?1 AND revision <= ?2";
    /// Tenants with changes that a crash may have left behind, oldest first.
    LEFT_BEHIND = "SELECT tenant_id FROM pending_changes WHERE created_at <= ?1 ORDER BY created_at LIMIT 50";
    /// What is left of a purged tenant in the registry: its name alone.
    FORGET_SECRETS = "DELETE FROM tenant_secrets WHERE tenant_id = ?1";
    /// The data key goes last: from here on nothing sealed under it can be opened.
    FORGET_DATA_KEY = "UPDATE tenants SET data_key = NULL, display_name = '', admin_email = NULL, wpgraphql_endpoint = NULL, features = '{}', resources = '{}', cors_origins = '[]', rate_limits = '{}', settings = '{}', branding = '{}' WHERE id = ?1 AND status = 'purged'";
    /// Who may enter the tenant from the platform.
    FORGET_GRANTS = "DELETE FROM operator_grants WHERE tenant_id = ?1";
    /// Answers that nobody may ask for again.
    FORGET_ANSWERS = "DELETE FROM idempotency_keys WHERE created_at <= ?1";
    /// Domains that may be attached again.
    FORGET_RELEASED = "DELETE FROM released_domains WHERE released_at <= ?1";
}

/// Seconds before a host that was let go can be taken again.
pub const RELEASED_SECONDS: i64 = 600;

/// The steps behind the batch, in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    Control,
    Fence,
    Hub,
    Kv,
}

impl Step {
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

    struct TenantRow {
        tenant_id: String,
    }
}

/// A change on its way into the registry.
pub struct Change<'a> {
    /// The deployment.
    pub bindings: &'a Bindings,
    /// The tenant's id.
    pub tenant: &'a str,
    /// The revision it was read at; 0 for a new tenant.
    pub revision: i64,
    /// Who does it, for the audit.
    pub actor: String,
    /// The operation's name, for the audit.
    pub operation: &'static str,
    /// The request's id, for the audit.
    pub request_id: &'a str,
    /// Whether the request named the revision it is for.
    pub is_conditional: bool,
    /// Hosts it has now or gets: their hints fall.
    pub hosts: Vec<String>,
    /// Templates of which a new tenant gets its first collections.
    pub templates: Vec<String>,
}

impl Change<'_> {
    /// Writes the change: what is given, with revision, audit and pending row, in one transaction.
    ///
    /// Fails with 412 or 409 when the tenant changed since it was read, and as `conflict` says when a
    /// constraint of the given statements does not hold.
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
            args![now.millis(), self.actor.as_str(), self.operation, self.tenant, next, self.request_id],
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

    /// Carries the change to shard, hub and KV; true once all of them have it. What fails stays pending.
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

/// Makes a new tenant's first collections by the names of templates, as of a time in milliseconds since 1970. Handed in:
/// collections are the matter of a room above this one.
pub trait Provision: AsyncFn(&TenantDb, &[String], i64) -> Result<(), Problem> {}

impl<F: AsyncFn(&TenantDb, &[String], i64) -> Result<(), Problem>> Provision for F {}

/// Brings shard, hub and KV to the tenant's revision. Idempotent.
async fn apply(bindings: &Bindings, db: &ControlDb, id: &str, provision: &impl Provision) -> Result<(), Problem> {
    let Some(tenant) = Tenant::find_to_apply(db, id).await? else { return Ok(()) };
    let revision = tenant.row.revision;
    reached(bindings, Step::Control)?;
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
    reached(bindings, Step::Fence)?;
    let hub = HubClient::of(bindings, &tenant.id).map_err(problem::unavailable)?;
    if tenant.row.status == Status::Purged {
        rows.purge().await?;
        Bucket::open(bindings)?.purge(&tenant.id).await?;
        hub.call(&Purge {}).await.map_err(problem::unavailable)?;
    } else {
        hub.call(&Configure { config: tenant.config(bindings)? }).await.map_err(problem::unavailable)?;
    }
    reached(bindings, Step::Hub)?;
    secrets::forget(&tenant.id);
    tenant_state::forget(&tenant.id);
    for host in hosts(&pending) {
        kv::forget_host(bindings, &host).await.map_err(problem::unavailable)?;
        resolve::forget(&host);
    }
    reached(bindings, Step::Kv)?;
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

/// Finishes what crashes left behind, and forgets what is out of date. Run by cron each minute.
pub async fn finish_left_behind(bindings: &Bindings, provision: impl Provision) -> Result<usize, Problem> {
    let db = ControlDb::open(bindings, "finish changes left behind")?;
    let now = SystemClock.now();
    let mut tenants = db.rows::<TenantRow>(&LEFT_BEHIND, args![now.millis()]).await?;
    tenants.dedup_by(|a, b| a.tenant_id == b.tenant_id);
    let mut finished = 0;
    for TenantRow { tenant_id } in &tenants {
        match apply(bindings, &db, tenant_id, &provision).await {
            Ok(()) => finished += 1,
            Err(problem) => log::pending_change(tenant_id, problem.code, problem.cause.as_deref()),
        }
    }
    let ago = |now: Timestamp, seconds: i64| now.plus_seconds(-seconds).millis();
    db.batch(vec![(FORGET_ANSWERS, args![ago(now, 24 * 3600)]), (FORGET_RELEASED, args![ago(now, RELEASED_SECONDS)])])
        .await?;
    Ok(finished)
}

/// Makes a new tenant's first collections, for which its fence must be open.
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

/// Stops here where the deployment asks for it, as a crash would; so tests can crash between any two steps.
fn reached(bindings: &Bindings, step: Step) -> Result<(), Problem> {
    match bindings.settings.fault_after.as_deref() {
        Some(fault) if fault == step.as_str() => Err(problem::unavailable(format!("stopped after step {fault}"))),
        _ => Ok(()),
    }
}
