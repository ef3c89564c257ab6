//! Several operations on records at once: all of them or none.

use serde_json::{Value, json};

use crate::world::{Tenant, World, unique};

const BULK: &str = "/api/v1/leads/bulk";

async fn tenant() -> Tenant {
    let tenant = World::shared().await.unbounded_tenant().await;
    let properties =
        json!({"email": {"type": "string", "format": "email"}, "score": {"type": "integer", "minimum": 0}});
    let statuses = json!({"initial": "new", "transitions": {"new": ["won"]}});
    tenant.collection("leads", properties, json!({"soft_delete": true, "versioned": true, "statuses": statuses})).await;
    tenant.fill("leads", 0..5, |i| json!({"id": format!("r{i}"), "score": i})).await;
    tenant
}

#[tokio::test]
async fn operations_of_every_kind_are_done_together() {
    let tenant = tenant().await;
    tenant.as_owner("DELETE", "/api/v1/leads/r4").send().await.expect(200);
    let answer = tenant
        .bulk(
            "leads",
            json!([
                {"op": "create", "id": "n1", "data": {"score": 7}},
                {"op": "create", "data": {"score": 8}},
                {"op": "update", "id": "r0", "data": {"email": "a@example.test", "status": "won"}},
                {"op": "replace", "id": "r1", "data": {"email": "b@example.test"}},
                {"op": "delete", "id": "r2"},
                {"op": "delete", "id": "r3", "permanent": true},
                {"op": "restore", "id": "r4"},
            ]),
        )
        .await
        .expect(200);
    let done = answer.data();
    assert_eq!((&done[0]["id"], &done[0]["version"], &done[1]["score"]), (&json!("n1"), &json!(1), &json!(8)));
    assert_eq!((&done[2]["score"], &done[2]["status"], &done[2]["version"]), (&json!(0), &json!("won"), &json!(2)));
    assert_eq!((done[3].get("score"), &done[3]["email"]), (None, &json!("b@example.test")));
    assert_eq!((&done[4], &done[5]), (&json!({"id": "r2", "deleted": true}), &json!({"id": "r3", "deleted": true})));
    assert_eq!((&done[6]["id"], &done[6]["version"]), (&json!("r4"), &json!(3)));
    for i in [0, 1, 2, 3, 6] {
        let path = format!("/api/v1/leads/{}", done[i]["id"].as_str().unwrap());
        assert_eq!(tenant.get(&path).await.expect(200).data(), done[i], "{i}");
    }
    assert_eq!(tenant.ids("leads", &[("deleted", "true")]).await, ["r2"]);
}

#[tokio::test]
async fn where_one_is_wrong_nothing_is_done() {
    let tenant = tenant().await;
    let before = tenant.listed("leads", &[]).await.data();
    let wrong = tenant
        .bulk(
            "leads",
            json!([
                {"op": "create", "data": {"id": "n1", "score": 7}},
                {"op": "delete", "id": "r0"},
                {"op": "update", "id": "r1", "data": {"score": 9}},
                {"op": "create", "data": {"email": "nobody", "score": -1}},
                {"op": "update", "id": "none", "data": {}},
                {"op": "replace", "id": "r2", "data": {"odd": 1}},
                {"op": "update", "id": "r3", "data": {"status": "lost"}},
                {"op": "restore", "id": "r4"},
            ]),
        )
        .await
        .expect_problem(422, "validation_failed");
    let expected = [
        "/operations/3/data/email",
        "/operations/3/data/score",
        "/operations/4/id",
        "/operations/5/data/odd",
        "/operations/6/data/status",
        "/operations/7/id",
    ];
    assert_eq!(wrong.pointers(), expected);
    assert_eq!(tenant.listed("leads", &[]).await.data(), before);
    // What only the database sees undoes all of it too.
    let taken = json!([{"op": "delete", "id": "r0"}, {"op": "create", "id": "r1", "data": {}}]);
    tenant.bulk("leads", taken).await.expect_problem(409, "conflict");
    assert_eq!(tenant.listed("leads", &[]).await.data(), before);
}

#[tokio::test]
async fn a_status_that_cannot_follow_is_named() {
    let tenant = tenant().await;
    tenant.ask("PATCH", "/api/v1/leads/r0", json!({"status": "won"})).await.expect(200);
    let back = tenant.bulk("leads", json!([{"op": "update", "id": "r0", "data": {"status": "new"}}])).await;
    assert_eq!(
        (back.pointers(), back.codes()),
        (vec!["/operations/0/data/status".to_owned()], vec!["transition_not_allowed".to_owned()])
    );
}

#[tokio::test]
async fn a_record_is_named_once() {
    let tenant = tenant().await;
    let twice = [
        (
            json!([{"op": "create", "id": "n", "data": {}}, {"op": "create", "data": {"id": "n"}}]),
            "/operations/1/data/id",
        ),
        (json!([{"op": "delete", "id": "r1"}, {"op": "delete", "id": "r1"}]), "/operations/1/id"),
        (
            json!([{"op": "delete", "id": "r1"}, {"op": "update", "id": "r1", "data": {"score": 1}}]),
            "/operations/1/data/id",
        ),
        (
            json!([{"op": "update", "id": "r1", "data": {"score": 4}}, {"op": "update", "id": "r1", "data": {"score": 5}}]),
            "/operations/1/data/id",
        ),
    ];
    for (operations, pointer) in twice {
        let wrong = tenant.bulk("leads", operations).await.expect_problem(422, "validation_failed");
        assert_eq!((wrong.pointers(), wrong.codes()), (vec![pointer.to_owned()], vec!["duplicate".to_owned()]));
    }
}

#[tokio::test]
async fn there_are_at_most_a_hundred_operations() {
    let tenant = tenant().await;
    let operations = |count: usize| Value::from(vec![json!({"op": "create", "data": {}}); count]);
    tenant.bulk("leads", operations(101)).await.expect_invalid("/operations");
    tenant.bulk("leads", json!([])).await.expect_invalid("/operations");
    tenant.ask("POST", BULK, json!({})).await.expect_invalid("/operations");
    tenant
        .ask("POST", BULK, json!({"operations": [{"op": "create", "data": {}}], "odd": 1}))
        .await
        .expect_invalid("/odd");
    let done = tenant.bulk("leads", operations(100)).await.expect(200).ids();
    assert!(done.is_sorted(), "made in their order");
    tenant
        .ask("POST", "/api/v1/nothing/bulk", json!({"operations": [{"op": "create", "data": {}}]}))
        .await
        .expect_problem(404, "not_found");
}

#[tokio::test]
async fn an_operation_may_name_the_version_it_means() {
    let tenant = tenant().await;
    tenant.ask("PATCH", "/api/v1/leads/r0", json!({"score": 5})).await.expect(200);
    let with = |tag: &str| json!([{"op": "update", "id": "r1", "data": {"score": 9}}, {"op": "update", "id": "r0", "data": {"score": 6}, "if_match": tag}]);
    let shown = tenant.get("/api/v1/leads/r0").await.expect(200);
    for tag in [shown.tag_of(1), "\"2\"".into()] {
        tenant.bulk("leads", with(&tag)).await.expect_problem(412, "precondition_failed");
    }
    assert_eq!(tenant.get("/api/v1/leads/r1").await.data()["score"], 1);
    tenant.bulk("leads", with(&shown.tag_of(2))).await.expect(200);
}

#[tokio::test]
async fn under_one_key_operations_are_done_once() {
    let tenant = tenant().await;
    let key = unique();
    let body = json!({"operations": [{"op": "create", "data": {"score": 50}}, {"op": "delete", "id": "r0"}]});
    let ask =
        async |body: &Value| tenant.as_owner("POST", BULK).header("Idempotency-Key", &key).json(body).send().await;
    let first = ask(&body).await.expect(200);
    let again = ask(&body).await.expect(200);
    assert_eq!((again.body.as_str(), again.header("idempotent-replayed")), (first.body.as_str(), "true"));
    assert_eq!(tenant.ids("leads", &[("filter", "score = 50")]).await.len(), 1);
    ask(&json!({"operations": [{"op": "delete", "id": "r1"}]})).await.expect_problem(422, "idempotency_key_reused");
}

#[tokio::test]
async fn more_than_the_database_takes_at_once_is_refused_and_changes_nothing() {
    let tenant = World::shared().await.unbounded_tenant().await;
    let fields = json!({"text": {"type": "string"}, "n": {"type": "integer"}});
    tenant.collection("leads", fields, json!({"live": true, "public_read": true})).await;
    let text = "x".repeat(120_000);
    for some in 0..4 {
        tenant.fill("leads", some * 5..some * 5 + 5, |i| json!({"id": format!("r{i}"), "text": text, "n": 0})).await;
    }
    let update = |count: usize| -> Value {
        (0..count).map(|i| json!({"op": "update", "id": format!("r{i}"), "data": {"n": 1}})).collect()
    };
    let refused = tenant.bulk("leads", update(20)).await.expect_problem(413, "records_too_large");
    assert!(refused.json()["detail"].as_str().unwrap().contains("2 MB"), "{}", refused.body);
    let raised = async || {
        let list = tenant.listed("leads", &[("filter", "n = 1"), ("count", "true")]).await.expect(200);
        list.json()["pagination"]["total"].as_u64().unwrap()
    };
    assert_eq!(raised().await, 0);
    tenant.bulk("leads", update(10)).await.expect(200);
    assert_eq!(raised().await, 10);
}
