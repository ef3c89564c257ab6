//! Collections: what kinds of records a tenant has, and how the index of them is built.

use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::world::{Tenant, World, eventually, unique};

const COLLECTIONS: &str = "/api/v1/collections";
const LEADS: &str = "/api/v1/collections/leads";

async fn tenant() -> Tenant {
    World::shared().await.unbounded_tenant().await
}

/// A tenant with leads: 900 of them are indexed behind an answer, 600 of them before it.
async fn filled(records: usize) -> Tenant {
    let tenant = tenant().await;
    let properties = json!({"score": {"type": "integer"}, "name": {"type": "string"}, "code": {"type": "string"}});
    tenant.collection("leads", properties, json!({})).await;
    tenant
        .fill("leads", 0..records, |i| json!({"id": format!("l{i:04}"), "score": i % 10, "name": format!("Größe {i}"), "code": format!("c{i}")}))
        .await;
    tenant
}

fn declaring(field: &str, declarations: Value) -> Value {
    json!({"schema": {"properties": {field: declarations}}})
}

#[tokio::test]
async fn a_collection_is_made_shown_listed_changed_and_deleted() {
    let tenant = tenant().await;
    let schema =
        json!({"type": "object", "properties": {"email": {"type": "string", "unique": true}}, "required": ["email"]});
    let statuses = json!({"initial": "new", "transitions": {"new": ["won"]}});
    let body = json!({"slug": "leads", "name": "Leads", "description": "Who asks", "schema": schema, "statuses": statuses,
        "versioned": true, "soft_delete": true, "live": true, "public_read": true, "alias": "client_id"});
    let made = tenant.ask("POST", COLLECTIONS, body.clone()).await.expect(201);
    assert_eq!(made.header("location"), LEADS);
    for (name, value) in body.as_object().unwrap() {
        assert_eq!(&made.data()[name], value, "{name}");
    }
    let expected = json!({"state": "ready", "done": 0, "total": 0, "failure": null});
    assert_eq!(
        (&made.data()["index"], &made.data()["files"], &made.data()["records"]),
        (&expected, &json!(false), &json!(0))
    );
    let shown = tenant.get(LEADS).await.expect(200);
    assert_eq!((shown.data(), shown.tag_version()), (made.data(), 1));
    tenant.collection("accounts", json!({}), json!({})).await;
    let listed = tenant.get(COLLECTIONS).await.expect(200);
    assert_eq!(listed.column("slug"), ["accounts", "leads"]);
    assert_eq!(listed.data()[1], made.data());
    let changed = tenant.ask("PATCH", LEADS, json!({"name": "People", "live": false, "alias": null})).await.expect(200);
    assert_eq!(
        (&changed.data()["name"], &changed.data()["live"], &changed.data()["alias"]),
        (&json!("People"), &json!(false), &json!(null))
    );
    assert_eq!((&changed.data()["schema"], changed.header("etag")), (&schema, shown.tag_of(2).as_str()));
    let gone = tenant.as_owner("DELETE", LEADS).send().await.expect(200);
    assert_eq!(gone.data(), json!({"slug": "leads", "pending": false}));
    for (method, path) in [("GET", LEADS), ("DELETE", LEADS), ("GET", "/api/v1/leads")] {
        tenant.as_owner(method, path).send().await.expect_problem(404, "not_found");
    }
}

#[tokio::test]
async fn a_slug_is_taken_once() {
    let tenant = tenant().await;
    tenant.collection("leads", json!({}), json!({})).await;
    let body = json!({"slug": "leads", "schema": {"type": "object", "properties": {}}});
    let taken = tenant.ask("POST", COLLECTIONS, body).await.expect_problem(409, "conflict");
    assert_eq!(taken.pointers(), ["/slug"]);
}

#[tokio::test]
async fn a_tenant_has_at_most_a_hundred_collections() {
    let tenant = tenant().await;
    let numbers = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 99)";
    let collections = "INSERT INTO collections (tenant_id, slug, name, schema, statuses, versioned, soft_delete, live, \
        public_read, files, revision, created_at, updated_at) SELECT ?1, 'c' || i, '', \
        '{\"type\":\"object\",\"properties\":{}}', 'null', 0, 0, 0, 0, 0, 1, 1, 1 FROM n";
    let states = "INSERT INTO collection_state (tenant_id, collection) SELECT ?1, 'c' || i FROM n";
    for insert in [collections, states] {
        tenant.on_shard(&format!("{numbers} {insert}"), &[]).await;
    }
    let apply = || tenant.as_owner("POST", "/api/v1/templates/newsroom/apply").send();
    let body = |slug: &str| json!({"slug": slug, "schema": {"type": "object", "properties": {}}});
    let refused = apply().await.expect_problem(409, "too_many");
    assert_eq!(refused.json()["detail"], "Limit reached: at most 100 collections.");
    tenant.ask("POST", COLLECTIONS, body("last")).await.expect(201);
    tenant.ask("POST", COLLECTIONS, body("more")).await.expect_problem(409, "too_many");
    assert_eq!(tenant.get(COLLECTIONS).await.expect(200).data().as_array().unwrap().len(), 100);
}

#[tokio::test]
async fn a_patch_merges_into_the_schema() {
    let tenant = tenant().await;
    tenant
        .collection("leads", json!({"a": {"type": "string", "maxLength": 5}, "b": {"type": "string"}}), json!({}))
        .await;
    let patch = json!({"schema": {"properties": {"a": {"maxLength": null, "minLength": 2}, "b": null, "c": {"type": "integer"}}, "required": ["c"]}});
    let changed = tenant.ask("PATCH", LEADS, patch).await.expect(200).data();
    let expected = json!({"type": "object", "properties": {"a": {"type": "string", "minLength": 2}, "c": {"type": "integer"}}, "required": ["c"]});
    assert_eq!(changed["schema"], expected);
    let wrong = tenant.ask("POST", "/api/v1/leads", json!({"a": "x", "b": "y"})).await.expect(422);
    assert_eq!(wrong.pointers(), ["/a", "/c", "/b"]);
}

#[tokio::test]
async fn a_field_that_is_declared_no_more_goes_with_the_next_change_of_a_record() {
    let tenant = tenant().await;
    tenant.collection("leads", json!({"a": {"type": "string"}, "b": {"type": "string"}}), json!({})).await;
    tenant.record("leads", json!({"id": "r1", "a": "x", "b": "y"})).await;
    tenant.ask("PATCH", LEADS, json!({"schema": {"properties": {"b": null}}})).await.expect(200);
    let changed = tenant.ask("PATCH", "/api/v1/leads/r1", json!({"a": "z"})).await.expect(200).data();
    assert_eq!((&changed["a"], changed.get("b")), (&json!("z"), None));
    tenant.ask("PATCH", "/api/v1/leads/r1", json!({"b": "z"})).await.expect_invalid("/b");
}

#[tokio::test]
async fn a_change_of_another_revision_is_refused() {
    let tenant = tenant().await;
    tenant.collection("leads", json!({}), json!({})).await;
    let change = async |method: &str, tag: &str| {
        tenant.as_owner(method, LEADS).header("If-Match", tag).json(&json!({"name": "People"})).send().await
    };
    let shown = tenant.get(LEADS).await.expect(200);
    change("PATCH", "\"1\"").await.expect_problem(412, "precondition_failed");
    change("PATCH", &shown.tag_of(1)).await.expect(200);
    change("PATCH", &shown.tag_of(1)).await.expect_problem(412, "precondition_failed");
    change("DELETE", &shown.tag_of(1)).await.expect_problem(412, "precondition_failed");
    change("PATCH", "*").await.expect(200);
    change("DELETE", &shown.tag_of(3)).await.expect(200);
}

#[tokio::test]
async fn under_one_key_a_collection_is_made_once() {
    let tenant = tenant().await;
    let body = json!({"slug": "leads", "schema": {"type": "object", "properties": {}}});
    let (key, mut running) = (unique(), JoinSet::new());
    for _ in 0..4 {
        running.spawn(tenant.as_owner("POST", COLLECTIONS).header("Idempotency-Key", &key).json(&body).send());
    }
    let answers = running.join_all().await;
    for answer in &answers {
        assert_eq!((answer.status, &answer.body), (201, &answers[0].body));
    }
    let other = json!({"slug": "deals", "schema": {"type": "object", "properties": {}}});
    let call = tenant.as_owner("POST", COLLECTIONS).header("Idempotency-Key", &key).json(&other);
    call.send().await.expect_problem(422, "idempotency_key_reused");
}

#[tokio::test]
async fn bad_definitions_name_their_fields() {
    let tenant = tenant().await;
    assert_eq!(tenant.ask("POST", COLLECTIONS, json!({})).await.expect(422).pointers(), ["/slug", "/schema"]);
    let fine = json!({"slug": "leads", "schema": {"type": "object", "properties": {"a": {"type": "string"}}}});
    for (pointer, wrong) in [
        ("/slug", json!("Leads")),
        ("/slug", json!("users")),
        ("/slug", json!("collections")),
        ("/name", json!(7)),
        ("/description", json!("x".repeat(1001))),
        ("/versioned", json!("yes")),
        ("/alias", json!("customer_id")),
        ("/odd", json!(1)),
        ("/schema", json!([])),
        ("/schema/type", json!("array")),
        ("/schema/properties/a/pattern", json!("(a")),
        ("/schema/properties/a/patternProperties", json!({})),
        ("/schema/properties/a/type", json!("file")),
        ("/schema/properties/a/default", json!(1)),
        ("/schema/properties/status", json!({"type": "string"})),
        ("/schema/properties/a/reference", json!("nobodys")),
        ("/schema/required/0", json!("b")),
        ("/statuses/initial", json!("New")),
        ("/statuses/transitions/new/0", json!(5)),
    ] {
        let mut body = fine.clone();
        if pointer.starts_with("/statuses") {
            body["statuses"] = json!({"initial": "new", "transitions": {"new": []}});
        }
        seed(&mut body, pointer, wrong);
        tenant.ask("POST", COLLECTIONS, body).await.expect_invalid(pointer);
    }
    tenant.ask("POST", COLLECTIONS, fine).await.expect(201);
    tenant.ask("PATCH", LEADS, json!({"slug": "deals"})).await.expect_invalid("/slug");
    tenant.ask("PATCH", LEADS, json!({"slug": "leads"})).await.expect(200);
    tenant.ask("PATCH", LEADS, json!({"schema": null})).await.expect_invalid("/schema");
    let reference = declaring("a", json!({"reference": "nobodys"}));
    tenant.ask("PATCH", LEADS, reference).await.expect_invalid("/schema/properties/a/reference");
}

/// Puts a value where a pointer leads to, making what is missing on the way.
fn seed(body: &mut Value, pointer: &str, value: Value) {
    let (above, name) = pointer.rsplit_once('/').unwrap();
    if body.pointer(above).is_none() {
        seed(body, above, if name == "0" { json!([]) } else { json!({}) });
    }
    match body.pointer_mut(above).unwrap() {
        Value::Array(items) => items.push(value),
        object => object[name] = value,
    }
}

#[tokio::test]
async fn a_collection_that_another_one_refers_to_stays() {
    let tenant = tenant().await;
    let parent = json!({"parent": {"type": "string", "reference": "authors"}});
    tenant.collection("authors", parent, json!({})).await;
    tenant.collection("books", json!({"author": {"type": "string", "reference": "authors"}}), json!({})).await;
    tenant.record("authors", json!({"id": "ada"})).await;
    tenant.record("authors", json!({"id": "bob", "parent": "ada"})).await;
    let authors = "/api/v1/collections/authors";
    tenant.as_owner("DELETE", authors).send().await.expect_problem(409, "still_referenced");
    tenant.get("/api/v1/authors/ada").await.expect(200);
    tenant.as_owner("DELETE", "/api/v1/collections/books").send().await.expect(200);
    // What refers to itself is no hindrance.
    tenant.as_owner("DELETE", authors).send().await.expect(200);
}

#[tokio::test]
async fn a_foreign_collection_and_a_missing_one_answer_alike() {
    let (tenant, other) = (tenant().await, tenant().await);
    other.collection("theirs", json!({}), json!({})).await;
    for (method, rest) in [("GET", ""), ("PATCH", ""), ("DELETE", ""), ("POST", "/reindex")] {
        let ask = async |slug: &str| {
            let answer = tenant.ask(method, &format!("{COLLECTIONS}/{slug}{rest}"), json!({})).await;
            answer.expect_problem(404, "not_found").masked(&[slug])
        };
        assert_eq!(ask("theirs").await, ask("nobody").await, "{method}{rest}");
    }
}

#[tokio::test]
async fn a_field_is_indexed_behind_the_answer() {
    let tenant = filled(900).await;
    let sorted = [("sort", "-score,id"), ("limit", "3")];
    tenant.listed("leads", &sorted).await.expect_invalid_query("sort");
    let begun = tenant.ask("PATCH", LEADS, declaring("score", json!({"indexed": true}))).await.expect(200).data();
    assert_eq!((&begun["index"]["state"], &begun["index"]["total"]), (&json!("building"), &json!(900)));
    assert!(begun["index"]["done"].as_u64().unwrap() >= 600, "{begun}");
    let built = tenant.built("leads").await;
    assert_eq!(built, json!({"state": "ready", "done": 900, "total": 900, "failure": null}));
    assert_eq!(tenant.ids("leads", &sorted).await, ["l0009", "l0019", "l0029"]);
    let counted =
        tenant.listed("leads", &[("filter", "score >= 8"), ("count", "true"), ("limit", "1")]).await.expect(200);
    assert_eq!(counted.json()["pagination"]["total"], 180);
}

#[tokio::test]
async fn while_an_index_is_built_everything_but_its_order_is_there() {
    let tenant = filled(30).await;
    tenant.ask("PATCH", LEADS, declaring("score", json!({"indexed": true}))).await.expect(200);
    leave_building(&tenant, "score", "CAST(unixepoch('subsec') * 1000 AS INTEGER)").await;
    assert_eq!(tenant.shown_collection("leads").await["index"]["state"], "building");
    let building = tenant.listed("leads", &[("sort", "score")]).await.expect_problem(409, "index_building");
    assert_eq!((building.pointers(), building.header("retry-after")), (vec!["?sort".to_owned()], "5"));
    assert_eq!(tenant.ids("leads", &[("filter", "score = 3"), ("sort", "id")]).await, ["l0003", "l0013", "l0023"]);
    tenant.ask("PATCH", "/api/v1/leads/l0003", json!({"score": 4})).await.expect(200);
    tenant.record("leads", json!({"id": "new", "score": 3})).await;
    assert_eq!(tenant.ids("leads", &[("filter", "score = 3"), ("sort", "id")]).await, ["l0013", "l0023", "new"]);
    tenant.as_owner("POST", &format!("{LEADS}/reindex")).send().await.expect(200);
    assert_eq!(tenant.built("leads").await["state"], "ready");
    assert_eq!(tenant.ids("leads", &[("sort", "score,id"), ("limit", "1"), ("filter", "score >= 3")]).await, ["l0013"]);
}

#[tokio::test]
async fn an_index_that_a_crash_left_is_finished_by_cron() {
    let tenant = filled(30).await;
    tenant.ask("PATCH", LEADS, declaring("score", json!({"indexed": true}))).await.expect(200);
    leave_building(&tenant, "score", "1").await;
    tenant.world.scheduled().await;
    assert_eq!(tenant.built("leads").await["state"], "ready");
    assert_eq!(tenant.ids("leads", &[("sort", "-score,id"), ("limit", "2")]).await, ["l0009", "l0019"]);
}

#[tokio::test]
async fn a_deletion_that_a_crash_left_is_finished_by_cron() {
    let tenant = filled(30).await;
    for sql in [
        "UPDATE collections SET deleted_at = 1, revision = revision + 1 WHERE tenant_id = ?1",
        "UPDATE collection_state SET job = 'delete', job_at = 1 WHERE tenant_id = ?1",
    ] {
        tenant.on_shard(sql, &[]).await;
    }
    tenant.get("/api/v1/leads").await.expect_problem(404, "not_found");
    tenant.world.scheduled().await;
    tenant.collection("leads", json!({}), json!({})).await;
}

/// Puts the rows as a crash leaves them in the middle of a job, which moved last at `job_at`: cron takes it up once that is
/// some time ago.
async fn leave_building(tenant: &Tenant, field: &str, job_at: &str) {
    let job = format!(
        "UPDATE collection_state SET job = 'index', done = 0, index_revision = index_revision + 1, job_at = {job_at} WHERE tenant_id = ?1"
    );
    for sql in [
        "DELETE FROM record_index WHERE tenant_id = ?1",
        "UPDATE collections SET revision = revision + 1 WHERE tenant_id = ?1",
        job.as_str(),
    ] {
        tenant.on_shard(sql, &[]).await;
    }
    let sql = "UPDATE collection_fields SET is_ready = 0 WHERE tenant_id = ?1 AND field = ?2";
    tenant.on_shard(sql, &[field]).await;
}

#[tokio::test]
async fn values_that_are_not_unique_stop_the_index_and_are_named() {
    let tenant = filled(750).await;
    tenant.ask("PATCH", "/api/v1/leads/l0700", json!({"code": "c7"})).await.expect(200);
    tenant.ask("PATCH", LEADS, declaring("code", json!({"unique": true}))).await.expect(200);
    let stopped = tenant.built("leads").await;
    assert_eq!((&stopped["state"], &stopped["failure"]["code"]), (&json!("failed"), &json!("not_unique")));
    let named = stopped["failure"]["record_id"].as_str().unwrap().to_owned();
    assert!(["l0007", "l0700"].contains(&named.as_str()), "{stopped}");
    tenant.ask("PATCH", &format!("/api/v1/leads/{named}"), json!({"code": "mended"})).await.expect(200);
    tenant.as_owner("POST", &format!("{LEADS}/reindex")).send().await.expect(200);
    let built = tenant.built("leads").await;
    assert_eq!(built, json!({"state": "ready", "done": 750, "total": 750, "failure": null}));
    let taken = tenant.ask("POST", "/api/v1/leads", json!({"code": "c8"})).await.expect_problem(409, "not_unique");
    assert_eq!(taken.pointers(), ["/code"]);
}

#[tokio::test]
async fn a_field_is_searched_by_its_words_once_it_is_declared_so() {
    let tenant = filled(20).await;
    assert_eq!(tenant.ids("leads", &[("q", "öße 1"), ("sort", "id"), ("limit", "2")]).await, ["l0001", "l0010"]);
    assert!(tenant.ids("leads", &[("q", "grosse"), ("sort", "id")]).await.is_empty());
    tenant.ask("PATCH", LEADS, declaring("name", json!({"searched": true}))).await.expect(200);
    assert_eq!(tenant.built("leads").await["state"], "ready");
    assert_eq!(tenant.ids("leads", &[("q", "GRÖSSE 7")]).await, Vec::<String>::new());
    assert_eq!(tenant.ids("leads", &[("q", "große 7")]).await, ["l0007"]);
    tenant.ask("PATCH", LEADS, declaring("name", json!({"searched": null}))).await.expect(200);
    assert_eq!(tenant.built("leads").await["state"], "ready");
    assert_eq!(tenant.ids("leads", &[("q", "öße 7")]).await, ["l0007"]);
}

#[tokio::test]
async fn records_of_before_are_found_while_they_get_their_words_and_after() {
    let tenant = World::shared().await.unbounded_tenant().await;
    let properties = json!({"title": {"type": "string", "searched": true}});
    tenant.collection("posts", properties, json!({"soft_delete": true})).await;
    for (id, title) in [("a", "Größe der Bäume"), ("b", "Baumhaus"), ("c", "東京タワー"), ("d", "gone")] {
        tenant.record("posts", json!({"id": id, "title": title})).await;
    }
    tenant.collection("notes", json!({"text": {"type": "string"}}), json!({})).await;
    tenant.as_owner("DELETE", "/api/v1/posts/d").send().await.expect(200);
    // As an older version left them, and with a job that ended half-way.
    for sql in [
        "UPDATE collection_state SET has_words = 0 WHERE tenant_id = ?1",
        "UPDATE records SET words = NULL WHERE tenant_id = ?1 AND id <> 'b'",
        "UPDATE collections SET revision = revision + 1 WHERE tenant_id = ?1",
    ] {
        tenant.on_shard(sql, &[]).await;
    }
    let found = async |q: &str| tenant.ids("posts", &[("q", q), ("sort", "id")]).await.concat();
    assert_eq!(
        (found("baume").await, found("baum*").await, found("東京").await),
        ("a".into(), "ab".into(), String::new())
    );
    tenant.record("posts", json!({"id": "e", "title": "Ein Baum in 東京"})).await;
    tenant.ask("PATCH", "/api/v1/posts/b", json!({"title": "Baumhäuser"})).await.expect(200);
    assert_eq!(
        (found("baum*").await, found("東京").await, found("häuser").await),
        ("abe".into(), "e".into(), String::new())
    );

    eventually("all records to have their words", async || {
        tenant.world.scheduled().await;
        let sql = "SELECT min(has_words) AS done FROM collection_state WHERE tenant_id = ?1";
        (tenant.on_shard(sql, &[]).await[0]["done"] == 1).then_some(())
    })
    .await;
    assert_eq!(tenant.built("posts").await["state"], "ready");
    let wordless = "SELECT id FROM records WHERE tenant_id = ?1 AND words IS NULL";
    assert!(tenant.on_shard(wordless, &[]).await.is_empty());
    for (q, expected) in [("baume", "a"), ("baum*", "abe"), ("東京", "ce"), ("タワー", "c"), ("gone", "")] {
        assert_eq!(found(q).await, expected, "{q}");
    }
    tenant.as_owner("POST", "/api/v1/posts/d/restore").send().await.expect(200);
    assert_eq!(found("gone").await, "d");
}

#[tokio::test]
async fn a_collection_with_many_records_is_gone_at_once_and_its_name_is_free_in_the_end() {
    let tenant = filled(900).await;
    let gone = tenant.as_owner("DELETE", LEADS).send().await.expect(202);
    assert_eq!(gone.data(), json!({"slug": "leads", "pending": true}));
    for path in [LEADS, "/api/v1/leads", "/api/v1/leads/l0899"] {
        tenant.get(path).await.expect_problem(404, "not_found");
    }
    assert!(tenant.get(COLLECTIONS).await.expect(200).column("slug").is_empty());
    let body = json!({"slug": "leads", "schema": {"type": "object", "properties": {}}});
    eventually("the name to be free", async || {
        let answer = tenant.ask("POST", COLLECTIONS, body.clone()).await;
        if answer.status != 201 {
            assert_eq!((answer.status, answer.pointers()), (409, vec!["/slug".to_owned()]));
        }
        (answer.status == 201).then_some(())
    })
    .await;
    assert!(tenant.ids("leads", &[("count", "true")]).await.is_empty());
    for table in ["records", "record_index", "record_counts"] {
        let sql = format!("SELECT 1 AS one FROM {table} WHERE tenant_id = ?1");
        assert!(tenant.on_shard(&sql, &[]).await.is_empty(), "{table}");
    }
}

#[tokio::test]
async fn collections_that_are_large_together_are_listed_by_pages() {
    let tenant = World::shared().await.unbounded_tenant().await;
    let long = "x".repeat(900);
    let properties: serde_json::Map<String, Value> =
        (0..30).map(|i| (format!("f{i:02}"), json!({"type": "string", "description": long}))).collect();
    let slugs: Vec<String> = (0..44).map(|i| format!("c{i:02}")).collect();
    for slug in &slugs {
        tenant.collection(slug, Value::Object(properties.clone()), json!({})).await;
    }
    let (mut seen, mut cursor, mut pages) = (Vec::new(), None::<String>, 0);
    loop {
        let mut call = tenant.as_owner("GET", "/api/v1/collections");
        if let Some(cursor) = &cursor {
            call = call.query("cursor", cursor);
        }
        let page = call.send().await.expect(200);
        assert!(page.body.len() < 1_200_000, "{}", page.body.len());
        seen.extend(page.column("slug").iter().map(|slug| slug.as_str().unwrap().to_owned()));
        pages += 1;
        cursor = page.cursor();
        let cut = &page.json()["pagination"]["cut"]["by"];
        assert_eq!(*cut, if cursor.is_some() { json!("bytes") } else { Value::Null });
        if cursor.is_none() {
            break;
        }
    }
    assert_eq!((seen, pages), (slugs.clone(), 2));
    let few = tenant.as_owner("GET", "/api/v1/collections").query("limit", "3").send().await.expect(200);
    assert_eq!((few.column("slug").len(), few.cursor().is_some()), (3, true));
    // A cursor is good for its tenant alone.
    let other = World::shared().await.tenant().create().await;
    let foreign = other.as_owner("GET", "/api/v1/collections").query("cursor", &few.cursor().unwrap());
    foreign.send().await.expect_invalid_query("cursor");
}
