//! What a network may ask before anything is looked up: the first step of a request.
//!
//! Counted twice: in this isolate exactly, and in the rate limit binding over the isolates of one place, only approximately.
//! Nothing is given back.
//!
//! Invariants
//! - Whom either refuses is closed out for a moment. Its requests are then refused by their address alone: nothing is looked
//!   up for them, they leave no line in the log, and are answered late: a flood over few connections becomes a trickle. Of a
//!   flood over many, those above [`MAX_HELD_BACK`] are refused at once, because what waits takes memory.
//! - A network that goes on gets no burst when it is let in again, only what its pace allows.

use std::cell::RefCell;
use std::time::Duration;

use worker::Delay;

use crate::http::incoming::{Incoming, network_of};
use crate::http::problem::{self, Problem, RateBound};
use crate::isolate_cache::IsolateCache;
use crate::storage::bindings::{Bindings, SystemClock};
use crate::storage::sealed::random;
use domain::address::Network;
use domain::clock::{Clock, Timestamp};
use domain::pace::{Pace, Spacing};
use domain::window::{Bound, seconds_until};

/// Requests of one network, of whatever kind: a thousand at once, and a thousand in ten seconds.
const REQUESTS: Spacing = Spacing { millis: 10, at_once: 1000 };
/// The windows of `ADDRESS_LIMIT` in `wrangler.toml`.
const BINDINGS_WINDOW: Bound = Bound { most: 1000, millis: 10_000 };
/// How long a network that asked too fast is closed out, in milliseconds.
const CLOSED_MILLIS: i64 = 200;
/// How long a request of a network that is closed out waits for its refusal, in milliseconds.
const HELD_BACK_MILLIS: std::ops::Range<i64> = 128..384;
/// Most requests that wait for that.
const MAX_HELD_BACK: MaxHeldBack = MaxHeldBack { of_network: 64, in_all: 512 };
/// Most networks that an isolate counts, and for how long: a pace is even again after ten seconds, a window over after as many.
const MAX_NETWORKS: usize = 20_000;
const COUNTED_MILLIS: i64 = 60_000;

struct MaxHeldBack {
    of_network: usize,
    in_all: usize,
}

thread_local! {
    static REQUESTED: RefCell<RequestCounts> = RefCell::new(RequestCounts::new(MAX_NETWORKS));
    static HELD_BACK: RefCell<HeldBack> = RefCell::new(HeldBack::new());
}

/// The problem for a network that is closed out. It counts nothing.
pub async fn closed_out(request: &worker::Request) -> Option<Problem> {
    let network = network_of(request);
    let now = SystemClock.now();
    let until = REQUESTED.with_borrow_mut(|counts| counts.closed_until(network, now))?;
    let wait = HELD_BACK.with_borrow_mut(|held| held.begin(network, now, random().map_or(0, |[byte]: [u8; 1]| byte)));
    if let Some(millis) = wait {
        Delay::from(Duration::from_millis(millis.unsigned_abs())).await;
    }
    Some(refusal(until, SystemClock.now()))
}

/// Counts a request of a network. 429 if there were too many.
pub async fn admit(request: &Incoming, bindings: &Bindings) -> Result<(), Problem> {
    let Some(limiter) = bindings.address_limit() else { return Ok(()) };
    let network = request.network();
    if !network.is_known() {
        return Ok(());
    }
    let now = SystemClock.now();
    REQUESTED.with_borrow_mut(|counts| counts.take(network, now)).map_err(|until| refusal(until, now))?;
    match limiter.limit(network.to_string()).await {
        Ok(outcome) if !outcome.success => {
            // The window in which it was asked: an answer that comes late does not close the next one.
            let until = BINDINGS_WINDOW.end(now);
            REQUESTED.with_borrow_mut(|counts| counts.close(network, until));
            Err(refusal(until, SystemClock.now()))
        }
        // A limiter that fails holds nobody up: the tenant's own limits follow.
        Ok(_) | Err(_) => Ok(()),
    }
}

/// What a network is told that asks too often.
const BOUND: RateBound = RateBound { policy: "network-requests", of: "requests of one network" };

fn refusal(until: Timestamp, now: Timestamp) -> Problem {
    problem::rate_limited(BOUND, seconds_until(until, now))
}

/// How fast networks ask.
struct RequestCounts {
    networks: IsolateCache<Network, RequestCount>,
}

#[derive(Debug, Clone, Copy, Default)]
struct RequestCount {
    pace: Pace,
    closed_until: Timestamp,
}

impl RequestCounts {
    fn new(most: usize) -> Self {
        Self { networks: IsolateCache::new(most, COUNTED_MILLIS) }
    }

    /// Counts one; closes the network out if it asks too fast, and says until when.
    fn take(&mut self, network: Network, now: Timestamp) -> Result<(), Timestamp> {
        let mut count = self.networks.get(&network, now).copied().unwrap_or_default();
        let taken = count.pace.reserve(REQUESTS, 0, now).map(drop).map_err(|_| now.plus_millis(CLOSED_MILLIS));
        if let Err(until) = taken {
            count.closed_until = until;
        }
        self.networks.insert(network, count, now);
        taken
    }

    /// Closes a network out until the binding counts anew.
    fn close(&mut self, network: Network, until: Timestamp) {
        let mut count = RequestCount { pace: Pace::default(), closed_until: until };
        count.pace.spend(REQUESTS, until);
        self.networks.insert(network, count, until);
    }

    fn closed_until(&mut self, network: Network, now: Timestamp) -> Option<Timestamp> {
        self.networks.get(&network, now).map(|count| count.closed_until).filter(|until| now < *until)
    }
}

/// The requests that wait for their refusal.
struct HeldBack {
    networks: IsolateCache<Network, Waits>,
    all: Waits,
}

impl HeldBack {
    fn new() -> Self {
        Self { networks: IsolateCache::new(MAX_HELD_BACK.in_all, HELD_BACK_MILLIS.end), all: Waits::default() }
    }

    /// Counts one more, if there is room, and says how long it waits.
    fn begin(&mut self, network: Network, now: Timestamp, random: u8) -> Option<i64> {
        let mut of_network = self.networks.get(&network, now).cloned().unwrap_or_default();
        let has_room = of_network.count(now) < MAX_HELD_BACK.of_network && self.all.count(now) < MAX_HELD_BACK.in_all;
        has_room.then(|| {
            let millis = HELD_BACK_MILLIS.start + i64::from(random);
            of_network.0.push(now.plus_millis(millis));
            self.all.0.push(now.plus_millis(millis));
            self.networks.insert(network, of_network, now);
            millis
        })
    }
}

/// Until when each request waits. One whose client leaves is not polled again and drops nothing, so it counts until its
/// time is over.
#[derive(Debug, Clone, Default)]
struct Waits(Vec<Timestamp>);

impl Waits {
    fn count(&mut self, now: Timestamp) -> usize {
        self.0.retain(|until| now < *until);
        self.0.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: i64) -> Timestamp {
        Timestamp::from_millis(millis)
    }

    fn network(number: usize) -> Network {
        Network::of(&format!("10.0.{}.{}", number / 250, number % 250))
    }

    fn taken(counts: &mut RequestCounts, network: Network, now: i64) -> usize {
        (0..2_000)
            .filter(|_| counts.closed_until(network, at(now)).is_none() && counts.take(network, at(now)).is_ok())
            .count()
    }

    #[test]
    fn a_network_is_counted_by_itself_and_closed_out_for_a_moment() {
        let mut counts = RequestCounts::new(8);
        let (one, same, other) =
            (Network::of("2001:db8::1"), Network::of("2001:db8::ffff"), Network::of("2001:db8:0:1::1"));
        assert_eq!(taken(&mut counts, one, 1_000), 1_000);
        assert_eq!(counts.closed_until(same, at(1_199)), Some(at(1_200)));
        assert_eq!(taken(&mut counts, other, 1_199), 1_000);
        assert_eq!(taken(&mut counts, same, 1_200), 20, "what its pace allows, and no burst");
    }

    #[test]
    fn in_no_ten_seconds_does_a_network_ask_more_than_its_burst_and_its_pace() {
        let mut counts = RequestCounts::new(8);
        let taken: Vec<_> = (0..40).map(|half| taken(&mut counts, network(1), half * 500)).collect();
        assert_eq!(taken.iter().sum::<usize>(), 1_000 + 1_950);
        assert!(taken.iter().skip(1).all(|taken| *taken <= 100), "{taken:?}");
    }

    #[test]
    fn what_the_binding_refused_is_not_asked_again_before_its_window_ends_and_has_no_burst_then() {
        let mut counts = RequestCounts::new(8);
        counts.close(network(1), at(20_000));
        assert_eq!([at(19_999), at(20_000)].map(|now| counts.closed_until(network(1), now)), [Some(at(20_000)), None]);
        assert_eq!(taken(&mut counts, network(1), 20_010), 1);
    }

    #[test]
    fn only_so_many_requests_wait_for_their_refusal() {
        let mut held = HeldBack::new();
        assert_eq!((0..99).filter_map(|_| held.begin(network(0), at(0), 255)).collect::<Vec<_>>(), [383; 64]);
        assert_eq!((1..999).filter_map(|other| held.begin(network(other), at(100), 0)).count(), 448);
        assert_eq!(
            [at(382), at(383)].map(|now| held.begin(network(0), now, 0)),
            [None, Some(128)],
            "answered, it waits no longer"
        );
    }

    #[test]
    fn a_flood_of_networks_is_counted_in_bounded_memory() {
        let mut counts = RequestCounts::new(8);
        assert!((0..1000).all(|number| counts.take(network(number), at(0)).is_ok()));
    }
}
