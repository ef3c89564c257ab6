//! Mercure, "Changes from Pre-Standardization Deployments": what clients of before 1.0 speak, where a tenant serves them.

use serde_json::{Value, json};

use crate::world::{HUB, RequestBuilder, Stream, Tenant, Token, World, now};

const SUBSCRIPTIONS: &str = "/.well-known/mercure/subscriptions";

async fn tenant() -> Tenant {
    World::hub(json!({"subscriptions": true})).await
}

fn topics(tenant: &Tenant, topics: &[&str]) -> RequestBuilder {
    topics.iter().fold(tenant.mercure(), |call, topic| call.query("topic", topic))
}

fn older_cookie(call: RequestBuilder, token: &str) -> RequestBuilder {
    call.header("Cookie", &format!("mercureAuthorization={token}"))
}

async fn say(tenant: &Tenant, topics: &[&str]) {
    for topic in topics.iter().chain(&["end"]) {
        tenant.update(topic).data(topic).published().await;
    }
}

async fn hears_private(tenant: &Tenant, stream: &mut Stream) -> bool {
    tenant.update("secret").data("hidden").private().published().await;
    say(tenant, &[]).await;
    stream.data_before("end").await == ["hidden"]
}

/// RFC 6570 with its erratum on literals: what is beyond ASCII matches as it is and percent-encoded, and only as it is
/// composed.
#[tokio::test]
async fn templates_match_either_spelling_of_characters_beyond_ascii() {
    let tenant = tenant().await;
    let topics_published =
        ["caf\u{e9}/1", "caf%C3%A9/1", "caf%c3%a9/1", "cafe\u{301}/1", "caf\u{e9}/ol\u{e9}", "x'value'", "cafe/1"];
    let rows: [(&str, &[usize]); 4] = [
        ("caf\u{e9}/{v}", &[0, 1, 2, 4]),
        ("caf%C3%A9/{v}", &[0, 1, 2, 4]),
        ("cafe\u{301}/{v}", &[3]),
        ("x'{v}'", &[5]),
    ];
    let mut streams = Vec::new();
    for (selector, _) in rows {
        streams.push(topics(&tenant, &[selector, "end"]).stream().await);
    }
    say(&tenant, &topics_published).await;
    for (stream, (selector, wanted)) in streams.iter_mut().zip(rows) {
        let wanted: Vec<_> = wanted.iter().map(|at| topics_published[*at]).collect();
        assert_eq!(stream.data_before("end").await, wanted, "{selector}");
    }
}

#[tokio::test]
async fn a_topic_is_itself_or_a_template_or_a_star() {
    let tenant = tenant().await;
    let published = [
        "https://example.com/books/1",
        "https://example.com/books/1/pages",
        "https://example.com/books/{id}",
        "https://example.com/books/a%2Fb",
        "plain",
        "(broken {",
        "/a?x=1&y=2",
    ];
    let rows: [(&str, &[usize]); 8] = [
        ("*", &[0, 1, 2, 3, 4, 5, 6]),
        ("https://example.com/books/1", &[0]),
        ("https://example.com/books/{id}", &[0, 2, 3]),
        ("https://example.com/books/{+path}", &[0, 1, 3]),
        ("https://example.com{/a,b}", &[0, 3]),
        ("plain", &[4]),
        ("(broken {", &[5]),
        ("/a{?x,y}", &[6]),
    ];
    let mut streams = Vec::new();
    for (selector, _) in rows {
        streams.push(topics(&tenant, &[selector, "end"]).stream().await);
    }
    say(&tenant, &published).await;
    for (stream, (selector, wanted)) in streams.iter_mut().zip(rows) {
        let mut heard = stream.data_before("end").await;
        heard.retain(|data| data != "end");
        let wanted: Vec<&str> = wanted.iter().map(|at| published[*at]).collect();
        assert_eq!(heard, wanted, "{selector}");
    }
}

#[tokio::test]
async fn both_wires_are_spoken_in_one_request() {
    let tenant = tenant().await;
    let call = topics(&tenant, &["/a/{id}", "b"]).query("match", "c").query("match_urlpattern", "/d/:id");
    let mut stream = call.query("match", "end").stream().await;
    say(&tenant, &["/a/1", "b", "x", "c", "/d/1"]).await;
    assert_eq!(stream.data_before("end").await, ["/a/1", "b", "c", "/d/1"]);
}

#[tokio::test]
async fn a_claim_grants_by_selectors() {
    let tenant = tenant().await;
    let token = |claim: Value| tenant.publisher(&[]).claim("mercure", claim);
    for (token, topic, granted) in [
        (token(json!({"publish": ["*"]})), "a", true),
        (token(json!({"publish": ["a"]})), "a", true),
        (token(json!({"publish": ["/books/{id}"]})), "/books/1", true),
        (token(json!({"publish": ["/books/{id}"]})), "/books/1/2", false),
        (token(json!({"publish": ["/books/:id"]})), "/books/1", false),
        (token(json!({"publish": []})), "a", false),
        (token(json!({"publish": null})), "a", false),
        (token(json!({"subscribe": ["*"]})), "a", false),
        (token(json!({})), "a", false),
        (token(json!(null)).without("mercure"), "a", false),
        (token(json!(null)).without("mercure").claim("https://mercure.rocks/", json!({"publish": ["a"]})), "a", true),
    ] {
        let answer = tenant.update(topic).token(token.clone()).send().await;
        match granted {
            true => drop(answer.expect(200)),
            false => drop(answer.expect_problem(403, "insufficient_scope")),
        }
    }
    for claim in
        [json!(7), json!([]), json!({"publish": "*"}), json!({"publish": [7]}), json!({"publish": vec!["a"; 101]})]
    {
        tenant.update("a").token(token(claim)).send().await.expect_problem(401, "invalid_token");
    }
}

#[tokio::test]
async fn a_token_needs_neither_end_nor_audience_and_an_end_is_honoured() {
    let tenant = tenant().await;
    let endless = tenant.publisher(&["*"]).without("exp");
    tenant.update("a").token(endless.clone()).published().await;
    tenant.update("a").token(endless.clone().claim("aud", json!("x")).claim("iss", json!("y"))).published().await;
    tenant.update("a").token(endless.clone().header(json!({"alg": "HS256"}))).published().await;
    for claims in [("exp", json!(now() - 1)), ("exp", json!("never")), ("nbf", json!(now() + 600))] {
        let token = endless.clone().claim(claims.0, claims.1);
        tenant.update("a").token(token).send().await.expect_problem(401, "invalid_token");
    }
    let endless = tenant.subscriber(&["secret"]).without("exp").sign();
    let mut stream = topics(&tenant, &["secret", "end"]).bearer(&endless).stream().await;
    assert!(hears_private(&tenant, &mut stream).await);
}

#[tokio::test]
async fn the_header_counts_then_the_query_then_the_cookie() {
    let tenant = tenant().await;
    let (good, other) = (tenant.subscriber(&["secret"]).sign(), tenant.subscriber(&["other"]).sign());
    let asked = || topics(&tenant, &["*"]);
    for (call, hears) in [
        (asked().query("authorization", &good), true),
        (older_cookie(asked(), &good), true),
        (asked().bearer(&good).query("authorization", &other), true),
        (asked().bearer(&other).query("authorization", &good), false),
        (older_cookie(asked().query("authorization", &good), &other), true),
        (older_cookie(asked().query("authorization", &other), &good), false),
        (older_cookie(asked().bearer(&other), &good), false),
        (asked(), false),
    ] {
        let mut stream = call.clone().stream().await;
        assert_eq!(hears_private(&tenant, &mut stream).await, hears);
    }
    let publisher = tenant.publisher(&["*"]).sign();
    tenant.update("a").anonymous().query("authorization", &publisher).published().await;
    let own = format!("http://{}", tenant.host);
    let update = tenant.update("a").anonymous().header("Cookie", &format!("mercureAuthorization={publisher}"));
    update.clone().header("Origin", &own).published().await;
    update.header("Origin", "https://evil.example").send().await.expect_problem(403, "origin_not_allowed");
    asked().query("authorization", "garbage").refused().await.expect_problem(401, "invalid_token");
}

#[tokio::test]
async fn the_place_has_three_spellings_in_the_query_and_two_in_the_answer() {
    let tenant = tenant().await;
    let id = tenant.update("a").data("before").published().await;
    say(&tenant, &["after"]).await;
    for name in ["lastEventID", "last_event_id", "Last-Event-ID"] {
        let mut stream = topics(&tenant, &["*"]).query(name, &id).stream().await;
        for header in ["last-event-id", "mercure-last-event-id"] {
            assert_eq!(stream.headers[header], id, "{name}");
        }
        assert_eq!(stream.data_before("end").await, ["after"], "{name}");
    }
    let mut stream =
        topics(&tenant, &["*"]).query("lastEventID", "earliest").header("Last-Event-ID", &id).stream().await;
    assert_eq!(stream.headers["last-event-id"], id);
    assert_eq!(stream.data_before("end").await, ["after"]);
}

#[tokio::test]
async fn subscriptions_are_json_ld() {
    let tenant = tenant().await;
    let selector = "https://example.com/{id}";
    let admin = tenant.subscriber(&["/.well-known/mercure/subscriptions{/topic}{/subscriber}", SUBSCRIPTIONS]).sign();
    let mut watcher =
        topics(&tenant, &["/.well-known/mercure/subscriptions/{topic}/{subscriber}"]).bearer(&admin).stream().await;
    let own = watcher.update().await;
    assert_eq!((&own.event, &own.json()["type"]), (&None, &json!("Subscription")));

    let token = tenant.subscriber(&[]).claim("mercure", json!({"payload": {"name": "Ada"}, "subscribe": []})).sign();
    let stream = topics(&tenant, &[selector]).bearer(&token).stream().await;
    let begun = watcher.update().await;
    let document = begun.json();
    let subscriber = document["subscriber"].as_str().unwrap().to_owned();
    let path = format!("{SUBSCRIPTIONS}/https%3A%2F%2Fexample.com%2F%7Bid%7D");
    let id = format!("{path}/{}", subscriber.replace(':', "%3A"));
    let mut wanted = json!({"@context": "https://mercure.rocks/", "id": id, "type": "Subscription", "topic": selector,
        "subscriber": subscriber, "active": true, "payload": {"name": "Ada"}});
    assert_eq!((begun.event, &document), (None, &wanted));

    let last = begun.id.unwrap();
    let get = |path: &str| tenant.call("GET", path).bearer(&admin).send();
    wanted["lastEventID"] = json!(last);
    for (path, kind) in
        [(SUBSCRIPTIONS, "Subscriptions"), (path.as_str(), "Subscriptions"), (id.as_str(), "Subscription")]
    {
        let answer = get(path).await.expect(200);
        assert!(answer.header("content-type").starts_with("application/ld+json"), "{path}");
        let document = answer.json();
        assert_eq!((&document["type"], &document["lastEventID"]), (&json!(kind), &json!(last)), "{path}");
        assert_eq!((&document["@context"], &document["id"]), (&json!("https://mercure.rocks/"), &json!(path)));
    }
    assert_eq!(get(&id).await.json(), wanted);
    assert_eq!(get(SUBSCRIPTIONS).await.json()["subscriptions"].as_array().unwrap().len(), 2);
    assert_eq!(get(&path).await.json()["subscriptions"][0]["topic"], selector);

    drop(stream);
    let ended = watcher.update().await;
    assert_eq!((&ended.json()["active"], &ended.json()["id"]), (&json!(false), &json!(id)));
    get(&id).await.expect_problem(404, "not_found");
}

#[tokio::test]
async fn a_token_of_1_0_is_judged_by_the_rules_of_1_0_alone() {
    let tenant = tenant().await;
    let token = |topics: Value| {
        let token = tenant.access_token("publish", &[("exact", "a")]);
        token.claim("mercure", json!({"publish": topics, "subscribe": ["*"]}))
    };
    tenant.update("a").token(token(json!(["b"]))).published().await;
    tenant.update("b").token(token(json!(["*"]))).send().await.expect_problem(403, "insufficient_scope");
    let lax: Token = token(json!(["*"])).without("aud").without("exp");
    tenant.update("b").token(lax.clone()).send().await.expect_problem(401, "invalid_token");
    // And one of before 1.0 does not grant by what 1.0 reads.
    let header = json!({"alg": "HS256", "typ": "JWT"});
    tenant.update("b").token(lax.clone().header(header.clone())).published().await;
    let update = tenant.update("a").token(lax.without("mercure").header(header));
    update.send().await.expect_problem(403, "insufficient_scope");
}

#[tokio::test]
async fn where_it_is_switched_off_nothing_of_it_is_spoken() {
    let tenant = World::hub(json!({"compatibility": false, "subscriptions": true})).await;
    let (reader, writer) = (tenant.subscriber(&["*"]).sign(), tenant.publisher(&["*"]));
    let asked = || tenant.mercure().query("match", "*");
    topics(&tenant, &["a"]).refused().await.expect_invalid_query("topic");
    asked().query("topic", "a").refused().await.expect_invalid_query("topic");
    asked().bearer(&reader).refused().await.expect_problem(401, "invalid_token");
    tenant.update("a").token(writer.clone()).send().await.expect_problem(401, "invalid_token");
    let by_query = tenant.update("a").anonymous().query("authorization", &writer.sign());
    by_query.send().await.expect_problem(401, "unauthorized");

    // A token of 1.0 is not looked for where only clients of before put one.
    let current = tenant.access_token("subscribe", &[("exact", "*")]).sign();
    let publish = async |data: &str, private: bool| {
        let update = tenant.update("a").data(data).token(tenant.access_token("publish", &[("exact", "*")]));
        let update = if private { update.private() } else { update };
        update.published().await
    };
    let mut streams = [
        asked().query("authorization", &current).stream().await,
        older_cookie(asked(), &current).stream().await,
        asked().bearer(&current).stream().await,
    ];
    let before = publish("hidden", true).await;
    publish("end", false).await;
    let mut heard = Vec::new();
    for stream in &mut streams {
        let updates = stream.updates_before("end").await;
        heard.push(updates.iter().any(|update| update.data.as_deref() == Some("hidden")));
    }
    assert_eq!(heard, [false, false, true]);

    for name in ["lastEventID", "Last-Event-ID"] {
        let stream = asked().query(name, &before).stream().await;
        assert!(!stream.headers.contains_key("mercure-last-event-id"), "{name}");
    }
    let stream = asked().query("last_event_id", &before).stream().await;
    assert_eq!(stream.headers["mercure-last-event-id"], before);
    assert!(!stream.headers.contains_key("last-event-id"));
    let get = |path: &str| tenant.call("GET", path).bearer(&current).header("Accept", "application/ld+json").send();
    let answer = get(SUBSCRIPTIONS).await.expect(200);
    assert_eq!(answer.header("content-type"), "application/json");
    assert_eq!(answer.json()["type"], "subscriptions");
    for rest in ["a", "a/urn%3Auuid%3A1"] {
        get(&format!("{SUBSCRIPTIONS}/{rest}")).await.expect_problem(404, "not_found");
    }
    tenant.call("GET", HUB).query("match", "a").stream().await;
}
