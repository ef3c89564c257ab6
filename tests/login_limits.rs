//! Tries to sign in are counted exactly, before anything is hashed.

use serde_json::json;

use crate::world::{Sockets, Tenant, TestResponse, World, hashes, now, unique};

const OF_ADDRESS: usize = 20;
const AT_ACCOUNT: usize = 10;

/// Begins early enough in a minute of UTC for a test to end within it.
async fn early_in_a_minute() {
    let left = 60 - now() % 60;
    if left < 30 {
        tokio::time::sleep(std::time::Duration::from_secs(left)).await;
    }
}

async fn tried(tenant: &Tenant, world: &World, email: &str) -> TestResponse {
    let body = json!({"email": email, "password": "not the password"});
    world.call("POST", &tenant.host, "/api/v1/auth/login").json(&body).send().await
}

#[tokio::test]
async fn an_account_takes_ten_tries_a_minute_from_anywhere_whether_or_not_it_exists() {
    let world = World::shared().await;
    let tenant = world.tenant().create().await;
    let user = tenant.user("viewer").await;
    early_in_a_minute().await;
    let mut told = Vec::new();
    for email in [user.email.clone(), format!("{}@nobody.test", unique())] {
        for _ in 0..AT_ACCOUNT {
            tried(&tenant, &world.elsewhere(), &email).await.expect_problem(401, "invalid_credentials");
        }
        let refused = tried(&tenant, &world.elsewhere(), &email).await.expect_problem(429, "rate_limited");
        let seconds: u64 = refused.header("retry-after").parse().unwrap();
        assert!((1..=60).contains(&seconds));
        assert_eq!(hashes(&tenant, &refused).await, None, "nothing was hashed");
        told.push((refused.header("x-ratelimit-limit").to_owned(), refused.header("x-ratelimit-remaining").to_owned()));
    }
    assert_eq!(told[0], told[1]);
    let right = json!({"email": user.email, "password": user.password});
    let login = world.elsewhere().call("POST", &tenant.host, "/api/v1/auth/login").json(&right).send().await;
    login.expect_problem(429, "rate_limited");
    for (path, body) in [("register", right.clone()), ("password/forgot", json!({"email": user.email}))] {
        tenant.patch(json!({"settings": {"registration": "open"}})).await;
        let path = format!("/api/v1/auth/{path}");
        let answer = world.elsewhere().call("POST", &tenant.host, &path).json(&body).send().await;
        answer.expect_problem(429, "rate_limited");
    }
    let neighbour = tenant.user("viewer").await;
    neighbour.login().await;
}

#[tokio::test]
async fn an_address_takes_twenty_tries_a_minute_at_whatever_account() {
    let world = World::shared().await;
    let (tenant, other) = (world.tenant().create().await, world.tenant().create().await);
    early_in_a_minute().await;
    let spray = async |tenant: &Tenant, world: &World| tried(tenant, world, &format!("{}@x.test", unique())).await;
    for _ in 0..OF_ADDRESS {
        spray(&tenant, &world).await.expect_problem(401, "invalid_credentials");
    }
    spray(&tenant, &world).await.expect_problem(429, "rate_limited");
    let (network, _) = world.address.rsplit_once("::").unwrap();
    let mut next_door = world.clone();
    next_door.address = format!("{network}:0:1:2:3");
    spray(&tenant, &next_door).await.expect_problem(429, "rate_limited");
    spray(&tenant, &world.elsewhere()).await.expect_problem(401, "invalid_credentials");
    spray(&other, &world).await.expect_problem(401, "invalid_credentials");
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
    let all = (0..AT_ACCOUNT * 2).map(|_| {
        let world = world.elsewhere();
        async move { tried(tenant, &world, email).await.status }
    });
    let statuses = futures_util::future::join_all(all).await;
    assert_eq!(statuses.iter().filter(|status| **status == 401).count(), AT_ACCOUNT, "{statuses:?}");
}
