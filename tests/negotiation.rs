//! What clients take and send (RFC 9110, 8 and 12): media types, weights, content codings.

use serde_json::{Value, json};

use crate::world::{HUB, RequestBuilder, Tenant, TestResponse, World};

async fn tenant() -> Tenant {
    World::hub(json!({"subscriptions": true})).await
}

/// Opens a stream, or says why not.
async fn opened(call: RequestBuilder) -> u16 {
    match call.open().await {
        Ok(_) => 200,
        Err(answer) => answer.expect_problem(406, "not_acceptable").status,
    }
}

#[tokio::test]
async fn streams_are_for_those_who_take_them() {
    let tenant = tenant().await;
    for (accept, status) in [
        ("text/event-stream", 200),
        ("Text/Event-Stream;charset=utf-8", 200),
        ("text/*", 200),
        ("*/*", 200),
        ("text/html, */*;q=0.1", 200),
        ("*/*;q=0, text/event-stream", 200),
        ("text/event-stream;q=0", 406),
        ("text/event-stream; Q=0.000, */*", 406),
        ("text/*;q=0, */*", 406),
        ("*/*;q=0", 406),
        ("application/json", 406),
        ("application/json;a=\", text/event-stream\"", 406),
    ] {
        for (path, topic) in [("/events", "topic"), (HUB, "match"), ("/events/diagnose", "topic")] {
            let call = tenant.call("GET", path).query(topic, "a").header("Accept", accept);
            assert_eq!(opened(call).await, status, "{path}: {accept}");
        }
        let head = tenant.call("HEAD", "/events").query("topic", "a").header("Accept", accept).send().await;
        assert_eq!(head.status, status, "{accept}");
    }
}

#[tokio::test]
async fn subscriptions_are_told_in_the_form_that_is_taken_most_gladly() {
    let tenant = tenant().await;
    let path = "/.well-known/mercure/subscriptions";
    let token = tenant.access_token("subscribe", &[("exact", path)]).sign();
    for (accept, kind) in [
        ("*/*", "application/json"),
        ("application/json", "application/json"),
        ("application/ld+json", "application/ld+json"),
        ("application/LD+JSON, application/json", "application/ld+json"),
        ("application/ld+json;q=0.5, application/json", "application/json"),
        ("application/ld+json;q=0, */*", "application/json"),
        ("application/json;q=0, application/*", "application/ld+json"),
    ] {
        let answer = tenant.call("GET", path).bearer(&token).header("Accept", accept).send().await.expect(200);
        assert_eq!(answer.header("content-type"), kind, "{accept}");
        assert!(answer.header("vary").to_lowercase().contains("origin"), "{:?}", answer.headers);
    }
    for accept in ["*/*;q=0", "application/json;q=0, application/ld+json;q=0, */*", "text/html"] {
        let answer = tenant.call("GET", path).bearer(&token).header("Accept", accept).send().await;
        answer.expect_problem(406, "not_acceptable");
    }
}

#[tokio::test]
async fn media_types_have_no_letter_case() {
    let tenant = World::shared().await.unbounded_tenant().await;
    tenant.collection("leads", json!({"n": {"type": "integer"}}), json!({"files": true})).await;
    let body = || json!({"n": 1}).to_string().into_bytes();
    for kind in ["Application/JSON; Charset=UTF-8", "APPLICATION/JSON", "application/json;charset=\"utf-8\""] {
        tenant.as_owner("POST", "/api/v1/leads").header("Content-Type", kind).bytes(body()).send().await.expect(201);
    }
    tenant.record("leads", json!({"id": "r1"})).await;
    let patch = tenant.as_owner("PATCH", "/api/v1/leads/r1").header("Content-Type", "Application/Merge-Patch+JSON");
    patch.bytes(body()).send().await.expect(200);
    for kind in ["text/json", "application/json5", "json", "application/merge-patch+json"] {
        let answer = tenant.as_owner("PUT", "/api/v1/leads/r1").header("Content-Type", kind).bytes(body()).send().await;
        answer.expect_problem(415, "unsupported_media_type");
    }
}

fn refused_coding(answer: TestResponse) {
    let answer = answer.expect_problem(415, "unsupported_content_encoding");
    assert_eq!(answer.header("accept-encoding"), "identity");
}

#[tokio::test]
async fn a_body_in_a_coding_is_refused_wherever_one_is_read() {
    let tenant = World::hub(json!({})).await;
    tenant.collection("leads", json!({"n": {"type": "integer"}}), json!({"files": true})).await;
    tenant.record("leads", json!({"id": "r1"})).await;
    let json = json!({"n": 1});
    let calls = |coding: &str| -> Vec<RequestBuilder> {
        let owner = |method: &str, path: &str, body: &Value| {
            tenant.as_owner(method, path).json(body).header("Content-Encoding", coding)
        };
        let form = tenant.call("POST", HUB).bearer(&tenant.publisher(&["*"]).sign()).header("Content-Encoding", coding);
        let form = form.header("Content-Type", "application/x-www-form-urlencoded").bytes(b"topic=a".to_vec());
        let file =
            tenant.as_owner("PUT", "/api/v1/leads/r1/file").query("name", "a.txt").header("Content-Encoding", coding);
        let file = file.header("Content-Type", "text/plain").bytes(b"text".to_vec());
        let login = tenant.call("POST", "/api/v1/auth/login").json(&json!({"email": "a@b.test", "password": "x"}));
        let webhook = tenant.call("POST", "/webhook").json(&json!({})).header("webhook-id", "x");
        vec![
            owner("POST", "/api/v1/leads", &json),
            owner("PATCH", "/api/v1/leads/r1", &json),
            owner("PUT", "/api/v1/leads/r1", &json),
            owner("POST", "/api/v1/leads/bulk", &json!({"operations": []})),
            owner("POST", "/api/v1/users", &json),
            owner("PATCH", "/api/v1/settings", &json!({})),
            tenant.admin("PATCH", "").json(&json!({})).header("Content-Encoding", coding),
            login.header("Content-Encoding", coding),
            webhook.header("Content-Encoding", coding),
            form,
            file,
        ]
    };
    for coding in ["gzip", "GZip", "br", "zstd", "deflate", "unknown", "identity, gzip"] {
        for call in calls(coding) {
            refused_coding(call.send().await);
        }
    }
    for coding in ["identity", "Identity"] {
        for call in calls(coding) {
            assert_ne!(call.send().await.status, 415, "{coding}");
        }
    }
    // Who may not call at all is told that, and not what the body should be.
    let stranger = tenant.call("POST", "/api/v1/users").json(&json).header("Content-Encoding", "gzip");
    stranger.send().await.expect_problem(401, "unauthorized");
}
