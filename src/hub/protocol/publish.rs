//! Messages that bring events into the tenant's log.

use serde::{Deserialize, Serialize};

use super::basis::TokenIssuer;
use domain::graphql_cache::{PurgeNews, Tag};
use domain::log_position::Cursor;
use domain::rate::Rate;
use domain::topic::Topic;

/// Appends an event to the log and sends it to every stream that it is for.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Publish {
    /// The version of the webhook secret that verified the request. None for a Mercure update whose token was signed
    /// with another key of the tenant; a webhook without it is refused.
    pub secret_version: Option<u32>,
    /// The issuer of the tenant's settings that signed the token of a Mercure update; an older Worker does not name it.
    #[serde(default)]
    pub issuer: Option<TokenIssuer>,
    /// Whether the token of a Mercure update is of the protocol before 1.0.
    #[serde(default)]
    pub older: bool,
    /// For de-duplication, where the request has an id.
    #[serde(default)]
    pub receipt: Option<ReceiptKey>,
    pub topics: Vec<Topic>,
    /// Whether only streams with a grant for it get the event.
    pub private: bool,
    /// The SSE event name, for streams that ask for names.
    pub name: String,
    /// The event's JSON behind its id (`domain::event::Content::to_tail`). For a Mercure update: its data, as published.
    pub tail: String,
    /// What a Mercure update has beside its data; none for webhooks.
    #[serde(default)]
    pub update: Option<MercureUpdate>,
    /// The kept answers that end with it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub purge: Option<PurgeAnswers>,
}

/// Ends answers that isolates keep, by an entry of the log that no stream sees.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PurgeAnswers {
    /// Whether they may be shown for a while, as what has expired may.
    #[serde(default)]
    pub soft: bool,
    pub tags: Vec<Tag>,
    /// Up to which position the isolate knows the tenant's purges.
    #[serde(default)]
    pub after: Option<Cursor>,
}

/// The purge is durable.
#[derive(Debug, Serialize, Deserialize)]
pub struct PurgedAnswers {
    /// Its number.
    pub id: Cursor,
    /// What the isolate does not know, this purge included.
    pub purges: PurgeNews,
}

/// The members of a Mercure update, without topics and data.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MercureUpdate {
    /// The publisher's own id.
    #[serde(default)]
    pub id: Option<String>,
    /// Its `type`, which becomes the SSE event name.
    #[serde(default)]
    pub kind: Option<String>,
    /// The reconnection time it asks for, in milliseconds.
    #[serde(default)]
    pub retry: Option<u64>,
    /// For `/events`: the members of its JSON between id and data (`domain::event::UpdateHead`).
    pub head: String,
}

/// Identifies a webhook delivery. The same id with the same digest is a repetition; with another, a misuse of the id.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ReceiptKey {
    /// The sender's `webhook-id`.
    pub id: String,
    /// Digest of the body.
    pub digest: String,
}

/// The event is durable.
#[derive(Debug, Serialize, Deserialize)]
pub struct Published {
    pub id: Cursor,
    /// Whether it had been accepted before, under the same webhook id.
    pub duplicate: bool,
    /// The state of the limit on webhooks.
    pub rate: Rate,
    /// The purges that the isolate does not know, if it purges something.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub purges: Option<PurgeNews>,
}

/// Says that records changed: the hub reads the tenant's outbox into its log.
#[derive(Debug, Serialize, Deserialize)]
pub struct Drain {}

/// The outbox is empty, or another message is draining it, or the bound of one message was reached and a further
/// message is needed.
#[derive(Debug, Serialize, Deserialize)]
pub struct Drained {
    /// How many events this message brought into the log.
    #[serde(default)]
    pub events: u64,
}

/// Says that a collection was hidden or deleted: before it replies, the hub reads which collections stand, and judges every
/// event by that from then on.
#[derive(Debug, Serialize, Deserialize)]
pub struct LearnCollections {}

/// The id in the Mercure wire format of an event whose publisher gave it none.
pub fn mercure_id(cursor: &Cursor) -> String {
    format!("#{cursor}")
}
