//! Active subscriptions (Mercure, "Active Subscriptions"): their documents, and the table of those that were announced.
//!
//! Invariant: a subscription whose start was announced is in the table until its end is announced. So a hub that lost its
//! sockets knows whose end it has to announce.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::protocol::Presence;
use super::sqlite::{self, Sqlite, SqliteError, cells};
use domain::clock::Timestamp;
use domain::json;
use domain::matching::matcher::MatchType;
use domain::selector::Selector;

/// What the topics of subscription events begin with.
const TOPICS: &str = "/.well-known/mercure/subscriptions";

/// How long a stream may be without its socket before its subscriptions have ended.
pub const GRACE_MILLIS: i64 = 15_000;

/// What is not percent-encoded in a path segment (RFC 3986, "unreserved").
const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

const TABLE: &str = "CREATE TABLE IF NOT EXISTS presence (subscriber TEXT PRIMARY KEY, stream INTEGER NOT NULL, subscriptions TEXT NOT NULL, gone_at INTEGER) WITHOUT ROWID";

/// One subscription of a stream.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Subscription {
    pub selector: Selector,
    /// What its token says about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub payload: Option<Value>,
}

impl Subscription {
    fn kind(&self) -> (MatchType, &str) {
        match &self.selector {
            Selector::Typed(kind, text) => (*kind, text),
            Selector::Exact(text) | Selector::Prefix(text) => (MatchType::Exact, text),
        }
    }

    /// Whether it is a subscription by URI template (Mercure before 1.0), whose document has another form.
    pub fn is_older(&self) -> bool {
        self.kind().0 == MatchType::UriTemplate
    }

    /// The topic of its events, which is also the path of its document.
    pub fn topic(&self, subscriber: &str) -> String {
        let encoded = |text: &str| utf8_percent_encode(text, SEGMENT).to_string();
        let (kind, text) = self.kind();
        let (text, subscriber) = (encoded(text), encoded(subscriber));
        match self.is_older() {
            true => format!("{TOPICS}/{text}/{subscriber}"),
            false => format!("{TOPICS}/{}/{text}/{subscriber}", kind.name()),
        }
    }

    /// Its JSON document.
    pub fn document(&self, subscriber: &str, active: bool) -> Value {
        let (kind, text) = self.kind();
        let id = self.topic(subscriber);
        let mut document = match self.is_older() {
            true => json!({ "@context": "https://mercure.rocks/", "id": id, "type": "Subscription", "topic": text }),
            false => json!({ "id": id, "type": "subscription", "match_type": kind.name(), "match": text }),
        };
        if let Value::Object(members) = &mut document {
            let payload = self.payload.iter().map(|payload| ("payload".to_owned(), payload.clone()));
            let common = Map::from_iter([("subscriber".into(), subscriber.into()), ("active".into(), active.into())]);
            members.extend(common.into_iter().chain(payload));
        }
        document
    }
}

/// Whether a stream that has lost its socket may come back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Leaving {
    /// The client or the hub has closed it.
    ForGood,
    /// The connection is lost; its bridge may attach again.
    MayReturn,
}

/// A subscriber whose stream has left.
#[derive(Debug)]
pub struct Departure {
    pub subscriber: String,
    /// The stream's number.
    pub stream: u64,
    pub leaving: Leaving,
}

/// Departures that are still to be announced.
#[derive(Debug, Default)]
pub struct Departures {
    /// Those of this turn.
    pub new: Vec<Departure>,
    /// When the grace period of the first subscriber without a socket ends.
    pub next_end: Option<Timestamp>,
}

pub fn create_table(sql: &impl Sqlite) -> Result<(), SqliteError> {
    sql.execute(TABLE, &[])
}

/// Starts the grace period of subscribers whose stream was not restored. Returns when the first grace period ends.
pub fn mark_gone(
    sql: &impl Sqlite,
    is_open: impl Fn(u64) -> bool,
    now: Timestamp,
) -> Result<Option<Timestamp>, SqliteError> {
    for row in sql.query("SELECT subscriber, stream FROM presence WHERE gone_at IS NULL", &[])? {
        let [subscriber, stream] = cells(row);
        if !is_open(stream.count()) {
            sql.execute("UPDATE presence SET gone_at = ? WHERE subscriber = ?", &[now.into(), subscriber])?;
        }
    }
    next_end(sql)
}

/// When the first grace period ends.
pub fn next_end(sql: &impl Sqlite) -> Result<Option<Timestamp>, SqliteError> {
    let [gone_at] = cells(sql.first("SELECT min(gone_at) FROM presence", &[])?.unwrap_or_default());
    Ok(match gone_at {
        sqlite::Value::Integer(_) => Some(gone_at.timestamp().plus_millis(GRACE_MILLIS)),
        sqlite::Value::Text(_) | sqlite::Value::Null => None,
    })
}

/// The subscriptions of a stream as a row holds them: each payload once, however many subscriptions it is about.
#[derive(Debug, Serialize, Deserialize)]
struct StoredSubscriptions {
    selectors: Vec<Selector>,
    payloads: Vec<Value>,
    /// For each selector, the place of its payload.
    payload_of: Vec<Option<usize>>,
}

impl StoredSubscriptions {
    fn into_list(self) -> Vec<Subscription> {
        let Self { selectors, payloads, payload_of } = self;
        let payload = |at: Option<usize>| payloads.get(at?).cloned();
        let places = payload_of.into_iter().chain(std::iter::repeat(None));
        selectors
            .into_iter()
            .zip(places)
            .map(|(selector, at)| Subscription { selector, payload: payload(at) })
            .collect()
    }
}

/// Keeps a stream's subscriptions, and returns them.
pub fn store(
    sql: &impl Sqlite,
    stream: u64,
    selectors: Vec<Selector>,
    presence: Presence,
) -> Result<Vec<Subscription>, SqliteError> {
    let Presence { subscriber, payloads, payload_of } = presence;
    let stored = StoredSubscriptions { selectors, payloads, payload_of };
    let insert = "INSERT INTO presence (subscriber, stream, subscriptions) VALUES (?, ?, ?)";
    sql.execute(insert, &[subscriber.as_str().into(), stream.into(), json!(stored).to_string().as_str().into()])?;
    Ok(stored.into_list())
}

/// Parses the subscriptions of a row. An older hub wrote a list of them.
pub fn parse(subscriptions: sqlite::Value) -> Vec<Subscription> {
    let text = subscriptions.into_text().unwrap_or_default();
    match serde_json::from_str::<StoredSubscriptions>(&text) {
        Ok(stored) => stored.into_list(),
        Err(_) => serde_json::from_str(&text).unwrap_or_default(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn subscription(kind: MatchType, text: &str, payload: Option<Value>) -> Subscription {
        Subscription { selector: Selector::Typed(kind, text.into()), payload }
    }

    #[test]
    fn a_topic_encodes_each_variable_once_and_whole() {
        let new = subscription(MatchType::UrlPattern, "https://a.test/:id%20é", None);
        let topic =
            "/.well-known/mercure/subscriptions/urlpattern/https%3A%2F%2Fa.test%2F%3Aid%2520%C3%A9/urn%3Auuid%3A1";
        assert_eq!(new.topic("urn:uuid:1"), topic);
        let older = subscription(MatchType::UriTemplate, "https://a.test/{id}", None);
        assert_eq!(older.topic("urn:1"), "/.well-known/mercure/subscriptions/https%3A%2F%2Fa.test%2F%7Bid%7D/urn%3A1");
    }

    #[test]
    fn documents_have_the_form_of_their_version() {
        let new = subscription(MatchType::Exact, "a", Some(json!({"name": "Ada"})));
        let wanted = json!({"id": "/.well-known/mercure/subscriptions/exact/a/s", "type": "subscription",
            "match_type": "exact", "match": "a", "subscriber": "s", "active": true, "payload": {"name": "Ada"}});
        assert_eq!(new.document("s", true), wanted);
        let older = subscription(MatchType::UriTemplate, "a", None);
        let wanted = json!({"@context": "https://mercure.rocks/", "id": "/.well-known/mercure/subscriptions/a/s",
            "type": "Subscription", "topic": "a", "subscriber": "s", "active": false});
        assert_eq!(older.document("s", false), wanted);
    }

    #[test]
    fn a_payload_is_stored_once_and_an_older_list_is_read() {
        let sql = rusqlite::Connection::open_in_memory().unwrap();
        create_table(&sql).unwrap();
        let selectors: Vec<_> = (0..100).map(|n| Selector::Typed(MatchType::Exact, format!("{n}").into())).collect();
        let payload = json!({"name": "x".repeat(4_000)});
        let presence = Presence {
            subscriber: "s".into(),
            payloads: vec![payload.clone()],
            payload_of: (0..100).map(|n| (n > 0).then_some(0)).collect(),
        };
        let given = store(&sql, 7, selectors.clone(), presence).unwrap();
        let [stored] =
            cells(Sqlite::first(&sql, "SELECT subscriptions FROM presence", &[]).unwrap().unwrap_or_default());
        let text = stored.clone().into_text().unwrap();
        assert!(text.len() < 12_000, "{}", text.len());
        assert_eq!(parse(stored), given);
        assert_eq!((given.len(), &given[0].payload, &given[99].payload), (100, &None, &Some(payload)));
        assert_eq!(parse(json!(given).to_string().as_str().into()), given, "as an older hub wrote it");
    }

    #[test]
    fn a_subscriber_without_a_socket_is_gone_and_ends_after_a_while() {
        let sql = rusqlite::Connection::open_in_memory().unwrap();
        create_table(&sql).unwrap();
        let at = Timestamp::from_millis;
        assert_eq!(mark_gone(&sql, |_| true, at(0)).unwrap(), None);
        for (subscriber, stream) in [("a", 1u64), ("b", 2)] {
            let insert = "INSERT INTO presence (subscriber, stream, subscriptions) VALUES (?, ?, '[]')";
            Sqlite::execute(&sql, insert, &[subscriber.into(), stream.into()]).unwrap();
        }
        let end = Some(at(500 + GRACE_MILLIS));
        assert_eq!(mark_gone(&sql, |stream| stream == 1, at(500)).unwrap(), end);
        assert_eq!(mark_gone(&sql, |stream| stream == 1, at(900)).unwrap(), end, "it has been gone since");
        assert_eq!(mark_gone(&sql, |_| false, at(900)).unwrap(), end);
        let [gone] = cells(
            Sqlite::first(&sql, "SELECT count(*) FROM presence WHERE gone_at IS NOT NULL", &[]).unwrap().unwrap(),
        );
        assert_eq!(gone.count(), 2);
    }
}
