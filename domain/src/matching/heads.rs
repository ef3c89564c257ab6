//! Matchers by the text that topics begin with: a tree whose way down is that text.
//!
//! Invariants
//! - A topic is held against the matchers on one way down, and finding them takes as many steps as the topic has bytes.
//! - Every place knows how many compiled matchers a topic is held against at most from there on. So how many it may be is
//!   known before one more is let in, whatever topics will come.

use std::collections::{HashMap, HashSet};
use std::hash::Hash;
use std::rc::Rc;

use super::matcher::Matcher;

/// How much of a matcher's beginning the tree looks at; matchers look at all of it. So the tree is no deeper than this.
const DEEPEST: usize = 256;

/// Matchers by the text they begin with.
#[derive(Debug)]
pub struct Heads<K>(Place<K>);

#[derive(Debug)]
struct Place<K> {
    /// The text that leads here from the place above.
    text: Box<[u8]>,
    /// Further places, in the order of the bytes that their texts begin with, of which no two are the same.
    below: Vec<Place<K>>,
    held: HashMap<Rc<Matcher>, HashSet<K>>,
    /// How many of the held are compiled.
    compiled: usize,
    /// How many compiled matchers a topic is held against at most, from here on.
    crowd: usize,
}

impl<K> Default for Heads<K> {
    fn default() -> Self {
        Self(Place::at(&[]))
    }
}

impl<K> Place<K> {
    fn at(text: &[u8]) -> Self {
        Self { text: text.into(), below: Vec::new(), held: HashMap::new(), compiled: 0, crowd: 0 }
    }

    /// Where the place is that a text leads to, or where it would be.
    fn find(&self, text: &[u8]) -> Result<usize, usize> {
        self.below.binary_search_by_key(&text.first().copied(), |place| place.text.first().copied())
    }

    fn count(&mut self) {
        self.crowd = self.compiled + self.below.iter().map(|place| place.crowd).max().unwrap_or(0);
    }

    /// Puts a place between this one and the one above.
    fn split(&mut self, at: usize) {
        let (upper, lower) = self.text.split_at(at);
        let (upper, lower) = (Self::at(upper), lower.into());
        let mut below = std::mem::replace(self, upper);
        below.text = lower;
        self.below.push(below);
        self.count();
    }

    /// Takes itself out of the way down if nothing is held here and only one way goes on.
    fn join(&mut self) {
        if !self.held.is_empty() || self.below.len() != 1 {
            return;
        }
        if let Some(mut only) = self.below.pop() {
            only.text = [&*self.text, &*only.text].concat().into();
            *self = only;
        }
    }
}

impl<K: Copy + Eq + Hash> Place<K> {
    fn insert(&mut self, rest: &[u8], matcher: &Rc<Matcher>, key: K) {
        if rest.is_empty() {
            self.compiled += usize::from(matcher.is_compiled() && !self.held.contains_key(matcher));
            self.held.entry(Rc::clone(matcher)).or_default().insert(key);
        } else {
            let at = self.find(rest).unwrap_or_else(|at| {
                self.below.insert(at, Self::at(rest));
                at
            });
            if let Some(place) = self.below.get_mut(at) {
                let shared = place.text.iter().zip(rest).take_while(|(one, other)| one == other).count();
                if shared < place.text.len() {
                    place.split(shared);
                }
                place.insert(rest.get(shared..).unwrap_or_default(), matcher, key);
            }
        }
        self.count();
    }

    fn remove(&mut self, rest: &[u8], matcher: &Rc<Matcher>, key: K) {
        if rest.is_empty() {
            if let Some(keys) = self.held.get_mut(matcher) {
                keys.remove(&key);
                if keys.is_empty() {
                    self.held.remove(matcher);
                    self.compiled -= usize::from(matcher.is_compiled());
                }
            }
        } else if let Ok(at) = self.find(rest)
            && let Some(place) = self.below.get_mut(at)
            && let Some(rest) = rest.strip_prefix(&*place.text)
        {
            place.remove(rest, matcher, key);
            place.join();
            if place.held.is_empty() && place.below.is_empty() {
                self.below.remove(at);
            }
        }
        self.count();
    }
}

impl<K: Copy + Eq + Hash> Heads<K> {
    /// Adds a matcher of a subscriber, by the text it begins with.
    pub fn insert(&mut self, head: &str, matcher: &Rc<Matcher>, key: K) {
        self.0.insert(looked_at(head), matcher, key);
    }

    /// Removes it.
    pub fn remove(&mut self, head: &str, matcher: &Rc<Matcher>, key: K) {
        self.0.remove(looked_at(head), matcher, key);
    }

    /// Whether there are no matchers.
    pub fn is_empty(&self) -> bool {
        self.0.held.is_empty() && self.0.below.is_empty()
    }

    /// The matchers that a text is held against, with the subscribers that hold each.
    pub fn on_the_way(&self, text: &str) -> impl Iterator<Item = (&Rc<Matcher>, &HashSet<K>)> {
        let mut next = Some((&self.0, text.as_bytes()));
        let way = std::iter::from_fn(move || {
            let (place, rest) = next.take()?;
            let below = place.find(rest).ok().and_then(|at| place.below.get(at));
            next = below.and_then(|below| Some((below, rest.strip_prefix(&*below.text)?)));
            Some(place)
        });
        way.flat_map(|place| &place.held)
    }

    /// How many compiled matchers a topic is held against at most that begins with this text, or with a part of it.
    pub fn crowd(&self, head: &str) -> usize {
        let (mut place, mut rest, mut above) = (&self.0, looked_at(head), 0);
        while !rest.is_empty() {
            above += place.compiled;
            let Some(below) = place.find(rest).ok().and_then(|at| place.below.get(at)) else { return above };
            rest = match rest.strip_prefix(&*below.text) {
                Some(rest) => rest,
                // What is below begins with the text and more.
                None if below.text.starts_with(rest) => &[],
                None => return above,
            };
            place = below;
        }
        above + place.crowd
    }
}

fn looked_at(head: &str) -> &[u8] {
    let bytes = head.as_bytes();
    bytes.get(..DEEPEST).unwrap_or(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::matching::matcher::MatchType;
    use crate::matching::topic_url::Base;
    use proptest::prelude::*;

    fn template(text: &str) -> Rc<Matcher> {
        let base = Base::parse("https://h/m/hub").unwrap();
        Rc::new(Matcher::parse(MatchType::UriTemplate, text, &base).unwrap())
    }

    /// Inserts a template that begins with this text.
    fn insert(heads: &mut Heads<u32>, head: &str, number: u32) {
        heads.insert(head, &template(&format!("{head}{{+x}}{number}")), 1);
    }

    #[test]
    fn a_crowd_is_counted_along_one_way_down() {
        let mut heads = Heads::default();
        for (number, head) in ["", "/a", "/a", "/ab", "/abcd", "/b", "/b", "/b"].into_iter().enumerate() {
            insert(&mut heads, head, number as u32);
        }
        for (head, crowd) in
            [("", 5), ("/", 5), ("/a", 5), ("/abc", 5), ("/abcd", 5), ("/abx", 4), ("/b", 4), ("/c", 1)]
        {
            assert_eq!(heads.crowd(head), crowd, "{head}");
        }
        heads.insert("/a", &Rc::new(Matcher::Prefix("/a".into())), 1);
        assert_eq!(heads.crowd("/a"), 5, "a prefix is found by the way down alone");
    }

    #[test]
    fn a_long_beginning_makes_no_deep_tree() {
        let mut heads = Heads::default();
        for length in 0..4_000 {
            heads.insert(&"a".repeat(length), &Rc::new(Matcher::Prefix("a".repeat(length).into())), 1);
        }
        fn depth(place: &Place<u32>) -> usize {
            1 + place.below.iter().map(depth).max().unwrap_or(0)
        }
        assert_eq!(depth(&heads.0), DEEPEST + 1);
        assert_eq!(heads.on_the_way(&"a".repeat(5_000)).count(), 4_000);
    }

    proptest! {
        /// The tree finds what looking at every beginning finds, and no topic meets more than were counted.
        #[test]
        fn the_tree_agrees_with_looking_at_every_beginning(
            heads in prop::collection::vec("[ab]{0,5}", 0..24),
            gone in prop::collection::vec(any::<bool>(), 24),
            text in "[ab]{0,7}",
        ) {
            let templates: Vec<_> = heads.iter().enumerate().map(|(n, head)| template(&format!("{head}{{+x}}{n}"))).collect();
            let mut tree = Heads::default();
            for (head, template) in heads.iter().zip(&templates) {
                tree.insert(head, template, 7u32);
            }
            let left: Vec<_> = (0..heads.len()).filter(|n| !gone[*n]).collect();
            for n in (0..heads.len()).filter(|n| gone[*n]) {
                tree.remove(&heads[n], &templates[n], 7);
                tree.remove(&heads[n], &templates[n], 8);
            }
            let wanted = left.iter().filter(|n| text.starts_with(&heads[**n])).count();
            prop_assert_eq!(tree.on_the_way(&text).count(), wanted);
            prop_assert!(wanted <= tree.crowd(&text));
            for head in &heads {
                let met = |topic: &str| left.iter().filter(|n| topic.starts_with(&heads[**n])).count();
                let most = left.iter().map(|n| &heads[*n]).filter(|other| other.starts_with(head)).map(|other| met(other));
                prop_assert_eq!(tree.crowd(head), most.max().unwrap_or(0).max(met(head)));
            }
            left.iter().for_each(|n| tree.remove(&heads[*n], &templates[*n], 7));
            prop_assert!(tree.is_empty() && tree.0.crowd == 0);
        }
    }
}
