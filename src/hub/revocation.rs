//! Revocations: from a moment on, streams that a principal opened and tokens that it minted before it are void.
//!
//! A row is kept longer than any token that it covers can live, so tokens need no list of their own.

use super::sqlite::{Sqlite, SqliteError, cells};
use domain::clock::Timestamp;
use domain::minted::Minted;

const TABLE: &str = "CREATE TABLE IF NOT EXISTS revocations (by TEXT PRIMARY KEY, at INTEGER NOT NULL, recorded INTEGER NOT NULL) WITHOUT ROWID";

/// In place of a principal: all of them. No principal has this name.
const EVERYBODY: &str = "*";

/// How long a revocation is kept: twice the longest lifetime of a minted token.
const LIFETIME_MILLIS: i64 = 2 * 3_600_000;

pub fn create_table(sql: &impl Sqlite) -> Result<(), SqliteError> {
    sql.execute(TABLE, &[])
}

/// Makes void what a principal (none: every principal) minted at `at` or before.
pub fn record(sql: &impl Sqlite, by: Option<&str>, at: Timestamp, now: Timestamp) -> Result<(), SqliteError> {
    sql.execute(
        "INSERT INTO revocations (by, at, recorded) VALUES (?, ?, ?) ON CONFLICT (by) DO UPDATE SET at = max(at, excluded.at), recorded = excluded.recorded",
        &[by.unwrap_or(EVERYBODY).into(), at.into(), now.into()],
    )
}

/// Whether a token was revoked, by any of the names that it rests on.
pub fn covers(sql: &impl Sqlite, minted: &Minted) -> Result<bool, SqliteError> {
    for name in minted.names().chain([EVERYBODY]) {
        let row = sql.first("SELECT 1 FROM revocations WHERE by = ? AND at >= ?", &[name.into(), minted.at.into()])?;
        if row.is_some() {
            return Ok(true);
        }
    }
    Ok(false)
}

/// A revocation: of a name (none: of everybody), as of a moment.
pub type Revocation = (Option<String>, Timestamp);

/// All of them.
pub fn all(sql: &impl Sqlite) -> Result<Vec<Revocation>, SqliteError> {
    let rows = sql.query("SELECT by, at FROM revocations", &[])?.into_iter().map(|row| {
        let [by, at] = cells(row);
        (by.into_text().filter(|by| by != EVERYBODY), at.timestamp())
    });
    Ok(rows.collect())
}

/// Deletes revocations that no living token can fall under. True if any are left.
pub fn trim(sql: &impl Sqlite, now: Timestamp) -> Result<bool, SqliteError> {
    sql.execute("DELETE FROM revocations WHERE recorded <= ?", &[now.plus_millis(-LIFETIME_MILLIS).into()])?;
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
        create_table(&sql).unwrap();
        let at = Timestamp::from_millis;
        let covered = |by: &str, millis| {
            let minted = Minted { by: by.into(), at: at(millis), also: vec!["session:s".into(), "role:r".into()] };
            covers(&sql, &minted).unwrap()
        };
        record(&sql, Some("user:a"), at(100), at(100)).unwrap();
        assert!(covered("user:a", 100) && !covered("user:a", 101) && !covered("user:b", 1));
        record(&sql, Some("user:a"), at(50), at(100)).unwrap();
        assert!(covered("user:a", 100), "an older revocation takes nothing back");
        record(&sql, Some("role:r"), at(60), at(100)).unwrap();
        assert!(covered("user:b", 60) && !covered("user:b", 61), "by what it rests on beside its principal");
        record(&sql, None, at(200), at(200)).unwrap();
        assert!(covered("user:b", 200) && !covered("user:b", 201));
        assert_eq!(all(&sql).unwrap().len(), 3);
        assert!(trim(&sql, at(200)).unwrap());
        assert!(!trim(&sql, at(200 + LIFETIME_MILLIS)).unwrap());
        assert!(!covered("user:a", 1));
    }
}
