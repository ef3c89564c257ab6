//! What nobody sees to any more: jobs of collections, and objects to be deleted, whose request is over or was lost. The
//! cron takes them up.

use super::{job, sweep};
use crate::http::problem::Problem;
use crate::log;
use crate::storage::bindings::{Bindings, SystemClock};
use crate::storage::shard_db::ShardDb;
use crate::storage::sql::ShardSql;
use crate::storage::sql::{args, statements};
use crate::storage::tenant_db::{Placement, TenantDb};
use crate::tenant_id::TenantId;
use domain::clock::Clock;

statements! { ShardSql;
    /// Tenants that may write and have a job that has not moved since ?1.
    IDLE = "SELECT f.tenant_id FROM tenant_fence f WHERE f.tenant_id IN (SELECT s.tenant_id FROM collection_state s WHERE s.job IS NOT NULL AND s.job_at < ?1) AND f.mode = 'rw' LIMIT 20";
    /// Tenants that may write and have objects that no file names and that are due at ?1.
    UNSWEPT = "SELECT f.tenant_id FROM tenant_fence f WHERE f.tenant_id IN (SELECT u.tenant_id FROM unreferenced_objects u WHERE u.due_at <= ?1) AND f.mode = 'rw' LIMIT 20";
}

/// Seconds after which a job that did not move was left behind.
const LEFT_BEHIND_SECONDS: i64 = 30;

/// Finds where a tenant's rows are; none for one that is gone. Handed in: the registry is another room's.
pub trait Placements: AsyncFn(&TenantId) -> Result<Option<Placement>, Problem> {}

impl<F: AsyncFn(&TenantId) -> Result<Option<Placement>, Problem>> Placements for F {}

/// Moves on the jobs that were left behind; how many. Run by cron each minute.
pub async fn go_on(bindings: &Bindings, placements: impl Placements) -> Result<usize, Problem> {
    let before = SystemClock.now().plus_seconds(-LEFT_BEHIND_SECONDS).millis();
    each(bindings, &placements, "collection_job", &IDLE, before, async |rows| job::finish_left(rows, before).await)
        .await
}

/// Deletes objects that no file names; how many. Run by cron each minute.
pub async fn sweep(bindings: &Bindings, placements: impl Placements) -> Result<usize, Problem> {
    let now = SystemClock.now().millis();
    each(bindings, &placements, "sweep", &UNSWEPT, now, async |rows| sweep::sweep(bindings, rows).await).await
}

/// Does some work for each tenant that a statement finds; how much was done.
async fn each(
    bindings: &Bindings,
    placements: &impl Placements,
    what: &'static str,
    sql: &ShardSql,
    moment: i64,
    work: impl AsyncFn(&TenantDb) -> Result<usize, Problem>,
) -> Result<usize, Problem> {
    let mut done = 0;
    for shard in &bindings.settings.shards {
        let db = ShardDb::open(bindings, shard, what)?;
        for tenant in db.tenants(sql, args![moment]).await? {
            let Some(placement) = placements(&tenant).await? else { continue };
            let rows = TenantDb::open(bindings, &tenant, &placement)?;
            match work(&rows).await {
                Ok(more) => done += more,
                // One that fails stops nobody else's.
                Err(problem) => log::fault(what, problem.cause.as_deref().unwrap_or(problem.code)),
            }
        }
    }
    Ok(done)
}
