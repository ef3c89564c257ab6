//! Secrets and their rotation: `…/secrets/{webhook|subscription}/rotate`.

use serde_json::{Value, json};

use crate::world::{Stream, Tenant, TestResponse, Token, World};

async fn rotate(tenant: &Tenant, kind: &str, body: Value) -> TestResponse {
    let call = tenant.admin("POST", &format!("/secrets/{kind}/rotate")).json(&body);
    call.send().await
}

/// The answer to a webhook signed with this secret.
async fn signed(tenant: &Tenant, secret: &str) -> u16 {
    tenant.webhook().secret(secret).send().await.status
}

async fn subscribed(tenant: &Tenant, secret: &str) -> Result<Stream, TestResponse> {
    tenant.events(&["posts"]).token(Token::new(secret, &["posts"])).open().await
}

#[tokio::test]
async fn within_the_grace_both_webhook_secrets_are_good() {
    let world = World::shared().await;
    let tenant = world.tenant().create().await;
    let old = tenant.webhook_secret.clone();
    let answer = rotate(&tenant, "webhook", json!({"grace_seconds": 600})).await.expect(200);
    let new = answer.data()["secret"].as_str().unwrap().to_owned();
    assert_ne!(old, new);
    assert!(answer.data()["version"].as_u64().unwrap() >= 2);
    assert!(answer.data()["previous_valid_until"].is_string());
    assert_eq!(signed(&tenant, &new).await, 202);
    assert_eq!(signed(&tenant, &old).await, 202);
    let standard = tenant.webhook().secret(&old).standard("msg_old").send().await;
    standard.expect(202);
}

#[tokio::test]
async fn without_a_grace_the_old_webhook_secret_is_worthless_at_once() {
    let world = World::shared().await;
    let tenant = world.tenant().create().await;
    let old = tenant.webhook_secret.clone();
    assert_eq!(signed(&tenant, &old).await, 202);
    let answer = rotate(&tenant, "webhook", json!({"grace_seconds": 0})).await.expect(200);
    let new = answer.data()["secret"].as_str().unwrap().to_owned();
    assert_eq!(signed(&tenant, &old).await, 401);
    assert_eq!(signed(&tenant, &new).await, 202);
}

#[tokio::test]
async fn a_second_rotation_ends_the_grace_of_the_first() {
    let world = World::shared().await;
    let tenant = world.tenant().create().await;
    let first = tenant.webhook_secret.clone();
    let rotated = async || {
        let answer = rotate(&tenant, "webhook", json!({"grace_seconds": 600})).await.expect(200);
        answer.data()["secret"].as_str().unwrap().to_owned()
    };
    let (second, third) = (rotated().await, rotated().await);
    assert_eq!(signed(&tenant, &third).await, 202);
    assert_eq!(signed(&tenant, &second).await, 202);
    assert_eq!(signed(&tenant, &first).await, 401);
}

#[tokio::test]
async fn a_grace_ends() {
    let world = World::shared().await;
    let tenant = world.tenant().create().await;
    let old = tenant.webhook_secret.clone();
    let mut witness = tenant.subscribe(&["quiet"]).await;
    rotate(&tenant, "webhook", json!({"grace_seconds": 2})).await.expect(200);
    for _ in 0..4 {
        witness.beat().await;
    }
    assert_eq!(signed(&tenant, &old).await, 401);
}

#[tokio::test]
async fn subscription_secrets_rotate_likewise() {
    let world = World::shared().await;
    let tenant = world.tenant().create().await;
    let old = tenant.subscription_secret.clone();
    let answer = rotate(&tenant, "subscription", json!({"grace_seconds": 600})).await.expect(200);
    let new = answer.data()["secret"].as_str().unwrap().to_owned();
    assert!(subscribed(&tenant, &new).await.is_ok());
    assert!(subscribed(&tenant, &old).await.is_ok());

    let answer = rotate(&tenant, "subscription", json!({"grace_seconds": 0})).await.expect(200);
    let newest = answer.data()["secret"].as_str().unwrap().to_owned();
    assert!(subscribed(&tenant, &newest).await.is_ok());
    for gone in [old, new] {
        let refused = subscribed(&tenant, &gone).await.err().unwrap();
        refused.expect_problem(401, "invalid_token");
    }
}

#[tokio::test]
async fn a_rotation_without_a_grace_ends_the_streams_that_the_old_secret_opened() {
    let world = World::shared().await;
    let tenant = world.tenant().create().await;
    let mut public = tenant.subscribe(&["posts"]).await;
    let mut granted = tenant.events(&["posts"]).token(tenant.token(&["posts"])).live().await;
    rotate(&tenant, "subscription", json!({"grace_seconds": 0})).await.expect(200);
    assert_eq!(granted.closed().await, "token_expired");
    let id = tenant.publish("posts", json!("still open")).await;
    assert_eq!(public.event().await.id, id);
}

#[tokio::test]
async fn the_two_secrets_do_not_stand_for_each_other() {
    let world = World::shared().await;
    let tenant = world.tenant().create().await;
    assert_eq!(signed(&tenant, &tenant.subscription_secret).await, 401);
    let refused = subscribed(&tenant, &tenant.webhook_secret).await.err().unwrap();
    refused.expect_problem(401, "invalid_token");
}

#[tokio::test]
async fn a_secret_may_be_given() {
    let world = World::shared().await;
    let tenant = world.tenant().create().await;
    let given = "a secret of the site's own";
    let answer = rotate(&tenant, "webhook", json!({"secret": given})).await.expect(200);
    assert_eq!(answer.data()["secret"], given);
    assert_eq!(signed(&tenant, given).await, 202);
    assert_eq!(tenant.webhook().secret(given).standard("msg_1").send().await.status, 202);
}

#[tokio::test]
async fn a_bad_rotation_names_its_field_and_rotates_nothing() {
    let world = World::shared().await;
    let tenant = world.tenant().create().await;
    for (body, pointer) in [
        (json!({"secret": "short"}), "/secret"),
        (json!({"secret": "x".repeat(257)}), "/secret"),
        (json!({"secret": "whsec_this is no base64 at all"}), "/secret"),
        (json!({"secret": "whsec_c2hvcnQgc2VjcmV0"}), "/secret"),
        (json!({"secret": "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaS"}), "/secret"),
        (json!({"secret": " whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"}), "/secret"),
        (json!({"secret": "WHSEC_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"}), "/secret"),
        (json!({"secret": format!("whsec_{}", "A".repeat(88))}), "/secret"),
        (json!({"grace_seconds": -1}), "/grace_seconds"),
        (json!({"grace_seconds": "long"}), "/grace_seconds"),
        (json!({"grace_seconds": 100_000_000}), "/grace_seconds"),
        (json!({"colour": "green"}), "/colour"),
    ] {
        rotate(&tenant, "webhook", body).await.expect_invalid(pointer);
    }
    rotate(&tenant, "other", json!({})).await.expect_problem(404, "not_found");
    assert_eq!(signed(&tenant, &tenant.webhook_secret).await, 202);
}

#[tokio::test]
async fn a_new_tenants_secrets_are_held_to_the_same_rule() {
    let world = World::shared().await;
    for field in ["webhook_secret", "subscription_secret"] {
        let bad = world.tenant().set(field, json!("whsec_not base64 of anything")).call();
        bad.send().await.expect_invalid(&format!("/{field}"));
    }
    let secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    let tenant = world.tenant().set("webhook_secret", json!(secret)).create().await;
    assert_eq!(tenant.webhook().standard("msg_1").send().await.status, 202);
    assert_eq!(signed(&tenant, secret).await, 202, "the plain form takes the text itself");
}

#[tokio::test]
async fn no_secret_lies_in_the_clear_at_rest() {
    let world = World::shared().await;
    let tenant = world.tenant().create().await;
    let rotated = rotate(&tenant, "webhook", json!({"grace_seconds": 600})).await.expect(200);
    let rotated = rotated.data()["secret"].as_str().unwrap().to_owned();
    let tables = "SELECT name FROM sqlite_master WHERE type = 'table'
                  AND name NOT LIKE '\\_%' ESCAPE '\\' AND name NOT LIKE 'sqlite%'";
    for binding in ["CONTROL", "SHARD_00", "SHARD_01"] {
        let tables = world.rows(binding, tables, &[]).await;
        assert!(!tables.is_empty(), "{binding} has tables");
        for table in tables {
            let table = table["name"].as_str().unwrap();
            let rows = world.rows(binding, &format!("SELECT * FROM {table}"), &[]).await;
            let rows = Value::Array(rows).to_string();
            for secret in [&tenant.webhook_secret, &tenant.subscription_secret, &rotated] {
                assert!(!rows.contains(secret.as_str()), "{binding}.{table}");
            }
        }
    }
}
