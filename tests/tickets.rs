//! Tickets: how a token reaches a stream, since EventSource cannot set headers.

use serde_json::json;

use crate::world::{Sockets, Tenant, Token, World};

async fn tenant() -> Tenant {
    World::shared().await.tenant().create().await
}

async fn hears_private(tenant: &Tenant, stream: &mut crate::world::Stream) {
    let webhook = tenant.webhook().channels(&["orders"]).private();
    let id = webhook.data(json!("secret")).accepted().await;
    assert_eq!(stream.event().await.id, id);
}

#[tokio::test]
async fn a_token_is_traded_for_a_ticket_that_carries_a_stream() {
    let tenant = tenant().await;
    let token = tenant.token(&["orders"]).sign();
    let answer = tenant.call("PUT", "/events").bearer(&token).send().await.expect(201);
    assert!(answer.data()["expires_at"].is_string());
    assert!(answer.header("cache-control").contains("no-store"));
    let ticket = answer.data()["ticket"].as_str().unwrap().to_owned();
    assert!(!ticket.contains(&token));
    let mut stream = tenant.events(&["orders"]).ticket(&ticket).live().await;
    hears_private(&tenant, &mut stream).await;
}

#[tokio::test]
async fn a_cookie_may_be_traded_too() {
    let tenant = tenant().await;
    let cookie = format!("carillon_subscriber={}", tenant.token(&["orders"]).sign());
    let answer = tenant.call("PUT", "/events").header("Cookie", &cookie).send().await.expect(201);
    let ticket = answer.data()["ticket"].as_str().unwrap().to_owned();
    let mut stream = tenant.events(&["orders"]).ticket(&ticket).live().await;
    hears_private(&tenant, &mut stream).await;
}

#[tokio::test]
async fn without_a_good_token_there_is_no_ticket() {
    let world = World::shared().await;
    let (mine, other) = (world.tenant().create().await, world.tenant().create().await);
    mine.call("PUT", "/events").send().await.expect_problem(401, "unauthorized");
    let foreign = Token::new(&other.subscription_secret, &["orders"]).sign();
    let answer = mine.call("PUT", "/events").bearer(&foreign).send().await;
    answer.expect_problem(401, "invalid_token");
    let expired = mine.token(&["orders"]).claim("exp", json!(1_000_000_000)).sign();
    let answer = mine.call("PUT", "/events").bearer(&expired).send().await;
    answer.expect_problem(401, "invalid_token");
}

#[tokio::test]
async fn a_reconnect_with_the_ticket_replaces_the_old_stream() {
    let tenant = tenant().await;
    let ticket = tenant.ticket(tenant.token(&["orders"])).await;
    let mut first = tenant.events(&["orders"]).ticket(&ticket).live().await;
    let mut second = tenant.events(&["orders"]).ticket(&ticket).live().await;
    assert_eq!(first.closed().await, "replaced");
    hears_private(&tenant, &mut second).await;
}

#[tokio::test]
async fn a_ticket_resumes_with_its_rights() {
    let tenant = tenant().await;
    let ticket = tenant.ticket(tenant.token(&["orders"])).await;
    let stream = tenant.events(&["orders"]).ticket(&ticket).live().await;
    let cursor = stream.cursor.clone();
    drop(stream);
    let private = tenant.webhook().channels(&["orders"]).data(json!("missed")).private();
    private.accepted().await;
    tenant.world.evict(&tenant, Sockets::Close).await;
    let mut back = tenant.events(&["orders"]).ticket(&ticket).after(&cursor).resumed().await;
    assert_eq!(back.event().await.body["data"], "missed");
}

#[tokio::test]
async fn a_ticket_that_is_not_good_is_refused() {
    let world = World::shared().await;
    let (mine, other) = (world.tenant().create().await, world.tenant().create().await);
    let foreign = other.ticket(other.token(&["orders"])).await;
    let own = mine.ticket(mine.token(&["orders"])).await;
    let flipped = format!("{}{}", if own.starts_with('A') { 'B' } else { 'A' }, &own[1..]);
    for ticket in [foreign.as_str(), &flipped, "nonsense", ""] {
        let answer = mine.events(&["orders"]).ticket(ticket).refused().await;
        assert_eq!(answer.status, 401, "{ticket:?}: {}", answer.body);
        answer.expect_problem(401, "invalid_token");
    }
    mine.events(&["orders"]).ticket(&own).live().await;
    other.events(&["orders"]).ticket(&foreign).live().await;
}

#[tokio::test]
async fn a_ticket_ends_with_its_token() {
    let tenant = tenant().await;
    let ticket = tenant.ticket(tenant.token(&["orders"]).expires_in(3)).await;
    let mut stream = tenant.events(&["orders"]).ticket(&ticket).live().await;
    assert_eq!(stream.closed().await, "token_expired");
    let answer = tenant.events(&["orders"]).ticket(&ticket).refused().await;
    answer.expect_problem(401, "invalid_token");
}

#[tokio::test]
async fn a_ticket_nobody_uses_for_a_minute_is_void() {
    let tenant = tenant().await;
    let mut witness = tenant.subscribe(&["quiet"]).await;
    let ticket = tenant.ticket(tenant.token(&["orders"])).await;
    for _ in 0..64 {
        witness.beat().await;
    }
    let answer = tenant.events(&["orders"]).ticket(&ticket).refused().await;
    answer.expect_problem(401, "invalid_token");
}
