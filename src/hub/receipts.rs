//! Webhook ids that were accepted, so that a repeated delivery becomes no second event.

use super::protocol::ReceiptKey;
use super::sqlite::{Sqlite, SqliteError, cells};
use domain::clock::Timestamp;
use domain::log_position::Cursor;

const TABLE: &str = "CREATE TABLE IF NOT EXISTS receipts (
   id     TEXT PRIMARY KEY,
   at     INTEGER NOT NULL,
   digest TEXT NOT NULL,
   event  TEXT NOT NULL
 ) WITHOUT ROWID";

/// How long a webhook id is remembered.
const LIFETIME_MILLIS: i64 = 24 * 3_600_000;

/// What is known of a webhook id.
#[derive(Debug, PartialEq, Eq)]
pub enum Receipt {
    /// Nothing.
    New,
    /// The same webhook was accepted before, as this event.
    Duplicate(Cursor),
    /// The id was used before with another body.
    Reused,
}

pub fn create_table(sql: &impl Sqlite) -> Result<(), SqliteError> {
    sql.execute(TABLE, &[])
}

pub fn find(sql: &impl Sqlite, key: &ReceiptKey, now: Timestamp) -> Result<Receipt, SqliteError> {
    let row = sql.first("SELECT at, digest, event FROM receipts WHERE id = ?", &[key.id.as_str().into()])?;
    let Some(row) = row else { return Ok(Receipt::New) };
    let [at, digest, event] = cells(row);
    if now.since(at.timestamp()) >= LIFETIME_MILLIS {
        return Ok(Receipt::New);
    }
    let event = event.into_text().as_deref().and_then(Cursor::parse);
    Ok(match event {
        Some(event) if digest.into_text().as_deref() == Some(&key.digest) => Receipt::Duplicate(event),
        _ => Receipt::Reused,
    })
}

/// Records which event a webhook became.
pub fn record(sql: &impl Sqlite, key: &ReceiptKey, event: &Cursor, now: Timestamp) -> Result<(), SqliteError> {
    sql.execute(
        "INSERT OR REPLACE INTO receipts (id, at, digest, event) VALUES (?, ?, ?, ?)",
        &[key.id.as_str().into(), now.into(), key.digest.as_str().into(), event.to_string().as_str().into()],
    )
}

/// Deletes expired receipts. True if any are left.
pub fn trim(sql: &impl Sqlite, now: Timestamp) -> Result<bool, SqliteError> {
    sql.execute("DELETE FROM receipts WHERE at <= ?", &[now.plus_millis(-LIFETIME_MILLIS).into()])?;
    Ok(sql.first("SELECT 1 FROM receipts LIMIT 1", &[])?.is_some())
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::log_position::Epoch;

    #[test]
    fn a_webhook_id_is_remembered_for_a_day() {
        let sql = rusqlite::Connection::open_in_memory().unwrap();
        create_table(&sql).unwrap();
        let at = Timestamp::from_millis;
        let key = |digest: &str| ReceiptKey { id: "w".into(), digest: digest.into() };
        let event = Cursor { epoch: Epoch::from_random([1; 8]), seq: 1 };
        assert_eq!(find(&sql, &key("d"), at(0)).unwrap(), Receipt::New);
        record(&sql, &key("d"), &event, at(0)).unwrap();
        assert_eq!(find(&sql, &key("d"), at(5)).unwrap(), Receipt::Duplicate(event));
        assert_eq!(find(&sql, &key("e"), at(5)).unwrap(), Receipt::Reused);
        assert!(trim(&sql, at(LIFETIME_MILLIS - 1)).unwrap());
        assert_eq!(find(&sql, &key("e"), at(LIFETIME_MILLIS)).unwrap(), Receipt::New);
        assert!(!trim(&sql, at(LIFETIME_MILLIS)).unwrap());
    }
}
