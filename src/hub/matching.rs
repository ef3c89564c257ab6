//! Which streams an event reaches, found without asking each of them.
//!
//! Selectors are indexed while the hub is awake: exact topics by hash, prefixes by hash for each
//! length that occurs. The cost of a publish grows with the event's topics and the streams that
//! match, not with those that do not.

use std::collections::{HashMap, HashSet};
use std::hash::Hash;

use crate::domain::selector::{Interest, Selector};
use crate::domain::topic::Topic;

/// The index of all streams' selectors.
#[derive(Debug)]
pub struct Index<Id> {
    exact: HashMap<Box<str>, HashSet<Id>>,
    prefixes: HashMap<Box<str>, HashSet<Id>>,
    /// How many different prefixes of each length there are.
    lengths: HashMap<usize, usize>,
}

impl<Id> Default for Index<Id> {
    fn default() -> Self {
        Self { exact: HashMap::new(), prefixes: HashMap::new(), lengths: HashMap::new() }
    }
}

impl<Id: Copy + Eq + Hash + Ord> Index<Id> {
    /// Adds a stream.
    pub fn insert(&mut self, id: Id, interest: &Interest) {
        for selector in &interest.selected {
            match selector {
                Selector::Exact(name) => {
                    self.exact.entry(name.clone()).or_default().insert(id);
                }
                Selector::Prefix(prefix) => {
                    let streams = self.prefixes.entry(prefix.clone()).or_default();
                    if streams.is_empty() {
                        *self.lengths.entry(prefix.len()).or_default() += 1;
                    }
                    streams.insert(id);
                }
            }
        }
    }

    /// Removes a stream that was inserted with this interest.
    pub fn remove(&mut self, id: Id, interest: &Interest) {
        for selector in &interest.selected {
            match selector {
                Selector::Exact(name) => {
                    drop_from(&mut self.exact, name, id);
                }
                Selector::Prefix(prefix) => {
                    if drop_from(&mut self.prefixes, prefix, id)
                        && let Some(count) = self.lengths.get_mut(&prefix.len())
                    {
                        *count -= 1;
                        if *count == 0 {
                            self.lengths.remove(&prefix.len());
                        }
                    }
                }
            }
        }
    }

    /// The streams that select one of the topics, each once, in the order of their ids.
    pub fn matching(&self, topics: &[Topic]) -> Vec<Id> {
        let mut found = Vec::new();
        for topic in topics {
            let topic = topic.as_str();
            found.extend(self.exact.get(topic).into_iter().flatten().copied());
            for &length in self.lengths.keys() {
                let streams = topic.get(..length).and_then(|prefix| self.prefixes.get(prefix));
                found.extend(streams.into_iter().flatten().copied());
            }
        }
        found.sort_unstable();
        found.dedup();
        found
    }
}

/// Takes a stream out of a selector's set; true if the set fell away with it.
fn drop_from<Id: Eq + Hash>(sets: &mut HashMap<Box<str>, HashSet<Id>>, key: &str, id: Id) -> bool {
    let Some(set) = sets.get_mut(key) else { return false };
    set.remove(&id);
    set.is_empty() && sets.remove(key).is_some()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn interest(selectors: &[String]) -> Interest {
        let selected = selectors.iter().map(|s| Selector::parse(s).unwrap()).collect();
        Interest { selected, ..Interest::default() }
    }

    proptest! {
        /// The index finds whom asking every stream would find, also after removals.
        #[test]
        fn the_index_agrees_with_asking_everyone(
            streams in prop::collection::vec(prop::collection::vec("[abä]{1,3}\\*?|\\*", 1..4), 0..12),
            gone in prop::collection::vec(any::<bool>(), 12),
            topics in prop::collection::vec("[abä]{1,4}", 1..4),
        ) {
            let topics: Vec<_> = topics.iter().map(|t| Topic::parse(t).unwrap()).collect();
            let mut index = Index::default();
            for (id, selectors) in streams.iter().enumerate() {
                index.insert(id, &interest(selectors));
            }
            for (id, selectors) in streams.iter().enumerate().filter(|(id, _)| gone[*id]) {
                index.remove(id, &interest(selectors));
            }
            let asked: Vec<usize> = streams.iter().enumerate()
                .filter(|(id, selectors)| !gone[*id] && interest(selectors).admits(&topics, false))
                .map(|(id, _)| id).collect();
            prop_assert_eq!(index.matching(&topics), asked);
        }
    }
}
