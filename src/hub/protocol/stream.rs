//! Messages about streams: how they are opened, who may open them, who is subscribed.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::basis::Basis;
use domain::clock::Timestamp;
use domain::hearing::HearingRights;
use domain::ids::ClaimedTenant;
use domain::log_position::Cursor;
use domain::matching::budget::PatternBound;
#[cfg(doc)]
use domain::minted::Minted;
use domain::selector::{Interest, Selector};
use domain::unix_time::{millis, optional_millis};

/// Opens a stream. The Worker sends it for a client; when the hub restarts, the bridge (`live/bridge.js`) sends it again.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Attach {
    /// What the stream asks for and may see.
    pub interest: Interest,
    /// What its rights rest on; with a ticket, the ticket says it.
    #[serde(flatten)]
    pub basis: Basis,
    /// Digest of a ticket, in place of a token.
    #[serde(default)]
    pub ticket: Option<String>,
    /// The client's address: for the limit per network, and for lists of addresses.
    #[serde(default)]
    pub address: String,
    #[serde(default)]
    pub wire: WireFormat,
    /// The client's `Last-Event-ID`, unparsed; from a bridge, its own cursor.
    #[serde(default)]
    pub cursor: Option<String>,
    /// The number of the last change of records that the client has seen in a list which it goes on from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seen: Option<u64>,
    /// Whether a bridge attaches a stream again that is already open at the client.
    #[serde(default)]
    pub reattach: bool,
    /// Who the subscriber is, where the tenant announces subscriptions.
    #[serde(default)]
    pub presence: Option<Presence>,
    /// Whether the Worker that asks lets a direct stream through. One of before did not.
    #[serde(default)]
    pub may_be_direct: bool,
    /// Whether signs of life are events, where the stream is direct.
    #[serde(default)]
    pub heartbeats: bool,
}

/// A pattern that a stream was refused for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct RefusedPattern {
    /// Where it came from.
    pub parameter: PatternParameter,
    /// What refuses it.
    pub bound: PatternBound,
}

/// Where a pattern comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PatternParameter {
    /// `match_urlpattern` in the query.
    Pattern,
    /// `topic` in the query.
    Topic,
    /// What the token grants.
    Token,
    /// `filter` in the query.
    Filter,
}

impl PatternParameter {
    /// Its place in the request, as problems name it.
    pub fn pointer(self) -> &'static str {
        match self {
            Self::Pattern => "?match_urlpattern",
            Self::Topic => "?topic",
            Self::Token => "Authorization",
            Self::Filter => "?filter",
        }
    }
}

/// How events are framed on a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WireFormat {
    /// `id` and `data`: every event reaches `onmessage`.
    #[default]
    Plain,
    /// With `event: {node_type}.{action}`.
    Named,
    /// As Mercure specifies: the publisher's ids, types and data, and no event of the hub itself.
    Mercure,
}

/// Closes the streams that a principal opened or minted the tokens of, and refuses those tokens from now on.
#[derive(Debug, Serialize, Deserialize)]
pub struct EndMinted {
    pub tenant: ClaimedTenant,
    /// The principal, or what else the streams rest on ([`Minted::also`]); none for every principal.
    pub by: Option<String>,
    /// More names, as `by` has one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub others: Vec<String>,
    /// Streams opened and tokens minted at this moment or before.
    #[serde(with = "millis")]
    pub at: Timestamp,
}

/// Stores a ticket: rights that a stream can present in its URL.
#[derive(Debug, Serialize, Deserialize)]
pub struct IssueTicket {
    /// Digest of the ticket; only its holder knows the ticket itself.
    pub digest: String,
    /// What its rights rest on. It must have an end.
    #[serde(flatten)]
    pub basis: Basis,
    /// Topics whose private events the token opens.
    pub granted: Vec<Selector>,
    /// The address that it is issued to.
    #[serde(default)]
    pub address: String,
    /// Lists of networks that a key may be used from, if one stands behind it; each must let the client in.
    #[serde(default)]
    pub networks: Vec<Vec<String>>,
}

/// Asks what a ticket opens. It is no use of the ticket.
#[derive(Debug, Serialize, Deserialize)]
pub struct ReadTicket {
    /// Digest of the ticket.
    pub digest: String,
    /// The address that presents it.
    pub address: String,
}

/// What a stream with a ticket hears.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct TicketRights {
    /// Topics whose private events it opens.
    pub granted: Vec<Selector>,
    /// Private events that it opens beside those.
    pub rights: HearingRights,
}

/// A subscriber, as subscription events describe it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Presence {
    /// A URN that nobody else has.
    pub subscriber: String,
    /// The distinct payloads that the token gives its subscriptions.
    pub payloads: Vec<Value>,
    /// For each selected topic, in order: the index of its payload.
    #[serde(rename = "told")]
    pub payload_of: Vec<Option<usize>>,
}

/// Asks for the active subscriptions.
#[derive(Debug, Serialize, Deserialize)]
pub struct ListSubscriptions {
    /// Whether subscriptions by URI template (Mercure before 1.0) are meant, and only these.
    pub older: bool,
    /// Only those that select exactly this.
    pub selector: Option<Selector>,
    /// Only this subscriber's.
    pub subscriber: Option<String>,
    /// What the right to know of them rests on, and the address that asks; an older Worker has checked it itself.
    #[serde(default)]
    pub basis: Option<(Basis, String)>,
}

#[derive(Debug, Serialize, Deserialize)]
pub struct Subscriptions {
    /// One Mercure document for each.
    pub documents: Vec<Value>,
    /// The newest event's id in the Mercure wire format.
    pub last_event_id: String,
}

/// The first text that the hub sends on a stream.
#[derive(Debug, Serialize, Deserialize)]
pub struct Hello {
    /// The place in the log that the stream starts behind.
    pub cursor: Cursor,
    /// Whether the stream is live; if not, the bridge asks for pages.
    pub live: bool,
    /// When the stream's rights end, if they do.
    #[serde(default, with = "optional_millis")]
    pub expires_at: Option<Timestamp>,
    /// SSE frames to write first.
    pub opening: String,
}
