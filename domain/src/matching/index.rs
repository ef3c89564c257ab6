//! Which subscribers a topic reaches, found without asking each of them.
//!
//! Topics asked for as such are found by hash. Prefixes, templates and patterns are found by the literal text they
//! begin with, and looked at once however many subscribers share them. What a publish costs grows with those who match
//! and with the different matchers of the same literal beginning, not with the subscribers that do not match.

use std::collections::{HashMap, HashSet};
use std::hash::Hash;
use std::rc::{Rc, Weak};

use super::matcher::{MatchType, Matcher, Subject};
use super::topic_url::Base;
use crate::error::Invalid;

/// The matchers of all subscribers.
#[derive(Debug)]
pub struct MatcherIndex<K> {
    held: HashMap<K, Vec<Rc<Matcher>>>,
    all: HashSet<K>,
    exact: HashMap<Box<str>, HashSet<K>>,
    /// Prefixes and templates, by what topics begin with.
    texts: Heads<K>,
    /// Patterns, by what the places of topics begin with.
    places: Heads<K>,
    compiled: CompiledMatchers,
}

impl<K> Default for MatcherIndex<K> {
    fn default() -> Self {
        Self {
            held: HashMap::new(),
            all: HashSet::new(),
            exact: HashMap::new(),
            texts: Heads::default(),
            places: Heads::default(),
            compiled: CompiledMatchers::default(),
        }
    }
}

impl<K: Copy + Hash + Ord> MatcherIndex<K> {
    /// A matcher: the one already compiled, if a subscriber holds it.
    pub fn share(&mut self, kind: MatchType, text: &str, base: &Base) -> Result<Rc<Matcher>, Invalid> {
        if kind == MatchType::Exact {
            return Matcher::parse(kind, text, base).map(Rc::new);
        }
        self.compiled.share(kind, text, base)
    }

    /// Adds matchers to those of a subscriber.
    pub fn insert(&mut self, key: K, matchers: &[Rc<Matcher>]) {
        for matcher in matchers {
            match &**matcher {
                Matcher::All => drop(self.all.insert(key)),
                Matcher::Exact(topic) => drop(self.exact.entry(topic.clone()).or_default().insert(key)),
                Matcher::Prefix(head) => self.texts.insert(head, matcher, key),
                Matcher::Template(template) => self.texts.insert(template.literal_prefix(), matcher, key),
                Matcher::Pattern(pattern) => self.places.insert(pattern.literal_prefix(), matcher, key),
            }
        }
        self.held.entry(key).or_default().extend(matchers.iter().cloned());
    }

    /// Removes a subscriber with all its matchers.
    pub fn remove(&mut self, key: K) {
        for matcher in self.held.remove(&key).unwrap_or_default() {
            match &*matcher {
                Matcher::All => drop(self.all.remove(&key)),
                Matcher::Exact(topic) => {
                    if let Some(keys) = self.exact.get_mut(topic) {
                        keys.remove(&key);
                        if keys.is_empty() {
                            self.exact.remove(topic);
                        }
                    }
                }
                Matcher::Prefix(head) => self.texts.remove(head, &matcher, key),
                Matcher::Template(template) => self.texts.remove(template.literal_prefix(), &matcher, key),
                Matcher::Pattern(pattern) => self.places.remove(pattern.literal_prefix(), &matcher, key),
            }
        }
    }

    /// The matchers of a subscriber.
    #[cfg(test)]
    fn matchers(&self, key: K) -> &[Rc<Matcher>] {
        self.held.get(&key).map(Vec::as_slice).unwrap_or_default()
    }

    /// The subscribers that ask for one of the topics, each once, in their order.
    pub fn candidates(&self, topics: &[Subject<'_>]) -> Vec<K> {
        let mut found: Vec<K> = self.all.iter().copied().collect();
        for topic in topics {
            found.extend(self.exact.get(topic.text()).into_iter().flatten().copied());
            self.texts.find(topic.text(), topic, &mut found);
            if !self.places.by_head.is_empty()
                && let Some(url) = topic.url()
            {
                self.places.find(url.place(), topic, &mut found);
            }
        }
        found.sort_unstable();
        found.dedup();
        found
    }
}

/// Matchers by the text they begin with.
#[derive(Debug)]
struct Heads<K> {
    by_head: HashMap<Box<str>, HashMap<Rc<Matcher>, HashSet<K>>>,
    /// The lengths of heads, each with how many there are.
    lengths: HashMap<usize, usize>,
}

impl<K> Default for Heads<K> {
    fn default() -> Self {
        Self { by_head: HashMap::new(), lengths: HashMap::new() }
    }
}

impl<K: Copy + Eq + Hash> Heads<K> {
    fn insert(&mut self, head: &str, matcher: &Rc<Matcher>, key: K) {
        let group = self.by_head.entry(head.into()).or_default();
        if group.is_empty() {
            *self.lengths.entry(head.len()).or_default() += 1;
        }
        group.entry(Rc::clone(matcher)).or_default().insert(key);
    }

    fn remove(&mut self, head: &str, matcher: &Rc<Matcher>, key: K) {
        let Some(group) = self.by_head.get_mut(head) else { return };
        if let Some(keys) = group.get_mut(matcher) {
            keys.remove(&key);
            if keys.is_empty() {
                group.remove(matcher);
            }
        }
        if group.is_empty() {
            self.by_head.remove(head);
            let left = self.lengths.get(&head.len()).map_or(0, |count| count - 1);
            if left == 0 {
                self.lengths.remove(&head.len());
            } else {
                self.lengths.insert(head.len(), left);
            }
        }
    }

    fn find(&self, text: &str, topic: &Subject<'_>, found: &mut Vec<K>) {
        for length in self.lengths.keys() {
            let group = text.get(..*length).and_then(|head| self.by_head.get(head));
            for (matcher, keys) in group.into_iter().flatten() {
                if matcher.matches(topic) {
                    found.extend(keys);
                }
            }
        }
    }
}

/// What is compiled and held by somebody.
#[derive(Debug, Default)]
struct CompiledMatchers {
    known: HashMap<Box<str>, Weak<Matcher>>,
    /// At how many entries those are dropped that nobody holds.
    sweep_at: usize,
}

impl CompiledMatchers {
    fn share(&mut self, kind: MatchType, text: &str, base: &Base) -> Result<Rc<Matcher>, Invalid> {
        let name = format!("{} {base} {text}", kind.name());
        if let Some(known) = self.known.get(&*name).and_then(Weak::upgrade) {
            return Ok(known);
        }
        let matcher = Rc::new(Matcher::parse(kind, text, base)?);
        if self.known.len() >= self.sweep_at {
            self.known.retain(|_, held| held.strong_count() > 0);
            self.sweep_at = 64.max(2 * self.known.len());
        }
        self.known.insert(name.into(), Rc::downgrade(&matcher));
        Ok(matcher)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::selector::Selector;
    use proptest::prelude::*;

    fn base() -> Base {
        Base::parse("https://h/m/hub").unwrap()
    }

    fn ask(index: &MatcherIndex<u32>, topics: &[&str]) -> Vec<u32> {
        let base = base();
        let topics: Vec<_> = topics.iter().map(|topic| Subject::new(topic, &base)).collect();
        index.candidates(&topics)
    }

    #[test]
    fn an_event_on_several_topics_reaches_each_once() {
        let mut index = MatcherIndex::default();
        let template = index.share(MatchType::UriTemplate, "/a/{id}", &base()).unwrap();
        let pattern = index.share(MatchType::UrlPattern, "/a/:id", &base()).unwrap();
        index.insert(1, &[template, Rc::new(Matcher::Exact("/a/1".into()))]);
        index.insert(2, &[pattern]);
        index.insert(3, &[Rc::new(Matcher::Exact("other".into()))]);
        index.insert(4, &[Rc::new(Matcher::All)]);
        assert_eq!(ask(&index, &["/a/1", "/a/2", "other"]), [1, 2, 3, 4]);
        assert_eq!(ask(&index, &["https://h/a/1"]), [2, 4], "the template is text, the pattern a URL");
        assert_eq!(ask(&index, &[]), [4]);
        index.remove(2);
        index.remove(9);
        assert_eq!(ask(&index, &["/a/1"]), [1, 4]);
    }

    #[test]
    fn equal_templates_and_patterns_are_compiled_once() {
        let mut index = MatcherIndex::<u32>::default();
        let one = index.share(MatchType::UrlPattern, "/a/:id", &base()).unwrap();
        assert!(Rc::ptr_eq(&one, &index.share(MatchType::UrlPattern, "/a/:id", &base()).unwrap()));
        assert!(!Rc::ptr_eq(&one, &index.share(MatchType::UriTemplate, "/a/:id", &base()).unwrap()));
        let elsewhere = Base::parse("https://other/m/hub").unwrap();
        assert!(!Rc::ptr_eq(&one, &index.share(MatchType::UrlPattern, "/a/:id", &elsewhere).unwrap()));
        assert!(index.share(MatchType::UrlPattern, "(", &base()).is_err());
    }

    #[test]
    fn nothing_is_left_of_those_who_left() {
        let mut index = MatcherIndex::<u32>::default();
        for key in 0..1_000 {
            let template = index.share(MatchType::UriTemplate, &format!("/{key}/{{id}}"), &base()).unwrap();
            let pattern = index.share(MatchType::UrlPattern, &format!("/{key}/:id"), &base()).unwrap();
            index.insert(key, &[template, pattern, Rc::new(Matcher::Exact(format!("{key}").into()))]);
            index.remove(key);
        }
        assert!(index.exact.is_empty() && index.texts.by_head.is_empty() && index.places.by_head.is_empty());
        assert!(index.texts.lengths.is_empty() && index.places.lengths.is_empty() && index.held.is_empty());
        assert!(index.compiled.known.len() <= 64, "{}", index.compiled.known.len());
    }

    /// Texts over few letters, so that topics and matchers meet.
    fn matcher() -> impl Strategy<Value = (MatchType, String)> {
        prop_oneof![
            ("[ab/é]{0,3}|https://h/[ab]{0,2}").prop_map(|text| (MatchType::Exact, text)),
            ("(https://h/)?[ab/]{0,2}(\\{[+/?]?x(:1|\\*)?\\}){0,2}[ab]{0,2}")
                .prop_map(|text| (MatchType::UriTemplate, text)),
            ("(https://h|\\*://\\*|https://:s)?/?[ab/]{0,2}(:x|\\*|\\{a\\}\\?|([ab]\\+)){0,2}[ab]{0,2}")
                .prop_map(|text| (MatchType::UrlPattern, text)),
            Just((MatchType::Exact, "*".to_owned())),
        ]
    }

    proptest! {
        /// The index finds whom asking every subscriber would find, also after removals.
        #[test]
        fn the_index_agrees_with_asking_everyone(
            subscribers in prop::collection::vec((prop::collection::vec(matcher(), 0..4), prop::option::of("[ab/é]{0,2}\\*")), 0..12),
            gone in prop::collection::vec(any::<bool>(), 12),
            topics in prop::collection::vec("(https://h)?[ab/é]{0,4}|https://a:1/b|\\PC{0,3}", 0..4),
        ) {
            let base = base();
            let mut index = MatcherIndex::default();
            for (key, (matchers, prefix)) in subscribers.iter().enumerate() {
                let shared: Vec<_> = matchers.iter().filter_map(|(kind, text)| index.share(*kind, text, &base).ok()).collect();
                index.insert(key, &shared);
                let prefix = prefix.as_ref().and_then(|prefix| Selector::parse(prefix).ok());
                index.insert(key, &prefix.iter().map(|prefix| Rc::new(prefix.matcher(&base).unwrap())).collect::<Vec<_>>());
            }
            let topics: Vec<_> = topics.iter().map(|topic| Subject::new(topic, &base)).collect();
            let asked = |index: &MatcherIndex<usize>| -> Vec<usize> {
                (0..subscribers.len()).filter(|key| {
                    let matchers = index.matchers(*key);
                    matchers.iter().any(|m| matches!(**m, Matcher::All) || topics.iter().any(|topic| m.matches(topic)))
                }).collect()
            };
            prop_assert_eq!(index.candidates(&topics), asked(&index));
            for key in (0..subscribers.len()).filter(|key| gone[*key]) {
                index.remove(key);
                prop_assert!(index.matchers(key).is_empty());
            }
            prop_assert_eq!(index.candidates(&topics), asked(&index));
        }
    }
}
