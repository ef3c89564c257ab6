//! Mercure, "Active Subscriptions": who subscribes to what, for those entitled to know.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::world::{HUB, RequestBuilder, Sockets, Stream, Tenant, TestResponse, World};

const SUBSCRIPTIONS: &str = "/.well-known/mercure/subscriptions";
const EVENTS: &str = "/.well-known/mercure/subscriptions/:type/:match/:subscriber";

async fn tenant() -> Tenant {
    World::hub(json!({"subscriptions": true})).await
}

/// A token that is told of all subscriptions.
fn token(tenant: &Tenant) -> String {
    let topics = [("urlpattern", "/.well-known/mercure/subscriptions{/*}?")];
    tenant.access_token("subscribe", &topics).sign()
}

fn watch(tenant: &Tenant) -> RequestBuilder {
    tenant.mercure().query("match_urlpattern", EVENTS).bearer(&token(tenant))
}

/// Somebody who is told of all subscriptions, past the news of their own.
async fn watcher(tenant: &Tenant) -> Stream {
    let mut stream = watch(tenant).stream().await;
    let own = news(&mut stream).await;
    assert_eq!((&own["active"], &own["match"]), (&json!(true), &json!(EVENTS)));
    stream
}

/// The next news of a subscription.
async fn news(stream: &mut Stream) -> Value {
    let block = stream.update().await;
    assert_eq!(block.event.as_deref(), Some("mercure"));
    block.json()
}

async fn get(tenant: &Tenant, path: &str) -> TestResponse {
    tenant.call("GET", path).bearer(&token(tenant)).send().await
}

fn text<'v>(document: &'v Value, name: &str) -> &'v str {
    document[name].as_str().unwrap_or_else(|| panic!("no {name} in {document}"))
}

#[tokio::test]
async fn each_subscription_is_told_when_it_begins_and_when_it_ends() {
    let tenant = tenant().await;
    let mut watcher = watcher(&tenant).await;
    let stream = tenant.mercure().query("match", "a").query("match_urlpattern", "/b/:id").stream().await;
    let begun = [news(&mut watcher).await, news(&mut watcher).await];
    let subscriber = text(&begun[0], "subscriber").to_owned();
    let encoded = subscriber.replace(':', "%3A");
    for (document, (kind, matcher, path)) in
        begun.iter().zip([("exact", "a", "a"), ("urlpattern", "/b/:id", "%2Fb%2F%3Aid")])
    {
        let wanted = json!({"id": format!("{SUBSCRIPTIONS}/{kind}/{path}/{encoded}"), "type": "subscription",
            "match_type": kind, "match": matcher, "subscriber": subscriber, "active": true});
        assert_eq!(*document, wanted);
    }
    drop(stream);
    for before in begun {
        let mut ended = before;
        ended["active"] = json!(false);
        assert_eq!(news(&mut watcher).await, ended);
    }
}

#[tokio::test]
async fn only_those_are_told_whose_token_grants_the_topic() {
    let tenant = tenant().await;
    let about = |topic: &str| tenant.access_token("subscribe", &[("urlpattern", topic)]).sign();
    let call = || tenant.mercure().query("match", "*");
    let mut nobody = vec![
        call().stream().await,
        call().bearer(&about("/a/:id")).stream().await,
        call().bearer(&about("/.well-known/mercure/subscriptions/exact/b/:subscriber")).stream().await,
    ];
    let mut entitled = call().bearer(&about("/.well-known/mercure/subscriptions/exact/a/:subscriber")).stream().await;
    drop(tenant.listen(&["a"]).await);
    assert_eq!(text(&news(&mut entitled).await, "match"), "a");
    assert_eq!(news(&mut entitled).await["active"], false);
    tenant.update("end").data("end").published().await;
    for stream in &mut nobody {
        assert_eq!(stream.data_before("end").await, [""; 0]);
    }
}

#[tokio::test]
async fn each_variable_of_a_topic_is_encoded_once_and_whole() {
    let tenant = tenant().await;
    let mut watcher = watcher(&tenant).await;
    for (matcher, path) in [
        ("https://example.com/a?b=c&d#e", "https%3A%2F%2Fexample.com%2Fa%3Fb%3Dc%26d%23e"),
        ("100%25 é/ü", "100%2525%20%C3%A9%2F%C3%BC"),
        ("-._~!$'()*+,;=:@", "-._~%21%24%27%28%29%2A%2B%2C%3B%3D%3A%40"),
        ("*", "%2A"),
    ] {
        let stream = tenant.listen(&[matcher]).await;
        let document = news(&mut watcher).await;
        assert_eq!(document["match"], matcher);
        let subscriber = text(&document, "subscriber").replace(':', "%3A");
        let id = format!("{SUBSCRIPTIONS}/exact/{path}/{subscriber}");
        assert_eq!(document["id"], json!(id));
        // The same path leads to the document.
        assert_eq!(get(&tenant, &id).await.expect(200).json(), document);
        let listed = get(&tenant, &format!("{SUBSCRIPTIONS}/exact/{path}")).await.expect(200).json();
        assert_eq!(listed["subscriptions"], json!([document]));
        drop(stream);
        news(&mut watcher).await;
    }
}

#[tokio::test]
async fn a_subscriber_has_a_name_of_its_own_that_it_does_not_choose() {
    let tenant = tenant().await;
    let mut watcher = watcher(&tenant).await;
    let token = tenant.access_token("subscribe", &[("exact", "a")]).claim("sub", json!("me")).sign();
    let mut names = Vec::new();
    let mut streams = Vec::new();
    for _ in 0..3 {
        let call = tenant.mercure().query("match", "a").query("match", "b").query("subscriber", "me").bearer(&token);
        streams.push(call.stream().await);
        let documents = [news(&mut watcher).await, news(&mut watcher).await];
        assert_eq!(documents[0]["subscriber"], documents[1]["subscriber"]);
        names.push(text(&documents[0], "subscriber").to_owned());
    }
    assert!(names.iter().all(|name| name.starts_with("urn:uuid:") && name.len() == 45), "{names:?}");
    names.sort();
    names.dedup();
    assert_eq!(names.len(), 3);
}

#[tokio::test]
async fn the_payload_of_the_first_entry_that_fits_is_told() {
    let tenant = tenant().await;
    let mut watcher = watcher(&tenant).await;
    let entry = |actions: &[&str], topics: Value, payload: Option<Value>| {
        let mut entry =
            json!({"type": "https://mercure.rocks/authorization-detail", "actions": actions, "topics": topics});
        if let Some(payload) = payload {
            entry["payload"] = payload;
        }
        entry
    };
    let details = json!([
        entry(&["publish"], json!([{"match": "*"}]), Some(json!({"of": "publish"}))),
        entry(&["subscribe"], json!([{"match": "none"}]), None),
        entry(
            &["subscribe"],
            json!([{"match": "a"}, {"match": "/books/*", "match_type": "urlpattern"}]),
            Some(json!({"of": "first"}))
        ),
        entry(&["subscribe"], json!([{"match": "a"}]), Some(json!({"of": "second"}))),
        entry(&["subscribe"], json!([{"match": "*"}]), Some(json!({"of": "all"}))),
    ]);
    let token = tenant.access_token("subscribe", &[("exact", "x")]).claim("authorization_details", details).sign();
    let names = ["match", "match_urlpattern"];
    for (name, matcher, payload) in [
        (names[0], "a", json!({"of": "first"})),
        (names[0], "/books/1", json!({"of": "first"})),
        // A pattern is held against topics by its own text.
        (names[1], "/books/:id", json!({"of": "first"})),
        (names[0], "b", json!({"of": "all"})),
        (names[0], "none", Value::Null),
        (names[1], "*", json!({"of": "all"})),
    ] {
        let stream = tenant.mercure().query(name, matcher).bearer(&token).stream().await;
        let document = news(&mut watcher).await;
        assert_eq!((&document["match"], &document["payload"]), (&json!(matcher), &payload));
        assert_eq!(document.get("payload").is_some(), !payload.is_null());
        let id = text(&document, "id").to_owned();
        assert_eq!(get(&tenant, &id).await.expect(200).json(), document);
        drop(stream);
        assert_eq!(news(&mut watcher).await["payload"], payload);
    }
}

#[tokio::test]
async fn the_api_shows_all_those_of_a_matcher_and_one() {
    let tenant = tenant().await;
    let mut watcher = watcher(&tenant).await;
    let mut documents = Vec::new();
    let mut streams = Vec::new();
    for (name, matcher) in [("match", "a"), ("match", "a"), ("match_urlpattern", "a"), ("match", "b")] {
        streams.push(tenant.mercure().query(name, matcher).stream().await);
        documents.push(news(&mut watcher).await);
    }
    let shown = async |path: &str| {
        let answer = get(&tenant, path).await.expect(200);
        assert_eq!(answer.header("content-type"), "application/json");
        answer.json()
    };
    let listed = async |path: &str| {
        let collection = shown(path).await;
        assert_eq!((&collection["id"], &collection["type"]), (&json!(path), &json!("subscriptions")));
        let mut ids: Vec<String> =
            collection["subscriptions"].as_array().unwrap().iter().map(|one| text(one, "id").to_owned()).collect();
        ids.sort();
        ids
    };
    let wanted = |range: std::ops::Range<usize>| {
        let mut ids: Vec<String> = documents[range].iter().map(|one| text(one, "id").to_owned()).collect();
        ids.sort();
        ids
    };
    let all = listed(SUBSCRIPTIONS).await;
    assert_eq!(all.len(), 5, "the watcher's too: {all:?}");
    assert!(wanted(0..4).iter().all(|id| all.contains(id)));
    assert_eq!(listed(&format!("{SUBSCRIPTIONS}/exact/a")).await, wanted(0..2));
    assert_eq!(listed(&format!("{SUBSCRIPTIONS}/urlpattern/a")).await, wanted(2..3));
    assert_eq!(listed(&format!("{SUBSCRIPTIONS}/exact/never")).await, [""; 0]);
    assert_eq!(shown(text(&documents[0], "id")).await, documents[0]);

    // What is not there, and what is no more.
    drop(streams.remove(0));
    assert_eq!(news(&mut watcher).await["id"], documents[0]["id"]);
    let there = text(&documents[1], "subscriber").replace(':', "%3A");
    for path in [
        text(&documents[0], "id"),
        &format!("{SUBSCRIPTIONS}/exact/a/urn%3Auuid%3Anever"),
        &format!("{SUBSCRIPTIONS}/exact/b/{there}"),
        &format!("{SUBSCRIPTIONS}/urlpattern/a/{there}"),
        &format!("{SUBSCRIPTIONS}/regexp/a/{there}"),
    ] {
        get(&tenant, path).await.expect_problem(404, "not_found");
    }
    assert_eq!(listed(&format!("{SUBSCRIPTIONS}/exact/a")).await, wanted(1..2));
}

#[tokio::test]
async fn the_path_that_is_asked_is_the_topic_to_be_granted() {
    let tenant = tenant().await;
    let all = SUBSCRIPTIONS.to_owned();
    let of_a = format!("{SUBSCRIPTIONS}/exact/a");
    let _stream = tenant.listen(&["a"]).await;
    let status = async |path: &str, grant: Option<(&str, &str)>| {
        let call = tenant.call("GET", path).query("x", "y");
        let call =
            grant.iter().fold(call, |call, grant| call.bearer(&tenant.access_token("subscribe", &[*grant]).sign()));
        call.send().await.status
    };
    for (path, grant, wanted) in [
        (&all, None, 401),
        (&of_a, None, 401),
        (&all, Some(("exact", all.as_str())), 200),
        (&of_a, Some(("exact", all.as_str())), 403),
        (&of_a, Some(("exact", of_a.as_str())), 200),
        (&all, Some(("exact", of_a.as_str())), 403),
        (&of_a, Some(("urlpattern", "/.well-known/mercure/subscriptions/exact/:match")), 200),
        (&of_a, Some(("exact", "a")), 403),
        (&of_a, Some(("exact", "*")), 200),
    ] {
        assert_eq!(status(path, grant).await, wanted, "{path} {grant:?}");
    }
    let publisher = tenant.access_token("publish", &[("exact", "*")]).sign();
    tenant.call("GET", &all).bearer(&publisher).send().await.expect_problem(403, "insufficient_scope");
}

#[tokio::test]
async fn answers_say_where_news_of_them_come_from() {
    let home = "https://www.example.com";
    let tenant = World::shared().await.tenant().set("cors_origins", json!([home])).create().await;
    tenant.set_mercure(json!({"subscriptions": true})).await;
    let ask = || tenant.call("GET", SUBSCRIPTIONS).bearer(&token(&tenant)).header("Origin", home);
    let link = |id: &str| {
        format!(
            "<{}>; rel=\"mercure\"; last-event-id=\"{id}\"; type=\"mercure\"; content-type=\"application/json\"",
            tenant.hub_url()
        )
    };
    let empty = ask().send().await.expect(200);
    assert_eq!(empty.header("link"), link("earliest"));
    let exposed = empty.header("access-control-expose-headers").to_lowercase();
    assert!(exposed.split(", ").any(|name| name == "link"), "{exposed}");

    let mut watcher = watcher(&tenant).await;
    let _stream = tenant.listen(&["a"]).await;
    news(&mut watcher).await;
    let answer = ask().send().await.expect(200);
    assert_eq!(answer.header("link"), link(&watcher.cursor));
    assert!(answer.header("cache-control").contains("must-revalidate"));
    let tag = answer.header("etag").to_owned();
    ask().header("If-None-Match", &tag).send().await.expect(304);
    assert_ne!(empty.header("etag"), tag);

    // Whoever subscribes from there on misses nothing of what came after the answer.
    let id = watcher.cursor.clone();
    drop(tenant.listen(&["b"]).await);
    let (begun, ended) = (news(&mut watcher).await, news(&mut watcher).await);
    assert_eq!((text(&begun, "match"), &ended["active"]), ("b", &json!(false)));
    let mut late = watch(&tenant).query("last_event_id", &id).stream().await;
    assert_eq!(news(&mut late).await, begun);
    assert_eq!(news(&mut late).await, ended);
}

#[tokio::test]
async fn however_many_come_and_go_what_was_published_before_is_replayed() {
    let tenant = World::shared().await.tenant().plan("pro").limit("event_retention_count", 3).create().await;
    tenant.set_mercure(json!({"subscriptions": true})).await;
    let mut watcher = watcher(&tenant).await;
    tenant.update("real").data("kept").published().await;
    for _ in 0..10 {
        drop(tenant.listen(&["a"]).await);
        let (begun, ended) = (news(&mut watcher).await, news(&mut watcher).await);
        assert_eq!((&begun["active"], &ended["active"]), (&json!(true), &json!(false)));
    }
    World::shared().await.evict(&tenant, Sockets::Hibernate).await;
    let mut late = tenant.mercure().query("match", "real").query("last_event_id", "earliest").stream().await;
    assert_eq!(late.update().await.data.as_deref(), Some("kept"));
}

#[tokio::test]
async fn where_it_is_switched_off_nothing_is_told() {
    let tenant = World::hub(json!({"subscriptions": false})).await;
    let mut stream = tenant.mercure().query("match", "*").bearer(&token(&tenant)).stream().await;
    drop(tenant.listen(&["a"]).await);
    tenant.update("end").data("end").published().await;
    assert_eq!(stream.data_before("end").await, [""; 0]);
    get(&tenant, SUBSCRIPTIONS).await.expect_problem(404, "not_found");
}

#[tokio::test]
async fn presence_is_heard_on_events_too() {
    let tenant = tenant().await;
    let topic = "/.well-known/mercure/subscriptions/*";
    let mut entitled = tenant.events(&[topic]).token(tenant.token(&[topic])).live().await;
    let mut anybody = tenant.events(&[topic, "end"]).live().await;
    let stream = tenant.listen(&["a"]).await;
    let begun = entitled.event().await.body;
    let document: Value = serde_json::from_str(text(&begun, "data")).unwrap();
    assert_eq!((&document["match"], &document["active"]), (&json!("a"), &json!(true)));
    assert_eq!((&begun["topics"], &begun["type"]), (&json!([document["id"]]), &json!("mercure")));
    drop(stream);
    let document: Value = serde_json::from_str(text(&entitled.event().await.body, "data")).unwrap();
    assert_eq!(document["active"], false);
    tenant.publish("end", json!("end")).await;
    assert_eq!(anybody.next_data(1).await, [json!("end")]);
}

#[tokio::test]
async fn a_stream_that_outlasts_its_hub_never_ended() {
    let tenant = tenant().await;
    let mut watcher = watcher(&tenant).await;
    let stream = tenant.listen(&["a"]).await;
    let begun = news(&mut watcher).await;
    for sockets in [Sockets::Hibernate, Sockets::Close, Sockets::Close] {
        tenant.world.evict(&tenant, sockets).await;
        // Whoever comes meanwhile is told of, and nobody else.
        let passer = tenant.listen(&["passer"]).await;
        assert_eq!(text(&news(&mut watcher).await, "match"), "passer");
        drop(passer);
        let ended = news(&mut watcher).await;
        assert_eq!((text(&ended, "match"), &ended["active"]), ("passer", &json!(false)));
        let shown = get(&tenant, text(&begun, "id")).await.expect(200).json();
        assert_eq!(shown, begun);
    }
    drop(stream);
    let ended = news(&mut watcher).await;
    assert_eq!((&ended["id"], &ended["active"]), (&begun["id"], &json!(false)));
}

#[tokio::test]
async fn whoever_left_while_the_hub_was_away_is_told_once_to_have_left() {
    let tenant = tenant().await;
    let mut watcher = watcher(&tenant).await;
    let streams = [tenant.listen(&["a"]).await, tenant.listen(&["b"]).await];
    let mut begun = [news(&mut watcher).await, news(&mut watcher).await];
    tenant.world.evict(&tenant, Sockets::Close).await;
    drop(streams);
    let mut ended = [news(&mut watcher).await, news(&mut watcher).await];
    for documents in [&mut begun, &mut ended] {
        documents.sort_by_key(|document| text(document, "id").to_owned());
    }
    for (begun, ended) in begun.iter().zip(ended) {
        assert_eq!((&ended["id"], &ended["active"]), (&begun["id"], &json!(false)));
    }
    tenant.world.evict(&tenant, Sockets::Hibernate).await;
    let _last = tenant.listen(&["last"]).await;
    assert_eq!(text(&news(&mut watcher).await, "match"), "last", "and nothing twice");
}

#[tokio::test]
async fn whoever_did_not_outlast_a_kill_is_told_once_to_have_left() {
    let world = World::own().await;
    let tenant = world.tenant().create().await;
    tenant.set_mercure(json!({"subscriptions": true})).await;
    let mut first = watcher(&tenant).await;
    let streams = [tenant.listen(&["a", "b"]).await, tenant.listen(&["c"]).await];
    let mut gone = BTreeMap::new();
    for _ in 0..3 {
        gone.insert(text(&news(&mut first).await, "id").to_owned(), 0);
    }
    let cursor = first.cursor.clone();
    world.kill();
    drop((streams, first));
    world.restart(&[]).await;

    let mut second = watch(&tenant).header("Last-Event-ID", &cursor).stream().await;
    let own = news(&mut second).await;
    assert_eq!((&own["active"], &own["match"]), (&json!(true), &json!(EVENTS)));
    // Three, and the first watcher's own.
    for _ in 0..4 {
        let document = news(&mut second).await;
        assert_eq!(document["active"], false, "{document}");
        *gone.entry(text(&document, "id").to_owned()).or_insert(0) += 1;
    }
    assert_eq!(gone.values().copied().collect::<Vec<_>>(), [1, 1, 1, 1], "{gone:?}");
    world.evict(&tenant, Sockets::Hibernate).await;
    let _last = tenant.listen(&["last"]).await;
    assert_eq!(text(&news(&mut second).await, "match"), "last");
    let left = get(&tenant, SUBSCRIPTIONS).await.expect(200).json();
    assert_eq!(left["subscriptions"].as_array().unwrap().len(), 2, "{left}");
    tenant.call("GET", HUB).query("match", "a").stream().await;
}
