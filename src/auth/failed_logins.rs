//! Failed attempts to become somebody, of one network over all tenants and the platform: with a password, a mailed token, a
//! refresh token, an invitation.
//!
//! Counted twice: in this isolate exactly, each attempt before it is judged, so that attempts at once are counted one by
//! one; and in the rate limit binding `LOGIN_LIMIT`, each failure behind it, over the isolates of one place and only
//! approximately. What the binding refuses is refused here until the minute ends. Attempts that succeed are taken back.
//! What one tenant counts exactly, wherever its requests arrive, is in its hub (`hub/logins.rs`).

use std::cell::RefCell;

use crate::http::problem::{self, Problem};
use crate::http::request::{Background, Request};
use crate::isolate_cache::IsolateCache;
use crate::storage::bindings::{Bindings, SystemClock};
use domain::address::Network;
use domain::clock::{Clock, Timestamp};
use domain::window::{Bound, Window, seconds_until};

/// Failures of one network: what `LOGIN_LIMIT` says in `wrangler.toml`.
const FAILURES: Bound = Bound { most: 40, millis: 60_000 };
/// Most networks that an isolate counts.
const MAX_NETWORKS: usize = 10_000;

thread_local! {
    static WINDOWS: RefCell<IsolateCache<Network, Window>> = RefCell::new(IsolateCache::new(MAX_NETWORKS));
}

/// An attempt that was counted.
#[must_use]
pub struct CountedAttempt {
    bindings: Bindings,
    background: Background,
    network: Network,
}

/// Counts an attempt. 429 if too many from its network failed in this minute.
pub fn begin<Who>(request: &Request<Who>) -> Result<CountedAttempt, Problem> {
    let (network, now) = (request.incoming.network(), SystemClock.now());
    let taken = with_window(network, now, |window| window.take(FAILURES, now));
    taken.map_err(|end| problem::rate_limited(seconds_until(end, now)))?;
    Ok(CountedAttempt { bindings: request.bindings.clone(), background: request.background.clone(), network })
}

impl CountedAttempt {
    /// Notes how it ended. Only a credential that is not good is a failure.
    pub fn end<T>(self, outcome: &Result<T, Problem>) {
        let Self { bindings, background, network } = self;
        match outcome {
            Err(problem) if is_failure(problem) => background.spawn(async move {
                let Some(limiter) = bindings.login_limit() else { return };
                if let Ok(outcome) = limiter.limit(network.to_string()).await
                    && !outcome.success
                {
                    let now = SystemClock.now();
                    with_window(network, now, |window| window.close(FAILURES, now));
                }
            }),
            Ok(_) | Err(_) => {
                let now = SystemClock.now();
                with_window(network, now, |window| window.give_back(FAILURES, now));
            }
        }
    }
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
        windows.insert(network, window, FAILURES.end(now), now);
        done
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_credential_that_is_not_good_is_a_failure() {
        let failures = [
            problem::invalid_credentials(),
            problem::invalid_mailed_token(),
            problem::invalid_refresh_token(),
            problem::invitation_not_found(),
        ];
        assert!(failures.iter().all(is_failure));
        let others = [problem::unavailable("x"), problem::malformed_json("x"), problem::not_found()];
        assert!(!others.iter().any(is_failure));
    }
}
