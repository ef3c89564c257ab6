//! `GET /api/v1/openapi.json` and `/docs`: what the API says of itself.

use std::collections::BTreeSet;

use carillon::routes::{self, Surface};
use serde_json::{Value, json};

use crate::world::{ROOT, World};

const PATH: &str = "/api/v1/openapi.json";

fn operations(document: &Value) -> BTreeSet<String> {
    let items = document["paths"].as_object().unwrap().values();
    let operations = items.flat_map(|item| item.as_object().unwrap().values());
    operations.map(|operation| operation["operationId"].as_str().unwrap().to_owned()).collect()
}

fn of_the_table(surface: Surface) -> BTreeSet<String> {
    let here = routes::all().filter(|route| route.surface.includes(surface));
    here.map(|route| route.name.to_owned()).collect()
}

#[tokio::test]
async fn a_host_documents_what_lives_on_it_and_nothing_else() {
    let world = World::shared().await;
    let tenant = world.tenant().create().await;
    for (host, surface) in [(ROOT, Surface::Platform), (tenant.host.as_str(), Surface::Tenant)] {
        let answer = world.call("GET", host, PATH).send().await.expect(200);
        assert_eq!(answer.header("content-type"), "application/json");
        let document: Value = serde_json::from_str(&answer.body).unwrap();
        assert_eq!(document["openapi"], "3.1.0");
        assert_eq!(operations(&document), of_the_table(surface), "{host}");
    }
}

#[tokio::test]
async fn the_document_is_kept_and_asked_for_again_by_its_tag() {
    let world = World::shared().await;
    let tenant = world.tenant().create().await;
    for host in [ROOT, tenant.host.as_str()] {
        let first = world.call("GET", host, PATH).send().await.expect(200);
        let etag = first.header("etag").to_owned();
        assert_eq!(
            first.header("cache-control"),
            if host == ROOT { "public, max-age=60" } else { "private, no-cache" }
        );
        let head = world.call("HEAD", host, PATH).send().await.expect(200);
        assert_eq!((head.header("etag"), head.body.as_str()), (etag.as_str(), ""));
        for known in [etag.clone(), format!("W/{etag}"), format!("\"other\", {etag}")] {
            let again = world.call("GET", host, PATH).header("If-None-Match", &known).send().await.expect(304);
            assert_eq!((again.header("etag"), again.body.as_str()), (etag.as_str(), ""), "{known}");
        }
        world.call("GET", host, PATH).header("If-None-Match", "\"other\"").send().await.expect(200);
    }
}

#[tokio::test]
async fn members_read_of_every_collection_and_strangers_of_the_public_ones() {
    let world = World::shared().await;
    let tenant = world.tenant().create().await;
    let key = tenant.key(&["collections:read"]).await.text;
    let schema = json!({"type": "object", "properties": {"title": {"type": "string"}}});
    for (slug, public) in [("letters", false), ("posts", true)] {
        let body = json!({"slug": slug, "schema": schema, "public_read": public, "versioned": true});
        tenant.as_owner("POST", "/api/v1/collections").json(&body).send().await.expect(201);
    }
    let own = |document: &Value| -> BTreeSet<String> {
        let own = |name: &String| ["letters.", "posts."].iter().any(|slug| name.starts_with(slug));
        operations(document).into_iter().filter(own).collect()
    };
    let public = tenant.call("GET", PATH).send().await.expect(200);
    let strangers: Value = serde_json::from_str(&public.body).unwrap();
    assert_eq!(own(&strangers), BTreeSet::from(["posts.records.list", "posts.records.get"].map(str::to_owned)));
    assert!(!public.body.contains("letters"));
    let all = tenant.call("GET", PATH).bearer(&key).send().await.expect(200);
    let members: Value = serde_json::from_str(&all.body).unwrap();
    for name in ["letters.records.create", "letters.versions.diff", "posts.records.patch"] {
        assert!(own(&members).contains(name), "{name} in {:?}", own(&members));
    }
    assert_eq!(members["components"]["schemas"]["letters.Fields"]["properties"]["title"]["type"][0], "string");
    assert_ne!(public.header("etag"), all.header("etag"));

    let other = world.tenant().create().await;
    other.call("GET", PATH).bearer(&key).send().await.expect_problem(404, "tenant_not_found");
    assert!(!other.call("GET", PATH).send().await.expect(200).body.contains("posts."));
    let narrow = tenant.key(&["users:read"]).await.text;
    tenant.call("GET", PATH).bearer(&narrow).send().await.expect_problem(403, "forbidden");
}

#[tokio::test]
async fn a_changed_collection_is_another_document() {
    let world = World::shared().await;
    let tenant = world.tenant().create().await;
    let key = tenant.key(&["collections:read"]).await.text;
    let before = tenant.call("GET", PATH).bearer(&key).send().await.expect(200).header("etag").to_owned();
    let body = json!({"slug": "posts", "schema": {"type": "object", "properties": {}}});
    tenant.as_owner("POST", "/api/v1/collections").json(&body).send().await.expect(201);
    let again = tenant.call("GET", PATH).bearer(&key).header("If-None-Match", &before);
    let after = again.send().await.expect(200);
    assert_ne!(after.header("etag"), before);
}

#[tokio::test]
async fn a_tenant_that_is_not_served_documents_nothing() {
    let world = World::shared().await;
    let tenant = world.tenant().create().await;
    tenant.patch(json!({"status": "suspended"})).await;
    tenant.call("GET", PATH).send().await.expect_problem(404, "tenant_not_found");
    tenant.call("GET", "/docs").send().await.expect_problem(404, "tenant_not_found");
}

#[tokio::test]
async fn the_page_runs_its_own_script_and_no_other() {
    let world = World::shared().await;
    let tenant = world.tenant().create().await;
    let mut seen = BTreeSet::new();
    for host in [ROOT, tenant.host.as_str()] {
        let page = world.call("GET", host, "/docs").send().await.expect(200);
        assert!(page.header("content-type").starts_with("text/html"));
        let policy = page.header("content-security-policy");
        let nonce = policy.split("script-src 'nonce-").nth(1).and_then(|rest| rest.split('\'').next()).unwrap();
        assert!(nonce.len() > 20 && !policy.contains("unsafe"), "{policy}");
        assert_eq!(page.body.matches("<script").count(), 1);
        assert!(page.body.contains(&format!("<script nonce=\"{nonce}\">")) && page.body.contains(PATH));
        assert!(!page.body.contains("src=") && !page.body.contains("{{"), "it fetches nothing from elsewhere");
        assert!(seen.insert(nonce.to_owned()), "a number is used once");
        assert_eq!(world.call("HEAD", host, "/docs").send().await.expect(200).body, "");
    }
}

#[tokio::test]
async fn a_method_that_nobody_knows_is_not_taken_for_get() {
    let world = World::shared().await;
    let tenant = world.tenant().create().await;
    for method in ["QUERY", "PROPFIND"] {
        let answer = tenant.call(method, "/").send().await.expect_problem(405, "method_not_allowed");
        assert_eq!(answer.header("allow"), "GET, HEAD, OPTIONS", "{method}");
    }
    world.call("QUERY", ROOT, "/health").send().await.expect_problem(405, "method_not_allowed");
}

#[tokio::test]
async fn a_path_that_is_written_out_has_its_own_methods() {
    let world = World::shared().await;
    let tenant = world.tenant().create().await;
    let answer = tenant.call("OPTIONS", "/api/v1/invitations/accept").send().await.expect(204);
    assert_eq!(answer.header("allow"), "POST, OPTIONS");
    let answer = world.call("GET", ROOT, "/api/v1/operators/login").send().await;
    assert_eq!(answer.expect_problem(405, "method_not_allowed").header("allow"), "POST, OPTIONS");
}
