//! Background work whose request is over or was lost: jobs of collections, recounts, and objects to be
//! deleted. Cron resumes it.

use futures_util::future::join3;

use super::{job, storage, sweep};
use crate::http::problem::Problem;
use crate::storage::bindings::{Bindings, SystemClock};
use crate::storage::sql::statements;
use crate::tenant::turns::{BackgroundWork, rows_of, serve_due};
use crate::tenant_id::TenantId;
use domain::clock::Clock;
use domain::turns::{Outcome, Run};

statements! { ShardSql;
    /// Tenants that may write and have a job without progress since ?1, longest ago first, but for those of whom the work ?2 is remembered.
    IDLE = "SELECT s.tenant_id FROM collection_state s JOIN tenant_fence f ON f.tenant_id = s.tenant_id AND f.mode = 'rw' WHERE s.job IS NOT NULL AND s.job_at < ?1 AND NOT EXISTS (SELECT t.tenant_id FROM background_turns t WHERE t.tenant_id = s.tenant_id AND t.work = ?2) GROUP BY +s.tenant_id ORDER BY min(s.job_at) LIMIT ?3";
    /// The same for tenants that have collections some of whose records do not carry their words, and no job since ?1. One that
    /// failed is begun again by whoever mends what stopped it.
    WORDLESS = "SELECT s.tenant_id FROM collection_state s JOIN tenant_fence f ON f.tenant_id = s.tenant_id AND f.mode = 'rw' WHERE s.has_words = 0 AND s.job IS NULL AND s.failure IS NULL AND COALESCE(s.job_at, 0) < ?1 AND NOT EXISTS (SELECT t.tenant_id FROM background_turns t WHERE t.tenant_id = s.tenant_id AND t.work = ?2) GROUP BY +s.tenant_id ORDER BY min(COALESCE(s.job_at, 0)) LIMIT ?3";
    /// The same for tenants that have unreferenced objects, due before ?1.
    UNSWEPT = "SELECT u.tenant_id FROM unreferenced_objects u JOIN tenant_fence f ON f.tenant_id = u.tenant_id AND f.mode = 'rw' WHERE u.due_at < ?1 AND NOT EXISTS (SELECT t.tenant_id FROM background_turns t WHERE t.tenant_id = u.tenant_id AND t.work = ?2) GROUP BY +u.tenant_id ORDER BY min(u.due_at) LIMIT ?3";
}

/// Seconds without progress after which a job is stale.
const STALE_SECONDS: i64 = 30;

/// Jobs, which write a lot: two tenants at one time.
const JOBS: BackgroundWork =
    BackgroundWork { name: "collection_job", others: IDLE, most: 20, at_once: 2, limit: 15_000 };
/// Jobs to be begun because records have no words yet. What they do is done in turns of [`JOBS`].
const WORDS: BackgroundWork =
    BackgroundWork { name: "collection_words", others: WORDLESS, most: 20, at_once: 1, limit: 15_000 };
/// Bytes to be counted.
const RECOUNTS: BackgroundWork =
    BackgroundWork { name: "storage_recount", others: storage::due::UNCOUNTED, most: 20, at_once: 1, limit: 15_000 };
/// Objects to be deleted.
const SWEEPS: BackgroundWork = BackgroundWork { name: "sweep", others: UNSWEPT, most: 20, at_once: 2, limit: 15_000 };

/// Advances stale jobs and recounts, and begins jobs that bring the words of records of before; gives their number. Run by
/// cron.
pub async fn advance_all(bindings: &Bindings, run: &Run) -> u64 {
    let before = SystemClock.now().plus_seconds(-STALE_SECONDS);
    let begun = serve_due(bindings, run, &WORDS, before, async |tenant: &TenantId| {
        let Some(rows) = rows_of(bindings, tenant).await? else { return Ok((0, Outcome::Failed)) };
        counted(job::begin_words(&rows, before.millis()).await)
    });
    let moved = serve_due(bindings, run, &JOBS, before, async |tenant: &TenantId| {
        let Some(rows) = rows_of(bindings, tenant).await? else { return Ok((0, Outcome::Failed)) };
        counted(job::advance_stale(&rows, before.millis()).await)
    });
    let recounted = serve_due(bindings, run, &RECOUNTS, SystemClock.now(), async |tenant: &TenantId| {
        let Some(rows) = rows_of(bindings, tenant).await? else { return Ok((0, Outcome::Failed)) };
        counted(storage::recount(&rows, &mut job::turn(job::IN_A_TURN)).await)
    });
    let (begun, moved, recounted) = join3(begun, moved, recounted).await;
    begun + moved + recounted
}

/// Deletes unreferenced objects that are due; gives their number. Run by cron.
pub async fn sweep(bindings: &Bindings, run: &Run) -> u64 {
    serve_due(bindings, run, &SWEEPS, SystemClock.now(), async |tenant: &TenantId| {
        let Some(rows) = rows_of(bindings, tenant).await? else { return Ok((0, Outcome::Failed)) };
        counted(sweep::sweep(bindings, &rows).await)
    })
    .await
}

fn counted(turn: Result<(usize, Outcome), Problem>) -> Result<(u64, Outcome), Problem> {
    turn.map(|(done, outcome)| (done as u64, outcome))
}
