//! Mercure, "Publication".

use crate::world::World;

#[tokio::test]
async fn an_update_reaches_whoever_matches_it() {
    let world = World::shared().await;
    let tenant = world.tenant().create().await;
    let mut stream = tenant.listen(&["https://example.com/a"]).await;
    let id = tenant.update("https://example.com/a").data("one\ntwo").field("type", "add").published().await;
    let block = stream.update().await;
    assert_eq!(block.id.as_deref(), Some(id.as_str()));
    assert_eq!(block.data.as_deref(), Some("one\ntwo"));
    assert_eq!(block.event.as_deref(), Some("add"));
}
