//! What a token grants: topics to publish on, topics whose private updates are received, and payloads that describe its
//! holder's subscriptions.
//!
//! Pure. Invariants
//! - A token with any mistake grants nothing.
//! - A token grants no action that its signer may not grant.

use std::rc::Rc;

use serde_json::{Map, Value};

use domain::matching::matcher::{MatchType, Matcher, Subject};
use domain::matching::steps::Steps;
use domain::matching::topic_url::Base;
use domain::mercure::Action;

/// The type of the entries of `authorization_details` that are read here.
pub const DETAIL: &str = "https://mercure.rocks/authorization-detail";
/// The match types that a topic may name; the first is the default.
const MATCH_TYPES: [MatchType; 2] = [MatchType::Exact, MatchType::UrlPattern];
/// The names of the claim before 1.0, the later one first.
const OLDER_CLAIMS: [&str; 2] = ["https://mercure.rocks/", "mercure"];

/// Most topics of all entries together; each entry has at least one, so this bounds the entries too.
const MAX_TOPICS: usize = 100;
/// The largest payload as JSON, in bytes.
const MAX_PAYLOAD: usize = 4096;

/// A matcher of topics that a token grants.
#[derive(Debug, Clone, PartialEq)]
pub struct Granted {
    /// How the text matches; in a token of before 1.0 as a URI template.
    pub match_type: MatchType,
    /// A topic, a pattern, or `*`.
    pub text: String,
    /// The text, compiled.
    pub matcher: Rc<Matcher>,
}

/// What a token grants.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Grants {
    /// The topics that the holder may publish on.
    pub publish: Vec<Granted>,
    /// The topics whose private updates the holder receives.
    pub subscribe: Vec<Granted>,
    payloads: Vec<GrantPayload>,
}

/// The payload of an entry.
#[derive(Debug, Clone, PartialEq, Eq)]
struct GrantPayload {
    /// The index in `subscribe` where the entry's topics end; none if the payload is for all topics.
    end: Option<usize>,
    /// The payload, if the entry has one.
    value: Option<Value>,
}

impl Grants {
    /// Whether an update on these topics may be published: all of them must be granted.
    pub fn may_publish(&self, topics: &[Subject<'_>]) -> bool {
        topics.iter().all(|topic| any(&self.publish, topic))
    }

    /// Whether a topic's private updates, or the document at a path, may be read.
    pub fn may_read(&self, topic: &Subject<'_>) -> bool {
        any(&self.subscribe, topic)
    }

    /// The payload that describes a subscription: that of the first entry with a topic that matches the text of the
    /// subscription's matcher, taken as a topic.
    pub fn payload(&self, matcher: &Subject<'_>) -> Option<&Value> {
        let mut start = 0;
        for GrantPayload { end, value } in &self.payloads {
            let Some(end) = *end else { return value.as_ref() };
            if self.subscribe.get(start..end).is_some_and(|topics| any(topics, matcher)) {
                return value.as_ref();
            }
            start = end;
        }
        None
    }
}

fn any(granted: &[Granted], topic: &Subject<'_>) -> bool {
    granted.iter().any(|granted| granted.matcher.matches(topic))
}

/// Reads grants.
pub struct GrantsReader<'a> {
    allows: &'a [Action],
    base: &'a Base,
    grants: Grants,
    topics: usize,
    /// What its patterns took to compile, all together.
    steps: Steps,
}

impl<'a> GrantsReader<'a> {
    /// Reads a token for the hub at `base`, whose signer may grant these actions.
    pub fn new(allows: &'a [Action], base: &'a Base) -> Self {
        Self { allows, base, grants: Grants::default(), topics: 0, steps: Steps::default() }
    }

    /// Reads `authorization_details` (RFC 9396). The error is the member that is wrong, for the log.
    pub fn details(mut self, claims: &Map<String, Value>) -> Result<Grants, &'static str> {
        let details = match claims.get("authorization_details") {
            None => return Ok(self.grants),
            Some(details) => details.as_array().ok_or("authorization_details")?,
        };
        for detail in details {
            let detail = detail.as_object().ok_or("authorization_details")?;
            if detail.get("type").and_then(Value::as_str) == Some(DETAIL) {
                self.detail(detail)?;
            }
        }
        Ok(self.grants)
    }

    fn detail(&mut self, detail: &Map<String, Value>) -> Result<(), &'static str> {
        let list = |name: &'static str| match detail.get(name) {
            Some(Value::Array(list)) if !list.is_empty() => Ok(list),
            _ => Err(name),
        };
        let actions = list("actions")?.iter().map(|action| action.as_str().ok_or("actions").map(Action::parse));
        let actions = actions.collect::<Result<Vec<_>, _>>()?;
        let topics = list("topics")?;
        self.count(topics)?;
        let topics = topics.iter().map(|topic| self.topic(topic)).collect::<Result<Vec<_>, _>>()?;
        let value = match detail.get("payload") {
            None => None,
            Some(payload) if payload.is_object() => Some(bounded(payload)?),
            Some(_) => return Err("payload"),
        };
        let allows = |action| actions.contains(&Some(action)) && self.allows.contains(&action);
        let (publishes, subscribes) = (allows(Action::Publish), allows(Action::Subscribe));
        if publishes {
            self.grants.publish.extend(topics.iter().cloned());
        }
        if subscribes {
            self.grants.subscribe.extend(topics);
            self.grants.payloads.push(GrantPayload { end: Some(self.grants.subscribe.len()), value });
        }
        Ok(())
    }

    fn topic(&mut self, topic: &Value) -> Result<Granted, &'static str> {
        let text = topic.get("match").and_then(Value::as_str).ok_or("topics")?;
        let kind = match topic.get("match_type") {
            None => MATCH_TYPES.first(),
            Some(named) => MATCH_TYPES.iter().find(|known| Some(known.name()) == named.as_str()),
        };
        self.granted(*kind.ok_or("topics")?, text)
    }

    /// Reads the claim of before 1.0. The error is the member that is wrong, for the log.
    pub fn older_claim(mut self, claims: &Map<String, Value>) -> Result<Grants, &'static str> {
        let Some(claim) = OLDER_CLAIMS.iter().find_map(|name| claims.get(*name)) else { return Ok(self.grants) };
        let claim = claim.as_object().ok_or("mercure")?;
        let publish = self.selectors(claim, "publish")?;
        let subscribe = self.selectors(claim, "subscribe")?;
        let value = claim.get("payload").filter(|payload| !payload.is_null()).map(bounded).transpose()?;
        if self.allows.contains(&Action::Publish) {
            self.grants.publish = publish;
        }
        if self.allows.contains(&Action::Subscribe) {
            self.grants.subscribe = subscribe;
            self.grants.payloads = vec![GrantPayload { end: None, value }];
        }
        Ok(self.grants)
    }

    fn selectors(&mut self, claim: &Map<String, Value>, name: &'static str) -> Result<Vec<Granted>, &'static str> {
        let listed = match claim.get(name) {
            None | Some(Value::Null) => return Ok(Vec::new()),
            Some(listed) => listed.as_array().ok_or(name)?,
        };
        self.count(listed)?;
        listed.iter().map(|selector| self.granted(MatchType::UriTemplate, selector.as_str().ok_or(name)?)).collect()
    }

    fn granted(&mut self, match_type: MatchType, text: &str) -> Result<Granted, &'static str> {
        let matcher = Matcher::parse(match_type, text, self.base).map_err(|_| "topics")?;
        self.steps.take(matcher.steps()).map_err(|_| "topics")?;
        Ok(Granted { match_type, text: text.to_owned(), matcher: Rc::new(matcher) })
    }

    fn count(&mut self, topics: &[Value]) -> Result<(), &'static str> {
        self.topics += topics.len();
        if self.topics > MAX_TOPICS { Err("topics") } else { Ok(()) }
    }
}

/// A payload that is not too large.
fn bounded(payload: &Value) -> Result<Value, &'static str> {
    if payload.to_string().len() > MAX_PAYLOAD { Err("payload") } else { Ok(payload.clone()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    const BOTH: &[Action] = &[Action::Publish, Action::Subscribe];

    fn base() -> Base {
        Base::parse("https://acme.test/.well-known/mercure").unwrap()
    }

    fn read_details(claims: Value, allows: &[Action]) -> Result<Grants, &'static str> {
        GrantsReader::new(allows, &base()).details(&object(claims))
    }

    fn read_older(claims: Value, allows: &[Action]) -> Result<Grants, &'static str> {
        GrantsReader::new(allows, &base()).older_claim(&object(claims))
    }

    fn object(value: Value) -> Map<String, Value> {
        value.as_object().unwrap().clone()
    }

    fn details(details: Value) -> Result<Grants, &'static str> {
        read_details(json!({"authorization_details": details}), BOTH)
    }

    fn older(claim: Value) -> Result<Grants, &'static str> {
        read_older(json!({"mercure": claim}), BOTH)
    }

    fn entry(change: Value) -> Value {
        let mut entry = json!({"type": DETAIL, "actions": ["publish", "subscribe"], "topics": [{"match": "a"}]});
        for (name, value) in object(change) {
            entry[name] = value;
        }
        entry
    }

    fn shown(granted: &[Granted]) -> Vec<String> {
        granted.iter().map(|one| format!("{}:{}", one.match_type.name(), one.text)).collect()
    }

    #[test]
    fn each_entry_grants_its_actions_on_its_topics() {
        let granted = details(json!([
            entry(json!({"actions": ["publish"]})),
            {"type": "https://example.com/other", "actions": 7},
            {"type": DETAIL.to_uppercase()},
            {},
            entry(json!({"actions": ["subscribe", "delete"],
                "topics": [{"match": "/b/:id", "match_type": "urlpattern"}, {"match": "*"}]})),
            entry(json!({"actions": ["later"]})),
        ]));
        let granted = granted.unwrap();
        assert_eq!(shown(&granted.publish), ["exact:a"]);
        assert_eq!(shown(&granted.subscribe), ["urlpattern:/b/:id", "exact:*"]);
    }

    #[test]
    fn no_entry_grants_nothing() {
        assert_eq!(read_details(json!({}), BOTH), Ok(Grants::default()));
        assert_eq!(details(json!([])), Ok(Grants::default()));
        assert_eq!(details(json!([{"type": "mercure"}])), Ok(Grants::default()));
        // What counted before 1.0 counts for nothing here.
        assert_eq!(read_details(json!({"mercure": {"publish": ["*"]}}), BOTH), Ok(Grants::default()));
    }

    #[test]
    fn one_bad_entry_spoils_the_token() {
        let long = json!([{"match": "x".repeat(4097)}]);
        let many: Vec<Value> = (0..101).map(|n| json!({"match": n.to_string()})).collect();
        for (change, wrong) in [
            (json!({"actions": null}), "actions"),
            (json!({"actions": []}), "actions"),
            (json!({"actions": "publish"}), "actions"),
            (json!({"actions": ["publish", 7]}), "actions"),
            (json!({"topics": null}), "topics"),
            (json!({"topics": []}), "topics"),
            (json!({"topics": {"match": "a"}}), "topics"),
            (json!({"topics": ["a"]}), "topics"),
            (json!({"topics": [{"match": "a"}, {}]}), "topics"),
            (json!({"topics": [{"match": 7}]}), "topics"),
            (json!({"topics": [{"match": "a", "match_type": null}]}), "topics"),
            (json!({"topics": [{"match": "a", "match_type": "Exact"}]}), "topics"),
            (json!({"topics": [{"match": "a", "match_type": "regex"}]}), "topics"),
            (json!({"topics": [{"match": "a", "match_type": "uritemplate"}]}), "topics"),
            (json!({"topics": [{"match": "a\u{200b}"}]}), "topics"),
            (json!({"topics": [{"match": "/(", "match_type": "urlpattern"}]}), "topics"),
            (json!({"topics": long}), "topics"),
            (json!({"topics": many}), "topics"),
            (json!({"payload": null}), "payload"),
            (json!({"payload": ["a"]}), "payload"),
            (json!({"payload": {"a": "x".repeat(4096)}}), "payload"),
            (json!({"actions": ["later"], "payload": "a"}), "payload"),
        ] {
            assert_eq!(details(json!([entry(json!({})), entry(change.clone())])), Err(wrong), "{change}");
        }
        for bad in [json!({}), json!("a"), json!(null), json!(["a"]), json!([null])] {
            assert_eq!(details(bad.clone()), Err("authorization_details"), "{bad}");
        }
    }

    #[test]
    fn entries_and_topics_are_bounded_together() {
        let entries = |count: usize, topics: usize| {
            let topics: Vec<Value> = (0..topics).map(|n| json!({"match": n.to_string()})).collect();
            details(vec![entry(json!({"topics": topics})); count].into())
        };
        assert!(entries(100, 1).is_ok() && entries(2, 50).is_ok());
        assert_eq!((entries(101, 1), entries(2, 51)), (Err("topics"), Err("topics")));
    }

    #[test]
    fn what_patterns_take_to_compile_is_bounded_together() {
        let pattern = |n: usize, inside: &str| json!({"match": format!("/{n}-({inside})"), "match_type": "urlpattern"});
        let granted = |count: usize, inside: &str| {
            let topics: Vec<Value> = (0..count).map(|n| pattern(n, inside)).collect();
            details(json!([entry(json!({"topics": topics}))])).map(|granted| granted.publish.len())
        };
        assert_eq!(granted(1, "(?:a{100}){100}"), Err("topics"));
        assert_eq!(granted(5, "(?:[a-z]{9}){9}"), Ok(5));
        assert_eq!(granted(90, "(?:[a-z]{9}){9}"), Err("topics"));
        assert_eq!(granted(90, "[a-z]{9}"), Ok(90));
        let templates = |publish: usize, subscribe: usize| {
            let of = |count: usize| vec![json!("/{a:128}"); count];
            older(json!({"publish": of(publish), "subscribe": of(subscribe)})).map(drop)
        };
        assert_eq!((templates(1, 0), templates(0, 1), templates(1, 1)), (Ok(()), Ok(()), Err("topics")));
        assert_eq!(older(json!({"subscribe": ["{a:128}".repeat(9)]})), Err("topics"));
    }

    #[test]
    fn the_first_entry_that_matches_a_matcher_tells_of_its_subscription() {
        let tells = |topic: Value, payload: Value| {
            let mut entry = entry(json!({"topics": [topic], "actions": ["subscribe"]}));
            if !payload.is_null() {
                entry["payload"] = payload;
            }
            entry
        };
        let granted = details(json!([
            tells(json!({"match": "silent"}), Value::Null),
            tells(json!({"match": "/b/*", "match_type": "urlpattern"}), json!({"n": 2})),
            entry(json!({"actions": ["publish"], "topics": [{"match": "*"}], "payload": {"n": 3}})),
            tells(json!({"match": "*"}), json!({"n": 4})),
            tells(json!({"match": "late"}), json!({"n": 5})),
        ]));
        let granted = granted.unwrap();
        let base = base();
        let payload = |matcher: &str| granted.payload(&Subject::new(matcher, &base)).map(|told| told["n"].clone());
        assert_eq!(payload("silent"), None);
        assert_eq!(payload("/b/:id"), Some(json!(2)));
        assert_eq!((payload("late"), payload("*")), (Some(json!(4)), Some(json!(4))));
        let without = details(json!([tells(json!({"match": "a"}), json!({"n": 1}))])).unwrap();
        assert_eq!(without.payload(&Subject::new("b", &base)), None);
    }

    #[test]
    fn every_topic_of_an_update_must_be_granted_and_one_of_what_is_read() {
        let pattern = json!({"match": "/books/:id", "match_type": "urlpattern"});
        let granted = details(json!([entry(json!({"topics": [{"match": "a"}, pattern]}))])).unwrap();
        let base = base();
        let subject = |topic| Subject::new(topic, &base);
        assert!(granted.may_publish(&[subject("a"), subject("https://acme.test/books/1")]));
        assert!(!granted.may_publish(&[subject("a"), subject("b")]));
        assert!(granted.may_read(&subject("/books/2")) && !granted.may_read(&subject("/books")));
        assert!(!Grants::default().may_publish(&[subject("a")]) && !Grants::default().may_read(&subject("a")));
    }

    #[test]
    fn a_claim_of_before_1_0_grants_what_it_lists() {
        let claim = json!({"publish": ["*"], "subscribe": ["https://a.test/{id}", "b"], "payload": "anything"});
        let granted = older(claim.clone()).unwrap();
        assert_eq!(shown(&granted.publish), ["uritemplate:*"]);
        assert_eq!(shown(&granted.subscribe), ["uritemplate:https://a.test/{id}", "uritemplate:b"]);
        assert_eq!(granted.payload(&Subject::new("whatever", &base())), Some(&json!("anything")));
        let named = json!({"https://mercure.rocks/": claim, "mercure": {"publish": ["other"]}});
        assert_eq!(read_older(named, BOTH), Ok(granted));
        for nothing in [json!({}), json!({"publish": [], "subscribe": null}), json!({"publish": null})] {
            let granted = older(nothing).unwrap();
            assert!(granted.publish.is_empty() && granted.subscribe.is_empty());
        }
        for other in [json!({}), json!({"authorization_details": [entry(json!({}))]})] {
            assert_eq!(read_older(other, BOTH), Ok(Grants::default()));
        }
    }

    #[test]
    fn a_bad_claim_of_before_1_0_spoils_the_token() {
        let many: Vec<String> = (0..51).map(|n| n.to_string()).collect();
        for (claim, wrong) in [
            (json!(null), "mercure"),
            (json!(["*"]), "mercure"),
            (json!({"publish": "*"}), "publish"),
            (json!({"subscribe": {"a": 1}}), "subscribe"),
            (json!({"publish": ["a"], "subscribe": [7]}), "subscribe"),
            (json!({"subscribe": ["a\n"]}), "topics"),
            (json!({"publish": many, "subscribe": many}), "topics"),
            (json!({"payload": "x".repeat(4096)}), "payload"),
        ] {
            assert_eq!(older(claim.clone()), Err(wrong), "{claim}");
        }
    }

    #[test]
    fn what_the_signer_may_not_allow_is_not_granted() {
        let new = json!({"authorization_details": [entry(json!({"payload": {"a": 1}}))]});
        let old = json!({"mercure": {"publish": ["a"], "subscribe": ["a"], "payload": {"a": 1}}});
        for (allows, publish, subscribe) in
            [(&[][..], 0, 0), (&[Action::Publish], 1, 0), (&[Action::Subscribe], 0, 1), (BOTH, 1, 1)]
        {
            for granted in [read_details(new.clone(), allows).unwrap(), read_older(old.clone(), allows).unwrap()] {
                assert_eq!((granted.publish.len(), granted.subscribe.len()), (publish, subscribe));
                assert_eq!(granted.payload(&Subject::new("a", &base())).is_some(), subscribe == 1);
            }
        }
    }

    proptest! {
        #[test]
        fn no_claims_break_the_reader(name in "(type|actions|topics|payload)", text in "\\PC{0,9}", n: i64) {
            for value in [json!(text), json!([text]), json!([n]), json!({text.clone(): n}), json!([{"match": text}])] {
                let _ = details(json!([entry(json!({ name.clone(): value }))]));
                let _ = older(json!({ name.clone(): value, "publish": value }));
            }
        }
    }
}
