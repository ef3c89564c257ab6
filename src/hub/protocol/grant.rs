//! What the Worker asks before it serves a request: the tenant's configuration, and permits of a rate limit.

use serde::{Deserialize, Serialize};

use super::tenant_config::TenantConfig;
use domain::clock::Timestamp;
use domain::rate::Rate;
use domain::unix_time::millis;

/// Asks for the tenant's configuration, which the Worker may use for 5 seconds, and for permits of a class.
#[derive(Debug, Serialize, Deserialize)]
pub struct GrantRequest {
    /// The rate limit to draw permits from; none to get the configuration alone.
    #[serde(default)]
    pub class: Option<RequestClass>,
}

/// Which rate limit a request counts against.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RequestClass {
    /// Requests with a credential of the tenant.
    Api,
    /// Requests without one.
    Anonymous,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Grant {
    pub config: TenantConfig,
    /// Permits, if a class was asked for.
    #[serde(default)]
    pub lease: Option<Lease>,
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

/// Counts an attempt to sign in, or refuses it because its address or account had too many this minute.
#[derive(Debug, Serialize, Deserialize)]
pub struct CountLogin {
    /// Digest of the network it comes from.
    pub address: String,
    /// Digest of the account that was named, whether or not it exists.
    pub account: String,
}
