//! Failed attempts to become somebody, of one network over all tenants and the platform: with a password, a mailed token, a
//! refresh token, an invitation.
//!
//! Counted twice: in this isolate exactly, each attempt before it is judged, so that attempts at once are counted one by
//! one; and in the rate limit binding `LOGIN_LIMIT`, each failure behind it, over the isolates of one place and only
//! approximately. What the binding refuses is refused here until the minute ends. Only what was judged and is not good stays
//! counted: an attempt that succeeds, is refused by another limit or meets a fault is taken back. One whose request the platform gives up, because its client left, is never
//! judged: it stays in the isolate's count until the minute ends, and is not told to the binding.
//! What one tenant counts exactly, wherever its requests arrive, is in its hub (`hub/logins.rs`).

use std::cell::RefCell;

use super::password_turns;
use crate::http::problem::{self, Problem, RateBound};
use crate::http::request::{Background, Request};
use crate::isolate_cache::{CacheKey, IsolateCache, KeyIdentity};
use crate::storage::bindings::{Bindings, SystemClock};
use domain::address::Network;
use domain::clock::{Clock, Timestamp};
use domain::window::{Bound, Window, seconds_until};

/// Failures of one network: what `LOGIN_LIMIT` says in `wrangler.toml`.
const FAILURES: Bound = Bound { most: 40, millis: 60_000 };
/// Most networks that an isolate counts.
const MAX_NETWORKS: usize = 10_000;

thread_local! {
    static WINDOWS: RefCell<IsolateCache<Network, Window>> = RefCell::new(IsolateCache::new(MAX_NETWORKS, FAILURES.millis));
}

impl CacheKey for Network {
    const IDENTITY: KeyIdentity = KeyIdentity::CheckedAgainst(
        "nothing: whoever has the network meanwhile is bounded by what was counted, for a window",
    );
}

/// An attempt that was counted. Dropped before it is judged, it is taken back.
#[must_use]
pub struct CountedAttempt {
    bindings: Bindings,
    background: Background,
    counted: CountedFailure,
}

/// What stands in this isolate's count, until it is dropped.
struct CountedFailure {
    network: Network,
    at: Timestamp,
    has_failed: bool,
}

impl CountedFailure {
    /// Counts one; when the window ends if there is no room.
    fn take(network: Network, at: Timestamp) -> Result<Self, Timestamp> {
        with_window(network, at, |window| window.take(FAILURES, at))?;
        Ok(Self { network, at, has_failed: false })
    }
}

impl Drop for CountedFailure {
    fn drop(&mut self) {
        if self.has_failed {
            return;
        }
        WINDOWS.with_borrow_mut(|windows| {
            if let Some(window) = windows.get(&self.network, self.at) {
                window.give_back(FAILURES, self.at);
            }
        });
    }
}

/// What a network is told that failed too often.
const BOUND: RateBound = RateBound { policy: "network-failures", of: "failed sign-ins of one network" };

/// Counts an attempt. 429 if too many from its network failed in this minute.
pub fn begin<Who>(request: &Request<Who>) -> Result<CountedAttempt, Problem> {
    let (network, now) = (request.incoming.network(), SystemClock.now());
    let counted =
        CountedFailure::take(network, now).map_err(|end| problem::rate_limited(BOUND, seconds_until(end, now)))?;
    Ok(CountedAttempt { bindings: request.bindings.clone(), background: request.background.clone(), counted })
}

impl CountedAttempt {
    /// Notes how it ended. Only a credential that is not good is a failure.
    pub fn end<T>(self, outcome: &Result<T, Problem>) {
        let Self { bindings, background, mut counted } = self;
        counted.has_failed = outcome.as_ref().is_err_and(is_failure);
        if !counted.has_failed {
            return;
        }
        let network = counted.network;
        password_turns::failed(network);
        background.spawn(async move {
            let Some(limiter) = bindings.login_limit() else { return };
            if let Ok(outcome) = limiter.limit(network.to_string()).await
                && !outcome.success
            {
                let now = SystemClock.now();
                with_window(network, now, |window| window.close(FAILURES, now));
            }
        });
    }
}

/// Whether a network may try at all. 429 if too many from it failed in this minute; counts nothing.
pub fn check<Who>(request: &Request<Who>) -> Result<(), Problem> {
    let (network, now) = (request.incoming.network(), SystemClock.now());
    with_window(network, now, |window| window.check(FAILURES, now))
        .map_err(|end| problem::rate_limited(BOUND, seconds_until(end, now)))
}

/// Whether a problem says that a password, a token or an invitation is not good.
fn is_failure(problem: &Problem) -> bool {
    matches!(
        problem.code,
        "invalid_credentials" | "invalid_mailed_token" | "invalid_refresh_token" | "invitation_not_found"
    )
}

fn with_window<T>(network: Network, now: Timestamp, act: impl FnOnce(&mut Window) -> T) -> T {
    WINDOWS.with_borrow_mut(|windows| {
        let mut window = windows.get(&network, now).copied().unwrap_or_default();
        let done = act(&mut window);
        windows.insert(network, window, now);
        done
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_attempt_stays_counted_only_if_it_was_judged_a_failure() {
        let network = Network::of("2001:db8:f1::1");
        let at = || Timestamp::from_millis(60_001);
        for _ in 0..FAILURES.most * 2 {
            drop(CountedFailure::take(network, at()));
        }
        for _ in 0..FAILURES.most {
            CountedFailure::take(network, at()).unwrap().has_failed = true;
        }
        assert!(CountedFailure::take(network, at()).is_err());
    }

    #[test]
    fn only_a_credential_that_is_not_good_is_a_failure() {
        let failures = [
            problem::invalid_credentials(),
            problem::invalid_mailed_token(),
            problem::invalid_refresh_token(),
            problem::invitation_not_found(),
        ];
        assert!(failures.iter().all(is_failure));
        let others = [
            problem::unavailable("x"),
            problem::malformed_json("x"),
            problem::not_found(),
            problem::rate_limited(BOUND, 1),
        ];
        assert!(!others.iter().any(is_failure));
    }
}
