//! Rates: fixed windows of UTC time, counted in memory and saved sparingly.
//!
//! Invariants
//! - A limit is never exceeded: not by hibernation, not by a restart, not by leases.
//! - What is saved is at least what was used. Counts are saved ahead in small blocks, so most
//!   requests write nothing; what a restart finds saved counts as used.

use serde::{Deserialize, Serialize};

use super::protocol::Lease;
use domain::plan::Limit;
use domain::rate::Rate;

/// What is counted, and in which window.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Class {
    /// Requests with a credential, per minute.
    ApiMinute,
    /// Requests with a credential, per day.
    ApiDay,
    /// Requests without one, per minute.
    AnonymousMinute,
    /// Webhooks, per minute.
    WebhookMinute,
}

impl Class {
    /// Every class, by the name it is stored under.
    pub const ALL: [(Self, &'static str); 4] = [
        (Self::ApiMinute, "api_minute"),
        (Self::ApiDay, "api_day"),
        (Self::AnonymousMinute, "anonymous_minute"),
        (Self::WebhookMinute, "webhook_minute"),
    ];

    /// The window's length in milliseconds.
    pub fn period(self) -> i64 {
        match self {
            Self::ApiDay => 86_400_000,
            Self::ApiMinute | Self::AnonymousMinute | Self::WebhookMinute => 60_000,
        }
    }

    /// The policy's name in the rate headers.
    pub fn policy(self) -> &'static str {
        match self {
            Self::ApiMinute => "api",
            Self::ApiDay => "api-day",
            Self::AnonymousMinute => "anonymous",
            Self::WebhookMinute => "webhooks",
        }
    }
}

/// One count in its window.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    class: Class,
    start: i64,
    used: u64,
    saved: u64,
}

/// What must be saved of a window.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Save {
    /// Which one.
    pub class: Class,
    /// Its start, in milliseconds since 1970.
    pub start: i64,
    /// The count to find after a restart.
    pub count: u64,
}

impl Window {
    /// A window nothing is known of.
    pub fn new(class: Class) -> Self {
        Self { class, start: 0, used: 0, saved: 0 }
    }

    /// A window as it was saved: all that was saved counts as used.
    pub fn restore(save: Save) -> Self {
        Self { class: save.class, start: save.start, used: save.count, saved: save.count }
    }

    /// How many fit now.
    pub fn remaining(&mut self, limit: Limit, now: i64) -> u64 {
        self.roll(now);
        limit.bound().map_or(u64::MAX, |bound| bound.saturating_sub(self.used))
    }

    /// Counts `n` that [`Self::remaining`] admitted; says what to save, in the same turn.
    pub fn count(&mut self, limit: Limit, n: u64, now: i64) -> Option<Save> {
        self.roll(now);
        let bound = limit.bound()?;
        self.used = self.used.saturating_add(n);
        if self.used <= self.saved {
            return None;
        }
        self.saved = self.used.saturating_add(bound / 50).min(bound.max(self.used));
        Some(Save { class: self.class, start: self.start, count: self.saved })
    }

    /// How the limit stands.
    pub fn rate(&mut self, limit: Limit, now: i64) -> Rate {
        let remaining = self.remaining(limit, now);
        Rate {
            policy: self.class.policy().into(),
            limit,
            remaining,
            window: self.class.period().unsigned_abs() / 1000,
            reset: (self.start + self.class.period()) / 1000,
        }
    }

    fn roll(&mut self, now: i64) {
        let start = now - now.rem_euclid(self.class.period());
        if start > self.start {
            *self = Self { class: self.class, start, used: 0, saved: 0 };
        }
    }
}

/// How many permits a lease takes: 5 % of what is left, but one by one below 600 a window and
/// when less than a tenth is left, so that the last ones go to whoever asks first.
pub fn block(limit: Limit, remaining: u64) -> u64 {
    match limit.bound() {
        None => 10_000,
        Some(bound) if bound < 600 || remaining < bound / 10 => 1,
        Some(_) => (remaining / 20).max(1),
    }
}

/// How long a lease lives, in milliseconds.
pub const LEASE_MILLIS: i64 = 5000;

/// Draws a block of permits from several windows at once: what the tightest of them gives, or the
/// rate of the one that is used up.
pub fn draw(windows: &mut [(&mut Window, Limit)], now: i64) -> Result<(Lease, Vec<Save>), Rate> {
    let mut permits = u64::MAX;
    for (window, limit) in windows.iter_mut() {
        let remaining = window.remaining(*limit, now);
        if remaining == 0 {
            return Err(window.rate(*limit, now));
        }
        permits = permits.min(block(*limit, remaining));
    }
    let mut saves = Vec::new();
    let mut until = now + LEASE_MILLIS;
    let mut rates = Vec::new();
    for (window, limit) in windows.iter_mut() {
        saves.extend(window.count(*limit, permits, now));
        let rate = window.rate(*limit, now);
        until = until.min(rate.reset * 1000);
        rates.push(rate);
    }
    match rates.into_iter().next() {
        Some(rate) => Ok((Lease { permits, until, rate }, saves)),
        None => Err(Window::new(Class::ApiMinute).rate(Limit::AtMost(0), now)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn take(window: &mut Window, limit: Limit, now: i64) -> Option<Option<Save>> {
        (window.remaining(limit, now) > 0).then(|| window.count(limit, 1, now))
    }

    #[test]
    fn twenty_of_fifty() {
        let mut window = Window::new(Class::WebhookMinute);
        let taken = (0..50).filter(|_| take(&mut window, Limit::AtMost(20), 61_000).is_some()).count();
        assert_eq!(taken, 20);
        assert!(take(&mut window, Limit::AtMost(20), 120_000).is_some(), "a new minute");
        let rate = window.rate(Limit::AtMost(20), 120_000);
        assert_eq!((rate.remaining, rate.reset, rate.window), (19, 180, 60));
    }

    #[test]
    fn a_clock_that_steps_back_opens_no_window() {
        let mut window = Window::new(Class::WebhookMinute);
        while take(&mut window, Limit::AtMost(5), 120_000).is_some() {}
        assert!(take(&mut window, Limit::AtMost(5), 119_000).is_none());
    }

    #[test]
    fn a_lease_draws_from_both_windows() {
        let (mut minute, mut day) = (Window::new(Class::ApiMinute), Window::new(Class::ApiDay));
        let (lease, _) = draw(&mut [(&mut minute, Limit::AtMost(1000)), (&mut day, Limit::AtMost(3))], 1000).unwrap();
        assert_eq!(lease.permits, 1, "the day is nearly over its limit");
        let (lease, _) = draw(&mut [(&mut minute, Limit::AtMost(1001)), (&mut day, Limit::Unlimited)], 1000).unwrap();
        assert_eq!((lease.permits, lease.until, lease.rate.remaining), (50, 6000, 950));
    }

    proptest! {
        /// Restarts at any moment: the limit holds, and at most a fiftieth of it is lost each time.
        #[test]
        fn restarts_never_give_permits_back(bound in 1u64..300, restarts in prop::collection::vec(0usize..400, 0..5)) {
            let limit = Limit::AtMost(bound);
            let mut window = Window::new(Class::WebhookMinute);
            let (mut saved, mut admitted) = (None, 0u64);
            for i in 0..400 {
                if restarts.contains(&i) {
                    window = saved.map_or(Window::new(Class::WebhookMinute), Window::restore);
                }
                if let Some(save) = take(&mut window, limit, 60_000) {
                    saved = save.or(saved);
                    admitted += 1;
                }
            }
            prop_assert!(admitted <= bound);
            prop_assert!(admitted + restarts.len() as u64 * (bound / 50) >= bound.min(400));
        }

        /// Leases taken by any number of isolates never exceed the limit.
        #[test]
        fn leases_never_exceed_the_limit(bound in 0u64..5000, asks in 0usize..2000) {
            let mut window = Window::new(Class::ApiMinute);
            let mut total = 0;
            for _ in 0..asks {
                if let Ok((lease, _)) = draw(&mut [(&mut window, Limit::AtMost(bound))], 5) {
                    total += lease.permits;
                }
            }
            prop_assert!(total <= bound);
        }
    }
}
