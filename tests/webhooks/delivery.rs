//! What an accepted webhook becomes, and how often.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::world::{Sockets, World, sequence, unique};

#[tokio::test]
async fn a_webhook_becomes_one_event_on_all_its_channels() {
    let world = World::shared().await;
    let tenant = world.tenant().create().await;
    let mut stream = tenant.subscribe(&["posts", "post:7"]).await;
    let webhook = tenant.webhook().channels(&["posts", "post:7"]).data(json!({"title": "Grüße"}));
    let answer = webhook.send().await.expect(202);
    assert_eq!(answer.json()["tenant_id"], tenant.id);
    let taken = answer.data();
    assert_eq!(taken["topics"], json!(["posts", "post:7"]));

    let event = stream.event().await;
    assert_eq!(event.id, taken["id"]);
    assert_eq!(event.body["tenant_id"], tenant.id);
    assert_eq!(event.body["topics"], json!(["posts", "post:7"]));
    assert_eq!(event.body["node_type"], "Post");
    assert_eq!(event.body["action"], "update");
    assert_eq!(event.body["data"], json!({"title": "Grüße"}));
    assert!(event.body["occurred_at"].as_str().unwrap().ends_with('Z'));

    tenant.publish("posts", json!("next")).await;
    assert_eq!(stream.event().await.body["data"], "next", "the first came once");
}

#[tokio::test]
async fn the_platform_host_takes_webhooks_by_name() {
    let world = World::shared().await;
    let tenant = world.tenant().create().await;
    let mut stream = tenant.subscribe(&["posts"]).await;
    let webhook = tenant.webhook().host("localhost").header("X-Tenant-ID", &tenant.id);
    let id = webhook.accepted().await;
    assert_eq!(stream.event().await.id, id);
    let standard = tenant.webhook().host("localhost").header("X-Tenant-ID", &tenant.id);
    standard.standard("msg_platform").accepted().await;
}

#[tokio::test]
async fn data_travels_as_it_was_written() {
    let world = World::shared().await;
    let tenant = world.tenant().create().await;
    let mut stream = tenant.subscribe(&["posts"]).await;
    let tricky = json!({
        "lines": "one\ntwo\r\nthree\u{2028}four",
        "sse": "data: no\n\nevent: hub.closed\n\n",
        "big": 9_007_199_254_740_993_u64,
        "float": 0.1,
        "null": null,
        "deep": {"a": [[[{}]]]},
        "nul": "\u{0000}",
        "emoji": "🔔",
    });
    tenant.webhook().data(tricky.clone()).accepted().await;
    assert_eq!(stream.event().await.body["data"], tricky);

    let raw = format!(
        "{{\"tenant_id\":\"{}\",\"node_type\":\"Post\",\"action\":\"update\",\"channels\":[\"posts\"],\
         \"data\":{{\"b\":1.50,\n  \"a\":123456789012345678901234567890}}}}",
        tenant.id
    );
    tenant.webhook().raw(raw.as_bytes()).accepted().await;
    let mut block = stream.must().await;
    while block.data.is_none() {
        block = stream.must().await;
    }
    let text: String = block.data.unwrap().split_whitespace().collect();
    assert!(text.contains("\"b\":1.50,\"a\":123456789012345678901234567890"), "{text}");
}

#[tokio::test]
async fn a_large_event_arrives_whole() {
    let world = World::shared().await;
    let tenant = world.tenant().create().await;
    let mut stream = tenant.subscribe(&["posts"]).await;
    let word = "0123456789abcdef".repeat(15_000);
    tenant.publish("posts", json!(word)).await;
    assert_eq!(stream.event().await.body["data"], json!(word));
}

#[tokio::test]
async fn the_plain_form_is_never_de_duplicated() {
    let world = World::shared().await;
    let tenant = world.tenant().create().await;
    let first = tenant.webhook().accepted().await;
    let second = tenant.webhook().accepted().await;
    assert_ne!(first, second);
}

#[tokio::test]
async fn a_duplicate_webhook_id_gets_the_first_answer_and_no_second_event() {
    let world = World::shared().await;
    let tenant = world.tenant().create().await;
    let mut stream = tenant.subscribe(&["posts"]).await;
    let message = format!("msg_{}", unique());
    let webhook = tenant.webhook().data(json!("once"));
    let first = webhook.clone().standard(&message).send().await.expect(202);
    let again = webhook.clone().standard(&message).send().await.expect(202);
    assert_eq!(again.data(), first.data());
    world.evict(&tenant, Sockets::Hibernate).await;
    let later = webhook.standard(&message).send().await.expect(202);
    assert_eq!(later.data(), first.data());

    tenant.publish("posts", json!("after")).await;
    assert_eq!(stream.next_data(2).await, [json!("once"), json!("after")]);
}

#[tokio::test]
async fn of_parallel_duplicates_one_becomes_an_event() {
    let world = World::shared().await;
    let tenant = world.tenant().create().await;
    let mut stream = tenant.subscribe(&["posts"]).await;
    let message = format!("msg_{}", unique());
    let sends = (0..10).map(|_| tenant.webhook().data(json!("once")).standard(&message).accepted());
    let ids: BTreeSet<_> = futures_util::future::join_all(sends).await.into_iter().collect();
    assert_eq!(ids.len(), 1);
    tenant.publish("posts", json!("after")).await;
    assert_eq!(stream.next_data(2).await, [json!("once"), json!("after")]);
}

#[tokio::test]
async fn another_body_under_a_used_webhook_id_is_a_conflict() {
    let world = World::shared().await;
    let tenant = world.tenant().create().await;
    let mut stream = tenant.subscribe(&["posts"]).await;
    let message = format!("msg_{}", unique());
    tenant.webhook().data(json!("first")).standard(&message).accepted().await;
    let other = tenant.webhook().data(json!("other")).standard(&message).send().await;
    other.expect_problem(409, "webhook_id_reused");
    tenant.publish("posts", json!("after")).await;
    assert_eq!(stream.next_data(2).await, [json!("first"), json!("after")]);
}

#[tokio::test]
async fn a_webhook_id_is_a_tenants_own() {
    let world = World::shared().await;
    let message = format!("msg_{}", unique());
    for data in [json!("one's"), json!("other's")] {
        let tenant = world.tenant().create().await;
        let mut stream = tenant.subscribe(&["posts"]).await;
        tenant.webhook().data(data.clone()).standard(&message).accepted().await;
        assert_eq!(stream.event().await.body["data"], data);
    }
}

#[tokio::test]
async fn parallel_webhooks_get_consecutive_ids_in_one_order_for_all() {
    let world = World::shared().await;
    let tenant = world.tenant().plan("enterprise").create().await;
    let mut streams = Vec::new();
    for _ in 0..3 {
        streams.push(tenant.subscribe(&["posts"]).await);
    }
    let sends = (0..40).map(|number| tenant.publish("posts", json!(number)));
    let ids: BTreeSet<_> = futures_util::future::join_all(sends).await.into_iter().collect();
    assert_eq!(ids.len(), 40);
    let mut seen = Vec::new();
    for stream in &mut streams {
        let mut mine = Vec::new();
        for _ in 0..40 {
            mine.push(stream.event().await.id);
        }
        seen.push(mine);
    }
    assert_eq!(seen[0], seen[1]);
    assert_eq!(seen[0], seen[2]);
    assert_eq!(seen[0].iter().cloned().collect::<BTreeSet<_>>(), ids);
    let numbers: Vec<u64> = seen[0].iter().map(|id| sequence(id)).collect();
    assert!(numbers.windows(2).all(|pair| pair[1] == pair[0] + 1), "{numbers:?}");
}

#[tokio::test]
async fn accepted_webhooks_name_what_is_left() {
    let world = World::shared().await;
    let tenant = world.tenant().limit("max_webhooks_per_minute", 20).create().await;
    let answer = tenant.webhook().send().await.expect(202);
    assert_eq!(answer.header("x-ratelimit-limit"), "20");
    assert_eq!(answer.header("x-ratelimit-remaining"), "19");
    assert!(answer.header("x-ratelimit-reset").parse::<u64>().unwrap() > 0);
    assert!(answer.header("ratelimit").contains("r=19"), "{:?}", answer.headers);
    assert!(answer.header("ratelimit-policy").contains("q=20"), "{:?}", answer.headers);
    assert_eq!(answer.json()["pagination"], Value::Null);
}
