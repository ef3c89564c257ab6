//! Another password: by the one before, or by a mail to the account's address.

use serde_json::json;

use crate::world::{PASSWORD, Tenant, TestResponse, Tokens, User, World, hashes, unique};

const NEW: &str = "another battery staple";
const FORGOT: &str = "/api/v1/auth/password/forgot";
const RESET: &str = "/api/v1/auth/password/reset";
const CHANGE: &str = "/api/v1/auth/password";
const ME: &str = "/api/v1/auth/me";

async fn tenant() -> Tenant {
    World::shared().await.tenant().create().await
}

async fn forgot(tenant: &Tenant, email: &str) -> TestResponse {
    tenant.call("POST", FORGOT).json(&json!({"email": email})).send().await.expect(202)
}

async fn reset(tenant: &Tenant, token: &str, password: &str) -> TestResponse {
    tenant.call("POST", RESET).json(&json!({"token": token, "password": password})).send().await
}

async fn me(tenant: &Tenant, access: &str) -> u16 {
    tenant.call("GET", ME).bearer(access).send().await.status
}

async fn opens(user: &User, password: &str) -> u16 {
    let body = json!({"email": user.email, "password": password});
    user.tenant.call("POST", "/api/v1/auth/login").json(&body).send().await.status
}

#[tokio::test]
async fn a_mailed_token_sets_another_password_once() {
    let tenant = tenant().await;
    let user = tenant.user("viewer").await;
    tenant.on_shard("UPDATE users SET email_verified_at = NULL WHERE tenant_id = ?1", &[]).await;
    forgot(&tenant, &user.email).await;
    let token = tenant.mailed("password_reset", 1).await.remove(0);
    let kept = tenant.on_shard("SELECT * FROM mailed_tokens WHERE tenant_id = ?1", &[]).await;
    assert!(!format!("{kept:?}").contains(&token), "only a digest is kept");
    reset(&tenant, &token, NEW).await.expect(200);
    assert_eq!((opens(&user, PASSWORD).await, opens(&user, NEW).await), (401, 200), "the address is proven too");
    reset(&tenant, &token, PASSWORD).await.expect_problem(400, "invalid_mailed_token");
    assert_eq!(opens(&user, NEW).await, 200);
    assert_eq!(tenant.audited("user.reset_password").await.len(), 1);
}

#[tokio::test]
async fn a_password_that_is_reset_decomposed_is_known_composed() {
    let tenant = tenant().await;
    let user = tenant.user("viewer").await;
    forgot(&tenant, &user.email).await;
    let token = tenant.mailed("password_reset", 1).await.remove(0);
    reset(&tenant, &token, "cafe\u{301}\u{2003}au lait").await.expect(200);
    for typed in ["caf\u{e9} au lait", "cafe\u{301}\u{3000}au lait"] {
        assert_eq!(opens(&user, typed).await, 200, "{typed}");
    }
    assert_eq!(opens(&user, "cafe au lait").await, 401);
}

#[tokio::test]
async fn of_two_who_present_a_token_at_once_one_sets_the_password() {
    let tenant = tenant().await;
    let user = tenant.user("viewer").await;
    forgot(&tenant, &user.email).await;
    let token = tenant.mailed("password_reset", 1).await.remove(0);
    let (one, two) = tokio::join!(reset(&tenant, &token, NEW), reset(&tenant, &token, "yet another password"));
    let mut statuses = [one.status, two.status];
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 400]);
    assert_eq!(tenant.audited("user.reset_password").await.len(), 1);
}

#[tokio::test]
async fn a_reset_ends_everything_that_there_was() {
    let tenant = tenant().await;
    let user = tenant.user("admin").await;
    let (tokens, cookie) = (user.login().await, user.browser().await);
    let body = json!({"topics": ["orders"]});
    let minted = tenant.call("POST", "/api/v1/subscriber-tokens").bearer(&tokens.access).json(&body).send().await;
    let minted = format!("Bearer {}", minted.expect(201).data()["token"].as_str().unwrap());
    let mut stream = tenant.events(&["orders"]).header("Authorization", &minted).live().await;
    forgot(&tenant, &user.email).await;
    forgot(&tenant, &user.email).await;
    let mailed = tenant.mailed("password_reset", 2).await;
    reset(&tenant, &mailed[1], NEW).await.expect(200);
    stream.closed().await;
    tenant.events(&["orders"]).header("Authorization", &minted).refused().await.expect(401);
    assert_eq!(me(&tenant, &tokens.access).await, 401);
    tenant.call("GET", ME).header("Cookie", &cookie).send().await.expect(401);
    let body = json!({"refresh_token": tokens.refresh});
    tenant.call("POST", "/api/v1/auth/refresh").json(&body).send().await.expect(401);
    reset(&tenant, &mailed[0], PASSWORD).await.expect_problem(400, "invalid_mailed_token");
}

#[tokio::test]
async fn a_sign_in_that_races_a_reset_does_not_outlive_it() {
    let tenant = tenant().await;
    let user = tenant.user("viewer").await;
    forgot(&tenant, &user.email).await;
    let token = tenant.mailed("password_reset", 1).await.remove(0);
    let racing = futures_util::future::join_all((0..8).map(|_| user.login_call().send()));
    let (answers, reset) = tokio::join!(racing, reset(&tenant, &token, NEW));
    reset.expect(200);
    for answer in answers {
        assert!([200, 401, 503].contains(&answer.status), "{} {}", answer.status, answer.body);
        if answer.status == 200 {
            assert_eq!(me(&tenant, &Tokens::of(&answer).access).await, 401);
        }
    }
    assert_eq!(tenant.on_shard("SELECT id FROM sessions WHERE tenant_id = ?1", &[]).await.len(), 0);
}

#[tokio::test]
async fn asking_tells_nothing_of_accounts() {
    let tenant = tenant().await;
    let (user, disabled) = (tenant.user("viewer").await, tenant.user("viewer").await);
    disabled.set("status", "disabled").await;
    let told = |answer: &TestResponse| {
        let whole = answer.masked(&[]);
        whole.lines().filter(|line| !line.contains("ratelimit")).collect::<Vec<_>>().join("\n")
    };
    let known = forgot(&tenant, &user.email).await;
    for email in [disabled.email.clone(), format!("{}@nobody.test", unique())] {
        let answer = forgot(&tenant, &email).await;
        assert_eq!(told(&answer), told(&known));
        assert_eq!(hashes(&tenant, &answer).await, None, "nothing is hashed for anybody");
    }
    tenant.mailed("password_reset", 1).await;
    assert_eq!(tenant.on_shard("SELECT digest FROM mailed_tokens WHERE tenant_id = ?1", &[]).await.len(), 1);
}

#[tokio::test]
async fn asking_again_and_again_neither_piles_up_tokens_nor_takes_the_newest_away() {
    let tenant = tenant().await;
    let user = tenant.user("viewer").await;
    for count in 1..=7 {
        forgot(&tenant, &user.email).await;
        tenant.mailed("password_reset", count).await;
    }
    assert_eq!(tenant.on_shard("SELECT digest FROM mailed_tokens WHERE tenant_id = ?1", &[]).await.len(), 5);
    let mailed = tenant.mailed("password_reset", 7).await;
    reset(&tenant, &mailed[0], NEW).await.expect_problem(400, "invalid_mailed_token");
    reset(&tenant, &mailed[6], NEW).await.expect(200);
}

#[tokio::test]
async fn a_token_is_for_its_purpose_its_tenant_and_its_time() {
    let world = World::shared().await;
    let (tenant, other) = (world.tenant().create().await, world.tenant().create().await);
    let user = tenant.user("viewer").await;
    forgot(&tenant, &user.email).await;
    let token = tenant.mailed("password_reset", 1).await.remove(0);
    reset(&other, &token, NEW).await.expect_problem(400, "invalid_mailed_token");
    let verify = tenant.call("POST", "/api/v1/auth/verify-email").json(&json!({"token": token})).send().await;
    verify.expect_problem(400, "invalid_mailed_token");
    for text in ["nonsense", &token[..token.len() - 1]] {
        reset(&tenant, text, NEW).await.expect_problem(400, "invalid_mailed_token");
    }
    tenant.call("GET", ME).bearer(&token).send().await.expect(401);
    user.set("email", "moved@users.test").await;
    reset(&tenant, &token, NEW).await.expect_problem(400, "invalid_mailed_token");
    user.set("email", &user.email).await;
    tenant.on_shard("UPDATE mailed_tokens SET expires_at = 1 WHERE tenant_id = ?1", &[]).await;
    reset(&tenant, &token, NEW).await.expect_problem(400, "invalid_mailed_token");
    assert_eq!(opens(&user, PASSWORD).await, 200);
}

#[tokio::test]
async fn a_password_that_is_too_weak_does_not_spend_the_token() {
    let world = World::shared().await;
    let policy = json!({"password_policy": {"min_length": 12, "require_digit": true, "require_upper": true, "require_symbol": true, "forbid_email": true}});
    let tenant = world.tenant().set("settings", policy).create().await;
    let user = tenant.user("viewer").await;
    forgot(&tenant, &user.email).await;
    let token = tenant.mailed("password_reset", 1).await.remove(0);
    let with_address = format!("A1-{}", user.email);
    for weak in ["Short-1", "no-upper-case-1", "No-Digit-At-All", "NoSymbolAtAll1", with_address.as_str()] {
        reset(&tenant, &token, weak).await.expect_invalid("/password");
    }
    reset(&tenant, &token, &"x".repeat(257)).await.expect_invalid("/password");
    reset(&tenant, &token, "Strong-enough-1").await.expect(200);
}

#[tokio::test]
async fn a_policy_that_makes_no_sense_is_refused() {
    let world = World::shared().await;
    for (policy, pointer) in [
        (json!({"min_length": 7}), "/settings/password_policy/min_length"),
        (json!({"min_length": 129}), "/settings/password_policy/min_length"),
        (json!({"require_digit": "yes"}), "/settings/password_policy/require_digit"),
        (json!({"max_age": 1}), "/settings/password_policy/max_age"),
    ] {
        let settings = json!({"password_policy": policy});
        world.tenant().set("settings", settings).call().send().await.expect_invalid(pointer);
    }
}

#[tokio::test]
async fn whoever_changes_their_password_goes_on_alone() {
    let tenant = tenant().await;
    let user = tenant.user("viewer").await;
    let (mine, other, cookie) = (user.login().await, user.login().await, user.browser().await);
    let change = async |current: &str, new: &str| {
        let body = json!({"current_password": current, "new_password": new});
        tenant.call("POST", CHANGE).bearer(&mine.access).json(&body).send().await
    };
    change("not the password", NEW).await.expect_problem(401, "invalid_credentials");
    change(PASSWORD, "short").await.expect_invalid("/new_password");
    let answer = change(PASSWORD, NEW).await.expect(200);
    let fresh = answer.data()["access_token"].as_str().unwrap().to_owned();
    assert_eq!(me(&tenant, &fresh).await, 200);
    assert_eq!((me(&tenant, &mine.access).await, me(&tenant, &other.access).await), (401, 401));
    tenant.call("GET", ME).header("Cookie", &cookie).send().await.expect(401);
    assert_eq!((opens(&user, PASSWORD).await, opens(&user, NEW).await), (401, 200));
    assert_eq!(tenant.audited("user.change_password").await.len(), 1);
}

#[tokio::test]
async fn whoever_came_by_cookie_goes_on_by_cookie() {
    let tenant = tenant().await;
    let user = tenant.user("viewer").await;
    let cookie = user.browser().await;
    let body = json!({"current_password": PASSWORD, "new_password": NEW});
    let change = |call: crate::world::RequestBuilder| call.header("Cookie", &cookie).json(&body).send();
    change(tenant.call("POST", CHANGE)).await.expect_problem(403, "origin_not_allowed");
    let own = format!("http://{}", tenant.host);
    let answer = change(tenant.call("POST", CHANGE).header("Origin", &own)).await.expect(200);
    let fresh = answer.header("set-cookie").split(';').next().unwrap().to_owned();
    assert_ne!(fresh, cookie);
    assert!(!answer.body.contains("access_token"), "{}", answer.body);
    tenant.call("GET", ME).header("Cookie", &fresh).send().await.expect(200);
    tenant.call("GET", ME).header("Cookie", &cookie).send().await.expect(401);
}
