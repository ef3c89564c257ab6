//! `PATCH` and `PUT /api/v1/tenants/{id}`, with `ETag` and `If-Match`.

use serde_json::{Value, json};

use crate::world::World;

#[tokio::test]
async fn a_merge_patch_changes_what_it_names_and_keeps_the_rest() {
    let world = World::shared().await;
    let tenant = world
        .tenant()
        .set("display_name", json!("Before"))
        .set("settings", json!({"default_categories": ["Neues"], "auto_publish": true}))
        .create()
        .await;
    let change =
        json!({"display_name": "After", "settings": {"default_categories": ["Nouvelles"], "auto_publish": null}});
    let changed = tenant.patch(change).await;
    assert_eq!(changed["display_name"], "After");
    assert_eq!(changed["settings"], json!({"default_categories": ["Nouvelles"]}));
    assert_eq!(changed["slug"], tenant.slug);
    assert_eq!(tenant.shown().await, changed);
}

#[tokio::test]
async fn a_merge_patch_may_name_its_media_type_and_another_is_refused() {
    let world = World::shared().await;
    let tenant = world.tenant().create().await;
    let patch = |kind: &str| {
        let call = tenant.admin("PATCH", "").header("Content-Type", kind);
        call.bytes(b"{\"display_name\": \"x\"}".to_vec()).send()
    };
    patch("application/merge-patch+json").await.expect(200);
    patch("application/json; charset=utf-8").await.expect(200);
    patch("text/xml").await.expect_problem(415, "unsupported_media_type");
}

#[tokio::test]
async fn a_put_replaces_and_what_it_leaves_out_returns_to_its_default() {
    let world = World::shared().await;
    let tenant = world
        .tenant()
        .plan("pro")
        .set("display_name", json!("Before"))
        .set("cors_origins", json!(["https://before.example"]))
        .create()
        .await;
    let put = tenant.admin("PUT", "").json(&json!({"display_name": "After"}));
    let shown = put.send().await.expect(200).data();
    assert_eq!(shown["display_name"], "After");
    assert_eq!(shown["cors_origins"], json!([]));
    assert_eq!(shown["plan"], world.tenant().create().await.shown().await["plan"]);

    tenant.webhook().accepted().await;
}

#[tokio::test]
async fn a_bad_change_names_its_field_and_changes_nothing() {
    let world = World::shared().await;
    let tenant = world.tenant().create().await;
    let before = tenant.shown().await;
    let cases: Vec<(Value, &str)> = vec![
        (json!({"plan": "platinum"}), "/plan"),
        (json!({"status": "deleted"}), "/status"),
        (json!({"status": "asleep"}), "/status"),
        (json!({"tenant_id": "t-other"}), "/tenant_id"),
        (json!({"created_at": "2020-01-01T00:00:00Z"}), "/created_at"),
        (json!({"revision": 7}), "/revision"),
        (json!({"cors_origins": ["*.example.com"]}), "/cors_origins/0"),
        (json!({"rate_limits": {"max_webhooks_per_minute": "many"}}), "/rate_limits/max_webhooks_per_minute"),
        (json!({"expires_at": 7}), "/expires_at"),
        (json!({"colour": "green"}), "/colour"),
        (json!({"settings": {"theme": "dark"}}), "/settings/theme"),
        (json!({"settings": {"content_types": ["post", "No"]}}), "/settings/content_types/1"),
        (json!({"branding": {"colour": "green"}}), "/branding/colour"),
        (json!({"branding": {"variables": {"--a": "url(x)"}}}), "/branding/variables/--a"),
    ];
    for (change, pointer) in cases {
        for method in ["PATCH", "PUT"] {
            let answer = tenant.admin(method, "").json(&change).send().await;
            assert_eq!(answer.status, 422, "{method} {change}: {}", answer.body);
            answer.expect_invalid(pointer);
        }
    }
    assert_eq!(tenant.shown().await, before);
}

#[tokio::test]
async fn a_malformed_change_is_refused() {
    let world = World::shared().await;
    let tenant = world.tenant().create().await;
    for method in ["PATCH", "PUT"] {
        let call = tenant.admin(method, "").header("Content-Type", "application/json");
        call.bytes(b"{".to_vec()).send().await.expect_problem(400, "malformed_json");
    }
}

#[tokio::test]
async fn if_match_refuses_a_change_of_what_has_changed_meanwhile() {
    let world = World::shared().await;
    let tenant = world.tenant().create().await;
    let first = tenant.admin("GET", "").send().await.expect(200).header("etag").to_owned();
    let change = |name: &str, etag: &str| {
        let call = tenant.admin("PATCH", "").header("If-Match", etag);
        call.json(&json!({"display_name": name})).send()
    };
    let second = change("one", &first).await.expect(200).header("etag").to_owned();
    assert_ne!(first, second);
    change("two", &first).await.expect_problem(412, "precondition_failed");
    assert_eq!(tenant.shown().await["display_name"], "one");
    change("three", &second).await.expect(200);
    change("four", "*").await.expect(200);

    for (method, body) in [("PUT", Some(json!({}))), ("DELETE", None)] {
        let mut call = tenant.admin(method, "").header("If-Match", &first);
        if let Some(body) = body {
            call = call.json(&body);
        }
        call.send().await.expect_problem(412, "precondition_failed");
    }
    assert_eq!(tenant.shown().await["display_name"], "four");
}

#[tokio::test]
async fn if_none_match_spares_the_body_of_what_is_unchanged() {
    let world = World::shared().await;
    let tenant = world.tenant().create().await;
    let etag = tenant.admin("GET", "").send().await.expect(200).header("etag").to_owned();
    let same = tenant.admin("GET", "").header("If-None-Match", &etag).send().await.expect(304);
    assert_eq!(same.body, "");
    tenant.patch(json!({"display_name": "changed"})).await;
    tenant.admin("GET", "").header("If-None-Match", &etag).send().await.expect(200);
}

#[tokio::test]
async fn a_new_slug_moves_the_host_at_once() {
    let world = World::shared().await;
    let tenant = world.tenant().create().await;
    tenant.call("GET", "/").send().await.expect(200);
    let slug = format!("moved-{}", tenant.slug);
    tenant.patch(json!({"slug": slug})).await;
    let moved = world.call("GET", &format!("{slug}.localhost"), "/").send().await;
    moved.expect(200);
    tenant.call("GET", "/").send().await.expect_problem(404, "tenant_not_found");
}

#[tokio::test]
async fn of_parallel_changes_under_one_etag_one_wins() {
    let world = World::shared().await;
    let tenant = world.tenant().create().await;
    let etag = tenant.admin("GET", "").send().await.expect(200).header("etag").to_owned();
    let changes = (0..8).map(|number| {
        let call = tenant.admin("PATCH", "").header("If-Match", &etag);
        call.json(&json!({"display_name": format!("name {number}")})).send()
    });
    let answers = futures_util::future::join_all(changes).await;
    let won: Vec<_> = answers.iter().filter(|answer| answer.status != 412).collect();
    assert_eq!(won.len(), 1);
    assert_eq!(tenant.shown().await["display_name"], won[0].data()["display_name"]);
}

#[tokio::test]
async fn parallel_changes_without_an_etag_all_land_and_the_last_revision_rules() {
    let world = World::shared().await;
    let tenant = world.tenant().create().await;
    let changes = (0..6).map(|number| {
        let settings = json!({"settings": {"custom_templates": {format!("key_{number}"): number}}});
        tenant.admin("PATCH", "").json(&settings).send()
    });
    for answer in futures_util::future::join_all(changes).await {
        assert!([200, 202, 409].contains(&answer.status), "{}", answer.body);
    }
    world.scheduled().await;
    let settled = tenant.patch(json!({"display_name": "settled"})).await;
    assert_eq!(settled["display_name"], "settled");
    tenant.webhook().accepted().await;
}
