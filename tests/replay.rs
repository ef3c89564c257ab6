//! Nothing is lost across a reconnect, a hub restart or a page of the log; what is past the
//! retention is said to be.

use serde_json::json;

use crate::world::{Sockets, Stream, Tenant, World, sequence, unique};

async fn tenant() -> Tenant {
    World::shared().await.tenant().plan("pro").create().await
}

async fn ids(stream: &mut Stream, count: usize) -> Vec<String> {
    let mut ids = Vec::new();
    for _ in 0..count {
        ids.push(stream.event().await.id);
    }
    ids
}

#[tokio::test]
async fn a_client_that_comes_back_gets_what_it_missed_and_then_what_comes() {
    let tenant = tenant().await;
    let mut stream = tenant.subscribe(&["posts"]).await;
    let first = tenant.publish("posts", json!(0)).await;
    assert_eq!(stream.event().await.id, first);
    drop(stream);
    let mut missed = tenant.publish_all("posts", 1..6).await;
    tenant.publish("elsewhere", json!("not ours")).await;

    let mut back = tenant.events(&["posts"]).after(&first).stream().await;
    let verdict = back.hub("hub.resumed").await;
    assert_eq!(verdict["from"], first);
    assert!(verdict["to"].is_string(), "{verdict}");
    missed.push(tenant.publish("posts", json!("live")).await);
    assert_eq!(ids(&mut back, 6).await, missed);
}

#[tokio::test]
async fn the_cursor_is_taken_from_the_header_and_from_both_spellings_in_the_query() {
    let tenant = tenant().await;
    let first = tenant.publish("posts", json!(0)).await;
    let second = tenant.publish("posts", json!(1)).await;
    let header = tenant.events(&["posts"]).after(&first);
    let snake = tenant.events(&["posts"]).query("last_event_id", &first);
    let camel = tenant.events(&["posts"]).query("lastEventID", &first);
    let newer_header = tenant.events(&["posts"]).query("last_event_id", "old").after(&first);
    for asked in [header, snake, camel, newer_header] {
        let mut stream = asked.resumed().await;
        assert_eq!(stream.event().await.id, second);
    }
}

#[tokio::test]
async fn a_client_that_missed_nothing_resumes_with_nothing() {
    let tenant = tenant().await;
    let first = tenant.publish("posts", json!(0)).await;
    let mut stream = tenant.events(&["posts"]).after(&first).resumed().await;
    let next = tenant.publish("posts", json!(1)).await;
    assert_eq!(stream.event().await.id, next);
}

#[tokio::test]
async fn a_stream_without_a_cursor_replays_nothing() {
    let tenant = tenant().await;
    tenant.publish_all("posts", 0..3).await;
    let mut stream = tenant.subscribe(&["posts"]).await;
    let next = tenant.publish("posts", json!("next")).await;
    assert_eq!(stream.event().await.id, next);
}

#[tokio::test]
async fn an_empty_cursor_is_none() {
    let tenant = tenant().await;
    tenant.publish("posts", json!(0)).await;
    tenant.events(&["posts"]).after("").live().await;
}

#[tokio::test]
async fn a_hub_that_restarts_costs_an_open_stream_nothing() {
    let tenant = tenant().await;
    let mut stream = tenant.subscribe(&["posts"]).await;
    let mut published = tenant.publish_all("posts", 0..3).await;
    for sockets in [Sockets::Close, Sockets::Hibernate, Sockets::Close] {
        tenant.world.evict(&tenant, sockets).await;
        published.extend(tenant.publish_all("posts", 0..3).await);
    }
    assert_eq!(through_restarts(&mut stream, published.len()).await, published);
}

#[tokio::test]
async fn a_hub_that_restarts_amid_a_burst_loses_and_doubles_nothing() {
    let tenant = tenant().await;
    let mut stream = tenant.subscribe(&["posts"]).await;
    let mut published = Vec::new();
    for round in 0..6 {
        let sends = (0..8).map(|number| tenant.publish("posts", json!([round, number])));
        let sockets = if round % 2 == 0 { Sockets::Hibernate } else { Sockets::Close };
        let (ids, ()) = tokio::join!(futures_util::future::join_all(sends), tenant.world.evict(&tenant, sockets));
        published.extend(ids);
    }
    published.sort_by_key(|id| sequence(id));
    let seen = through_restarts(&mut stream, published.len()).await;
    assert_eq!(seen, published);
}

/// Events of a stream whose hub restarts: the bridge may say that it resumed.
async fn through_restarts(stream: &mut Stream, count: usize) -> Vec<String> {
    let mut seen = Vec::new();
    while seen.len() < count {
        let block = stream.must().await;
        assert_ne!(block.event.as_deref(), Some("hub.reset"), "{block:?}");
        if block.data.is_some() && block.event.is_none() {
            seen.push(block.id.unwrap());
        }
    }
    seen
}

#[tokio::test]
async fn a_client_resumes_after_its_hub_restarted() {
    let tenant = tenant().await;
    let first = tenant.publish("posts", json!(0)).await;
    let missed = tenant.publish_all("posts", 1..4).await;
    tenant.world.evict(&tenant, Sockets::Close).await;
    let mut stream = tenant.events(&["posts"]).after(&first).resumed().await;
    assert_eq!(ids(&mut stream, 3).await, missed);
}

#[tokio::test]
async fn more_than_a_page_is_replayed_in_order_while_more_comes() {
    let tenant = tenant().await;
    let first = tenant.publish("posts", json!("start")).await;
    let word = "x".repeat(20_000);
    let mut expected = Vec::new();
    for number in 0..40 {
        expected.push(tenant.publish("posts", json!([number, word])).await);
    }
    let mut stream = tenant.events(&["posts"]).after(&first).resumed().await;
    let (seen, late) = tokio::join!(ids(&mut stream, 60), tenant.publish_all("posts", 0..20));
    expected.extend(late);
    assert_eq!(seen, expected);
}

#[tokio::test]
async fn what_is_past_the_retention_is_said_and_the_stream_goes_on_live() {
    let world = World::shared().await;
    let tenant = world.tenant().limit("event_retention_count", 5).create().await;
    let published = tenant.publish_all("posts", 0..12).await;

    let mut stream = tenant.events(&["posts"]).after(&published[0]).stream().await;
    let verdict = stream.hub("hub.reset").await;
    assert!(verdict["reason"].is_string(), "{verdict}");
    // The place behind which everything is kept: who resumes there gets the five that are.
    assert_eq!(verdict["earliest"], json!(published[6]));
    let mut kept = tenant.events(&["posts"]).after(&published[6]).resumed().await;
    assert_eq!(ids(&mut kept, 5).await, published[7..]);
    assert_eq!(verdict["latest"], json!(published[11]));
    let next = tenant.publish("posts", json!("live")).await;
    assert_eq!(stream.event().await.id, next);
}

#[tokio::test]
async fn within_the_retention_everything_is_still_there() {
    let world = World::shared().await;
    let tenant = world.tenant().limit("event_retention_count", 5).create().await;
    let published = tenant.publish_all("posts", 0..12).await;
    for start in [6, 7, 10] {
        let mut stream = tenant.events(&["posts"]).after(&published[start]).resumed().await;
        let rest = &published[start + 1..];
        assert_eq!(ids(&mut stream, rest.len()).await, rest);
    }
}

#[tokio::test]
async fn a_retention_in_seconds_is_applied_when_read() {
    let world = World::shared().await;
    let tenant = world.tenant().limit("event_retention_seconds", 2).create().await;
    let first = tenant.publish("posts", json!(0)).await;
    tenant.publish("posts", json!(1)).await;
    let mut witness = tenant.subscribe(&["quiet"]).await;
    for _ in 0..5 {
        witness.beat().await;
    }
    let mut stream = tenant.events(&["posts"]).after(&first).stream().await;
    stream.hub("hub.reset").await;
    let next = tenant.publish("posts", json!("live")).await;
    assert_eq!(stream.event().await.id, next);
}

#[tokio::test]
async fn a_subscriber_of_a_quiet_topic_stays_within_the_retention() {
    let world = World::shared().await;
    let tenant = world.tenant().limit("event_retention_count", 5).create().await;
    let heard = tenant.publish("quiet", json!(0)).await;
    let mut stream = tenant.events(&["quiet"]).after(&heard).resumed().await;
    let noise = tenant.publish_all("noise", 0..20).await;
    while stream.cursor != *noise.last().unwrap() {
        stream.beat().await;
    }
    let cursor = stream.cursor.clone();
    drop(stream);
    let missed = tenant.publish("quiet", json!(1)).await;
    let mut back = tenant.events(&["quiet"]).after(&cursor).resumed().await;
    assert_eq!(back.event().await.id, missed);

    let mut stale = tenant.events(&["quiet"]).after(&heard).stream().await;
    stale.hub("hub.reset").await;
}

#[tokio::test]
async fn a_cursor_of_another_log_or_of_the_future_or_of_no_log_resets() {
    let world = World::shared().await;
    let (mine, other) = (world.tenant().create().await, world.tenant().create().await);
    let own = mine.publish("posts", json!("own")).await;
    let foreign = other.publish("posts", json!("foreign")).await;
    let (epoch, _) = own.rsplit_once('-').unwrap();
    let future = format!("{epoch}-999999");
    for cursor in [&foreign, &future, "nonsense", &format!("{epoch}-x"), &unique()] {
        let mut stream = mine.events(&["posts"]).after(cursor).stream().await;
        let verdict = stream.hub("hub.reset").await;
        let earlier = verdict["latest"].as_str().unwrap().to_owned();
        assert!(earlier.starts_with(epoch), "{cursor}: {verdict}");
        let next = mine.publish("posts", json!("live")).await;
        assert_eq!(stream.event().await.id, next, "{cursor}");
    }
}

#[tokio::test]
async fn many_clients_resume_at_once() {
    let tenant = tenant().await;
    let first = tenant.publish("posts", json!("start")).await;
    let missed = tenant.publish_all("posts", 0..30).await;
    let clients = (0..20).map(|_| async {
        let mut stream = tenant.events(&["posts"]).after(&first).resumed().await;
        ids(&mut stream, 30).await
    });
    for seen in futures_util::future::join_all(clients).await {
        assert_eq!(seen, missed);
    }
}
