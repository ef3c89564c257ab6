//! Documents of other servers, cached in KV for a tenant: sealed under the tenant's key, for their KV key.
//!
//! Whoever can write to KV cannot replace a document: one that was sealed for another tenant or another KV key does not
//! open. Losing an entry costs a fetch.

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::storage::bindings::Bindings;
use crate::storage::keys::KvKey;
use crate::storage::kv;
use crate::storage::sealed::{SealContext, SealKey};
use crate::tenant_id::TenantId;

/// One entry of the cache.
pub struct SealedCache<'a> {
    /// The deployment.
    pub bindings: &'a Bindings,
    /// The tenant.
    pub tenant: &'a TenantId,
    /// The tenant's data key.
    pub key: &'a SealKey,
    /// Its key in KV.
    pub at: KvKey,
}

impl SealedCache<'_> {
    /// The cached value, if there is one that opens.
    pub async fn get<T: DeserializeOwned>(&self) -> Option<T> {
        let sealed = kv::sealed_of_tenant(self.bindings, self.tenant, &self.at).await?;
        serde_json::from_slice(&self.key.open(&self.place(), &sealed).ok()?).ok()
    }

    /// Caches a value for so many seconds, at least 60.
    pub async fn put(&self, value: &impl Serialize, seconds: u64) {
        let Ok(text) = serde_json::to_vec(value) else { return };
        let Ok(sealed) = self.key.seal(&self.place(), &text) else { return };
        kv::remember_sealed(self.bindings, self.tenant, &self.at, sealed, seconds).await;
    }

    fn place(&self) -> SealContext<'_> {
        SealContext { owner: self.tenant.as_str(), table: "kv", column: "remembered", row: self.at.as_str() }
    }
}
