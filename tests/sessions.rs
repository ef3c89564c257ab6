//! Sessions: where a user is signed in, and the end of it.

use serde_json::{Value, json};

use crate::world::{Tenant, Tokens, World};

const SESSIONS: &str = "/api/v1/auth/sessions";
const ME: &str = "/api/v1/auth/me";

async fn tenant() -> Tenant {
    World::shared().await.tenant().create().await
}

async fn me(tenant: &Tenant, tokens: &Tokens) -> u16 {
    tenant.call("GET", ME).bearer(&tokens.access).send().await.status
}

async fn refresh(tenant: &Tenant, tokens: &Tokens) -> u16 {
    let body = json!({"refresh_token": tokens.refresh});
    tenant.call("POST", "/api/v1/auth/refresh").json(&body).send().await.status
}

#[tokio::test]
async fn a_user_sees_their_own_sessions_and_which_one_asks() {
    let tenant = tenant().await;
    let (user, other) = (tenant.user("viewer").await, tenant.user("viewer").await);
    let call = user.login_call().header("User-Agent", "a test").send().await.expect(200);
    let (first, second) = (Tokens::of(&call), user.login().await);
    other.login().await;
    let answer = tenant.call("GET", SESSIONS).bearer(&first.access).send().await.expect(200);
    let listed = answer.data();
    let current = |id: &str| {
        let found = listed.as_array().unwrap().iter().find(|session| session["id"] == id);
        found.unwrap_or_else(|| panic!("{id} in {listed}"))["current"].clone()
    };
    assert_eq!((current(&first.session), current(&second.session)), (json!(true), json!(false)));
    assert_eq!(listed.as_array().unwrap().len(), 2);
    let shown = listed.as_array().unwrap().iter().find(|session| session["user_agent"] == "a test").unwrap();
    assert_eq!(shown["address"], json!(tenant.world.address));
    assert!(shown["created_at"].is_string() && shown["expires_at"].is_string());
    assert!(!answer.body.contains("digest") && !answer.body.contains(&first.refresh));
}

#[tokio::test]
async fn a_session_that_is_ended_opens_nothing_from_the_next_request_on() {
    let tenant = tenant().await;
    let user = tenant.user("viewer").await;
    let (first, second) = (user.login().await, user.login().await);
    let path = format!("{SESSIONS}/{}", second.session);
    tenant.call("DELETE", &path).bearer(&first.access).send().await.expect(204);
    assert_eq!((me(&tenant, &second).await, refresh(&tenant, &second).await), (401, 401));
    assert_eq!(me(&tenant, &first).await, 200);
    tenant.call("DELETE", &path).bearer(&first.access).send().await.expect_problem(404, "not_found");
    assert_eq!(tenant.audited("session.end").await.len(), 1);
}

#[tokio::test]
async fn somebody_elses_session_is_answered_like_a_missing_one() {
    let world = World::shared().await;
    let (mine, other) = (world.tenant().create().await, world.tenant().create().await);
    let user = mine.user("owner").await;
    let tokens = user.login().await;
    let colleague = mine.user("viewer").await.login().await;
    let stranger = other.user("viewer").await.login().await;
    let end = async |id: &str| {
        mine.call("DELETE", &format!("{SESSIONS}/{id}")).bearer(&tokens.access).send().await.expect(404).body
    };
    let masked = |body: String| {
        let mut problem: Value = serde_json::from_str(&body).unwrap();
        problem["request_id"].take();
        problem
    };
    let missing = masked(end("aaaaaaaaaaaa").await);
    for session in [&colleague.session, &stranger.session] {
        assert_eq!(masked(end(session).await), missing);
    }
    assert_eq!((me(&mine, &colleague).await, me(&other, &stranger).await), (200, 200));
}

#[tokio::test]
async fn all_other_sessions_end_at_once() {
    let tenant = tenant().await;
    let user = tenant.user("viewer").await;
    let (kept, lost, cookie) = (user.login().await, user.login().await, user.browser().await);
    let bystander = tenant.user("viewer").await.login().await;
    let ended = tenant.call("DELETE", SESSIONS).bearer(&kept.access).send().await.expect(200).data();
    assert_eq!(ended, json!({"ended": 2}));
    assert_eq!((me(&tenant, &kept).await, me(&tenant, &lost).await), (200, 401));
    tenant.call("GET", ME).header("Cookie", &cookie).send().await.expect(401);
    assert_eq!(me(&tenant, &bystander).await, 200);
}

#[tokio::test]
async fn whoever_signs_out_is_out_in_the_database_too() {
    let tenant = tenant().await;
    let user = tenant.user("viewer").await;
    let (tokens, cookie) = (user.login().await, user.browser().await);
    let out = |call: crate::world::RequestBuilder| async { call.send().await.expect(204) };
    out(tenant.call("POST", "/api/v1/auth/logout").bearer(&tokens.access)).await;
    let own = format!("http://{}", tenant.host);
    let answer = out(tenant.call("POST", "/api/v1/auth/logout").header("Cookie", &cookie).header("Origin", &own)).await;
    assert!(answer.header("set-cookie").starts_with("__Host-carillon_session=; "), "{:?}", answer.headers);
    assert!(answer.header("set-cookie").ends_with("Max-Age=0"));
    assert_eq!((me(&tenant, &tokens).await, refresh(&tenant, &tokens).await), (401, 401));
    tenant.call("GET", ME).header("Cookie", &cookie).send().await.expect(401);
    assert_eq!(tenant.on_shard("SELECT id FROM sessions WHERE tenant_id = ?1", &[]).await.len(), 0);
    assert_eq!(tenant.on_shard("SELECT digest FROM refresh_tokens WHERE tenant_id = ?1", &[]).await.len(), 0);
}

#[tokio::test]
async fn a_session_is_over_when_its_time_is() {
    let tenant = tenant().await;
    let user = tenant.user("viewer").await;
    let (tokens, cookie) = (user.login().await, user.browser().await);
    tenant.on_shard("UPDATE sessions SET expires_at = 1 WHERE tenant_id = ?1", &[]).await;
    assert_eq!((me(&tenant, &tokens).await, refresh(&tenant, &tokens).await), (401, 401));
    tenant.call("GET", ME).header("Cookie", &cookie).send().await.expect(401);
}

#[tokio::test]
async fn a_session_survives_the_death_of_every_process() {
    let world = World::own().await;
    let tenant = world.tenant().create().await;
    let user = tenant.user("viewer").await;
    let (tokens, cookie) = (user.login().await, user.browser().await);
    world.kill();
    world.restart(&[]).await;
    assert_eq!((me(&tenant, &tokens).await, refresh(&tenant, &tokens).await), (200, 200));
    tenant.call("GET", ME).header("Cookie", &cookie).send().await.expect(200);
}
