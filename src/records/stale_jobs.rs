//! Background work whose request is over or was lost: jobs of collections, and objects to be deleted. Cron resumes it.

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
    /// Tenants that may write and have a job without progress since ?1.
    IDLE = "SELECT f.tenant_id FROM tenant_fence f WHERE f.tenant_id IN (SELECT s.tenant_id FROM collection_state s WHERE s.job IS NOT NULL AND s.job_at < ?1) AND f.mode = 'rw' LIMIT 20";
    /// Tenants that may write and have collections some of whose records do not carry their words, without a job since ?1.
    /// One that failed is begun again by whoever mends what stopped it.
    WORDLESS = "SELECT f.tenant_id FROM tenant_fence f WHERE f.tenant_id IN (SELECT s.tenant_id FROM collection_state s WHERE s.has_words = 0 AND s.job IS NULL AND s.failure IS NULL AND COALESCE(s.job_at, 0) < ?1) AND f.mode = 'rw' LIMIT 20";
    /// Tenants that may write and have unreferenced objects that are due at ?1.
    UNSWEPT = "SELECT f.tenant_id FROM tenant_fence f WHERE f.tenant_id IN (SELECT u.tenant_id FROM unreferenced_objects u WHERE u.due_at <= ?1) AND f.mode = 'rw' LIMIT 20";
}

/// Seconds without progress after which a job is stale.
const STALE_SECONDS: i64 = 30;

/// Finds the placement of a tenant; none if it was deleted. Passed in, as this room may not touch the registry.
pub trait Placements: AsyncFn(&TenantId) -> Result<Option<Placement>, Problem> {}

impl<F: AsyncFn(&TenantId) -> Result<Option<Placement>, Problem>> Placements for F {}

/// Advances stale jobs, and begins those that bring the words of records of before; gives their number. Run by cron each
/// minute.
pub async fn advance_all(bindings: &Bindings, placements: impl Placements) -> Result<usize, Problem> {
    let before = SystemClock.now().plus_seconds(-STALE_SECONDS).millis();
    for_each_tenant(bindings, &placements, "collection_words", &WORDLESS, before, async |rows| {
        job::begin_words(rows).await
    })
    .await?;
    for_each_tenant(bindings, &placements, "collection_job", &IDLE, before, async |rows| {
        job::advance_stale(rows, before).await
    })
    .await
}

/// Deletes unreferenced objects that are due; gives their number. Run by cron each minute.
pub async fn sweep(bindings: &Bindings, placements: impl Placements) -> Result<usize, Problem> {
    let now = SystemClock.now().millis();
    for_each_tenant(bindings, &placements, "sweep", &UNSWEPT, now, async |rows| sweep::sweep(bindings, rows).await)
        .await
}

/// Runs `work` for each tenant that a statement selects; gives the sum of its results.
async fn for_each_tenant(
    bindings: &Bindings,
    placements: &impl Placements,
    what: &'static str,
    sql: &ShardSql,
    due_before: i64,
    work: impl AsyncFn(&TenantDb) -> Result<usize, Problem>,
) -> Result<usize, Problem> {
    let mut done = 0;
    for shard in &bindings.settings.shards {
        let db = ShardDb::open(bindings, shard, what)?;
        for tenant in db.tenants(sql, args![due_before]).await? {
            let Some(placement) = placements(&tenant).await? else { continue };
            let rows = TenantDb::open(bindings, &tenant, &placement)?;
            match work(&rows).await {
                Ok(more) => done += more,
                // A failure does not stop the work for other tenants.
                Err(problem) => log::fault(what, problem.cause.as_deref().unwrap_or(problem.code)),
            }
        }
    }
    Ok(done)
}
