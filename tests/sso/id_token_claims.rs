//! What a provider says, and what of it is believed.

use serde_json::{Value, json};

use super::{comes_in, corp, provide, query, rows, shard, stays_out, tenant, users};
use crate::world::{Browser, CLIENT_SECRET, Issuer, Tenant, eventually};

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
async fn no_redirect_of_a_provider_is_followed() {
    let (tenant, issuer) = corp(json!({})).await;
    let mut browser = Browser::of(&tenant);
    issuer.turn(json!({"moved": "/.well-known/openid-configuration"})).await;
    browser.go("/api/v1/auth/sso/corp").await.expect_problem(502, "provider_unusable");
    let (tenant, issuer) = corp(json!({})).await;
    let mut browser = Browser::of(&tenant);
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
async fn a_provider_that_is_down_is_503_and_one_that_cannot_be_used_502() {
    for (knob, status, code) in [
        (json!({"down": true}), 503, "unavailable"),
        (json!({"metadata": {"token_endpoint": "https://169.254.169.254/token"}}), 502, "provider_unusable"),
        (json!({"metadata": {"issuer": "https://another.example.org"}}), 502, "provider_unusable"),
        (json!({"metadata": {"x": "x".repeat(300 * 1024)}}), 503, "unavailable"),
    ] {
        // A failure is remembered for a moment, so each is another issuer's.
        let (tenant, issuer) = corp(json!({})).await;
        issuer.turn(knob).await;
        Browser::of(&tenant).go("/api/v1/auth/sso/corp").await.expect_problem(status, code);
    }
    let (tenant, issuer) = corp(json!({})).await;
    let mut browser = Browser::of(&tenant);
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
    let forged = tenant.world.read_kv(&key(&other)).await.unwrap();
    assert!(!forged.contains("\"kty\""), "it is sealed");
    let forged = forged.replace(&other.id, &tenant.id);
    tenant.world.write_kv(&key(&tenant), &forged).await;
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
