//! What a record was, and making it so again.

use serde_json::{Value, json};

use crate::world::{Tenant, World};

const ONE: &str = "/api/v1/pages/r1";

/// A page in four versions: made, changed, published, changed.
async fn tenant() -> Tenant {
    let tenant = World::shared().await.unbounded_tenant().await;
    let properties = json!({"title": {"type": "string"}, "body": {"type": "string"}, "meta": {"type": "object"}});
    let statuses = json!({"initial": "draft", "transitions": {"draft": ["live"], "live": []}});
    tenant.collection("pages", properties, json!({"versioned": true, "soft_delete": true, "statuses": statuses})).await;
    tenant.record("pages", json!({"id": "r1", "title": "One", "meta": {"a": 1}})).await;
    for patch in
        [json!({"title": "Two", "body": "x"}), json!({"status": "live"}), json!({"body": null, "meta": {"a": 2}})]
    {
        tenant.ask("PATCH", ONE, patch).await.expect(200);
    }
    tenant
}

async fn version(tenant: &Tenant, rest: &str) -> Value {
    tenant.get(&format!("{ONE}/versions/{rest}")).await.expect(200).data()
}

#[tokio::test]
async fn versions_are_listed_newest_first_and_shown() {
    let tenant = tenant().await;
    let listed = tenant.get(&format!("{ONE}/versions")).await.expect(200);
    assert_eq!(listed.column("version"), [4, 3, 2, 1]);
    assert_eq!(listed.column("operation"), ["update", "update", "update", "create"]);
    assert_eq!(listed.column("status"), ["live", "live", "draft", "draft"]);
    let record = tenant.get(ONE).await.data();
    assert_eq!((&listed.data()[0]["at"], &listed.data()[0]["by"]), (&record["updated_at"], &record["updated_by"]));
    assert_eq!(listed.data()[0].get("data"), None);
    let first = version(&tenant, "1").await;
    assert_eq!(
        (&first["data"], &first["status"], &first["at"]),
        (&json!({"title": "One", "meta": {"a": 1}}), &json!("draft"), &record["created_at"])
    );
    let page = tenant.as_owner("GET", &format!("{ONE}/versions")).query("limit", "3").send().await.expect(200);
    let cursor = page.cursor().unwrap();
    let rest =
        tenant.as_owner("GET", &format!("{ONE}/versions")).query("limit", "3").query("cursor", &cursor).send().await;
    assert_eq!(rest.expect(200).column("version"), [1]);
    tenant.record("pages", json!({"id": "r2"})).await;
    let elsewhere = tenant.as_owner("GET", "/api/v1/pages/r2/versions").query("cursor", &cursor).send().await;
    elsewhere.expect_invalid_query("cursor");
}

#[tokio::test]
async fn a_difference_says_what_changed() {
    let tenant = tenant().await;
    let last = version(&tenant, "2/diff").await;
    assert_eq!((&last["from"], &last["to"]), (&json!(1), &json!(2)));
    let change = |op: &str, path: &str, value: Value, was: Value| {
        let mut change = json!({"op": op, "path": path});
        if !value.is_null() {
            change["value"] = value;
        }
        if !was.is_null() {
            change["was"] = was;
        }
        change
    };
    let sorted = |diff: &Value| {
        let mut changes = diff["changes"].as_array().unwrap().clone();
        changes.sort_by_key(|change| change["path"].to_string());
        Value::from(changes)
    };
    let expected = json!([
        change("add", "/body", json!("x"), Value::Null),
        change("replace", "/title", json!("Two"), json!("One"))
    ]);
    assert_eq!(sorted(&last), expected);
    let status = version(&tenant, "3/diff").await;
    assert_eq!(status["changes"], json!([change("replace", "/status", json!("live"), json!("draft"))]));
    let first = version(&tenant, "1/diff").await;
    assert_eq!((&first["from"], first["changes"].as_array().unwrap().len()), (&Value::Null, 3));
    let far =
        tenant.as_owner("GET", &format!("{ONE}/versions/1/diff")).query("from", "4").send().await.expect(200).data();
    let expected = json!([
        change("replace", "/meta/a", json!(1), json!(2)),
        change("replace", "/status", json!("draft"), json!("live")),
        change("replace", "/title", json!("One"), json!("Two"))
    ]);
    assert_eq!(sorted(&far), expected);
    for bad in ["9", "none", "-1"] {
        let call = tenant.as_owner("GET", &format!("{ONE}/versions/1/diff")).query("from", bad);
        call.send().await.expect_invalid_query("from");
    }
}

#[tokio::test]
async fn a_record_is_made_again_what_it_was() {
    let tenant = tenant().await;
    let restored = tenant.as_owner("POST", &format!("{ONE}/versions/2/restore")).send().await.expect(200);
    let data = restored.data();
    assert_eq!(
        (&data["title"], &data["body"], &data["meta"], &data["status"]),
        (&json!("Two"), &json!("x"), &json!({"a": 1}), &json!("draft"))
    );
    assert_eq!((&data["version"], restored.tag_version()), (&json!(5), 5));
    assert_eq!(tenant.get(ONE).await.data(), data);
    assert_eq!(version(&tenant, "5").await["data"], version(&tenant, "2").await["data"]);
}

#[tokio::test]
async fn a_deleted_record_comes_back_as_it_was() {
    let tenant = tenant().await;
    tenant.as_owner("DELETE", ONE).send().await.expect(200);
    assert_eq!(tenant.get(&format!("{ONE}/versions")).await.expect(200).column("operation")[0], "delete");
    let data = tenant.as_owner("POST", &format!("{ONE}/versions/1/restore")).send().await.expect(200).data();
    assert_eq!((&data["title"], &data["version"]), (&json!("One"), &json!(6)));
    assert_eq!(tenant.ids("pages", &[]).await, ["r1"]);
}

#[tokio::test]
async fn what_it_was_fits_what_its_collection_says_now() {
    let tenant = tenant().await;
    let patch = json!({"schema": {"properties": {"title": {"minLength": 4}, "body": null}}});
    tenant.ask("PATCH", "/api/v1/collections/pages", patch).await.expect(200);
    tenant.as_owner("POST", &format!("{ONE}/versions/2/restore")).send().await.expect_invalid("/title");
    tenant
        .ask("PATCH", "/api/v1/collections/pages", json!({"schema": {"properties": {"title": {"minLength": 3}}}}))
        .await
        .expect(200);
    let data = tenant.as_owner("POST", &format!("{ONE}/versions/2/restore")).send().await.expect(200).data();
    assert_eq!((&data["title"], data.get("body")), (&json!("Two"), None));
}

#[tokio::test]
async fn what_keeps_no_versions_lists_none() {
    let tenant = World::shared().await.unbounded_tenant().await;
    tenant.collection("notes", json!({"text": {"type": "string"}}), json!({})).await;
    tenant.record("notes", json!({"id": "n1"})).await;
    tenant.ask("PATCH", "/api/v1/notes/n1", json!({"text": "x"})).await.expect(200);
    assert_eq!(tenant.get("/api/v1/notes/n1/versions").await.expect(200).data(), json!([]));
    for path in [
        "/api/v1/notes/none/versions",
        "/api/v1/notes/n1/versions/1",
        "/api/v1/notes/n1/versions/1/diff",
        "/api/v1/notes/n1/versions/x",
    ] {
        tenant.get(path).await.expect_problem(404, "not_found");
    }
    for version in ["1", "0", "-1", "x", "99999999999999999999"] {
        let path = format!("/api/v1/notes/n1/versions/{version}/restore");
        tenant.as_owner("POST", &path).send().await.expect_problem(404, "not_found");
    }
}

#[tokio::test]
async fn workflows_keep_their_history() {
    let tenant = World::shared().await.unbounded_tenant().await;
    tenant.template("workflows").await;
    let id = tenant.record("workflows", json!({"name": "Release"})).await["id"].as_str().unwrap().to_owned();
    let path = format!("/api/v1/workflows/{id}");
    for status in ["active", "running", "completed"] {
        tenant.ask("PATCH", &path, json!({"status": status})).await.expect(200);
    }
    let listed = tenant.get(&format!("{path}/versions")).await.expect(200);
    assert_eq!(listed.column("status"), ["completed", "running", "active", "draft"]);
}

#[tokio::test]
async fn what_it_was_has_a_status_that_its_collection_still_has() {
    let tenant = tenant().await;
    tenant.ask("PATCH", ONE, json!({"status": "live"})).await.expect(200);
    // The vocabulary loses the draft that the first versions were.
    let statuses = json!({"statuses": {"initial": "live", "transitions": {"live": ["old"], "draft": null}}});
    tenant.ask("PATCH", "/api/v1/collections/pages", statuses).await.expect(200);
    let refused = tenant.as_owner("POST", &format!("{ONE}/versions/2/restore")).send().await.expect_invalid("/status");
    assert!(
        refused.body.contains("is `draft` in this version") && refused.body.contains("live, old"),
        "{}",
        refused.body
    );
    assert_eq!(refused.codes(), ["unknown_status"]);
    tenant.as_owner("POST", &format!("{ONE}/versions/3/restore")).send().await.expect(200);
    // Without statuses a version has none, and a version without one gets the first.
    tenant.ask("PATCH", "/api/v1/collections/pages", json!({"statuses": null})).await.expect(200);
    let bare = tenant.as_owner("POST", &format!("{ONE}/versions/2/restore")).send().await.expect(200).data();
    assert_eq!((&bare["title"], bare.get("status")), (&json!("Two"), None));
    let version = bare["version"].as_i64().unwrap();
    tenant.ask("PATCH", "/api/v1/collections/pages", json!({"statuses": {"initial": "new"}})).await.expect(200);
    tenant.ask("PATCH", ONE, json!({"title": "Three"})).await.expect(200);
    let path = format!("{ONE}/versions/{version}/restore");
    assert_eq!(tenant.as_owner("POST", &path).send().await.expect(200).data()["status"], "new");
}

#[tokio::test]
async fn a_deleted_record_whose_status_is_gone_comes_back_with_the_first_one() {
    let tenant = tenant().await;
    tenant.as_owner("DELETE", ONE).send().await.expect(200);
    let statuses = json!({"statuses": {"initial": "open", "transitions": {"draft": null, "live": null}}});
    tenant.ask("PATCH", "/api/v1/collections/pages", statuses).await.expect(200);
    let back = tenant.as_owner("POST", &format!("{ONE}/restore")).send().await.expect(200).data();
    assert_eq!(back["status"], "open");
}
