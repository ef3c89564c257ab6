//! Equal questions at one time are one question to the site, wherever they are asked.

use std::time::Duration;

use futures_util::future::join_all;
use serde_json::json;

use crate::graphql_cache::{posted, tenant_of, verdict};
use crate::world::content::{Content, POSTS, post, relay, version};
use crate::world::{Site, SiteAnswer, Tenant, TestResponse, World, eventually};

async fn ask_all(tenants: &[&Tenant], document: &str, count: usize) -> Vec<TestResponse> {
    join_all((0..count).map(|nth| posted(tenants[nth % tenants.len()], document).send())).await
}

#[tokio::test]
async fn many_equal_questions_of_two_isolates_are_one_to_the_site() {
    let (a, b) = World::pair().await;
    let content = Content::of([1]);
    content.slow(Duration::from_millis(500));
    let tenant = tenant_of(&a, &content.site, json!({})).await;
    let there = tenant.through(&b);
    let answers = ask_all(&[&tenant, &there], POSTS, 100).await;
    assert!(answers.iter().all(|answer| answer.body == answers[0].body && answer.status == 200));
    assert_eq!(content.executions(), 1);
    // Another question is another one, and so is one of another tenant's.
    let other = tenant_of(&a, &content.site, json!({})).await;
    ask_all(&[&tenant, &other], &post(1), 10).await;
    assert_eq!(content.executions(), 3);
}

#[tokio::test]
async fn a_question_joins_none_that_was_sent_before_a_purge_it_knows_of() {
    let (a, b) = World::pair().await;
    let content = Content::of([1]);
    let tenant = tenant_of(&a, &content.site, json!({})).await;
    let there = tenant.through(&b);
    content.slow(Duration::from_millis(800));
    let late = tokio::spawn(posted(&tenant, &post(1)).send());
    eventually("the site is asked", async || (content.executions() == 1).then_some(())).await;
    let now = content.change(1);
    let event = tenant.webhook().set("keys", json!([relay(1)])).accepted().await;
    let after = |tenant: &Tenant| posted(tenant, &post(1)).header("X-Carillon-After", &event).send();
    let answers = join_all([after(&tenant), after(&there), after(&tenant), after(&there)]).await;
    for answer in &answers {
        assert_eq!(version(&answer.body), Some(now), "{}", verdict(answer));
    }
    assert_eq!(version(&late.await.unwrap().body), Some(now - 1));
    assert_eq!(content.executions(), 2, "those that know of it are one question again");
}

#[tokio::test]
async fn what_the_shield_holds_serves_isolates_that_kv_tells_nothing_and_ends_with_its_purge() {
    let (a, b) = World::pair().await;
    let content = Content::of([1]);
    let tenant = tenant_of(&a, &content.site, json!({})).await;
    let there = tenant.through(&b);
    assert_eq!(verdict(&posted(&tenant, &post(1)).send().await), "MISS; reason=new");
    tenant.world.forget_answers(&tenant).await;
    let held = posted(&there, &post(1)).send().await;
    assert!(matches!(verdict(&held), "HIT; reason=shield" | "HIT; reason=kv"), "{}", verdict(&held));
    assert_eq!(content.executions(), 1);
    let now = content.change(1);
    let event = tenant.webhook().set("keys", json!([relay(1)])).accepted().await;
    let answer = posted(&there, &post(1)).header("X-Carillon-After", &event).send().await;
    assert_eq!((verdict(&answer), version(&answer.body)), ("MISS; reason=purged", Some(now)));
}

#[tokio::test]
async fn errors_are_shared_by_those_who_wait_and_held_for_nobody() {
    let site =
        Site::saying(|_| SiteAnswer::json(200, r#"{"errors":[{"message":"m"}]}"#).after(Duration::from_millis(300)));
    let tenant = tenant_of(&World::shared().await, &site, json!({})).await;
    for round in 1..=2 {
        let answers = ask_all(&[&tenant], POSTS, 10).await;
        assert!(answers.iter().all(|answer| verdict(answer) == "PASS; reason=errors"), "{}", verdict(&answers[0]));
        assert_eq!(site.asked().len(), round);
    }
}

#[tokio::test]
async fn what_makes_whoever_asked_somebody_is_shared_with_nobody() {
    for name in ["Set-Cookie", "woocommerce-session"] {
        let count = std::sync::atomic::AtomicUsize::new(0);
        let site = Site::saying(move |_| {
            let nth = count.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            SiteAnswer::json(200, r#"{"data":{"a":1}}"#)
                .with("X-GraphQL-Keys", "id graphql:Query list:post")
                .with(name, &format!("s=guest{nth}"))
                .after(Duration::from_millis(300))
        });
        let tenant = tenant_of(&World::shared().await, &site, json!({})).await;
        let answers = ask_all(&[&tenant], "{a}", 5).await;
        let sessions: std::collections::BTreeSet<&str> = answers.iter().map(|answer| answer.header(name)).collect();
        assert_eq!((sessions.len(), sessions.contains("")), (5, false), "{sessions:?}");
        assert!(answers.iter().all(|answer| answer.header("cache-control") != "no-cache"));
    }
}

#[tokio::test]
async fn where_no_shield_can_be_had_the_site_is_asked_all_the_same() {
    let world = World::without_shields().await;
    let content = Content::of([1]);
    let tenant = tenant_of(&world, &content.site, json!({})).await;
    let answers = ask_all(&[&tenant], POSTS, 5).await;
    assert!(answers.iter().all(|answer| answer.status == 200), "{}", answers[0].body);
    assert_eq!(verdict(&posted(&tenant, POSTS).send().await), "HIT; reason=memory");
    content.change(1);
    tenant.webhook().accepted().await;
    assert_eq!(verdict(&posted(&tenant, POSTS).send().await), "MISS; reason=purged");
}

#[tokio::test]
async fn who_leaves_while_waiting_takes_nobodys_answer_along() {
    let content = Content::of([1]);
    let tenant = tenant_of(&World::shared().await, &content.site, json!({})).await;
    content.slow(Duration::from_millis(800));
    let first = tokio::spawn(posted(&tenant, POSTS).send());
    eventually("the site is asked", async || (content.executions() == 1).then_some(())).await;
    let others = tokio::spawn(join_all((0..5).map(|_| posted(&tenant, POSTS).send()).collect::<Vec<_>>()));
    tokio::time::sleep(Duration::from_millis(200)).await;
    first.abort();
    for answer in others.await.unwrap() {
        assert_eq!(answer.status, 200, "{}", answer.body);
    }
    assert_eq!(content.executions(), 1);
}
