//! The bytes that a tenant stores: bounded by its plan, shown, and recounted.

use serde_json::{Value, json};

use crate::world::{Tenant, TestResponse, World, eventually};

async fn notes(tenant: &Tenant) {
    let properties = json!({"text": {"type": "string"}, "title": {"type": "string", "indexed": true}});
    tenant.collection("notes", properties, json!({"versioned": true, "soft_delete": true})).await;
}

async fn storage(tenant: &Tenant) -> Value {
    tenant.get(&format!("/api/v1/tenants/{}/storage", tenant.id)).await.expect(200).data()
}

/// What the storage report says of a collection.
async fn of(tenant: &Tenant, collection: &str) -> Value {
    let all = storage(tenant).await;
    all["collections"].as_array().unwrap().iter().find(|one| one["collection"] == collection).unwrap().clone()
}

async fn recounted(tenant: &Tenant, collection: &str) -> Value {
    eventually("the recount", async || {
        let one = of(tenant, collection).await;
        (one["recount"]["state"] == "done").then_some(one)
    })
    .await
}

fn note(id: &str, characters: usize) -> Value {
    json!({"id": id, "text": "x".repeat(characters)})
}

#[tokio::test]
async fn no_more_is_stored_than_the_plan_says_and_what_is_refused_changes_nothing() {
    let (a, b) = World::pair().await;
    let tenant = a.tenant().limit("max_storage_bytes", 10_000).create().await;
    notes(&tenant).await;
    tenant.record("notes", note("a", 4_000)).await;
    tenant.record("notes", note("b", 3_000)).await;
    let before = storage(&tenant).await;
    assert_eq!((&before["limit_bytes"], &before["files_bytes"]), (&json!(10_000), &json!(0)));
    assert!(before["used_bytes"].as_i64().unwrap() > 8_000 && before["used_bytes"] == before["records_bytes"]);

    // In every isolate, by every door: a new record, one whose past state takes room, several at once.
    let full = |answer: TestResponse| answer.expect_problem(409, "storage_limit_reached");
    for one in [&tenant, &tenant.through(&b)] {
        full(one.ask("POST", "/api/v1/notes", note("c", 1_500)).await);
        full(one.ask("PATCH", "/api/v1/notes/a", json!({"text": "y".repeat(4_000)})).await);
        // Each of these alone would have room.
        let both = json!([
            {"op": "create", "data": note("c", 10)},
            {"op": "update", "id": "a", "data": {"text": "y".repeat(1_500)}},
        ]);
        full(one.bulk("notes", both).await);
    }
    assert_eq!(storage(&tenant).await, before);
    assert_eq!(tenant.get("/api/v1/notes/a").await.data()["version"], 1);

    // What is deleted for good makes room. Deleting is never refused.
    tenant.as_owner("DELETE", "/api/v1/notes/b").send().await.expect(200);
    tenant.as_owner("DELETE", "/api/v1/notes/b").query("permanent", "true").send().await.expect(200);
    tenant.ask("POST", "/api/v1/notes", note("c", 1_500)).await.expect(201);
    tenant.patch(json!({"rate_limits": {"max_storage_bytes": 100}})).await;
    full(tenant.ask("POST", "/api/v1/notes", note("d", 1)).await);
    // An index takes room, a description does not, and one index less makes some.
    let definition = "/api/v1/collections/notes";
    let text = |more: Value| json!({"schema": {"properties": {"text": more}}});
    for one in [&tenant, &tenant.through(&b)] {
        full(one.ask("PATCH", definition, text(json!({"type": "string", "searched": true}))).await);
        full(one.ask("PATCH", definition, text(json!({"type": "string", "indexed": true}))).await);
    }
    assert_eq!(tenant.get(definition).await.data()["schema"]["properties"]["text"], json!({"type": "string"}));
    tenant.ask("PATCH", definition, json!({"description": "Notes."})).await.expect(200);
    let no_index = json!({"schema": {"properties": {"title": {"indexed": false}}}});
    tenant.ask("PATCH", definition, no_index).await.expect(200);
    for id in ["a", "c"] {
        tenant.as_owner("DELETE", &format!("/api/v1/notes/{id}")).query("permanent", "true").send().await.expect(200);
    }
    assert_eq!(storage(&tenant).await["used_bytes"], 0);
}

#[tokio::test]
async fn a_counter_that_is_wrong_is_found_and_mended_while_records_are_written() {
    let tenant = World::shared().await.unbounded_tenant().await;
    notes(&tenant).await;
    tenant.fill("notes", 0..120, |i| note(&format!("n{i}"), 10)).await;
    let right = of(&tenant, "notes").await;
    assert_eq!(right["recount"], json!({"state": "none", "at": null, "difference": null}));

    tenant.on_shard("UPDATE collection_state SET bytes = bytes + 77 WHERE tenant_id = ?1", &[]).await;
    tenant.as_owner("POST", &format!("/api/v1/tenants/{}/storage/recount", tenant.id)).send().await.expect(202);
    tenant.record("notes", note("a", 10)).await;
    tenant.ask("PATCH", "/api/v1/notes/n99", json!({"title": "x"})).await.expect(200);
    let mended = recounted(&tenant, "notes").await;
    assert_eq!(mended["recount"]["difference"], 77);
    // A second recount finds nothing.
    tenant.as_owner("POST", &format!("/api/v1/tenants/{}/storage/recount", tenant.id)).send().await.expect(202);
    let again = eventually("the second recount", async || {
        let one = of(&tenant, "notes").await;
        (one["recount"]["state"] == "done" && one["recount"]["at"] != mended["recount"]["at"]).then_some(one)
    })
    .await;
    assert_eq!((&again["recount"]["difference"], &again["bytes"]), (&json!(0), &mended["bytes"]));
}

#[tokio::test]
async fn a_collection_of_before_is_counted_by_cron() {
    let world = World::own().await;
    let tenant = world.tenant().create().await;
    notes(&tenant).await;
    tenant.record("notes", note("a", 10)).await;
    let right = of(&tenant, "notes").await;
    tenant.on_shard("UPDATE collection_state SET bytes = NULL, recount_to = '' WHERE tenant_id = ?1", &[]).await;
    assert_eq!(of(&tenant, "notes").await["bytes"], Value::Null);
    tenant.record("notes", note("b", 10)).await;
    let counted = eventually("the count", async || {
        world.scheduled().await;
        let one = of(&tenant, "notes").await;
        (one["recount"]["state"] == "done").then_some(one)
    })
    .await;
    assert_eq!(counted["bytes"], right["bytes"].as_i64().unwrap() * 2);
    assert_eq!(counted["recount"]["difference"], 0);
}

#[tokio::test]
async fn whoever_may_not_is_not_told() {
    let tenant = World::shared().await.tenant().create().await;
    let other = World::shared().await.tenant().create().await;
    let path = format!("/api/v1/tenants/{}/storage", other.id);
    tenant.get(&path).await.expect_problem(404, "tenant_not_found");
    tenant.call("GET", &format!("/api/v1/tenants/{}/storage", tenant.id)).send().await.expect(401);
}
