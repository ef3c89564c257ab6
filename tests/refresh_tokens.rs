//! Refresh tokens: good once, and a thief's presence is noticed.

use futures_util::future::join_all;
use serde_json::{Value, json};

use crate::world::{Tenant, TestResponse, Tokens, World};

async fn tenant() -> Tenant {
    World::shared().await.tenant().create().await
}

async fn refresh(tenant: &Tenant, token: &str) -> TestResponse {
    tenant.call("POST", "/api/v1/auth/refresh").json(&json!({"refresh_token": token})).send().await
}

async fn me(tenant: &Tenant, tokens: &Tokens) -> u16 {
    tenant.call("GET", "/api/v1/auth/me").bearer(&tokens.access).send().await.status
}

/// As if the grace of every spent token were over.
async fn let_the_grace_pass(tenant: &Tenant) {
    tenant
        .on_shard("UPDATE refresh_tokens SET used_at = used_at - 10001 WHERE tenant_id = ?1 AND used_at > 0", &[])
        .await;
}

#[tokio::test]
async fn each_token_brings_the_next_within_one_session() {
    let tenant = tenant().await;
    let mut tokens = tenant.user("viewer").await.login().await;
    let until = tenant.on_shard("SELECT expires_at FROM sessions WHERE tenant_id = ?1", &[]).await;
    for _ in 0..3 {
        let next = Tokens::of(&refresh(&tenant, &tokens.refresh).await.expect(200));
        assert_eq!(next.session, tokens.session);
        assert!(next.refresh != tokens.refresh && next.access != tokens.access);
        assert_eq!(me(&tenant, &next).await, 200);
        tokens = next;
    }
    assert_eq!(tenant.on_shard("SELECT expires_at FROM sessions WHERE tenant_id = ?1", &[]).await, until);
    let kept = tenant.on_shard("SELECT * FROM refresh_tokens WHERE tenant_id = ?1", &[]).await;
    assert_eq!(kept.len(), 4);
    let kept = Value::from(kept).to_string();
    assert!(!kept.contains("car_rt_"), "only digests and sealed successors are kept");
}

#[tokio::test]
async fn whoever_lost_the_answer_gets_the_same_successor() {
    let tenant = tenant().await;
    let tokens = tenant.user("viewer").await.login().await;
    let first = Tokens::of(&refresh(&tenant, &tokens.refresh).await.expect(200));
    let again = Tokens::of(&refresh(&tenant, &tokens.refresh).await.expect(200));
    assert_eq!(first.refresh, again.refresh);
    assert_eq!((me(&tenant, &first).await, me(&tenant, &again).await), (200, 200));
    refresh(&tenant, &again.refresh).await.expect(200);
}

#[tokio::test]
async fn clients_that_race_end_up_with_one_successor() {
    let tenant = tenant().await;
    let tokens = tenant.user("viewer").await.login().await;
    let racing = join_all((0..8).map(|_| refresh(&tenant, &tokens.refresh))).await;
    let successors: std::collections::BTreeSet<_> =
        racing.into_iter().map(|answer| Tokens::of(&answer.expect(200)).refresh).collect();
    assert_eq!(successors.len(), 1);
    let kept = tenant.on_shard("SELECT digest FROM refresh_tokens WHERE tenant_id = ?1", &[]).await;
    assert_eq!(kept.len(), 2, "the spent one and its successor");
}

#[tokio::test]
async fn a_spent_token_gets_the_newest_of_its_chain() {
    let (a, b) = World::pair().await;
    let here = a.tenant().create().await;
    let there = here.through(&b);
    let tokens = here.user("viewer").await.login().await;
    let mut chain = vec![tokens.refresh];
    for _ in 0..4 {
        let next = Tokens::of(&refresh(&here, chain.last().unwrap()).await.expect(200)).refresh;
        chain.push(next);
    }
    let newest = chain.pop().unwrap();
    for spent in &chain {
        let answer = Tokens::of(&refresh(&there, spent).await.expect(200));
        assert_eq!(answer.refresh, newest);
        assert_eq!(me(&there, &answer).await, 200);
    }
    refresh(&there, &newest).await.expect(200);
}

#[tokio::test]
async fn a_slow_third_tab_does_not_end_the_session_of_the_others() {
    let (a, b) = World::pair().await;
    let here = a.tenant().create().await;
    let there = here.through(&b);
    let start = here.user("viewer").await.login().await.refresh;
    let first = Tokens::of(&refresh(&here, &start).await.expect(200)).refresh;
    let second = Tokens::of(&refresh(&there, &first).await.expect(200));
    // The third tab still holds what all began with. What it gets is not spent, so it may take its time with it.
    let third = Tokens::of(&refresh(&there, &start).await.expect(200));
    assert_eq!(third.refresh, second.refresh);
    let_the_grace_pass(&here).await;
    let last = Tokens::of(&refresh(&here, &third.refresh).await.expect(200));
    assert_eq!((me(&here, &second).await, me(&there, &last).await), (200, 200));
    assert_eq!(Tokens::of(&refresh(&there, &second.refresh).await.expect(200)).refresh, last.refresh);
}

#[tokio::test]
async fn each_token_has_a_grace_of_its_own() {
    let tenant = tenant().await;
    let start = tenant.user("viewer").await.login().await.refresh;
    let first = Tokens::of(&refresh(&tenant, &start).await.expect(200)).refresh;
    let_the_grace_pass(&tenant).await;
    // The first token was spent long ago; the second one is spent now, which lends the first one nothing.
    let second = Tokens::of(&refresh(&tenant, &first).await.expect(200));
    assert_eq!(Tokens::of(&refresh(&tenant, &first).await.expect(200)).refresh, second.refresh);
    refresh(&tenant, &start).await.expect_problem(401, "invalid_refresh_token");
    assert_eq!(me(&tenant, &second).await, 401, "two held it: it is over for both");
}

#[tokio::test]
async fn tabs_that_race_along_the_chain_on_two_isolates_end_up_with_one_token() {
    let (a, b) = World::pair().await;
    let limits = ["max_api_requests_per_minute", "max_anonymous_requests_per_minute"];
    let here = limits.iter().fold(a.tenant(), |tenant, limit| tenant.limit(limit, -1)).create().await;
    let there = here.through(&b);
    let mut held = vec![here.user("viewer").await.login().await.refresh; 6];
    for round in 0..4 {
        let racing = held.iter().enumerate().map(|(tab, token)| {
            let isolate = if (tab + round) % 2 == 0 { &here } else { &there };
            async move { Tokens::of(&refresh(isolate, token).await.expect(200)).refresh }
        });
        let answers = join_all(racing).await;
        // The answers of some tabs are lost: they go on with what they had.
        for (tab, answer) in answers.into_iter().enumerate() {
            if tab % 3 != round % 3 {
                held[tab] = answer;
            }
        }
    }
    let unspent = "SELECT digest FROM refresh_tokens WHERE tenant_id = ?1 AND used_at IS NULL";
    assert_eq!(here.on_shard(unspent, &[]).await.len(), 1);
    let last = join_all(held.iter().map(|token| refresh(&there, token))).await;
    assert!(last.iter().all(|answer| answer.status == 200));
    assert!(here.audited("session.refresh_reused").await.is_empty());
}

#[tokio::test]
async fn a_token_used_again_after_the_grace_ends_the_whole_session() {
    let tenant = tenant().await;
    let user = tenant.user("admin").await;
    let (stolen, bystander) = (user.login().await, user.login().await);
    let thief = Tokens::of(&refresh(&tenant, &stolen.refresh).await.expect(200));
    let body = json!({"topics": ["orders"]});
    let minted = tenant.call("POST", "/api/v1/subscriber-tokens").bearer(&thief.access).json(&body).send().await;
    let minted = minted.expect(201).data()["token"].as_str().unwrap().to_owned();
    let mut stream = tenant.events(&["orders"]).header("Authorization", &format!("Bearer {minted}")).live().await;
    let_the_grace_pass(&tenant).await;
    refresh(&tenant, &stolen.refresh).await.expect_problem(401, "invalid_refresh_token");
    assert_eq!((me(&tenant, &stolen).await, me(&tenant, &thief).await), (401, 401));
    refresh(&tenant, &thief.refresh).await.expect_problem(401, "invalid_refresh_token");
    stream.closed().await;
    assert_eq!(tenant.audited("session.refresh_reused").await.len(), 1);
    assert_eq!(me(&tenant, &bystander).await, 200, "the user's other sessions are other families");
    refresh(&tenant, &stolen.refresh).await.expect_problem(401, "invalid_refresh_token");
    assert_eq!(tenant.audited("session.refresh_reused").await.len(), 1);
}

#[tokio::test]
async fn the_user_is_read_anew_at_each_renewal() {
    let tenant = tenant().await;
    let user = tenant.user("admin").await;
    let tokens = user.login().await;
    user.set("role", "viewer").await;
    let answer = refresh(&tenant, &tokens.refresh).await.expect(200);
    assert_eq!(answer.data()["user"]["role"], "viewer");
    let next = Tokens::of(&answer);
    user.set("status", "disabled").await;
    refresh(&tenant, &next.refresh).await.expect_problem(401, "invalid_refresh_token");
    user.set("status", "active").await;
    let last = Tokens::of(&refresh(&tenant, &next.refresh).await.expect(200));
    user.set("not_before", "9000000000000").await;
    refresh(&tenant, &last.refresh).await.expect_problem(401, "invalid_refresh_token");
    user.set("not_before", "0").await;
    let void = "INSERT INTO tenant_auth (tenant_id, not_before) VALUES (?1, 9000000000000)";
    tenant.on_shard(void, &[]).await;
    refresh(&tenant, &last.refresh).await.expect_problem(401, "invalid_refresh_token");
}

#[tokio::test]
async fn what_is_no_refresh_token_of_this_tenant_is_refused_alike() {
    let world = World::shared().await;
    let (tenant, other) = (world.tenant().create().await, world.tenant().create().await);
    let tokens = tenant.user("viewer").await.login().await;
    let foreign = other.user("viewer").await.login().await;
    let mut mistyped = tokens.refresh.clone();
    mistyped.pop();
    for text in [mistyped.as_str(), &foreign.refresh, "nonsense"] {
        refresh(&tenant, text).await.expect_problem(401, "invalid_refresh_token");
    }
    for text in ["", &tokens.access] {
        refresh(&tenant, text).await.expect_invalid("/refresh_token");
    }
    refresh(&other, &foreign.refresh).await.expect(200);
    refresh(&tenant, &tokens.refresh).await.expect(200);
}

#[tokio::test]
async fn a_successor_that_is_moved_to_another_token_does_not_open() {
    let tenant = tenant().await;
    let user = tenant.user("viewer").await;
    let (mine, other) = (user.login().await, user.login().await);
    refresh(&tenant, &mine.refresh).await.expect(200);
    refresh(&tenant, &other.refresh).await.expect(200);
    let moved = "UPDATE refresh_tokens SET successor = (SELECT max(o.successor) FROM refresh_tokens o WHERE o.tenant_id = ?1 AND o.successor <> refresh_tokens.successor) WHERE tenant_id = ?1 AND successor IS NOT NULL AND session_id = ?2";
    tenant.on_shard(moved, &[&mine.session]).await;
    refresh(&tenant, &mine.refresh).await.expect_problem(500, "internal");
}
