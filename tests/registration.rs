//! Registration: whoever proves an address becomes a user, and nobody learns who is one.

use serde_json::{Value, json};

use crate::world::{PASSWORD, Tenant, TestResponse, World, hashes, unique};

const REGISTER: &str = "/api/v1/auth/register";
const VERIFY: &str = "/api/v1/auth/verify-email";

/// A tenant that is open.
async fn open() -> Tenant {
    World::shared().await.tenant().set("settings", json!({"registration": "open"})).create().await
}

fn somebody() -> String {
    format!("{}@people.test", unique())
}

async fn register(tenant: &Tenant, body: Value) -> TestResponse {
    tenant.call("POST", REGISTER).json(&body).send().await
}

async fn verify(tenant: &Tenant, token: &str) -> TestResponse {
    tenant.call("POST", VERIFY).json(&json!({"token": token})).send().await
}

async fn login(tenant: &Tenant, email: &str, password: &str) -> TestResponse {
    let body = json!({"email": email, "password": password});
    tenant.call("POST", "/api/v1/auth/login").json(&body).send().await
}

#[tokio::test]
async fn a_tenant_is_closed_until_it_says_that_it_is_open() {
    let tenant = World::shared().await.tenant().create().await;
    let body = json!({"email": somebody(), "password": PASSWORD});
    register(&tenant, body.clone()).await.expect_problem(403, "registration_closed");
    tenant.patch(json!({"settings": {"registration": "open"}})).await;
    register(&tenant, body.clone()).await.expect(202);
    tenant.patch(json!({"settings": {"registration": "closed"}})).await;
    register(&tenant, body).await.expect_problem(403, "registration_closed");
}

#[tokio::test]
async fn who_proves_an_address_becomes_a_viewer() {
    let tenant = open().await;
    let email = somebody();
    let body = json!({"email": email.to_uppercase(), "password": PASSWORD, "name": "Ann"});
    register(&tenant, body).await.expect(202);
    let token = tenant.mailed("email_verification", 1).await.remove(0);
    login(&tenant, &email, PASSWORD).await.expect_problem(401, "invalid_credentials");
    assert_eq!(tenant.mailed("email_verification", 2).await.len(), 2, "who knows the password is reminded");
    verify(&tenant, &token).await.expect(200);
    let user = login(&tenant, &email, PASSWORD).await.expect(200).data()["user"].clone();
    assert_eq!((&user["email"], &user["name"], &user["role"]), (&json!(email), &json!("Ann"), &json!("viewer")));
    verify(&tenant, &token).await.expect_problem(400, "invalid_mailed_token");
    assert_eq!(tenant.audited("user.verify_email").await.len(), 1);
}

#[tokio::test]
async fn a_password_that_is_registered_decomposed_is_known_composed() {
    let tenant = open().await;
    let email = somebody();
    register(&tenant, json!({"email": email, "password": "cafe\u{301} au lait"})).await.expect(202);
    verify(&tenant, &tenant.mailed("email_verification", 1).await.remove(0)).await.expect(200);
    login(&tenant, &email, "caf\u{e9} au lait").await.expect(200);
    let short = json!({"email": somebody(), "password": "e\u{301}".repeat(9)});
    register(&tenant, short).await.expect_invalid("/password");
}

#[tokio::test]
async fn a_taken_address_is_answered_like_a_free_one() {
    let tenant = open().await;
    let user = tenant.user("owner").await;
    let told = |answer: &TestResponse| {
        let whole = answer.masked(&[]);
        whole.lines().filter(|line| !line.contains("ratelimit")).collect::<Vec<_>>().join("\n")
    };
    let free = register(&tenant, json!({"email": somebody(), "password": "a stranger's password"})).await.expect(202);
    let taken = register(&tenant, json!({"email": user.email, "password": "a stranger's password"})).await;
    assert_eq!(told(&free), told(&taken));
    assert_eq!((hashes(&tenant, &free).await, hashes(&tenant, &taken).await), (Some(1), Some(1)));
    assert_eq!(tenant.mailed("already_registered", 1).await.len(), 1, "the holder of the address is told");
    login(&tenant, &user.email, PASSWORD).await.expect(200);
    login(&tenant, &user.email, "a stranger's password").await.expect(401);
}

#[tokio::test]
async fn nobody_inherits_the_password_of_who_registered_before() {
    let tenant = open().await;
    let email = somebody();
    register(&tenant, json!({"email": email, "password": "the attacker's own"})).await.expect(202);
    register(&tenant, json!({"email": email, "password": PASSWORD})).await.expect(202);
    let first = tenant.mailed("email_verification", 1).await.remove(0);
    verify(&tenant, &first).await.expect(200);
    for password in ["the attacker's own", PASSWORD] {
        login(&tenant, &email, password).await.expect_problem(401, "invalid_credentials");
    }
    let token = tenant.mailed("already_registered", 1).await.remove(0);
    let body = json!({"token": token, "password": PASSWORD});
    tenant.call("POST", "/api/v1/auth/password/reset").json(&body).send().await.expect(200);
    login(&tenant, &email, PASSWORD).await.expect(200);
}

#[tokio::test]
async fn two_who_register_an_address_at_once_make_one_user() {
    let tenant = open().await;
    let email = somebody();
    let ask = || register(&tenant, json!({"email": email, "password": PASSWORD}));
    let (one, two) = tokio::join!(ask(), ask());
    assert_eq!((one.status, two.status), (202, 202));
    assert_eq!(tenant.on_shard("SELECT id FROM users WHERE tenant_id = ?1 AND email = ?2", &[&email]).await.len(), 1);
}

#[tokio::test]
async fn the_policy_of_the_tenant_holds_and_names_the_field() {
    let settings = json!({"registration": "open", "password_policy": {"min_length": 14, "require_digit": true}});
    let tenant = World::shared().await.tenant().set("settings", settings).create().await;
    let ask = async |password: &str| register(&tenant, json!({"email": somebody(), "password": password})).await;
    ask("too short 1").await.expect_invalid("/password");
    ask("long enough but no digit").await.expect_invalid("/password");
    ask("long enough and 1 digit").await.expect(202);
    for (body, pointer) in [
        (json!({"email": "x", "password": "long enough and 1 digit"}), "/email"),
        (json!({"email": somebody()}), "/password"),
        (json!({"email": somebody(), "password": "long enough and 1 digit", "role": "owner"}), "/role"),
        (json!({"email": somebody(), "password": "long enough and 1 digit", "name": "x".repeat(201)}), "/name"),
    ] {
        register(&tenant, body).await.expect_invalid(pointer);
    }
}

#[tokio::test]
async fn a_user_who_is_signed_in_may_ask_for_another_mail() {
    let tenant = open().await;
    let user = tenant.user("viewer").await;
    let tokens = user.login().await;
    let resend = async || {
        tenant.call("POST", "/api/v1/auth/verify-email/resend").bearer(&tokens.access).send().await.expect(202).data()
    };
    assert_eq!(resend().await, json!({"email_verified": true}));
    tenant.on_shard("UPDATE users SET email_verified_at = NULL WHERE tenant_id = ?1", &[]).await;
    assert_eq!(resend().await, json!({"email_verified": false}));
    let token = tenant.mailed("email_verification", 1).await.remove(0);
    verify(&tenant, &token).await.expect(200);
    assert_eq!(resend().await, json!({"email_verified": true}));
}
