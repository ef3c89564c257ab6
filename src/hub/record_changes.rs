//! Appending rows of the outbox to the log: the hub's side of a drain.

use super::event_log::{Entry, EventLog, NewEntry};
use super::protocol::Caller;
use super::record_event::RecordEvent;
use super::sockets::Sockets;
use super::sqlite::{Sqlite, SqliteError};
use super::state::HubState;
use super::state_error::StateError;
use super::stored_state;
use crate::storage::outbox::{CollectionsRead, OutboxRow};
use crate::storage::tenant_db::Placement;
use crate::tenant_id::TenantId;
use domain::clock::Timestamp;

/// The key of the sequence number of the last row that is in the log.
const WATERMARK: &str = "outbox";
/// The key of the log's last sequence number at the time when the shard was last restored to an earlier moment.
const RESTORED_AT: &str = "outbox_restored_at";

/// What became of some rows.
#[derive(Debug, Default)]
pub struct Taken {
    /// How many events were appended.
    pub events: u64,
    /// Rows that could not be read. They are skipped, so that they do not hold up those behind them.
    pub unreadable: Vec<u64>,
}

impl<Sql: Sqlite, Net: Sockets> HubState<Sql, Net> {
    /// Where the tenant's outbox is, if it may be drained now.
    pub fn outbox(&self, caller: &Caller, now: Timestamp) -> Result<(TenantId, Placement), StateError> {
        let placement = self.admit(caller, now)?.placement.clone();
        Ok((self.tenant.clone(), placement))
    }

    /// The sequence number of the last row of the outbox that is in the log.
    pub fn outbox_watermark(&self) -> Result<u64, StateError> {
        Ok(watermark(&self.sql)?)
    }

    /// Begins anew: the shard was restored to an earlier moment, so its collections may be others too.
    pub fn reset_outbox_watermark(&mut self) -> Result<(), StateError> {
        let Self { sql, collections, log, .. } = self;
        sql.atomically(|| {
            reset_watermark(sql)?;
            stored_state::write(sql, RESTORED_AT, &log.last().to_string())?;
            collections.distrust(sql)
        })?;
        for (id, ()) in self.streams.choose(|stream| stream.attachment.seen.map(drop)) {
            if let Some(stream) = self.streams.get_mut(id) {
                stream.attachment.seen = None;
            }
            self.store_attachment(id);
        }
        Ok(())
    }

    /// Whether the shard was restored since the log was at this sequence number: numbers of changes from before mean
    /// nothing any more.
    pub(super) fn restored_behind(&self, seq: u64) -> Result<bool, SqliteError> {
        let restored_at = stored_state::read(&self.sql, RESTORED_AT)?;
        Ok(restored_at.and_then(|text| text.parse::<u64>().ok()).is_some_and(|restored_at| seq <= restored_at))
    }

    /// Whether the collections that stand must be read anew before these rows are taken.
    pub fn are_collections_behind(&self, rows: &[OutboxRow]) -> bool {
        self.collections.are_behind(rows)
    }

    /// For whom the collections must be read, even if no row waits, if they may be read now.
    pub fn collections_wanted(&self, now: Timestamp) -> Option<Caller> {
        let caller = Caller { tenant: (&self.tenant).into(), revision: 0, host: None, judged_at: None };
        (self.collections.is_outdated() && self.admit(&caller, now).is_ok()).then_some(caller)
    }

    /// The number of the outbox at which the collections were read.
    pub fn collections_through(&self) -> u64 {
        self.collections.through()
    }

    /// Takes which collections stand; false if something newer is known. From now on events are judged by it, those that
    /// wait and those of replays too.
    pub fn learn_collections(
        &mut self,
        caller: &Caller,
        read: CollectionsRead,
        now: Timestamp,
    ) -> Result<bool, StateError> {
        self.admit(caller, now)?;
        Ok(self.collections.learn(&self.sql, &self.log, read)?)
    }

    /// Appends rows of the outbox to the log, and queues their events for the next fan-out.
    pub fn take_changes(&mut self, caller: &Caller, rows: Vec<OutboxRow>, now: Timestamp) -> Result<Taken, StateError> {
        self.admit(caller, now)?;
        let Appended { entries, unreadable } = append(&mut self.log, &self.sql, &self.tenant, rows, now)?;
        let events = entries.len() as u64;
        for entry in entries {
            self.enqueue(entry, now);
        }
        if events > 0 {
            self.mark_for_clean_up();
        }
        Ok(Taken { events, unreadable })
    }
}

pub(super) fn watermark(sql: &impl Sqlite) -> Result<u64, SqliteError> {
    Ok(stored_state::read(sql, WATERMARK)?.and_then(|text| text.parse().ok()).unwrap_or(0))
}

pub(super) fn reset_watermark(sql: &impl Sqlite) -> Result<(), SqliteError> {
    stored_state::write(sql, WATERMARK, "0")
}

/// What [`append`] did.
#[derive(Debug, Default)]
pub(super) struct Appended {
    pub entries: Vec<Entry>,
    pub unreadable: Vec<u64>,
}

/// Appends the rows that are behind the watermark, and moves it, in one transaction.
pub(super) fn append(
    log: &mut EventLog,
    sql: &impl Sqlite,
    tenant: &TenantId,
    rows: Vec<OutboxRow>,
    now: Timestamp,
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
            if row.is_of_collection() {
                continue;
            }
            match RecordEvent::of(tenant, &row) {
                Some(RecordEvent { topics, private, name, tail, before }) => {
                    let change = Some(row.seq);
                    let creation_id = row.creation_id;
                    let entry = NewEntry { topics, private, name, tail, update: None, creation_id, before, change };
                    appended.entries.push(log.append(sql, now, entry)?);
                }
                None => appended.unreadable.push(row.seq),
            }
        }
        if through > before {
            stored_state::write(sql, WATERMARK, &through.to_string())?;
        }
        Ok(appended)
    })
}
