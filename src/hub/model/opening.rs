//! Opening streams: whom the hub must let in, and where their streams must begin.

use super::ISSUER;
use super::acts::PRINCIPALS;
use super::client::Client;
use super::reference::STREAMS_PER_ADDRESS;
use super::steps::{From, GRANTED, Token, Wish};
use super::world::{Closing, Fault, SILENCE_MILLIS, World, ensure};
use crate::hub::moved_streams::RETURN_MILLIS;
use crate::hub::protocol::{Attach, Basis, Grantor, IssueTicket, Refusal, TokenIssuer, WireFormat};
use crate::hub::sockets::{Carriage, CloseReason, Sockets};
use crate::hub::state_error::StateError;
use domain::address::Network;
use domain::log_position::{Cursor, Epoch};
use domain::mercure::Action;
use domain::minted::Minted;
use domain::selector::{Interest, Selector};

/// How long tokens are valid, in milliseconds.
const LONG: i64 = 3_600_000;
const SHORT: i64 = 6_000;

pub fn address(slot: usize) -> &'static str {
    if slot == 3 { "2001:db8:0:1::1" } else { ["2001:db8::1", "2001:db8::2", "2001:db8::3"][slot] }
}

pub fn network(slot: usize) -> Network {
    Network::of(address(slot))
}

fn selectors(list: &[&str]) -> Vec<Selector> {
    list.iter().map(|text| Selector::parse(text).unwrap()).collect()
}

impl World {
    pub fn open_stream(&mut self, slot: usize, wish: &Wish, from: From) -> Result<String, Fault> {
        self.leave(slot, true)?;
        let client = self.client_of(wish);
        if client.ticket.is_some()
            && let Some(refusal) = self.issue_ticket(&client)?
        {
            return Ok(format!("no ticket: {refusal:?}"));
        }
        let cursor = match from {
            From::Now => None,
            From::Event(seq) => Some(self.cursor(seq)),
            From::Elsewhere => Some(Cursor { epoch: Epoch::from_random([1; 8]), seq: 3 }),
        };
        self.attach(slot, client, cursor, false)
    }

    fn client_of(&mut self, wish: &Wish) -> Client {
        let minted = |by: usize| {
            let also = vec![format!("session:{by}"), format!("role:{by}")];
            Minted { by: PRINCIPALS[by].into(), at: self.now, also }
        };
        let issuer = || TokenIssuer { name: ISSUER.into(), jwks_url: ISSUER.into(), action: Action::Subscribe };
        let (grantor, lifetime) = match wish.token {
            Token::None => (Grantor::Nobody, None),
            Token::Minted(by) | Token::Ticket(by) => (Grantor::Minted(minted(by)), Some(LONG)),
            Token::Signed(version) => (Grantor::SubscriptionSecret(version), Some(LONG)),
            Token::Expiring => (Grantor::SubscriptionSecret(2), Some(SHORT)),
            Token::Issuer => (Grantor::Issuer(issuer()), Some(LONG)),
            Token::Principal(by, rights) => (Grantor::Principal(minted(by), rights), Some(LONG)),
        };
        let expires_at = lifetime.map(|millis| self.now.plus_millis(millis));
        let number = self.random();
        Client {
            wish: wish.clone(),
            basis: Basis { grantor, expires_at, is_older: false },
            ticket: matches!(wish.token, Token::Ticket(_)).then(|| format!("ticket-{number}")),
            opened_at: self.now,
            number,
            last_ping_at: self.now,
            socket: None,
            ended: None,
            place: 0,
            is_live: false,
            owes_page: false,
            carriage: Carriage::Bridged,
            start: 0,
            delivered: Vec::new(),
        }
    }

    fn issue_ticket(&mut self, client: &Client) -> Result<Option<StateError>, Fault> {
        let (now, caller) = (self.now, self.caller());
        let message = IssueTicket {
            digest: client.ticket.clone().unwrap_or_default(),
            basis: client.basis.clone(),
            granted: if client.wish.granted { selectors(GRANTED) } else { Vec::new() },
            address: String::new(),
            networks: Vec::new(),
        };
        Ok(self.turn(&Closing::new(), |state| state.issue_ticket(&caller, &message, now))?.err())
    }

    /// The bridge of a lost stream attaches again; the client of an ended one reconnects with its last id.
    pub fn come_back(&mut self, slot: usize) -> Result<String, Fault> {
        let Some(client) = self.clients[slot].clone() else { return Ok("nobody".into()) };
        let cursor = Some(self.cursor(client.place));
        match (client.socket, client.ended) {
            (Some(_), _) if client.ticket.is_none() => Ok("it is open".into()),
            (Some(_), _) => self.replace(slot, client, cursor),
            (None, None) => self.attach(slot, client, cursor, true),
            (None, Some(_)) => {
                let client = Client { ended: None, delivered: Vec::new(), ..client };
                self.attach(slot, client, cursor, false)
            }
        }
    }

    /// A client with a ticket opens a second stream, which replaces the first.
    fn replace(&mut self, slot: usize, mut old: Client, cursor: Option<Cursor>) -> Result<String, Fault> {
        let client = Client { socket: None, delivered: Vec::new(), ..old.clone() };
        let told = self.attach(slot, client, cursor, false)?;
        let is_open = |client: &Client| client.socket.is_some_and(|socket| Some(socket) != old.socket);
        if !self.clients[slot].as_ref().is_some_and(is_open) {
            return Ok(told);
        }
        if let Some(socket) = old.socket {
            for received in self.net.receive(socket) {
                old.receive(&received, &self.reference, self.now)?;
            }
            let expected = Some(CloseReason::Replaced.code());
            ensure!(old.ended == expected, "the stream that was replaced was closed: {:?}", old.ended);
            self.closing_sockets.push(socket);
        }
        Ok(told)
    }

    fn attach(
        &mut self,
        slot: usize,
        mut client: Client,
        cursor: Option<Cursor>,
        reattach: bool,
    ) -> Result<String, Fault> {
        let (now, caller, random) = (self.now, self.caller(), self.random());
        self.come_back_to_place(slot, cursor.is_some() && !reattach);
        let message = attach_message(slot, &client, cursor.as_ref(), reattach);
        let (mut closing, admitted) = self.expect_admission(slot, &client);
        let begins = admitted.and_then(|()| self.expect_beginning(&client, cursor.as_ref(), reattach));
        let (outcome, failed) = self.run(|state| state.attach(&caller, message, random, now));
        let told = match (&outcome, &begins) {
            (Ok(socket), Ok((place, start))) => {
                client.socket = Some(*socket);
                client.carriage = self.net.carriage(socket);
                let direct = self.reference.settings.is_some_and(|settings| settings.rules.direct);
                let expected = if direct && !reattach { Carriage::Direct } else { Carriage::Bridged };
                ensure!(client.carriage == expected, "a stream is {:?}", client.carriage);
                if client.wish.is_mute {
                    self.net.stall(*socket);
                }
                (client.opened_at, client.last_ping_at, client.number) = (now, now, random);
                client.start = if reattach { client.start.max(*start) } else { *place };
                self.clients[slot] = Some(client);
                format!("begins behind {place}")
            }
            (Err(StateError::Refused(refusal)), Err(expected)) if refusal == expected => {
                let is_temporary = matches!(refusal, Refusal::TooManyStreams | Refusal::TooManyConnections);
                if let Some(client) =
                    self.clients[slot].as_mut().filter(|client| !is_temporary && client.socket.is_none())
                {
                    client.ended = client.ended.or(Some(0));
                }
                format!("refused: {refusal:?}")
            }
            (Err(StateError::Storage(_)), _) if failed => {
                // Perhaps behind the end of the stream that this one was to replace.
                closing.insert(slot, CloseReason::Replaced);
                "the storage failed".into()
            }
            (outcome, begins) => return Err(format!("{outcome:?}, expected is {begins:?}")),
        };
        self.check(&closing, failed)?;
        if let (Ok(_), Ok((place, _)), Some(client)) = (&outcome, &begins, &self.clients[slot]) {
            ensure!(client.place == *place, "the stream begins behind {}, expected is {place}", client.place);
        }
        self.after_turn()?;
        Ok(told)
    }

    /// The places of clients that were told to come back are kept for a while. One of them is this client's, if it comes back.
    fn come_back_to_place(&mut self, slot: usize, comes_back: bool) {
        let now = self.now;
        self.away.retain(|(_, at)| now.since(*at) < RETURN_MILLIS);
        let own = self.away.iter().position(|(away, _)| *away == network(slot));
        if let Some(own) = own.filter(|_| comes_back) {
            self.away.swap_remove(own);
        }
    }

    /// Whether a client must be let in, and which silent streams make room for it.
    fn expect_admission(&self, slot: usize, client: &Client) -> (Closing, Result<(), Refusal>) {
        let refused = |refusal| (Closing::new(), Err(refusal));
        let Some(settings) = self.reference.settings else { return refused(Refusal::Behind) };
        let is_ticket = client.ticket.is_some();
        match self.end_of(slot, client) {
            None => {}
            Some(CloseReason::TenantUnavailable) => return refused(Refusal::Stopped),
            Some(CloseReason::NoCredential) => return refused(Refusal::NoCredential),
            Some(CloseReason::AddressNotAllowed) => return refused(Refusal::AddressNotAllowed),
            Some(CloseReason::TokenRevoked) => return refused(Refusal::TokenRevoked),
            Some(_) if is_ticket => return refused(Refusal::TicketInvalid),
            Some(_) => return refused(Refusal::SecretRetired),
        }
        let by = client.basis.minted().and_then(|minted| {
            let by = PRINCIPALS.iter().position(|name| *name == minted.by)?;
            self.reference.is_revoked(by, minted.at).then_some(by)
        });
        if by.is_some() {
            return refused(Refusal::TokenRevoked);
        }
        let waking = self.closed_by_waking();
        let over = |gone: &Closing| {
            // A stream in the same slot is replaced.
            let is_gone = |other: &usize| gone.contains_key(other) || waking.contains_key(other);
            let staying = || self.open().filter(|(other, _)| *other != slot && !is_gone(other));
            if staying().count() + self.away.len() >= settings.rules.streams() {
                return Err(Refusal::TooManyStreams);
            }
            let here = staying().filter(|(other, _)| network(*other) == network(slot)).count();
            let here = here + self.away.iter().filter(|(away, _)| *away == network(slot)).count();
            if here >= STREAMS_PER_ADDRESS { Err(Refusal::TooManyConnections) } else { Ok(()) }
        };
        if over(&Closing::new()).is_ok() {
            return (Closing::new(), Ok(()));
        }
        let is_silent = |client: &Client| self.now.since(client.last_ping_at) > SILENCE_MILLIS;
        let silent =
            self.open().filter(|(other, client)| *other != slot && !waking.contains_key(other) && is_silent(client));
        let closing: Closing = silent.map(|(slot, _)| (slot, CloseReason::Unresponsive)).collect();
        let admitted = over(&closing);
        (closing, admitted)
    }

    /// The place where a stream must begin, and the event up to which its client must be told that events are gone.
    fn expect_beginning(
        &self,
        client: &Client,
        cursor: Option<&Cursor>,
        reattach: bool,
    ) -> Result<(u64, u64), Refusal> {
        let (last, floor) = (self.reference.last(), self.reference.floor(self.now));
        let Some(cursor) = cursor else { return Ok((last, last)) };
        let is_kept = cursor.epoch == self.epoch && (floor..=last).contains(&cursor.seq);
        match (is_kept, client.wish.wire) {
            (true, _) => Ok((cursor.seq, 0)),
            (false, WireFormat::Mercure) if reattach => Err(Refusal::LogReplaced),
            (false, WireFormat::Mercure) => Ok((floor, floor)),
            (false, WireFormat::Plain | WireFormat::Named) => Ok((last, last)),
        }
    }
}

fn attach_message(slot: usize, client: &Client, cursor: Option<&Cursor>, reattach: bool) -> Attach {
    let wish = &client.wish;
    let by_ticket = client.ticket.is_some();
    let is_mercure = wish.wire == WireFormat::Mercure;
    let interest = Interest {
        selected: selectors(wish.selected),
        granted: if wish.granted && !by_ticket { selectors(GRANTED) } else { Vec::new() },
        filter: wish.filtered.then(|| "score>=3".into()),
        hub: is_mercure.then(|| "https://acme.test/.well-known/mercure".into()),
    };
    let cursor = cursor.map(|cursor| match is_mercure && !reattach {
        true => format!("#{cursor}"),
        false => cursor.to_string(),
    });
    Attach {
        interest,
        basis: if by_ticket { Basis::default() } else { client.basis.clone() },
        ticket: client.ticket.clone(),
        address: address(slot).into(),
        wire: wish.wire,
        cursor,
        seen: None,
        reattach,
        presence: None,
        may_be_direct: true,
        heartbeats: false,
    }
}
