//! Lists and statistics that are kept for a minute.

use serde_json::{Value, json};

use crate::world::{Tenant, TestResponse, World, eventually};

const NOTES: &str = "/api/v1/notes";

async fn tenant() -> Tenant {
    let tenant = World::shared().await.tenant().plan("enterprise").create().await;
    tenant.collection("notes", json!({"text": {"type": "string", "maxLength": 100}}), json!({})).await;
    tenant.record("notes", json!({"id": "one", "text": "first"})).await;
    tenant
}

/// Asks until a kept list is found.
async fn kept(tenant: &Tenant, query: &[(&str, &str)]) -> Value {
    eventually("a kept list", async || {
        let answer = tenant.listed("notes", query).await.expect(200);
        (answer.header("x-cache") == "HIT").then(|| answer.json())
    })
    .await
}

#[tokio::test]
async fn a_list_that_is_asked_for_again_is_kept_and_a_write_ends_that() {
    let tenant = tenant().await;
    let fresh = tenant.listed("notes", &[]).await.expect(200);
    assert_eq!(fresh.header("x-cache"), "MISS");
    assert_eq!(kept(&tenant, &[]).await, fresh.json());
    for i in 0..5 {
        tenant.record("notes", json!({"id": format!("n{i}"), "text": "more"})).await;
        let ids = tenant.listed("notes", &[]).await.expect(200).column("id");
        assert_eq!(ids.len(), i + 2, "a write is seen by the next list");
    }
    tenant.as_owner("PATCH", &format!("{NOTES}/one")).json(&json!({"text": "changed"})).send().await.expect(200);
    let texts = tenant.listed("notes", &[]).await.expect(200).column("text");
    assert!(texts.contains(&json!("changed")), "{texts:?}");
    tenant.as_owner("DELETE", &format!("{NOTES}/one")).send().await.expect(200);
    assert_eq!(tenant.listed("notes", &[]).await.expect(200).column("id").len(), 5);
}

#[tokio::test]
async fn pages_are_kept_under_the_keys_of_the_tenant() {
    let tenant = tenant().await;
    kept(&tenant, &[("page", "1")]).await;
    let key = format!("t:{0}:notes:tenant:{0}:page:1:status::member:", tenant.id);
    let entry: Value = serde_json::from_str(&tenant.world.read_kv(&key).await.unwrap()).unwrap();
    assert_eq!(entry["tenant_id"], json!(tenant.id));
}

#[tokio::test]
async fn what_another_tenant_kept_is_nobody_elses() {
    let (tenant, other) = (tenant().await, tenant().await);
    kept(&other, &[("page", "1")]).await;
    let theirs = format!("t:{0}:notes:tenant:{0}:page:1:status::member:", other.id);
    let mine = format!("t:{0}:notes:tenant:{0}:page:1:status::member:", tenant.id);
    // The other tenant's entry under this tenant's key: it carries its owner, and is no memory here.
    let forged = tenant.world.read_kv(&theirs).await.unwrap();
    tenant.world.write_kv(&mine, &forged).await;
    for _ in 0..3 {
        let answer = tenant.listed("notes", &[("page", "1")]).await.expect(200);
        assert_eq!(answer.column("tenant_id"), [json!(tenant.id)]);
    }
}

#[tokio::test]
async fn whoever_can_write_to_kv_shows_nobody_a_list_of_their_own_making() {
    let tenant = tenant().await;
    let list = kept(&tenant, &[("page", "1")]).await;
    let key = format!("t:{0}:notes:tenant:{0}:page:1:status::member:", tenant.id);
    let entry: Value = serde_json::from_str(&tenant.world.read_kv(&key).await.unwrap()).unwrap();
    let body = entry["body"].as_str().unwrap().replace("one", "two");
    assert_ne!(entry["body"], body);
    for (name, value) in [("body", json!(body)), ("until", json!(entry["until"].as_i64().unwrap() + 60_000))] {
        let mut forged = entry.clone();
        forged[name] = value;
        tenant.world.write_kv(&key, &forged.to_string()).await;
        let answer = tenant.listed("notes", &[("page", "1")]).await.expect(200);
        assert_eq!((answer.header("x-cache"), answer.json()), ("MISS", list.clone()), "{name}");
    }
    tenant.world.write_kv(&key, &entry.to_string()).await;
    assert_eq!(tenant.listed("notes", &[("page", "1")]).await.expect(200).header("x-cache"), "HIT");
}

#[tokio::test]
async fn strangers_and_members_have_lists_of_their_own() {
    let tenant = tenant().await;
    kept(&tenant, &[("page", "1")]).await;
    tenant.call("GET", NOTES).query("page", "1").send().await.expect_problem(401, "unauthorized");
    let open = json!({"public_read": true});
    tenant.as_owner("PATCH", "/api/v1/collections/notes").json(&open).send().await.expect(200);
    for _ in 0..3 {
        tenant.call("GET", NOTES).query("page", "1").send().await.expect(200);
    }
    let closed = json!({"public_read": false});
    tenant.as_owner("PATCH", "/api/v1/collections/notes").json(&closed).send().await.expect(200);
    tenant.call("GET", NOTES).query("page", "1").send().await.expect_problem(401, "unauthorized");
}

#[tokio::test]
async fn statistics_count_by_collection_and_status() {
    let world = World::shared().await;
    let (tenant, other) = (world.tenant().plan("enterprise").create().await, tenant().await);
    tenant.template("deployments").await;
    for status in [None, Some("active"), None] {
        let mut body = json!({"project_name": "site"});
        if let Some(status) = status {
            body["status"] = json!(status);
        }
        tenant.record("deployments", body).await;
    }
    for path in ["/api/v1/tenants", "/api/tenants", "/admin/tenants"] {
        let path = format!("{path}/{}/stats", tenant.id);
        let stats = tenant.as_owner("GET", &path).send().await.expect(200).data();
        assert_eq!((&stats["records"], &stats["collections"]["deployments"]["total"]), (&json!(3), &json!(3)));
        assert_eq!(stats["collections"]["deployments"]["by_status"]["active"], json!(1));
        let by_path = world.platform("GET", &path).send().await.expect(200).data();
        assert_eq!(by_path["records"], stats["records"], "the path selects, too");
    }
    let foreign = format!("/api/v1/tenants/{}/stats", other.id);
    let key = tenant.key(&["*"]).await;
    tenant.call("GET", &foreign).bearer(&key.text).send().await.expect_problem(404, "tenant_not_found");
    tenant.as_owner("GET", &foreign).send().await.expect_problem(404, "tenant_not_found");
    tenant.record("deployments", json!({"project_name": "another"})).await;
    let own = format!("/api/v1/tenants/{}/stats", tenant.id);
    assert_eq!(tenant.as_owner("GET", &own).send().await.expect(200).data()["records"], json!(4));
}

#[tokio::test]
async fn the_hit_rate_is_metered() {
    let tenant = tenant().await;
    let own = format!("/api/v1/tenants/{}/stats", tenant.id);
    let found = eventually("looks that were told", async || {
        for _ in 0..12 {
            tenant.listed("notes", &[("limit", "10")]).await.expect(200);
        }
        let cache = tenant.as_owner("GET", &own).send().await.expect(200).data()["cache"].clone();
        (cache["hits"].as_u64().unwrap() > 10).then_some(cache)
    });
    let cache = found.await;
    assert!(cache["hit_rate"].as_f64().unwrap() > 0.5, "{cache}");
}

/// Whether the list that is asked for now is a kept one.
async fn is_kept(tenant: &Tenant, slug: &str) -> bool {
    tenant.listed(slug, &[]).await.expect(200).header("x-cache") == "HIT"
}

async fn purge(tenant: &Tenant, body: &Value) -> TestResponse {
    tenant.as_owner("POST", "/api/v1/cache/purge").json(body).send().await
}

#[tokio::test]
async fn a_purge_ends_the_lists_of_the_collections_that_its_patterns_match() {
    const ALL: [&str; 3] = ["notes", "orders", "order-lines"];
    let (tenant, other) = (tenant().await, tenant().await);
    for slug in &ALL[1..] {
        tenant.collection(slug, json!({"text": {"type": "string"}}), json!({})).await;
    }
    let patterns: [(Value, &[&str]); 5] = [
        (json!(["notes"]), &["notes"]),
        (json!(["order*"]), &["orders", "order-lines"]),
        (json!(["orders", "order-*", "orders"]), &["orders", "order-lines"]),
        (json!(["*"]), &ALL),
        (json!(["note", "orderss*"]), &[]),
    ];
    for (patterns, ended) in patterns {
        for (tenant, slug) in ALL.map(|slug| (&tenant, slug)).into_iter().chain([(&other, "notes")]) {
            eventually("a kept list", async || is_kept(tenant, slug).await.then_some(())).await;
        }
        let purged = purge(&tenant, &json!({"records": patterns})).await.expect(200).data();
        assert_eq!(purged, json!({"id": null, "soft": false, "records": ended.len()}));
        for slug in ALL {
            assert_eq!(is_kept(&tenant, slug).await, !ended.contains(&slug), "{slug} after {patterns}");
        }
        assert!(is_kept(&other, "notes").await, "another tenant's collection of the same slug");
    }
}

#[tokio::test]
async fn a_purge_ends_kept_statistics() {
    let tenant = tenant().await;
    let own = format!("/api/v1/tenants/{}/stats", tenant.id);
    let stats = async || tenant.as_owner("GET", &own).send().await.expect(200);
    eventually("kept statistics", async || (stats().await.header("x-cache") == "HIT").then_some(())).await;
    let purged = purge(&tenant, &json!({"records": ["nobody*"]})).await.expect(200).data();
    assert_eq!((&purged["records"], stats().await.header("x-cache")), (&json!(0), "HIT"));
    purge(&tenant, &json!({"records": ["notes"]})).await.expect(200);
    let again = stats().await;
    assert_eq!((again.header("x-cache"), &again.data()["records"]), ("MISS", &json!(1)));
}

#[tokio::test]
async fn answers_and_lists_are_purged_together_or_alone() {
    let tenant = tenant().await;
    kept(&tenant, &[]).await;
    let answers = purge(&tenant, &json!({"all": true})).await.expect(200).data();
    assert!(answers["id"].is_string() && answers.get("records").is_none(), "{answers}");
    assert!(is_kept(&tenant, "notes").await, "nobody named its collection");
    let both = purge(&tenant, &json!({"keys": ["list:post"], "records": ["notes"]})).await.expect(200).data();
    assert!(both["id"].is_string() && both["records"] == json!(1), "{both}");
    assert!(!is_kept(&tenant, "notes").await);
}

#[tokio::test]
async fn a_purge_of_lists_takes_its_permission_and_patterns_that_are_some() {
    let tenant = tenant().await;
    for (records, pointer) in [
        (json!([]), "/records"),
        (json!("notes"), "/records"),
        (json!(vec!["notes"; 101]), "/records"),
        (json!([7]), "/records/0"),
        (json!(["notes", ""]), "/records/1"),
        (json!(["*s"]), "/records/0"),
        (json!(["n*s"]), "/records/0"),
        (json!(["n**"]), "/records/0"),
        (json!(["Notes"]), "/records/0"),
        (json!(["n".repeat(64)]), "/records/0"),
    ] {
        purge(&tenant, &json!({"records": records})).await.expect_invalid(pointer);
    }
    let body = json!({"records": ["notes"]});
    for (scope, status) in [("cache:purge", 200), ("records:write", 403), ("collections:write", 403)] {
        let key = tenant.key(&[scope]).await;
        let asked = tenant.call("POST", "/api/v1/cache/purge").bearer(&key.text).json(&body).send().await;
        asked.expect(status);
    }
}
