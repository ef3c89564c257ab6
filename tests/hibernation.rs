//! A quiet hub sleeps behind its streams, and wakes with nothing lost.

use serde_json::{Value, json};

use crate::world::{Sockets, Tenant, World, sequence};

/// When this tenant's hub was constructed, as its health tells.
async fn started(tenant: &Tenant) -> Value {
    let health = tenant.admin("GET", "/health").send().await.expect(200).data();
    let started = health["checks"]["hub"]["started_at"].clone();
    assert!(!started.is_null(), "{health}");
    started
}

#[tokio::test]
async fn a_subscriber_idle_for_over_a_minute_outlasts_a_sleeping_hub() {
    let world = World::shared().await;
    let tenant = world.tenant().create().await;
    let mut stream = tenant.subscribe(&["posts"]).await;
    let before = started(&tenant).await;
    assert_eq!(started(&tenant).await, before, "it tells of the hub, not of the question");

    for _ in 0..65 {
        stream.beat().await;
    }
    let id = tenant.publish("posts", json!("after a long silence")).await;
    assert_eq!(stream.event().await.id, id);
    assert_ne!(started(&tenant).await, before, "the hub slept behind the idle stream");
}

#[tokio::test]
async fn keep_alives_are_answered_while_the_hub_sleeps() {
    let world = World::shared().await;
    let tenant = world.tenant().create().await;
    let last = tenant.publish("posts", json!(0)).await;
    let mut stream = tenant.subscribe(&["quiet"]).await;
    world.evict(&tenant, Sockets::Hibernate).await;
    for _ in 0..3 {
        assert_eq!(stream.beat().await, last);
    }
}

#[tokio::test]
async fn an_event_that_a_hub_took_but_had_not_sent_is_sent_when_it_wakes() {
    let world = World::shared().await;
    let tenant = world.tenant().plan("pro").create().await;
    let mut stream = tenant.subscribe(&["posts"]).await;
    let mut published = Vec::new();
    for _ in 0..5 {
        let sends = (0..6).map(|number| tenant.publish("posts", json!(number)));
        published.extend(futures_util::future::join_all(sends).await);
        world.evict(&tenant, Sockets::Hibernate).await;
    }
    published.push(tenant.publish("posts", json!("last")).await);
    published.sort_by_key(|id| sequence(id));
    for id in published {
        assert_eq!(stream.event().await.id, id);
    }
}

#[tokio::test]
async fn what_a_stream_asked_for_survives_hibernation() {
    let world = World::shared().await;
    let tenant = world.tenant().create().await;
    let mut named = tenant.events(&["post:*"]).query("named", "true").live().await;
    let mut beating = tenant.events(&["post:*"]).query("heartbeat", "data").live().await;
    world.evict(&tenant, Sockets::Hibernate).await;
    tenant.publish("page:1", json!("not selected")).await;
    tenant.publish("post:1", json!("selected")).await;
    let event = named.event().await;
    assert_eq!(event.name.as_deref(), Some("post.update"));
    assert_eq!(event.body["data"], "selected");
    assert_eq!(beating.event().await.body["data"], "selected");
    beating.hub("hub.heartbeat").await;
}
