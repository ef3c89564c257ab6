//! Preconditions of a request (RFC 9110, 13): whether it is done at all, by the state that its sender has seen.
//!
//! They count only where the request would succeed without them (13.2.1): so a handler finds its resource, and looks
//! whether it can do what is asked, before it holds the conditions against the state.
//!
//! A header without a value is a condition too: `If-Match` without a tag matches nothing (13.1.1).

use super::etag::EntityTags;
use super::incoming::Incoming;
use super::problem::{self, Problem};
use domain::clock::Timestamp;
use domain::http_date;

/// The conditions that a request sent. A date that is none is as good as not sent (13.1.3, 13.1.4).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Preconditions {
    if_match: Option<EntityTags>,
    if_none_match: Option<EntityTags>,
    if_modified_since: Option<Timestamp>,
    if_unmodified_since: Option<Timestamp>,
}

/// What tells the state of a resource.
#[derive(Debug, Clone, Copy)]
pub struct Validators<'a> {
    /// Its entity tag, which is strong.
    pub etag: &'a str,
    /// When it became what it is. Without one, conditions on dates do not count (13.1.3, 13.1.4).
    pub modified: Option<Timestamp>,
}

impl<'a> Validators<'a> {
    /// Of a resource that tells no time.
    pub fn tag(etag: &'a str) -> Self {
        Self { etag, modified: None }
    }
}

/// What the conditions come to (13.2.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum PreconditionVerdict {
    /// Do what is asked.
    Hold,
    /// The client has what it reads: 304.
    Unchanged,
    /// 412.
    Fail,
}

/// Whether a request only reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum RequestEffect {
    /// GET or HEAD.
    Reads,
    /// Any other method.
    Changes,
}

impl Preconditions {
    /// Those of a request. `now` tells the century of dates of the oldest form.
    pub fn of(request: &Incoming, now: Timestamp) -> Self {
        Self::read(|name| request.header_as_sent(name), now)
    }

    /// `If-Match` alone, from wherever it was sent.
    pub fn if_match(list: Option<&str>) -> Self {
        Self { if_match: list.map(EntityTags::parse), ..Self::default() }
    }

    fn read(header: impl Fn(&str) -> Option<String>, now: Timestamp) -> Self {
        let tags = |sent: Option<String>| sent.map(|list| EntityTags::parse(&list));
        let date = |sent: Option<String>| sent.and_then(|text| http_date::parse(&text, now));
        Self {
            if_match: tags(header("If-Match")),
            if_none_match: tags(header("If-None-Match")),
            if_modified_since: date(header("If-Modified-Since")),
            if_unmodified_since: date(header("If-Unmodified-Since")),
        }
    }

    /// Whether there are none that a change is held against.
    pub fn are_open_to_changes(&self) -> bool {
        self.if_match.is_none() && self.if_none_match.is_none() && self.if_unmodified_since.is_none()
    }

    /// Whether a change is asked for only where nothing is yet: `If-None-Match: *`, and nothing that speaks of what is there.
    pub fn want_nothing_there(&self) -> bool {
        self.if_none_match == Some(EntityTags::Any) && self.if_match.is_none()
    }

    /// For a request that reads: whether its sender has this state already, and is told 304. Fails with 412.
    pub fn is_known(&self, current: Validators<'_>) -> Result<bool, Problem> {
        match self.judge(Some(current), RequestEffect::Reads) {
            PreconditionVerdict::Hold => Ok(false),
            PreconditionVerdict::Unchanged => Ok(true),
            PreconditionVerdict::Fail => Err(problem::precondition_failed()),
        }
    }

    /// For a request that changes what is there, or makes what is not there yet: fails with 412.
    pub fn check(&self, current: Option<Validators<'_>>) -> Result<(), Problem> {
        match self.judge(current, RequestEffect::Changes) {
            PreconditionVerdict::Hold => Ok(()),
            PreconditionVerdict::Unchanged | PreconditionVerdict::Fail => Err(problem::precondition_failed()),
        }
    }

    /// The order of 13.2.2: tags go before dates, and what the sender has changed before what it knows. `If-Range` comes
    /// behind all of them, with the range.
    fn judge(&self, current: Option<Validators<'_>>, effect: RequestEffect) -> PreconditionVerdict {
        let modified = current.and_then(|current| current.modified).map(Timestamp::seconds);
        let is_as_seen = match (&self.if_match, self.if_unmodified_since) {
            (Some(tags), _) => current.is_some_and(|current| tags.name_strongly(current.etag)),
            (None, Some(date)) => modified.is_none_or(|modified| modified <= date.seconds()),
            (None, None) => true,
        };
        if !is_as_seen {
            return PreconditionVerdict::Fail;
        }
        let is_known = match (&self.if_none_match, self.if_modified_since) {
            (Some(tags), _) => current.is_some_and(|current| tags.name_weakly(current.etag)),
            (None, Some(date)) if effect == RequestEffect::Reads => {
                modified.is_some_and(|modified| modified <= date.seconds())
            }
            (None, Some(_) | None) => false,
        };
        match (is_known, effect) {
            (false, _) => PreconditionVerdict::Hold,
            (true, RequestEffect::Reads) => PreconditionVerdict::Unchanged,
            (true, RequestEffect::Changes) => PreconditionVerdict::Fail,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::PreconditionVerdict::{Fail, Hold, Unchanged};
    use super::RequestEffect::{Changes, Reads};
    use super::*;
    use proptest::prelude::*;

    const BEFORE: &str = "Sun, 06 Nov 1994 08:49:36 GMT";
    const THEN: &str = "Sun, 06 Nov 1994 08:49:37 GMT";
    const LATER: &str = "Sunday, 06-Nov-94 08:49:38 GMT";

    /// Headers, what a read comes to, what a change comes to.
    type ConditionCase = (&'static [(&'static str, &'static str)], PreconditionVerdict, PreconditionVerdict);

    fn there() -> Option<Validators<'static>> {
        // Half a second behind what its date says.
        Some(Validators { etag: "\"a\"", modified: Some(Timestamp::from_millis(784_111_777_500)) })
    }

    fn of(headers: &[(&str, &str)]) -> Preconditions {
        let find = |name: &str| headers.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned());
        Preconditions::read(find, Timestamp::from_millis(1_800_000_000_000))
    }

    /// RFC 9110, 13.1 and 13.2.2, stated case by case: headers, what a read comes to, what a change comes to.
    #[test]
    fn each_condition_and_their_order() {
        let cases: &[ConditionCase] = &[
            (&[], Hold, Hold),
            (&[("If-Match", "\"a\"")], Hold, Hold),
            (&[("If-Match", "*")], Hold, Hold),
            (&[("If-Match", "\"b\", \"a\"")], Hold, Hold),
            (&[("If-Match", "\"b\"")], Fail, Fail),
            (&[("If-Match", "W/\"a\"")], Fail, Fail),
            (&[("If-Match", "a")], Fail, Fail),
            (&[("If-Match", "")], Fail, Fail),
            (&[("If-Match", " , ")], Fail, Fail),
            (&[("If-None-Match", "\"a\"")], Unchanged, Fail),
            (&[("If-None-Match", "W/\"a\"")], Unchanged, Fail),
            (&[("If-None-Match", "*")], Unchanged, Fail),
            (&[("If-None-Match", "\"b\", W/\"a\"")], Unchanged, Fail),
            (&[("If-None-Match", "\"b\"")], Hold, Hold),
            (&[("If-None-Match", "")], Hold, Hold),
            (&[("If-Unmodified-Since", THEN)], Hold, Hold),
            (&[("If-Unmodified-Since", LATER)], Hold, Hold),
            (&[("If-Unmodified-Since", BEFORE)], Fail, Fail),
            (&[("If-Unmodified-Since", "yesterday")], Hold, Hold),
            (&[("If-Unmodified-Since", "")], Hold, Hold),
            (&[("If-Modified-Since", THEN)], Unchanged, Hold),
            (&[("If-Modified-Since", LATER)], Unchanged, Hold),
            (&[("If-Modified-Since", BEFORE)], Hold, Hold),
            (&[("If-Modified-Since", "784111777")], Hold, Hold),
            // Tags go before dates.
            (&[("If-Match", "\"a\""), ("If-Unmodified-Since", BEFORE)], Hold, Hold),
            (&[("If-Match", "\"b\""), ("If-Unmodified-Since", LATER)], Fail, Fail),
            (&[("If-None-Match", "\"b\""), ("If-Modified-Since", LATER)], Hold, Hold),
            (&[("If-None-Match", "\"a\""), ("If-Modified-Since", BEFORE)], Unchanged, Fail),
            (&[("If-Match", ""), ("If-Unmodified-Since", LATER)], Fail, Fail),
            (&[("If-None-Match", ""), ("If-Modified-Since", LATER)], Hold, Hold),
            // And 412 before 304.
            (&[("If-Match", "\"b\""), ("If-None-Match", "\"a\"")], Fail, Fail),
            (&[("If-Unmodified-Since", BEFORE), ("If-None-Match", "\"a\"")], Fail, Fail),
            (&[("If-Match", "\"a\""), ("If-None-Match", "\"a\"")], Unchanged, Fail),
            (&[("If-Unmodified-Since", LATER), ("If-Modified-Since", LATER)], Unchanged, Hold),
        ];
        for (headers, read, change) in cases {
            let conditions = of(headers);
            assert_eq!(
                (conditions.judge(there(), Reads), conditions.judge(there(), Changes)),
                (*read, *change),
                "{headers:?}"
            );
        }
    }

    #[test]
    fn where_nothing_is_nothing_matches() {
        for (headers, verdict) in [
            (("If-Match", "*"), Fail),
            (("If-Match", "\"a\""), Fail),
            (("If-Match", ""), Fail),
            (("If-None-Match", "*"), Hold),
            (("If-None-Match", "\"a\""), Hold),
            (("If-None-Match", ""), Hold),
            (("If-Unmodified-Since", BEFORE), Hold),
        ] {
            assert_eq!(of(&[headers]).judge(None, Changes), verdict, "{headers:?}");
        }
    }

    #[test]
    fn dates_do_not_count_where_no_time_is_told() {
        for name in ["If-Unmodified-Since", "If-Modified-Since"] {
            for effect in [Reads, Changes] {
                assert_eq!(of(&[(name, BEFORE)]).judge(Some(Validators::tag("\"a\"")), effect), Hold, "{name}");
            }
        }
    }

    #[test]
    fn only_a_star_wants_nothing_there() {
        assert!(of(&[("If-None-Match", "*")]).want_nothing_there());
        for headers in [&[][..], &[("If-None-Match", "\"a\"")], &[("If-None-Match", "*"), ("If-Match", "*")]] {
            assert!(!of(headers).want_nothing_there(), "{headers:?}");
        }
        assert!(of(&[("If-Modified-Since", THEN)]).are_open_to_changes());
        assert!(!of(&[("If-Unmodified-Since", THEN)]).are_open_to_changes());
    }

    proptest! {
        /// A change is never "unchanged", and what fails for a read fails for a change.
        #[test]
        fn a_change_holds_or_fails(
            tags in prop::option::of("\"[ab]\"|W/\"[ab]\"|\\*"),
            others in prop::option::of("\"[ab]\"|W/\"[ab]\"|\\*"),
            is_there in any::<bool>(),
        ) {
            let mut headers = Vec::new();
            headers.extend(tags.as_deref().map(|list| ("If-Match", list)));
            headers.extend(others.as_deref().map(|list| ("If-None-Match", list)));
            let (conditions, current) = (of(&headers), there().filter(|_| is_there));
            let (read, change) = (conditions.judge(current, Reads), conditions.judge(current, Changes));
            prop_assert_ne!(change, Unchanged);
            prop_assert_eq!(change == Hold, read == Hold);
        }
    }
}
