//! Hosts of nobody that a network asked for, counted in this isolate: looking one up costs a read of the one CONTROL
//! database.

use std::cell::RefCell;

use crate::http::problem::{self, Problem, RateBound};
use crate::isolate_cache::IsolateCache;
use crate::storage::bindings::SystemClock;
use domain::address::Network;
use domain::clock::{Clock, Timestamp};
use domain::window::{Bound, Window, seconds_until};

/// Look-ups of hosts that turn out to be nobody's.
const LOOK_UPS: Bound = Bound { most: 60, millis: 60_000 };
/// Most networks that an isolate counts.
const MAX_NETWORKS: usize = 20_000;

thread_local! {
    static LOOKED_UP: RefCell<LookUps> = RefCell::new(LookUps::new(MAX_NETWORKS));
}

/// What a network is told that asked for too many.
const BOUND: RateBound = RateBound { policy: "network-hosts", of: "hosts that are nobody's and one network asks for" };

/// Whether a network may have a host looked up that this isolate does not know. 429 if too many were nobody's.
pub fn may_look_up(network: Network) -> Result<(), Problem> {
    let now = SystemClock.now();
    LOOKED_UP
        .with_borrow_mut(|look_ups| look_ups.check(network, now))
        .map_err(|end| problem::rate_limited(BOUND, seconds_until(end, now)))
}

/// Counts a host that was looked up and is nobody's.
pub fn count(network: Network) {
    let now = SystemClock.now();
    LOOKED_UP.with_borrow_mut(|look_ups| look_ups.count(network, now));
}

struct LookUps {
    networks: IsolateCache<Network, Window>,
}

impl LookUps {
    fn new(most: usize) -> Self {
        Self { networks: IsolateCache::new(most, LOOK_UPS.millis) }
    }

    fn check(&mut self, network: Network, now: Timestamp) -> Result<(), Timestamp> {
        self.networks.get(&network, now).map_or(Ok(()), |window| window.check(LOOK_UPS, now))
    }

    fn count(&mut self, network: Network, now: Timestamp) {
        let mut window = self.networks.get(&network, now).copied().unwrap_or_default();
        let _ = window.take(LOOK_UPS, now);
        self.networks.insert(network, window, now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: i64) -> Timestamp {
        Timestamp::from_millis(millis)
    }

    #[test]
    fn what_was_counted_stays_counted_until_its_window_ends() {
        let (mut look_ups, network) = (LookUps::new(8), Network::of("192.0.2.1"));
        look_ups.count(network, at(20_000));
        (0..59).for_each(|_| look_ups.count(network, at(61_000)));
        assert_eq!(look_ups.check(network, at(90_000)), Ok(()));
        look_ups.count(network, at(90_000));
        assert_eq!([at(90_000), at(119_999)].map(|now| look_ups.check(network, now)), [Err(at(120_000)); 2]);
        assert_eq!(
            (look_ups.check(network, at(120_000)), look_ups.check(Network::of("192.0.2.2"), at(90_000))),
            (Ok(()), Ok(()))
        );
    }

    #[test]
    fn a_flood_of_networks_is_counted_in_bounded_memory() {
        let mut look_ups = LookUps::new(8);
        (0..1000).for_each(|i| look_ups.count(Network::of(&format!("10.0.{}.{}", i / 250, i % 250)), at(0)));
        assert_eq!(look_ups.check(Network::of("10.0.3.249"), at(0)), Ok(()));
    }
}
