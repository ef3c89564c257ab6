//! A WordPress site configures itself with a key of its tenant.

use serde_json::json;

use crate::world::{ROOT, Tenant, World};

const CONFIG: &str = "/api/tenant/config";

async fn tenant() -> Tenant {
    World::shared().await.tenant().create().await
}

#[tokio::test]
async fn a_site_is_told_what_it_needs_where_plugins_look_for_it() {
    let tenant = tenant().await;
    let key = tenant.key(&["tenant:configure", "events:read", "records:read"]).await;
    let body = json!({"wpgraphql_endpoint": "https://site.example/graphql", "domain": "https://site.example"});
    let answer = tenant.world.call("POST", ROOT, CONFIG).bearer(&key.text).json(&body).send().await.expect(200);
    let config = answer.json();
    for members in [&config, &config["data"]] {
        assert_eq!(members["webhook_secret"], json!(tenant.webhook_secret));
        assert_eq!(members["subscription_secret"], json!(tenant.subscription_secret));
        let endpoint = members["sse_endpoint"].as_str().unwrap();
        assert!(endpoint.ends_with(&format!("://{}/events", tenant.host)), "{endpoint}");
    }
    assert_eq!(tenant.shown().await["wpgraphql_endpoint"], "https://site.example/graphql");
    tenant.call("POST", "/api/v1/tenant/config").bearer(&key.text).json(&json!({})).send().await.expect(200);
    assert_eq!(tenant.shown().await["wpgraphql_endpoint"], "https://site.example/graphql");
}

#[tokio::test]
async fn the_newest_secrets_are_told_right_after_a_rotation() {
    let tenant = tenant().await;
    let key = tenant.key(&["tenant:configure"]).await;
    let ask = async || tenant.call("POST", CONFIG).bearer(&key.text).json(&json!({})).send().await.expect(200).data();
    ask().await;
    let rotated = tenant.admin("POST", "/secrets/webhook/rotate").json(&json!({"grace_seconds": 600})).send().await;
    assert_eq!(ask().await["webhook_secret"], rotated.expect(200).data()["secret"]);
}

#[tokio::test]
async fn another_scope_is_told_nothing() {
    let tenant = tenant().await;
    let key = tenant.key(&["api-keys:*", "users:*"]).await;
    let answer = tenant.call("POST", CONFIG).bearer(&key.text).json(&json!({})).send().await;
    let answer = answer.expect_problem(403, "forbidden");
    assert!(!answer.body.contains(&tenant.webhook_secret));
    let bad = json!({"wpgraphql_endpoint": "ftp://x"});
    let key = tenant.key(&["tenant:configure"]).await;
    tenant.call("POST", CONFIG).bearer(&key.text).json(&bad).send().await.expect_invalid("/wpgraphql_endpoint");
}

#[tokio::test]
async fn the_secret_that_opens_private_events_is_told_to_who_may_read_them_all() {
    let tenant = tenant().await;
    for fewer in [&["tenant:configure"][..], &["tenant:configure", "events:read"], &["tenant:*", "records:*"]] {
        let key = tenant.key(fewer).await;
        let answer = tenant.call("POST", CONFIG).bearer(&key.text).json(&json!({})).send().await.expect(200);
        assert!(!answer.body.contains(&tenant.subscription_secret), "{fewer:?}");
        let config = answer.json();
        for members in [&config, &config["data"]] {
            assert_eq!(members["subscription_secret"], json!(null), "{fewer:?}");
            assert_eq!(members["webhook_secret"], json!(tenant.webhook_secret), "{fewer:?}");
        }
    }
}
