//! Announces subscriptions: a private event when a Mercure subscription starts, and one when it ends.
//!
//! Invariants
//! - The event and the change of the table happen in the same turn.
//! - A stream whose bridge comes back within [`GRACE_MILLIS`] has never ended.

use super::attachment::Attachment;
use super::event_log::NewEntry;
use super::presence::{self, Departure, GRACE_MILLIS, Leaving, Subscription};
use super::protocol::{Caller, ListSubscriptions, MercureUpdate, Presence, Subscriptions};
use super::sockets::Sockets;
use super::sqlite::{self, Sqlite, cells};
use super::state::HubState;
use super::state_error::StateError;
use domain::clock::Timestamp;
use domain::event::UpdateHead;
use domain::topic::Topic;

/// Most subscriptions in one reply.
const MAX_LISTED: usize = 1_000;
/// Rows that are read at once for it: each may hold many subscriptions.
const ROWS_AT_ONCE: usize = 50;

impl<Sql: Sqlite, Net: Sockets> HubState<Sql, Net> {
    /// Announces that a stream's subscriptions have started, unless its bridge has only attached it again.
    pub(super) fn announce_arrival(
        &mut self,
        stream: &Attachment,
        presence: Presence,
        now: Timestamp,
    ) -> Result<(), StateError> {
        let subscriber = presence.subscriber.clone();
        let returning = "UPDATE presence SET stream = ?, gone_at = NULL WHERE subscriber = ? RETURNING 1";
        if self.sql.first(returning, &[stream.id.into(), subscriber.as_str().into()])?.is_some() {
            self.departures.next_end = presence::next_end(&self.sql)?;
            return Ok(());
        }
        let subscriptions = presence::store(&self.sql, stream.id, stream.interest.selected.clone(), presence)?;
        self.announce(&subscriber, &subscriptions, true, now)
    }

    /// Announces the subscriptions that have ended: of streams that left in this turn, and of those that did not come back
    /// within their grace period. Called after each turn.
    pub fn announce_departures(&mut self, now: Timestamp) -> Result<(), StateError> {
        for Departure { subscriber, stream, leaving } in std::mem::take(&mut self.departures.new) {
            let of = [sqlite::Value::from(subscriber.as_str()), stream.into()];
            match leaving {
                Leaving::ForGood => {
                    let delete = "DELETE FROM presence WHERE subscriber = ? AND stream = ? RETURNING subscriptions";
                    self.announce_end(delete, &of, &subscriber, now)?;
                }
                Leaving::MayReturn => {
                    let [subscriber, stream] = of;
                    let gone =
                        "UPDATE presence SET gone_at = ? WHERE subscriber = ? AND stream = ? AND gone_at IS NULL";
                    self.sql.execute(gone, &[now.into(), subscriber, stream])?;
                    self.departures.next_end = presence::next_end(&self.sql)?;
                }
            }
        }
        if self.departures.next_end.is_some_and(|at| at <= now) {
            let ended = "SELECT subscriber FROM presence WHERE gone_at <= ?";
            for row in self.sql.query(ended, &[now.plus_millis(-GRACE_MILLIS).into()])? {
                let [subscriber] = cells(row);
                let subscriber = subscriber.into_text().unwrap_or_default();
                let delete = "DELETE FROM presence WHERE subscriber = ? RETURNING subscriptions";
                self.announce_end(delete, &[subscriber.as_str().into()], &subscriber, now)?;
            }
            self.departures.next_end = presence::next_end(&self.sql)?;
        }
        Ok(())
    }

    fn announce_end(
        &mut self,
        delete: &'static str,
        of: &[sqlite::Value],
        subscriber: &str,
        now: Timestamp,
    ) -> Result<(), StateError> {
        match self.sql.first(delete, of)? {
            Some(row) => {
                let [subscriptions] = cells(row);
                self.announce(subscriber, &presence::parse(subscriptions), false, now)
            }
            None => Ok(()),
        }
    }

    /// Appends an event for each subscription. It is private: only streams whose token grants its topic get it.
    fn announce(
        &mut self,
        subscriber: &str,
        subscriptions: &[Subscription],
        active: bool,
        now: Timestamp,
    ) -> Result<(), StateError> {
        for subscription in subscriptions {
            let Ok(topic) = Topic::parse(&subscription.topic(subscriber)) else { continue };
            let kind = (!subscription.is_older()).then_some("mercure");
            let topics = vec![topic];
            let head = UpdateHead {
                tenant_id: &self.tenant,
                topics: &topics,
                r#type: kind,
                update_id: None,
                occurred_at: now,
            };
            let Ok(head) = head.to_members() else { continue };
            let update = MercureUpdate { id: None, kind: kind.map(str::to_owned), retry: None, head };
            let tail = subscription.document(subscriber, active).to_string();
            let (name, update) = ("mercure".into(), Some(update));
            let entry =
                NewEntry { topics, private: true, name, tail, update, creation_id: None, before: None, change: None };
            let entry = self.log.append_presence(&self.sql, now, entry)?;
            self.mark_for_clean_up();
            self.enqueue(entry, now);
        }
        Ok(())
    }

    /// The active subscriptions of a version of Mercure, by selector and subscriber where these are given.
    pub fn subscriptions(
        &self,
        caller: &Caller,
        message: &ListSubscriptions,
        now: Timestamp,
    ) -> Result<Subscriptions, StateError> {
        let config = self.admit(caller, now)?;
        if let Some((basis, address)) = &message.basis {
            self.check_basis(basis, &config, address, now)?;
        }
        let mut documents = Vec::new();
        let mut after = String::new();
        for _ in 0..MAX_LISTED / ROWS_AT_ONCE {
            let rows = match &message.subscriber {
                Some(subscriber) => {
                    let one = "SELECT subscriber, subscriptions FROM presence WHERE subscriber = ? AND subscriber > ?";
                    self.sql.query(one, &[subscriber.as_str().into(), after.as_str().into()])?
                }
                None => {
                    let some = "SELECT subscriber, subscriptions FROM presence WHERE subscriber > ? ORDER BY subscriber LIMIT 50";
                    self.sql.query(some, &[after.as_str().into()])?
                }
            };
            if rows.is_empty() || documents.len() >= MAX_LISTED {
                break;
            }
            for row in rows {
                let [subscriber, subscriptions] = cells(row);
                let subscriber = subscriber.into_text().unwrap_or_default();
                let wanted = presence::parse(subscriptions).into_iter().filter(|subscription| {
                    subscription.is_older() == message.older
                        && message.selector.as_ref().is_none_or(|wanted| *wanted == subscription.selector)
                });
                let room = MAX_LISTED.saturating_sub(documents.len());
                documents.extend(wanted.take(room).map(|subscription| subscription.document(&subscriber, true)));
                after = subscriber;
            }
        }
        Ok(Subscriptions { documents, last_event_id: self.mercure_id_of(self.log.last())? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hub::model::{FakeSockets, FakeSql, served};
    use crate::hub::protocol::{Attach, Basis, WireFormat};
    use crate::tenant_id::TenantId;
    use domain::selector::{Interest, Selector};

    type State = HubState<FakeSql, FakeSockets>;

    fn at(millis: i64) -> Timestamp {
        Timestamp::from_millis(millis)
    }

    fn caller() -> Caller {
        Caller { tenant: (&TenantId::proven("acme")).into(), revision: 0, host: None, judged_at: None }
    }

    fn wake(sql: &FakeSql, net: &FakeSockets, now: Timestamp) -> State {
        HubState::wake(TenantId::proven("acme"), sql.clone(), net.clone(), [1; 8], 60_000, now).unwrap()
    }

    /// A hub that announces subscriptions, with one subscriber, to `a` and `b`.
    fn world() -> (FakeSql, FakeSockets, State, u32) {
        let (sql, net) = (FakeSql::new(), FakeSockets::default());
        let mut state = wake(&sql, &net, at(0));
        let mut config = served();
        config.mercure.subscriptions = true;
        state.configure(config, at(0)).unwrap();
        let socket = attach(&mut state, at(0));
        (sql, net, state, socket)
    }

    fn attach(state: &mut State, now: Timestamp) -> u32 {
        let interest =
            Interest { selected: ["a", "b"].map(|t| Selector::parse(t).unwrap()).into(), ..Default::default() };
        let presence = Presence { subscriber: "urn:s".into(), payloads: Vec::new(), payload_of: Vec::new() };
        let attach = Attach {
            interest,
            basis: Basis::default(),
            ticket: None,
            address: String::new(),
            wire: WireFormat::Mercure,
            cursor: None,
            seen: None,
            reattach: false,
            presence: Some(presence),
            may_be_direct: false,
            heartbeats: false,
        };
        state.attach(&caller(), attach, now.millis().unsigned_abs() << 20, now).unwrap()
    }

    /// What was announced until now: each topic, and whether its subscription began or ended.
    fn announced(state: &State) -> Vec<(String, bool)> {
        let page = state.log.page(&state.sql, 0, u64::MAX / 4).unwrap();
        let read = |entry: crate::hub::event_log::Entry| {
            let document: serde_json::Value = serde_json::from_str(&entry.tail).unwrap();
            assert!(entry.private);
            (document["match"].as_str().unwrap().to_owned(), document["active"] == true)
        };
        page.entries.into_iter().map(read).collect()
    }

    #[test]
    fn a_flood_of_subscribers_leaves_what_was_published_before() {
        let (sql, net, mut state, _) = world();
        let real = crate::hub::event_log::NewEntry {
            topics: vec![Topic::parse("a").unwrap()],
            private: false,
            name: "n".into(),
            tail: "{}".into(),
            update: None,
            creation_id: None,
            before: None,
            change: None,
        };
        let real = state.log.append(&state.sql, at(1), real).unwrap().seq;
        for turn in 0..1_500 {
            let socket = attach(&mut state, at(2 + turn));
            net.close_by_client(socket);
            state.socket_closed(&socket, Leaving::ForGood);
            state.announce_departures(at(2 + turn)).unwrap();
        }
        state.on_alarm(at(2_000)).unwrap();
        let state = wake(&sql, &net, at(2_000));
        assert!(state.floor(at(2_000)).unwrap() < real);
        let page = state.log.page(&state.sql, real - 1, u64::MAX / 4).unwrap();
        assert_eq!(page.entries[0].seq, real);
        assert!(!page.is_incomplete && page.entries.len() < 2_500, "{}", page.entries.len());
        assert!(state.log.last() > 5_000);
    }

    fn listed(state: &State) -> usize {
        let all = ListSubscriptions { older: false, selector: None, subscriber: None, basis: None };
        state.subscriptions(&caller(), &all, at(0)).unwrap().documents.len()
    }

    fn both(active: bool) -> [(String, bool); 2] {
        [("a".into(), active), ("b".into(), active)]
    }

    #[test]
    fn a_client_that_leaves_ends_its_subscriptions_at_once() {
        let (_, net, mut state, socket) = world();
        assert_eq!((announced(&state), listed(&state)), (both(true).into(), 2));
        net.close_by_client(socket);
        state.socket_closed(&socket, Leaving::ForGood);
        state.announce_departures(at(1)).unwrap();
        assert_eq!((announced(&state), listed(&state)), ([both(true), both(false)].concat(), 0));
    }

    #[test]
    fn a_bridge_that_comes_back_in_time_has_never_left() {
        let (_, net, mut state, socket) = world();
        net.close_by_client(socket);
        state.socket_closed(&socket, Leaving::MayReturn);
        state.announce_departures(at(1)).unwrap();
        assert_eq!(state.alarm_due(at(1)).unwrap(), Some(at(1 + GRACE_MILLIS)));
        attach(&mut state, at(GRACE_MILLIS));
        state.announce_departures(at(1 + GRACE_MILLIS)).unwrap();
        assert_eq!((announced(&state), listed(&state)), (both(true).into(), 2));
    }

    #[test]
    fn a_hub_that_lost_its_sockets_announces_the_ends_once() {
        let (sql, net, state, _) = world();
        drop(state);
        net.restart();
        let mut state = wake(&sql, &net, at(500));
        state.announce_departures(at(500)).unwrap();
        assert_eq!(announced(&state), both(true), "its bridge may come back");
        drop(state);
        let mut state = wake(&sql, &net, at(500 + GRACE_MILLIS));
        state.announce_departures(at(500 + GRACE_MILLIS)).unwrap();
        state.announce_departures(at(501 + GRACE_MILLIS)).unwrap();
        assert_eq!((announced(&state), listed(&state)), ([both(true), both(false)].concat(), 0));
    }
}
