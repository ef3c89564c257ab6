//! Which streams an event reaches, found by its topics.
//!
//! Invariants
//! - What a stream asks for is compiled once while the hub is awake. The cost of a publish grows with the event's topics
//!   and the streams that match, not with those that do not.
//! - What all patterns take is bounded, and so is how many of them a topic is held against, for strangers and for others
//!   apart ([`PatternBudget`]). So is what waking compiles: what was let in before finds room again, in any order.
//! - A private event reaches a stream of `/events` if one of its topics is both selected and granted. It reaches a Mercure
//!   stream if one of its topics is selected and one, possibly another, is granted: so Mercure specifies.

use std::collections::{HashMap, HashSet};
use std::rc::Rc;

use super::protocol::{PatternParameter, RefusedPattern};
use domain::address::Network;
use domain::error::Invalid;
use domain::hearing::HearingRights;
use domain::matching::budget::{PatternBound, PatternBudget};
use domain::matching::index::MatcherIndex;
use domain::matching::matcher::{Matcher, Subject};
use domain::matching::steps::Steps;
use domain::matching::topic_url::Base;
use domain::selector::{Interest, Selector};
use domain::topic::Topic;

/// The base of relative topics for streams of `/events`, which have no hub URL.
const NO_HUB: &str = "hub://hub/";

/// What a stream asks for and may see, as matchers.
#[derive(Debug, Clone)]
pub struct CompiledInterest {
    hub: Rc<Base>,
    is_mercure: bool,
    selected: Vec<Rc<Matcher>>,
    granted: Vec<Rc<Matcher>>,
}

impl CompiledInterest {
    /// Whether an event on these topics is for the stream, leaving its filter aside. `rights` open private events beside the
    /// topics that were granted.
    pub fn admits(&self, topics: &[Subject<'_>], private: bool, rights: HearingRights) -> bool {
        let any = |matchers: &[Rc<Matcher>], topic: &Subject<'_>| matchers.iter().any(|m| m.matches(topic));
        let selects = |topic: &Subject<'_>| any(&self.selected, topic);
        let grants = |topic: &Subject<'_>| !private || rights.opens(topic.text()) || any(&self.granted, topic);
        if self.is_mercure {
            return topics.iter().any(selects) && topics.iter().any(grants);
        }
        topics.iter().any(|topic| selects(topic) && grants(topic))
    }

    /// All that it is made of.
    fn matchers(&self) -> impl Iterator<Item = &Rc<Matcher>> {
        self.selected.iter().chain(&self.granted)
    }

    /// An event's topics, resolved against this stream's hub URL.
    pub fn subjects<'t>(&'t self, topics: &'t [Topic]) -> Vec<Subject<'t>> {
        subjects(topics, &self.hub)
    }
}

/// A stream, as the index sees it.
#[derive(Debug, Clone, Copy)]
pub struct Subscriber<'a> {
    pub id: u64,
    pub interest: &'a Interest,
    pub network: Network,
    /// Whether it has shown no credential. It hears no private event.
    pub is_stranger: bool,
}

/// Why a stream was not added; nothing has changed then.
#[derive(Debug, PartialEq, Eq)]
pub enum NotAdded {
    /// What it asks for, or what it may see, cannot be compiled.
    Invalid(Invalid),
    /// There are too many patterns already.
    TooMany(RefusedPattern),
}

impl From<Invalid> for NotAdded {
    fn from(invalid: Invalid) -> Self {
        Self::Invalid(invalid)
    }
}

/// When a stream is added.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Adding {
    /// As it is opened: its network may have its share and no more.
    Opened,
    /// As it is restored: it had its place. Which network brought what is told anew, so only the whole is bounded.
    Restored,
}

/// The streams of one kind that share one hub URL.
#[derive(Debug)]
struct HubUrl {
    base: Rc<Base>,
    index: MatcherIndex<u64>,
    streams: usize,
}

/// The streams of one kind: a tenant has as many hub URLs as hosts, and relative topics differ between them.
#[derive(Debug, Default)]
struct Audience {
    hub_urls: HashMap<Box<str>, HubUrl>,
    budget: PatternBudget,
}

/// The index of all streams. What strangers ask with is bounded apart from what others do, and no private event is held
/// against it.
#[derive(Debug, Default)]
pub struct SubscriptionIndex {
    known: Audience,
    strangers: Audience,
}

impl SubscriptionIndex {
    /// Compiles what a stream asks for, and adds the stream.
    pub fn insert(&mut self, subscriber: &Subscriber<'_>, adding: Adding) -> Result<CompiledInterest, NotAdded> {
        self.audience_of(subscriber).insert(subscriber, adding)
    }

    /// Removes a stream that was inserted, and compiled to this.
    pub fn remove(&mut self, subscriber: &Subscriber<'_>, compiled: &CompiledInterest) {
        self.audience_of(subscriber).remove(subscriber, compiled);
    }

    /// Calls `act` with each stream that asks for one of the topics, and with the topics resolved for it. Those that hear no
    /// private event are left out where the event is one.
    pub fn each(&self, topics: &[Topic], private: bool, mut act: impl FnMut(u64, &[Subject<'_>])) {
        for audience in std::iter::once(&self.known).chain((!private).then_some(&self.strangers)) {
            for hub_url in audience.hub_urls.values() {
                let subjects = subjects(topics, &hub_url.base);
                for id in hub_url.index.candidates(&subjects) {
                    act(id, &subjects);
                }
            }
        }
    }

    fn audience_of(&mut self, subscriber: &Subscriber<'_>) -> &mut Audience {
        if subscriber.is_stranger { &mut self.strangers } else { &mut self.known }
    }
}

impl Audience {
    fn insert(&mut self, subscriber: &Subscriber<'_>, adding: Adding) -> Result<CompiledInterest, NotAdded> {
        let name = subscriber.interest.hub.as_deref().unwrap_or(NO_HUB);
        if !self.hub_urls.contains_key(name) {
            let hub_url = HubUrl { base: Rc::new(Base::parse(name)?), index: MatcherIndex::default(), streams: 0 };
            self.hub_urls.insert(name.into(), hub_url);
        }
        let Some(hub_url) = self.hub_urls.get_mut(name) else {
            return Err(Invalid::new("invalid_url", "must be an absolute URL").into());
        };
        let compiled = hub_url.insert(subscriber, adding, &mut self.budget);
        if hub_url.streams == 0 {
            self.hub_urls.remove(name);
        }
        compiled
    }

    fn remove(&mut self, subscriber: &Subscriber<'_>, compiled: &CompiledInterest) {
        let name = subscriber.interest.hub.as_deref().unwrap_or(NO_HUB);
        if let Some(hub_url) = self.hub_urls.get_mut(name) {
            hub_url.remove(subscriber.id, compiled, &mut self.budget);
            if hub_url.streams == 0 {
                self.hub_urls.remove(name);
            }
        }
    }
}

impl HubUrl {
    fn insert(
        &mut self,
        subscriber: &Subscriber<'_>,
        adding: Adding,
        budget: &mut PatternBudget,
    ) -> Result<CompiledInterest, NotAdded> {
        let Subscriber { id, interest, network, .. } = *subscriber;
        let selected = self.compile(&interest.selected)?;
        let granted = self.compile(&interest.granted)?;
        let is_mercure = interest.hub.is_some();
        let compiled = CompiledInterest { hub: Rc::clone(&self.base), is_mercure, selected, granted };
        let new: HashSet<Rc<Matcher>> =
            compiled.matchers().filter(|matcher| self.index.is_new(matcher)).cloned().collect();
        let steps = new.iter().map(|matcher| matcher.price()).sum();
        let is_admitted = match adding {
            Adding::Opened => budget.admits(network, steps),
            Adding::Restored => budget.has_room(steps),
        };
        if !is_admitted {
            return Err(refused(&compiled, new.iter().max_by_key(|matcher| matcher.price()), PatternBound::Steps));
        }
        self.index.hold(compiled.matchers(), network, budget);
        self.index.insert(id, &compiled.selected);
        self.streams += 1;
        let has_room = |crowd| match adding {
            Adding::Opened => budget.admits_to_crowd(network, crowd),
            Adding::Restored => crowd <= PatternBudget::CROWD,
        };
        let crowded = compiled.selected.iter().filter(|matcher| new.contains(*matcher));
        if let Some(crowded) = crowded.into_iter().find(|matcher| !has_room(self.index.crowd(matcher))) {
            self.remove(id, &compiled, budget);
            return Err(refused(&compiled, Some(crowded), PatternBound::Crowd));
        }
        Ok(compiled)
    }

    fn remove(&mut self, id: u64, compiled: &CompiledInterest, budget: &mut PatternBudget) {
        self.index.remove(id);
        self.index.release(compiled.matchers(), budget);
        self.streams = self.streams.saturating_sub(1);
    }

    fn compile(&self, selectors: &[Selector]) -> Result<Vec<Rc<Matcher>>, Invalid> {
        let mut steps = Steps::default();
        let compile = |selector: &Selector| {
            let matcher = match selector {
                Selector::Typed(kind, text) => self.index.share(*kind, text, &self.base)?,
                plain => plain.matcher(&self.base).map(Rc::new)?,
            };
            steps.take(matcher.steps()).map(|()| matcher)
        };
        selectors.iter().map(compile).collect()
    }
}

fn refused(compiled: &CompiledInterest, matcher: Option<&Rc<Matcher>>, bound: PatternBound) -> NotAdded {
    let asked = matcher.filter(|matcher| compiled.selected.contains(matcher));
    let parameter = match asked.map(|matcher| &**matcher) {
        Some(Matcher::Template(_)) => PatternParameter::Topic,
        Some(_) => PatternParameter::Pattern,
        None => PatternParameter::Token,
    };
    NotAdded::TooMany(RefusedPattern { parameter, bound })
}

fn subjects<'t>(topics: &'t [Topic], hub: &'t Base) -> Vec<Subject<'t>> {
    topics.iter().map(|topic| Subject::new(topic.as_str(), hub)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::matching::matcher::MatchType;
    use proptest::prelude::*;

    fn plain(selected: &[&str], granted: &[&str]) -> Interest {
        let parse = |list: &[&str]| list.iter().map(|text| Selector::parse(text).unwrap()).collect();
        Interest { selected: parse(selected), granted: parse(granted), ..Interest::default() }
    }

    fn mercure(hub: &str, selected: &[(MatchType, &str)], granted: &[(MatchType, &str)]) -> Interest {
        let typed = |list: &[(MatchType, &str)]| {
            list.iter().map(|(kind, text)| Selector::Typed(*kind, (*text).into())).collect()
        };
        Interest { selected: typed(selected), granted: typed(granted), filter: None, hub: Some(hub.into()) }
    }

    fn topics(list: &[&str]) -> Vec<Topic> {
        list.iter().map(|text| Topic::parse(text).unwrap()).collect()
    }

    fn stranger(id: u64, interest: &Interest) -> Subscriber<'_> {
        Subscriber { id, interest, network: Network::of(&format!("192.0.{}.1", id % 200)), is_stranger: true }
    }

    impl SubscriptionIndex {
        fn add(&mut self, id: u64, interest: &Interest) -> Result<CompiledInterest, NotAdded> {
            self.insert(&stranger(id, interest), Adding::Opened)
        }
    }

    fn admits(interest: &Interest, list: &[&str], private: bool) -> bool {
        let compiled = SubscriptionIndex::default().add(1, interest).unwrap();
        let topics = topics(list);
        compiled.admits(&compiled.subjects(&topics), private, HearingRights::default())
    }

    fn reached(index: &SubscriptionIndex, list: &[&str]) -> Vec<u64> {
        let mut found = Vec::new();
        index.each(&topics(list), false, |id, _| found.push(id));
        found.sort_unstable();
        found
    }

    #[test]
    fn a_private_event_of_events_needs_one_topic_both_selected_and_granted() {
        let stream = plain(&["a", "b"], &["b", "c"]);
        assert!(admits(&stream, &["a"], false));
        assert!(!admits(&stream, &["a"], true));
        assert!(!admits(&stream, &["c"], true), "granted, not selected");
        assert!(!admits(&stream, &["a", "c"], true), "two topics do not add up");
        assert!(admits(&stream, &["x", "b"], true));
    }

    #[test]
    fn a_private_update_of_mercure_needs_one_topic_selected_and_one_granted() {
        use MatchType::Exact;
        let stream = mercure("https://h/hub", &[(Exact, "a")], &[(Exact, "c")]);
        assert!(admits(&stream, &["a"], false));
        assert!(!admits(&stream, &["a"], true) && !admits(&stream, &["c"], true));
        assert!(admits(&stream, &["a", "c"], true), "its audience is the union over its topics");
    }

    #[test]
    fn a_right_to_hear_opens_what_is_selected_and_nothing_else() {
        use MatchType::UrlPattern;
        let heard = |interest: &Interest, list: &[&str], rights| {
            let compiled = SubscriptionIndex::default().add(1, interest).unwrap();
            let topics = topics(list);
            compiled.admits(&compiled.subjects(&topics), true, rights)
        };
        let (events, records) =
            (HearingRights { events: true, records: false }, HearingRights { events: false, records: true });
        let all = [plain(&["*"], &[]), mercure("https://h/hub", &[(UrlPattern, "*")], &[])];
        for stream in &all {
            assert!(heard(stream, &["orders"], events) && !heard(stream, &["orders"], records));
            assert!(heard(stream, &["records/a"], records) && !heard(stream, &["records/a"], events));
        }
        assert!(!heard(&plain(&["a"], &[]), &["b"], events), "not selected");
        assert!(!heard(&plain(&["a"], &[]), &["a", "records/a"], records), "two topics do not add up");
    }

    #[test]
    fn relative_topics_start_from_the_url_that_the_client_sees() {
        use MatchType::UrlPattern;
        let mut index = SubscriptionIndex::default();
        let streams = [("https://two/hub", "https://two/:x"), ("https://two/hub", "/b")];
        let first = mercure("https://one/hub", &[(UrlPattern, "https://one/:x")], &[]);
        let compiled = index.add(1, &first).unwrap();
        for (id, (hub, pattern)) in (2..).zip(streams) {
            index.add(id, &mercure(hub, &[(UrlPattern, pattern)], &[])).unwrap();
        }
        index.add(9, &plain(&["*"], &[])).unwrap();
        assert_eq!(reached(&index, &["/b"]), [1, 2, 3, 9]);
        assert_eq!(reached(&index, &["https://one/b"]), [1, 9]);
        index.remove(&stranger(1, &first), &compiled);
        assert_eq!(reached(&index, &["/b"]), [2, 3, 9]);
        assert_eq!(index.strangers.hub_urls.len(), 2, "nothing is left of a URL that nobody asks by");
    }

    #[test]
    fn what_cannot_be_parsed_adds_nothing() {
        let mut index = SubscriptionIndex::default();
        assert!(index.add(1, &mercure("https://h/hub", &[(MatchType::UrlPattern, "(")], &[])).is_err());
        assert!(index.add(1, &mercure("no URL", &[], &[])).is_err());
        // A stream that was let in under wider bounds.
        let vast: Vec<String> = (0..90).map(|n| format!("/{n}-((?:[a-z]{{9}}){{9}})")).collect();
        let vast: Vec<_> = vast.iter().map(|text| (MatchType::UrlPattern, text.as_str())).collect();
        assert!(index.add(1, &mercure("https://h/hub", &vast, &[])).is_err());
        assert!(index.add(1, &mercure("https://h/hub", &[], &vast)).is_err());
        assert_eq!(reached(&index, &["a"]), [0; 0]);
        assert!(index.strangers.hub_urls.is_empty() && index.strangers.budget.steps() == 0);
    }

    #[test]
    fn a_private_event_is_not_held_against_what_strangers_ask_with() {
        let mut index = SubscriptionIndex::default();
        let all = plain(&["*"], &[]);
        index.add(1, &all).unwrap();
        index.insert(&Subscriber { is_stranger: false, ..stranger(2, &all) }, Adding::Opened).unwrap();
        let mut found = Vec::new();
        index.each(&topics(&["a"]), true, |id, _| found.push(id));
        assert_eq!((found, reached(&index, &["a"])), (vec![2], vec![1, 2]));
    }

    /// A stream that asks with so many patterns of its own.
    fn hostile(id: u64, head: &str, part: &str, count: usize) -> Interest {
        let patterns: Vec<String> = (0..count).map(|n| format!("{head}({part}{id}-{n})")).collect();
        let patterns: Vec<_> = patterns.iter().map(|text| (MatchType::UrlPattern, text.as_str())).collect();
        mercure("https://h/hub", &patterns, &[])
    }

    #[test]
    fn strangers_patterns_are_bounded_all_together_and_leave_room_for_others() {
        let (mut index, mut held, mut refused) = (SubscriptionIndex::default(), Vec::new(), Vec::new());
        for id in 0..150 {
            let interest = hostile(id, &format!("/{id}/"), "(?:[a-z]{9}){40}", 8);
            match index.add(id, &interest) {
                Ok(compiled) => held.push((id, interest, compiled)),
                Err(NotAdded::TooMany(why)) => refused.push(why),
                Err(other) => panic!("{other:?}"),
            }
        }
        assert!(held.len() > 50 && index.strangers.budget.steps() <= PatternBudget::MAX, "{}", held.len());
        assert!(refused.contains(&RefusedPattern { parameter: PatternParameter::Pattern, bound: PatternBound::Steps }));
        let fair = mercure("https://h/hub", &[(MatchType::UrlPattern, "/news/:id")], &[]);
        let known = Subscriber { is_stranger: false, ..stranger(5_000, &fair) };
        index.insert(&known, Adding::Opened).unwrap();
        index.add(5_001, &mercure("https://h/hub", &[(MatchType::Exact, "/news/1")], &[])).unwrap();
        assert_eq!(reached(&index, &["/news/1"]), [5_000, 5_001]);
        // What is restored finds room in any order.
        let mut woken = SubscriptionIndex::default();
        for (id, interest, _) in held.iter().rev() {
            woken.insert(&stranger(*id, interest), Adding::Restored).unwrap();
        }
        for (id, interest, compiled) in &held {
            index.remove(&stranger(*id, interest), compiled);
        }
        assert_eq!(index.strangers.budget.steps(), 0);
        index.add(1, &fair).unwrap();
    }

    #[test]
    fn a_topic_is_held_against_few_patterns_and_no_network_has_all_of_them() {
        let mut index = SubscriptionIndex::default();
        let mut add = |id: u64, network: &str| {
            let interest = hostile(id, "/books/", "[^x]*", 20);
            index.insert(&Subscriber { network: Network::of(network), ..stranger(id, &interest) }, Adding::Opened).err()
        };
        let crowd =
            NotAdded::TooMany(RefusedPattern { parameter: PatternParameter::Pattern, bound: PatternBound::Crowd });
        assert!((0..12).all(|id| add(id, "192.0.2.1").is_none()), "half of the crowd");
        assert_eq!(add(20, "192.0.2.1"), Some(crowd));
        assert!((30..33).all(|id| add(id, "192.0.2.2").is_none()), "another network has its share");
        assert!(add(40, "192.0.2.2").is_some());
        let most = (100..200).filter(|id| add(*id, &format!("198.51.100.{id}")).is_none()).count();
        assert_eq!(most, 10, "to the end of the crowd: {most}");
        // The same pattern again is no further one.
        assert!(add(0, "192.0.2.1").is_none());
    }

    fn part() -> impl Strategy<Value = &'static str> {
        prop_oneof![Just("[^x]*"), Just("[a-z]+"), Just("[a-z]{9}"), Just("(?:[a-z]{9}){40}")]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(12))]

        /// Whatever streams come and go, the bounds hold, and who is refused has changed nothing.
        #[test]
        fn no_streams_pass_the_bounds(
            streams in prop::collection::vec((0..3u8, "/|/b|/books/", part(), 1usize..90, any::<bool>()), 1..40),
        ) {
            let mut index = SubscriptionIndex::default();
            let mut held: Vec<(u64, Interest, Network, CompiledInterest)> = Vec::new();
            for (id, (network, head, part, count, leaves)) in (1..).zip(streams) {
                let interest = hostile(id, &head, part, if part.len() > 9 { count % 9 } else { count });
                let network = Network::of(&format!("192.0.2.{network}"));
                let before = index.strangers.budget.steps();
                match index.insert(&Subscriber { network, ..stranger(id, &interest) }, Adding::Opened) {
                    Ok(compiled) => held.push((id, interest, network, compiled)),
                    Err(NotAdded::TooMany(_)) => prop_assert_eq!(index.strangers.budget.steps(), before),
                    Err(other) => panic!("{other:?}"),
                }
                if leaves && let Some((id, interest, network, compiled)) = held.pop() {
                    index.remove(&Subscriber { network, ..stranger(id, &interest) }, &compiled);
                }
                prop_assert!(index.strangers.budget.steps() <= PatternBudget::MAX);
                for (.., compiled) in &held {
                    let crowds = compiled.selected.iter().map(|matcher| {
                        index.strangers.hub_urls.values().map(|url| url.index.crowd(matcher)).max().unwrap_or(0)
                    });
                    prop_assert!(crowds.max().unwrap_or(0) <= PatternBudget::CROWD);
                }
            }
            for (id, interest, network, compiled) in &held {
                index.remove(&Subscriber { network: *network, ..stranger(*id, interest) }, compiled);
            }
            prop_assert_eq!(index.strangers.budget.steps(), 0);
        }
    }

    /// Patterns and templates of which every part may repeat, also within another one.
    fn any_matcher() -> impl Strategy<Value = (MatchType, String)> {
        let leaf = prop_oneof!["[ab]{1,3}", Just(".".to_owned()), Just("[a-f]".into()), Just("[^b]*".into())];
        let nested = leaf.prop_recursive(4, 16, 3, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 1..4).prop_map(|list| format!("(?:{})", list.join("|"))),
                (inner, 0..140u32, 0..9u32, any::<bool>()).prop_map(|(of, least, more, is_open)| match is_open {
                    true => format!("(?:{of}){{{least},}}"),
                    false => format!("(?:{of}){{{},{least}}}", least.saturating_sub(more)),
                }),
            ]
        });
        prop_oneof![
            ("(/|/b|/books/|https://[ab]|\\*://\\*/)?", nested, "[ab/*]{0,2}")
                .prop_map(|(head, inside, tail)| (MatchType::UrlPattern, format!("{head}({inside}){tail}"))),
            ("/[ab]{0,2}", "(\\{[+#./;?&]?[ab](\\*|:1?[0-9]{1,2})?(,c)?\\}){1,4}")
                .prop_map(|(head, parts)| (MatchType::UriTemplate, head + &parts)),
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(96))]

        /// Whatever patterns streams ask with: each stream stays within the bound on its steps, all within theirs, who is
        /// refused has changed nothing, and a hub that wakes finds the same streams with the same work.
        #[test]
        fn hostile_patterns_are_let_in_within_the_bounds_or_refused(
            streams in prop::collection::vec((prop::collection::vec(any_matcher(), 1..12), 0..3u8), 1..24),
            list in prop::collection::vec("(https://[abh])?/?[ab/]{0,40}", 1..4),
        ) {
            let (mut index, mut held) = (SubscriptionIndex::default(), Vec::new());
            for (id, (matchers, network)) in (1..).zip(&streams) {
                let matchers: Vec<_> = matchers.iter().map(|(kind, text)| (*kind, text.as_str())).collect();
                let interest = mercure("https://h/hub", &matchers, &[]);
                let (network, before) = (Network::of(&format!("192.0.2.{network}")), index.strangers.budget.steps());
                match index.insert(&Subscriber { network, ..stranger(id, &interest) }, Adding::Opened) {
                    Ok(compiled) => {
                        let steps: usize = compiled.selected.iter().map(|matcher| matcher.steps()).sum();
                        prop_assert!(steps <= Steps::MAX, "{:?}: {}", matchers, steps);
                        held.push((id, interest, network));
                    }
                    Err(NotAdded::Invalid(invalid)) => {
                        prop_assert_eq!(invalid.code, Steps::EXCEEDED, "{:?}", matchers);
                        prop_assert_eq!(index.strangers.budget.steps(), before);
                    }
                    Err(NotAdded::TooMany(_)) => prop_assert_eq!(index.strangers.budget.steps(), before),
                }
                prop_assert!(index.strangers.budget.steps() <= PatternBudget::MAX);
            }
            let list: Vec<&str> = list.iter().map(String::as_str).filter(|text| Topic::parse(text).is_ok()).collect();
            let found = reached(&index, &list);
            prop_assert!(found.iter().all(|id| held.iter().any(|(known, ..)| known == id)));
            let mut woken = SubscriptionIndex::default();
            for (id, interest, network) in &held {
                woken.insert(&Subscriber { network: *network, ..stranger(*id, interest) }, Adding::Restored).unwrap();
            }
            prop_assert_eq!(reached(&woken, &list), found);
            prop_assert_eq!(woken.strangers.budget.steps(), index.strangers.budget.steps());
        }
    }

    proptest! {
        /// The index finds whom asking every stream would find, also after removals.
        #[test]
        fn the_index_agrees_with_asking_everyone(
            streams in prop::collection::vec((prop::collection::vec("[abä]{1,3}\\*?|\\*", 1..4), 0..3usize), 0..12),
            gone in prop::collection::vec(any::<bool>(), 12),
            list in prop::collection::vec("[abä]{1,4}", 1..4),
        ) {
            let list: Vec<&str> = list.iter().map(String::as_str).collect();
            let interests: Vec<_> = streams.iter().map(|(selectors, hub)| {
                let selectors: Vec<&str> = selectors.iter().map(String::as_str).collect();
                let hub = ["https://one/hub", "https://two/hub"].get(*hub).map(|hub| (*hub).into());
                Interest { hub, ..plain(&selectors, &[]) }
            }).collect();
            let mut index = SubscriptionIndex::default();
            let compiled: Vec<_> = (0..).zip(&interests).map(|(id, interest)| index.add(id, interest).unwrap()).collect();
            for (id, interest) in (0..).zip(&interests).filter(|(id, _)| gone[*id as usize]) {
                index.remove(&stranger(id, interest), &compiled[id as usize]);
            }
            let asked: Vec<u64> = (0..).zip(&interests)
                .filter(|(id, interest)| !gone[*id as usize] && admits(interest, &list, false))
                .map(|(id, _)| id).collect();
            prop_assert_eq!(reached(&index, &list), asked);
        }
    }
}
