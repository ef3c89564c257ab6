//! What each step does, and what must come of it.

use super::client::Client;
use super::config;
use super::opening::network;
use super::reference::{ANONYMOUS_REQUESTS, API_REQUESTS, Expected, KnownEvent, Rules, Settings, WEBHOOKS};
use super::steps::{Event, Step};
use super::world::{Closing, Fault, SILENCE_MILLIS, World, ensure};
use crate::hub::carrying::STEP_MILLIS;
use crate::hub::presence::Leaving;
use crate::hub::protocol::{
    Drawn, EndMinted, GrantRequest, MercureUpdate, Publish, PurgeAnswers, PurgesAfter, ReceiptKey, Refusal,
    RequestClass,
};
use crate::hub::sockets::{Carriage, CloseReason};
use crate::hub::state_error::StateError;
use domain::graphql_cache::{PurgeNews, Tag};
use domain::topic::Topic;

/// The principals that mint tokens.
pub const PRINCIPALS: [&str; 2] = ["user:ada", "key:bot"];

impl World {
    /// Does one step. Returns a word on what came of it.
    pub fn step(&mut self, step: &Step) -> Result<String, Fault> {
        // A failure that was asked for hits the step behind it, or nothing.
        let disarms = !matches!(step, Step::FailStorage { .. });
        let outcome = match step {
            Step::Wait { millis } => self.wait(*millis).map(|()| String::new()),
            Step::Configure { served, rotate, rules } => self.configure(*served, *rotate, *rules),
            Step::Open { slot, wish, from } => self.open_stream(*slot, wish, *from),
            Step::Return { slot } => {
                let is_gone = |client: &Client| client.socket.is_none() || client.ticket.is_some();
                let slot = self.next_slot(*slot, is_gone);
                slot.map_or(Ok("nobody".into()), |slot| self.come_back(slot))
            }
            Step::Leave { slot, cleanly } => self.leave(*slot, *cleanly),
            Step::NextPage { slot } => {
                let slot = self.next_slot(*slot, |client| client.owes_page);
                slot.map_or(Ok("no page is owed".into()), |slot| self.next_page(slot))
            }
            Step::Publish { event, id } => self.publish(event, *id),
            Step::Change { scores, again } => self.change(scores, *again),
            Step::Collection { becomes, told, late } => self.change_collection(*becomes, *told, *late),
            Step::FanOut { cost } => self.fan_out(*cost).map(|()| String::new()),
            Step::Revoke { by } => self.revoke(*by),
            Step::Lease { class } => self.lease(*class),
            Step::Carry => self.carry(),
            Step::Kill => {
                self.kill();
                Ok(String::new())
            }
            Step::Restart => {
                self.restart();
                Ok(String::new())
            }
            Step::FailStorage { after } => {
                self.sql.fail_after(Some(*after));
                Ok(String::new())
            }
        };
        if disarms {
            self.sql.fail_after(None);
        }
        outcome
    }

    pub fn is_served(&self) -> bool {
        self.reference.settings.is_some_and(|settings| settings.served)
    }

    fn configure(&mut self, served: bool, rotate: bool, rules: Rules) -> Result<String, Fault> {
        let before = self.reference.settings;
        let retire = || Some(self.now.plus_millis(5000));
        let settings = Settings {
            revision: before.map_or(0, |settings| settings.revision) + 1,
            served,
            version_1_until: before
                .and_then(|settings| settings.version_1_until)
                .or_else(|| retire().filter(|_| rotate)),
            rules,
        };
        let waking = self.closed_by_waking();
        self.reference.settings = Some(settings);
        let mut closing = self.closed_by_configuration_after(&waking);
        closing.retain(|slot, _| !waking.contains_key(slot));
        self.next_waking_closes = Some(waking);
        let now = self.now;
        let (outcome, failed) = self.run(|state| state.configure(config(settings), now));
        if outcome.is_err() {
            // The next waking, which may come at once, reads the settings of before.
            self.reference.settings = before;
        }
        if let Ok(configured) = self.end_turn(&closing, outcome, failed)? {
            ensure!(configured.revision == settings.revision, "{configured:?}");
        }
        Ok(String::new())
    }

    pub fn leave(&mut self, slot: usize, cleanly: bool) -> Result<String, Fault> {
        let Some(client) = self.clients[slot].as_mut() else { return Ok("nobody".into()) };
        let Some(socket) = client.socket.take() else { return Ok("it is gone".into()) };
        (client.is_live, client.owes_page) = (false, false);
        self.net.close_by_client(socket);
        let leaving = if cleanly { Leaving::ForGood } else { Leaving::MayReturn };
        if cleanly {
            self.clients[slot] = None;
        }
        let left = self.turn(&Closing::new(), |state| {
            state.socket_closed(&socket, leaving);
            Ok(())
        });
        left.map(|_| String::new())
    }

    fn kill(&mut self) {
        self.memory.forget();
        self.is_forgotten = true;
        self.is_awake = false;
        self.away.clear();
    }

    fn restart(&mut self) {
        self.kill();
        self.net.restart();
        for client in self.clients.iter_mut().flatten() {
            (client.socket, client.is_live, client.owes_page) = (None, false, false);
            // It broke off: its client comes back with its last id.
            if client.carriage == Carriage::Direct {
                client.ended = client.ended.or(Some(0));
            }
        }
    }

    fn carry(&mut self) -> Result<String, Fault> {
        self.now = self.now.plus_millis(STEP_MILLIS);
        let (now, waking) = (self.now, self.closed_by_waking());
        let is_direct = self.reference.settings.is_some_and(|settings| settings.rules.direct);
        let chosen = if is_direct { Carriage::Direct } else { Carriage::Bridged };
        let ends = |client: &Client| {
            let is_stalled = client.carriage == Carriage::Direct && client.wish.is_mute;
            let is_silent = now.since(client.opened_at) > SILENCE_MILLIS;
            match is_stalled {
                _ if client.carriage == chosen => None,
                false => client.is_live.then_some(CloseReason::Moved),
                true => is_silent.then_some(CloseReason::Unresponsive),
            }
        };
        let open = self.open().filter(|(slot, _)| !waking.contains_key(slot));
        let closing: Closing = open.filter_map(|(slot, client)| Some((slot, ends(client)?))).collect();
        let due = self.turn(&closing, |state| Ok(state.carry(now)))?;
        let moved = closing.iter().filter(|(_, reason)| **reason == CloseReason::Moved);
        let moved: Vec<_> = moved.map(|(slot, _)| (network(*slot), now)).collect();
        let moves = is_direct && !moved.is_empty();
        if !self.is_forgotten {
            self.away.extend(moved);
        }
        let is_direct = self.open().any(|(_, client)| client.carriage == Carriage::Direct);
        if let Ok(due) = due {
            ensure!(due.is_some() == (moves || is_direct), "the next step is {due:?}, direct streams: {is_direct}");
        }
        Ok(String::new())
    }

    pub fn next_page(&mut self, slot: usize) -> Result<String, Fault> {
        let now = self.now;
        let Some(client) = self.clients[slot].as_mut().filter(|client| client.owes_page) else {
            return Ok("no page is owed".into());
        };
        let Some(socket) = client.socket else { return Ok("it is gone".into()) };
        client.owes_page = false;
        let (outcome, failed) = self.run(|state| state.socket_message(&socket, "next", now));
        self.check(&Closing::new(), failed)?;
        if let (Err(_), Some(client)) = (&outcome, self.clients[slot].as_mut()) {
            // Nothing came: a bridge asks no second time, but its client reconnects.
            client.owes_page = true;
        }
        Ok(format!("{outcome:?}"))
    }

    fn publish(&mut self, event: &Event, id: Option<(u8, u8)>) -> Result<String, Fault> {
        let (now, caller, seq) = (self.now, self.caller(), self.reference.last() + 1);
        let padding = "x".repeat(if event.is_large { 300_000 } else { 10 });
        let marker = format!("\"marker\":{seq},\"pad\":\"{padding}\"}}");
        let update = MercureUpdate { id: None, kind: None, retry: None, head: "\"topics\":[],".into() };
        let message = Publish {
            secret_version: Some(1),
            issuer: None,
            older: false,
            receipt: id.map(|(id, digest)| ReceiptKey { id: format!("id-{id}"), digest: format!("{digest}") }),
            topics: event.topics.iter().map(|topic| Topic::parse(topic).unwrap()).collect(),
            private: event.private,
            name: "post.update".into(),
            tail: if event.is_update { format!("{{{marker}") } else { marker },
            update: event.is_update.then_some(update),
            purge: Some(PurgeAnswers { soft: false, tags: vec![Tag::stored("a")], after: None }),
        };
        let topics = event.topics.iter().map(|topic| (*topic).to_owned()).collect();
        let private = event.private;
        let known = KnownEvent { at: now, topics, private, scores: None, collection: None, was_hidden: false };
        let expected = self.reference.expect_webhook(id, now);
        let (outcome, failed) = self.run(|state| state.publish(&caller, message, now));
        match &outcome {
            Ok(published) if published.duplicate => {
                ensure!(Expected::Duplicate(published.id.seq) == expected, "{published:?}, expected is {expected:?}");
            }
            Ok(published) => {
                ensure!(published.id == self.cursor(seq), "the event got the id {}", published.id);
                ensure!(expected == Expected::New, "a new event, expected is {expected:?}");
                ensure!(self.is_served(), "a stopped tenant publishes");
                self.reference.events.push(known);
                self.reference.purges.push(seq);
                self.check_purges(published.purges.as_ref())?;
                self.reference.remember_webhook(id, now);
                let used = self.reference.count("webhooks", 1, now);
                ensure!(used <= WEBHOOKS, "{used} webhooks in a minute");
            }
            Err(StateError::Refused(Refusal::Stopped)) => ensure!(!self.is_served(), "refused: stopped"),
            Err(StateError::Refused(Refusal::WebhookIdReused)) => {
                ensure!(expected == Expected::Refused, "refused, expected is {expected:?}");
            }
            Err(StateError::Refused(Refusal::RateLimited(_))) => {
                let used = self.reference.count("webhooks", 0, now) + self.reference.count("lost replies", 0, now);
                ensure!(used >= WEBHOOKS, "refused behind {used} webhooks");
            }
            Err(StateError::Storage(_)) => {
                self.reference.count("lost replies", 1, now);
                self.reconcile(vec![known])?;
            }
            Err(StateError::Refused(refusal)) => return Err(format!("refused: {refusal:?}")),
        }
        self.check(&Closing::new(), failed)?;
        self.after_turn()?;
        Ok(match outcome {
            Ok(published) => format!("event {}, duplicate: {}", published.id.seq, published.duplicate),
            Err(error) => format!("{error:?}"),
        })
    }

    /// Every purge that was acknowledged is told.
    fn check_purges(&self, news: Option<&PurgeNews>) -> Result<(), Fault> {
        let Some(news) = news else { return Err("no purges are told".into()) };
        let told = |seq: &u64| *seq <= news.floor || news.entries.iter().any(|entry| entry.seq == *seq);
        ensure!(news.through.seq == self.reference.last(), "purges through {}", news.through);
        ensure!(self.reference.purges.iter().all(told), "{news:?} lacks one of {:?}", self.reference.purges);
        Ok(())
    }

    fn revoke(&mut self, by: Option<usize>) -> Result<String, Fault> {
        let now = self.now;
        let name = by.map(|by| PRINCIPALS[by]);
        let message =
            EndMinted { tenant: (&self.tenant).into(), by: name.map(str::to_owned), others: Vec::new(), at: now };
        let is_meant = |client: &Client| {
            let minted = client.basis.minted();
            minted.is_some_and(|minted| minted.at <= now && name.is_none_or(|name| minted.by == name))
        };
        let meant = self.open().filter(|(_, client)| is_meant(client));
        let closing = meant.map(|(slot, _)| (slot, CloseReason::TokenRevoked)).collect();
        let outcome = self.turn(&closing, |state| state.end_minted(&message, now))?;
        if outcome.is_ok() {
            self.reference.revoke(by, now);
        }
        Ok(format!("{outcome:?}"))
    }

    fn lease(&mut self, class: RequestClass) -> Result<String, Fault> {
        let (now, caller) = (self.now, self.caller());
        let message = GrantRequest { purges: Some(PurgesAfter { after: None }), ..GrantRequest::of(vec![class]) };
        let granted = self.turn(&Closing::new(), |state| state.grant(&caller, &message, now))?;
        if let Ok(grant) = &granted {
            self.check_purges(grant.purges.as_ref())?;
        }
        let permits = granted.map(|grant| match grant.drawn.first() {
            Some(Drawn::Permits(_, lease)) => lease.permits,
            Some(Drawn::UsedUp(..)) | None => 0,
        });
        if let Ok(permits) = permits {
            let (name, limit) = match class {
                RequestClass::Api => ("api", API_REQUESTS),
                RequestClass::Anonymous => ("anonymous", ANONYMOUS_REQUESTS),
            };
            let used = self.reference.count(name, permits, now);
            ensure!(self.is_served(), "a stopped tenant gets permits");
            ensure!(used <= limit, "{used} permits in a minute");
        }
        Ok(format!("{permits:?}"))
    }
}
