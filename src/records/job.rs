//! What goes on with a collection in the background: its records are indexed anew, or deleted with it.
//!
//! Invariants
//! - A step is one transaction and may be repeated; where a job stands is in the rows. So it goes on wherever it was
//!   left, by whoever comes next: the request that began it, or the cron.
//! - Reads go on meanwhile: a field counts as indexed once every record is in its index.
//! - While a collection is being deleted it is not found, and its name is taken until the last record is gone.
//! - A step states in its transaction which collection it is for: one that comes late touches nothing of another
//!   collection that has the slug by then.

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
    /// The jobs of the tenant that have not moved since ?2.
    LEFT = "SELECT collection FROM collection_state WHERE tenant_id = ?1 AND job IS NOT NULL AND job_at < ?2 LIMIT 20";
    /// Takes ?4 records of the collection ?2 into the index of the revision ?3.
    INDEX_SOME = "UPDATE records SET index_revision = ?3 WHERE tenant_id = ?1 AND number IN (SELECT number FROM records WHERE tenant_id = ?1 AND collection = ?2 AND index_revision < ?3 LIMIT ?4) RETURNING id";
    /// Takes one record into the index.
    INDEX_ONE = "UPDATE records SET index_revision = ?3 WHERE tenant_id = ?1 AND collection = ?2 AND id = ?4";
    /// The next records that are not in the index.
    NEXT = "SELECT id FROM records WHERE tenant_id = ?1 AND collection = ?2 AND index_revision < ?3 LIMIT ?4";
    /// Counts ?3 records more as done.
    MOVED = "UPDATE collection_state SET done = min(total, done + ?3), job_at = ?4 WHERE tenant_id = ?1 AND collection = ?2 AND job IS NOT NULL";
    /// Ends the job once every record is in the index of its revision.
    INDEXED = "UPDATE collection_state SET job = NULL, done = total WHERE tenant_id = ?1 AND collection = ?2 AND job = 'index' AND index_revision = ?3 AND NOT EXISTS (SELECT 1 FROM records WHERE tenant_id = ?1 AND collection = ?2 AND index_revision < ?3)";
    /// From then on its fields count as indexed.
    READY = "UPDATE collection_fields SET is_ready = 1 WHERE tenant_id = ?1 AND collection = ?2 AND is_ready = 0 AND EXISTS (SELECT 1 FROM collection_state WHERE tenant_id = ?1 AND collection = ?2 AND job IS NULL AND failure IS NULL)";
    /// The definition has another revision for those who remember it.
    REVISED = "UPDATE collections SET revision = revision + 1 WHERE tenant_id = ?1 AND slug = ?2 AND EXISTS (SELECT 1 FROM collection_state WHERE tenant_id = ?1 AND collection = ?2 AND job IS NULL)";
    /// Stops the job: ?3 says why.
    FAILED = "UPDATE collection_state SET job = NULL, failure = ?3 WHERE tenant_id = ?1 AND collection = ?2 AND job = 'index'";
    /// Lets go some references of the collection's records, which may be to one another.
    UNLINK_SOME = "DELETE FROM record_references WHERE tenant_id = ?1 AND collection = ?2 AND record_id IN (SELECT record_id FROM record_references WHERE tenant_id = ?1 AND collection = ?2 LIMIT ?3) RETURNING record_id AS id";
    /// Deletes some of its records.
    DELETE_SOME = "DELETE FROM records WHERE tenant_id = ?1 AND number IN (SELECT number FROM records WHERE tenant_id = ?1 AND collection = ?2 LIMIT ?3) RETURNING id";
    /// What was counted of it goes with it.
    DELETE_COUNTS = "DELETE FROM record_counts WHERE tenant_id = ?1 AND collection = ?2";
    /// And what was made of it.
    DELETE_RATES = "DELETE FROM record_rates WHERE tenant_id = ?1 AND collection = ?2";
    /// Deletes the collection once its records are gone.
    DELETE_COLLECTION = "DELETE FROM collections WHERE tenant_id = ?1 AND slug = ?2 AND deleted_at IS NOT NULL";
}

/// Records that one step moves.
const CHUNK: i64 = 200;
/// Steps that a request takes before it answers.
const STEPS_AT_ONCE: usize = 3;
/// Steps that follow behind an answer, or in one run of the cron.
const STEPS_BEHIND: usize = 100;

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

/// Whether a job goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum JobProgress {
    More,
    Done,
}

/// Moves a collection's job on while the request waits; true once it is done.
pub async fn begin(rows: &TenantDb, slug: &str) -> Result<bool, Problem> {
    moved(rows, slug, STEPS_AT_ONCE).await
}

/// Moves it on behind the answer.
pub async fn go_on(rows: &TenantDb, slug: &str) -> Result<(), Problem> {
    moved(rows, slug, STEPS_BEHIND).await.map(drop)
}

/// Moves on every job of a tenant that nobody has moved since a moment.
pub async fn finish_left(rows: &TenantDb, before: i64) -> Result<usize, Problem> {
    let left = rows.rows::<StaleJobRow>(&LEFT, args![before]).await?;
    for StaleJobRow { collection } in &left {
        go_on(rows, collection).await?;
    }
    Ok(left.len())
}

async fn moved(rows: &TenantDb, slug: &str, steps: usize) -> Result<bool, Problem> {
    for _ in 0..steps {
        let Some(found) = rows.row::<JobRow>(&FIND, args![slug]).await? else { return Ok(true) };
        let step = match (Job { rows, slug, found }).step().await {
            // Another collection has the slug by now: its job is looked for.
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

/// A job as it was found.
struct Job<'a> {
    rows: &'a TenantDb,
    slug: &'a str,
    found: JobRow,
}

impl Job<'_> {
    /// Moves it on by one transaction or two.
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

    /// Somewhere among the next records is one that does not fit: finds it, and stops the job with its name.
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
        let batch = batch.add(DELETE_COUNTS, args![slug]).add(DELETE_RATES, args![slug]);
        match batch.add(DELETE_COLLECTION, args![slug]).commit().await {
            Err(error) if rules::is_other_definition(&error) => Err(error),
            // A record was left after all: the next step takes it.
            Err(StorageError::Constraint(words)) => Err(StorageError::Unavailable(words)),
            done => done.map(|_| JobProgress::Done),
        }
    }
}

/// How many rows the last statement of a transaction gave.
fn count(results: Vec<Rows>) -> Result<i64, StorageError> {
    let rows = results.into_iter().next_back().unwrap_or_default().read::<RecordIdRow>()?;
    Ok(i64::try_from(rows.len()).unwrap_or(CHUNK))
}
