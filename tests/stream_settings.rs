//! What a tenant's settings, plan and hosts let stand: a change through one isolate ends open streams of the other one at
//! once, and opens none there.

use serde_json::{Value, json};

use crate::world::{HUB, Issuer, RequestBuilder, Stream, Tenant, World, now, stranger, unique};

async fn tenant() -> (Tenant, Tenant) {
    let (a, b) = World::pair().await;
    let here = a.tenant().plan("pro").create().await;
    let there = here.through(&b);
    (here, there)
}

/// Reads a stream to its end: whether anything came.
async fn ends_silently(stream: &mut Stream) {
    while let Some(block) = stream.block().await {
        assert!(!block.data.unwrap_or_default().contains("too late"), "something came behind the answer");
    }
}

fn all(tenant: &Tenant) -> RequestBuilder {
    tenant.mercure().query("match", "*")
}

#[tokio::test]
async fn strangers_are_put_out_of_both_wires_at_once() {
    let (here, there) = tenant().await;
    let mut plain = there.subscribe(&["a"]).await;
    let mut mercure = there.listen(&["a"]).await;
    let mut holder = there.events(&["a"]).token(there.token(&["a"])).live().await;
    here.set_mercure(json!({"anonymous": false})).await;
    here.publish("a", json!("too late")).await;
    assert_eq!(plain.closed().await, "credential_required");
    ends_silently(&mut mercure).await;
    assert_eq!(holder.event().await.body["data"], "too late", "who has a token stays");
    for isolate in [&here, &there] {
        isolate.events(&["a"]).refused().await.expect_problem(401, "unauthorized");
        all(isolate).refused().await.expect_problem(401, "unauthorized");
        isolate.events(&["a"]).token(isolate.token(&["a"])).live().await;
        isolate.events(&["a"]).ticket(&isolate.ticket(isolate.token(&["a"])).await).live().await;
    }
    here.set_mercure(json!({"anonymous": true})).await;
    here.subscribe(&["a"]).await;
}

/// Claims of 1.0 that let somebody of this name do both on every topic.
fn claims(tenant: &Tenant, iss: &str) -> Value {
    json!({"iss": iss, "aud": tenant.hub_url(), "exp": now() + 300, "authorization_details": [
        {"type": "https://mercure.rocks/authorization-detail", "actions": ["publish", "subscribe"],
            "topics": [{"match": "*"}]}]})
}

fn entry(issuer: &Issuer, allows: &[&str]) -> Value {
    json!({"issuer": issuer.url, "jwks_url": format!("{}/jwks", issuer.url), "allows": allows})
}

fn publish(tenant: &Tenant, token: &str) -> RequestBuilder {
    let call = tenant.call("POST", HUB).bearer(token).header("Content-Type", "application/x-www-form-urlencoded");
    call.bytes(b"topic=a&data=x".to_vec())
}

#[tokio::test]
async fn an_issuer_that_is_dropped_takes_its_streams_with_it() {
    let (here, there) = tenant().await;
    let issuer = Issuer::of(&here).await;
    let token = issuer.token(json!({"typ": "at+jwt"}), claims(&here, &issuer.url)).await;
    let mut elsewhere = entry(&issuer, &["publish", "subscribe"]);
    elsewhere["jwks_url"] = json!(format!("{}/elsewhere", issuer.url));
    let narrowings = [json!([]), json!([entry(&issuer, &["publish"])]), json!([elsewhere])];
    for narrowing in narrowings {
        here.set_mercure(json!({"issuers": [entry(&issuer, &["publish", "subscribe"])]})).await;
        crate::world::eventually("the issuer everywhere", async || {
            all(&there).bearer(&token).open().await.ok().map(drop)
        })
        .await;
        let mut stream = all(&there).bearer(&token).stream().await;
        let mut own = all(&there).bearer(&there.subscriber(&["*"]).sign()).stream().await;
        publish(&there, &token).send().await.expect(200);
        here.set_mercure(json!({"issuers": narrowing})).await;
        here.update("a").data("too late").private().published().await;
        ends_silently(&mut stream).await;
        while own.update().await.data.as_deref() != Some("too late") {}
        for isolate in [&here, &there] {
            match all(isolate).bearer(&token).open().await {
                Err(refused) => assert!([401, 503].contains(&refused.status), "{narrowing}: {}", refused.body),
                // Whoever may still publish hears what is public.
                Ok(mut stream) => {
                    assert_eq!(narrowing[0]["allows"], json!(["publish"]));
                    here.update("a").data("hidden").private().published().await;
                    here.update("a").data("end").published().await;
                    assert_eq!(stream.data_before("end").await, [""; 0]);
                }
            }
        }
        if narrowing == json!([]) {
            for isolate in [&here, &there] {
                publish(isolate, &token).send().await.expect_problem(401, "invalid_token");
            }
        }
    }
}

#[tokio::test]
async fn the_protocol_before_1_0_ends_where_it_is_switched_off() {
    let (here, there) = tenant().await;
    let (older, newer) = (there.subscriber(&["*"]).sign(), there.access_token("subscribe", &[("exact", "*")]).sign());
    let mut by_token = all(&there).bearer(&older).stream().await;
    let mut by_matcher = there.mercure().query("topic", "a").stream().await;
    let mut current = all(&there).bearer(&newer).stream().await;
    let mut plain = there.subscribe(&["a"]).await;
    let writer = there.access_token("publish", &[("exact", "*")]);
    here.set_mercure(json!({"compatibility": false})).await;
    there.update("a").data("too late").token(writer).published().await;
    ends_silently(&mut by_token).await;
    ends_silently(&mut by_matcher).await;
    assert_eq!(current.update().await.data.as_deref(), Some("too late"));
    assert_eq!(plain.event().await.body["data"], "too late");
    for isolate in [&here, &there] {
        all(isolate).bearer(&older).refused().await.expect_problem(401, "invalid_token");
        publish(isolate, &isolate.publisher(&["*"]).sign()).send().await.expect_problem(401, "invalid_token");
    }
}

#[tokio::test]
async fn where_fewer_streams_are_allowed_the_newest_end() {
    let (here, there) = tenant().await;
    let mut streams = Vec::new();
    for _ in 0..4 {
        streams.push(there.events(&["a"]).address(&stranger()).live().await);
    }
    here.patch(json!({"rate_limits": {"max_concurrent_subscriptions": 2}})).await;
    here.publish("a", json!("x")).await;
    for stream in &mut streams[2..] {
        assert_eq!(stream.closed().await, "too_many_streams");
    }
    for stream in &mut streams[..2] {
        assert_eq!(stream.event().await.body["data"], "x", "the oldest stay");
    }
    for isolate in [&here, &there] {
        isolate.events(&["a"]).address(&stranger()).refused().await.expect_problem(429, "too_many_streams");
    }
    here.patch(json!({"rate_limits": {"max_concurrent_subscriptions": 3, "max_connections_per_ip": 3}})).await;
    let home = stranger();
    streams.truncate(1);
    let mut own = Vec::new();
    for _ in 0..2 {
        let next = async || there.events(&["a"]).address(&home).open().await.ok();
        own.push(crate::world::eventually("a place", next).await);
    }
    here.patch(json!({"rate_limits": {"max_connections_per_ip": 1}})).await;
    assert_eq!(own[1].closed().await, "too_many_streams");
    here.publish("a", json!("y")).await;
    assert_eq!(streams[0].event().await.body["data"], "y");
}

#[tokio::test]
async fn a_domain_that_is_let_go_ends_the_streams_that_were_opened_on_it() {
    let (here, there) = tenant().await;
    let domain = format!("d-{}.example", unique());
    here.admin("POST", "/domains").json(&json!({"domain": domain})).send().await.expect(201);
    let mut stream = there.events(&["a"]).host(&domain).live().await;
    let mut own = there.subscribe(&["a"]).await;
    here.admin("DELETE", &format!("/domains/{domain}")).send().await.expect(200);
    here.publish("a", json!("too late")).await;
    assert_eq!(stream.closed().await, "tenant_unavailable");
    assert_eq!(own.event().await.body["data"], "too late");
    there.events(&["a"]).host(&domain).refused().await.expect_problem(404, "tenant_not_found");
}

#[tokio::test]
async fn a_secret_that_is_given_up_ends_the_streams_of_both_wires() {
    let (here, there) = tenant().await;
    let token = there.token(&["a"]).claim("mercure", json!({"subscribe": ["*"]}));
    let mut plain = there.events(&["a"]).token(token.clone()).live().await;
    let mut mercure = all(&there).bearer(&token.clone().sign()).stream().await;
    let rotate = here.admin("POST", "/secrets/subscription/rotate").json(&json!({"grace_seconds": 0}));
    rotate.send().await.expect(200);
    here.webhook().channels(&["a"]).data(json!("too late")).private().accepted().await;
    assert_eq!(plain.closed().await, "token_expired");
    ends_silently(&mut mercure).await;
    for isolate in [&here, &there] {
        isolate.events(&["a"]).token(token.clone()).refused().await.expect_problem(401, "invalid_token");
        all(isolate).bearer(&token.clone().sign()).refused().await.expect_problem(401, "invalid_token");
    }
}
