//! What a hub must know of its tenant.

use serde::{Deserialize, Serialize};

use crate::storage::tenant_db::Placement;
use domain::clock::Timestamp;
use domain::live_settings::LiveSettings;
use domain::mercure::Mercure;
use domain::plan::Limits;
use domain::sign_in::{PasswordPolicy, Registration};
use domain::unix_time::optional_millis;

/// Stores a configuration. One with a lower revision than the hub's changes nothing.
#[derive(Debug, Serialize, Deserialize)]
pub struct Configure {
    pub config: TenantConfig,
}

#[derive(Debug, Serialize, Deserialize)]
pub struct Configured {
    /// The hub's revision now: at least the one sent.
    pub revision: i64,
}

/// Everything the hub and the Worker's fast paths must know of a tenant. It holds no secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TenantConfig {
    /// The tenant's revision that this was read at.
    pub revision: i64,
    #[serde(rename = "standing")]
    pub state: TenantState,
    /// When the tenant stops being served.
    #[serde(default, with = "optional_millis")]
    pub expires_at: Option<Timestamp>,
    /// Its hosts: the slug's and the custom domains.
    pub hosts: Vec<String>,
    pub limits: Limits,
    /// Accepted versions of the webhook secret.
    pub webhook_versions: Vec<AcceptedVersion>,
    /// Accepted versions of the subscription secret.
    pub subscription_versions: Vec<AcceptedVersion>,
    /// Whether the plain signature form is switched off.
    pub require_standard_webhooks: bool,
    /// Origins that may read responses across origins.
    pub cors_origins: Vec<String>,
    /// The shard that holds its rows.
    pub placement: Placement,
    /// Networks that its principals may come from; empty for any.
    #[serde(default)]
    pub ip_allowlist: Vec<String>,
    /// Who may register.
    #[serde(default)]
    pub registration: Registration,
    #[serde(default)]
    pub passwords: PasswordPolicy,
    #[serde(default, skip_serializing_if = "Mercure::is_default")]
    pub mercure: Mercure,
    #[serde(default, skip_serializing_if = "LiveSettings::is_default")]
    pub live: LiveSettings,
}

impl TenantConfig {
    /// Whether the tenant is served at this moment.
    pub fn is_served(&self, now: Timestamp) -> bool {
        self.state == TenantState::Active && self.expires_at.is_none_or(|at| now < at)
    }
}

/// Whether a tenant is served.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TenantState {
    Active,
    /// Requests get the same response as for a tenant that does not exist.
    Stopped,
}

/// A version of a secret that the hub accepts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AcceptedVersion {
    pub version: u32,
    /// End of its grace period; none for the current version.
    #[serde(default, with = "optional_millis")]
    pub until: Option<Timestamp>,
}

/// Whether a version is in the list and its grace period has not ended.
pub fn accepts(versions: &[AcceptedVersion], version: u32, now: Timestamp) -> bool {
    versions.iter().any(|v| v.version == version && v.until.is_none_or(|until| now < until))
}
