//! What people and keys of a tenant lose, on the isolate that did not take it.

use serde_json::{Value, json};

use crate::world::{Pair, Tenant, Tokens, User, World, address};

const KEYS: &str = "/api/v1/api-keys";
const ME: &str = "/api/v1/auth/me";
const MINT: &str = "/api/v1/subscriber-tokens";
const SESSIONS: &str = "/api/v1/auth/sessions";

async fn plain() -> Pair {
    World::on_both(|tenant| tenant).await
}

/// A change by whoever may do everything.
fn owner(method: &'static str, path: String, body: Value) -> impl AsyncFnOnce(&Tenant) {
    async move |tenant: &Tenant| {
        let answer = tenant.as_owner(method, &path).json(&body).send().await;
        assert!((200..300).contains(&answer.status), "{method} {path}: {}", answer.body);
    }
}

/// What somebody gets for a path with a credential.
async fn gets(tenant: &Tenant, path: &str, bearer: &str) -> u16 {
    tenant.call("GET", path).bearer(bearer).send().await.status
}

/// Whether a minted subscriber token opens a stream and buys a ticket.
async fn hears(tenant: &Tenant, minted: &str) -> (u16, u16) {
    let bearer = format!("Bearer {minted}");
    let opened = tenant.events(&["orders"]).header("Authorization", &bearer).open().await;
    let ticket = tenant.call("PUT", "/events").bearer(minted).send().await.status;
    (opened.map_or_else(|refused| refused.status, |_| 200), ticket)
}

async fn minted(tenant: &Tenant, bearer: &str) -> String {
    let call = tenant.call("POST", MINT).bearer(bearer).json(&json!({"topics": ["orders"]}));
    call.send().await.expect(201).data()["token"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_role_that_loses_permissions_loses_them_in_every_isolate() {
    let pair = plain().await;
    pair.here.role("press", &["api-keys:read", "subscriber-tokens:write", "events:read"]).await;
    let tokens = pair.here.user("press").await.login().await;
    let heard = minted(&pair.here, &tokens.access).await;
    let asked = async |tenant: &Tenant| (gets(tenant, KEYS, &tokens.access).await, hears(tenant, &heard).await);
    let less = owner("PATCH", "/api/v1/roles/press".to_owned(), json!({"permissions": ["audit:read"]}));
    pair.binds(asked, (200, (200, 201)), less, (403, (401, 401))).await;
}

#[tokio::test]
async fn a_role_made_again_under_a_name_is_another_role_in_every_isolate() {
    let pair = plain().await;
    pair.here.role("press", &["api-keys:read"]).await;
    let person = pair.here.user("press").await;
    let tokens = person.login().await;
    let again = async |tenant: &Tenant| {
        owner("PATCH", format!("/api/v1/users/{}", person.id), json!({"role": "viewer"}))(tenant).await;
        tenant.as_owner("DELETE", "/api/v1/roles/press").send().await.expect(200);
        tenant.role("press", &["audit:read"]).await;
        owner("PATCH", format!("/api/v1/users/{}", person.id), json!({"role": "press"}))(tenant).await;
    };
    // The session of the role of before may be over; what it never does is what that role did.
    let asked = async |tenant: &Tenant| {
        let session = gets(tenant, KEYS, &tokens.access).await;
        let fresh = User { tenant: tenant.clone(), ..person.clone() }.login().await;
        (session == 200, gets(tenant, KEYS, &fresh.access).await)
    };
    pair.binds(asked, (true, 200), again, (false, 403)).await;
}

#[tokio::test]
async fn a_user_who_is_demoted_or_disabled_is_so_in_every_isolate() {
    let pair = plain().await;
    pair.here.user("owner").await;
    let user = pair.here.user("admin").await;
    let path = format!("/api/v1/users/{}", user.id);
    let (tokens, cookie) = (user.login().await, user.browser().await);
    let heard = minted(&pair.here, &tokens.access).await;
    let asked = async |tenant: &Tenant| {
        let by_cookie = tenant.call("GET", ME).header("Cookie", &cookie).send().await.status;
        (gets(tenant, KEYS, &tokens.access).await, by_cookie, hears(tenant, &heard).await)
    };
    let demoted = owner("PATCH", path.clone(), json!({"role": "viewer"}));
    pair.binds(&asked, (200, 200, (200, 201)), demoted, (403, 200, (401, 401))).await;
    let disabled = owner("PATCH", path, json!({"status": "disabled"}));
    pair.binds(&asked, (403, 200, (401, 401)), disabled, (401, 401, (401, 401))).await;
}

#[tokio::test]
async fn a_user_made_again_under_an_address_is_another_user_in_every_isolate() {
    let pair = plain().await;
    pair.here.user("owner").await;
    let user = pair.here.user("admin").await;
    let tokens = user.login().await;
    let heard = minted(&pair.here, &tokens.access).await;
    let asked = async |tenant: &Tenant| {
        let refreshed = tenant.call("POST", "/api/v1/auth/refresh").json(&json!({"refresh_token": "car_rt_none"}));
        assert_eq!(refreshed.send().await.status, 401);
        (gets(tenant, ME, &tokens.access).await, hears(tenant, &heard).await)
    };
    let again = async |tenant: &Tenant| {
        owner("DELETE", format!("/api/v1/users/{}", user.id), json!({}))(tenant).await;
        owner("POST", "/api/v1/users".to_owned(), json!({"email": user.email, "role": "admin"}))(tenant).await;
    };
    pair.binds(asked, (200, (200, 201)), again, (401, (401, 401))).await;
    let spent = json!({"refresh_token": tokens.refresh});
    let refreshed = pair.there.call("POST", "/api/v1/auth/refresh").json(&spent).send().await;
    refreshed.expect_problem(401, "invalid_refresh_token");
}

#[tokio::test]
async fn a_session_that_ends_ends_in_every_isolate() {
    let pair = plain().await;
    let user = pair.here.user("admin").await;
    for number in 0..5 {
        let (kept, lost) = (user.login().await, user.login().await);
        let (method, path, by_itself) = match number {
            0 => ("POST", "/api/v1/auth/logout".to_owned(), true),
            1 => ("DELETE", format!("{SESSIONS}/{}", lost.session), false),
            2 => ("DELETE", SESSIONS.to_owned(), false),
            3 => ("POST", format!("/api/v1/users/{}/sessions/revoke", user.id), false),
            _ => ("POST", "/api/v1/auth/revoke-all".to_owned(), false),
        };
        let asked = async |tenant: &Tenant| gets(tenant, ME, &lost.access).await;
        let ended = async |tenant: &Tenant| {
            let call = match number {
                4 => tenant.as_owner(method, &path),
                _ => tenant.call(method, &path).bearer(if by_itself { &lost.access } else { &kept.access }),
            };
            let answer = call.send().await;
            assert!((200..300).contains(&answer.status), "{method} {path}: {}", answer.body);
        };
        pair.binds(asked, 200, ended, 401).await;
        // No more than 10 tries to sign in at an account within a minute.
        pair.here.on_shard("DELETE FROM sessions WHERE tenant_id = ?1", &[]).await;
    }
}

#[tokio::test]
async fn a_refresh_token_is_spent_in_every_isolate() {
    let pair = plain().await;
    let tokens = pair.here.user("viewer").await.login().await;
    let refresh = async |tenant: &Tenant, token: &str| {
        tenant.call("POST", "/api/v1/auth/refresh").json(&json!({"refresh_token": token})).send().await
    };
    let next = Tokens::of(&refresh(&pair.here, &tokens.refresh).await.expect(200));
    assert_eq!(gets(&pair.there, ME, &next.access).await, 200);
    let pass = "UPDATE refresh_tokens SET used_at = used_at - 10001 WHERE tenant_id = ?1 AND used_at > 0";
    pair.here.on_shard(pass, &[]).await;
    // Used again after its grace it ends the session, whichever isolate sees it.
    refresh(&pair.there, &tokens.refresh).await.expect_problem(401, "invalid_refresh_token");
    for tenant in [&pair.here, &pair.there] {
        assert_eq!(gets(tenant, ME, &next.access).await, 401);
        refresh(tenant, &next.refresh).await.expect_problem(401, "invalid_refresh_token");
    }
}

#[tokio::test]
async fn another_password_ends_what_the_one_before_opened_in_every_isolate() {
    let pair = plain().await;
    let user = pair.here.user("admin").await;
    let signs_in = async |tenant: &Tenant, password: &str| {
        let body = json!({"email": user.email, "password": password});
        tenant.call("POST", "/api/v1/auth/login").json(&body).send().await.status
    };
    let (one, other) = (user.login().await, user.login().await);
    let heard = minted(&pair.here, &other.access).await;
    let asked = async |tenant: &Tenant| (gets(tenant, ME, &other.access).await, hears(tenant, &heard).await);
    let changed = async |tenant: &Tenant| {
        let body = json!({"current_password": user.password, "new_password": "another one altogether"});
        tenant.call("POST", "/api/v1/auth/password").bearer(&one.access).json(&body).send().await.expect(200);
    };
    pair.binds(asked, (200, (200, 201)), changed, (401, (401, 401))).await;
    assert_eq!(signs_in(&pair.there, &user.password).await, 401);
    assert_eq!(signs_in(&pair.there, "another one altogether").await, 200);

    let tokens = Tokens::of(
        &pair
            .there
            .call("POST", "/api/v1/auth/login")
            .json(&json!({"email": user.email, "password": "another one altogether"}))
            .send()
            .await
            .expect(200),
    );
    let asked = async |tenant: &Tenant| gets(tenant, ME, &tokens.access).await;
    let reset = async |tenant: &Tenant| {
        tenant
            .call("POST", "/api/v1/auth/password/forgot")
            .json(&json!({"email": user.email}))
            .send()
            .await
            .expect(202);
        let token = tenant.mailed("password_reset", 1).await.remove(0);
        let body = json!({"token": token, "password": "a third one altogether"});
        tenant.call("POST", "/api/v1/auth/password/reset").json(&body).send().await.expect(200);
    };
    pair.binds(asked, 200, reset, 401).await;
    assert_eq!(signs_in(&pair.there, "another one altogether").await, 401);
}

#[tokio::test]
async fn an_invitation_that_was_sent_again_or_revoked_is_so_in_every_isolate() {
    let pair = plain().await;
    let email = address();
    let (id, first) = pair.here.invite(&email, "viewer").await;
    let path = format!("/api/v1/invitations/{id}");
    // It is sent at most once a minute.
    pair.here.on_shard("UPDATE tenant_invitations SET sent_at = 1 WHERE tenant_id = ?1 RETURNING id", &[]).await;
    pair.here.as_owner("POST", &format!("{path}/resend")).send().await.expect(200);
    let second = pair.here.invitation_token(1).await;
    pair.there.accept(&first, &email).await.expect_problem(404, "invitation_not_found");
    pair.here.as_owner("DELETE", &path).send().await.expect(200);
    pair.there.accept(&second, &email).await.expect_problem(404, "invitation_not_found");
}

#[tokio::test]
async fn a_key_that_is_patched_narrower_is_so_in_every_isolate() {
    let changes = [(json!({"scopes": ["audit:read"]}), 403), (json!({"ip_allowlist": ["192.0.2.0/24"]}), 401)];
    for (change, status) in changes {
        let pair = plain().await;
        let key = pair.here.key(&["api-keys:read", "subscriber-tokens:write", "events:read"]).await;
        let heard = minted(&pair.here, &key.text).await;
        let path = format!("{KEYS}/{}", key.id);
        let asked = async |tenant: &Tenant| gets(tenant, KEYS, &key.text).await;
        pair.binds(asked, 200, owner("PATCH", path, change), status).await;
        if status == 403 {
            assert_eq!(hears(&pair.there, &heard).await, (401, 401), "it may mint no tokens any more");
        }
    }
}

#[tokio::test]
async fn a_keys_earlier_text_and_a_revoked_key_are_worthless_in_every_isolate() {
    let pair = plain().await;
    let key = pair.here.key(&["api-keys:read", "subscriber-tokens:write", "events:read"]).await;
    let path = format!("{KEYS}/{}", key.id);
    let asked = async |tenant: &Tenant| gets(tenant, KEYS, &key.text).await;
    pair.binds(asked, 200, owner("POST", format!("{path}/reroll"), json!({"grace_seconds": 0})), 401).await;

    let key = pair.here.key(&["api-keys:read", "subscriber-tokens:write", "events:read"]).await;
    let heard = minted(&pair.here, &key.text).await;
    let asked = async |tenant: &Tenant| (gets(tenant, KEYS, &key.text).await, hears(tenant, &heard).await);
    let revoked = async |tenant: &Tenant| {
        tenant.as_owner("DELETE", &format!("{KEYS}/{}", key.id)).send().await.expect(200);
    };
    pair.binds(asked, (200, (200, 201)), revoked, (401, (401, 401))).await;
}
