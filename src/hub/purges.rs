//! The purges of answers that isolates keep, as entries of the log: which numbers they have, and what they name.
//!
//! Invariants
//! - A purge has the number of the event that brought it, and is written in the same turn.
//! - All purges behind the floor are here. Those before it are not told; what may have missed one counts as purged.

use super::sqlite::{Sqlite, SqliteError, Value, cells};
use super::stored_state;
use domain::graphql_cache::{PurgeEntry, PurgeNews, Tag};
use domain::log_position::Cursor;

/// Key of the stored state: the number behind which no purge is missing.
const FLOOR: &str = "purge_floor";
/// Most bytes of tags that are kept, and about how many are told at once.
const KEPT_BYTES: u64 = 512 * 1024;
const TOLD_BYTES: u64 = 64 * 1024;
/// Most purges that are kept, and told at once.
const KEPT: u64 = 4_000;
const TOLD: u64 = 1_000;

const TABLE: &str = "CREATE TABLE IF NOT EXISTS purges (seq INTEGER PRIMARY KEY, soft INTEGER NOT NULL, tags TEXT NOT NULL, number INTEGER NOT NULL, total INTEGER NOT NULL)";

const OLDEST: &str = "SELECT number, total FROM purges ORDER BY seq LIMIT 1";
const NEWEST: &str = "SELECT number, total FROM purges ORDER BY seq DESC LIMIT 1";

/// How many purges there were up to one, and the bytes of their tags.
#[derive(Debug, Clone, Copy, Default)]
struct PurgeTotals {
    number: u64,
    bytes: u64,
}

impl PurgeTotals {
    fn of(row: Option<Vec<Value>>) -> Self {
        let [number, bytes] = cells(row.unwrap_or_default());
        Self { number: number.count(), bytes: bytes.count() }
    }
}

/// The purges of a log.
#[derive(Debug)]
pub struct Purges {
    floor: u64,
    first: PurgeTotals,
    newest: PurgeTotals,
}

impl Purges {
    /// Opens them. In a hub of before nothing was written of purges, so its floor is the end of its log.
    pub fn open(sql: &impl Sqlite, last: u64) -> Result<Self, SqliteError> {
        sql.execute(TABLE, &[])?;
        let floor = match stored_state::read(sql, FLOOR)?.and_then(|stored| stored.parse().ok()) {
            Some(floor) => floor,
            None => {
                stored_state::write(sql, FLOOR, &last.to_string())?;
                last
            }
        };
        let newest = PurgeTotals::of(sql.first(NEWEST, &[])?);
        Ok(Self { floor, first: PurgeTotals::of(sql.first(OLDEST, &[])?), newest })
    }

    /// Writes a purge. The oldest ones make room for it.
    pub fn add(&mut self, sql: &impl Sqlite, entry: &PurgeEntry) -> Result<(), SqliteError> {
        let tags = join(&entry.tags);
        let newest = PurgeTotals { number: self.newest.number + 1, bytes: self.newest.bytes + tags.len() as u64 };
        sql.execute(
            "INSERT OR REPLACE INTO purges (seq, soft, tags, number, total) VALUES (?, ?, ?, ?, ?)",
            &[
                entry.seq.into(),
                i64::from(entry.soft).into(),
                tags.as_str().into(),
                newest.number.into(),
                newest.bytes.into(),
            ],
        )?;
        if self.newest.number == 0 {
            self.first = newest;
        }
        self.newest = newest;
        let kept = (newest.number - self.first.number, newest.bytes - self.first.bytes);
        if kept.0 >= KEPT || kept.1 >= KEPT_BYTES { self.trim(sql) } else { Ok(()) }
    }

    /// Deletes the older half.
    fn trim(&mut self, sql: &impl Sqlite) -> Result<(), SqliteError> {
        let number = self.newest.number.saturating_sub(KEPT / 2);
        let bytes = self.newest.bytes.saturating_sub(KEPT_BYTES / 2);
        let last = sql.first(
            "SELECT seq FROM purges WHERE number <= ? OR total <= ? ORDER BY seq DESC LIMIT 1",
            &[number.into(), bytes.into()],
        )?;
        let [floor] = cells(last.unwrap_or_default());
        self.floor = self.floor.max(floor.count());
        stored_state::write(sql, FLOOR, &self.floor.to_string())?;
        sql.execute("DELETE FROM purges WHERE seq <= ?", &[self.floor.into()])?;
        self.first = PurgeTotals::of(sql.first(OLDEST, &[])?);
        Ok(())
    }

    /// What whoever knows of all purges up to `after` does not know yet, as of the end of the log.
    pub fn news(&self, sql: &impl Sqlite, after: Option<&Cursor>, through: Cursor) -> Result<PurgeNews, SqliteError> {
        let known = after.filter(|after| after.epoch == through.epoch && after.seq <= through.seq);
        let mut floor = self.floor.max(known.map_or(0, |known| known.seq));
        if floor >= through.seq {
            return Ok(PurgeNews { floor: through.seq, through, entries: Vec::new() });
        }
        let rows = sql.query(
            "SELECT seq, soft, tags FROM purges WHERE seq > ? ORDER BY seq DESC LIMIT ?",
            &[floor.into(), (TOLD + 1).into()],
        )?;
        let (mut entries, mut bytes) = (Vec::new(), 0);
        for row in rows {
            let [seq, soft, tags] = cells(row);
            let tags = tags.into_text().unwrap_or_default();
            bytes += tags.len() as u64;
            if !entries.is_empty() && (bytes > TOLD_BYTES || entries.len() as u64 >= TOLD) {
                floor = seq.count();
                break;
            }
            entries.push(PurgeEntry { seq: seq.count(), soft: soft.integer() != 0, tags: split(&tags) });
        }
        entries.reverse();
        Ok(PurgeNews { through, floor, entries })
    }
}

/// Tags have no blanks.
fn join(tags: &[Tag]) -> String {
    tags.iter().map(Tag::as_str).collect::<Vec<_>>().join(" ")
}

fn split(tags: &str) -> Vec<Tag> {
    tags.split(' ').filter(|tag| !tag.is_empty()).map(Tag::stored).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::graphql_cache::PurgeTags;
    use domain::log_position::Epoch;
    use rusqlite::Connection;

    fn cursor(seq: u64) -> Cursor {
        Cursor { epoch: Epoch::from_random([1; 8]), seq }
    }

    fn entry(seq: u64, key: &str) -> PurgeEntry {
        PurgeEntry {
            seq,
            soft: seq.is_multiple_of(2),
            tags: PurgeTags::default().key(Tag::parse(key).unwrap()).into_tags(),
        }
    }

    fn opened(last: u64) -> (Connection, Purges) {
        let sql = Connection::open_in_memory().unwrap();
        stored_state::create_table(&sql).unwrap();
        let purges = Purges::open(&sql, last).unwrap();
        (sql, purges)
    }

    #[test]
    fn whoever_asks_is_told_what_came_since() {
        let (sql, mut purges) = opened(0);
        let all = [entry(2, "a"), entry(5, "cG9zdDox"), entry(6, "c")];
        all.iter().for_each(|entry| purges.add(&sql, entry).unwrap());
        let told = |after: Option<Cursor>| purges.news(&sql, after.as_ref(), cursor(8)).unwrap();
        assert_eq!(told(None), PurgeNews { through: cursor(8), floor: 0, entries: all.to_vec() });
        assert_eq!(told(Some(cursor(5))), PurgeNews { through: cursor(8), floor: 5, entries: all[2..].to_vec() });
        assert_eq!(told(Some(cursor(8))), PurgeNews { through: cursor(8), floor: 8, entries: vec![] });
        let other = Cursor { epoch: Epoch::from_random([2; 8]), seq: 7 };
        assert_eq!((told(Some(other)).floor, told(Some(cursor(9))).floor), (0, 0), "of another log, or of none");
        let reopened = Purges::open(&sql, 8).unwrap();
        assert_eq!(reopened.news(&sql, None, cursor(8)).unwrap().entries, all);
    }

    #[test]
    fn of_purges_before_there_were_any_nothing_is_said() {
        let (sql, purges) = opened(7);
        assert_eq!(
            purges.news(&sql, None, cursor(9)).unwrap(),
            PurgeNews { through: cursor(9), floor: 7, entries: vec![] }
        );
    }

    #[test]
    fn what_is_kept_and_told_is_bounded_and_what_is_left_out_lies_before_the_floor() {
        let (sql, mut purges) = opened(0);
        let last = 3 * KEPT;
        for seq in 1..=last {
            purges.add(&sql, &entry(seq, &format!("key-{seq}"))).unwrap();
        }
        let news = purges.news(&sql, None, cursor(last)).unwrap();
        assert_eq!(news.entries.last(), Some(&entry(last, &format!("key-{last}"))));
        assert!(news.entries.len() as u64 <= TOLD && news.floor + 1 == news.entries[0].seq, "{}", news.floor);
        let [rows] = cells(sql.first("SELECT count(*) FROM purges", &[]).unwrap().unwrap());
        assert!(rows.count() <= KEPT);
        let large = "x".repeat(240);
        for seq in last + 1..last + 3_000 {
            purges.add(&sql, &entry(seq, &format!("{large}{seq}"))).unwrap();
        }
        let [bytes] = cells(sql.first("SELECT sum(length(tags)) FROM purges", &[]).unwrap().unwrap());
        assert!(bytes.count() <= KEPT_BYTES);
        let told = purges.news(&sql, Some(&cursor(last)), cursor(last + 2_999)).unwrap();
        assert!(told.floor > last && told.entries[0].seq == told.floor + 1, "it does not say that nothing is missing");
        let reopened = Purges::open(&sql, last + 2_999).unwrap();
        assert_eq!(
            reopened.news(&sql, None, cursor(last + 2_999)).unwrap(),
            purges.news(&sql, None, cursor(last + 2_999)).unwrap()
        );
    }
}
