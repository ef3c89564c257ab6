//! What KV holds: hints and caches. Losing it costs time and changes no answer, so every failed read is a miss and a
//! failed write is ignored.

use serde::{Deserialize, Serialize};

use super::bindings::Bindings;
use super::keys::KvKey;
use crate::tenant_id::TenantId;
use domain::host::Host;

/// Which tenant a host belonged to when it was written. It repeats the host, so that a value under a wrong key is ignored.
#[derive(Debug, Serialize, Deserialize)]
struct HostEntry {
    host: String,
    tenant_id: String,
}

/// Seconds until a hint expires.
const TTL: u64 = 3600;
/// The least that KV takes.
const MIN_TTL: u64 = 60;

/// The tenant that KV names for a host; unverified.
pub async fn tenant_of_host(bindings: &Bindings, host: &Host) -> Option<String> {
    let text = bindings.kv().ok()?.get(KvKey::host(host).as_str()).text().await.ok()??;
    let entry: HostEntry = serde_json::from_str(&text).ok()?;
    (entry.host == host.as_str()).then_some(entry.tenant_id)
}

/// Writes the hint for a host.
pub async fn remember_host(bindings: &Bindings, host: &Host, tenant_id: &str) {
    let Ok(kv) = bindings.kv() else { return };
    let entry = HostEntry { host: host.as_str().into(), tenant_id: tenant_id.into() };
    let Ok(text) = serde_json::to_string(&entry) else { return };
    if let Ok(put) = kv.put(KvKey::host(host).as_str(), text) {
        let _ = put.expiration_ttl(TTL).execute().await;
    }
}

/// Deletes the hint for a host. This failure counts: the change of the tenant that asked for it is not finished.
pub async fn forget_host(bindings: &Bindings, host: &Host) -> Result<(), String> {
    let kv = bindings.kv().map_err(|e| e.to_string())?;
    kv.delete(KvKey::host(host).as_str()).await.map_err(|e| e.to_string())
}

/// The text under a tenant's key. The caller checks that it is the tenant's.
pub async fn text(bindings: &Bindings, key: &KvKey) -> Option<String> {
    bindings.kv().ok()?.get(key.as_str()).text().await.ok()?
}

/// Writes text under a tenant's key; it expires after `seconds`, at least 60.
pub async fn write_text(bindings: &Bindings, key: &KvKey, text: String, seconds: u64) {
    let Ok(kv) = bindings.kv() else { return };
    if let Ok(put) = kv.put(key.as_str(), text) {
        let _ = put.expiration_ttl(seconds.max(MIN_TTL)).execute().await;
    }
}

/// The JSON under a tenant's key. The caller checks that the value names the tenant.
pub async fn read<T: serde::de::DeserializeOwned>(bindings: &Bindings, key: &KvKey) -> Option<T> {
    let text = bindings.kv().ok()?.get(key.as_str()).text().await.ok()??;
    serde_json::from_str(&text).ok()
}

/// Writes JSON under a tenant's key; it expires after `seconds`, at least 60.
pub async fn write<T: Serialize>(bindings: &Bindings, key: &KvKey, value: &T, seconds: u64) {
    let Ok(kv) = bindings.kv() else { return };
    let Ok(text) = serde_json::to_string(value) else { return };
    if let Ok(put) = kv.put(key.as_str(), text) {
        let _ = put.expiration_ttl(seconds).execute().await;
    }
}

/// A value sealed under a tenant's data key. It repeats the tenant, so that a value under another tenant's key is ignored.
#[derive(Debug, Serialize, Deserialize)]
struct TenantEntry {
    tenant_id: String,
    sealed: String,
}

/// The sealed value under a tenant's key. Opening it verifies that it was sealed for that place.
pub async fn sealed_of_tenant(bindings: &Bindings, tenant: &TenantId, key: &KvKey) -> Option<String> {
    let text = bindings.kv().ok()?.get(key.as_str()).text().await.ok()??;
    let entry: TenantEntry = serde_json::from_str(&text).ok()?;
    (entry.tenant_id == tenant.as_str()).then_some(entry.sealed)
}

/// Writes a sealed value for a tenant; it expires after `seconds`, at least 60.
pub async fn remember_sealed(bindings: &Bindings, tenant: &TenantId, key: &KvKey, sealed: String, seconds: u64) {
    let Ok(kv) = bindings.kv() else { return };
    let Ok(text) = serde_json::to_string(&TenantEntry { tenant_id: tenant.to_string(), sealed }) else { return };
    if let Ok(put) = kv.put(key.as_str(), text) {
        let _ = put.expiration_ttl(seconds).execute().await;
    }
}
