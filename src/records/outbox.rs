//! Sees to it that subscribers hear of changed records: tells the hub, which reads the outbox by itself.
//!
//! Whoever commits a change tells at once, behind the answer; cron tells again of what waits longer than that takes.

use crate::http::problem::Problem;
use crate::http::request::Background;
use crate::hub::protocol::{Drain, Refusal};
use crate::log;
use crate::storage::bindings::{Bindings, SystemClock};
use crate::storage::shard_db::ShardDb;
use crate::storage::sql::{args, statements};
use crate::tenant::tenant_state::{self, HubError};
use crate::tenant_id::TenantId;
use domain::clock::Clock;

statements! { ShardSql;
    /// Tenants behind an id whose changes wait since a moment, and that may write: the hub of one that may not would refuse.
    WAITING = "SELECT f.tenant_id FROM tenant_fence f WHERE f.tenant_id IN (SELECT o.tenant_id FROM record_outbox o WHERE o.at < ?1) AND f.tenant_id > ?2 AND f.mode = 'rw' ORDER BY f.tenant_id LIMIT 200";
}

/// Seconds after which a change that still waits was left behind.
const LEFT_BEHIND_SECONDS: i64 = 5;
/// Most pages of tenants that one run of cron tells of, per shard.
const MAX_PAGES: usize = 5;

/// Tells the hub, behind the answer, that a change of records was committed.
pub fn nudge(background: &Background, bindings: &Bindings, tenant: &TenantId) {
    let (bindings, tenant) = (bindings.clone(), tenant.clone());
    background.spawn(async move {
        tell(&bindings, &tenant).await;
    });
}

/// Tells the hubs whose tenants' changes were left behind; gives how many events came of it. Run by cron each minute.
pub async fn drain_left_behind(bindings: &Bindings) -> Result<u64, Problem> {
    let before = SystemClock.now().plus_seconds(-LEFT_BEHIND_SECONDS).millis();
    let mut events = 0;
    for shard in &bindings.settings.shards {
        let db = ShardDb::open(bindings, shard, "changes left behind")?;
        let mut after = String::new();
        for _ in 0..MAX_PAGES {
            let tenants = db.tenants(&WAITING, args![before, after.as_str()]).await?;
            for tenant in &tenants {
                events += tell(bindings, tenant).await;
            }
            match tenants.last() {
                Some(last) => after = last.to_string(),
                None => break,
            }
        }
    }
    Ok(events)
}

/// A failure is logged and stops nobody: what waits is told of again.
async fn tell(bindings: &Bindings, tenant: &TenantId) -> u64 {
    let seen = tenant_state::last_seen(tenant);
    let told = tenant_state::call_hub(bindings, tenant, None, seen, async |hub, caller| {
        hub.call_for(&caller, &Drain {}).await
    });
    match told.await {
        Ok(drained) => drained.events,
        Err(HubError::NotHere | HubError::Refused(Refusal::Stopped)) => 0,
        Err(unheeded) => {
            let problem = Problem::from(unheeded);
            log::fault("outbox", problem.cause.as_deref().unwrap_or(problem.code));
            0
        }
    }
}
