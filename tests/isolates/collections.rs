//! Collections: deleted and made again, opened and closed.
//!
//! A collection that is made again under the slug of a deleted one begins again in everything that counts from 1. So
//! whatever an isolate, KV or a URL remembers of the old one must not be taken for the new one's.

use serde_json::{Value, json};

use crate::world::{Pair, Tenant, TestResponse, World, eventually};

const COLLECTION: &str = "/api/v1/collections/posts";
const POSTS: &str = "/api/v1/posts";
const POST: &str = "/api/v1/posts/p1";
const FILE: &str = "/api/v1/posts/p1/file";
const PNG: &[u8] = b"\x89PNG 0123456789";

async fn tenant() -> (Tenant, Tenant) {
    let Pair { here, there } = World::on_both(|tenant| tenant).await;
    (here, there)
}

/// The first collection: posts that have a title, and files.
async fn posts(tenant: &Tenant, public: bool) {
    let title = json!({"title": {"type": "string", "searched": true}});
    tenant.collection("posts", title, json!({"public_read": public, "files": true})).await;
}

/// Deletes the collection. What is made under its slug now is another one.
async fn delete(tenant: &Tenant) {
    let gone = tenant.as_owner("DELETE", COLLECTION).send().await.expect(200);
    assert_eq!(gone.data(), json!({"slug": "posts", "pending": false}));
}

/// The collection that takes its place: notes have a text. It has as many revisions and writes behind it as the first.
async fn notes(tenant: &Tenant, public: bool) {
    let text = json!({"text": {"type": "string", "searched": true}});
    tenant.collection("posts", text, json!({"public_read": public, "files": true})).await;
}

/// What a stranger gets.
async fn stranger(tenant: &Tenant, path: &str, query: &[(&str, &str)]) -> TestResponse {
    let call = tenant.call("GET", path);
    query.iter().fold(call, |call, (name, value)| call.query(name, value)).send().await
}

/// Stores a file in the record `p1`, as a member; where it is seen: what of its URL stands behind the host.
async fn stored(tenant: &Tenant) -> String {
    let put = tenant.as_owner("PUT", FILE).query("name", "a.png");
    put.header("Content-Type", "image/png").bytes(PNG.to_vec()).send().await.expect(201);
    tenant.behind_host(&tenant.get(FILE).await.expect(200).data()["url"])
}

/// A URL for a file of the record `p1`: what of it stands behind the host.
async fn announced(tenant: &Tenant) -> String {
    let body = json!({"name": "a.png", "content_type": "image/png", "size": PNG.len()});
    tenant.behind_host(&tenant.ask("POST", FILE, body).await.expect(201).data()["url"])
}

/// The bytes for such a URL.
async fn uploaded(tenant: &Tenant, link: &str) -> TestResponse {
    tenant.call("PUT", link).header("Content-Type", "image/png").bytes(PNG.to_vec()).send().await
}

/// Asks for a list until it comes out of KV.
async fn kept(ask: impl AsyncFn() -> TestResponse) -> Value {
    eventually("a kept list", async || {
        let answer = ask().await.expect(200);
        (answer.header("x-cache") == "HIT").then(|| answer.json())
    })
    .await
}

#[tokio::test]
async fn each_isolate_remembers_for_itself_over_the_same_storage() {
    let (here, there) = tenant().await;
    posts(&here, true).await;
    there.record("posts", json!({"id": "p1", "title": "Bell"})).await;
    let list = kept(async || stranger(&here, POSTS, &[]).await).await;
    // Which lists are asked for often, an isolate knows of itself: the first time it does not look in KV.
    let first = stranger(&there, POSTS, &[]).await.expect(200);
    assert_eq!((first.header("x-cache"), first.json()), ("MISS", list.clone()));
    let second = stranger(&there, POSTS, &[]).await.expect(200);
    assert_eq!((second.header("x-cache"), second.json()), ("HIT", list));
    // One hub serves both.
    let mut stream = there.subscribe(&["post"]).await;
    let id = here.publish("post", json!({"n": 1})).await;
    assert_eq!(stream.must().await.id.as_deref(), Some(id.as_str()));
}

#[tokio::test]
async fn a_purge_ends_cached_lists_in_every_isolate() {
    let (here, there) = tenant().await;
    posts(&here, true).await;
    here.record("posts", json!({"id": "p1", "title": "Bell"})).await;
    for (here, there) in [(&here, &there), (&there, &here)] {
        let list = kept(async || stranger(there, POSTS, &[]).await).await;
        here.ask("POST", "/api/v1/cache/purge", json!({"records": ["posts"]})).await.expect(200);
        let again = stranger(there, POSTS, &[]).await.expect(200);
        assert_eq!((again.header("x-cache"), again.json()), ("MISS", list));
    }
}

#[tokio::test]
async fn a_collection_made_again_as_private_is_private_in_every_isolate() {
    let (here, there) = tenant().await;
    posts(&here, true).await;
    here.record("posts", json!({"id": "p1", "title": "Bell"})).await;
    let media = stored(&here).await;
    kept(async || stranger(&there, POSTS, &[]).await).await;
    kept(async || there.listed("posts", &[]).await).await;
    let seen: [(&str, &[(&str, &str)]); 6] = [
        (POSTS, &[]),
        (POSTS, &[("q", "bell")]),
        (POSTS, &[("fields", "id,title"), ("count", "true")]),
        (POST, &[]),
        (POST, &[("fields", "title")]),
        (FILE, &[]),
    ];
    for (path, query) in seen {
        stranger(&there, path, query).await.expect(200);
    }
    stranger(&there, &media, &[]).await.expect(200);

    delete(&here).await;
    notes(&here, false).await;
    here.record("posts", json!({"id": "p1", "text": "Bell, secretly"})).await;
    let signed = stored(&here).await;

    let nothing = stranger(&there, "/api/v1/nothing", &[]).await.expect_problem(401, "unauthorized");
    for (path, query) in seen {
        let refused = stranger(&there, path, query).await.expect_problem(401, "unauthorized");
        assert_eq!(refused.masked(&["nothing", "posts"]), nothing.masked(&["nothing", "posts"]), "{path} {query:?}");
    }
    let missing = stranger(&there, &media.replace("/posts/", "/nothing/"), &[]).await.expect_problem(404, "not_found");
    let refused = stranger(&there, &media, &[]).await.expect_problem(404, "not_found");
    assert_eq!(refused.masked(&[]), missing.masked(&[]));
    // Whoever may see the new one sees the new one.
    stranger(&there, &signed, &[]).await.expect(200);
    let record = there.get(POST).await.expect(200).data();
    assert_eq!((&record["text"], record.get("title")), (&json!("Bell, secretly"), None));
    for query in [&[][..], &[("q", "secretly")], &[("filter", "text ~ 'bell'")]] {
        let listed = there.listed("posts", query).await.expect(200);
        assert_eq!(listed.column("text"), [json!("Bell, secretly")], "{query:?}");
    }
    there.listed("posts", &[("filter", "title = 'Bell'")]).await.expect_invalid_query("filter");
    assert_eq!(there.ids("posts", &[("q", "bell")]).await, ["p1"]);
}

#[tokio::test]
async fn a_hop_into_a_collection_made_again_as_private_shows_a_stranger_nothing() {
    let (here, there) = tenant().await;
    posts(&here, true).await;
    here.record("posts", json!({"id": "p1", "title": "Bell"})).await;
    let reference = json!({"post": {"type": "string", "reference": "posts"}});
    here.collection("links", reference.clone(), json!({"public_read": true})).await;
    here.record("links", json!({"id": "l1", "post": "p1"})).await;
    let expanded = async || stranger(&there, "/api/v1/links/l1", &[("expand", "post")]).await.expect(200).data();
    assert_eq!(expanded().await["expand"]["post"]["title"], "Bell");

    here.as_owner("DELETE", "/api/v1/collections/links").send().await.expect(200);
    delete(&here).await;
    notes(&here, false).await;
    here.record("posts", json!({"id": "p1", "text": "Bell, secretly"})).await;
    here.collection("links", reference, json!({"public_read": true})).await;
    here.record("links", json!({"id": "l1", "post": "p1"})).await;

    let shown = expanded().await;
    assert_eq!((&shown["post"], shown.get("expand")), (&json!("p1"), None));
}

#[tokio::test]
async fn nothing_is_written_by_the_definition_of_a_deleted_collection() {
    let (here, there) = tenant().await;
    posts(&here, false).await;
    there.record("posts", json!({"id": "p1", "title": "Bell"})).await;
    delete(&here).await;
    let text = json!({"text": {"type": "string"}});
    here.collection("posts", text, json!({"soft_delete": true, "versioned": true})).await;
    here.record("posts", json!({"id": "p1", "text": "one"})).await;

    // The record has the id and the version that the old one had.
    let patched = there.ask("PATCH", POST, json!({"title": "Gong"})).await;
    assert_eq!(patched.expect(422).pointers(), ["/title"]);
    let replaced = there.ask("PUT", POST, json!({"title": "Gong"})).await;
    assert_eq!(replaced.expect(422).pointers(), ["/title"]);
    assert_eq!(there.ask("POST", POSTS, json!({"title": "Gong"})).await.expect(422).pointers(), ["/title"]);
    let bulk = there.bulk("posts", json!([{"op": "create", "data": {"title": "Gong"}}])).await;
    assert_eq!(bulk.expect(422).pointers(), ["/operations/0/data/title"]);
    assert_eq!(here.listed("posts", &[]).await.expect(200).column("text"), [json!("one")]);
}

#[tokio::test]
async fn a_write_goes_by_the_definition_of_the_collection_that_is_there() {
    let (here, there) = tenant().await;
    posts(&here, false).await;
    there.record("posts", json!({"id": "p1", "title": "Bell"})).await;
    delete(&here).await;
    // The old one kept nothing of what was deleted; the new one does.
    here.collection("posts", json!({"text": {"type": "string"}}), json!({"soft_delete": true})).await;
    here.record("posts", json!({"id": "p1", "text": "one"})).await;

    there.as_owner("DELETE", POST).send().await.expect(200);
    assert_eq!(here.ids("posts", &[("deleted", "true")]).await, ["p1"]);
    assert_eq!(there.record("posts", json!({"id": "p2", "text": "two"})).await["text"], "two");
}

#[tokio::test]
async fn a_list_that_was_kept_of_a_deleted_collection_is_not_served() {
    let (here, there) = tenant().await;
    let asked: [&[(&str, &str)]; 3] = [&[], &[("page", "1")], &[("sort", "id"), ("count", "true")]];
    posts(&here, true).await;
    here.record("posts", json!({"id": "p1", "title": "old"})).await;
    for query in asked {
        for tenant in [&here, &there] {
            kept(async || stranger(tenant, POSTS, query).await).await;
            kept(async || tenant.listed("posts", query).await).await;
        }
    }
    delete(&here).await;
    // The same definition: nothing but the collection itself tells the two apart.
    posts(&here, true).await;
    here.record("posts", json!({"id": "p2", "title": "new"})).await;
    for query in asked {
        for tenant in [&there, &here] {
            assert_eq!(stranger(tenant, POSTS, query).await.expect(200).ids(), ["p2"], "{query:?}");
            assert_eq!(tenant.ids("posts", query).await, ["p2"], "{query:?}");
        }
    }
}

#[tokio::test]
async fn statistics_that_were_kept_of_a_deleted_collection_are_not_served() {
    let (here, there) = tenant().await;
    let path = format!("/api/v1/tenants/{}/stats", here.id);
    let counted = async |tenant: &Tenant| tenant.get(&path).await.expect(200).data()["collections"].clone();
    posts(&here, false).await;
    here.record("posts", json!({"id": "p1", "title": "old"})).await;
    for tenant in [&here, &there] {
        kept(async || tenant.get(&path).await).await;
        assert_eq!(counted(tenant).await, json!({"posts": {"total": 1, "by_status": {}}}));
    }
    delete(&here).await;
    here.collection("notes", json!({}), json!({})).await;
    here.record("notes", json!({"id": "n1"})).await;
    for tenant in [&there, &here] {
        assert_eq!(counted(tenant).await, json!({"notes": {"total": 1, "by_status": {}}}));
    }
}

#[tokio::test]
async fn a_url_of_a_file_ends_with_its_collection() {
    let (here, there) = tenant().await;
    posts(&here, false).await;
    here.record("posts", json!({"id": "p1"})).await;
    let upload = announced(&here).await;
    let late = announced(&here).await;
    uploaded(&there, &upload).await.expect(201);
    let url = here.behind_host(&here.get(FILE).await.expect(200).data()["url"]);
    stranger(&there, &url, &[]).await.expect(200);

    delete(&here).await;
    stranger(&there, &url, &[]).await.expect_problem(403, "invalid_link");
    notes(&here, false).await;
    here.record("posts", json!({"id": "p1"})).await;
    // The record has the id that the old one had, and the same bytes under the same name.
    for link in [&upload, &late] {
        uploaded(&there, link).await.expect_problem(409, "changed_meanwhile");
    }
    here.get(FILE).await.expect_problem(404, "not_found");
    let fresh = stored(&here).await;
    stranger(&there, &url, &[]).await.expect_problem(403, "invalid_link");
    stranger(&there, &fresh, &[]).await.expect(200);
}

#[tokio::test]
async fn a_cursor_goes_on_in_the_collection_that_gave_it() {
    let (here, there) = tenant().await;
    let query = [("sort", "id"), ("limit", "1")];
    let page = async |tenant: &Tenant, cursor: &str| {
        let query = [&query[..], &[("cursor", cursor)]].concat();
        stranger(tenant, POSTS, &query).await
    };
    let fill = async || {
        posts(&here, true).await;
        here.fill("posts", 0..3, |i| json!({"id": format!("p{i}")})).await;
    };
    fill().await;
    let cursor = page(&there, "").await.expect(200).cursor().unwrap();
    assert_eq!(page(&there, &cursor).await.expect(200).ids(), ["p1"]);
    delete(&here).await;
    fill().await;
    for tenant in [&there, &here] {
        page(tenant, &cursor).await.expect_invalid_query("cursor");
    }
}

#[tokio::test]
async fn an_answer_kept_for_an_idempotency_key_ends_with_its_collection() {
    let (here, there) = tenant().await;
    let made = async |tenant: &Tenant, body: Value| {
        tenant.as_owner("POST", POSTS).header("Idempotency-Key", "once").json(&body).send().await
    };
    let several = async |tenant: &Tenant, body: Value| {
        let body = json!({"operations": [{"op": "create", "data": body}]});
        let call = tenant.as_owner("POST", "/api/v1/posts/bulk").header("Idempotency-Key", "once");
        call.json(&body).send().await
    };
    let (first, second) = (json!({"id": "p1", "title": "Bell"}), json!({"id": "p2", "title": "Bell"}));
    posts(&here, false).await;
    made(&here, first.clone()).await.expect(201);
    several(&here, second.clone()).await.expect(200);
    assert_eq!(made(&there, first.clone()).await.expect(201).header("idempotent-replayed"), "true");
    delete(&here).await;
    posts(&here, false).await;
    // The same keys, senders and bodies: in this collection nothing was made yet.
    for answer in [made(&there, first).await.expect(201), several(&there, second).await.expect(200)] {
        assert_eq!(answer.header("idempotent-replayed"), "");
    }
    assert_eq!(here.ids("posts", &[("sort", "id")]).await, ["p1", "p2"]);
}

#[tokio::test]
async fn a_collection_that_is_closed_or_loses_its_files_is_so_in_every_isolate() {
    let pair = World::on_both(|tenant| tenant).await;
    posts(&pair.here, true).await;
    pair.here.record("posts", json!({"id": "p1", "title": "Bell"})).await;
    let media = stored(&pair.here).await;
    let change = |change: Value| {
        async move |tenant: &Tenant| {
            tenant.as_owner("PATCH", COLLECTION).json(&change).send().await.expect(200);
        }
    };
    let seen = async |tenant: &Tenant| {
        let mut statuses = Vec::new();
        for path in [POSTS, POST, &media] {
            statuses.push(stranger(tenant, path, &[]).await.status);
        }
        statuses
    };
    pair.binds(seen, vec![200, 200, 200], change(json!({"public_read": false})), vec![401, 401, 404]).await;
    let body = json!({"name": "a.png", "content_type": "image/png", "size": PNG.len()});
    let announces = async |tenant: &Tenant| tenant.ask("POST", FILE, body.clone()).await.status;
    pair.binds(announces, 201, change(json!({"files": false})), 409).await;
}

#[tokio::test]
async fn a_reference_to_a_collection_made_again_is_checked_in_that_one() {
    let (here, there) = tenant().await;
    posts(&here, false).await;
    here.record("posts", json!({"id": "p1", "title": "Bell"})).await;
    let reference = json!({"post": {"type": "string", "reference": "posts"}});
    here.collection("links", reference.clone(), json!({})).await;
    there.record("links", json!({"id": "l1", "post": "p1"})).await;
    here.as_owner("DELETE", "/api/v1/collections/links").send().await.expect(200);
    delete(&here).await;
    notes(&here, false).await;
    here.collection("links", reference, json!({})).await;
    let dangling = there.ask("POST", "/api/v1/links", json!({"id": "l2", "post": "p1"})).await;
    assert_eq!(dangling.expect(422).pointers(), ["/post"]);
}
