//! Files of records: how they come in, who sees them, and that no byte is left behind.

use futures_util::future::join_all;
use serde_json::{Value, json};

use crate::world::{RequestBuilder, Tenant, TenantBuilder, TestResponse, World, eventually};

const PNG: &[u8] = b"\x89PNG 0123456789";

/// A tenant with a collection `media`, public where it is said to be, and with further switches.
async fn library(tenant: TenantBuilder, more: Value) -> Tenant {
    let tenant = tenant.create().await;
    let mut switches = json!({"files": true});
    switches.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    tenant.collection("media", json!({"title": {"type": "string"}}), switches).await;
    tenant
}

async fn private() -> Tenant {
    library(World::shared().await.tenant(), json!({})).await
}

async fn public() -> Tenant {
    library(World::shared().await.tenant(), json!({"public_read": true})).await
}

/// The path of a new record's file.
async fn record(tenant: &Tenant, id: &str) -> String {
    tenant.record("media", json!({"id": id})).await;
    format!("/api/v1/media/{id}/file")
}

/// Sends bytes as a member does.
fn put(tenant: &Tenant, path: &str, name: &str, kind: &str, bytes: &[u8]) -> RequestBuilder {
    tenant.as_owner("PUT", path).query("name", name).header("Content-Type", kind).bytes(bytes.to_vec())
}

/// A record that holds a file; its path.
async fn held(tenant: &Tenant, id: &str) -> String {
    let path = record(tenant, id).await;
    put(tenant, &path, "a b.png", "image/png", PNG).send().await.expect(201);
    path
}

async fn announced(tenant: &Tenant, path: &str, size: usize) -> String {
    let body = json!({"name": "a b.png", "content_type": "image/png", "size": size});
    let said = tenant.as_owner("POST", path).json(&body).send().await.expect(201).data();
    assert_eq!((&said["method"], &said["headers"]), (&json!("PUT"), &json!({"Content-Type": "image/png"})));
    tenant.behind_host(&said["url"])
}

fn upload(tenant: &Tenant, path: &str, bytes: &[u8]) -> RequestBuilder {
    tenant.call("PUT", path).header("Content-Type", "image/png").bytes(bytes.to_vec())
}

/// Where a member is told that the file is.
async fn url(tenant: &Tenant, path: &str) -> String {
    let shown = tenant.as_owner("GET", path).send().await.expect(200).data();
    tenant.behind_host(&shown["url"])
}

/// The tenant's objects once the sweep is through.
async fn objects(tenant: &Tenant, count: usize) -> Vec<String> {
    eventually("the sweep", async || {
        let keys = tenant.world.objects(&format!("t/{}/", tenant.id)).await;
        let loose = tenant.on_shard("SELECT object FROM unreferenced_objects WHERE tenant_id = ?1", &[]).await;
        (keys.len() == count && loose.is_empty()).then_some(keys)
    })
    .await
}

async fn stored_bytes(tenant: &Tenant) -> i64 {
    let rows = tenant.on_shard("SELECT bytes FROM storage_used WHERE tenant_id = ?1", &[]).await;
    rows.first().map_or(0, |row| row["bytes"].as_i64().unwrap())
}

fn bytes(answer: &TestResponse) -> &[u8] {
    answer.bytes.as_slice()
}

#[tokio::test]
async fn a_member_stores_a_file_and_whoever_has_its_url_sees_it() {
    let tenant = private().await;
    let path = record(&tenant, "r1").await;
    tenant.as_owner("GET", &path).send().await.expect_problem(404, "not_found");
    let stored = put(&tenant, &path, "a b.png", "image/png", PNG).send().await.expect(201).data();
    let shown = tenant.as_owner("GET", &path).send().await.expect(200).data();
    for (name, value) in [("name", json!("a b.png")), ("content_type", json!("image/png")), ("size", json!(15))] {
        assert_eq!((&stored[name], &shown[name]), (&value, &value));
    }
    assert_eq!(stored["etag"], shown["etag"]);
    assert!(shown["expires_at"].is_string());
    let seen = tenant.call("GET", &url(&tenant, &path).await).send().await.expect(200);
    assert_eq!(bytes(&seen), PNG);
    assert_eq!(seen.header("content-type"), "image/png");
    assert_eq!(seen.header("content-length"), "15");
    assert_eq!(seen.header("etag"), format!("\"{}\"", shown["etag"].as_str().unwrap()));
    assert_eq!(seen.header("content-disposition"), "inline; filename=\"a b.png\"; filename*=UTF-8''a%20b.png");
    assert_eq!(seen.header("x-content-type-options"), "nosniff");
    assert!(seen.header("content-security-policy").contains("sandbox"));
    assert!(seen.header("cache-control").starts_with("private, max-age="));
    let head = tenant.call("HEAD", &url(&tenant, &path).await).send().await.expect(200);
    assert_eq!((head.header("content-length"), head.body.as_str()), ("15", ""));
}

#[tokio::test]
async fn a_url_takes_a_file_from_whoever_has_it() {
    let tenant = private().await;
    let path = record(&tenant, "r1").await;
    let link = announced(&tenant, &path, PNG.len()).await;
    let first = upload(&tenant, &link, PNG).send().await.expect(201).data();
    assert!(first["created_by"].as_str().unwrap().starts_with("platform_key"), "{first}");
    assert_eq!(upload(&tenant, &link, PNG).send().await.expect(201).data(), first, "the answer was lost");
    assert_eq!(objects(&tenant, 1).await.len(), 1);
    assert_eq!(bytes(&tenant.call("GET", &url(&tenant, &path).await).send().await.expect(200)), PNG);
    // Another file came since: the URL is not good for taking its place.
    put(&tenant, &path, "new.png", "image/png", b"new").send().await.expect(201);
    upload(&tenant, &link, PNG).send().await.expect_problem(409, "changed_meanwhile");
    assert_eq!(objects(&tenant, 1).await.len(), 1);
}

#[tokio::test]
async fn of_two_urls_the_first_that_is_used_counts() {
    let tenant = private().await;
    let path = record(&tenant, "r1").await;
    let links = [announced(&tenant, &path, PNG.len()).await, announced(&tenant, &path, PNG.len()).await];
    let sent = join_all(links.iter().map(|link| upload(&tenant, link, PNG).send())).await;
    let mut statuses: Vec<u16> = sent.iter().map(|answer| answer.status).collect();
    statuses.sort_unstable();
    assert_eq!(statuses, [201, 409]);
    objects(&tenant, 1).await;
}

#[tokio::test]
async fn an_upload_is_what_was_announced() {
    let tenant = private().await;
    let path = record(&tenant, "r1").await;
    let link = announced(&tenant, &path, PNG.len()).await;
    upload(&tenant, &link, &PNG[1..]).send().await.expect_invalid("Content-Length");
    upload(&tenant, &link, &[PNG, b"x"].concat()).send().await.expect_invalid("Content-Length");
    let other = tenant.call("PUT", &link).header("Content-Type", "image/jpeg").bytes(PNG.to_vec());
    other.send().await.expect_problem(415, "unsupported_media_type");
    tenant.call("PUT", &link).bytes(PNG.to_vec()).send().await.expect_problem(415, "unsupported_media_type");
    let chunked = upload(&tenant, &link, PNG).chunked().send().await;
    chunked.expect_problem(411, "length_required");
    objects(&tenant, 0).await;
    upload(&tenant, &link, PNG).send().await.expect(201);
}

#[tokio::test]
async fn only_files_of_listed_types_and_sizes_are_announced() {
    let tenant = private().await;
    let path = record(&tenant, "r1").await;
    for (name, kind, size, pointer) in [
        ("a.html", "text/html", 1, "/content_type"),
        ("a.js", "application/javascript", 1, "/content_type"),
        ("a/b.png", "image/png", 1, "/name"),
        ("a.png", "image/png", 0, "/size"),
        ("a.png", "image/png", 100_000_001, "/size"),
    ] {
        let body = json!({"name": name, "content_type": kind, "size": size});
        tenant.as_owner("POST", &path).json(&body).send().await.expect_invalid(pointer);
    }
    let page = put(&tenant, &path, "a.html", "text/html", b"<script>").send().await;
    page.expect_problem(415, "unsupported_media_type");
    put(&tenant, &path, "", "image/png", PNG).send().await.expect_invalid_query("name");
    let nameless = tenant.as_owner("PUT", &path).header("Content-Type", "image/png").bytes(PNG.to_vec());
    nameless.send().await.expect_invalid_query("name");
}

#[tokio::test]
async fn what_could_hold_a_script_is_saved_and_sandboxed() {
    let tenant = public().await;
    let path = record(&tenant, "r1").await;
    put(&tenant, &path, "a.svg", "image/svg+xml", b"<svg onload='x'/>").send().await.expect(201);
    let seen = tenant.call("GET", &url(&tenant, &path).await).send().await.expect(200);
    assert!(seen.header("content-disposition").starts_with("attachment;"));
    assert_eq!(seen.header("content-security-policy"), "default-src 'none'; style-src 'unsafe-inline'; sandbox");
}

#[tokio::test]
async fn an_upload_url_is_good_in_its_tenant_its_time_and_its_text() {
    let (tenant, other) = (private().await, private().await);
    let path = record(&tenant, "r1").await;
    record(&other, "r1").await;
    let link = announced(&tenant, &path, PNG.len()).await;
    upload(&other, &link, PNG).send().await.expect_problem(403, "invalid_link");
    let mut edited = link.clone();
    edited.replace_range(40..41, if &link[40..41] == "A" { "B" } else { "A" });
    upload(&tenant, &edited, PNG).send().await.expect_problem(403, "invalid_link");
    upload(&tenant, "/uploads/x", PNG).send().await.expect_problem(403, "invalid_link");
    // A token of the other purpose.
    let shown = url(&tenant, &held(&tenant, "r2").await).await;
    let signature = shown.split("signature=").nth(1).unwrap();
    upload(&tenant, &format!("/uploads/{signature}"), PNG).send().await.expect_problem(403, "invalid_link");
    upload(&tenant, &link, PNG).send().await.expect(201);
}

#[tokio::test]
async fn a_record_that_is_gone_or_holds_no_files_takes_none() {
    let tenant = private().await;
    tenant.collection("notes", json!({}), json!({})).await;
    tenant.record("notes", json!({"id": "n1"})).await;
    let body = json!({"name": "a.png", "content_type": "image/png", "size": 3});
    for (path, status, code) in [
        ("/api/v1/notes/n1/file", 409, "no_files"),
        ("/api/v1/media/nobody/file", 404, "not_found"),
        ("/api/v1/nothing/r1/file", 404, "not_found"),
    ] {
        tenant.as_owner("POST", path).json(&body).send().await.expect_problem(status, code);
        put(&tenant, path, "a.png", "image/png", PNG).send().await.expect_problem(status, code);
        tenant.as_owner("GET", path).send().await.expect_problem(404, "not_found");
        tenant.as_owner("DELETE", path).send().await.expect_problem(404, "not_found");
    }
    let path = record(&tenant, "r1").await;
    let link = announced(&tenant, &path, PNG.len()).await;
    tenant.as_owner("DELETE", "/api/v1/media/r1").send().await.expect(200);
    upload(&tenant, &link, PNG).send().await.expect_problem(404, "not_found");
    objects(&tenant, 0).await;
}

#[tokio::test]
async fn a_url_shows_one_file_for_a_time() {
    let (tenant, other) = (private().await, private().await);
    let (path, second) = (held(&tenant, "r1").await, held(&tenant, "r2").await);
    held(&other, "r1").await;
    let (link, second) = (url(&tenant, &path).await, url(&tenant, &second).await);
    let (bare, signed) = link.split_once('?').unwrap();
    tenant.call("GET", bare).send().await.expect_problem(404, "not_found");
    tenant.call("GET", "/media/media/nobody/a.png").send().await.expect_problem(404, "not_found");
    let elsewhere = second.split_once('?').unwrap().0;
    for wrong in [
        format!("{elsewhere}?{signed}"),
        format!("/media/media/nobody/a.png?{signed}"),
        link.replace("expires=1", "expires=2"),
        link.replace("v=", "v=0"),
        format!("{link}x"),
    ] {
        tenant.call("GET", &wrong).send().await.expect_problem(403, "invalid_link");
    }
    other.call("GET", &link).send().await.expect_problem(403, "invalid_link");
    tenant.call("GET", &link).send().await.expect(200);
    for (seconds, ok) in [("59", false), ("604801", false), ("60", true), ("604800", true)] {
        let answer = tenant.as_owner("GET", &path).query("expires_in", seconds).send().await;
        if ok {
            answer.expect(200)
        } else {
            answer.expect_invalid_query("expires_in")
        };
    }
    // The URL is for this file, not for what comes in its place: other bytes, or the same under another type.
    put(&tenant, &path, "a b.png", "image/jpeg", PNG).send().await.expect(201);
    tenant.call("GET", &link).send().await.expect_problem(404, "not_found");
    put(&tenant, &path, "a b.png", "image/png", b"other").send().await.expect(201);
    tenant.call("GET", &link).send().await.expect_problem(404, "not_found");
}

#[tokio::test]
async fn a_public_file_is_everybodys_and_kept_for_good_by_its_tag() {
    let tenant = public().await;
    let path = held(&tenant, "r1").await;
    let shown = tenant.call("GET", &path).send().await.expect(200).data();
    assert_eq!(shown["expires_at"], Value::Null);
    let link = tenant.behind_host(&shown["url"]);
    assert!(!link.contains("signature"));
    let seen = tenant.call("GET", &link).send().await.expect(200);
    assert_eq!((bytes(&seen), seen.header("cache-control")), (PNG, "public, max-age=31536000, immutable"));
    for briefly in ["/media/media/r1/a%20b.png", "/media/media/r1/a%20b.png?v=0123456789abcdef0123456789abcdef"] {
        let plain = tenant.call("GET", briefly).send().await.expect(200);
        assert_eq!((bytes(&plain), plain.header("cache-control")), (PNG, "public, max-age=60"), "{briefly}");
    }
    // The same bytes under another type have another URL; the one of before shows them, and not for good.
    put(&tenant, &path, "a b.png", "image/jpeg", PNG).send().await.expect(201);
    let other = url(&tenant, &path).await;
    assert_ne!(other, link);
    for (url, caching) in [(&link, "public, max-age=60"), (&other, "public, max-age=31536000, immutable")] {
        let seen = tenant.call("GET", url).send().await.expect(200);
        assert_eq!((seen.header("content-type"), seen.header("cache-control")), ("image/jpeg", caching));
    }
    tenant.call("GET", "/media/media/r1/b.png").send().await.expect_problem(404, "not_found");
    tenant.call("DELETE", &path).send().await.expect_problem(401, "unauthorized");
}

#[tokio::test]
async fn parts_are_served_and_what_is_known_is_not_sent_again() {
    let tenant = public().await;
    let link = url(&tenant, &held(&tenant, "r1").await).await;
    let get = || tenant.call("GET", &link);
    let whole = get().send().await.expect(200);
    assert_eq!(whole.header("accept-ranges"), "bytes");
    for (range, said, part) in [
        ("bytes=0-3", "bytes 0-3/15", &PNG[..4]),
        ("bytes=5-", "bytes 5-14/15", &PNG[5..]),
        ("bytes=-4", "bytes 11-14/15", &PNG[11..]),
        ("bytes=10-99", "bytes 10-14/15", &PNG[10..]),
    ] {
        let answer = get().header("Range", range).send().await.expect(206);
        assert_eq!((bytes(&answer), answer.header("content-range")), (part, said), "{range}");
        assert_eq!(answer.header("content-length"), part.len().to_string());
    }
    let beyond = get().header("Range", "bytes=15-").send().await.expect_problem(416, "range_not_satisfiable");
    assert_eq!(beyond.header("content-range"), "bytes */15");
    assert_eq!(bytes(&get().header("Range", "bytes=0-1,3-4").send().await.expect(200)), PNG);
    let (tag, time) = (whole.header("etag").to_owned(), whole.header("last-modified").to_owned());
    for (name, value) in [("If-None-Match", &tag), ("If-Modified-Since", &time)] {
        let answer = get().header(name, value).send().await.expect(304);
        assert_eq!((answer.header("etag"), answer.body.as_str()), (tag.as_str(), ""));
    }
    get().header("If-None-Match", "\"x\"").header("If-Modified-Since", &time).send().await.expect(200);
    get().header("If-Modified-Since", "Sun, 06 Nov 1994 08:49:37 GMT").send().await.expect(200);
    get().header("Range", "bytes=0-1").header("If-Range", &tag).send().await.expect(206);
    get().header("Range", "bytes=0-1").header("If-Range", "\"x\"").send().await.expect(200);
}

#[tokio::test]
async fn replacing_and_deleting_take_the_bytes_along() {
    let tenant = private().await;
    let path = held(&tenant, "r1").await;
    let before = objects(&tenant, 1).await;
    assert!(before[0].starts_with(&format!("t/{}/media/r1/", tenant.id)), "{before:?}");
    put(&tenant, &path, "b.txt", "text/plain", b"more").send().await.expect(201);
    assert_ne!(objects(&tenant, 1).await, before);
    assert_eq!(stored_bytes(&tenant).await, 4);
    let seen = tenant.call("GET", &url(&tenant, &path).await).send().await.expect(200);
    assert_eq!((seen.body.as_str(), seen.header("content-type")), ("more", "text/plain; charset=utf-8"));
    tenant.as_owner("DELETE", &path).send().await.expect(200);
    tenant.as_owner("DELETE", &path).send().await.expect_problem(404, "not_found");
    objects(&tenant, 0).await;
    assert_eq!(stored_bytes(&tenant).await, 0);
}

#[tokio::test]
async fn a_deleted_record_keeps_its_file_unless_it_is_gone_for_ever() {
    let tenant = library(World::shared().await.tenant(), json!({"soft_delete": true, "public_read": true})).await;
    let path = held(&tenant, "r1").await;
    let link = url(&tenant, &path).await;
    tenant.as_owner("DELETE", "/api/v1/media/r1").send().await.expect(200);
    tenant.call("GET", &link).send().await.expect_problem(404, "not_found");
    tenant.as_owner("GET", &path).send().await.expect_problem(404, "not_found");
    tenant.as_owner("DELETE", &path).send().await.expect_problem(404, "not_found");
    put(&tenant, &path, "a.png", "image/png", PNG).send().await.expect_problem(404, "not_found");
    objects(&tenant, 1).await;
    tenant.as_owner("POST", "/api/v1/media/r1/restore").send().await.expect(200);
    assert_eq!(bytes(&tenant.call("GET", &link).send().await.expect(200)), PNG);
    tenant.as_owner("DELETE", "/api/v1/media/r1").query("permanent", "true").send().await.expect(200);
    tenant.call("GET", &link).send().await.expect_problem(404, "not_found");
    objects(&tenant, 0).await;
}

#[tokio::test]
async fn a_collection_takes_its_files_along() {
    let tenant = private().await;
    for id in ["r1", "r2", "r3"] {
        held(&tenant, id).await;
    }
    objects(&tenant, 3).await;
    tenant.as_owner("DELETE", "/api/v1/collections/media").send().await.expect(200);
    objects(&tenant, 0).await;
    assert_eq!(stored_bytes(&tenant).await, 0);
}

#[tokio::test]
async fn the_plans_bound_of_bytes_is_never_passed() {
    let room = 5 * PNG.len();
    let tenant = library(World::shared().await.tenant(), json!({})).await;
    let mut paths = Vec::new();
    for i in 0..10 {
        paths.push(record(&tenant, &format!("r{i}")).await);
    }
    // The records have their room already.
    let storage = tenant.get(&format!("/api/v1/tenants/{}/storage", tenant.id)).await.expect(200).data();
    let records = usize::try_from(storage["records_bytes"].as_i64().unwrap()).unwrap();
    tenant.patch(json!({"rate_limits": {"max_storage_bytes": records + room}})).await;
    let links = join_all(paths.iter().map(|path| announced(&tenant, path, PNG.len()))).await;
    let sent = join_all(links.iter().map(|link| upload(&tenant, link, PNG).send())).await;
    let stored = sent.iter().filter(|answer| answer.status == 201).count();
    assert_eq!(stored, 5);
    for answer in sent.into_iter().filter(|answer| answer.status != 201) {
        answer.expect_problem(409, "storage_limit_reached");
    }
    assert_eq!(stored_bytes(&tenant).await, i64::try_from(room).unwrap());
    objects(&tenant, 5).await;
    // What takes another's place needs no more room than it.
    let full = tenant.as_owner("GET", "/api/v1/media").send().await.expect(200);
    let mut replaced = 0;
    for id in full.column("id") {
        let path = format!("/api/v1/media/{}/file", id.as_str().unwrap());
        let answer = put(&tenant, &path, "a.png", "image/png", PNG).send().await;
        replaced += usize::from(answer.status == 201);
    }
    assert_eq!(replaced, 5);
    let body = json!({"name": "a.png", "content_type": "image/png", "size": records + room + 1});
    tenant.as_owner("POST", &paths[0]).json(&body).send().await.expect_problem(409, "storage_limit_reached");
    objects(&tenant, 5).await;
}

#[tokio::test]
async fn an_upload_that_came_to_nothing_is_swept_when_it_is_due() {
    let tenant = private().await;
    held(&tenant, "r1").await;
    let prefix = format!("t/{}/", tenant.id);
    for (object, due) in [("media/r1/crashed", "0"), ("media/r1/under-way", "9000000000000")] {
        tenant.world.seed_object(&format!("{prefix}{object}"), None).await;
        let sql = "INSERT INTO unreferenced_objects (tenant_id, object, due_at) VALUES (?1, ?2, CAST(?3 AS INTEGER))";
        tenant.on_shard(sql, &[object, due]).await;
    }
    tenant.world.scheduled().await;
    let left = eventually("the sweep", async || {
        let keys = tenant.world.objects(&prefix).await;
        (keys.len() == 2).then_some(keys)
    })
    .await;
    assert!(left.iter().any(|key| key.ends_with("/under-way")), "{left:?}");
}

#[tokio::test]
async fn a_purge_leaves_no_object_of_the_tenant() {
    let (tenant, other) = (private().await, private().await);
    held(&tenant, "r1").await;
    held(&other, "r1").await;
    // More than R2 lists at once, and some that no row knows.
    tenant.world.seed_object(&format!("t/{}/media/lost/", tenant.id), Some(1100)).await;
    tenant.delete().await;
    tenant.purge().await;
    assert!(tenant.world.objects(&format!("t/{}/", tenant.id)).await.is_empty());
    for table in ["record_files", "unreferenced_objects", "storage_used"] {
        let sql = format!("SELECT * FROM {table} WHERE tenant_id = ?1");
        assert!(tenant.on_shard(&sql, &[]).await.is_empty(), "{table}");
    }
    objects(&other, 1).await;
}

#[tokio::test]
async fn a_suspended_tenant_serves_and_takes_no_file() {
    let tenant = public().await;
    let path = held(&tenant, "r1").await;
    let (link, upload_link) = (url(&tenant, &path).await, announced(&tenant, &path, PNG.len()).await);
    tenant.suspend().await;
    tenant.call("GET", &link).send().await.expect_problem(404, "tenant_not_found");
    upload(&tenant, &upload_link, PNG).send().await.expect_problem(404, "tenant_not_found");
    tenant.activate().await;
    assert_eq!(bytes(&tenant.call("GET", &link).send().await.expect(200)), PNG);
}

#[tokio::test]
async fn addresses_that_are_not_let_in_see_and_send_nothing() {
    let tenant = public().await;
    let path = held(&tenant, "r1").await;
    let (link, upload_link) = (url(&tenant, &path).await, announced(&tenant, &path, PNG.len()).await);
    tenant.patch(json!({"ip_allowlist": ["192.0.2.0/24"]})).await;
    tenant.call("GET", &link).send().await.expect_problem(403, "address_not_allowed");
    upload(&tenant, &upload_link, PNG).send().await.expect_problem(403, "address_not_allowed");
    tenant.call("GET", &link).address("192.0.2.7").send().await.expect(200);
}
