//! What lives long ends with who made it: keys, invitations, URLs of files, tokens of operators. Each is ended through one
//! isolate and tried through another one.

mod invitations;
mod keys;
mod links;
mod operators;
mod revocation;

use serde_json::{Value, json};

use crate::world::{Operator, Person, RequestBuilder, Tenant, TestResponse, World, address};

const KEYS: &str = "/api/v1/api-keys";
const INVITATIONS: &str = "/api/v1/invitations";

/// A tenant as it is reached through each of two isolates.
async fn pair() -> (Tenant, Tenant) {
    let (a, b) = World::pair().await;
    let limits = ["max_api_requests_per_minute", "max_anonymous_requests_per_minute", "max_users"];
    let here = limits.iter().fold(a.tenant(), |tenant, limit| tenant.limit(limit, -1)).create().await;
    let there = here.through(&b);
    (here, there)
}

/// A key that a caller makes: its id and its text.
async fn made(call: RequestBuilder, scopes: &[&str]) -> (String, String) {
    let data = call.json(&json!({"name": "a test", "scopes": scopes})).send().await.expect(201).data();
    (data["id"].as_str().unwrap().to_owned(), data["key"].as_str().unwrap().to_owned())
}

async fn status(tenant: &Tenant, path: &str, token: &str) -> u16 {
    tenant.call("GET", path).bearer(token).send().await.status
}

async fn shown(tenant: &Tenant, id: &str) -> Value {
    tenant.as_owner("GET", &format!("{KEYS}/{id}")).send().await.expect(200).data()
}

async fn reroll(call: RequestBuilder, body: Value) -> TestResponse {
    call.json(&body).send().await
}

/// An invitation that somebody sends: its id, its address and its token.
async fn invited(person: &Person, role: &str) -> (String, String, String) {
    let (tenant, email) = (&person.tenant, address());
    let before = tenant.invitation_tokens().await.len();
    let body = json!({"email": email, "role": role});
    let data = person.call("POST", INVITATIONS).json(&body).send().await.expect(201).data();
    (data["id"].as_str().unwrap().to_owned(), email, tenant.invitation_token(before).await)
}

/// Support that was granted the tenant, and a token with which it entered.
async fn entered(tenant: &Tenant, role: &str) -> (Operator, String) {
    let support = tenant.world.operator("support").await;
    support.grant(tenant, role).await;
    let token = support.entered(tenant).await;
    (support, token)
}
