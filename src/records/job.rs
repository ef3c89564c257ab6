//! Background jobs of a collection: indexing its records again, or deleting them with it.
//!
//! Invariants
//! - A step is one transaction and may be repeated; the job's progress is stored. So whoever comes next can resume it: the
//!   request that began it, or cron.
//! - Reads continue meanwhile: a field counts as indexed once every record is in its index.
//! - A collection that is being deleted is not found, and its slug is taken until its last record is deleted.
//! - A step states in its transaction which collection it is for, so a late one cannot touch another collection that has
//!   the slug by then.

use super::{collection, rules};
use crate::http::problem::Problem;
use crate::storage::bindings::SystemClock;
use crate::storage::row::Rows;
use crate::storage::row::row_types;
use crate::storage::sql::StorageError;
use crate::storage::sql::{args, statements};
use crate::storage::tenant_db::{TenantBatch, TenantDb};
use domain::clock::Clock;
use domain::json;

statements! { TenantSql;
    /// The job of the collection ?2.
    FIND = "SELECT s.job, s.index_revision, c.creation_id FROM collection_state s JOIN collections c ON c.tenant_id = ?1 AND c.slug = ?2 WHERE s.tenant_id = ?1 AND s.collection = ?2 AND s.job IS NOT NULL";
    /// The tenant's jobs without progress since ?2.
    STALE = "SELECT collection FROM collection_state WHERE tenant_id = ?1 AND job IS NOT NULL AND job_at < ?2 LIMIT 20";
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
    UNLINK_SOME = "DELETE FROM record_references WHERE tenant_id = ?1 AND collection = ?2 AND record_id IN (SELECT record_id FROM record_references WHERE tenant_id = ?1 AND collection = ?2 LIMIT ?3) RETURNING record_id AS id";
    /// Deletes some of its records.
    DELETE_SOME = "DELETE FROM records WHERE tenant_id = ?1 AND collection = ?2 AND id IN (SELECT id FROM records WHERE tenant_id = ?1 AND collection = ?2 LIMIT ?3) RETURNING id";
    /// Deletes the collection's counts.
    DELETE_COUNTS = "DELETE FROM record_counts WHERE tenant_id = ?1 AND collection = ?2";
    /// Deletes the collection once its records are deleted.
    DELETE_COLLECTION = "DELETE FROM collections WHERE tenant_id = ?1 AND slug = ?2 AND deleted_at IS NOT NULL";
}

/// Records of one step.
const CHUNK: i64 = 200;
/// Steps that a request runs before its response.
const STEPS_AT_ONCE: usize = 3;
/// Steps after a response, or in one run of cron.
const STEPS_IN_BACKGROUND: usize = 100;

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
    run_steps(rows, slug, STEPS_AT_ONCE).await
}

/// Runs many steps of a collection's job, after the response or in cron.
pub async fn advance(rows: &TenantDb, slug: &str) -> Result<(), Problem> {
    run_steps(rows, slug, STEPS_IN_BACKGROUND).await.map(drop)
}

/// Advances every job of a tenant without progress since `before`; gives their number.
pub async fn advance_stale(rows: &TenantDb, before: i64) -> Result<usize, Problem> {
    let stale = rows.rows::<StaleJobRow>(&STALE, args![before]).await?;
    for StaleJobRow { collection } in &stale {
        advance(rows, collection).await?;
    }
    Ok(stale.len())
}

async fn run_steps(rows: &TenantDb, slug: &str, steps: usize) -> Result<bool, Problem> {
    for _ in 0..steps {
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
    }
    Ok(false)
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
            Ok(results) => count(results)?,
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
        if count(self.write().add(UNLINK_SOME, args![slug, CHUNK]).commit().await?)? > 0 {
            return Ok(JobProgress::More);
        }
        let deleted = count(self.write().add(DELETE_SOME, args![slug, CHUNK]).commit().await?)?;
        let batch = self.write().add(MOVED, args![slug, deleted, now]);
        if deleted == CHUNK {
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

/// The number of rows of a transaction's last statement.
fn count(results: Vec<Rows>) -> Result<i64, StorageError> {
    let rows = results.into_iter().next_back().unwrap_or_default().read::<RecordIdRow>()?;
    Ok(i64::try_from(rows.len()).unwrap_or(CHUNK))
}
