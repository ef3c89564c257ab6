//! Answers that a purge has ended are fetched again before anybody asks.

use std::time::Instant;

use serde_json::json;

use crate::graphql_cache::{posted, tenant_of, verdict};
use crate::world::content::{Content, post, relay, version};
use crate::world::{Tenant, World, eventually};

/// Asks for a post so often.
async fn asked(tenant: &Tenant, id: u64, times: usize) {
    for _ in 0..times {
        posted(tenant, &post(id)).send().await.expect(200);
    }
}

/// The documents that a site was asked for since it had been asked so often.
fn asked_since(content: &Content, before: usize) -> Vec<String> {
    content.site.asked()[before..].iter().map(|request| request.document()).collect()
}

async fn executed(content: &Content, count: usize) {
    eventually("the answers are fetched again", async || (content.executions() >= count).then_some(())).await;
}

async fn purge(tenant: &Tenant, body: serde_json::Value) -> String {
    let purged = tenant.as_owner("POST", "/api/v1/cache/purge").json(&body).send().await.expect(200);
    purged.data()["id"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn what_is_asked_for_most_is_fetched_again_and_nothing_else() {
    let content = Content::of(1..=4);
    let tenant = tenant_of(&World::shared().await, &content.site, json!({"fresh_seconds": 600, "warm_up": 2})).await;
    for (id, times) in [(1, 2), (2, 4), (3, 3), (4, 1)] {
        asked(&tenant, id, times).await;
        content.change(id);
    }
    let before = content.executions();
    purge(&tenant, json!({"all": true})).await;
    executed(&content, before + 2).await;
    let shown = eventually("the new answer is here", async || {
        let answer = posted(&tenant, &post(2)).send().await;
        (verdict(&answer) == "HIT; reason=memory").then_some(answer)
    });
    assert_eq!(version(&shown.await.body), Some(2));
    for id in [1, 4] {
        assert_eq!(verdict(&posted(&tenant, &post(id)).send().await), "MISS; reason=purged", "{id}");
    }
    let mut fetched = asked_since(&content, before);
    fetched[..2].sort();
    assert_eq!(fetched.len(), 4, "{fetched:?}");
    assert!(fetched[0].contains("id:2") && fetched[1].contains("id:3"), "{fetched:?}");
}

#[tokio::test]
async fn a_webhook_warms_the_isolate_that_takes_it_and_any_other_that_hears_of_it() {
    let (a, b) = World::pair().await;
    let content = Content::of([1, 2]);
    let tenant = tenant_of(&a, &content.site, json!({"fresh_seconds": 600, "warm_up": 1})).await;
    let there = tenant.through(&b);
    for isolate in [&tenant, &there] {
        asked(isolate, 1, 3).await;
    }
    let now = content.change(1);
    let event = tenant.webhook().set("keys", json!([relay(1)])).accepted().await;
    let hit = async |isolate: &Tenant| {
        let answer = posted(isolate, &post(1)).send().await;
        (verdict(&answer) == "HIT; reason=memory" && version(&answer.body) == Some(now)).then_some(())
    };
    // Asked for another post, the other isolate hears of the event; the answer is there when it is asked for.
    posted(&there, &post(2)).header("X-Carillon-After", &event).send().await.expect(200);
    eventually("the first isolate is warm", async || hit(&tenant).await).await;
    eventually("the second isolate is warm", async || hit(&there).await).await;
    let questions = content.site.asked().iter().filter(|request| request.document().contains("id:1")).count();
    assert!(questions <= 3, "equal questions of two isolates were {questions}, the first one included");
}

#[tokio::test]
async fn what_was_purged_softly_comes_first() {
    let (a, b) = World::pair().await;
    let content = Content::of([1, 2, 3]);
    let tenant = tenant_of(&a, &content.site, json!({"fresh_seconds": 600, "warm_up": 1})).await;
    let there = tenant.through(&b);
    asked(&there, 1, 5).await;
    asked(&there, 2, 2).await;
    let before = content.executions();
    purge(&tenant, json!({"ids": ["post:1"]})).await;
    let last = purge(&tenant, json!({"ids": ["post:2"], "soft": true})).await;
    posted(&there, &post(3)).header("X-Carillon-After", &last).send().await.expect(200);
    executed(&content, before + 2).await;
    // Whoever asks for the other one now is the first to ask.
    assert_eq!(verdict(&posted(&there, &post(1)).send().await), "MISS; reason=purged");
    let mut fetched = asked_since(&content, before);
    assert_eq!(fetched.pop().unwrap(), post(1), "{fetched:?}");
    fetched.sort();
    assert_eq!(fetched, [post(2), post(3)]);
}

#[tokio::test]
async fn a_burst_of_purges_is_no_burst_of_questions() {
    let content = Content::of(1..=3);
    let tenant = tenant_of(&World::shared().await, &content.site, json!({"fresh_seconds": 600, "warm_up": 3})).await;
    for id in 1..=3 {
        asked(&tenant, id, 9).await;
    }
    let (before, begun) = (content.executions(), Instant::now());
    for _ in 0..30 {
        tenant.through(&tenant.world.elsewhere()).webhook().set("keys", json!(["graphql:Query"])).accepted().await;
    }
    // Three at once, and three every two seconds.
    let asked = content.executions() - before;
    let most = 3 * (1 + usize::try_from(begun.elapsed().as_secs() / 2).unwrap());
    assert!((1..=most).contains(&asked), "{asked} questions, and {most} would do");
}

#[tokio::test]
async fn a_site_that_fails_is_asked_no_further() {
    let content = Content::of(1..=9);
    let tenant = tenant_of(&World::shared().await, &content.site, json!({"fresh_seconds": 600, "warm_up": 9})).await;
    for id in 1..=9 {
        asked(&tenant, id, 2).await;
    }
    let before = content.executions();
    content.fails(true);
    purge(&tenant, json!({"all": true})).await;
    executed(&content, before + 2).await;
    content.fails(false);
    assert_eq!(verdict(&posted(&tenant, &post(9)).send().await), "MISS; reason=purged");
    assert!(content.executions() - before <= 3, "two at a time, once each, and one that was asked for");
}

#[tokio::test]
async fn a_site_that_changed_is_not_asked_what_the_one_of_before_was() {
    let (old, new) = (Content::of([1]), Content::of([2]));
    let tenant = tenant_of(&World::shared().await, &old.site, json!({"fresh_seconds": 600, "warm_up": 1})).await;
    asked(&tenant, 1, 9).await;
    let before = old.executions();
    tenant.patch(json!({"wpgraphql_endpoint": new.site.url()})).await;
    asked(&tenant, 2, 3).await;
    purge(&tenant, json!({"all": true})).await;
    executed(&new, 2).await;
    assert_eq!((old.executions(), asked_since(&new, 0)), (before, vec![post(2), post(2)]));
}
