//! Rules of the transactions that write records: what must be true when they commit, whatever was read before.
//!
//! As in `auth::rules`, a rule is a statement of the batch; one that does not hold fails the batch with the rule's name.

use super::collection::Collection;
use crate::auth;
use crate::http::problem::{self, Problem};
use crate::storage::row::{Rows, row_types};
use crate::storage::sql::{Arg, StorageError, TenantSql};
use crate::storage::sql::{args, statements};
use crate::storage::tenant_db::TenantBatch;
use domain::error::Invalid;

statements! { TenantSql;
    /// The tenant has fewer than ?2 collections.
    COLLECTIONS_LEFT = "INSERT OR REPLACE INTO write_rules (tenant_id, has_collections_left) VALUES (?1, (SELECT count(*) FROM collections WHERE tenant_id = ?1) < ?2)";
    /// The collection ?2 is still the one of the creation id ?3, and its definition still has the revision ?4.
    DEFINITION_AS_SEEN = "INSERT OR REPLACE INTO write_rules (tenant_id, is_definition) VALUES (?1, EXISTS (SELECT 1 FROM collections WHERE tenant_id = ?1 AND slug = ?2 AND creation_id = ?3 AND revision = ?4 AND deleted_at IS NULL))";
    /// The collection ?2 is still the one of the creation id ?3, perhaps on its way out.
    COLLECTION_AS_SEEN = "INSERT OR REPLACE INTO write_rules (tenant_id, is_definition) VALUES (?1, EXISTS (SELECT 1 FROM collections WHERE tenant_id = ?1 AND slug = ?2 AND creation_id = ?3))";
    /// No other collection refers to the collection ?2.
    COLLECTION_UNNAMED = "INSERT OR REPLACE INTO write_rules (tenant_id, is_unnamed) VALUES (?1, NOT EXISTS (SELECT 1 FROM collection_fields WHERE tenant_id = ?1 AND target = ?2 AND collection <> ?2))";
    /// The collection ?2 has at most ?3 records.
    RECORDS_LEFT = "INSERT OR REPLACE INTO write_rules (tenant_id, has_records_left) VALUES (?1, (SELECT COALESCE(sum(records), 0) FROM record_counts WHERE tenant_id = ?1 AND collection = ?2) <= ?3)";
    /// Counts ?5 more records of the collection ?2, whichever has this slug, in the window of the period ?3 that began at ?4.
    /// A window that is not counted yet begins with the records that were made in it before there was a bound, at most ?6 of
    /// them: with these the bound is met.
    COUNT_RATE = "INSERT INTO record_rates (tenant_id, collection, period, start, records) VALUES (?1, ?2, ?3, ?4, ?5 + CASE WHEN EXISTS (SELECT 1 FROM record_rates n WHERE n.tenant_id = ?1 AND n.collection = ?2 AND n.period = ?3 AND n.start = ?4) THEN 0 ELSE (SELECT count(*) FROM (SELECT r.id FROM records r WHERE r.tenant_id = ?1 AND r.collection = ?2 AND r.created_at >= ?4 AND r.deleted_at IS NULL LIMIT ?6)) END) ON CONFLICT (tenant_id, collection, period) DO UPDATE SET records = CASE WHEN start = excluded.start THEN records + excluded.records ELSE excluded.records END, start = excluded.start";
    /// How many records of the collection ?2 were made in the window of the period ?3 that began at ?4, as COUNT_RATE has it.
    MADE = "SELECT COALESCE((SELECT n.records FROM record_rates n WHERE n.tenant_id = ?1 AND n.collection = ?2 AND n.period = ?3 AND n.start = ?4), (SELECT count(*) FROM (SELECT r.id FROM records r WHERE r.tenant_id = ?1 AND r.collection = ?2 AND r.created_at >= ?4 AND r.deleted_at IS NULL LIMIT ?5))) AS records";
    /// In the window of the period ?3 at most ?4 records of the collection ?2 were made.
    RATE_LEFT = "INSERT OR REPLACE INTO write_rules (tenant_id, has_rate_left) VALUES (?1, (SELECT records FROM record_rates WHERE tenant_id = ?1 AND collection = ?2 AND period = ?3) <= ?4)";
}

row_types! {
    /// How many records were made in a window.
    pub struct RecordRateRow {
        pub(super) records: i64,
    }
}

/// The rule that a definition is still the one that was seen.
pub fn definition_as_seen(seen: &Collection) -> (TenantSql, Vec<Arg>) {
    (DEFINITION_AS_SEEN, args![seen.slug.as_str(), seen.creation_id.as_str(), seen.revision])
}

/// The rule that a slug is still that of the collection that was seen. One that is being deleted has it to the end.
pub fn collection_as_seen(slug: &str, creation_id: &str) -> (TenantSql, Vec<Arg>) {
    (COLLECTION_AS_SEEN, args![slug, creation_id])
}

/// Whether a batch failed because what it was meant for is another one now.
pub fn is_other_definition(error: &StorageError) -> bool {
    matches!(error, StorageError::Constraint(words) if words.contains("definition_changed"))
}

/// Whether a batch failed because a searched record was written without its words.
pub fn misses_words(error: &StorageError) -> bool {
    matches!(error, StorageError::Constraint(words) if words.contains("words_missing"))
}

/// Most collections of a tenant.
pub const MAX_COLLECTIONS: i64 = 100;

/// Why a batch was not written.
#[derive(Debug)]
pub enum WriteError {
    /// Something that was read before has changed: read again.
    Stale,
    /// A unique value belongs to another record.
    NotUnique,
    /// Values that are unique together belong to another record.
    NotUniqueTogether,
    /// A reference names a record that does not exist, or a record is still referenced.
    Dangling,
    /// The plan's limit of records is reached.
    TooManyRecords,
    /// The plan's limit of records created in an hour or a month is reached.
    TooFast,
    /// The plan's storage is full.
    StorageFull,
    /// Anything else.
    Problem(Problem),
}

impl From<Problem> for WriteError {
    fn from(problem: Problem) -> Self {
        Self::Problem(problem)
    }
}

/// Runs a batch that writes records; the error says which rule failed.
pub async fn commit(batch: TenantBatch<'_>) -> Result<Vec<Rows>, WriteError> {
    batch.commit().await.map_err(classify)
}

fn classify(error: StorageError) -> WriteError {
    let StorageError::Constraint(words) = &error else { return WriteError::Problem(auth::rules::meaning(error)) };
    let names = |part: &str| words.contains(part);
    if is_other_definition(&error) || names("record_changed") {
        WriteError::Stale
    } else if names("record_index.value") {
        WriteError::NotUnique
    } else if names("not_unique_together") {
        WriteError::NotUniqueTogether
    } else if names("reference_missing") || names("FOREIGN KEY") {
        WriteError::Dangling
    } else if names("record_limit_reached") {
        WriteError::TooManyRecords
    } else if names("record_rate_reached") {
        WriteError::TooFast
    } else if names("storage_limit_reached") {
        WriteError::StorageFull
    } else {
        WriteError::Problem(problem_of(error))
    }
}

/// Runs a batch that writes a definition; a rule that failed becomes its problem.
pub async fn commit_definition(batch: TenantBatch<'_>) -> Result<(), Problem> {
    batch.commit().await.map(drop).map_err(problem_of)
}

/// A part of SQLite's message, and the problem it means.
type RecordRuleProblem = (&'static str, fn() -> Problem);

/// The problem for a failed batch.
fn problem_of(error: StorageError) -> Problem {
    const PROBLEMS: &[RecordRuleProblem] = &[
        ("collections.slug", slug_taken),
        ("records.id", id_taken),
        ("collection_limit_reached", || problem::too_many("collections", MAX_COLLECTIONS)),
        ("definition_changed", problem::changed_meanwhile),
        ("record_changed", problem::changed_meanwhile),
        ("storage_limit_reached", problem::storage_limit_reached),
        ("collection_referenced", problem::still_referenced),
        ("still_referenced", problem::still_referenced),
    ];
    let known = match &error {
        StorageError::Constraint(words) => PROBLEMS.iter().find(|(name, _)| words.contains(name)),
        _ => None,
    };
    known.map_or_else(|| auth::rules::meaning(error), |(_, problem)| problem())
}

fn slug_taken() -> Problem {
    problem::conflict("/slug", Invalid::new("taken", "is already the slug of a collection"))
}

/// 409: there is, or was, a record of this id.
fn id_taken() -> Problem {
    problem::conflict("/id", Invalid::new("taken", "is already the id of another record, perhaps a deleted one"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_log_names_the_statement_that_failed_and_the_caller_is_not_told() {
        for message in ["D1_ERROR: no such table: records", "D1_ERROR: CHECK constraint failed: odd: SQLITE_CONSTRAINT"]
        {
            let problem = problem_of(StorageError::from_d1(message.into()).of_statements([COUNT_RATE.name()]));
            let cause = problem.cause.clone().unwrap_or_default();
            assert!(cause.contains(message) && cause.contains("records::rules::COUNT_RATE"), "{cause}");
            let body = problem.to_json("r");
            assert!(!body.contains("COUNT_RATE") && !body.contains("D1_ERROR"), "{body}");
        }
    }
}
