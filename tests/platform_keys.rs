//! Platform keys: the platform's automation, and what it may do.

use serde_json::{Value, json};

use crate::world::{PLATFORM_KEY, ROOT, TestResponse, World, unique};

const KEYS: &str = "/api/v1/platform-keys";
const TENANTS: &str = "/api/v1/tenants";

/// A platform key that was made for a test.
struct Key {
    world: World,
    id: String,
    text: String,
}

impl Key {
    async fn made(world: &World, body: Value) -> Key {
        let data = world.platform("POST", KEYS).json(&body).send().await.expect(201).data();
        let text = |name: &str| data[name].as_str().unwrap().to_owned();
        Key { world: world.clone(), id: text("id"), text: text("key") }
    }

    async fn of(permissions: &[&str]) -> Key {
        let world = World::shared().await;
        Key::made(&world, json!({"name": "a test", "permissions": permissions})).await
    }

    fn path(&self) -> String {
        format!("{KEYS}/{}", self.id)
    }

    async fn asks(&self, method: &str, path: &str, body: Option<Value>) -> TestResponse {
        let call = self.world.call(method, ROOT, path).bearer(&self.text);
        match body {
            Some(body) => call.json(&body).send().await,
            None => call.send().await,
        }
    }

    /// The status that a list of tenants has for a text.
    async fn lists(&self, text: &str) -> u16 {
        self.world.call("GET", ROOT, TENANTS).query("limit", "1").bearer(text).send().await.status
    }
}

#[tokio::test]
async fn a_platform_key_is_shown_once_and_kept_as_a_digest() {
    let world = World::shared().await;
    let body = json!({"name": "billing", "permissions": ["tenants:read"]});
    let answer = world.platform("POST", KEYS).json(&body).send().await.expect(201);
    let data = answer.data();
    let (id, text) = (data["id"].as_str().unwrap(), data["key"].as_str().unwrap());
    assert!(text.starts_with(&format!("car_pk_{id}_")), "{text}");
    assert_eq!(answer.header("location"), format!("{KEYS}/{id}"));
    let shown = world.platform("GET", &format!("{KEYS}/{id}")).send().await.expect(200);
    let mut without = data.clone();
    without.as_object_mut().unwrap().remove("key");
    assert_eq!(shown.data(), without);
    let rows = world.rows("CONTROL", "SELECT * FROM platform_keys WHERE id = ?1", &[id]).await;
    assert!(!json!(rows).to_string().contains(&text[20..]), "{rows:?}");
    let sql = "SELECT actor, operation FROM platform_audit WHERE detail LIKE '%' || ?1 || '%'";
    let audited = world.rows("CONTROL", sql, &[id]).await;
    assert_eq!(audited[0]["operation"], "platform_key.create");
    assert_eq!(audited[0]["actor"], "platform_key");
}

#[tokio::test]
async fn a_key_does_what_its_permissions_say_and_no_more() {
    let reader = Key::of(&["tenants:read"]).await;
    reader.asks("GET", TENANTS, None).await.expect(200);
    let tenant = json!({"tenant_id": format!("t-{}", unique())});
    let rest = [
        ("POST", TENANTS, Some(tenant)),
        ("GET", KEYS, None),
        ("POST", KEYS, Some(json!({"name": "x", "permissions": ["tenants:read"]}))),
        ("GET", "/api/v1/operators", None),
        ("POST", "/api/v1/operators", Some(json!({}))),
        ("GET", "/api/v1/keys", None),
        ("POST", "/api/v1/keys/rewrap", None),
        ("GET", "/api/v1/signing-keys", None),
        ("POST", "/api/v1/signing-keys/rotate", None),
    ];
    for (method, path, body) in rest {
        let refused = reader.asks(method, path, body).await;
        refused.expect_problem(403, "forbidden");
    }
    // What only a person may do is closed to a key, whatever its permissions.
    let all = Key::of(&["*"]).await;
    for (method, path) in [
        ("GET", "/api/v1/operators/me"),
        ("GET", "/api/v1/operators/me/tenants"),
        ("POST", "/api/v1/operators/logout"),
        ("POST", "/api/v1/auth/switch"),
        ("POST", "/api/v1/auth/impersonate"),
    ] {
        all.asks(method, path, Some(json!({}))).await.expect_problem(403, "not_signed_in");
        // It is a good key all the same.
        assert_eq!(all.lists(&all.text).await, 200, "{path}");
    }
}

#[tokio::test]
async fn nobody_gives_a_key_more_than_they_have() {
    let writer = Key::of(&["platform-keys:*"]).await;
    let make = async |permissions: Value| {
        writer.asks("POST", KEYS, Some(json!({"name": "x", "permissions": permissions}))).await
    };
    make(json!(["platform-keys:read"])).await.expect(201);
    for more in [json!(["*"]), json!(["tenants:read"]), json!(["platform-keys:read", "keys:rotate"])] {
        make(more).await.expect_problem(403, "beyond_own_permissions");
    }
    let strong = Key::of(&["*"]).await;
    writer
        .asks("PATCH", &strong.path(), Some(json!({"name": "mine"})))
        .await
        .expect_problem(403, "beyond_own_permissions");
    let reroll = format!("{}/reroll", strong.path());
    writer.asks("POST", &reroll, None).await.expect_problem(403, "beyond_own_permissions");
    let weak = Key::of(&["platform-keys:read"]).await;
    let raised = writer.asks("PATCH", &weak.path(), Some(json!({"permissions": ["*"]}))).await;
    raised.expect_problem(403, "beyond_own_permissions");
    assert_eq!(strong.lists(&strong.text).await, 200);
}

#[tokio::test]
async fn what_is_no_good_key_is_told_nothing() {
    let key = Key::of(&["*"]).await;
    let mut mistyped = key.text.clone();
    let last = if mistyped.pop() == Some('0') { '1' } else { '0' };
    mistyped.push(last);
    let other = Key::of(&["*"]).await;
    let swapped = other.text.replace(&other.id, &key.id);
    for text in ["", "car_pk_", mistyped.as_str(), swapped.as_str(), &PLATFORM_KEY[..PLATFORM_KEY.len() - 1]] {
        assert_eq!(key.lists(text).await, 401, "{text}");
    }
    assert_eq!(key.lists(&key.text).await, 200);
}

#[tokio::test]
async fn a_key_ends_when_it_says_and_when_it_is_revoked() {
    let key = Key::of(&["tenants:read"]).await;
    let world = &key.world;
    let past = json!({"name": "x", "permissions": ["*"], "expires_at": "2020-01-01T00:00:00Z"});
    world.platform("POST", KEYS).json(&past).send().await.expect_invalid("/expires_at");
    world.rows("CONTROL", "UPDATE platform_keys SET expires_at = 1 WHERE id = ?1", &[&key.id]).await;
    assert_eq!(key.lists(&key.text).await, 401, "expired");
    let extended = world.platform("PATCH", &key.path()).json(&json!({"expires_at": null})).send().await.expect(200);
    assert_eq!(extended.data()["expires_at"], Value::Null);
    assert_eq!(key.lists(&key.text).await, 200);

    let revoked = world.platform("DELETE", &key.path()).send().await.expect(200).data();
    assert!(revoked["revoked_at"].is_string());
    assert_eq!(key.lists(&key.text).await, 401, "revoked");
    world.platform("PATCH", &key.path()).json(&json!({"name": "back"})).send().await.expect_problem(409, "revoked");
    world.platform("POST", &format!("{}/reroll", key.path())).send().await.expect_problem(409, "revoked");
    assert_eq!(world.platform("DELETE", &key.path()).send().await.expect(200).data(), revoked);
}

#[tokio::test]
async fn a_rerolled_key_keeps_its_old_text_for_its_grace_only() {
    let key = Key::of(&["tenants:read"]).await;
    let reroll = async |body: Value| {
        let call = key.world.platform("POST", &format!("{}/reroll", key.path())).json(&body);
        call.send().await.expect(200).data()["key"].as_str().unwrap().to_owned()
    };
    let next = reroll(json!({})).await;
    assert_eq!((key.lists(&key.text).await, key.lists(&next).await), (200, 200));
    let last = reroll(json!({"grace_seconds": 0})).await;
    assert_eq!(key.lists(&key.text).await, 401, "two texts ago");
    assert_eq!((key.lists(&next).await, key.lists(&last).await), (401, 200));
}

#[tokio::test]
async fn a_key_comes_from_where_it_may() {
    let world = World::shared().await;
    let body = json!({"name": "x", "permissions": ["*"], "ip_allowlist": ["192.0.2.0/24"]});
    let key = Key::made(&world, body).await;
    for (address, status) in [("192.0.2.7", 200), ("192.0.3.7", 401), ("", 401)] {
        let call = world.call("GET", ROOT, TENANTS).bearer(&key.text).address(address);
        assert_eq!(call.header("X-Forwarded-For", "192.0.2.1").send().await.status, status, "{address}");
    }
    // In a tenant it is the same key.
    let tenant = world.tenant().create().await;
    for (address, status) in [("192.0.2.7", 200), ("192.0.3.7", 401)] {
        let call = tenant.call("GET", "/api/v1/api-keys").bearer(&key.text).address(address);
        assert_eq!(call.send().await.status, status, "{address}");
    }
}

#[tokio::test]
async fn a_bound_key_makes_and_frees_no_key_in_a_tenant() {
    const TENANT_KEYS: &str = "/api/v1/api-keys";
    let world = World::shared().await;
    let (end, later) = ("2098-01-01T00:00:00Z", "2099-01-01T00:00:00Z");
    let body = json!({"name": "bound", "permissions": ["tenants:enter"], "ip_allowlist": ["192.0.2.0/24"],
                      "expires_at": end});
    let bound = Key::made(&world, body).await;
    let tenant = world.tenant().create().await;
    let asks = async |method: &str, path: &str, body: Value| {
        tenant.call(method, path).bearer(&bound.text).address("192.0.2.7").json(&body).send().await
    };
    let refused = async |method: &str, path: &str, body: Value, pointer: &str| {
        let refused = asks(method, path, body.clone()).await.expect_problem(403, "beyond_own_permissions");
        assert_eq!(refused.pointers(), [pointer], "{method} {path} {body}");
    };
    // What a body does not name is the maker's, and it stays when the maker goes.
    let made = asks("POST", TENANT_KEYS, json!({"name": "x", "scopes": ["*"]})).await.expect(201).data();
    assert_eq!(made["ip_allowlist"], json!(["192.0.2.0/24"]));
    assert!(made["expires_at"].as_str().unwrap().starts_with("2098-01-01"), "{made}");
    let named =
        json!({"name": "x", "scopes": ["*"], "ip_allowlist": ["192.0.2.7"], "expires_at": "2097-01-01T00:00:00Z"});
    let named = asks("POST", TENANT_KEYS, named).await.expect(201).data();
    assert_eq!(named["ip_allowlist"], json!(["192.0.2.7"]));
    for (bounds, pointer) in
        [(json!({"expires_at": later}), "/expires_at"), (json!({"ip_allowlist": ["192.0.0.0/16"]}), "/ip_allowlist")]
    {
        let mut body = json!({"name": "x", "scopes": ["users:read"]});
        body.as_object_mut().unwrap().extend(bounds.as_object().unwrap().clone());
        refused("POST", TENANT_KEYS, body, pointer).await;
    }
    let path = format!("{TENANT_KEYS}/{}", made["id"].as_str().unwrap());
    refused("PATCH", &path, json!({"expires_at": null, "ip_allowlist": []}), "/expires_at").await;
    refused("PATCH", &path, json!({"ip_allowlist": []}), "/ip_allowlist").await;
    // The text of a key that is bound to less.
    let open = format!("{TENANT_KEYS}/{}", tenant.key(&["*"]).await.id);
    asks("POST", &format!("{open}/reroll"), json!({})).await.expect_problem(403, "beyond_own_permissions");
    let rolled = asks("POST", &format!("{path}/reroll"), json!({})).await.expect(200).data();
    let text = rolled["key"].as_str().unwrap();
    world.platform("DELETE", &bound.path()).send().await.expect(200);
    for (address, status) in [("192.0.2.7", 200), ("192.0.3.7", 401)] {
        let call = tenant.call("GET", TENANT_KEYS).bearer(text).address(address);
        assert_eq!(call.send().await.status, status, "{address}");
    }
}

#[tokio::test]
async fn entering_a_tenant_takes_its_permission() {
    let tenant = World::shared().await.tenant().create().await;
    for (permissions, status) in [(&["tenants:enter"][..], 200), (&["tenants:read", "tenants:write"][..], 401)] {
        let key = Key::of(permissions).await;
        let answer = tenant.call("GET", "/api/v1/api-keys").bearer(&key.text).send().await;
        assert_eq!(answer.status, status, "{permissions:?}");
    }
}

#[tokio::test]
async fn an_idempotency_key_is_its_senders_own() {
    let (world, sent) = (World::shared().await, unique());
    let body = json!({"name": "once", "permissions": ["platform-keys:read"]});
    let make = async |text: &str, body: &Value| {
        world.call("POST", ROOT, KEYS).bearer(text).header("Idempotency-Key", &sent).json(body).send().await
    };
    let first = make(PLATFORM_KEY, &body).await.expect(201);
    let again = make(PLATFORM_KEY, &body).await.expect(201);
    assert_eq!(again.header("idempotent-replayed"), "true");
    assert_eq!(again.data(), first.data());
    make(PLATFORM_KEY, &json!({"name": "other", "permissions": ["platform-keys:read"]}))
        .await
        .expect_problem(422, "idempotency_key_reused");
    let other = Key::of(&["platform-keys:*"]).await;
    let theirs = make(&other.text, &body).await.expect(201);
    assert_eq!(theirs.header("idempotent-replayed"), "");
    assert_ne!(theirs.data()["id"], first.data()["id"]);
}

#[tokio::test]
async fn bad_bodies_and_missing_keys_are_named() {
    let world = World::shared().await;
    let post = async |body: Value| world.platform("POST", KEYS).json(&body).send().await;
    assert_eq!(post(json!({})).await.expect(422).pointers(), ["/name", "/permissions"]);
    for (body, pointer) in [
        (json!({"name": "", "permissions": ["*"]}), "/name"),
        (json!({"name": "x", "permissions": []}), "/permissions"),
        (json!({"name": "x", "permissions": ["users:read"]}), "/permissions/0"),
        (json!({"name": "x", "permissions": ["*"], "ip_allowlist": ["10.0.0.1/8"]}), "/ip_allowlist/0"),
        (json!({"name": "x", "permissions": ["*"], "key": "mine"}), "/key"),
    ] {
        post(body).await.expect_invalid(pointer);
    }
    for (method, rest) in [("GET", ""), ("PATCH", ""), ("POST", "/reroll"), ("DELETE", "")] {
        let call = world.platform(method, &format!("{KEYS}/nobody{rest}"));
        let call = if method == "PATCH" { call.json(&json!({})) } else { call };
        call.send().await.expect_problem(404, "not_found");
    }
}

#[tokio::test]
async fn lists_go_on_by_cursor() {
    let world = World::shared().await;
    for _ in 0..3 {
        Key::of(&["tenants:read"]).await;
    }
    let page = world.platform("GET", KEYS).query("limit", "2").send().await.expect(200).json();
    assert_eq!(page["data"].as_array().unwrap().len(), 2);
    let cursor = page["pagination"]["cursor"].as_str().unwrap();
    let next = world.platform("GET", KEYS).query("limit", "2").query("cursor", cursor).send().await.expect(200).json();
    assert_ne!(next["data"][0]["id"], page["data"][0]["id"]);
    let elsewhere = world.platform("GET", "/api/v1/operators").query("cursor", cursor).send().await;
    elsewhere.expect_invalid_query("cursor");
}
