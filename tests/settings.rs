//! `GET` and `PATCH /api/v1/settings`.

use futures_util::future::join_all;
use serde_json::{Value, json};

use crate::world::{ROOT, RequestBuilder, Tenant, TestResponse, World, address};

const SETTINGS: &str = "/api/v1/settings";

async fn tenant() -> Tenant {
    World::shared().await.tenant().create().await
}

async fn get(tenant: &Tenant) -> TestResponse {
    tenant.as_owner("GET", SETTINGS).send().await.expect(200)
}

fn patch(tenant: &Tenant, change: Value) -> RequestBuilder {
    tenant.as_owner("PATCH", SETTINGS).json(&change)
}

fn defaults() -> Value {
    json!({
        "auto_publish": false,
        "content_types": ["blog_post"],
        "default_categories": ["Blog"],
        "seo_optimization": true,
        "custom_templates": {},
        "workflow_approval": false,
        "registration": "closed",
        "password_policy": {"min_length": 10, "require_digit": false, "require_upper": false, "require_symbol": false,
            "forbid_email": false},
        "live": {"mode": "auto"},
        "mercure": {"compatibility": true, "anonymous": true, "subscriptions": false, "issuers": []},
        "graphql": {
            "introspection": "on", "documents": "any", "max_query_bytes": 65_536, "max_depth": 20, "max_aliases": 100,
            "max_fields": 2_000,
            "max_batch": 10, "max_upload_bytes": 0, "timeout_ms": 10_000, "send_site_key": false, "graphiql": false,
            "pass_parameters": ["lang", "_wpnonce"],
            "cache": {"enabled": true, "fresh_seconds": 60, "stale_while_revalidate_seconds": 60,
                "stale_if_error_seconds": 3_600, "staleness_seconds": 5, "warm_up": 10, "untagged": false,
                "purge_by_mutations": false, "scope_headers": [], "token_scope": null, "operations": {}},
        },
    })
}

fn issuer(jwks_url: &str) -> Value {
    json!({"issuer": "https://id.example.org", "jwks_url": jwks_url, "allows": ["publish"]})
}

fn issuers(listed: Value) -> Value {
    json!({"mercure": {"issuers": listed}})
}

#[tokio::test]
async fn whoever_set_nothing_is_shown_the_defaults() {
    let tenant = tenant().await;
    let answer = get(&tenant).await;
    assert_eq!(answer.data(), defaults());
    assert_eq!(answer.json()["tenant_id"], json!(tenant.id));
    assert_eq!(answer.header("cache-control"), "no-store");
    let key = tenant.key(&["settings:read"]).await.text;
    for (host, path) in [(tenant.host.as_str(), SETTINGS), (&tenant.host, "/api/settings"), (ROOT, "/api/settings")] {
        let shown = tenant.world.call("GET", host, path).bearer(&key).send().await.expect(200);
        assert_eq!(shown.data(), defaults());
    }
}

#[tokio::test]
async fn a_merge_patch_changes_what_it_names_and_null_returns_to_the_default() {
    let tenant = tenant().await;
    let change = json!({"auto_publish": true, "content_types": ["news", "case_study"], "custom_templates": {"a": "x", "b": 1},
        "password_policy": {"min_length": 14, "require_digit": true}});
    let changed = patch(&tenant, change).send().await.expect(200);
    let mut expected = defaults();
    expected["auto_publish"] = json!(true);
    expected["content_types"] = json!(["news", "case_study"]);
    expected["custom_templates"] = json!({"a": "x", "b": 1});
    expected["password_policy"]["min_length"] = json!(14);
    expected["password_policy"]["require_digit"] = json!(true);
    assert_eq!(changed.data(), expected);
    let shown = get(&tenant).await;
    assert_eq!(shown.data(), expected);
    assert_eq!(shown.header("etag"), changed.header("etag"));

    let back = json!({"auto_publish": null, "custom_templates": {"a": null}, "password_policy": {"min_length": null}});
    let shown = patch(&tenant, back).send().await.expect(200).data();
    assert_eq!(shown["auto_publish"], false);
    assert_eq!(shown["custom_templates"], json!({"b": 1}));
    assert_eq!(shown["password_policy"]["min_length"], 10);
    assert_eq!(shown["password_policy"]["require_digit"], true);
    let nulls: Value = defaults().as_object().unwrap().keys().map(|name| (name.clone(), Value::Null)).collect();
    assert_eq!(patch(&tenant, nulls).send().await.expect(200).data(), defaults());
    assert_eq!(tenant.shown().await["settings"], json!({}));
}

#[tokio::test]
async fn what_operators_write_and_what_members_write_is_one_thing() {
    let tenant = tenant().await;
    patch(&tenant, json!({"auto_publish": true})).send().await.expect(200);
    assert_eq!(tenant.shown().await["settings"], json!({"auto_publish": true}));
    tenant.patch(json!({"settings": {"workflow_approval": true}})).await;
    let shown = get(&tenant).await.data();
    assert_eq!((&shown["auto_publish"], &shown["workflow_approval"]), (&json!(true), &json!(true)));
}

#[tokio::test]
async fn a_bad_setting_is_named_and_nothing_changes() {
    let tenant = tenant().await;
    let before = tenant.shown().await;
    let many: Vec<String> = (0..21).map(|number| format!("c{number}")).collect();
    let cases: Vec<(Value, &str)> = vec![
        (json!({"theme": "dark"}), "/theme"),
        (json!({"auto_publsh": null}), "/auto_publsh"),
        (json!({"auto_publish": "yes"}), "/auto_publish"),
        (json!({"seo_optimization": 1}), "/seo_optimization"),
        (json!({"workflow_approval": []}), "/workflow_approval"),
        (json!({"content_types": "blog_post"}), "/content_types"),
        (json!({"content_types": ["blog_post", "Blog Post"]}), "/content_types/1"),
        (json!({"content_types": many}), "/content_types"),
        (json!({"default_categories": [""]}), "/default_categories/0"),
        (json!({"default_categories": ["x".repeat(101)]}), "/default_categories/0"),
        (json!({"custom_templates": ["x"]}), "/custom_templates"),
        (json!({"custom_templates": {"a": "x".repeat(16 * 1024)}}), ""),
        (json!({"registration": "ajar"}), "/registration"),
        (json!({"password_policy": {"min_length": 7}}), "/password_policy/min_length"),
        (json!({"password_policy": {"max_age": 7}}), "/password_policy/max_age"),
        (json!({"live": {"mode": "fast"}}), "/live/mode"),
        (json!({"live": {"modes": "auto"}}), "/live/modes"),
        (json!({"mercure": {"anonymous": 1}}), "/mercure/anonymous"),
        (json!({"mercure": {"hub": true}}), "/mercure/hub"),
        (issuers(json!([{"issuer": "a", "jwks_url": "https://id.example.org/keys"}])), "/mercure/issuers/0/allows"),
        (issuers(json!([issuer("http://id.example.org/keys")])), "/mercure/issuers/0/jwks_url"),
        (issuers(json!([issuer("https://10.0.0.1/keys")])), "/mercure/issuers/0/jwks_url"),
        (issuers(json!([issuer("https://metadata.google.internal/keys")])), "/mercure/issuers/0/jwks_url"),
        (issuers(json!([issuer(&format!("https://a.{ROOT}/keys"))])), "/mercure/issuers/0/jwks_url"),
        (
            issuers(json!([issuer("https://a.example.org/"), issuer("https://b.example.org/")])),
            "/mercure/issuers/1/issuer",
        ),
        (json!({"tenant_id": "t-other"}), "/tenant_id"),
    ];
    for (change, pointer) in cases {
        patch(&tenant, change).send().await.expect_invalid(pointer);
    }
    let two = patch(&tenant, json!({"auto_publish": 1, "odd": 1, "workflow_approval": true})).send().await;
    assert_eq!(two.expect_problem(422, "validation_failed").pointers(), ["/auto_publish", "/odd"]);
    let text = tenant.as_owner("PATCH", SETTINGS).header("Content-Type", "text/plain").bytes(b"{}".to_vec());
    text.send().await.expect_problem(415, "unsupported_media_type");
    assert_eq!(tenant.shown().await, before);
}

#[tokio::test]
async fn an_older_tenant_keeps_what_is_no_longer_known() {
    let tenant = tenant().await;
    let old = r#"{"theme": "dark", "auto_publish": "yes", "workflow_approval": true}"#;
    let sql = "UPDATE tenants SET settings = ?2, branding = '{\"colour\": \"red\"}' WHERE id = ?1";
    tenant.world.rows("CONTROL", sql, &[&tenant.id, old]).await;
    let mut expected = defaults();
    expected["workflow_approval"] = json!(true);
    assert_eq!(get(&tenant).await.data(), expected);
    patch(&tenant, json!({"theme": "light"})).send().await.expect_invalid("/theme");
    patch(&tenant, json!({"seo_optimization": false})).send().await.expect(200);
    // An operator's change of something else, and one of the rest.
    tenant.patch(json!({"display_name": "Old"})).await;
    let shown = tenant.patch(json!({"settings": {"seo_optimization": true}})).await;
    assert_eq!(shown["settings"]["theme"], "dark");
    assert_eq!(shown["branding"], json!({"colour": "red"}));
    let refused = tenant.admin("PATCH", "").json(&json!({"settings": {"theme": "light"}})).send().await;
    refused.expect_invalid("/settings/theme");
    patch(&tenant, json!({"theme": null, "auto_publish": null})).send().await.expect(200);
    assert_eq!(tenant.shown().await["settings"], json!({"workflow_approval": true, "seo_optimization": true}));
}

#[tokio::test]
async fn if_match_refuses_a_change_of_other_settings_than_were_read() {
    let tenant = tenant().await;
    let first = get(&tenant).await.header("etag").to_owned();
    let with = |tag: &str, change: Value| patch(&tenant, change).header("If-Match", tag).send();
    let second = with(&first, json!({"auto_publish": true})).await.expect(200).header("etag").to_owned();
    assert_ne!(first, second);
    with(&first, json!({"auto_publish": false})).await.expect_problem(412, "precondition_failed");
    assert_eq!(get(&tenant).await.data()["auto_publish"], true);
    // The tag is the settings', not the tenant's: another change of the tenant does not touch it.
    tenant.patch(json!({"display_name": "Another"})).await;
    with(&second, json!({"auto_publish": false})).await.expect(200);
    with("*", json!({"auto_publish": true})).await.expect(200);
}

#[tokio::test]
async fn if_none_match_spares_the_body_of_what_is_unchanged() {
    let tenant = tenant().await;
    let tag = get(&tenant).await.header("etag").to_owned();
    let same = tenant.as_owner("GET", SETTINGS).header("If-None-Match", &tag).send().await.expect(304);
    assert_eq!((same.body.as_str(), same.header("etag")), ("", tag.as_str()));
    patch(&tenant, json!({"auto_publish": true})).send().await.expect(200);
    tenant.as_owner("GET", SETTINGS).header("If-None-Match", &tag).send().await.expect(200);
}

#[tokio::test]
async fn of_changes_at_once_all_stand() {
    let tenant = tenant().await;
    let changes = [
        json!({"auto_publish": true}),
        json!({"content_types": ["news"]}),
        json!({"default_categories": ["News"]}),
        json!({"seo_optimization": false}),
        json!({"custom_templates": {"a": 1}}),
        json!({"custom_templates": {"b": 2}}),
        json!({"workflow_approval": true}),
    ];
    let branding = tenant.as_owner("PATCH", "/api/v1/branding").json(&json!({"name": "Acme"}));
    let calls = changes.into_iter().map(|change| patch(&tenant, change)).chain([branding]);
    for answer in join_all(calls.map(RequestBuilder::send)).await {
        assert!([200, 202].contains(&answer.status), "{}", answer.body);
    }
    let mut expected = defaults();
    for (name, value) in [
        ("auto_publish", json!(true)),
        ("content_types", json!(["news"])),
        ("default_categories", json!(["News"])),
        ("seo_optimization", json!(false)),
        ("workflow_approval", json!(true)),
    ] {
        expected[name] = value;
    }
    let mut shown = get(&tenant).await.data();
    let templates = shown["custom_templates"].take();
    assert_eq!((&templates["a"], &templates["b"]), (&json!(1), &json!(2)));
    expected["custom_templates"] = Value::Null;
    assert_eq!(shown, expected);
    assert_eq!(tenant.shown().await["branding"]["name"], "Acme");
}

#[tokio::test]
async fn of_changes_at_once_under_one_tag_one_wins() {
    let tenant = tenant().await;
    let tag = get(&tenant).await.header("etag").to_owned();
    let change = |number: usize| json!({"default_categories": [format!("c{number}")]});
    let calls = (0..6).map(|number| patch(&tenant, change(number)).header("If-Match", &tag).send());
    let answers = join_all(calls).await;
    let won: Vec<_> = answers.iter().filter(|answer| answer.status != 412).collect();
    assert_eq!(won.len(), 1, "{answers:?}");
    assert_eq!(get(&tenant).await.data()["default_categories"], won[0].data()["default_categories"]);
}

#[tokio::test]
async fn viewers_read_settings_and_owners_change_them() {
    let tenant = tenant().await;
    for (role, reads, writes) in [("viewer", 200, 403), ("editor", 200, 403), ("admin", 200, 200), ("owner", 200, 200)]
    {
        let token = tenant.user(role).await.login().await.access;
        let read = tenant.call("GET", SETTINGS).bearer(&token).send().await;
        assert_eq!(read.status, reads, "{role}");
        for path in [SETTINGS, "/api/v1/branding"] {
            let written = tenant.call("PATCH", path).bearer(&token).json(&json!({})).send().await;
            assert_eq!(written.status, writes, "{role} {path}");
        }
    }
    let key = tenant.key(&["users:*"]).await.text;
    tenant.call("GET", SETTINGS).bearer(&key).send().await.expect_problem(403, "forbidden");
    tenant.call("GET", SETTINGS).send().await.expect_problem(401, "unauthorized");
}

#[tokio::test]
async fn registration_is_opened_by_those_who_could_give_its_role() {
    let tenant = tenant().await;
    let few = tenant.key(&["settings:*"]).await.text;
    let open = |key: &str| tenant.call("PATCH", SETTINGS).bearer(key).json(&json!({"registration": "open"})).send();
    let refused = open(&few).await.expect_problem(403, "beyond_own_permissions");
    assert_eq!(refused.pointers(), ["/registration"]);
    let register = async || {
        let body = json!({"email": address(), "password": "correct horse battery"});
        tenant.call("POST", "/api/v1/auth/register").json(&body).send().await
    };
    register().await.expect_problem(403, "registration_closed");
    open(&tenant.key(&["*"]).await.text).await.expect(200);
    // The hub knows at once.
    register().await.expect(202);
    // What is open already is nobody's gift, and closing gives nothing.
    open(&few).await.expect(200);
    let close = tenant.call("PATCH", SETTINGS).bearer(&few).json(&json!({"registration": null}));
    close.send().await.expect(200);
    register().await.expect_problem(403, "registration_closed");
}

#[tokio::test]
async fn an_issuers_tokens_are_taken_by_those_who_could_make_such_tokens() {
    let tenant = tenant().await;
    let of = |allows: &[&str]| {
        let mut one = issuer("https://id.example.org/keys");
        one["allows"] = json!(allows);
        issuers(json!([one]))
    };
    let change = |key: &str, body: Value| tenant.call("PATCH", SETTINGS).bearer(key).json(&body).send();
    let few = tenant.key(&["settings:*"]).await.text;
    let hears = ["settings:*", "subscriber-tokens:write", "events:read", "records:read"];
    let subscribe = tenant.key(&hears).await.text;
    for lacking in 1..hears.len() {
        let fewer: Vec<&str> = hears.iter().enumerate().filter(|(at, _)| *at != lacking).map(|(_, s)| *s).collect();
        let key = tenant.key(&fewer).await.text;
        let refused = change(&key, of(&["subscribe"])).await.expect_problem(403, "beyond_own_permissions");
        assert_eq!(refused.pointers(), ["/mercure/issuers"], "{fewer:?}");
    }
    let publish = tenant.key(&["settings:*", "tenant:configure"]).await.text;
    for (key, allows) in [(&few, "subscribe"), (&few, "publish"), (&subscribe, "publish"), (&publish, "subscribe")] {
        let refused = change(key, of(&[allows])).await.expect_problem(403, "beyond_own_permissions");
        assert_eq!(refused.pointers(), ["/mercure/issuers"]);
    }
    change(&subscribe, of(&["subscribe"])).await.expect(200);
    let shown = change(&few, json!({"mercure": {"anonymous": false}})).await.expect(200).data();
    assert_eq!(shown["mercure"]["issuers"][0]["allows"], json!(["subscribe"]));
    assert_eq!((&shown["mercure"]["anonymous"], &shown["mercure"]["compatibility"]), (&json!(false), &json!(true)));
    // The same name with keys from elsewhere is somebody else.
    let moved =
        json!({"issuer": "https://id.example.org", "jwks_url": "https://evil.example.org/", "allows": ["subscribe"]});
    change(&few, issuers(json!([moved]))).await.expect_problem(403, "beyond_own_permissions");
    // What is taken away is nobody's gift.
    change(&few, json!({"mercure": null})).await.expect(200);
}

#[tokio::test]
async fn a_change_stands_in_both_audits_and_no_change_in_none() {
    let tenant = tenant().await;
    patch(&tenant, json!({})).send().await.expect(200);
    patch(&tenant, json!({"auto_publish": null})).send().await.expect(200);
    patch(&tenant, json!({"auto_publish": "yes"})).send().await.expect(422);
    let listed = async || {
        let list = tenant.as_owner("GET", "/api/v1/audit").query("operation", "settings.update");
        list.send().await.expect(200).data().as_array().unwrap().clone()
    };
    assert_eq!(listed().await.len(), 0);
    let revision = tenant.shown().await["revision"].as_i64().unwrap();
    let answer = patch(&tenant, json!({"auto_publish": true, "custom_templates": {"a": "words"}})).send().await;
    let id = answer.expect(200).header("x-request-id").to_owned();
    let audit_entries = listed().await;
    assert_eq!(audit_entries.len(), 1);
    assert_eq!((&audit_entries[0]["actor"], &audit_entries[0]["request_id"]), (&json!("platform_key"), &json!(id)));
    assert_eq!(audit_entries[0]["detail"], json!({"changed": ["auto_publish", "custom_templates"]}));
    let sql = "SELECT operation, revision, request_id FROM platform_audit WHERE tenant_id = ?1 AND operation LIKE 'settings%'";
    let rows = tenant.world.rows("CONTROL", sql, &[&tenant.id]).await;
    assert_eq!(rows, [json!({"operation": "settings.update", "revision": revision + 1, "request_id": id})]);
}

#[tokio::test]
async fn another_tenant_is_untouched() {
    let world = World::shared().await;
    let (one, other) = (world.tenant().create().await, world.tenant().create().await);
    let before = other.shown().await;
    patch(&one, json!({"auto_publish": true})).send().await.expect(200);
    let key = one.key(&["*"]).await.text;
    let crossed = other.call("PATCH", SETTINGS).bearer(&key).json(&json!({"auto_publish": true})).send().await;
    assert_ne!(crossed.status, 200);
    let named = one.call("PATCH", SETTINGS).bearer(&key).header("X-Tenant-ID", &other.id);
    named.json(&json!({"workflow_approval": true})).send().await.expect_problem(404, "tenant_not_found");
    assert_eq!(other.shown().await, before);
    assert_eq!(get(&one).await.data()["workflow_approval"], false);
}
