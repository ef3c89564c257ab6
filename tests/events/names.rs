//! Names of events on `/events?named=true`: nobody speaks as the hub, or as the browser's `EventSource`.

use serde_json::json;

use crate::world::{Block, Stream, Tenant, World};

async fn tenant() -> Tenant {
    World::shared().await.tenant().plan("pro").create().await
}

/// The next block with data, the hub's own messages included.
async fn next(stream: &mut Stream) -> Block {
    loop {
        let block = stream.must().await;
        if block.data.is_some() {
            return block;
        }
    }
}

#[tokio::test]
async fn a_mercure_type_takes_no_name_of_the_hubs_or_of_the_browsers() {
    let tenant = tenant().await;
    let start = tenant.publish("a", json!("start")).await;
    let mut named = tenant.events(&["a"]).query("named", "true").live().await;
    let mut plain = tenant.subscribe(&["a"]).await;
    let mut mercure = tenant.listen(&["a"]).await;
    let types = [
        ("add", "add"),
        ("hub.reset", "mercure.hub.reset"),
        ("hub.closed", "mercure.hub.closed"),
        ("hub.heartbeat", "mercure.hub.heartbeat"),
        ("HUB.reset", "mercure.HUB.reset"),
        ("open", "mercure.open"),
        ("error", "mercure.error"),
        ("Error", "mercure.Error"),
        ("message", "mercure.message"),
        ("post.update", "mercure.post.update"),
    ];
    for (kind, name) in types {
        tenant.update("a").data("x").field("type", kind).published().await;
        assert_eq!(next(&mut named).await.event.as_deref(), Some(name));
        assert_eq!(next(&mut plain).await.event, None, "an event without a name reaches onmessage");
        assert_eq!(mercure.update().await.event.as_deref(), Some(kind), "Mercure's wire has the type as it is");
    }
    // Replayed from the log they have the same names.
    let mut again = tenant.events(&["a"]).query("named", "true").after(&start).resumed().await;
    for (kind, name) in types {
        let block = next(&mut again).await;
        assert_eq!((block.event.as_deref(), &block.json()["type"]), (Some(name), &json!(kind)));
    }
}

#[tokio::test]
async fn a_webhook_takes_no_name_of_the_hubs() {
    let tenant = tenant().await;
    let mut named = tenant.events(&["a"]).query("named", "true").live().await;
    for (node_type, action, name) in [
        ("Post", "UPDATE", "post.update"),
        ("hub", "reset", "event.hub.reset"),
        ("HUB", "Closed", "event.hub.closed"),
        ("hub.token_expiring", "x", "event.hub.token_expiring.x"),
        ("mercure", "add", "event.mercure.add"),
        ("error", "open", "error.open"),
    ] {
        let webhook = tenant.webhook().channels(&["a"]).set("node_type", json!(node_type));
        let id = webhook.set("action", json!(action)).accepted().await;
        let block = next(&mut named).await;
        assert_eq!(block.event.as_deref(), Some(name));
        let body = block.json();
        assert_eq!((&body["id"], &body["node_type"]), (&json!(id), &json!(node_type)), "the body has what was sent");
    }
}

#[tokio::test]
async fn a_collection_takes_no_name_of_the_hubs() {
    let tenant = tenant().await;
    for slug in ["hub", "leads"] {
        tenant.collection(slug, json!({"name": {"type": "string"}}), json!({"live": true, "public_read": true})).await;
    }
    let mut named = tenant.events(&["records/*"]).query("named", "true").live().await;
    for (slug, name) in [("leads", "leads.create"), ("hub", "event.hub.create")] {
        tenant.record(slug, json!({"name": "Ada"})).await;
        assert_eq!(next(&mut named).await.event.as_deref(), Some(name));
    }
}

#[tokio::test]
async fn an_event_forges_no_member_of_its_envelope() {
    let tenant = tenant().await;
    let mut plain = tenant.subscribe(&["a"]).await;
    let forged = r#"x","id":"forged","tenant_id":"other","topics":["b"],"node_type":"hub","data":{"#;
    let id = tenant.update("a").data(forged).field("type", forged).id(forged).published().await;
    assert_eq!(id, forged);
    let block = next(&mut plain).await;
    let body = block.json();
    assert_eq!(body["id"], json!(block.id));
    assert_eq!((&body["tenant_id"], &body["topics"]), (&json!(tenant.id), &json!(["a"])));
    assert_eq!((&body["data"], &body["type"], &body["update_id"]), (&json!(forged), &json!(forged), &json!(forged)));
    assert_eq!(body.get("node_type"), None);
    let webhook = tenant.webhook().channels(&["a"]).set("node_type", json!("x\",\"id\":\"forged"));
    webhook.data(json!({"id": "forged", "tenant_id": "other"})).accepted().await;
    let block = next(&mut plain).await;
    assert_eq!((&block.json()["id"], &block.json()["tenant_id"]), (&json!(block.id), &json!(tenant.id)));
}
