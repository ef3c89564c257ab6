//! Which streams an event reaches, found by its topics.
//!
//! Invariants
//! - What a stream asks for is compiled once while the hub is awake. The cost of a publish grows with the event's topics
//!   and the streams that match, not with those that do not.
//! - A private event reaches a stream of `/events` if one of its topics is both selected and granted. It reaches a Mercure
//!   stream if one of its topics is selected and one, possibly another, is granted: so Mercure specifies.

use std::collections::HashMap;
use std::rc::Rc;

use domain::error::Invalid;
use domain::hearing::HearingRights;
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

    /// An event's topics, resolved against this stream's hub URL.
    pub fn subjects<'t>(&'t self, topics: &'t [Topic]) -> Vec<Subject<'t>> {
        subjects(topics, &self.hub)
    }
}

/// The streams that share one hub URL.
#[derive(Debug)]
struct HubUrl {
    base: Rc<Base>,
    index: MatcherIndex<u64>,
    streams: usize,
}

/// The index of all streams. A tenant has as many hub URLs as hosts, and relative topics differ between them.
#[derive(Debug, Default)]
pub struct SubscriptionIndex {
    hub_urls: HashMap<Box<str>, HubUrl>,
}

impl SubscriptionIndex {
    /// Compiles what a stream asks for, and adds the stream.
    pub fn insert(&mut self, id: u64, interest: &Interest) -> Result<CompiledInterest, Invalid> {
        let name = interest.hub.as_deref().unwrap_or(NO_HUB);
        if !self.hub_urls.contains_key(name) {
            let hub_url = HubUrl { base: Rc::new(Base::parse(name)?), index: MatcherIndex::default(), streams: 0 };
            self.hub_urls.insert(name.into(), hub_url);
        }
        let Some(hub_url) = self.hub_urls.get_mut(name) else {
            return Err(Invalid::new("invalid_url", "must be an absolute URL"));
        };
        let compiled = hub_url.insert(id, interest);
        if hub_url.streams == 0 {
            self.hub_urls.remove(name);
        }
        compiled
    }

    /// Removes a stream that was inserted with this interest.
    pub fn remove(&mut self, id: u64, interest: &Interest) {
        let name = interest.hub.as_deref().unwrap_or(NO_HUB);
        if let Some(hub_url) = self.hub_urls.get_mut(name) {
            hub_url.index.remove(id);
            hub_url.streams = hub_url.streams.saturating_sub(1);
            if hub_url.streams == 0 {
                self.hub_urls.remove(name);
            }
        }
    }

    /// Calls `act` with each stream that asks for one of the topics, and with the topics resolved for it.
    pub fn each(&self, topics: &[Topic], mut act: impl FnMut(u64, &[Subject<'_>])) {
        for hub_url in self.hub_urls.values() {
            let subjects = subjects(topics, &hub_url.base);
            for id in hub_url.index.candidates(&subjects) {
                act(id, &subjects);
            }
        }
    }
}

impl HubUrl {
    fn insert(&mut self, id: u64, interest: &Interest) -> Result<CompiledInterest, Invalid> {
        let selected = self.compile(&interest.selected)?;
        let granted = self.compile(&interest.granted)?;
        self.index.insert(id, &selected);
        self.streams += 1;
        Ok(CompiledInterest { hub: Rc::clone(&self.base), is_mercure: interest.hub.is_some(), selected, granted })
    }

    fn compile(&mut self, selectors: &[Selector]) -> Result<Vec<Rc<Matcher>>, Invalid> {
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

    fn admits(interest: &Interest, list: &[&str], private: bool) -> bool {
        let compiled = SubscriptionIndex::default().insert(1, interest).unwrap();
        let topics = topics(list);
        compiled.admits(&compiled.subjects(&topics), private, HearingRights::default())
    }

    fn reached(index: &SubscriptionIndex, list: &[&str]) -> Vec<u64> {
        let mut found = Vec::new();
        index.each(&topics(list), |id, _| found.push(id));
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
            let compiled = SubscriptionIndex::default().insert(1, interest).unwrap();
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
        let streams =
            [("https://one/hub", "https://one/:x"), ("https://two/hub", "https://two/:x"), ("https://two/hub", "/b")];
        for (id, (hub, pattern)) in (1..).zip(streams) {
            index.insert(id, &mercure(hub, &[(UrlPattern, pattern)], &[])).unwrap();
        }
        index.insert(9, &plain(&["*"], &[])).unwrap();
        assert_eq!(reached(&index, &["/b"]), [1, 2, 3, 9]);
        assert_eq!(reached(&index, &["https://one/b"]), [1, 9]);
        index.remove(1, &mercure("https://one/hub", &[], &[]));
        assert_eq!(reached(&index, &["/b"]), [2, 3, 9]);
        assert_eq!(index.hub_urls.len(), 2, "nothing is left of a URL that nobody asks by");
    }

    #[test]
    fn what_cannot_be_parsed_adds_nothing() {
        let mut index = SubscriptionIndex::default();
        assert!(index.insert(1, &mercure("https://h/hub", &[(MatchType::UrlPattern, "(")], &[])).is_err());
        assert!(index.insert(1, &mercure("no URL", &[], &[])).is_err());
        // A stream that was let in under wider bounds.
        let vast: Vec<String> = (0..90).map(|n| format!("/{n}-((?:[a-z]{{9}}){{9}})")).collect();
        let vast: Vec<_> = vast.iter().map(|text| (MatchType::UrlPattern, text.as_str())).collect();
        assert!(index.insert(1, &mercure("https://h/hub", &vast, &[])).is_err());
        assert!(index.insert(1, &mercure("https://h/hub", &[], &vast)).is_err());
        assert_eq!(reached(&index, &["a"]), [0; 0]);
        assert!(index.hub_urls.is_empty());
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
            for (id, interest) in (0..).zip(&interests) {
                index.insert(id, interest).unwrap();
            }
            for (id, interest) in (0..).zip(&interests).filter(|(id, _)| gone[*id as usize]) {
                index.remove(id, interest);
            }
            let asked: Vec<u64> = (0..).zip(&interests)
                .filter(|(id, interest)| !gone[*id as usize] && admits(interest, &list, false))
                .map(|(id, _)| id).collect();
            prop_assert_eq!(reached(&index, &list), asked);
        }
    }
}
