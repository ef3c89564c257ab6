//! Who comes in, and as what.

use serde_json::{Value, json};

use super::{PROVIDERS, add_user, audit_entries, comes_in, corp, provide, rows, shard, stays_out, tenant, users};
use crate::world::{Browser, Issuer, Tenant, World};

#[tokio::test]
async fn somebody_new_comes_in_by_the_tenants_provider() {
    let (tenant, issuer) = corp(json!({})).await;
    let offered = tenant.call("GET", "/api/v1/auth/sso").send().await.expect(200);
    assert_eq!(offered.data(), json!([{"id": "corp", "name": "Corp"}]));
    let mut browser = Browser::of(&tenant);
    let answer = browser.sign_in(&issuer, "ada").await;
    comes_in(&answer, &browser);
    assert_eq!(answer.header("referrer-policy"), "no-referrer");
    let user = &users(&tenant).await[0];
    assert_eq!(
        (&user["email"], &user["name"], &user["role"]),
        (&json!("ada@example.org"), &json!("Ada"), &json!("editor"))
    );
    assert!(user["email_verified_at"].is_number() && user["password_hash"].is_null());
    assert_eq!(audit_entries(&tenant).await, ["sso.create_user", "sso.login"]);
    // An editor sees users' roles and no keys: the session is that user's.
    browser.go("/api/v1/api-keys").await.expect_problem(403, "forbidden");
    let again = browser.sign_in(&issuer, "ada").await;
    comes_in(&again, &browser);
    assert_eq!(users(&tenant).await.len(), 1);
}

#[tokio::test]
async fn first_sign_ins_at_the_same_moment_make_one_user() {
    let (tenant, issuer) = corp(json!({})).await;
    let mut under_way = Vec::new();
    for _ in 0..8 {
        let mut browser = Browser::of(&tenant);
        let callback = browser.until_callback(&issuer, "ada").await;
        under_way.push(async move {
            let answer = browser.go(&callback).await;
            comes_in(&answer, &browser);
        });
    }
    futures_util::future::join_all(under_way).await;
    assert_eq!(users(&tenant).await.len(), 1);
}

#[tokio::test]
async fn the_user_of_the_same_address_is_linked_if_the_provider_verified_it() {
    let (tenant, issuer) = corp(json!({})).await;
    add_user(&tenant, "ada@example.org", "viewer", true).await;
    let accounts = json!({"ada": {"email": "ada@example.org", "email_verified": false, "groups": ["staff"]}});
    issuer.turn(json!({"accounts": accounts})).await;
    let mut browser = Browser::of(&tenant);
    browser.sign_in(&issuer, "ada").await.expect_problem(403, "sso_email_unverified");
    stays_out(&browser);
    issuer
        .turn(json!({"accounts": {"ada": {"email": "ADA@example.org", "email_verified": true, "groups": ["staff"]}}}))
        .await;
    let answer = browser.sign_in(&issuer, "ada").await;
    comes_in(&answer, &browser);
    let user = &users(&tenant).await[0];
    assert_eq!(
        (&user["id"], &user["role"], &user["password_hash"]),
        (&json!("usr_before"), &json!("editor"), &json!("a hash"))
    );
    assert_eq!(audit_entries(&tenant).await, ["sso.link", "sso.login"]);
    // From now on the subject counts, whatever becomes of the address.
    issuer.turn(json!({"accounts": {"ada": {"email": "lovelace@example.org", "email_verified": false, "groups": ["staff"]}}})).await;
    browser.sign_in(&issuer, "ada").await.expect(303);
    assert_eq!(users(&tenant).await.len(), 1);
}

#[tokio::test]
async fn an_account_whose_address_nobody_proved_falls_to_who_proves_it() {
    let (tenant, issuer) = corp(json!({})).await;
    add_user(&tenant, "ada@example.org", "viewer", false).await;
    let sql = "INSERT INTO sessions (tenant_id, id, user_id, address, user_agent, created_at, last_used_at, expires_at) VALUES (?1, 'squatter', 'usr_before', '', '', 1, 1, 9999999999999)";
    tenant.world.rows(&shard(&tenant).await, sql, &[&tenant.id]).await;
    Browser::of(&tenant).sign_in(&issuer, "ada").await.expect(303);
    let user = &users(&tenant).await[0];
    assert!(user["password_hash"].is_null() && user["email_verified_at"].is_number(), "{user}");
    let sessions = rows(&tenant, "SELECT id FROM sessions WHERE tenant_id = ?1").await;
    assert!(sessions.len() == 1 && sessions[0]["id"] != "squatter", "{sessions:?}");
}

#[tokio::test]
async fn the_role_follows_the_claim_at_each_sign_in() {
    let (tenant, issuer) =
        corp(json!({"role_map": {"chiefs": "admin", "staff": "editor"}, "default_role": "viewer"})).await;
    add_user(&tenant, "boss@example.org", "owner", true).await;
    let mut browser = Browser::of(&tenant);
    for (groups, role) in [
        (json!(["staff"]), "editor"),
        (json!(["staff", "chiefs"]), "admin"),
        (json!([]), "viewer"),
        (json!("staff"), "editor"),
        (json!(7), "viewer"),
    ] {
        let accounts = json!({"ada": {"email": "ada@example.org", "email_verified": true, "groups": groups}});
        issuer.turn(json!({"accounts": accounts})).await;
        browser.sign_in(&issuer, "ada").await.expect(303);
        assert_eq!(role_of(&tenant, "ada@example.org").await, role, "{groups}");
    }
}

#[tokio::test]
async fn no_claim_takes_the_last_owner_from_a_tenant() {
    let (tenant, issuer) = corp(json!({"role_map": {"chiefs": "owner"}, "default_role": "viewer"})).await;
    let mut browser = Browser::of(&tenant);
    for groups in [json!(["chiefs"]), json!([])] {
        let accounts = json!({"ada": {"email": "ada@example.org", "email_verified": true, "groups": groups}});
        issuer.turn(json!({"accounts": accounts})).await;
        browser.sign_in(&issuer, "ada").await.expect(303);
        assert_eq!(role_of(&tenant, "ada@example.org").await, "owner", "{groups}");
    }
}

#[tokio::test]
async fn a_tenant_that_is_full_takes_nobody_new() {
    let (tenant, issuer) = corp(json!({})).await;
    tenant.patch(json!({"rate_limits": {"max_users": 1}})).await;
    let account =
        |name: &str| json!({"email": format!("{name}@example.org"), "email_verified": true, "groups": ["staff"]});
    issuer.turn(json!({"accounts": {"ada": account("ada"), "bob": account("bob")}})).await;
    Browser::of(&tenant).sign_in(&issuer, "ada").await.expect(303);
    let refused = Browser::of(&tenant).sign_in(&issuer, "bob").await;
    refused.expect_problem(409, "user_limit_reached");
    Browser::of(&tenant).sign_in(&issuer, "ada").await.expect(303);
}

async fn role_of(tenant: &Tenant, email: &str) -> String {
    let users = users(tenant).await;
    let user = users.iter().find(|user| user["email"] == email).unwrap();
    user["role"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn without_a_default_role_whom_the_map_does_not_name_stays_out() {
    let (tenant, issuer) = corp(json!({"role_map": {"chiefs": "admin"}, "default_role": null})).await;
    let mut browser = Browser::of(&tenant);
    browser.sign_in(&issuer, "ada").await.expect_problem(403, "sso_not_admitted");
    add_user(&tenant, "ada@example.org", "viewer", true).await;
    browser.sign_in(&issuer, "ada").await.expect_problem(403, "sso_not_admitted");
    stays_out(&browser);
    let linked = rows(&tenant, "SELECT subject FROM sso_identities WHERE tenant_id = ?1").await;
    assert_eq!(linked.len(), 0);
}

#[tokio::test]
async fn a_provider_signs_in_nobody_who_may_do_more_than_whoever_made_it() {
    let tenant = tenant().await;
    let issuer = Issuer::of(&tenant).await;
    let key = tenant.key(&["sso:*", "events:read", "collections:read", "records:read", "settings:read"]).await;
    let mut body = issuer.provider();
    body["role_claim"] = Value::Null;
    body["role_map"] = json!({});
    body["default_role"] = "viewer".into();
    tenant.call("POST", PROVIDERS).bearer(&key.text).json(&body).send().await.expect(201);
    add_user(&tenant, "ada@example.org", "owner", true).await;
    let mut browser = Browser::of(&tenant);
    browser.sign_in(&issuer, "ada").await.expect_problem(403, "sso_not_admitted");
    stays_out(&browser);
    assert_eq!(users(&tenant).await[0]["role"], "owner");
    // The owner's word on its roles is the owner's word on whom it signs in.
    let path = format!("{PROVIDERS}/corp");
    tenant.as_owner("PATCH", &path).json(&json!({"name": "Corp 2"})).send().await.expect(200);
    browser.sign_in(&issuer, "ada").await.expect_problem(403, "sso_not_admitted");
    tenant.as_owner("PATCH", &path).json(&json!({"default_role": "viewer"})).send().await.expect(200);
    browser.sign_in(&issuer, "ada").await.expect(303);
    assert_eq!(users(&tenant).await[0]["role"], "owner");
}

#[tokio::test]
async fn a_disabled_user_stays_out() {
    let (tenant, issuer) = corp(json!({})).await;
    let mut browser = Browser::of(&tenant);
    browser.sign_in(&issuer, "ada").await.expect(303);
    let sql = "UPDATE users SET status = 'disabled' WHERE tenant_id = ?1";
    tenant.world.rows(&shard(&tenant).await, sql, &[&tenant.id]).await;
    let mut browser = Browser::of(&tenant);
    browser.sign_in(&issuer, "ada").await.expect_problem(403, "sso_not_admitted");
    stays_out(&browser);
}

#[tokio::test]
async fn a_disabled_provider_is_a_missing_one() {
    let builder = World::shared().await.tenant().limit("max_anonymous_requests_per_minute", -1);
    let tenant = builder.create().await;
    let issuer = Issuer::of(&tenant).await;
    provide(&tenant, &issuer, json!({})).await;
    let mut browser = Browser::of(&tenant);
    let under_way = browser.until_callback(&issuer, "ada").await;
    let path = format!("{PROVIDERS}/corp");
    tenant.as_owner("PATCH", &path).json(&json!({"enabled": false})).send().await.expect(200);
    let disabled = browser.go("/api/v1/auth/sso/corp").await.expect_problem(404, "not_found");
    let missing = browser.go("/api/v1/auth/sso/other").await;
    assert_eq!(disabled.masked(&[]), missing.masked(&[]));
    browser.go(&under_way).await.expect_problem(404, "not_found");
    stays_out(&browser);
    assert_eq!(tenant.call("GET", "/api/v1/auth/sso").send().await.expect(200).data(), json!([]));
}

#[tokio::test]
async fn a_registration_of_a_stranger_lends_nothing_to_who_comes_by_single_sign_on() {
    let (tenant, issuer) = corp(json!({})).await;
    tenant.patch(json!({"settings": {"registration": "open"}})).await;
    let body = json!({"email": "ada@example.org", "password": "the stranger's own", "name": "A Stranger"});
    let strangers = tenant.call("POST", "/api/v1/auth/register").json(&body).send().await.expect(202).data();
    let token = tenant.mailed("email_verification", 1).await.remove(0);
    let mut browser = Browser::of(&tenant);
    let answer = browser.sign_in(&issuer, "ada").await;
    comes_in(&answer, &browser);
    let user = &users(&tenant).await[0];
    assert_eq!((&user["name"], &user["password_hash"], &user["role"]), (&json!("Ada"), &Value::Null, &json!("editor")));
    let body = json!({"token": token, "registration": strangers["registration"]});
    let late = tenant.call("POST", "/api/v1/auth/verify-email").json(&body).send().await;
    late.expect_problem(400, "invalid_mailed_token");
    let body = json!({"email": "ada@example.org", "password": "the stranger's own"});
    tenant.call("POST", "/api/v1/auth/login").json(&body).send().await.expect(401);
    assert_eq!(users(&tenant).await.len(), 1);
}

#[tokio::test]
async fn who_was_raised_above_the_provider_while_signing_in_stays_out() {
    let tenant = tenant().await;
    let issuer = Issuer::of(&tenant).await;
    let key = tenant.key(&["sso:*", "events:read", "collections:read", "records:read", "settings:read"]).await;
    let mut body = issuer.provider();
    body["role_claim"] = Value::Null;
    body["role_map"] = json!({});
    body["default_role"] = "viewer".into();
    tenant.call("POST", PROVIDERS).bearer(&key.text).json(&body).send().await.expect(201);
    add_user(&tenant, "ada@example.org", "viewer", true).await;
    let mut browser = Browser::of(&tenant);
    browser.sign_in(&issuer, "ada").await.expect(303);
    for _ in 0..4 {
        rows(&tenant, "UPDATE users SET role = 'viewer' WHERE tenant_id = ?1 RETURNING id").await;
        rows(&tenant, "DELETE FROM sessions WHERE tenant_id = ?1 RETURNING id").await;
        let mut browser = Browser::of(&tenant);
        let callback = browser.until_callback(&issuer, "ada").await;
        let raise = tenant.as_owner("PATCH", "/api/v1/users/usr_before").json(&json!({"role": "owner"})).send();
        let (raised, answer) = tokio::join!(raise, browser.go(&callback));
        assert!([200, 409].contains(&raised.status), "{}", raised.body);
        // In before, as a viewer, or not at all: no session is written for an owner.
        assert!([303, 403, 409].contains(&answer.status), "{} {}", answer.status, answer.body);
        browser.sign_in(&issuer, "ada").await.expect_problem(403, "sso_not_admitted");
    }
}
