//! What the filters of all streams take: each change of a record is held against every filter that its topic leads to.
//!
//! A filter that several streams have counts once, for the network that brought it, and strangers' filters count apart. While
//! at most half is taken anybody may take of it; after that a network that has its share gets no more.

use std::collections::HashMap;

use domain::address::Network;
use domain::filter::Filter;
use domain::matching::budget::PatternBudget;

/// What one comparison counts for, in steps of [`PatternBudget`]: so there are 2,048 of them.
const OF_COMPARISON: usize = 4_096;

/// The filters that streams have.
#[derive(Debug, Default)]
pub struct FilterBudget {
    known: AudienceFilters,
    strangers: AudienceFilters,
}

/// The filters of streams of one kind.
#[derive(Debug, Default)]
struct AudienceFilters {
    budget: PatternBudget,
    held: HashMap<Box<str>, Held>,
}

#[derive(Debug)]
struct Held {
    streams: usize,
    network: Network,
    steps: usize,
}

/// Who brings a filter.
#[derive(Debug, Clone, Copy)]
pub struct Bringer {
    pub network: Network,
    pub is_stranger: bool,
    /// Whether the stream had its place before: then only the whole is bounded.
    pub is_restored: bool,
}

impl FilterBudget {
    /// A stream takes a filter, by its canonical text; false if there are too many, and nothing has changed.
    pub fn take(&mut self, text: &str, filter: &Filter, by: Bringer) -> bool {
        let audience = self.audience(by.is_stranger);
        if let Some(held) = audience.held.get_mut(text) {
            held.streams += 1;
            return true;
        }
        let steps = filter.comparisons() * OF_COMPARISON;
        let admitted = match by.is_restored {
            true => audience.budget.has_room(steps),
            false => audience.budget.admits(by.network, steps),
        };
        if admitted {
            audience.budget.take(by.network, steps);
            audience.held.insert(text.into(), Held { streams: 1, network: by.network, steps });
        }
        admitted
    }

    /// A stream has its filter no more.
    pub fn give_back(&mut self, text: &str, is_stranger: bool) {
        let AudienceFilters { budget, held } = self.audience(is_stranger);
        let Some(filter) = held.get_mut(text) else { return };
        filter.streams -= 1;
        if filter.streams == 0 {
            budget.give_back(filter.network, filter.steps);
            held.remove(text);
        }
    }

    fn audience(&mut self, is_stranger: bool) -> &mut AudienceFilters {
        if is_stranger { &mut self.strangers } else { &mut self.known }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stranger(number: u8) -> Bringer {
        let network = Network::of(&format!("192.0.2.{number}"));
        Bringer { network, is_stranger: true, is_restored: false }
    }

    /// A filter of twenty comparisons, another one for each number.
    fn filter(number: usize) -> (String, Filter) {
        let parts: Vec<String> = (0..20).map(|part| format!("n={}", 20 * number + part)).collect();
        let filter = Filter::parse(&parts.join("||")).unwrap();
        (filter.to_string(), filter)
    }

    fn bring(budget: &mut FilterBudget, from: usize, by: Bringer) -> usize {
        let filters = (from..).map(filter);
        filters.take_while(|(text, filter)| budget.take(text, filter, by)).count()
    }

    #[test]
    fn filters_are_bounded_for_all_and_for_each_network() {
        let mut budget = FilterBudget::default();
        assert_eq!(bring(&mut budget, 0, stranger(1)), 51, "half of 2,048 comparisons");
        assert_eq!(bring(&mut budget, 1_000, stranger(2)), 10, "a tenth");
        assert_eq!(bring(&mut budget, 1_000, stranger(3)), 10 + 10, "those that are there cost nothing");
        let known = Bringer { is_stranger: false, ..stranger(1) };
        assert_eq!(bring(&mut budget, 0, known), 51, "whoever shows a credential has a bound of their own");
        let restored = Bringer { is_restored: true, ..stranger(4) };
        assert_eq!(bring(&mut budget, 2_000, restored), 102 - 51 - 10 - 10);
        assert_eq!(bring(&mut budget, 3_000, stranger(9)), 0);
    }

    #[test]
    fn what_nobody_has_any_more_is_free_again() {
        let mut budget = FilterBudget::default();
        let taken = bring(&mut budget, 0, stranger(1));
        let (text, one) = filter(0);
        assert!(budget.take(&text, &one, stranger(2)), "two streams have it");
        for number in 0..taken {
            budget.give_back(&filter(number).0, true);
        }
        assert_eq!(budget.strangers.held.len(), 1);
        budget.give_back(&text, true);
        budget.give_back(&text, true);
        assert!(budget.strangers.held.is_empty() && budget.strangers.budget.steps() == 0);
    }
}
