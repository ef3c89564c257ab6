//! What the patterns and templates of many streams may take, all together, and what one network may of it.
//!
//! Pure. A pattern that several streams hold counts once, for the network that brought it. While at most half of a bound is
//! taken anybody may take of it; after that a network that has its share gets no more, so that no network alone takes the rest.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

use crate::address::Network;
use crate::error::Invalid;

/// What has been taken, and by whom.
#[derive(Debug, Default)]
pub struct PatternBudget {
    steps: usize,
    networks: HashMap<Network, Brought>,
}

/// What a network has brought.
#[derive(Debug, Clone, Copy, Default)]
struct Brought {
    steps: usize,
    patterns: usize,
}

/// Which bound refuses a pattern.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PatternBound {
    /// [`PatternBudget::MAX`].
    Steps,
    /// [`PatternBudget::CROWD`].
    Crowd,
    /// The comparisons of the filters of all streams.
    Comparisons,
}

impl PatternBound {
    /// The code of the error.
    pub const EXCEEDED: &'static str = "too_many_patterns";

    /// Why a pattern is refused, to be read after the name of its parameter.
    pub fn exceeded(self) -> Invalid {
        let message = match self {
            Self::Steps => {
                "would take the patterns that are asked with here beyond 8,388,608 steps, or those of this network beyond \
                 838,860 while half are taken: use patterns that others use, or topics themselves"
            }
            Self::Comparisons => {
                "would take the filters that are asked with here beyond 2,048 comparisons, or those of this network beyond \
                 204 while half are taken: use a filter that others use, or none"
            }
            Self::Crowd => {
                "begins like 512 other patterns that are asked with here, or like 256 where this network has brought 64: \
                 use patterns that others use, or topics themselves"
            }
        };
        Invalid::new(Self::EXCEEDED, message)
    }
}

impl PatternBudget {
    /// Most steps of all patterns: those that each takes to compile, and [`Self::OF_PATTERN`] for each.
    pub const MAX: usize = 8_388_608;
    /// What a pattern counts for beside the steps that it takes to compile: it has to be parsed and kept.
    pub const OF_PATTERN: usize = 512;
    /// Most patterns that one topic may have to be held against.
    pub const CROWD: usize = 512;
    /// A network that has brought so few patterns has a share of every crowd.
    const FEW: usize = 64;

    /// Whether the network may bring patterns of so many steps.
    pub fn admits(&self, network: Network, steps: usize) -> bool {
        let all = self.steps.saturating_add(steps);
        let own = self.brought(network).steps.saturating_add(steps);
        steps == 0 || all <= Self::MAX / 2 || all <= Self::MAX && own <= Self::MAX / 10
    }

    /// Whether what the network has brought may stand in a crowd of so many.
    pub fn admits_to_crowd(&self, network: Network, crowd: usize) -> bool {
        crowd <= Self::CROWD / 2 || crowd <= Self::CROWD && self.brought(network).patterns <= Self::FEW
    }

    /// Whether there is room for so many steps, whoever brings them.
    pub fn has_room(&self, steps: usize) -> bool {
        self.steps.saturating_add(steps) <= Self::MAX
    }

    /// A network brings a pattern.
    pub fn take(&mut self, network: Network, steps: usize) {
        self.steps = self.steps.saturating_add(steps);
        let brought = self.networks.entry(network).or_default();
        brought.steps = brought.steps.saturating_add(steps);
        brought.patterns += 1;
    }

    /// Nobody holds a pattern any more that the network brought.
    pub fn give_back(&mut self, network: Network, steps: usize) {
        self.steps = self.steps.saturating_sub(steps);
        if let Some(brought) = self.networks.get_mut(&network) {
            brought.steps = brought.steps.saturating_sub(steps);
            brought.patterns = brought.patterns.saturating_sub(1);
            if brought.patterns == 0 {
                self.networks.remove(&network);
            }
        }
    }

    /// How many steps are taken.
    pub fn steps(&self) -> usize {
        self.steps
    }

    fn brought(&self, network: Network) -> Brought {
        self.networks.get(&network).copied().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn network(number: u8) -> Network {
        Network::of(&format!("192.0.2.{number}"))
    }

    /// Brings patterns of so many steps each, as long as they are admitted; how many were.
    fn bring(budget: &mut PatternBudget, from: Network, steps: usize) -> usize {
        (0..)
            .take_while(|_| {
                budget.admits(from, steps) && {
                    budget.take(from, steps);
                    true
                }
            })
            .count()
    }

    #[test]
    fn one_network_leaves_others_half_and_nobody_passes_the_bound() {
        let mut budget = PatternBudget::default();
        assert_eq!(bring(&mut budget, network(1), 1 << 15), 128, "half of all");
        let of_another = bring(&mut budget, network(2), 1 << 15);
        assert_eq!(of_another, 25, "a tenth of all");
        for number in 3..20 {
            bring(&mut budget, network(number), 1 << 15);
        }
        assert!(budget.steps() <= PatternBudget::MAX && !budget.admits(network(99), 1 << 15));
        assert!(budget.admits(network(1), 0), "what is there already costs nothing");
        (0..128).for_each(|_| budget.give_back(network(1), 1 << 15));
        assert!(budget.admits(network(99), 1 << 15) && budget.brought(network(1)).patterns == 0);
        assert!(!budget.networks.contains_key(&network(1)), "nobody is remembered who holds nothing");
    }

    #[test]
    fn one_network_leaves_others_half_of_a_crowd() {
        let mut budget = PatternBudget::default();
        (0..64).for_each(|_| budget.take(network(1), 600));
        assert!(budget.admits_to_crowd(network(1), 512) && !budget.admits_to_crowd(network(1), 513));
        budget.take(network(1), 600);
        assert!(budget.admits_to_crowd(network(1), 256) && !budget.admits_to_crowd(network(1), 257));
        assert!(budget.admits_to_crowd(network(2), 512) && !budget.admits_to_crowd(network(2), 513));
    }

    #[test]
    fn what_is_refused_is_told_with_the_bound() {
        assert!(PatternBound::Steps.exceeded().message.contains("8,388,608"));
        assert!(PatternBound::Crowd.exceeded().message.contains("512"));
        assert_eq!(PatternBudget::MAX / 10, 838_860);
    }
}
