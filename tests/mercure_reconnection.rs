//! Mercure, "Reconnection, State Reconciliation, and Event Sourcing".

use serde_json::json;

use crate::world::{RequestBuilder, Sockets, Stream, Tenant, World};

async fn tenant() -> Tenant {
    World::hub(json!({})).await
}

fn all(tenant: &Tenant) -> RequestBuilder {
    tenant.mercure().query("match", "*")
}

/// Publishes an update for each text, on a topic of its own kind; their ids.
async fn say(tenant: &Tenant, texts: &[&str]) -> Vec<String> {
    let mut ids = Vec::new();
    for text in texts {
        ids.push(tenant.update("a").data(text).published().await);
    }
    ids
}

/// What the answer says of the place at which a stream begins.
fn told(stream: &Stream) -> Option<String> {
    stream.headers.get("mercure-last-event-id").map(|id| String::from_utf8(id.as_bytes().to_vec()).unwrap())
}

#[tokio::test]
async fn every_event_has_an_id_and_a_stream_says_when_to_come_back() {
    let tenant = tenant().await;
    let mut stream = all(&tenant).stream().await;
    tenant.update("a").published().await;
    tenant.publish("posts", json!("a webhook")).await;
    tenant.update("a").id("own").published().await;
    let first = stream.update().await;
    assert!(first.retry.is_some() && first.id.is_some(), "{first:?}");
    assert!(stream.update().await.id.is_some());
    assert_eq!(stream.update().await.id.as_deref(), Some("own"));
}

#[tokio::test]
async fn what_was_missed_follows_and_then_what_comes() {
    let tenant = tenant().await;
    let mut stream = tenant.listen(&["a"]).await;
    say(&tenant, &["heard"]).await;
    stream.update().await;
    let cursor = stream.cursor.clone();
    drop(stream);
    say(&tenant, &["one", "two"]).await;
    tenant.update("elsewhere").data("not ours").published().await;
    let mut back = tenant.mercure().query("match", "a").header("Last-Event-ID", &cursor).stream().await;
    assert_eq!(told(&back), Some(cursor));
    say(&tenant, &["three", "end"]).await;
    assert_eq!(back.data_before("end").await, ["one", "two", "three"]);
}

#[tokio::test]
async fn the_header_and_the_parameter_resume_and_the_header_wins() {
    let tenant = tenant().await;
    let ids = say(&tenant, &["one", "two", "end"]).await;
    let (first, second) = (ids[0].as_str(), ids[1].as_str());
    for (call, place, heard) in [
        (all(&tenant).header("Last-Event-ID", first), first, vec!["two"]),
        (all(&tenant).query("last_event_id", first), first, vec!["two"]),
        (all(&tenant).query("last_event_id", first).header("Last-Event-ID", second), second, vec![]),
        (all(&tenant).query("last_event_id", second).header("Last-Event-ID", first), first, vec!["two"]),
    ] {
        let mut stream = call.stream().await;
        assert_eq!(told(&stream).as_deref(), Some(place));
        assert_eq!(stream.data_before("end").await, heard);
    }
}

#[tokio::test]
async fn an_id_is_a_place_among_all_updates_whatever_their_topics() {
    let tenant = tenant().await;
    tenant.update("a").data("before").published().await;
    let other = tenant.update("b").id("urn:of-b").published().await;
    let webhook = tenant.publish("posts", json!(1)).await;
    say(&tenant, &["after", "end"]).await;
    for id in [other, format!("#{webhook}")] {
        let mut stream = tenant.mercure().query("match", "a").header("Last-Event-ID", &id).stream().await;
        assert_eq!(told(&stream).as_ref(), Some(&id));
        assert_eq!(stream.data_before("end").await, ["after"]);
    }
}

#[tokio::test]
async fn a_replayed_update_is_judged_by_the_token_of_now() {
    let tenant = tenant().await;
    let token = tenant.subscriber(&["secret"]).sign();
    let mut witness = all(&tenant).bearer(&token).stream().await;
    tenant.update("secret").data("hidden").private().published().await;
    assert_eq!(witness.update().await.data.as_deref(), Some("hidden"));
    tenant.update("secret").field("topic", "other").data("of both").private().published().await;
    say(&tenant, &["end"]).await;
    let other = tenant.subscriber(&["other"]).sign();
    let replay = || all(&tenant).query("last_event_id", "earliest");
    for (call, heard) in [
        (replay(), vec![]),
        (replay().bearer(&other), vec!["of both"]),
        (replay().bearer(&tenant.subscriber(&[]).sign()), vec![]),
        (replay().bearer(&token), vec!["hidden", "of both"]),
    ] {
        assert_eq!(call.stream().await.data_before("end").await, heard);
    }
}

#[tokio::test]
async fn earliest_asks_for_everything_that_is_kept() {
    let tenant = tenant().await;
    for empty in [true, false] {
        let mut stream = all(&tenant).header("Last-Event-ID", "earliest").stream().await;
        assert_eq!(told(&stream).as_deref(), Some("earliest"));
        say(&tenant, if empty { &["one", "end"] } else { &["two", "last"] }).await;
        let wanted: &[&str] = if empty { &["one"] } else { &["one", "end", "two"] };
        assert_eq!(stream.data_before(if empty { "end" } else { "last" }).await, wanted);
    }
}

#[tokio::test]
async fn of_updates_with_one_id_the_oldest_is_meant() {
    let tenant = tenant().await;
    for (id, data) in [("other", "zero"), ("same", "one"), ("x", "two"), ("same", "three"), ("y", "end")] {
        tenant.update("a").id(id).data(data).published().await;
    }
    let mut stream = all(&tenant).header("Last-Event-ID", "same").stream().await;
    assert_eq!(told(&stream).as_deref(), Some("same"));
    let heard = stream.updates_before("end").await;
    let ids: Vec<_> = heard.iter().map(|block| block.id.as_deref().unwrap()).collect();
    assert_eq!(ids, ["x", "same"]);
}

#[tokio::test]
async fn an_unknown_id_is_answered_with_earliest_and_everything() {
    let tenant = tenant().await;
    let other = World::hub(json!({})).await;
    let foreign = other.update("a").published().await;
    let id = say(&tenant, &["one", "end"]).await.remove(0);
    let future = format!("{}9", id.rsplit_once('-').map(|(log, _)| format!("{log}-99")).unwrap());
    let long = "x".repeat(5_000);
    for unknown in ["urn:never", &foreign, &future, "#nonsense", "#", &id[1..], &long] {
        for call in [all(&tenant).header("Last-Event-ID", unknown), all(&tenant).query("last_event_id", unknown)] {
            let mut stream = call.stream().await;
            assert_eq!(told(&stream).as_deref(), Some("earliest"), "{unknown}");
            assert_eq!(stream.data_before("end").await, ["one"], "{unknown}");
        }
    }
}

#[tokio::test]
async fn a_discarded_id_is_answered_with_earliest() {
    let tenant = World::shared().await.tenant().limit("event_retention_count", 3).create().await;
    for id in ["a", "b", "c", "d", "e", "f"] {
        tenant.update("t").id(id).data(id).published().await;
    }
    for (asked, place, heard) in [("a", "earliest", vec!["d", "e"]), ("d", "d", vec!["e"]), ("e", "e", vec![])] {
        let mut stream = all(&tenant).header("Last-Event-ID", asked).stream().await;
        assert_eq!(told(&stream).as_deref(), Some(place), "{asked}");
        assert_eq!(stream.data_before("f").await, heard, "{asked}");
    }
}

#[tokio::test]
async fn the_answer_tells_of_the_place_only_where_one_was_asked_for() {
    let tenant = tenant().await;
    assert_eq!(told(&all(&tenant).stream().await), None);
    assert_eq!(told(&all(&tenant).query("last_event_id", "").stream().await).as_deref(), Some("earliest"));
    let hubs = say(&tenant, &["one"]).await.remove(0);
    assert_eq!(told(&all(&tenant).query("last_event_id", "").stream().await), Some(hubs));
    tenant.update("a").id("own").data("two").published().await;
    // An empty id asks where the hub stands, and for nothing of before.
    for call in [all(&tenant).query("last_event_id", ""), all(&tenant).header("Last-Event-ID", "")] {
        let mut stream = call.stream().await;
        assert_eq!(told(&stream).as_deref(), Some("own"));
        say(&tenant, &["next"]).await;
        tenant.update("a").id("own").data("end").published().await;
        assert_eq!(stream.data_before("end").await, ["next"]);
    }
    assert_eq!(told(&all(&tenant).stream().await), None);
}

#[tokio::test]
async fn an_id_passes_through_headers_whatever_its_letters() {
    let tenant = tenant().await;
    for id in ["urn:é:€", "with spaces", "\"quoted\", and; more"] {
        tenant.update("a").id(id).data("before").published().await;
        say(&tenant, &["after", "end"]).await;
        for call in [all(&tenant).query("last_event_id", id), all(&tenant).header("Last-Event-ID", id)] {
            let mut stream = call.stream().await;
            assert_eq!(told(&stream).as_deref(), Some(id));
            assert_eq!(stream.data_before("end").await, ["after"]);
        }
    }
}

#[tokio::test]
async fn a_restart_of_the_hub_costs_an_open_stream_nothing_and_says_nothing() {
    let tenant = tenant().await;
    let mut stream = tenant.listen(&["a"]).await;
    let mut wanted = Vec::new();
    for (round, sockets) in [Sockets::Close, Sockets::Hibernate, Sockets::Close].into_iter().enumerate() {
        tenant.world.evict(&tenant, sockets).await;
        for part in ["x", "y"] {
            let data = format!("{round}{part}");
            tenant.update("a").data(&data).published().await;
            wanted.push(data);
        }
    }
    say(&tenant, &["end"]).await;
    assert_eq!(stream.data_before("end").await, wanted);
}
