//! Rate limits: fixed windows of UTC time, counted in memory and saved rarely, and the leases that draw on them.
//!
//! Invariants
//! - A limit is never exceeded: not by hibernation, not by a restart, not by leases.
//! - What is saved is at least what was used. Counts are saved ahead in small blocks, so that most requests write
//!   nothing; whatever a restart finds saved counts as used.

use super::protocol::Lease;
use domain::clock::Timestamp;
use domain::plan::Limit;
use domain::rate::Rate;

/// What is counted, and over which time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum RateClass {
    /// Requests with a credential, per minute.
    ApiMinute,
    /// Requests with a credential, per day.
    ApiDay,
    /// Requests without a credential, per minute.
    AnonymousMinute,
    /// Webhooks and Mercure updates, per minute.
    WebhookMinute,
}

impl RateClass {
    pub const ALL: [Self; 4] = [Self::ApiMinute, Self::ApiDay, Self::AnonymousMinute, Self::WebhookMinute];

    /// The name in the table of windows.
    pub fn name(self) -> &'static str {
        match self {
            Self::ApiMinute => "api_minute",
            Self::ApiDay => "api_day",
            Self::AnonymousMinute => "anonymous_minute",
            Self::WebhookMinute => "webhook_minute",
        }
    }

    /// The window's length in milliseconds.
    fn period(self) -> i64 {
        match self {
            Self::ApiDay => 86_400_000,
            Self::ApiMinute | Self::AnonymousMinute | Self::WebhookMinute => 60_000,
        }
    }

    /// The policy's name in the rate headers.
    fn policy(self) -> &'static str {
        match self {
            Self::ApiMinute => "api",
            Self::ApiDay => "api-day",
            Self::AnonymousMinute => "anonymous",
            Self::WebhookMinute => "webhooks",
        }
    }
}

/// The count of one class in its present window.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RateWindow {
    class: RateClass,
    start: Timestamp,
    used: u64,
    saved: u64,
}

/// What has to be saved of a window before the reply leaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SavedWindow {
    pub class: RateClass,
    /// When the window began.
    pub start: Timestamp,
    /// How much counts as used after a restart.
    pub count: u64,
}

impl RateWindow {
    pub fn new(class: RateClass) -> Self {
        Self { class, start: Timestamp::default(), used: 0, saved: 0 }
    }

    /// A window as it was saved: all that was saved counts as used.
    pub fn restore(saved: SavedWindow) -> Self {
        Self { class: saved.class, start: saved.start, used: saved.count, saved: saved.count }
    }

    /// How many more the limit allows in the present window.
    pub fn remaining(&mut self, limit: Limit, now: Timestamp) -> u64 {
        self.roll(now);
        limit.bound().map_or(u64::MAX, |bound| bound.saturating_sub(self.used))
    }

    /// Counts `n`, which must not be more than [`Self::remaining`]. Returns what has to be saved, if anything.
    #[must_use]
    pub fn count(&mut self, limit: Limit, n: u64, now: Timestamp) -> Option<SavedWindow> {
        self.roll(now);
        let bound = limit.bound()?;
        self.used = self.used.saturating_add(n);
        if self.used <= self.saved {
            return None;
        }
        self.saved = self.used.saturating_add(bound / 50).min(bound.max(self.used));
        Some(SavedWindow { class: self.class, start: self.start, count: self.saved })
    }

    /// The state of the limit, as callers are told.
    pub fn rate(&mut self, limit: Limit, now: Timestamp) -> Rate {
        let remaining = self.remaining(limit, now);
        Rate {
            policy: self.class.policy().into(),
            limit,
            remaining,
            window: self.class.period().unsigned_abs() / 1000,
            reset: self.start.plus_millis(self.class.period()),
        }
    }

    /// Begins a new window if the present one is over. A clock that steps back begins none.
    fn roll(&mut self, now: Timestamp) {
        let start = now.plus_millis(-now.millis().rem_euclid(self.class.period()));
        if start > self.start {
            *self = Self { class: self.class, start, used: 0, saved: 0 };
        }
    }
}

/// How many permits a lease takes: 5 % of what is left, but a single one if the limit is below 600 or less than a tenth
/// is left, so that the last permits go to whoever asks first.
fn block(limit: Limit, remaining: u64) -> u64 {
    match limit.bound() {
        None => 10_000,
        Some(bound) if bound < 600 || remaining < bound / 10 => 1,
        Some(_) => (remaining / 20).max(1),
    }
}

/// How long a lease is valid.
const LEASE_MILLIS: i64 = 5000;

/// Draws permits from several windows at once, as many as the tightest of them gives. The lease tells of the window in which
/// fewest are left, so that no other has fewer. Fails with the state of the one that is used up for longest; then nothing is
/// counted.
pub fn draw(windows: &mut [(&mut RateWindow, Limit)], now: Timestamp) -> Result<(Lease, Vec<SavedWindow>), Rate> {
    let mut permits = u64::MAX;
    let mut used_up: Option<Rate> = None;
    for (window, limit) in windows.iter_mut() {
        let rate = window.rate(*limit, now);
        permits = permits.min(block(*limit, rate.remaining));
        if rate.remaining == 0 && used_up.as_ref().is_none_or(|other| other.reset < rate.reset) {
            used_up = Some(rate);
        }
    }
    if let Some(rate) = used_up {
        return Err(rate);
    }
    let mut saves = Vec::new();
    let mut until = now.plus_millis(LEASE_MILLIS);
    let mut rates = Vec::new();
    for (window, limit) in windows.iter_mut() {
        saves.extend(window.count(*limit, permits, now));
        let rate = window.rate(*limit, now);
        until = until.min(rate.reset);
        rates.push(rate);
    }
    match rates.into_iter().min_by_key(|rate| rate.remaining) {
        Some(rate) => Ok((Lease { permits, until, rate }, saves)),
        None => Err(RateWindow::new(RateClass::ApiMinute).rate(Limit::AtMost(0), now)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn at(millis: i64) -> Timestamp {
        Timestamp::from_millis(millis)
    }

    fn take(window: &mut RateWindow, limit: Limit, now: Timestamp) -> Option<Option<SavedWindow>> {
        (window.remaining(limit, now) > 0).then(|| window.count(limit, 1, now))
    }

    #[test]
    fn twenty_of_fifty() {
        let mut window = RateWindow::new(RateClass::WebhookMinute);
        let taken = (0..50).filter(|_| take(&mut window, Limit::AtMost(20), at(61_000)).is_some()).count();
        assert_eq!(taken, 20);
        assert!(take(&mut window, Limit::AtMost(20), at(120_000)).is_some(), "a new minute");
        let rate = window.rate(Limit::AtMost(20), at(120_000));
        assert_eq!((rate.remaining, rate.reset, rate.window), (19, at(180_000), 60));
    }

    #[test]
    fn a_clock_that_steps_back_opens_no_window() {
        let mut window = RateWindow::new(RateClass::WebhookMinute);
        while take(&mut window, Limit::AtMost(5), at(120_000)).is_some() {}
        assert!(take(&mut window, Limit::AtMost(5), at(119_000)).is_none());
    }

    #[test]
    fn a_lease_draws_from_both_windows() {
        let (mut minute, mut day) = (RateWindow::new(RateClass::ApiMinute), RateWindow::new(RateClass::ApiDay));
        let (lease, _) =
            draw(&mut [(&mut minute, Limit::AtMost(1000)), (&mut day, Limit::AtMost(3))], at(1000)).unwrap();
        assert_eq!(lease.permits, 1, "the day is nearly over its limit");
        assert_eq!((lease.rate.policy.as_str(), lease.rate.remaining), ("api-day", 2), "the minute leaves 999");
        let (lease, _) =
            draw(&mut [(&mut minute, Limit::AtMost(1001)), (&mut day, Limit::Unlimited)], at(1000)).unwrap();
        assert_eq!((lease.permits, lease.until, lease.rate.remaining), (50, at(6000), 950));
        let (lease, _) = draw(&mut [(&mut minute, Limit::Unlimited), (&mut day, Limit::AtMost(9))], at(1000)).unwrap();
        assert_eq!((lease.rate.policy.as_str(), lease.rate.limit), ("api-day", Limit::AtMost(9)));
        let both = |minute: i64, day: i64| {
            let mut windows = [RateWindow::new(RateClass::ApiMinute), RateWindow::new(RateClass::ApiDay)];
            let [first, second] = &mut windows;
            let bounds = [Limit::AtMost(minute.unsigned_abs()), Limit::AtMost(day.unsigned_abs())];
            draw(&mut [(first, bounds[0]), (second, bounds[1])], at(1000)).unwrap_err().policy
        };
        assert_eq!([both(0, 5), both(5, 0), both(0, 0)], ["api", "api-day", "api-day"], "what ends last is told");
    }

    proptest! {
        /// Restarts at any moment: the limit holds, and at most a fiftieth of it is lost each time.
        #[test]
        fn restarts_never_give_permits_back(bound in 1u64..300, restarts in prop::collection::vec(0usize..400, 0..5)) {
            let limit = Limit::AtMost(bound);
            let mut window = RateWindow::new(RateClass::WebhookMinute);
            let (mut saved, mut admitted) = (None, 0u64);
            for i in 0..400 {
                if restarts.contains(&i) {
                    window = saved.map_or(RateWindow::new(RateClass::WebhookMinute), RateWindow::restore);
                }
                if let Some(save) = take(&mut window, limit, at(60_000)) {
                    saved = save.or(saved);
                    admitted += 1;
                }
            }
            prop_assert!(admitted <= bound);
            prop_assert!(admitted + restarts.len() as u64 * (bound / 50) >= bound.min(400));
        }

        /// What callers are told is left is a lower bound over all windows.
        #[test]
        fn a_lease_tells_of_no_more_than_any_window_leaves(minute in 1u64..900, day in 1u64..2000, asks in 1usize..300) {
            let mut windows = [RateWindow::new(RateClass::ApiMinute), RateWindow::new(RateClass::ApiDay)];
            let bounds = [Limit::AtMost(minute), Limit::AtMost(day)];
            for _ in 0..asks {
                let [first, second] = &mut windows;
                let Ok((lease, _)) = draw(&mut [(first, bounds[0]), (second, bounds[1])], at(5)) else { break };
                let left = windows.iter_mut().zip(bounds).map(|(window, bound)| window.remaining(bound, at(5)));
                prop_assert_eq!(Some(lease.rate.remaining), left.min());
            }
        }

        /// Leases taken by any number of isolates never exceed the limit.
        #[test]
        fn leases_never_exceed_the_limit(bound in 0u64..5000, asks in 0usize..2000) {
            let mut window = RateWindow::new(RateClass::ApiMinute);
            let mut total = 0;
            for _ in 0..asks {
                if let Ok((lease, _)) = draw(&mut [(&mut window, Limit::AtMost(bound))], at(5)) {
                    total += lease.permits;
                }
            }
            prop_assert!(total <= bound);
        }
    }
}
