//! A pace: events that are spaced out in time, with a few at once (the generic cell rate algorithm, ITU-T I.371).
//!
//! Pure; the time is handed in. A pace is one point in time, so it is kept for as little as a number.

use crate::clock::Timestamp;

/// How far events stand apart, and how many may come at once after a rest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Spacing {
    /// Milliseconds between two events, in the long run.
    pub millis: i64,
    /// How many may come at once; at least one.
    pub at_once: u32,
}

impl Spacing {
    fn tolerance(&self) -> i64 {
        self.millis.saturating_mul(i64::from(self.at_once.saturating_sub(1)))
    }
}

/// When the next event would be due, had all of them been spaced evenly.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Pace {
    due: Timestamp,
}

impl Pace {
    /// How long an event would have to wait now, in milliseconds.
    pub fn wait(&self, spacing: Spacing, now: Timestamp) -> i64 {
        self.due.plus_millis(-spacing.tolerance()).since(now).max(0)
    }

    /// Counts an event that waits, and says how long. Counts none if it would wait longer than `most`; that long is the error.
    pub fn reserve(&mut self, spacing: Spacing, most: i64, now: Timestamp) -> Result<i64, i64> {
        let wait = self.wait(spacing, now);
        if wait > most {
            return Err(wait);
        }
        self.count(spacing, now);
        Ok(wait)
    }

    /// Takes away what might come at once: from `now` on, events are spaced out.
    pub fn spend(&mut self, spacing: Spacing, now: Timestamp) {
        self.due = now.plus_millis(spacing.tolerance() + spacing.millis);
    }

    /// Counts an event, however many there were.
    pub fn count(&mut self, spacing: Spacing, now: Timestamp) {
        self.count_many(spacing, 1, now);
    }

    /// Counts so many events, however many there were.
    pub fn count_many(&mut self, spacing: Spacing, events: u32, now: Timestamp) {
        let from = if self.due > now { self.due } else { now };
        self.due = from.plus_millis(spacing.millis.saturating_mul(i64::from(events)));
    }

    /// Gives back events that were counted and did not happen.
    pub fn give_back(&mut self, spacing: Spacing, events: u32) {
        self.due = self.due.plus_millis(-spacing.millis.saturating_mul(i64::from(events)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const SPACING: Spacing = Spacing { millis: 100, at_once: 3 };

    fn at(millis: i64) -> Timestamp {
        Timestamp::from_millis(millis)
    }

    #[test]
    fn a_few_come_at_once_and_the_others_are_spaced_out() {
        let mut pace = Pace::default();
        let waits: Vec<_> = (0..6).map(|_| pace.reserve(SPACING, 10_000, at(5_000)).unwrap()).collect();
        assert_eq!(waits, [0, 0, 0, 100, 200, 300]);
        assert_eq!(pace.reserve(SPACING, 10_000, at(5_300)), Ok(100));
    }

    #[test]
    fn whoever_would_wait_too_long_is_not_counted() {
        let mut pace = Pace::default();
        assert!((0..4).all(|_| pace.reserve(SPACING, 100, at(0)).is_ok()));
        assert_eq!([pace.reserve(SPACING, 100, at(0)), pace.reserve(SPACING, 100, at(0))], [Err(200), Err(200)]);
        assert_eq!(pace.reserve(SPACING, 100, at(100)), Ok(100));
    }

    #[test]
    fn after_a_rest_it_begins_anew() {
        let mut pace = Pace::default();
        assert!((0..6).all(|_| pace.reserve(SPACING, 10_000, at(0)).is_ok()));
        let waits: Vec<_> = (0..4).map(|_| pace.reserve(SPACING, 10_000, at(60_000)).unwrap()).collect();
        assert_eq!(waits, [0, 0, 0, 100]);
    }

    #[test]
    fn what_was_taken_away_does_not_come_at_once() {
        let mut pace = Pace::default();
        pace.spend(SPACING, at(1_000));
        assert_eq!([pace.wait(SPACING, at(1_000)), pace.wait(SPACING, at(1_100))], [100, 0]);
        assert_eq!([pace.reserve(SPACING, 0, at(1_100)), pace.reserve(SPACING, 0, at(1_150))], [Ok(0), Err(50)]);
    }

    #[test]
    fn many_are_counted_at_once_and_given_back() {
        let mut pace = Pace::default();
        pace.count_many(SPACING, 10, at(0));
        assert_eq!(pace.wait(SPACING, at(0)), 800);
        pace.give_back(SPACING, 9);
        assert_eq!([pace.reserve(SPACING, 0, at(0)), pace.reserve(SPACING, 0, at(0))], [Ok(0), Ok(0)]);
        assert_eq!(pace.reserve(SPACING, 0, at(0)), Err(100));
    }

    proptest! {
        /// In no stretch of time do more events happen than the spacing says.
        #[test]
        fn events_never_come_faster(times in prop::collection::vec(0i64..5_000, 1..120), at_once in 1u32..6, millis in 1i64..300) {
            let spacing = Spacing { millis, at_once };
            let (mut pace, mut times) = (Pace::default(), times);
            times.sort_unstable();
            let happened: Vec<_> = times.iter().filter_map(|time| Some(time + pace.reserve(spacing, 1_000, at(*time)).ok()?)).collect();
            for (i, from) in happened.iter().enumerate() {
                for (j, to) in happened.iter().enumerate().skip(i) {
                    let most = i64::from(at_once) + (to - from) / millis;
                    prop_assert!(i64::try_from(j - i).unwrap() < most, "{} events in {} ms", j - i + 1, to - from);
                }
            }
        }
    }
}
