//! A key as its row stands, and whether a text is the key's.

use crate::credentials::constant_time::same;
use crate::storage::row::row_types;

use crate::credentials::signature::digest;
use domain::address::is_let_in;
use domain::clock::Timestamp;

/// How often the last use of a key is noted, in milliseconds.
const NOTED_MILLIS: i64 = 60_000;

row_types! {
    /// A row of `api_keys` or `platform_keys`.
    pub struct KeyRow {
        digest: String,
        previous_digest: Option<String>,
        previous_until: Option<i64>,
        /// JSON of its permissions.
        pub scopes: String,
        ip_allowlist: String,
        expires_at: Option<i64>,
        revoked_at: Option<i64>,
        last_used_at: Option<i64>,
    }
}

impl KeyRow {
    /// Whether this text is the key's, now, from there.
    pub fn admits(&self, text: &str, address: &str, now: Timestamp) -> bool {
        let now = now.millis();
        let given = digest(text.as_bytes());
        let current = same(&given, &self.digest);
        let previous = self.previous_until.is_some_and(|until| now < until)
            & same(&given, self.previous_digest.as_deref().unwrap_or_default());
        let ranges: Vec<String> = serde_json::from_str(&self.ip_allowlist).unwrap_or_default();
        (current | previous)
            && self.revoked_at.is_none()
            && self.expires_at.is_none_or(|at| now < at)
            && is_let_in(&ranges, address)
    }

    /// Whether its last use was noted lately.
    pub fn is_noted(&self, now: Timestamp) -> bool {
        self.last_used_at.is_some_and(|at| now.millis() - at < NOTED_MILLIS)
    }
}
