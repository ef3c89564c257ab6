//! What strangers make a tenant keep, and ask its provider, by beginning to sign in.

use serde_json::json;

use super::{comes_in, corp, rows};
use crate::world::Browser;

const BEGIN: &str = "/api/v1/auth/sso/corp?return_to=/console%3Ftab%3D1";

#[tokio::test]
async fn one_network_keeps_twenty_attempts_and_the_newest_of_them_come_back() {
    let (tenant, issuer) = corp(json!({})).await;
    let mut elsewhere = Browser::of(&tenant.through(&tenant.world.elsewhere()));
    let theirs = elsewhere.until_callback(&issuer, "ada").await;
    for _ in 0..25 {
        Browser::of(&tenant).go(BEGIN).await.expect(302);
    }
    let kept = rows(&tenant, "SELECT count(*) AS n FROM sso_attempts WHERE tenant_id = ?1").await;
    let kept: i64 = kept.iter().map(|row| row["n"].as_i64().unwrap()).sum();
    assert_eq!(kept, 21);
    let mut browser = Browser::of(&tenant);
    comes_in(&browser.sign_in(&issuer, "ada").await, &browser);
    let answer = elsewhere.go(&theirs).await;
    comes_in(&answer, &elsewhere);
}

#[tokio::test]
async fn a_provider_that_fails_is_not_asked_anew_by_every_request() {
    for knob in [json!({"down": true}), json!({"metadata": {"issuer": "https://another.example.org"}})] {
        let (tenant, issuer) = corp(json!({})).await;
        issuer.turn(knob.clone()).await;
        let mut answers = Vec::new();
        for _ in 0..8 {
            let answer = Browser::of(&tenant).go(BEGIN).await;
            assert!(answer.status >= 500, "{knob}: {}", answer.body);
            answers.push((answer.status, answer.json()["code"].clone()));
        }
        assert!(answers.iter().all(|answer| answer == &answers[0]), "{knob}");
        assert!(issuer.asked_for_configuration().await <= 2, "{knob}");
        let kept = rows(&tenant, "SELECT state FROM sso_attempts WHERE tenant_id = ?1").await;
        assert!(kept.is_empty(), "{knob}: nothing is kept of what cannot go on");
    }
}
