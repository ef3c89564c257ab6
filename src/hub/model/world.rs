//! A hub with its clients: runs turns as the Durable Object does, and checks after each of them what must always hold.

use std::collections::BTreeMap;

use super::SLOTS;
use super::client::Client;
use super::fakes::{FakeSockets, FakeSql};
use super::reference::{KnownEvent, Reference};
use super::steps::Token;
use crate::hub::presence::Leaving;
use crate::hub::protocol::Caller;
use crate::hub::sockets::{CloseReason, Sockets};
use crate::hub::state::{HubState, LoadedState};
use crate::hub::state_error::StateError;
use crate::storage::outbox::{CollectionsRead, OutboxRow};
use crate::tenant_id::TenantId;
use domain::address::Network;
use domain::clock::Timestamp;
use domain::log_position::{Cursor, Epoch};

/// What went wrong, for people.
pub type Fault = String;

pub type State = HubState<FakeSql, FakeSockets>;

/// The clients whose streams a turn closes, each with its reason.
pub type Closing = BTreeMap<usize, CloseReason>;

/// Milliseconds without a ping after which a client counts as gone.
pub const SILENCE_MILLIS: i64 = 60_000;

macro_rules! ensure {
    ($holds:expr, $($fault:tt)*) => {
        if !$holds {
            return Err(format!($($fault)*));
        }
    };
}
pub(super) use ensure;

pub struct World {
    pub now: Timestamp,
    pub sql: FakeSql,
    pub net: FakeSockets,
    pub memory: LoadedState<State>,
    pub reference: Reference,
    pub clients: [Option<Client>; SLOTS],
    /// Whether there is memory, and with it the timer of the fan-out.
    pub is_awake: bool,
    /// Whether the next turn rebuilds the memory.
    pub is_forgotten: bool,
    /// The streams that hubs which woke since the last check must have closed.
    waking_closes: Closing,
    /// The same for the next turn, where the configuration changes in it.
    pub next_waking_closes: Option<Closing>,
    /// When the runtime will fire the alarm.
    pub alarm: Option<Timestamp>,
    /// Clients that were told to come back, by their networks, and when.
    pub away: Vec<(Network, Timestamp)>,
    /// Sockets that the hub has closed and whose close event has not reached it yet.
    pub closing_sockets: Vec<u32>,
    pub outbox: Vec<OutboxRow>,
    /// How many of its rows the hub has taken.
    pub taken: usize,
    /// The collection that stands on the shard: its number, and whether it is private.
    pub collection: Option<(u64, bool)>,
    /// What was read of the collections before.
    pub read_before: CollectionsRead,
    pub tenant: TenantId,
    pub epoch: Epoch,
    /// What clients got in the present step.
    pub notes: String,
    random: u64,
}

impl World {
    pub fn new() -> Self {
        Self {
            now: Timestamp::from_millis(1_000_000_000),
            sql: FakeSql::new(),
            net: FakeSockets::default(),
            memory: LoadedState::default(),
            reference: Reference::default(),
            clients: Default::default(),
            is_awake: false,
            is_forgotten: true,
            waking_closes: Closing::new(),
            next_waking_closes: None,
            alarm: None,
            away: Vec::new(),
            closing_sockets: Vec::new(),
            outbox: Vec::new(),
            taken: 0,
            collection: None,
            read_before: CollectionsRead::default(),
            tenant: TenantId::proven("acme"),
            epoch: Epoch::from_random([7; 8]),
            notes: String::new(),
            random: 0,
        }
    }

    pub fn caller(&self) -> Caller {
        Caller { tenant: (&self.tenant).into(), revision: 0, host: None, judged_at: None }
    }

    pub fn cursor(&self, seq: u64) -> Cursor {
        Cursor { epoch: self.epoch.clone(), seq }
    }

    /// A number that never comes again.
    pub fn random(&mut self) -> u64 {
        self.random += 1 << 20;
        self.random
    }

    /// The clients whose streams are open, with their slots.
    pub fn open(&self) -> impl Iterator<Item = (usize, &Client)> {
        let clients = self.clients.iter().enumerate().filter_map(|(slot, client)| Some((slot, client.as_ref()?)));
        clients.filter(|(_, client)| client.socket.is_some())
    }

    /// Runs a turn. True beside its outcome if the storage failed in it.
    pub fn run<T>(&mut self, act: impl FnOnce(&mut State) -> Result<T, StateError>) -> (Result<T, StateError>, bool) {
        let was_armed = self.sql.is_armed();
        let closes = self.next_waking_closes.take().unwrap_or_else(|| self.closed_by_waking());
        self.waking_closes.extend(closes);
        let (tenant, sql, net, now) = (self.tenant.clone(), self.sql.clone(), self.net.clone(), self.now);
        let wake = || HubState::wake(tenant, sql, net, [7; 8], SILENCE_MILLIS, now);
        let outcome = self.memory.turn(wake, act);
        self.is_awake = true;
        self.is_forgotten = matches!(outcome, Err(StateError::Storage(_)));
        if self.is_forgotten {
            self.away.clear();
        }
        (outcome, was_armed && !self.sql.is_armed())
    }

    /// A turn that closes these streams, and what the object does after it.
    pub fn turn<T>(
        &mut self,
        closing: &Closing,
        act: impl FnOnce(&mut State) -> Result<T, StateError>,
    ) -> Result<Result<T, StateError>, Fault> {
        let (outcome, failed) = self.run(act);
        self.end_turn(closing, outcome, failed)
    }

    /// What follows a turn that closes these streams.
    pub fn end_turn<T>(
        &mut self,
        closing: &Closing,
        outcome: Result<T, StateError>,
        failed: bool,
    ) -> Result<Result<T, StateError>, Fault> {
        ensure!(failed || !matches!(outcome, Err(StateError::Storage(_))), "the storage fails without a reason");
        self.check(closing, failed)?;
        self.after_turn()?;
        Ok(outcome)
    }

    pub fn after_turn(&mut self) -> Result<(), Fault> {
        let now = self.now;
        let (_, failed) = self.run(|state| state.announce_departures(now));
        self.check(&Closing::new(), failed)?;
        let (alarm, failed) = self.run(|state| state.alarm_due(now));
        self.check(&Closing::new(), failed)?;
        self.alarm = alarm.ok().flatten().or(self.alarm);
        Ok(())
    }

    /// Clients read what has arrived. Then checks what must hold between any two turns.
    pub fn check(&mut self, closing: &Closing, failed: bool) -> Result<(), Fault> {
        let mut closed = BTreeMap::new();
        for (slot, client) in self.clients.iter_mut().enumerate() {
            let Some((client, socket)) = client.as_mut().and_then(|client| client.socket.map(|s| (client, s))) else {
                continue;
            };
            let before = client.delivered.len();
            for received in self.net.receive(socket) {
                let fault = client.receive(&received, &self.reference, self.now);
                fault.map_err(|fault| format!("client {slot}: {fault}"))?;
            }
            if let Some(new) = client.delivered.get(before..).filter(|new| !new.is_empty()) {
                self.notes.push_str(&format!("; client {slot} got {new:?}"));
            }
            if let Some(code) = client.ended {
                self.notes.push_str(&format!("; client {slot} was closed: {code}"));
                closed.insert(slot, code);
                self.closing_sockets.push(socket);
            }
        }
        let mut expected: BTreeMap<_, _> = closing.iter().map(|(slot, reason)| (*slot, reason.code())).collect();
        expected
            .extend(std::mem::take(&mut self.waking_closes).into_iter().map(|(slot, reason)| (slot, reason.code())));
        if failed {
            let is_expected = closed.iter().all(|(slot, code)| expected.get(slot) == Some(code));
            ensure!(is_expected, "streams were closed: {closed:?}, allowed are {expected:?}");
        } else {
            ensure!(closed == expected, "streams were closed: {closed:?}, expected are {expected:?}");
        }
        let sent = self.net.sent_when_closed();
        ensure!(sent.is_empty(), "the hub sent to sockets that are closed: {sent:?}");
        self.check_watermark()
    }

    /// A bridge takes the watermark for its own cursor. So it must never pass an event that its client has yet to get.
    fn check_watermark(&self) -> Result<(), Fault> {
        let Some(watermark) = self.net.ping_reply() else { return Ok(()) };
        let watermark = Cursor::parse(&watermark).filter(|cursor| cursor.epoch == self.epoch);
        let watermark = watermark.ok_or("the reply to pings is not a cursor of this log")?.seq;
        ensure!(watermark <= self.reference.last(), "the watermark is {watermark}, ahead of the log");
        for (slot, client) in self.open().filter(|(_, client)| client.is_live) {
            if let Some(seq) = client.missing(watermark, &self.reference, self.now) {
                return Err(format!("the watermark is {watermark}, but client {slot} was not sent event {seq}"));
            }
        }
        Ok(())
    }

    /// After a turn whose reply was lost, the log may hold events that it was about to acknowledge: the first of these.
    pub fn reconcile(&mut self, unacknowledged: Vec<KnownEvent>) -> Result<(), Fault> {
        self.sql.fail_after(None);
        let now = self.now;
        let (status, _) = self.run(|state| state.status(now, now));
        let latest = status.map_err(|error| format!("{error:?}"))?.latest.seq;
        let appended = latest.checked_sub(self.reference.last()).ok_or("the log has lost events")?;
        ensure!(appended <= unacknowledged.len() as u64, "the log holds {appended} events more than it should");
        self.reference.events.extend(unacknowledged.into_iter().take(usize::try_from(appended).unwrap_or(0)));
        Ok(())
    }

    /// Why a client's stream may not stay open under the settings of now; none if it may.
    pub fn end_of(&self, slot: usize, client: &Client) -> Option<CloseReason> {
        let settings = self.reference.settings?;
        let rules = settings.rules;
        let is_retired = |version: u32| (!settings.accepts(version, self.now)).then_some(CloseReason::TokenExpired);
        if !settings.served {
            return Some(CloseReason::TenantUnavailable);
        }
        if !client.is_entitled(self.now) {
            return Some(CloseReason::TokenExpired);
        }
        match client.wish.token {
            Token::None => (!rules.anonymous).then_some(CloseReason::NoCredential),
            Token::Minted(_) | Token::Ticket(_) => None,
            Token::Signed(version) => is_retired(version),
            Token::Expiring => is_retired(2),
            Token::Issuer => (!rules.issuer).then_some(CloseReason::TokenRevoked),
            Token::Principal(..) => (rules.lists_last && slot != SLOTS - 1).then_some(CloseReason::AddressNotAllowed),
        }
    }

    /// Which streams may not stay open.
    pub fn unauthorized(&self) -> Closing {
        self.open().filter_map(|(slot, client)| Some((slot, self.end_of(slot, client)?))).collect()
    }

    /// Which streams the next turn closes first, because the hub wakes in it.
    pub fn closed_by_waking(&self) -> Closing {
        if self.is_forgotten { self.unauthorized() } else { Closing::new() }
    }

    /// Which streams a changed configuration closes: those that may not stay, then the newest beyond the limit.
    /// Those that its waking closes first count no more.
    pub fn closed_by_configuration_after(&self, waking: &Closing) -> Closing {
        let mut closing = self.unauthorized();
        closing.extend(waking);
        let limit = self.reference.settings.map_or(0, |settings| settings.rules.streams());
        let mut staying: Vec<_> = self.open().filter(|(slot, _)| !closing.contains_key(slot)).collect();
        staying.sort_by_key(|(_, client)| (client.opened_at, client.number));
        let beyond: Vec<_> = staying.into_iter().skip(limit).map(|(slot, _)| slot).collect();
        closing.extend(beyond.into_iter().map(|slot| (slot, CloseReason::TooManyStreams)));
        closing
    }

    /// The slot of the first client from this one on, round and round, that satisfies a condition.
    pub fn next_slot(&self, from: usize, is_meant: impl Fn(&Client) -> bool) -> Option<usize> {
        let mut slots = (from..SLOTS).chain(0..from);
        slots.find(|slot| self.clients[*slot].as_ref().is_some_and(&is_meant))
    }

    /// Lets time pass. Timers and alarms fire, close events reach the hub, clients ping.
    pub fn wait(&mut self, millis: i64) -> Result<(), Fault> {
        if self.is_awake && millis > 1000 {
            self.fan_out(0)?;
        }
        for socket in std::mem::take(&mut self.closing_sockets) {
            self.net.close_by_client(socket);
            let closed = self.turn(&Closing::new(), |state| {
                state.socket_closed(&socket, Leaving::ForGood);
                Ok(())
            })?;
            ensure!(closed.is_ok() || !self.sql.is_armed(), "{closed:?}");
        }
        let until = self.now.plus_millis(millis);
        while let Some(at) = self.alarm.take_if(|at| *at <= until) {
            self.now = self.now.max(at);
            let (now, closing) = (self.now, self.unauthorized());
            if self.turn(&closing, |state| state.on_alarm(now))?.is_err() {
                // The runtime tries again.
                self.alarm = Some(now.plus_millis(2000));
            }
            self.reference.delete_expired(now);
        }
        self.now = until;
        for client in self.clients.iter_mut().flatten().filter(|client| !client.wish.is_mute) {
            let Some(socket) = client.socket else { continue };
            let Some(reply) = self.net.ping(socket, self.now) else { continue };
            client.last_ping_at = self.now;
            if let Some(cursor) = Cursor::parse(&reply).filter(|_| client.is_live) {
                client.place = client.place.max(cursor.seq);
            }
        }
        Ok(())
    }

    /// Runs one fan-out, if events wait: behind it, no live client misses anything.
    pub fn fan_out(&mut self, cost: i64) -> Result<(), Fault> {
        let now = self.now;
        let (due, _) = self.run(|state| Ok(state.fan_out_due_in(now)));
        self.check(&Closing::new(), true)?;
        let Some(due) = due.ok().flatten() else { return Ok(()) };
        self.now = self.now.plus_millis(due);
        for _ in 0..1000 {
            let now = self.now;
            let (pause, _) = self.run(|state| Ok(state.fan_out_debounce(now)));
            let Some(pause) = pause.ok().flatten() else { break };
            ensure!(pause > 0, "a pause of {pause} ms never ends");
            self.now = self.now.plus_millis(pause);
        }
        let now = self.now;
        let _ = self.run(|state| {
            state.fan_out(now);
            Ok(())
        });
        self.check(&Closing::new(), true)?;
        self.now = self.now.plus_millis(cost);
        let now = self.now;
        let (next, _) = self.run(|state| {
            state.fan_out_finished(now);
            Ok(state.fan_out_due_in(now))
        });
        self.check(&Closing::new(), true)?;
        ensure!(!matches!(next, Ok(Some(_))), "events still wait behind a fan-out");
        self.expect_complete()
    }

    fn expect_complete(&self) -> Result<(), Fault> {
        for (slot, client) in self.open().filter(|(_, client)| client.is_live) {
            if let Some(seq) = client.missing(self.reference.last(), &self.reference, self.now) {
                return Err(format!("client {slot} never gets event {seq}"));
            }
        }
        Ok(())
    }

    /// Lets everything come to rest: then every open stream is live and complete.
    pub fn settle(&mut self) -> Result<(), Fault> {
        self.sql.fail_after(None);
        for slot in 0..SLOTS {
            self.come_back(slot)?;
        }
        for _ in 0..200 {
            self.fan_out(0)?;
            let owing: Vec<_> = self.open().filter(|(_, client)| client.owes_page).map(|(slot, _)| slot).collect();
            if owing.is_empty() {
                if let Some((slot, _)) = self.open().find(|(_, client)| !client.is_live) {
                    return Err(format!("client {slot} never becomes live"));
                }
                let (now, open) = (self.now, self.open().count() as u64);
                let (status, _) = self.run(|state| state.status(now, now));
                let status = status.map_err(|error| format!("{error:?}"))?;
                ensure!((status.streams, status.pending) == (open, 0), "{open} streams are open, but {status:?}");
                return self.expect_complete();
            }
            for slot in owing {
                self.next_page(slot)?;
            }
        }
        Err("clients never come to the end of their pages".into())
    }
}
