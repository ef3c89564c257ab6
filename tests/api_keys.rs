//! API keys: a tenant's automation, and what it may do.

use carillon::credentials::key::FreshKey;
use serde_json::{Value, json};

use crate::world::{ApiKey, PLATFORM_KEY, ROOT, Tenant, TestResponse, World};

const KEYS: &str = "/api/v1/api-keys";

async fn tenant() -> Tenant {
    World::shared().await.tenant().create().await
}

/// A request that this key makes on the tenant's host.
async fn with(tenant: &Tenant, key: &str, method: &str, path: &str) -> TestResponse {
    tenant.call(method, path).bearer(key).send().await
}

async fn lists(tenant: &Tenant, key: &str) -> u16 {
    with(tenant, key, "GET", KEYS).await.status
}

#[tokio::test]
async fn a_key_is_shown_once_and_opens_its_tenant_on_both_hosts() {
    let tenant = tenant().await;
    let body = json!({"name": "deploys", "scopes": ["api-keys:read"]});
    let answer = tenant.as_owner("POST", KEYS).json(&body).send().await.expect(201);
    let data = answer.data();
    let (id, text) = (data["id"].as_str().unwrap(), data["key"].as_str().unwrap());
    assert!(text.starts_with(&format!("car_tk_{}.{id}_", tenant.id)), "{text}");
    assert_eq!(answer.header("location"), format!("{KEYS}/{id}"));
    assert_eq!(answer.json()["tenant_id"], json!(tenant.id));
    assert_eq!(data["scopes"], json!(["api-keys:read"]));
    assert_eq!(data["created_by"], "platform_key");
    let shown = with(&tenant, text, "GET", &format!("{KEYS}/{id}")).await.expect(200);
    assert!(!shown.body.contains(&text[text.len() - 20..]), "{}", shown.body);
    let listed = tenant.world.call("GET", ROOT, KEYS).bearer(text).send().await.expect(200);
    assert_eq!(listed.data().as_array().unwrap().len(), 1);
    assert!(!listed.body.contains(&text[text.len() - 20..]));
    assert!(listed.data()[0]["last_used_at"].is_string(), "{}", listed.body);
}

#[tokio::test]
async fn what_is_no_good_key_is_told_nothing() {
    let tenant = tenant().await;
    let key = tenant.key(&["api-keys:read"]).await;
    let mut mistyped = key.text.clone();
    mistyped.replace_range(
        mistyped.len() - 10..mistyped.len() - 9,
        if mistyped.as_bytes()[mistyped.len() - 10] == b'x' { "y" } else { "x" },
    );
    let other_secret = tenant.key(&["api-keys:read"]).await.text;
    let swapped = other_secret.replace(&other_secret[other_secret.find('.').unwrap() + 1..][..12], &key.id);
    let answers = [
        tenant.call("GET", KEYS).send().await,
        with(&tenant, "", "GET", KEYS).await,
        with(&tenant, &mistyped, "GET", KEYS).await,
        with(&tenant, &swapped, "GET", KEYS).await,
        with(&tenant, "car_tk_", "GET", KEYS).await,
        tenant.call("GET", KEYS).header("Authorization", &format!("Basic {}", key.text)).send().await,
        tenant.call("GET", KEYS).query("key", &key.text).send().await,
    ];
    for answer in answers {
        let problem = answer.expect_problem(401, "unauthorized");
        assert_eq!(problem.header("www-authenticate"), "Bearer");
    }
}

#[tokio::test]
async fn a_key_does_what_its_scopes_say_and_no_more() {
    let tenant = tenant().await;
    let reader = tenant.key(&["api-keys:read"]).await;
    let body = json!({"name": "x", "scopes": ["api-keys:read"]});
    let refused = tenant.call("POST", KEYS).bearer(&reader.text).json(&body).send().await;
    let refused = refused.expect_problem(403, "forbidden");
    assert!(refused.body.contains("api-keys:write"), "{}", refused.body);
    let writer = tenant.key(&["api-keys:*"]).await;
    tenant.call("POST", KEYS).bearer(&writer.text).json(&body).send().await.expect(201);
    for scopes in [json!(["*"]), json!(["users:read"]), json!(["api-keys:read", "sso:write"])] {
        let body = json!({"name": "x", "scopes": scopes});
        let refused = tenant.call("POST", KEYS).bearer(&writer.text).json(&body).send().await;
        refused.expect_problem(403, "beyond_own_permissions");
    }
    let strong = tenant.key(&["*"]).await;
    for (method, rest) in [("PATCH", ""), ("POST", "/reroll")] {
        let path = format!("{KEYS}/{}{rest}", strong.id);
        let refused = tenant.call(method, &path).bearer(&writer.text).json(&json!({})).send().await;
        refused.expect_problem(403, "beyond_own_permissions");
    }
}

#[tokio::test]
async fn a_rerolled_key_keeps_its_old_text_for_its_grace_only() {
    let tenant = tenant().await;
    let reroll = async |key: &ApiKey, body: Value| {
        let path = format!("{KEYS}/{}/reroll", key.id);
        tenant.as_owner("POST", &path).json(&body).send().await.expect(200).data()
    };
    let key = tenant.key(&["api-keys:read"]).await;
    let next = reroll(&key, json!({})).await;
    let next = next["key"].as_str().unwrap();
    assert_ne!(next, key.text);
    assert_eq!((lists(&tenant, &key.text).await, lists(&tenant, next).await), (200, 200));
    let last = reroll(&key, json!({"grace_seconds": 0})).await;
    let last = last["key"].as_str().unwrap();
    assert_eq!(lists(&tenant, &key.text).await, 401, "two texts ago");
    assert_eq!((lists(&tenant, next).await, lists(&tenant, last).await), (401, 200));
}

#[tokio::test]
async fn a_revoked_key_is_refused_on_the_next_request_and_stays_revoked() {
    let tenant = tenant().await;
    let key = tenant.key(&["api-keys:read"]).await;
    assert_eq!(lists(&tenant, &key.text).await, 200);
    let path = format!("{KEYS}/{}", key.id);
    let revoked = tenant.as_owner("DELETE", &path).send().await.expect(200).data();
    assert!(revoked["revoked_at"].is_string());
    assert_eq!(lists(&tenant, &key.text).await, 401);
    tenant.as_owner("PATCH", &path).json(&json!({"name": "back"})).send().await.expect_problem(409, "revoked");
    tenant.as_owner("POST", &format!("{path}/reroll")).send().await.expect_problem(409, "revoked");
    assert_eq!(tenant.as_owner("DELETE", &path).send().await.expect(200).data(), revoked);
}

#[tokio::test]
async fn a_key_ends_when_it_says_and_comes_from_where_it_may() {
    let tenant = tenant().await;
    let past = json!({"name": "x", "scopes": ["*"], "expires_at": "2020-01-01T00:00:00Z"});
    tenant.as_owner("POST", KEYS).json(&past).send().await.expect_invalid("/expires_at");
    let key = tenant.key(&["api-keys:read"]).await;
    let path = format!("{KEYS}/{}", key.id);
    let patch = async |body: Value| tenant.as_owner("PATCH", &path).json(&body).send().await.expect(200).data();
    patch(json!({"ip_allowlist": ["192.0.2.0/24", "2001:db8:7::/48"]})).await;
    assert_eq!(lists(&tenant, &key.text).await, 401);
    for (address, status) in [("192.0.2.200", 200), ("2001:db8:7::1", 200), ("192.0.3.1", 401), ("2001:db8:8::", 401)] {
        let answer = tenant.call("GET", KEYS).bearer(&key.text).address(address);
        // What a proxy adds by itself counts for nothing.
        let answer = answer.header("X-Forwarded-For", "192.0.2.1").header("X-Real-IP", "192.0.2.1").send().await;
        assert_eq!(answer.status, status, "{address}");
    }
    let patched = patch(json!({"ip_allowlist": [], "expires_at": "2099-01-01T00:00:00Z"})).await;
    assert_eq!(patched["expires_at"], "2099-01-01T00:00:00.000Z");
    assert_eq!(patch(json!({"name": "still"})).await["expires_at"], "2099-01-01T00:00:00.000Z");
    assert_eq!(patch(json!({"expires_at": null})).await["expires_at"], Value::Null);
    assert_eq!(lists(&tenant, &key.text).await, 200);
}

#[tokio::test]
async fn bad_bodies_name_their_fields() {
    let tenant = tenant().await;
    let post = async |body: Value| tenant.as_owner("POST", KEYS).json(&body).send().await;
    assert_eq!(post(json!({})).await.expect(422).pointers(), ["/name", "/scopes"]);
    for (body, pointer) in [
        (json!({"name": "", "scopes": ["*"]}), "/name"),
        (json!({"name": "x".repeat(101), "scopes": ["*"]}), "/name"),
        (json!({"name": "x", "scopes": []}), "/scopes"),
        (json!({"name": "x", "scopes": ["everything"]}), "/scopes/0"),
        (json!({"name": "x", "scopes": ["*"], "ip_allowlist": ["10.0.0.1/8"]}), "/ip_allowlist/0"),
        (json!({"name": "x", "scopes": ["*"], "key": "mine"}), "/key"),
    ] {
        post(body).await.expect_invalid(pointer);
    }
}

#[tokio::test]
async fn lists_go_on_by_cursor_and_a_cursor_opens_its_own_tenants_list_only() {
    let (tenant, other) = (tenant().await, tenant().await);
    for _ in 0..3 {
        tenant.key(&["api-keys:read"]).await;
    }
    let page = tenant.as_owner("GET", KEYS).query("limit", "2").send().await.expect(200).json();
    assert_eq!(page["data"].as_array().unwrap().len(), 2);
    let cursor = page["pagination"]["cursor"].as_str().unwrap();
    let rest = tenant.as_owner("GET", KEYS).query("cursor", cursor).send().await.expect(200).json();
    assert_eq!(rest["data"].as_array().unwrap().len(), 1);
    assert_eq!(rest["pagination"]["cursor"], Value::Null);
    other.as_owner("GET", KEYS).query("cursor", cursor).send().await.expect_invalid_query("cursor");
}

#[tokio::test]
async fn a_foreign_key_and_a_missing_one_answer_alike() {
    let world = World::shared().await;
    let unlimited = || world.tenant().limit("max_api_requests_per_minute", -1).limit("max_api_requests_per_day", -1);
    let (tenant, other) = (unlimited().create().await, unlimited().create().await);
    let (mine, theirs) = (tenant.key(&["*"]).await, other.key(&["*"]).await);
    for (method, rest) in [("GET", ""), ("PATCH", ""), ("POST", "/reroll"), ("DELETE", "")] {
        let ask = async |id: &str| {
            let call = tenant.call(method, &format!("{KEYS}/{id}{rest}")).bearer(&mine.text);
            let call = if method == "PATCH" { call.json(&json!({"name": "x"})) } else { call };
            call.send().await.expect_problem(404, "not_found").masked(&[id])
        };
        assert_eq!(ask(&theirs.id).await, ask("0123456789Ab").await, "{method}");
    }
    assert_eq!(lists(&other, &theirs.text).await, 200);
}

#[tokio::test]
async fn a_key_on_another_tenants_host_finds_no_tenant() {
    let (tenant, other) = (tenant().await, tenant().await);
    let key = tenant.key(&["*"]).await;
    with(&other, &key.text, "GET", KEYS).await.expect_problem(404, "tenant_not_found");
    let named = tenant.call("GET", KEYS).bearer(&key.text).header("X-Tenant-ID", &other.id).send().await;
    named.expect_problem(404, "tenant_not_found");
    let named = tenant.world.call("GET", ROOT, KEYS).bearer(&key.text).query("tenant_id", &other.id).send().await;
    named.expect_problem(404, "tenant_not_found");
}

#[tokio::test]
async fn a_platform_key_selects_the_tenant_it_means() {
    let tenant = tenant().await;
    tenant.world.platform("GET", KEYS).send().await.expect_problem(400, "no_tenant_selected");
    tenant.world.platform("GET", KEYS).query("tenant_id", &tenant.id).send().await.expect(200);
    tenant.call("GET", KEYS).bearer(PLATFORM_KEY).send().await.expect(200);
    let missing = tenant.world.platform("GET", KEYS).header("X-Tenant-ID", "nobody-at-all").send().await;
    missing.expect_problem(404, "tenant_not_found");
}

#[tokio::test]
async fn a_suspended_tenants_keys_find_no_tenant() {
    let tenant = tenant().await;
    let key = tenant.key(&["*"]).await;
    tenant.suspend().await;
    with(&tenant, &key.text, "GET", KEYS).await.expect_problem(404, "tenant_not_found");
    let answer = tenant.world.call("GET", ROOT, KEYS).bearer(&key.text).send().await;
    answer.expect_problem(401, "unauthorized");
    tenant.as_owner("GET", KEYS).send().await.expect_problem(404, "tenant_not_found");
}

#[tokio::test]
async fn on_the_platforms_host_a_key_that_proves_nobody_tells_nothing_of_its_tenant() {
    let world = World::shared().await;
    let made = |tenant: &str, id: Option<&str>| FreshKey::of_tenant(tenant, id.map(str::to_owned)).unwrap().text;
    let ask = async |key: String| {
        let answer =
            world.call("GET", ROOT, KEYS).bearer(&key).header("Origin", "https://www.example.com").send().await;
        answer.expect_problem(401, "unauthorized").masked(&[])
    };
    let unknown = ask(made("nobody-at-all", None)).await;
    let tenant = world.tenant().limit("max_anonymous_requests_per_minute", 1).create().await;
    let key = tenant.key(&["*"]).await;
    for id in [None, None, Some(key.id.as_str())] {
        assert_eq!(ask(made(&tenant.id, id)).await, unknown, "a wrong key, also where the tenant admits no more");
    }
    tenant.call("GET", "/").send().await.expect(200);
    tenant.patch(json!({"ip_allowlist": ["192.0.2.0/24"], "cors_origins": ["https://www.example.com"]})).await;
    assert_eq!(ask(made(&tenant.id, None)).await, unknown, "a tenant with lists");
    let proven = world.call("GET", ROOT, KEYS).bearer(&key.text).send().await;
    proven.expect_problem(403, "address_not_allowed");
    tenant.suspend().await;
    for text in [made(&tenant.id, None), key.text.clone()] {
        assert_eq!(ask(text).await, unknown, "a suspended tenant");
    }
    tenant.delete().await;
    assert_eq!(ask(key.text).await, unknown, "a deleted tenant");
}

#[tokio::test]
async fn a_tenants_address_list_holds_for_its_principals_and_not_for_its_visitors() {
    let tenant = tenant().await;
    let key = tenant.key(&["*"]).await;
    tenant.patch(json!({"ip_allowlist": ["192.0.2.0/24"]})).await;
    with(&tenant, &key.text, "GET", KEYS).await.expect_problem(403, "address_not_allowed");
    tenant.call("GET", KEYS).bearer(&key.text).address("192.0.2.9").send().await.expect(200);
    tenant.subscribe(&["news"]).await;
    tenant.publish("news", json!(1)).await;
    let bad = tenant.admin("PATCH", "").json(&json!({"ip_allowlist": ["10.0.0.0/33"]})).send().await;
    bad.expect_invalid("/ip_allowlist/0");
}
