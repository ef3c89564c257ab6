//! Mercure, "Matcher Types".

use futures_util::future::join_all;
use serde_json::json;

use crate::world::{RequestBuilder, Sockets, Stream, Tenant, TestResponse, World, stranger};

async fn tenant() -> Tenant {
    World::hub(json!({})).await
}

/// Publishes on each topic, and last on `end`.
async fn say(tenant: &Tenant, topics: &[&str]) {
    for topic in topics.iter().chain(&["end"]) {
        tenant.update(topic).data(topic).published().await;
    }
}

/// What streams of one matcher each hear of these topics.
async fn heard(tenant: &Tenant, name: &str, matchers: &[&str], topics: &[&str]) -> Vec<Vec<String>> {
    let mut streams = Vec::new();
    for matcher in matchers {
        streams.push(tenant.mercure().query(name, matcher).query("match", "end").stream().await);
    }
    say(tenant, topics).await;
    let mut all = Vec::new();
    for stream in &mut streams {
        all.push(stream.data_before("end").await);
    }
    all
}

#[tokio::test]
async fn exact_is_byte_for_byte() {
    let tenant = tenant().await;
    // The same to a reader, or to a URL parser, and none of them the same bytes.
    let topics = [
        "https://example.com/é",
        "https://example.com/e\u{301}",
        "https://example.com/%C3%A9",
        "https://example.com/%c3%a9",
        "https://EXAMPLE.com/é",
        "https://example.com:443/é",
        "https://example.com/./é",
        "https://example.com/é/",
        "https://example.com/É",
        "//example.com/é",
        "/a",
        &format!("http://{}/a", tenant.host),
        "https://xn--exmple-cua.com/",
        "https://exämple.com/",
    ];
    let heard = heard(&tenant, "match_exact", &topics, &topics).await;
    for (topic, heard) in topics.iter().zip(heard) {
        assert_eq!(heard, [*topic]);
    }
}

/// UTS 46 composes the labels of hosts; of the rest of a URL, each spelling is its own (RFC 3986, 6.2).
#[tokio::test]
async fn hosts_are_composed_and_paths_are_not() {
    let tenant = tenant().await;
    let topics = [
        "https://b\u{fc}cher.example/\u{fc}",
        "https://bu\u{308}cher.example/\u{fc}",
        "https://xn--bcher-kva.example/u\u{308}",
        "https://bucher.example/\u{fc}",
    ];
    let matchers = [
        "https://b\u{fc}cher.example/:v",
        "https://bu\u{308}cher.example/:v",
        "https://b\u{fc}cher.example/\u{fc}",
        "https://b\u{fc}cher.example/u\u{308}",
    ];
    let heard = heard(&tenant, "match_urlpattern", &matchers, &topics).await;
    let wanted: [&[usize]; 4] = [&[0, 1, 2], &[0, 1, 2], &[0, 1], &[2]];
    for ((matcher, heard), wanted) in matchers.iter().zip(heard).zip(wanted) {
        assert_eq!(heard, wanted.iter().map(|at| topics[*at]).collect::<Vec<_>>(), "{matcher}");
    }
}

#[tokio::test]
async fn expressions_take_the_classes_of_the_flag_v() {
    let tenant = tenant().await;
    let topics = ["/xyz", "/abc", "/123", "/a1"];
    let matchers = ["/([[a-z]--[aeiou]]+)", "/([\\w&&\\d]+)", "/([\\q{abc|123}])", "/([[a-c][0-9]]+)"];
    let heard = heard(&tenant, "match_urlpattern", &matchers, &topics).await;
    let wanted: [&[&str]; 4] = [&["/xyz"], &["/123"], &["/abc", "/123"], &["/abc", "/123", "/a1"]];
    for ((matcher, heard), wanted) in matchers.iter().zip(heard).zip(wanted) {
        assert_eq!(heard, wanted, "{matcher}");
    }
    for (pattern, named) in [("/(\\p{L})", "property of Unicode"), ("/(a(?=b))", "lookahead"), ("/(^a)", "anchor")] {
        let refused = tenant.mercure().query("match_urlpattern", pattern).refused().await;
        assert!(refused.expect_invalid_query("match_urlpattern").body.contains(named), "{pattern}");
    }
}

#[tokio::test]
async fn a_star_matches_every_topic_whatever_its_type() {
    let tenant = tenant().await;
    let topics = ["https://example.com/a", "/a", "plain text", "http://[", "é", "**", "a*"];
    for name in ["match", "match_exact", "match_urlpattern", "topic"] {
        assert_eq!(heard(&tenant, name, &["*"], &topics).await, [topics], "{name}");
    }
    let stars = heard(&tenant, "match", &["**", "a*"], &topics).await;
    assert_eq!(stars, [["**"], ["a*"]], "anything but a lone star is a text like others");
}

#[tokio::test]
async fn patterns_are_those_of_the_url_pattern_standard() {
    let tenant = tenant().await;
    let topics = [
        "https://example.com/books/1",
        "https://example.com/books/1/pages/2",
        "https://example.com/books/x",
        "https://example.com/books/",
        "https://example.com/books/1?draft",
        "https://example.com/books/1#top",
        "https://sub.example.com/books/1",
        "https://example.com:8443/books/1",
        "http://example.com/books/1",
        "urn:isbn:1",
    ];
    let rows: [(&str, &[usize]); 10] = [
        // What stands behind the last component that a pattern names, may be anything.
        ("https://example.com/books/:id", &[0, 2, 4, 5]),
        (r"https://example.com/books/:id\?draft", &[4]),
        ("https://example.com/books/*", &[0, 1, 2, 3, 4, 5]),
        (r"https://example.com/books/(\d+)", &[0, 4, 5]),
        ("https://example.com/books/:id{/pages/:page}?", &[0, 1, 2, 4, 5]),
        ("https://*.example.com/books/:id", &[6]),
        ("https://example.com:8443/books/:id", &[7]),
        ("http{s}?://example.com/books/1", &[0, 4, 5, 8]),
        ("https://example.com/books/1#top", &[5]),
        (r"urn\:isbn\:*", &[9]),
    ];
    let matchers = rows.map(|(pattern, _)| pattern);
    let heard = heard(&tenant, "match_urlpattern", &matchers, &topics).await;
    for ((pattern, wanted), heard) in rows.iter().zip(heard) {
        let wanted: Vec<&str> = wanted.iter().map(|at| topics[*at]).collect();
        assert_eq!(heard, wanted, "{pattern}");
    }
}

#[tokio::test]
async fn relative_patterns_and_topics_start_from_the_hubs_url() {
    let tenant = tenant().await;
    let here = format!("http://{}", tenant.host);
    let (own, beside) = (format!("{here}/books/1"), format!("{here}/.well-known/x/1"));
    let topics = ["/books/1", &own, "https://other.example/books/1", "x/1", &beside, "//other.example/books/1"];
    let absolute = format!("{here}/books/:id");
    let heard = heard(&tenant, "match_urlpattern", &["/books/:id", "x/:id", &absolute], &topics).await;
    assert_eq!(heard, [["/books/1", &own], ["x/1", &beside], ["/books/1", &own]]);
}

#[tokio::test]
async fn case_counts_in_paths_and_not_in_hosts() {
    let tenant = tenant().await;
    let topics = ["HTTPS://Example.COM/Books/1", "https://example.com/books/1", "https://example.com/BOOKS/1"];
    let patterns = ["https://example.com/Books/:id", "https://EXAMPLE.com/books/:id"];
    let heard = heard(&tenant, "match_urlpattern", &patterns, &topics).await;
    assert_eq!(heard, [["HTTPS://Example.COM/Books/1"], ["https://example.com/books/1"]]);
}

#[tokio::test]
async fn a_topic_that_is_no_url_reference_matches_no_pattern() {
    let tenant = tenant().await;
    let topics = ["http://[", "https://exa mple.com/", "https://example.com:99999/", "https://example.com/"];
    let heard = heard(&tenant, "match_urlpattern", &["*://*:*/*", "https://*/*"], &topics).await;
    for heard in heard {
        assert_eq!(heard, ["https://example.com/"]);
    }
}

#[tokio::test]
async fn an_expression_that_would_backtrack_for_ever_is_decided_at_once() {
    let tenant = tenant().await;
    let pattern = r"https://example.com/((?:a+)+b)";
    let topic = format!("https://example.com/{}", "a".repeat(4_000));
    let matching = format!("{topic}b");
    assert_eq!(heard(&tenant, "match_urlpattern", &[pattern], &[&topic, &matching]).await, [[matching.as_str()]]);
    // What would need too many states is no pattern here.
    for vast in [r"/((?:a{100}){100})", r"/(a{4000})"] {
        tenant.mercure().query("match_urlpattern", vast).refused().await.expect_invalid_query("match_urlpattern");
    }
}

/// A part that a pattern repeats so often again that it takes a good part of what patterns may take to compile.
const NESTED: &str = "(?:[a-z]{9}){9}";

#[tokio::test]
async fn what_patterns_take_to_compile_is_bounded_for_each_and_for_all_of_a_stream() {
    let tenant = tenant().await;
    let refused_for = async |call: RequestBuilder, name: &str, bound: &str| {
        let answer = call.refused().await.expect_invalid_query(name);
        let error = &answer.json()["errors"][0];
        assert_eq!(error["code"], "too_complex", "{error}");
        assert!(error["message"].as_str().unwrap().contains(bound), "{error}");
    };
    let refused = async |call: RequestBuilder, name: &str| refused_for(call, name, "131,072 steps").await;
    // Each from a network of its own, which could not have so much compiled in a moment.
    let asking = || tenant.mercure().address(&stranger());
    // Ninety in six kilobytes: each would do, all together would not.
    let many = |count: usize| {
        let name = |n: usize| format!("/{n}-({NESTED})");
        (0..count).fold(asking(), |call, n| call.query("match_urlpattern", &name(n)))
    };
    many(5).stream().await;
    refused(many(90), "match_urlpattern").await;
    for vast in ["(?:(?:a{9}){99}){99}", "(?:(?:(?:a?){99}){99}){99}", ".*a(?:a|b){30}", "(?:a|[a-z]{99}){99}"] {
        refused(asking().query("match_urlpattern", &format!("/({vast})")), "match_urlpattern").await;
    }
    // However little it repeats, a part is repeated 128 times at most.
    for often in ["a{129}", "a{0,4000}", "(?:a{99999999999,})?"] {
        let call = asking().query("match_urlpattern", "/books/:id");
        let call = call.query("match_urlpattern", &format!("/({often})"));
        refused_for(call, "match_urlpattern", "numbers up to 128").await;
    }
    let template = |count: usize| asking().query("topic", &"{name:99}".repeat(count));
    template(1).stream().await;
    refused(template(40), "topic").await;
    // On the other wire a selector is text, whatever it looks like.
    let text = format!("/({NESTED})");
    let mut stream = tenant.subscribe(&[&text]).await;
    say(&tenant, &[&format!("/{}", "a".repeat(81)), &text]).await;
    assert_eq!(stream.event().await.body["topics"], json!([text]));
}

#[tokio::test]
async fn what_a_token_grants_is_bounded_like_what_is_asked_for() {
    let tenant = tenant().await;
    let patterns: Vec<String> = (0..90).map(|n| format!("/{n}-({NESTED})")).collect();
    let patterns: Vec<(&str, &str)> = patterns.iter().map(|text| ("urlpattern", text.as_str())).collect();
    let granting = |count: usize| tenant.access_token("subscribe", &patterns[..count]).sign();
    let asking = |token: &str| tenant.mercure().query("match", "*").bearer(token);
    asking(&granting(5)).stream().await;
    asking(&granting(90)).refused().await.expect_problem(401, "invalid_token");
    let template = "{name:99}".repeat(40);
    asking(&tenant.subscriber(&[&template]).sign()).refused().await.expect_problem(401, "invalid_token");
    let publishing = |count: usize| tenant.access_token("publish", &patterns[..count]);
    let update = |topic: &str| tenant.update(topic).data("x");
    let granted = format!("/0-{}", "a".repeat(81));
    update(&granted).token(publishing(5)).published().await;
    update(&granted).token(publishing(90)).send().await.expect_problem(401, "invalid_token");
    update("a").token(tenant.publisher(&[&template])).send().await.expect_problem(401, "invalid_token");
}

/// Eight patterns that take together most of what a stream's may take to compile.
fn dear(name: &str) -> Vec<String> {
    (0..8).map(|n| format!("/{name}-{n}-((?:[a-z]{{9}}){{40}})")).collect()
}

fn asking(tenant: &Tenant, address: &str, patterns: &[String]) -> RequestBuilder {
    patterns.iter().fold(tenant.mercure().address(address), |call, pattern| call.query("match_urlpattern", pattern))
}

/// Opens streams of one network, each with patterns of its own, until one is refused.
async fn open_until_refused(
    tenant: &Tenant,
    address: &str,
    pattern: impl Fn(usize) -> Vec<String>,
) -> (Vec<Stream>, TestResponse) {
    let mut held = Vec::new();
    loop {
        assert!(held.len() < 60, "nothing bounds them");
        match asking(tenant, address, &pattern(held.len())).open().await {
            Ok(stream) => held.push(stream),
            Err(answer) => return (held, answer),
        }
    }
}

/// The refusal of a pattern, with its bound.
fn expect_too_many_patterns(answer: TestResponse, bound: &str) {
    assert!(!answer.header("retry-after").is_empty());
    let answer = answer.expect_problem(429, "too_many_patterns");
    assert_eq!(answer.pointers(), ["?match_urlpattern"]);
    let error = &answer.json()["errors"][0];
    assert!(error["code"] == "too_many_patterns" && error["message"].as_str().unwrap().contains(bound), "{error}");
}

#[tokio::test]
async fn what_the_patterns_of_all_streams_take_is_bounded_and_one_network_leaves_room_for_others() {
    let tenant = World::shared().await.tenant().plan("pro").limit("max_connections_per_ip", -1).create().await;
    let (hog, other) = (stranger(), stranger());
    let mut held = Vec::new();
    for network in 0..8 {
        let (address, of_network) = (stranger(), |stream: usize| dear(&format!("{network}.{stream}")));
        for stream in 0..4 {
            held.push(asking(&tenant, &address, &of_network(stream)).stream().await);
        }
    }
    let (hogs, answer) = open_until_refused(&tenant, &hog, |stream| dear(&format!("hog.{stream}"))).await;
    assert!(hogs.len() > 2 && hogs.len() < 9, "{}", hogs.len());
    expect_too_many_patterns(answer, "8,388,608 steps");
    held.extend(hogs);
    // A pattern that is there already, and topics themselves, are nobody's burden.
    let shared = &dear("0.0")[0];
    let mut again = tenant.mercure().address(&hog).query("match_urlpattern", shared).stream().await;
    let mut exact = tenant.mercure().address(&hog).query("match", "/books/1").stream().await;
    let mut fair = tenant.mercure().address(&other).query("match_urlpattern", "/books/:id").stream().await;
    let token = tenant.subscriber(&["/books/{id}"]).sign();
    let mut known = tenant.mercure().address(&hog).query("topic", "/books/{id}").bearer(&token).stream().await;
    World::shared().await.evict(&tenant, Sockets::Hibernate).await;
    let topic = format!("/0.0-0-{}", "a".repeat(360));
    tenant.update(&topic).data("shared").published().await;
    tenant.update("/books/1").data("one").published().await;
    assert_eq!(again.update().await.data.as_deref(), Some("shared"));
    for stream in [&mut exact, &mut fair, &mut known] {
        assert_eq!(stream.update().await.data.as_deref(), Some("one"), "the hub has slept");
    }
    drop(held);
}

#[tokio::test]
async fn a_topic_is_held_against_few_patterns_however_many_streams_ask() {
    let tenant = World::shared().await.tenant().plan("pro").limit("max_connections_per_ip", -1).create().await;
    let (hog, other) = (stranger(), stranger());
    let crowd = |stream: usize| (0..90).map(|n| format!("/books/([^z]*{stream}-{n})")).collect();
    let (held, answer) = open_until_refused(&tenant, &hog, crowd).await;
    assert_eq!(held.len(), 2, "90 and 90, and 76 are left of its half");
    expect_too_many_patterns(answer, "512");
    let mut elsewhere = tenant.mercure().address(&hog).query("match_urlpattern", "/news/:id").stream().await;
    let mut fair = tenant.mercure().address(&other).query("match_urlpattern", "/books/:id").stream().await;
    for topic in ["/books/1", "/news/1"] {
        tenant.update(topic).data(topic).published().await;
    }
    assert_eq!(fair.update().await.data.as_deref(), Some("/books/1"));
    assert_eq!(elsewhere.update().await.data.as_deref(), Some("/news/1"));
    drop(held);
}

#[tokio::test]
async fn a_network_that_keeps_asking_with_dear_patterns_waits_and_nobody_else_does() {
    let tenant = World::shared().await.tenant().plan("pro").limit("max_connections_per_ip", -1).create().await;
    let (hog, other) = (stranger(), stranger());
    // What is refused as too complex is as costly as the most that a stream may have. At once: what a network may do comes
    // back by time, so few after each other would tell how fast this machine is.
    let vast = ["/((?:(?:a{9}){99}){99})".to_owned()];
    let refused = join_all((0..40).map(|_| asking(&tenant, &hog, &vast).refused())).await;
    assert!(refused.iter().any(|answer| answer.status == 400), "the first ones are looked at");
    let refused = asking(&tenant, &hog, &dear("more")).refused().await.expect_problem(429, "rate_limited");
    let seconds: u64 = refused.header("retry-after").parse().unwrap();
    assert!((1..=30).contains(&seconds), "{seconds}");
    // Topics themselves cost nothing; nor do other networks, nor whoever shows a credential, wait for it.
    tenant.mercure().address(&hog).query("match", "/books/1").stream().await;
    asking(&tenant, &other, &dear("other")).stream().await;
    let token = tenant.subscriber(&["/books/{id}"]).sign();
    asking(&tenant, &hog, &dear("known")).bearer(&token).stream().await;
}
