//! Tells who subscribes: an event when a subscription of Mercure's begins, and one when it ends.
//!
//! Invariants
//! - The event and the change of the table are of one turn.
//! - A stream whose bridge comes back within [`GRACE_MILLIS`] never ended.
//! - Only those are told whose token grants the topic: the events are private.

use super::awake::{Awake, Failure};
use super::event_log::{Draft, cells};
use super::presence::{self, Departure, GRACE_MILLIS, Subscription};
use super::protocol::{ListSubscriptions, Presence, Subscriptions, Update};
use super::sqlite::{self, Sqlite};
use crate::tenant_id::TenantId;
use domain::clock::Timestamp;
use domain::event::UpdateHead;
use domain::json;
use domain::selector::Interest;
use domain::topic::Topic;

/// Most subscriptions of one answer.
const MAX_LISTED: usize = 1_000;

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
            self.ends_next = presence::next_end(&self.sql)?;
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
                self.ends_next = presence::next_end(&self.sql)?;
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
            self.ends_next = presence::next_end(&self.sql)?;
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
                self.tell(subscriber, &presence::read(subscriptions), false, now)
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
            let wanted = presence::read(subscriptions).into_iter().filter(|subscription| {
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
