//! What a network may ask before anything is looked up, and hosts of nobody, counted in this isolate.
//!
//! The first bound is counted twice: here, exactly, and in the rate limit binding, over the isolates of one place and only
//! approximately. What the binding refuses is refused here until the window ends, without asking it again. Nothing is
//! given back.

use std::cell::RefCell;

use crate::http::incoming::Incoming;
use crate::http::problem::{self, Problem};
use crate::isolate_cache::IsolateCache;
use crate::storage::bindings::{Bindings, SystemClock};
use domain::address::Network;
use domain::clock::{Clock, Timestamp};
use domain::window::{Bound, Window, seconds_until};

/// Requests of one network, of whatever kind: what `ADDRESS_LIMIT` says in `wrangler.toml`.
const REQUESTS: Bound = Bound { most: 1000, millis: 10_000 };
/// Look-ups of hosts that turn out to be nobody's.
const UNKNOWN_HOSTS: Bound = Bound { most: 60, millis: 60_000 };
/// Most networks that an isolate counts.
const MAX_NETWORKS: usize = 20_000;

thread_local! {
    static REQUESTED: RefCell<NetworkWindows> = RefCell::new(NetworkWindows::new(REQUESTS));
    static LOOKED_UP: RefCell<NetworkWindows> = RefCell::new(NetworkWindows::new(UNKNOWN_HOSTS));
}

/// Counts a request of a network, before anything else. 429 if there were too many.
pub async fn admit(request: &Incoming, bindings: &Bindings) -> Result<(), Problem> {
    let Some(limiter) = bindings.address_limit() else { return Ok(()) };
    let network = request.network();
    if !network.is_known() {
        return Ok(());
    }
    let now = SystemClock.now();
    REQUESTED.with_borrow_mut(|windows| windows.take(network, now)).map_err(problem::rate_limited)?;
    match limiter.limit(network.to_string()).await {
        Ok(outcome) if !outcome.success => {
            Err(problem::rate_limited(REQUESTED.with_borrow_mut(|windows| windows.close(network, now))))
        }
        // A limiter that fails holds nobody up: the tenant's own limits follow.
        Ok(_) | Err(_) => Ok(()),
    }
}

/// Whether a network may have a host looked up that this isolate does not know. 429 if too many were nobody's.
pub fn may_look_up(network: Network) -> Result<(), Problem> {
    let now = SystemClock.now();
    LOOKED_UP.with_borrow_mut(|windows| windows.check(network, now)).map_err(problem::rate_limited)
}

/// Counts a host that was looked up and is nobody's.
pub fn count_unknown_host(network: Network) {
    let now = SystemClock.now();
    LOOKED_UP.with_borrow_mut(|windows| {
        let _ = windows.take(network, now);
    });
}

/// One bound for each network.
struct NetworkWindows {
    bound: Bound,
    windows: IsolateCache<Network, Window>,
}

impl NetworkWindows {
    fn new(bound: Bound) -> Self {
        Self { bound, windows: IsolateCache::new(MAX_NETWORKS) }
    }

    /// Counts one; else the seconds until the window ends.
    fn take(&mut self, network: Network, now: Timestamp) -> Result<(), u64> {
        let bound = self.bound;
        self.window(network, now)
            .map_or(Ok(()), |window| window.take(bound, now))
            .map_err(|end| seconds_until(end, now))
    }

    fn check(&mut self, network: Network, now: Timestamp) -> Result<(), u64> {
        let bound = self.bound;
        let found = self.windows.get(&network, now);
        found.map_or(Ok(()), |window| window.check(bound, now)).map_err(|end| seconds_until(end, now))
    }

    /// Refuses a network until the window ends; the seconds until then.
    fn close(&mut self, network: Network, now: Timestamp) -> u64 {
        let bound = self.bound;
        let end = self.window(network, now).map_or(now, |window| window.close(bound, now));
        seconds_until(end, now)
    }

    fn window(&mut self, network: Network, now: Timestamp) -> Option<&mut Window> {
        if self.windows.get(&network, now).is_none() {
            self.windows.insert(network, Window::default(), self.bound.end(now), now);
        }
        self.windows.get(&network, now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: i64) -> Timestamp {
        Timestamp::from_millis(millis)
    }

    #[test]
    fn a_network_is_counted_by_itself_and_refused_until_its_window_ends() {
        let mut windows = NetworkWindows::new(Bound { most: 2, millis: 10_000 });
        let (one, same, other) =
            (Network::of("2001:db8::1"), Network::of("2001:db8::ffff"), Network::of("2001:db8:0:1::1"));
        assert_eq!((windows.take(one, at(1_000)), windows.take(same, at(1_000))), (Ok(()), Ok(())));
        assert_eq!((windows.take(one, at(1_000)), windows.check(same, at(9_500))), (Err(9), Err(1)));
        assert_eq!(windows.take(other, at(1_000)), Ok(()));
        assert_eq!(windows.take(one, at(10_000)), Ok(()));
    }

    #[test]
    fn what_the_binding_refused_is_not_asked_again_before_the_window_ends() {
        let mut windows = NetworkWindows::new(REQUESTS);
        let network = Network::of("192.0.2.1");
        assert_eq!(windows.close(network, at(14_000)), 6);
        assert_eq!(windows.take(network, at(19_999)), Err(1));
        assert_eq!(windows.take(network, at(20_000)), Ok(()));
    }

    #[test]
    fn a_flood_of_networks_is_counted_in_bounded_memory() {
        let mut windows = NetworkWindows { bound: REQUESTS, windows: IsolateCache::new(8) };
        for i in 0..1000 {
            assert_eq!(windows.take(Network::of(&format!("10.0.{}.{}", i / 250, i % 250)), at(0)), Ok(()));
        }
    }
}
