//! A key's row, and whether a presented text is the key's.

use crate::credentials::constant_time::constant_time_eq;
use crate::storage::row::row_types;

use crate::credentials::signature::digest;
use domain::address::is_let_in;
use domain::clock::Timestamp;

/// The least time between two notes of a key's last use, in milliseconds.
const NOTE_MILLIS: i64 = 60_000;

row_types! {
    /// A row of `api_keys` or `platform_keys`.
    pub struct ApiKeyRow {
        digest: String,
        previous_digest: Option<String>,
        previous_until: Option<i64>,
        /// A JSON array of its permissions.
        pub scopes: String,
        ip_allowlist: String,
        expires_at: Option<i64>,
        revoked_at: Option<i64>,
        last_used_at: Option<i64>,
    }
}

impl ApiKeyRow {
    /// Whether the key may be used with this text, from this IP address, now.
    pub fn admits(&self, text: &str, address: &str, now: Timestamp) -> bool {
        let now = now.millis();
        let given = digest(text.as_bytes());
        let current = constant_time_eq(&given, &self.digest);
        let previous = self.previous_until.is_some_and(|until| now < until)
            & constant_time_eq(&given, self.previous_digest.as_deref().unwrap_or_default());
        (current | previous)
            && self.revoked_at.is_none()
            && self.expires_at.is_none_or(|at| now < at)
            && is_let_in(&self.networks(), address)
    }

    /// When the text that was presented ends: with the key, or before, if it is the previous one.
    pub fn ends_at(&self, text: &str) -> Option<Timestamp> {
        let is_current = constant_time_eq(&digest(text.as_bytes()), &self.digest);
        let previous = self.previous_until.filter(|_| !is_current);
        self.expires_at.into_iter().chain(previous).min().map(Timestamp::from_millis)
    }

    /// The networks that it may be used from; empty for any.
    pub fn networks(&self) -> Vec<String> {
        serde_json::from_str(&self.ip_allowlist).unwrap_or_default()
    }

    /// Whether its use was noted less than a minute ago.
    pub fn was_noted(&self, now: Timestamp) -> bool {
        self.last_used_at.is_some_and(|at| now.millis() - at < NOTE_MILLIS)
    }
}
