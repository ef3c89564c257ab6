//! Deleting records: for ever, or kept until they are restored.

use serde_json::{Value, json};

use crate::world::{Tenant, World};

async fn tenant(soft_delete: bool) -> Tenant {
    let tenant = World::shared().await.unbounded_tenant().await;
    let properties = json!({"email": {"type": "string", "unique": true}, "text": {"type": "string", "searched": true}});
    tenant.collection("leads", properties, json!({"soft_delete": soft_delete, "versioned": true})).await;
    tenant.record("leads", json!({"id": "r1", "email": "a@example.test", "text": "bell"})).await;
    tenant.record("leads", json!({"id": "r2"})).await;
    tenant
}

const ONE: &str = "/api/v1/leads/r1";

#[tokio::test]
async fn a_record_is_gone_where_nothing_is_kept() {
    let tenant = tenant(false).await;
    let gone = tenant.as_owner("DELETE", ONE).send().await.expect(200);
    assert_eq!(gone.data(), json!({"id": "r1"}));
    for (method, path) in [
        ("GET", ONE.to_owned()),
        ("DELETE", ONE.to_owned()),
        ("POST", format!("{ONE}/restore")),
        ("GET", format!("{ONE}/versions")),
    ] {
        tenant.as_owner(method, &path).send().await.expect_problem(404, "not_found");
    }
    assert!(tenant.ids("leads", &[("deleted", "true")]).await.is_empty());
    tenant.record("leads", json!({"id": "r1", "email": "a@example.test"})).await;
}

#[tokio::test]
async fn a_deleted_record_is_kept_apart_and_restored() {
    let tenant = tenant(true).await;
    tenant.as_owner("DELETE", ONE).send().await.expect(200);
    tenant.get(ONE).await.expect_problem(404, "not_found");
    for method in ["PATCH", "PUT", "DELETE"] {
        tenant.ask(method, ONE, json!({})).await.expect_problem(404, "not_found");
    }
    assert_eq!(tenant.ids("leads", &[]).await, ["r2"]);
    for query in [("filter", "email = 'a@example.test'"), ("q", "bell")] {
        assert!(tenant.ids("leads", &[query]).await.is_empty(), "{query:?}");
    }
    let deleted = tenant.listed("leads", &[("deleted", "true"), ("count", "true")]).await.expect(200);
    assert_eq!((deleted.ids(), &deleted.json()["pagination"]["total"]), (vec!["r1".to_owned()], &json!(1)));
    assert_eq!(tenant.listed("leads", &[("count", "true")]).await.json()["pagination"]["total"], 1);
    let restored = tenant.as_owner("POST", &format!("{ONE}/restore")).send().await.expect(200);
    assert_eq!((&restored.data()["version"], &restored.data()["email"]), (&json!(3), &json!("a@example.test")));
    assert_eq!(tenant.ids("leads", &[("q", "bell")]).await, ["r1"]);
    tenant.as_owner("POST", &format!("{ONE}/restore")).send().await.expect_problem(404, "not_found");
    let versions = tenant.get(&format!("{ONE}/versions")).await.expect(200);
    assert_eq!(versions.column("operation"), ["restore", "delete", "create"]);
}

#[tokio::test]
async fn a_unique_value_is_free_while_its_record_is_deleted() {
    let tenant = tenant(true).await;
    tenant.as_owner("DELETE", ONE).send().await.expect(200);
    tenant.record("leads", json!({"id": "r3", "email": "a@example.test"})).await;
    let taken = tenant.as_owner("POST", &format!("{ONE}/restore")).send().await.expect_problem(409, "not_unique");
    assert_eq!(taken.pointers(), ["/email"]);
    tenant.as_owner("DELETE", "/api/v1/leads/r3").send().await.expect(200);
    tenant.as_owner("POST", &format!("{ONE}/restore")).send().await.expect(200);
}

#[tokio::test]
async fn for_ever_is_for_ever() {
    let tenant = tenant(true).await;
    let forever = async |path: &str| tenant.as_owner("DELETE", path).query("permanent", "true").send().await;
    forever(ONE).await.expect(200);
    tenant.as_owner("DELETE", "/api/v1/leads/r2").send().await.expect(200);
    forever("/api/v1/leads/r2").await.expect(200);
    for id in ["r1", "r2"] {
        tenant.as_owner("POST", &format!("/api/v1/leads/{id}/restore")).send().await.expect(404);
        forever(&format!("/api/v1/leads/{id}")).await.expect(404);
        tenant.get(&format!("/api/v1/leads/{id}/versions")).await.expect(404);
        tenant.record("leads", json!({"id": id})).await;
    }
    tenant.as_owner("DELETE", ONE).query("permanent", "perhaps").send().await.expect_invalid_query("permanent");
}

#[tokio::test]
async fn a_restored_record_fits_the_schema_of_now() {
    let tenant = tenant(true).await;
    tenant.as_owner("DELETE", ONE).send().await.expect(200);
    let patch = |change: Value| tenant.ask("PATCH", "/api/v1/collections/leads", change);
    patch(json!({"schema": {"properties": {"size": {"type": "integer"}}, "required": ["size"]}})).await.expect(200);
    tenant.as_owner("POST", &format!("{ONE}/restore")).send().await.expect_invalid("/size");
    patch(json!({"schema": {"properties": {"size": {"default": 3}}}})).await.expect(200);
    let restored = tenant.as_owner("POST", &format!("{ONE}/restore")).send().await.expect(200).data();
    assert_eq!(restored["size"], 3);
}
