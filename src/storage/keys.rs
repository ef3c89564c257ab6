//! KV keys, from typed constructors only.

use crate::domain::host::Host;

/// A key of the KV namespace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KvKey(String);

impl KvKey {
    /// `host:{host}`: which tenant a host belongs to. A hint, checked against the hub's own list.
    pub fn host(host: &Host) -> Self {
        Self(format!("host:{host}"))
    }

    /// The key as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}
