//! A client with its bridge, as `live/bridge.js` is: it reads what the hub sends, and checks each event as it comes.

use serde_json::Value;

use super::fakes::Received;
use super::reference::Reference;
use super::steps::Wish;
use crate::hub::protocol::{Basis, WireFormat};
use crate::hub::sockets::Carriage;
use domain::clock::Timestamp;
use domain::log_position::Cursor;

/// A stream at its client.
#[derive(Debug, Clone)]
pub struct Client {
    pub wish: Wish,
    /// What its token or itself lets it stand on.
    pub basis: Basis,
    /// Its ticket, in place of a token.
    pub ticket: Option<String>,
    pub opened_at: Timestamp,
    /// Of streams opened at the same moment, the one with the higher number is the newer one.
    pub number: u64,
    pub last_ping_at: Timestamp,
    pub socket: Option<u32>,
    /// The code it was closed with. Until then its bridge attaches again whenever it loses its socket.
    pub ended: Option<u16>,
    /// The bridge's cursor.
    pub place: u64,
    pub is_live: bool,
    /// Whether the bridge has still to ask for a page.
    pub owes_page: bool,
    /// How its stream is carried.
    pub carriage: Carriage,
    /// Events up to this one were not asked for, or the client was told that they are gone.
    pub start: u64,
    /// The events it got, by sequence number.
    pub delivered: Vec<u64>,
}

impl Client {
    pub fn is_entitled(&self, now: Timestamp) -> bool {
        self.basis.expires_at.is_none_or(|at| now < at)
    }

    /// Takes what has arrived, as a bridge does.
    pub fn receive(&mut self, received: &Received, reference: &Reference, now: Timestamp) -> Result<(), String> {
        match received {
            Received::Text(hello) => self.greet(hello, reference, now),
            Received::Bytes(bytes) => self.read(bytes, reference, now),
            Received::Close(code) => {
                (self.ended, self.socket) = (Some(*code), None);
                Ok(())
            }
        }
    }

    fn greet(&mut self, hello: &str, reference: &Reference, now: Timestamp) -> Result<(), String> {
        let hello: Value = serde_json::from_str(hello).map_err(|e| e.to_string())?;
        let cursor = hello["cursor"].as_str().and_then(Cursor::parse).ok_or("a hello without a cursor")?;
        self.place = cursor.seq;
        self.is_live = hello["live"] == true;
        self.owes_page = !self.is_live;
        self.blocks(hello["opening"].as_str().unwrap_or_default(), reference, now)
    }

    fn read(&mut self, bytes: &[u8], reference: &Reference, now: Timestamp) -> Result<(), String> {
        let (head, frames) = bytes.split_at_checked(9).ok_or("a message without a head")?;
        let through = u64::from_be_bytes(head[1..].try_into().map_err(|_| "a short head")?);
        let is_page = head[0] != b'E';
        let is_reset = frames.split(|byte| *byte == b'\n').any(|line| line == b"event: hub.reset");
        if is_reset && self.place >= reference.deleted_through {
            return Err("the client was told that events are gone, but they are there".into());
        }
        if is_page || through > self.place {
            self.place = self.place.max(through);
            self.blocks(std::str::from_utf8(frames).map_err(|e| e.to_string())?, reference, now)?;
        }
        if is_page {
            self.is_live = head[0] == b'L';
        }
        self.owes_page |= head[0] == b'P';
        Ok(())
    }

    fn blocks(&mut self, frames: &str, reference: &Reference, now: Timestamp) -> Result<(), String> {
        for block in frames.split("\n\n").filter(|block| !block.is_empty()) {
            let field = |name: &str| block.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
            let id = field("id");
            match (field("event"), field("data")) {
                (Some("hub.reset"), _) => {
                    self.start = id.and_then(Cursor::parse).ok_or("a reset without an id")?.seq;
                }
                (Some("hub.resumed"), _) | (_, None) => {}
                (_, Some(_)) => self.event(id.unwrap_or_default(), block, reference, now)?,
            }
        }
        Ok(())
    }

    /// An event: it must be one that the client asked for and may see now, and come behind the last one.
    fn event(&mut self, id: &str, block: &str, reference: &Reference, now: Timestamp) -> Result<(), String> {
        // What left is told by its id alone, which is its marker as well.
        let marker = match block.contains(r#""action":"LEAVE""#) {
            true => block.split(r#""id":"r"#).nth(1),
            false => block.split("marker").nth(1),
        };
        let marker = marker.ok_or_else(|| format!("an event without a marker: {block:.200}"))?;
        let digits: String =
            marker.chars().skip_while(|c| !c.is_ascii_digit()).take_while(char::is_ascii_digit).collect();
        let seq: u64 = digits.parse().map_err(|_| "a marker without a number")?;
        let event = reference.event(seq).ok_or_else(|| format!("event {seq} was never acknowledged"))?;
        let told = match self.wish.wire {
            WireFormat::Mercure => id.strip_prefix('#'),
            WireFormat::Plain | WireFormat::Named => Some(id),
        };
        if told.and_then(Cursor::parse).map(|cursor| cursor.seq) != Some(seq) {
            return Err(format!("event {seq} came with the id {id}"));
        }
        if !reference.is_for(seq, &self.wish) {
            return Err(format!("event {seq} is not for this client: {event:?}"));
        }
        if let Some((before, after)) = event.scores {
            let shows = |score: u64| !self.wish.filtered || score >= 3;
            let action = match (before.is_some_and(shows), shows(after)) {
                (true, true) => "UPDATE",
                (true, false) => "LEAVE",
                (false, _) => "CREATE",
            };
            if !block.contains(&format!(r#""action":"{action}""#)) {
                return Err(format!("event {seq} is no {action}: {block:.300}"));
            }
        }
        if reference.is_private(event) && !self.is_entitled(now) {
            return Err(format!("private event {seq} came after the token had expired"));
        }
        if seq <= self.start || self.delivered.last().is_some_and(|last| seq <= *last) {
            return Err(format!("event {seq} came behind {:?}, from {}", self.delivered.last(), self.start));
        }
        self.delivered.push(seq);
        Ok(())
    }

    /// The first event up to a place that is for this client, and that it neither has nor was told to be gone.
    pub fn missing(&self, through: u64, reference: &Reference, now: Timestamp) -> Option<u64> {
        // Mercure has no way to tell a client that events are gone.
        let is_excused = |seq: u64| self.wish.wire == WireFormat::Mercure && seq <= reference.deleted_through;
        (self.start + 1..=through).find(|seq| {
            let is_private = reference.event(*seq).is_some_and(|event| reference.is_private(event) || event.was_hidden);
            reference.is_for(*seq, &self.wish)
                && reference.is_owed(*seq, &self.wish)
                && (!is_private || self.is_entitled(now))
                && !is_excused(*seq)
                && self.delivered.binary_search(seq).is_err()
        })
    }
}
