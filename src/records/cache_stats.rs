//! How often kept answers are found: counted in the isolate, told to the tenant's hub now and then, which sums up.

use super::cache;
use crate::http::request::Background;
use crate::hub::client::HubClient;
use crate::hub::protocol::RecordCacheStats;
use crate::storage::bindings::Bindings;
use crate::tenant_id::TenantId;

/// Looks that are told at once.
const TOLD_AT: u64 = 20;

/// Tells the hub behind the answer, once there is something worth telling.
pub fn tell(bindings: &Bindings, background: &Background, tenant: &TenantId) {
    let Some((hits, misses)) = cache::take_looks(tenant, TOLD_AT) else { return };
    let Ok(hub) = HubClient::of(bindings, tenant) else { return };
    let message = RecordCacheStats { tenant: tenant.into(), hits, misses };
    background.spawn(async move {
        // What is lost is a count.
        let _ = hub.call(&message).await;
    });
}
