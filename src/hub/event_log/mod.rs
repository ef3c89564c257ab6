//! The tenant's event log: events numbered without gaps, kept within bounds of age, count and bytes.
//!
//! Invariants
//! - Sequence numbers rise by one and are never given twice, even after everything was deleted: the newest row always
//!   stays.
//! - An event is a row ([`event_row`]). Which of them are kept decides [`retention`], and of those about subscriptions
//!   [`presence`], so that however many there are, they push out nothing else.
//! - Retention applies to every read, whether or not expired rows were deleted yet.

mod event_row;
mod presence;
mod retention;

pub use event_row::{Entry, NewEntry};

use super::sqlite::{Sqlite, SqliteError, Value, cells};
use super::stored_state;
use domain::clock::Timestamp;
use domain::log_position::{Cursor, Epoch};
use domain::plan::Limits;
use event_row::{
    RowTotals, RunningTotals, create_tables, first_of, insert_event, insert_update, last_where, newest, read_entry,
};
use presence::PresenceBytes;
use retention::Retention;

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
    /// The bytes of the events that were read.
    pub bytes: u64,
}

/// The log, with what it remembers of its rows.
#[derive(Debug)]
pub struct EventLog {
    epoch: Epoch,
    newest: RowTotals,
    presence: PresenceBytes,
    retention: Retention,
    was_unnamed: bool,
}

impl EventLog {
    /// Opens the log. A new one gets a new epoch, made of `random`.
    pub fn open(sql: &impl Sqlite, random: [u8; 8]) -> Result<Self, SqliteError> {
        let was_unnamed = create_tables(sql)?;
        let epoch = match stored_state::read(sql, "epoch")? {
            Some(stored) => Epoch::from_stored(&stored),
            None => {
                let epoch = Epoch::from_random(random);
                stored_state::write(sql, "epoch", epoch.as_str())?;
                epoch
            }
        };
        let (presence, retention) = (PresenceBytes::open(sql)?, Retention::open(sql)?);
        Ok(Self { epoch, newest: newest(sql)?, presence, retention, was_unnamed })
    }

    /// Whether it was opened for the first time since events name their collections.
    pub fn was_unnamed(&self) -> bool {
        self.was_unnamed
    }

    /// The newest event's sequence number; 0 if there is none.
    pub fn last(&self) -> u64 {
        self.newest.seq
    }

    /// The cursor of a sequence number in this log.
    pub fn cursor(&self, seq: u64) -> Cursor {
        Cursor { epoch: self.epoch.clone(), seq }
    }

    /// Appends an event. Should the clock have stepped back, it gets the time of the event before.
    pub fn append(&mut self, sql: &impl Sqlite, now: Timestamp, new: NewEntry) -> Result<Entry, SqliteError> {
        let entry = self.next(new);
        let (number, bytes) = (self.newest.number + 1, self.newest.bytes + entry.bytes());
        self.insert(sql, now, &entry, RunningTotals { number, bytes, presence: None })?;
        Ok(entry)
    }

    /// The same for an event about subscriptions. The oldest of these make room for it.
    pub fn append_presence(&mut self, sql: &impl Sqlite, now: Timestamp, new: NewEntry) -> Result<Entry, SqliteError> {
        let entry = self.next(new);
        let (number, bytes) = (self.newest.number, self.newest.bytes);
        let presence = self.presence.with(&entry);
        self.insert(sql, now, &entry, RunningTotals { number, bytes, presence: Some(presence) })?;
        self.presence.wrote(sql, presence, &entry)?;
        Ok(entry)
    }

    /// Takes a number for what no stream sees: an event without topics, which counts for no bound.
    pub fn append_unseen(&mut self, sql: &impl Sqlite, now: Timestamp) -> Result<Entry, SqliteError> {
        let entry = self.next(NewEntry {
            topics: Vec::new(),
            private: true,
            name: String::new(),
            tail: String::new(),
            update: None,
            creation_id: None,
            before: None,
            change: None,
        });
        let (number, bytes) = (self.newest.number, self.newest.bytes);
        self.insert(sql, now, &entry, RunningTotals { number, bytes, presence: None })?;
        Ok(entry)
    }

    fn next(&self, new: NewEntry) -> Entry {
        let NewEntry { topics, private, name, tail, update, creation_id, before, change } = new;
        Entry { seq: self.newest.seq + 1, topics, private, name, tail, update, creation_id, before, change }
    }

    fn insert(
        &mut self,
        sql: &impl Sqlite,
        now: Timestamp,
        entry: &Entry,
        totals: RunningTotals,
    ) -> Result<(), SqliteError> {
        let at = now.max(self.newest.at);
        let total = self.newest.total + entry.bytes();
        match &entry.update {
            None => insert_event(sql, entry, at, total, &totals)?,
            Some(update) => sql.atomically(|| {
                insert_event(sql, entry, at, total, &totals)?;
                insert_update(sql, entry.seq, update)
            })?,
        }
        self.newest = RowTotals { seq: entry.seq, at, total, number: totals.number, bytes: totals.bytes };
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
        last_where(sql, first_of(sql)?, self.newest.seq, |row| row.at <= time)
    }

    /// The highest sequence number that age, count or bytes have expired; every event behind it can be read.
    pub fn floor(&self, sql: &impl Sqlite, limits: &Limits, now: Timestamp) -> Result<u64, SqliteError> {
        self.retention.floor(sql, &self.newest, limits, now)
    }

    /// Deletes expired events, except the newest row. True if there are rows left that will expire later.
    pub fn trim(&mut self, sql: &impl Sqlite, limits: &Limits, now: Timestamp) -> Result<bool, SqliteError> {
        self.retention.trim(sql, &self.newest, limits, now)
    }

    /// Whether a client can resume at the cursor it sent.
    pub fn recover(&self, sent: &str, floor: u64) -> Recovery {
        match Cursor::parse(sent) {
            None => Recovery::Reset("unknown"),
            Some(cursor) if cursor.epoch != self.epoch => Recovery::Reset("epoch"),
            Some(cursor) if cursor.seq > self.newest.seq => Recovery::Reset("unknown"),
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
        let through = last_where(sql, after + 1, self.newest.seq, |row| row.total <= start.saturating_add(max_bytes))?;
        let through = through.max(next.count()).min(self.newest.seq);
        let rows = sql.query(
            "SELECT e.seq, e.private, e.topics, e.name, e.tail, e.creation_id, e.before, e.change, u.id, u.kind, u.retry, u.head FROM events e LEFT JOIN updates u ON u.seq = e.seq WHERE e.seq > ? AND e.seq <= ? ORDER BY e.seq",
            &[after.into(), through.into()],
        )?;
        let entries: Vec<Entry> = rows.into_iter().map(read_entry).collect();
        let is_incomplete = self.retention.has_deleted_behind(after);
        let bytes = entries.iter().map(Entry::bytes).sum();
        Ok(Page { entries, through: through.max(after), more: through < self.newest.seq, is_incomplete, bytes })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hub::protocol::MercureUpdate;
    use domain::topic::Topic;
    use proptest::prelude::*;
    use rusqlite::Connection;

    pub fn limits(seconds: i64, count: i64, bytes: i64) -> Limits {
        serde_json::from_value(serde_json::json!({"api_requests_per_minute": -1, "api_requests_per_day": -1,
            "anonymous_requests_per_minute": -1, "webhooks_per_minute": -1, "concurrent_subscriptions": -1,
            "event_retention_seconds": seconds, "event_retention_count": count, "event_log_bytes": bytes}))
        .unwrap()
    }

    pub fn new_entry(tail: &str, update: Option<MercureUpdate>) -> NewEntry {
        let topics = vec![Topic::parse("t").unwrap()];
        NewEntry {
            topics,
            private: false,
            name: "a.b".into(),
            tail: tail.into(),
            update,
            creation_id: None,
            before: None,
            change: None,
        }
    }

    pub fn at(millis: i64) -> Timestamp {
        Timestamp::from_millis(millis)
    }

    pub fn append(log: &mut EventLog, sql: &Connection, millis: i64, tail: &str) -> Entry {
        log.append(sql, at(millis), new_entry(tail, None)).unwrap()
    }

    pub fn filled(n: u64) -> (Connection, EventLog) {
        let sql = Connection::open_in_memory().unwrap();
        stored_state::create_table(&sql).unwrap();
        let mut log = EventLog::open(&sql, [1; 8]).unwrap();
        for i in 1..=n {
            assert_eq!(append(&mut log, &sql, i as i64 * 1000, "0123456789").seq, i);
        }
        (sql, log)
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
    }
}
