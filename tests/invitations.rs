//! Invitations: an address is asked, whoever owns it joins, once.

use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::world::{PASSWORD, Tenant, TestResponse, World, address, unique};

const INVITATIONS: &str = "/api/v1/invitations";
const ACCEPT: &str = "/api/v1/invitations/accept";

async fn tenant() -> Tenant {
    World::shared().await.tenant().create().await
}

async fn invite(tenant: &Tenant, body: Value) -> TestResponse {
    tenant.as_owner("POST", INVITATIONS).json(&body).send().await
}

async fn find(tenant: &Tenant, id: &str) -> Value {
    tenant.as_owner("GET", &format!("{INVITATIONS}/{id}")).send().await.expect(200).data()
}

#[tokio::test]
async fn a_password_that_an_invitation_sets_decomposed_is_known_composed() {
    let tenant = tenant().await;
    let email = address();
    let (_, token) = tenant.invite(&email, "viewer").await;
    let body = json!({"token": token, "email": email, "password": "cafe\u{301} au lait"});
    tenant.call("POST", ACCEPT).json(&body).send().await.expect(201);
    let body = json!({"email": email, "password": "caf\u{e9} au lait"});
    tenant.call("POST", "/api/v1/auth/login").json(&body).send().await.expect(200);
}

#[tokio::test]
async fn an_invitation_is_accepted_once_by_its_address_and_signs_in() {
    let tenant = tenant().await;
    let email = address();
    let before = tenant.invitation_tokens().await.len();
    let made = invite(&tenant, json!({"email": email.to_uppercase()})).await.expect(201);
    let id = made.data()["id"].as_str().unwrap().to_owned();
    assert_eq!((&made.data()["role"], &made.data()["status"]), (&json!("viewer"), &json!("open")));
    assert_eq!(find(&tenant, &id).await, made.data());
    let token = tenant.invitation_token(before).await;
    assert!(token.starts_with("car_in_") && !made.body.contains(&token));
    let body = json!({"token": token, "email": email, "password": PASSWORD, "name": "Ada"});
    let joined = tenant.call("POST", ACCEPT).json(&body).send().await.expect(201).data();
    assert_eq!((&joined["user"]["email"], &joined["user"]["role"]), (&json!(email), &json!("viewer")));
    let path = format!("/api/v1/users/{}", joined["user"]["id"].as_str().unwrap());
    let user = tenant.as_owner("GET", &path).send().await.expect(200).data();
    assert_eq!(user["name"], "Ada");
    assert!(user["email_verified_at"].is_string() && user["last_login_at"].is_string(), "{user}");
    assert_eq!(find(&tenant, &id).await["status"], "accepted");
    tenant.accept(&token, &email).await.expect_problem(404, "invitation_not_found");
    let stored = tenant.on_shard("SELECT password_hash FROM users WHERE tenant_id = ?1", &[]).await;
    assert!(stored[0]["password_hash"].as_str().unwrap().starts_with("$argon2id$v=19$m=19456,t=2,p=1$"));
    let kept = tenant.on_shard("SELECT * FROM tenant_invitations WHERE tenant_id = ?1", &[]).await;
    assert!(!Value::Array(kept).to_string().contains(&token), "the token is kept by its digest only");
    for rest in ["/resend", ""] {
        let method = if rest.is_empty() { "DELETE" } else { "POST" };
        let late = tenant.as_owner(method, &format!("{INVITATIONS}/{id}{rest}")).send().await;
        late.expect_problem(409, "invitation_accepted");
    }
}

#[tokio::test]
async fn a_browser_may_join_by_cookie() {
    let tenant = tenant().await;
    let email = address();
    let (_, token) = tenant.invite(&email, "editor").await;
    let body = json!({"token": token, "email": email, "password": PASSWORD, "cookie": true});
    let joined = tenant.call("POST", ACCEPT).json(&body).send().await.expect(201);
    assert_eq!(joined.data()["access_token"], Value::Null);
    let cookie = joined.header("set-cookie").split(';').next().unwrap().to_owned();
    tenant.call("GET", "/api/v1/users").header("Cookie", &cookie).send().await.expect(200);
}

#[tokio::test]
async fn what_opens_no_invitation_gets_one_answer() {
    let (tenant, other) = (tenant().await, tenant().await);
    let email = address();
    let (_, token) = tenant.invite(&email, "viewer").await;
    let unknown = tenant.accept(&format!("car_in_{}", unique()), &email).await;
    let unknown = unknown.expect_problem(404, "invitation_not_found").masked(&[]);
    let revoked_email = address();
    let (revoked, revoked_token) = tenant.invite(&revoked_email, "viewer").await;
    tenant.as_owner("DELETE", &format!("{INVITATIONS}/{revoked}")).send().await.expect(200);
    let expired_email = address();
    let (_, expired_token) = tenant.invite(&expired_email, "viewer").await;
    let end = "UPDATE tenant_invitations SET expires_at = 1 WHERE tenant_id = ?1 AND id <> ?2 RETURNING id";
    for shard in ["SHARD_00", "SHARD_01"] {
        let first =
            tenant.on_shard("SELECT id FROM tenant_invitations WHERE tenant_id = ?1 ORDER BY created_at", &[]).await;
        tenant.world.rows(shard, end, &[&tenant.id, first[0]["id"].as_str().unwrap()]).await;
    }
    for (token, email) in [(&token, &address()), (&revoked_token, &revoked_email), (&expired_token, &expired_email)] {
        let answer = tenant.accept(token, email).await.expect_problem(404, "invitation_not_found");
        assert_eq!(answer.masked(&[]).lines().last(), unknown.lines().last());
    }
    other.accept(&token, &email).await.expect_problem(404, "invitation_not_found");
    tenant.call("POST", "/api/v1/invitations/accept").json(&json!({})).send().await.expect(422);
    tenant.accept(&token, &email).await.expect(201);
}

#[tokio::test]
async fn accepted_twice_at_once_it_makes_one_user() {
    let tenant = tenant().await;
    let email = address();
    let (_, token) = tenant.invite(&email, "viewer").await;
    let (one, two) = tokio::join!(tenant.accept(&token, &email), tenant.accept(&token, &email));
    let mut statuses = [one.status, two.status];
    statuses.sort_unstable();
    assert_eq!(statuses, [201, 404], "{} {}", one.body, two.body);
    assert_eq!(tenant.on_shard("SELECT id FROM users WHERE tenant_id = ?1", &[]).await.len(), 1);
}

#[tokio::test]
async fn a_plan_has_room_for_so_many_whoever_accepts_at_once() {
    let tenant = World::shared().await.tenant().limit("max_users", 3).create().await;
    let mut running = JoinSet::new();
    for _ in 0..10 {
        let email = address();
        let (_, token) = tenant.invite(&email, "viewer").await;
        let tenant = tenant.clone();
        running.spawn(async move { tenant.accept(&token, &email).await });
    }
    let answers = running.join_all().await;
    assert_eq!(answers.iter().filter(|answer| answer.status == 201).count(), 3);
    for refused in answers.into_iter().filter(|answer| answer.status != 201) {
        refused.expect_problem(409, "user_limit_reached");
    }
    assert_eq!(tenant.on_shard("SELECT id FROM users WHERE tenant_id = ?1", &[]).await.len(), 3);
    let waiting = "SELECT id FROM tenant_invitations WHERE tenant_id = ?1 AND accepted_at IS NULL";
    assert_eq!(tenant.on_shard(waiting, &[]).await.len(), 7, "who found no room may still come");
}

#[tokio::test]
async fn one_invitation_per_address_and_none_for_a_user() {
    let tenant = tenant().await;
    let email = address();
    let (id, _) = tenant.invite(&email, "viewer").await;
    let again = invite(&tenant, json!({"email": email})).await.expect_problem(409, "conflict");
    assert_eq!(again.pointers(), ["/email"]);
    for shard in ["SHARD_00", "SHARD_01"] {
        let sql = "UPDATE tenant_invitations SET expires_at = 1 WHERE tenant_id = ?1 RETURNING id";
        tenant.world.rows(shard, sql, &[&tenant.id]).await;
    }
    assert_eq!(find(&tenant, &id).await["status"], "expired");
    let (_, token) = tenant.invite(&email, "viewer").await;
    tenant.as_owner("GET", &format!("{INVITATIONS}/{id}")).send().await.expect_problem(404, "not_found");
    tenant.accept(&token, &email).await.expect(201);
    invite(&tenant, json!({"email": email})).await.expect_problem(409, "conflict");
}

#[tokio::test]
async fn who_is_invited_is_made_a_user_by_accepting_only() {
    let tenant = tenant().await;
    let email = address();
    let (id, token) = tenant.invite(&email, "owner").await;
    let make =
        async || tenant.as_owner("POST", "/api/v1/users").json(&json!({"email": email, "role": "viewer"})).send().await;
    assert_eq!(make().await.expect_problem(409, "conflict").pointers(), ["/email"]);
    for shard in ["SHARD_00", "SHARD_01"] {
        let sql = "UPDATE tenant_invitations SET sent_at = 1, expires_at = 2 WHERE tenant_id = ?1 RETURNING id";
        tenant.world.rows(shard, sql, &[&tenant.id]).await;
    }
    make().await.expect(201);
    let resent = tenant.as_owner("POST", &format!("{INVITATIONS}/{id}/resend")).send().await;
    resent.expect_problem(404, "not_found");
    tenant.accept(&token, &email).await.expect_problem(404, "invitation_not_found");
}

#[tokio::test]
async fn nobody_invites_beyond_their_own_permissions() {
    let tenant = tenant().await;
    let key =
        tenant.key(&["invitations:*", "events:read", "collections:read", "records:read", "settings:read"]).await.text;
    let ask =
        async |method: &str, path: &str, body: Value| tenant.call(method, path).bearer(&key).json(&body).send().await;
    for role in ["owner", "editor"] {
        let refused = ask("POST", INVITATIONS, json!({"email": address(), "role": role})).await;
        assert_eq!(refused.expect_problem(403, "beyond_own_permissions").pointers(), ["/role"]);
    }
    ask("POST", INVITATIONS, json!({"email": address(), "role": "viewer"})).await.expect(201);
    let (id, _) = tenant.invite(&address(), "owner").await;
    for (method, rest) in [("POST", "/resend"), ("DELETE", "")] {
        let refused = ask(method, &format!("{INVITATIONS}/{id}{rest}"), json!({})).await;
        refused.expect_problem(403, "beyond_own_permissions");
    }
}

#[tokio::test]
async fn sent_again_it_has_another_token_but_only_once_a_minute() {
    let tenant = tenant().await;
    let email = address();
    let (id, old) = tenant.invite(&email, "viewer").await;
    let resend = async || tenant.as_owner("POST", &format!("{INVITATIONS}/{id}/resend")).send().await;
    let early = resend().await.expect_problem(429, "rate_limited");
    assert!((1..=60).contains(&early.header("retry-after").parse::<u32>().unwrap()));
    for shard in ["SHARD_00", "SHARD_01"] {
        let sql = "UPDATE tenant_invitations SET sent_at = 1, expires_at = 2 WHERE tenant_id = ?1 RETURNING id";
        tenant.world.rows(shard, sql, &[&tenant.id]).await;
    }
    let before = tenant.invitation_tokens().await.len();
    let (one, two) = tokio::join!(resend(), resend());
    assert!(one.status == 200 || two.status == 200, "{} {}", one.body, two.body);
    assert!(one.status != two.status, "sent once: {} {}", one.body, two.body);
    let new = tenant.invitation_token(before).await;
    tenant.accept(&old, &email).await.expect_problem(404, "invitation_not_found");
    tenant.accept(&new, &email).await.expect(201);
}

#[tokio::test]
async fn bad_bodies_name_their_fields() {
    let tenant = tenant().await;
    for (body, pointer) in [
        (json!({}), "/email"),
        (json!({"email": "nobody"}), "/email"),
        (json!({"email": address(), "role": "king"}), "/role"),
        (json!({"email": address(), "expires_in_days": 31}), "/expires_in_days"),
        (json!({"email": address(), "expires_in_days": 0}), "/expires_in_days"),
        (json!({"email": address(), "token": "mine"}), "/token"),
    ] {
        invite(&tenant, body).await.expect_invalid(pointer);
    }
    let accept = async |body: Value| tenant.call("POST", ACCEPT).json(&body).send().await;
    assert_eq!(accept(json!({})).await.expect(422).pointers(), ["/token", "/email", "/password"]);
    for password in ["1234567", &"x".repeat(257)] {
        accept(json!({"token": "x", "email": address(), "password": password})).await.expect_invalid("/password");
    }
}

#[tokio::test]
async fn invitations_are_listed_and_a_foreign_one_looks_like_none() {
    let (tenant, other) = (tenant().await, tenant().await);
    for _ in 0..3 {
        tenant.invite(&address(), "viewer").await;
    }
    let (theirs, _) = other.invite(&address(), "viewer").await;
    let page = tenant.as_owner("GET", INVITATIONS).query("limit", "2").send().await.expect(200).json();
    let cursor = page["pagination"]["cursor"].as_str().unwrap();
    let rest = tenant.as_owner("GET", INVITATIONS).query("cursor", cursor).send().await.expect(200).data();
    assert_eq!(rest.as_array().unwrap().len(), 1);
    let ended = page["data"][0]["expires_at"].as_str().unwrap() > page["data"][0]["created_at"].as_str().unwrap();
    assert!(ended, "{page}");
    for (method, rest) in [("GET", ""), ("DELETE", ""), ("POST", "/resend")] {
        let ask = async |id: &str| {
            let call = tenant.as_owner(method, &format!("{INVITATIONS}/{id}{rest}"));
            let problem = call.send().await.expect_problem(404, "not_found").json();
            (problem["code"].clone(), problem["detail"].clone(), problem["errors"].clone())
        };
        assert_eq!(ask(&theirs).await, ask(&format!("inv_{}", unique())).await, "{method}");
    }
}
