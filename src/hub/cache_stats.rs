//! How often a tenant's records were answered from a cache: isolates report their counts, the hub adds them up.

use super::sqlite::{Sqlite, SqliteError};
use super::stored_state;

/// The key of the counts; older than their name.
const KEY: &str = "looks";

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct CacheStats {
    pub hits: u64,
    pub misses: u64,
}

pub fn read(sql: &impl Sqlite) -> Result<CacheStats, SqliteError> {
    let stored = stored_state::read(sql, KEY)?.unwrap_or_default();
    let (hits, misses) = stored.split_once(' ').unwrap_or_default();
    Ok(CacheStats { hits: hits.parse().unwrap_or(0), misses: misses.parse().unwrap_or(0) })
}

pub fn add(sql: &impl Sqlite, more: CacheStats) -> Result<(), SqliteError> {
    let stored = read(sql)?;
    let (hits, misses) = (stored.hits.saturating_add(more.hits), stored.misses.saturating_add(more.misses));
    stored_state::write(sql, KEY, &format!("{hits} {misses}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_add_up() {
        let sql = rusqlite::Connection::open_in_memory().unwrap();
        stored_state::create_table(&sql).unwrap();
        assert_eq!(read(&sql).unwrap(), CacheStats::default());
        add(&sql, CacheStats { hits: 3, misses: 1 }).unwrap();
        add(&sql, CacheStats { hits: u64::MAX, misses: 1 }).unwrap();
        assert_eq!(read(&sql).unwrap(), CacheStats { hits: u64::MAX, misses: 2 });
    }
}
