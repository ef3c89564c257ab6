//! How many of a tenant's permits for strangers one network may hold once they run low.
//!
//! Pure. While at most half of a minute's permits are gone, anybody may have one. After that a network that holds a quarter
//! of the limit gets no more, so that no network alone takes the rest. What is given back is not held.

use crate::clock::Timestamp;
use crate::plan::Limit;
use crate::rate::Rate;

/// What a network may hold of any limit, however low: enough to open a page and what it shows.
const LEAST: u64 = 10;

/// The permits that one network holds of one tenant, in the window that ends at `reset`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HeldPermits {
    reset: Timestamp,
    held: u64,
    /// Those of the held that may yet be given back.
    out: u64,
}

impl HeldPermits {
    /// None yet in a window.
    pub fn none(reset: Timestamp) -> Self {
        Self { reset, held: 0, out: 0 }
    }

    /// When the window ends.
    pub fn reset(&self) -> Timestamp {
        self.reset
    }

    /// Takes one.
    pub fn take(&mut self) {
        self.held = self.held.saturating_add(1);
        self.out = self.out.saturating_add(1);
    }

    /// Settles one that was taken in the window that ends at `reset`: it is given back, or spent.
    pub fn settle(&mut self, reset: Timestamp, is_given_back: bool) {
        if self.reset == reset {
            self.out = self.out.saturating_sub(1);
            self.held = self.held.saturating_sub(u64::from(is_given_back));
        }
    }

    /// Whether the network may have no more, as the limit stands.
    pub fn has_its_share(&self, rate: &Rate) -> bool {
        self.is_too_many(self.held, rate)
    }

    /// The same, even if all that may yet be given back were.
    pub fn has_spent_its_share(&self, rate: &Rate) -> bool {
        self.is_too_many(self.held.saturating_sub(self.out), rate)
    }

    fn is_too_many(&self, count: u64, rate: &Rate) -> bool {
        match rate.limit {
            Limit::Unlimited => false,
            Limit::AtMost(limit) => {
                self.reset == rate.reset && rate.remaining < limit.div_ceil(2) && count >= (limit / 4).max(LEAST)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RESET: Timestamp = Timestamp::from_millis(60_000);

    fn rate(limit: Limit, remaining: u64) -> Rate {
        Rate { policy: "anonymous".into(), limit, remaining, window: 60, reset: RESET }
    }

    fn holding(count: u64) -> HeldPermits {
        let mut held = HeldPermits::none(RESET);
        (0..count).for_each(|_| held.take());
        held
    }

    /// How many permits of a limit one network gets that asks for all of them.
    fn taken_by_one(limit: u64) -> u64 {
        let mut held = HeldPermits::none(RESET);
        let may = |held: &HeldPermits, taken| {
            taken < limit && !held.has_its_share(&rate(Limit::AtMost(limit), limit - taken))
        };
        (0..).take_while(|taken| may(&held, *taken).then(|| held.take()).is_some()).count() as u64
    }

    #[test]
    fn one_network_leaves_others_nearly_half_of_the_permits() {
        assert_eq!([600, 100, 40, 20].map(taken_by_one), [301, 51, 21, 11]);
        assert_eq!([2, 10].map(taken_by_one), [2, 10], "so few are not divided");
    }

    #[test]
    fn once_half_is_gone_each_network_gets_a_quarter() {
        let low = rate(Limit::AtMost(600), 299);
        assert!(!holding(149).has_its_share(&low) && holding(150).has_its_share(&low));
        assert!(!holding(599).has_its_share(&rate(Limit::AtMost(600), 300)), "half is left");
        assert!(
            !holding(9).has_its_share(&rate(Limit::AtMost(12), 1))
                && holding(10).has_its_share(&rate(Limit::AtMost(12), 1))
        );
        assert!(!holding(9_999).has_its_share(&rate(Limit::Unlimited, 0)));
    }

    #[test]
    fn what_is_given_back_is_not_held_and_another_window_begins_with_nothing() {
        let low = rate(Limit::AtMost(40), 1);
        let mut held = holding(10);
        assert!(held.has_its_share(&low) && !held.has_spent_its_share(&low), "all may come back");
        held.settle(RESET, false);
        assert!(held.has_its_share(&low));
        held.settle(RESET, true);
        assert!(!held.has_its_share(&low));
        held.settle(Timestamp::from_millis(0), true);
        assert_eq!((held.held, held.out), (9, 8), "of another window");
        let next = Rate { reset: Timestamp::from_millis(120_000), ..low };
        assert!(!holding(40).has_its_share(&next));
        let mut spent = holding(10);
        (0..10).for_each(|_| spent.settle(RESET, false));
        assert!(spent.has_spent_its_share(&rate(Limit::AtMost(40), 1)));
    }
}
