//! What a stream looks like on the wire.

use std::collections::BTreeSet;

use serde_json::json;

use crate::world::{Tenant, World};

async fn tenant() -> Tenant {
    World::shared().await.tenant().create().await
}

#[tokio::test]
async fn nothing_on_the_way_may_hold_a_stream_back() {
    let tenant = tenant().await;
    let stream = tenant.events(&["posts"]).stream().await;
    let header = |name: &str| stream.headers[name].to_str().unwrap();
    assert!(header("content-type").starts_with("text/event-stream"));
    assert!(header("cache-control").contains("no-transform"));
    assert!(header("cache-control").contains("no-store") || header("cache-control").contains("no-cache"));
    assert_eq!(header("x-accel-buffering"), "no");
    assert!(!header("x-request-id").is_empty());
    assert!(!stream.headers.contains_key("content-length"));
    assert!(!stream.headers.contains_key("content-encoding"));
}

#[tokio::test]
async fn a_fresh_stream_opens_with_its_cursor_and_no_event() {
    let tenant = tenant().await;
    let last = tenant.publish("posts", json!(1)).await;
    let mut stream = tenant.events(&["posts"]).stream().await;
    let first = stream.must().await;
    assert_eq!(first.id.as_deref(), Some(last.as_str()));
    assert!(first.retry.is_some());
    assert_eq!((first.data, first.event), (None, None));
}

#[tokio::test]
async fn reconnections_are_spaced_by_a_jittered_retry() {
    let tenant = tenant().await;
    let mut told = BTreeSet::new();
    for _ in 0..12 {
        let first = tenant.events(&["posts"]).stream().await.must().await;
        let retry = first.retry.unwrap();
        assert!((100..=60_000).contains(&retry), "{retry}");
        told.insert(retry);
    }
    assert!(told.len() > 1, "{told:?}");
}

#[tokio::test]
async fn an_event_has_no_name_unless_asked_for() {
    let tenant = tenant().await;
    let mut plain = tenant.subscribe(&["posts"]).await;
    let mut named = tenant.events(&["posts"]).query("named", "true").live().await;
    let webhook = tenant.webhook().set("node_type", json!("MediaItem"));
    webhook.set("action", json!("CREATE")).accepted().await;
    assert_eq!(plain.event().await.name, None);
    let event = named.event().await;
    assert_eq!(event.name.as_deref(), Some("mediaitem.create"));
    assert_eq!(event.body["node_type"], "MediaItem", "the body keeps its case");
}

#[tokio::test]
async fn a_keep_alive_moves_the_cursor_and_fires_nothing() {
    let tenant = tenant().await;
    let mut stream = tenant.subscribe(&["quiet"]).await;
    let started = stream.cursor.clone();
    assert_eq!(stream.beat().await, started);
    let last = tenant.publish("elsewhere", json!(1)).await;
    while stream.beat().await != last {}
    assert_eq!(stream.cursor, last);
}

#[tokio::test]
async fn a_heartbeat_with_data_is_for_those_who_ask() {
    let tenant = tenant().await;
    let mut stream = tenant.events(&["posts"]).query("heartbeat", "data").live().await;
    stream.hub("hub.heartbeat").await;
    let last = tenant.publish("elsewhere", json!(1)).await;
    while stream.cursor != last {
        stream.hub("hub.heartbeat").await;
    }
    tenant.publish("posts", json!("heard")).await;
    assert_eq!(stream.event().await.body["data"], "heard");
}

#[tokio::test]
async fn one_stream_carries_many_topics_and_each_event_once() {
    let tenant = tenant().await;
    let mut stream = tenant.subscribe(&["posts", "pages", "p*", "*"]).await;
    tenant.webhook().channels(&["posts", "pages", "other"]).data(json!(1)).accepted().await;
    tenant.publish("unrelated", json!(2)).await;
    tenant.publish("pages", json!(3)).await;
    assert_eq!(stream.next_data(3).await, [json!(1), json!(2), json!(3)]);
}

#[tokio::test]
async fn selectors_match_exactly_by_prefix_or_all() {
    let tenant = tenant().await;
    let mut exact = tenant.subscribe(&["post:7"]).await;
    let mut prefix = tenant.subscribe(&["post:*"]).await;
    let mut all = tenant.subscribe(&["*"]).await;
    for topic in ["post:70", "Post:7", "post:", "post", "post:7"] {
        tenant.publish(topic, json!(topic)).await;
    }
    tenant.webhook().channels(&["post:7", "post:8"]).data(json!("end")).accepted().await;
    assert_eq!(exact.next_data(2).await, [json!("post:7"), json!("end")]);
    let prefixed = [json!("post:70"), json!("post:"), json!("post:7"), json!("end")];
    assert_eq!(prefix.next_data(4).await, prefixed);
    let everything = ["post:70", "Post:7", "post:", "post", "post:7", "end"].map(|topic| json!(topic));
    assert_eq!(all.next_data(6).await, everything);
}

#[tokio::test]
async fn topics_are_bytes_of_any_language() {
    let tenant = tenant().await;
    let topics = ["https://example.com/beiträge/7?x=1&y=2", "日本語", "a b+c%20d", "'\"\\;--"];
    let mut stream = tenant.subscribe(&topics).await;
    for topic in topics {
        tenant.publish(topic, json!(topic)).await;
        assert_eq!(stream.event().await.body["topics"], json!([topic]));
    }
}

#[tokio::test]
async fn two_tenants_with_equal_topics_never_hear_each_other() {
    let world = World::shared().await;
    let (one, other) = (world.tenant().create().await, world.tenant().create().await);
    let mut ones = one.subscribe(&["posts", "*"]).await;
    let mut others = other.subscribe(&["posts", "*"]).await;
    for number in 0..10 {
        one.publish("posts", json!(format!("one {number}"))).await;
        other.publish("posts", json!(format!("other {number}"))).await;
    }
    for number in 0..10 {
        let (mine, theirs) = (ones.event().await, others.event().await);
        assert_eq!(mine.body["data"], format!("one {number}"));
        assert_eq!(mine.body["tenant_id"], one.id);
        assert_eq!(theirs.body["data"], format!("other {number}"));
        assert_eq!(theirs.body["tenant_id"], other.id);
    }
}

#[tokio::test]
async fn tenants_whose_names_look_alike_are_strangers() {
    let world = World::shared().await;
    let name = crate::world::unique();
    let ids = [format!("a-{name}"), format!("a_{name}"), format!("a-{name}-b")];
    let mut tenants = Vec::new();
    for (number, id) in ids.iter().enumerate() {
        let slug = json!(format!("{number}-{name}"));
        tenants.push(world.tenant().id(id).set("slug", slug).create().await);
    }
    let mut streams = Vec::new();
    for tenant in &tenants {
        streams.push(tenant.subscribe(&["*"]).await);
    }
    for tenant in &tenants {
        tenant.publish("posts", json!(tenant.id)).await;
        tenant.publish("posts", json!("end")).await;
    }
    for (tenant, stream) in tenants.iter().zip(&mut streams) {
        assert_eq!(stream.next_data(2).await, [json!(tenant.id), json!("end")]);
    }
}

#[tokio::test]
async fn a_subscriber_that_reads_late_loses_nothing() {
    let tenant = tenant().await;
    let mut late = tenant.subscribe(&["posts"]).await;
    let ids = tenant.publish_all("posts", 0..60).await;
    for id in ids {
        assert_eq!(late.event().await.id, id);
    }
}

#[tokio::test]
async fn head_tells_what_get_would_without_a_stream() {
    let tenant = tenant().await;
    let head = tenant.call("HEAD", "/events").query("topic", "posts").send().await.expect(200);
    assert!(head.header("content-type").starts_with("text/event-stream"));
    assert_eq!(head.header("x-accel-buffering"), "no");
    assert_eq!(head.body, "");
    let bad = tenant.call("HEAD", "/events").send().await;
    assert_eq!((bad.status, bad.body.as_str()), (400, ""));
}
