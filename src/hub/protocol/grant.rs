//! What the Worker asks before it serves a request: the tenant's configuration, and permits of a rate limit.

use serde::{Deserialize, Serialize};

use super::tenant_config::TenantConfig;
use domain::clock::Timestamp;
use domain::graphql_cache::PurgeNews;
use domain::log_position::Cursor;
use domain::rate::Rate;
use domain::unix_time::millis;

/// Asks for the tenant's configuration, which the Worker may use for 5 seconds, and for permits.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GrantRequest {
    /// What a Worker of before asks: the one class to draw from, refused as a whole if its limit is used up.
    #[serde(default)]
    pub class: Option<RequestClass>,
    /// The classes to draw permits from; none to get the configuration alone. The grant says what became of each.
    #[serde(default)]
    pub classes: Vec<RequestClass>,
    /// Asks for the purges of kept answers, too.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub purges: Option<PurgesAfter>,
}

/// Up to which position somebody knows a tenant's purges; none if they know nothing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PurgesAfter {
    #[serde(default)]
    pub after: Option<Cursor>,
}

impl GrantRequest {
    /// Asks for permits of these classes. A hub of before reads the first one.
    pub fn of(classes: Vec<RequestClass>) -> Self {
        Self { class: classes.first().copied(), classes, purges: None }
    }
}

/// Which rate limit a request counts against.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RequestClass {
    /// Requests with a credential of the tenant.
    Api,
    /// Requests without one; and every request, until its credential has proved somebody.
    Anonymous,
}

impl RequestClass {
    /// All classes.
    pub const ALL: [Self; 2] = [Self::Api, Self::Anonymous];
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Grant {
    pub config: TenantConfig,
    /// Permits, for a Worker of before that asked for one class.
    #[serde(default)]
    pub lease: Option<Lease>,
    /// What became of each class.
    #[serde(default)]
    pub drawn: Vec<Drawn>,
    /// The end of the log at that moment.
    #[serde(default)]
    pub log: Option<Cursor>,
    /// The purges that were asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub purges: Option<PurgeNews>,
}

/// What became of a class.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Drawn {
    /// Permits.
    Permits(RequestClass, Lease),
    /// The limit is used up.
    UsedUp(RequestClass, Rate),
}

/// A block of permits that an isolate may spend without asking again.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Lease {
    /// How many, at least one.
    pub permits: u64,
    /// When unspent permits become void.
    #[serde(with = "millis")]
    pub until: Timestamp,
    /// The limit as it will be once all permits are spent.
    pub rate: Rate,
}

/// Counts an attempt to sign in as if it had failed, or refuses it: too many failed this minute.
#[derive(Debug, Serialize, Deserialize)]
pub struct CountLogin {
    /// Digest of the network it comes from.
    pub address: String,
    /// Digest of the account that was named, whether or not it exists.
    pub account: String,
}

/// An attempt that was counted has succeeded: it is no failure, and its network is one of the account's own from now on.
#[derive(Debug, Serialize, Deserialize)]
pub struct LoginSucceeded {
    /// Digest of the network it comes from.
    pub address: String,
    /// Digest of the account.
    pub account: String,
}

/// Counts a mail to a person, of whatever kind, or refuses it.
#[derive(Debug, Serialize, Deserialize)]
pub struct CountMail {
    /// Digest of the network that asks for it; none if somebody asks who may write to whom they like.
    #[serde(default)]
    pub network: Option<String>,
    /// Digest of the address that it goes to.
    pub person: String,
}
