//! Tenants that are stopped, moved to other hosts or given less, on the isolate that did not do it.

use serde_json::{Value, json};

use crate::lifecycle::rfc3339;
use crate::world::{Pair, Tenant, World, address, eventually, now, stranger, unique};

async fn plain() -> Pair {
    World::on_both(|tenant| tenant).await
}

/// What everybody gets of a tenant: on its host by every kind of request, and on the platform's host by a credential of the
/// tenant's. Gone: each is the answer of a tenant that never was.
async fn doors(tenant: &Tenant, key: &str) -> Vec<&'static str> {
    let stream = tenant.call("GET", "/events").query("topic", "posts").header("Accept", "text/event-stream");
    let calls = [
        tenant.call("GET", "/"),
        tenant.call("GET", "/docs"),
        tenant.call("GET", "/events").query("topic", ""),
        tenant.call("HEAD", "/events").query("topic", "posts"),
        tenant.call("OPTIONS", "/events").header("Origin", "https://www.example.com"),
        tenant.call("GET", "/.well-known/jwks.json"),
        tenant.call("GET", "/branding.css"),
        tenant.call("GET", "/graphql/assets/graphiql.js"),
        tenant.call("GET", "/api/v1/branding"),
        tenant.call("GET", "/api/v1/openapi.json"),
        tenant.call("GET", "/api/v1/posts"),
        tenant.call("GET", "/api/v1/posts/p1"),
        tenant.call("GET", "/api/v1/users"),
        tenant.call("GET", "/api/v1/users").bearer(key),
        tenant.call("GET", "/api/v1/auth/sso"),
        tenant.call("POST", "/api/v1/auth/login").json(&json!({"email": "a@b.test", "password": "x"})),
        tenant.call("PUT", "/events").bearer(&tenant.token(&["posts"]).sign()),
        tenant.call("PUT", "/events").bearer("not.a.token"),
        tenant.call("GET", "/.well-known/mercure").query("match", "*").bearer("not.a.token"),
        tenant.webhook().call(),
        tenant.webhook().unsigned().call(),
        tenant.call("GET", "/no/such/path"),
    ];
    let mut gone = Vec::new();
    for call in calls {
        // A network may ask for so many hosts of nobody and no more.
        let call = call.address(&stranger());
        let answer = call.clone().send().await;
        let missing = call.host("t-never.localhost").send().await.expect(404);
        gone.push(if answer.masked(&[]) == missing.masked(&[]) { "gone" } else { "there" });
    }
    gone.push(if stream.open().await.is_ok() { "there" } else { "gone" });
    let named = tenant.world.call("GET", "localhost", "/api/v1/users").bearer(key).send().await.status;
    gone.push(if named == 200 { "there" } else { "gone" });
    gone
}

#[tokio::test]
async fn a_tenant_that_is_stopped_is_not_served_by_any_isolate() {
    let pair = plain().await;
    let key = pair.here.key(&["users:read"]).await.text;
    pair.here.collection("posts", json!({}), json!({"public_read": true})).await;
    pair.here.record("posts", json!({"id": "p1"})).await;
    let asked = async |tenant: &Tenant| doors(tenant, &key).await;
    let all = asked(&pair.here).await.len();
    let (there, gone) = (vec!["there"; all], vec!["gone"; all]);
    pair.binds(&asked, there.clone(), async |tenant: &Tenant| tenant.suspend().await, gone.clone()).await;
    pair.binds(&asked, gone.clone(), async |tenant: &Tenant| tenant.activate().await, there.clone()).await;
    pair.binds(&asked, there, async |tenant: &Tenant| tenant.delete().await, gone.clone()).await;
    pair.binds(&asked, gone.clone(), async |tenant: &Tenant| tenant.purge().await, gone).await;
}

#[tokio::test]
async fn a_tenant_that_expires_is_not_served_by_any_isolate() {
    let pair = plain().await;
    let key = pair.here.key(&["users:read"]).await.text;
    pair.here.collection("posts", json!({}), json!({"public_read": true})).await;
    pair.here.record("posts", json!({"id": "p1"})).await;
    let asked = async |tenant: &Tenant| doors(tenant, &key).await;
    let all = asked(&pair.here).await.len();
    assert_eq!(asked(&pair.there).await, vec!["there"; all]);
    pair.here.patch(json!({"expires_at": rfc3339(now() + 2)})).await;
    // The isolate that heard of it from nobody knows the instant by its next request, and keeps to it.
    for tenant in [&pair.there, &pair.here] {
        eventually("the end of the tenant", async || (asked(tenant).await == vec!["gone"; all]).then_some(())).await;
    }
}

fn domain() -> String {
    format!("d-{}.example", unique())
}

async fn attach(tenant: &Tenant, domain: &str) {
    tenant.admin("POST", "/domains").json(&json!({"domain": domain})).send().await.expect(201);
}

async fn detach(tenant: &Tenant, domain: &str) {
    tenant.admin("DELETE", &format!("/domains/{domain}")).send().await.expect(200);
}

/// The title of the post that a host shows to everybody; the status where it shows none.
async fn title(tenant: &Tenant, host: &str) -> Value {
    let answer = tenant.call("GET", "/api/v1/posts/p1").host(host).send().await;
    if answer.status == 200 { answer.data()["title"].clone() } else { json!(answer.status) }
}

async fn with_post(pair: &Pair, title: &str) {
    let schema = json!({"title": {"type": "string"}});
    pair.here.collection("posts", schema, json!({"public_read": true})).await;
    pair.here.record("posts", json!({"id": "p1", "title": title})).await;
}

#[tokio::test]
async fn a_detached_domain_is_nobodys_in_every_isolate() {
    let pair = World::on_both(|tenant| tenant.plan("pro")).await;
    let domain = domain();
    with_post(&pair, "Bell").await;
    attach(&pair.here, &domain).await;
    let key = pair.here.key(&["users:read"]).await.text;
    let asked = async |tenant: &Tenant| {
        let status = async |path: &str| tenant.call("GET", path).host(&domain).send().await.status;
        let as_member = tenant.call("GET", "/api/v1/users").host(&domain).bearer(&key).send().await.status;
        let opened = tenant.events(&["posts"]).host(&domain).open().await.is_ok();
        let taken = tenant.webhook().host(&domain).send().await.status;
        (title(tenant, &domain).await, status("/").await, as_member, opened, taken)
    };
    let before = (json!("Bell"), 200, 200, true, 202);
    pair.binds(
        asked,
        before,
        async |tenant: &Tenant| detach(tenant, &domain).await,
        (json!(404), 404, 404, false, 404),
    )
    .await;
}

#[tokio::test]
async fn a_domain_that_moves_leads_to_its_new_tenant_alone_in_every_isolate() {
    let first = World::on_both(|tenant| tenant.plan("pro")).await;
    let second = World::on_both(|tenant| tenant.plan("pro")).await;
    let domain = domain();
    with_post(&first, "first").await;
    with_post(&second, "second").await;
    attach(&first.here, &domain).await;
    let (of_first, of_second) =
        (first.here.key(&["users:read"]).await.text, second.here.key(&["users:read"]).await.text);
    let asked = async |tenant: &Tenant| {
        let status =
            async |key: &str| tenant.call("GET", "/api/v1/users").host(&domain).bearer(key).send().await.status;
        (title(tenant, &domain).await, status(&of_first).await, status(&of_second).await)
    };
    let moved = async |tenant: &Tenant| {
        detach(tenant, &domain).await;
        // As if it had rested for its ten minutes.
        tenant
            .world
            .rows("CONTROL", "DELETE FROM released_domains WHERE domain = ?1 RETURNING domain", &[&domain])
            .await;
        attach(&second.here, &domain).await;
    };
    first.binds(asked, (json!("first"), 200, 404), moved, (json!("second"), 404, 200)).await;
}

#[tokio::test]
async fn a_lower_limit_holds_in_every_isolate() {
    let pair = plain().await;
    pair.here.patch(json!({"rate_limits": {"max_api_requests_per_minute": 100_000, "max_anonymous_requests_per_minute": 100_000}})).await;
    let key = pair.here.key(&["users:read"]).await.text;
    pair.here.collection("posts", json!({}), json!({"public_read": true})).await;
    // The permits that an isolate holds were leased under the limit of then.
    let asked = async |tenant: &Tenant| {
        let member = tenant.call("GET", "/api/v1/users").bearer(&key).send().await.status;
        let stranger = tenant.call("GET", "/api/v1/posts").send().await.status;
        let stream = tenant.events(&["posts"]).open().await.map_or_else(|refused| refused.status, |_| 200);
        (member, stranger, stream)
    };
    let lower = json!({"rate_limits": {"max_api_requests_per_minute": 1, "max_anonymous_requests_per_minute": 1,
        "max_concurrent_subscriptions": 0}});
    let lowered = async |tenant: &Tenant| drop(tenant.patch(lower).await);
    pair.binds(asked, (200, 200, 200), lowered, (429, 429, 429)).await;
}

#[tokio::test]
async fn a_smaller_plan_holds_in_every_isolate() {
    let pair = World::on_both(|tenant| tenant.plan("enterprise").limit("max_users", 3)).await;
    let made = async |tenant: &Tenant| {
        let body = json!({"email": address(), "role": "viewer"});
        let answer = tenant.as_owner("POST", "/api/v1/users").json(&body).send().await;
        if answer.status == 201 {
            let path = format!("/api/v1/users/{}", answer.data()["id"].as_str().unwrap());
            tenant.as_owner("DELETE", &path).send().await.expect(200);
        }
        answer.status
    };
    pair.here.user("owner").await;
    let smaller = async |tenant: &Tenant| {
        tenant.patch(json!({"plan": "free", "rate_limits": {"max_users": 1}})).await;
    };
    pair.binds(made, 201, smaller, 409).await;
}
