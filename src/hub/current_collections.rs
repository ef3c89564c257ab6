//! The tenant's collections that stand, and what that makes of the events of their records.
//!
//! A slug is free again once its collection is deleted, and with it the topic `records/{slug}`. So an event about a record
//! is judged by its collection's creation id, live and in replays, before any stream is asked whether it may have it.
//!
//! Invariants
//! - An event of a collection that stands no more reaches nobody.
//! - An event of a collection that is private now is private. One that was private when it happened stays private,
//!   whatever its collection is now: it was not meant for everybody.
//! - Topics, grants and filters of streams are by slug all the same: who may hear of a slug may hear of the collection that
//!   has it now.
//! - What is known here is never older than the events that the log holds: before rows of the outbox are appended that
//!   say or show otherwise, the collections are read anew.
//! - Of two readings, the one at the higher number of the outbox holds. Only a hub whose shard was restored goes back.
//! - One row of the hub's SQLite holds all of it: a tenant has at most a hundred collections, and a deleted one leaves.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

use super::event_log::{Entry, EventLog};
use super::sqlite::{Sqlite, SqliteError};
use super::stored_state;
use crate::storage::outbox::{CollectionsRead, OutboxRow};
use domain::clock::Timestamp;
use domain::selector::RECORDS;

/// The key of the stored state.
const COLLECTIONS: &str = "collections";

/// How long after a collection was made an event without a creation id may still be of the one before: longer than an
/// outbox waits to be drained.
const LATE_SECONDS: i64 = 600;

/// The collections that stand.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct CurrentCollections {
    /// The outbox's number at which they were read; none if they never were.
    through: Option<u64>,
    /// Whether they must be read anew, whatever the number: the shard was restored to an earlier moment, or the log is of
    /// before events named their collections.
    #[serde(default)]
    is_outdated: bool,
    /// By creation id.
    by_id: HashMap<String, CurrentCollection>,
}

/// A collection that stands.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct CurrentCollection {
    slug: String,
    is_public: bool,
    /// Events under its slug that name no creation id are its own behind this sequence number; none of them if none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    unnamed_after: Option<u64>,
}

impl CurrentCollections {
    /// As they were stored.
    pub fn open(sql: &impl Sqlite) -> Result<Self, SqliteError> {
        let stored = stored_state::read(sql, COLLECTIONS)?;
        Ok(stored.and_then(|json| serde_json::from_str(&json).ok()).unwrap_or_default())
    }

    /// Whether they must be read anew, even if no row waits.
    pub fn is_outdated(&self) -> bool {
        self.is_outdated
    }

    /// The outbox's number at which they were read; 0 if they never were.
    pub fn through(&self) -> u64 {
        self.through.unwrap_or(0)
    }

    /// Judges an event as of now: false if it reaches nobody. An event of a collection that is private now becomes private.
    pub fn judge(&self, entry: &mut Entry) -> bool {
        let current = match (&entry.creation_id, slug_of_unnamed(entry)) {
            (Some(id), _) => self.by_id.get(id),
            (None, None) => return true,
            // Of before there were creation ids, and nothing was read since: only those hear of it who may hear of any
            // collection under this slug.
            (None, Some(_)) if self.through.is_none() => {
                entry.private = true;
                return true;
            }
            (None, Some(slug)) => {
                let is_own =
                    |current: &&CurrentCollection| current.unnamed_after.is_some_and(|after| entry.seq > after);
                self.by_id.values().find(|current| current.slug == slug).filter(is_own)
            }
        };
        let Some(current) = current else { return false };
        entry.private |= !current.is_public;
        true
    }

    /// Whether the collections must be read anew before these rows are appended.
    pub fn are_behind(&self, rows: &[OutboxRow]) -> bool {
        let Some(through) = self.through else { return self.is_outdated || !rows.is_empty() };
        let is_unknown = |row: &OutboxRow| row.creation_id.as_ref().is_some_and(|id| !self.by_id.contains_key(id));
        self.is_outdated || rows.iter().any(|row| row.seq > through && (row.is_of_collection() || is_unknown(row)))
    }

    /// Takes what was read, and stores it; false if something newer is known.
    pub fn learn(&mut self, sql: &impl Sqlite, log: &EventLog, read: CollectionsRead) -> Result<bool, SqliteError> {
        if !self.is_outdated && self.through.is_some_and(|through| read.last < through) {
            return Ok(false);
        }
        let mut by_id = HashMap::with_capacity(read.collections.len());
        for row in read.collections {
            let unnamed_after = match (self.by_id.get(&row.creation_id), self.through) {
                (Some(known), _) => known.unnamed_after,
                // The first reading: what is in the log may be of before there were creation ids.
                (None, None) => {
                    let made_at = Timestamp::from_millis(row.created_at);
                    Some(log.last_at(sql, made_at.plus_seconds(LATE_SECONDS))?)
                }
                (None, Some(_)) => None,
            };
            by_id.insert(
                row.creation_id,
                CurrentCollection { slug: row.slug, is_public: row.public_read != 0, unnamed_after },
            );
        }
        let learned = Self { through: Some(read.last), is_outdated: false, by_id };
        learned.store(sql)?;
        *self = learned;
        Ok(true)
    }

    /// Notes that they must be read anew. Until then events are judged by what is known.
    pub fn distrust(&mut self, sql: &impl Sqlite) -> Result<(), SqliteError> {
        self.is_outdated = true;
        self.store(sql)
    }

    fn store(&self, sql: &impl Sqlite) -> Result<(), SqliteError> {
        let json = serde_json::to_string(self).map_err(|error| SqliteError(error.to_string()))?;
        stored_state::write(sql, COLLECTIONS, &json)
    }
}

/// The slug of a record's event that names no creation id. Nobody but the hub publishes under these topics.
fn slug_of_unnamed(entry: &Entry) -> Option<&str> {
    if entry.update.is_some() {
        return None;
    }
    let rest = entry.topics.first()?.as_str().strip_prefix(RECORDS)?;
    rest.split('/').next()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hub::event_log::NewEntry;
    use crate::storage::outbox::CurrentCollectionRow;
    use domain::topic::Topic;
    use rusqlite::Connection;

    fn hub() -> (Connection, EventLog) {
        let sql = Connection::open_in_memory().unwrap();
        stored_state::create_table(&sql).unwrap();
        let log = EventLog::open(&sql, [1; 8]).unwrap();
        (sql, log)
    }

    fn read(last: u64, collections: &[(&str, &str, bool)]) -> CollectionsRead {
        let row = |(slug, id, is_public): &(&str, &str, bool)| CurrentCollectionRow {
            slug: (*slug).into(),
            creation_id: (*id).into(),
            public_read: i64::from(*is_public),
            created_at: 1_000_000,
        };
        CollectionsRead { last, collections: collections.iter().map(row).collect() }
    }

    fn entry(seq: u64, topic: &str, creation_id: Option<&str>, private: bool) -> Entry {
        let topics = vec![Topic::parse(topic).unwrap()];
        let creation_id = creation_id.map(str::to_owned);
        let (name, tail) = (String::new(), String::new());
        Entry { seq, topics, private, name, tail, update: None, creation_id, before: None, change: None }
    }

    /// Whether it reaches anybody, and if so whether it is private.
    fn judged(current: &CurrentCollections, mut entry: Entry) -> Option<bool> {
        current.judge(&mut entry).then_some(entry.private)
    }

    fn row(seq: u64, record_id: &str, creation_id: Option<&str>) -> OutboxRow {
        OutboxRow {
            seq,
            at: 0,
            collection: "posts".into(),
            record_id: record_id.into(),
            action: "update".into(),
            private: 1,
            version: 1,
            status: None,
            data: "{}".into(),
            alias: None,
            created_at: 0,
            updated_at: 0,
            created_by: String::new(),
            updated_by: String::new(),
            creation_id: creation_id.map(str::to_owned),
            before: None,
        }
    }

    #[test]
    fn events_are_judged_by_the_collection_that_stands_and_as_it_is_now() {
        let (sql, log) = hub();
        let mut current = CurrentCollections::default();
        assert!(current.learn(&sql, &log, read(3, &[("posts", "p2", true), ("notes", "n1", false)])).unwrap());
        for (topic, id, private, becomes) in [
            ("records/posts", Some("p2"), false, Some(false)),
            ("records/posts", Some("p2"), true, Some(true)),
            ("records/posts", Some("p1"), false, None),
            ("records/posts", Some("p1"), true, None),
            ("records/notes", Some("n1"), false, Some(true)),
            ("records/notes", Some("n1"), true, Some(true)),
            ("post", None, false, Some(false)),
            ("post", None, true, Some(true)),
        ] {
            assert_eq!(judged(&current, entry(1, topic, id, private)), becomes, "{topic} {id:?} {private}");
        }
        let stored = CurrentCollections::open(&sql).unwrap();
        assert_eq!((stored.through, stored.by_id), (current.through, current.by_id));
    }

    #[test]
    fn the_newer_reading_holds_unless_the_shard_was_restored() {
        let (sql, log) = hub();
        let mut current = CurrentCollections::default();
        assert!(current.learn(&sql, &log, read(5, &[("posts", "p1", false)])).unwrap());
        assert!(!current.learn(&sql, &log, read(4, &[("posts", "p1", true)])).unwrap());
        assert_eq!(judged(&current, entry(1, "records/posts", Some("p1"), false)), Some(true));
        current.distrust(&sql).unwrap();
        let mut current = CurrentCollections::open(&sql).unwrap();
        assert!(current.are_behind(&[]));
        assert!(current.learn(&sql, &log, read(4, &[("posts", "p1", true)])).unwrap());
        assert!(!current.are_behind(&[]));
        assert_eq!(judged(&current, entry(1, "records/posts", Some("p1"), false)), Some(false));
    }

    #[test]
    fn collections_are_read_anew_where_a_row_shows_that_they_changed() {
        let (sql, log) = hub();
        let mut current = CurrentCollections::default();
        assert!(!current.are_behind(&[]), "a tenant without records");
        assert!(current.are_behind(&[row(1, "a", Some("p1"))]));
        current.learn(&sql, &log, read(5, &[("posts", "p1", true)])).unwrap();
        for (row, is_behind) in [
            (row(6, "a", Some("p1")), false),
            (row(6, "a", Some("p2")), true),
            (row(6, "", Some("p1")), true),
            (row(6, "a", None), false),
            (row(5, "a", Some("p0")), false),
            (row(5, "", Some("p0")), false),
        ] {
            assert_eq!(current.are_behind(std::slice::from_ref(&row)), is_behind, "{row:?}");
        }
    }

    #[test]
    fn a_log_of_before_is_kept_and_has_the_collections_read() {
        let sql = Connection::open_in_memory().unwrap();
        stored_state::create_table(&sql).unwrap();
        let of_before = "CREATE TABLE events (seq INTEGER PRIMARY KEY, at INTEGER NOT NULL, total INTEGER NOT NULL, private INTEGER NOT NULL, topics TEXT NOT NULL, name TEXT NOT NULL, tail TEXT NOT NULL);
            INSERT INTO events VALUES (1, 5, 20, 0, 'records/posts', 'posts.create', '}')";
        sql.execute_batch(of_before).unwrap();
        let log = EventLog::open(&sql, [1; 8]).unwrap();
        assert!(log.was_unnamed() && !EventLog::open(&sql, [1; 8]).unwrap().was_unnamed());
        let page = log.page(&sql, 0, 1000).unwrap();
        assert_eq!((page.entries.len(), &page.entries[0].creation_id), (1, &None));
    }

    #[test]
    fn events_of_before_there_were_creation_ids_are_of_the_collection_that_stood_then() {
        let (sql, mut log) = hub();
        let append = |log: &mut EventLog, millis: i64| {
            let topics = vec![Topic::parse("records/posts").unwrap()];
            let (name, tail) = (String::new(), String::new());
            let new = NewEntry {
                topics,
                private: false,
                name,
                tail,
                update: None,
                creation_id: None,
                before: None,
                change: None,
            };
            log.append(&sql, Timestamp::from_millis(millis), new).unwrap().seq
        };
        let made = 1_000_000;
        let before = append(&mut log, made);
        let soon = append(&mut log, made + 1000 * LATE_SECONDS);
        let after = append(&mut log, made + 1000 * LATE_SECONDS + 1);
        let mut current = CurrentCollections::default();
        let told = |current: &CurrentCollections| {
            [before, soon, after].map(|seq| judged(current, entry(seq, "records/posts", None, false)))
        };
        assert_eq!(told(&current), [Some(true); 3], "nothing is known yet");
        current.learn(&sql, &log, read(1, &[("posts", "p1", true)])).unwrap();
        assert_eq!(told(&current), [None, None, Some(false)]);
        current.learn(&sql, &log, read(2, &[("posts", "p1", false)])).unwrap();
        assert_eq!(told(&current), [None, None, Some(true)]);
        current.learn(&sql, &log, read(3, &[("posts", "p2", true)])).unwrap();
        assert_eq!(told(&current), [None; 3], "another collection");
    }
}
