//! What the log keeps: bounds of age, count and bytes.
//!
//! Invariants
//! - What rows hold of those before them rises with the sequence number, so each bound is a range of keys, found by a few
//!   look-ups of single keys.
//! - The newest row always stays, so that numbers are never given twice.

use super::event_row::{RowTotals, first_of, last_where};
use crate::hub::sqlite::{Sqlite, SqliteError, cells};
use crate::hub::stored_state;
use domain::clock::Timestamp;
use domain::plan::Limits;

/// Key of the stored state: up to which event the retention has deleted.
const TRIMMED: &str = "trimmed";

/// Up to which event the retention has deleted.
#[derive(Debug)]
pub struct Retention {
    trimmed: u64,
}

impl Retention {
    /// As it is stored. A log of before tells by its first row.
    pub fn open(sql: &impl Sqlite) -> Result<Self, SqliteError> {
        if let Some(trimmed) = stored_state::read(sql, TRIMMED)?.and_then(|stored| stored.parse().ok()) {
            return Ok(Self { trimmed });
        }
        let trimmed = first_of(sql)?.saturating_sub(1);
        stored_state::write(sql, TRIMMED, &trimmed.to_string())?;
        Ok(Self { trimmed })
    }

    /// Whether events behind this sequence number were deleted by it.
    pub fn has_deleted_behind(&self, seq: u64) -> bool {
        seq < self.trimmed
    }

    /// The highest sequence number that age, count or bytes have expired; every event behind it can be read.
    pub fn floor(
        &self,
        sql: &impl Sqlite,
        newest: &RowTotals,
        limits: &Limits,
        now: Timestamp,
    ) -> Result<u64, SqliteError> {
        let (first, last) = (first_of(sql)?, newest.seq);
        if first == 0 {
            return Ok(last);
        }
        let mut floor = self.trimmed;
        // Where nothing has left yet, neither have the events about subscriptions before the first of another kind.
        let left = |all: u64, bound: Option<u64>| bound.and_then(|bound| all.checked_sub(bound)).filter(|out| *out > 0);
        if let Some(out) = left(newest.number, limits.event_retention_count.bound()) {
            floor = floor.max(last_where(sql, first, last, |row| row.number <= out)?);
        }
        if let Some(out) = left(newest.bytes, limits.event_log_bytes.bound()) {
            floor = floor.max(last_where(sql, first, last, |row| row.bytes <= out)?);
        }
        if let Some(seconds) = limits.event_retention_seconds.bound() {
            let out = now.plus_millis(-i64::try_from(seconds.saturating_mul(1000)).unwrap_or(i64::MAX));
            floor = floor.max(last_where(sql, first, last, |row| row.at <= out)?);
        }
        Ok(floor.min(last))
    }

    /// Deletes expired events, except the newest row. True if there are rows left that will expire later.
    pub fn trim(
        &mut self,
        sql: &impl Sqlite,
        newest: &RowTotals,
        limits: &Limits,
        now: Timestamp,
    ) -> Result<bool, SqliteError> {
        let floor = self.floor(sql, newest, limits, now)?.min(newest.seq.saturating_sub(1));
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
}

#[cfg(test)]
mod tests {
    use crate::hub::event_log::EventLog;
    use crate::hub::event_log::tests::{append, at, filled, limits};
    use domain::log_position::Epoch;
    use proptest::prelude::*;

    #[test]
    fn numbers_go_on_after_everything_was_trimmed() {
        let (sql, mut log) = filled(10);
        assert!(!log.trim(&sql, &limits(1, -1, -1), at(1_000_000)).unwrap());
        let mut log = EventLog::open(&sql, [2; 8]).unwrap();
        assert_eq!(log.cursor(1).epoch, Epoch::from_random([1; 8]));
        assert_eq!(log.floor(&sql, &limits(1, -1, -1), at(1_000_000)).unwrap(), 10);
        assert_eq!(append(&mut log, &sql, 0, "x").seq, 11);
    }

    proptest! {
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
