//! `GET /api/v1/tenants/{tenant_id}/health`: the tenant's rows, hub, KV entry and site, each checked by a real call.

use serde_json::Value;

use super::subject::find;
use crate::auth::principal::Operator;
use crate::http::outbound::{self, NoResponse, OutboundRequest};
use crate::http::problem::Problem;
use crate::http::request::Request;
use crate::http::response::Response;
use crate::hub::client::HubClient;
use crate::hub::protocol::Inspect;
use crate::log;
use crate::storage::bindings::Bindings;
use crate::storage::kv;
use crate::storage::row::row_types;
use crate::storage::tenant_db::{FENCE, TenantDb};
use crate::tenant::registry::Tenant;
use domain::host::Host;
use domain::json;

/// How long the site may take to respond, in milliseconds.
const SITE_TIMEOUT_MILLIS: u32 = 5000;

row_types! {
    struct FenceRow {
        mode: String,
        epoch: i64,
        revision: i64,
    }
}

/// Checks every part that the tenant depends on. Always 200: the body says how the parts are.
pub async fn health(request: Request<Operator>) -> Result<Response, Problem> {
    let (_, tenant) = find(&request, "check a tenant").await?;
    let bindings = &request.bindings;
    let (rows, hub, hints, site) = futures_util::join!(
        rows(bindings, &tenant),
        hub(bindings, &tenant),
        hints(bindings, &tenant),
        site(bindings, tenant.row.wpgraphql_endpoint.as_deref()),
    );
    let checks = json!({
        "rows": rows.unwrap_or_else(|cause| failed("rows", &cause)),
        "hub": hub.unwrap_or_else(|cause| failed("hub", &cause)),
        "kv": hints.unwrap_or_else(|cause| failed("kv", &cause)),
        "wordpress": site,
    });
    let is_healthy = checks.as_object().is_some_and(|checks| {
        checks.values().all(|check| check.get("status").is_none_or(|s| s == "ok" || s == "not_configured"))
    });
    let status = if is_healthy && !tenant.pending { "ok" } else { "degraded" };
    let data = json!({
        "status": status, "revision": tenant.row.revision, "pending": tenant.pending, "checks": checks,
        "isolate": { "memory_bytes": memory_bytes() },
    });
    Response::json(200, &data, Some(tenant.id.as_str()))
}

/// The Wasm memory of the isolate that answers. It never shrinks: this is the most that it ever needed.
#[cfg(target_arch = "wasm32")]
fn memory_bytes() -> u64 {
    const PAGE: u64 = 64 * 1024;
    PAGE.saturating_mul(u64::try_from(core::arch::wasm32::memory_size::<0>()).unwrap_or(0))
}

/// There is no Wasm memory elsewhere.
#[cfg(not(target_arch = "wasm32"))]
fn memory_bytes() -> u64 {
    0
}

async fn rows(bindings: &Bindings, tenant: &Tenant) -> Result<Value, String> {
    let db = TenantDb::open(bindings, &tenant.id, &tenant.placement()).map_err(|e| e.to_string())?;
    let fence = db.row::<FenceRow>(&FENCE, Vec::new()).await.map_err(|e| e.to_string())?;
    let fence = fence.ok_or("the shard does not know the tenant")?;
    let status = if fence.revision == tenant.row.revision { "ok" } else { "behind" };
    Ok(json!({ "status": status, "mode": fence.mode, "epoch": fence.epoch, "revision": fence.revision }))
}

async fn hub(bindings: &Bindings, tenant: &Tenant) -> Result<Value, String> {
    let hub = HubClient::of(bindings, &tenant.id).map_err(|e| e.to_string())?;
    let condition = hub.call(&Inspect {}).await.map_err(|e| e.to_string())?;
    Ok(json!({
        "status": if condition.revision == tenant.row.revision { "ok" } else { "behind" },
        "revision": condition.revision,
        "started_at": condition.started_at,
        "latest": condition.latest,
        "earliest": condition.earliest,
        "streams": condition.streams,
        "carried": condition.carried,
        "pending_events": condition.pending,
        "restored_streams": condition.restored,
    }))
}

async fn hints(bindings: &Bindings, tenant: &Tenant) -> Result<Value, String> {
    let hosts = tenant.hosts(bindings);
    let host = hosts.first().and_then(|host| Host::parse(host).ok()).ok_or("the tenant has no host")?;
    let hint = kv::tenant_of_host(bindings, &host).await;
    let agrees = hint.as_deref().is_none_or(|id| id == tenant.id.as_str());
    Ok(json!({ "status": if agrees { "ok" } else { "stale" }, "cached": hint.is_some() }))
}

/// Whether the site's GraphQL endpoint responds at all. What it responds with is not shown. An endpoint that was stored
/// before it would have been refused is not called.
async fn site(bindings: &Bindings, endpoint: Option<&str>) -> Value {
    let Some(endpoint) = endpoint else { return json!({ "status": "not_configured" }) };
    let url = match bindings.settings.outbound(endpoint) {
        Ok(url) => url.with_parameter("query", "%7B__typename%7D"),
        Err(invalid) => return json!({ "status": "refused", "reason": format!("wpgraphql_endpoint {invalid}") }),
    };
    let headers = json!({ "Accept": "application/json" });
    let request = OutboundRequest { method: "GET", url: &url, headers, body: None, most: 0 };
    match outbound::send_within(request, SITE_TIMEOUT_MILLIS).await {
        Ok(response) => {
            let status = if response.status < 500 { "ok" } else { "failing" };
            json!({ "status": status, "http_status": response.status })
        }
        Err(NoResponse::TimedOut) => json!({ "status": "timeout" }),
        Err(NoResponse::Failed) => json!({ "status": "unreachable" }),
    }
}

fn failed(check: &str, cause: &str) -> Value {
    log::failed_check(check, cause);
    json!({ "status": "failing" })
}
