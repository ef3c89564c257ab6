//! The right to hear private events. It follows from the right to read: who may read the tenant's events hears the private
//! ones on every topic but those of records, and who may read records hears those. What tells that somebody listens to
//! records takes both: it names their collections.

use serde::{Deserialize, Serialize};

use crate::matching::matcher::MatchType;
use crate::permission::{Permission, Permissions};
use crate::selector::{RECORDS, Selector};

/// Which private events somebody may hear.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct HearingRights {
    /// Those on every topic but `records/…`.
    #[serde(default)]
    pub events: bool,
    /// Those on `records/…`.
    #[serde(default)]
    pub records: bool,
}

impl HearingRights {
    /// The rights that follow from permissions.
    pub fn of(permissions: Permissions) -> Self {
        Self { events: permissions.has(Permission::EventsRead), records: permissions.has(Permission::RecordsRead) }
    }

    /// Whether there is no such right.
    pub fn is_none(self) -> bool {
        !self.events && !self.records
    }

    /// Whether private events on a topic may be heard.
    pub fn opens(self, topic: &str) -> bool {
        let of = reach_of_topic(topic);
        (self.events || !of.events) && (self.records || !of.records)
    }

    /// Whether it may be told that somebody subscribes by this text, which may name a collection.
    pub fn may_know_of(self, selector: &str) -> bool {
        self.records || !names_records(selector)
    }

    /// The permission that is missing to hand on the right to what a selector can match; none if these rights cover it.
    pub fn missing_for(self, selector: &Selector) -> Option<Permission> {
        let of = reach(selector);
        if of.records && !self.records {
            return Some(Permission::RecordsRead);
        }
        (of.events && !self.events).then_some(Permission::EventsRead)
    }
}

/// What the topics of subscription events begin with. They name what is subscribed to.
const PRESENCE: &str = "/.well-known/mercure/subscriptions/";

/// Whether a text may name a collection, as a topic, a pattern or percent-encoded.
fn names_records(text: &str) -> bool {
    text.contains("records")
}

/// What hearing a topic takes.
fn reach_of_topic(text: &str) -> HearingRights {
    let records = text.starts_with(RECORDS);
    let tells_of_records = text.starts_with(PRESENCE) && names_records(text);
    HearingRights { records: records || tells_of_records, events: !records }
}

/// What a selector could match. A pattern could match anything: what it says is only known once a topic is resolved.
fn reach(selector: &Selector) -> HearingRights {
    let exact = reach_of_topic;
    let prefix = |text: &str| HearingRights {
        records: [RECORDS, PRESENCE].iter().any(|begin| text.starts_with(begin) || begin.starts_with(text)),
        events: !text.starts_with(RECORDS),
    };
    match selector {
        Selector::Typed(_, text) if **text == *"*" => HearingRights { events: true, records: true },
        Selector::Exact(text) | Selector::Typed(MatchType::Exact, text) => exact(text),
        Selector::Prefix(text) => prefix(text),
        Selector::Typed(MatchType::UriTemplate, text) => match text.split_once('{') {
            None => exact(text),
            Some((literal, _)) => prefix(literal),
        },
        Selector::Typed(MatchType::UrlPattern, _) => HearingRights { events: true, records: true },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::matching::matcher::Subject;
    use crate::matching::topic_url::Base;
    use proptest::prelude::*;

    const ALL: [HearingRights; 4] = [
        HearingRights { events: false, records: false },
        HearingRights { events: true, records: false },
        HearingRights { events: false, records: true },
        HearingRights { events: true, records: true },
    ];

    #[test]
    fn rights_follow_from_permissions() {
        let of = |listed: &[Permission]| HearingRights::of(Permissions::of(listed));
        assert!(of(&[Permission::SubscriberTokensWrite, Permission::TenantConfigure]).is_none());
        assert!(of(&[Permission::EventsRead]).opens("orders") && !of(&[Permission::EventsRead]).opens("records/leads"));
        assert!(
            of(&[Permission::RecordsRead]).opens("records/leads/7") && !of(&[Permission::RecordsRead]).opens("records")
        );
        assert_eq!(HearingRights::of(Permissions::ALL), HearingRights { events: true, records: true });
    }

    #[test]
    fn who_listens_to_records_is_told_to_who_may_read_them() {
        let (events, records, both) = (ALL[1], ALL[2], ALL[3]);
        let told = "/.well-known/mercure/subscriptions/exact/records%2Fleads/urn%3Auuid%3A1";
        assert!(both.opens(told) && !events.opens(told) && !records.opens(told));
        assert!(events.opens("/.well-known/mercure/subscriptions/exact/orders/urn%3Auuid%3A1"));
        for text in ["records/leads", "records/*", "/records/:id", "https://a.test/records/leads", "records%2Fleads"] {
            assert!(both.may_know_of(text) && !events.may_know_of(text), "{text}");
        }
        assert!(events.may_know_of("orders") && events.may_know_of("*"));
        let template = "/.well-known/mercure/subscriptions/{+all}";
        for selector in [Selector::Typed(MatchType::UriTemplate, template.into()), Selector::Exact(told.into())] {
            assert_eq!(events.missing_for(&selector), Some(Permission::RecordsRead), "{selector:?}");
        }
    }

    #[test]
    fn a_selector_needs_the_right_to_all_that_it_could_match() {
        let (events, records, both) = (ALL[1], ALL[2], ALL[3]);
        let typed = |kind, text: &str| Selector::Typed(kind, text.into());
        for (selector, needs) in [
            (Selector::parse("orders").unwrap(), events),
            (Selector::parse("records").unwrap(), events),
            (Selector::parse("recordsx*").unwrap(), events),
            (Selector::parse("Records/leads").unwrap(), events),
            (Selector::parse("records/leads").unwrap(), records),
            (Selector::parse("records/*").unwrap(), records),
            (Selector::parse("records/le*").unwrap(), records),
            (Selector::parse("rec*").unwrap(), both),
            (Selector::parse("records*").unwrap(), both),
            (Selector::parse("*").unwrap(), both),
            (typed(MatchType::Exact, "*"), both),
            (typed(MatchType::Exact, "records/a"), records),
            (typed(MatchType::UrlPattern, "/books/:id"), both),
            (typed(MatchType::UriTemplate, "records/{id}"), records),
            (typed(MatchType::UriTemplate, "{+all}"), both),
            (typed(MatchType::UriTemplate, "rec{+all}"), both),
            (typed(MatchType::UriTemplate, "books/{id}"), events),
            (typed(MatchType::UriTemplate, "books"), events),
        ] {
            for rights in ALL {
                let covered = (rights.events || !needs.events) && (rights.records || !needs.records);
                assert_eq!(rights.missing_for(&selector).is_none(), covered, "{selector:?} {rights:?}");
            }
        }
        assert_eq!(events.missing_for(&Selector::parse("*").unwrap()), Some(Permission::RecordsRead));
        assert_eq!(records.missing_for(&Selector::parse("*").unwrap()), Some(Permission::EventsRead));
    }

    proptest! {
        /// Whoever may hand a selector on may hear every topic that it matches.
        #[test]
        fn nobody_hands_on_more_than_they_hold(
            selector in "(records|record|rec|re)?/?[a-b]{0,2}\\*?",
            topic in "(records|record|rec|re)?/?[a-b]{0,2}",
            rights in prop::sample::select(ALL.to_vec()),
        ) {
            let base = Base::parse("https://h/").unwrap();
            let Ok(selector) = Selector::parse(&selector) else { return Ok(()) };
            let matches = selector.matcher(&base).unwrap().matches(&Subject::new(&topic, &base));
            if matches && rights.missing_for(&selector).is_none() {
                prop_assert!(rights.opens(&topic), "{selector:?} {topic}");
            }
        }
    }
}
