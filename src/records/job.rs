//! Background jobs of a collection: indexing its records again, or deleting them with it.
//!
//! Invariants
//! - A step is one transaction and may be repeated; the job's progress is stored. So whoever comes next can resume it: the
//!   request that began it, or cron.
//! - Records are indexed in the order of their ids. Whatever is written meanwhile is indexed by whoever writes it, so none is
//!   missed.
//! - Reads continue meanwhile: a field counts as indexed once every record is in its index.
//! - Where fields are searched, a step reads records, cuts their words and writes them to those that have not changed.
//! - A collection of before, whose records do not carry their words, gets a job of itself; the full-text index finds both
//!   kinds of records until it is done.
//! - A collection that is being deleted is not found, and its slug is taken until its last record is deleted.
//! - A step states in its transaction which collection it is for, so a late one cannot touch another collection that has
//!   the slug by then.
//! - A step is small, whatever the collection holds, and seeks the rows that it changes. Between two steps the shard rests,
//!   so that other tenants' requests come between them. Behind responses an isolate runs one turn of a tenant at a time.

use std::cell::RefCell;

use serde_json::{Map, Value};

use super::{collection, rules, words};
use crate::http::problem::Problem;
use crate::isolate_cache::IsolateCache;
use crate::storage::bindings::SystemClock;
use crate::storage::rest::rest_since;
use crate::storage::row::Rows;
use crate::storage::row::row_types;
use crate::storage::sql::{Arg, StorageError, TenantSql};
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
    /// The fields of the collection ?2 that are searched, by name.
    SEARCHED = "SELECT field AS name FROM collection_fields WHERE tenant_id = ?1 AND collection = ?2 AND is_searched = 1 ORDER BY field";
    /// Indexes ?4 records of the collection ?2, where no field is searched, for the index revision ?3.
    INDEX_SOME = "UPDATE records SET index_revision = ?3, words = NULL WHERE tenant_id = ?1 AND collection = ?2 AND id IN (SELECT id FROM records WHERE tenant_id = ?1 AND collection = ?2 AND index_revision < ?3 AND id > (SELECT CASE WHEN s.indexed_for = ?3 THEN s.indexed_to ELSE '' END FROM collection_state s WHERE s.tenant_id = ?1 AND s.collection = ?2) ORDER BY id LIMIT ?4) RETURNING id";
    /// The lengths of the next records to be indexed.
    LENGTHS = "SELECT length(data) AS length FROM records WHERE tenant_id = ?1 AND collection = ?2 AND index_revision < ?3 AND id > (SELECT CASE WHEN s.indexed_for = ?3 THEN s.indexed_to ELSE '' END FROM collection_state s WHERE s.tenant_id = ?1 AND s.collection = ?2) ORDER BY id LIMIT ?4";
    /// The next records to be indexed.
    NEXT = "SELECT id, version, data FROM records WHERE tenant_id = ?1 AND collection = ?2 AND index_revision < ?3 AND id > (SELECT CASE WHEN s.indexed_for = ?3 THEN s.indexed_to ELSE '' END FROM collection_state s WHERE s.tenant_id = ?1 AND s.collection = ?2) ORDER BY id LIMIT ?4";
    /// Indexes the records of the JSON ?4, which holds the version and the words of each by its id, for the index revision ?3.
    /// Those that changed since are left out: whoever changed them indexed them.
    INDEX_READ = "UPDATE records SET index_revision = ?3, words = json_extract(?4, '$.\"' || id || '\"[1]') WHERE tenant_id = ?1 AND collection = ?2 AND id IN (SELECT j.key FROM json_each(?4) j) AND version = json_extract(?4, '$.\"' || id || '\"[0]') AND +index_revision < ?3 RETURNING id";
    /// Adds ?3 records to the job's progress.
    MOVED = "UPDATE collection_state SET done = min(total, done + ?3), job_at = ?4 WHERE tenant_id = ?1 AND collection = ?2 AND job IS NOT NULL";
    /// Notes that the records up to the id ?3 are indexed, for the index revision ?4.
    INDEXED_TO = "UPDATE collection_state SET indexed_to = ?3, indexed_for = ?4 WHERE tenant_id = ?1 AND collection = ?2 AND index_revision = ?4";
    /// Ends the job once every record is in the index of its revision.
    INDEXED = "UPDATE collection_state SET job = NULL, done = total WHERE tenant_id = ?1 AND collection = ?2 AND job = 'index' AND index_revision = ?3 AND NOT EXISTS (SELECT 1 FROM records WHERE tenant_id = ?1 AND collection = ?2 AND index_revision < ?3 AND id > (SELECT CASE WHEN s.indexed_for = ?3 THEN s.indexed_to ELSE '' END FROM collection_state s WHERE s.tenant_id = ?1 AND s.collection = ?2))";
    /// Marks the collection's fields as indexed.
    READY = "UPDATE collection_fields SET is_ready = 1 WHERE tenant_id = ?1 AND collection = ?2 AND is_ready = 0 AND EXISTS (SELECT 1 FROM collection_state WHERE tenant_id = ?1 AND collection = ?2 AND job IS NULL AND failure IS NULL)";
    /// Notes that every searched record of the collection carries its words; what was answered of its records is stale.
    HAVE_WORDS = "UPDATE collection_state SET has_words = 1, generation = generation + 1 WHERE tenant_id = ?1 AND collection = ?2 AND has_words = 0 AND job IS NULL AND failure IS NULL AND (NOT EXISTS (SELECT 1 FROM collection_fields WHERE tenant_id = ?1 AND collection = ?2 AND is_searched = 1) OR NOT EXISTS (SELECT 1 FROM records WHERE tenant_id = ?1 AND collection = ?2 AND words IS NULL AND deleted_at IS NULL))";
    /// Notes it of each collection where nothing is searched.
    NEED_NO_WORDS = "UPDATE collection_state SET has_words = 1 WHERE tenant_id = ?1 AND has_words = 0 AND job IS NULL AND NOT EXISTS (SELECT 1 FROM collection_fields f WHERE f.tenant_id = ?1 AND f.collection = collection_state.collection AND f.is_searched = 1)";
    /// Begins to index the records of each collection where some do not carry their words. ?2 is when it is said to have moved.
    BEGIN_WORDS = "UPDATE collection_state SET index_revision = index_revision + 1, job = 'index', done = 0, total = (SELECT count(*) FROM records r WHERE r.tenant_id = ?1 AND r.collection = collection_state.collection), job_at = ?2 WHERE tenant_id = ?1 AND has_words = 0 AND job IS NULL AND failure IS NULL RETURNING collection";
    /// Gives the definition another revision, so that cached ones are outdated.
    REVISED = "UPDATE collections SET revision = revision + 1 WHERE tenant_id = ?1 AND slug = ?2 AND EXISTS (SELECT 1 FROM collection_state WHERE tenant_id = ?1 AND collection = ?2 AND job IS NULL)";
    /// Stops the job for the reason ?3, as JSON.
    FAILED = "UPDATE collection_state SET job = NULL, failure = ?3 WHERE tenant_id = ?1 AND collection = ?2 AND job = 'index'";
    /// Deletes some references of the collection's records, which may refer to each other.
    UNLINK_SOME = "DELETE FROM record_references WHERE tenant_id = ?1 AND collection = ?2 AND (record_id, field, position) IN (SELECT record_id, field, position FROM record_references WHERE tenant_id = ?1 AND collection = ?2 LIMIT ?3) RETURNING record_id AS id";
    /// Deletes some of their versions, of which a record may have 200.
    FORGET_SOME_VERSIONS = "DELETE FROM record_past_versions WHERE tenant_id = ?1 AND collection = ?2 AND (record_id, version) IN (SELECT record_id, version FROM record_past_versions WHERE tenant_id = ?1 AND collection = ?2 LIMIT ?3) RETURNING record_id AS id";
    /// Deletes some of its records, once no reference and no version is left.
    DELETE_SOME = "DELETE FROM records WHERE tenant_id = ?1 AND collection = ?2 AND NOT EXISTS (SELECT 1 FROM record_references WHERE tenant_id = ?1 AND collection = ?2) AND NOT EXISTS (SELECT 1 FROM record_past_versions WHERE tenant_id = ?1 AND collection = ?2) AND id IN (SELECT id FROM records WHERE tenant_id = ?1 AND collection = ?2 LIMIT ?3) RETURNING id";
    /// Deletes the collection once its records are deleted.
    DELETE_COLLECTION = "DELETE FROM collections WHERE tenant_id = ?1 AND slug = ?2 AND deleted_at IS NOT NULL";
}

/// Records of one step.
pub const CHUNK: i64 = 50;
/// Most characters of the records that one step reads, but for the first of them.
const CHUNK_CHARACTERS: i64 = 80_000;
/// References of one step, and versions.
pub const DERIVED_CHUNK: i64 = 100;
/// Steps that a request runs before its response, and their longest time in milliseconds.
const AT_ONCE: (u32, i64) = (12, 5_000);
/// Steps after a response, for which the runtime allows 30 seconds.
pub const BEHIND: (u32, i64) = (400, 20_000);
/// Steps of one turn of cron.
pub const IN_A_TURN: (u32, i64) = (100, 4_000);
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
    struct RecordTextRow {
        id: String,
        version: i64,
        data: String,
    }
    struct IndexedRow {
        id: String,
    }
    struct LengthRow {
        length: i64,
    }
    struct FieldRow {
        name: String,
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

/// Begins the jobs that bring the words of records of before, of all collections of a tenant; gives their number.
/// They are as old as `before` from the beginning, so that they are due at once, behind those that wait longer.
pub async fn begin_words(rows: &TenantDb, before: i64) -> Result<(usize, Outcome), Problem> {
    let batch = rows.write().add(NEED_NO_WORDS, Vec::new()).add(BEGIN_WORDS, args![before - 1]);
    let begun = batch.commit().await?.pop().unwrap_or_default();
    Ok((begun.len(), Outcome::Done))
}

/// A turn of so many steps and milliseconds, from now on.
pub fn turn((steps, millis): (u32, i64)) -> Turn {
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
            // Another collection has the slug by now, or its fields are others: look for its job.
            Err(error) if is_late(&error) => JobProgress::More,
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
        // Read behind the revision: words of fields that are searched by another revision are cut again for that one.
        let searched: Vec<FieldRow> = self.rows.rows(&SEARCHED, args![slug]).await?;
        let (indexing, read) = if searched.is_empty() {
            ((INDEX_SOME, args![slug, revision, CHUNK]), None)
        } else {
            let (records, is_last) = self.next().await?;
            (self.indexing(&searched, &records)?, Some((records.last().map(|record| record.id.clone()), is_last)))
        };
        let indexed: Vec<IndexedRow> = match self.write().add_all([indexing]).commit().await {
            Ok(mut results) => results.pop().unwrap_or_default().read()?,
            Err(error) if is_late(&error) => return Err(error),
            Err(StorageError::Constraint(_)) => return self.index_singly(&searched).await,
            Err(error) => return Err(error),
        };
        let moved = i64::try_from(indexed.len()).unwrap_or(CHUNK);
        // What was read and left out has been indexed by whoever changed it.
        let (last, is_last) = read.unwrap_or_else(|| (indexed.into_iter().map(|row| row.id).max(), moved < CHUNK));
        let mut batch = self.write().add(MOVED, args![slug, moved, now]);
        if let Some(last) = last {
            batch = batch.add(INDEXED_TO, args![slug, last, revision]);
        }
        if !is_last {
            batch.commit().await?;
            return Ok(JobProgress::More);
        }
        let ended = [(INDEXED, args![slug, revision]), (READY, args![slug]), (HAVE_WORDS, args![slug])];
        batch.add_all(ended).add(REVISED, args![slug]).commit().await?;
        let goes_on = self.rows.row::<JobRow>(&FIND, args![slug]).await?.is_some();
        Ok(if goes_on { JobProgress::More } else { JobProgress::Done })
    }

    /// The next records, as many as a step may read, and whether they are the last.
    async fn next(&self) -> Result<(Vec<RecordTextRow>, bool), StorageError> {
        let (slug, revision) = (self.slug, self.found.index_revision);
        let lengths: Vec<LengthRow> = self.rows.rows(&LENGTHS, args![slug, revision, CHUNK]).await?;
        let most = fitting(lengths.iter().map(|row| row.length));
        let is_all = most == lengths.len();
        let most = i64::try_from(most).unwrap_or(CHUNK);
        Ok((self.rows.rows(&NEXT, args![slug, revision, most]).await?, is_all && most < CHUNK))
    }

    /// The statement that indexes records as they were read.
    fn indexing(
        &self,
        searched: &[FieldRow],
        records: &[RecordTextRow],
    ) -> Result<(TenantSql, Vec<Arg>), StorageError> {
        let searched: Vec<&str> = searched.iter().map(|field| field.name.as_str()).collect();
        let mut cut = Map::new();
        for record in records {
            let data: Map<String, Value> = serde_json::from_str(&record.data)
                .map_err(|error| StorageError::Malformed(format!("a record cannot be read: {error}").into()))?;
            cut.insert(record.id.clone(), json!([record.version, words::of_record(&searched, &data)]));
        }
        Ok((INDEX_READ, args![self.slug, self.found.index_revision, Value::Object(cut).to_string()]))
    }

    /// One of the next records violates a constraint: finds it, and stops the job with its id.
    async fn index_singly(&self, searched: &[FieldRow]) -> Result<JobProgress, StorageError> {
        let slug = self.slug;
        for record in self.next().await?.0 {
            let indexing = self.indexing(searched, std::slice::from_ref(&record))?;
            let Err(error) = self.write().add_all([indexing]).commit().await else { continue };
            let code = match &error {
                StorageError::Constraint(words) if words.contains("record_index.value") => "not_unique",
                StorageError::Constraint(_) if !is_late(&error) => "dangling_reference",
                _ => return Err(error),
            };
            let failure = json!({ "code": code, "record_id": record.id }).to_string();
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
        let deleted = count(results.pop());
        let versions = count(results.pop());
        let references = count(results.pop());
        let batch = self.write().add(MOVED, args![slug, deleted, now]);
        if deleted == CHUNK || versions > 0 || references > 0 {
            batch.commit().await?;
            return Ok(JobProgress::More);
        }
        // Its rates stay: a collection that is made again under the slug begins no new hour.
        match batch.add(DELETE_COLLECTION, args![slug]).commit().await {
            Err(error) if rules::is_other_definition(&error) => Err(error),
            // A record was added meanwhile: the next step deletes it.
            Err(StorageError::Constraint(words)) => Err(StorageError::Unavailable(words)),
            done => done.map(|_| JobProgress::Done),
        }
    }
}

/// Whether a step came too late: it was for another collection, or for one where nothing was searched yet.
fn is_late(error: &StorageError) -> bool {
    rules::is_other_definition(error) || rules::misses_words(error)
}

/// How many of the next records one step reads: those that fit, and one at least.
fn fitting(lengths: impl Iterator<Item = i64>) -> usize {
    let mut left = CHUNK_CHARACTERS;
    let fits = lengths.enumerate().take_while(|(place, length)| {
        left -= length;
        *place == 0 || left >= 0
    });
    fits.count()
}

/// The number of rows that a statement gave.
fn count(rows: Option<Rows>) -> i64 {
    rows.map_or(0, |rows| i64::try_from(rows.len()).unwrap_or(CHUNK))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_reads_what_fits_and_one_record_at_least() {
        let fit = |lengths: &[i64]| fitting(lengths.iter().copied());
        assert_eq!((fit(&[]), fit(&[10, 10]), fit(&[500_000, 1])), (0, 2, 1));
        assert_eq!((fit(&[40_000, 40_000, 1]), fit(&[0, 90_000])), (2, 1));
    }
}
