//! Hints in KV. Losing them costs time, never truth: every failure here reads as a miss.

use serde::{Deserialize, Serialize};

use super::bindings::Bindings;
use super::keys::KvKey;
use crate::tenant_id::TenantId;
use domain::host::Host;

/// Which tenant a host belongs to, as KV last heard. It carries the host, so that a value under a
/// wrong key is no hint.
#[derive(Debug, Serialize, Deserialize)]
struct HostEntry {
    host: String,
    tenant_id: String,
}

/// Seconds a hint lives.
const TTL: u64 = 3600;

/// The tenant that KV names for a host.
pub async fn tenant_of_host(bindings: &Bindings, host: &Host) -> Option<String> {
    let text = bindings.kv().ok()?.get(KvKey::host(host).as_str()).text().await.ok()??;
    let entry: HostEntry = serde_json::from_str(&text).ok()?;
    (entry.host == host.as_str()).then_some(entry.tenant_id)
}

/// Leaves a hint.
pub async fn remember_host(bindings: &Bindings, host: &Host, tenant_id: &str) {
    let Ok(kv) = bindings.kv() else { return };
    let entry = HostEntry { host: host.as_str().into(), tenant_id: tenant_id.into() };
    let Ok(text) = serde_json::to_string(&entry) else { return };
    if let Ok(put) = kv.put(KvKey::host(host).as_str(), text) {
        let _ = put.expiration_ttl(TTL).execute().await;
    }
}

/// Takes a hint away. Here a failure matters: the change that asked for it is not done yet.
pub async fn forget_host(bindings: &Bindings, host: &Host) -> Result<(), String> {
    let kv = bindings.kv().map_err(|e| e.to_string())?;
    kv.delete(KvKey::host(host).as_str()).await.map_err(|e| e.to_string())
}

/// What KV holds under a tenant's key; whoever reads it checks that it is the tenant's.
pub async fn read<T: serde::de::DeserializeOwned>(bindings: &Bindings, key: &KvKey) -> Option<T> {
    let text = bindings.kv().ok()?.get(key.as_str()).text().await.ok()??;
    serde_json::from_str(&text).ok()
}

/// Leaves something under a tenant's key for so many seconds.
pub async fn write<T: Serialize>(bindings: &Bindings, key: &KvKey, value: &T, seconds: u64) {
    let Ok(kv) = bindings.kv() else { return };
    let Ok(text) = serde_json::to_string(value) else { return };
    if let Ok(put) = kv.put(key.as_str(), text) {
        let _ = put.expiration_ttl(seconds).execute().await;
    }
}

/// What is remembered for a tenant, sealed under its key. It carries the tenant, so that a value under another's
/// key is no memory.
#[derive(Debug, Serialize, Deserialize)]
struct TenantEntry {
    tenant_id: String,
    sealed: String,
}

/// What KV remembers for a tenant; whoever opens it learns whether it was sealed for there.
pub async fn sealed_of_tenant(bindings: &Bindings, tenant: &TenantId, key: &KvKey) -> Option<String> {
    let text = bindings.kv().ok()?.get(key.as_str()).text().await.ok()??;
    let entry: TenantEntry = serde_json::from_str(&text).ok()?;
    (entry.tenant_id == tenant.as_str()).then_some(entry.sealed)
}

/// Remembers something for a tenant, for so many seconds.
pub async fn remember_sealed(bindings: &Bindings, tenant: &TenantId, key: &KvKey, sealed: String, seconds: u64) {
    let Ok(kv) = bindings.kv() else { return };
    let Ok(text) = serde_json::to_string(&TenantEntry { tenant_id: tenant.to_string(), sealed }) else { return };
    if let Ok(put) = kv.put(key.as_str(), text) {
        let _ = put.expiration_ttl(seconds).execute().await;
    }
}
