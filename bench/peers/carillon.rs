//! This project's Worker, as built by `make build`, served as its tests serve it.

use std::net::SocketAddr;

use serde_json::{Value, json};
use tempfile::TempDir;

use super::{Server, miniflare_absent, named, ready, root, script};
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

pub async fn start() -> Result<Server> {
    let state = TempDir::new()?;
    let log = state.path().join("server.log");
    let argument = json!({
        "build": root().join("build"),
        // Cloudflare counts per address in the machine itself; the simulation would cost a hop that is not ours.
        "addressLimit": false,
        "state": state.path().join("state"),
        "secrets": { "PLATFORM_KEY": PLATFORM_KEY, "KEK_v1": KEK },
    });
    let mut group = Group::start(script(&root().join("tests/runtime/serve.mjs"), &argument), &log)?;
    let line = group.first_line(&log).await?;
    let (address, control) = (ready(&line)?, named(&line, "control")?);
    let secret = create_tenant(address).await?;
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

/// Creates the tenant, without limits, and returns its webhook secret.
async fn create_tenant(address: SocketAddr) -> Result<String> {
    let body = json!({
        "tenant_id": "bench",
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
    let answer = Caller::connect(address).await?.call(&request).await?;
    let said = String::from_utf8_lossy(&answer.body);
    if !(200..300).contains(&answer.status) {
        return Err(format!("creating the tenant was answered {}: {said}", answer.status).into());
    }
    serde_json::from_str::<Value>(&said)?
        .pointer("/data/webhook_secret")
        .and_then(Value::as_str)
        .map(str::to_owned)
        .ok_or_else(|| format!("a created tenant without a webhook secret: {said}").into())
}
