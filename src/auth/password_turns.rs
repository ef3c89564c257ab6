//! Whose turn it is to have a password hashed. A hash occupies the whole isolate for tens of milliseconds: hashes are spaced
//! out, so that everybody else's requests come between them.
//!
//! Invariants
//! - Whoever asks for one hash after another, from one network or from many, leaves half of an isolate's time to others.
//! - A network that fails again and again gets a turn every two seconds.
//! - Nobody waits longer than [`MAX_WAIT`]: then a network is told 429, and everybody 503 if the isolate has too much to do.

use std::cell::RefCell;
use std::time::Duration;

use worker::Delay;

use crate::http::problem::{self, Problem, RateBound};
use crate::isolate_cache::IsolateCache;
use crate::storage::bindings::SystemClock;
use domain::address::Network;
use domain::clock::{Clock, Timestamp};
use domain::pace::{Pace, Spacing};

/// Hashes of one isolate: a hash takes about 50 ms, so these leave half of the time.
const OF_ISOLATE: Spacing = Spacing { millis: 100, at_once: 8 };
/// Hashes for one network.
const OF_NETWORK: Spacing = Spacing { millis: 100, at_once: 4 };
/// Hashes for a network that failed too often.
const AFTER_FAILURES: Spacing = Spacing { millis: 2_000, at_once: 1 };
/// Failures that are forgiven: nine, and one more each six seconds.
const FORGIVEN: Spacing = Spacing { millis: 6_000, at_once: 10 };
/// The longest wait, in milliseconds.
const MAX_WAIT: i64 = 5_000;
/// Most networks that an isolate remembers, and for how long: failures are forgiven in a minute, waits are shorter.
const MAX_NETWORKS: usize = 10_000;
const REMEMBERED_MILLIS: i64 = 120_000;

thread_local! {
    static TURNS: RefCell<Turns> = RefCell::new(Turns::new());
}

/// What was hashed in this isolate.
struct Turns {
    all: Pace,
    networks: IsolateCache<Network, NetworkTurns>,
}

/// What was hashed for a network, and how often it failed.
#[derive(Debug, Clone, Copy, Default)]
struct NetworkTurns {
    hashes: Pace,
    failures: Pace,
}

/// Who has too much to do.
#[derive(Debug, PartialEq, Eq)]
enum Overload {
    /// The network; milliseconds until it has a turn.
    Network(i64),
    /// The isolate.
    Isolate(i64),
}

impl Turns {
    fn new() -> Self {
        Self { all: Pace::default(), networks: IsolateCache::new(MAX_NETWORKS, REMEMBERED_MILLIS) }
    }

    /// How long to wait for a turn, in milliseconds.
    fn take(&mut self, network: Network, now: Timestamp) -> Result<i64, Overload> {
        let of_network = if network.is_known() { self.of_network(network, now) } else { NetworkTurns::default() };
        let spacing = if of_network.failures.wait(FORGIVEN, now) > 0 { AFTER_FAILURES } else { OF_NETWORK };
        let mut turns = of_network;
        let wait = turns.hashes.reserve(spacing, MAX_WAIT, now).map_err(Overload::Network)?;
        let in_isolate = self.all.reserve(OF_ISOLATE, MAX_WAIT, now).map_err(Overload::Isolate)?;
        self.keep(network, turns, now);
        Ok(wait.max(in_isolate))
    }

    fn failed(&mut self, network: Network, now: Timestamp) {
        let mut turns = self.of_network(network, now);
        turns.failures.count(FORGIVEN, now);
        self.keep(network, turns, now);
    }

    fn of_network(&mut self, network: Network, now: Timestamp) -> NetworkTurns {
        self.networks.get(&network, now).copied().unwrap_or_default()
    }

    fn keep(&mut self, network: Network, turns: NetworkTurns, now: Timestamp) {
        if network.is_known() {
            self.networks.insert(network, turns, now);
        }
    }
}

/// What a network is told that asks for more.
const BOUND: RateBound = RateBound { policy: "network-passwords", of: "passwords that one network may have checked" };

/// Waits for a network's turn. 429 if it asks for too much, 503 if too many networks ask.
pub async fn wait(network: Network) -> Result<(), Problem> {
    let now = SystemClock.now();
    let wait = TURNS.with_borrow_mut(|turns| turns.take(network, now)).map_err(|overload| match overload {
        Overload::Network(millis) => problem::rate_limited(BOUND, millis.unsigned_abs().div_ceil(1000)),
        Overload::Isolate(_) => problem::unavailable("too many passwords are to be hashed"),
    })?;
    if wait > 0 {
        Delay::from(Duration::from_millis(wait.unsigned_abs())).await;
    }
    Ok(())
}

/// Notes that a password, a token or an invitation from a network was not good.
pub fn failed(network: Network) {
    TURNS.with_borrow_mut(|turns| turns.failed(network, SystemClock.now()));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: i64) -> Timestamp {
        Timestamp::from_millis(millis)
    }

    fn taken(turns: &mut Turns, network: Network, count: usize, now: i64) -> Vec<i64> {
        (0..count).map_while(|_| turns.take(network, at(now)).ok()).collect()
    }

    #[test]
    fn an_office_signs_in_together() {
        let mut turns = Turns::new();
        let waits = taken(&mut turns, Network::of("192.0.2.1"), 14, 1_000);
        assert_eq!(waits, [0, 0, 0, 0, 100, 200, 300, 400, 500, 600, 700, 800, 900, 1_000]);
    }

    #[test]
    fn a_network_that_fails_again_and_again_has_a_turn_each_two_seconds() {
        let (mut turns, network) = (Turns::new(), Network::of("192.0.2.1"));
        (0..9).for_each(|_| turns.failed(network, at(0)));
        assert_eq!(taken(&mut turns, network, 2, 0), [0, 0], "nine are forgiven");
        turns.failed(network, at(0));
        let hashed = (0..60_000).step_by(50).filter(|now| {
            let has_turn = turns.take(network, at(*now)) == Ok(0);
            has_turn.then(|| turns.failed(network, at(*now)));
            has_turn
        });
        assert!(hashed.count() <= 31);
        assert_eq!(taken(&mut turns, Network::of("192.0.2.2"), 2, 60_000), [0, 0]);
        assert_eq!(taken(&mut turns, network, 3, 600_000), [0, 0, 0], "all is forgiven");
    }

    #[test]
    fn whoever_would_wait_too_long_is_refused_and_costs_nobody_a_turn() {
        let (mut turns, network) = (Turns::new(), Network::of("192.0.2.1"));
        assert_eq!(taken(&mut turns, network, 100, 0).len(), 54);
        assert_eq!(turns.take(network, at(0)), Err(Overload::Network(5_100)));
        assert_eq!(turns.take(Network::of("192.0.2.2"), at(0)), Ok(4_700));
    }

    #[test]
    fn an_isolate_hashes_for_many_networks_no_more_than_half_of_its_time() {
        let mut turns = Turns::new();
        let of = |n: usize| Network::of(&format!("10.0.{}.{}", n / 250, n % 250));
        let waits: Vec<_> = (0..500).map(|n| turns.take(of(n), at(0))).take_while(Result::is_ok).collect();
        assert_eq!(waits.len(), 58);
        assert_eq!(turns.take(of(999), at(0)), Err(Overload::Isolate(5_100)));
        assert_eq!(turns.take(of(999), at(200)), Ok(4_900));
    }
}
