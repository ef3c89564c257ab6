//! Signing in: who is let in, what everybody else is told, what a session is carried in.

use carillon::credentials::password::Hasher;
use domain::password::Password;
use serde_json::{Value, json};

use crate::world::{PASSWORD, Tenant, TestResponse, World, hashes, unique};

const LOGIN: &str = "/api/v1/auth/login";
const ME: &str = "/api/v1/auth/me";

async fn tenant() -> Tenant {
    World::shared().await.tenant().create().await
}

async fn login(tenant: &Tenant, body: Value) -> TestResponse {
    tenant.call("POST", LOGIN).json(&body).send().await
}

/// An answer without what differs between two equal ones.
fn told(answer: &TestResponse) -> String {
    let whole = answer.masked(&[]);
    let lines = whole.lines().filter(|line| !line.starts_with("x-ratelimit") && !line.starts_with("ratelimit"));
    lines.collect::<Vec<_>>().join("\n")
}

#[tokio::test]
async fn a_user_who_signs_in_is_known_by_the_access_token() {
    let tenant = tenant().await;
    let user = tenant.user("editor").await;
    let answer = user.login_call().send().await.expect(200);
    assert!(answer.headers.get("set-cookie").is_none(), "tokens or a cookie, never both");
    let data = answer.data();
    assert_eq!((&data["token_type"], &data["expires_in"]), (&json!("Bearer"), &json!(900)));
    assert_eq!(data["user"]["email"], json!(user.email));
    let access = data["access_token"].as_str().unwrap();
    let me = tenant.call("GET", ME).bearer(access).send().await.expect(200).data();
    assert_eq!((&me["user"]["id"], &me["user"]["role"]), (&json!(user.id), &json!("editor")));
    assert_eq!((&me["session_id"], &me["impersonation"]), (&data["session_id"], &Value::Null));
    assert!(me["permissions"].as_array().is_some_and(|list| !list.is_empty()), "{me}");
    tenant.call("GET", "/api/auth/me").bearer(access).send().await.expect(200);
    assert_eq!(tenant.audited("session.open").await.len(), 1);
}

#[tokio::test]
async fn the_address_counts_in_any_case_and_the_password_as_it_is() {
    let tenant = tenant().await;
    let user = tenant.user("viewer").await;
    let shouted = json!({"email": user.email.to_uppercase(), "password": PASSWORD});
    login(&tenant, shouted).await.expect(200);
    let shouted = json!({"email": user.email, "password": PASSWORD.to_uppercase()});
    login(&tenant, shouted).await.expect_problem(401, "invalid_credentials");
}

#[tokio::test]
async fn whoever_has_an_address_that_nobody_can_take_any_more_is_let_in_by_it() {
    let tenant = tenant().await;
    for local in ["\"ann\"", "a..b"] {
        let mut user = tenant.user("viewer").await;
        user.email = format!("{local}@{}_{}.test", user.tenant.id, unique()).to_lowercase();
        user.set("email", &user.email).await;
        user.login().await;
        let forgotten = json!({"email": user.email});
        tenant.call("POST", "/api/v1/auth/password/forgot").json(&forgotten).send().await.expect(202);
        let taken = json!({"email": user.email, "role": "viewer"});
        tenant.as_owner("POST", "/api/v1/users").json(&taken).send().await.expect_invalid("/email");
    }
    assert_eq!(tenant.mailed("password_reset", 2).await.len(), 2);
}

#[tokio::test]
async fn everybody_who_is_not_let_in_is_told_the_same_for_the_same_work() {
    let tenant = tenant().await;
    let mut refused = Vec::new();
    for (column, value) in [("status", "disabled"), ("name", "wrong password"), ("role", "wrong password")] {
        let user = tenant.user("viewer").await;
        user.set(column, value).await;
        let password = if column == "status" { PASSWORD } else { "not the password" };
        refused.push(login(&tenant, json!({"email": user.email, "password": password})).await);
    }
    for column in ["password_hash", "email_verified_at"] {
        let user = tenant.user("viewer").await;
        tenant
            .on_shard(&format!("UPDATE users SET {column} = NULL WHERE tenant_id = ?1 AND id = ?2"), &[&user.id])
            .await;
        refused.push(user.login_call().send().await);
    }
    let nobody = json!({"email": format!("{}@nobody.test", unique()), "password": PASSWORD});
    refused.push(login(&tenant, nobody).await);
    let first = refused[0].clone().expect_problem(401, "invalid_credentials");
    assert_eq!(first.json()["title"], "Invalid credentials");
    for answer in &refused {
        assert_eq!(told(answer), told(&first));
        assert_eq!(hashes(&tenant, answer).await, Some(1), "{}", answer.body);
    }
}

#[tokio::test]
async fn a_user_of_one_tenant_is_nobody_in_another() {
    let world = World::shared().await;
    let (mine, other) = (world.tenant().create().await, world.tenant().create().await);
    let user = mine.user("owner").await;
    let body = json!({"email": user.email, "password": user.password});
    login(&other, body.clone()).await.expect_problem(401, "invalid_credentials");
    let named = other.call("POST", LOGIN).query("tenant_id", &mine.id).json(&body).send().await;
    named.expect_problem(404, "tenant_not_found");
    let body = |tenant: &Tenant| json!({"email": user.email, "password": user.password, "tenant_id": tenant.id});
    for (path, body) in
        [(LOGIN, body(&mine)), ("/api/v1/auth/password/forgot", json!({"email": user.email, "tenant_id": mine.id}))]
    {
        let crossed = other.call("POST", path).json(&body).send().await;
        crossed.expect_problem(404, "tenant_not_found");
    }
    login(&mine, body(&mine)).await.expect(200);
    let tokens = user.login().await;
    let foreign = other.call("GET", ME).bearer(&tokens.access).send().await;
    foreign.expect_problem(404, "tenant_not_found");
    let cookie = user.browser().await;
    other.call("GET", ME).header("Cookie", &cookie).send().await.expect_problem(401, "unauthorized");
}

#[tokio::test]
async fn a_browser_gets_a_cookie_that_no_script_reads_and_no_other_host_sets() {
    let tenant = tenant().await;
    let user = tenant.user("viewer").await;
    let body = json!({"email": user.email, "password": user.password, "cookie": true});
    let answer = login(&tenant, body).await.expect(200);
    let cookie = answer.header("set-cookie").to_owned();
    let (pair, attributes) = cookie.split_once("; ").unwrap();
    assert!(pair.starts_with("__Host-carillon_session=car_us_"), "{cookie}");
    for attribute in ["Path=/", "Secure", "HttpOnly", "SameSite=Lax", "Max-Age=2592000"] {
        assert!(attributes.split("; ").any(|a| a == attribute), "{attribute} in {cookie}");
    }
    assert!(!answer.body.contains("token") && !answer.body.contains(&pair[24..]), "{}", answer.body);
    let me = tenant.call("GET", ME).header("Cookie", pair).send().await.expect(200).data();
    assert_eq!(me["user"]["id"], json!(user.id));
}

#[tokio::test]
async fn a_session_that_comes_along_is_never_adopted() {
    let tenant = tenant().await;
    let (victim, attacker) = (tenant.user("owner").await, tenant.user("viewer").await);
    let forged = attacker.browser().await;
    let body = json!({"email": victim.email, "password": victim.password, "cookie": true});
    let answer = tenant.call("POST", LOGIN).header("Cookie", &forged).json(&body).send().await.expect(200);
    let fresh = answer.header("set-cookie").split(';').next().unwrap().to_owned();
    assert_ne!(fresh, forged);
    let who = async |cookie: &str| {
        tenant.call("GET", ME).header("Cookie", cookie).send().await.expect(200).data()["user"]["id"].clone()
    };
    assert_eq!((who(&forged).await, who(&fresh).await), (json!(attacker.id), json!(victim.id)));
    let made_up = format!("{}x", &fresh[..fresh.len() - 1]);
    let answer = tenant.call("POST", LOGIN).header("Cookie", &made_up).json(&body).send().await.expect(200);
    assert!(!answer.header("set-cookie").starts_with(&made_up));
}

#[tokio::test]
async fn no_credential_passes_for_another_kind() {
    let tenant = tenant().await;
    let user = tenant.user("owner").await;
    let (tokens, cookie) = (user.login().await, user.browser().await);
    let value = cookie.split_once('=').unwrap().1;
    for text in [&tokens.refresh, value, &tokens.session] {
        tenant.call("GET", ME).bearer(text).send().await.expect_problem(401, "unauthorized");
    }
    for text in [&tokens.access, &tokens.refresh] {
        let cookie = format!("__Host-carillon_session={text}");
        tenant.call("GET", ME).header("Cookie", &cookie).send().await.expect_problem(401, "unauthorized");
    }
    let refresh = async |text: &str| {
        tenant.call("POST", "/api/v1/auth/refresh").json(&json!({"refresh_token": text})).send().await
    };
    refresh(value).await.expect_problem(401, "invalid_refresh_token");
    refresh(&tokens.access).await.expect_invalid("/refresh_token");
    tenant.call("GET", "/events").query("topic", "a").bearer(&tokens.refresh).send().await.expect(401);
    let key = tenant.key(&["*"]).await;
    tenant.call("GET", ME).bearer(&key.text).send().await.expect_problem(403, "not_a_user");
    tenant.as_owner("GET", ME).send().await.expect_problem(404, "not_found");
}

#[tokio::test]
async fn a_change_by_cookie_comes_from_the_tenants_own_pages() {
    let world = World::shared().await;
    let listed = "https://app.example";
    let tenant = world.tenant().set("cors_origins", json!([listed])).create().await;
    let user = tenant.user("viewer").await;
    let cookie = user.browser().await;
    let own = format!("http://{}", tenant.host);
    let call = |method: &str, path: &str, headers: &[(&str, &str)]| {
        let call = tenant.call(method, path).header("Cookie", &cookie);
        headers.iter().fold(call, |call, (name, value)| call.header(name, value)).send()
    };
    let others = "/api/v1/auth/sessions";
    let foreign: &[&[(&str, &str)]] = &[
        &[("Origin", "https://evil.example")],
        &[("Origin", "null")],
        &[],
        &[("Sec-Fetch-Site", "cross-site")],
        &[("Sec-Fetch-Site", "same-site")],
        &[("Origin", &own), ("Sec-Fetch-Site", "cross-site")],
        &[("Origin", "https://evil.example"), ("Sec-Fetch-Site", "same-origin")],
    ];
    for headers in foreign {
        call("DELETE", others, headers).await.expect_problem(403, "origin_not_allowed");
        call("POST", "/api/v1/auth/logout", headers).await.expect_problem(403, "origin_not_allowed");
    }
    let welcome: &[&[(&str, &str)]] = &[
        &[("Origin", &own)],
        &[("Sec-Fetch-Site", "same-origin")],
        &[("Origin", &own), ("Sec-Fetch-Site", "same-origin")],
        &[("Origin", listed), ("Sec-Fetch-Site", "cross-site")],
    ];
    for headers in welcome {
        call("DELETE", others, headers).await.expect(200);
    }
    for headers in [&[][..], &[("Sec-Fetch-Site", "cross-site")], &[("Sec-Fetch-Site", "none")]] {
        call("GET", ME, headers).await.expect(200);
    }
    let body = json!({"email": user.email, "password": user.password, "cookie": true});
    let forced = tenant.call("POST", LOGIN).header("Origin", "https://evil.example").json(&body).send().await;
    forced.expect_problem(403, "origin_not_allowed");
}

#[tokio::test]
async fn a_change_of_the_user_counts_on_the_next_request() {
    let tenant = tenant().await;
    let user = tenant.user("owner").await;
    let (tokens, cookie) = (user.login().await, user.browser().await);
    let keys = async || {
        let bearer = tenant.call("GET", "/api/v1/api-keys").bearer(&tokens.access).send().await.status;
        (bearer, tenant.call("GET", "/api/v1/api-keys").header("Cookie", &cookie).send().await.status)
    };
    assert_eq!(keys().await, (200, 200));
    user.set("role", "viewer").await;
    assert_eq!(keys().await, (403, 403), "the token still says owner, the row does not");
    user.set("role", "owner").await;
    user.set("status", "disabled").await;
    assert_eq!(keys().await, (401, 401));
    user.set("status", "active").await;
    let (tokens, cookie) = (user.login().await, user.browser().await);
    let keys = async || {
        let bearer = tenant.call("GET", "/api/v1/api-keys").bearer(&tokens.access).send().await.status;
        (bearer, tenant.call("GET", "/api/v1/api-keys").header("Cookie", &cookie).send().await.status)
    };
    assert_eq!(keys().await, (200, 200));
    user.set("not_before", "9000000000000").await;
    assert_eq!(keys().await, (401, 401));
}

#[tokio::test]
async fn a_password_kept_with_other_parameters_is_hashed_anew() {
    let tenant = tenant().await;
    let user = tenant.user("viewer").await;
    let old = "$argon2id$v=19$m=256,t=2,p=1$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4";
    user.set("password_hash", old).await;
    let wrong = login(&tenant, json!({"email": user.email, "password": "Password"})).await.expect(401);
    assert_eq!(hashes(&tenant, &wrong).await, Some(1));
    let body = json!({"email": user.email, "password": "password"});
    let right = login(&tenant, body.clone()).await.expect(200);
    assert_eq!(hashes(&tenant, &right).await, Some(2));
    let kept = tenant.on_shard("SELECT password_hash FROM users WHERE tenant_id = ?1 AND id = ?2", &[&user.id]).await;
    assert!(kept[0]["password_hash"].as_str().unwrap().starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{kept:?}");
    let again = login(&tenant, body).await.expect(200);
    assert_eq!(hashes(&tenant, &again).await, Some(1));
}

/// A password whose accent is one character, and the same as two, with a space that does not break.
const COMPOSED: &str = "caf\u{e9} au lait";
const DECOMPOSED: &str = "cafe\u{301}\u{a0}au lait";

#[tokio::test]
async fn a_password_is_the_same_in_every_composition() {
    let tenant = tenant().await;
    let user = tenant.user("viewer").await;
    let access = user.login().await.access;
    let change = json!({"current_password": PASSWORD, "new_password": DECOMPOSED});
    tenant.call("POST", "/api/v1/auth/password").bearer(&access).json(&change).send().await.expect(200);
    for (typed, work) in [(COMPOSED, 1), (DECOMPOSED, 1)] {
        let answer = login(&tenant, json!({"email": user.email, "password": typed})).await.expect(200);
        assert_eq!(hashes(&tenant, &answer).await, Some(work));
    }
    for wrong in ["cafe au lait", "CAF\u{c9} au lait", "caf\u{e9} au  lait"] {
        login(&tenant, json!({"email": user.email, "password": wrong})).await.expect(401);
    }
    // A text that is not normalised costs two hashes, whether there is somebody or not.
    let nobody = format!("{}@nobody.test", unique());
    for email in [&user.email, &nobody] {
        let wrong = login(&tenant, json!({"email": email, "password": "the\u{301} wrong one"})).await.expect(401);
        assert_eq!(hashes(&tenant, &wrong).await, Some(2));
    }
}

#[tokio::test]
async fn a_hash_of_a_password_as_it_was_typed_still_lets_in_and_is_made_anew() {
    let tenant = tenant().await;
    let user = tenant.user("viewer").await;
    // As an earlier version kept it: of the text as it came.
    let (decomposed, composed) = ("cafe\u{301} au lait", COMPOSED);
    let typed = Password::parse(decomposed, &str::to_owned).unwrap_or_else(|_| panic!("it is short"));
    let old = Hasher::default().hash(&typed, b"sixteen bytes of").unwrap();
    user.set("password_hash", &old).await;
    let decomposed = json!({"email": user.email, "password": decomposed});
    let answer = login(&tenant, decomposed.clone()).await.expect(200);
    assert_eq!(hashes(&tenant, &answer).await, Some(3), "normalised, as typed, and anew");
    for body in [decomposed, json!({"email": user.email, "password": composed})] {
        let answer = login(&tenant, body).await.expect(200);
        assert_eq!(hashes(&tenant, &answer).await, Some(1));
    }
}

#[tokio::test]
async fn the_deployment_chooses_between_memory_and_passes() {
    let world = World::own().await;
    world.restart(&[("PASSWORD_HASHING", "light")]).await;
    let tenant = world.tenant().create().await;
    let user = tenant.user("viewer").await;
    user.login().await;
    let kept = tenant.on_shard("SELECT password_hash FROM users WHERE tenant_id = ?1", &[]).await;
    assert!(kept[0]["password_hash"].as_str().unwrap().starts_with("$argon2id$v=19$m=7168,t=5,p=1$"), "{kept:?}");
    let answer = user.login_call().send().await.expect(200);
    assert_eq!(hashes(&tenant, &answer).await, Some(1));
}

#[tokio::test]
async fn mistakes_name_their_fields() {
    let tenant = tenant().await;
    for (body, pointer) in [
        (json!({"password": "x"}), "/email"),
        (json!({"email": "a@b.test"}), "/password"),
        (json!({"email": "nobody", "password": "x"}), "/email"),
        (json!({"email": "a@b.test", "password": ""}), "/password"),
        (json!({"email": "a@b.test", "password": "x".repeat(257)}), "/password"),
        (json!({"email": "a@b.test", "password": "e\u{301}".repeat(129)}), "/password"),
        (json!({"email": "a@b.test", "password": 1}), "/password"),
        (json!({"email": "a@b.test", "password": "x", "cookie": "yes"}), "/cookie"),
        (json!({"email": "a@b.test", "password": "x", "role": "owner"}), "/role"),
    ] {
        login(&tenant, body).await.expect_invalid(pointer);
    }
}
