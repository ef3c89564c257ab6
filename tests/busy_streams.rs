//! Streams that cannot be opened now: clients that have gone make room, and newcomers are told when to come back.

use serde_json::Value;

use crate::world::{Stream, Tenant, TestResponse, World, eventually, stranger};

/// Asks for a stream as a browser's `EventSource` does.
async fn event_source(tenant: &Tenant, address: &str) -> Result<Stream, TestResponse> {
    tenant.events(&["posts"]).header("Accept", "text/event-stream").address(address).open().await
}

/// What a stream says before it ends; it must end by itself.
async fn said(mut stream: Stream) -> (u64, Value) {
    let block = stream.must().await;
    assert_eq!(stream.block().await, None, "it ends");
    assert_eq!(block.id, None, "the client's place stays what it is");
    assert_eq!(block.event.as_deref(), Some("hub.busy"));
    (block.retry.expect("when to come back"), block.json())
}

#[tokio::test]
async fn an_event_source_is_told_when_to_come_back_and_a_program_gets_an_error() {
    let tenant = World::shared().await.tenant().limit("max_concurrent_subscriptions", 1).create().await;
    let held = event_source(&tenant, &stranger()).await.unwrap();
    let (retry, told) = said(event_source(&tenant, &stranger()).await.unwrap()).await;
    assert!((5_000..=18_000).contains(&retry), "{retry}");
    assert_eq!((told["code"].as_str(), told["status"].as_u64()), (Some("too_many_streams"), Some(429)));
    let program = tenant.events(&["posts"]).header("Accept", "*/*").refused().await;
    let refused = program.expect_problem(429, "too_many_streams");
    let seconds = refused.header("retry-after").to_owned();
    let detail = format!("The plan allows 1 stream at once. Close one, or try again in {seconds} seconds.");
    assert_eq!(refused.json()["detail"], detail);
    // Mercure's clients take whatever has data for an update: they are told the time alone.
    let mercure = tenant.mercure().query("match", "posts").header("Accept", "text/event-stream").send().await;
    let mercure = mercure.expect(200);
    let told = mercure.body.strip_prefix("retry: ").and_then(|rest| rest.strip_suffix("\n:\n")).unwrap();
    assert!(told.parse::<u64>().unwrap() >= 5_000, "{told}");
    // What does not go by itself is an error for everybody.
    let wrong = tenant.events(&[]).header("Accept", "text/event-stream").refused().await;
    wrong.expect_problem(400, "invalid_query");
    drop(held);
}

#[tokio::test]
async fn an_event_source_that_comes_too_often_is_told_so_as_well() {
    let tenant = World::shared().await.tenant().limit("max_anonymous_requests_per_minute", 1).create().await;
    // The page takes the permit of this minute, or finds it taken.
    let refused = eventually("a stream to be refused for its rate", async || {
        tenant.call("GET", "/").address(&stranger()).send().await;
        let mut stream = event_source(&tenant, &stranger()).await.unwrap();
        let block = stream.must().await;
        (block.event.as_deref() == Some("hub.busy")).then(|| (block.retry, block.json(), stream.headers.clone()))
    });
    let (retry, told, headers) = refused.await;
    assert_eq!(told["code"], "rate_limited");
    let seconds: u64 = headers["retry-after"].to_str().unwrap().parse().unwrap();
    assert!((seconds * 1000..seconds * 1000 + 2_000).contains(&retry.unwrap()));
    assert!(headers["ratelimit"].to_str().unwrap().contains(";r=0;"));
}

#[tokio::test]
async fn clients_that_have_gone_make_room_before_a_newcomer_is_refused() {
    let world = World::own().await;
    // As deployed: nothing is written to a quiet stream for long.
    world.restart(&[("KEEP_ALIVE_SECONDS", "120")]).await;
    for limit in ["max_concurrent_subscriptions", "max_connections_per_ip"] {
        let tenant = world.tenant().limit(limit, 20).create().await;
        let address = stranger();
        let mut gone = Vec::new();
        for _ in 0..19 {
            gone.push(tenant.events(&["posts"]).address(&address).live().await);
        }
        let mut stays = tenant.events(&["posts"]).address(&address).live().await;
        drop(gone);
        let mut others = Vec::new();
        for _ in 0..19 {
            others.push(tenant.events(&["posts"]).address(&address).live().await);
        }
        tenant.publish("posts", "for who stayed".into()).await;
        assert_eq!(stays.event().await.body["data"], "for who stayed");
        tenant.events(&["posts"]).address(&address).refused().await.expect(429);
        drop(others);
    }
}
