//! Cache hits and misses: counted in the isolate, and reported from time to time to the tenant's hub, which adds them up.

use super::cache;
use crate::http::request::Background;
use crate::hub::client::HubClient;
use crate::hub::protocol::RecordCacheStats;
use crate::storage::bindings::Bindings;
use crate::tenant_id::TenantId;

/// Hits and misses that make a report.
const REPORT_AT: u64 = 20;

/// Reports to the hub after the response, once there is enough to report.
pub fn report(bindings: &Bindings, background: &Background, tenant: &TenantId) {
    let Some((hits, misses)) = cache::take_counts(tenant, REPORT_AT) else { return };
    let Ok(hub) = HubClient::of(bindings, tenant) else { return };
    let message = RecordCacheStats { tenant: tenant.into(), hits, misses };
    background.spawn(async move {
        // A lost report loses a count, nothing else.
        let _ = hub.call(&message).await;
    });
}
