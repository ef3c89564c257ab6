//! The messages between the Worker and a tenant's hub, used by both sides. JSON over an internal `fetch`.
//!
//! Rules
//! - Old and new code talk to each other while a deploy rolls out, so paths and member names stay, and a member added
//!   later is `#[serde(default)]`.
//! - No message makes a [`TenantId`](crate::tenant_id::TenantId). A message carries a [`ClaimedTenant`], which the hub
//!   compares with its own name.

mod basis;
mod grant;
mod publish;
mod status;
mod stream;
mod tenant_config;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

pub use self::basis::{Basis, Grantor, NotAllowed, TokenIssuer};
pub use self::grant::{
    CountLogin, CountMail, Drawn, Grant, GrantRequest, Lease, LoginSucceeded, PurgesAfter, RequestClass,
};
pub use self::publish::{
    Drain, Drained, LearnCollections, MercureUpdate, Publish, Published, PurgeAnswers, PurgedAnswers, ReceiptKey,
    mercure_id,
};
pub use self::status::{
    CarriedStreams, HubStatus, Inspect, ListAnswerCounts, ListedAnswerCounts, Purge, RecordAnswerCounts,
    RecordCacheStats,
};
pub use self::stream::{
    Attach, EndMinted, Hello, IssueTicket, ListSubscriptions, PatternParameter, Presence, ReadTicket, RefusedPattern,
    Subscriptions, TicketRights, WireFormat,
};
pub use self::tenant_config::{AcceptedVersion, Configure, Configured, TenantConfig, TenantState, accepts};
use domain::ids::ClaimedTenant;
use domain::rate::Rate;

/// A message to the hub.
pub trait Message: Serialize + DeserializeOwned {
    /// The path it is posted to.
    const PATH: &'static str;
    /// Who sends it: [`Caller`] if it acts for a tenant at a known revision, [`Platform`] if not.
    type Sender;
    /// The reply to a message that was not refused.
    type Reply: Serialize + DeserializeOwned;
}

/// Sender of messages that need no [`Caller`].
#[derive(Debug)]
pub enum Platform {}

macro_rules! messages {
    ($($message:ident from $sender:ident: $path:literal => $reply:ident;)*) => {
        $(impl Message for $message {
            const PATH: &'static str = $path;
            type Sender = $sender;
            type Reply = $reply;
        })*
    };
}

messages! {
    GrantRequest from Caller: "/grant" => Grant;
    Publish from Caller: "/publish" => Published;
    PurgeAnswers from Caller: "/purge-answers" => PurgedAnswers;
    Drain from Caller: "/drain" => Drained;
    LearnCollections from Caller: "/collections" => Done;
    CountLogin from Caller: "/count-login" => Done;
    LoginSucceeded from Caller: "/login-succeeded" => Done;
    CountMail from Caller: "/count-mail" => Done;
    IssueTicket from Caller: "/ticket" => Done;
    ReadTicket from Caller: "/read-ticket" => TicketRights;
    ListSubscriptions from Caller: "/subscriptions" => Subscriptions;
    Configure from Platform: "/configure" => Configured;
    EndMinted from Platform: "/end-minted" => Done;
    RecordCacheStats from Platform: "/count-looks" => Done;
    RecordAnswerCounts from Platform: "/count-answers" => Done;
    ListAnswerCounts from Platform: "/answer-counts" => ListedAnswerCounts;
    Inspect from Platform: "/inspect" => HubStatus;
    Purge from Platform: "/purge" => Done;
}

/// The path of [`Attach`], which is a GET answered by a WebSocket.
pub const ATTACH_PATH: &str = "/attach";
/// The header that carries [`Attach`] with its caller: JSON, percent-encoded.
pub const ATTACH_HEADER: &str = "x-carillon-attach";

/// For whom a message acts, and what the Worker knew of the tenant when it sent it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Caller {
    /// The tenant. A hub acts for its own tenant only.
    pub tenant: ClaimedTenant,
    /// The tenant's revision that the Worker has seen; 0 if none. A hub with a lower one asks for its configuration.
    #[serde(default)]
    pub revision: i64,
    /// The host that the request came to, if it came to one. A host that is not the tenant's is refused.
    #[serde(default)]
    pub host: Option<String>,
    /// The revision of the configuration that the request was judged by, where the hub does not judge all of it again. A
    /// hub with a higher one refuses it. None: nothing hangs on it, or the Worker is an older one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub judged_at: Option<i64>,
}

/// The JSON of a message and its caller: the message's own members, and `caller` beside them.
pub fn to_json<M: Serialize>(caller: &Caller, message: &M) -> serde_json::Result<String> {
    #[derive(Serialize)]
    struct WithCaller<'a, M> {
        caller: &'a Caller,
        #[serde(flatten)]
        message: &'a M,
    }
    serde_json::to_string(&WithCaller { caller, message })
}

/// Reads what [`to_json`] wrote. Twice over the text, because `flatten` would first copy each member into a buffer.
pub fn from_json<M: DeserializeOwned>(json: &str) -> serde_json::Result<(Caller, M)> {
    #[derive(Deserialize)]
    struct OnlyCaller {
        caller: Caller,
    }
    let OnlyCaller { caller } = serde_json::from_str(json)?;
    Ok((caller, serde_json::from_str(json)?))
}

/// Why the hub refused. Nothing has changed then.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Refusal {
    /// The hub's configuration is missing, or older than the revision the Worker saw. Send [`Configure`], then retry.
    Behind,
    /// The request was judged by an older configuration than the hub's, which has this revision. Judge it again.
    Outdated(i64),
    /// The message is for another tenant: a bug of the platform.
    WrongTenant,
    /// The host does not belong to this tenant (any more). Resolve it again.
    WrongHost,
    /// The tenant is suspended, expired, deleted or purged.
    Stopped,
    /// The version of the secret is not accepted (any more), or the token has expired.
    SecretRetired,
    /// The tenant accepts Standard Webhooks signatures only.
    SignatureForm,
    /// A rate limit is used up.
    RateLimited(Rate),
    /// The webhook id was used before with another body.
    WebhookIdReused,
    /// The tenant has as many open streams as its limit allows.
    TooManyStreams,
    /// The address has as many open streams as the limit allows.
    TooManyConnections,
    /// The hub's streams ask with as many patterns and templates as may be, or the network has its share of them.
    TooManyPatterns(RefusedPattern),
    /// The ticket is unknown or expired.
    TicketInvalid,
    /// The token's issuer has lost the rights since it was minted.
    TokenRevoked,
    /// The tenant wants a credential of everybody who opens a stream.
    NoCredential,
    /// The address is not on the tenant's list, and the caller acts in the tenant.
    AddressNotAllowed,
    /// The stream's cursor belongs to an earlier log of this tenant.
    LogReplaced,
    /// The message could not be parsed: a bug of the platform.
    Malformed,
    /// The hub's own storage failed.
    Failed,
}

/// The reply to messages that have nothing to tell.
#[derive(Debug, Serialize, Deserialize)]
pub struct Done {}

/// The body of the hub's HTTP response.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reply<T> {
    /// The message was carried out.
    Ok(T),
    /// It was refused.
    Refused(Refusal),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_caller_is_one_more_member_of_the_message() {
        let tenant = ClaimedTenant::parse("acme").unwrap();
        let caller = Caller { tenant, revision: 7, host: Some("acme.test".into()), judged_at: None };
        let json = to_json(&caller, &GrantRequest::of(vec![RequestClass::Api])).unwrap();
        assert_eq!(
            json,
            r#"{"caller":{"tenant":"acme","revision":7,"host":"acme.test"},"class":"api","classes":["api"]}"#
        );
        let (read, message) = from_json::<GrantRequest>(&json).unwrap();
        assert_eq!((read.tenant, read.revision, message.class), (caller.tenant, 7, Some(RequestClass::Api)));
    }

    #[test]
    fn messages_of_an_older_worker_are_read() {
        let (caller, publish) = from_json::<Publish>(
            r#"{"caller":{"tenant":"acme"},"secret_version":1,"topics":["a"],"private":false,"name":"a.b","tail":"}"}"#,
        )
        .unwrap();
        assert_eq!((caller.revision, caller.host, caller.judged_at), (0, None, None));
        assert!(publish.receipt.is_none() && publish.update.is_none());
        let (_, attach) = from_json::<Attach>(r#"{"caller":{"tenant":"acme"},"interest":{"selected":["a"]}}"#).unwrap();
        assert_eq!((attach.basis, attach.wire, attach.reattach), (Basis::default(), WireFormat::Plain, false));
        assert!(from_json::<Drain>(r#"{"caller":{"tenant":"a:b"}}"#).is_err(), "no tenant has such an id");
    }
}
