//! Private events: they reach a stream whose token grants one of their topics that it selected.

use serde_json::{Value, json};

use crate::world::{Sockets, Tenant, Token, World, now};

async fn tenant() -> Tenant {
    World::shared().await.tenant().create().await
}

async fn whisper(tenant: &Tenant, topic: &str, data: Value) -> String {
    tenant.webhook().channels(&[topic]).data(data).private().accepted().await
}

#[tokio::test]
async fn a_private_event_reaches_who_may_hear_it_and_nobody_else() {
    let tenant = tenant().await;
    let mut stranger = tenant.subscribe(&["orders", "news"]).await;
    let mut granted = tenant.events(&["orders", "news"]).token(tenant.token(&["orders"])).live().await;
    let mut other = tenant.events(&["orders", "news"]).token(tenant.token(&["news"])).live().await;
    let mut unselected = tenant.events(&["news"]).token(tenant.token(&["orders"])).live().await;
    whisper(&tenant, "orders", json!("secret")).await;
    tenant.publish("news", json!("open")).await;
    assert_eq!(granted.next_data(2).await, [json!("secret"), json!("open")]);
    for stream in [&mut stranger, &mut other, &mut unselected] {
        assert_eq!(stream.event().await.body["data"], "open");
    }
}

#[tokio::test]
async fn one_topic_must_be_both_selected_and_granted() {
    let tenant = tenant().await;
    let mut stream = tenant.events(&["a", "end"]).token(tenant.token(&["b", "end"])).live().await;
    tenant.webhook().channels(&["a", "b"]).data(json!("split")).private().accepted().await;
    whisper(&tenant, "end", json!("end")).await;
    assert_eq!(stream.event().await.body["data"], "end");
}

#[tokio::test]
async fn grants_are_selectors_too() {
    let tenant = tenant().await;
    let mut prefix = tenant.events(&["order:*"]).token(tenant.token(&["order:1*"])).live().await;
    let mut all = tenant.events(&["*"]).token(tenant.token(&["*"])).live().await;
    for topic in ["order:2", "order:1", "order:17", "invoice:1"] {
        whisper(&tenant, topic, json!(topic)).await;
    }
    assert_eq!(prefix.next_data(2).await, [json!("order:1"), json!("order:17")]);
    let everything = ["order:2", "order:1", "order:17", "invoice:1"].map(|topic| json!(topic));
    assert_eq!(all.next_data(4).await, everything);
}

#[tokio::test]
async fn rights_are_checked_again_for_each_replayed_event() {
    let tenant = tenant().await;
    let start = tenant.publish("orders", json!("start")).await;
    whisper(&tenant, "orders", json!("secret")).await;
    tenant.publish("orders", json!("open")).await;

    let mut stranger = tenant.events(&["orders"]).after(&start).resumed().await;
    assert_eq!(stranger.event().await.body["data"], "open");
    let granted = tenant.events(&["orders"]).after(&start).token(tenant.token(&["orders"]));
    assert_eq!(granted.resumed().await.next_data(2).await, [json!("secret"), json!("open")]);
    let other = tenant.events(&["orders"]).after(&start).token(tenant.token(&["other"]));
    assert_eq!(other.resumed().await.event().await.body["data"], "open");
}

#[tokio::test]
async fn rights_survive_hibernation_and_a_restart_of_the_hub() {
    let tenant = tenant().await;
    let mut granted = tenant.events(&["orders"]).token(tenant.token(&["orders"])).live().await;
    let mut stranger = tenant.subscribe(&["orders"]).await;
    for sockets in [Sockets::Hibernate, Sockets::Close] {
        tenant.world.evict(&tenant, sockets).await;
        whisper(&tenant, "orders", json!("secret")).await;
        tenant.publish("orders", json!("open")).await;
        let mut heard = Vec::new();
        while heard.len() < 2 {
            let block = granted.must().await;
            if block.data.is_some() && block.event.is_none() {
                heard.push(block.json()["data"].clone());
            }
        }
        assert_eq!(heard, [json!("secret"), json!("open")]);
        let mut block = stranger.must().await;
        while block.data.is_none() || block.event.is_some() {
            block = stranger.must().await;
        }
        assert_eq!(block.json()["data"], "open");
    }
}

#[tokio::test]
async fn a_token_may_come_as_a_cookie() {
    let tenant = tenant().await;
    let token = tenant.token(&["orders"]).sign();
    let (host, domain) = ("__Host-carillon_subscriber", "carillon_subscriber");
    for cookie in [
        format!("other=1; {host}={token}; more=2"),
        format!("other=1; {domain}={token}; more=2"),
        format!("{domain}=whatever a neighbouring host sets; {host}={token}"),
    ] {
        let mut stream = tenant.events(&["orders"]).header("Cookie", &cookie).live().await;
        whisper(&tenant, "orders", json!("secret")).await;
        assert_eq!(stream.event().await.body["data"], "secret");
    }
    for cookie in [format!("{host}=x; {domain}={token}"), format!("{host}=; {domain}={token}")] {
        let refused = tenant.events(&["orders"]).header("Cookie", &cookie).refused().await;
        refused.expect_problem(401, "invalid_token");
    }
}

#[tokio::test]
async fn a_token_that_is_not_good_is_refused_and_never_taken_for_none() {
    let world = World::shared().await;
    let tenant = world.tenant().create().await;
    let stranger = world.tenant().create().await;
    let good = tenant.token(&["orders"]);
    let signed = good.clone().sign();
    let (unsigned, _) = signed.rsplit_once('.').unwrap();
    let bad = [
        Token::new(&stranger.subscription_secret, &["orders"]).sign(),
        Token::new(&tenant.webhook_secret, &["orders"]).sign(),
        good.clone().claim("exp", json!(now() - 60)).sign(),
        good.clone().without("exp").sign(),
        good.clone().claim("exp", json!("tomorrow")).sign(),
        good.clone().claim("nbf", json!(now() + 600)).sign(),
        good.clone().claim("topics", json!("orders")).sign(),
        good.clone().claim("topics", json!(["a*b"])).sign(),
        good.clone().header(json!({"alg": "none"})).sign(),
        good.clone().header(json!({"alg": "HS512"})).sign(),
        good.clone().header(json!({"alg": "RS256"})).sign(),
        format!("{unsigned}."),
        unsigned.to_owned(),
        format!("{signed}x"),
        String::from("nonsense"),
        String::from("a.b.c"),
    ];
    for token in bad {
        let bearer = tenant.events(&["orders"]).header("Authorization", &format!("Bearer {token}"));
        let cookie = tenant.events(&["orders"]).header("Cookie", &format!("carillon_subscriber={token}"));
        for asked in [bearer, cookie] {
            let answer = asked.refused().await;
            assert_eq!(answer.status, 401, "{token}: {}", answer.body);
            let answer = answer.expect_problem(401, "invalid_token");
            assert!(answer.header("www-authenticate").starts_with("Bearer"), "{token}");
        }
    }
}

#[tokio::test]
async fn a_token_may_name_its_tenant_and_must_mean_it() {
    let world = World::shared().await;
    let (mine, other) = (world.tenant().create().await, world.tenant().create().await);
    let own = mine.token(&["orders"]).claim("tenant_id", json!(mine.id));
    mine.events(&["orders"]).token(own).live().await;

    let missing = world.call("GET", "t-never.localhost", "/events?topic=a").send().await;
    let claimed = mine.token(&["orders"]).claim("tenant_id", json!(other.id));
    let answer = mine.events(&["orders"]).token(claimed).refused().await;
    let answer = answer.expect_problem(404, "tenant_not_found");
    assert_eq!(answer.masked(&[]), missing.masked(&[]));
}

#[tokio::test]
async fn a_stream_warns_before_its_token_expires_and_ends_when_it_does() {
    let tenant = tenant().await;
    let token = tenant.token(&["orders"]).expires_in(4);
    let mut stream = tenant.events(&["orders"]).token(token).live().await;
    stream.hub("hub.token_expiring").await;
    assert_eq!(stream.closed().await, "token_expired");
}

#[tokio::test]
async fn two_credentials_on_one_request_are_one_too_many() {
    let tenant = tenant().await;
    let ticket = tenant.ticket(tenant.token(&["orders"])).await;
    let token = tenant.token(&["orders"]).expires_in(100);
    let answer = tenant.events(&["orders"]).ticket("garbage").token(token).refused().await;
    assert!([400, 401].contains(&answer.status), "{}", answer.body);
    tenant.events(&["orders"]).ticket(&ticket).live().await;
}

#[tokio::test]
async fn an_expired_subscriber_is_not_continued_as_an_anonymous_one() {
    let tenant = tenant().await;
    let token = tenant.token(&["orders"]).expires_in(2);
    let mut stream = tenant.events(&["orders"]).token(token.clone()).live().await;
    tenant.publish("orders", json!("heard")).await;
    stream.closed().await;
    let cursor = stream.cursor.clone();
    let answer = tenant.events(&["orders"]).token(token).after(&cursor).refused().await;
    answer.expect_problem(401, "invalid_token");
}
