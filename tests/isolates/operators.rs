//! What operators and platform keys lose, on the isolate that did not take it.

use serde_json::{Value, json};

use crate::world::{Operator, Pair, ROOT, Tenant, World};

const KEYS: &str = "/api/v1/api-keys";
const TENANTS: &str = "/api/v1/tenants";
const PLATFORM_KEYS: &str = "/api/v1/platform-keys";
const OPERATORS: &str = "/api/v1/operators";

async fn plain() -> Pair {
    World::on_both(|tenant| tenant).await
}

/// What an operator's session gets on the platform's host, through this tenant's isolate.
async fn lists(tenant: &Tenant, text: &str) -> u16 {
    tenant.world.call("GET", ROOT, TENANTS).query("limit", "1").bearer(text).send().await.status
}

/// What a token of theirs gets in the tenant.
async fn enters(tenant: &Tenant, token: &str) -> u16 {
    tenant.call("GET", KEYS).bearer(token).send().await.status
}

async fn switches(tenant: &Tenant, operator: &Operator) -> u16 {
    let operator = Operator { world: tenant.world.clone(), ..operator.clone() };
    operator.switch(&tenant.id).await.status
}

#[tokio::test]
async fn an_operator_who_loses_rights_loses_them_in_every_isolate() {
    let changes = [json!({"role": "support"}), json!({"status": "disabled"}), json!(null)];
    for change in changes {
        let pair = plain().await;
        let operator = pair.here.world.operator("admin").await;
        let token = operator.entered(&pair.here).await;
        let asked = async |tenant: &Tenant| {
            (lists(tenant, &operator.session).await, switches(tenant, &operator).await, enters(tenant, &token).await)
        };
        let taken = async |_: &Tenant| {
            let answer = match &change {
                Value::Null => operator.admin("DELETE", "").send().await,
                change => operator.admin("PATCH", "").json(change).send().await,
            };
            answer.expect(200);
        };
        let after = if change == json!({"role": "support"}) { (403, 404, 401) } else { (401, 401, 401) };
        pair.binds(asked, (200, 200, 200), taken, after).await;
    }
}

#[tokio::test]
async fn a_grant_that_is_narrowed_or_taken_is_so_in_every_isolate() {
    let pair = plain().await;
    let operator = pair.here.world.operator("support").await;
    operator.grant(&pair.here, "owner").await;
    let user = pair.here.user("owner").await;
    let token = operator.entered(&pair.here).await;
    let acting = operator.impersonate(&pair.here.id, &user.id).await.expect(200).data();
    let acting = acting["token"].as_str().unwrap().to_owned();
    let asked = async |tenant: &Tenant| {
        (enters(tenant, &token).await, enters(tenant, &acting).await, switches(tenant, &operator).await)
    };
    let narrowed = async |tenant: &Tenant| operator.grant(tenant, "viewer").await;
    pair.binds(&asked, (200, 200, 200), narrowed, (403, 403, 200)).await;
    let taken = async |tenant: &Tenant| operator.take_grant(tenant).await;
    pair.binds(&asked, (403, 403, 200), taken, (401, 401, 404)).await;
}

#[tokio::test]
async fn an_operators_session_ends_in_every_isolate() {
    let pair = plain().await;
    let operator = pair.here.world.operator("admin").await;
    let token = operator.entered(&pair.here).await;
    let asked = async |tenant: &Tenant| (lists(tenant, &operator.session).await, enters(tenant, &token).await);
    let out = async |_: &Tenant| {
        let answer = operator.call("POST", &format!("{OPERATORS}/logout")).send().await;
        assert!((200..300).contains(&answer.status), "{}", answer.body);
    };
    pair.binds(asked, (200, 200), out, (401, 401)).await;
}

/// A platform key that may list tenants and enter them: its id and its text.
async fn platform_key(world: &World) -> (String, String) {
    let body = json!({"name": "a test", "permissions": ["tenants:read", "tenants:enter"]});
    let data = world.platform("POST", PLATFORM_KEYS).json(&body).send().await.expect(201).data();
    let text = |name: &str| data[name].as_str().unwrap().to_owned();
    (text("id"), text("key"))
}

/// What a platform key gets on the platform, and in the tenant that it selects.
async fn acts(tenant: &Tenant, key: &str) -> (u16, u16) {
    let call = tenant.world.call("GET", ROOT, KEYS).bearer(key).header("X-Tenant-ID", &tenant.id);
    (lists(tenant, key).await, call.send().await.status)
}

#[tokio::test]
async fn a_platform_key_is_narrowed_in_every_isolate() {
    let pair = plain().await;
    let changes = [
        (json!({"permissions": ["tenants:read"]}), (200, 403)),
        (json!({"permissions": ["tenants:enter"]}), (403, 200)),
        (json!({"ip_allowlist": ["192.0.2.0/24"]}), (401, 401)),
    ];
    for (change, after) in changes {
        let (id, key) = platform_key(&pair.here.world).await;
        let patch = async |tenant: &Tenant| {
            let call = tenant.world.platform("PATCH", &format!("{PLATFORM_KEYS}/{id}")).json(&change);
            call.send().await.expect(200);
        };
        pair.binds(async |tenant: &Tenant| acts(tenant, &key).await, (200, 200), patch, after).await;
    }
}

#[tokio::test]
async fn a_platform_key_ends_in_every_isolate() {
    let pair = plain().await;
    for (method, rest) in [("POST", "/reroll"), ("DELETE", "")] {
        let (id, key) = platform_key(&pair.here.world).await;
        let ended = async |tenant: &Tenant| {
            let call = tenant.world.platform(method, &format!("{PLATFORM_KEYS}/{id}{rest}"));
            let call = if method == "POST" { call.json(&json!({"grace_seconds": 0})) } else { call };
            call.send().await.expect(200);
        };
        pair.binds(async |tenant: &Tenant| acts(tenant, &key).await, (200, 200), ended, (401, 401)).await;
    }
}

#[tokio::test]
async fn what_a_new_signing_key_signs_is_good_in_every_isolate_at_once() {
    let pair = plain().await;
    let operator = pair.here.world.operator("admin").await;
    let old = operator.entered(&pair.here).await;
    assert_eq!(enters(&pair.there, &old).await, 200);
    pair.here.world.platform("POST", "/api/v1/signing-keys/rotate").send().await.expect(201);
    let new = operator.entered(&pair.here).await;
    let pass = async |token: &str| {
        // A key that an isolate does not know is looked for at most once a second.
        crate::world::eventually("the new key", async || (enters(&pair.there, token).await == 200).then_some(())).await;
    };
    pass(&new).await;
    assert_eq!(enters(&pair.there, &old).await, 200, "what the key before it signed goes on");
}
