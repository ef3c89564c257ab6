//! How a tenant changes: one CONTROL batch, then the shard's fence, the hub, KV.
//!
//! Invariants
//! - The batch writes the row, `revision + 1`, the audit entry and a row of `pending_changes`: after it, the change will
//!   happen, whatever crashes.
//! - Every later step is idempotent and carries the revision; fence and hub ignore lower ones.
//! - Each step sends the tenant's current state, never a stored step, so steps may be repeated, skipped by a later change,
//!   or run twice at the same time.
//! - Cron carries those first that wait longest, a few at a time, each within a limit; a tenant that fails waits longer each
//!   time. So a store or a hub that does not answer for one tenant delays no other.

use std::cell::RefCell;
use std::collections::VecDeque;

use futures_util::future::join_all;
use serde_json::Value;

use super::domains::RELEASED_SECONDS;
use super::record::Status;
use super::registry::Tenant;
use super::{resolve, secrets, tenant_state, turns};
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
use domain::turns::{Next, Outcome, Run, choose};

statements! { ControlSql;
    /// Takes the next revision, if the tenant still has the one that was read; PEND fails otherwise.
    BUMP = "UPDATE tenants SET revision = revision + 1, updated_at = ?3 WHERE id = ?1 AND revision = ?2";
    /// Marks the change as pending; fails the batch unless the tenant has this revision, because the column takes no NULL.
    PEND = "INSERT INTO pending_changes (tenant_id, revision, hosts, created_at, templates, next_at) VALUES (?1, (SELECT revision FROM tenants WHERE id = ?1 AND revision = ?2), ?3, ?4, ?5, ?4)";
    /// What was done, by whom.
    AUDIT = "INSERT INTO platform_audit (at, actor, operation, tenant_id, revision, request_id, detail) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)";
    /// A tenant's pending changes.
    PENDING_OF = "SELECT hosts, templates, created_at FROM pending_changes WHERE tenant_id = ?1 AND revision <= ?2";
    /// The changes have reached every store.
    ARRIVED = "DELETE FROM pending_changes WHERE tenant_id = ?1 AND revision <= ?2";
    /// Tenants with pending changes that are due, those first that wait longest: that have failed (?2 is 1), or that have not.
    PENDING = "SELECT tenant_id, max(failures) AS failures FROM pending_changes WHERE next_at <= ?1 GROUP BY +tenant_id HAVING (max(failures) > 0) = ?2 ORDER BY min(next_at) LIMIT 50";
    /// When a tenant's changes are carried next.
    POSTPONE = "UPDATE pending_changes SET next_at = ?2, failures = ?3 WHERE tenant_id = ?1";
    /// Deletes a purged tenant's secrets.
    FORGET_SECRETS = "DELETE FROM tenant_secrets WHERE tenant_id = ?1";
    /// Deletes a purged tenant's data key, last, and its profile: from now on nothing sealed under the key can be opened.
    FORGET_DATA_KEY = "UPDATE tenants SET data_key = NULL, display_name = '', admin_email = NULL, wpgraphql_endpoint = NULL, features = '{}', resources = '{}', cors_origins = '[]', rate_limits = '{}', settings = '{}', branding = '{}' WHERE id = ?1 AND status = 'purged'";
    /// Deletes operators' grants of a tenant.
    FORGET_GRANTS = "DELETE FROM operator_grants WHERE tenant_id = ?1";
    /// Deletes some stored responses that have expired.
    FORGET_RESPONSES = "DELETE FROM idempotency_keys WHERE (scope, key_digest) IN (SELECT scope, key_digest FROM idempotency_keys WHERE created_at <= ?1 LIMIT 500)";
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
        failures: i64,
    }
}

/// Most tenants that one run of cron carries changes of, and how many at one time. The runtime opens six connections.
const MOST: usize = 50;
const AT_ONCE: usize = 3;
/// The longest that it carries those of one tenant, and that a request carries its own, in milliseconds.
const LIMIT_MILLIS: u64 = 10_000;
const REQUEST_MILLIS: u64 = 25_000;

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
        match turns::within(REQUEST_MILLIS, apply(self.bindings, db, self.tenant, &provision)).await {
            Ok(outcome) => Ok(outcome == Outcome::Done),
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

/// Brings shard, hub and KV to the tenant's current revision. Idempotent. A purge may need several calls.
async fn apply(bindings: &Bindings, db: &ControlDb, id: &str, provision: &impl Provision) -> Result<Outcome, Problem> {
    let Some(tenant) = Tenant::find_to_apply(db, id).await? else { return Ok(Outcome::Done) };
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
        if !rows.purge().await? {
            return Ok(Outcome::More);
        }
        Bucket::open(bindings)?.purge(&tenant.id).await?;
        hub.call(&Purge {}).await.map_err(problem::unavailable)?;
    } else {
        hub.call(&Configure { config: tenant.config(bindings)? }).await.map_err(problem::unavailable)?;
        if mode == FenceMode::ReadWrite {
            turns::retry_all(&rows).await?;
        }
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
    Ok(Outcome::Done)
}

/// Finishes pending changes that are due, and deletes expired rows; how many tenants were finished. Run by cron each
/// minute.
pub async fn finish_stale(bindings: &Bindings, run: &Run, provision: impl Provision) -> Result<u64, Problem> {
    let db = ControlDb::open(bindings, "finish pending changes")?;
    let now = SystemClock.now();
    let failed = db.rows::<PendingTenantRow>(&PENDING, args![now.millis(), 1_i64]).await?;
    let others = db.rows::<PendingTenantRow>(&PENDING, args![now.millis(), 0_i64]).await?;
    let queue = RefCell::new(VecDeque::from(choose(failed, others, MOST)));
    let lane = async || {
        let mut finished = 0;
        while run.has_time(SystemClock.now()) {
            let next = queue.borrow_mut().pop_front();
            let Some(pending) = next else { break };
            finished += u64::from(finish(bindings, &db, &pending, &provision).await);
        }
        finished
    };
    let finished = join_all((0..AT_ONCE).map(|_| lane())).await.into_iter().sum();
    let ago = |now: Timestamp, seconds: i64| now.plus_seconds(-seconds).millis();
    db.batch(vec![
        (FORGET_RESPONSES, args![ago(now, 24 * 3600)]),
        (FORGET_RELEASED, args![ago(now, RELEASED_SECONDS)]),
    ])
    .await?;
    Ok(finished)
}

/// Carries a tenant's pending changes; true once every store has them. Otherwise notes when to go on.
async fn finish(bindings: &Bindings, db: &ControlDb, pending: &PendingTenantRow, provision: &impl Provision) -> bool {
    let id = pending.tenant_id.as_str();
    let carried = async {
        turns::stall(bindings, id).await;
        apply(bindings, db, id, provision).await
    };
    let outcome = turns::within(LIMIT_MILLIS, carried).await.unwrap_or_else(|problem| {
        log::pending_change(id, problem.code, problem.cause.as_deref());
        Outcome::Failed
    });
    let failures = u32::try_from(pending.failures).unwrap_or(u32::MAX);
    if let Next::At { due, failures } = outcome.next(id, failures, SystemClock.now()) {
        let postponed = db.batch(vec![(POSTPONE, args![id, due.millis(), i64::from(failures)])]).await;
        if let Err(error) = postponed {
            log::fault("cron", &error.to_string());
        }
    }
    outcome == Outcome::Done
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
