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
    let key = tenant.key(&["subscriber-tokens:write", "events:read", "records:read"]).await;
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
    let scopes = &["subscriber-tokens:write", "events:read", "records:read"];
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
    let key = tenant.key(&["subscriber-tokens:write", "events:read", "records:read", "api-keys:read"]).await;
    let token = format!("Bearer {}", mint(&tenant, &key.text, &["*"]).await);
    let asked = || tenant.events(&["a"]).header("Authorization", &token);
    let mut stream = asked().live().await;
    let patch = async |change: Value| {
        let call = tenant.as_owner("PATCH", &format!("/api/v1/api-keys/{}", key.id));
        call.json(&change).send().await.expect(200);
    };
    patch(json!({"name": "another"})).await;
    patch(json!({"scopes": ["subscriber-tokens:*", "events:read", "records:*"]})).await;
    tenant.publish("a", json!(1)).await;
    assert_eq!(stream.event().await.body["data"], 1, "what changes nothing of it ends nothing");
    patch(json!({"scopes": ["api-keys:read"]})).await;
    assert_eq!(stream.closed().await, "token_revoked");
    asked().refused().await.expect_problem(401, "invalid_token");
    ask(&tenant, &key.text, json!({"topics": ["*"]})).await.expect_problem(403, "forbidden");
    patch(json!({"scopes": ["subscriber-tokens:write", "events:read", "records:read"]})).await;
    asked().refused().await.expect_problem(401, "invalid_token");
    let again = format!("Bearer {}", mint(&tenant, &key.text, &["*"]).await);
    tenant.events(&["a"]).header("Authorization", &again).live().await;
}

#[tokio::test]
async fn a_minted_token_is_no_credential_of_the_api_and_of_no_other_tenant() {
    let (tenant, other) = (tenant().await, tenant().await);
    let key = tenant.key(&["subscriber-tokens:write", "events:read", "records:read", "api-keys:read"]).await;
    let token = mint(&tenant, &key.text, &["*"]).await;
    tenant.call("GET", "/api/v1/api-keys").bearer(&token).send().await.expect_problem(401, "unauthorized");
    let refused = other.events(&["a"]).header("Authorization", &format!("Bearer {token}")).refused().await;
    refused.expect_problem(404, "tenant_not_found");
}

#[tokio::test]
async fn nobody_mints_what_they_may_not_hear() {
    let tenant = tenant().await;
    for (scopes, topics, missing) in [
        (&["events:read"][..], &["orders", "records/leads"][..], Some((1, "records:read"))),
        (&["events:read"], &["records/*"], Some((0, "records:read"))),
        (&["events:read"], &["*"], Some((0, "records:read"))),
        (&["events:read"], &["rec*"], Some((0, "records:read"))),
        (&["events:read"], &["records", "recordings*"], None),
        (&["records:read"], &["records/leads", "records/l*"], None),
        (&["records:read"], &["records/leads", "orders"], Some((1, "events:read"))),
        (&["records:read"], &["records*"], Some((0, "events:read"))),
        (&["records:write"], &["records/leads"], Some((0, "records:read"))),
        (&["events:read", "records:read"], &["*"], None),
    ] {
        let key = tenant.key(&[scopes, &["subscriber-tokens:write"]].concat()).await.text;
        let answer = ask(&tenant, &key, json!({"topics": topics})).await;
        let Some((at, permission)) = missing else {
            answer.expect(201);
            continue;
        };
        let answer = answer.expect_problem(403, "forbidden");
        assert_eq!(answer.pointers(), [format!("/topics/{at}")], "{scopes:?} {topics:?}");
        assert!(answer.body.contains(permission), "{scopes:?} {topics:?}: {}", answer.body);
    }
    assert_eq!(tenant.audited("subscriber_token.mint").await.len(), 3);
}

#[tokio::test]
async fn a_key_that_may_hear_less_takes_the_streams_of_its_tokens_with_it() {
    let tenant = tenant().await;
    let key = tenant.key(&["subscriber-tokens:write", "events:read", "records:read"]).await;
    let token = format!("Bearer {}", mint(&tenant, &key.text, &["records/*"]).await);
    let mut stream = tenant.events(&["records/leads"]).header("Authorization", &token).live().await;
    let call = tenant.as_owner("PATCH", &format!("/api/v1/api-keys/{}", key.id));
    call.json(&json!({"scopes": ["subscriber-tokens:write", "events:read"]})).send().await.expect(200);
    assert_eq!(stream.closed().await, "token_revoked");
    let again = tenant.events(&["records/leads"]).header("Authorization", &token);
    again.refused().await.expect_problem(401, "invalid_token");
}

#[tokio::test]
async fn a_token_outlives_neither_the_key_nor_the_session_it_was_minted_with() {
    let tenant = tenant().await;
    let end = "2099-01-01T00:00:00.000Z";
    let scopes = ["subscriber-tokens:write", "events:read"];
    let body = json!({"name": "ends", "scopes": scopes, "expires_at": end});
    let key = tenant.as_owner("POST", "/api/v1/api-keys").json(&body).send().await.expect(201).data();
    let soon = (crate::world::now() + 120) * 1000;
    let sql = "UPDATE api_keys SET expires_at = ?3 WHERE tenant_id = ?1 AND id = ?2";
    tenant.on_shard(sql, &[key["id"].as_str().unwrap(), &soon.to_string()]).await;
    let minted = ask(&tenant, key["key"].as_str().unwrap(), json!({"topics": ["a"], "ttl": 3600})).await.expect(201);
    let claims = minted.data()["token"].as_str().unwrap().split('.').nth(1).unwrap().to_owned();
    let claims = base64::Engine::decode(&base64::engine::general_purpose::URL_SAFE_NO_PAD, claims).unwrap();
    let claims: Value = serde_json::from_slice(&claims).unwrap();
    assert!(claims["exp"].as_u64().unwrap() * 1000 <= soon, "{claims}");

    let user = tenant.user("owner").await;
    let (here, elsewhere) = (user.login().await, user.login().await);
    let token = format!("Bearer {}", mint(&tenant, &here.access, &["a"]).await);
    let other = format!("Bearer {}", mint(&tenant, &elsewhere.access, &["a"]).await);
    let mut stream = tenant.events(&["a"]).header("Authorization", &token).live().await;
    let mut lasting = tenant.events(&["a"]).header("Authorization", &other).live().await;
    tenant.call("POST", "/api/v1/auth/logout").bearer(&here.access).send().await.expect(204);
    assert_eq!(stream.closed().await, "token_revoked");
    tenant.events(&["a"]).header("Authorization", &token).refused().await.expect_problem(401, "invalid_token");
    tenant.publish("a", json!(1)).await;
    assert_eq!(lasting.event().await.body["data"], 1);
}

#[tokio::test]
async fn bad_bodies_name_their_fields() {
    let tenant = tenant().await;
    let key = tenant.key(&["subscriber-tokens:write", "events:read", "records:read"]).await.text;
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
    let key = tenant.key(&["subscriber-tokens:write", "events:read", "records:read"]).await.text;
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
