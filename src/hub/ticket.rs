//! Tickets: rights in a URL, for browsers whose `EventSource` cannot set headers.
//!
//! A ticket carries one stream at a time. It must be used within a minute of its making; from then
//! on, until its token's end, a reconnect with it replaces the stream before. Kept by digest.

use serde::{Deserialize, Serialize};

use super::event_log::cells;
use super::sqlite::{Sqlite, SqliteError};
use domain::minted::Minted;
use domain::selector::Selector;

const TABLE: &str = "CREATE TABLE IF NOT EXISTS tickets (
   digest     TEXT PRIMARY KEY,
   expires_at INTEGER NOT NULL,
   rights     TEXT NOT NULL
 ) WITHOUT ROWID";

/// How long a ticket waits for its first use, in milliseconds.
pub const FIRST_USE_MILLIS: i64 = 60_000;

/// What a ticket opens.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Rights {
    /// Topics whose private events it opens.
    pub granted: Vec<Selector>,
    /// The token's end, in milliseconds since 1970.
    pub until: i64,
    /// The version of the subscription secret the token verified with, if the site signed it.
    #[serde(default)]
    pub secret_version: Option<u32>,
    /// Who had the token minted, if the platform signed it.
    #[serde(default)]
    pub minted: Option<Minted>,
}

/// Makes the table.
pub fn open(sql: &impl Sqlite) -> Result<(), SqliteError> {
    sql.execute(TABLE, &[])
}

/// Keeps a ticket until its first use is due.
pub fn issue(sql: &impl Sqlite, digest: &str, rights: &Rights, now: i64) -> Result<(), SqliteError> {
    let until = rights.until.min(now + FIRST_USE_MILLIS);
    put(sql, digest, rights, until)
}

/// Takes a ticket for a stream: its rights, if it is good now. From the first use on it lives as long as its token.
pub fn present(sql: &impl Sqlite, digest: &str, now: i64) -> Result<Option<Rights>, SqliteError> {
    let Some(row) = sql.first("SELECT expires_at, rights FROM tickets WHERE digest = ?", &[digest.into()])? else {
        return Ok(None);
    };
    let [expires_at, rights] = cells(row);
    let rights: Option<Rights> = rights.into_text().and_then(|json| serde_json::from_str(&json).ok());
    let Some(rights) = rights.filter(|_| now < expires_at.integer()) else { return Ok(None) };
    if expires_at.integer() != rights.until {
        put(sql, digest, &rights, rights.until)?;
    }
    Ok(Some(rights))
}

/// Deletes what has expired. True if tickets are left.
pub fn trim(sql: &impl Sqlite, now: i64) -> Result<bool, SqliteError> {
    sql.execute("DELETE FROM tickets WHERE expires_at <= ?", &[now.into()])?;
    Ok(sql.first("SELECT 1 FROM tickets LIMIT 1", &[])?.is_some())
}

fn put(sql: &impl Sqlite, digest: &str, rights: &Rights, expires_at: i64) -> Result<(), SqliteError> {
    let json = serde_json::to_string(rights).map_err(|e| SqliteError(e.to_string()))?;
    sql.execute(
        "INSERT OR REPLACE INTO tickets (digest, expires_at, rights) VALUES (?, ?, ?)",
        &[digest.into(), expires_at.into(), json.as_str().into()],
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ticket_waits_a_minute_then_lives_with_its_token() {
        let sql = rusqlite::Connection::open_in_memory().unwrap();
        open(&sql).unwrap();
        let rights = Rights { granted: vec![], until: 3_600_000, secret_version: Some(1), minted: None };
        issue(&sql, "used", &rights, 0).unwrap();
        issue(&sql, "late", &rights, 0).unwrap();
        assert_eq!(present(&sql, "used", 59_999).unwrap(), Some(rights.clone()));
        assert_eq!(present(&sql, "late", 60_000).unwrap(), None);
        assert_eq!(present(&sql, "used", 3_599_999).unwrap(), Some(rights));
        assert_eq!(present(&sql, "used", 3_600_000).unwrap(), None);
        assert_eq!(present(&sql, "never", 0).unwrap(), None);
        assert!(trim(&sql, 60_000).unwrap());
        assert!(!trim(&sql, 3_600_000).unwrap());
    }
}
