//! One structured line per request, and nothing in it that is secret or personal.

use carillon::credentials::key::FreshKey;
use serde_json::{Value, json};

use crate::world::{PLATFORM_KEY, ROOT, TestResponse, World, eventually};

/// The lines that carry this answer's request id.
async fn lines(world: &World, answer: &TestResponse) -> Vec<Value> {
    let id = answer.header("x-request-id").to_owned();
    eventually("the request's log line", async || {
        let lines = world.logs().await;
        let ours: Vec<_> = lines.into_iter().filter(|line| line["request_id"] == *id).collect();
        (!ours.is_empty()).then_some(ours)
    })
    .await
}

/// The one line of the request itself, not of what was noticed on its way.
async fn line(world: &World, answer: &TestResponse) -> Value {
    let lines = lines(world, answer).await;
    let requests: Vec<_> = lines.iter().filter(|line| line["duration_ms"].is_number()).collect();
    assert_eq!(requests.len(), 1, "{lines:?}");
    requests[0].clone()
}

#[tokio::test]
async fn every_request_leaves_one_line() {
    let world = World::shared().await;
    let tenant = world.tenant().create().await;
    let webhook = tenant.webhook().send().await.expect(202);
    let told = line(&world, &webhook).await;
    assert_eq!(told["tenant"], tenant.id);
    assert_eq!(told["status"], 202);
    assert!(told["route"].as_str().is_some_and(|route| !route.contains('/')), "{told}");
    assert!(told["duration_ms"].as_f64().unwrap() >= 0.0);

    let missing = world.call("GET", "t-never.localhost", "/").send().await.expect(404);
    let told = line(&world, &missing).await;
    assert_eq!(told["status"], 404);
    assert_eq!(told["tenant"], Value::Null);

    let refused = world.call("GET", "localhost", "/api/v1/tenants").send().await.expect(401);
    assert_eq!(line(&world, &refused).await["status"], 401);
    let lost = world.platform("GET", "/no/such/path").send().await.expect(404);
    assert_eq!(line(&world, &lost).await["status"], 404);
}

#[tokio::test]
async fn a_client_that_breaks_its_body_off_is_no_fault_of_ours() {
    let world = World::shared().await;
    let tenant = world.tenant().create().await;
    drop(world.begin(&tenant.host, "/api/v1/auth/login").await);
    let told = eventually("the request's log line", async || {
        let lines = world.logs().await;
        lines.into_iter().find(|line| line["tenant"] == *tenant.id && line["route"] == "auth.login")
    })
    .await;
    assert_eq!(
        (&told["status"], &told["code"], &told["level"]),
        (&json!(400), &json!("malformed_json"), &json!("info"))
    );
}

#[tokio::test]
async fn no_line_holds_a_secret_a_token_or_an_address() {
    let world = World::shared().await;
    let tenant = world.tenant().set("admin_email", json!("someone@private.example")).create().await;
    let token = tenant.token(&["posts"]).sign();
    let ticket = tenant.ticket(tenant.token(&["posts"])).await;
    let webhook = tenant.webhook().data(json!("a private word")).send().await.expect(202);
    let put = tenant.call("PUT", "/events").bearer(&token).send().await.expect(201);
    let rotated = tenant.admin("POST", "/secrets/webhook/rotate").json(&json!({}));
    let rotated = rotated.send().await.expect(200);
    let refused = tenant
        .events(&["posts"])
        .query("topic", "a*b")
        .ticket(&ticket)
        .header("Cookie", &format!("carillon_subscriber={token}"))
        .refused()
        .await;
    let new = rotated.data()["secret"].as_str().unwrap().to_owned();
    let secrets = [
        PLATFORM_KEY,
        &tenant.webhook_secret,
        &tenant.subscription_secret,
        &new,
        &token,
        &ticket,
        &world.address,
        "someone@private.example",
        "a private word",
    ];
    for answer in [&webhook, &put, &rotated, &refused] {
        line(&world, answer).await;
    }
    let all = world.logs().await;
    for line in all {
        let line = line.to_string();
        for secret in secrets {
            assert!(!line.contains(secret), "{secret:?} in {line}");
        }
    }
}

#[tokio::test]
async fn a_source_that_disagrees_is_noticed() {
    let world = World::shared().await;
    let (mine, other) = (world.tenant().create().await, world.tenant().create().await);
    let refused = mine.events(&["a"]).header("X-Tenant-ID", &other.id).refused().await;
    let noticed = lines(&world, &refused).await;
    assert!(noticed.iter().any(|line| line.to_string().contains("cross_tenant_attempt")), "{noticed:?}");
}

#[tokio::test]
async fn a_key_that_proves_nobody_is_for_no_tenant_and_says_which_it_named() {
    let world = World::shared().await;
    let tenant = world.tenant().create().await;
    for id in [tenant.id.as_str(), "nobody-at-all"] {
        let key = FreshKey::of_tenant(id, None).unwrap().text;
        let refused = world.call("GET", ROOT, "/api/v1/api-keys").bearer(&key).send().await.expect(401);
        let told = line(&world, &refused).await;
        assert_eq!(told["tenant"], Value::Null);
        assert_eq!(told["cause"], format!("the credential is not valid in {id}"));
    }
}

#[tokio::test]
async fn attempts_across_tenants_leave_one_row_per_minute() {
    let world = World::shared().await;
    let (mine, other) = (world.tenant().create().await, world.tenant().create().await);
    for _ in 0..5 {
        mine.events(&["a"]).header("X-Tenant-ID", &other.id).refused().await;
    }
    let rows = eventually("the attempts to be noted", async || {
        let sql = "SELECT tenant_id, minute FROM security_events WHERE source_ip = ?1";
        let mut rows = world.rows("SHARD_00", sql, &[&world.address]).await;
        rows.extend(world.rows("SHARD_01", sql, &[&world.address]).await);
        (!rows.is_empty()).then_some(rows)
    })
    .await;
    let minutes: std::collections::BTreeSet<_> = rows.iter().map(|row| row["minute"].as_i64()).collect();
    assert_eq!(minutes.len(), rows.len(), "{rows:?}");
}

#[tokio::test]
async fn a_callers_request_id_is_not_trusted_as_ours() {
    let world = World::shared().await;
    let first = world.call("GET", "localhost", "/health").header("X-Request-Id", "mine").send().await;
    let second = world.call("GET", "localhost", "/health").send().await;
    assert_ne!(first.header("x-request-id"), "mine");
    assert_ne!(first.header("x-request-id"), second.header("x-request-id"));
}
