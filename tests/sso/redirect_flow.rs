//! The way to the provider and back: where a sign-in begins and ends.

use serde_json::json;

use super::{BROWSER, corp, query, rows, shard, stays_out};
use crate::world::Browser;

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
async fn only_a_whole_get_spends_an_attempt() {
    let (tenant, issuer) = corp(json!({})).await;
    let mut browser = Browser::of(&tenant);
    let callback = browser.until_callback(&issuer, "ada").await;
    let path = callback.strip_prefix(&format!("http://{}", tenant.host)).unwrap();
    let head = tenant.call("HEAD", path).header("Cookie", &format!("{BROWSER}={}", browser.cookies[BROWSER]));
    head.send().await.expect(405);
    browser.go(&callback).await.expect(303);
}
