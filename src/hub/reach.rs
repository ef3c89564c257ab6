//! Which streams an event reaches, and what each of them may see of it.
//!
//! Invariants
//! - Interests are compiled once while the hub is awake; the cost of a publish grows with the event's topics and the
//!   streams that match, not with those that do not.
//! - A private event reaches a stream of `/events` if one of its topics is both asked for and granted, and a stream of
//!   Mercure if one of its topics is asked for and one is granted: that is what each promises.

use std::collections::HashMap;
use std::rc::Rc;

use domain::error::Invalid;
use domain::matching::index::Index;
use domain::matching::matcher::{Matcher, Subject};
use domain::matching::topic_url::Base;
use domain::selector::{Interest, Selector};
use domain::topic::Topic;

/// What relative topics start from where nobody asks by URL.
const NO_HUB: &str = "hub://hub/";

/// What a stream asks for and may see, ready to be held against topics.
#[derive(Debug, Clone)]
pub struct Reach {
    hub: Rc<Base>,
    is_mercure: bool,
    selected: Vec<Rc<Matcher>>,
    granted: Vec<Rc<Matcher>>,
}

impl Reach {
    /// Whether an event on these topics is for the stream, but for its filter.
    pub fn admits(&self, topics: &[Subject<'_>], private: bool) -> bool {
        let any = |matchers: &[Rc<Matcher>], topic: &Subject<'_>| matchers.iter().any(|m| m.matches(topic));
        let selects = |topic: &Subject<'_>| any(&self.selected, topic);
        let grants = |topic: &Subject<'_>| !private || any(&self.granted, topic);
        if self.is_mercure {
            return topics.iter().any(selects) && topics.iter().any(grants);
        }
        topics.iter().any(|topic| selects(topic) && grants(topic))
    }

    /// An event's topics, as this stream looks at them.
    pub fn subjects<'t>(&'t self, topics: &'t [Topic]) -> Vec<Subject<'t>> {
        subjects(topics, &self.hub)
    }
}

/// The streams that ask by one URL of the hub.
#[derive(Debug)]
struct Door {
    hub: Rc<Base>,
    index: Index<u64>,
    streams: usize,
}

/// The index of all streams.
#[derive(Debug, Default)]
pub struct Reached {
    /// By the hub's URL as clients see it: a tenant has as many as hosts, and the streams of `/events` need none.
    doors: HashMap<Box<str>, Door>,
}

impl Reached {
    /// Compiles what a stream asks for, and adds it.
    pub fn insert(&mut self, id: u64, interest: &Interest) -> Result<Reach, Invalid> {
        let name = interest.hub.as_deref().unwrap_or(NO_HUB);
        if !self.doors.contains_key(name) {
            let door = Door { hub: Rc::new(Base::parse(name)?), index: Index::default(), streams: 0 };
            self.doors.insert(name.into(), door);
        }
        let Some(door) = self.doors.get_mut(name) else { return Err(Invalid::new("invalid_url", "is no URL")) };
        let selected = compiled(&mut door.index, &door.hub, &interest.selected)?;
        let granted = compiled(&mut door.index, &door.hub, &interest.granted)?;
        door.index.insert(id, &selected);
        door.streams += 1;
        Ok(Reach { hub: Rc::clone(&door.hub), is_mercure: interest.hub.is_some(), selected, granted })
    }

    /// Removes a stream that was inserted with this interest.
    pub fn remove(&mut self, id: u64, interest: &Interest) {
        let name = interest.hub.as_deref().unwrap_or(NO_HUB);
        if let Some(door) = self.doors.get_mut(name) {
            door.index.remove(id);
            door.streams = door.streams.saturating_sub(1);
            if door.streams == 0 {
                self.doors.remove(name);
            }
        }
    }

    /// Hands over each stream that asks for one of the topics, with the topics as it looks at them.
    pub fn each(&self, topics: &[Topic], mut act: impl FnMut(u64, &[Subject<'_>])) {
        for door in self.doors.values() {
            let subjects = subjects(topics, &door.hub);
            for id in door.index.candidates(&subjects) {
                act(id, &subjects);
            }
        }
    }
}

fn subjects<'t>(topics: &'t [Topic], hub: &'t Base) -> Vec<Subject<'t>> {
    topics.iter().map(|topic| Subject::new(topic.as_str(), hub)).collect()
}

fn compiled(index: &mut Index<u64>, hub: &Base, selectors: &[Selector]) -> Result<Vec<Rc<Matcher>>, Invalid> {
    let compile = |selector: &Selector| match selector {
        Selector::Typed(kind, text) => index.share(*kind, text, hub),
        plain => plain.matcher(hub).map(Rc::new),
    };
    selectors.iter().map(compile).collect()
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
        let reach = Reached::default().insert(1, interest).unwrap();
        let topics = topics(list);
        reach.admits(&reach.subjects(&topics), private)
    }

    fn reached(index: &Reached, list: &[&str]) -> Vec<u64> {
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
    fn relative_topics_start_from_the_url_that_the_client_sees() {
        use MatchType::UrlPattern;
        let mut index = Reached::default();
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
        assert_eq!(index.doors.len(), 2, "nothing is left of a URL that nobody asks by");
    }

    #[test]
    fn what_cannot_be_read_adds_nothing() {
        let mut index = Reached::default();
        assert!(index.insert(1, &mercure("https://h/hub", &[(MatchType::UrlPattern, "(")], &[])).is_err());
        assert!(index.insert(1, &mercure("no URL", &[], &[])).is_err());
        assert_eq!(reached(&index, &["a"]), [0; 0]);
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
            let mut index = Reached::default();
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
