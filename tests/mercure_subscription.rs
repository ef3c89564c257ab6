//! Mercure, "Subscription".

use serde_json::json;

use crate::world::{HUB, Stream, Tenant, World};

async fn tenant() -> Tenant {
    World::hub(json!({})).await
}

/// The stream of a query as it stands.
async fn stream(tenant: &Tenant, query: &str) -> Stream {
    tenant.call("GET", &format!("{HUB}?{query}")).stream().await
}

/// The parameter by whose fault a query as it stands is refused.
async fn refused(tenant: &Tenant, query: &str) -> String {
    let answer = tenant.call("GET", &format!("{HUB}?{query}")).refused().await;
    answer.expect_problem(400, "invalid_query").pointers().remove(0)
}

async fn say(tenant: &Tenant, topics: &[&str]) {
    for topic in topics {
        tenant.update(topic).data(topic).published().await;
    }
}

#[tokio::test]
async fn get_on_the_hubs_url_is_a_stream_of_events_that_nothing_holds_back() {
    let tenant = tenant().await;
    let stream = tenant.listen(&["a"]).await;
    assert!(stream.headers["content-type"].to_str().unwrap().starts_with("text/event-stream"));
    assert_eq!(stream.headers["x-accel-buffering"], "no");
    let cache = stream.headers["cache-control"].to_str().unwrap();
    assert!(cache.contains("no-store") || cache.contains("no-cache"), "{cache}");
    // Whatever a client accepts: there is nothing else to be had.
    tenant.call("GET", HUB).query("match", "a").header("Accept", "*/*").stream().await;
    tenant.call("HEAD", HUB).query("match", "a").send().await.expect(200);
    let query = tenant.call("QUERY", HUB).header("Content-Type", "application/x-www-form-urlencoded");
    let refused = query.bytes(b"match=a".to_vec()).send().await.expect_problem(405, "method_not_allowed");
    assert_eq!(refused.header("allow"), "GET, POST, HEAD, OPTIONS");
}

#[tokio::test]
async fn the_query_is_read_as_a_form() {
    let tenant = tenant().await;
    let mut stream = stream(&tenant, "%6Datc%68=a+b%20%2B&&match=%C3%A9;x&match&match=end").await;
    say(&tenant, &["a b", "a+b%20%2B", "a b +", "é", "é;x", "end"]).await;
    assert_eq!(stream.data_before("end").await, ["a b +", "é;x"]);
}

#[tokio::test]
async fn parameters_are_repeatable_and_of_any_type_together() {
    let tenant = tenant().await;
    let query = "match=a&match=b&match_exact=c&match_urlpattern=/d/:id&match_urlpattern=/e&match=end";
    let mut stream = stream(&tenant, query).await;
    say(&tenant, &["a", "b", "x", "c", "/d/1", "/d", "/e", "end"]).await;
    assert_eq!(stream.data_before("end").await, ["a", "b", "c", "/d/1", "/e"]);
}

#[tokio::test]
async fn a_name_that_begins_with_match_and_is_no_type_is_refused() {
    let tenant = tenant().await;
    for name in
        ["Match", "MATCH", "match_", "match_Exact", "mAtch_exact", "match_urlPattern", "matches", "match_regexp"]
    {
        let query = format!("match=a&{name}=a");
        assert_eq!(refused(&tenant, &query).await, format!("?{name}"));
    }
    stream(&tenant, "match=a&Topic=a&matc=a&unmatched=a&last_event=a").await;
}

#[tokio::test]
async fn a_request_without_a_matcher_is_refused() {
    let tenant = tenant().await;
    for query in ["", "other=a", "last_event_id=a"] {
        assert_eq!(refused(&tenant, query).await, "?match");
    }
}

#[tokio::test]
async fn a_value_with_control_or_format_characters_is_refused() {
    let tenant = tenant().await;
    for name in ["match", "match_exact", "match_urlpattern", "topic"] {
        for character in
            ["%00", "%0A", "%1F", "%7F", "%C2%80", "%C2%9F", "%C2%AD", "%E2%80%8B", "%EF%BB%BF", "%F3%A0%80%81"]
        {
            assert_eq!(refused(&tenant, &format!("{name}=a{character}b")).await, format!("?{name}"), "{character}");
        }
    }
}

#[tokio::test]
async fn a_value_that_is_no_pattern_is_refused() {
    let tenant = tenant().await;
    for pattern in ["(", "/:", "/a/(b", "{a", "/(?<n>a)", "https://[", "https://[x]/", "https://example.com:99999/"] {
        let asked = tenant.mercure().query("match_urlpattern", pattern).open().await;
        let refused = asked.err().unwrap_or_else(|| panic!("{pattern} is no pattern"));
        refused.expect_invalid_query("match_urlpattern");
    }
}

#[tokio::test]
async fn matchers_are_bounded_in_number_and_length() {
    let tenant = tenant().await;
    let many = |count: usize| (0..count).fold(tenant.mercure(), |call, n| call.query("match", &n.to_string()));
    many(100).stream().await;
    many(101).refused().await.expect_invalid_query("match");
    for name in ["match", "match_urlpattern", "topic"] {
        tenant.mercure().query(name, &"x".repeat(4_096)).stream().await;
        tenant.mercure().query(name, &"x".repeat(4_097)).refused().await.expect_invalid_query(name);
    }
}

#[tokio::test]
async fn an_update_that_several_matchers_take_in_comes_once() {
    let tenant = tenant().await;
    let query = "match=/a&match=/a&match_exact=/a&match_urlpattern=/a&match_urlpattern=/:x&match=*";
    let mut stream = stream(&tenant, query).await;
    tenant.update("/a").field("topic", "/b").data("once").published().await;
    say(&tenant, &["/end"]).await;
    assert_eq!(stream.data_before("/end").await, ["once"]);
}

#[tokio::test]
async fn an_update_comes_to_whoever_matches_any_of_its_topics() {
    let tenant = tenant().await;
    let (mut canonical, mut alternate) = (tenant.listen(&["a"]).await, tenant.listen(&["x", "b"]).await);
    let mut pattern = tenant.mercure().query("match_urlpattern", "https://example.com/:id").stream().await;
    let mut neither = tenant.listen(&["c", "end"]).await;
    let update = tenant.update("a").field("topic", "b").field("topic", "https://example.com/1");
    let id = update.data("whole").published().await;
    for stream in [&mut canonical, &mut alternate, &mut pattern] {
        assert_eq!(stream.update().await.id.as_ref(), Some(&id));
    }
    say(&tenant, &["end"]).await;
    assert_eq!(neither.update().await.data.as_deref(), Some("end"));
}

#[tokio::test]
async fn matchers_select_and_grant_nothing() {
    let tenant = tenant().await;
    let other = tenant.subscriber(&["other"]).sign();
    let mut streams = vec![
        tenant.mercure().query("match", "*").stream().await,
        tenant.listen(&["secret", "end"]).await,
        tenant.mercure().query("match", "*").bearer(&other).stream().await,
    ];
    let token = tenant.subscriber(&["secret"]).sign();
    let mut entitled = tenant.mercure().query("match", "*").bearer(&token).stream().await;
    tenant.update("secret").data("hidden").private().published().await;
    say(&tenant, &["end"]).await;
    for stream in &mut streams {
        assert_eq!(stream.data_before("end").await, [""; 0]);
    }
    assert_eq!(entitled.data_before("end").await, ["hidden"]);
}

#[tokio::test]
async fn streams_are_bounded_for_each_address_and_in_all() {
    let world = World::shared().await;
    for (limit, code) in
        [("max_connections_per_ip", "too_many_connections"), ("max_concurrent_subscriptions", "too_many_streams")]
    {
        let tenant = world.tenant().limit(limit, 1).create().await;
        let held = tenant.listen(&["a"]).await;
        let refused = tenant.mercure().query("match", "a").refused().await;
        refused.expect_problem(429, code);
        drop(held);
    }
}

#[tokio::test]
async fn a_quiet_stream_is_sent_comments() {
    let tenant = tenant().await;
    let mut stream = tenant.listen(&["a", "b"]).await;
    say(&tenant, &["a"]).await;
    stream.update().await;
    for _ in 0..3 {
        let block = stream.must().await;
        assert!(block.is_comment(), "{block:?}");
    }
    say(&tenant, &["b"]).await;
    assert_eq!(stream.update().await.data.as_deref(), Some("b"));
}

#[tokio::test]
async fn only_origins_of_the_list_are_named_and_with_credentials() {
    let home = "https://www.example.com";
    let tenant = World::shared().await.tenant().set("cors_origins", json!([home])).create().await;
    let stream = tenant.mercure().query("match", "a").query("last_event_id", "x").header("Origin", home).stream().await;
    assert_eq!(stream.headers["access-control-allow-origin"], home);
    assert_eq!(stream.headers["access-control-allow-credentials"], "true");
    let exposed = stream.headers["access-control-expose-headers"].to_str().unwrap().to_lowercase();
    for name in ["mercure-last-event-id", "last-event-id", "link", "www-authenticate"] {
        assert!(exposed.split(", ").any(|shown| shown == name), "{name}: {exposed}");
    }
    for method in ["GET", "POST"] {
        let asked = tenant.call("OPTIONS", HUB).header("Origin", home).header("Access-Control-Request-Method", method);
        let answer =
            asked.header("Access-Control-Request-Headers", "authorization, last-event-id").send().await.expect(204);
        assert_eq!(answer.header("access-control-allow-origin"), home);
        assert_eq!(answer.header("access-control-allow-credentials"), "true");
        assert!(answer.header("access-control-allow-methods").contains(method));
    }
    for origin in ["https://evil.example", "null", "*"] {
        let stream = tenant.mercure().query("match", "a").header("Origin", origin).stream().await;
        assert!(!stream.headers.contains_key("access-control-allow-origin"), "{origin}");
        assert!(!stream.headers.contains_key("access-control-allow-credentials"), "{origin}");
    }
}
