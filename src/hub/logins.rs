//! Limits on attempts to sign in, per address and per account, in minutes of UTC.
//!
//! Invariants
//! - Every attempt that is allowed is in SQLite before the reply leaves, so neither hibernation nor a restart forgets one.
//! - The rows of past minutes are deleted with the first attempt of the next; the number of rows of a minute is bounded.
//! - An account is counted by the digest of what was typed, whether or not it exists.

use super::sqlite::{Sqlite, SqliteError, cells};
use domain::clock::Timestamp;
use domain::plan::Limit;
use domain::rate::Rate;

const TABLE: &str = "CREATE TABLE IF NOT EXISTS logins (minute INTEGER NOT NULL, who TEXT NOT NULL, tries INTEGER NOT NULL, PRIMARY KEY (minute, who)) WITHOUT ROWID";

/// Attempts per minute from one address.
const PER_ADDRESS: u64 = 20;
/// Attempts per minute on one account.
const PER_ACCOUNT: u64 = 10;
/// Attempts per minute in the tenant. With two rows for each attempt and one for all, this bounds the table.
const PER_TENANT: u64 = 50_000;

pub fn create_table(sql: &impl Sqlite) -> Result<(), SqliteError> {
    sql.execute(TABLE, &[])
}

/// Counts an attempt, or returns the limit that is used up; then it counts against none.
pub fn count(sql: &impl Sqlite, address: &str, account: &str, now: Timestamp) -> Result<Option<Rate>, SqliteError> {
    let minute = minute(now);
    sql.execute("DELETE FROM logins WHERE minute < ?", &[minute.into()])?;
    let counted = [
        (format!("address:{address}"), PER_ADDRESS),
        (format!("account:{account}"), PER_ACCOUNT),
        ("all".to_owned(), PER_TENANT),
    ];
    for (who, limit) in &counted {
        let row =
            sql.first("SELECT tries FROM logins WHERE minute = ? AND who = ?", &[minute.into(), who.as_str().into()])?;
        let [tries] = cells(row.unwrap_or_default());
        if tries.count() >= *limit {
            let (limit, reset) = (Limit::AtMost(*limit), Timestamp::from_millis((minute + 1) * 60_000));
            return Ok(Some(Rate { policy: "logins".into(), limit, remaining: 0, window: 60, reset }));
        }
    }
    for (who, _) in &counted {
        sql.execute(
            "INSERT INTO logins (minute, who, tries) VALUES (?, ?, 1) ON CONFLICT (minute, who) DO UPDATE SET tries = tries + 1",
            &[minute.into(), who.as_str().into()],
        )?;
    }
    Ok(None)
}

/// Deletes the attempts of past minutes. True if any are left.
pub fn trim(sql: &impl Sqlite, now: Timestamp) -> Result<bool, SqliteError> {
    sql.execute("DELETE FROM logins WHERE minute < ?", &[minute(now).into()])?;
    Ok(sql.first("SELECT 1 FROM logins LIMIT 1", &[])?.is_some())
}

/// Minutes since 1970.
fn minute(now: Timestamp) -> i64 {
    now.millis().div_euclid(60_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_millis(60_000_000);

    fn empty() -> rusqlite::Connection {
        let sql = rusqlite::Connection::open_in_memory().unwrap();
        create_table(&sql).unwrap();
        sql
    }

    fn allowed(sql: &rusqlite::Connection, who: impl Fn(u64) -> (String, String), now: Timestamp) -> u64 {
        let passed = |i: &u64| {
            let (address, account) = who(*i);
            count(sql, &address, &account, now).unwrap().is_none()
        };
        (0..50).filter(passed).count() as u64
    }

    #[test]
    fn each_limit_holds_by_itself_and_for_its_minute() {
        let sql = empty();
        assert_eq!(allowed(&sql, |i| ("a".into(), format!("{i}")), NOW), PER_ADDRESS);
        assert_eq!(allowed(&sql, |i| (format!("{i}"), "mine".into()), NOW), PER_ACCOUNT);
        assert_eq!(allowed(&sql, |i| ("a".into(), format!("other {i}")), NOW.plus_millis(59_999)), 0);
        let rate = count(&sql, "a", "x", NOW).unwrap().unwrap();
        assert_eq!((rate.reset, rate.limit), (NOW.plus_seconds(60), Limit::AtMost(PER_ADDRESS)));
        assert_eq!(allowed(&sql, |i| ("a".into(), format!("{i}")), NOW.plus_millis(60_000)), PER_ADDRESS);
    }

    #[test]
    fn a_refused_attempt_counts_nowhere_and_past_minutes_are_forgotten() {
        let sql = empty();
        allowed(&sql, |_| ("a".into(), "mine".into()), NOW);
        assert_eq!(allowed(&sql, |i| ("a".into(), format!("{i}")), NOW), PER_ADDRESS - PER_ACCOUNT);
        assert!(trim(&sql, NOW).unwrap());
        count(&sql, "b", "c", NOW.plus_millis(60_000)).unwrap();
        let rows = sql.query("SELECT count(*) FROM logins", &[]).unwrap();
        assert_eq!(rows, [[crate::hub::sqlite::Value::Integer(3)]]);
        assert!(!trim(&sql, NOW.plus_millis(120_000)).unwrap());
    }
}
