//! Equal questions at one time are one question to the site, wherever they are asked.

use std::time::Duration;

use futures_util::future::join_all;
use serde_json::json;

use crate::graphql_cache::{posted, tenant_of, verdict};
use crate::world::content::{Content, POSTS, post, relay, version};
use crate::world::{Site, SiteAnswer, Sockets, Tenant, TestResponse, World, eventually};

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
async fn a_shield_that_ends_loses_nobodys_answer() {
    let world = World::own().await;
    let content = Content::of([1]);
    let tenant = tenant_of(&world, &content.site, json!({})).await;
    content.slow(Duration::from_millis(500));
    for round in 1..=5 {
        let document = format!("{{post(id:1){{version nth{round}:version}}}}");
        let asked = content.executions();
        let waiting = tokio::spawn(join_all((0..5).map(|_| posted(&tenant, &document).send()).collect::<Vec<_>>()));
        eventually("the site is asked", async || (content.executions() > asked).then_some(())).await;
        world.end_shield(&tenant).await;
        for answer in waiting.await.unwrap() {
            assert_eq!((answer.status, version(&answer.body)), (200, Some(1)), "{}", answer.body);
        }
    }
    // And a deployment without one asks by itself.
    world.evict(&tenant, Sockets::Hibernate).await;
    assert_eq!(posted(&tenant, POSTS).send().await.status, 200);
}
