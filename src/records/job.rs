//! Background jobs of a collection: indexing its records again, or deleting them with it.
//!
//! Invariants
//! - A step is one transaction and may be repeated; the job's progress is stored. So whoever comes next can resume it: the
//!   request that began it, or cron.
//! - Reads continue meanwhile: a field counts as indexed once every record is in its index.
//! - A collection that is being deleted is not found, and its slug is taken until its last record is deleted.
//! - A step states in its transaction which collection it is for, so a late one cannot touch another collection that has
//!   the slug by then.
//! - A step is small, whatever the collection holds, and seeks the rows that it changes. Between two steps the shard rests,
//!   so that other tenants' requests come between them. Behind responses an isolate runs one turn of a tenant at a time.

use std::cell::RefCell;

use super::{collection, rules};
use crate::http::problem::Problem;
use crate::isolate_cache::IsolateCache;
use crate::storage::bindings::SystemClock;
use crate::storage::rest::rest_since;
use crate::storage::row::Rows;
use crate::storage::row::row_types;
use crate::storage::sql::StorageError;
use crate::storage::sql::{args, statements};
use crate::storage::tenant_db::{TenantBatch, TenantDb};
use crate::tenant_id::TenantId;
use domain::clock::Clock;
use domain::json;
use domain::turns::{Outcome, Turn};

statements! { TenantSql;
    /// The job of the collection ?2.
    FIND = "SELECT s.job, s.index_revision, c.creation_id FROM collection_state s JOIN collections c ON c.tenant_id = ?1 AND c.slug = ?2 WHERE s.tenant_id = ?1 AND s.collection = ?2 AND s.job IS NOT NULL";
    /// The tenant's jobs without progress since ?2, longest ago first.
    STALE = "SELECT collection FROM collection_state WHERE tenant_id = ?1 AND job IS NOT NULL AND job_at < ?2 ORDER BY job_at LIMIT 20";
    /// Indexes ?4 records of the collection ?2 for the index revision ?3.
    INDEX_SOME = "UPDATE records SET index_revision = ?3 WHERE tenant_id = ?1 AND collection = ?2 AND id IN (SELECT id FROM records WHERE tenant_id = ?1 AND collection = ?2 AND index_revision < ?3 LIMIT ?4) RETURNING id";
    /// Indexes one record.
    INDEX_ONE = "UPDATE records SET index_revision = ?3 WHERE tenant_id = ?1 AND collection = ?2 AND id = ?4";
    /// The next records to be indexed.
    NEXT = "SELECT id FROM records WHERE tenant_id = ?1 AND collection = ?2 AND index_revision < ?3 LIMIT ?4";
    /// Adds ?3 records to the job's progress.
    MOVED = "UPDATE collection_state SET done = min(total, done + ?3), job_at = ?4 WHERE tenant_id = ?1 AND collection = ?2 AND job IS NOT NULL";
    /// Ends the job once every record is in the index of its revision.
    INDEXED = "UPDATE collection_state SET job = NULL, done = total WHERE tenant_id = ?1 AND collection = ?2 AND job = 'index' AND index_revision = ?3 AND NOT EXISTS (SELECT 1 FROM records WHERE tenant_id = ?1 AND collection = ?2 AND index_revision < ?3)";
    /// Marks the collection's fields as indexed.
    READY = "UPDATE collection_fields SET is_ready = 1 WHERE tenant_id = ?1 AND collection = ?2 AND is_ready = 0 AND EXISTS (SELECT 1 FROM collection_state WHERE tenant_id = ?1 AND collection = ?2 AND job IS NULL AND failure IS NULL)";
    /// Gives the definition another revision, so that cached ones are outdated.
    REVISED = "UPDATE collections SET revision = revision + 1 WHERE tenant_id = ?1 AND slug = ?2 AND EXISTS (SELECT 1 FROM collection_state WHERE tenant_id = ?1 AND collection = ?2 AND job IS NULL)";
    /// Stops the job for the reason ?3, as JSON.
    FAILED = "UPDATE collection_state SET job = NULL, failure = ?3 WHERE tenant_id = ?1 AND collection = ?2 AND job = 'index'";
    /// Deletes some references of the collection's records, which may refer to each other.
    UNLINK_SOME = "DELETE FROM record_references WHERE tenant_id = ?1 AND collection = ?2 AND (record_id, field, position) IN (SELECT record_id, field, position FROM record_references WHERE tenant_id = ?1 AND collection = ?2 LIMIT ?3) RETURNING record_id AS id";
    /// Deletes some of their versions, of which a record may have 200.
    FORGET_SOME_VERSIONS = "DELETE FROM record_versions WHERE tenant_id = ?1 AND collection = ?2 AND (record_id, version) IN (SELECT record_id, version FROM record_versions WHERE tenant_id = ?1 AND collection = ?2 LIMIT ?3) RETURNING record_id AS id";
    /// Deletes some of its records, once no reference and no version is left.
    DELETE_SOME = "DELETE FROM records WHERE tenant_id = ?1 AND collection = ?2 AND NOT EXISTS (SELECT 1 FROM record_references WHERE tenant_id = ?1 AND collection = ?2) AND NOT EXISTS (SELECT 1 FROM record_versions WHERE tenant_id = ?1 AND collection = ?2) AND id IN (SELECT id FROM records WHERE tenant_id = ?1 AND collection = ?2 LIMIT ?3) RETURNING id";
    /// Deletes the collection's counts.
    DELETE_COUNTS = "DELETE FROM record_counts WHERE tenant_id = ?1 AND collection = ?2";
    /// Deletes the collection once its records are deleted.
    DELETE_COLLECTION = "DELETE FROM collections WHERE tenant_id = ?1 AND slug = ?2 AND deleted_at IS NOT NULL";
}

/// Records of one step.
pub const CHUNK: i64 = 50;
/// References of one step, and versions.
pub const DERIVED_CHUNK: i64 = 100;
/// Steps that a request runs before its response, and their longest time in milliseconds.
const AT_ONCE: (u32, i64) = (12, 5_000);
/// Steps after a response, for which the runtime allows 30 seconds.
const BEHIND: (u32, i64) = (400, 20_000);
/// Steps of one turn of cron.
const IN_A_TURN: (u32, i64) = (100, 4_000);
/// How long an isolate remembers that a turn runs behind a response, should it have been ended from outside, in
/// milliseconds.
const RUNNING_MILLIS: i64 = 30_000;
/// Most tenants whose turns an isolate remembers.
const MAX_RUNNING: usize = 1_000;

thread_local! {
    static RUNNING: RefCell<IsolateCache<TenantId, ()>> = RefCell::new(IsolateCache::new(MAX_RUNNING, RUNNING_MILLIS));
}

row_types! {
    struct JobRow {
        job: String,
        index_revision: i64,
        creation_id: String,
    }
    struct RecordIdRow {
        id: String,
    }
    struct StaleJobRow {
        collection: String,
    }
}

/// Whether a job has more to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum JobProgress {
    More,
    Done,
}

/// Runs a few steps of a collection's job while the request waits; true once it is done.
pub async fn advance_now(rows: &TenantDb, slug: &str) -> Result<bool, Problem> {
    run_steps(rows, slug, &mut turn(AT_ONCE)).await
}

/// Runs many steps of a collection's job after the response. Not beside another such turn of the tenant in this isolate:
/// what is left, cron does.
pub async fn advance(rows: &TenantDb, slug: &str) -> Result<(), Problem> {
    let (tenant, now) = (rows.tenant(), SystemClock.now());
    let is_first = RUNNING.with_borrow_mut(|running| {
        let is_first = running.get(tenant, now).is_none();
        if is_first {
            running.insert(tenant.clone(), (), now);
        }
        is_first
    });
    if !is_first {
        return Ok(());
    }
    let mut turn = turn(BEHIND);
    let outcome = match run_steps(rows, slug, &mut turn).await {
        // The tenant's other jobs, whose requests left them to this turn.
        Ok(true) => advance_others(rows, SystemClock.now().millis(), &mut turn).await.map(drop),
        outcome => outcome.map(drop),
    };
    RUNNING.with_borrow_mut(|running| running.take(tenant));
    outcome
}

/// Advances the tenant's jobs without progress since `before`; how many, and whether something is left. A job that fails
/// stops none of the others.
pub async fn advance_stale(rows: &TenantDb, before: i64) -> Result<(usize, Outcome), Problem> {
    advance_others(rows, before, &mut turn(IN_A_TURN)).await
}

async fn advance_others(rows: &TenantDb, before: i64, turn: &mut Turn) -> Result<(usize, Outcome), Problem> {
    let stale = rows.rows::<StaleJobRow>(&STALE, args![before]).await?;
    let mut outcome = Ok(Outcome::Done);
    for StaleJobRow { collection } in &stale {
        match run_steps(rows, collection, turn).await {
            Ok(true) => {}
            Ok(false) => outcome = outcome.map(|_| Outcome::More),
            Err(problem) => outcome = Err(problem),
        }
    }
    outcome.map(|outcome| (stale.len(), outcome))
}

fn turn((steps, millis): (u32, i64)) -> Turn {
    Turn::new(steps, millis, SystemClock.now())
}

async fn run_steps(rows: &TenantDb, slug: &str, turn: &mut Turn) -> Result<bool, Problem> {
    loop {
        let began = SystemClock.now();
        if !turn.take_step(began) {
            return Ok(false);
        }
        let Some(found) = rows.row::<JobRow>(&FIND, args![slug]).await? else { return Ok(true) };
        let step = match (Job { rows, slug, found }).step().await {
            // Another collection has the slug by now: look for its job.
            Err(error) if rules::is_other_definition(&error) => JobProgress::More,
            step => step?,
        };
        if step == JobProgress::Done {
            collection::forget(rows.tenant(), slug);
            return Ok(true);
        }
        rest_since(began).await;
    }
}

/// A job as it was read.
struct Job<'a> {
    rows: &'a TenantDb,
    slug: &'a str,
    found: JobRow,
}

impl Job<'_> {
    /// Runs one step.
    async fn step(&self) -> Result<JobProgress, StorageError> {
        match self.found.job.as_str() {
            "delete" => self.delete_some().await,
            _ => self.index_some().await,
        }
    }

    /// A transaction for the collection that the job was found for, and for no other.
    fn write(&self) -> TenantBatch<'_> {
        self.rows.write().add_all([rules::collection_as_seen(self.slug, &self.found.creation_id)])
    }

    async fn index_some(&self) -> Result<JobProgress, StorageError> {
        let (slug, revision, now) = (self.slug, self.found.index_revision, SystemClock.now().millis());
        let moved = match self.write().add(INDEX_SOME, args![slug, revision, CHUNK]).commit().await {
            Ok(mut results) => count(results.pop())?,
            Err(error) if rules::is_other_definition(&error) => return Err(error),
            Err(StorageError::Constraint(_)) => return self.index_singly().await,
            Err(error) => return Err(error),
        };
        let batch = self.write().add(MOVED, args![slug, moved, now]);
        if moved == CHUNK {
            batch.commit().await?;
            return Ok(JobProgress::More);
        }
        let batch = batch.add(INDEXED, args![slug, revision]).add(READY, args![slug]).add(REVISED, args![slug]);
        batch.commit().await?;
        let goes_on = self.rows.row::<JobRow>(&FIND, args![slug]).await?.is_some();
        Ok(if goes_on { JobProgress::More } else { JobProgress::Done })
    }

    /// One of the next records violates a constraint: finds it, and stops the job with its id.
    async fn index_singly(&self) -> Result<JobProgress, StorageError> {
        let (slug, revision) = (self.slug, self.found.index_revision);
        for RecordIdRow { id } in self.rows.rows::<RecordIdRow>(&NEXT, args![slug, revision, CHUNK]).await? {
            let one = self.write().add(INDEX_ONE, args![slug, revision, id.as_str()]).commit().await;
            let Err(error) = one else { continue };
            let code = match &error {
                StorageError::Constraint(words) if words.contains("record_index.value") => "not_unique",
                StorageError::Constraint(_) if !rules::is_other_definition(&error) => "dangling_reference",
                _ => return Err(error),
            };
            let failure = json!({ "code": code, "record_id": id }).to_string();
            self.write().add(FAILED, args![slug, failure]).commit().await?;
            return Ok(JobProgress::Done);
        }
        Ok(JobProgress::More)
    }

    async fn delete_some(&self) -> Result<JobProgress, StorageError> {
        let (slug, now) = (self.slug, SystemClock.now().millis());
        let step = self
            .write()
            .add(UNLINK_SOME, args![slug, DERIVED_CHUNK])
            .add(FORGET_SOME_VERSIONS, args![slug, DERIVED_CHUNK])
            .add(DELETE_SOME, args![slug, CHUNK]);
        let mut results = step.commit().await?;
        let deleted = count(results.pop())?;
        let versions = count(results.pop())?;
        let references = count(results.pop())?;
        let batch = self.write().add(MOVED, args![slug, deleted, now]);
        if deleted == CHUNK || versions > 0 || references > 0 {
            batch.commit().await?;
            return Ok(JobProgress::More);
        }
        // Its rates stay: a collection that is made again under the slug begins no new hour.
        match batch.add(DELETE_COUNTS, args![slug]).add(DELETE_COLLECTION, args![slug]).commit().await {
            Err(error) if rules::is_other_definition(&error) => Err(error),
            // A record was added meanwhile: the next step deletes it.
            Err(StorageError::Constraint(words)) => Err(StorageError::Unavailable(words)),
            done => done.map(|_| JobProgress::Done),
        }
    }
}

/// The number of rows that a statement gave.
fn count(rows: Option<Rows>) -> Result<i64, StorageError> {
    let rows = rows.unwrap_or_default().read::<RecordIdRow>()?;
    Ok(i64::try_from(rows.len()).unwrap_or(CHUNK))
}
