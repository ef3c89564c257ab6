//! `POST /api/v1/tenants`.

use serde_json::{Value, json};

use crate::world::{ROOT, World, unique};

#[tokio::test]
async fn a_tenant_is_created_active_with_its_secrets_shown_once() {
    let world = World::shared().await;
    let id = format!("t-{}", unique());
    let answer = world.tenant().id(&id).call().send().await.expect(201);
    assert_eq!(answer.header("location"), format!("/api/v1/tenants/{id}"));
    assert!(answer.header("etag").starts_with('"') && answer.header("etag").ends_with('"'));

    let made = answer.data();
    assert_eq!(made["tenant_id"], id);
    assert_eq!(made["slug"], id);
    assert_eq!(made["status"], "active");
    for secret in ["webhook_secret", "subscription_secret"] {
        assert!(made[secret].as_str().unwrap().len() >= 32, "{made}");
    }
    assert_ne!(made["webhook_secret"], made["subscription_secret"]);

    let shown = world.platform("GET", &format!("/api/v1/tenants/{id}")).send().await.expect(200);
    assert_eq!(shown.header("etag"), answer.header("etag"));
    for secret in ["webhook_secret", "subscription_secret"] {
        assert_eq!(shown.data().get(secret), None, "{}", shown.body);
        assert!(!shown.body.contains(made[secret].as_str().unwrap()));
    }
}

#[tokio::test]
async fn an_id_is_generated_where_none_is_given_and_a_slug_replaces_underscores() {
    let world = World::shared().await;
    let made = world.platform("POST", "/api/v1/tenants").json(&json!({})).send().await.expect(201);
    let (id, slug) = (made.data()["tenant_id"].clone(), made.data()["slug"].clone());
    assert!(!id.as_str().unwrap().is_empty());
    assert_eq!(slug.as_str().unwrap(), id.as_str().unwrap().replace('_', "-"));

    let name = unique();
    let tenant = world.tenant().id(&format!("customer_{name}")).create().await;
    assert_eq!(tenant.slug, format!("customer-{name}"));
    tenant.subscribe(&["posts"]).await;
}

#[tokio::test]
async fn both_known_forms_of_the_body_are_taken_and_shown() {
    let world = World::shared().await;
    let name = unique();
    let body = json!({
        "tenant_id": format!("acme-{name}"),
        "display_name": "ACME Corporation",
        "admin_email": "admin@acme.example",
        "tier": "pro",
        "features": {
            "content_automation": true,
            "sso_enabled": true,
            "custom_plugins": true,
            "analytics_enabled": true,
        },
        "resources": {
            "cpu_limit": "2000m",
            "memory_limit": "2Gi",
            "storage_size": "50Gi",
            "db_cores": 4,
            "db_ram": 8,
            "db_storage": 100,
        },
        "custom_domains": [format!("blog-{name}.example"), format!("docs-{name}.example")],
        "wpgraphql_endpoint": "https://customer.example.com/graphql",
        "webhook_secret": "generated_webhook_secret",
        "subscription_secret": "generated_subscription_secret",
        "cors_origins": ["https://customer.example.com"],
        "rate_limits": {"max_concurrent_subscriptions": 100, "max_webhooks_per_minute": 1000},
        "settings": {"auto_publish": true},
        "branding": {"variables": {"--brand": "#b5651d"}},
    });
    let answer = world.platform("POST", "/api/v1/tenants").json(&body).send().await.expect(201);
    assert_eq!(answer.data()["webhook_secret"], "generated_webhook_secret");

    let path = format!("/api/v1/tenants/acme-{name}");
    let shown = world.platform("GET", &path).send().await.expect(200).data();
    for field in [
        "tenant_id",
        "display_name",
        "admin_email",
        "features",
        "resources",
        "custom_domains",
        "wpgraphql_endpoint",
        "cors_origins",
        "settings",
        "branding",
    ] {
        assert_eq!(shown[field], body[field], "{field}");
    }
    assert_eq!(shown["plan"], "pro");
    assert_eq!(shown["rate_limits"]["max_concurrent_subscriptions"], 100);
    assert_eq!(shown["rate_limits"]["max_webhooks_per_minute"], 1000);
}

#[tokio::test]
async fn the_aliases_create_the_same_tenants() {
    let world = World::shared().await;
    for path in ["/admin/tenants", "/api/tenants"] {
        let id = format!("t-{}", unique());
        let body = json!({"tenant_id": id});
        world.platform("POST", path).json(&body).send().await.expect(201);
        world.platform("GET", &format!("/api/v1/tenants/{id}")).send().await.expect(200);
        world.platform("GET", &format!("{path}/{id}")).send().await.expect(200);
    }
}

#[tokio::test]
async fn every_plan_and_every_unlimited_spelling_is_understood() {
    let world = World::shared().await;
    for plan in ["free", "basic", "pro", "professional", "enterprise"] {
        let tenant = world.tenant().plan(plan).create().await;
        assert!(tenant.shown().await["plan"].is_string());
    }
    for unlimited in [json!(-1), json!("unlimited")] {
        let limits = json!({"max_webhooks_per_minute": unlimited});
        let tenant = world.tenant().set("rate_limits", limits).create().await;
        assert_eq!(tenant.shown().await["rate_limits"]["max_webhooks_per_minute"], -1);
    }
}

#[tokio::test]
async fn a_bad_field_is_named_and_nothing_is_created() {
    let world = World::shared().await;
    let long = "x".repeat(300);
    let cases: Vec<(&str, Value, &str)> = vec![
        ("tenant_id", json!("Not An Id"), "/tenant_id"),
        ("tenant_id", json!("a:b"), "/tenant_id"),
        ("tenant_id", json!("-leading"), "/tenant_id"),
        ("tenant_id", json!("a".repeat(64)), "/tenant_id"),
        ("tenant_id", json!(7), "/tenant_id"),
        ("slug", json!("under_score"), "/slug"),
        ("slug", json!("UPPER"), "/slug"),
        ("slug", json!("a.b"), "/slug"),
        ("display_name", json!(7), "/display_name"),
        ("admin_email", json!("no address"), "/admin_email"),
        ("plan", json!("platinum"), "/plan"),
        ("tier", json!("platinum"), "/tier"),
        ("features", json!([]), "/features"),
        ("resources", json!("many"), "/resources"),
        ("custom_domains", json!("blog.example"), "/custom_domains"),
        ("custom_domains", json!(["no domain"]), "/custom_domains/0"),
        ("custom_domains", json!(["ok.example", "a.localhost"]), "/custom_domains/1"),
        ("wpgraphql_endpoint", json!("ftp://example.com/graphql"), "/wpgraphql_endpoint"),
        ("webhook_secret", json!("short"), "/webhook_secret"),
        ("subscription_secret", json!(long), "/subscription_secret"),
        ("cors_origins", json!(["https://example.com/path"]), "/cors_origins/0"),
        ("rate_limits", json!({"max_webhooks_per_minute": -2}), "/rate_limits/max_webhooks_per_minute"),
        ("rate_limits", json!({"max_of_something": 1}), "/rate_limits/max_of_something"),
        ("require_standard_webhooks", json!("yes"), "/require_standard_webhooks"),
        ("expires_at", json!("tomorrow"), "/expires_at"),
        ("colour", json!("green"), "/colour"),
    ];
    for (field, value, pointer) in cases {
        let id = format!("t-{}", unique());
        let builder = world.tenant().id(&id).set(field, value.clone());
        let answer = builder.call().send().await;
        assert_eq!(answer.status, 422, "{field} = {value}: {}", answer.body);
        answer.expect_invalid(pointer);
        world.platform("GET", &format!("/api/v1/tenants/{id}")).send().await.expect_problem(404, "tenant_not_found");
    }
}

#[tokio::test]
async fn all_bad_fields_are_named_at_once() {
    let world = World::shared().await;
    let builder = world.tenant().plan("platinum").set("cors_origins", json!(["nowhere"]));
    let answer = builder.call().send().await.expect_problem(422, "validation_failed");
    let mut pointers = answer.pointers();
    pointers.sort();
    assert_eq!(pointers, ["/cors_origins/0", "/plan"]);
}

#[tokio::test]
async fn reserved_labels_are_nobodys_slug() {
    let world = World::shared().await;
    for label in ["www", "api", "admin", "app", "console", "default"] {
        let answer = world.tenant().set("slug", json!(label)).call().send().await;
        answer.expect_invalid("/slug");
    }
}

#[tokio::test]
async fn an_id_a_slug_and_a_domain_are_taken_once() {
    let world = World::shared().await;
    let domain = format!("{}.example", unique());
    let first = world.tenant().plan("pro").set("custom_domains", json!([domain])).create().await;

    let same_id = world.tenant().id(&first.id).set("slug", json!(format!("s-{}", unique())));
    let answer = same_id.call().send().await.expect_problem(409, "conflict");
    assert_eq!(answer.pointers(), ["/tenant_id"]);

    let same_slug = world.tenant().set("slug", json!(first.slug));
    let answer = same_slug.call().send().await.expect_problem(409, "conflict");
    assert_eq!(answer.pointers(), ["/slug"]);

    let same_domain = world.tenant().plan("pro").set("custom_domains", json!([domain.to_uppercase()]));
    let answer = same_domain.call().send().await.expect_problem(409, "conflict");
    assert_eq!(answer.pointers(), ["/custom_domains/0"]);
    assert!(!answer.body.contains(&first.id), "whose it is stays untold: {}", answer.body);
}

#[tokio::test]
async fn one_of_many_parallel_creations_wins() {
    let world = World::shared().await;
    let id = format!("t-{}", unique());
    let attempts = (0..8).map(|_| world.tenant().id(&id).call().send());
    let answers = futures_util::future::join_all(attempts).await;
    let mut statuses: Vec<_> = answers.iter().map(|answer| answer.status).collect();
    statuses.sort_unstable();
    assert_eq!(statuses, [201, 409, 409, 409, 409, 409, 409, 409]);
}

#[tokio::test]
async fn an_idempotency_key_replays_the_first_answer_and_refuses_another_body() {
    let world = World::shared().await;
    let (key, id) = (unique(), format!("t-{}", unique()));
    let create =
        |builder: crate::world::TenantBuilder| builder.call().header("Idempotency-Key", &format!("\"{key}\"")).send();
    let first = create(world.tenant().id(&id)).await.expect(201);
    let again = create(world.tenant().id(&id)).await.expect(201);
    assert_eq!(again.body, first.body, "even the secrets are the first ones");
    assert_eq!(again.header("location"), first.header("location"));

    let other = create(world.tenant().id(&id).plan("pro")).await;
    other.expect_problem(422, "idempotency_key_reused");

    for stored in world.rows("CONTROL", "SELECT name FROM sqlite_master WHERE type = 'table'", &[]).await {
        let table = stored["name"].as_str().unwrap();
        if table.starts_with("_cf") || table.starts_with("sqlite_") {
            continue;
        }
        let rows = world.rows("CONTROL", &format!("SELECT * FROM {table}"), &[]).await;
        let text = Value::Array(rows).to_string();
        let secret = first.data()["webhook_secret"].as_str().unwrap().to_owned();
        assert!(!text.contains(&secret), "{table} holds a secret in the clear");
    }
}

#[tokio::test]
async fn a_body_that_is_no_json_or_too_long_is_refused() {
    let world = World::shared().await;
    let post = |body: &[u8]| {
        world.platform("POST", "/api/v1/tenants").header("Content-Type", "application/json").bytes(body.to_vec()).send()
    };
    post(b"{\"tenant_id\": ").await.expect_problem(400, "malformed_json");
    post(b"").await.expect_problem(400, "malformed_json");
    post(b"\xff\xfe{}").await.expect_problem(400, "malformed_json");
    post(b"[]").await.expect(422);
    let long = format!("{{\"display_name\": \"{}\"}}", "x".repeat(2 << 20));
    post(long.as_bytes()).await.expect_problem(413, "body_too_large");
}

#[tokio::test]
async fn a_slug_that_looks_like_the_platform_is_for_no_new_tenant_and_stays_an_old_ones() {
    let world = World::shared().await;
    let tenant = world.tenant().create().await;
    for slug in ["login", "log-in", "l0gin", "auth2", "mail", "support", "account", "ns1", "12345", "xn--bcher-kva"] {
        let made = world.tenant().set("slug", json!(slug)).call().send().await;
        made.expect_invalid("/slug");
        let patched = tenant.admin("PATCH", "").json(&json!({"slug": slug})).send().await;
        patched.expect_invalid("/slug");
    }
    // The slug that follows from an id is no way around it.
    let made = world.tenant().id("sign_in").call().send().await;
    made.expect_invalid("/tenant_id");
    // A tenant of before has one, is found by it, and may say so again.
    let slug = format!("{}", u64::from_str_radix(&unique(), 16).unwrap());
    let before = json!(["UPDATE tenants SET slug = ?2 WHERE id = ?1", [tenant.id, slug]]);
    world.batch("CONTROL", vec![before]).await;
    tenant.patch(json!({"slug": slug, "display_name": "Kept"})).await;
    world.call("GET", &format!("{slug}.{ROOT}"), "/").send().await.expect(200);
}
