//! Collections and records are known by an identity that never comes again, not by a name that does.
//!
//! A collection may be deleted and made again under its slug, and a record under its id. Topics, versions and revisions then
//! come again, and old cursors, tags, keys and URLs with them. None of them may reach what was made since.

use serde_json::{Value, json};

use crate::world::{RequestBuilder, Stream, Tenant, World};

const COLLECTION: &str = "/api/v1/collections/posts";
const POSTS: &str = "/api/v1/posts";
const POST: &str = "/api/v1/posts/p1";

/// A tenant as it is reached through each of two isolates.
async fn tenant() -> (Tenant, Tenant) {
    let (a, b) = World::pair().await;
    let here = a.tenant().plan("enterprise").create().await;
    let there = here.through(&b);
    (here, there)
}

/// Makes the collection `posts`, whose changes are told.
async fn make(tenant: &Tenant, public: bool) {
    let title = json!({"title": {"type": "string"}, "score": {"type": "number"}});
    tenant.collection("posts", title, json!({"live": true, "public_read": public, "files": true})).await;
}

async fn delete(tenant: &Tenant) {
    tenant.as_owner("DELETE", COLLECTION).send().await.expect(200);
}

async fn show(tenant: &Tenant, public: bool) {
    let changed = tenant.as_owner("PATCH", COLLECTION).json(&json!({"public_read": public})).send().await.expect(200);
    assert_eq!(changed.data().get("pending"), None);
}

/// Writes a record; its title is its id.
async fn write(tenant: &Tenant, id: &str, score: u64) {
    tenant.record("posts", json!({"id": id, "title": id, "score": score})).await;
}

/// Ends what a test heard: a last event for everybody.
async fn end(tenant: &Tenant) {
    tenant.webhook().channels(&["end"]).data(json!("end")).accepted().await;
}

/// The records that a stream hears of until the end.
async fn heard(stream: &mut Stream) -> Vec<String> {
    let mut heard = Vec::new();
    loop {
        let block = stream.must().await;
        if block.data.is_none() || block.event.is_some() {
            continue;
        }
        let event = block.json();
        if event["data"] == "end" {
            return heard;
        }
        heard.push(event["data"]["record"]["title"].as_str().unwrap().to_owned());
    }
}

/// Where events begin that come from now on.
async fn start(tenant: &Tenant) -> String {
    tenant.webhook().channels(&["start"]).data(json!("start")).accepted().await
}

const TOPICS: [&str; 2] = ["records/*", "end"];

/// What is replayed behind a cursor on each wire: to a stranger, and to whoever may hear every private event.
async fn replayed(tenant: &Tenant, cursor: &str) -> [Vec<String>; 2] {
    let granted = ["records/*", "end"];
    let mut stranger = tenant.events(&TOPICS).after(cursor).resumed().await;
    let mut entitled = tenant.events(&TOPICS).token(tenant.token(&granted)).after(cursor).resumed().await;
    let on_events = [heard(&mut stranger).await, heard(&mut entitled).await];
    let mercure = |call: RequestBuilder| {
        let topics = ["records/posts", "records/notes", "end"];
        let call = topics.iter().fold(call, |call, topic| call.query("topic", topic));
        call.header("Last-Event-ID", &format!("#{cursor}"))
    };
    let mut stranger = mercure(tenant.mercure()).stream().await;
    let mut entitled = mercure(tenant.mercure().bearer(&tenant.subscriber(&["*"]).sign())).stream().await;
    let on_mercure = [heard(&mut stranger).await, heard(&mut entitled).await];
    assert_eq!(on_events, on_mercure, "both wires tell the same");
    on_events
}

#[tokio::test]
async fn an_old_cursor_replays_nothing_of_a_deleted_collection() {
    let (here, there) = tenant().await;
    here.set_mercure(json!({"anonymous": true})).await;
    let cursor = start(&here).await;
    make(&here, false).await;
    write(&here, "secret", 1).await;
    show(&there, true).await;
    write(&there, "open", 1).await;
    end(&here).await;
    assert_eq!(replayed(&there, &cursor).await, [vec!["open"], vec!["secret", "open"]]);

    delete(&here).await;
    let nothing: [Vec<String>; 2] = Default::default();
    assert_eq!(replayed(&there, &cursor).await, nothing, "it is gone");
    make(&here, true).await;
    assert_eq!(replayed(&there, &cursor).await, nothing, "another one has its slug");
    write(&there, "new", 1).await;
    let mut live = there.events(&TOPICS).after(&cursor).stream().await;
    live.hub("hub.resumed").await;
    assert_eq!(heard(&mut live).await, [""; 0]);
    end(&here).await;
    assert_eq!(heard(&mut live).await, ["new"]);
    let mut filtered = there.events(&["records/posts"]).query("filter", "score >= 1").after(&cursor).resumed().await;
    assert_eq!(filtered.event().await.body["data"]["record"]["title"], "new");
}

#[tokio::test]
async fn what_was_public_and_is_private_now_is_private_from_its_beginning() {
    let (here, there) = tenant().await;
    here.set_mercure(json!({"anonymous": true})).await;
    let cursor = start(&here).await;
    make(&here, true).await;
    write(&here, "one", 1).await;
    end(&here).await;
    assert_eq!(replayed(&there, &cursor).await, [vec!["one"], vec!["one"]]);
    show(&here, false).await;
    assert_eq!(replayed(&there, &cursor).await, [vec![], vec!["one"]]);
    // What happened while it was private stays private.
    write(&here, "two", 1).await;
    show(&there, true).await;
    write(&here, "three", 1).await;
    let mut live = here.events(&["records/*"]).after(&cursor).resumed().await;
    assert_eq!(live.next_data(2).await.iter().map(|data| &data["id"]).collect::<Vec<_>>(), ["one", "three"]);
}

#[tokio::test]
async fn a_live_stream_hears_by_what_the_collection_is_when_the_change_is_answered() {
    let (here, there) = tenant().await;
    make(&here, true).await;
    let mut stranger = there.subscribe(&TOPICS).await;
    let mut entitled = there.events(&TOPICS).token(there.token(&TOPICS)).live().await;
    write(&here, "one", 1).await;
    for stream in [&mut stranger, &mut entitled] {
        assert_eq!(stream.event().await.body["data"]["id"], "one");
    }
    show(&here, false).await;
    write(&there, "two", 1).await;
    assert_eq!(entitled.event().await.body["data"]["id"], "two");
    delete(&here).await;
    make(&there, true).await;
    write(&here, "three", 1).await;
    assert_eq!(entitled.event().await.body["data"]["id"], "three");
    end(&here).await;
    assert_eq!(heard(&mut stranger).await, ["three"]);
}

#[tokio::test]
async fn a_replay_ends_in_the_middle_when_the_collection_is_deleted_or_hidden() {
    const RECORDS: &str = "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 150) INSERT INTO records (tenant_id, collection, id, version, data, created_at, updated_at, created_by, updated_by, index_revision) SELECT ?1, 'posts', 'r' || i, 1, json_object('title', i || hex(zeroblob(60000))), 1, 1, 'a', 'a', 1 FROM n";
    for is_deleted in [true, false] {
        let (here, there) = tenant().await;
        let cursor = start(&here).await;
        make(&here, true).await;
        here.on_shard(RECORDS, &[]).await;
        write(&here, "last", 1).await;
        let mut live = here.events(&["records/posts/last"]).after(&cursor).stream().await;
        live.hub("hub.resumed").await;
        live.event().await;
        // Its client does not read, so most of 18 MB is not sent yet.
        let mut slow = there.events(&TOPICS).after(&cursor).resumed().await;
        let first = slow.event().await;
        assert_eq!(first.body["data"]["id"], "r1");
        if is_deleted {
            let gone = here.as_owner("DELETE", COLLECTION).send().await;
            assert!(matches!(gone.status, 200 | 202), "{}", gone.body);
        } else {
            show(&here, false).await;
        }
        end(&here).await;
        let rest = heard(&mut slow).await;
        assert!(
            rest.len() < 140 && !rest.contains(&"last".to_owned()),
            "{} events came, deleted: {is_deleted}",
            rest.len()
        );
    }
}

#[tokio::test]
async fn a_crash_between_the_change_and_the_hub_is_made_good_by_cron() {
    let world = World::own().await;
    let tenants = [world.tenant().plan("pro").create().await, world.tenant().plan("pro").create().await];
    let mut cursors = Vec::new();
    for tenant in &tenants {
        cursors.push(start(tenant).await);
        make(tenant, true).await;
        write(tenant, "one", 1).await;
        let mut stream = tenant.events(&TOPICS).after(&cursors[cursors.len() - 1]).resumed().await;
        assert_eq!(stream.event().await.body["data"]["id"], "one");
        end(tenant).await;
    }
    world.restart(&[("FAULT_AFTER", "collection")]).await;
    let gone = tenants[0].as_owner("DELETE", COLLECTION).send().await.expect(202);
    assert_eq!(gone.data(), json!({"slug": "posts", "pending": true}));
    let hidden = tenants[1].as_owner("PATCH", COLLECTION).json(&json!({"public_read": false})).send().await.expect(202);
    assert_eq!((&hidden.data()["pending"], &hidden.data()["public_read"]), (&json!(true), &json!(false)));
    world.kill();
    world.restart(&[]).await;
    for tenant in &tenants {
        tenant.on_shard("UPDATE record_outbox SET at = 0 WHERE tenant_id = ?1", &[]).await;
    }
    world.scheduled().await;
    for (tenant, cursor) in tenants.iter().zip(&cursors) {
        let mut stream = tenant.events(&TOPICS).after(cursor).resumed().await;
        assert_eq!(heard(&mut stream).await, [""; 0]);
    }
}

/// The answer of a call under a condition.
async fn under(tenant: &Tenant, method: &str, path: &str, tag: &str, body: Value) -> u16 {
    tenant.as_owner(method, path).header("If-Match", tag).json(&body).send().await.status
}

#[tokio::test]
async fn a_tag_of_a_deleted_collection_is_no_tag_of_the_one_made_in_its_place() {
    let (here, there) = tenant().await;
    make(&here, true).await;
    write(&here, "p1", 1).await;
    let tag = async |path: &str| there.get(path).await.expect(200).header("etag").to_owned();
    let (collection, record) = (tag(COLLECTION).await, tag(POST).await);
    delete(&here).await;
    make(&here, true).await;
    write(&here, "p1", 1).await;
    assert_ne!((tag(COLLECTION).await, tag(POST).await), (collection.clone(), record.clone()));
    let known = there.call("GET", POST).header("If-None-Match", &record).send().await;
    assert_eq!(known.expect(200).header("etag"), tag(POST).await);
    let name = json!({"name": "Mine"});
    for (method, path, tag, body) in [
        ("PATCH", COLLECTION, &collection, name.clone()),
        ("DELETE", COLLECTION, &collection, json!({})),
        ("PATCH", POST, &record, json!({"title": "mine"})),
        ("PUT", POST, &record, json!({"title": "mine"})),
        ("DELETE", POST, &record, json!({})),
    ] {
        for sent in [tag.clone(), format!("W/{tag}"), format!("\"x\", {tag}"), "\"1\"".to_owned()] {
            assert_eq!(under(&there, method, path, &sent, body.clone()).await, 412, "{method} {path} {sent}");
        }
    }
    let operation = json!([{"op": "update", "id": "p1", "data": {"title": "mine"}, "if_match": record}]);
    there.bulk("posts", operation).await.expect_problem(412, "precondition_failed");
    // What it is now, is meant.
    assert_eq!(under(&there, "PATCH", POST, &tag(POST).await, json!({"title": "ours"})).await, 200);
    let operation = json!([{"op": "update", "id": "p1", "data": {"title": "theirs"}, "if_match": tag(POST).await}]);
    there.bulk("posts", operation).await.expect(200);
    assert_eq!(under(&there, "PATCH", COLLECTION, &tag(COLLECTION).await, name.clone()).await, 200);
    for (path, body) in [(POST, json!({"title": "any"})), (COLLECTION, name)] {
        assert_eq!(under(&there, "PATCH", path, "*", body).await, 200);
    }
}

#[tokio::test]
async fn a_record_made_again_under_its_id_is_another_record() {
    let (here, there) = tenant().await;
    make(&here, false).await;
    let tag = async || there.get(POST).await.expect(200).header("etag").to_owned();
    let announce = json!({"name": "a.png", "content_type": "image/png", "size": 4});
    write(&here, "p1", 1).await;
    let put = async || {
        let put = here.as_owner("PUT", &format!("{POST}/file")).query("name", "a.png");
        put.header("Content-Type", "image/png").bytes(b"\x89PNG".to_vec()).send().await.expect(201);
        here.behind_host(&there.get(&format!("{POST}/file")).await.expect(200).data()["url"])
    };
    let upload = here.ask("POST", &format!("{POST}/file"), announce).await.expect(201).data();
    let upload = here.behind_host(&upload["url"]);
    let (old, shown) = (tag().await, put().await);
    there.call("GET", &shown).send().await.expect(200);

    here.as_owner("DELETE", POST).send().await.expect(200);
    write(&here, "p1", 1).await;
    let sent = there.call("PUT", &upload).header("Content-Type", "image/png").bytes(b"\x89PNG".to_vec()).send().await;
    sent.expect_problem(409, "changed_meanwhile");
    let fresh = put().await;
    there.call("GET", &shown).send().await.expect_problem(403, "invalid_link");
    there.call("GET", &fresh).send().await.expect(200);
    assert_ne!(tag().await, old);
    for (method, body) in [("PATCH", json!({"title": "x"})), ("PUT", json!({"title": "x"})), ("DELETE", json!({}))] {
        assert_eq!(under(&there, method, POST, &old, body).await, 412, "{method}");
    }
    let made = here.ask("POST", POSTS, json!({"id": "p2"})).await.expect(201);
    let got = there.get("/api/v1/posts/p2").await.expect(200);
    assert_eq!(made.header("etag"), got.header("etag"), "whoever made it knows its tag");
}

#[tokio::test]
async fn a_deleted_record_that_is_restored_has_tags_it_never_had() {
    let tenant = World::shared().await.tenant().create().await;
    tenant.collection("posts", json!({}), json!({"soft_delete": true, "versioned": true})).await;
    let made = tenant.ask("POST", POSTS, json!({"id": "p1"})).await.expect(201).header("etag").to_owned();
    tenant.as_owner("DELETE", POST).header("If-Match", &made).send().await.expect(200);
    let restored = tenant.as_owner("POST", &format!("{POST}/restore")).send().await.expect(200);
    assert_ne!(restored.header("etag"), made);
    assert_eq!(under(&tenant, "PATCH", POST, &made, json!({})).await, 412);
    let version = format!("{POST}/versions/1/restore");
    assert_eq!(under(&tenant, "POST", &version, &made, json!({})).await, 412);
    assert_eq!(under(&tenant, "POST", &version, restored.header("etag"), json!({})).await, 200);
}

#[tokio::test]
async fn an_idempotency_key_ends_with_its_collection() {
    let (here, there) = tenant().await;
    let create = async |tenant: &Tenant, path: &str, body: Value| {
        tenant.as_owner("POST", path).header("Idempotency-Key", "one").json(&body).send().await
    };
    let operations = json!({"operations": [{"op": "create", "data": {"id": "b1"}}]});
    let ask = async |tenant: &Tenant| {
        let made = create(tenant, POSTS, json!({"id": "p1"})).await.expect(201);
        let bulk = create(tenant, "/api/v1/posts/bulk", operations.clone()).await.expect(200);
        let replayed = [&made, &bulk].map(|answer| answer.header("idempotent-replayed") == "true");
        (replayed, made.header("etag").to_owned())
    };
    make(&here, false).await;
    let (first, tag) = ask(&here).await;
    assert_eq!((first, ask(&there).await), ([false; 2], ([true; 2], tag.clone())));
    delete(&here).await;
    create(&there, POSTS, json!({"id": "p1"})).await.expect_problem(404, "not_found");
    make(&here, false).await;
    let (again, other) = ask(&there).await;
    assert_eq!((again, there.ids("posts", &[("sort", "id")]).await), ([false; 2], vec!["b1".to_owned(), "p1".into()]));
    assert_ne!(other, tag);
    assert_eq!(ask(&here).await, ([true; 2], other));
    create(&here, POSTS, json!({"id": "p3"})).await.expect(422);
}

#[tokio::test]
async fn a_key_of_before_creation_ids_is_known_in_the_collection_that_stood_then() {
    let tenant = World::shared().await.tenant().create().await;
    let create = async || {
        tenant.as_owner("POST", POSTS).header("Idempotency-Key", "one").json(&json!({"id": "p1"})).send().await
    };
    make(&tenant, false).await;
    create().await.expect(201);
    let of_before = "UPDATE idempotency_keys SET scope = 'records.create posts' WHERE tenant_id = ?1";
    tenant.on_shard(of_before, &[]).await;
    assert_eq!(create().await.expect(201).header("idempotent-replayed"), "true");
    tenant.on_shard("UPDATE collections SET created_at = created_at + 60000 WHERE tenant_id = ?1", &[]).await;
    create().await.expect(409);
}
