//! This project's Worker, as built by `make build`, served as its tests serve it.

use std::net::SocketAddr;
use std::path::Path;

use serde_json::{Value, json};
use tempfile::TempDir;

use super::{Server, all, miniflare_absent, named, ready, root, script};
use crate::Result;
use crate::process::Group;
use crate::wire::{self, Caller};

/// The operator's key of the servers under test.
pub const PLATFORM_KEY: &str = "car_pk_bench_0123456789abcdef0123456789abcdef";
/// Base64 of 32 bytes.
const KEK: &str = "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=";

pub fn absent() -> Option<String> {
    match root().join("build/index.js").exists() {
        true => miniflare_absent(),
        false => Some("The Worker is not built; run `make build`.".to_owned()),
    }
}

/// What the Worker needs to be told before it answers, without any binding.
pub fn settings() -> Value {
    json!({ "ROOT_DOMAIN": "localhost", "DOMAIN_PROOF": "assumed", "SHARDS": "SHARD_00", "KEK_VERSION": "1", "PLATFORM_KEY": PLATFORM_KEY, "KEK_v1": KEK })
}

/// The Worker as it runs, apart from any tenant.
pub struct Runtime {
    pub address: SocketAddr,
    pub control: SocketAddr,
    /// Each isolate's, the first of which is `address`.
    pub isolates: Vec<SocketAddr>,
    pub group: Group,
}

pub async fn start(mode: &str) -> Result<Server> {
    let state = TempDir::new()?;
    let Runtime { address, control, group, .. } = serve(state.path()).await?;
    let secret = create_tenant_with(address, "bench", &json!({ "live": { "mode": mode } })).await?;
    Ok(Server {
        address,
        host: "bench.localhost".to_owned(),
        subscribe: "/events?topic=post".to_owned(),
        publish: "/webhook".to_owned(),
        tenant: "bench".to_owned(),
        topic: "post".to_owned(),
        webhook_secret: Some(secret),
        control: Some(control),
        group,
        _state: state,
    })
}

/// Serves with the rows that lie under `folder`, and makes the databases where there are none.
pub async fn serve(folder: &Path) -> Result<Runtime> {
    // Cloudflare counts per network in the machine itself; the simulation would cost a hop that is not ours.
    served(folder, false, 1, &json!({})).await
}

/// The same, with a line in the log for each transaction on a tenant's rows: what its statements read and wrote.
pub async fn serve_counting(folder: &Path) -> Result<Runtime> {
    served(folder, false, 1, &json!({ "ROWS_LOG": "true" })).await
}

/// The same on two isolates over one storage, where a tenant's site may lie on this machine.
pub async fn serve_two_isolates(folder: &Path) -> Result<Runtime> {
    served(folder, false, 2, &json!({ "ALLOW_LOOPBACK": "true" })).await
}

/// The same with the bounds per network, as a deployment has them.
pub async fn serve_bounded(folder: &Path) -> Result<Runtime> {
    served(folder, true, 1, &json!({})).await
}

async fn served(folder: &Path, is_bounded: bool, isolates: usize, vars: &Value) -> Result<Runtime> {
    let log = folder.join("server.log");
    let argument = json!({
        "build": root().join("build"),
        "addressLimit": is_bounded,
        "isolates": isolates,
        "state": folder.join("state"),
        "vars": vars,
        "secrets": { "PLATFORM_KEY": PLATFORM_KEY, "KEK_v1": KEK },
    });
    let mut group = Group::start(script(&root().join("tests/runtime/serve.mjs"), &argument), &log)?;
    let line = group.first_line(&log).await?;
    Ok(Runtime { address: ready(&line)?, control: named(&line, "control")?, isolates: all(&line, "urls")?, group })
}

/// Runs a statement on a database through the test admin worker: `{"results", "meta"}`.
pub async fn d1(control: SocketAddr, binding: &str, sql: &str, params: &[Value]) -> Result<Value> {
    let asked = json!({"binding": binding, "sql": sql, "params": params}).to_string();
    let headers = [("Content-Type", "application/json")];
    let request = wire::request("POST", "/d1", "control", &headers, asked.as_bytes());
    let answer = Caller::connect(control).await?.call(&request).await?.succeeded()?;
    Ok(serde_json::from_slice(&answer.body)?)
}

/// Creates a tenant, without limits, and returns its webhook secret.
pub async fn create_tenant(address: SocketAddr, tenant: &str) -> Result<String> {
    create_tenant_with(address, tenant, &json!({})).await
}

/// The same with settings.
async fn create_tenant_with(address: SocketAddr, tenant: &str, settings: &Value) -> Result<String> {
    let body = json!({
        "tenant_id": tenant,
        "settings": settings,
        "tier": "enterprise",
        "rate_limits": {
            "max_concurrent_subscriptions": -1,
            "max_webhooks_per_minute": -1,
            "max_connections_per_ip": -1,
            "max_api_requests_per_minute": -1,
            "max_anonymous_requests_per_minute": -1,
        },
    });
    let headers = [("Authorization", &*format!("Bearer {PLATFORM_KEY}")), ("Content-Type", "application/json")];
    let request = wire::request("POST", "/api/v1/tenants", "localhost", &headers, body.to_string().as_bytes());
    let answer = Caller::connect(address).await?.call(&request).await?.succeeded()?;
    let said = String::from_utf8_lossy(&answer.body);
    serde_json::from_str::<Value>(&said)?
        .pointer("/data/webhook_secret")
        .and_then(Value::as_str)
        .map(str::to_owned)
        .ok_or_else(|| format!("a created tenant without a webhook secret: {said}").into())
}
