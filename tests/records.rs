//! Records, one at a time.

use serde_json::json;

use crate::world::{Tenant, TestResponse, World, eventually};

const LEADS: &str = "/api/v1/leads";

async fn tenant() -> Tenant {
    let tenant = World::shared().await.unbounded_tenant().await;
    let properties = json!({
        "email": {"type": "string", "format": "email", "unique": true},
        "name": {"type": "string", "maxLength": 50, "default": "nobody"},
        "score": {"type": "integer", "minimum": 0, "indexed": true},
        "tags": {"type": "array", "items": {"type": "string"}, "indexed": true},
        "at": {"type": "string", "format": "date-time"},
    });
    let statuses = json!({"initial": "new", "transitions": {"new": ["won", "lost"], "lost": ["new"]}});
    tenant.collection("leads", properties, json!({"statuses": statuses, "versioned": true, "soft_delete": true})).await;
    tenant
}

#[tokio::test]
async fn a_record_is_made_shown_changed_and_deleted() {
    let tenant = tenant().await;
    let body = json!({"email": "ada@example.test", "score": 3, "at": "2026-01-01T12:00:00+02:00"});
    let made = tenant.as_owner("POST", LEADS).json(&body).send().await.expect(201);
    let data = made.data();
    let path = format!("{LEADS}/{}", data["id"].as_str().unwrap());
    assert_eq!((made.header("location"), made.tag_version()), (path.as_str(), 1));
    assert_eq!(data["name"], "nobody");
    assert_eq!((&data["status"], &data["tenant_id"]), (&json!("new"), &json!(tenant.id)));
    assert_eq!(data["at"], "2026-01-01T10:00:00.000Z");
    let shown = tenant.as_owner("GET", &path).send().await.expect(200);
    assert_eq!(shown.data(), data);
    let patch = json!({"score": null, "tags": ["a", "b"], "status": "won"});
    let changed = tenant.as_owner("PATCH", &path).json(&patch).send().await.expect(200);
    assert_eq!(changed.header("etag"), made.tag_of(2));
    assert_eq!((&changed.data()["tags"], changed.data().get("score")), (&json!(["a", "b"]), None));
    assert_eq!(tenant.as_owner("GET", &path).send().await.expect(200).data(), changed.data());
    tenant.as_owner("DELETE", &path).send().await.expect(200);
    tenant.as_owner("GET", &path).send().await.expect_problem(404, "not_found");
}

#[tokio::test]
async fn a_put_gives_all_fields_anew() {
    let tenant = tenant().await;
    tenant
        .record("leads", json!({"id": "r1", "email": "a@example.test", "score": 3, "name": "Ada", "status": "lost"}))
        .await;
    let put = tenant.ask("PUT", "/api/v1/leads/r1", json!({"email": "b@example.test"})).await.expect(200);
    let data = put.data();
    assert_eq!((&data["email"], &data["name"], data.get("score")), (&json!("b@example.test"), &json!("nobody"), None));
    assert_eq!((&data["status"], &data["version"], put.tag_version()), (&json!("lost"), &json!(2), 2));
    tenant.ask("PUT", "/api/v1/leads/none", json!({})).await.expect_problem(404, "not_found");
}

#[tokio::test]
async fn a_change_that_changes_nothing_is_no_version() {
    let tenant = tenant().await;
    let made = tenant.record("leads", json!({"id": "r1", "score": 3})).await;
    for (method, body) in
        [("PATCH", json!({})), ("PATCH", json!({"score": 3.0, "status": "new"})), ("PUT", json!({"score": 3}))]
    {
        assert_eq!(tenant.ask(method, "/api/v1/leads/r1", body).await.expect(200).data(), made, "{method}");
    }
}

#[tokio::test]
async fn a_client_may_name_the_record() {
    let tenant = tenant().await;
    let made = tenant.ask("POST", LEADS, json!({"id": "Ada_1-x"})).await.expect(201);
    assert_eq!((&made.data()["id"], made.header("location")), (&json!("Ada_1-x"), "/api/v1/leads/Ada_1-x"));
    let taken = tenant.ask("POST", LEADS, json!({"id": "Ada_1-x"})).await.expect_problem(409, "conflict");
    assert_eq!((taken.pointers(), taken.codes()), (vec!["/id".to_owned()], vec!["taken".to_owned()]));
    tenant.as_owner("DELETE", &format!("{LEADS}/Ada_1-x")).send().await.expect(200);
    tenant.ask("POST", LEADS, json!({"id": "Ada_1-x"})).await.expect_problem(409, "conflict");
    for bad in [json!(""), json!("-a"), json!("a b"), json!("a/b"), json!("bulk"), json!(7), json!("x".repeat(65))] {
        tenant.ask("POST", LEADS, json!({"id": bad})).await.expect_invalid("/id");
    }
    // What stands behind records in paths is no hindrance.
    for id in ["versions", "restore"] {
        tenant.record("leads", json!({"id": id})).await;
        assert_eq!(tenant.get(&format!("{LEADS}/{id}")).await.expect(200).data()["id"], id);
        tenant.ask("PATCH", &format!("{LEADS}/{id}"), json!({"score": 1})).await.expect(200);
    }
    // An id is free in every other collection and tenant.
    tenant.collection("deals", json!({}), json!({})).await;
    tenant.record("deals", json!({"id": "Ada_1-x"})).await;
}

#[tokio::test]
async fn ids_that_are_made_follow_time() {
    let tenant = tenant().await;
    let mut ids = Vec::new();
    for _ in 0..3 {
        ids.push(tenant.record("leads", json!({})).await["id"].as_str().unwrap().to_owned());
        tokio::time::sleep(std::time::Duration::from_millis(2)).await;
    }
    assert!(ids.is_sorted() && ids[0].len() == 36, "{ids:?}");
}

#[tokio::test]
async fn every_mistake_is_told_at_once() {
    let tenant = tenant().await;
    let body = json!({"id": "-", "status": "none", "version": 1, "email": "nobody", "name": "x".repeat(51), "score": -1,
        "tags": ["a", 2], "at": "yesterday", "odd": 1, "a/b~c": 2});
    let wrong = tenant.ask("POST", LEADS, body).await.expect_problem(422, "validation_failed");
    let expected = ["/version", "/id", "/status", "/email", "/name", "/score", "/tags/1", "/at", "/odd", "/a~1b~0c"];
    assert_eq!(wrong.pointers(), expected);
    assert!(tenant.ids("leads", &[]).await.is_empty());
    tenant.as_owner("POST", LEADS).json(&json!([])).send().await.expect(422);
    let broken = tenant.as_owner("POST", LEADS).header("Content-Type", "application/json").bytes(b"{".to_vec());
    broken.send().await.expect_problem(400, "malformed_json");
    let plain = tenant.as_owner("POST", LEADS).header("Content-Type", "text/plain").bytes(b"{}".to_vec());
    plain.send().await.expect_problem(415, "unsupported_media_type");
}

#[tokio::test]
async fn formats_are_held_and_kept_in_one_spelling() {
    let tenant = tenant().await;
    let text = |format: &str| json!({"type": "string", "format": format});
    let properties = json!({"at": text("date-time"), "day": text("date"), "mail": text("email"), "uri": text("uri"), "uuid": text("uuid")});
    tenant.collection("things", properties, json!({})).await;
    let good = json!({"at": "2026-02-28T23:30:00.5-01:00", "day": "2024-02-29", "mail": "a.b+c@example.test",
        "uri": "https://example.test/a?b#c", "uuid": "550e8400-e29b-41d4-a716-446655440000"});
    let made = tenant.record("things", good.clone()).await;
    assert_eq!(made["at"], "2026-03-01T00:30:00.500Z");
    for name in ["day", "mail", "uri", "uuid"] {
        assert_eq!(made[name], good[name]);
    }
    for (name, bad) in [
        ("at", "2026-02-30T00:00:00Z"),
        ("at", "2026-02-28"),
        ("day", "2023-02-29"),
        ("mail", "a@"),
        ("uri", "no uri"),
        ("uuid", "550e8400"),
    ] {
        tenant.ask("POST", "/api/v1/things", json!({name: bad})).await.expect_invalid(&format!("/{name}"));
    }
}

#[tokio::test]
async fn what_the_platform_keeps_is_sent_back_but_not_changed() {
    let tenant = tenant().await;
    let made = tenant.record("leads", json!({"id": "r1", "score": 1})).await;
    let mut back = made.clone();
    back["score"] = json!(2);
    let path = format!("{LEADS}/r1");
    let put = tenant.ask("PUT", &path, back.clone()).await.expect(200).data();
    assert_eq!((&put["score"], &put["version"], &put["created_at"]), (&json!(2), &json!(2), &made["created_at"]));
    // Version and time are those of the state before.
    assert_eq!(tenant.ask("PATCH", &path, made).await.expect(422).pointers()[0], "/version");
    tenant.ask("PATCH", &path, put).await.expect(200);
    for name in
        ["id", "version", "created_at", "updated_at", "created_by", "updated_by", "deleted_at", "collection", "file"]
    {
        for method in ["PATCH", "PUT"] {
            let wrong = tenant.ask(method, &path, json!({name: "other"})).await.expect_invalid(&format!("/{name}"));
            assert_eq!(wrong.codes(), ["read_only"]);
        }
        if name != "id" {
            tenant.ask("POST", LEADS, json!({name: "other"})).await.expect_invalid(&format!("/{name}"));
        }
    }
}

#[tokio::test]
async fn a_body_that_names_another_tenant_is_answered_as_of_none() {
    let (tenant, other) = (tenant().await, tenant().await);
    tenant.template("campaigns").await;
    for (path, name) in [(LEADS, "tenant_id"), ("/api/v1/campaigns", "client_id"), ("/api/v1/campaigns", "tenant_id")] {
        let refused = tenant.ask("POST", path, json!({name: other.id, "name": "x"})).await;
        let refused = refused.expect_problem(404, "tenant_not_found");
        assert_eq!(refused.masked(&[]), tenant.ask("POST", path, json!({name: "nobody-at-all"})).await.masked(&[]));
        noticed(&tenant, &refused).await;
        let made = tenant.record(path.rsplit('/').next().unwrap(), json!({name: tenant.id, "name": "x"})).await;
        let path = format!("{path}/{}", made["id"].as_str().unwrap());
        for method in ["PATCH", "PUT"] {
            let body = json!({name: other.id, "name": "x"});
            tenant.ask(method, &path, body).await.expect_problem(404, "tenant_not_found");
            tenant.ask(method, &path, json!({name: tenant.id, "name": "x"})).await.expect(200);
        }
    }
    let bulk = json!([{"op": "create", "data": {"tenant_id": other.id}}]);
    noticed(&tenant, &tenant.bulk("leads", bulk).await.expect_problem(404, "tenant_not_found")).await;
}

/// The request left a line that says what it tried.
async fn noticed(tenant: &Tenant, answer: &TestResponse) {
    let id = answer.header("x-request-id").to_owned();
    eventually("the attempt's line", async || {
        let lines = tenant.world.logs().await;
        lines
            .iter()
            .any(|line| line["request_id"] == *id && line.to_string().contains("cross_tenant_attempt"))
            .then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_collection_may_show_its_tenant_as_client() {
    let tenant = tenant().await;
    tenant.template("campaigns").await;
    let made = tenant.record("campaigns", json!({"name": "Spring"})).await;
    assert_eq!((&made["client_id"], &made["tenant_id"]), (&json!(tenant.id), &json!(tenant.id)));
    let listed = tenant.listed("campaigns", &[]).await.expect(200);
    assert_eq!(listed.data()[0], made);
    assert_eq!(tenant.record("leads", json!({})).await.get("client_id"), None);
    tenant.ask("POST", LEADS, json!({"client_id": tenant.id})).await.expect_invalid("/client_id");
    for collection in ["leads", "campaigns"] {
        let another = json!({"client_id": "another", "name": "x"});
        let answer = tenant.ask("POST", &format!("/api/v1/{collection}"), another).await;
        answer.expect_problem(404, "tenant_not_found");
    }
}

#[tokio::test]
async fn statuses_follow_their_vocabulary() {
    let tenant = tenant().await;
    assert_eq!(tenant.record("leads", json!({"id": "r1"})).await["status"], "new");
    assert_eq!(tenant.record("leads", json!({"id": "r2", "status": "lost"})).await["status"], "lost");
    for bad in [json!("none"), json!(5), json!("")] {
        tenant.ask("POST", LEADS, json!({"status": bad})).await.expect_invalid("/status");
    }
    let to =
        async |id: &str, status: &str| tenant.ask("PATCH", &format!("{LEADS}/{id}"), json!({"status": status})).await;
    let refused = to("r2", "won").await.expect_problem(409, "transition_not_allowed");
    assert_eq!(
        (refused.pointers(), &refused.json()["errors"][0]["message"]),
        (vec!["/status".to_owned()], &json!("must be one of: new"))
    );
    to("r2", "new").await.expect(200);
    to("r2", "won").await.expect(200);
    to("r2", "won").await.expect(200);
    let end = to("r2", "new").await.expect_problem(409, "transition_not_allowed");
    assert_eq!(end.json()["errors"][0]["message"], "cannot be changed: the record's current status is final");
    to("r1", "none").await.expect_invalid("/status");
    let put = tenant.ask("PUT", &format!("{LEADS}/r2"), json!({"status": "lost"})).await;
    put.expect_problem(409, "transition_not_allowed");
    tenant.collection("plain", json!({}), json!({})).await;
    tenant.ask("POST", "/api/v1/plain", json!({"status": "new"})).await.expect_invalid("/status");
}

#[tokio::test]
async fn a_status_that_the_collection_no_longer_has_stays_until_another_is_asked_for() {
    let tenant = tenant().await;
    let vocabulary = json!({"initial": "draft", "transitions": {"draft": ["live"], "live": []}});
    tenant.collection("pages", json!({"title": {"type": "string"}}), json!({"statuses": vocabulary})).await;
    for id in ["a", "b", "c"] {
        tenant.record("pages", json!({"id": id, "title": "x"})).await;
    }
    let other = json!({"initial": "new", "transitions": {"draft": null, "live": ["new"], "new": ["live"]}});
    tenant.ask("PATCH", "/api/v1/collections/pages", json!({"statuses": other})).await.expect(200);
    let of = |id: &str| format!("/api/v1/pages/{id}");
    let shown = tenant.get(&of("a")).await.data();
    assert_eq!(shown["status"], "draft");
    // What is shown can be sent back, and a change of something else changes no status.
    for method in ["PUT", "PATCH"] {
        let shown = tenant.get(&of("a")).await.data();
        assert_eq!(tenant.ask(method, &of("a"), shown).await.expect(200).data()["status"], "draft", "{method}");
    }
    let titled = tenant.ask("PATCH", &of("b"), json!({"title": "y"})).await.expect(200).data();
    assert_eq!((&titled["status"], &titled["title"]), (&json!("draft"), &json!("y")));
    let told = tenant.ask("PATCH", &of("b"), json!({"status": "gone"})).await.expect_invalid("/status");
    assert!(told.body.contains("new, live"), "{}", told.body);
    assert_eq!(tenant.ask("PATCH", &of("c"), json!({"status": "live"})).await.expect(200).data()["status"], "live");
    tenant.ask("PATCH", &of("c"), json!({"status": "draft"})).await.expect_invalid("/status");
}

#[tokio::test]
async fn a_record_has_at_most_128_kilobytes() {
    let tenant = tenant().await;
    tenant.collection("texts", json!({"text": {"type": "string"}}), json!({})).await;
    let of = |length: usize| json!({"text": "x".repeat(length - r#"{"text":""}"#.len())});
    let most = 128 * 1024;
    let made = tenant.record("texts", of(most)).await;
    assert_eq!(made["text"].as_str().unwrap().len(), most - 11);
    tenant.ask("POST", "/api/v1/texts", of(most + 1)).await.expect_invalid("");
    tenant.ask("POST", "/api/v1/texts", of(3 * most)).await.expect_problem(413, "body_too_large");
}

#[tokio::test]
async fn head_answers_as_get_without_a_body() {
    let tenant = tenant().await;
    tenant.record("leads", json!({"id": "r1"})).await;
    for path in [LEADS.to_owned(), format!("{LEADS}/r1")] {
        let got = tenant.get(&path).await.expect(200);
        let head = tenant.as_owner("HEAD", &path).send().await.expect(200);
        assert_eq!((head.body.as_str(), head.header("etag")), ("", got.header("etag")));
    }
    tenant.as_owner("HEAD", &format!("{LEADS}/none")).send().await.expect(404);
}

#[tokio::test]
async fn every_path_has_the_seeds_spelling_too() {
    let tenant = tenant().await;
    let made = tenant.ask("POST", "/api/leads", json!({"id": "r1"})).await.expect(201);
    assert_eq!(tenant.get("/api/leads/r1").await.expect(200).data(), made.data());
    assert_eq!(tenant.get("/api/leads").await.expect(200).ids(), ["r1"]);
    tenant.ask("PATCH", "/api/leads/r1", json!({"score": 1})).await.expect(200);
    assert_eq!(tenant.get("/api/leads/r1/versions").await.expect(200).data().as_array().unwrap().len(), 2);
    tenant.as_owner("DELETE", "/api/leads/r1").send().await.expect(200);
    tenant.as_owner("POST", "/api/leads/r1/restore").send().await.expect(200);
    tenant.get("/api/collections/leads").await.expect(200);
}

#[tokio::test]
async fn what_is_not_there_is_missing_whosever_it_is() {
    let (tenant, other) = (tenant().await, tenant().await);
    other.record("leads", json!({"id": "theirs"})).await;
    for (method, rest) in [
        ("GET", ""),
        ("PATCH", ""),
        ("PUT", ""),
        ("DELETE", ""),
        ("POST", "/restore"),
        ("GET", "/versions"),
        ("GET", "/versions/1"),
    ] {
        let ask = async |path: String| {
            let answer = tenant.ask(method, &path, json!({})).await.expect_problem(404, "not_found");
            answer.masked(&["theirs", "nobody"])
        };
        let missing = ask(format!("{LEADS}/nobody{rest}")).await;
        assert_eq!(ask(format!("{LEADS}/theirs{rest}")).await, missing, "{method}{rest}");
        assert_eq!(ask(format!("/api/v1/deals/nobody{rest}")).await, missing, "{method}{rest}");
    }
    tenant.ask("POST", "/api/v1/deals", json!({})).await.expect_problem(404, "not_found");
    tenant.get("/api/v1/deals").await.expect_problem(404, "not_found");
}
