//! Limits on mails that are asked for, of whatever kind: to one person, from one network, in the tenant.
//!
//! Invariants
//! - A person is not flooded: all kinds of mails count together, per minute and per UTC day.
//! - One network cannot use up a person's day: of one person's mails it has a third.
//! - A person is counted by the digest of the address, whether or not it is a user's.

use super::sqlite::{Sqlite, SqliteError, cells};
use domain::clock::Timestamp;
use domain::plan::Limit;
use domain::rate::Rate;

const TABLE: &str = "CREATE TABLE IF NOT EXISTS mails (who TEXT NOT NULL, until INTEGER NOT NULL, count INTEGER NOT NULL, PRIMARY KEY (who, until)) WITHOUT ROWID";

const MINUTE: i64 = 60_000;
const DAY: i64 = 86_400_000;

/// Mails to one person, per minute and per day.
const PER_PERSON: [(i64, u64); 2] = [(MINUTE, 10), (DAY, 30)];
/// Mails to one person that one network asks for, per day.
const PER_PAIR: (i64, u64) = (DAY, 10);
/// Mails that one network asks for, per minute and per day.
const PER_NETWORK: [(i64, u64); 2] = [(MINUTE, 20), (DAY, 200)];
/// Mails of a tenant, per day. This bounds the table.
const PER_TENANT: (i64, u64) = (DAY, 20_000);

pub fn create_table(sql: &impl Sqlite) -> Result<(), SqliteError> {
    sql.execute(TABLE, &[])
}

/// Counts a mail, or returns the limit that is used up for longest; then it counts against none. Without a network, it was asked for
/// by somebody who may write to whom they like.
pub fn count(
    sql: &impl Sqlite,
    network: Option<&str>,
    person: &str,
    now: Timestamp,
) -> Result<Option<Rate>, SqliteError> {
    sql.execute("DELETE FROM mails WHERE until <= ?", &[now.into()])?;
    let mut counted: Vec<(String, (i64, u64))> = vec![("all".to_owned(), PER_TENANT)];
    counted.extend(PER_PERSON.map(|bound| (format!("person:{person}"), bound)));
    if let Some(network) = network {
        counted.extend(PER_NETWORK.map(|bound| (format!("network:{network}"), bound)));
        counted.push((format!("pair:{person}:{network}"), PER_PAIR));
    }
    let mut used_up: Option<Rate> = None;
    for (who, (period, limit)) in &counted {
        let until = end(*period, now);
        let row =
            sql.first("SELECT count FROM mails WHERE who = ? AND until = ?", &[row(who, *period), until.into()])?;
        let [count] = cells(row.unwrap_or_default());
        if count.count() >= *limit && used_up.as_ref().is_none_or(|other| other.reset < until) {
            let (limit, window) = (Limit::AtMost(*limit), period.unsigned_abs() / 1000);
            used_up = Some(Rate { policy: "mails".into(), limit, remaining: 0, window, reset: until });
        }
    }
    if used_up.is_some() {
        return Ok(used_up);
    }
    for (who, (period, _)) in &counted {
        sql.execute(
            "INSERT INTO mails (who, until, count) VALUES (?, ?, 1) ON CONFLICT (who, until) DO UPDATE SET count = count + 1",
            &[row(who, *period), end(*period, now).into()],
        )?;
    }
    Ok(None)
}

/// Deletes the counts of past windows. True if any are left.
pub fn trim(sql: &impl Sqlite, now: Timestamp) -> Result<bool, SqliteError> {
    sql.execute("DELETE FROM mails WHERE until <= ?", &[now.into()])?;
    Ok(sql.first("SELECT 1 FROM mails LIMIT 1", &[])?.is_some())
}

/// A minute may end when a day does, so the name of a row says which of both it counts.
fn row(who: &str, period: i64) -> super::sqlite::Value {
    format!("{}{who}", if period == DAY { "day:" } else { "minute:" }).as_str().into()
}

fn end(period: i64, now: Timestamp) -> Timestamp {
    now.plus_millis(period - now.millis().rem_euclid(period))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_millis(20_000 * DAY);

    fn empty() -> rusqlite::Connection {
        let sql = rusqlite::Connection::open_in_memory().unwrap();
        create_table(&sql).unwrap();
        sql
    }

    /// How many of 300 mails are allowed, one each minute.
    fn in_a_day(
        sql: &rusqlite::Connection,
        network: impl Fn(i64) -> Option<String>,
        person: impl Fn(i64) -> String,
    ) -> usize {
        let is_allowed =
            |i: &i64| count(sql, network(*i).as_deref(), &person(*i), NOW.plus_millis(i * MINUTE)).unwrap().is_none();
        (0..300).filter(is_allowed).count()
    }

    #[test]
    fn a_person_gets_ten_mails_a_minute_and_thirty_a_day_from_wherever_they_are_asked_for() {
        let sql = empty();
        let at_once = (0..50).filter(|i| count(&sql, Some(&format!("n{i}")), "ada", NOW).unwrap().is_none()).count();
        assert_eq!(at_once, 10);
        assert_eq!(in_a_day(&sql, |i| Some(format!("m{i}")), |_| "ada".into()), 20);
        let refused = count(&sql, None, "ada", NOW.plus_millis(DAY - 1)).unwrap().unwrap();
        assert_eq!((refused.reset, refused.window), (NOW.plus_millis(DAY), 86_400), "by whoever may invite, too");
        assert!(count(&sql, None, "ada", NOW.plus_millis(DAY)).unwrap().is_none());
    }

    #[test]
    fn one_network_cannot_use_up_a_persons_day() {
        let sql = empty();
        assert_eq!(in_a_day(&sql, |_| Some("attacker".into()), |_| "ada".into()), 10);
        assert!(count(&sql, Some("home"), "ada", NOW.plus_millis(300 * MINUTE)).unwrap().is_none());
    }

    #[test]
    fn a_network_asks_for_a_bounded_number_of_mails() {
        let sql = empty();
        let at_once = (0..50).filter(|i| count(&sql, Some("a"), &format!("p{i}"), NOW).unwrap().is_none()).count();
        assert_eq!(at_once, 20);
        assert_eq!(in_a_day(&sql, |_| Some("a".into()), |i| format!("q{i}")), 180);
        assert_eq!(in_a_day(&empty(), |_| None, |i| format!("q{i}")), 300, "invitations are bounded elsewhere");
    }

    #[test]
    fn what_is_past_is_forgotten() {
        let sql = empty();
        count(&sql, Some("a"), "ada", NOW.plus_millis(DAY - 1)).unwrap();
        assert!(trim(&sql, NOW.plus_millis(DAY - 1)).unwrap());
        assert!(!trim(&sql, NOW.plus_millis(DAY)).unwrap());
    }
}
