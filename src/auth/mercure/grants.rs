//! What a token grants: topics to publish on, topics to be sent private updates of, and what is told of who does.
//!
//! Pure. Invariants
//! - Nothing is granted of a token of which anything is wrong.
//! - What its signer may not allow, a token does not grant.

use serde_json::{Map, Value};

use crate::domain::mercure::Action;

/// The type of an entry of `authorization_details` that is ours to read.
const DETAIL: &str = "https://mercure.rocks/authorization-detail";
/// The matcher type of a topic that names none.
const EXACT: &str = "exact";
/// The matcher type of what tokens of before 1.0 name: `*`, a topic, or a URI Template.
pub const TOPIC: &str = "topic";
/// What matches every topic, whatever its type.
const EVERYTHING: &str = "*";
/// The names that the claim of before 1.0 had, the later one first.
const OLDER_CLAIMS: [&str; 2] = ["https://mercure.rocks/", "mercure"];

/// Most topics of all entries together; so there are no more entries either, for each has one.
const MAX_TOPICS: usize = 100;
/// The longest topic or pattern, and the largest payload as JSON, in bytes.
const MAX_VALUE: usize = 4096;
const MAX_PAYLOAD: usize = 4096;

/// Whether there is a matcher of that type, and this is one: `(match_type, value)`.
pub type IsMatcher = fn(&str, &str) -> bool;

/// Topics that a token opens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Granted {
    /// How the value is meant: `exact`, `urlpattern`, or [`TOPIC`] in a token of before 1.0.
    pub match_type: String,
    /// A topic, a pattern, or `*`.
    pub value: String,
}

/// What a token grants.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Grants {
    /// What the holder may publish on.
    pub publish: Vec<Granted>,
    /// Whose private updates the holder is sent.
    pub subscribe: Vec<Granted>,
    payloads: Vec<Payload>,
}

/// What an entry tells of subscriptions.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Payload {
    /// Of which: the place in `subscribe` where the entry's topics end; none for all.
    end: Option<usize>,
    /// What it tells, if anything.
    told: Option<Value>,
}

impl Grants {
    /// What is told of a subscription with this matcher: the payload of the first entry of which a topic matches the
    /// matcher's own text, taken as a topic.
    pub fn payload(&self, matcher: &str, matches: impl Fn(&Granted, &str) -> bool) -> Option<&Value> {
        let fits = |topic: &Granted| topic.value == EVERYTHING || matches(topic, matcher);
        let mut start = 0;
        for Payload { end, told } in &self.payloads {
            let Some(end) = *end else { return told.as_ref() };
            if self.subscribe.get(start..end).is_some_and(|topics| topics.iter().any(fits)) {
                return told.as_ref();
            }
            start = end;
        }
        None
    }
}

/// Grants as they are read.
pub struct Reading<'a> {
    allows: &'a [Action],
    is_matcher: IsMatcher,
    grants: Grants,
    topics: usize,
}

impl<'a> Reading<'a> {
    /// Begins to read a token, whose signer may allow this.
    pub fn new(allows: &'a [Action], is_matcher: IsMatcher) -> Self {
        Self { allows, is_matcher, grants: Grants::default(), topics: 0 }
    }

    /// Reads `authorization_details` (RFC 9396). The error says what is wrong, for the log.
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
        let told = match detail.get("payload") {
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
            self.grants.payloads.push(Payload { end: Some(self.grants.subscribe.len()), told });
        }
        Ok(())
    }

    fn topic(&self, topic: &Value) -> Result<Granted, &'static str> {
        let text = |name: &str| match topic.get(name) {
            None => Ok(None),
            Some(value) => value.as_str().map(Some).ok_or("topics"),
        };
        let value = text("match")?.ok_or("topics")?;
        self.granted(text("match_type")?.unwrap_or(EXACT), value)
    }

    /// Reads the claim of before 1.0. The error says what is wrong, for the log.
    pub fn older_claim(mut self, claims: &Map<String, Value>) -> Result<Grants, &'static str> {
        let Some(claim) = OLDER_CLAIMS.iter().find_map(|name| claims.get(*name)) else { return Ok(self.grants) };
        let claim = claim.as_object().ok_or("mercure")?;
        let publish = self.selectors(claim, "publish")?;
        let subscribe = self.selectors(claim, "subscribe")?;
        let told = claim.get("payload").filter(|payload| !payload.is_null()).map(bounded).transpose()?;
        if self.allows.contains(&Action::Publish) {
            self.grants.publish = publish;
        }
        if self.allows.contains(&Action::Subscribe) {
            self.grants.subscribe = subscribe;
            self.grants.payloads = vec![Payload { end: None, told }];
        }
        Ok(self.grants)
    }

    fn selectors(&mut self, claim: &Map<String, Value>, name: &'static str) -> Result<Vec<Granted>, &'static str> {
        let listed = match claim.get(name) {
            None | Some(Value::Null) => return Ok(Vec::new()),
            Some(listed) => listed.as_array().ok_or(name)?,
        };
        self.count(listed)?;
        listed.iter().map(|selector| self.granted(TOPIC, selector.as_str().ok_or(name)?)).collect()
    }

    fn granted(&self, match_type: &str, value: &str) -> Result<Granted, &'static str> {
        if value.len() > MAX_VALUE || !(self.is_matcher)(match_type, value) {
            return Err("topics");
        }
        Ok(Granted { match_type: match_type.to_owned(), value: value.to_owned() })
    }

    fn count(&mut self, topics: &[Value]) -> Result<(), &'static str> {
        self.topics += topics.len();
        if self.topics > MAX_TOPICS { Err("topics") } else { Ok(()) }
    }
}

/// A payload within its bound.
fn bounded(payload: &Value) -> Result<Value, &'static str> {
    if payload.to_string().len() > MAX_PAYLOAD { Err("payload") } else { Ok(payload.clone()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    const BOTH: &[Action] = &[Action::Publish, Action::Subscribe];

    fn is_matcher(match_type: &str, value: &str) -> bool {
        matches!(match_type, "exact" | "urlpattern" | "topic") && value != "invalid"
    }

    fn object(value: Value) -> Map<String, Value> {
        value.as_object().unwrap().clone()
    }

    fn details(details: Value) -> Result<Grants, &'static str> {
        Reading::new(BOTH, is_matcher).details(&object(json!({"authorization_details": details})))
    }

    fn older(claim: Value) -> Result<Grants, &'static str> {
        Reading::new(BOTH, is_matcher).older_claim(&object(json!({"mercure": claim})))
    }

    fn entry(change: Value) -> Value {
        let mut entry = json!({"type": DETAIL, "actions": ["publish", "subscribe"], "topics": [{"match": "a"}]});
        for (name, value) in object(change) {
            entry[name] = value;
        }
        entry
    }

    fn shown(granted: &[Granted]) -> Vec<String> {
        granted.iter().map(|one| format!("{}:{}", one.match_type, one.value)).collect()
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
        assert_eq!(Reading::new(BOTH, is_matcher).details(&Map::new()), Ok(Grants::default()));
        assert_eq!(details(json!([])), Ok(Grants::default()));
        assert_eq!(details(json!([{"type": "mercure"}])), Ok(Grants::default()));
        // What counted before 1.0 counts for nothing here.
        let older = object(json!({"mercure": {"publish": ["*"]}}));
        assert_eq!(Reading::new(BOTH, is_matcher).details(&older), Ok(Grants::default()));
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
            (json!({"topics": [{"match": "invalid"}]}), "topics"),
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
            tells(json!({"match": "/b/", "match_type": "urlpattern"}), json!({"n": 2})),
            entry(json!({"actions": ["publish"], "topics": [{"match": "*"}], "payload": {"n": 3}})),
            tells(json!({"match": "*"}), json!({"n": 4})),
            tells(json!({"match": "late"}), json!({"n": 5})),
        ]));
        let granted = granted.unwrap();
        let matches = |granted: &Granted, topic: &str| match granted.match_type.as_str() {
            "urlpattern" => topic.starts_with(&granted.value),
            _ => topic == granted.value,
        };
        let payload = |matcher: &str| granted.payload(matcher, matches).map(|told| told["n"].clone());
        assert_eq!(payload("silent"), None);
        assert_eq!(payload("/b/:id"), Some(json!(2)));
        assert_eq!((payload("late"), payload("*")), (Some(json!(4)), Some(json!(4))));
        let without = details(json!([tells(json!({"match": "a"}), json!({"n": 1}))])).unwrap();
        assert_eq!(without.payload("b", matches), None);
    }

    #[test]
    fn a_claim_of_before_1_0_grants_what_it_lists() {
        let claim = json!({"publish": ["*"], "subscribe": ["https://a.test/{id}", "b"], "payload": "anything"});
        let granted = older(claim.clone()).unwrap();
        assert_eq!(shown(&granted.publish), ["topic:*"]);
        assert_eq!(shown(&granted.subscribe), ["topic:https://a.test/{id}", "topic:b"]);
        assert_eq!(granted.payload("whatever", |_, _| false), Some(&json!("anything")));
        let named = object(json!({"https://mercure.rocks/": claim, "mercure": {"publish": ["other"]}}));
        assert_eq!(Reading::new(BOTH, is_matcher).older_claim(&named), Ok(granted));
        for nothing in [json!({}), json!({"publish": [], "subscribe": null}), json!({"publish": null})] {
            let granted = older(nothing).unwrap();
            assert!(granted.publish.is_empty() && granted.subscribe.is_empty());
        }
        assert_eq!(Reading::new(BOTH, is_matcher).older_claim(&Map::new()), Ok(Grants::default()));
        let details = object(json!({"authorization_details": [entry(json!({}))]}));
        assert_eq!(Reading::new(BOTH, is_matcher).older_claim(&details), Ok(Grants::default()));
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
            (json!({"subscribe": ["invalid"]}), "topics"),
            (json!({"publish": many, "subscribe": many}), "topics"),
            (json!({"payload": "x".repeat(4096)}), "payload"),
        ] {
            assert_eq!(older(claim.clone()), Err(wrong), "{claim}");
        }
    }

    #[test]
    fn what_the_signer_may_not_allow_is_not_granted() {
        let new = object(json!({"authorization_details": [entry(json!({"payload": {"a": 1}}))]}));
        let old = object(json!({"mercure": {"publish": ["a"], "subscribe": ["a"], "payload": {"a": 1}}}));
        for (allows, publish, subscribe) in
            [(&[][..], 0, 0), (&[Action::Publish], 1, 0), (&[Action::Subscribe], 0, 1), (BOTH, 1, 1)]
        {
            for granted in [
                Reading::new(allows, is_matcher).details(&new).unwrap(),
                Reading::new(allows, is_matcher).older_claim(&old).unwrap(),
            ] {
                assert_eq!((granted.publish.len(), granted.subscribe.len()), (publish, subscribe));
                assert_eq!(granted.payload("a", |_, _| true).is_some(), subscribe == 1);
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
