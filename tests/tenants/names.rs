//! The names that a tenant's fields have beside their own: `id`, `name`, `domain`, `subdomain`, `active`, `storage_quota`,
//! `user_limit`; and what becomes of it when it expires.

use serde_json::{Value, json};

use crate::world::{World, eventually, now, unique};

#[tokio::test]
async fn a_tenant_is_made_and_shown_by_either_name() {
    let world = World::shared().await;
    let mark = unique();
    let domain = format!("www-{mark}.example.org");
    let body = json!({
        "id": format!("t-{mark}"), "name": "Acme", "subdomain": format!("acme-{mark}"), "domain": domain, "active": true,
        "storage_quota": 1_073_741_824, "user_limit": 10,
    });
    let made = world.platform("POST", "/api/v1/tenants").json(&body).send().await.expect(201).data();
    for (name, value) in body.as_object().unwrap() {
        assert_eq!(&made[name], value, "{name}");
    }
    for (name, value) in [
        ("tenant_id", json!(format!("t-{mark}"))),
        ("display_name", json!("Acme")),
        ("slug", json!(format!("acme-{mark}"))),
        ("custom_domains", json!([domain])),
        ("status", json!("active")),
        ("rate_limits", json!({"max_storage_bytes": 1_073_741_824, "max_users": 10})),
    ] {
        assert_eq!(made[name], value, "{name}");
    }
    assert_eq!(
        (&made["limits"]["max_users"], &made["limits"]["max_storage_bytes"]),
        (&json!(10), &json!(1_073_741_824))
    );
    // The limit of users counts.
    let path = format!("/api/v1/tenants/t-{mark}");
    let patch = async |change: Value| world.platform("PATCH", &path).json(&change).send().await;
    assert_eq!(patch(json!({"user_limit": 0})).await.expect(200).data()["limits"]["max_users"], 0);
    let user = json!({"email": format!("{mark}@example.org")});
    let call = world.platform("POST", "/api/v1/users").header("X-Tenant-ID", &format!("t-{mark}"));
    call.json(&user).send().await.expect_problem(409, "user_limit_reached");
    let back = patch(json!({"user_limit": null, "storage_quota": "unlimited"})).await.expect(200).data();
    assert_eq!((&back["user_limit"], &back["storage_quota"]), (&json!(10), &json!(-1)), "the plan's, and none");
    assert_eq!(back["rate_limits"], json!({"max_storage_bytes": -1}));
    let stopped = patch(json!({"active": false})).await.expect(200).data();
    assert_eq!((&stopped["active"], &stopped["status"]), (&json!(false), &json!("suspended")));
    let other = format!("shop-{mark}.example.org");
    let moved = patch(json!({"active": true, "domain": other})).await.expect(200).data();
    assert_eq!((&moved["domain"], &moved["custom_domains"]), (&json!(other), &json!([other, domain])));
    for (change, pointer) in [
        (json!({"name": "One", "display_name": "Two"}), "/name"),
        (json!({"id": "another"}), "/id"),
        (json!({"active": "yes"}), "/active"),
        (json!({"storage_quota": -5}), "/storage_quota"),
        (json!({"subdomain": "No Slug"}), "/subdomain"),
        (json!({"domain": "a.localhost"}), "/domain"),
        (json!({"name": 7}), "/name"),
    ] {
        patch(change).await.expect_invalid(pointer);
    }
}

#[tokio::test]
async fn a_tenant_may_be_made_stopped() {
    let world = World::shared().await;
    let tenant = world.tenant().set("active", json!(false)).create().await;
    assert_eq!(tenant.shown().await["status"], "suspended");
    tenant.call("GET", "/").send().await.expect_problem(404, "tenant_not_found");
    tenant.patch(json!({"active": true})).await;
    tenant.call("GET", "/").send().await.expect(200);
}

#[tokio::test]
async fn limits_and_what_overrides_them_have_the_same_names() {
    let world = World::shared().await;
    let tenant = world.tenant().limit("max_redis_memory_mb", 7).limit("max_users", 3).create().await;
    let shown = tenant.shown().await;
    for (name, value) in shown["rate_limits"].as_object().unwrap() {
        assert_eq!(&shown["limits"][name], value, "{name}");
    }
    // All of them can be set as they are shown.
    let set = tenant.patch(json!({"rate_limits": shown["limits"]})).await;
    assert_eq!((&set["limits"], &set["rate_limits"]), (&shown["limits"], &shown["limits"]));
}

#[tokio::test]
async fn an_end_lies_in_the_future_and_a_tenant_that_met_it_has_expired() {
    let world = World::shared().await;
    let past = json!("2020-01-01T00:00:00Z");
    world.tenant().set("expires_at", past.clone()).call().send().await.expect_invalid("/expires_at");
    let tenant = world.tenant().create().await;
    for method in ["PATCH", "PUT"] {
        tenant.admin(method, "").json(&json!({"expires_at": past})).send().await.expect_invalid("/expires_at");
    }
    let soon = crate::lifecycle::rfc3339(now() + 2);
    tenant.patch(json!({"expires_at": soon})).await;
    let shown = eventually("the tenant to expire", async || {
        let shown = tenant.shown().await;
        (shown["status"] == "expired").then_some(shown)
    })
    .await;
    assert_eq!(shown["active"], false);
    let listed = async |status: &str| {
        let call = world
            .platform("GET", "/api/v1/tenants")
            .query("q", &tenant.id)
            .query("status", status)
            .query("count", "true");
        let answer = call.send().await.expect(200).json();
        (answer["data"].as_array().unwrap().len(), answer["pagination"]["total"].clone())
    };
    assert_eq!((listed("expired").await, listed("active").await), ((1, json!(1)), (0, json!(0))));
    // It can be sent back as it is, and lives again by a later end alone.
    tenant.admin("PUT", "").json(&shown).send().await.expect(200);
    tenant.admin("PATCH", "").json(&json!({"active": true})).send().await.expect_invalid("/active");
    tenant.admin("PATCH", "").json(&json!({"status": "active"})).send().await.expect_invalid("/status");
    let again = tenant.patch(json!({"active": true, "expires_at": null})).await;
    assert_eq!((&again["status"], &again["active"]), (&json!("active"), &json!(true)));
}
