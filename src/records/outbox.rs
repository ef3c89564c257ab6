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
use crate::storage::shard_db::ShardDb;
use crate::storage::sql::{args, statements};
use crate::tenant::tenant_state::{self, HubError};
use crate::tenant_id::TenantId;
use domain::clock::Clock;

statements! { ShardSql;
    /// Tenants after the id ?2 with changes that wait since before ?1. Only those that may write: the hub refuses others.
    WAITING = "SELECT f.tenant_id FROM tenant_fence f WHERE f.tenant_id IN (SELECT o.tenant_id FROM record_outbox o WHERE o.at < ?1) AND f.tenant_id > ?2 AND f.mode = 'rw' ORDER BY f.tenant_id LIMIT 200";
}

/// Seconds after which a waiting change is stale: its notification was lost.
const STALE_SECONDS: i64 = 5;
/// Most pages of tenants of one cron run, per shard.
const MAX_PAGES: usize = 5;

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
pub async fn drain_stale(bindings: &Bindings) -> Result<u64, Problem> {
    let before = SystemClock.now().plus_seconds(-STALE_SECONDS).millis();
    let mut events = 0;
    for shard in &bindings.settings.shards {
        let db = ShardDb::open(bindings, shard, "drain stale changes")?;
        let mut after = String::new();
        for _ in 0..MAX_PAGES {
            let tenants = db.tenants(&WAITING, args![before, after.as_str()]).await?;
            for tenant in &tenants {
                events += drain(bindings, tenant).await;
            }
            match tenants.last() {
                Some(last) => after = last.to_string(),
                None => break,
            }
        }
    }
    Ok(events)
}

/// Has one hub drain its outbox; gives the number of events. A failure is logged: cron tries again.
async fn drain(bindings: &Bindings, tenant: &TenantId) -> u64 {
    let seen = tenant_state::last_seen(tenant);
    let drained = tenant_state::call_hub(bindings, tenant, None, seen, async |hub, caller| {
        hub.call_for(&caller, &Drain {}).await
    });
    match drained.await {
        Ok(drained) => drained.events,
        Err(HubError::NotHere | HubError::Refused(Refusal::Stopped)) => 0,
        Err(error) => {
            let problem = Problem::from(error);
            log::fault("outbox", problem.cause.as_deref().unwrap_or(problem.code));
            0
        }
    }
}
