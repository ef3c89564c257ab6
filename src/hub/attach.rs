//! Opening a stream: rights, limits, where it begins, what it is sent first; and the pages of its replay.

use super::attachment::Attachment;
use super::broadcast::{MessageKind, frames, message};
use super::change_judge::ChangeJudge;
use super::event_log::{Page, Recovery};
use super::protocol::{
    Attach, Basis, Caller, Hello, IssueTicket, NotAllowed, ReadTicket, Refusal, TenantConfig, TicketRights, WireFormat,
    mercure_id,
};
use super::revocation;
use super::signs_of_life::{self, Room};
use super::sockets::{Carriage, CloseReason, Opened, Sockets};
use super::sqlite::{Sqlite, SqliteError};
use super::state::HubState;
use super::state_error::StateError;
use super::streams::Compiled;
use super::subscription_index::Adding;
use super::ticket::{self, Rights};
use domain::address::{Network, is_let_in};
use domain::clock::Timestamp;
use domain::frame::Frames;
use domain::json;
use domain::log_position::{Cursor, ReadPosition};
use domain::plan::Limits;

/// Clients reconnect after a random time in this range of milliseconds, so that a restart does not bring all of them back
/// at once.
const RETRY_MILLIS: std::ops::Range<u32> = 2000..5000;

/// What Mercure calls the beginning of the history.
const EARLIEST: &str = "earliest";

/// What a bridge sends when its client has read a page.
const NEXT_PAGE: &str = "next";

/// Where a stream begins.
struct Opening {
    /// The sequence number that its first event comes behind.
    through: u64,
    /// What it is sent first.
    frames: String,
    /// For Mercure's response header: the id of the event before its first one, if the client sent one.
    last_event_id: Option<String>,
}

impl<Sql: Sqlite, Net: Sockets> HubState<Sql, Net> {
    /// Opens a stream, or refuses it. Returns the response with the client's end of its socket.
    ///
    /// `random` decides the stream's number and its reconnection time.
    pub fn attach(
        &mut self,
        caller: &Caller,
        attach: Attach,
        random: u64,
        now: Timestamp,
    ) -> Result<Net::Upgrade, StateError> {
        // What a change of the tenant forbids was ended when it arrived here: a bridge that comes back keeps its stream.
        let caller = Caller { judged_at: caller.judged_at.filter(|_| !attach.reattach), ..caller.clone() };
        let rights = self.rights(&caller, &attach, now)?;
        let moved = self.returning(&attach, now);
        self.make_room(&attach, now)?;
        let carriage = self.carriage_for(&attach, now);
        let opening = match (attach.wire, attach.reattach) {
            (WireFormat::Mercure, false) => self.mercure_opening(attach.cursor.as_deref(), random, now)?,
            _ => self.opening(&attach, random, now)?,
        };
        let mut interest = attach.interest;
        let basis = match rights {
            Some(rights) => {
                interest.granted = rights.granted;
                rights.basis
            }
            None => attach.basis,
        };
        interest.check().map_err(|_| Refusal::Malformed)?;
        let live = opening.through == self.log.last();
        let announces = self.config.as_ref().is_some_and(|config| config.mercure.subscriptions);
        let mut presence = attach.presence.filter(|_| announces);
        // It has never ended: what follows of it does so under its name.
        if let (Some(presence), Some(moved)) =
            (&mut presence, moved.and_then(|moved| moved.subscriber_of(&interest, &basis)))
        {
            presence.subscriber = moved;
        }
        let attachment = Attachment {
            id: self.streams.free_id(random),
            interest,
            basis,
            since: now,
            address: attach.address,
            host: caller.host.as_deref().map(Into::into),
            ticket: attach.ticket,
            subscriber: presence.as_ref().map(|presence| presence.subscriber.clone()),
            wire: attach.wire,
            replaying: (!live).then_some(opening.through),
            history: (!live).then_some(self.log.last()),
            seen: attach.seen,
            may_be_direct: attach.may_be_direct,
        };
        let upgrade = self.open_stream(carriage, attachment.clone(), opening, attach.heartbeats)?;
        if let Some(presence) = presence {
            self.announce_arrival(&attachment, presence, now)?;
        }
        Ok(upgrade)
    }

    /// Opens a stream and says hello.
    fn open_stream(
        &mut self,
        carriage: Carriage,
        attachment: Attachment,
        opening: Opening,
        heartbeats: bool,
    ) -> Result<Net::Upgrade, StateError> {
        let hello = Hello {
            cursor: self.log.cursor(opening.through),
            live: attachment.replaying.is_none(),
            expires_at: attachment.basis.expires_at,
            opening: opening.frames,
        };
        let hello = serde_json::to_string(&hello).map_err(|_| Refusal::Malformed)?;
        let json = serde_json::to_string(&attachment).map_err(|_| Refusal::Malformed)?;
        let compiled = self.compile(&attachment)?;
        let opened = Opened {
            attachment: &json,
            last_event_id: opening.last_event_id.as_deref(),
            is_quiet: attachment.wire == WireFormat::Mercure,
            heartbeats,
        };
        let Ok((upgrade, socket)) = self.net.accept(carriage, &opened) else {
            self.streams.discard(&attachment, &compiled);
            return Err(Refusal::Failed.into());
        };
        self.net.send_text(&socket, &hello);
        self.streams.insert((socket, carriage), attachment, compiled, opening.through);
        self.advance_watermark();
        Ok(upgrade)
    }

    /// Compiles what a stream asks for. Where there are too many patterns, streams whose clients have not answered for long
    /// make room.
    fn compile(&mut self, attachment: &Attachment) -> Result<Compiled, Refusal> {
        match self.streams.compile(attachment, Adding::Opened) {
            Err(Refusal::TooManyPatterns(_)) => {
                self.close_unresponsive(attachment.since);
                self.streams.compile(attachment, Adding::Opened)
            }
            other => other,
        }
    }

    /// Stores a ticket for a subscriber whose credential was verified.
    pub fn issue_ticket(&mut self, caller: &Caller, message: &IssueTicket, now: Timestamp) -> Result<(), StateError> {
        let config = self.admit(caller, now)?;
        self.check_basis(&message.basis, &config, &message.address, now)?;
        let until = message.basis.expires_at.ok_or(Refusal::Malformed)?;
        let rights = Rights {
            granted: message.granted.clone(),
            until,
            basis: message.basis.clone(),
            networks: message.networks.clone(),
        };
        ticket::issue(&self.sql, &message.digest, &rights, now)?;
        self.mark_for_clean_up();
        Ok(())
    }

    /// What a stream with a ticket would hear.
    pub fn read_ticket(
        &self,
        caller: &Caller,
        message: &ReadTicket,
        now: Timestamp,
    ) -> Result<TicketRights, StateError> {
        let config = self.admit(caller, now)?;
        let found = ticket::read(&self.sql, &message.digest, now)?;
        let rights = self.ticket_rights(found, &config, &message.address, now)?;
        Ok(TicketRights { rights: rights.basis.rights(), granted: rights.granted })
    }

    /// Checks the tenant and what the stream rests on. A ticket returns its rights, and its previous stream is closed.
    fn rights(&mut self, caller: &Caller, attach: &Attach, now: Timestamp) -> Result<Option<Rights>, StateError> {
        let config = self.admit(caller, now)?;
        let Some(digest) = &attach.ticket else {
            self.check_basis(&attach.basis, &config, &attach.address, now)?;
            return Ok(None);
        };
        let rights = self.ticket_rights(ticket::redeem(&self.sql, digest, now)?, &config, &attach.address, now)?;
        self.close_where(|stream| (stream.attachment.ticket.as_ref() == Some(digest)).then_some(CloseReason::Replaced));
        Ok(Some(rights))
    }

    /// The rights of a ticket for whoever presents it from an address now.
    fn ticket_rights(
        &self,
        found: Option<Rights>,
        config: &TenantConfig,
        address: &str,
        now: Timestamp,
    ) -> Result<Rights, StateError> {
        let rights = found.ok_or(Refusal::TicketInvalid)?;
        // A ticket that was stored by an older version has its end beside its basis.
        let rights = Rights { basis: Basis { expires_at: Some(rights.until), ..rights.basis }, ..rights };
        if !rights.networks.iter().all(|networks| is_let_in(networks, address)) {
            return Err(Refusal::TicketInvalid.into());
        }
        self.check_basis(&rights.basis, config, address, now).map_err(|error| match error {
            StateError::Refused(Refusal::SecretRetired) => Refusal::TicketInvalid.into(),
            other => other,
        })?;
        Ok(rights)
    }

    /// Refuses what the configuration does not let stand, and a token whose minter has lost rights since.
    pub(super) fn check_basis(
        &self,
        basis: &Basis,
        config: &TenantConfig,
        address: &str,
        now: Timestamp,
    ) -> Result<(), StateError> {
        basis.check(config, address, now).map_err(refusal)?;
        match basis.minted() {
            Some(minted) if revocation::covers(&self.sql, minted)? => Err(Refusal::TokenRevoked.into()),
            _ => Ok(()),
        }
    }

    /// Checks the limits on streams. At a limit, streams whose clients have not answered for long make room.
    fn make_room(&mut self, attach: &Attach, now: Timestamp) -> Result<(), Refusal> {
        if self.over_limit(attach).is_none() {
            return Ok(());
        }
        self.close_unresponsive(now);
        self.over_limit(attach).map_or(Ok(()), Err)
    }

    fn over_limit(&self, attach: &Attach) -> Option<Refusal> {
        let limits = &self.config.as_ref()?.limits;
        let network = Network::of(&attach.address);
        let (away, away_of_network) = self.carrying.places(network);
        over_limit(limits, self.streams.len() + away, self.streams.of_network(network) + away_of_network)
    }

    /// How many milliseconds a newcomer who was refused may wait for room: its bridges are asked whether their clients are
    /// still there. None if the refusal is for another reason, or they were asked lately.
    pub fn wait_for_room(&mut self, refused: &StateError, now: Timestamp) -> Option<i64> {
        let StateError::Refused(Refusal::TooManyStreams | Refusal::TooManyConnections | Refusal::TooManyPatterns(_)) =
            refused
        else {
            return None;
        };
        match self.signs_of_life.room(now) {
            Room::Ask(millis) => {
                let mut sockets = self.streams.choose(|stream| Some(stream.socket.clone()));
                sockets.sort_by_cached_key(|(_, socket)| self.net.last_sign_at(socket));
                sockets.iter().for_each(|(_, socket)| self.net.send_text(socket, signs_of_life::QUESTION));
                Some(millis)
            }
            Room::Wait(millis) => Some(millis),
            Room::None => None,
        }
    }

    fn close_unresponsive(&mut self, now: Timestamp) {
        let is_silent = |last: Timestamp| now.since(last) > self.silence_millis;
        let silent = self.streams.choose(|stream| {
            let last = self.net.last_sign_at(&stream.socket).max(stream.attachment.since);
            is_silent(last).then_some(CloseReason::Unresponsive)
        });
        silent.into_iter().for_each(|(id, reason)| self.close(id, reason));
    }

    /// Where a stream begins that follows `/events`, or that its bridge attaches again.
    fn opening(&self, attach: &Attach, random: u64, now: Timestamp) -> Result<Opening, StateError> {
        let latest = self.log.cursor(self.log.last());
        let mut frames = Frames::new();
        if !attach.reattach {
            frames.retry(retry_millis(random));
        }
        let through = match &attach.cursor {
            None => {
                frames.cursor(&latest);
                latest.seq
            }
            Some(sent) => {
                let floor = self.floor(now)?;
                let recovery = match self.log.recover(sent, floor) {
                    // The numbers of changes began anew since.
                    Recovery::Resumed(seq) if attach.seen.is_some() && self.restored_behind(seq)? => {
                        Recovery::Reset("epoch")
                    }
                    recovery => recovery,
                };
                match recovery {
                    Recovery::Resumed(seq) => {
                        let from = self.log.cursor(seq);
                        if !attach.reattach {
                            let data = resumed(&from, &latest);
                            match attach.seen {
                                None => frames.control("hub.resumed", Some(&from), &data),
                                Some(change) => {
                                    frames.control("hub.resumed", Some(&ReadPosition { log: from, change }), &data)
                                }
                            };
                        }
                        seq
                    }
                    // Mercure has no event for it: its client reconnects, and reads of it in a header.
                    Recovery::Reset(_) if attach.wire == WireFormat::Mercure => {
                        return Err(Refusal::LogReplaced.into());
                    }
                    Recovery::Reset(reason) => {
                        let data = reset(reason, &self.log.cursor(floor), &latest);
                        frames.control("hub.reset", Some(&latest), &data);
                        latest.seq
                    }
                }
            }
        };
        Ok(Opening { through, frames: frames.into_string(), last_event_id: None })
    }

    /// Where a Mercure stream begins. An id that is not in the log (any more) begins at the earliest event.
    fn mercure_opening(&self, sent: Option<&str>, random: u64, now: Timestamp) -> Result<Opening, StateError> {
        let floor = self.floor(now)?;
        let last = self.log.last();
        let (through, last_event_id) = match sent {
            None => (last, None),
            Some("") => (last, Some(self.mercure_id_of(last)?)),
            Some(sent) => {
                let found = match sent.strip_prefix('#').filter(|cursor| Cursor::parse(cursor).is_some()) {
                    Some(cursor) => match self.log.recover(cursor, floor) {
                        Recovery::Resumed(seq) => Some(seq),
                        Recovery::Reset(_) => None,
                    },
                    None => self.log.find_id(&self.sql, sent, floor)?,
                };
                found.map_or((floor, Some(EARLIEST.to_owned())), |seq| (seq, Some(sent.to_owned())))
            }
        };
        let mut frames = Frames::new();
        frames.comment().retry(retry_millis(random));
        Ok(Opening { through, frames: frames.into_string(), last_event_id })
    }

    /// An event's id in the Mercure wire format.
    pub(super) fn mercure_id_of(&self, seq: u64) -> Result<String, SqliteError> {
        if seq == 0 {
            return Ok(EARLIEST.to_owned());
        }
        let own = self.log.publisher_id(&self.sql, seq)?;
        Ok(own.unwrap_or_else(|| mercure_id(&self.log.cursor(seq))))
    }

    /// How many milliseconds the page has to wait that a bridge asks for. [`Self::socket_message`] follows.
    pub fn page_due_in(&mut self, socket: &Net::Socket, text: &str, now: Timestamp) -> i64 {
        let id = self.stream_of(socket).filter(|_| text == NEXT_PAGE);
        match id.and_then(|id| self.payer(id)) {
            Some(network) => self.replay_budget.reserve(network, now),
            None => 0,
        }
    }

    /// The network that pays for a stream's next page: a stranger's, for history.
    fn payer(&self, id: u64) -> Option<Network> {
        let attachment = &self.streams.get(id)?.attachment;
        (attachment.is_strangers() && attachment.is_in_history()).then(|| attachment.network())
    }

    /// A bridge sent text, which is nothing but the request for the next page.
    pub fn socket_message(&mut self, socket: &Net::Socket, text: &str, now: Timestamp) -> Result<(), StateError> {
        match self.stream_of(socket).filter(|_| text == NEXT_PAGE) {
            Some(id) => Ok(self.send_page(id, now)?),
            None => Ok(()),
        }
    }

    /// Sends the next page of a replay. Behind the last one the stream is live.
    fn send_page(&mut self, id: u64, now: Timestamp) -> Result<(), SqliteError> {
        let Some(at) = self.streams.get(id).and_then(|stream| stream.attachment.replaying) else { return Ok(()) };
        let payer = self.payer(id);
        let Page { entries, through, more, is_incomplete, bytes } = self.page(at)?;
        if let Some(network) = payer {
            self.replay_budget.settle(network, entries.len(), bytes, now);
        }
        if is_incomplete && self.streams.get(id).is_some_and(|stream| stream.attachment.wire != WireFormat::Mercure) {
            return self.send_reset(id, now);
        }
        let Some(stream) = self.streams.get_mut(id) else { return Ok(()) };
        stream.attachment.replaying = more.then_some(through);
        stream.through = through;
        let mut judge = ChangeJudge::default();
        let wanted = entries.iter().filter(|entry| !stream.has_seen(entry) && stream.wants(entry, now));
        let wanted = wanted.filter_map(|entry| Some((entry, judge.telling(entry, stream.filter())?)));
        let frames = frames(&self.log, wanted, stream.attachment.wire);
        let kind = if more { MessageKind::Page } else { MessageKind::LastPage };
        let bytes = message(kind, through, &frames);
        self.store_attachment(id);
        self.net.send(self.streams.sockets(&[id]), &bytes);
        Ok(())
    }

    /// Tells a client that reads so slowly that events of its replay were deleted, and makes its stream live.
    fn send_reset(&mut self, id: u64, now: Timestamp) -> Result<(), SqliteError> {
        let (earliest, latest) = (self.log.cursor(self.floor(now)?), self.log.cursor(self.log.last()));
        let Some(stream) = self.streams.get_mut(id) else { return Ok(()) };
        stream.attachment.replaying = None;
        stream.through = latest.seq;
        let mut frames = Frames::new();
        frames.control("hub.reset", Some(&latest), &reset("expired", &earliest, &latest));
        let bytes = message(MessageKind::LastPage, latest.seq, &frames.into_string());
        self.store_attachment(id);
        self.net.send(self.streams.sockets(&[id]), &bytes);
        Ok(())
    }
}

/// Which limit refuses one more stream, where so many are open, so many of them of its network.
fn over_limit(limits: &Limits, open: u64, of_network: u64) -> Option<Refusal> {
    if open >= limits.streams() {
        return Some(Refusal::TooManyStreams);
    }
    (of_network >= limits.streams_per_network(open)).then_some(Refusal::TooManyConnections)
}

/// What a stream that may not stand is told in place of a socket.
fn refusal(why: NotAllowed) -> Refusal {
    match why {
        NotAllowed::Expired => Refusal::SecretRetired,
        NotAllowed::NoCredential => Refusal::NoCredential,
        NotAllowed::IssuerDropped | NotAllowed::OlderProtocol => Refusal::TokenRevoked,
        NotAllowed::Address => Refusal::AddressNotAllowed,
    }
}

fn resumed(from: &Cursor, to: &Cursor) -> String {
    json!({ "from": from, "to": to }).to_string()
}

fn reset(reason: &str, earliest: &Cursor, latest: &Cursor) -> String {
    json!({ "reason": reason, "earliest": earliest, "latest": latest }).to_string()
}

fn retry_millis(random: u64) -> u32 {
    let width = RETRY_MILLIS.end - RETRY_MILLIS.start;
    RETRY_MILLIS.start + u32::try_from(random % u64::from(width)).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hub::event_log::NewEntry;
    use crate::hub::model::{FakeSockets, FakeSql, Received, served};
    use crate::tenant_id::TenantId;
    use domain::plan::Limit;
    use domain::selector::{Interest, Selector};
    use domain::topic::Topic;

    const NOW: Timestamp = Timestamp::from_millis(1_000_000);

    fn hub(streams: u64) -> (FakeSockets, HubState<FakeSql, FakeSockets>) {
        let net = FakeSockets::default();
        let (tenant, sql) = (TenantId::proven("acme"), FakeSql::new());
        let mut state = HubState::wake(tenant, sql, net.clone(), [1; 8], 60_000, NOW).unwrap();
        let mut config = served();
        let limits = &mut config.limits;
        (limits.concurrent_subscriptions, limits.connections_per_address) = (Limit::AtMost(streams), None);
        [limits.event_retention_seconds, limits.event_retention_count, limits.event_log_bytes] = [Limit::Unlimited; 3];
        state.configure(config, NOW).unwrap();
        (net, state)
    }

    fn open(
        state: &mut HubState<FakeSql, FakeSockets>,
        address: &str,
        granted: &[&str],
        cursor: Option<String>,
    ) -> Result<u32, StateError> {
        let parse = |topics: &[&str]| topics.iter().map(|topic| Selector::parse(topic).unwrap()).collect();
        let caller = Caller { tenant: (&TenantId::proven("acme")).into(), revision: 0, host: None, judged_at: None };
        let attach = Attach {
            interest: Interest { selected: parse(&["none"]), granted: parse(granted), ..Interest::default() },
            basis: Basis::default(),
            ticket: None,
            address: address.into(),
            wire: WireFormat::Plain,
            cursor,
            seen: None,
            reattach: false,
            presence: None,
            may_be_direct: false,
            heartbeats: false,
        };
        let random = state.streams.len() << 20;
        state.attach(&caller, attach, random, NOW)
    }

    fn log_of(state: &mut HubState<FakeSql, FakeSockets>, events: usize) -> String {
        for _ in 0..events {
            let new = NewEntry {
                topics: vec![Topic::parse("t").unwrap()],
                private: false,
                name: "n".into(),
                tail: "x".repeat(250_000),
                update: None,
                creation_id: None,
                before: None,
                change: None,
            };
            state.log.append(&state.sql, NOW, new).unwrap();
        }
        state.log.cursor(0).to_string()
    }

    /// How many pages of a replay are sent before one has to wait.
    fn pages_at_once(state: &mut HubState<FakeSql, FakeSockets>, socket: u32) -> usize {
        let mut pages = 0;
        while state.stream_of(&socket).and_then(|id| state.streams.get(id)).unwrap().attachment.replaying.is_some() {
            if state.page_due_in(&socket, NEXT_PAGE, NOW) > 0 {
                return pages;
            }
            state.socket_message(&socket, NEXT_PAGE, NOW).unwrap();
            pages += 1;
        }
        pages
    }

    #[test]
    fn a_network_that_replays_all_again_and_again_waits_and_nobody_else_does() {
        let (_, mut state) = hub(100);
        let start = log_of(&mut state, 40);
        let pages = |state: &mut _, address: &str, granted: &[&str]| {
            let socket = open(state, address, granted, Some(start.clone())).unwrap();
            pages_at_once(state, socket)
        };
        assert_eq!(pages(&mut state, "192.0.2.1", &[]), 39);
        assert_eq!(pages(&mut state, "192.0.2.1", &[]), 26, "16 MB in all");
        assert_eq!(pages(&mut state, "192.0.2.1", &[]), 0);
        assert_eq!(pages(&mut state, "192.0.2.2", &[]), 39, "another network");
        assert_eq!(pages(&mut state, "192.0.2.1", &["t"]), 39, "whoever shows a credential");
    }

    #[test]
    fn what_happened_since_a_stream_was_opened_costs_its_network_nothing() {
        let (_, mut state) = hub(100);
        let start = log_of(&mut state, 80);
        let spent = open(&mut state, "192.0.2.1", &[], Some(start)).unwrap();
        assert_eq!(pages_at_once(&mut state, spent), 66);
        let live = open(&mut state, "192.0.2.1", &[], None).unwrap();
        log_of(&mut state, 3);
        let id = state.stream_of(&live).unwrap();
        state.streams.get_mut(id).unwrap().attachment.replaying = Some(80);
        assert_eq!(pages_at_once(&mut state, live), 3);
    }

    #[test]
    fn at_a_limit_bridges_are_asked_whether_their_clients_are_there() {
        let (net, mut state) = hub(2);
        let sockets = ["192.0.2.1", "192.0.2.2"].map(|address| open(&mut state, address, &[], None).unwrap());
        let asked = |net: &FakeSockets| {
            let texts = |socket: &u32| net.receive(*socket).contains(&Received::Text(signs_of_life::QUESTION.into()));
            sockets.iter().map(texts).collect::<Vec<_>>()
        };
        assert_eq!(asked(&net), [false, false]);
        let refused = open(&mut state, "192.0.2.3", &[], None).unwrap_err();
        assert!(state.wait_for_room(&refused, NOW).is_some_and(|millis| millis > 0));
        assert_eq!(asked(&net), [true, true]);
        assert!(state.wait_for_room(&refused, NOW.plus_millis(1)).is_some());
        assert_eq!(asked(&net), [false, false], "once for all newcomers");
        assert_eq!(state.wait_for_room(&Refusal::Stopped.into(), NOW.plus_millis(9_000)), None);
        net.close_by_client(sockets[0]);
        state.socket_closed(&sockets[0], crate::hub::presence::Leaving::ForGood);
        open(&mut state, "192.0.2.3", &[], None).unwrap();
    }

    #[test]
    fn one_network_cannot_hold_all_streams_and_an_office_still_can() {
        let mut limits = crate::hub::model::served().limits;
        (limits.concurrent_subscriptions, limits.connections_per_address) = (Limit::AtMost(1000), None);
        assert_eq!(over_limit(&limits, 500, 500), None, "half of all are free");
        assert_eq!(over_limit(&limits, 501, 100), Some(Refusal::TooManyConnections), "a tenth of all is taken");
        assert_eq!(over_limit(&limits, 501, 99), None);
        assert_eq!(over_limit(&limits, 999, 0), None, "another network");
        assert_eq!(over_limit(&limits, 1000, 0), Some(Refusal::TooManyStreams));
        limits.concurrent_subscriptions = Limit::AtMost(60);
        assert_eq!(
            (over_limit(&limits, 59, 49), over_limit(&limits, 59, 50)),
            (None, Some(Refusal::TooManyConnections))
        );
    }
}
