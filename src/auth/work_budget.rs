//! What strangers may have done for them, by network: units of work, in this isolate.
//!
//! Each request is bounded, but many dear ones in a row would fill the thread that an isolate or a shard's database has, and
//! everybody there would wait. So what may be dear is paid for, in units that whoever does the work defines (reads of records,
//! patterns to compile). A network that has used up its budget is told 429 for such requests alone.
//!
//! Invariants
//! - A deposit is taken before the work is done, as its client may leave before it is over: then it is the price. Work that was
//!   taken for free beforehand is paid for all the same if it was not.
//! - Afterwards the price stands in the deposit's place.

use std::cell::RefCell;

use crate::http::problem::{self, Problem, RateBound};
use crate::isolate_cache::IsolateCache;
use crate::storage::bindings::SystemClock;
use domain::address::Network;
use domain::clock::{Clock, Timestamp};
use domain::pace::{Pace, Spacing};

/// Units of work of one network: a thousand at once, and a hundred a second.
const WORK: Spacing = Spacing { millis: 10, at_once: 1000 };
/// Units that are taken before it is known what a request costs.
const DEPOSIT: u32 = 20;
/// Most units that a network owes: it waits for ten minutes at most.
const MOST_OWED: u32 = 60_000;
/// Most networks that an isolate remembers, and for how long: the most that one can owe is paid for by then.
const MAX_NETWORKS: usize = 20_000;
const REMEMBERED_MILLIS: i64 = WORK.millis * (MOST_OWED as i64 + WORK.at_once as i64);

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
    fn settle(&mut self, network: Network, deposit: u32, units: u32, now: Timestamp) {
        let units = units.min(MOST_OWED);
        if units == deposit {
            return;
        }
        let mut pace = self.networks.get(&network, now).copied().unwrap_or_default();
        if units > deposit {
            pace.count_many(WORK, units - deposit, now);
        } else {
            pace.give_back(WORK, deposit - units);
        }
        self.networks.insert(network, pace, now);
    }
}

/// A network that was let in to have something done.
pub struct PricedWork {
    network: Network,
    deposit: u32,
}

/// What a network is told that has used up its budget.
const BOUND: RateBound =
    RateBound { policy: "network-work", of: "costly requests of one network without a credential" };

/// Lets a network in, with a deposit; nothing where the runtime does not say who asks. 429 if the budget is used up.
pub fn admit(network: Network) -> Result<Option<PricedWork>, Problem> {
    if !network.is_known() {
        return Ok(None);
    }
    let admitted = WORKED.with_borrow_mut(|work| work.admit(network, SystemClock.now()));
    let refused = |millis: i64| problem::rate_limited(BOUND, millis.unsigned_abs().div_ceil(1000));
    admitted.map(|()| Some(PricedWork { network, deposit: DEPOSIT })).map_err(refused)
}

/// Lets a network in without a deposit, for what is most likely free; nothing where the runtime does not say who asks.
pub fn admit_as_free(network: Network) -> Option<PricedWork> {
    network.is_known().then_some(PricedWork { network, deposit: 0 })
}

impl PricedWork {
    /// Takes what it cost, in units.
    pub fn settle(self, units: u32) {
        WORKED.with_borrow_mut(|work| work.settle(self.network, self.deposit, units, SystemClock.now()));
    }
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
    fn dear_requests_are_spaced_out_and_cheap_ones_are_not() {
        let (mut work, dear, cheap) = (work(), Network::of("192.0.2.1"), Network::of("192.0.2.2"));
        let mut served = |network: Network, units: u32| {
            let served = (0..60_000_i64).step_by(10).filter(|now| {
                let is_let_in = work.admit(network, at(*now)).is_ok();
                is_let_in.then(|| work.settle(network, DEPOSIT, units, at(*now)));
                is_let_in
            });
            served.count()
        };
        assert_eq!((served(dear, 300), served(cheap, 0)), (24, 6_000));
    }

    #[test]
    fn what_is_owed_is_remembered_until_it_is_paid() {
        let (mut work, network) = (work(), Network::of("192.0.2.1"));
        assert_eq!(work.admit(network, at(0)), Ok(()));
        work.settle(network, DEPOSIT, u32::MAX, at(0));
        let most = 10 * i64::from(MOST_OWED);
        for millis in [0, 120_000, most - 10_000] {
            assert!(work.admit(network, at(millis)).is_err(), "{millis}");
        }
        assert_eq!(work.admit(network, at(most)), Ok(()));
    }

    #[test]
    fn what_was_taken_for_free_and_was_not_is_paid_for() {
        let (mut work, network) = (work(), Network::of("192.0.2.1"));
        work.settle(network, 0, 0, at(0));
        assert_eq!(work.admit(network, at(0)), Ok(()));
        work.settle(network, 0, 1_100, at(0));
        assert_eq!(work.admit(network, at(0)), Err(1_210));
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
