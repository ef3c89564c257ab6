//! What strangers' reads cost: a list that reads thousands of records is worth hundreds of plain ones.
//!
//! Each read is bounded (`plan`, `expand`), but many bounded ones in a row would fill the thread that a shard's database or
//! an isolate has, and everybody there would wait. So they are paid from what the network may have done for it.
//!
//! Invariants
//! - The price is what the read took: the rows that D1 counted, times the comparisons of each, or the time that D1 counted if
//!   that is more (a search reads few rows of many that begin alike), and for a search ten units at least; and the bytes of the
//!   answer.
//! - A plain page of small records costs nothing, nor does whatever a member reads; what comes from the cache, its bytes alone.
//! - How large a page will be is a guess, by a definition that may be outdated. A page that turns out to be large is paid for,
//!   whatever was guessed.

use crate::auth::work_budget::{self, PricedWork};
use crate::http::incoming::Query;
use crate::http::problem::Problem;
use crate::storage::tenant_db::DatabaseWork;
use domain::address::Network;

/// Rows read that are a unit, where each is compared at most twice.
const ROWS: u64 = 100;
/// Bytes of an answer that are a unit.
const BYTES: u64 = 10_000;
/// Bytes of records from which on a plain page may cost much, too.
const LARGE_PAGE: u64 = 100_000;
/// Microseconds of the database's thread that are a unit: so a network has a hundredth of it in the long run.
const MICROS: u64 = 100;
/// Microseconds that a plain read takes as well.
const PLAIN_MICROS: u64 = 1_000;
/// What makes a read one that may cost much.
const ASKED_BY: [&str; 11] = [
    "filter",
    "q",
    "count",
    "expand",
    "page",
    "sort",
    "status",
    "created_after",
    "created_before",
    "updated_after",
    "updated_before",
];

/// How many times the bytes count of an answer that shows records beside others: they are read, placed and written.
const EXPANDED: u64 = 3;

/// Units of a search at least: its statement is over before D1 counts a millisecond, and takes as long as several plain ones.
const SEARCH: u64 = 10;

/// A stranger's read that was let in.
pub struct PricedRead {
    work: PricedWork,
    asks: DearParts,
    /// Whether it was let in as a plain page of small records.
    is_plain: bool,
}

/// What of a read is dear by itself.
#[derive(Debug, Clone, Copy, Default)]
struct DearParts {
    expands: bool,
    searches: bool,
}

/// Lets a stranger's read in, if it may cost much by what it asks for; nothing for any other. 429 if the network has used up
/// its budget.
pub fn admit(network: Network, query: &Query) -> Result<Option<PricedRead>, Problem> {
    if ASKED_BY.iter().all(|name| query.get(name).is_none()) {
        return Ok(None);
    }
    let asks = DearParts { expands: query.get("expand").is_some(), ..DearParts::default() };
    Ok(work_budget::admit(network)?.map(|work| PricedRead { work, asks, is_plain: false }))
}

/// Lets a stranger's page in, as `admit` does; it may cost much by the bytes of records that it is to show, too.
pub fn admit_page(network: Network, query: &Query, shown: u64) -> Result<Option<PricedRead>, Problem> {
    if let Some(mut dear) = admit(network, query)? {
        dear.asks.searches = query.get("q").is_some();
        return Ok(Some(dear));
    }
    let is_plain = shown < LARGE_PAGE;
    let work = if is_plain { work_budget::admit_as_free(network) } else { work_budget::admit(network)? };
    Ok(work.map(|work| PricedRead { work, asks: DearParts::default(), is_plain }))
}

impl PricedRead {
    /// Whether the rows count that it reads.
    pub fn counts_rows(&self) -> bool {
        !self.is_plain
    }

    /// Whether an answer of so many bytes is another one than it was let in for.
    pub fn is_unexpected(&self, bytes: usize) -> bool {
        self.is_plain && is_large(bytes)
    }

    /// Takes what it cost.
    pub fn settle(self, work: DatabaseWork, comparisons: usize, bytes: usize) {
        let is_free = self.is_plain && !is_large(bytes);
        self.work.settle(if is_free { 0 } else { units(work, comparisons, bytes, self.asks) });
    }

    /// Takes what it cost to show what is cached: its bytes.
    pub fn settle_cached(self, bytes: usize) {
        self.settle(DatabaseWork::default(), 0, bytes);
    }
}

fn is_large(bytes: usize) -> bool {
    u64::try_from(bytes).is_ok_and(|bytes| bytes >= LARGE_PAGE)
}

fn units(work: DatabaseWork, comparisons: usize, bytes: usize, asks: DearParts) -> u32 {
    let weight = u64::try_from(comparisons).unwrap_or(u64::MAX).div_ceil(2).max(1);
    let bytes = u64::try_from(bytes).unwrap_or(u64::MAX).saturating_mul(if asks.expands { EXPANDED } else { 1 });
    let database =
        (work.rows_read / ROWS).saturating_mul(weight).max(work.micros.saturating_sub(PLAIN_MICROS) / MICROS);
    let least = if asks.searches && work.rows_read > 0 { SEARCH } else { 0 };
    let database = database.max(least);
    u32::try_from(database.saturating_add(bytes / BYTES)).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_read_took_is_its_price() {
        let rows = |rows_read| DatabaseWork { rows_read, micros: 0 };
        let plain = DearParts::default();
        let price = |rows_read, comparisons, bytes| units(rows(rows_read), comparisons, bytes, plain);
        assert_eq!([price(99, 0, 19_999), price(30_000, 1, 0), price(30_000, 2, 0)], [1, 300, 300]);
        assert_eq!([price(3_000, 20, 0), price(50, 0, 2_000_000)], [300, 200]);
        assert_eq!(units(rows(50), 0, 2_000_000, DearParts { expands: true, ..plain }), 600);
        let took = |rows_read, micros| units(DatabaseWork { rows_read, micros }, 1, 0, plain);
        assert_eq!([took(60, 1_099), took(60, 25_000), took(30_000, 20_000)], [0, 240, 300]);
        let all = DatabaseWork { rows_read: u64::MAX, micros: u64::MAX };
        assert_eq!(units(all, usize::MAX, usize::MAX, DearParts { expands: true, ..plain }), u32::MAX);
        let search = DearParts { searches: true, ..plain };
        let searched = |rows_read| units(rows(rows_read), 0, 0, search);
        assert_eq!([searched(60), searched(3_000), searched(0)], [10, 30, 0], "what is cached costs its bytes");
    }
}
