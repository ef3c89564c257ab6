//! Keys change while everything goes on: signing keys during traffic, the master key under all that is sealed.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use crate::world::{Operator, ROOT, Tenant, World};

const KEYS: &str = "/api/v1/api-keys";
/// Base64 of 32 other bytes.
const KEK_V2: &str = "QUJDREVGR0hJSktMTU5PUFFSU1RVVldYWVowMTIzNDU=";
/// Both versions there, the second one seals.
const BOTH: &[(&str, &str)] = &[("KEK_VERSION", "2"), ("KEK_v2", KEK_V2)];
/// The first version is gone.
const SECOND: &[(&str, &str)] = &[("KEK_VERSION", "2"), ("KEK_v2", KEK_V2), ("KEK_v1", "")];

/// The header or the claims of a token.
fn part(token: &str, at: usize) -> Value {
    let part = token.split('.').nth(at).unwrap();
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap()
}

fn kid(token: &str) -> String {
    part(token, 0)["kid"].as_str().unwrap().to_owned()
}

async fn jwks(world: &World) -> Vec<String> {
    let keys = world.call("GET", ROOT, "/.well-known/jwks.json").send().await.expect(200).json();
    keys["keys"].as_array().unwrap().iter().map(|key| key["kid"].as_str().unwrap().to_owned()).collect()
}

async fn enters(tenant: &Tenant, token: &str) -> u16 {
    tenant.call("GET", KEYS).bearer(token).send().await.status
}

async fn keys(world: &World) -> Value {
    world.platform("GET", "/api/v1/keys").send().await.expect(200).data()
}

async fn rewrap(world: &World, limit: u32) -> Value {
    world.platform("POST", "/api/v1/keys/rewrap").json(&json!({"limit": limit})).send().await.expect(200).data()
}

/// Its webhooks, its subscriber tokens and its operators' tokens are good.
async fn assert_whole(tenant: &Tenant, admin: &Operator) {
    tenant.webhook().accepted().await;
    tenant.events(&["posts"]).token(tenant.token(&["posts"])).live().await;
    assert_eq!(enters(tenant, &admin.entered(tenant).await).await, 200);
}

#[tokio::test]
async fn a_new_signing_key_signs_and_the_one_before_still_verifies() {
    let world = World::own().await;
    let (tenant, admin) = (world.tenant().create().await, world.operator("admin").await);
    let old = admin.entered(&tenant).await;
    assert_eq!(jwks(&world).await, [kid(&old)]);

    // Requests go on with the old token all the while.
    let traffic = tokio::spawn({
        let (tenant, old) = (tenant.clone(), old.clone());
        async move {
            for _ in 0..30 {
                assert_eq!(enters(&tenant, &old).await, 200);
            }
        }
    });
    let rotated = world.platform("POST", "/api/v1/signing-keys/rotate").send().await.expect(201).data();
    let new = admin.entered(&tenant).await;
    traffic.await.unwrap();
    assert_ne!(kid(&new), kid(&old));
    assert_eq!((enters(&tenant, &old).await, enters(&tenant, &new).await), (200, 200));
    assert_eq!(jwks(&world).await, [kid(&new), kid(&old)]);
    let shown = admin.call("GET", "/api/v1/signing-keys").send().await.expect(200).data();
    assert_eq!(shown, rotated);
    assert_eq!((&shown[0]["kid"], &shown[0]["retires_at"]), (&json!(kid(&new)), &Value::Null));
    assert!(shown[1]["retires_at"].is_string());

    // Once the old key's time is over, so are its tokens.
    world.rows("CONTROL", "UPDATE signing_keys SET retires_at = 1 WHERE kid = ?1", &[&kid(&old)]).await;
    world.kill();
    world.restart(&[]).await;
    assert_eq!((enters(&tenant, &old).await, enters(&tenant, &new).await), (401, 200));
    assert_eq!(jwks(&world).await, [kid(&new)]);
    let audited = "SELECT actor FROM platform_audit WHERE operation = 'signing_keys.rotate'";
    assert_eq!(world.rows("CONTROL", audited, &[]).await.len(), 1);

    // A seed opens in its own row only: nothing is signed with one that was put there from another.
    let copy = "UPDATE signing_keys SET sealed = (SELECT o.sealed FROM signing_keys o WHERE o.kid <> signing_keys.kid) WHERE retires_at IS NULL";
    world.rows("CONTROL", copy, &[]).await;
    world.restart(&[]).await;
    admin.switch(&tenant.id).await.expect_problem(500, "internal");
}

#[tokio::test]
async fn a_key_id_that_is_not_ours_signs_nothing() {
    let world = World::shared().await;
    let (tenant, admin) = (world.tenant().create().await, world.operator("admin").await);
    let token = admin.entered(&tenant).await;
    let rest = token.split_once('.').unwrap().1;
    for kid in ["sig_000000000000", "other", ""] {
        let mut header = part(&token, 0);
        header["kid"] = kid.into();
        let forged = format!("{}.{rest}", URL_SAFE_NO_PAD.encode(header.to_string()));
        assert_eq!(enters(&tenant, &forged).await, 401, "{kid}");
    }
    let support = world.operator("support").await;
    for (method, path) in [
        ("GET", "/api/v1/signing-keys"),
        ("POST", "/api/v1/signing-keys/rotate"),
        ("GET", "/api/v1/keys"),
        ("POST", "/api/v1/keys/rewrap"),
    ] {
        support.call(method, path).send().await.expect_problem(403, "forbidden");
    }
}

#[tokio::test]
async fn everything_moves_to_a_new_master_key_and_the_old_one_can_go() {
    let world = World::own().await;
    let (first, second) = (world.tenant().create().await, world.tenant().create().await);
    let admin = world.operator("admin").await;
    assert_whole(&first, &admin).await;
    assert_eq!(keys(&world).await["data_keys"], json!({"1": 2}));

    world.restart(BOTH).await;
    let third = world.tenant().create().await;
    for tenant in [&first, &second, &third] {
        assert_whole(tenant, &admin).await;
    }
    let counted = keys(&world).await;
    assert_eq!(counted["current_version"], 2);
    assert_eq!((&counted["data_keys"], &counted["signing_keys"]), (&json!({"1": 2, "2": 1}), &json!({"1": 1})));

    assert_eq!(rewrap(&world, 200).await, json!({"rewrapped": 3, "remaining": 0}));
    assert_eq!(rewrap(&world, 200).await, json!({"rewrapped": 0, "remaining": 0}));
    let counted = keys(&world).await;
    assert_eq!((&counted["data_keys"], &counted["signing_keys"]), (&json!({"2": 3}), &json!({"2": 1})));
    for tenant in [&first, &second, &third] {
        assert_whole(tenant, &admin).await;
    }

    world.restart(SECOND).await;
    for tenant in [&first, &second, &third] {
        assert_whole(tenant, &admin).await;
    }
    let rotated = first.admin("POST", "/secrets/webhook/rotate").send().await.expect(200).data();
    first.webhook().secret(rotated["secret"].as_str().unwrap()).accepted().await;
}

#[tokio::test]
async fn a_kill_in_the_middle_leaves_keys_that_open_and_cron_goes_on() {
    let world = World::own().await;
    let mut tenants = Vec::new();
    for _ in 0..6 {
        tenants.push(world.tenant().create().await);
    }
    let admin = world.operator("admin").await;
    world.restart(BOTH).await;
    assert_eq!(rewrap(&world, 1).await["rewrapped"], 1, "no signing key is there yet");
    // Page after page, until the process dies under one of them.
    let pages = tokio::spawn({
        let world = world.clone();
        async move {
            let page = json!({"limit": 1});
            while world.platform("POST", "/api/v1/keys/rewrap").json(&page).attempt().await.is_some() {}
        }
    });
    tenants[5].webhook().accepted().await;
    world.kill();
    pages.await.unwrap();

    world.restart(BOTH).await;
    for tenant in &tenants {
        tenant.webhook().accepted().await;
    }
    tenants[0].delete().await;
    tenants[0].purge().await;
    world.scheduled().await;
    let counted = keys(&world).await;
    assert_eq!(counted["data_keys"], json!({"2": 5}), "{counted}");
    world.restart(SECOND).await;
    for tenant in &tenants[1..] {
        assert_whole(tenant, &admin).await;
    }
}

#[tokio::test]
async fn a_data_key_that_does_not_open_stays_as_it_is_and_stops_nobody_else() {
    let world = World::own().await;
    let tenant = world.tenant().create().await;
    world.restart(BOTH).await;
    world.rows("CONTROL", "UPDATE tenants SET data_key = '1.no.key' WHERE id = ?1", &[&tenant.id]).await;
    let other = world.tenant().create().await;
    assert_eq!(rewrap(&world, 200).await, json!({"rewrapped": 0, "remaining": 1}));
    let rows = world.rows("CONTROL", "SELECT data_key FROM tenants WHERE id = ?1", &[&tenant.id]).await;
    assert_eq!(rows, [json!({"data_key": "1.no.key"})]);
    other.webhook().accepted().await;
}

#[tokio::test]
async fn what_is_sealed_opens_in_its_own_place_only() {
    let world = World::own().await;
    let (mine, theirs) = (world.tenant().create().await, world.tenant().create().await);
    let copies = [
        // Another tenant's data key.
        "UPDATE tenants SET data_key = (SELECT data_key FROM tenants WHERE id = ?2) WHERE id = ?1",
        // Another tenant's secrets, both of them.
        "UPDATE tenant_secrets SET sealed = (SELECT o.sealed FROM tenant_secrets o WHERE o.tenant_id = ?2 AND o.kind = tenant_secrets.kind AND o.version = tenant_secrets.version) WHERE tenant_id = ?1",
        // One's own secret of the other kind.
        "UPDATE tenant_secrets SET sealed = (SELECT o.sealed FROM tenant_secrets o WHERE o.tenant_id = ?1 AND o.kind = 'subscription') WHERE tenant_id = ?1 AND ?2 <> ''",
        // Another table's and column's value.
        "UPDATE tenant_secrets SET sealed = (SELECT substr(data_key, 3) FROM tenants WHERE id = ?1) WHERE tenant_id = ?1 AND ?2 <> ''",
    ];
    let sealed = async || {
        let of_tenant = world.rows("CONTROL", "SELECT data_key FROM tenants WHERE id = ?1", &[&mine.id]).await;
        let secrets = "SELECT kind, sealed FROM tenant_secrets WHERE tenant_id = ?1 ORDER BY kind";
        (of_tenant[0]["data_key"].clone(), world.rows("CONTROL", secrets, &[&mine.id]).await)
    };
    let (data_key, secrets) = sealed().await;
    for copy in copies {
        world.rows("CONTROL", copy, &[&mine.id, &theirs.id]).await;
        world.restart(&[]).await;
        for secret in [&mine.webhook_secret, &theirs.webhook_secret, &mine.subscription_secret] {
            let answer = mine.webhook().secret(secret).send().await;
            assert!(matches!(answer.status, 401 | 404 | 500 | 503), "{copy}: {} {}", answer.status, answer.body);
        }
        let told = mine.as_owner("POST", "/api/tenant/config").json(&json!({})).send().await;
        assert!(told.status >= 500, "{copy}: {}", told.body);
        for secret in [&theirs.webhook_secret, &theirs.subscription_secret] {
            assert!(!told.body.contains(secret.as_str()), "{copy}: {}", told.body);
        }
        theirs.webhook().accepted().await;
        // As it was.
        let restore = "UPDATE tenants SET data_key = ?2 WHERE id = ?1";
        world.rows("CONTROL", restore, &[&mine.id, data_key.as_str().unwrap()]).await;
        for row in &secrets {
            let restore = "UPDATE tenant_secrets SET sealed = ?3 WHERE tenant_id = ?1 AND kind = ?2";
            let (kind, sealed) = (row["kind"].as_str().unwrap(), row["sealed"].as_str().unwrap());
            world.rows("CONTROL", restore, &[&mine.id, kind, sealed]).await;
        }
    }
    world.restart(&[]).await;
    mine.webhook().accepted().await;
}
