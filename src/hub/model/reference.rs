//! What a hub must do, said as simply as possible: a list of events and a few rules.

use std::collections::HashMap;

use super::steps::{GRANTED, Token, Wish};
use crate::hub::protocol::WireFormat;
use domain::clock::Timestamp;

/// Events that the retention keeps, and for how many milliseconds.
pub const RETENTION_COUNT: u64 = 12;
pub const RETENTION_MILLIS: i64 = 3_600_000;
/// Webhooks per minute.
pub const WEBHOOKS: u64 = 9;
/// Requests per minute, with and without a credential.
pub const API_REQUESTS: u64 = 600;
pub const ANONYMOUS_REQUESTS: u64 = 2;
/// Open streams, of the tenant and of one address.
pub const STREAMS: usize = 3;
pub const STREAMS_PER_ADDRESS: usize = 2;
/// How long a webhook id is remembered.
const RECEIPT_MILLIS: i64 = 24 * 3_600_000;

/// An event in the log.
#[derive(Debug, Clone)]
pub struct KnownEvent {
    pub at: Timestamp,
    pub topics: Vec<String>,
    pub private: bool,
    /// Of a record: what was and what is.
    pub scores: Option<(Option<u64>, u64)>,
    /// Of a record: the number of its collection.
    pub collection: Option<u64>,
    /// Whether its collection was private at some time since: then it is not owed to those who may hear public events only.
    pub was_hidden: bool,
}

/// The tenant's configuration.
#[derive(Debug, Clone, Copy)]
pub struct Settings {
    pub revision: i64,
    pub served: bool,
    /// When version 1 of the subscription secret is no longer accepted.
    pub version_1_until: Option<Timestamp>,
    pub rules: Rules,
}

/// What a configuration says of who may open streams.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rules {
    /// Whether clients without a credential may.
    pub anonymous: bool,
    /// Whether the tenant has its issuer.
    pub issuer: bool,
    /// Whether the list of addresses leaves out those of all slots but the last one.
    pub lists_last: bool,
    /// Whether only one stream may be open.
    pub one_stream: bool,
    /// Whether streams are carried directly.
    pub direct: bool,
}

impl Rules {
    /// What is so by default.
    pub const OPEN: Self = Self { anonymous: true, issuer: true, lists_last: false, one_stream: false, direct: false };

    /// Most open streams.
    pub fn streams(self) -> usize {
        if self.one_stream { 1 } else { STREAMS }
    }
}

impl Settings {
    /// Whether a version of the subscription secret is accepted. There are 1 and 2.
    pub fn accepts(self, version: u32, now: Timestamp) -> bool {
        version == 2 || self.version_1_until.is_none_or(|until| now < until)
    }
}

#[derive(Debug, Default)]
pub struct Reference {
    /// All events: the first one has the sequence number 1.
    pub events: Vec<KnownEvent>,
    pub settings: Option<Settings>,
    /// The numbers of events that purged answers.
    pub purges: Vec<u64>,
    /// By webhook id: its body's digest, the event's number, when it was accepted.
    receipts: HashMap<u8, (u8, u64, Timestamp)>,
    /// Principals (none: everybody), and the moment up to which what they minted is void.
    revoked: Vec<(Option<usize>, Timestamp)>,
    /// Uses of a rate limit, by its name and minute.
    used: HashMap<(&'static str, i64), u64>,
    /// Every event up to this one was deleted.
    pub deleted_through: u64,
    /// The collection that stands as far as the hub was told: its number, and whether it is private.
    pub collection: Option<(u64, bool)>,
}

/// What a webhook with an id must lead to.
#[derive(Debug, PartialEq)]
pub enum Expected {
    New,
    Duplicate(u64),
    Refused,
}

impl Reference {
    pub fn last(&self) -> u64 {
        self.events.len() as u64
    }

    pub fn event(&self, seq: u64) -> Option<&KnownEvent> {
        self.events.get(usize::try_from(seq).ok()?.checked_sub(1)?)
    }

    /// Whether an event is for a client, leaving aside whether its token has expired.
    pub fn is_for(&self, seq: u64, wish: &Wish) -> bool {
        let Some(event) = self.event(seq) else { return false };
        let any = |selectors: &[&str], topic: &String| {
            selectors.iter().any(|s| s.strip_suffix('*').map_or(topic == s, |prefix| topic.starts_with(prefix)))
        };
        if event.collection.is_some_and(|number| self.collection.is_none_or(|(current, _)| current != number)) {
            return false;
        }
        let private = self.is_private(event);
        let selected = |topic: &&String| any(wish.selected, topic);
        let by_right = |topic: &&String| match wish.token {
            Token::Principal(_, rights) if topic.starts_with("records/") => rights.records,
            Token::Principal(_, rights) => rights.events,
            _ => false,
        };
        let opened = |topic: &&String| !private || (wish.granted && any(GRANTED, topic)) || by_right(topic);
        let is_on_topic = match wish.wire {
            WireFormat::Mercure => event.topics.iter().any(|t| selected(&t)) && event.topics.iter().any(|t| opened(&t)),
            WireFormat::Plain | WireFormat::Named => event.topics.iter().any(|t| selected(&t) && opened(&t)),
        };
        is_on_topic
            && (!wish.filtered
                || event.scores.is_some_and(|(before, after)| before.is_some_and(|score| score >= 3) || after >= 3))
    }

    /// Whether an event is private now.
    pub fn is_private(&self, event: &KnownEvent) -> bool {
        event.private || (event.collection.is_some() && self.collection.is_some_and(|(_, private)| private))
    }

    /// Whether an event may be missing at a client that gets private events only with a grant for them.
    pub fn is_owed(&self, seq: u64, wish: &Wish) -> bool {
        self.event(seq).is_some_and(|event| !event.was_hidden || wish.granted)
    }

    /// The hub was told what stands.
    pub fn learn(&mut self, collection: Option<(u64, bool)>) {
        self.collection = collection;
        let hidden = collection.filter(|(_, private)| *private).map(|(number, _)| number);
        for event in &mut self.events {
            event.was_hidden |= event.collection.is_some() && event.collection == hidden;
        }
    }

    /// The last event that was deleted or has expired.
    pub fn floor(&self, now: Timestamp) -> u64 {
        let by_count = self.last().saturating_sub(RETENTION_COUNT);
        let by_age = self.events.iter().take_while(|event| now.since(event.at) >= RETENTION_MILLIS).count() as u64;
        by_count.max(by_age).max(self.deleted_through)
    }

    /// The alarm deletes what has expired, but never the newest event.
    pub fn delete_expired(&mut self, now: Timestamp) {
        self.deleted_through = self.floor(now).min(self.last().saturating_sub(1)).max(self.deleted_through);
    }

    pub fn expect_webhook(&self, id: Option<(u8, u8)>, now: Timestamp) -> Expected {
        let Some((id, digest)) = id else { return Expected::New };
        match self.receipts.get(&id) {
            Some((known, seq, at)) if now.since(*at) < RECEIPT_MILLIS => {
                if *known == digest {
                    Expected::Duplicate(*seq)
                } else {
                    Expected::Refused
                }
            }
            _ => Expected::New,
        }
    }

    /// A webhook was acknowledged as the newest event.
    pub fn remember_webhook(&mut self, id: Option<(u8, u8)>, now: Timestamp) {
        if let Some((id, digest)) = id {
            self.receipts.insert(id, (digest, self.last(), now));
        }
    }

    pub fn revoke(&mut self, by: Option<usize>, at: Timestamp) {
        self.revoked.push((by, at));
    }

    pub fn is_revoked(&self, by: usize, minted_at: Timestamp) -> bool {
        self.revoked.iter().any(|(who, at)| who.is_none_or(|who| who == by) && minted_at <= *at)
    }

    /// Counts uses of a rate limit; how many there were in this minute.
    pub fn count(&mut self, limit: &'static str, uses: u64, now: Timestamp) -> u64 {
        let used = self.used.entry((limit, now.millis().div_euclid(60_000))).or_default();
        *used += uses;
        *used
    }
}
