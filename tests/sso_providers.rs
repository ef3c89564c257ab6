//! A tenant's OpenID providers: who may set them up, and what they may point at.

use serde_json::{Value, json};

use crate::world::{Browser, CLIENT_SECRET, Issuer, Tenant, TestResponse, World};

const PROVIDERS: &str = "/api/v1/sso/providers";

async fn tenant() -> Tenant {
    World::shared().await.tenant().create().await
}

fn body(change: Value) -> Value {
    let mut body = json!({"id": "corp", "name": "Corp", "issuer": "https://id.example.org", "client_id": "carillon"});
    for (name, value) in change.as_object().unwrap() {
        body[name] = value.clone();
    }
    body
}

async fn create(tenant: &Tenant, change: Value) -> TestResponse {
    tenant.as_owner("POST", PROVIDERS).json(&body(change)).send().await
}

async fn patch(tenant: &Tenant, change: Value) -> TestResponse {
    tenant.as_owner("PATCH", &format!("{PROVIDERS}/corp")).json(&change).send().await
}

#[tokio::test]
async fn a_provider_is_made_shown_changed_and_removed() {
    let tenant = tenant().await;
    let made = create(&tenant, json!({"client_secret": CLIENT_SECRET})).await.expect(201);
    assert_eq!(made.header("location"), format!("{PROVIDERS}/corp"));
    let data = made.data();
    assert_eq!(data["scopes"], "openid email profile");
    assert_eq!(
        (&data["has_client_secret"], &data["enabled"], &data["reach"]),
        (&json!(true), &json!(true), &json!(["*"]))
    );
    assert_eq!(
        (&data["role_map"], &data["default_role"], &data["role_claim"]),
        (&json!({}), &json!(null), &json!(null))
    );
    assert!(data["created_at"].is_string());
    create(&tenant, json!({})).await.expect_problem(409, "conflict");
    let changed = patch(&tenant, json!({"role_claim": "groups", "role_map": {"b": "viewer", "a": "admin"}})).await;
    let changed = changed.expect(200);
    assert!(changed.body.contains(r#"{"b":"viewer","a":"admin"}"#), "in the order it was given: {}", changed.body);
    assert_eq!(changed.data()["has_client_secret"], true);
    let emptied =
        patch(&tenant, json!({"client_secret": null, "role_claim": null, "role_map": null})).await.expect(200);
    let emptied = emptied.data();
    assert_eq!((&emptied["has_client_secret"], &emptied["role_map"]), (&json!(false), &json!({})));
    assert_eq!(emptied["name"], "Corp");
    let shown = tenant.as_owner("GET", &format!("{PROVIDERS}/corp")).send().await.expect(200);
    let listed = tenant.as_owner("GET", PROVIDERS).send().await.expect(200);
    assert_eq!(listed.data(), json!([shown.data()]));
    for answer in [&made, &changed, &shown, &listed] {
        assert!(!answer.body.contains(CLIENT_SECRET));
    }
    let path = format!("{PROVIDERS}/corp");
    tenant.as_owner("DELETE", &path).send().await.expect(200);
    for method in ["GET", "DELETE"] {
        tenant.as_owner(method, &path).send().await.expect_problem(404, "not_found");
    }
    patch(&tenant, json!({"name": "x"})).await.expect_problem(404, "not_found");
}

#[tokio::test]
async fn bad_bodies_name_their_fields() {
    let tenant = tenant().await;
    for (change, pointer) in [
        (json!({"id": null}), "/id"),
        (json!({"id": "Corp"}), "/id"),
        (json!({"id": "callback"}), "/id"),
        (json!({"name": ""}), "/name"),
        (json!({"issuer": null}), "/issuer"),
        (json!({"client_id": 7}), "/client_id"),
        (json!({"client_secret": "x".repeat(501)}), "/client_secret"),
        (json!({"scopes": "email"}), "/scopes"),
        (json!({"role_map": ["a"]}), "/role_map"),
        (json!({"role_map": {"a/b": 7}}), "/role_map/a~1b"),
        (json!({"role_map": {"a/b": "nobody"}}), "/role_map/a~1b"),
        (json!({"default_role": "nobody"}), "/default_role"),
        (json!({"enabled": "yes"}), "/enabled"),
        (json!({"secret": "x"}), "/secret"),
    ] {
        create(&tenant, change).await.expect_invalid(pointer);
    }
}

#[tokio::test]
async fn a_provider_is_a_public_host() {
    let tenant = tenant().await;
    for issuer in [
        "http://id.example.org",
        "https://169.254.169.254",
        "https://10.0.0.1/realm",
        "https://192.168.0.1",
        "https://[fd00::1]",
        "https://2130706433",
        "https://metadata.google.internal",
        "https://printer.local",
        "https://acme.localhost",
        "https://user:pass@id.example.org",
        "https://id.example.org/?a=b",
        "https://id.example.org/#a",
        "file:///etc/passwd",
    ] {
        create(&tenant, json!({"issuer": issuer})).await.expect_invalid("/issuer");
    }
}

#[tokio::test]
async fn this_machine_is_no_provider_unless_the_deployment_says_so() {
    let world = World::own().await;
    world.restart(&[("ALLOW_LOOPBACK", "false")]).await;
    let tenant = world.tenant().create().await;
    for issuer in
        ["http://127.0.0.1:9", "https://127.0.0.1", "https://[::1]", "http://localhost:9", "https://localhost"]
    {
        create(&tenant, json!({"issuer": issuer})).await.expect_invalid("/issuer");
    }
}

#[tokio::test]
async fn nobody_gives_roles_that_may_do_more_than_themselves() {
    let tenant = tenant().await;
    let key = tenant.key(&["sso:*", "events:read", "collections:read", "records:read", "settings:read"]).await.text;
    let with_key =
        async |method: &str, path: &str, body: Value| tenant.call(method, path).bearer(&key).json(&body).send().await;
    for change in [json!({"default_role": "owner"}), json!({"role_claim": "groups", "role_map": {"a": "editor"}})] {
        with_key("POST", PROVIDERS, body(change)).await.expect_problem(403, "beyond_own_permissions");
    }
    let made = with_key("POST", PROVIDERS, body(json!({"default_role": "viewer"}))).await.expect(201).data();
    assert_eq!(
        made["reach"],
        json!(["sso:read", "sso:write", "events:read", "collections:read", "records:read", "settings:read"])
    );
    let path = format!("{PROVIDERS}/corp");
    with_key("PATCH", &path, json!({"default_role": "admin"})).await.expect_problem(403, "beyond_own_permissions");
    with_key("PATCH", &path, json!({"name": "x"})).await.expect(200);
    patch(&tenant, json!({"default_role": "admin"})).await.expect(200);
    // It reaches further than the key now: the key could otherwise point it at an issuer of its own.
    with_key("PATCH", &path, json!({"name": "x"})).await.expect_problem(403, "beyond_own_permissions");
    let reader = tenant.key(&["sso:read"]).await.text;
    tenant.call("GET", &path).bearer(&reader).send().await.expect(200);
    let refused = tenant.call("POST", PROVIDERS).bearer(&reader).json(&body(json!({}))).send().await;
    refused.expect_problem(403, "forbidden");
}

#[tokio::test]
async fn another_issuer_gets_neither_the_secret_nor_the_users_of_the_one_before() {
    let tenant = tenant().await;
    let (issuer, another) = (Issuer::of(&tenant).await, Issuer::of(&tenant).await);
    tenant.as_owner("POST", PROVIDERS).json(&issuer.provider()).send().await.expect(201);
    let mut browser = Browser::of(&tenant);
    browser.sign_in(&issuer, "ada").await.expect(303);
    let under_way = browser.until_callback(&issuer, "ada").await;
    patch(&tenant, json!({"issuer": another.url})).await.expect_invalid("/client_secret");
    patch(&tenant, json!({"issuer": issuer.url, "name": "Same"})).await.expect(200);
    patch(&tenant, json!({"issuer": another.url, "client_secret": CLIENT_SECRET})).await.expect(200);
    browser.go(&under_way).await.expect_problem(400, "sso_state_invalid");
    // The same subject there is somebody else.
    another
        .turn(json!({"accounts": {"ada": {"email": "eve@example.org", "email_verified": true, "groups": ["staff"]}}}))
        .await;
    browser.sign_in(&another, "ada").await.expect(303);
    let mut users = Vec::new();
    for shard in ["SHARD_00", "SHARD_01"] {
        let sql = "SELECT email FROM users WHERE tenant_id = ?1 ORDER BY email";
        users.extend(tenant.world.rows(shard, sql, &[&tenant.id]).await);
    }
    assert_eq!(users, [json!({"email": "ada@example.org"}), json!({"email": "eve@example.org"})]);
}

#[tokio::test]
async fn there_are_at_most_twenty() {
    let tenant = tenant().await;
    for n in 0..20 {
        create(&tenant, json!({"id": format!("p{n}")})).await.expect(201);
    }
    create(&tenant, json!({"id": "p20"})).await.expect_problem(409, "too_many");
}

#[tokio::test]
async fn another_tenants_provider_is_a_missing_one() {
    // Without limits no header counts down.
    let unlimited = World::shared().await.tenant();
    let unlimited = unlimited.limit("max_api_requests_per_minute", -1).limit("max_api_requests_per_day", -1);
    let (tenant, other) = (unlimited.create().await, tenant().await);
    create(&other, json!({"id": "theirs"})).await.expect(201);
    for method in ["GET", "PATCH", "DELETE"] {
        let ask = async |id: &str| {
            let call = tenant.as_owner(method, &format!("{PROVIDERS}/{id}"));
            let call = if method == "PATCH" { call.json(&json!({"name": "x"})) } else { call };
            call.send().await
        };
        let (foreign, missing) = (ask("theirs").await, ask("nobodys").await);
        assert_eq!(foreign.masked(&[]), missing.masked(&[]), "{method}");
    }
    let theirs = other.as_owner("GET", &format!("{PROVIDERS}/theirs")).send().await.expect(200);
    assert_eq!(theirs.data()["name"], "Corp");
}
