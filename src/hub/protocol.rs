//! The messages between the Worker and a tenant's hub. Used by both sides.
//!
//! Every field added later is `#[serde(default)]`: while a deploy rolls out, an old Worker and a
//! new hub talk, and the other way round.

use domain::minted::Minted;
use domain::rate::Rate;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::storage::tenant_db::Placement;
use domain::event::Cursor;
use domain::mercure::Mercure;
use domain::plan::Limits;
use domain::selector::{Interest, Selector};
use domain::sign_in::{PasswordPolicy, Registration};
use domain::topic::Topic;

/// A request to the hub, and what it answers.
pub trait Message: Serialize + DeserializeOwned {
    /// The path it is posted to.
    const PATH: &'static str;
    /// The answer when it is granted.
    type Answer: Serialize + DeserializeOwned;
}

/// The path of [`Attach`], which is answered by a WebSocket.
pub const ATTACH_PATH: &str = "/attach";
/// The header that carries [`Attach`], percent-encoded JSON.
pub const ATTACH_HEADER: &str = "x-carillon-attach";

/// What every call says of itself.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Caller {
    /// The tenant it is for; a hub answers for its own tenant alone.
    pub tenant: String,
    /// The tenant's revision the Worker saw; 0 if it saw none. A hub behind it asks for its configuration.
    #[serde(default)]
    pub revision: i64,
    /// The tenant host the request came to, if one; a host the tenant does not have is refused.
    #[serde(default)]
    pub host: Option<String>,
}

/// Why the hub did not do it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Refusal {
    /// The hub has no configuration, or an older one than the Worker saw: send it, then ask again.
    Behind,
    /// The message is for another tenant: a bug of ours.
    WrongTenant,
    /// The host is not (or no longer) this tenant's: resolve it anew.
    WrongHost,
    /// The tenant is suspended, expired, deleted or purged.
    Stopped,
    /// The secret's version is not accepted (any more).
    SecretRetired,
    /// This form of signature is switched off for the tenant.
    SignatureForm,
    /// Over the rate.
    RateLimited(Rate),
    /// The webhook id came before with another body.
    WebhookIdReused,
    /// No stream is free in the tenant.
    TooManyStreams,
    /// No stream is free for this address.
    TooManyConnections,
    /// The ticket is unknown, used up or expired.
    TicketInvalid,
    /// Whoever had the token minted lost the rights.
    TokenRevoked,
    /// The log is another than the one the stream stands in.
    LogReplaced,
    /// The message cannot be read; a bug of ours.
    Malformed,
    /// The hub's own storage failed.
    Failed,
}

/// Whether a tenant is served.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Standing {
    /// It is served.
    Active,
    /// It answers like a tenant that does not exist.
    Stopped,
}

/// A secret's version that the hub accepts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AcceptedVersion {
    /// The version.
    pub version: u32,
    /// End of its grace, in milliseconds since 1970; none for the current one.
    pub until: Option<i64>,
}

/// Everything the hub and the Worker's fast paths must know of a tenant. No secret is in it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TenantConfig {
    /// The tenant's revision this is of.
    pub revision: i64,
    /// Whether it is served.
    pub standing: Standing,
    /// When it stops being served, in milliseconds since 1970.
    pub expires_at: Option<i64>,
    /// Its hosts: the slug's and the custom domains.
    pub hosts: Vec<String>,
    /// Its limits.
    pub limits: Limits,
    /// Accepted versions of the webhook secret.
    pub webhook_versions: Vec<AcceptedVersion>,
    /// Accepted versions of the subscription secret.
    pub subscription_versions: Vec<AcceptedVersion>,
    /// Whether the plain signature form is switched off.
    pub require_standard_webhooks: bool,
    /// Origins that may read answers across origins.
    pub cors_origins: Vec<String>,
    /// Where its rows are.
    pub placement: Placement,
    /// Addresses its principals may come from; none lets all in.
    #[serde(default)]
    pub ip_allowlist: Vec<String>,
    /// Who may register.
    #[serde(default)]
    pub registration: Registration,
    /// Which passwords are good enough.
    #[serde(default)]
    pub passwords: PasswordPolicy,
    /// How it speaks Mercure.
    #[serde(default, skip_serializing_if = "Mercure::is_default")]
    pub mercure: Mercure,
}

impl TenantConfig {
    /// Whether the tenant is served at `now` (milliseconds).
    pub fn is_served(&self, now: i64) -> bool {
        self.standing == Standing::Active && self.expires_at.is_none_or(|at| now < at)
    }
}

/// Whether a version stands in a list at `now`.
pub fn accepts(versions: &[AcceptedVersion], version: u32, now: i64) -> bool {
    versions.iter().any(|v| v.version == version && v.until.is_none_or(|until| now < until))
}

/// Puts a revision's configuration in place; a lower revision than the hub has changes nothing.
#[derive(Debug, Serialize, Deserialize)]
pub struct Configure {
    /// The configuration.
    pub config: TenantConfig,
}

impl Message for Configure {
    const PATH: &'static str = "/configure";
    type Answer = Configured;
}

/// The revision the hub has now.
#[derive(Debug, Serialize, Deserialize)]
pub struct Configured {
    /// At least the one sent.
    pub revision: i64,
}

/// Which bucket a request draws from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RequestClass {
    /// With a credential of the tenant.
    Api,
    /// Without one.
    Anonymous,
}

/// Asks for the tenant's configuration, good for 5 seconds, and for permits of a class.
#[derive(Debug, Serialize, Deserialize)]
pub struct Ask {
    /// Who asks.
    pub caller: Caller,
    /// The bucket to draw from; none asks for the configuration alone.
    #[serde(default)]
    pub class: Option<RequestClass>,
}

impl Message for Ask {
    const PATH: &'static str = "/grant";
    type Answer = Grant;
}

/// The tenant as it stands, and permits.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Grant {
    /// The configuration.
    pub config: TenantConfig,
    /// Permits, if a class was asked for.
    #[serde(default)]
    pub lease: Option<Lease>,
}

/// A block of permits.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Lease {
    /// How many, at least one.
    pub permits: u64,
    /// Until when, in milliseconds since 1970.
    pub until: i64,
    /// How the limit stands once all of them are used.
    pub rate: Rate,
}

/// Appends an event and sends it to everyone it is for.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Publish {
    /// Who asks.
    pub caller: Caller,
    /// The version of the webhook secret that verified; none where another key of the tenant's did.
    pub secret_version: Option<u32>,
    /// The sender's id and the digest of the body, where the form has one.
    #[serde(default)]
    pub receipt: Option<ReceiptKey>,
    /// What the event is about.
    pub topics: Vec<Topic>,
    /// Whether only entitled streams get it.
    pub private: bool,
    /// Its name for streams that ask for names.
    pub name: String,
    /// Its JSON behind the id (`domain::event::Content::to_tail`); of a Mercure update its data.
    pub tail: String,
    /// What a Mercure update has beside its data.
    #[serde(default)]
    pub update: Option<Update>,
}

/// What a Mercure update has beside its data.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Update {
    /// The id that its publisher gave it.
    #[serde(default)]
    pub id: Option<String>,
    /// Its event type.
    #[serde(default)]
    pub kind: Option<String>,
    /// The reconnection time it asks for, in milliseconds.
    #[serde(default)]
    pub retry: Option<u64>,
    /// The members of its JSON between id and data, for `/events` (`domain::event::UpdateHead`).
    pub head: String,
}

/// Says that records changed: the hub reads the tenant's outbox, and empties it into its log.
#[derive(Debug, Serialize, Deserialize)]
pub struct Drain {
    /// Who asks.
    pub caller: Caller,
}

impl Message for Drain {
    const PATH: &'static str = "/drain";
    type Answer = Drained;
}

/// The outbox is empty, or is being emptied by an earlier message, or was stopped at a bound and asks for another.
#[derive(Debug, Serialize, Deserialize)]
pub struct Drained {
    /// How many events this message brought into the log.
    #[serde(default)]
    pub events: u64,
}

/// By what a webhook is known again.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ReceiptKey {
    /// The sender's `webhook-id`.
    pub id: String,
    /// Digest of the body.
    pub digest: String,
}

impl Message for Publish {
    const PATH: &'static str = "/publish";
    type Answer = Published;
}

/// The event is durable.
#[derive(Debug, Serialize, Deserialize)]
pub struct Published {
    /// Its id.
    pub id: Cursor,
    /// Whether it had been accepted before under the same webhook id.
    pub duplicate: bool,
    /// The webhook limit.
    pub rate: Rate,
}

/// Ends the streams of tokens that a principal had minted until now, and refuses those tokens from here on.
#[derive(Debug, Serialize, Deserialize)]
pub struct EndMinted {
    /// The tenant it is for.
    pub tenant: String,
    /// The principal; none for every one.
    pub by: Option<String>,
    /// Tokens minted at this moment or before, in milliseconds since 1970.
    pub at: i64,
}

impl Message for EndMinted {
    const PATH: &'static str = "/end-minted";
    type Answer = Done;
}

/// Counts a try to sign in, unless its address or its account had too many this minute.
#[derive(Debug, Serialize, Deserialize)]
pub struct CountLogin {
    /// Who asks.
    pub caller: Caller,
    /// Digest of where it comes from.
    pub address: String,
    /// Digest of the account that was named, whether or not there is one.
    pub account: String,
}

impl Message for CountLogin {
    const PATH: &'static str = "/count-login";
    type Answer = Done;
}

/// Stores a ticket: rights that a stream can present in its URL.
#[derive(Debug, Serialize, Deserialize)]
pub struct IssueTicket {
    /// Who asks.
    pub caller: Caller,
    /// Digest of the ticket; the ticket itself is known to its holder alone.
    pub digest: String,
    /// The version of the subscription secret that the token verified with, if the site signed it.
    #[serde(default)]
    pub secret_version: Option<u32>,
    /// Who had it minted, if the platform signed it.
    #[serde(default)]
    pub minted: Option<Minted>,
    /// What the token grants.
    pub granted: Vec<Selector>,
    /// The token's end, in milliseconds since 1970.
    pub expires_at: i64,
}

impl Message for IssueTicket {
    const PATH: &'static str = "/ticket";
    type Answer = Done;
}

/// It is done.
#[derive(Debug, Serialize, Deserialize)]
pub struct Done {}

/// How a stream wants its events framed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Wire {
    /// `id` and `data`: everything reaches `onmessage`.
    #[default]
    Plain,
    /// With `event: {node_type}.{action}`.
    Named,
    /// Mercure's: the publisher's ids, types and data; the hub says nothing of its own.
    Mercure,
}

/// Opens a stream. The first one comes from a client; after a hub's restart the bridge attaches again by itself.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Attach {
    /// Who asks.
    pub caller: Caller,
    /// What it asks for and may see.
    pub interest: Interest,
    /// The version of the subscription secret that the token verified with.
    #[serde(default)]
    pub secret_version: Option<u32>,
    /// Who had the token minted, if the platform signed it.
    #[serde(default)]
    pub minted: Option<Minted>,
    /// The token's end, in milliseconds since 1970.
    #[serde(default)]
    pub expires_at: Option<i64>,
    /// Digest of a ticket in place of a token.
    #[serde(default)]
    pub ticket: Option<String>,
    /// Where the client connects from.
    #[serde(default)]
    pub address: String,
    /// How it wants its events.
    #[serde(default)]
    pub wire: Wire,
    /// `Last-Event-ID` as the client sent it; from a bridge the place it stands at.
    #[serde(default)]
    pub cursor: Option<String>,
    /// Whether the bridge re-attaches a stream that is already open at the client.
    #[serde(default)]
    pub reattach: bool,
    /// Where it is told who subscribes: who this is.
    #[serde(default)]
    pub presence: Option<Presence>,
}

/// Who subscribes, as others are told.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Presence {
    /// The subscriber: a URN that nobody else has.
    pub subscriber: String,
    /// What the token tells of subscriptions, each once.
    pub payloads: Vec<Value>,
    /// Which of these it tells of each subscription, in the order of what is selected.
    pub told: Vec<Option<usize>>,
}

/// Asks who subscribes to what.
#[derive(Debug, Serialize, Deserialize)]
pub struct ListSubscriptions {
    /// Who asks.
    pub caller: Caller,
    /// Whether subscriptions of before 1.0 are meant.
    pub older: bool,
    /// What they ask for; none for whatever.
    pub selector: Option<Selector>,
    /// Whose they are; none for everybody's.
    pub subscriber: Option<String>,
}

impl Message for ListSubscriptions {
    const PATH: &'static str = "/subscriptions";
    type Answer = Subscriptions;
}

/// Who subscribes to what.
#[derive(Debug, Serialize, Deserialize)]
pub struct Subscriptions {
    /// A document for each.
    pub documents: Vec<Value>,
    /// The id on Mercure's wire of the last event.
    pub last_event_id: String,
}

/// The hub's first word on a stream.
#[derive(Debug, Serialize, Deserialize)]
pub struct Hello {
    /// The place the stream stands at.
    pub cursor: Cursor,
    /// Whether it is live; if not, the bridge pulls pages.
    pub live: bool,
    /// The token's end, in milliseconds since 1970, where rights came with one.
    pub expires_at: Option<i64>,
    /// Frames to write first.
    pub opening: String,
}

/// Adds how often kept answers of the tenant were found, and how often not.
#[derive(Debug, Serialize, Deserialize)]
pub struct CountLooks {
    /// The tenant it is for.
    pub tenant: String,
    /// How often one was found.
    pub hits: u64,
    /// How often none was.
    pub misses: u64,
}

impl Message for CountLooks {
    const PATH: &'static str = "/count-looks";
    type Answer = Done;
}

/// Asks how the hub is.
#[derive(Debug, Serialize, Deserialize)]
pub struct Inspect {}

impl Message for Inspect {
    const PATH: &'static str = "/inspect";
    type Answer = Condition;
}

/// How the hub is.
#[derive(Debug, Serialize, Deserialize)]
pub struct Condition {
    /// The configuration's revision; 0 without one.
    pub revision: i64,
    /// When this instance was constructed, in milliseconds since 1970: it changes after each sleep.
    pub started_at: i64,
    /// The newest event.
    pub latest: Cursor,
    /// The place behind which everything is kept.
    pub earliest: Cursor,
    /// Open streams.
    pub streams: u64,
    /// Events waiting for the window to end.
    pub pending: u64,
    /// Streams whose index was rebuilt when this instance woke.
    pub restored: u64,
    /// How often kept answers were found.
    #[serde(default)]
    pub cache_hits: u64,
    /// How often none was found.
    #[serde(default)]
    pub cache_misses: u64,
}

/// Forgets everything, for ever.
#[derive(Debug, Serialize, Deserialize)]
pub struct Purge {}

impl Message for Purge {
    const PATH: &'static str = "/purge";
    type Answer = Done;
}

/// What comes back over HTTP.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reply<T> {
    /// Done.
    Ok(T),
    /// Not done, and nothing changed.
    Refused(Refusal),
}
