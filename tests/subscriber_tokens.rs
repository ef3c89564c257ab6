//! Subscriber tokens that the platform mints, for sites that mint none themselves.

use serde_json::{Value, json};

use crate::world::{Tenant, TestResponse, World};

const MINT: &str = "/api/v1/subscriber-tokens";

async fn tenant() -> Tenant {
    World::shared().await.tenant().create().await
}

async fn ask(tenant: &Tenant, key: &str, body: Value) -> TestResponse {
    tenant.call("POST", MINT).bearer(key).json(&body).send().await
}

async fn mint(tenant: &Tenant, key: &str, topics: &[&str]) -> String {
    let data = ask(tenant, key, json!({"topics": topics})).await.expect(201).data();
    data["token"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_minted_token_opens_its_topics_as_header_cookie_and_ticket() {
    let tenant = tenant().await;
    let key = tenant.key(&["subscriber-tokens:write"]).await;
    let token = mint(&tenant, &key.text, &["orders"]).await;
    let bearer = format!("Bearer {token}");
    let mut by_header = tenant.events(&["orders", "end"]).header("Authorization", &bearer).live().await;
    let cookie = format!("carillon_subscriber={token}");
    let mut by_cookie = tenant.events(&["orders", "end"]).header("Cookie", &cookie).live().await;
    let ticket = tenant.call("PUT", "/events").bearer(&token).send().await.expect(201).data();
    let mut by_ticket = tenant.events(&["orders", "end"]).ticket(ticket["ticket"].as_str().unwrap()).live().await;
    let mut stranger = tenant.subscribe(&["orders", "end"]).await;
    tenant.webhook().channels(&["orders"]).data(json!("secret")).private().accepted().await;
    tenant.publish("end", json!("end")).await;
    for stream in [&mut by_header, &mut by_cookie, &mut by_ticket] {
        assert_eq!(stream.next_data(2).await, [json!("secret"), json!("end")]);
    }
    assert_eq!(stranger.event().await.body["data"], "end");
}

#[tokio::test]
async fn revoking_the_key_ends_the_streams_of_its_tokens_and_no_others() {
    let tenant = tenant().await;
    let scopes = &["subscriber-tokens:write"];
    let (gone, kept) = (tenant.key(scopes).await, tenant.key(scopes).await);
    let token = mint(&tenant, &gone.text, &["*"]).await;
    let unused = tenant.call("PUT", "/events").bearer(&token).send().await.expect(201).data();
    let mut ended = tenant.events(&["a"]).header("Authorization", &format!("Bearer {token}")).live().await;
    let other = mint(&tenant, &kept.text, &["*"]).await;
    let mut lasting = tenant.events(&["a"]).header("Authorization", &format!("Bearer {other}")).live().await;
    let mut public = tenant.subscribe(&["a"]).await;
    tenant.as_owner("DELETE", &format!("/api/v1/api-keys/{}", gone.id)).send().await.expect(200);
    assert_eq!(ended.closed().await, "token_revoked");
    for stream in [
        tenant.events(&["a"]).header("Authorization", &format!("Bearer {token}")),
        tenant.events(&["a"]).ticket(unused["ticket"].as_str().unwrap()),
    ] {
        stream.refused().await.expect_problem(401, "invalid_token");
    }
    tenant.publish("a", json!(1)).await;
    assert_eq!(lasting.event().await.body["data"], 1);
    assert_eq!(public.event().await.body["data"], 1);
}

#[tokio::test]
async fn a_key_that_may_mint_no_more_takes_the_streams_of_its_tokens_with_it() {
    let tenant = tenant().await;
    let key = tenant.key(&["subscriber-tokens:write", "api-keys:read"]).await;
    let token = format!("Bearer {}", mint(&tenant, &key.text, &["*"]).await);
    let asked = || tenant.events(&["a"]).header("Authorization", &token);
    let mut stream = asked().live().await;
    let patch = async |change: Value| {
        let call = tenant.as_owner("PATCH", &format!("/api/v1/api-keys/{}", key.id));
        call.json(&change).send().await.expect(200);
    };
    patch(json!({"name": "another"})).await;
    patch(json!({"scopes": ["subscriber-tokens:*"]})).await;
    tenant.publish("a", json!(1)).await;
    assert_eq!(stream.event().await.body["data"], 1, "what changes nothing of it ends nothing");
    patch(json!({"scopes": ["api-keys:read"]})).await;
    assert_eq!(stream.closed().await, "token_revoked");
    asked().refused().await.expect_problem(401, "invalid_token");
    ask(&tenant, &key.text, json!({"topics": ["*"]})).await.expect_problem(403, "forbidden");
    patch(json!({"scopes": ["subscriber-tokens:write"]})).await;
    asked().refused().await.expect_problem(401, "invalid_token");
    let again = format!("Bearer {}", mint(&tenant, &key.text, &["*"]).await);
    tenant.events(&["a"]).header("Authorization", &again).live().await;
}

#[tokio::test]
async fn a_minted_token_is_no_credential_of_the_api_and_of_no_other_tenant() {
    let (tenant, other) = (tenant().await, tenant().await);
    let key = tenant.key(&["subscriber-tokens:write", "api-keys:read"]).await;
    let token = mint(&tenant, &key.text, &["*"]).await;
    tenant.call("GET", "/api/v1/api-keys").bearer(&token).send().await.expect_problem(401, "unauthorized");
    let refused = other.events(&["a"]).header("Authorization", &format!("Bearer {token}")).refused().await;
    refused.expect_problem(404, "tenant_not_found");
}

#[tokio::test]
async fn bad_bodies_name_their_fields() {
    let tenant = tenant().await;
    let key = tenant.key(&["subscriber-tokens:write"]).await.text;
    ask(&tenant, &key, json!({})).await.expect_invalid("/topics");
    ask(&tenant, &key, json!({"topics": []})).await.expect_invalid("/topics");
    ask(&tenant, &key, json!({"topics": ["a*b"]})).await.expect_invalid("/topics/0");
    for ttl in [59, 3601] {
        ask(&tenant, &key, json!({"topics": ["a"], "ttl": ttl})).await.expect_invalid("/ttl");
    }
}

#[tokio::test]
async fn the_public_keys_stand_on_both_hosts() {
    let tenant = tenant().await;
    let key = tenant.key(&["subscriber-tokens:write"]).await.text;
    mint(&tenant, &key, &["a"]).await;
    let on_platform = tenant.world.call("GET", crate::world::ROOT, "/.well-known/jwks.json").send().await.expect(200);
    let on_tenant = tenant.call("GET", "/.well-known/jwks.json").send().await.expect(200);
    assert_eq!(on_platform.json(), on_tenant.json());
    assert_eq!(on_platform.header("cache-control"), "public, max-age=300");
    let keys = on_platform.json()["keys"].clone();
    assert_eq!(
        (&keys[0]["kty"], &keys[0]["crv"], &keys[0]["alg"]),
        (&json!("OKP"), &json!("Ed25519"), &json!("EdDSA"))
    );
    assert!(keys[0]["d"].is_null(), "no private half");
}
