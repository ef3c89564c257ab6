//! Tries to sign in, counted exactly: per address and per account, in minutes of UTC.
//!
//! Invariants
//! - Every try that is let through is in SQLite before it is answered, so neither sleep nor restart gives one back.
//! - Rows of past minutes fall with the first try of the next; those of one minute are bounded.
//! - An account is counted by the digest of what was typed, whether or not there is one.

use super::event_log::cells;
use super::sqlite::{Sqlite, SqliteError};
use domain::plan::Limit;
use domain::rate::Rate;

const TABLE: &str = "CREATE TABLE IF NOT EXISTS logins (minute INTEGER NOT NULL, who TEXT NOT NULL, tries INTEGER NOT NULL, PRIMARY KEY (minute, who)) WITHOUT ROWID";

/// Tries of an address, in a minute.
const OF_ADDRESS: u64 = 20;
/// Tries at an account, in a minute.
const AT_ACCOUNT: u64 = 10;
/// Tries of all addresses, in a minute: no two rows more than this stand in the table.
const OF_ALL: u64 = 50_000;

/// Makes the table.
pub fn open(sql: &impl Sqlite) -> Result<(), SqliteError> {
    sql.execute(TABLE, &[])
}

/// Counts a try, or says which limit is used up. A try that is refused counts nowhere.
pub fn count(sql: &impl Sqlite, address: &str, account: &str, now: i64) -> Result<Option<Rate>, SqliteError> {
    let minute = now.div_euclid(60_000);
    sql.execute("DELETE FROM logins WHERE minute < ?", &[minute.into()])?;
    let counted = [
        (format!("address:{address}"), OF_ADDRESS),
        (format!("account:{account}"), AT_ACCOUNT),
        ("all".to_owned(), OF_ALL),
    ];
    for (who, limit) in &counted {
        let row =
            sql.first("SELECT tries FROM logins WHERE minute = ? AND who = ?", &[minute.into(), who.as_str().into()])?;
        let [tries] = cells(row.unwrap_or_default());
        if tries.count() >= *limit {
            let (limit, reset) = (Limit::AtMost(*limit), (minute + 1) * 60);
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

/// Deletes the tries of past minutes. True if any are left.
pub fn trim(sql: &impl Sqlite, now: i64) -> Result<bool, SqliteError> {
    sql.execute("DELETE FROM logins WHERE minute < ?", &[now.div_euclid(60_000).into()])?;
    Ok(sql.first("SELECT 1 FROM logins LIMIT 1", &[])?.is_some())
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 60_000_000;

    fn opened() -> rusqlite::Connection {
        let sql = rusqlite::Connection::open_in_memory().unwrap();
        open(&sql).unwrap();
        sql
    }

    fn tries(sql: &rusqlite::Connection, who: impl Fn(u64) -> (String, String), now: i64) -> u64 {
        let passed = |i: &u64| {
            let (address, account) = who(*i);
            count(sql, &address, &account, now).unwrap().is_none()
        };
        (0..50).filter(passed).count() as u64
    }

    #[test]
    fn each_limit_holds_by_itself_and_for_its_minute() {
        let sql = opened();
        assert_eq!(tries(&sql, |i| ("a".into(), format!("{i}")), NOW), OF_ADDRESS);
        assert_eq!(tries(&sql, |i| (format!("{i}"), "mine".into()), NOW), AT_ACCOUNT);
        assert_eq!(tries(&sql, |i| ("a".into(), format!("other {i}")), NOW + 59_999), 0);
        let rate = count(&sql, "a", "x", NOW).unwrap().unwrap();
        assert_eq!((rate.reset, rate.limit), (NOW / 1000 + 60, Limit::AtMost(OF_ADDRESS)));
        assert_eq!(tries(&sql, |i| ("a".into(), format!("{i}")), NOW + 60_000), OF_ADDRESS);
    }

    #[test]
    fn a_refused_try_counts_nowhere_and_past_minutes_are_forgotten() {
        let sql = opened();
        tries(&sql, |_| ("a".into(), "mine".into()), NOW);
        assert_eq!(tries(&sql, |i| ("a".into(), format!("{i}")), NOW), OF_ADDRESS - AT_ACCOUNT);
        assert!(trim(&sql, NOW).unwrap());
        count(&sql, "b", "c", NOW + 60_000).unwrap();
        let rows = sql.query("SELECT count(*) FROM logins", &[]).unwrap();
        assert_eq!(rows, [[crate::hub::sqlite::Value::Integer(3)]]);
        assert!(!trim(&sql, NOW + 120_000).unwrap());
    }
}
