//! Moves the changes of records from the tenant's outbox, a table on its shard, into the log.
//!
//! Invariants
//! - Only the hub drains. It appends events and moves its outbox watermark in one transaction of one turn: a row at or
//!   below the watermark is in the log, and is never appended again.
//! - A row is deleted from the outbox only once the watermark has reached it. So a drain may end after any step, and the
//!   next one continues.
//! - A hub that lost its state begins with what is in the outbox. So does one whose shard was restored to an earlier moment:
//!   there, the sequence is below the watermark.
//! - Before rows are appended that say or show that the hub does not know the collections as they stand, it reads them. So
//!   none of its streams gets an event by what its collection was. What the hub must know at once, it is told to read by a
//!   message of its own, which waits for no row.
//! - A stopped tenant is not drained; what waits is drained once it is served again. A tenant that moves to another shard
//!   takes its sequence and its outbox along, so the watermark stays valid.

use std::future::Future;

use super::state_error::StateError;
use crate::storage::outbox::{CollectionsRead, Outbox, OutboxRow, OutboxState};
use crate::storage::sql::StorageError;

/// Most pages that one message drains. Each is a trip to the shard, of which a runtime allows a limited number per message.
/// What is left waits for the next message.
const MAX_PAGES: usize = 200;

/// The outbox.
pub trait Source {
    /// The rows behind a sequence number, in order.
    fn beyond(&self, seq: u64) -> impl Future<Output = Result<Vec<OutboxRow>, StorageError>>;

    /// Deletes the rows up to a sequence number, and returns those behind it.
    fn settle(&self, seq: u64) -> impl Future<Output = Result<OutboxState, StorageError>>;

    /// Which collections stand, and the sequence's last number at that moment.
    fn collections(&self) -> impl Future<Output = Result<CollectionsRead, StorageError>>;
}

/// The hub's log. Each of these is a turn.
pub trait Sink {
    /// The sequence number of the last row that is in the log.
    fn watermark(&self) -> Result<u64, StateError>;

    /// Appends those rows that are behind the watermark. Returns how many events they became.
    fn take(&self, rows: Vec<OutboxRow>) -> Result<u64, StateError>;

    /// Whether these rows say or show that the collections are not (any more) as the hub knows them.
    fn are_collections_behind(&self, rows: &[OutboxRow]) -> Result<bool, StateError>;

    /// The sequence number at which the hub's knowledge of the collections was read.
    fn collections_through(&self) -> Result<u64, StateError>;

    /// Takes which collections stand; false if the hub knows something newer.
    fn learn(&self, read: CollectionsRead) -> Result<bool, StateError>;

    /// Resets the watermark to 0, and has the collections read anew.
    fn start_over(&self) -> Result<(), StateError>;
}

impl Source for Outbox {
    async fn beyond(&self, seq: u64) -> Result<Vec<OutboxRow>, StorageError> {
        Self::after(self, seq).await
    }

    async fn settle(&self, seq: u64) -> Result<OutboxState, StorageError> {
        Self::acknowledge(self, seq).await
    }

    async fn collections(&self) -> Result<CollectionsRead, StorageError> {
        Self::collections(self).await
    }
}

/// Why a drain ended early. What it brought is in the log; the next one continues from there.
#[derive(Debug)]
pub enum DrainError {
    /// The shard failed.
    Shard(StorageError),
    /// The hub refused, or its storage failed.
    Hub(StateError),
}

impl From<StorageError> for DrainError {
    fn from(error: StorageError) -> Self {
        Self::Shard(error)
    }
}

impl From<StateError> for DrainError {
    fn from(error: StateError) -> Self {
        Self::Hub(error)
    }
}

/// Drains until no row is behind the watermark, or until the bound of one message. Returns the number of new events.
pub async fn drain(source: &impl Source, sink: &impl Sink) -> Result<u64, DrainError> {
    let mut rows = source.beyond(sink.watermark()?).await?;
    let mut events = 0;
    for _ in 0..MAX_PAGES {
        if sink.are_collections_behind(&rows)? {
            learn_collections(source, sink).await?;
        }
        events += sink.take(rows)?;
        let watermark = sink.watermark()?;
        let settled = match source.settle(watermark).await {
            // The tenant is stopped or moves to another shard: a later drain deletes these rows.
            Err(StorageError::Fenced) => break,
            settled => settled?,
        };
        rows = settled.rows;
        if settled.last.is_some_and(|last| last < watermark) {
            sink.start_over()?;
            rows = source.beyond(0).await?;
        } else if rows.is_empty() {
            break;
        }
    }
    Ok(events)
}

/// Has the hub know which collections stand, as of now or later.
pub async fn learn_collections(source: &impl Source, sink: &impl Sink) -> Result<(), DrainError> {
    if sink.learn(source.collections().await?)? {
        return Ok(());
    }
    // A later reading came first. What is read from here on is no older than that, unless the shard was restored.
    let known = sink.collections_through()?;
    let read = source.collections().await?;
    if read.last < known {
        sink.start_over()?;
    }
    sink.learn(read)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::cell::{Cell, RefCell};

    use rusqlite::Connection;

    use super::*;
    use crate::hub::current_collections::CurrentCollections;
    use crate::hub::event_log::{Entry, EventLog};
    use crate::hub::record_changes::{append, reset_watermark, watermark};
    use crate::hub::sqlite::SqliteError;
    use crate::hub::stored_state;
    use crate::storage::outbox::{AFTER, COLLECTIONS, CurrentCollectionRow, FORGET, LAST};
    use crate::tenant_id::TenantId;
    use domain::clock::Timestamp;

    const LEADS: &str = "INSERT INTO collections (tenant_id, slug, name, schema, statuses, versioned, soft_delete, live, public_read, files, revision, created_at, updated_at) VALUES ('acme', 'leads', '', '{}', 'null', 0, 0, 1, 1, 0, 1, 0, 0); INSERT INTO collection_state (tenant_id, collection) VALUES ('acme', 'leads')";

    /// A shard with the outbox as migrations and statements make it. Each trip counts, and may fail.
    struct Shard {
        db: Connection,
        written: Cell<u64>,
        trips_left: Cell<usize>,
        fenced: Cell<bool>,
    }

    impl Shard {
        fn new() -> Self {
            let db = Connection::open_in_memory().unwrap();
            for migration in [
                include_str!("../../migrations/tenant/0001_fence.sql"),
                include_str!("../../migrations/tenant/0002_principals.sql"),
                include_str!("../../migrations/tenant/0003_records.sql"),
                include_str!("../../migrations/tenant/0004_files.sql"),
                include_str!("../../migrations/tenant/0005_creation_ids.sql"),
                include_str!("../../migrations/tenant/0006_record_identity.sql"),
                include_str!("../../migrations/tenant/0007_makers.sql"),
                include_str!("../../migrations/tenant/0008_networks.sql"),
                include_str!("../../migrations/tenant/0009_rows_written.sql"),
                include_str!("../../migrations/tenant/0010_words.sql"),
                include_str!("../../migrations/tenant/0011_background_turns.sql"),
                include_str!("../../migrations/tenant/0012_rows_folded.sql"),
                include_str!("../../migrations/tenant/0013_changes_tell_before.sql"),
                LEADS,
            ] {
                db.execute_batch(migration).unwrap();
            }
            Self { db, written: Cell::new(0), trips_left: Cell::new(usize::MAX), fenced: Cell::new(false) }
        }

        fn write(&self, records: u64) {
            for _ in 0..records {
                let n = self.written.get() + 1;
                self.written.set(n);
                let sql = "INSERT INTO records (tenant_id, collection, id, version, data, created_at, updated_at, created_by, updated_by, index_revision) VALUES ('acme', 'leads', ?1, 1, ?2, 0, 0, 'a', 'a', 1)";
                self.db.execute(sql, (format!("r{n}"), format!("{{\"n\":{n}}}"))).unwrap();
            }
        }

        fn waiting(&self) -> u64 {
            self.db.query_row("SELECT count(*) FROM record_outbox", [], |row| row.get(0)).unwrap()
        }

        async fn trip(&self) -> Result<(), StorageError> {
            tokio::task::yield_now().await;
            let left = self.trips_left.get().checked_sub(1);
            self.trips_left.set(left.ok_or_else(|| StorageError::Unavailable("the shard is gone".into()))?);
            Ok(())
        }

        fn read(&self, seq: u64) -> Vec<OutboxRow> {
            let mut statement = self.db.prepare(AFTER.text()).unwrap();
            let rows = statement.query_map(("acme", seq), |row| {
                Ok(OutboxRow {
                    seq: row.get("seq")?,
                    at: row.get("at")?,
                    collection: row.get("collection")?,
                    record_id: row.get("record_id")?,
                    action: row.get("action")?,
                    private: row.get("private")?,
                    version: row.get("version")?,
                    status: row.get("status")?,
                    data: row.get("data")?,
                    alias: row.get("alias")?,
                    created_at: row.get("created_at")?,
                    updated_at: row.get("updated_at")?,
                    created_by: row.get("created_by")?,
                    updated_by: row.get("updated_by")?,
                    creation_id: row.get("creation_id")?,
                    before: row.get("before")?,
                })
            });
            rows.unwrap().map(Result::unwrap).collect()
        }
    }

    impl Source for Shard {
        async fn beyond(&self, seq: u64) -> Result<Vec<OutboxRow>, StorageError> {
            self.trip().await?;
            Ok(self.read(seq))
        }

        async fn settle(&self, seq: u64) -> Result<OutboxState, StorageError> {
            self.trip().await?;
            if self.fenced.get() {
                return Err(StorageError::Fenced);
            }
            self.db.execute(FORGET.text(), ("acme", seq)).unwrap();
            let last = self.db.query_row(LAST.text(), ["acme"], |row| row.get(0)).ok();
            let settled = OutboxState { rows: self.read(seq), last };
            // The answer may be lost behind the commit.
            self.trip().await?;
            Ok(settled)
        }

        async fn collections(&self) -> Result<CollectionsRead, StorageError> {
            self.trip().await?;
            let last = self.db.query_row(LAST.text(), ["acme"], |row| row.get(0)).unwrap_or(0);
            let mut statement = self.db.prepare(COLLECTIONS.text()).unwrap();
            let rows = statement.query_map(["acme"], |row| {
                Ok(CurrentCollectionRow {
                    slug: row.get("slug")?,
                    creation_id: row.get("creation_id")?,
                    public_read: row.get("public_read")?,
                    created_at: row.get("created_at")?,
                })
            });
            let read = CollectionsRead { last, collections: rows.unwrap().map(Result::unwrap).collect() };
            // So may this one.
            self.trip().await?;
            Ok(read)
        }
    }

    /// A hub's log over its SQLite; opened anew, it knows what it wrote.
    struct Hub {
        sql: Connection,
        log: RefCell<EventLog>,
        collections: RefCell<CurrentCollections>,
        turns_left: Cell<usize>,
        restarts: Cell<u64>,
    }

    impl Hub {
        fn new() -> Self {
            let sql = Connection::open_in_memory().unwrap();
            stored_state::create_table(&sql).unwrap();
            let log = RefCell::new(EventLog::open(&sql, [1; 8]).unwrap());
            let collections = RefCell::default();
            Self { sql, log, collections, turns_left: Cell::new(usize::MAX), restarts: Cell::new(0) }
        }

        fn turn(&self) -> Result<(), StateError> {
            let left = self.turns_left.get().checked_sub(1);
            self.turns_left.set(left.ok_or(StateError::Storage(SqliteError("the hub is gone".into())))?);
            Ok(())
        }

        /// What the log holds: the number of each record, in order.
        fn heard(&self) -> Vec<u64> {
            self.entries().iter().map(number).collect()
        }

        fn entries(&self) -> Vec<Entry> {
            let log = EventLog::open(&self.sql, [2; 8]).unwrap();
            log.page(&self.sql, 0, u64::MAX / 4).unwrap().entries
        }

        /// What of it anybody may hear now: each number, and whether it is private.
        fn told(&self) -> Vec<(u64, bool)> {
            let collections = self.collections.borrow();
            let judged =
                self.entries().into_iter().filter_map(|mut entry| collections.judge(&mut entry).then_some(entry));
            judged.map(|entry| (number(&entry), entry.private)).collect()
        }

        fn restart(&self) {
            *self.log.borrow_mut() = EventLog::open(&self.sql, [3; 8]).unwrap();
            *self.collections.borrow_mut() = CurrentCollections::open(&self.sql).unwrap();
            self.turns_left.set(usize::MAX);
        }
    }

    impl Sink for Hub {
        fn watermark(&self) -> Result<u64, StateError> {
            self.turn()?;
            Ok(watermark(&self.sql)?)
        }

        fn take(&self, rows: Vec<OutboxRow>) -> Result<u64, StateError> {
            self.turn()?;
            let appended = append(
                &mut self.log.borrow_mut(),
                &self.sql,
                &TenantId::proven("acme"),
                rows,
                Timestamp::from_millis(1),
            )?;
            assert_eq!(appended.unreadable, [0; 0]);
            Ok(appended.entries.len() as u64)
        }

        fn are_collections_behind(&self, rows: &[OutboxRow]) -> Result<bool, StateError> {
            Ok(self.collections.borrow().are_behind(rows))
        }

        fn collections_through(&self) -> Result<u64, StateError> {
            Ok(self.collections.borrow().through())
        }

        fn learn(&self, read: CollectionsRead) -> Result<bool, StateError> {
            self.turn()?;
            Ok(self.collections.borrow_mut().learn(&self.sql, &self.log.borrow(), read)?)
        }

        fn start_over(&self) -> Result<(), StateError> {
            self.turn()?;
            self.restarts.set(self.restarts.get() + 1);
            self.collections.borrow_mut().distrust(&self.sql)?;
            Ok(reset_watermark(&self.sql)?)
        }
    }

    fn number(entry: &Entry) -> u64 {
        entry.topics[1].as_str().rsplit_once("/r").unwrap().1.parse().unwrap()
    }

    fn through(n: u64) -> Vec<u64> {
        (1..=n).collect()
    }

    #[tokio::test]
    async fn what_waits_comes_once_and_in_order_and_then_nothing_waits() {
        let (shard, hub) = (Shard::new(), Hub::new());
        assert_eq!(drain(&shard, &hub).await.unwrap(), 0, "an outbox that never held anything");
        shard.write(250);
        assert_eq!(drain(&shard, &hub).await.unwrap(), 250);
        assert_eq!((hub.heard(), shard.waiting()), (through(250), 0));
        shard.write(3);
        assert_eq!(drain(&shard, &hub).await.unwrap(), 3);
        assert_eq!((hub.heard(), shard.waiting(), hub.restarts.get()), (through(253), 0, 0));
    }

    #[tokio::test]
    async fn a_drain_that_ends_after_any_step_is_gone_on_with() {
        for steps in 0..12 {
            for is_shard in [true, false] {
                let (shard, hub) = (Shard::new(), Hub::new());
                shard.write(150);
                if is_shard { &shard.trips_left } else { &hub.turns_left }.set(steps);
                let _ = drain(&shard, &hub).await;
                shard.trips_left.set(usize::MAX);
                hub.restart();
                shard.write(5);
                drain(&shard, &hub).await.unwrap();
                assert_eq!(
                    (hub.heard(), shard.waiting()),
                    (through(155), 0),
                    "{steps} steps, of the shard: {is_shard}"
                );
            }
        }
    }

    #[tokio::test]
    async fn two_drains_at_once_append_nothing_twice() {
        let (shard, hub) = (Shard::new(), Hub::new());
        shard.write(230);
        let writer = async {
            for _ in 0..40 {
                tokio::task::yield_now().await;
                shard.write(3);
            }
        };
        let (first, second, ()) = tokio::join!(drain(&shard, &hub), drain(&shard, &hub), writer);
        let last = drain(&shard, &hub).await.unwrap();
        assert_eq!(first.unwrap() + second.unwrap() + last, 350);
        assert_eq!((hub.heard(), shard.waiting()), (through(350), 0));
    }

    #[tokio::test]
    async fn a_page_is_in_the_log_whole_or_not_at_all() {
        let (shard, hub) = (Shard::new(), Hub::new());
        shard.write(5);
        let broken =
            "CREATE TRIGGER broken BEFORE INSERT ON events WHEN NEW.seq = 4 BEGIN SELECT RAISE(ABORT, 'full'); END";
        hub.sql.execute_batch(broken).unwrap();
        assert!(matches!(drain(&shard, &hub).await, Err(DrainError::Hub(StateError::Storage(_)))));
        assert_eq!((hub.heard(), watermark(&hub.sql).unwrap(), shard.waiting()), (vec![], 0, 5));
        hub.sql.execute_batch("DROP TRIGGER broken").unwrap();
        hub.restart();
        drain(&shard, &hub).await.unwrap();
        assert_eq!(hub.heard(), through(5));
    }

    #[tokio::test]
    async fn behind_a_closed_fence_rows_stay_and_are_known_again() {
        let (shard, hub) = (Shard::new(), Hub::new());
        shard.write(3);
        shard.fenced.set(true);
        assert_eq!(drain(&shard, &hub).await.unwrap(), 3);
        assert_eq!(shard.waiting(), 3);
        shard.fenced.set(false);
        assert_eq!(drain(&shard, &hub).await.unwrap(), 0);
        assert_eq!((hub.heard(), shard.waiting()), (through(3), 0));
    }

    #[tokio::test]
    async fn a_hub_that_lost_its_state_begins_with_what_is_there() {
        let (shard, hub) = (Shard::new(), Hub::new());
        shard.write(3);
        drain(&shard, &hub).await.unwrap();
        shard.write(2);
        let hub = Hub::new();
        drain(&shard, &hub).await.unwrap();
        assert_eq!((hub.heard(), shard.waiting(), hub.restarts.get()), (vec![4, 5], 0, 0));
    }

    #[tokio::test]
    async fn a_shard_that_was_put_back_loses_no_change_that_follows() {
        let (shard, hub) = (Shard::new(), Hub::new());
        shard.write(10);
        drain(&shard, &hub).await.unwrap();
        shard.db.execute("UPDATE collection_state SET generation = 4", []).unwrap();
        shard.write(2);
        drain(&shard, &hub).await.unwrap();
        assert_eq!((hub.heard(), shard.waiting(), hub.restarts.get()), (through(12), 0, 1));
        assert_eq!(watermark(&hub.sql).unwrap(), 6);
    }

    /// Deletes the collection with its records, and makes it again, with other records.
    fn remake(shard: &Shard, is_public: bool) {
        let gone = "UPDATE collections SET deleted_at = 1; DELETE FROM records; DELETE FROM collections";
        shard.db.execute_batch(gone).unwrap();
        shard.db.execute_batch(LEADS).unwrap();
        if !is_public {
            shard.db.execute_batch("UPDATE collections SET public_read = 0").unwrap();
        }
    }

    #[tokio::test]
    async fn nothing_is_told_of_a_collection_that_was_deleted_and_what_was_hidden_is_private() {
        let (shard, hub) = (Shard::new(), Hub::new());
        shard.write(2);
        drain(&shard, &hub).await.unwrap();
        assert_eq!(hub.told(), [(1, false), (2, false)]);
        shard.db.execute_batch("UPDATE collections SET public_read = 0").unwrap();
        assert_eq!(drain(&shard, &hub).await.unwrap(), 0, "it is no event");
        assert_eq!((hub.told(), shard.waiting()), (vec![(1, true), (2, true)], 0));
        shard.write(1);
        shard.db.execute_batch("UPDATE collections SET public_read = 1").unwrap();
        drain(&shard, &hub).await.unwrap();
        assert_eq!(hub.told(), [(1, false), (2, false), (3, true)], "what was private stays private");
        remake(&shard, true);
        shard.write(1);
        drain(&shard, &hub).await.unwrap();
        assert_eq!((hub.told(), hub.heard()), (vec![(4, false)], through(4)));
    }

    #[tokio::test]
    async fn a_change_of_a_collection_is_known_before_the_rows_behind_it_are_in_the_log() {
        for steps in 0..12 {
            for is_shard in [true, false] {
                let (shard, hub) = (Shard::new(), Hub::new());
                shard.write(1);
                drain(&shard, &hub).await.unwrap();
                shard.write(150);
                remake(&shard, false);
                shard.write(1);
                if is_shard { &shard.trips_left } else { &hub.turns_left }.set(steps);
                let _ = drain(&shard, &hub).await;
                shard.trips_left.set(usize::MAX);
                hub.restart();
                let context = format!("{steps} steps, of the shard: {is_shard}");
                assert!(hub.heard().len() < 102 || hub.told().iter().all(|(n, _)| *n == 152), "{context}");
                drain(&shard, &hub).await.unwrap();
                assert_eq!((hub.told(), shard.waiting()), (vec![(152, true)], 0), "{context}");
            }
        }
    }

    #[tokio::test]
    async fn what_a_hub_must_know_at_once_waits_for_no_row() {
        let (shard, hub) = (Shard::new(), Hub::new());
        shard.write(1);
        drain(&shard, &hub).await.unwrap();
        shard.write(300);
        shard.db.execute_batch("UPDATE collections SET public_read = 0").unwrap();
        learn_collections(&shard, &hub).await.unwrap();
        assert_eq!((hub.told(), shard.waiting()), (vec![(1, true)], 301));
        drain(&shard, &hub).await.unwrap();
        assert!(hub.told().len() == 301 && hub.told().iter().all(|(_, private)| *private));
    }

    #[tokio::test]
    async fn two_readings_at_once_leave_the_newer_one() {
        let (shard, hub) = (Shard::new(), Hub::new());
        shard.write(1);
        drain(&shard, &hub).await.unwrap();
        let hidden = async {
            tokio::task::yield_now().await;
            shard.db.execute_batch("UPDATE collections SET public_read = 0").unwrap();
            learn_collections(&shard, &hub).await
        };
        let (first, second) = tokio::join!(learn_collections(&shard, &hub), hidden);
        first.unwrap();
        second.unwrap();
        assert_eq!(hub.told(), [(1, true)]);
    }

    #[tokio::test]
    async fn a_hub_that_lost_its_state_learns_which_collections_stand() {
        let (shard, hub) = (Shard::new(), Hub::new());
        shard.write(1);
        drain(&shard, &hub).await.unwrap();
        remake(&shard, false);
        let hub = Hub::new();
        shard.write(1);
        drain(&shard, &hub).await.unwrap();
        assert_eq!(hub.told(), [(2, true)]);
    }

    #[tokio::test]
    async fn of_a_shard_that_was_put_back_the_collections_are_read_anew() {
        let (shard, hub) = (Shard::new(), Hub::new());
        shard.write(3);
        shard.db.execute_batch("UPDATE collections SET public_read = 0").unwrap();
        drain(&shard, &hub).await.unwrap();
        assert_eq!(hub.told(), [(1, true), (2, true), (3, true)]);
        shard.db.execute_batch("UPDATE collections SET public_read = 1; DELETE FROM record_outbox; UPDATE collection_state SET generation = 2").unwrap();
        shard.write(1);
        drain(&shard, &hub).await.unwrap();
        assert_eq!((hub.told().last(), hub.restarts.get()), (Some(&(4, false)), 1));
        shard.db.execute_batch("UPDATE collections SET public_read = 0; DELETE FROM record_outbox; UPDATE collection_state SET generation = 1").unwrap();
        learn_collections(&shard, &hub).await.unwrap();
        assert!(hub.told().iter().all(|(_, private)| *private), "{:?}", hub.told());
        assert_eq!(hub.restarts.get(), 2);
    }
}
