//! Events about subscriptions in the log.
//!
//! Invariants
//! - They count for no bound of the retention but age, so however many there are, they push out nothing else.
//! - The newest of them are kept, within [`PRESENCE_BYTES`]; older ones leave holes behind, which no client is told of.
//! - Each row of them holds how many bytes of such events were written so far, so those to delete are a range of an index.

use super::event_row::Entry;
use crate::hub::sqlite::{Sqlite, SqliteError, cells};

/// How many of the newest bytes of events about subscriptions are kept.
pub const PRESENCE_BYTES: u64 = 1024 * 1024;
/// What such an event counts for beside its bytes.
const PRESENCE_OVERHEAD: u64 = 512;

/// How many bytes of events about subscriptions were written so far.
#[derive(Debug)]
pub struct PresenceBytes(u64);

impl PresenceBytes {
    /// As the rows tell.
    pub fn open(sql: &impl Sqlite) -> Result<Self, SqliteError> {
        let find = "SELECT max(presence) FROM events WHERE presence IS NOT NULL";
        let [written] = cells(sql.first(find, &[])?.unwrap_or_default());
        Ok(Self(written.count()))
    }

    /// How many they are with this event.
    pub fn with(&self, entry: &Entry) -> u64 {
        self.0 + entry.bytes() + PRESENCE_OVERHEAD
    }

    /// An event was written, with which they are so many. The oldest make room for it.
    pub fn wrote(&mut self, sql: &impl Sqlite, written: u64, entry: &Entry) -> Result<(), SqliteError> {
        self.0 = written;
        let Some(out) = written.checked_sub(PRESENCE_BYTES) else { return Ok(()) };
        let older = [out.into(), entry.seq.into()];
        sql.execute(
            "DELETE FROM updates WHERE seq IN (SELECT seq FROM events WHERE presence <= ? AND seq < ?)",
            &older,
        )?;
        sql.execute("DELETE FROM events WHERE presence <= ? AND seq < ?", &older)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hub::event_log::event_row::first_of;
    use crate::hub::event_log::tests::{append, at, filled, limits, new_entry};
    use crate::hub::event_log::{EventLog, Recovery};

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
}
