//! Who lost their rights: tokens that they had minted until then open nothing any more.
//!
//! A row outlives every token that it covers, so nothing of a token need be remembered itself.

use super::event_log::cells;
use super::sqlite::{Sqlite, SqliteError};
use domain::minted::Minted;

const TABLE: &str = "CREATE TABLE IF NOT EXISTS revocations (by TEXT PRIMARY KEY, at INTEGER NOT NULL, recorded INTEGER NOT NULL) WITHOUT ROWID";

/// Stands for every principal; no principal is named so.
const EVERYBODY: &str = "*";

/// Milliseconds a revocation is kept: twice the longest life of a token.
const KEPT_MILLIS: i64 = 2 * 3_600_000;

/// Makes the table.
pub fn open(sql: &impl Sqlite) -> Result<(), SqliteError> {
    sql.execute(TABLE, &[])
}

/// Records that what a principal (none: everybody) had minted until `at` is void.
pub fn record(sql: &impl Sqlite, by: Option<&str>, at: i64, now: i64) -> Result<(), SqliteError> {
    sql.execute(
        "INSERT INTO revocations (by, at, recorded) VALUES (?, ?, ?) ON CONFLICT (by) DO UPDATE SET at = max(at, excluded.at), recorded = excluded.recorded",
        &[by.unwrap_or(EVERYBODY).into(), at.into(), now.into()],
    )
}

/// Whether a token is void.
pub fn covers(sql: &impl Sqlite, minted: &Minted) -> Result<bool, SqliteError> {
    let row = sql.first(
        "SELECT 1 FROM revocations WHERE by IN (?, ?) AND at >= ? LIMIT 1",
        &[minted.by.as_str().into(), EVERYBODY.into(), minted.at.into()],
    )?;
    Ok(row.is_some())
}

/// Deletes what covers no living token. True if revocations are left.
pub fn trim(sql: &impl Sqlite, now: i64) -> Result<bool, SqliteError> {
    sql.execute("DELETE FROM revocations WHERE recorded <= ?", &[(now - KEPT_MILLIS).into()])?;
    let row = sql.first("SELECT count(*) FROM revocations", &[])?;
    let [count] = cells(row.unwrap_or_default());
    Ok(count.count() > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_minted_until_then_is_void() {
        let sql = rusqlite::Connection::open_in_memory().unwrap();
        open(&sql).unwrap();
        let covered = |by: &str, at| covers(&sql, &Minted { by: by.into(), at }).unwrap();
        record(&sql, Some("user:a"), 100, 100).unwrap();
        assert!(covered("user:a", 100) && !covered("user:a", 101) && !covered("user:b", 1));
        record(&sql, Some("user:a"), 50, 100).unwrap();
        assert!(covered("user:a", 100), "an older revocation takes nothing back");
        record(&sql, None, 200, 200).unwrap();
        assert!(covered("user:b", 200) && !covered("user:b", 201));
        assert!(trim(&sql, 200).unwrap());
        assert!(!trim(&sql, 200 + KEPT_MILLIS).unwrap());
        assert!(!covered("user:a", 1));
    }
}
