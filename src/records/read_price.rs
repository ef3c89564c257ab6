//! What strangers' reads cost: a list that reads thousands of records is worth hundreds of plain ones.
//!
//! Each read is bounded (`plan`, `expand`), but many bounded ones in a row would fill the thread that a shard's database or
//! an isolate has, and everybody there would wait. So they are paid from what the network may have done for it.
//!
//! Invariants
//! - The price is what the read took: the rows that D1 counted, times the comparisons of each, and the bytes of the answer.
//! - A plain page costs nothing, nor does what comes from the cache, nor whatever a member reads.

use crate::auth::work_budget::{self, Admitted};
use crate::http::incoming::Query;
use crate::http::problem::Problem;
use domain::address::Network;

/// Rows read that are a unit, where each is compared at most twice.
const ROWS: u64 = 100;
/// Bytes of an answer that are a unit.
const BYTES: u64 = 20_000;
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

/// A stranger's read that was let in.
pub struct PricedRead(Admitted);

/// Lets a stranger's read in, if it may cost much; nothing for any other. 429 if the network has used up its budget.
pub fn admit(network: Network, query: &Query) -> Result<Option<PricedRead>, Problem> {
    if ASKED_BY.iter().all(|name| query.get(name).is_none()) {
        return Ok(None);
    }
    Ok(work_budget::admit(network)?.map(PricedRead))
}

impl PricedRead {
    /// Takes what it cost.
    pub fn settle(self, rows_read: u64, comparisons: usize, bytes: usize) {
        self.0.settle(units(rows_read, comparisons, bytes));
    }
}

fn units(rows_read: u64, comparisons: usize, bytes: usize) -> u32 {
    let weight = u64::try_from(comparisons).unwrap_or(u64::MAX).div_ceil(2).max(1);
    let bytes = u64::try_from(bytes).unwrap_or(u64::MAX);
    u32::try_from((rows_read / ROWS).saturating_mul(weight).saturating_add(bytes / BYTES)).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_read_took_is_its_price() {
        assert_eq!((units(99, 0, 19_999), units(30_000, 1, 0), units(30_000, 2, 0)), (0, 300, 300));
        assert_eq!((units(3_000, 20, 0), units(50, 0, 2_000_000)), (300, 100));
        assert_eq!(units(u64::MAX, usize::MAX, usize::MAX), u32::MAX);
    }
}
