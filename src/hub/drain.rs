//! Brings the changes of records out of the tenant's outbox into the log.
//!
//! Invariants
//! - Only the hub drains. Events are appended and the watermark is moved in one transaction of one turn: what lies at
//!   or below the watermark is in the log, and is never appended again.
//! - A row is deleted from the outbox only once the watermark stands at it or behind it. So a drain may end after any
//!   step, and the next one goes on.
//! - A hub that lost its state begins with what is there. So does one whose shard was put back to an earlier moment:
//!   there the sequence stands below the watermark.
//! - A tenant that is stopped is not drained; what waits is drained once it is served again. One that moves takes its
//!   sequence and its outbox along, so the watermark holds on the other shard too.

use std::future::Future;

use super::awake::{Awake, Failure};
use super::event_log::{Draft, Entry, EventLog, read_state, write_state};
use super::protocol::Caller;
use super::record_event::RecordEvent;
use super::sqlite::{Sqlite, SqliteError};
use crate::storage::outbox::{Announced, Outbox, Settled};
use crate::storage::sql::StorageError;
use crate::storage::tenant_db::Placement;
use crate::tenant_id::TenantId;
use domain::json;

/// Where the hub's state keeps the number of the last row that is in the log.
const WATERMARK: &str = "outbox";

/// Most pages that one message drains, each a trip to the shard: a runtime allows so many per message. What is left waits
/// for the next one.
const MAX_PAGES: usize = 200;

/// Where announcements come from.
pub trait Source {
    /// What lies behind a number, in order.
    fn beyond(&self, seq: u64) -> impl Future<Output = Result<Vec<Announced>, StorageError>>;

    /// Deletes what lies up to a number, and tells what lies behind it.
    fn settle(&self, seq: u64) -> impl Future<Output = Result<Settled, StorageError>>;
}

/// Where they go. Each of these is a turn.
pub trait Sink {
    /// The number of the last row that is in the log.
    fn watermark(&self) -> Result<u64, Failure>;

    /// Appends those rows that are not in the log; gives how many.
    fn take(&self, rows: Vec<Announced>) -> Result<u64, Failure>;

    /// Forgets the watermark.
    fn start_over(&self) -> Result<(), Failure>;
}

impl Source for Outbox {
    async fn beyond(&self, seq: u64) -> Result<Vec<Announced>, StorageError> {
        Self::beyond(self, seq).await
    }

    async fn settle(&self, seq: u64) -> Result<Settled, StorageError> {
        Self::settle(self, seq).await
    }
}

/// Why a drain ended early. What it brought is in the log; the next one goes on from there.
#[derive(Debug)]
pub enum Halt {
    /// The shard failed.
    Shard(StorageError),
    /// The hub refused, or its storage failed.
    Hub(Failure),
}

impl From<StorageError> for Halt {
    fn from(error: StorageError) -> Self {
        Self::Shard(error)
    }
}

impl From<Failure> for Halt {
    fn from(failure: Failure) -> Self {
        Self::Hub(failure)
    }
}

/// Drains until nothing lies behind the watermark, or the bound of one message; gives how many events came.
pub async fn drain(source: &impl Source, sink: &impl Sink) -> Result<u64, Halt> {
    let mut rows = source.beyond(sink.watermark()?).await?;
    let mut events = 0;
    for _ in 0..MAX_PAGES {
        events += sink.take(rows)?;
        let watermark = sink.watermark()?;
        let settled = match source.settle(watermark).await {
            // Stopped, or on its way to another shard: a later drain deletes what this one brought.
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

impl Awake {
    /// Where the tenant's outbox is, if it may be drained now.
    pub fn outbox(&self, caller: &Caller, now: i64) -> Result<(TenantId, Placement), Failure> {
        let placement = self.admit(caller, now)?.placement.clone();
        // The hub is named by its tenant, which the registry placed.
        Ok((TenantId::proven(self.name()), placement))
    }

    /// The number of the last row of the outbox that is in the log.
    pub fn outbox_watermark(&self) -> Result<u64, Failure> {
        Ok(watermark(&self.sql)?)
    }

    /// Begins the outbox anew.
    pub fn forget_outbox_watermark(&mut self) -> Result<(), Failure> {
        let line = json!({ "level": "warn", "event": "outbox_started_over", "tenant": self.name() });
        worker::console_warn!("{line}");
        Ok(write_state(&self.sql, WATERMARK, "0")?)
    }

    /// Takes rows of the outbox into the log, and lets their events wait for the next spread.
    pub fn take_announced(
        &mut self,
        (caller, tenant): (&Caller, &TenantId),
        rows: Vec<Announced>,
        now: i64,
    ) -> Result<u64, Failure> {
        self.admit(caller, now)?;
        let Appended { entries, unreadable } = append(&mut self.log, &self.sql, tenant, rows, now)?;
        let events = entries.len() as u64;
        for seq in unreadable {
            let line = json!({ "level": "error", "event": "outbox_unreadable", "tenant": tenant, "seq": seq });
            worker::console_error!("{line}");
        }
        for entry in entries {
            self.enqueue(entry, now);
        }
        if events > 0 {
            self.mark_untidy();
        }
        Ok(events)
    }
}

fn watermark(sql: &impl Sqlite) -> Result<u64, SqliteError> {
    Ok(read_state(sql, WATERMARK)?.and_then(|text| text.parse().ok()).unwrap_or(0))
}

/// What came of some rows.
#[derive(Debug, Default)]
struct Appended {
    entries: Vec<Entry>,
    /// Rows that no writer of ours made: they must not hold up those behind them.
    unreadable: Vec<u64>,
}

/// Appends what lies behind the watermark, and moves it: all of it or nothing.
fn append(
    log: &mut EventLog,
    sql: &impl Sqlite,
    tenant: &TenantId,
    rows: Vec<Announced>,
    now: i64,
) -> Result<Appended, SqliteError> {
    sql.atomically(|| {
        let before = watermark(sql)?;
        let mut through = before;
        let mut appended = Appended::default();
        for row in rows {
            if row.seq <= through {
                continue;
            }
            through = row.seq;
            match RecordEvent::of(tenant, &row) {
                Some(RecordEvent { topics, private, name, tail }) => {
                    let draft = Draft { topics, private, name, tail, update: None };
                    appended.entries.push(log.append(sql, now, draft)?);
                }
                None => appended.unreadable.push(row.seq),
            }
        }
        if through > before {
            write_state(sql, WATERMARK, &through.to_string())?;
        }
        Ok(appended)
    })
}

#[cfg(test)]
mod tests {
    use std::cell::{Cell, RefCell};

    use rusqlite::Connection;

    use super::*;
    use crate::storage::outbox::{BEYOND, FORGET, LAST};

    const LEADS: &str = "INSERT INTO collections (tenant_id, slug, name, schema, statuses, versioned, soft_delete, live, public_read, files, revision, created_at, updated_at) VALUES ('acme', 'leads', '', '{}', 'null', 0, 0, 1, 1, 0, 1, 0, 0)";

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

        fn read(&self, seq: u64) -> Vec<Announced> {
            let mut statement = self.db.prepare(BEYOND.text()).unwrap();
            let rows = statement.query_map(("acme", seq), |row| {
                Ok(Announced {
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
                })
            });
            rows.unwrap().map(Result::unwrap).collect()
        }
    }

    impl Source for Shard {
        async fn beyond(&self, seq: u64) -> Result<Vec<Announced>, StorageError> {
            self.trip().await?;
            Ok(self.read(seq))
        }

        async fn settle(&self, seq: u64) -> Result<Settled, StorageError> {
            self.trip().await?;
            if self.fenced.get() {
                return Err(StorageError::Fenced);
            }
            self.db.execute(FORGET.text(), ("acme", seq)).unwrap();
            let last = self.db.query_row(LAST.text(), ["acme"], |row| row.get(0)).ok();
            let settled = Settled { rows: self.read(seq), last };
            // The answer may be lost behind the commit.
            self.trip().await?;
            Ok(settled)
        }
    }

    /// A hub's log over its SQLite; opened anew, it knows what it wrote.
    struct Hub {
        sql: Connection,
        log: RefCell<EventLog>,
        turns_left: Cell<usize>,
        restarts: Cell<u64>,
    }

    impl Hub {
        fn new() -> Self {
            let sql = Connection::open_in_memory().unwrap();
            let log = RefCell::new(EventLog::open(&sql, [1; 8]).unwrap());
            Self { sql, log, turns_left: Cell::new(usize::MAX), restarts: Cell::new(0) }
        }

        fn turn(&self) -> Result<(), Failure> {
            let left = self.turns_left.get().checked_sub(1);
            self.turns_left.set(left.ok_or(Failure::Storage(SqliteError("the hub is gone".into())))?);
            Ok(())
        }

        /// What the log holds: the number of each record, in order.
        fn heard(&self) -> Vec<u64> {
            let log = EventLog::open(&self.sql, [2; 8]).unwrap();
            let page = log.page(&self.sql, 0, u64::MAX / 4).unwrap();
            let number = |entry: &Entry| entry.topics[1].as_str().rsplit_once("/r").unwrap().1.parse().unwrap();
            page.entries.iter().map(number).collect()
        }

        fn restart(&self) {
            *self.log.borrow_mut() = EventLog::open(&self.sql, [3; 8]).unwrap();
            self.turns_left.set(usize::MAX);
        }
    }

    impl Sink for Hub {
        fn watermark(&self) -> Result<u64, Failure> {
            self.turn()?;
            Ok(watermark(&self.sql)?)
        }

        fn take(&self, rows: Vec<Announced>) -> Result<u64, Failure> {
            self.turn()?;
            let appended = append(&mut self.log.borrow_mut(), &self.sql, &TenantId::proven("acme"), rows, 1)?;
            assert_eq!(appended.unreadable, [0; 0]);
            Ok(appended.entries.len() as u64)
        }

        fn start_over(&self) -> Result<(), Failure> {
            self.turn()?;
            self.restarts.set(self.restarts.get() + 1);
            Ok(write_state(&self.sql, WATERMARK, "0")?)
        }
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
        for steps in 0..8 {
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
        assert!(matches!(drain(&shard, &hub).await, Err(Halt::Hub(Failure::Storage(_)))));
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
        shard.db.execute("UPDATE record_sequence SET last = 4", []).unwrap();
        shard.write(2);
        drain(&shard, &hub).await.unwrap();
        assert_eq!((hub.heard(), shard.waiting(), hub.restarts.get()), (through(12), 0, 1));
        assert_eq!(watermark(&hub.sql).unwrap(), 6);
    }
}
