//! Mercure, "Discovery" and "Protected Resource Metadata".

use serde_json::{Value, json};

use crate::world::{HUB, Tenant, World};

const METADATA: &str = "/.well-known/oauth-protected-resource/.well-known/mercure";

async fn metadata(tenant: &Tenant) -> Value {
    let answer = tenant.call("GET", METADATA).send().await.expect(200);
    assert_eq!(answer.header("content-type"), "application/json");
    answer.json()
}

#[tokio::test]
async fn the_hub_says_what_it_is() {
    let tenant = World::hub(json!({"subscriptions": true})).await;
    let wanted = json!({
        "resource": tenant.hub_url(),
        "authorization_servers": [],
        "authorization_details_types_supported": ["https://mercure.rocks/authorization-detail"],
        "bearer_methods_supported": ["header"],
        "mercure_cookie": "__Secure-mercure_access_token",
        "mercure_matcher_types_supported": ["exact", "urlpattern"],
        "mercure_subscriptions": true,
    });
    assert_eq!(metadata(&tenant).await, wanted);
}

#[tokio::test]
async fn what_the_hub_says_follows_the_tenants_settings() {
    let tenant = World::hub(json!({"subscriptions": false})).await;
    assert_eq!(metadata(&tenant).await["mercure_subscriptions"], false);
    let issuer = json!({"issuer": "https://login.example.com", "jwks_url": "https://login.example.com/keys", "allows": ["publish"]});
    tenant.set_mercure(json!({"subscriptions": true, "issuers": [issuer]})).await;
    let shown = metadata(&tenant).await;
    assert_eq!(shown["mercure_subscriptions"], true);
    assert_eq!(shown["authorization_servers"], json!(["https://login.example.com"]));
}

#[tokio::test]
async fn the_resource_is_the_audience_of_tokens() {
    let tenant = World::hub(json!({"compatibility": false})).await;
    let resource = metadata(&tenant).await["resource"].clone();
    let token = tenant.access_token("publish", &[("exact", "a")]);
    tenant.update("a").token(token.clone().claim("aud", resource)).published().await;
    let other = json!(format!("http://{}/events", tenant.host));
    tenant.update("a").token(token.claim("aud", other)).send().await.expect_problem(401, "invalid_token");
}

#[tokio::test]
async fn each_host_of_a_tenant_is_a_hub_of_its_own_url() {
    let domain = format!("{}.example", crate::world::unique());
    let world = World::shared().await;
    let tenant = world.tenant().plan("enterprise").set("custom_domains", json!([domain])).create().await;
    let there = format!("http://{domain}");
    let shown = tenant.call("GET", METADATA).host(&domain).send().await.expect(200).json();
    assert_eq!(shown["resource"], format!("{there}{HUB}"));
    let token = |origin: &str| {
        let token = tenant.access_token("subscribe", &[("exact", "a")]).claim("iss", json!(origin));
        token.claim("aud", json!(format!("{origin}{HUB}"))).sign()
    };
    let subscribe = |token: &str| tenant.mercure().query("match", "a").host(&domain).bearer(token);
    let mut stream = subscribe(&token(&there)).stream().await;
    subscribe(&token(&format!("http://{}", tenant.host))).refused().await.expect_problem(401, "invalid_token");
    tenant.update("a").data("on the other host").private().published().await;
    assert_eq!(stream.update().await.data.as_deref(), Some("on the other host"));
}

#[tokio::test]
async fn keys_are_not_fetched_from_addresses_of_a_network_inside() {
    let tenant = World::hub(json!({})).await;
    for url in [
        "http://login.example.com/keys",
        "https://10.0.0.1/keys",
        "https://192.168.1.1/keys",
        "https://169.254.169.254/latest",
        "https://[fd00::1]/keys",
        "https://login.internal/keys",
        "https://user:password@login.example.com/keys",
        "file:///etc/passwd",
        "keys",
    ] {
        let issuer = json!({"issuer": "https://login.example.com", "jwks_url": url, "allows": ["publish"]});
        let patch = tenant.admin("PATCH", "").json(&json!({"settings": {"mercure": {"issuers": [issuer]}}}));
        let answer = patch.send().await;
        assert_eq!(answer.status, 422, "{url}: {}", answer.body);
        assert_eq!(answer.pointers(), ["/settings/mercure/issuers/0/jwks_url"], "{url}");
    }
}
