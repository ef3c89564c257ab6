//! Counting within fixed windows of time: the arithmetic of every bound that an isolate keeps by itself.
//!
//! Pure; the time is handed in. Windows begin at multiples of their length since 1970, so two that count the same thing
//! end together. A clock that steps back opens no window.

use crate::clock::Timestamp;

/// A bound: at most `most` within each window of `millis` milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bound {
    /// How many are allowed in a window.
    pub most: u32,
    /// The window's length.
    pub millis: i64,
}

impl Bound {
    /// When the window that contains `now` ends.
    pub fn end(&self, now: Timestamp) -> Timestamp {
        now.plus_millis(self.millis - now.millis().rem_euclid(self.millis))
    }
}

/// What was counted in the present window.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Window {
    end: Timestamp,
    count: u32,
    is_closed: bool,
}

impl Window {
    /// Counts one, or says when the window ends that has no room.
    pub fn take(&mut self, bound: Bound, now: Timestamp) -> Result<(), Timestamp> {
        self.check(bound, now)?;
        self.count += 1;
        Ok(())
    }

    /// Whether one more would be counted; when the window ends if not.
    pub fn check(&mut self, bound: Bound, now: Timestamp) -> Result<(), Timestamp> {
        self.roll(bound, now);
        if self.is_closed || self.count >= bound.most { Err(self.end) } else { Ok(()) }
    }

    /// Takes back one that was counted at a time, unless its window is over.
    pub fn give_back(&mut self, bound: Bound, counted_at: Timestamp) {
        if self.end == bound.end(counted_at) {
            self.count = self.count.saturating_sub(1);
        }
    }

    /// Refuses everything until the window ends: somebody else who counts has refused. Returns that end.
    pub fn close(&mut self, bound: Bound, now: Timestamp) -> Timestamp {
        self.roll(bound, now);
        self.is_closed = true;
        self.end
    }

    /// Whether a window that began is over.
    pub fn is_over(&self, now: Timestamp) -> bool {
        now >= self.end
    }

    fn roll(&mut self, bound: Bound, now: Timestamp) {
        let end = bound.end(now);
        if end > self.end {
            *self = Self { end, count: 0, is_closed: false };
        }
    }
}

/// Whole seconds from `now` until `end`, at least one: for `Retry-After`.
pub fn seconds_until(end: Timestamp, now: Timestamp) -> u64 {
    let millis = end.since(now).max(0).unsigned_abs();
    millis.div_ceil(1000).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const BOUND: Bound = Bound { most: 3, millis: 10_000 };

    fn at(millis: i64) -> Timestamp {
        Timestamp::from_millis(millis)
    }

    #[test]
    fn a_window_takes_what_its_bound_says_and_begins_anew_at_its_end() {
        let mut window = Window::default();
        let taken = (0..5).filter(|_| window.take(BOUND, at(60_500)).is_ok()).count();
        assert_eq!(taken, 3);
        assert_eq!(window.take(BOUND, at(69_999)), Err(at(70_000)));
        assert_eq!(window.take(BOUND, at(70_000)), Ok(()));
    }

    #[test]
    fn what_is_given_back_can_be_taken_again_in_the_same_window_only() {
        let mut window = Window::default();
        (0..3).for_each(|_| window.take(BOUND, at(0)).unwrap());
        window.give_back(BOUND, at(9_999));
        assert!(window.take(BOUND, at(9_999)).is_ok() && window.take(BOUND, at(9_999)).is_err());
        window.take(BOUND, at(10_000)).unwrap();
        window.give_back(BOUND, at(9_999));
        assert_eq!((0..5).filter(|_| window.take(BOUND, at(10_000)).is_ok()).count(), 2, "never more than the bound");
    }

    #[test]
    fn a_closed_window_refuses_until_its_end() {
        let mut window = Window::default();
        assert_eq!(window.close(BOUND, at(1)), at(10_000));
        assert_eq!(window.check(BOUND, at(9_999)), Err(at(10_000)));
        assert_eq!(window.check(BOUND, at(10_000)), Ok(()));
    }

    #[test]
    fn a_clock_that_steps_back_opens_no_window() {
        let mut window = Window::default();
        (0..3).for_each(|_| window.take(BOUND, at(10_000)).unwrap());
        assert_eq!(window.take(BOUND, at(9_999)), Err(at(20_000)));
    }

    #[test]
    fn whoever_is_refused_is_told_whole_seconds() {
        assert_eq!(
            [seconds_until(at(1), at(0)), seconds_until(at(1_001), at(0)), seconds_until(at(0), at(5))],
            [1, 2, 1]
        );
    }

    proptest! {
        #[test]
        fn a_bound_is_never_exceeded(most in 0u32..20, times in prop::collection::vec(0i64..50_000, 0..200)) {
            let bound = Bound { most, millis: 10_000 };
            let (mut window, mut counts) = (Window::default(), std::collections::HashMap::new());
            for time in times {
                if window.take(bound, at(time)).is_ok() {
                    *counts.entry(window.end).or_insert(0u32) += 1;
                }
            }
            prop_assert!(counts.values().all(|count| *count <= most));
        }
    }
}
