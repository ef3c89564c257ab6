//! Delivery of changed records: notifies the tenant's hub, which reads the outbox itself.
//!
//! A request that commits a change notifies the hub after its response; cron notifies it again of changes that still wait.
//! A request that hides or deletes a collection waits for the hub: no stream hears of the collection as it was once the
//! request is answered. If the hub does not answer, the response says `pending`, and cron brings it about.

use crate::http::problem::Problem;
use crate::http::request::Background;
use crate::hub::protocol::{Drain, LearnCollections, Refusal};
use crate::log;
use crate::storage::bindings::{Bindings, SystemClock};
use crate::storage::row::row_types;
use crate::storage::sql::{args, statements};
use crate::tenant::tenant_state::{self, HubError};
use crate::tenant::turns::{BackgroundWork, rows_of, serve_due, stall};
use crate::tenant_id::TenantId;
use domain::clock::{Clock, Timestamp};
use domain::turns::{Outcome, Run};

statements! { TenantSql;
    /// A change that waits since before ?2.
    STILL_WAITING = "SELECT seq FROM record_outbox WHERE tenant_id = ?1 AND at < ?2 LIMIT 1";
}

/// Statements across the tenants of a shard.
pub mod due {
    use crate::storage::sql::statements;

    statements! { ShardSql;
        /// Tenants with changes that wait since before ?1, longest first, but for those of whom the work ?2 is remembered. Only those that may write: the hub refuses others.
        WAITING = "SELECT o.tenant_id FROM outboxes_waiting o JOIN tenant_fence f ON f.tenant_id = o.tenant_id AND f.mode = 'rw' WHERE o.at < ?1 AND NOT EXISTS (SELECT t.tenant_id FROM background_turns t WHERE t.tenant_id = o.tenant_id AND t.work = ?2) ORDER BY o.at LIMIT ?3";
    }
}

/// Seconds after which a waiting change is stale: its notification was lost.
const STALE_SECONDS: i64 = 5;
/// The work of a run: hubs are notified, a few at a time.
const STALE: BackgroundWork =
    BackgroundWork { name: "outbox", others: due::WAITING, most: 1_000, at_once: 3, limit: 5_000 };

row_types! {
    struct WaitingRow {
        #[allow(dead_code, reason = "only whether there is one counts")]
        seq: i64,
    }
}

/// Notifies the tenant's hub, after the response, that a change of records was committed.
pub fn notify_hub(background: &Background, bindings: &Bindings, tenant: &TenantId) {
    let (bindings, tenant) = (bindings.clone(), tenant.clone());
    background.spawn(async move {
        drain(&bindings, &tenant).await;
    });
}

/// Has the tenant's hub learn, before the response, that a collection was hidden or deleted. False if the hub could not be
/// reached: then cron brings it about, as the change waits in the outbox.
pub async fn learn_collections(bindings: &Bindings, tenant: &TenantId) -> bool {
    if bindings.settings.fault_after.as_deref() == Some("collection") {
        return false;
    }
    let seen = tenant_state::last_seen(tenant);
    let learned = tenant_state::call_hub(bindings, tenant, None, seen, async |hub, caller| {
        hub.call_for(&caller, &LearnCollections {}).await
    });
    match learned.await {
        Ok(_) => true,
        Err(error) => {
            let problem = Problem::from(error);
            log::fault("outbox", problem.cause.as_deref().unwrap_or(problem.code));
            false
        }
    }
}

/// Has hubs drain stale changes; gives the number of events that were sent. Run by cron each minute.
pub async fn drain_stale(bindings: &Bindings, run: &Run) -> u64 {
    let before = SystemClock.now().plus_seconds(-STALE_SECONDS);
    serve_due(bindings, run, &STALE, before, async |tenant: &TenantId| {
        stall(bindings, tenant.as_str()).await;
        let events = call(bindings, tenant).await?;
        let outcome = match events {
            Some(1..) => Outcome::Done,
            _ if !is_waiting(bindings, tenant, before).await? => Outcome::Done,
            // Another drain is under way, or brought nothing about: it comes again, behind the others.
            Some(_) => Outcome::More,
            None => Outcome::Failed,
        };
        Ok((events.unwrap_or(0), outcome))
    })
    .await
}

async fn is_waiting(bindings: &Bindings, tenant: &TenantId, before: Timestamp) -> Result<bool, Problem> {
    let Some(rows) = rows_of(bindings, tenant).await? else { return Ok(true) };
    Ok(rows.row::<WaitingRow>(&STILL_WAITING, args![before.millis()]).await?.is_some())
}

/// Has one hub drain its outbox. A failure is logged: cron tries again.
async fn drain(bindings: &Bindings, tenant: &TenantId) {
    if let Err(problem) = call(bindings, tenant).await {
        log::fault("outbox", problem.cause.as_deref().unwrap_or(problem.code));
    }
}

/// Has one hub drain its outbox; the number of events, or none for a tenant that is stopped.
async fn call(bindings: &Bindings, tenant: &TenantId) -> Result<Option<u64>, Problem> {
    let seen = tenant_state::last_seen(tenant);
    let drained = tenant_state::call_hub(bindings, tenant, None, seen, async |hub, caller| {
        hub.call_for(&caller, &Drain {}).await
    });
    match drained.await {
        Ok(drained) => Ok(Some(drained.events)),
        Err(HubError::NotHere | HubError::Refused(Refusal::Stopped)) => Ok(None),
        Err(error) => Err(error.into()),
    }
}
