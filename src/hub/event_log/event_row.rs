//! An event as a row of the log: the tables, and how rows are written and read.
//!
//! Invariants
//! - Every row holds its time, and what was written so far: the total of bytes, and the number and bytes of all events but
//!   those about subscriptions. All of them rise with the sequence number.
//! - Rows of logs of before can be read: what they do not hold is none, and they number all events, as their keys do.

use crate::hub::protocol::MercureUpdate;
use crate::hub::sqlite::{Sqlite, SqliteError, Value, cells};
use domain::clock::Timestamp;
use domain::topic::Topic;

/// For logs of before: what was told of a record names its collection's creation id.
const ADD_CREATION_ID: &str = "ALTER TABLE events ADD COLUMN creation_id TEXT";

/// For logs of before: their rows number all events, as their keys do. What `presence` says is how many bytes of such events
/// were written so far.
const ADD_PRESENCE: [&str; 3] = [
    "ALTER TABLE events ADD COLUMN number INTEGER",
    "ALTER TABLE events ADD COLUMN bytes INTEGER",
    "ALTER TABLE events ADD COLUMN presence INTEGER",
];

/// For logs of before: what a changed record was, and the number of its change.
const ADD_CHANGE: [&str; 2] =
    ["ALTER TABLE events ADD COLUMN before TEXT", "ALTER TABLE events ADD COLUMN change INTEGER"];

const PRESENCE_INDEX: &str =
    "CREATE INDEX IF NOT EXISTS events_about_presence ON events (presence) WHERE presence IS NOT NULL";

const TABLES: [&str; 3] = [
    "CREATE TABLE IF NOT EXISTS events (
       seq     INTEGER PRIMARY KEY,
       at      INTEGER NOT NULL,
       total   INTEGER NOT NULL,
       private INTEGER NOT NULL,
       topics  TEXT NOT NULL,
       name    TEXT NOT NULL,
       tail    TEXT NOT NULL,
       creation_id TEXT,
       number  INTEGER,
       bytes   INTEGER,
       presence INTEGER,
       before  TEXT,
       change  INTEGER
     )",
    "CREATE TABLE IF NOT EXISTS updates (
       seq   INTEGER PRIMARY KEY,
       id    TEXT,
       kind  TEXT,
       retry INTEGER,
       head  TEXT NOT NULL
     )",
    "CREATE INDEX IF NOT EXISTS updates_by_id ON updates (id, seq) WHERE id IS NOT NULL",
];

/// An event in the log. The fields are those of [`Publish`](crate::hub::protocol::Publish).
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    pub seq: u64,
    pub topics: Vec<Topic>,
    pub private: bool,
    pub name: String,
    pub tail: String,
    pub update: Option<MercureUpdate>,
    /// Of an event about a record: the creation id of the record's collection; none if it is of before there were any.
    pub creation_id: Option<String>,
    /// The members of the record that had other values, with these values, as JSON; all of them if it was deleted.
    pub before: Option<String>,
    /// The outbox's number of the change.
    pub change: Option<u64>,
}

/// An event to append.
#[derive(Debug)]
pub struct NewEntry {
    pub topics: Vec<Topic>,
    pub private: bool,
    pub name: String,
    pub tail: String,
    pub update: Option<MercureUpdate>,
    pub creation_id: Option<String>,
    pub before: Option<String>,
    pub change: Option<u64>,
}

impl Entry {
    /// What it counts for in the bound of bytes.
    pub fn bytes(&self) -> u64 {
        let topics: usize = self.topics.iter().map(|t| t.as_str().len() + 1).sum();
        let update = self.update.as_ref().map_or(0, |MercureUpdate { id, kind, head, .. }| {
            head.len() + id.as_ref().map_or(0, String::len) + kind.as_ref().map_or(0, String::len)
        });
        let before = self.before.as_ref().map_or(0, String::len);
        (topics + self.name.len() + self.tail.len() + before + update) as u64
    }
}

/// Makes the tables, with the columns that logs of before do not have. Whether events did not name their collections so far.
pub fn create_tables(sql: &impl Sqlite) -> Result<bool, SqliteError> {
    for table in TABLES {
        sql.execute(table, &[])?;
    }
    let has_column = |pattern: &str| {
        let find = "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'events' AND sql LIKE ?";
        sql.first(find, &[pattern.into()]).map(|row| row.is_some())
    };
    let was_unnamed = !has_column("%creation_id%")?;
    if was_unnamed {
        sql.execute(ADD_CREATION_ID, &[])?;
    }
    if !has_column("%presence%")? {
        for add in ADD_PRESENCE {
            sql.execute(add, &[])?;
        }
    }
    if !has_column("%change %")? {
        for add in ADD_CHANGE {
            sql.execute(add, &[])?;
        }
    }
    sql.execute(PRESENCE_INDEX, &[])?;
    Ok(was_unnamed)
}

/// What a row tells of the log up to it.
#[derive(Debug)]
pub struct RowTotals {
    pub seq: u64,
    /// When it came, or the event before it if that was later.
    pub at: Timestamp,
    /// The bytes of all events.
    pub total: u64,
    /// How many events there were that are not about subscriptions.
    pub number: u64,
    /// Their bytes.
    pub bytes: u64,
}

/// What is written with a row, for the bounds of those behind it.
#[derive(Debug)]
pub struct RunningTotals {
    pub number: u64,
    pub bytes: u64,
    pub presence: Option<u64>,
}

/// The last sequence number, from `first` to `last`, whose row satisfies `holds`; `first - 1` if none does. `holds` must be
/// true for all rows up to some point and false behind it: this is a binary search.
pub fn last_where(
    sql: &impl Sqlite,
    first: u64,
    last: u64,
    holds: impl Fn(&RowTotals) -> bool,
) -> Result<u64, SqliteError> {
    let find = "SELECT seq, at, total, number, bytes FROM events WHERE seq >= ? AND seq <= ? ORDER BY seq LIMIT 1";
    let (mut low, mut high) = (first.saturating_sub(1), last);
    while low < high {
        let middle = low + (high - low).div_ceil(2);
        let row = sql.first(find, &[middle.into(), high.into()])?.map(totals_of);
        match row.filter(|row| holds(row)) {
            Some(row) => low = row.seq,
            None => high = middle - 1,
        }
    }
    Ok(low)
}

/// What the newest row tells; nothing but zeros if there is none.
pub fn newest(sql: &impl Sqlite) -> Result<RowTotals, SqliteError> {
    let row = sql.first("SELECT seq, at, total, number, bytes FROM events ORDER BY seq DESC LIMIT 1", &[])?;
    Ok(totals_of(row.unwrap_or_default()))
}

/// Reads a row. One of before counts every event.
fn totals_of(row: Vec<Value>) -> RowTotals {
    let [seq, at, total, number, bytes] = cells(row);
    let or = |own: Value, all: u64| if matches!(own, Value::Integer(_)) { own.count() } else { all };
    let (seq, total) = (seq.count(), total.count());
    RowTotals { seq, at: at.timestamp(), total, number: or(number, seq), bytes: or(bytes, total) }
}

/// The oldest event's sequence number; 0 if there is none.
pub fn first_of(sql: &impl Sqlite) -> Result<u64, SqliteError> {
    let [first] = cells(sql.first("SELECT seq FROM events ORDER BY seq LIMIT 1", &[])?.unwrap_or_default());
    Ok(first.count())
}

pub fn insert_event(
    sql: &impl Sqlite,
    entry: &Entry,
    at: Timestamp,
    total: u64,
    totals: &RunningTotals,
) -> Result<(), SqliteError> {
    let joined = entry.topics.iter().map(Topic::as_str).collect::<Vec<_>>().join("\n");
    sql.execute(
        "INSERT INTO events (seq, at, total, private, topics, name, tail, creation_id, number, bytes, presence, before, change) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        &[
            entry.seq.into(),
            at.into(),
            total.into(),
            i64::from(entry.private).into(),
            joined.as_str().into(),
            entry.name.as_str().into(),
            entry.tail.as_str().into(),
            entry.creation_id.as_deref().map_or(Value::Null, Value::from),
            totals.number.into(),
            totals.bytes.into(),
            totals.presence.map_or(Value::Null, Value::from),
            entry.before.as_deref().map_or(Value::Null, Value::from),
            entry.change.map_or(Value::Null, Value::from),
        ],
    )
}

pub fn insert_update(sql: &impl Sqlite, seq: u64, update: &MercureUpdate) -> Result<(), SqliteError> {
    let text = |text: &Option<String>| text.as_deref().map_or(Value::Null, Value::from);
    let MercureUpdate { id, kind, retry, head } = update;
    sql.execute(
        "INSERT INTO updates (seq, id, kind, retry, head) VALUES (?, ?, ?, ?, ?)",
        &[seq.into(), text(id), text(kind), retry.map_or(Value::Null, Value::from), head.as_str().into()],
    )
}

pub fn read_entry(row: Vec<Value>) -> Entry {
    let [seq, private, topics, name, tail, creation_id, before, change, id, kind, retry, head] = cells(row);
    let topics = topics.into_text().unwrap_or_default();
    let retry = matches!(retry, Value::Integer(_)).then(|| retry.count());
    let update = head.into_text().map(|head| MercureUpdate { id: id.into_text(), kind: kind.into_text(), retry, head });
    Entry {
        seq: seq.count(),
        topics: topics.split('\n').filter_map(|t| Topic::parse(t).ok()).collect(),
        private: private.integer() != 0,
        name: name.into_text().unwrap_or_default(),
        tail: tail.into_text().unwrap_or_default(),
        update,
        creation_id: creation_id.into_text(),
        before: before.into_text(),
        change: matches!(change, Value::Integer(_)).then(|| change.count()),
    }
}
