//! Public collections: what a stranger on the tenant's host reads, and what nobody tells them.

use serde_json::{Value, json};

use crate::world::{Tenant, TestResponse, World, eventually};

const HOME: &str = "https://www.example.com";

/// Public posts of private authors.
async fn tenant() -> Tenant {
    let world = World::shared().await;
    let tenant = world.tenant().limit("max_api_requests_per_minute", -1).limit("max_anonymous_requests_per_minute", -1);
    let tenant = tenant.set("cors_origins", json!([HOME])).create().await;
    tenant.collection("tags", json!({"name": {"type": "string"}}), json!({"public_read": true})).await;
    tenant.collection("authors", json!({"name": {"type": "string"}}), json!({})).await;
    let properties = json!({
        "title": {"type": "string", "searched": true},
        "n": {"type": "integer", "indexed": true},
        "tag": {"type": "string", "reference": "tags"},
        "author": {"type": "string", "reference": "authors"},
    });
    tenant.collection("posts", properties, json!({"public_read": true, "soft_delete": true, "versioned": true})).await;
    tenant.record("tags", json!({"id": "t1", "name": "News"})).await;
    tenant.record("authors", json!({"id": "ada", "name": "Secret"})).await;
    for i in 0..3 {
        tenant
            .record(
                "posts",
                json!({"id": format!("p{i}"), "title": format!("Bell {i}"), "n": i, "tag": "t1", "author": "ada"}),
            )
            .await;
    }
    tenant
}

async fn stranger(tenant: &Tenant, path: &str, query: &[(&str, &str)]) -> TestResponse {
    let call = tenant.call("GET", path);
    query.iter().fold(call, |call, (name, value)| call.query(name, value)).send().await
}

#[tokio::test]
async fn a_stranger_reads_what_is_public() {
    let tenant = tenant().await;
    let record = stranger(&tenant, "/api/v1/posts/p1", &[]).await.expect(200);
    assert_eq!(record.data(), tenant.get("/api/v1/posts/p1").await.data());
    assert_eq!(
        tenant.call("GET", "/api/v1/posts/p1").header("If-None-Match", record.header("etag")).send().await.status,
        304
    );
    let listed = stranger(&tenant, "/api/v1/posts", &[("filter", "n >= 1"), ("sort", "-n"), ("count", "true")])
        .await
        .expect(200);
    assert_eq!(
        (listed.ids(), &listed.json()["pagination"]["total"]),
        (vec!["p2".to_owned(), "p1".to_owned()], &json!(2))
    );
    assert_eq!(stranger(&tenant, "/api/posts", &[("q", "bell 2")]).await.expect(200).ids(), ["p2"]);
    let first =
        stranger(&tenant, "/api/v1/posts", &[("sort", "id"), ("limit", "2")]).await.expect(200).cursor().unwrap();
    let rest = stranger(&tenant, "/api/v1/posts", &[("sort", "id"), ("limit", "2"), ("cursor", &first)]).await;
    assert_eq!(rest.expect(200).ids(), ["p2"]);
    stranger(&tenant, "/api/v1/posts", &[("filter", "odd = 1")]).await.expect_invalid_query("filter");
}

#[tokio::test]
async fn a_hop_into_what_is_private_shows_a_stranger_nothing() {
    let tenant = tenant().await;
    for path in ["/api/v1/posts", "/api/v1/posts/p0"] {
        let shown = stranger(&tenant, path, &[("expand", "tag,author")]).await.expect(200);
        let data = shown.data();
        let post = data.as_array().map_or(&data, |posts| &posts[0]);
        assert_eq!((&post["expand"]["tag"]["name"], post["expand"].get("author")), (&json!("News"), None));
        assert!(!shown.body.contains("Secret"));
    }
}

#[tokio::test]
async fn what_is_private_and_what_is_missing_are_told_alike() {
    let tenant = tenant().await;
    let refused = async |path: &str| {
        let answer = stranger(&tenant, path, &[]).await.expect_problem(401, "unauthorized");
        answer.masked(&["authors", "nothing", "posts", "tags"])
    };
    let missing = refused("/api/v1/nothing").await;
    for path in ["/api/v1/authors", "/api/v1/authors/ada", "/api/v1/authors/none", "/api/v1/nothing/ada"] {
        assert_eq!(refused(path).await, missing, "{path}");
    }
}

#[tokio::test]
async fn a_stranger_sees_only_what_is_there_now() {
    let tenant = tenant().await;
    tenant.as_owner("DELETE", "/api/v1/posts/p1").send().await.expect(200);
    assert_eq!(stranger(&tenant, "/api/v1/posts", &[("sort", "id")]).await.ids(), ["p0", "p2"]);
    stranger(&tenant, "/api/v1/posts/p1", &[]).await.expect_problem(404, "not_found");
    stranger(&tenant, "/api/v1/posts", &[("deleted", "true")]).await.expect_problem(401, "unauthorized");
    for path in
        ["/api/v1/posts/p0/versions", "/api/v1/posts/p0/versions/1", "/api/v1/collections", "/api/v1/collections/posts"]
    {
        stranger(&tenant, path, &[]).await.expect_problem(401, "unauthorized");
    }
}

#[tokio::test]
async fn a_stranger_writes_nothing() {
    let tenant = tenant().await;
    for (method, path) in [
        ("POST", "/api/v1/posts"),
        ("POST", "/api/v1/posts/bulk"),
        ("PATCH", "/api/v1/posts/p0"),
        ("PUT", "/api/v1/posts/p0"),
        ("DELETE", "/api/v1/posts/p0"),
        ("POST", "/api/v1/posts/p0/restore"),
        ("POST", "/api/v1/posts/p0/versions/1/restore"),
    ] {
        let answer = tenant.call(method, path).json(&json!({})).send().await;
        answer.expect_problem(401, "unauthorized");
    }
}

#[tokio::test]
async fn a_credential_that_proves_nobody_reads_nothing() {
    let tenant = tenant().await;
    let other = World::shared().await.unbounded_tenant().await.key(&["records:read"]).await.text;
    for bad in ["nonsense", other.as_str()] {
        let answer = tenant.call("GET", "/api/v1/posts").bearer(bad).send().await;
        assert!(matches!(answer.status, 401 | 404), "{bad}: {}", answer.body);
        assert!(!answer.body.contains("Bell"));
    }
    // Whoever is known reads what their permissions say, not what strangers may.
    let audit = tenant.key(&["audit:read"]).await.text;
    tenant.call("GET", "/api/v1/posts").bearer(&audit).send().await.expect_problem(403, "forbidden");
    let reader = tenant.key(&["records:read"]).await.text;
    tenant.call("GET", "/api/v1/authors").bearer(&reader).send().await.expect(200);
    tenant.call("POST", "/api/v1/posts").bearer(&reader).json(&json!({})).send().await.expect_problem(403, "forbidden");
}

#[tokio::test]
async fn what_becomes_private_is_closed_at_once() {
    let tenant = tenant().await;
    for _ in 0..3 {
        stranger(&tenant, "/api/v1/posts", &[]).await.expect(200);
        stranger(&tenant, "/api/v1/posts/p0", &[]).await.expect(200);
    }
    tenant.ask("PATCH", "/api/v1/collections/posts", json!({"public_read": false})).await.expect(200);
    for _ in 0..3 {
        stranger(&tenant, "/api/v1/posts", &[]).await.expect_problem(401, "unauthorized");
        stranger(&tenant, "/api/v1/posts/p0", &[]).await.expect_problem(401, "unauthorized");
    }
    // An isolate that did not make the change remembers what was: as when the row changes behind its back.
    tenant.ask("PATCH", "/api/v1/collections/posts", json!({"public_read": true})).await.expect(200);
    stranger(&tenant, "/api/v1/posts", &[]).await.expect(200);
    let sql = "UPDATE collections SET public_read = 0, revision = revision + 1 WHERE tenant_id = ?1 AND slug IN ('posts', 'tags')";
    tenant.on_shard(sql, &[]).await;
    stranger(&tenant, "/api/v1/posts", &[]).await.expect_problem(401, "unauthorized");
    stranger(&tenant, "/api/v1/posts/p0", &[]).await.expect_problem(401, "unauthorized");
    let opened =
        "UPDATE collections SET public_read = 1, revision = revision + 1 WHERE tenant_id = ?1 AND slug = 'posts'";
    tenant.on_shard(opened, &[]).await;
    let shown = stranger(&tenant, "/api/v1/posts/p0", &[("expand", "tag")]).await.expect(200).data();
    assert_eq!(shown.get("expand"), None);
}

#[tokio::test]
async fn a_page_of_a_listed_origin_reads_records() {
    let tenant = tenant().await;
    for (path, status) in [("/api/v1/posts", 200), ("/api/v1/posts/p0", 200), ("/api/v1/authors", 401)] {
        let answer = tenant.call("GET", path).header("Origin", HOME).send().await.expect(status);
        assert_eq!(answer.header("access-control-allow-origin"), HOME, "{path}");
        let answer = tenant.call("GET", path).header("Origin", "https://evil.example").send().await.expect(status);
        assert_eq!(answer.header("access-control-allow-origin"), "", "{path}");
    }
    let preflight = tenant
        .call("OPTIONS", "/api/v1/posts/p0")
        .header("Origin", HOME)
        .header("Access-Control-Request-Method", "PATCH");
    let preflight =
        preflight.header("Access-Control-Request-Headers", "if-match,content-type").send().await.expect(204);
    assert!(preflight.header("access-control-allow-methods").contains("PATCH"));
}

#[tokio::test]
async fn a_suspended_tenants_records_are_nobodys() {
    let tenant = tenant().await;
    stranger(&tenant, "/api/v1/posts", &[]).await.expect(200);
    tenant.suspend().await;
    let missing = tenant.world.call("GET", "nobody-at-all.localhost", "/api/v1/posts").send().await;
    let closed = eventually("the suspension", async || {
        let answer = stranger(&tenant, "/api/v1/posts", &[]).await;
        (answer.status != 200).then_some(answer)
    })
    .await;
    assert_eq!((closed.status, closed.json()["code"].clone()), (missing.status, missing.json()["code"].clone()));
    let _: Value = missing.json();
}
