//! Opening a stream: rights, limits, the verdict on its cursor, its first words.

use super::awake::{Awake, Failure};
use super::event_log::Verdict;
use super::fanout::{self, Live};
use super::protocol::{Attach, EndMinted, Hello, IssueTicket, Refusal, Wire, accepts};
use super::revocation;
use super::sockets::Ending;
use super::subscriber::Attachment;
use super::ticket::{self, Rights};
use domain::event::Cursor;
use domain::frame::Frames;
use domain::json;
use domain::minted::Minted;

/// Reconnection times are spread over this range, in milliseconds, so that a restart does not bring
/// all clients back at once.
const RETRY_MILLIS: std::ops::Range<u32> = 2000..5000;

/// Mercure's word for the beginning of what is kept.
const EARLIEST: &str = "earliest";

/// What opening a stream needs of the moment.
pub struct Moment {
    /// Now, in milliseconds since 1970.
    pub now: i64,
    /// A random number, for the stream's number and its reconnection time.
    pub random: u64,
    /// Milliseconds without an answer after which a client counts as gone.
    pub silence: i64,
}

impl Awake {
    /// Opens a stream and answers with its socket, or refuses it.
    pub fn attach(&mut self, attach: Attach, moment: &Moment) -> Result<worker::Response, Failure> {
        let rights = self.rights(&attach, moment.now)?;
        self.make_room(&attach, moment)?;
        let opening = match (attach.wire, attach.reattach) {
            (Wire::Mercure, false) => self.mercure_opening(attach.cursor.as_deref(), moment)?,
            _ => self.opening(&attach, moment)?,
        };
        let mut interest = attach.interest;
        let (expires_at, secret_version, minted) = match rights {
            Some(rights) => {
                interest.granted = rights.granted;
                (Some(rights.until), rights.secret_version, rights.minted)
            }
            None => (attach.expires_at, attach.secret_version, attach.minted),
        };
        interest.check().map_err(|_| Refusal::Malformed)?;
        let live = opening.stands_at == self.log.last();
        let tells = self.config.as_ref().is_some_and(|config| config.mercure.subscriptions);
        let presence = attach.presence.filter(|_| tells);
        let attachment = Attachment {
            id: self.free_id(moment.random),
            interest,
            expires_at,
            since: moment.now,
            address: attach.address,
            ticket: attach.ticket,
            secret_version,
            minted,
            subscriber: presence.as_ref().map(|presence| presence.subscriber.clone()),
            wire: attach.wire,
            replaying: (!live).then_some(opening.stands_at),
        };
        let json = serde_json::to_string(&attachment).map_err(|_| Refusal::Malformed)?;
        let cursor = self.log.cursor(opening.stands_at);
        let hello = Hello { cursor, live, expires_at, opening: opening.frames };
        let hello = serde_json::to_string(&hello).map_err(|_| Refusal::Malformed)?;
        let stream = Live::new(attachment, opening.stands_at, &mut self.index).ok_or(Refusal::Malformed)?;
        let accepted = self.sockets.accept(&json, opening.told.as_deref());
        let Ok((response, socket)) = accepted else {
            self.index.remove(stream.attachment.id, &stream.attachment.interest);
            return Err(Refusal::Failed.into());
        };
        socket.send_text(&hello);
        let (id, interest) = (stream.attachment.id, stream.attachment.interest.clone());
        self.insert(socket, stream);
        if let Some(presence) = presence {
            self.arrive(id, &interest, presence, moment.now)?;
        }
        Ok(response)
    }

    /// Keeps a ticket for a subscriber whose token verified.
    pub fn issue_ticket(&mut self, ask: &IssueTicket, now: i64) -> Result<(), Failure> {
        let config = self.admit(&ask.caller, now)?;
        if ask.secret_version.is_some_and(|version| !accepts(&config.subscription_versions, version, now)) {
            return Err(Refusal::SecretRetired.into());
        }
        self.check_minted(ask.minted.as_ref())?;
        let rights = Rights {
            granted: ask.granted.clone(),
            until: ask.expires_at,
            secret_version: ask.secret_version,
            minted: ask.minted.clone(),
        };
        ticket::issue(&self.sql, &ask.digest, &rights, now)?;
        self.mark_untidy();
        Ok(())
    }

    /// Checks the tenant and the credential; a ticket brings its rights and ends its stream before.
    fn rights(&mut self, attach: &Attach, now: i64) -> Result<Option<Rights>, Failure> {
        let config = self.admit(&attach.caller, now)?;
        let versions = config.subscription_versions.clone();
        let retired = |version: u32| !accepts(&versions, version, now);
        if attach.secret_version.is_some_and(retired) || attach.expires_at.is_some_and(|at| at <= now) {
            return Err(Refusal::SecretRetired.into());
        }
        self.check_minted(attach.minted.as_ref())?;
        let Some(digest) = &attach.ticket else { return Ok(None) };
        let rights = ticket::present(&self.sql, digest, now)?;
        let rights = rights.filter(|rights| !rights.secret_version.is_some_and(retired));
        let rights = rights.ok_or(Refusal::TicketInvalid)?;
        self.check_minted(rights.minted.as_ref())?;
        let before = self.streams.values().filter(|live| live.attachment.ticket.as_ref() == Some(digest));
        for id in before.map(|live| live.attachment.id).collect::<Vec<_>>() {
            self.end(id, Ending::Replaced);
        }
        Ok(Some(rights))
    }

    /// Refuses a token of somebody who lost the rights since it was minted.
    fn check_minted(&self, minted: Option<&Minted>) -> Result<(), Failure> {
        match minted {
            Some(minted) if revocation::covers(&self.sql, minted)? => Err(Refusal::TokenRevoked.into()),
            _ => Ok(()),
        }
    }

    /// Ends the streams of tokens that a principal had minted, and refuses those tokens from here on.
    pub fn end_minted(&mut self, message: &EndMinted, now: i64) -> Result<(), Failure> {
        if message.tenant != self.name() {
            return Err(Refusal::WrongTenant.into());
        }
        revocation::record(&self.sql, message.by.as_deref(), message.at, now)?;
        self.mark_untidy();
        let is_meant =
            |minted: &Minted| minted.at <= message.at && message.by.as_ref().is_none_or(|by| *by == minted.by);
        let meant = self.streams.values().filter(|live| live.attachment.minted.as_ref().is_some_and(is_meant));
        for id in meant.map(|live| live.attachment.id).collect::<Vec<_>>() {
            self.end(id, Ending::TokenRevoked);
        }
        Ok(())
    }

    /// Finds a free slot; at a limit, streams that have long been silent make room first.
    fn make_room(&mut self, attach: &Attach, moment: &Moment) -> Result<(), Refusal> {
        let refusal = self.over_limit(attach);
        if refusal.is_none() {
            return Ok(());
        }
        self.end_silent(moment);
        self.over_limit(attach).map_or(Ok(()), Err)
    }

    fn over_limit(&self, attach: &Attach) -> Option<Refusal> {
        let limits = &self.config.as_ref()?.limits;
        if self.streams.len() as u64 >= limits.streams() {
            return Some(Refusal::TooManyStreams);
        }
        (self.streams_of(&attach.address) >= limits.streams_per_address()).then_some(Refusal::TooManyConnections)
    }

    fn end_silent(&mut self, moment: &Moment) {
        let silent = self.streams.iter().filter(|(id, live)| {
            let answered = self.handles.get(id).map_or(0, |socket| self.sockets.answered_at(socket));
            moment.now - answered.max(live.attachment.since) > moment.silence
        });
        for id in silent.map(|(id, _)| *id).collect::<Vec<_>>() {
            self.end(id, Ending::Vanished);
        }
    }

    /// The first block of the stream: where it stands, and the verdict on the cursor that was sent.
    fn opening(&self, attach: &Attach, moment: &Moment) -> Result<Opening, Failure> {
        let (sent, reattach) = (attach.cursor.as_deref(), attach.reattach);
        let latest = self.log.cursor(self.log.last());
        let mut frames = Frames::new();
        if !reattach {
            frames.retry(retry(moment.random));
        }
        let stands_at = match sent {
            None => {
                frames.cursor(&latest);
                latest.seq
            }
            Some(sent) => match self.judge(sent, moment.now)? {
                (Verdict::Resumed(seq), _) => {
                    let from = self.log.cursor(seq);
                    if !reattach {
                        frames.control("hub.resumed", Some(&from), &resumed(&from, &latest));
                    }
                    seq
                }
                // Mercure has no word for it: its client comes back, and reads of it in a header.
                (Verdict::Reset(_), _) if attach.wire == Wire::Mercure => return Err(Refusal::LogReplaced.into()),
                (Verdict::Reset(reason), earliest) => {
                    frames.control("hub.reset", Some(&latest), &reset(reason, &earliest, &latest));
                    latest.seq
                }
            },
        };
        Ok(Opening { stands_at, frames: frames.into_string(), told: None })
    }

    /// Where a stream of Mercure begins, and the id of the event before its first one, where it sent one.
    fn mercure_opening(&self, sent: Option<&str>, moment: &Moment) -> Result<Opening, Failure> {
        let floor = self.floor(moment.now)?;
        let last = self.log.last();
        let (stands_at, told) = match sent {
            None => (last, None),
            Some("") => (last, Some(self.mercure_id(last)?)),
            Some(sent) => {
                let found = match sent.strip_prefix('#').filter(|cursor| Cursor::parse(cursor).is_some()) {
                    Some(cursor) => match self.log.judge(cursor, floor) {
                        Verdict::Resumed(seq) => Some(seq),
                        Verdict::Reset(_) => None,
                    },
                    None => self.log.find_id(&self.sql, sent, floor)?,
                };
                // What is not kept (any more) is replayed from the beginning of what is.
                found.map_or((floor, Some(EARLIEST.to_owned())), |seq| (seq, Some(sent.to_owned())))
            }
        };
        let mut frames = Frames::new();
        frames.comment().retry(retry(moment.random));
        Ok(Opening { stands_at, frames: frames.into_string(), told })
    }

    /// The id of an event on Mercure's wire.
    pub(super) fn mercure_id(&self, seq: u64) -> Result<String, Failure> {
        if seq == 0 {
            return Ok(EARLIEST.to_owned());
        }
        let own = self.log.own_id(&self.sql, seq)?;
        Ok(own.unwrap_or_else(|| fanout::mercure_id(&self.log.cursor(seq))))
    }

    fn free_id(&self, random: u64) -> u64 {
        // Numbers pass through JSON and JavaScript: below 2^53, and never 0.
        let mut id = (random >> 11).max(1);
        while self.streams.contains_key(&id) {
            id = (id % ((1 << 53) - 1)) + 1;
        }
        id
    }
}

struct Opening {
    stands_at: u64,
    frames: String,
    /// What the answer's head tells of the place, on Mercure's wire.
    told: Option<String>,
}

fn resumed(from: &Cursor, to: &Cursor) -> String {
    json!({ "from": from, "to": to }).to_string()
}

fn reset(reason: &str, earliest: &Cursor, latest: &Cursor) -> String {
    json!({ "reason": reason, "earliest": earliest, "latest": latest }).to_string()
}

fn retry(random: u64) -> u32 {
    let width = RETRY_MILLIS.end - RETRY_MILLIS.start;
    RETRY_MILLIS.start + u32::try_from(random % u64::from(width)).unwrap_or(0)
}
