//! Mercure, "Authorization".

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use crate::world::{HUB, RequestBuilder, Stream, Tenant, TestResponse, Token, World, now};

const COOKIE: &str = "__Secure-mercure_access_token";
const DETAIL: &str = "https://mercure.rocks/authorization-detail";

async fn tenant() -> Tenant {
    World::hub(json!({})).await
}

/// A tenant that takes tokens of 1.0 alone.
async fn strict() -> Tenant {
    World::hub(json!({"compatibility": false})).await
}

fn reader(tenant: &Tenant) -> Token {
    tenant.access_token("subscribe", &[("exact", "*")])
}

fn writer(tenant: &Tenant) -> Token {
    tenant.access_token("publish", &[("exact", "*")])
}

fn all(tenant: &Tenant) -> RequestBuilder {
    tenant.mercure().query("match", "*")
}

fn in_cookie(call: RequestBuilder, token: &str) -> RequestBuilder {
    call.header("Cookie", &format!("{COOKIE}={token}"))
}

/// A publication that carries what its caller adds to it.
fn post(tenant: &Tenant) -> RequestBuilder {
    let call = tenant.call("POST", HUB).header("Content-Type", "application/x-www-form-urlencoded");
    call.bytes(b"topic=a&data=x".to_vec())
}

/// Publishes a private update and then a public one, both with the token that may.
async fn say(tenant: &Tenant) {
    for (data, private) in [("hidden", true), ("end", false)] {
        let update = tenant.update("a").data(data).token(writer(tenant));
        let update = if private { update.private() } else { update };
        update.published().await;
    }
}

/// Whether each stream is sent private updates.
async fn hear(tenant: &Tenant, streams: &mut [Stream]) -> Vec<bool> {
    say(tenant).await;
    let mut all = Vec::new();
    for stream in streams {
        all.push(stream.data_before("end").await == ["hidden"]);
    }
    all
}

#[tokio::test]
async fn publishers_must_present_a_token_and_subscribers_to_be_sent_private_updates() {
    let tenant = tenant().await;
    post(&tenant).send().await.expect_problem(401, "unauthorized");
    let mut streams = [all(&tenant).stream().await, all(&tenant).bearer(&reader(&tenant).sign()).stream().await];
    assert_eq!(hear(&tenant, &mut streams).await, [false, true]);
}

#[tokio::test]
async fn subscribers_without_a_token_can_be_refused() {
    let tenant = World::hub(json!({"anonymous": false})).await;
    all(&tenant).refused().await.expect_problem(401, "unauthorized");
    all(&tenant).bearer(&reader(&tenant).sign()).stream().await;
    all(&tenant).bearer(&tenant.subscriber(&["a"]).sign()).stream().await;
    tenant.set_mercure(json!({"anonymous": true})).await;
    all(&tenant).stream().await;
}

#[tokio::test]
async fn the_header_is_used_and_the_cookie_beside_it_is_not_looked_at() {
    let tenant = tenant().await;
    let (good, bad) = (reader(&tenant).sign(), "garbage");
    for scheme in ["Bearer", "bearer", "BEARER"] {
        let call = all(&tenant).header("Authorization", &format!("{scheme} {good}"));
        let mut streams = [in_cookie(call.clone(), bad).stream().await, call.stream().await];
        assert_eq!(hear(&tenant, &mut streams).await, [true, true], "{scheme}");
    }
    in_cookie(all(&tenant).bearer(bad), &good).refused().await.expect_problem(401, "invalid_token");
    let other = tenant.access_token("subscribe", &[("exact", "other")]).sign();
    let mut streams = [in_cookie(all(&tenant).bearer(&other), &good).stream().await];
    assert_eq!(hear(&tenant, &mut streams).await, [false]);
}

#[tokio::test]
async fn the_cookie_is_used_where_there_is_no_header() {
    let tenant = strict().await;
    let token = reader(&tenant).sign();
    let mut streams = [in_cookie(all(&tenant), &token).stream().await];
    assert_eq!(hear(&tenant, &mut streams).await, [true]);
    in_cookie(all(&tenant), "garbage").refused().await.expect_problem(401, "invalid_token");
    let own = format!("http://{}", tenant.host);
    in_cookie(post(&tenant), &writer(&tenant).sign()).header("Origin", &own).send().await.expect(200);
}

#[tokio::test]
async fn a_token_in_the_query_is_none() {
    let tenant = tenant().await;
    let mut streams = [all(&tenant).query("access_token", &reader(&tenant).sign()).stream().await];
    assert_eq!(hear(&tenant, &mut streams).await, [false]);
    post(&tenant).query("access_token", &writer(&tenant).sign()).send().await.expect_problem(401, "unauthorized");
}

#[tokio::test]
async fn a_cookie_counts_from_pages_of_the_tenants_own_list_alone() {
    let listed = "https://www.example.com";
    let tenant = World::shared().await.tenant().set("cors_origins", json!([listed])).create().await;
    let (read, write) = (reader(&tenant).sign(), writer(&tenant).sign());
    let own = format!("http://{}", tenant.host);
    let page = format!("{own}/a/page?x");
    // Whether the cookie lets publish, and subscribe.
    for (headers, publishes, subscribes) in [
        (vec![("Origin", own.as_str())], true, true),
        (vec![("Origin", listed)], true, true),
        (vec![("Referer", page.as_str())], true, true),
        (vec![("Referer", "https://www.example.com/a")], true, true),
        (vec![("Origin", "https://evil.example")], false, false),
        (vec![("Origin", "https://evil.example"), ("Referer", page.as_str())], false, false),
        (vec![("Origin", "null")], false, false),
        (vec![("Referer", "https://evil.example/")], false, false),
        (vec![("Sec-Fetch-Site", "cross-site")], false, false),
        (vec![("Origin", own.as_str()), ("Sec-Fetch-Site", "cross-site")], false, false),
        // Who says nothing of where from may read: no page of elsewhere sees what is answered.
        (vec![], false, true),
        (vec![("Sec-Fetch-Site", "same-origin")], false, true),
    ] {
        let with = |call: RequestBuilder| headers.iter().fold(call, |call, (name, value)| call.header(name, value));
        let posted = with(in_cookie(post(&tenant), &write)).send().await;
        let opened = with(in_cookie(all(&tenant), &read)).open().await;
        let refused = |answer: TestResponse| drop(answer.expect_problem(403, "origin_not_allowed"));
        assert_eq!((posted.status == 200, opened.is_ok()), (publishes, subscribes), "{headers:?}");
        if !publishes {
            refused(posted);
        }
        if let Err(answer) = opened {
            refused(answer);
        }
        // A header is nothing that a page of elsewhere can send of its own accord.
        let posted = with(post(&tenant).bearer(&write)).send().await;
        assert_eq!(posted.status, 200, "{headers:?} {}", posted.body);
    }
}

#[tokio::test]
async fn a_token_must_be_right_in_every_part() {
    let tenant = strict().await;
    let good = || reader(&tenant);
    let header = |alg: &str, typ: Value| good().header(json!({"alg": alg, "typ": typ}));
    for token in [
        good(),
        header("HS256", json!("AT+JWT")),
        header("HS256", json!("application/at+jwt")),
        good().claim("aud", json!(["https://other.example", tenant.hub_url()])),
        good().claim("nbf", json!(now() - 1)),
        good().without("sub").without("client_id").without("jti").without("iat"),
    ] {
        let mut streams = [all(&tenant).bearer(&token.sign()).stream().await];
        assert_eq!(hear(&tenant, &mut streams).await, [true]);
    }
    let unsigned = header("none", json!("at+jwt")).sign();
    let unsigned = unsigned.rsplit_once('.').unwrap().0;
    let signed = good().sign();
    let other = World::hub(json!({})).await;
    let bad = [
        header("HS256", json!("JWT")).sign(),
        header("HS256", json!("at+jwt2")).sign(),
        good().header(json!({"alg": "HS256"})).sign(),
        header("none", json!("at+jwt")).sign(),
        format!("{unsigned}."),
        header("HS384", json!("at+jwt")).sign(),
        header("HS512", json!("at+jwt")).sign(),
        header("RS256", json!("at+jwt")).sign(),
        header("hs256", json!("at+jwt")).sign(),
        good().header(json!({"alg": "HS256", "typ": "at+jwt", "crit": ["exp"]})).sign(),
        good().without("iss").sign(),
        good().claim("iss", json!("https://other.example")).sign(),
        good().claim("iss", json!(format!("http://{}/", tenant.host))).sign(),
        good().claim("iss", json!([format!("http://{}", tenant.host)])).sign(),
        good().without("exp").sign(),
        good().claim("exp", json!(now() - 1)).sign(),
        good().claim("exp", json!("tomorrow")).sign(),
        good().claim("nbf", json!(now() + 600)).sign(),
        good().without("aud").sign(),
        good().claim("aud", json!(format!("http://{}", tenant.host))).sign(),
        good().claim("aud", json!([other.hub_url()])).sign(),
        reader(&other).sign(),
        format!("{signed}x"),
        format!("{signed}.x"),
        "a.b.c".to_owned(),
    ];
    for token in bad {
        all(&tenant).bearer(&token).refused().await.expect_problem(401, "invalid_token");
        in_cookie(all(&tenant), &token).refused().await.expect_problem(401, "invalid_token");
        post(&tenant).bearer(&token).send().await.expect_problem(401, "invalid_token");
    }
}

#[tokio::test]
async fn a_key_that_a_token_brings_along_is_not_looked_at() {
    let tenant = tenant().await;
    let key = "a key of the forger's own making";
    let jwk = json!({"kty": "oct", "alg": "HS256", "kid": "k", "k": URL_SAFE_NO_PAD.encode(key)});
    let claims = writer(&tenant).sign();
    let claims: Value =
        serde_json::from_slice(&URL_SAFE_NO_PAD.decode(claims.split('.').nth(1).unwrap()).unwrap()).unwrap();
    for more in [
        json!({}),
        json!({"jwk": jwk}),
        json!({"jku": format!("http://{}/keys", tenant.host)}),
        json!({"x5u": "https://forger.example/chain", "kid": "k"}),
    ] {
        let mut header = json!({"alg": "HS256", "typ": "at+jwt"});
        header.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let token = claims
            .as_object()
            .unwrap()
            .iter()
            .fold(Token::new(key, &[]).header(header), |token, (name, value)| token.claim(name, value.clone()));
        post(&tenant).bearer(&token.sign()).send().await.expect_problem(401, "invalid_token");
    }
}

#[tokio::test]
async fn authorization_details_are_taken_whole_or_not_at_all() {
    let tenant = tenant().await;
    let topics = json!([{"match": "a"}]);
    let good = json!({"type": DETAIL, "actions": ["publish"], "topics": topics});
    let token = |details: Value| writer(&tenant).claim("authorization_details", details).sign();
    let changed = |name: &str, value: Value| {
        let mut detail = good.clone();
        detail[name] = value;
        detail
    };
    let without = |name: &str| {
        let mut detail = good.clone();
        detail.as_object_mut().unwrap().remove(name);
        detail
    };
    for details in [
        json!([good]),
        json!([changed("actions", json!(["publish", "subscribe", "administer"]))]),
        json!([changed("payload", json!({"name": "Ada"}))]),
        json!([changed("topics", json!([{"match": "x"}, {"match": "*", "match_type": "urlpattern"}]))]),
        json!([{"type": "https://other.example/", "actions": 7}, good]),
        json!([{"actions": 7}, good, {"type": "HTTPS://mercure.rocks/authorization-detail", "topics": 7}]),
    ] {
        let answer = post(&tenant).bearer(&token(details.clone())).send().await;
        assert_eq!(answer.status, 200, "{details} {}", answer.body);
    }
    // No Mercure entry grants nothing.
    for details in [
        json!([]),
        json!([{"type": "https://other.example/", "actions": ["publish"], "topics": topics}]),
        json!([changed("actions", json!(["administer"]))]),
        json!([changed("actions", json!(["Publish"]))]),
        json!([changed("topics", json!([{"match": "b"}]))]),
        json!([changed("topics", json!([{"match": "A"}, {"match": ":a", "match_type": "exact"}]))]),
    ] {
        let answer = post(&tenant).bearer(&token(details)).send().await;
        answer.expect_problem(403, "insufficient_scope");
    }
    let many = |count: usize| (0..count).map(|n| json!({"match": n.to_string()})).collect::<Vec<_>>();
    for bad in [
        without("actions"),
        changed("actions", json!([])),
        changed("actions", json!("publish")),
        changed("actions", json!(["publish", 7])),
        without("topics"),
        changed("topics", json!([])),
        changed("topics", json!({"match": "a"})),
        changed("topics", json!(["a"])),
        changed("topics", json!([{"match": "a"}, null])),
        changed("topics", json!([{"match_type": "exact"}])),
        changed("topics", json!([{"match": 7}])),
        changed("topics", json!([{"match": "a", "match_type": "Exact"}])),
        changed("topics", json!([{"match": "a", "match_type": "uritemplate"}])),
        changed("topics", json!([{"match": "a", "match_type": null}])),
        changed("topics", json!([{"match": "(", "match_type": "urlpattern"}])),
        changed("topics", json!([{"match": "a\n"}])),
        changed("payload", json!("Ada")),
        changed("payload", json!({"long": "x".repeat(5_000)})),
        changed("topics", json!(many(101))),
        changed("topics", json!([{"match": "x".repeat(4_097)}])),
        json!("not an object"),
    ] {
        let shown: String = bad.to_string().chars().take(200).collect();
        // Nothing of the token may be used, whatever else is in it.
        for details in [json!([bad]), json!([good, bad])] {
            let answer = post(&tenant).bearer(&token(details)).send().await;
            assert_eq!(answer.status, 401, "{shown}: {}", answer.body);
            answer.expect_problem(401, "invalid_token");
        }
    }
    for claim in [json!({}), json!("x"), json!(null)] {
        post(&tenant).bearer(&token(claim)).send().await.expect_problem(401, "invalid_token");
    }
}

#[tokio::test]
async fn all_topics_of_an_update_must_be_granted() {
    let tenant = tenant().await;
    let mut stream = tenant.listen(&["a", "b", "/c/1", "end"]).await;
    let token = || tenant.access_token("publish", &[("exact", "a"), ("urlpattern", "/c/:id"), ("exact", "end")]);
    let older = || tenant.publisher(&["a", "/c/{id}", "end"]);
    let update = |topics: &[&str]| {
        topics[1..].iter().fold(tenant.update(topics[0]), |update, topic| update.field("topic", topic))
    };
    for topics in [&["b"][..], &["a", "b"], &["b", "a"], &["a", "/c/1", "/c/1/2"]] {
        for token in [token(), older()] {
            let answer = update(topics).data("refused").token(token).send().await;
            answer.expect_problem(403, "insufficient_scope");
        }
    }
    update(&["a", "/c/1"]).data("one").token(token()).published().await;
    update(&["/c/1", "a"]).data("two").token(older()).published().await;
    update(&["end"]).data("end").token(token()).published().await;
    assert_eq!(stream.data_before("end").await, ["one", "two"]);
}

#[tokio::test]
async fn one_granted_topic_opens_a_private_update() {
    let tenant = tenant().await;
    let grants = [("a", true), ("b", true), ("c", false)];
    let mut streams = Vec::new();
    for (topic, _) in grants {
        let token = tenant.access_token("subscribe", &[("exact", topic)]).sign();
        streams.push(all(&tenant).bearer(&token).stream().await);
        streams.push(all(&tenant).bearer(&tenant.subscriber(&[topic]).sign()).stream().await);
    }
    // Whoever is granted one topic and asks for another one hears it all the same: it is one update.
    let token = tenant.access_token("subscribe", &[("urlpattern", "/x/:id"), ("exact", "b")]).sign();
    let mut by_canonical = tenant.listen(&["a", "end"]).await;
    let mut by_alternate = tenant.mercure().query("match", "a").query("match", "end").bearer(&token).stream().await;
    tenant.update("a").field("topic", "b").data("hidden").private().published().await;
    tenant.update("end").data("end").published().await;
    for (stream, (topic, hears)) in streams.iter_mut().zip(grants.iter().flat_map(|grant| [grant, grant])) {
        assert_eq!(!stream.data_before("end").await.is_empty(), *hears, "{topic}");
    }
    assert_eq!(by_canonical.data_before("end").await, [""; 0]);
    assert_eq!(by_alternate.data_before("end").await, ["hidden"]);
}

#[tokio::test]
async fn a_stream_ends_when_its_token_does() {
    let tenant = tenant().await;
    for token in [reader(&tenant), tenant.subscriber(&["*"])] {
        let token = token.expires_in(2).sign();
        let mut stream = all(&tenant).bearer(&token).stream().await;
        tenant.update("a").data("heard").private().published().await;
        let heard = stream.update().await;
        assert_eq!((heard.data.as_deref(), heard.event), (Some("heard"), None));
        while let Some(block) = stream.block().await {
            assert!(block.is_comment(), "Mercure's clients take every block for an update: {block:?}");
        }
        all(&tenant).bearer(&token).refused().await.expect_problem(401, "invalid_token");
    }
}

#[tokio::test]
async fn a_stream_ends_when_the_grace_of_its_secret_does() {
    let tenant = tenant().await;
    let rotate = |kind: &str, grace: u64| {
        let call = tenant.admin("POST", &format!("/secrets/{kind}/rotate"));
        call.json(&json!({"grace_seconds": grace})).send()
    };
    let (token, mut anybody) = (reader(&tenant).sign(), all(&tenant).stream().await);
    let mut stream = all(&tenant).bearer(&token).stream().await;
    let site = rotate("webhook", 0).await.expect(200).data()["secret"].as_str().unwrap().to_owned();
    rotate("subscription", 2).await.expect(200);
    all(&tenant).bearer(&token).stream().await;
    assert_eq!(stream.closed().await, "");
    all(&tenant).bearer(&token).refused().await.expect_problem(401, "invalid_token");
    let retired = tenant.update("a").send().await;
    retired.expect_problem(401, "invalid_token");
    tenant.webhook().secret(&site).accepted().await;
    anybody.update().await;
}
