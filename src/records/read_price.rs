//! What strangers' reads cost, by network: a list that reads thousands of records is worth hundreds of plain ones.
//!
//! Each read is bounded (`plan`, `expand`), but many bounded ones in a row would fill the thread that a shard's database or
//! an isolate has, and everybody there would wait. So a network has a budget of work, in this isolate; who has used it up is
//! told 429 for reads of this kind alone.
//!
//! Invariants
//! - The price is what the read took: the rows that D1 counted, times the comparisons of each, and the bytes of the answer.
//! - A deposit is taken before the read, as its client may leave before it is over: then it is the price.
//! - A plain page costs nothing, nor does what comes from the cache, nor whatever a member reads.

use std::cell::RefCell;

use crate::http::incoming::Query;
use crate::http::problem::{self, Problem};
use crate::isolate_cache::IsolateCache;
use crate::storage::bindings::SystemClock;
use domain::address::Network;
use domain::clock::{Clock, Timestamp};
use domain::pace::{Pace, Spacing};

/// Units of work of one network: a thousand at once, and a hundred a second.
const WORK: Spacing = Spacing { millis: 10, at_once: 1000 };
/// Rows read that are a unit, where each is compared at most twice.
const ROWS: u64 = 100;
/// Bytes of an answer that are a unit.
const BYTES: u64 = 20_000;
/// Units that are taken before it is known what a read costs.
const DEPOSIT: u32 = 20;
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
/// Most networks that an isolate remembers, and for how long: the dearest read is paid for by then.
const MAX_NETWORKS: usize = 20_000;
const REMEMBERED_MILLIS: i64 = 120_000;

thread_local! {
    static WORKED: RefCell<WorkDone> = RefCell::new(WorkDone::new(MAX_NETWORKS));
}

/// The work that was done for networks in this isolate.
struct WorkDone {
    networks: IsolateCache<Network, Pace>,
}

impl WorkDone {
    fn new(most: usize) -> Self {
        Self { networks: IsolateCache::new(most, REMEMBERED_MILLIS) }
    }

    /// Takes a deposit, or says how many milliseconds the network has to wait.
    fn admit(&mut self, network: Network, now: Timestamp) -> Result<(), i64> {
        let mut pace = self.networks.get(&network, now).copied().unwrap_or_default();
        match pace.wait(WORK, now) {
            0 => {
                pace.count_many(WORK, DEPOSIT, now);
                self.networks.insert(network, pace, now);
                Ok(())
            }
            wait => Err(wait),
        }
    }

    /// Puts the price in the place of the deposit.
    fn settle(&mut self, network: Network, units: u32, now: Timestamp) {
        let mut pace = self.networks.get(&network, now).copied().unwrap_or_default();
        if units > DEPOSIT {
            pace.count_many(WORK, units - DEPOSIT, now);
        } else {
            pace.give_back(WORK, DEPOSIT - units);
        }
        self.networks.insert(network, pace, now);
    }
}

/// A stranger's read that was let in.
pub struct PricedRead(Network);

/// Lets a stranger's read in, if it may cost much; nothing for any other. 429 if the network has used up its budget.
pub fn admit(network: Network, query: &Query) -> Result<Option<PricedRead>, Problem> {
    if !network.is_known() || ASKED_BY.iter().all(|name| query.get(name).is_none()) {
        return Ok(None);
    }
    let admitted = WORKED.with_borrow_mut(|work| work.admit(network, SystemClock.now()));
    let refused = |millis: i64| problem::rate_limited(millis.unsigned_abs().div_ceil(1000));
    admitted.map(|()| Some(PricedRead(network))).map_err(refused)
}

impl PricedRead {
    /// Takes what it cost.
    pub fn settle(self, rows_read: u64, comparisons: usize, bytes: usize) {
        let units = units(rows_read, comparisons, bytes);
        WORKED.with_borrow_mut(|work| work.settle(self.0, units, SystemClock.now()));
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

    fn at(millis: i64) -> Timestamp {
        Timestamp::from_millis(millis)
    }

    fn work() -> WorkDone {
        WorkDone::new(8)
    }

    #[test]
    fn what_a_read_took_is_its_price() {
        assert_eq!((units(99, 0, 19_999), units(30_000, 1, 0), units(30_000, 2, 0)), (0, 300, 300));
        assert_eq!((units(3_000, 20, 0), units(50, 0, 2_000_000)), (300, 100));
        assert_eq!(units(u64::MAX, usize::MAX, usize::MAX), u32::MAX);
    }

    #[test]
    fn dear_reads_are_spaced_out_and_cheap_ones_are_not() {
        let (mut work, dear, cheap) = (work(), Network::of("192.0.2.1"), Network::of("192.0.2.2"));
        let mut reads = |network: Network, units: u32| {
            let read = (0..60_000_i64).step_by(10).filter(|now| {
                let is_let_in = work.admit(network, at(*now)).is_ok();
                is_let_in.then(|| work.settle(network, units, at(*now)));
                is_let_in
            });
            read.count()
        };
        assert_eq!((reads(dear, 300), reads(cheap, 0)), (24, 6_000));
    }

    #[test]
    fn whoever_leaves_has_paid_the_deposit() {
        let (mut work, network) = (work(), Network::of("192.0.2.1"));
        let left = (0..100).filter(|_| work.admit(network, at(0)).is_ok()).count();
        assert_eq!(left, 50);
        assert_eq!(work.admit(network, at(0)), Err(10));
        assert_eq!(work.admit(Network::of("192.0.2.2"), at(0)), Ok(()));
    }
}
