//! Who subscribes to what: Mercure's subscriptions, told by events when they begin and end (Mercure, Active
//! Subscriptions).
//!
//! Invariants
//! - A subscription that was announced as begun stands in the table until its end is announced, in the same turn as
//!   the event. So a hub that lost its sockets finds whose end it has to announce.
//! - A stream whose bridge comes back within [`GRACE_MILLIS`] never ended.
//! - Only those are told whose token grants the topic: the events are private.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::awake::{Awake, Failure};
use super::event_log::{Draft, cells};
use super::protocol::{ListSubscriptions, Presence, Subscriptions, Update};
use super::sqlite::{self, Sqlite, SqliteError};
use crate::domain::clock::Timestamp;
use crate::domain::event::UpdateHead;
use crate::domain::ids::TenantId;
use crate::domain::matching::matcher::MatchType;
use crate::domain::selector::{Interest, Selector};
use crate::domain::topic::Topic;
use crate::json;

/// Where the topics of subscriptions begin.
pub const TOPICS: &str = "/.well-known/mercure/subscriptions";

/// How long a stream may be without its socket until it has ended, in milliseconds.
pub const GRACE_MILLIS: i64 = 15_000;

/// Most subscriptions of one answer.
const MAX_LISTED: usize = 1_000;

/// What stands for itself in a path segment (RFC 3986, unreserved).
const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

const TABLE: &str = "CREATE TABLE IF NOT EXISTS presence (subscriber TEXT PRIMARY KEY, stream INTEGER NOT NULL, subscriptions TEXT NOT NULL, gone_at INTEGER) WITHOUT ROWID";

/// One subscription of a stream.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Subscription {
    /// What it asks for.
    pub selector: Selector,
    /// What its token tells of it.
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

    /// Whether it is one of before 1.0, whose documents look otherwise.
    pub fn is_older(&self) -> bool {
        self.kind().0 == MatchType::UriTemplate
    }

    /// The topic of its events, which is the path of its document.
    pub fn topic(&self, subscriber: &str) -> String {
        let encoded = |text: &str| utf8_percent_encode(text, SEGMENT).to_string();
        let (kind, text) = self.kind();
        let (text, subscriber) = (encoded(text), encoded(subscriber));
        match self.is_older() {
            true => format!("{TOPICS}/{text}/{subscriber}"),
            false => format!("{TOPICS}/{}/{text}/{subscriber}", kind.name()),
        }
    }

    /// Its document.
    pub fn document(&self, subscriber: &str, active: bool) -> Value {
        let (kind, text) = self.kind();
        let id = self.topic(subscriber);
        let mut document = match self.is_older() {
            true => json!({ "@context": "https://mercure.rocks/", "id": id, "type": "Subscription", "topic": text }),
            false => json!({ "id": id, "type": "subscription", "match_type": kind.name(), "match": text }),
        };
        if let Value::Object(members) = &mut document {
            let payload = self.payload.iter().map(|payload| ("payload".to_owned(), payload.clone()));
            let told = Map::from_iter([("subscriber".into(), subscriber.into()), ("active".into(), active.into())]);
            members.extend(told.into_iter().chain(payload));
        }
        document
    }
}

/// A stream that is gone, until it is told.
#[derive(Debug)]
pub struct Departure {
    /// The subscriber.
    pub subscriber: String,
    /// The stream's number.
    pub stream: u64,
    /// Whether it ended, or may come back.
    pub ended: bool,
}

/// Makes the table, and takes those for gone whose socket is not there any more; gives when the next one has ended.
pub fn open(sql: &impl Sqlite, is_there: impl Fn(u64) -> bool, now: i64) -> Result<Option<i64>, SqliteError> {
    sql.execute(TABLE, &[])?;
    for row in sql.query("SELECT subscriber, stream FROM presence WHERE gone_at IS NULL", &[])? {
        let [subscriber, stream] = cells(row);
        if !is_there(stream.count()) {
            sql.execute("UPDATE presence SET gone_at = ? WHERE subscriber = ?", &[now.into(), subscriber])?;
        }
    }
    next_end(sql)
}

/// When the next of those that are gone has ended, in milliseconds since 1970.
fn next_end(sql: &impl Sqlite) -> Result<Option<i64>, SqliteError> {
    let [gone_at] = cells(sql.first("SELECT min(gone_at) FROM presence", &[])?.unwrap_or_default());
    Ok(match gone_at {
        sqlite::Value::Integer(at) => Some(at + GRACE_MILLIS),
        _ => None,
    })
}

fn read(subscriptions: sqlite::Value) -> Vec<Subscription> {
    let text = subscriptions.into_text().unwrap_or_default();
    serde_json::from_str(&text).unwrap_or_default()
}

impl Awake {
    /// Tells that a stream's subscriptions have begun, unless it only came back.
    pub(super) fn arrive(
        &mut self,
        stream: u64,
        interest: &Interest,
        presence: Presence,
        now: i64,
    ) -> Result<(), Failure> {
        let subscriber = presence.subscriber;
        let known = "UPDATE presence SET stream = ?, gone_at = NULL WHERE subscriber = ? RETURNING 1";
        if self.sql.first(known, &[stream.into(), subscriber.as_str().into()])?.is_some() {
            self.ends_next = next_end(&self.sql)?;
            return Ok(());
        }
        let told = presence.told.iter().copied().chain(std::iter::repeat(None));
        let payload = |told: Option<usize>| presence.payloads.get(told?).cloned();
        let subscriptions: Vec<_> = interest
            .selected
            .iter()
            .zip(told)
            .map(|(selector, told)| Subscription { selector: selector.clone(), payload: payload(told) })
            .collect();
        let text = json!(subscriptions).to_string();
        let insert = "INSERT INTO presence (subscriber, stream, subscriptions) VALUES (?, ?, ?)";
        self.sql.execute(insert, &[subscriber.as_str().into(), stream.into(), text.as_str().into()])?;
        self.tell(&subscriber, &subscriptions, true, now)
    }

    /// Tells of those who left since the last turn, and of those who did not come back.
    pub fn tell_departures(&mut self, now: i64) -> Result<(), Failure> {
        for Departure { subscriber, stream, ended } in std::mem::take(&mut self.departed) {
            let of = [sqlite::Value::from(subscriber.as_str()), stream.into()];
            if ended {
                let gone = "DELETE FROM presence WHERE subscriber = ? AND stream = ? RETURNING subscriptions";
                self.tell_end(gone, &of, &subscriber, now)?;
            } else {
                let [subscriber, stream] = of;
                let gone = "UPDATE presence SET gone_at = ? WHERE subscriber = ? AND stream = ? AND gone_at IS NULL";
                self.sql.execute(gone, &[now.into(), subscriber, stream])?;
                self.ends_next = next_end(&self.sql)?;
            }
        }
        if self.ends_next.is_some_and(|at| at <= now) {
            let over = "SELECT subscriber FROM presence WHERE gone_at <= ?";
            for row in self.sql.query(over, &[(now - GRACE_MILLIS).into()])? {
                let [subscriber] = cells(row);
                let subscriber = subscriber.into_text().unwrap_or_default();
                let gone = "DELETE FROM presence WHERE subscriber = ? RETURNING subscriptions";
                self.tell_end(gone, &[subscriber.as_str().into()], &subscriber, now)?;
            }
            self.ends_next = next_end(&self.sql)?;
        }
        Ok(())
    }

    fn tell_end(
        &mut self,
        delete: &'static str,
        of: &[sqlite::Value],
        subscriber: &str,
        now: i64,
    ) -> Result<(), Failure> {
        match self.sql.first(delete, of)? {
            Some(row) => {
                let [subscriptions] = cells(row);
                self.tell(subscriber, &read(subscriptions), false, now)
            }
            None => Ok(()),
        }
    }

    fn tell(
        &mut self,
        subscriber: &str,
        subscriptions: &[Subscription],
        active: bool,
        now: i64,
    ) -> Result<(), Failure> {
        // The hub is named by its tenant, which the registry placed.
        let tenant = TenantId::proven(self.name());
        for subscription in subscriptions {
            let Ok(topic) = Topic::parse(&subscription.topic(subscriber)) else { continue };
            let kind = (!subscription.is_older()).then_some("mercure");
            let topics = vec![topic];
            let head = UpdateHead {
                tenant_id: &tenant,
                topics: &topics,
                r#type: kind,
                update_id: None,
                occurred_at: Timestamp::from_millis(now),
            };
            let Ok(head) = head.to_members() else { continue };
            let update = Update { id: None, kind: kind.map(str::to_owned), retry: None, head };
            let tail = subscription.document(subscriber, active).to_string();
            let draft = Draft { topics, private: true, name: "mercure".into(), tail, update: Some(update) };
            let entry = self.log.append(&self.sql, now, draft)?;
            self.mark_untidy();
            self.enqueue(entry, now);
        }
        Ok(())
    }

    /// The subscriptions that there are, of a kind, for a topic, of a subscriber.
    pub fn subscriptions(&self, ask: &ListSubscriptions, now: i64) -> Result<Subscriptions, Failure> {
        self.admit(&ask.caller, now)?;
        let rows = match &ask.subscriber {
            Some(subscriber) => {
                let one = "SELECT subscriber, subscriptions FROM presence WHERE subscriber = ?";
                self.sql.query(one, &[subscriber.as_str().into()])?
            }
            None => {
                let all = "SELECT subscriber, subscriptions FROM presence ORDER BY subscriber LIMIT 1000";
                self.sql.query(all, &[])?
            }
        };
        let mut documents = Vec::new();
        for row in rows {
            let [subscriber, subscriptions] = cells(row);
            let subscriber = subscriber.into_text().unwrap_or_default();
            let wanted = read(subscriptions).into_iter().filter(|subscription| {
                subscription.is_older() == ask.older
                    && ask.selector.as_ref().is_none_or(|wanted| *wanted == subscription.selector)
            });
            documents.extend(wanted.map(|subscription| subscription.document(&subscriber, true)));
            if documents.len() >= MAX_LISTED {
                break;
            }
        }
        Ok(Subscriptions { documents, last_event_id: self.mercure_id(self.log.last())? })
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
    fn documents_have_what_their_time_asks_for() {
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
    fn whoever_lost_the_socket_is_gone_and_ends_after_a_while() {
        let sql = rusqlite::Connection::open_in_memory().unwrap();
        assert_eq!(open(&sql, |_| true, 0).unwrap(), None);
        for (subscriber, stream) in [("a", 1u64), ("b", 2)] {
            let insert = "INSERT INTO presence (subscriber, stream, subscriptions) VALUES (?, ?, '[]')";
            Sqlite::execute(&sql, insert, &[subscriber.into(), stream.into()]).unwrap();
        }
        assert_eq!(open(&sql, |stream| stream == 1, 500).unwrap(), Some(500 + GRACE_MILLIS));
        assert_eq!(open(&sql, |stream| stream == 1, 900).unwrap(), Some(500 + GRACE_MILLIS), "it has been gone since");
        assert_eq!(open(&sql, |_| false, 900).unwrap(), Some(500 + GRACE_MILLIS));
        let [gone] = cells(
            Sqlite::first(&sql, "SELECT count(*) FROM presence WHERE gone_at IS NOT NULL", &[]).unwrap().unwrap(),
        );
        assert_eq!(gone.count(), 2);
    }
}
