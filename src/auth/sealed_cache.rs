//! What KV remembers for a tenant of others' words: sealed under the tenant's key, for the place it stands at.
//!
//! Whoever writes to KV cannot put other words in their place: what was sealed for another tenant or another key
//! does not open. Losing it costs a call, never truth.

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::storage::bindings::Bindings;
use crate::storage::keys::KvKey;
use crate::storage::kv;
use crate::storage::sealed::{Place, SealKey};
use crate::tenant_id::TenantId;

/// A place to remember something at.
pub struct Memory<'a> {
    /// The deployment.
    pub bindings: &'a Bindings,
    /// The tenant.
    pub tenant: &'a TenantId,
    /// The tenant's data key.
    pub key: &'a SealKey,
    /// Where it stands.
    pub at: KvKey,
}

impl Memory<'_> {
    /// What is remembered, if it is and can be read.
    pub async fn recall<T: DeserializeOwned>(&self) -> Option<T> {
        let sealed = kv::sealed_of_tenant(self.bindings, self.tenant, &self.at).await?;
        serde_json::from_slice(&self.key.open(&self.place(), &sealed).ok()?).ok()
    }

    /// Remembers something for so many seconds, at least 60.
    pub async fn keep(&self, value: &impl Serialize, seconds: u64) {
        let Ok(text) = serde_json::to_vec(value) else { return };
        let Ok(sealed) = self.key.seal(&self.place(), &text) else { return };
        kv::remember_sealed(self.bindings, self.tenant, &self.at, sealed, seconds).await;
    }

    fn place(&self) -> Place<'_> {
        Place { owner: self.tenant.as_str(), table: "kv", column: "remembered", row: self.at.as_str() }
    }
}
