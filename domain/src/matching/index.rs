//! Which subscribers a topic reaches, found without asking each of them.
//!
//! Topics asked for as such are found by hash. Prefixes, templates and patterns are found by the literal text they
//! begin with, and looked at once however many subscribers share them. What a publish costs grows with those who match
//! and with the different matchers of the same literal beginning, not with the subscribers that do not match.

use std::collections::{HashMap, HashSet};
use std::hash::Hash;
use std::rc::Rc;

use super::budget::PatternBudget;
use super::compiled::CompiledMatchers;
use super::heads::Heads;
use super::matcher::{MatchType, Matcher, Subject};
use super::topic_url::Base;
use crate::address::Network;
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
    /// A matcher: the one already compiled, if a subscriber holds it. All of an index are of one base.
    pub fn share(&self, kind: MatchType, text: &str, base: &Base) -> Result<Rc<Matcher>, Invalid> {
        match self.compiled.get(kind, text) {
            Some(known) => Ok(Rc::clone(known)),
            None => Matcher::parse(kind, text, base).map(Rc::new),
        }
    }

    /// Whether nobody holds this pattern or template.
    pub fn is_new(&self, matcher: &Matcher) -> bool {
        self.compiled.is_new(matcher)
    }

    /// Somebody of a network holds these, whether or not topics are looked for by them.
    pub fn hold<'m>(
        &mut self,
        matchers: impl IntoIterator<Item = &'m Rc<Matcher>>,
        network: Network,
        budget: &mut PatternBudget,
    ) {
        matchers.into_iter().for_each(|matcher| self.compiled.hold(matcher, network, budget));
    }

    /// Those who held these hold them no longer.
    pub fn release<'m>(&mut self, matchers: impl IntoIterator<Item = &'m Rc<Matcher>>, budget: &mut PatternBudget) {
        matchers.into_iter().for_each(|matcher| self.compiled.release(matcher, budget));
    }

    /// How many patterns and templates a topic is held against at most that begins as this one does.
    pub fn crowd(&self, matcher: &Matcher) -> usize {
        match matcher {
            Matcher::Template(template) => self.texts.crowd(template.literal_prefix()),
            Matcher::Pattern(pattern) => self.places.crowd(pattern.literal_prefix()),
            _ => 0,
        }
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
        let mut found = Candidates::new(self.all.iter().copied().collect());
        for topic in topics {
            self.exact.get(topic.text()).into_iter().for_each(|keys| found.add(keys));
            self.look(&self.texts, topic.text(), topic, topics.len() > 1, &mut found);
            if !self.places.is_empty()
                && let Some(url) = topic.url()
            {
                self.look(&self.places, url.place(), topic, topics.len() > 1, &mut found);
            }
        }
        found.sort();
        found.keys
    }

    /// Adds the subscribers of the matchers that take in a topic, which begins with this text. One of several topics is not
    /// held against a matcher that took in one before.
    fn look(&self, heads: &Heads<K>, text: &str, topic: &Subject<'_>, is_of_several: bool, found: &mut Candidates<K>) {
        for (matcher, keys) in heads.on_the_way(text) {
            if (!is_of_several || !found.knows(matcher)) && matcher.matches(topic) {
                found.add(keys);
                if is_of_several {
                    found.matchers.insert(Rc::as_ptr(matcher));
                }
            }
        }
    }
}

/// Subscribers that were found, and the matchers by which.
struct Candidates<K> {
    keys: Vec<K>,
    /// At how many those that were found several times are dropped.
    sort_at: usize,
    matchers: HashSet<*const Matcher>,
}

impl<K: Copy + Ord> Candidates<K> {
    /// How many are collected at least before any is dropped.
    const SORTED_AT: usize = 16_384;

    fn new(keys: Vec<K>) -> Self {
        let sort_at = Self::SORTED_AT.max(2 * keys.len());
        Self { keys, sort_at, matchers: HashSet::new() }
    }

    fn knows(&self, matcher: &Rc<Matcher>) -> bool {
        self.matchers.contains(&Rc::as_ptr(matcher))
    }

    fn add(&mut self, keys: &HashSet<K>) {
        self.keys.extend(keys);
        if self.keys.len() >= self.sort_at {
            self.sort();
            self.sort_at = Self::SORTED_AT.max(2 * self.keys.len());
        }
    }

    fn sort(&mut self) {
        self.keys.sort_unstable();
        self.keys.dedup();
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

    const NETWORK: &str = "192.0.2.1";

    /// Adds matchers to those of a subscriber, who holds them.
    fn enter<K: Copy + Hash + Ord>(
        index: &mut MatcherIndex<K>,
        budget: &mut PatternBudget,
        key: K,
        all: &[Rc<Matcher>],
    ) {
        index.hold(all, Network::of(NETWORK), budget);
        index.insert(key, all);
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
    fn equal_templates_and_patterns_are_compiled_once_and_cost_once() {
        let (mut index, mut budget) = (MatcherIndex::<u32>::default(), PatternBudget::default());
        let one = index.share(MatchType::UrlPattern, "/a/:id", &base()).unwrap();
        let template = index.share(MatchType::UriTemplate, "/a/{id}", &base()).unwrap();
        enter(&mut index, &mut budget, 1, &[Rc::clone(&one), Rc::clone(&template)]);
        let again = index.share(MatchType::UrlPattern, "/a/:id", &base()).unwrap();
        assert!(Rc::ptr_eq(&one, &again) && !index.is_new(&again));
        assert!(index.is_new(&index.share(MatchType::UriTemplate, "/a/{i}", &base()).unwrap()));
        enter(&mut index, &mut budget, 2, &[Rc::clone(&again)]);
        let price = one.price() + template.price();
        assert!(price > 2 * PatternBudget::OF_PATTERN);
        assert_eq!((budget.steps(), index.crowd(&one)), (price, 1));
        index.remove(1);
        index.release(&[one, template], &mut budget);
        assert_eq!(budget.steps(), again.price(), "somebody holds it");
        index.remove(2);
        index.release(&[again], &mut budget);
        assert_eq!(budget.steps(), 0);
        assert!(index.share(MatchType::UrlPattern, "(", &base()).is_err());
    }

    #[test]
    fn nothing_is_left_of_those_who_left() {
        let (mut index, mut budget) = (MatcherIndex::<u32>::default(), PatternBudget::default());
        for key in 0..1_000 {
            let template = index.share(MatchType::UriTemplate, &format!("/{key}/{{id}}"), &base()).unwrap();
            let pattern = index.share(MatchType::UrlPattern, &format!("/{key}/:id"), &base()).unwrap();
            let all = [template, pattern, Rc::new(Matcher::Exact(format!("{key}").into()))];
            enter(&mut index, &mut budget, key, &all);
            index.remove(key);
            index.release(&all, &mut budget);
            assert!(index.is_new(&all[0]) && index.is_new(&all[1]));
        }
        assert!(index.exact.is_empty() && index.texts.is_empty() && index.places.is_empty());
        assert!(index.held.is_empty() && budget.steps() == 0);
    }

    #[test]
    fn many_subscribers_of_many_matchers_are_found_once_each() {
        let mut index = MatcherIndex::default();
        let all: Vec<_> =
            (0..40).map(|n| index.share(MatchType::UriTemplate, &format!("{{a}}{{b{n}}}"), &base()).unwrap()).collect();
        (0..2_000u32).for_each(|key| index.insert(key, &all));
        let topics: Vec<String> = (0..20).map(|n| format!("topic-{n}")).collect();
        let topics: Vec<&str> = topics.iter().map(String::as_str).collect();
        assert_eq!(ask(&index, &topics), (0..2_000).collect::<Vec<_>>());
    }

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
