//! Admission: limits admit exactly what they say, whatever comes in parallel.

use futures_util::future::join_all;
use serde_json::json;

use crate::world::{RequestBuilder, Stream, Tenant, TestResponse, World, eventually, stranger, unique};

const LIMIT: i64 = 20;
const ATTEMPTS: usize = 50;

async fn limited(limit: &str) -> Tenant {
    let world = World::shared().await;
    world.tenant().plan("pro").limit(limit, LIMIT).create().await
}

/// Fifty parallel requests against a fresh tenant, all within one window of a minute.
///
/// A window may turn while they run; `X-RateLimit-Reset` tells, and then another tenant is asked.
async fn in_one_window(limit: &str, ask: impl Fn(&Tenant) -> RequestBuilder) -> (Tenant, Vec<TestResponse>) {
    for _ in 0..5 {
        let tenant = limited(limit).await;
        let answers = join_all((0..ATTEMPTS).map(|_| ask(&tenant).send())).await;
        let reset = answers[0].header("x-ratelimit-reset").to_owned();
        assert!(!reset.is_empty(), "{:?}", answers[0].headers);
        if answers.iter().all(|answer| answer.header("x-ratelimit-reset") == reset) {
            return (tenant, answers);
        }
    }
    panic!("no five runs in a row cross the end of a minute");
}

fn split(answers: &[TestResponse], good: u16) -> (Vec<&TestResponse>, Vec<&TestResponse>) {
    answers.iter().partition(|answer| answer.status == good)
}

#[track_caller]
fn assert_refused(answer: &TestResponse, code: &str) {
    let answer = answer.clone().expect_problem(429, code);
    assert!(answer.header("retry-after").parse::<u64>().unwrap() > 0, "{:?}", answer.headers);
}

#[tokio::test]
async fn of_fifty_parallel_webhooks_twenty_are_admitted() {
    let ask = |tenant: &Tenant| tenant.webhook().call();
    let (_, answers) = in_one_window("max_webhooks_per_minute", ask).await;
    let (admitted, refused) = split(&answers, 202);
    assert_eq!(admitted.len(), 20);
    for answer in refused {
        assert_refused(answer, "rate_limited");
        assert_eq!(answer.header("x-ratelimit-limit"), "20");
        assert_eq!(answer.header("x-ratelimit-remaining"), "0");
        assert!(answer.header("ratelimit").contains("r=0"));
    }
}

#[tokio::test]
async fn of_fifty_parallel_api_requests_twenty_are_admitted() {
    let ask = |tenant: &Tenant| {
        let token = tenant.token(&["posts"]).sign();
        tenant.call("PUT", "/events").bearer(&token)
    };
    let (_, answers) = in_one_window("max_api_requests_per_minute", ask).await;
    let (admitted, refused) = split(&answers, 201);
    assert_eq!(admitted.len(), 20);
    refused.into_iter().for_each(|answer| assert_refused(answer, "rate_limited"));
}

#[tokio::test]
async fn of_fifty_parallel_anonymous_requests_twenty_are_admitted() {
    // Each from a network of its own: one alone may not hold them all.
    let ask = |tenant: &Tenant| tenant.call("GET", "/").address(&stranger());
    let (_, answers) = in_one_window("max_anonymous_requests_per_minute", ask).await;
    let (admitted, refused) = split(&answers, 200);
    assert_eq!(admitted.len(), 20);
    refused.into_iter().for_each(|answer| assert_refused(answer, "rate_limited"));
}

#[tokio::test]
async fn of_fifty_parallel_subscriptions_twenty_are_admitted() {
    let tenant = limited("max_concurrent_subscriptions").await;
    let opened = join_all((0..ATTEMPTS).map(|_| tenant.events(&["posts"]).address(&stranger()).open())).await;
    let (streams, refused): (Vec<_>, Vec<_>) = opened.into_iter().partition(Result::is_ok);
    assert_eq!(streams.len(), 20);
    for answer in refused.into_iter().filter_map(Result::err) {
        assert_refused(&answer, "too_many_streams");
    }
    let mut streams: Vec<Stream> = streams.into_iter().filter_map(Result::ok).collect();
    tenant.publish("posts", json!("for all of them")).await;
    for stream in &mut streams {
        stream.must().await;
        assert_eq!(stream.event().await.body["data"], "for all of them", "nobody was evicted");
    }
}

#[tokio::test]
async fn of_fifty_parallel_connections_of_one_address_twenty_are_admitted() {
    let tenant = limited("max_connections_per_ip").await;
    let address = stranger();
    let opened = join_all((0..ATTEMPTS).map(|_| tenant.events(&["posts"]).address(&address).open())).await;
    let (streams, refused): (Vec<_>, Vec<_>) = opened.into_iter().partition(Result::is_ok);
    assert_eq!(streams.len(), 20);
    for answer in refused.into_iter().filter_map(Result::err) {
        assert_refused(&answer, "too_many_connections");
    }
    tenant.events(&["posts"]).address(&stranger()).live().await;
}

#[tokio::test]
async fn only_cloudflare_says_where_a_visitor_comes_from() {
    let world = World::shared().await;
    let tenant = world.tenant().limit("max_connections_per_ip", 1).create().await;
    let address = stranger();
    let _first = tenant.events(&["posts"]).address(&address).live().await;
    let pretended = tenant
        .events(&["posts"])
        .address(&address)
        .header("X-Forwarded-For", &stranger())
        .header("X-Real-IP", &stranger())
        .header("True-Client-IP", &stranger());
    assert_refused(&pretended.refused().await, "too_many_connections");
}

#[tokio::test]
async fn a_vanished_client_frees_its_slot_within_two_keep_alives() {
    let world = World::shared().await;
    let tenant = world.tenant().limit("max_concurrent_subscriptions", 2).create().await;
    let mut witness = tenant.subscribe(&["quiet"]).await;
    let vanishing = tenant.subscribe(&["posts"]).await;
    assert_refused(&tenant.events(&["posts"]).refused().await, "too_many_streams");
    drop(vanishing);
    // The witness's first beat may come at once: three of its beats are two whole intervals.
    let mut opened = false;
    for _ in 0..3 {
        witness.beat().await;
        opened = tenant.events(&["posts"]).open().await.is_ok();
        if opened {
            break;
        }
    }
    assert!(opened, "the slot was still taken after two keep-alives");
}

#[tokio::test]
async fn a_vanished_client_frees_its_addresss_slot_too() {
    let world = World::shared().await;
    let tenant = world.tenant().limit("max_connections_per_ip", 1).create().await;
    let address = stranger();
    drop(tenant.events(&["posts"]).address(&address).live().await);
    eventually("the slot to be free", async || tenant.events(&["posts"]).address(&address).open().await.ok()).await;
}

#[tokio::test]
async fn streams_of_a_hub_that_restarts_are_counted_once() {
    let world = World::shared().await;
    let tenant = world.tenant().limit("max_concurrent_subscriptions", 2).create().await;
    let (mut first, mut second) = (tenant.subscribe(&["posts"]).await, tenant.subscribe(&["posts"]).await);
    world.evict(&tenant, crate::world::Sockets::Hibernate).await;
    assert_refused(&tenant.events(&["posts"]).refused().await, "too_many_streams");
    tenant.publish("posts", json!("both")).await;
    assert_eq!(first.event().await.body["data"], "both");
    assert_eq!(second.event().await.body["data"], "both");
}

#[tokio::test]
async fn a_window_is_not_given_back_by_a_restart_of_the_hub() {
    for _ in 0..5 {
        let tenant = limited("max_webhooks_per_minute").await;
        let before = join_all((0..ATTEMPTS).map(|_| tenant.webhook().send())).await;
        tenant.world.evict(&tenant, crate::world::Sockets::Close).await;
        let after = join_all((0..ATTEMPTS).map(|_| tenant.webhook().send())).await;
        let all: Vec<TestResponse> = before.into_iter().chain(after).collect();
        let reset = all[0].header("x-ratelimit-reset").to_owned();
        if all.iter().any(|answer| answer.header("x-ratelimit-reset") != reset) {
            continue;
        }
        assert_eq!(split(&all, 202).0.len(), 20);
        return;
    }
    panic!("no five runs in a row cross the end of a minute");
}

#[tokio::test]
async fn what_a_stranger_sends_spends_nothing_of_the_tenants() {
    let tenant = limited("max_webhooks_per_minute").await;
    let forged = (0..30).map(|_| tenant.webhook().secret("not the tenant's secret").send());
    for answer in join_all(forged).await {
        assert_ne!(answer.status, 202);
        assert!(!answer.headers.contains_key("x-ratelimit-remaining"), "{:?}", answer.headers);
    }
    let answer = tenant.webhook().send().await.expect(202);
    assert_eq!(answer.header("x-ratelimit-remaining"), "19");
}

#[tokio::test]
async fn what_is_told_to_be_left_is_left_in_every_window() {
    let world = World::shared().await;
    let tenant = world.tenant().plan("pro").limit("max_api_requests_per_day", 3).create().await;
    let key = tenant.key(&["users:read"]).await;
    let ask = || tenant.call("GET", "/api/v1/users").bearer(&key.text).send();
    for left in ["2", "1", "0"] {
        let answer = ask().await.expect(200);
        assert_eq!((answer.header("x-ratelimit-limit"), answer.header("x-ratelimit-remaining")), ("3", left));
        assert!(answer.header("ratelimit").starts_with(&format!("\"api-day\";r={left};")), "{:?}", answer.headers);
    }
    assert_refused(&ask().await, "rate_limited");
}

#[tokio::test]
async fn a_bad_body_and_a_duplicate_are_requests_too() {
    for _ in 0..5 {
        let tenant = limited("max_webhooks_per_minute").await;
        let message = unique();
        let first = tenant.webhook().standard(&message).send().await.expect(202);
        let again = tenant.webhook().standard(&message).send().await.expect(202);
        let last = tenant.webhook().send().await.expect(202);
        let reset = first.header("x-ratelimit-reset");
        if reset != last.header("x-ratelimit-reset") {
            continue;
        }
        let left = |answer: &TestResponse| answer.header("x-ratelimit-remaining").parse::<i64>().unwrap();
        assert_eq!(left(&first), 19);
        assert!(left(&again) <= 19 && left(&last) < left(&first));
        return;
    }
    panic!("no five runs in a row cross the end of a minute");
}

#[tokio::test]
async fn a_changed_limit_binds_at_once() {
    let tenant = limited("max_webhooks_per_minute").await;
    tenant.webhook().accepted().await;
    tenant.patch(json!({"rate_limits": {"max_webhooks_per_minute": 1}})).await;
    let refused = eventually("the lower limit", async || {
        let answer = tenant.webhook().send().await;
        (answer.status == 429).then_some(answer)
    })
    .await;
    assert_eq!(refused.header("x-ratelimit-limit"), "1");
    tenant.patch(json!({"rate_limits": {"max_webhooks_per_minute": -1}})).await;
    tenant.webhook().accepted().await;

    tenant.patch(json!({"rate_limits": {"max_concurrent_subscriptions": 0}})).await;
    let refused = tenant.events(&["posts"]).refused().await;
    assert_refused(&refused, "too_many_streams");
}

#[tokio::test]
async fn one_tenants_spending_is_not_anothers() {
    let world = World::shared().await;
    let busy = limited("max_webhooks_per_minute").await;
    let calm = world.tenant().limit("max_webhooks_per_minute", 20).create().await;
    join_all((0..ATTEMPTS).map(|_| busy.webhook().send())).await;
    let answer = calm.webhook().send().await.expect(202);
    assert_eq!(answer.header("x-ratelimit-remaining"), "19");
}

#[tokio::test]
async fn the_plan_limits_where_the_tenant_says_nothing() {
    let world = World::shared().await;
    let free = world.tenant().plan("free").create().await.webhook().send().await.expect(202);
    let pro = world.tenant().plan("pro").create().await.webhook().send().await.expect(202);
    let limit = |answer: &TestResponse| answer.header("x-ratelimit-limit").parse::<i64>().unwrap();
    assert!(limit(&free) < limit(&pro), "{} {}", limit(&free), limit(&pro));
}
