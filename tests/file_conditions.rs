//! Files under the conditions and ranges of RFC 9110 (13 and 14).

use serde_json::json;

use crate::world::{RequestBuilder, Tenant, TestResponse, World};

const DIGITS: &[u8] = b"0123456789";
const FILE: &str = "/api/v1/media/r1/file";
const SHOWN: &str = "/media/media/r1/a.txt";
const LONG_AGO: &str = "Sun, 06 Nov 1994 08:49:37 GMT";
const SOME_DAY: &str = "Wednesday, 06-Nov-30 08:49:37 GMT";

/// A tenant with a public record that may hold a file.
async fn tenant() -> Tenant {
    let tenant = World::shared().await.tenant().create().await;
    let switches = json!({"files": true, "public_read": true});
    tenant.collection("media", json!({"title": {"type": "string"}}), switches).await;
    tenant.record("media", json!({"id": "r1"})).await;
    tenant
}

fn put(tenant: &Tenant, bytes: &[u8]) -> RequestBuilder {
    let call = tenant.as_owner("PUT", FILE).query("name", "a.txt").header("Content-Type", "Text/PLAIN; Charset=UTF-8");
    call.bytes(bytes.to_vec())
}

async fn failed(call: RequestBuilder, name: &str, value: &str) {
    let answer = call.header(name, value).send().await;
    assert_eq!(answer.status, 412, "{name}: {value}: {}", answer.body);
}

#[tokio::test]
async fn a_file_is_put_and_deleted_under_conditions() {
    let tenant = tenant().await;
    // Where no file is, only what wants none holds.
    failed(put(&tenant, DIGITS), "If-Match", "*").await;
    failed(put(&tenant, DIGITS), "If-Match", "\"x\"").await;
    tenant.as_owner("DELETE", FILE).header("If-Match", "*").send().await.expect_problem(404, "not_found");
    let first = put(&tenant, DIGITS).header("If-None-Match", "*").send().await.expect(201);
    let tag = first.header("etag").to_owned();
    assert_eq!(tag, format!("\"{}\"", first.data()["etag"].as_str().unwrap()));
    assert!(!first.header("last-modified").is_empty());
    for (name, value) in [
        ("If-None-Match", "*"),
        ("If-None-Match", &tag),
        ("If-Match", "\"x\""),
        ("If-Match", &format!("W/{tag}")),
        ("If-Match", ","),
        ("If-Unmodified-Since", LONG_AGO),
    ] {
        failed(put(&tenant, b"other"), name, value).await;
        failed(tenant.as_owner("DELETE", FILE), name, value).await;
    }
    // A tag goes before a date, and what is no date does not count.
    let second = put(&tenant, b"other").header("If-Match", &tag).header("If-Unmodified-Since", LONG_AGO);
    let second = second.send().await.expect(201).header("etag").to_owned();
    failed(put(&tenant, DIGITS), "If-Match", &tag).await;
    for (name, value) in [
        ("If-Match", format!("\"x\", {second}")),
        ("If-Unmodified-Since", SOME_DAY.into()),
        ("If-Unmodified-Since", "?".into()),
    ] {
        put(&tenant, b"other").header(name, &value).send().await.expect(201);
    }
    tenant.as_owner("DELETE", FILE).header("If-Unmodified-Since", SOME_DAY).send().await.expect(200);
    tenant.as_owner("DELETE", FILE).header("If-Match", &second).send().await.expect_problem(404, "not_found");
}

#[tokio::test]
async fn of_many_that_saw_one_file_one_replaces_it() {
    let tenant = tenant().await;
    let tag = put(&tenant, DIGITS).send().await.expect(201).header("etag").to_owned();
    let calls = (0..5).map(|i| put(&tenant, format!("number {i}").as_bytes()).header("If-Match", &tag).send());
    let mut statuses: Vec<u16> =
        futures_util::future::join_all(calls).await.iter().map(|answer| answer.status).collect();
    statuses.sort_unstable();
    assert_eq!(statuses, [201, 412, 412, 412, 412]);
}

#[tokio::test]
async fn a_file_is_read_under_conditions_in_the_order_of_the_standard() {
    let tenant = tenant().await;
    put(&tenant, DIGITS).send().await.expect(201);
    let shown = tenant.call("GET", SHOWN).send().await.expect(200);
    let (tag, time) = (shown.header("etag").to_owned(), shown.header("last-modified").to_owned());
    let weak = format!("W/{tag}");
    let rows: &[(&[(&str, &str)], u16)] = &[
        (&[("If-Match", &tag)], 200),
        (&[("If-Match", "*")], 200),
        (&[("If-Match", &weak)], 412),
        (&[("If-Match", "\"x\"")], 412),
        (&[("If-Unmodified-Since", &time)], 200),
        (&[("If-Unmodified-Since", LONG_AGO)], 412),
        (&[("If-Match", &tag), ("If-Unmodified-Since", LONG_AGO)], 200),
        (&[("If-None-Match", &weak)], 304),
        (&[("If-None-Match", "*")], 304),
        (&[("If-None-Match", "\"x\""), ("If-Modified-Since", &time)], 200),
        (&[("If-Modified-Since", &time)], 304),
        (&[("If-Modified-Since", SOME_DAY)], 304),
        (&[("If-Modified-Since", LONG_AGO)], 200),
        (&[("If-Match", "\"x\""), ("If-None-Match", &tag)], 412),
        (&[("If-Match", &tag), ("If-None-Match", &tag)], 304),
    ];
    for path in [SHOWN, FILE] {
        for method in ["GET", "HEAD"] {
            for (headers, status) in rows {
                let call =
                    headers.iter().fold(tenant.call(method, path), |call, (name, value)| call.header(name, value));
                let answer = call.send().await;
                assert_eq!(answer.status, *status, "{method} {path} {headers:?}: {}", answer.body);
                if *status == 304 {
                    assert_eq!((answer.header("etag"), answer.body.as_str()), (tag.as_str(), ""), "{headers:?}");
                }
            }
        }
    }
    // Ranges come behind the conditions.
    let part = || tenant.call("GET", SHOWN).header("Range", "bytes=0-1");
    part().header("If-Match", "\"x\"").send().await.expect(412);
    part().header("If-None-Match", &tag).send().await.expect(304);
    part().header("If-Match", &tag).send().await.expect(206);
}

#[tokio::test]
async fn ranges_are_those_of_the_standard() {
    let tenant = tenant().await;
    put(&tenant, DIGITS).send().await.expect(201);
    let get = |range: &str| tenant.call("GET", SHOWN).header("Range", range);
    for (range, part, said) in [
        ("bytes=0-0", "0", "bytes 0-0/10"),
        ("Bytes=0-1", "01", "bytes 0-1/10"),
        ("BYTES=8-", "89", "bytes 8-9/10"),
        ("bytes=-3", "789", "bytes 7-9/10"),
        ("bytes=-99", "0123456789", "bytes 0-9/10"),
        ("bytes=5-99", "56789", "bytes 5-9/10"),
        ("bytes=0-4, 5-6", "0123456", "bytes 0-6/10"),
        ("bytes=20-30, 2-3", "23", "bytes 2-3/10"),
    ] {
        let answer = get(range).send().await.expect(206);
        assert_eq!((answer.body.as_str(), answer.header("content-range")), (part, said), "{range}");
        assert_eq!(answer.header("content-length"), part.len().to_string(), "{range}");
    }
    for range in ["bytes=10-", "bytes=-0", "bytes=10-12, 99-"] {
        let answer = get(range).send().await.expect_problem(416, "range_not_satisfiable");
        assert_eq!(answer.header("content-range"), "bytes */10", "{range}");
    }
    for range in ["bytes=0-1,4-5", "bytes=5-2", "bytes=", "bytes=a-b", "items=0-1", "bytes 0-1", "0-1"] {
        let answer = get(range).send().await.expect(200);
        assert_eq!((answer.body.as_bytes(), answer.header("content-range")), (DIGITS, ""), "{range}");
    }
    let head = tenant.call("HEAD", SHOWN).header("Range", "bytes=0-1").send().await.expect(200);
    assert_eq!((head.header("content-length"), head.header("content-range")), ("10", ""), "ranges are of GET");
}

#[tokio::test]
async fn a_part_is_only_sent_of_what_the_client_has() {
    let tenant = tenant().await;
    let stored = put(&tenant, DIGITS).send().await.expect(201);
    let (tag, time) = (stored.header("etag").to_owned(), stored.header("last-modified").to_owned());
    let part =
        |validator: &str| tenant.call("GET", SHOWN).header("Range", "bytes=0-1").header("If-Range", validator).send();
    for validator in [&tag, &time] {
        assert_eq!(part(validator).await.expect(206).body, "01", "{validator}");
    }
    for validator in [&format!("W/{tag}"), "\"x\"", LONG_AGO, SOME_DAY, "?", "*", ","] {
        assert_eq!(part(validator).await.expect(200).body.as_bytes(), DIGITS, "{validator}");
    }
    let beyond = tenant.call("GET", SHOWN).header("Range", "bytes=99-").header("If-Range", "\"x\"");
    beyond.send().await.expect(200);
}

/// RFC 9110, 13.1.5 and 8.8.2.2: parts of two files are never joined, however fast one follows the other.
#[tokio::test]
async fn a_date_tells_a_file_from_those_that_were_there_before_it() {
    let tenant = tenant().await;
    let part =
        |range: &str, date: &str| tenant.call("GET", SHOWN).header("Range", range).header("If-Range", date).send();
    let mut dates: Vec<String> = Vec::new();
    for (step, bytes) in [b"0123456789", b"abcdefghij", b"ABCDEFGHIJ", b"9876543210"].into_iter().enumerate() {
        match step {
            2 => {
                tenant.as_owner("DELETE", FILE).send().await.expect(200);
            }
            3 => {
                let gone = tenant.as_owner("DELETE", "/api/v1/media/r1").query("permanent", "true");
                gone.send().await.expect(200);
                tenant.record("media", json!({"id": "r1"})).await;
            }
            _ => {}
        }
        let stored = put(&tenant, bytes).send().await.expect(201);
        for date in &dates {
            assert_eq!(part("bytes=5-9", date).await.expect(200).body.as_bytes(), bytes, "{step}: {date}");
        }
        let first = tenant.call("GET", SHOWN).header("Range", "bytes=0-4").send().await.expect(206);
        let date = first.header("last-modified").to_owned();
        assert_eq!(stored.header("last-modified"), date, "the answer waited until it had come");
        assert!(!dates.contains(&date), "{step}: {date}");
        assert_eq!(part("bytes=5-9", &date).await.expect(206).body.as_bytes(), &bytes[5..], "{step}");
        dates.push(date);
    }
}

#[tokio::test]
async fn an_entity_tag_is_of_name_and_media_type_too() {
    let tenant = tenant().await;
    let store = |name: &str, kind: &str, tag: Option<&str>| {
        let call =
            tenant.as_owner("PUT", FILE).query("name", name).header("Content-Type", kind).bytes(b"same".to_vec());
        tag.into_iter().fold(call, |call, tag| call.header("If-Match", tag)).send()
    };
    let first = store("one.txt", "text/plain", None).await.expect(201).header("etag").to_owned();
    let second = store("two.txt", "text/plain", Some(&first)).await.expect(201).header("etag").to_owned();
    store("two.txt", "text/plain", Some(&first)).await.expect_problem(412, "precondition_failed");
    let third = store("two.txt", "text/markdown", Some(&second)).await.expect(201).header("etag").to_owned();
    store("two.txt", "text/markdown", Some(&second)).await.expect_problem(412, "precondition_failed");
    let known = |path: &'static str, tag: &str| tenant.call("GET", path).header("If-None-Match", tag).send();
    for path in [FILE, "/media/media/r1/two.txt"] {
        for tag in [&first, &second] {
            assert_eq!(known(path, tag).await.expect(200).header("etag"), third, "{path}");
        }
        known(path, &third).await.expect(304);
    }
    let part = |tag: &str| {
        let call = tenant.call("GET", "/media/media/r1/two.txt").header("Range", "bytes=0-1");
        call.header("If-Range", tag).send()
    };
    part(&second).await.expect(200);
    part(&third).await.expect(206);
    // The same file again has the same tag.
    assert_eq!(store("two.txt", "text/markdown", Some(&third)).await.expect(201).header("etag"), third);
}

/// The answer without what differs from one to the next.
fn comparable(answer: &TestResponse) -> Vec<(String, String)> {
    let varies = |name: &str| {
        ["date", "x-request-id", "ratelimit", "x-ratelimit-remaining", "x-cache", "transfer-encoding"].contains(&name)
    };
    let headers = answer.headers.iter().filter(|(name, _)| !varies(name.as_str()));
    let mut headers: Vec<_> = headers
        .map(|(name, value)| (name.to_string(), String::from_utf8_lossy(value.as_bytes()).into_owned()))
        .collect();
    headers.sort();
    headers
}

#[tokio::test]
async fn a_head_is_a_get_without_its_body() {
    let tenant = tenant().await;
    put(&tenant, DIGITS).send().await.expect(201);
    for path in
        [SHOWN, FILE, "/api/v1/media/r1", "/api/v1/media", "/api/v1/branding", "/branding.css", "/api/v1/nothing/x/y/z"]
    {
        // Once before: a list says where a stream goes on from it as soon as the isolate knows.
        tenant.call("GET", path).send().await;
        let get = tenant.call("GET", path).send().await;
        let head = tenant.call("HEAD", path).send().await;
        assert_eq!((head.status, head.body.as_str()), (get.status, ""), "{path}");
        if get.status == 200 {
            assert_eq!(comparable(&head), comparable(&get), "{path}");
        }
    }
}
