//! Failures to sign in are counted exactly, before anything is hashed: per account and network, per network, and per network
//! over all tenants. Nobody locks somebody else out.

use futures_util::future::join_all;
use serde_json::json;

use crate::world::{Sockets, Tenant, TestResponse, World, early_in_a_minute, eventually, hashes, unique};

const OF_ADDRESS: usize = 20;
const AT_ACCOUNT: usize = 10;

async fn tried(tenant: &Tenant, world: &World, email: &str) -> TestResponse {
    let body = json!({"email": email, "password": "not the password"});
    world.call("POST", &tenant.host, "/api/v1/auth/login").json(&body).send().await
}

#[tokio::test]
async fn a_network_fails_ten_times_a_minute_at_an_account_whether_or_not_it_exists_and_locks_nobody_else_out() {
    let world = World::shared().await;
    let tenant = world.tenant().create().await;
    let user = tenant.user("viewer").await;
    early_in_a_minute().await;
    let mut told = Vec::new();
    for email in [user.email.clone(), format!("{}@nobody.test", unique())] {
        let attacker = world.elsewhere();
        for _ in 0..AT_ACCOUNT {
            tried(&tenant, &attacker, &email).await.expect_problem(401, "invalid_credentials");
        }
        let refused = tried(&tenant, &attacker, &email).await.expect_problem(429, "rate_limited");
        let seconds: u64 = refused.header("retry-after").parse().unwrap();
        assert!((1..=60).contains(&seconds));
        assert_eq!(hashes(&tenant, &refused).await.unwrap_or(0), 0, "nothing was hashed");
        told.push((refused.header("x-ratelimit-limit").to_owned(), refused.header("x-ratelimit-remaining").to_owned()));
        let right = json!({"email": user.email, "password": user.password});
        if email == user.email {
            let there = attacker.call("POST", &tenant.host, "/api/v1/auth/login").json(&right).send().await;
            there.expect_problem(429, "rate_limited");
        }
        world.elsewhere().call("POST", &tenant.host, "/api/v1/auth/login").json(&right).send().await.expect(200);
    }
    assert_eq!(told[0], told[1]);
}

#[tokio::test]
async fn who_signs_in_rightly_is_never_refused() {
    let world = World::shared().await;
    let tenant = world.tenant().create().await;
    let user = tenant.user("viewer").await;
    early_in_a_minute().await;
    let right = json!({"email": user.email, "password": user.password});
    for i in 0..AT_ACCOUNT + 5 {
        let login = world.call("POST", &tenant.host, "/api/v1/auth/login").json(&right).send().await;
        assert_eq!(login.status, 200, "{i}: {}", login.body);
    }
}

#[tokio::test]
async fn a_network_fails_twenty_times_a_minute_in_a_tenant_and_forty_times_in_all() {
    let world = World::shared().await;
    let (tenant, other) = (world.tenant().create().await, world.tenant().create().await);
    let third = world.tenant().create().await;
    early_in_a_minute().await;
    let spray = async |tenant: &Tenant, world: &World| tried(tenant, world, &format!("{}@x.test", unique())).await;
    let statuses = join_all((0..OF_ADDRESS + 5).map(|_| async { spray(&tenant, &world).await.status })).await;
    assert_eq!(statuses.iter().filter(|status| **status == 401).count(), OF_ADDRESS, "{statuses:?}");
    spray(&tenant, &world).await.expect_problem(429, "rate_limited");
    let (network, _) = world.address.rsplit_once("::").unwrap();
    let mut next_door = world.clone();
    next_door.address = format!("{network}:0:1:2:3");
    spray(&tenant, &next_door).await.expect_problem(429, "rate_limited");
    spray(&tenant, &world.elsewhere()).await.expect_problem(401, "invalid_credentials");
    let body = json!({"token": "car_pr_x", "password": "a new one, long enough"});
    for _ in 0..OF_ADDRESS {
        let reset = world.call("POST", &other.host, "/api/v1/auth/password/reset").json(&body).send().await;
        reset.expect_problem(400, "invalid_mailed_token");
    }
    let refused = spray(&third, &next_door).await.expect_problem(429, "rate_limited");
    assert_eq!(hashes(&third, &refused).await, None);
    let operator = world.sign_in("nobody@platform.example", "a wrong password").await;
    operator.expect_problem(429, "rate_limited");
    let reset = world.call("POST", &third.host, "/api/v1/auth/password/reset").json(&body).send().await;
    reset.expect_problem(429, "rate_limited");
    spray(&third, &world.elsewhere()).await.expect_problem(401, "invalid_credentials");
}

#[tokio::test]
async fn what_was_refused_is_no_failure_at_other_accounts_and_tenants() {
    let world = World::shared().await;
    let (tenant, other) = (world.tenant().create().await, world.tenant().create().await);
    let (user, of_other) = (tenant.user("viewer").await, other.user("viewer").await);
    early_in_a_minute().await;
    let email = format!("{}@x.test", unique());
    for _ in 0..AT_ACCOUNT {
        tried(&tenant, &world, &email).await.expect_problem(401, "invalid_credentials");
    }
    let statuses = join_all((0..35).map(|_| async { tried(&tenant, &world, &email).await.status })).await;
    assert_eq!(statuses, [429; 35]);
    for (tenant, user) in [(&tenant, &user), (&other, &of_other)] {
        let right = json!({"email": user.email, "password": user.password});
        eventually("a turn", async || {
            let login = world.call("POST", &tenant.host, "/api/v1/auth/login").json(&right).send().await;
            (login.status == 200).then_some(())
        })
        .await;
    }
}

#[tokio::test]
async fn what_waits_for_its_body_is_no_attempt_yet() {
    let world = World::shared().await;
    let tenant = world.tenant().create().await;
    let user = tenant.user("viewer").await;
    early_in_a_minute().await;
    let mut held = Vec::new();
    for _ in 0..2 * OF_ADDRESS {
        held.push(world.begin(&tenant.host, "/api/v1/auth/refresh").await);
    }
    let right = json!({"email": user.email, "password": user.password});
    world.call("POST", &tenant.host, "/api/v1/auth/login").json(&right).send().await.expect(200);
}

#[tokio::test]
async fn neither_sleep_nor_death_gives_a_try_back() {
    let world = World::own().await;
    let tenant = world.tenant().create().await;
    tried(&tenant, &world, &format!("{}@x.test", unique())).await.expect(401);
    early_in_a_minute().await;
    let email = format!("{}@x.test", unique());
    for _ in 0..AT_ACCOUNT / 2 {
        tried(&tenant, &world, &email).await.expect(401);
    }
    world.evict(&tenant, Sockets::Hibernate).await;
    for _ in AT_ACCOUNT / 2..AT_ACCOUNT {
        tried(&tenant, &world, &email).await.expect(401);
    }
    world.kill();
    world.restart(&[]).await;
    tried(&tenant, &world, &email).await.expect_problem(429, "rate_limited");
}

#[tokio::test]
async fn tries_that_come_at_once_are_counted_one_by_one() {
    let world = World::shared().await;
    let tenant = world.tenant().create().await;
    early_in_a_minute().await;
    let email = format!("{}@x.test", unique());
    let (tenant, email) = (&tenant, email.as_str());
    let all = (0..AT_ACCOUNT * 2).map(|_| async { tried(tenant, &world, email).await.status });
    let statuses = join_all(all).await;
    assert_eq!(statuses.iter().filter(|status| **status == 401).count(), AT_ACCOUNT, "{statuses:?}");
}

#[tokio::test]
async fn an_office_signs_in_at_once() {
    let world = World::shared().await;
    let tenant = world.tenant().create().await;
    let user = tenant.user("viewer").await;
    let right = json!({"email": user.email, "password": user.password});
    let all = (0..14)
        .map(|_| async { world.call("POST", &tenant.host, "/api/v1/auth/login").json(&right).send().await.status });
    assert_eq!(join_all(all).await, [200; 14]);
}

#[tokio::test]
async fn a_network_that_fails_again_and_again_is_hashed_for_now_and_then_only() {
    let world = World::shared().await;
    let tenant = world.tenant().create().await;
    early_in_a_minute().await;
    let at_once = |attempts: usize| {
        join_all((0..attempts).map(|_| async { tried(&tenant, &world, &format!("{}@x.test", unique())).await }))
    };
    // So many that a slow machine does not forgive too many of them meanwhile.
    for answer in at_once(16).await {
        answer.expect(401);
    }
    let answers = at_once(10).await;
    let judged = answers.iter().filter(|answer| answer.status == 401).count();
    assert!((1..=4).contains(&judged), "{judged} within five seconds");
    for refused in answers.iter().filter(|answer| answer.status != 401) {
        assert_eq!(refused.json()["code"], "rate_limited");
        assert!((1..=10).contains(&refused.header("retry-after").parse::<u64>().unwrap()), "when it has a turn");
    }
    let elsewhere = world.elsewhere();
    let user = tenant.user("viewer").await;
    let right = json!({"email": user.email, "password": user.password});
    elsewhere.call("POST", &tenant.host, "/api/v1/auth/login").json(&right).send().await.expect(200);
}
