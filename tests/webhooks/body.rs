//! What a webhook's body may say, and which field is named when it may not.

use serde_json::{Value, json};

use crate::world::{Tenant, World};

async fn tenant() -> Tenant {
    World::shared().await.tenant().create().await
}

#[tokio::test]
async fn a_missing_or_bad_field_is_named_and_nothing_is_published() {
    let tenant = tenant().await;
    let mut stream = tenant.subscribe(&["*"]).await;
    for field in ["node_type", "action", "channels", "tenant_id"] {
        let answer = tenant.webhook().without(field).send().await;
        answer.expect_invalid(&format!("/{field}"));
    }
    let many: Vec<String> = (0..101).map(|number| format!("c{number}")).collect();
    let cases: Vec<(&str, Value, &str)> = vec![
        ("node_type", json!(""), "/node_type"),
        ("node_type", json!(7), "/node_type"),
        ("action", json!(null), "/action"),
        ("action", json!("line\nbreak"), "/action"),
        ("channels", json!("posts"), "/channels"),
        ("channels", json!([]), "/channels"),
        ("channels", json!(many), "/channels"),
        ("channels", json!(["posts", ""]), "/channels/1"),
        ("channels", json!(["posts", 7]), "/channels/1"),
        ("channels", json!(["po*sts"]), "/channels/0"),
        ("channels", json!(["*"]), "/channels/0"),
        ("channels", json!(["new\nline"]), "/channels/0"),
        ("channels", json!(["x".repeat(2000)]), "/channels/0"),
        ("keys", json!("k"), "/keys"),
        ("keys", json!([7]), "/keys/0"),
        ("private", json!("yes"), "/private"),
        ("colour", json!("green"), "/colour"),
    ];
    for (field, value, pointer) in cases {
        let answer = tenant.webhook().set(field, value.clone()).send().await;
        assert_eq!(answer.status, 422, "{field} = {value}: {}", answer.body);
        answer.expect_invalid(pointer);
    }
    tenant.publish("posts", json!("only this")).await;
    assert_eq!(stream.event().await.body["data"], "only this");
}

#[tokio::test]
async fn what_is_no_json_is_malformed() {
    let tenant = tenant().await;
    for body in [&b""[..], b"{", b"nonsense", b"{\"a\":1,}", b"\xff\xfe"] {
        let answer = tenant.webhook().raw(body).send().await;
        assert_eq!(answer.status, 400, "{body:?}: {}", answer.body);
        answer.expect_problem(400, "malformed_json");
    }
    for body in [&b"[]"[..], b"7", b"null", b"\"text\""] {
        tenant.webhook().raw(body).send().await.expect_problem(422, "validation_failed");
    }
}

#[tokio::test]
async fn a_body_of_256_kilobytes_is_taken_and_one_byte_more_is_not() {
    let tenant = tenant().await;
    let empty = tenant.webhook().data(json!(""));
    let frame = json!({
        "tenant_id": tenant.id, "node_type": "Post", "action": "update",
        "channels": ["posts"], "data": "",
    })
    .to_string()
    .len();
    let fits = "x".repeat(256 * 1024 - frame);
    empty.clone().data(json!(fits)).accepted().await;
    let over = empty.data(json!(format!("{fits}x"))).send().await;
    over.expect_problem(413, "body_too_large");
}

#[tokio::test]
async fn an_over_long_body_is_refused_whatever_its_signature() {
    let tenant = tenant().await;
    let long = vec![b'x'; 300 * 1024];
    tenant.webhook().raw(&long).unsigned().send().await.expect_problem(413, "body_too_large");
}

#[tokio::test]
async fn keys_data_and_private_may_be_left_out() {
    let tenant = tenant().await;
    let mut stream = tenant.subscribe(&["posts"]).await;
    tenant.webhook().accepted().await;
    assert_eq!(stream.event().await.body["data"], Value::Null);
    let full = tenant.webhook().set("keys", json!(["post:7", "author:3"])).data(json!(1));
    full.set("private", json!(false)).accepted().await;
    assert_eq!(stream.event().await.body["data"], 1);
}

#[tokio::test]
async fn a_doubled_channel_is_one_topic() {
    let tenant = tenant().await;
    let mut stream = tenant.subscribe(&["posts"]).await;
    let answer = tenant.webhook().channels(&["posts", "posts"]).send().await.expect(202);
    assert_eq!(answer.data()["topics"], json!(["posts"]));
    tenant.publish("posts", json!("next")).await;
    stream.event().await;
    assert_eq!(stream.event().await.body["data"], "next");
}

#[tokio::test]
async fn a_site_does_not_announce_what_happens_to_records() {
    let tenant = tenant().await;
    for channel in ["records/leads", "records/leads/one", "records/"] {
        tenant.webhook().channels(&["posts", channel]).send().await.expect_invalid("/channels/1");
    }
    tenant.webhook().channels(&["records"]).accepted().await;
}

#[tokio::test]
async fn reserved_channels_are_judged_once_they_are_resolved() {
    let tenant = tenant().await;
    let own = format!("http://{}/.well-known/records/leads", tenant.host);
    for channel in [
        "./records/leads",
        "../.well-known/records/leads",
        "records%2Fleads",
        "records%252Fleads",
        "x/%2e%2e/records/leads",
        ".\\records\\leads",
        "http:records/leads",
        "https:records/leads",
        "//other.example/.well-known/records/leads",
        &own.to_uppercase().replace("/.WELL-KNOWN/RECORDS/LEADS", "/.well-known/records/leads"),
        &own,
        "/.well-known/mercure/subscriptions/exact/a/b",
        "../.well-known/mercure/subscriptions/exact/a/b",
        "/.well-known/mercure%2Fsubscriptions",
        "https://blog.example.org:443/.well-known/mercure/../mercure/a",
        "mercure/subscriptions",
    ] {
        tenant.webhook().channels(&["posts", channel]).send().await.expect_invalid("/channels/1");
    }
    for channel in [
        "/records/leads",
        "https://example.com/records/leads",
        "my/records/1",
        "100%",
        "post:7?a#b",
        "#general",
        "?p=42",
        "mercure",
    ] {
        tenant.webhook().channels(&[channel]).accepted().await;
    }
}
