//! How often a tenant's kept answers were found: told by the Worker's isolates, summed up here.

use super::event_log::{read_state, write_state};
use super::sqlite::{Sqlite, SqliteError};

/// Found, and not found.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Looks {
    /// How often an answer was found.
    pub hits: u64,
    /// How often none was.
    pub misses: u64,
}

/// What was summed up so far.
pub fn read(sql: &impl Sqlite) -> Result<Looks, SqliteError> {
    let stored = read_state(sql, "looks")?.unwrap_or_default();
    let (hits, misses) = stored.split_once(' ').unwrap_or_default();
    Ok(Looks { hits: hits.parse().unwrap_or(0), misses: misses.parse().unwrap_or(0) })
}

/// Adds what an isolate counted.
pub fn add(sql: &impl Sqlite, more: Looks) -> Result<(), SqliteError> {
    let so_far = read(sql)?;
    let sum = |a: u64, b: u64| a.saturating_add(b);
    write_state(sql, "looks", &format!("{} {}", sum(so_far.hits, more.hits), sum(so_far.misses, more.misses)))
}
