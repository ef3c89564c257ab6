//! A tenant's identity providers, on the isolate that did not change them, while a browser is on its way.

use serde_json::{Value, json};

use crate::world::{Browser, CLIENT_SECRET, Issuer, Pair, Tenant, World};

const PROVIDERS: &str = "/api/v1/sso/providers";
const CORP: &str = "/api/v1/sso/providers/corp";
const SESSION: &str = "__Host-carillon_session";

/// A tenant with a provider, and the provider.
async fn corp() -> (Pair, Issuer) {
    let pair = World::on_both(|tenant| tenant).await;
    let issuer = Issuer::of(&pair.here).await;
    provide(&pair.here, issuer.provider()).await;
    (pair, issuer)
}

async fn provide(tenant: &Tenant, body: Value) {
    tenant.as_owner("POST", PROVIDERS).json(&body).send().await.expect(201);
}

async fn patch(tenant: &Tenant, change: Value) {
    tenant.as_owner("PATCH", CORP).json(&change).send().await.expect(200);
}

async fn delete(tenant: &Tenant) {
    tenant.as_owner("DELETE", CORP).send().await.expect(200);
}

/// Nobody comes in with what was under way.
async fn stays_out(mut browser: Browser, callback: &str) -> u16 {
    let answer = browser.go(callback).await;
    assert!(!browser.cookies.contains_key(SESSION), "{} {}", answer.status, answer.body);
    answer.status
}

#[tokio::test]
async fn a_sign_in_that_is_under_way_ends_with_its_provider_in_every_isolate() {
    for change in [json!({"enabled": false}), json!(null)] {
        let (pair, issuer) = corp().await;
        let mut known = Browser::of(&pair.there);
        known.sign_in(&issuer, "ada").await.expect(303);
        let mut browser = Browser::of(&pair.there);
        let callback = browser.until_callback(&issuer, "ada").await;
        match &change {
            Value::Null => delete(&pair.here).await,
            change => patch(&pair.here, change.clone()).await,
        }
        let status = stays_out(browser, &callback).await;
        assert!([400, 404].contains(&status), "{status}");
        Browser::of(&pair.there).go("/api/v1/auth/sso/corp").await.expect_problem(404, "not_found");
    }
}

#[tokio::test]
async fn a_sign_in_that_is_under_way_does_not_end_at_another_issuer() {
    let (pair, issuer) = corp().await;
    // The other one does not say whose answers are its: nothing but our own memory tells them apart.
    let other = Issuer::of(&pair.here).await;
    let mut browser = Browser::of(&pair.there);
    let callback = browser.until_callback(&issuer, "ada").await;
    patch(&pair.here, json!({"issuer": other.url, "client_secret": CLIENT_SECRET})).await;
    assert_eq!(stays_out(browser, &callback).await, 400);

    // As another client of the same issuer neither.
    let mut browser = Browser::of(&pair.there);
    let callback = browser.until_callback(&other, "ada").await;
    patch(&pair.here, json!({"client_id": "another-client", "client_secret": CLIENT_SECRET})).await;
    assert_eq!(stays_out(browser, &callback).await, 400);
}

#[tokio::test]
async fn a_provider_made_again_under_an_id_is_another_provider_in_every_isolate() {
    let (pair, first) = corp().await;
    let mut known = Browser::of(&pair.there);
    known.sign_in(&first, "ada").await.expect(303);
    let mut under_way = Browser::of(&pair.there);
    let callback = under_way.until_callback(&first, "ada").await;

    // Under its id stands another issuer, whose `ada` is somebody else with another address.
    let stranger = json!({"accounts": {"ada": {"email": "ada@elsewhere.example", "email_verified": true, "name": "Ada",
        "groups": ["staff"]}}});
    let second = Issuer::made(&pair.here, stranger).await;
    delete(&pair.here).await;
    provide(&pair.here, second.provider()).await;

    assert_eq!(stays_out(under_way, &callback).await, 400);
    let mut browser = Browser::of(&pair.there);
    assert!(browser.begin().await.starts_with(&second.url), "nothing of the first one's documents is used");
    let callback = browser.until_callback(&second, "ada").await;
    browser.go(&callback).await.expect(303);
    let emails = "SELECT email FROM users WHERE tenant_id = ?1 ORDER BY email";
    let emails: Vec<Value> = pair.here.on_shard(emails, &[]).await.iter().map(|row| row["email"].clone()).collect();
    assert_eq!(emails, [json!("ada@elsewhere.example"), json!("ada@example.org")], "two people, not one");
}

#[tokio::test]
async fn the_keys_of_an_issuer_made_again_at_another_address_are_asked_for_there() {
    let (pair, issuer) = corp().await;
    let mut browser = Browser::of(&pair.there);
    browser.sign_in(&issuer, "ada").await.expect(303);
    let asked = issuer.asked_for_keys().await;
    delete(&pair.here).await;
    let second = Issuer::of(&pair.here).await;
    provide(&pair.here, second.provider()).await;
    let mut browser = Browser::of(&pair.there);
    browser.sign_in(&second, "ada").await.expect(303);
    assert_eq!((issuer.asked_for_keys().await, second.asked_for_keys().await), (asked, 1));
}
