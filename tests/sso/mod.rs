//! Single sign-on: browsers that come in by a tenant's own provider, and those that only try.

mod id_token_claims;
mod limits;
mod redirect_flow;
mod users;

use serde_json::Value;

use crate::world::{Browser, Issuer, Tenant, TestResponse, World};

const PROVIDERS: &str = "/api/v1/sso/providers";
const SESSION: &str = "__Host-carillon_session";
const BROWSER: &str = "__Host-carillon_sso";

async fn tenant() -> Tenant {
    World::shared().await.tenant().create().await
}

async fn provide(tenant: &Tenant, issuer: &Issuer, change: Value) {
    let mut body = issuer.provider();
    for (name, value) in change.as_object().unwrap() {
        body[name] = value.clone();
    }
    tenant.as_owner("POST", PROVIDERS).json(&body).send().await.expect(201);
}

/// A tenant with a provider.
async fn corp(change: Value) -> (Tenant, Issuer) {
    let tenant = tenant().await;
    let issuer = Issuer::of(&tenant).await;
    provide(&tenant, &issuer, change).await;
    (tenant, issuer)
}

/// Rows of the tenant, whichever its shard.
async fn rows(tenant: &Tenant, sql: &str) -> Vec<Value> {
    let mut all = Vec::new();
    for shard in ["SHARD_00", "SHARD_01"] {
        all.extend(tenant.world.rows(shard, sql, &[&tenant.id]).await);
    }
    all
}

async fn users(tenant: &Tenant) -> Vec<Value> {
    rows(
        tenant,
        "SELECT id, email, name, role, status, password_hash, email_verified_at FROM users WHERE tenant_id = ?1",
    )
    .await
}

/// What the audit says of single sign-on, by name: two audit_entries of one millisecond have no order.
async fn audit_entries(tenant: &Tenant) -> Vec<String> {
    let found = rows(
        tenant,
        "SELECT operation FROM audit_log WHERE tenant_id = ?1 AND operation LIKE 'sso.%' ORDER BY operation",
    )
    .await;
    found.iter().map(|row| row["operation"].as_str().unwrap().to_owned()).collect()
}

async fn add_user(tenant: &Tenant, email: &str, role: &str, verified: bool) {
    let shard = shard(tenant).await;
    let sql = "INSERT INTO users (tenant_id, id, email, role, password_hash, email_verified_at, created_at, updated_at) VALUES (?1, 'usr_before', ?2, ?3, 'a hash', CASE WHEN ?4 = '1' THEN 1 END, 1, 1)";
    tenant.world.rows(&shard, sql, &[&tenant.id, email, role, if verified { "1" } else { "0" }]).await;
}

async fn shard(tenant: &Tenant) -> String {
    let sql = "SELECT shard FROM placements WHERE tenant_id = ?1";
    tenant.world.rows("CONTROL", sql, &[&tenant.id]).await[0]["shard"].as_str().unwrap().to_owned()
}

#[track_caller]
fn comes_in(answer: &TestResponse, browser: &Browser) {
    assert_eq!(answer.status, 303, "{}", answer.body);
    assert_eq!(answer.header("location"), "/console?tab=1");
    assert!(browser.cookies.contains_key(SESSION) && !browser.cookies.contains_key(BROWSER));
}

#[track_caller]
fn stays_out(browser: &Browser) {
    assert!(!browser.cookies.contains_key(SESSION));
}

fn query(address: &str, name: &str) -> String {
    let (_, query) = address.split_once('?').unwrap();
    let found = form_urlencoded::parse(query.as_bytes()).find(|(n, _)| n == name);
    found.unwrap_or_else(|| panic!("no {name} in {address}")).1.into_owned()
}
