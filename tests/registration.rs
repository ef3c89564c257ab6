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

/// The token that the client of a registration is given.
fn given(answer: &TestResponse) -> String {
    answer.data()["registration"].as_str().unwrap().to_owned()
}

/// Whoever has the mail alone.
async fn verify(tenant: &Tenant, token: &str) -> TestResponse {
    tenant.call("POST", VERIFY).json(&json!({"token": token})).send().await
}

/// The client that registered, with the mail.
async fn verify_as_client(tenant: &Tenant, token: &str, registration: &str) -> TestResponse {
    tenant.call("POST", VERIFY).json(&json!({"token": token, "registration": registration})).send().await
}

/// Whoever has the mail, with a password of their own.
async fn verify_with(tenant: &Tenant, token: &str, password: &str) -> TestResponse {
    tenant.call("POST", VERIFY).json(&json!({"token": token, "password": password})).send().await
}

async fn users(tenant: &Tenant) -> usize {
    tenant.on_shard("SELECT id FROM users WHERE tenant_id = ?1", &[]).await.len()
}

async fn registrations(tenant: &Tenant) -> usize {
    tenant.on_shard("SELECT id FROM registrations WHERE tenant_id = ?1", &[]).await.len()
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
    let registration = given(&register(&tenant, body).await.expect(202));
    let token = tenant.mailed("email_verification", 1).await.remove(0);
    let kept = tenant.on_shard("SELECT * FROM registrations WHERE tenant_id = ?1", &[]).await;
    assert!(!json!(kept).to_string().contains(&token) && !json!(kept).to_string().contains(&registration));
    login(&tenant, &email, PASSWORD).await.expect_problem(401, "invalid_credentials");
    verify_as_client(&tenant, &token, &registration).await.expect(200);
    let user = login(&tenant, &email, PASSWORD).await.expect(200).data()["user"].clone();
    assert_eq!((&user["email"], &user["name"], &user["role"]), (&json!(email), &json!("Ann"), &json!("viewer")));
    for again in [verify(&tenant, &token).await, verify_as_client(&tenant, &token, &registration).await] {
        again.expect_problem(400, "invalid_mailed_token");
    }
    assert_eq!(tenant.audited("user.verify_email").await.len(), 1);
    assert_eq!((users(&tenant).await, registrations(&tenant).await), (1, 0));
}

#[tokio::test]
async fn a_browser_proves_that_it_registered_by_its_cookie() {
    let tenant = open().await;
    let email = somebody();
    let answer = register(&tenant, json!({"email": email, "password": PASSWORD})).await.expect(202);
    let cookie = answer.header("set-cookie").to_owned();
    for part in ["__Host-carillon_registration=", "; Secure", "; HttpOnly", "; SameSite=Strict", "; Path=/"] {
        assert!(cookie.contains(part), "{cookie}");
    }
    let token = tenant.mailed("email_verification", 1).await.remove(0);
    let call = tenant.call("POST", VERIFY).header("Cookie", cookie.split(';').next().unwrap());
    let proven = call.json(&json!({"token": token})).send().await.expect(200);
    assert!(proven.header("set-cookie").contains("Max-Age=0"));
    login(&tenant, &email, PASSWORD).await.expect(200);
}

#[tokio::test]
async fn a_password_that_is_registered_decomposed_is_known_composed() {
    let tenant = open().await;
    let email = somebody();
    let registered = register(&tenant, json!({"email": email, "password": "cafe\u{301} au lait"})).await.expect(202);
    let mailed = tenant.mailed("email_verification", 1).await.remove(0);
    verify_as_client(&tenant, &mailed, &given(&registered)).await.expect(200);
    login(&tenant, &email, "caf\u{e9} au lait").await.expect(200);
    let short = json!({"email": somebody(), "password": "e\u{301}".repeat(9)});
    register(&tenant, short).await.expect_invalid("/password");
}

#[tokio::test]
async fn a_taken_address_is_answered_like_a_free_one() {
    let tenant = open().await;
    let user = tenant.user("owner").await;
    let told = |answer: &TestResponse| {
        let whole = answer.masked(&[&given(answer)]);
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
async fn a_stranger_who_registers_an_address_has_no_password_there_once_its_owner_clicks() {
    let (a, b) = World::pair().await;
    let here = a.tenant().set("settings", json!({"registration": "open"})).create().await;
    let there = here.through(&b);
    let email = somebody();
    let body = json!({"email": email, "password": "the stranger's own", "name": "A Stranger"});
    let strangers = given(&register(&here, body).await.expect(202));
    let token = here.mailed("email_verification", 1).await.remove(0);

    // The owner has the mail and nothing else: the password is asked for, and the token is not spent.
    let asked = verify(&there, &token).await.expect_invalid("/password");
    assert!(asked.body.contains("registration"), "{}", asked.body);
    verify_with(&there, &token, "short").await.expect_invalid("/password");
    verify_as_client(&there, &token, "car_rg_another").await.expect_invalid("/password");
    assert_eq!(users(&here).await, 0);
    verify_with(&there, &token, PASSWORD).await.expect(200);
    login(&here, &email, "the stranger's own").await.expect_problem(401, "invalid_credentials");
    let user = login(&here, &email, PASSWORD).await.expect(200).data()["user"].clone();
    assert_eq!(user["name"], "", "the stranger named nobody");
    verify_as_client(&here, &token, &strangers).await.expect_problem(400, "invalid_mailed_token");
}

#[tokio::test]
async fn of_two_who_register_an_address_each_has_their_own_password() {
    let tenant = open().await;
    let email = somebody();
    let ask = async |password: &str| {
        given(&register(&tenant, json!({"email": email, "password": password})).await.expect(202))
    };
    let strangers = ask("the attacker's own").await;
    let first = tenant.mailed("email_verification", 1).await.remove(0);
    let own = ask(PASSWORD).await;
    let second = tenant.mailed("email_verification", 2).await.remove(1);
    assert_eq!(registrations(&tenant).await, 2);
    // Two mails look alike: the wrong one asks for a password.
    verify_as_client(&tenant, &first, &own).await.expect_invalid("/password");
    verify_as_client(&tenant, &second, &strangers).await.expect_invalid("/password");
    verify_as_client(&tenant, &second, &own).await.expect(200);
    login(&tenant, &email, "the attacker's own").await.expect_problem(401, "invalid_credentials");
    login(&tenant, &email, PASSWORD).await.expect(200);
    verify_as_client(&tenant, &first, &strangers).await.expect_problem(400, "invalid_mailed_token");
}

#[tokio::test]
async fn two_who_prove_an_address_at_once_make_one_user() {
    let tenant = open().await;
    let email = somebody();
    let ask = || register(&tenant, json!({"email": email, "password": PASSWORD}));
    let (one, two) = tokio::join!(ask(), ask());
    assert_eq!((one.status, two.status), (202, 202));
    let mailed = tenant.mailed("email_verification", 2).await;
    let with = |token: &str| {
        let (tenant, token) = (tenant.clone(), token.to_owned());
        async move { verify_with(&tenant, &token, PASSWORD).await.status }
    };
    let proven = futures_util::future::join_all(mailed.iter().chain(&mailed).map(|token| with(token))).await;
    assert_eq!(proven.iter().filter(|status| **status == 200).count(), 1, "{proven:?}");
    assert!(proven.iter().all(|status| [200, 400].contains(status)), "{proven:?}");
    assert_eq!((users(&tenant).await, registrations(&tenant).await), (1, 0));
}

#[tokio::test]
async fn a_registration_is_no_user() {
    let settings = json!({"registration": "open"});
    let tenant = World::shared().await.tenant().set("settings", settings).limit("max_users", 2).create().await;
    let email = somebody();
    for email in [&email, &somebody(), &somebody()] {
        register(&tenant, json!({"email": email, "password": PASSWORD})).await.expect(202);
    }
    let listed = tenant.as_owner("GET", "/api/v1/users").send().await.expect(200);
    assert_eq!(listed.data(), json!([]), "it is not listed");
    tenant.made_user("owner").await;
    // Who is invited, or made a user, comes in as such; what was registered is over.
    let (_, token) = tenant.invite(&email, "editor").await;
    tenant.accept(&token, &email).await.expect(201);
    let mailed = tenant.mailed("email_verification", 3).await;
    verify_with(&tenant, &mailed[0], PASSWORD).await.expect_problem(400, "invalid_mailed_token");
    // The plan counts users, and is full now: what is left of the registrations waits.
    verify_with(&tenant, &mailed[1], PASSWORD).await.expect_problem(409, "user_limit_reached");
    register(&tenant, json!({"email": somebody(), "password": PASSWORD}))
        .await
        .expect_problem(409, "user_limit_reached");
    tenant.patch(json!({"rate_limits": {"max_users": 3}})).await;
    verify_with(&tenant, &mailed[1], PASSWORD).await.expect(200);
    assert_eq!((users(&tenant).await, registrations(&tenant).await), (3, 1));
}

#[tokio::test]
async fn nobody_resets_the_password_of_a_registration() {
    let tenant = open().await;
    let (email, user) = (somebody(), tenant.user("viewer").await);
    register(&tenant, json!({"email": email, "password": PASSWORD})).await.expect(202);
    for email in [&email, &user.email] {
        tenant.call("POST", "/api/v1/auth/password/forgot").json(&json!({"email": email})).send().await.expect(202);
    }
    assert_eq!(tenant.mailed("password_reset", 1).await.len(), 1, "the user's");
    assert_eq!(tenant.on_shard("SELECT digest FROM mailed_tokens WHERE tenant_id = ?1", &[]).await.len(), 1);
}

#[tokio::test]
async fn a_registration_is_over_after_a_day_at_once_and_its_row_goes() {
    let tenant = open().await;
    let email = somebody();
    let registration = given(&register(&tenant, json!({"email": email, "password": PASSWORD})).await.expect(202));
    let until =
        tenant.on_shard("SELECT expires_at - created_at AS life FROM registrations WHERE tenant_id = ?1", &[]).await;
    assert_eq!(until[0]["life"], 24 * 3600 * 1000);
    let token = tenant.mailed("email_verification", 1).await.remove(0);
    tenant.on_shard("UPDATE registrations SET expires_at = 1 WHERE tenant_id = ?1", &[]).await;
    verify_as_client(&tenant, &token, &registration).await.expect_problem(400, "invalid_mailed_token");
    register(&tenant, json!({"email": somebody(), "password": PASSWORD})).await.expect(202);
    assert_eq!(registrations(&tenant).await, 1, "the next one clears");
    tenant.on_shard("UPDATE registrations SET expires_at = 1 WHERE tenant_id = ?1", &[]).await;
    tenant.world.scheduled().await;
    assert_eq!(registrations(&tenant).await, 0, "and so does cron");
}

#[tokio::test]
async fn an_address_that_is_registered_again_and_again_does_not_pile_up() {
    let tenant = open().await;
    let email = somebody();
    for count in 1..=7 {
        register(&tenant, json!({"email": email, "password": PASSWORD})).await.expect(202);
        tenant.mailed("email_verification", count).await;
    }
    assert_eq!(registrations(&tenant).await, 5);
    let mailed = tenant.mailed("email_verification", 7).await;
    verify_with(&tenant, &mailed[0], PASSWORD).await.expect_problem(400, "invalid_mailed_token");
    verify_with(&tenant, &mailed[6], PASSWORD).await.expect(200);
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
