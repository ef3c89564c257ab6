//! A key-value table for what must outlive the hub's memory: log epoch, configuration, alarm, outbox watermark, counts.

use super::sqlite::{Sqlite, SqliteError, cells};

const TABLE: &str = "CREATE TABLE IF NOT EXISTS state (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID";

pub fn create_table(sql: &impl Sqlite) -> Result<(), SqliteError> {
    sql.execute(TABLE, &[])
}

pub fn read(sql: &impl Sqlite, key: &str) -> Result<Option<String>, SqliteError> {
    let row = sql.first("SELECT value FROM state WHERE key = ?", &[key.into()])?;
    let [value] = cells(row.unwrap_or_default());
    Ok(value.into_text())
}

pub fn write(sql: &impl Sqlite, key: &str, value: &str) -> Result<(), SqliteError> {
    sql.execute("INSERT OR REPLACE INTO state (key, value) VALUES (?, ?)", &[key.into(), value.into()])
}
