//! How often a tenant's GraphQL answers were kept ones, by day and operation: isolates report their counts, the hub adds them
//! up.
//!
//! Invariant: clients choose the names, so a day has so many rows and no more. What is beyond counts together.

use super::sqlite::{Sqlite, SqliteError, cells};
use domain::clock::Timestamp;
use domain::graphql_cache::{AnswerCounts, OTHERS};

const TABLE: &str = "CREATE TABLE IF NOT EXISTS answer_counts (day INTEGER NOT NULL, operation TEXT NOT NULL, hits INTEGER NOT NULL, stale INTEGER NOT NULL, misses INTEGER NOT NULL, passes INTEGER NOT NULL, PRIMARY KEY (day, operation)) WITHOUT ROWID";
const DAY_MILLIS: i64 = 86_400_000;
/// How many days are kept, the present one included.
pub const DAYS: i64 = 7;
/// Most operations of a day.
const MAX_OPERATIONS: u64 = 200;

/// The counts of an operation on a day.
#[derive(Debug, Clone, PartialEq)]
pub struct DaysCounts {
    /// When the day began, in UTC.
    pub day: Timestamp,
    pub operation: String,
    pub counts: AnswerCounts,
}

pub fn create_table(sql: &impl Sqlite) -> Result<(), SqliteError> {
    sql.execute(TABLE, &[])
}

/// Adds what an isolate counted.
pub fn add(sql: &impl Sqlite, more: &[(String, AnswerCounts)], now: Timestamp) -> Result<(), SqliteError> {
    let day = now.millis().div_euclid(DAY_MILLIS);
    sql.execute("DELETE FROM answer_counts WHERE day <= ?", &[(day - DAYS).into()])?;
    let row = sql.first("SELECT count(*) FROM answer_counts WHERE day = ?", &[day.into()])?;
    let [operations] = cells(row.unwrap_or_default());
    let mut left = MAX_OPERATIONS.saturating_sub(operations.count());
    for (operation, counts) in more {
        let known = "SELECT 1 FROM answer_counts WHERE day = ? AND operation = ?";
        let is_known = sql.first(known, &[day.into(), operation.as_str().into()])?.is_some();
        let operation = if is_known || left > 0 { operation.as_str() } else { OTHERS };
        left = left.saturating_sub(u64::from(!is_known));
        let AnswerCounts { hits, stale, misses, passes } = *counts;
        sql.execute(
            "INSERT INTO answer_counts (day, operation, hits, stale, misses, passes) VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (day, operation) DO UPDATE SET hits = hits + excluded.hits, stale = stale + excluded.stale, misses = misses + excluded.misses, passes = passes + excluded.passes",
            &[day.into(), operation.into(), hits.into(), stale.into(), misses.into(), passes.into()],
        )?;
    }
    Ok(())
}

/// The counts of the last days, the latest day first.
pub fn list(sql: &impl Sqlite, days: i64, now: Timestamp) -> Result<Vec<DaysCounts>, SqliteError> {
    let first = now.millis().div_euclid(DAY_MILLIS) - days + 1;
    let rows = sql.query(
        "SELECT day, operation, hits, stale, misses, passes FROM answer_counts WHERE day >= ? ORDER BY day DESC, operation",
        &[first.into()],
    )?;
    let read = |row| {
        let [day, operation, hits, stale, misses, passes] = cells(row);
        let counts =
            AnswerCounts { hits: hits.count(), stale: stale.count(), misses: misses.count(), passes: passes.count() };
        let day = Timestamp::from_millis(day.integer().saturating_mul(DAY_MILLIS));
        DaysCounts { day, operation: operation.into_text().unwrap_or_default(), counts }
    };
    Ok(rows.into_iter().map(read).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(hits: u64) -> AnswerCounts {
        AnswerCounts { hits, ..AnswerCounts::default() }
    }

    #[test]
    fn counts_add_up_by_day_and_operation_and_leave_after_a_week() {
        let sql = rusqlite::Connection::open_in_memory().unwrap();
        create_table(&sql).unwrap();
        let at = |day: i64| Timestamp::from_millis(day * DAY_MILLIS + 5);
        add(&sql, &[("A".into(), counts(1)), (String::new(), counts(2))], at(10)).unwrap();
        add(&sql, &[("A".into(), counts(3))], at(10)).unwrap();
        add(&sql, &[("A".into(), counts(9))], at(11)).unwrap();
        let told = |days, day| {
            let listed = list(&sql, days, at(day)).unwrap();
            listed.into_iter().map(|one| (one.operation, one.counts.hits)).collect::<Vec<_>>()
        };
        let named = |name: &str, hits: u64| (name.to_owned(), hits);
        assert_eq!(told(1, 11), [named("A", 9)]);
        assert_eq!(told(7, 11), [named("A", 9), named("", 2), named("A", 4)]);
        add(&sql, &[("B".into(), counts(1))], at(17)).unwrap();
        assert_eq!(told(7, 17), [named("B", 1), named("A", 9)]);
    }

    #[test]
    fn a_day_has_so_many_operations_and_no_more() {
        let sql = rusqlite::Connection::open_in_memory().unwrap();
        create_table(&sql).unwrap();
        for nth in 0..1_000 {
            add(&sql, &[(format!("n{nth}"), counts(1))], Timestamp::from_millis(5)).unwrap();
        }
        let listed = list(&sql, 1, Timestamp::from_millis(5)).unwrap();
        assert_eq!(listed.len() as u64, MAX_OPERATIONS + 1);
        assert_eq!(listed.iter().map(|one| one.counts.hits).sum::<u64>(), 1_000, "none is lost");
    }
}
