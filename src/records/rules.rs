//! What must hold at the moment records are written, whatever was read before.
//!
//! As `auth::rules`: a rule is a statement of the batch, and a false one fails the batch by its name.

use super::collection::Collection;
use crate::auth;
use crate::http::problem::{self, Problem};
use crate::storage::row::Rows;
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
    /// The record ?3 of the collection ?2 still has the version ?4.
    RECORD_AS_SEEN = "INSERT OR REPLACE INTO write_rules (tenant_id, is_version) VALUES (?1, EXISTS (SELECT 1 FROM records WHERE tenant_id = ?1 AND collection = ?2 AND id = ?3 AND version = ?4))";
    /// The collection ?2 has at most ?3 records.
    RECORDS_LEFT = "INSERT OR REPLACE INTO write_rules (tenant_id, has_records_left) VALUES (?1, (SELECT COALESCE(sum(records), 0) FROM record_counts WHERE tenant_id = ?1 AND collection = ?2) <= ?3)";
    /// Counts ?5 more records of the collection ?2 in the window of the period ?3 that began at ?4.
    COUNT_RATE = "INSERT INTO record_rates (tenant_id, collection, period, start, records) VALUES (?1, ?2, ?3, ?4, ?5) ON CONFLICT (tenant_id, collection, period) DO UPDATE SET records = CASE WHEN start = excluded.start THEN records + excluded.records ELSE excluded.records END, start = excluded.start";
    /// In the window of the period ?3 at most ?4 records of the collection ?2 were made.
    RATE_LEFT = "INSERT OR REPLACE INTO write_rules (tenant_id, has_rate_left) VALUES (?1, (SELECT records FROM record_rates WHERE tenant_id = ?1 AND collection = ?2 AND period = ?3) <= ?4)";
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

/// Most collections that a tenant makes.
pub const MAX_COLLECTIONS: i64 = 100;

/// What was not written, and why.
#[derive(Debug)]
pub enum WriteError {
    /// What was seen before is no longer so: look again.
    Stale,
    /// A value is another record's, and must be one record's only.
    NotUnique,
    /// A reference leads nowhere (any more).
    Dangling,
    /// The plan's bound of records, or of records made in a window.
    Full,
    /// The plan's bound of records made in a window.
    TooFast,
    /// Anything else.
    Problem(Problem),
}

impl From<Problem> for WriteError {
    fn from(problem: Problem) -> Self {
        Self::Problem(problem)
    }
}

/// Runs a batch of records; a rule that does not hold is told apart.
pub async fn commit(batch: TenantBatch<'_>) -> Result<Vec<Rows>, WriteError> {
    batch.commit().await.map_err(unwritten)
}

fn unwritten(error: StorageError) -> WriteError {
    let StorageError::Constraint(words) = &error else { return WriteError::Problem(auth::rules::meaning(error)) };
    let says = |part: &str| words.contains(part);
    if is_other_definition(&error) || says("record_changed") {
        WriteError::Stale
    } else if says("record_index.value") {
        WriteError::NotUnique
    } else if says("reference_missing") || says("FOREIGN KEY") {
        WriteError::Dangling
    } else if says("record_limit_reached") {
        WriteError::Full
    } else if says("record_rate_reached") {
        WriteError::TooFast
    } else {
        WriteError::Problem(meaning(error))
    }
}

/// Runs a batch of a definition; a rule that does not hold becomes its problem.
pub async fn commit_definition(batch: TenantBatch<'_>) -> Result<(), Problem> {
    batch.commit().await.map(drop).map_err(meaning)
}

/// A part of SQLite's words, and what it means.
type RecordRuleProblem = (&'static str, fn() -> Problem);

/// What a failed batch means to whoever asked.
fn meaning(error: StorageError) -> Problem {
    const MEANINGS: &[RecordRuleProblem] = &[
        ("collections.slug", slug_taken),
        ("records.id", id_taken),
        ("collection_limit_reached", || problem::too_many("collections", MAX_COLLECTIONS)),
        ("definition_changed", problem::changed_meanwhile),
        ("record_changed", problem::changed_meanwhile),
        ("collection_referenced", problem::still_referenced),
        ("still_referenced", problem::still_referenced),
    ];
    let known = match &error {
        StorageError::Constraint(words) => MEANINGS.iter().find(|(name, _)| words.contains(name)),
        _ => None,
    };
    known.map_or_else(|| auth::rules::meaning(error), |(_, problem)| problem())
}

fn slug_taken() -> Problem {
    problem::conflict("/slug", Invalid::new("taken", "is a collection of this tenant"))
}

/// 409: there is, or was, a record of this id.
fn id_taken() -> Problem {
    problem::conflict("/id", Invalid::new("taken", "is the id of another record"))
}
