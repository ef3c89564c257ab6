//! The tenant's event log: events numbered without gaps, kept within bounds of age, count and bytes.
//!
//! Invariants
//! - Sequence numbers rise by one and are never given twice, even after everything was deleted: the newest row always
//!   stays.
//! - Every row holds its time, and what was written so far: the total of bytes, and the number and bytes of all events but
//!   those about subscriptions. All of them rise with the sequence number, so each bound of the retention is a range of keys,
//!   found by a few look-ups of single keys.
//! - Events about subscriptions (`presence`) count for none of these bounds but age, so however many there are, they push out
//!   nothing else. The newest of them are kept, within [`PRESENCE_BYTES`]; older ones leave holes behind.
//! - Retention applies to every read, whether or not expired rows were deleted yet.

use super::protocol::MercureUpdate;
use super::sqlite::{Sqlite, SqliteError, Value, cells};
use super::stored_state;
use domain::clock::Timestamp;
use domain::event::{Cursor, Epoch};
use domain::plan::Limits;
use domain::topic::Topic;

/// How many of the newest bytes of events about subscriptions are kept.
pub const PRESENCE_BYTES: u64 = 1024 * 1024;
/// What such an event counts for beside its bytes.
const PRESENCE_OVERHEAD: u64 = 512;

/// For logs of before: their rows number all events, as their keys do. What `presence` says is how many bytes of such events
/// were written so far.
const ADD_PRESENCE: [&str; 3] = [
    "ALTER TABLE events ADD COLUMN number INTEGER",
    "ALTER TABLE events ADD COLUMN bytes INTEGER",
    "ALTER TABLE events ADD COLUMN presence INTEGER",
];

const PRESENCE_INDEX: &str =
    "CREATE INDEX IF NOT EXISTS events_about_presence ON events (presence) WHERE presence IS NOT NULL";

/// Key of the stored state: up to which event the retention has deleted.
const TRIMMED: &str = "trimmed";

/// For logs of before: what was told of a record names its collection's creation id.
const ADD_CREATION_ID: &str = "ALTER TABLE events ADD COLUMN creation_id TEXT";

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
       presence INTEGER
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

/// An event in the log. The fields are those of [`Publish`](super::protocol::Publish).
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
}

impl Entry {
    /// What it counts for in the bound of bytes.
    pub fn bytes(&self) -> u64 {
        let topics: usize = self.topics.iter().map(|t| t.as_str().len() + 1).sum();
        let update = self.update.as_ref().map_or(0, |MercureUpdate { id, kind, head, .. }| {
            head.len() + id.as_ref().map_or(0, String::len) + kind.as_ref().map_or(0, String::len)
        });
        (topics + self.name.len() + self.tail.len() + update) as u64
    }
}

/// Whether a client can resume at the cursor it sent.
#[derive(Debug, PartialEq, Eq)]
pub enum Recovery {
    /// Every event behind this sequence number is in the log.
    Resumed(u64),
    /// It cannot, and has to load its state anew. Holds the reason as `hub.reset` tells it: `expired`, `epoch`, `unknown`.
    Reset(&'static str),
}

/// A page of the log.
#[derive(Debug)]
pub struct Page {
    /// All events of the page, oldest first.
    pub entries: Vec<Entry>,
    /// The sequence number that the next page begins behind.
    pub through: u64,
    /// Whether there is a next page.
    pub more: bool,
    /// Whether events between its beginning and its first event were deleted.
    pub is_incomplete: bool,
}

/// The log, with what it remembers of the newest row.
#[derive(Debug)]
pub struct EventLog {
    epoch: Epoch,
    last: u64,
    total: u64,
    /// How many events there were that are not about subscriptions.
    number: u64,
    /// Their bytes.
    bytes: u64,
    /// The bytes of events about subscriptions.
    presence: u64,
    /// Up to which event the retention has deleted.
    trimmed: u64,
    last_at: Timestamp,
    was_unnamed: bool,
}

/// What a row tells of the log up to it.
struct RowTotals {
    seq: u64,
    at: Timestamp,
    total: u64,
    number: u64,
    bytes: u64,
}

impl EventLog {
    /// Opens the log. A new one gets a new epoch, made of `random`.
    pub fn open(sql: &impl Sqlite, random: [u8; 8]) -> Result<Self, SqliteError> {
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
        sql.execute(PRESENCE_INDEX, &[])?;
        let epoch = match stored_state::read(sql, "epoch")? {
            Some(stored) => Epoch::from_stored(&stored),
            None => {
                let epoch = Epoch::from_random(random);
                stored_state::write(sql, "epoch", epoch.as_str())?;
                epoch
            }
        };
        let row = sql.first("SELECT seq, at, total, number, bytes FROM events ORDER BY seq DESC LIMIT 1", &[])?;
        let RowTotals { seq: last, at: last_at, total, number, bytes } = totals_of(row.unwrap_or_default());
        let written = "SELECT max(presence) FROM events WHERE presence IS NOT NULL";
        let [presence] = cells(sql.first(written, &[])?.unwrap_or_default());
        let trimmed = match stored_state::read(sql, TRIMMED)?.and_then(|stored| stored.parse().ok()) {
            Some(trimmed) => trimmed,
            None => {
                let trimmed = first_of(sql)?.saturating_sub(1);
                stored_state::write(sql, TRIMMED, &trimmed.to_string())?;
                trimmed
            }
        };
        let presence = presence.count();
        Ok(Self { epoch, last, total, number, bytes, presence, trimmed, last_at, was_unnamed })
    }

    /// Whether it was opened for the first time since events name their collections.
    pub fn was_unnamed(&self) -> bool {
        self.was_unnamed
    }

    /// The newest event's sequence number; 0 if there is none.
    pub fn last(&self) -> u64 {
        self.last
    }

    /// The cursor of a sequence number in this log.
    pub fn cursor(&self, seq: u64) -> Cursor {
        Cursor { epoch: self.epoch.clone(), seq }
    }

    /// Appends an event. Should the clock have stepped back, it gets the time of the event before.
    pub fn append(&mut self, sql: &impl Sqlite, now: Timestamp, new: NewEntry) -> Result<Entry, SqliteError> {
        let entry = self.next(new);
        let (number, bytes) = (self.number + 1, self.bytes + entry.bytes());
        self.insert(sql, now, &entry, RunningTotals { number, bytes, presence: None })?;
        (self.number, self.bytes) = (number, bytes);
        Ok(entry)
    }

    /// The same for an event about subscriptions. The oldest of these make room for it.
    pub fn append_presence(&mut self, sql: &impl Sqlite, now: Timestamp, new: NewEntry) -> Result<Entry, SqliteError> {
        let entry = self.next(new);
        let presence = self.presence + entry.bytes() + PRESENCE_OVERHEAD;
        self.insert(
            sql,
            now,
            &entry,
            RunningTotals { number: self.number, bytes: self.bytes, presence: Some(presence) },
        )?;
        self.presence = presence;
        if let Some(out) = presence.checked_sub(PRESENCE_BYTES) {
            let older = [out.into(), entry.seq.into()];
            sql.execute(
                "DELETE FROM updates WHERE seq IN (SELECT seq FROM events WHERE presence <= ? AND seq < ?)",
                &older,
            )?;
            sql.execute("DELETE FROM events WHERE presence <= ? AND seq < ?", &older)?;
        }
        Ok(entry)
    }

    fn next(&self, new: NewEntry) -> Entry {
        let NewEntry { topics, private, name, tail, update, creation_id } = new;
        Entry { seq: self.last + 1, topics, private, name, tail, update, creation_id }
    }

    fn insert(
        &mut self,
        sql: &impl Sqlite,
        now: Timestamp,
        entry: &Entry,
        totals: RunningTotals,
    ) -> Result<(), SqliteError> {
        let at = now.max(self.last_at);
        let total = self.total + entry.bytes();
        match &entry.update {
            None => insert_event(sql, entry, at, total, &totals)?,
            Some(update) => sql.atomically(|| {
                insert_event(sql, entry, at, total, &totals)?;
                insert_update(sql, entry.seq, update)
            })?,
        }
        (self.last, self.total, self.last_at) = (entry.seq, total, at);
        Ok(())
    }

    /// The id that its publisher gave a Mercure update, if it did.
    pub fn publisher_id(&self, sql: &impl Sqlite, seq: u64) -> Result<Option<String>, SqliteError> {
        let [id] = cells(sql.first("SELECT id FROM updates WHERE seq = ?", &[seq.into()])?.unwrap_or_default());
        Ok(id.into_text())
    }

    /// The oldest update behind `floor` that its publisher gave this id.
    pub fn find_id(&self, sql: &impl Sqlite, id: &str, floor: u64) -> Result<Option<u64>, SqliteError> {
        let find = "SELECT seq FROM updates WHERE id = ? AND seq > ? ORDER BY seq LIMIT 1";
        Ok(sql.first(find, &[id.into(), floor.into()])?.map(|row| {
            let [seq] = cells(row);
            seq.count()
        }))
    }

    /// The last event that came at this time or before; 0 if there is none.
    pub fn last_at(&self, sql: &impl Sqlite, time: Timestamp) -> Result<u64, SqliteError> {
        self.last_where(sql, first_of(sql)?, |row| row.at <= time)
    }

    /// The highest sequence number that age, count or bytes have expired; every event behind it can be read.
    pub fn floor(&self, sql: &impl Sqlite, limits: &Limits, now: Timestamp) -> Result<u64, SqliteError> {
        let first = first_of(sql)?;
        if first == 0 {
            return Ok(self.last);
        }
        let mut floor = self.trimmed;
        // Where nothing has left yet, neither have the events about subscriptions before the first of another kind.
        let left = |all: u64, bound: Option<u64>| bound.and_then(|bound| all.checked_sub(bound)).filter(|out| *out > 0);
        if let Some(out) = left(self.number, limits.event_retention_count.bound()) {
            floor = floor.max(self.last_where(sql, first, |row| row.number <= out)?);
        }
        if let Some(out) = left(self.bytes, limits.event_log_bytes.bound()) {
            floor = floor.max(self.last_where(sql, first, |row| row.bytes <= out)?);
        }
        if let Some(seconds) = limits.event_retention_seconds.bound() {
            let out = now.plus_millis(-i64::try_from(seconds.saturating_mul(1000)).unwrap_or(i64::MAX));
            floor = floor.max(self.last_where(sql, first, |row| row.at <= out)?);
        }
        Ok(floor.min(self.last))
    }

    /// Whether a client can resume at the cursor it sent.
    pub fn recover(&self, sent: &str, floor: u64) -> Recovery {
        match Cursor::parse(sent) {
            None => Recovery::Reset("unknown"),
            Some(cursor) if cursor.epoch != self.epoch => Recovery::Reset("epoch"),
            Some(cursor) if cursor.seq > self.last => Recovery::Reset("unknown"),
            Some(cursor) if cursor.seq < floor => Recovery::Reset("expired"),
            Some(cursor) => Recovery::Resumed(cursor.seq),
        }
    }

    /// The page that begins behind `after`: up to `max_bytes` of events, but at least one event if there is one.
    pub fn page(&self, sql: &impl Sqlite, after: u64, max_bytes: u64) -> Result<Page, SqliteError> {
        let [before] = cells(sql.first("SELECT total FROM events WHERE seq = ?", &[after.into()])?.unwrap_or_default());
        let next = sql.first("SELECT seq, total FROM events WHERE seq > ? ORDER BY seq LIMIT 1", &[after.into()])?;
        let [next, total] = cells(next.unwrap_or_default());
        let start = match before {
            Value::Integer(total) => u64::try_from(total).unwrap_or(0),
            _ => total.count(),
        };
        let through = self.last_where(sql, after + 1, |row| row.total <= start.saturating_add(max_bytes))?;
        let through = through.max(next.count()).min(self.last);
        let rows = sql.query(
            "SELECT e.seq, e.private, e.topics, e.name, e.tail, e.creation_id, u.id, u.kind, u.retry, u.head FROM events e LEFT JOIN updates u ON u.seq = e.seq WHERE e.seq > ? AND e.seq <= ? ORDER BY e.seq",
            &[after.into(), through.into()],
        )?;
        let entries: Vec<Entry> = rows.into_iter().map(read_entry).collect();
        let is_incomplete = after < self.trimmed;
        Ok(Page { entries, through: through.max(after), more: through < self.last, is_incomplete })
    }

    /// Deletes expired events, except the newest row. True if there are rows left that will expire later.
    pub fn trim(&mut self, sql: &impl Sqlite, limits: &Limits, now: Timestamp) -> Result<bool, SqliteError> {
        let floor = self.floor(sql, limits, now)?.min(self.last.saturating_sub(1));
        sql.execute("DELETE FROM events WHERE seq <= ?", &[floor.into()])?;
        sql.execute("DELETE FROM updates WHERE seq <= ?", &[floor.into()])?;
        if floor > self.trimmed {
            self.trimmed = floor;
            stored_state::write(sql, TRIMMED, &floor.to_string())?;
        }
        let row = sql.first("SELECT count(*) FROM (SELECT 1 FROM events LIMIT 2)", &[])?;
        let [rows] = cells(row.unwrap_or_default());
        Ok(rows.count() > 1)
    }

    /// The last sequence number, from `first` on, whose row satisfies `holds`; `first - 1` if none does. `holds` must be
    /// true for all rows up to some point and false behind it: this is a binary search.
    fn last_where(
        &self,
        sql: &impl Sqlite,
        first: u64,
        holds: impl Fn(&RowTotals) -> bool,
    ) -> Result<u64, SqliteError> {
        let find = "SELECT seq, at, total, number, bytes FROM events WHERE seq >= ? AND seq <= ? ORDER BY seq LIMIT 1";
        let (mut low, mut high) = (first.saturating_sub(1), self.last);
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
}

/// What is written with a row, for the bounds of those behind it.
struct RunningTotals {
    number: u64,
    bytes: u64,
    presence: Option<u64>,
}

/// Reads a row. One of before counts every event.
fn totals_of(row: Vec<Value>) -> RowTotals {
    let [seq, at, total, number, bytes] = cells(row);
    let or = |own: Value, all: u64| if matches!(own, Value::Integer(_)) { own.count() } else { all };
    let (seq, total) = (seq.count(), total.count());
    RowTotals { seq, at: at.timestamp(), total, number: or(number, seq), bytes: or(bytes, total) }
}

/// The oldest event's sequence number; 0 if there is none.
fn first_of(sql: &impl Sqlite) -> Result<u64, SqliteError> {
    let [first] = cells(sql.first("SELECT seq FROM events ORDER BY seq LIMIT 1", &[])?.unwrap_or_default());
    Ok(first.count())
}

fn insert_event(
    sql: &impl Sqlite,
    entry: &Entry,
    at: Timestamp,
    total: u64,
    totals: &RunningTotals,
) -> Result<(), SqliteError> {
    let joined = entry.topics.iter().map(Topic::as_str).collect::<Vec<_>>().join("\n");
    sql.execute(
        "INSERT INTO events (seq, at, total, private, topics, name, tail, creation_id, number, bytes, presence) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
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
        ],
    )
}

fn insert_update(sql: &impl Sqlite, seq: u64, update: &MercureUpdate) -> Result<(), SqliteError> {
    let text = |text: &Option<String>| text.as_deref().map_or(Value::Null, Value::from);
    let MercureUpdate { id, kind, retry, head } = update;
    sql.execute(
        "INSERT INTO updates (seq, id, kind, retry, head) VALUES (?, ?, ?, ?, ?)",
        &[seq.into(), text(id), text(kind), retry.map_or(Value::Null, Value::from), head.as_str().into()],
    )
}

fn read_entry(row: Vec<Value>) -> Entry {
    let [seq, private, topics, name, tail, creation_id, id, kind, retry, head] = cells(row);
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
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use rusqlite::Connection;

    fn limits(seconds: i64, count: i64, bytes: i64) -> Limits {
        serde_json::from_value(serde_json::json!({"api_requests_per_minute": -1, "api_requests_per_day": -1,
            "anonymous_requests_per_minute": -1, "webhooks_per_minute": -1, "concurrent_subscriptions": -1,
            "event_retention_seconds": seconds, "event_retention_count": count, "event_log_bytes": bytes}))
        .unwrap()
    }

    fn new_entry(tail: &str, update: Option<MercureUpdate>) -> NewEntry {
        let topics = vec![Topic::parse("t").unwrap()];
        NewEntry { topics, private: false, name: "a.b".into(), tail: tail.into(), update, creation_id: None }
    }

    fn at(millis: i64) -> Timestamp {
        Timestamp::from_millis(millis)
    }

    fn append(log: &mut EventLog, sql: &Connection, millis: i64, tail: &str) -> Entry {
        log.append(sql, at(millis), new_entry(tail, None)).unwrap()
    }

    fn filled(n: u64) -> (Connection, EventLog) {
        let sql = Connection::open_in_memory().unwrap();
        stored_state::create_table(&sql).unwrap();
        let mut log = EventLog::open(&sql, [1; 8]).unwrap();
        for i in 1..=n {
            assert_eq!(append(&mut log, &sql, i as i64 * 1000, "0123456789").seq, i);
        }
        (sql, log)
    }

    #[test]
    fn numbers_go_on_after_everything_was_trimmed() {
        let (sql, mut log) = filled(10);
        assert!(!log.trim(&sql, &limits(1, -1, -1), at(1_000_000)).unwrap());
        let mut log = EventLog::open(&sql, [2; 8]).unwrap();
        assert_eq!(log.epoch, Epoch::from_random([1; 8]));
        assert_eq!(log.floor(&sql, &limits(1, -1, -1), at(1_000_000)).unwrap(), 10);
        assert_eq!(append(&mut log, &sql, 0, "x").seq, 11);
    }

    #[test]
    fn a_client_resumes_where_nothing_behind_its_cursor_is_gone() {
        let (sql, log) = filled(10);
        let floor = log.floor(&sql, &limits(-1, 4, -1), at(0)).unwrap();
        assert_eq!(floor, 6);
        assert_eq!(log.recover(&log.cursor(6).to_string(), floor), Recovery::Resumed(6));
        assert_eq!(log.recover(&log.cursor(10).to_string(), floor), Recovery::Resumed(10));
        assert_eq!(log.recover(&log.cursor(5).to_string(), floor), Recovery::Reset("expired"));
        assert_eq!(log.recover(&log.cursor(11).to_string(), floor), Recovery::Reset("unknown"));
        assert_eq!(log.recover("whatever", floor), Recovery::Reset("unknown"));
        let foreign = Cursor { epoch: Epoch::from_random([9; 8]), seq: 7 };
        assert_eq!(log.recover(&foreign.to_string(), floor), Recovery::Reset("epoch"));
    }

    #[test]
    fn events_about_subscriptions_push_out_nothing_else_and_are_bounded() {
        let (sql, mut log) = filled(3);
        let limits = limits(-1, 5, 1_000);
        for _ in 0..3_000 {
            log.append_presence(&sql, at(5_000), new_entry(&"p".repeat(600), None)).unwrap();
        }
        assert_eq!(log.floor(&sql, &limits, at(5_000)).unwrap(), 0);
        log.trim(&sql, &limits, at(5_000)).unwrap();
        let all = |log: &EventLog| {
            let mut seen = Vec::new();
            let mut at = 0;
            loop {
                let page = log.page(&sql, at, 100_000).unwrap();
                assert!(!page.is_incomplete && page.through > at);
                seen.extend(page.entries.iter().map(|entry| entry.seq));
                at = page.through;
                if !page.more {
                    return seen;
                }
            }
        };
        let seen = all(&log);
        assert_eq!(seen[..3], [1, 2, 3]);
        assert_eq!(seen.last(), Some(&3_003));
        assert!((500..1_000).contains(&seen.len()), "{}", seen.len());
        let [rows] = cells(Sqlite::first(&sql, "SELECT count(*) FROM events", &[]).unwrap().unwrap());
        assert_eq!(rows.count(), seen.len() as u64);
        // It counts on where it was, and real events go by their own number.
        let mut log = EventLog::open(&sql, [2; 8]).unwrap();
        assert_eq!(all(&log), seen);
        for _ in 0..4 {
            append(&mut log, &sql, 6_000, "0123456789");
        }
        assert_eq!(log.floor(&sql, &limits, at(6_000)).unwrap(), 2);
        log.trim(&sql, &limits, at(6_000)).unwrap();
        assert!(log.page(&sql, 1, 10).unwrap().is_incomplete && !log.page(&sql, 2, 10).unwrap().is_incomplete);
    }

    #[test]
    fn events_about_subscriptions_alone_are_all_there() {
        let (sql, mut log) = filled(0);
        (0..9).for_each(|_| drop(log.append_presence(&sql, at(1), new_entry("p", None)).unwrap()));
        let cursor = log.cursor(4).to_string();
        assert_eq!(log.floor(&sql, &limits(-1, 3, 10), at(1)).unwrap(), 0);
        append(&mut log, &sql, 2, "x");
        assert_eq!(log.floor(&sql, &limits(-1, 3, 10), at(2)).unwrap(), 0);
        assert_eq!(log.floor(&sql, &limits(1, 3, 10), at(1_001)).unwrap(), 9, "age counts for them");
        for _ in 0..3_000 {
            log.append_presence(&sql, at(3), new_entry(&"p".repeat(600), None)).unwrap();
        }
        log.trim(&sql, &limits(-1, -1, -1), at(3)).unwrap();
        assert!(first_of(&sql).unwrap() > 4);
        let log = EventLog::open(&sql, [2; 8]).unwrap();
        let floor = log.floor(&sql, &limits(-1, 3, -1), at(3)).unwrap();
        assert_eq!(
            log.recover(&cursor, floor),
            Recovery::Resumed(4),
            "whose place left misses nothing of another kind"
        );
        assert!(!log.page(&sql, 4, 1_000).unwrap().is_incomplete);
    }

    #[test]
    fn a_log_of_before_goes_on() {
        let sql = Connection::open_in_memory().unwrap();
        stored_state::create_table(&sql).unwrap();
        let before = "CREATE TABLE events (seq INTEGER PRIMARY KEY, at INTEGER NOT NULL, total INTEGER NOT NULL, private INTEGER NOT NULL, topics TEXT NOT NULL, name TEXT NOT NULL, tail TEXT NOT NULL, creation_id TEXT)";
        Sqlite::execute(&sql, before, &[]).unwrap();
        for seq in 4..=9u64 {
            let row =
                "INSERT INTO events (seq, at, total, private, topics, name, tail) VALUES (?, 1, ?, 0, 't', 'n', 'x')";
            Sqlite::execute(&sql, row, &[seq.into(), (seq * 10).into()]).unwrap();
        }
        let mut log = EventLog::open(&sql, [1; 8]).unwrap();
        assert!(log.page(&sql, 2, 1_000).unwrap().is_incomplete && !log.page(&sql, 3, 1_000).unwrap().is_incomplete);
        log.append_presence(&sql, at(2), new_entry("p", None)).unwrap();
        append(&mut log, &sql, 3, "x");
        assert_eq!(log.floor(&sql, &limits(-1, 3, -1), at(3)).unwrap(), 7);
        assert_eq!(log.floor(&sql, &limits(-1, -1, 30), at(3)).unwrap(), 6);
    }

    proptest! {
        /// Pages put together are the log behind the cursor, whatever their size and whatever was trimmed.
        #[test]
        fn pages_hold_everything_once(n in 0u64..40, after in 0u64..45, bytes in 1u64..200, keep in 1i64..40) {
            let (sql, mut log) = filled(n);
            let limits = limits(-1, keep, -1);
            log.trim(&sql, &limits, at(0)).unwrap();
            let floor = log.floor(&sql, &limits, at(0)).unwrap();
            let mut at = after.clamp(floor, n.max(floor));
            let expected: Vec<u64> = (at + 1..=n).collect();
            let mut seen = Vec::new();
            for _ in 0..100 {
                let page = log.page(&sql, at, bytes).unwrap();
                seen.extend(page.entries.iter().map(|e| e.seq));
                prop_assert!(page.through >= at);
                at = page.through;
                if !page.more { break; }
            }
            prop_assert_eq!(seen, expected);
            prop_assert_eq!(at, n.max(floor));
        }

        /// The floor found by keys is the one that looking at every row gives.
        #[test]
        fn the_floor_is_what_the_rows_say(n in 0u64..40, seconds in 1i64..50, count in 1i64..50, bytes in 1i64..800, now in 0i64..60) {
            let (sql, log) = filled(n);
            let rows: Vec<(u64, i64, u64)> = log.page(&sql, 0, u64::MAX).unwrap().entries.iter()
                .scan(0, |total, e| { *total += e.bytes(); Some((e.seq, e.seq as i64 * 1000, *total)) }).collect();
            let total = rows.last().map_or(0, |r| r.2);
            let out = |(seq, time, sum): (u64, i64, u64)| time <= now * 1000 - seconds * 1000
                || seq as i64 <= n as i64 - count || sum + bytes as u64 <= total;
            let expected = rows.iter().filter(|r| out(**r)).map(|r| r.0).max().unwrap_or(0);
            prop_assert_eq!(log.floor(&sql, &limits(seconds, count, bytes), at(now * 1000)).unwrap(), expected);
        }
    }
}
