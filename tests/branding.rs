//! `GET` and `PATCH /api/v1/branding`, and `GET /branding.css`.

use serde_json::{Value, json};

use crate::world::{ROOT, Tenant, TestResponse, World};

const BRANDING: &str = "/api/v1/branding";
const SHEET: &str = "/branding.css";

async fn tenant() -> Tenant {
    World::shared().await.tenant().create().await
}

/// As a visitor gets it.
async fn get(tenant: &Tenant, path: &str) -> TestResponse {
    tenant.call("GET", path).send().await.expect(200)
}

async fn patch(tenant: &Tenant, change: Value) -> TestResponse {
    tenant.as_owner("PATCH", BRANDING).json(&change).send().await
}

#[tokio::test]
async fn whoever_set_nothing_has_a_plain_look() {
    let tenant = World::shared().await.tenant().set("display_name", json!("For the operators")).create().await;
    let plain = json!({"name": null, "logo_url": null, "favicon_url": null, "variables": {}});
    assert_eq!(get(&tenant, BRANDING).await.data(), plain);
    assert_eq!(get(&tenant, "/api/branding").await.data(), plain);
    assert_eq!(get(&tenant, SHEET).await.body, ":root{}\n");
}

#[tokio::test]
async fn everybody_sees_the_look_as_json_and_as_a_style_sheet() {
    let tenant = tenant().await;
    let look = json!({"name": "Acme", "logo_url": "https://cdn.example/logo.svg", "favicon_url": "/icon.png",
        "variables": {"--brand-primary": "#aabbcc", "--font": "Inter, \"Segoe UI\", sans-serif", "--gap": "1.5rem"}});
    let changed = patch(&tenant, look.clone()).await.expect(200);
    assert_eq!(changed.data(), look);
    let shown = get(&tenant, BRANDING).await;
    assert_eq!((shown.data(), shown.header("etag")), (look, changed.header("etag")));
    let sheet = get(&tenant, SHEET).await;
    assert_eq!(sheet.header("content-type"), "text/css; charset=utf-8");
    assert_eq!(sheet.header("x-content-type-options"), "nosniff");
    let css = ":root{--brand-primary:#aabbcc;--font:Inter, \"Segoe UI\", sans-serif;--gap:1.5rem;}\n";
    assert_eq!(sheet.body, css);
    let next = patch(&tenant, json!({"name": null, "variables": {"--gap": null, "--radius": "4px"}})).await.expect(200);
    assert_eq!(next.data()["name"], Value::Null);
    let css = ":root{--brand-primary:#aabbcc;--font:Inter, \"Segoe UI\", sans-serif;--radius:4px;}\n";
    assert_eq!(get(&tenant, SHEET).await.body, css);
}

#[tokio::test]
async fn caches_keep_it_for_a_minute_and_ask_by_its_tag() {
    let tenant = tenant().await;
    for path in [BRANDING, SHEET] {
        let first = get(&tenant, path).await;
        let tag = first.header("etag").to_owned();
        assert_eq!(first.header("cache-control"), "public, max-age=60");
        let same = tenant.call("GET", path).header("If-None-Match", &tag).send().await.expect(304);
        assert_eq!((same.body.as_str(), same.header("etag")), ("", tag.as_str()));
        assert_eq!(same.header("cache-control"), "public, max-age=60");
        let colour = if path == SHEET { "red" } else { "blue" };
        patch(&tenant, json!({"variables": {"--a": colour}})).await.expect(200);
        let other = tenant.call("GET", path).header("If-None-Match", &tag).send().await.expect(200);
        assert_ne!(other.header("etag"), tag);
        let head = tenant.call("HEAD", path).send().await.expect(200);
        assert_eq!((head.body.as_str(), head.header("etag")), ("", other.header("etag")));
    }
}

#[tokio::test]
async fn a_bad_look_is_named_and_nothing_changes() {
    let tenant = tenant().await;
    let before = tenant.shown().await;
    let many: Value = (0..51).map(|number| (format!("--v{number}"), json!("1px"))).collect();
    let cases: Vec<(Value, &str)> = vec![
        (json!({"colour": "red"}), "/colour"),
        (json!({"name": ""}), "/name"),
        (json!({"name": "x".repeat(201)}), "/name"),
        (json!({"logo_url": "http://cdn.example/logo.svg"}), "/logo_url"),
        (json!({"logo_url": "//cdn.example/logo.svg"}), "/logo_url"),
        (json!({"favicon_url": "javascript:alert(1)"}), "/favicon_url"),
        (json!({"favicon_url": "data:image/png;base64,x"}), "/favicon_url"),
        (json!({"variables": []}), "/variables"),
        (json!({"variables": many}), "/variables"),
        (json!({"variables": {"color": "red"}}), "/variables/color"),
        (json!({"variables": {"--A": "red"}}), "/variables/--A"),
        (json!({"variables": {"--a/b": "red"}}), "/variables/--a~1b"),
        (json!({"variables": {"--a": 1}}), "/variables/--a"),
        (json!({"variables": {"--a": "url(https://evil.example/x)"}}), "/variables/--a"),
        (json!({"variables": {"--a": "red;} body{display:none"}}), "/variables/--a"),
        (json!({"variables": {"--a": "</style><script>alert(1)</script>"}}), "/variables/--a"),
        (json!({"variables": {"--a": "expression(alert(1))"}}), "/variables/--a"),
        (json!({"variables": {"--a": "\\75 rl(x)"}}), "/variables/--a"),
        (json!({"variables": {"--a": "red/**/"}}), "/variables/--a"),
    ];
    for (change, pointer) in cases {
        patch(&tenant, change).await.expect_invalid(pointer);
    }
    assert_eq!(tenant.shown().await, before);
}

#[tokio::test]
async fn what_got_in_another_way_is_not_served() {
    let tenant = tenant().await;
    let stored = json!({"name": 7, "logo_url": "javascript:x", "colour": "red",
        "variables": {"--ok": "red", "--evil": "red;}*{display:none}", "x": "red"}});
    let sql = "UPDATE tenants SET branding = ?2 WHERE id = ?1";
    tenant.world.rows("CONTROL", sql, &[&tenant.id, &stored.to_string()]).await;
    let shown = json!({"name": null, "logo_url": null, "favicon_url": null, "variables": {"--ok": "red"}});
    assert_eq!(get(&tenant, BRANDING).await.data(), shown);
    assert_eq!(get(&tenant, SHEET).await.body, ":root{--ok:red;}\n");
}

#[tokio::test]
async fn if_match_refuses_a_change_of_another_look_than_was_read() {
    let tenant = tenant().await;
    let first = get(&tenant, BRANDING).await.header("etag").to_owned();
    let with = |tag: &str, name: &str| {
        tenant.as_owner("PATCH", BRANDING).header("If-Match", tag).json(&json!({"name": name})).send()
    };
    let second = with(&first, "One").await.expect(200).header("etag").to_owned();
    with(&first, "Two").await.expect_problem(412, "precondition_failed");
    assert_eq!(get(&tenant, BRANDING).await.data()["name"], "One");
    with(&second, "Three").await.expect(200);
}

#[tokio::test]
async fn a_change_stands_in_the_audit() {
    let tenant = tenant().await;
    patch(&tenant, json!({"name": "Acme"})).await.expect(200);
    let audit_entries =
        tenant.as_owner("GET", "/api/v1/audit").query("operation", "branding").send().await.expect(200).data();
    assert_eq!(audit_entries[0]["operation"], "branding.update");
    assert_eq!(audit_entries[0]["detail"], json!({"changed": ["name"]}));
}

#[tokio::test]
async fn a_suspended_tenants_look_is_a_missing_tenants() {
    let tenant = tenant().await;
    let missing = format!("{}-never.localhost", tenant.slug);
    tenant.suspend().await;
    for path in [BRANDING, SHEET] {
        let suspended = tenant.call("GET", path).send().await.expect_problem(404, "tenant_not_found");
        assert_eq!(suspended.header("cache-control"), "no-store");
        let nobody = tenant.world.call("GET", &missing, path).send().await;
        let names = [tenant.host.as_str(), &missing];
        assert_eq!(suspended.masked(&names), nobody.masked(&names));
    }
}

#[tokio::test]
async fn each_host_shows_its_own_tenants_look() {
    let world = World::shared().await;
    let (one, other) = (world.tenant().create().await, world.tenant().create().await);
    patch(&one, json!({"name": "One", "variables": {"--a": "red"}})).await.expect(200);
    assert_eq!(get(&other, BRANDING).await.data()["name"], Value::Null);
    assert_eq!(get(&other, SHEET).await.body, ":root{}\n");
    // Who names another tenant gets neither's.
    for path in [BRANDING, SHEET] {
        let crossed = other.call("GET", path).header("X-Tenant-ID", &one.id).send().await;
        crossed.expect_problem(404, "tenant_not_found");
    }
    world.call("GET", ROOT, BRANDING).send().await.expect_problem(405, "method_not_allowed");
    world.call("GET", ROOT, SHEET).send().await.expect_problem(404, "not_found");
}
