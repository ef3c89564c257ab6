//! Limits on failed attempts to sign in, in minutes of UTC: per network, per account and network, per account.
//!
//! An attempt is counted as a failure before anything is hashed, and taken back once it has succeeded, so that attempts
//! which come at once are counted one by one.
//!
//! Invariants
//! - Nobody locks somebody else out: at an account a network is refused for what it failed itself. Failures of all
//!   networks together only slow those that never signed in to the account: from the hundredth of a minute on, each of
//!   them has one attempt, from the thousandth on none. A network that the account signed in from is never slowed.
//! - Every attempt that is allowed is in SQLite before the reply leaves, so neither hibernation nor a restart forgets one.
//! - The rows of past minutes are deleted with the first attempt of the next; the number of rows of a minute is bounded.
//! - An account is counted by the digest of what was typed, whether or not it exists.

use super::sqlite::{Sqlite, SqliteError, cells};
use domain::clock::Timestamp;
use domain::plan::Limit;
use domain::rate::Rate;

const TABLE: &str = "CREATE TABLE IF NOT EXISTS logins (minute INTEGER NOT NULL, who TEXT NOT NULL, tries INTEGER NOT NULL, PRIMARY KEY (minute, who)) WITHOUT ROWID";
/// The networks that an account signed in from.
const NETWORKS: &str = "CREATE TABLE IF NOT EXISTS login_networks (account TEXT NOT NULL, network TEXT NOT NULL, at INTEGER NOT NULL, PRIMARY KEY (account, network)) WITHOUT ROWID";

/// Failures per minute of one network.
const PER_NETWORK: u64 = 20;
/// Failures per minute of one network at one account.
const PER_PAIR: u64 = 10;
/// Failures per minute at one account from which on a network that never signed in to it has one attempt.
const SLOWED: u64 = 100;
/// Failures per minute at one account from which on such a network has none.
const PER_ACCOUNT: u64 = 1_000;
/// Failures per minute in the tenant. With at most three rows for each attempt and one for all, this bounds the table.
const PER_TENANT: u64 = 50_000;
/// How many networks of an account are remembered, and for how long after it last signed in from there.
const KNOWN_NETWORKS: u64 = 8;
const KNOWN_MILLIS: i64 = 30 * 86_400_000;

pub fn create_tables(sql: &impl Sqlite) -> Result<(), SqliteError> {
    sql.execute(TABLE, &[])?;
    sql.execute(NETWORKS, &[])
}

/// The rows that an attempt is counted in.
struct LoginCounters {
    network: String,
    pair: String,
    /// Of the account, for a network that never signed in to it.
    account: Option<String>,
}

impl LoginCounters {
    fn of(sql: &impl Sqlite, network: &str, account: &str, now: Timestamp) -> Result<Self, SqliteError> {
        let oldest = now.plus_millis(-KNOWN_MILLIS);
        let known = sql.first(
            "SELECT 1 FROM login_networks WHERE account = ? AND network = ? AND at > ?",
            &[account.into(), network.into(), oldest.into()],
        )?;
        Ok(Self {
            network: format!("address:{network}"),
            pair: format!("pair:{account}:{network}"),
            account: known.is_none().then(|| format!("account:{account}")),
        })
    }

    fn rows(&self) -> impl Iterator<Item = &str> {
        [self.network.as_str(), self.pair.as_str(), "all"].into_iter().chain(self.account.as_deref())
    }
}

/// Counts an attempt as a failure, or returns the limit that is used up; then it counts against none.
pub fn count(sql: &impl Sqlite, network: &str, account: &str, now: Timestamp) -> Result<Option<Rate>, SqliteError> {
    let minute = minute(now);
    sql.execute("DELETE FROM logins WHERE minute < ?", &[minute.into()])?;
    let counted = LoginCounters::of(sql, network, account, now)?;
    let failed = |who: &str| {
        let row = sql.first("SELECT tries FROM logins WHERE minute = ? AND who = ?", &[minute.into(), who.into()])?;
        let [tries] = cells(row.unwrap_or_default());
        Ok::<_, SqliteError>(tries.count())
    };
    let at_account = counted.account.as_deref().map_or(Ok(0), failed)?;
    let per_pair = if at_account < SLOWED { PER_PAIR } else { 1 };
    for (used, limit) in [
        (failed(&counted.network)?, PER_NETWORK),
        (failed(&counted.pair)?, per_pair),
        (at_account, PER_ACCOUNT),
        (failed("all")?, PER_TENANT),
    ] {
        if used >= limit {
            let (limit, reset) = (Limit::AtMost(limit), Timestamp::from_millis((minute + 1) * 60_000));
            return Ok(Some(Rate { policy: "logins".into(), limit, remaining: 0, window: 60, reset }));
        }
    }
    for who in counted.rows() {
        sql.execute(
            "INSERT INTO logins (minute, who, tries) VALUES (?, ?, 1) ON CONFLICT (minute, who) DO UPDATE SET tries = tries + 1",
            &[minute.into(), who.into()],
        )?;
    }
    Ok(None)
}

/// Takes an attempt of this minute back, and remembers its network for the account.
pub fn succeeded(sql: &impl Sqlite, network: &str, account: &str, now: Timestamp) -> Result<(), SqliteError> {
    for who in LoginCounters::of(sql, network, account, now)?.rows() {
        sql.execute(
            "UPDATE logins SET tries = tries - 1 WHERE minute = ? AND who = ? AND tries > 0",
            &[minute(now).into(), who.into()],
        )?;
    }
    sql.execute(
        "INSERT OR REPLACE INTO login_networks (account, network, at) VALUES (?, ?, ?)",
        &[account.into(), network.into(), now.into()],
    )?;
    sql.execute(
        "DELETE FROM login_networks WHERE account = ?1 AND network NOT IN (SELECT network FROM login_networks WHERE account = ?1 ORDER BY at DESC, network LIMIT ?2)",
        &[account.into(), KNOWN_NETWORKS.into()],
    )
}

/// Deletes the attempts of past minutes and networks that no account signed in from for long. True if any are left.
pub fn trim(sql: &impl Sqlite, now: Timestamp) -> Result<bool, SqliteError> {
    sql.execute("DELETE FROM logins WHERE minute < ?", &[minute(now).into()])?;
    sql.execute("DELETE FROM login_networks WHERE at <= ?", &[now.plus_millis(-KNOWN_MILLIS).into()])?;
    Ok(sql.first("SELECT 1 FROM logins UNION ALL SELECT 1 FROM login_networks LIMIT 1", &[])?.is_some())
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
        create_tables(&sql).unwrap();
        sql
    }

    fn is_allowed(sql: &rusqlite::Connection, network: &str, account: &str, now: Timestamp) -> bool {
        count(sql, network, account, now).unwrap().is_none()
    }

    fn allowed(sql: &rusqlite::Connection, who: impl Fn(u64) -> (String, String), now: Timestamp) -> u64 {
        let passed = |i: &u64| {
            let (network, account) = who(*i);
            is_allowed(sql, &network, &account, now)
        };
        (0..50).filter(passed).count() as u64
    }

    #[test]
    fn each_limit_holds_by_itself_and_for_its_minute() {
        let sql = empty();
        assert_eq!(allowed(&sql, |i| ("a".into(), format!("{i}")), NOW), PER_NETWORK);
        assert_eq!(allowed(&sql, |_| ("b".into(), "mine".into()), NOW), PER_PAIR);
        assert_eq!(allowed(&sql, |i| ("a".into(), format!("other {i}")), NOW.plus_millis(59_999)), 0);
        let rate = count(&sql, "a", "x", NOW).unwrap().unwrap();
        assert_eq!((rate.reset, rate.limit), (NOW.plus_seconds(60), Limit::AtMost(PER_NETWORK)));
        assert_eq!(allowed(&sql, |i| ("a".into(), format!("{i}")), NOW.plus_millis(60_000)), PER_NETWORK);
    }

    #[test]
    fn a_network_locks_nobody_elses_network_out() {
        let sql = empty();
        assert_eq!(allowed(&sql, |_| ("attacker".into(), "mine".into()), NOW), PER_PAIR);
        assert_eq!(allowed(&sql, |_| ("home".into(), "mine".into()), NOW), PER_PAIR);
    }

    #[test]
    fn a_guess_from_many_networks_is_slowed_and_then_stopped_but_not_the_accounts_own_networks() {
        let sql = empty();
        assert!(is_allowed(&sql, "home", "mine", NOW));
        succeeded(&sql, "home", "mine", NOW).unwrap();
        for i in 0..SLOWED {
            assert!(is_allowed(&sql, &format!("n{}", i / PER_PAIR), "mine", NOW), "{i}");
        }
        for i in SLOWED..PER_ACCOUNT {
            let network = format!("m{i}");
            assert!(is_allowed(&sql, &network, "mine", NOW), "{i}");
            assert!(!is_allowed(&sql, &network, "mine", NOW), "{i}");
        }
        assert!(!is_allowed(&sql, "another", "mine", NOW));
        assert!(is_allowed(&sql, "another", "yours", NOW));
        assert_eq!(allowed(&sql, |_| ("home".into(), "mine".into()), NOW), PER_PAIR);
    }

    #[test]
    fn what_succeeds_is_no_failure_and_a_refused_attempt_counts_nowhere() {
        let sql = empty();
        for _ in 0..100 {
            assert!(is_allowed(&sql, "office", "mine", NOW));
            succeeded(&sql, "office", "mine", NOW).unwrap();
        }
        allowed(&sql, |_| ("a".into(), "mine".into()), NOW);
        assert_eq!(allowed(&sql, |i| ("a".into(), format!("{i}")), NOW), PER_NETWORK - PER_PAIR);
    }

    #[test]
    fn past_minutes_and_old_networks_are_forgotten() {
        let sql = empty();
        for i in 0..20 {
            succeeded(&sql, &format!("n{i}"), "mine", NOW.plus_millis(i)).unwrap();
        }
        is_allowed(&sql, "b", "c", NOW);
        assert!(trim(&sql, NOW.plus_millis(60_000)).unwrap());
        let networks = sql.query("SELECT network FROM login_networks ORDER BY at", &[]).unwrap();
        assert_eq!(networks.len() as u64, KNOWN_NETWORKS);
        assert_eq!(networks[0], [crate::hub::sqlite::Value::Text("n12".into())]);
        assert!(sql.query("SELECT 1 FROM logins", &[]).unwrap().is_empty());
        assert!(!trim(&sql, NOW.plus_millis(KNOWN_MILLIS + 20)).unwrap());
    }
}
