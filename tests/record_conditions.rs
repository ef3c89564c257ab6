//! Writes under conditions: versions that were seen, keys that count once, bodies that nobody wants back.

use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::world::{Tenant, TestResponse, World, unique};

const LEADS: &str = "/api/v1/leads";
const ONE: &str = "/api/v1/leads/r1";

async fn tenant() -> Tenant {
    let tenant = World::shared().await.unbounded_tenant().await;
    let fields = (0..8).map(|i| (format!("f{i}"), json!({"type": "integer"})));
    tenant.collection("leads", Value::Object(fields.collect()), json!({"soft_delete": true, "versioned": true})).await;
    tenant.record("leads", json!({"id": "r1", "f0": 1})).await;
    tenant
}

async fn matching(tenant: &Tenant, method: &str, path: &str, tag: &str, body: Value) -> TestResponse {
    tenant.as_owner(method, path).header("If-Match", tag).json(&body).send().await
}

#[tokio::test]
async fn a_write_of_another_version_is_refused() {
    let tenant = tenant().await;
    let shown = tenant.get(ONE).await.expect(200);
    assert_eq!(shown.tag_version(), 1);
    let tag = |version| shown.tag_of(version);
    matching(&tenant, "PATCH", ONE, &tag(1), json!({"f0": 2})).await.expect(200);
    for (method, path) in
        [("PATCH", ONE), ("PUT", ONE), ("DELETE", ONE), ("POST", "/api/v1/leads/r1/versions/1/restore")]
    {
        // The number alone is no tag: a record that is made again begins at 1 again.
        for tag in [tag(1), "\"2\"".into()] {
            let refused = matching(&tenant, method, path, &tag, json!({"f0": 3})).await;
            refused.expect_problem(412, "precondition_failed");
        }
    }
    assert_eq!(tenant.get(ONE).await.data()["f0"], 2);
    matching(&tenant, "PATCH", ONE, &format!("\"7\", {}", tag(2)), json!({"f0": 3})).await.expect(200);
    matching(&tenant, "PUT", ONE, "*", json!({"f0": 4})).await.expect(200);
    matching(&tenant, "DELETE", ONE, &tag(4), json!({})).await.expect(200);
    matching(&tenant, "POST", "/api/v1/leads/r1/restore", &tag(4), json!({})).await.expect(412);
    matching(&tenant, "POST", "/api/v1/leads/r1/restore", &tag(5), json!({})).await.expect(200);
    matching(&tenant, "PATCH", "/api/v1/leads/none", "*", json!({})).await.expect_problem(404, "not_found");
}

/// RFC 9110, 13.1.1: a weak tag is no match, `*` is what is there; and 13.1.2, of methods that do not read.
#[tokio::test]
async fn tags_are_compared_strongly_before_a_change() {
    let tenant = tenant().await;
    let tag = tenant.get(ONE).await.expect(200).header("etag").to_owned();
    let put = |name: &str, value: &str| tenant.as_owner("PUT", ONE).header(name, value).json(&json!({"f0": 1})).send();
    for sent in [format!("W/{tag}"), format!("\"a,b\", W/{tag}"), tag.trim_matches('"').to_owned(), "\"x\"".into()] {
        put("If-Match", &sent).await.expect_problem(412, "precondition_failed");
    }
    for sent in [tag.clone(), format!("\"a,b\",{tag}"), format!(", W/\"x\" , {tag}"), "*".into()] {
        put("If-Match", &sent).await.expect(200);
    }
    for sent in [tag.clone(), format!("W/{tag}"), "*".into()] {
        put("If-None-Match", &sent).await.expect_problem(412, "precondition_failed");
    }
    put("If-None-Match", "\"x\"").await.expect(200);
    let get = |name: &'static str, value: String| tenant.as_owner("GET", ONE).header(name, &value).send();
    get("If-Match", format!("W/{tag}")).await.expect_problem(412, "precondition_failed");
    get("If-Match", tag.clone()).await.expect(200);
    // 412 goes before 304.
    let both = tenant.as_owner("GET", ONE).header("If-Match", "\"x\"").header("If-None-Match", &tag);
    both.send().await.expect(412);
    for method in ["PATCH", "DELETE"] {
        let call = tenant.as_owner(method, ONE).header("If-None-Match", "*").json(&json!({"f0": 5}));
        call.send().await.expect_problem(412, "precondition_failed");
    }
    // A list without a tag has none that could match; with `If-None-Match`, that is what is wanted. (A header without a value
    // does not reach a Worker.)
    put("If-Match", ",").await.expect_problem(412, "precondition_failed");
    put("If-None-Match", ",").await.expect(200);
    tenant.as_owner("DELETE", ONE).header("If-Match", ",").send().await.expect_problem(412, "precondition_failed");
    for (name, status) in [("If-Match", 412), ("If-None-Match", 200), ("If-Unmodified-Since", 200)] {
        tenant.as_owner("GET", ONE).header(name, ",").send().await.expect(status);
    }
    put("If-Unmodified-Since", "").await.expect(200);
    // No time is told of records, so conditions on dates do not count (13.1.4).
    put("If-Unmodified-Since", "Sun, 06 Nov 1994 08:49:37 GMT").await.expect(200);
}

#[tokio::test]
async fn a_put_that_wants_nothing_there_makes_a_record_once() {
    let tenant = tenant().await;
    let path = "/api/v1/leads/new";
    let put = |path: &str, body: Value| tenant.as_owner("PUT", path).header("If-None-Match", "*").json(&body);
    // Without the condition, and with one that speaks of what is there, nothing is made.
    tenant.ask("PUT", path, json!({"f0": 1})).await.expect_problem(404, "not_found");
    for (name, value) in [("If-Match", "*"), ("If-None-Match", "\"x\"")] {
        tenant.as_owner("PUT", path).header(name, value).json(&json!({"f0": 1})).send().await.expect(404);
    }
    put(path, json!({"f0": "one"})).send().await.expect_invalid("/f0");
    put(path, json!({"id": "other"})).send().await.expect_invalid("/id");
    put("/api/v1/leads/not%20an%20id", json!({})).send().await.expect_invalid("/id");
    let made = put(path, json!({"id": "new", "f0": 1})).send().await.expect(201);
    assert_eq!((made.header("location"), made.tag_version(), &made.data()["f0"]), (path, 1, &json!(1)));
    assert_eq!(tenant.get(path).await.expect(200).header("etag"), made.header("etag"));
    put(path, json!({"f0": 2})).send().await.expect_problem(412, "precondition_failed");
    assert_eq!(tenant.get(path).await.data()["f0"], 1);
    let little = put("/api/v1/leads/little", json!({})).header("Prefer", "return=minimal").send().await.expect(201);
    assert_eq!((little.data(), little.header("preference-applied")), (json!({"id": "little"}), "return=minimal"));
    // What is deleted and kept is not there, and keeps its id.
    tenant.as_owner("DELETE", path).send().await.expect(200);
    put(path, json!({"f0": 3})).send().await.expect_problem(409, "conflict");
    tenant.as_owner("DELETE", path).query("permanent", "true").send().await.expect(200);
    assert_eq!(put(path, json!({"f0": 3})).send().await.expect(201).tag_version(), 1);
}

#[tokio::test]
async fn of_many_that_want_nothing_there_one_makes_it() {
    let tenant = tenant().await;
    let mut running = JoinSet::new();
    for i in 0..8 {
        let tenant = tenant.clone();
        running.spawn(async move {
            let call = tenant.as_owner("PUT", "/api/v1/leads/one").header("If-None-Match", "*").json(&json!({"f0": i}));
            call.send().await
        });
    }
    let mut statuses: Vec<u16> = running.join_all().await.iter().map(|answer| answer.status).collect();
    statuses.sort_unstable();
    assert_eq!(statuses, [201, 412, 412, 412, 412, 412, 412, 412]);
    assert_eq!(tenant.get("/api/v1/leads/one").await.data()["version"], 1);
}

#[tokio::test]
async fn what_is_known_is_not_sent_again() {
    let tenant = tenant().await;
    let ask = async |tag: &str| tenant.as_owner("GET", ONE).header("If-None-Match", tag).send().await;
    let shown = tenant.get(ONE).await.expect(200);
    let tag = shown.tag_of(1);
    for known in [tag.clone(), format!("W/{tag}"), format!("\"0\", {tag}"), "*".into()] {
        let answer = ask(&known).await.expect(304);
        assert_eq!((answer.body.as_str(), answer.header("etag")), ("", tag.as_str()), "{known}");
    }
    ask(&shown.tag_of(2)).await.expect(200);
    tenant.ask("PATCH", ONE, json!({"f0": 2})).await.expect(200);
    assert_eq!(ask(&tag).await.expect(200).header("etag"), shown.tag_of(2));
}

#[tokio::test]
async fn changes_of_different_fields_at_once_all_survive() {
    let tenant = tenant().await;
    let mut running = JoinSet::new();
    for i in 0..8 {
        let tenant = tenant.clone();
        running.spawn(async move { tenant.ask("PATCH", ONE, json!({format!("f{i}"): 10 + i})).await });
    }
    for answer in running.join_all().await {
        answer.expect(200);
    }
    let shown = tenant.get(ONE).await.expect(200).data();
    assert_eq!(shown["version"], 9);
    for i in 0..8 {
        assert_eq!(shown[format!("f{i}")], 10 + i);
    }
}

#[tokio::test]
async fn of_changes_to_one_version_at_once_one_is_made() {
    let tenant = tenant().await;
    let tag = tenant.get(ONE).await.expect(200).tag_of(1);
    let mut running = JoinSet::new();
    for i in 0..6 {
        let call = tenant.as_owner("PATCH", ONE).header("If-Match", &tag).json(&json!({"f1": i}));
        running.spawn(call.send());
    }
    let mut statuses: Vec<u16> = running.join_all().await.iter().map(|answer| answer.status).collect();
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 412, 412, 412, 412, 412]);
}

async fn keyed(tenant: &Tenant, path: &str, key: &str, body: &Value) -> TestResponse {
    tenant.as_owner("POST", path).header("Idempotency-Key", key).json(body).send().await
}

#[tokio::test]
async fn under_one_key_a_record_is_made_once() {
    let tenant = tenant().await;
    let (key, body) = (unique(), json!({"f0": 7}));
    let mut running = JoinSet::new();
    for _ in 0..5 {
        let (tenant, key, body) = (tenant.clone(), key.clone(), body.clone());
        running.spawn(async move { keyed(&tenant, LEADS, &key, &body).await });
    }
    let answers = running.join_all().await;
    for answer in &answers {
        assert_eq!((answer.status, &answer.body), (201, &answers[0].body));
        assert_eq!((answer.tag_version(), answer.header("etag")), (1, answers[0].header("etag")));
        assert_eq!(answer.header("location"), answers[0].header("location"));
    }
    assert_eq!(tenant.ids("leads", &[("filter", "f0 = 7")]).await.len(), 1);
    keyed(&tenant, LEADS, &key, &json!({"f0": 8})).await.expect_problem(422, "idempotency_key_reused");
    // The answer is what it was, whatever became of the record.
    let path = answers[0].header("location").to_owned();
    tenant.ask("PATCH", &path, json!({"f0": 9})).await.expect(200);
    let again = keyed(&tenant, LEADS, &key, &body).await.expect(201);
    assert_eq!((again.body.as_str(), again.header("idempotent-replayed")), (answers[0].body.as_str(), "true"));
}

#[tokio::test]
async fn a_key_counts_for_its_collection_only() {
    let tenant = tenant().await;
    tenant.collection("deals", json!({"f0": {"type": "integer"}}), json!({})).await;
    let (key, body) = (unique(), json!({"f0": 7}));
    let lead = keyed(&tenant, LEADS, &key, &body).await.expect(201);
    let deal = keyed(&tenant, "/api/v1/deals", &key, &body).await;
    // The same key in another place is another use of it: made anew, or refused; never the other's answer.
    assert!(deal.status == 201 || deal.status == 422, "{}", deal.body);
    assert_ne!(deal.header("location"), lead.header("location"));
    assert_ne!(deal.body, lead.body);
}

#[tokio::test]
async fn who_wants_little_gets_no_body_but_the_id_of_what_was_made() {
    let tenant = tenant().await;
    let minimal = async |method: &str, path: &str, body: Value| {
        let answer =
            tenant.as_owner(method, path).header("Prefer", "respond-async, Return=Minimal").json(&body).send().await;
        assert_eq!(answer.header("preference-applied"), "return=minimal");
        assert!(answer.status == 201 || answer.body.is_empty(), "{}", answer.body);
        answer
    };
    let made = minimal("POST", LEADS, json!({"id": "r2"})).await.expect(201);
    assert_eq!(made.json()["data"], json!({"id": "r2"}));
    assert_eq!((made.header("location"), made.tag_version()), ("/api/v1/leads/r2", 1));
    assert_eq!(minimal("PATCH", ONE, json!({"f0": 2})).await.expect(204).tag_version(), 2);
    minimal("PUT", ONE, json!({})).await.expect(204);
    minimal("POST", "/api/v1/leads/bulk", json!({"operations": [{"op": "delete", "id": "r2"}]})).await.expect(204);
    minimal("DELETE", ONE, json!({})).await.expect(204);
    minimal("POST", "/api/v1/leads/r1/restore", json!({})).await.expect(204);
    let wrong = tenant.as_owner("PATCH", ONE).header("Prefer", "return=minimal").json(&json!({"odd": 1})).send().await;
    wrong.expect_invalid("/odd");
}
