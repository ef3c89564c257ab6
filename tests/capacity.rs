//! Many subscribers, many events: exact, in order, without a gap.

use serde_json::json;

use crate::world::{Stream, World, sequence};

const SUBSCRIBERS: usize = 200;
const EVENTS: usize = 500;
const PUBLISHERS: usize = 10;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_hundred_subscribers_hear_five_hundred_events_exactly() {
    let world = World::shared().await;
    let tenant = world
        .tenant()
        .plan("enterprise")
        .limit("max_webhooks_per_minute", -1)
        .limit("max_concurrent_subscriptions", -1)
        .limit("max_connections_per_ip", -1)
        .create()
        .await;
    let mut readers = Vec::new();
    for _ in 0..SUBSCRIBERS {
        let stream = tenant.subscribe(&["posts"]).await;
        readers.push(tokio::spawn(hear(stream)));
    }

    let share = EVENTS / PUBLISHERS;
    let publishers =
        (0..PUBLISHERS).map(|publisher| tenant.publish_all("posts", publisher * share..(publisher + 1) * share));
    let acknowledged = futures_util::future::join_all(publishers).await;
    for run in &acknowledged {
        assert!(run.is_sorted_by_key(|id| sequence(id)), "a publisher's own order is kept");
    }
    let mut published: Vec<String> = acknowledged.into_iter().flatten().collect();
    published.sort_by_key(|id| sequence(id));
    let numbers: Vec<u64> = published.iter().map(|id| sequence(id)).collect();
    assert!(numbers.windows(2).all(|pair| pair[1] == pair[0] + 1), "no number is left out");

    for reader in readers {
        assert_eq!(reader.await.unwrap(), published);
    }
    let mut late = tenant.events(&["posts"]).after(&published[0]).resumed().await;
    for id in &published[1..] {
        assert_eq!(late.event().await.id, *id);
    }
}

async fn hear(mut stream: Stream) -> Vec<String> {
    let mut heard = Vec::with_capacity(EVENTS);
    while heard.len() < EVENTS {
        let event = stream.event().await;
        assert_eq!(event.body["topics"], json!(["posts"]));
        heard.push(event.id);
    }
    heard
}
