//! How often answers were kept ones, by operation. Clients choose the names of operations, so there is a bound on names: what is
//! beyond it counts together.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::clock::Timestamp;

/// Most names in a tally.
const MAX_NAMES: usize = 100;
/// The longest name that is counted by itself, in bytes.
const MAX_NAME: usize = 128;
/// After how many answers, or milliseconds, a tally is told.
const TOLD_AT: u64 = 1_000;
const TOLD_MILLIS: i64 = 60_000;

/// The name under which operations without one are counted, and those beyond the bound.
pub const OTHERS: &str = "";

/// How answers came about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct AnswerCounts {
    /// Kept ones.
    pub hits: u64,
    /// Kept ones whose time is over.
    pub stale: u64,
    /// The site's, which are kept from then on.
    pub misses: u64,
    /// The site's, which are not kept.
    pub passes: u64,
}

impl AnswerCounts {
    /// Both together.
    #[must_use]
    pub fn with(self, other: Self) -> Self {
        Self {
            hits: self.hits.saturating_add(other.hits),
            stale: self.stale.saturating_add(other.stale),
            misses: self.misses.saturating_add(other.misses),
            passes: self.passes.saturating_add(other.passes),
        }
    }

    /// How many answers there were.
    pub fn answers(self) -> u64 {
        self.hits.saturating_add(self.stale).saturating_add(self.misses).saturating_add(self.passes)
    }

    /// The share of kept ones, fresh or stale, in thousandths; none if there were no answers.
    pub fn kept_permille(self) -> Option<u64> {
        self.hits.saturating_add(self.stale).saturating_mul(1_000).checked_div(self.answers())
    }
}

/// The counts of an isolate since it told them last.
#[derive(Debug)]
pub struct AnswerTally {
    since: Timestamp,
    answers: u64,
    operations: BTreeMap<String, AnswerCounts>,
}

impl AnswerTally {
    /// Counts from now on.
    pub fn new(since: Timestamp) -> Self {
        Self { since, answers: 0, operations: BTreeMap::new() }
    }

    /// Counts an answer to an operation.
    pub fn add(&mut self, operation: Option<&str>, one: AnswerCounts) {
        let name = operation.filter(|name| name.len() <= MAX_NAME).unwrap_or(OTHERS);
        let is_known = self.operations.contains_key(name) || self.operations.len() < MAX_NAMES;
        let counts = self.operations.entry(if is_known { name } else { OTHERS }.to_owned()).or_default();
        *counts = counts.with(one);
        self.answers += 1;
    }

    /// Whether it is to be told.
    pub fn is_due(&self, now: Timestamp) -> bool {
        self.answers >= TOLD_AT || self.answers > 0 && now.since(self.since) >= TOLD_MILLIS
    }

    /// What it counted.
    pub fn into_counts(self) -> Vec<(String, AnswerCounts)> {
        self.operations.into_iter().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HIT: AnswerCounts = AnswerCounts { hits: 1, stale: 0, misses: 0, passes: 0 };
    const MISS: AnswerCounts = AnswerCounts { hits: 0, stale: 0, misses: 1, passes: 0 };

    fn at(millis: i64) -> Timestamp {
        Timestamp::from_millis(millis)
    }

    #[test]
    fn operations_are_counted_by_name_up_to_a_bound() {
        let mut tally = AnswerTally::new(at(0));
        tally.add(Some("A"), HIT);
        tally.add(Some("A"), MISS);
        tally.add(None, MISS);
        tally.add(Some(&"x".repeat(129)), HIT);
        for nth in 0..1_000 {
            tally.add(Some(&format!("n{nth:03}")), HIT);
        }
        let counts = tally.into_counts();
        assert!(counts.len() <= MAX_NAMES + 1);
        let of = |name: &str| counts.iter().find(|(other, _)| other == name).map(|(_, counts)| *counts).unwrap();
        assert_eq!(of("A").kept_permille(), Some(500));
        assert_eq!((of(OTHERS).misses, of(OTHERS).hits), (1, 1 + 1_000 - (MAX_NAMES as u64 - 2)));
        assert_eq!(AnswerCounts::default().kept_permille(), None);
    }

    #[test]
    fn a_tally_is_told_after_a_minute_or_a_thousand_answers() {
        let mut tally = AnswerTally::new(at(0));
        assert!(!tally.is_due(at(100_000)), "there is nothing to tell");
        tally.add(None, HIT);
        assert!(!tally.is_due(at(59_999)) && tally.is_due(at(60_000)));
        (1..1_000).for_each(|_| tally.add(None, HIT));
        assert!(tally.is_due(at(0)));
    }
}
