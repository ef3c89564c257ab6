//! Jobs of collections that nobody moves any more: the request that began them is over, or was lost. The cron takes
//! them up.

use super::job;
use crate::domain::clock::Clock;
use crate::http::problem::Answered;
use crate::ops::log;
use crate::storage::bindings::{Bindings, SystemClock};
use crate::storage::control_db::ControlDb;
use crate::storage::shard_db::ShardDb;
use crate::storage::tenant_db::TenantDb;
use crate::tenant::registry::Tenant;
use crate::{args, statements};

statements! { ShardSql;
    /// Tenants that may write and have a job that has not moved since ?1.
    IDLE = "SELECT f.tenant_id FROM tenant_fence f WHERE f.tenant_id IN (SELECT s.tenant_id FROM collection_state s WHERE s.job IS NOT NULL AND s.job_at < ?1) AND f.mode = 'rw' LIMIT 20";
}

/// Seconds after which a job that did not move was left behind.
const LEFT_BEHIND_SECONDS: i64 = 30;

/// Moves on the jobs that were left behind; how many. Run by cron each minute.
pub async fn go_on(bindings: &Bindings) -> Answered<usize> {
    let before = SystemClock.now().plus_seconds(-LEFT_BEHIND_SECONDS).millis();
    let control = ControlDb::open(bindings, "jobs left behind")?;
    let mut moved = 0;
    for shard in &bindings.settings.shards {
        let db = ShardDb::open(bindings, shard, "jobs left behind")?;
        for tenant in db.tenants(&IDLE, args![before]).await? {
            let Some(found) = Tenant::find(&control, tenant.as_str()).await? else { continue };
            let rows = TenantDb::open(bindings, &tenant, &found.placement())?;
            match job::finish_left(&rows, before).await {
                Ok(jobs) => moved += jobs,
                // One that fails stops nobody else's.
                Err(problem) => log::fault("collection_job", problem.cause.as_deref().unwrap_or(problem.code)),
            }
        }
    }
    Ok(moved)
}
