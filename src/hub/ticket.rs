//! Tickets: rights in a URL, for browsers whose `EventSource` cannot set headers.
//!
//! A ticket must be used within a minute of its issue. From then on it is valid until its token expires, for one stream
//! at a time: a reconnect replaces the stream before. Only its digest is stored.

use serde::{Deserialize, Serialize};

use super::protocol::Basis;
use super::sqlite::{Sqlite, SqliteError, cells};
use domain::clock::Timestamp;
use domain::selector::Selector;
use domain::unix_time::millis;

const TABLE: &str = "CREATE TABLE IF NOT EXISTS tickets (
   digest     TEXT PRIMARY KEY,
   expires_at INTEGER NOT NULL,
   rights     TEXT NOT NULL
 ) WITHOUT ROWID";

/// How long an issued ticket can wait for its first use.
const FIRST_USE_MILLIS: i64 = 60_000;

/// The rights of the token that a ticket was issued for, stored as JSON.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Rights {
    /// Topics whose private events the token opens.
    pub granted: Vec<Selector>,
    /// When they end.
    #[serde(with = "millis")]
    pub until: Timestamp,
    /// What they rest on.
    #[serde(flatten)]
    pub basis: Basis,
    /// Lists of networks that a key may be used from, if one stands behind them; each must let the client in.
    #[serde(default)]
    pub networks: Vec<Vec<String>>,
}

pub fn create_table(sql: &impl Sqlite) -> Result<(), SqliteError> {
    sql.execute(TABLE, &[])
}

/// Stores a ticket.
pub fn issue(sql: &impl Sqlite, digest: &str, rights: &Rights, now: Timestamp) -> Result<(), SqliteError> {
    let until = rights.until.min(now.plus_millis(FIRST_USE_MILLIS));
    put(sql, digest, rights, until)
}

/// The rights of a ticket, if it is valid. The first use makes it valid until its token expires.
pub fn redeem(sql: &impl Sqlite, digest: &str, now: Timestamp) -> Result<Option<Rights>, SqliteError> {
    let Some((rights, expires_at)) = find(sql, digest, now)? else { return Ok(None) };
    if expires_at != rights.until {
        put(sql, digest, &rights, rights.until)?;
    }
    Ok(Some(rights))
}

/// The rights of a ticket, if it is valid. It is not used by that.
pub fn read(sql: &impl Sqlite, digest: &str, now: Timestamp) -> Result<Option<Rights>, SqliteError> {
    Ok(find(sql, digest, now)?.map(|(rights, _)| rights))
}

/// A valid ticket, and until when it is one.
fn find(sql: &impl Sqlite, digest: &str, now: Timestamp) -> Result<Option<(Rights, Timestamp)>, SqliteError> {
    let Some(row) = sql.first("SELECT expires_at, rights FROM tickets WHERE digest = ?", &[digest.into()])? else {
        return Ok(None);
    };
    let [expires_at, rights] = cells(row);
    let rights: Option<Rights> = rights.into_text().and_then(|json| serde_json::from_str(&json).ok());
    let expires_at = expires_at.timestamp();
    Ok(rights.filter(|_| now < expires_at).map(|rights| (rights, expires_at)))
}

/// Deletes expired tickets. True if any are left.
pub fn trim(sql: &impl Sqlite, now: Timestamp) -> Result<bool, SqliteError> {
    sql.execute("DELETE FROM tickets WHERE expires_at <= ?", &[now.into()])?;
    Ok(sql.first("SELECT 1 FROM tickets LIMIT 1", &[])?.is_some())
}

fn put(sql: &impl Sqlite, digest: &str, rights: &Rights, expires_at: Timestamp) -> Result<(), SqliteError> {
    let json = serde_json::to_string(rights).map_err(|e| SqliteError(e.to_string()))?;
    sql.execute(
        "INSERT OR REPLACE INTO tickets (digest, expires_at, rights) VALUES (?, ?, ?)",
        &[digest.into(), expires_at.into(), json.as_str().into()],
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hub::protocol::Grantor;

    #[test]
    fn a_ticket_waits_a_minute_then_lives_with_its_token() {
        let sql = rusqlite::Connection::open_in_memory().unwrap();
        create_table(&sql).unwrap();
        let at = Timestamp::from_millis;
        let basis =
            Basis { grantor: Grantor::SubscriptionSecret(1), expires_at: Some(at(3_600_000)), ..Basis::default() };
        let rights = Rights { granted: vec![], until: at(3_600_000), basis, networks: vec![] };
        issue(&sql, "used", &rights, at(0)).unwrap();
        issue(&sql, "late", &rights, at(0)).unwrap();
        issue(&sql, "read", &rights, at(0)).unwrap();
        assert_eq!(read(&sql, "read", at(59_999)).unwrap(), Some(rights.clone()));
        assert_eq!(read(&sql, "read", at(60_000)).unwrap(), None, "to read it is no use of it");
        assert_eq!(redeem(&sql, "used", at(59_999)).unwrap(), Some(rights.clone()));
        assert_eq!(redeem(&sql, "late", at(60_000)).unwrap(), None);
        assert_eq!(redeem(&sql, "used", at(3_599_999)).unwrap(), Some(rights));
        assert_eq!(redeem(&sql, "used", at(3_600_000)).unwrap(), None);
        assert_eq!(redeem(&sql, "never", at(0)).unwrap(), None);
        assert!(trim(&sql, at(60_000)).unwrap());
        assert!(!trim(&sql, at(3_600_000)).unwrap());
    }
}
