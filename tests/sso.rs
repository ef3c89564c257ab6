//! Single sign-on: browsers that come in by a tenant's own provider, and those that only try.

use serde_json::{Value, json};

use crate::world::{Answer, Browser, CLIENT_SECRET, Issuer, Tenant, World, eventually};

const PROVIDERS: &str = "/api/v1/sso/providers";
const SESSION: &str = "__Host-carillon_session";
const BROWSER: &str = "__Host-carillon_sso";

async fn tenant() -> Tenant {
    World::shared().await.tenant().create().await
}

async fn provide(tenant: &Tenant, issuer: &Issuer, change: Value) {
    let mut body = issuer.provider();
    for (name, value) in change.as_object().unwrap() {
        body[name] = value.clone();
    }
    tenant.as_owner("POST", PROVIDERS).json(&body).send().await.expect(201);
}

/// A tenant with a provider.
async fn corp(change: Value) -> (Tenant, Issuer) {
    let tenant = tenant().await;
    let issuer = Issuer::of(&tenant).await;
    provide(&tenant, &issuer, change).await;
    (tenant, issuer)
}

/// Rows of the tenant, whichever its shard.
async fn rows(tenant: &Tenant, sql: &str) -> Vec<Value> {
    let mut all = Vec::new();
    for shard in ["SHARD_00", "SHARD_01"] {
        all.extend(tenant.world.rows(shard, sql, &[&tenant.id]).await);
    }
    all
}

async fn users(tenant: &Tenant) -> Vec<Value> {
    rows(
        tenant,
        "SELECT id, email, name, role, status, password_hash, email_verified_at FROM users WHERE tenant_id = ?1",
    )
    .await
}

/// What the audit says of single sign-on, by name: two deeds of one millisecond have no order.
async fn deeds(tenant: &Tenant) -> Vec<String> {
    let found = rows(
        tenant,
        "SELECT operation FROM audit_log WHERE tenant_id = ?1 AND operation LIKE 'sso.%' ORDER BY operation",
    )
    .await;
    found.iter().map(|row| row["operation"].as_str().unwrap().to_owned()).collect()
}

async fn add_user(tenant: &Tenant, email: &str, role: &str, verified: bool) {
    let shard = shard(tenant).await;
    let sql = "INSERT INTO users (tenant_id, id, email, role, password_hash, email_verified_at, created_at, updated_at) VALUES (?1, 'usr_before', ?2, ?3, 'a hash', CASE WHEN ?4 = '1' THEN 1 END, 1, 1)";
    tenant.world.rows(&shard, sql, &[&tenant.id, email, role, if verified { "1" } else { "0" }]).await;
}

async fn shard(tenant: &Tenant) -> String {
    let sql = "SELECT shard FROM placements WHERE tenant_id = ?1";
    tenant.world.rows("CONTROL", sql, &[&tenant.id]).await[0]["shard"].as_str().unwrap().to_owned()
}

#[track_caller]
fn comes_in(answer: &Answer, browser: &Browser) {
    assert_eq!(answer.status, 303, "{}", answer.body);
    assert_eq!(answer.header("location"), "/console?tab=1");
    assert!(browser.cookies.contains_key(SESSION) && !browser.cookies.contains_key(BROWSER));
}

#[track_caller]
fn stays_out(browser: &Browser) {
    assert!(!browser.cookies.contains_key(SESSION));
}

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
    assert_eq!(deeds(&tenant).await, ["sso.create_user", "sso.login"]);
    // An editor sees users' roles and no keys: the session is that user's.
    browser.go("/api/v1/api-keys").await.expect_problem(403, "forbidden");
    let again = browser.sign_in(&issuer, "ada").await;
    comes_in(&again, &browser);
    assert_eq!(users(&tenant).await.len(), 1);
}

#[tokio::test]
async fn providers_may_sign_with_each_algorithm_and_take_clients_either_way() {
    for change in [json!({"alg": "ES256"}), json!({"alg": "EdDSA", "auth_method": "client_secret_post"})] {
        let tenant = tenant().await;
        let issuer = Issuer::made(&tenant, change).await;
        provide(&tenant, &issuer, json!({})).await;
        let mut browser = Browser::of(&tenant);
        let answer = browser.sign_in(&issuer, "ada").await;
        comes_in(&answer, &browser);
    }
}

#[tokio::test]
async fn the_way_to_the_provider_carries_state_nonce_and_challenge() {
    let (tenant, issuer) = corp(json!({})).await;
    let mut browser = Browser::of(&tenant);
    let destination = browser.begin().await;
    assert!(destination.starts_with(&format!("{}/auth?response_type=code&client_id=carillon", issuer.url)));
    for name in ["state", "nonce", "code_challenge"] {
        let value = query(&destination, name);
        assert_eq!(value.len(), 43, "{name}: 256 bits");
    }
    assert_eq!(query(&destination, "code_challenge_method"), "S256");
    assert_eq!(query(&destination, "redirect_uri"), format!("http://{}/api/v1/auth/sso/callback", tenant.host));
    let kept = rows(&tenant, "SELECT state, sealed FROM sso_attempts WHERE tenant_id = ?1").await;
    assert!(!kept[0].to_string().contains(&query(&destination, "state")));
    assert!(!kept[0].to_string().contains(&query(&destination, "nonce")));
    // Two tabs at a time: both come back.
    let other = browser.begin().await;
    assert_ne!(query(&other, "state"), query(&destination, "state"));
    let (one, two) = (issuer.pass(&destination, "ada").await, issuer.pass(&other, "ada").await);
    browser.clone().go(&one).await.expect(303);
    browser.go(&two).await.expect(303);
}

fn query(address: &str, name: &str) -> String {
    let (_, query) = address.split_once('?').unwrap();
    let found = form_urlencoded::parse(query.as_bytes()).find(|(n, _)| n == name);
    found.unwrap_or_else(|| panic!("no {name} in {address}")).1.into_owned()
}

#[tokio::test]
async fn a_state_is_good_once() {
    let (tenant, issuer) = corp(json!({})).await;
    let mut browser = Browser::of(&tenant);
    let callback = browser.until_callback(&issuer, "ada").await;
    let mut copy = browser.clone();
    browser.go(&callback).await.expect(303);
    copy.go(&callback).await.expect_problem(400, "sso_state_invalid");
    stays_out(&copy);
    // At the same moment, too: one of many gets in.
    let callback = browser.until_callback(&issuer, "ada").await;
    let tries = (0..5).map(|_| {
        let (mut browser, callback) = (browser.clone(), callback.clone());
        tokio::spawn(async move { browser.go(&callback).await.status })
    });
    let mut statuses = Vec::new();
    for attempt in tries.collect::<Vec<_>>() {
        statuses.push(attempt.await.unwrap());
    }
    statuses.sort_unstable();
    assert_eq!(statuses, [303, 400, 400, 400, 400]);
}

#[tokio::test]
async fn a_sign_in_ends_in_the_browser_where_it_began() {
    let (tenant, issuer) = corp(json!({})).await;
    let mut attacker = Browser::of(&tenant);
    let callback = attacker.until_callback(&issuer, "ada").await;
    let mut without = Browser::of(&tenant);
    without.go(&callback).await.expect_problem(400, "sso_state_invalid");
    let mut with_own = Browser::of(&tenant);
    with_own.begin().await;
    with_own.go(&callback).await.expect_problem(400, "sso_state_invalid");
    let mut made_up = Browser::of(&tenant);
    made_up.cookies.insert(BROWSER.to_owned(), "x".to_owned());
    made_up.go(&callback).await.expect_problem(400, "sso_state_invalid");
    for browser in [&without, &with_own, &made_up] {
        stays_out(browser);
    }
    attacker.go(&callback).await.expect(303);
}

#[tokio::test]
async fn a_state_of_another_tenant_is_worth_nothing() {
    let (tenant, issuer) = corp(json!({})).await;
    let (other, _) = corp(json!({})).await;
    let mut browser = Browser::of(&tenant);
    let callback = browser.until_callback(&issuer, "ada").await;
    let path = callback.strip_prefix(&format!("http://{}", tenant.host)).unwrap();
    let mut elsewhere = Browser { tenant: other.clone(), ..browser.clone() };
    elsewhere.go(path).await.expect_problem(400, "sso_state_invalid");
    stays_out(&elsewhere);
    // Neither does a copy of the row: it is sealed to its tenant.
    let row = rows(&tenant, "SELECT state, sealed FROM sso_attempts WHERE tenant_id = ?1").await.remove(0);
    let sql = "INSERT INTO sso_attempts (tenant_id, state, provider_id, sealed, return_to, expires_at) VALUES (?1, ?2, 'corp', ?3, '/', 9999999999999)";
    let params = [other.id.as_str(), row["state"].as_str().unwrap(), row["sealed"].as_str().unwrap()];
    tenant.world.rows(&shard(&other).await, sql, &params).await;
    elsewhere.go(path).await.expect_problem(500, "internal");
    stays_out(&elsewhere);
    browser.go(&callback).await.expect(303);
}

#[tokio::test]
async fn a_tenant_named_on_the_way_must_be_the_hosts() {
    let (tenant, issuer) = corp(json!({})).await;
    let (other, _) = corp(json!({})).await;
    let mut browser = Browser::of(&tenant);
    for name in ["tenant", "tenant_id"] {
        let path = format!("/api/v1/auth/sso/corp?{name}={}", other.id);
        browser.go(&path).await.expect_problem(404, "tenant_not_found");
    }
    let callback = browser.until_callback(&issuer, "ada").await;
    let crossing = format!("{callback}&tenant={}&tenant={}", tenant.id, other.id);
    browser.go(&crossing).await.expect_problem(404, "tenant_not_found");
    browser.go(&format!("{callback}&tenant={}", tenant.id)).await.expect(303);
}

#[tokio::test]
async fn nobody_is_sent_to_another_host() {
    let (tenant, _) = corp(json!({})).await;
    for bad in
        ["//evil.test", "/\\evil.test", "https://evil.test", "javascript:alert(1)", "", "/\t/evil.test", "/%0d%0ax"]
    {
        let call = tenant.call("GET", "/api/v1/auth/sso/corp");
        let asked =
            if bad.contains("%0d") { call.query("return_to", "/\r\nX-Evil: 1") } else { call.query("return_to", bad) };
        asked.send().await.expect_invalid_query("return_to");
    }
}

#[tokio::test]
async fn a_code_is_no_good_without_the_verifier_it_was_asked_with() {
    let (tenant, issuer) = corp(json!({})).await;
    let mut victim = Browser::of(&tenant);
    let stolen = query(&victim.until_callback(&issuer, "ada").await, "code");
    let mut attacker = Browser::of(&tenant);
    let state = query(&attacker.begin().await, "state");
    let injected = format!("/api/v1/auth/sso/callback?code={stolen}&state={state}&iss={}", issuer.url);
    attacker.go(&injected).await.expect_problem(401, "sso_refused");
    stays_out(&attacker);
}

#[tokio::test]
async fn what_is_wrong_with_an_id_token_keeps_out() {
    let (tenant, issuer) = corp(json!({})).await;
    let lies = [
        ("nonce", "nonce"),
        ("aud", "aud"),
        ("iss", "iss"),
        ("expired", "exp"),
        ("early", "iat"),
        ("none", "key"),
        ("hs256", "key"),
        ("unsigned", "signature"),
        ("kid", "key"),
        ("key", "signature"),
    ];
    for (lie, _) in lies {
        issuer.turn(json!({"lie": lie})).await;
        let mut browser = Browser::of(&tenant);
        browser.sign_in(&issuer, "ada").await.expect_problem(401, "sso_token_invalid");
        stays_out(&browser);
    }
    assert_eq!(users(&tenant).await.len(), 0);
    // Each is refused for its own reason, which the log alone knows.
    let wrong: Vec<Value> = lies.iter().map(|(_, wrong)| json!(wrong)).collect();
    eventually("the log's word on each", async || {
        let logged = tenant.world.logs().await;
        let refused = logged.iter().filter(|line| line["tenant"] == tenant.id && line["code"] == "sso_token_invalid");
        let causes: Vec<Value> = refused.map(|line| line["cause"].clone()).collect();
        (causes == wrong).then_some(())
    })
    .await;
    issuer.turn(json!({"lie": null})).await;
    Browser::of(&tenant).sign_in(&issuer, "ada").await.expect(303);
}

#[tokio::test]
async fn an_id_token_of_an_earlier_sign_in_is_no_good_again() {
    let (tenant, issuer) = corp(json!({})).await;
    let mut browser = Browser::of(&tenant);
    browser.sign_in(&issuer, "ada").await.expect(303);
    issuer.turn(json!({"lie": "replay"})).await;
    let mut thief = Browser::of(&tenant);
    thief.sign_in(&issuer, "ada").await.expect_problem(401, "sso_token_invalid");
    stays_out(&thief);
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
async fn no_redirect_of_a_provider_is_followed() {
    let (tenant, issuer) = corp(json!({})).await;
    let mut browser = Browser::of(&tenant);
    issuer.turn(json!({"moved": "/.well-known/openid-configuration"})).await;
    browser.go("/api/v1/auth/sso/corp").await.expect_problem(502, "provider_unusable");
    issuer.turn(json!({"moved": "/token"})).await;
    let callback = browser.until_callback(&issuer, "ada").await;
    browser.go(&callback).await.expect_problem(401, "sso_refused");
    stays_out(&browser);
}

#[tokio::test]
async fn a_provider_that_names_another_issuer_or_none_is_not_believed() {
    let (tenant, issuer) = corp(json!({})).await;
    let mut browser = Browser::of(&tenant);
    for named in ["&iss=https%3A%2F%2Fanother.example.org", ""] {
        let callback = browser.until_callback(&issuer, "ada").await;
        let (path, query) = callback.split_once('?').unwrap();
        let kept: Vec<_> = query.split('&').filter(|pair| !pair.starts_with("iss=")).collect();
        browser.go(&format!("{path}?{}{named}", kept.join("&"))).await.expect_problem(401, "sso_refused");
    }
    stays_out(&browser);
}

#[tokio::test]
async fn a_refusal_of_the_provider_is_told_without_its_words() {
    let (tenant, issuer) = corp(json!({})).await;
    let mut browser = Browser::of(&tenant);
    let callback = browser.until_callback(&issuer, "denied").await;
    assert!(callback.contains("error=access_denied"));
    let refused = browser.go(&callback).await.expect_problem(401, "sso_refused");
    assert!(!refused.body.contains("words of the provider") && !refused.body.contains("access_denied"));
    stays_out(&browser);
    browser.go(&callback).await.expect_problem(400, "sso_state_invalid");
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
    assert_eq!(deeds(&tenant).await, ["sso.link", "sso.login"]);
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
        assert_eq!(users(&tenant).await[0]["role"], role, "{groups}");
    }
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
    let key = tenant.key(&["sso:*", "events:read"]).await;
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
async fn a_provider_that_is_down_is_503_and_one_that_cannot_be_used_502() {
    let (tenant, issuer) = corp(json!({})).await;
    issuer.turn(json!({"down": true})).await;
    let mut browser = Browser::of(&tenant);
    browser.go("/api/v1/auth/sso/corp").await.expect_problem(503, "unavailable");
    issuer.turn(json!({"down": false, "metadata": {"token_endpoint": "https://169.254.169.254/token"}})).await;
    browser.go("/api/v1/auth/sso/corp").await.expect_problem(502, "provider_unusable");
    issuer.turn(json!({"metadata": {"issuer": "https://another.example.org"}})).await;
    browser.go("/api/v1/auth/sso/corp").await.expect_problem(502, "provider_unusable");
    issuer.turn(json!({"metadata": {"x": "x".repeat(300 * 1024)}})).await;
    browser.go("/api/v1/auth/sso/corp").await.expect_problem(503, "unavailable");
    issuer.turn(json!({"metadata": {}})).await;
    let callback = browser.until_callback(&issuer, "ada").await;
    issuer.turn(json!({"down": true})).await;
    browser.go(&callback).await.expect_problem(503, "unavailable");
    stays_out(&browser);
}

#[tokio::test]
async fn another_key_of_the_provider_is_picked_up_once_a_minute() {
    let (tenant, issuer) = corp(json!({})).await;
    Browser::of(&tenant).sign_in(&issuer, "ada").await.expect(303);
    Browser::of(&tenant).sign_in(&issuer, "ada").await.expect(303);
    assert_eq!(issuer.asked_for_keys().await, 1, "they are remembered");
    issuer.turn(json!({"rotate": true})).await;
    Browser::of(&tenant).sign_in(&issuer, "ada").await.expect(303);
    assert_eq!(issuer.asked_for_keys().await, 2);
    issuer.turn(json!({"rotate": true})).await;
    Browser::of(&tenant).sign_in(&issuer, "ada").await.expect_problem(401, "sso_token_invalid");
    assert_eq!(issuer.asked_for_keys().await, 2, "not again within a minute");
    tenant.world.forget_in_kv(&format!("t:{}:oidc:corp:jwks", tenant.id)).await;
    Browser::of(&tenant).sign_in(&issuer, "ada").await.expect(303);
}

#[tokio::test]
async fn what_kv_remembers_of_a_provider_is_good_where_it_was_written_only() {
    let (tenant, issuer) = corp(json!({})).await;
    let (other, another) = corp(json!({})).await;
    Browser::of(&tenant).sign_in(&issuer, "ada").await.expect(303);
    Browser::of(&other).sign_in(&another, "ada").await.expect(303);
    let key = |tenant: &Tenant| format!("t:{}:oidc:corp:jwks", tenant.id);
    let planted = tenant.world.read_kv(&key(&other)).await.unwrap();
    assert!(!planted.contains("kty"), "it is sealed");
    let planted = planted.replace(&other.id, &tenant.id);
    tenant.world.plant_in_kv(&key(&tenant), &planted).await;
    Browser::of(&tenant).sign_in(&issuer, "ada").await.expect(303);
    assert_eq!(issuer.asked_for_keys().await, 2, "the issuer was asked instead");
}

#[tokio::test]
async fn a_clients_secret_is_never_shown_nor_logged_and_opens_in_its_row_only() {
    let (tenant, issuer) = corp(json!({})).await;
    let (other, _) = corp(json!({"client_secret": "another"})).await;
    let mut browser = Browser::of(&tenant);
    let callback = browser.until_callback(&issuer, "ada").await;
    browser.go(&callback).await.expect(303);
    let kept = rows(&tenant, "SELECT client_secret FROM sso_providers WHERE tenant_id = ?1").await;
    let sealed = kept[0]["client_secret"].as_str().unwrap();
    assert!(!sealed.contains(CLIENT_SECRET));
    let logged: Vec<String> = tenant.world.logs().await.iter().map(Value::to_string).collect();
    for secret in [CLIENT_SECRET, &query(&callback, "code"), &query(&callback, "state"), "ada@example.org"] {
        assert!(!logged.iter().any(|line| line.contains(secret)), "{secret}");
    }
    let sql = "UPDATE sso_providers SET client_secret = ?2, issuer = ?3 WHERE tenant_id = ?1";
    tenant.world.rows(&shard(&other).await, sql, &[&other.id, sealed, &issuer.url]).await;
    let mut elsewhere = Browser::of(&other);
    let state = query(&elsewhere.begin().await, "state");
    let path = format!("/api/v1/auth/sso/callback?code=x&state={state}&iss={}", issuer.url);
    elsewhere.go(&path).await.expect_problem(500, "internal");
    stays_out(&elsewhere);
}

#[tokio::test]
async fn only_a_whole_get_spends_an_attempt() {
    let (tenant, issuer) = corp(json!({})).await;
    let mut browser = Browser::of(&tenant);
    let callback = browser.until_callback(&issuer, "ada").await;
    let path = callback.strip_prefix(&format!("http://{}", tenant.host)).unwrap();
    let head = tenant.call("HEAD", path).header("Cookie", &format!("{BROWSER}={}", browser.cookies[BROWSER]));
    head.send().await.expect(405);
    browser.go(&callback).await.expect(303);
}
