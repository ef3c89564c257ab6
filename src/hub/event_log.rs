//! The tenant's event log: numbered without gaps, bounded by age, count and bytes.
//!
//! Invariants
//! - Numbers rise by one and are never given twice, also when everything before was trimmed: the
//!   newest row always stays.
//! - Every row carries its time and the bytes written so far, both rising with the number, so each
//!   bound of the retention is a key range, found by a few look-ups of single keys.
//! - The retention holds at every read, whether or not anything was deleted yet.

use super::protocol::{ReceiptKey, Update};
use super::sqlite::{Sqlite, SqliteError, Value};
use domain::event::{Cursor, Epoch};
use domain::plan::Limits;
use domain::topic::Topic;

const TABLES: [&str; 5] = [
    "CREATE TABLE IF NOT EXISTS events (
       seq     INTEGER PRIMARY KEY,
       at      INTEGER NOT NULL,
       total   INTEGER NOT NULL,
       private INTEGER NOT NULL,
       topics  TEXT NOT NULL,
       name    TEXT NOT NULL,
       tail    TEXT NOT NULL
     )",
    "CREATE TABLE IF NOT EXISTS updates (
       seq   INTEGER PRIMARY KEY,
       id    TEXT,
       kind  TEXT,
       retry INTEGER,
       head  TEXT NOT NULL
     )",
    "CREATE INDEX IF NOT EXISTS updates_by_id ON updates (id, seq) WHERE id IS NOT NULL",
    "CREATE TABLE IF NOT EXISTS receipts (
       id     TEXT PRIMARY KEY,
       at     INTEGER NOT NULL,
       digest TEXT NOT NULL,
       event  TEXT NOT NULL
     ) WITHOUT ROWID",
    "CREATE TABLE IF NOT EXISTS state (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID",
];

/// How long a webhook id is remembered, in milliseconds.
pub const RECEIPT_MILLIS: i64 = 24 * 3_600_000;

/// An event as the log keeps it.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    /// Its number.
    pub seq: u64,
    /// What it is about.
    pub topics: Vec<Topic>,
    /// Whether only entitled streams get it.
    pub private: bool,
    /// Its name for streams that ask for names.
    pub name: String,
    /// Its JSON behind the id; of a Mercure update its data, as it was published.
    pub tail: String,
    /// What a Mercure update has beside its data.
    pub update: Option<Update>,
}

/// An event that is to be appended.
#[derive(Debug)]
pub struct Draft {
    /// What it is about.
    pub topics: Vec<Topic>,
    /// Whether only entitled streams get it.
    pub private: bool,
    /// Its name for streams that ask for names.
    pub name: String,
    /// Its JSON behind the id, or its data.
    pub tail: String,
    /// What a Mercure update has beside its data.
    pub update: Option<Update>,
}

impl Entry {
    /// What it weighs in the log.
    pub fn bytes(&self) -> u64 {
        let topics: usize = self.topics.iter().map(|t| t.as_str().len() + 1).sum();
        let update = self.update.as_ref().map_or(0, |Update { id, kind, head, .. }| {
            head.len() + id.as_ref().map_or(0, String::len) + kind.as_ref().map_or(0, String::len)
        });
        (topics + self.name.len() + self.tail.len() + update) as u64
    }
}

/// Whether a client that stood at a cursor has missed anything that is gone.
#[derive(Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Everything behind this number is kept.
    Resumed(u64),
    /// The client must take its state anew; the reason is a word for the wire.
    Reset(&'static str),
}

/// What became of an append.
#[derive(Debug, PartialEq, Eq)]
pub enum Receipt {
    /// Nothing was known of the webhook id.
    New,
    /// The same webhook came before, as this event.
    Duplicate(Cursor),
    /// The webhook id came before with another body.
    Reused,
}

/// A page of the log.
#[derive(Debug)]
pub struct Page {
    /// The events of the page, oldest first; those nobody asked for are among them.
    pub entries: Vec<Entry>,
    /// The place behind the page.
    pub through: u64,
    /// Whether the log goes on behind it.
    pub more: bool,
}

/// The log, with the ends it remembers of its table.
#[derive(Debug)]
pub struct EventLog {
    /// Its generation.
    pub epoch: Epoch,
    last: u64,
    total: u64,
    last_at: i64,
}

impl EventLog {
    /// Opens the log; a new one begins a new epoch made of `random`.
    pub fn open(sql: &impl Sqlite, random: [u8; 8]) -> Result<Self, SqliteError> {
        for table in TABLES {
            sql.execute(table, &[])?;
        }
        let epoch = match read_state(sql, "epoch")? {
            Some(stored) => Epoch::from_stored(&stored),
            None => {
                let epoch = Epoch::from_random(random);
                write_state(sql, "epoch", epoch.as_str())?;
                epoch
            }
        };
        let row = sql.first("SELECT seq, total, at FROM events ORDER BY seq DESC LIMIT 1", &[])?;
        let [last, total, at] = cells(row.unwrap_or_default());
        Ok(Self { epoch, last: last.count(), total: total.count(), last_at: at.integer() })
    }

    /// The newest event's number; 0 before the first.
    pub fn last(&self) -> u64 {
        self.last
    }

    /// The place of a number in this log.
    pub fn cursor(&self, seq: u64) -> Cursor {
        Cursor { epoch: self.epoch.clone(), seq }
    }

    /// Appends an event and gives its entry. Time never runs backwards in the log.
    pub fn append(&mut self, sql: &impl Sqlite, now: i64, draft: Draft) -> Result<Entry, SqliteError> {
        let Draft { topics, private, name, tail, update } = draft;
        let entry = Entry { seq: self.last + 1, topics, private, name, tail, update };
        let at = now.max(self.last_at);
        let total = self.total + entry.bytes();
        match &entry.update {
            None => insert_event(sql, &entry, at, total)?,
            Some(update) => sql.atomically(|| {
                insert_event(sql, &entry, at, total)?;
                insert_update(sql, entry.seq, update)
            })?,
        }
        (self.last, self.total, self.last_at) = (entry.seq, total, at);
        Ok(entry)
    }

    /// The id that the publisher gave an event, if it did.
    pub fn own_id(&self, sql: &impl Sqlite, seq: u64) -> Result<Option<String>, SqliteError> {
        let [id] = cells(sql.first("SELECT id FROM updates WHERE seq = ?", &[seq.into()])?.unwrap_or_default());
        Ok(id.into_text())
    }

    /// The oldest event behind a place that has this id of its publisher's.
    pub fn find_id(&self, sql: &impl Sqlite, id: &str, floor: u64) -> Result<Option<u64>, SqliteError> {
        let find = "SELECT seq FROM updates WHERE id = ? AND seq > ? ORDER BY seq LIMIT 1";
        Ok(sql.first(find, &[id.into(), floor.into()])?.map(|row| {
            let [seq] = cells(row);
            seq.count()
        }))
    }

    /// What is known of a webhook id.
    pub fn receipt(&self, sql: &impl Sqlite, key: &ReceiptKey, now: i64) -> Result<Receipt, SqliteError> {
        let row = sql.first("SELECT at, digest, event FROM receipts WHERE id = ?", &[key.id.as_str().into()])?;
        let Some(row) = row else { return Ok(Receipt::New) };
        let [at, digest, event] = cells(row);
        if now - at.integer() >= RECEIPT_MILLIS {
            return Ok(Receipt::New);
        }
        let event = event.into_text().as_deref().and_then(Cursor::parse);
        Ok(match event {
            Some(event) if digest.into_text().as_deref() == Some(&key.digest) => Receipt::Duplicate(event),
            _ => Receipt::Reused,
        })
    }

    /// Remembers which event a webhook became.
    pub fn remember(&self, sql: &impl Sqlite, key: &ReceiptKey, event: &Cursor, now: i64) -> Result<(), SqliteError> {
        sql.execute(
            "INSERT OR REPLACE INTO receipts (id, at, digest, event) VALUES (?, ?, ?, ?)",
            &[key.id.as_str().into(), now.into(), key.digest.as_str().into(), event.to_string().as_str().into()],
        )
    }

    /// The place behind which everything is kept: the highest number that age, count or bytes put out.
    pub fn floor(&self, sql: &impl Sqlite, limits: &Limits, now: i64) -> Result<u64, SqliteError> {
        let row = sql.first("SELECT seq FROM events ORDER BY seq LIMIT 1", &[])?;
        let [first] = cells(row.unwrap_or_default());
        let first = first.count();
        if first == 0 {
            return Ok(self.last);
        }
        let mut floor = first - 1;
        if let Some(count) = limits.event_retention_count.bound() {
            floor = floor.max(self.last.saturating_sub(count));
        }
        if let Some(bytes) = limits.event_log_bytes.bound() {
            let out = self.total.saturating_sub(bytes);
            floor = floor.max(self.last_where(sql, first, |_, total| total <= out)?);
        }
        if let Some(seconds) = limits.event_retention_seconds.bound() {
            let out = now.saturating_sub(i64::try_from(seconds.saturating_mul(1000)).unwrap_or(i64::MAX));
            floor = floor.max(self.last_where(sql, first, |at, _| at <= out)?);
        }
        Ok(floor.min(self.last))
    }

    /// Judges a cursor that a client sent.
    pub fn judge(&self, sent: &str, floor: u64) -> Verdict {
        match Cursor::parse(sent) {
            None => Verdict::Reset("unknown"),
            Some(cursor) if cursor.epoch != self.epoch => Verdict::Reset("epoch"),
            Some(cursor) if cursor.seq > self.last => Verdict::Reset("unknown"),
            Some(cursor) if cursor.seq < floor => Verdict::Reset("expired"),
            Some(cursor) => Verdict::Resumed(cursor.seq),
        }
    }

    /// The page that begins behind `after`: up to `max_bytes` of events, and always at least one if there is one.
    pub fn page(&self, sql: &impl Sqlite, after: u64, max_bytes: u64) -> Result<Page, SqliteError> {
        let [before] = cells(sql.first("SELECT total FROM events WHERE seq = ?", &[after.into()])?.unwrap_or_default());
        let start = match before {
            Value::Integer(total) => u64::try_from(total).unwrap_or(0),
            _ => {
                let row = sql.first("SELECT total FROM events WHERE seq > ? ORDER BY seq LIMIT 1", &[after.into()])?;
                let [total] = cells(row.unwrap_or_default());
                total.count()
            }
        };
        let through = self.last_where(sql, after + 1, |_, total| total <= start.saturating_add(max_bytes))?;
        let through = through.max(after + 1).min(self.last);
        let rows = sql.query(
            "SELECT e.seq, e.private, e.topics, e.name, e.tail, u.id, u.kind, u.retry, u.head FROM events e LEFT JOIN updates u ON u.seq = e.seq WHERE e.seq > ? AND e.seq <= ? ORDER BY e.seq",
            &[after.into(), through.into()],
        )?;
        let entries = rows.into_iter().map(read_entry).collect();
        Ok(Page { entries, through: through.max(after), more: through < self.last })
    }

    /// Deletes what the retention put out (but the newest row) and old receipts. True if there is more to come later.
    pub fn trim(&self, sql: &impl Sqlite, limits: &Limits, now: i64) -> Result<bool, SqliteError> {
        let floor = self.floor(sql, limits, now)?.min(self.last.saturating_sub(1));
        sql.execute("DELETE FROM events WHERE seq <= ?", &[floor.into()])?;
        sql.execute("DELETE FROM updates WHERE seq <= ?", &[floor.into()])?;
        sql.execute("DELETE FROM receipts WHERE at <= ?", &[(now - RECEIPT_MILLIS).into()])?;
        let [rows] = cells(sql.first("SELECT (SELECT count(*) FROM (SELECT 1 FROM events LIMIT 2)) + (SELECT count(*) FROM (SELECT 1 FROM receipts LIMIT 1))", &[])?.unwrap_or_default());
        Ok(rows.count() > 1)
    }

    /// The last number from `first` on whose row satisfies a condition that holds for a beginning of
    /// the log; `first - 1` if none does. Looks up single keys.
    fn last_where(&self, sql: &impl Sqlite, first: u64, holds: impl Fn(i64, u64) -> bool) -> Result<u64, SqliteError> {
        let (mut low, mut high) = (first.saturating_sub(1), self.last);
        while low < high {
            let middle = low + (high - low).div_ceil(2);
            let row = sql.first("SELECT at, total FROM events WHERE seq = ?", &[middle.into()])?;
            let inside = match row {
                None => true,
                Some(row) => {
                    let [at, total] = cells(row);
                    holds(at.integer(), total.count())
                }
            };
            if inside { low = middle } else { high = middle - 1 }
        }
        Ok(low)
    }
}

/// Reads a value of the hub's state.
pub fn read_state(sql: &impl Sqlite, key: &str) -> Result<Option<String>, SqliteError> {
    let row = sql.first("SELECT value FROM state WHERE key = ?", &[key.into()])?;
    let [value] = cells(row.unwrap_or_default());
    Ok(value.into_text())
}

/// Writes a value of the hub's state.
pub fn write_state(sql: &impl Sqlite, key: &str, value: &str) -> Result<(), SqliteError> {
    sql.execute("INSERT OR REPLACE INTO state (key, value) VALUES (?, ?)", &[key.into(), value.into()])
}

/// The first cells of a row, `Null` where it has none.
pub fn cells<const N: usize>(row: Vec<Value>) -> [Value; N] {
    let mut row = row.into_iter();
    std::array::from_fn(|_| row.next().unwrap_or(Value::Null))
}

fn insert_event(sql: &impl Sqlite, entry: &Entry, at: i64, total: u64) -> Result<(), SqliteError> {
    let joined = entry.topics.iter().map(Topic::as_str).collect::<Vec<_>>().join("\n");
    sql.execute(
        "INSERT INTO events (seq, at, total, private, topics, name, tail) VALUES (?, ?, ?, ?, ?, ?, ?)",
        &[
            entry.seq.into(),
            at.into(),
            total.into(),
            i64::from(entry.private).into(),
            joined.as_str().into(),
            entry.name.as_str().into(),
            entry.tail.as_str().into(),
        ],
    )
}

fn insert_update(sql: &impl Sqlite, seq: u64, update: &Update) -> Result<(), SqliteError> {
    let text = |text: &Option<String>| text.as_deref().map_or(Value::Null, Value::from);
    let Update { id, kind, retry, head } = update;
    sql.execute(
        "INSERT INTO updates (seq, id, kind, retry, head) VALUES (?, ?, ?, ?, ?)",
        &[seq.into(), text(id), text(kind), retry.map_or(Value::Null, Value::from), head.as_str().into()],
    )
}

fn read_entry(row: Vec<Value>) -> Entry {
    let [seq, private, topics, name, tail, id, kind, retry, head] = cells(row);
    let topics = topics.into_text().unwrap_or_default();
    let retry = matches!(retry, Value::Integer(_)).then(|| retry.count());
    let update = head.into_text().map(|head| Update { id: id.into_text(), kind: kind.into_text(), retry, head });
    Entry {
        seq: seq.count(),
        topics: topics.split('\n').filter_map(|t| Topic::parse(t).ok()).collect(),
        private: private.integer() != 0,
        name: name.into_text().unwrap_or_default(),
        tail: tail.into_text().unwrap_or_default(),
        update,
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

    fn draft(tail: &str, update: Option<Update>) -> Draft {
        let topics = vec![Topic::parse("t").unwrap()];
        Draft { topics, private: false, name: "a.b".into(), tail: tail.into(), update }
    }

    fn append(log: &mut EventLog, sql: &Connection, at: i64, tail: &str) -> Entry {
        log.append(sql, at, draft(tail, None)).unwrap()
    }

    fn filled(n: u64) -> (Connection, EventLog) {
        let sql = Connection::open_in_memory().unwrap();
        let mut log = EventLog::open(&sql, [1; 8]).unwrap();
        for i in 1..=n {
            assert_eq!(append(&mut log, &sql, i as i64 * 1000, "0123456789").seq, i);
        }
        (sql, log)
    }

    #[test]
    fn numbers_go_on_after_everything_was_trimmed() {
        let (sql, log) = filled(10);
        assert!(!log.trim(&sql, &limits(1, -1, -1), 1_000_000).unwrap());
        let mut log = EventLog::open(&sql, [2; 8]).unwrap();
        assert_eq!(log.epoch, Epoch::from_random([1; 8]));
        assert_eq!(log.floor(&sql, &limits(1, -1, -1), 1_000_000).unwrap(), 10);
        assert_eq!(append(&mut log, &sql, 0, "x").seq, 11);
    }

    #[test]
    fn verdicts() {
        let (sql, log) = filled(10);
        let floor = log.floor(&sql, &limits(-1, 4, -1), 0).unwrap();
        assert_eq!(floor, 6);
        assert_eq!(log.judge(&log.cursor(6).to_string(), floor), Verdict::Resumed(6));
        assert_eq!(log.judge(&log.cursor(10).to_string(), floor), Verdict::Resumed(10));
        assert_eq!(log.judge(&log.cursor(5).to_string(), floor), Verdict::Reset("expired"));
        assert_eq!(log.judge(&log.cursor(11).to_string(), floor), Verdict::Reset("unknown"));
        assert_eq!(log.judge("whatever", floor), Verdict::Reset("unknown"));
        let foreign = Cursor { epoch: Epoch::from_random([9; 8]), seq: 7 };
        assert_eq!(log.judge(&foreign.to_string(), floor), Verdict::Reset("epoch"));
    }

    #[test]
    fn a_webhook_id_is_remembered_for_a_day() {
        let (sql, log) = filled(1);
        let key = |digest: &str| ReceiptKey { id: "w".into(), digest: digest.into() };
        assert_eq!(log.receipt(&sql, &key("d"), 0).unwrap(), Receipt::New);
        log.remember(&sql, &key("d"), &log.cursor(1), 0).unwrap();
        assert_eq!(log.receipt(&sql, &key("d"), 5).unwrap(), Receipt::Duplicate(log.cursor(1)));
        assert_eq!(log.receipt(&sql, &key("e"), 5).unwrap(), Receipt::Reused);
        assert_eq!(log.receipt(&sql, &key("e"), RECEIPT_MILLIS).unwrap(), Receipt::New);
    }

    proptest! {
        /// Pages put together are the log behind the cursor, whatever their size and whatever was trimmed.
        #[test]
        fn pages_hold_everything_once(n in 0u64..40, after in 0u64..45, bytes in 1u64..200, keep in 1i64..40) {
            let (sql, log) = filled(n);
            let limits = limits(-1, keep, -1);
            log.trim(&sql, &limits, 0).unwrap();
            let floor = log.floor(&sql, &limits, 0).unwrap();
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
            let out = |(seq, at, sum): (u64, i64, u64)| at <= now * 1000 - seconds * 1000
                || seq as i64 <= n as i64 - count || sum + bytes as u64 <= total;
            let expected = rows.iter().filter(|r| out(**r)).map(|r| r.0).max().unwrap_or(0);
            prop_assert_eq!(log.floor(&sql, &limits(seconds, count, bytes), now * 1000).unwrap(), expected);
        }
    }
}
