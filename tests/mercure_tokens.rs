//! Whose tokens a hub takes: those of the tenant's own secrets, and of issuers that its settings name.

use serde_json::{Value, json};

use crate::world::{Issuer, RequestBuilder, Stream, Tenant, TestResponse, Token, World, now};

async fn tenant() -> Tenant {
    World::hub(json!({})).await
}

/// Claims of 1.0 that let somebody of this name do both on every topic.
fn claims(tenant: &Tenant, iss: &str) -> Value {
    json!({"iss": iss, "aud": tenant.hub_url(), "exp": now() + 300, "authorization_details": [
        {"type": "https://mercure.rocks/authorization-detail", "actions": ["publish", "subscribe"],
            "topics": [{"match": "*"}]}]})
}

/// What the claims of before 1.0 are for the same.
fn older() -> Value {
    json!({"mercure": {"publish": ["*"], "subscribe": ["*"]}})
}

fn signed(secret: &str, typ: &str, claims: &Value) -> String {
    let token = Token::new(secret, &[]).header(json!({"alg": "HS256", "typ": typ})).without("topics").without("exp");
    claims.as_object().unwrap().iter().fold(token, |token, (name, value)| token.claim(name, value.clone())).sign()
}

async fn current(tenant: &Tenant, issuer: &Issuer) -> String {
    issuer.token(json!({"typ": "at+jwt"}), claims(tenant, &issuer.url)).await
}

fn entry(issuer: &Issuer, allows: &[&str]) -> Value {
    json!({"issuer": issuer.url, "jwks_url": format!("{}/jwks", issuer.url), "allows": allows})
}

async fn trust(tenant: &Tenant, issuers: &[Value]) {
    tenant.set_mercure(json!({"issuers": issuers})).await;
}

async fn publish(tenant: &Tenant, token: &str) -> TestResponse {
    let call = tenant.call("POST", crate::world::HUB).bearer(token);
    let call = call.header("Content-Type", "application/x-www-form-urlencoded");
    call.bytes(b"topic=a&private=on&data=hidden".to_vec()).send().await
}

fn all(tenant: &Tenant, token: &str) -> RequestBuilder {
    tenant.mercure().query("match", "*").bearer(token)
}

/// Whether private updates come to a stream.
async fn hears(tenant: &Tenant, stream: &mut Stream) -> bool {
    tenant.update("a").data("hidden").private().published().await;
    tenant.update("a").data("end").published().await;
    stream.data_before("end").await == ["hidden"]
}

#[tokio::test]
async fn each_secret_signs_for_its_own() {
    let tenant = tenant().await;
    for (typ, claims) in [("at+jwt", claims(&tenant, &format!("http://{}", tenant.host))), ("JWT", older())] {
        let writer = signed(&tenant.webhook_secret, typ, &claims);
        let reader = signed(&tenant.subscription_secret, typ, &claims);
        publish(&tenant, &writer).await.expect(200);
        publish(&tenant, &reader).await.expect_problem(403, "insufficient_scope");
        assert!(hears(&tenant, &mut all(&tenant, &reader).stream().await).await, "{typ}");
        assert!(!hears(&tenant, &mut all(&tenant, &writer).stream().await).await, "{typ}");
    }
}

#[tokio::test]
async fn a_secret_signs_until_its_grace_is_over() {
    let tenant = tenant().await;
    let token = |secret: &str| signed(secret, "JWT", &older());
    let old = token(&tenant.webhook_secret);
    let rotate = async |grace: u64| {
        let call = tenant.admin("POST", "/secrets/webhook/rotate").json(&json!({"grace_seconds": grace}));
        call.send().await.expect(200).data()["secret"].as_str().unwrap().to_owned()
    };
    let second = token(&rotate(600).await);
    for token in [&old, &second] {
        publish(&tenant, token).await.expect(200);
    }
    let third = token(&rotate(0).await);
    publish(&tenant, &third).await.expect(200);
    publish(&tenant, &second).await.expect_problem(401, "invalid_token");
}

#[tokio::test]
async fn a_private_update_of_each_signer_reaches_each_other() {
    let tenant = tenant().await;
    let issuer = Issuer::of(&tenant).await;
    trust(&tenant, &[entry(&issuer, &["publish", "subscribe"])]).await;
    let own = claims(&tenant, &format!("http://{}", tenant.host));
    let outside = [current(&tenant, &issuer).await, issuer.token(json!({"typ": "JWT"}), older()).await];
    let signers = |secret: &str| {
        [signed(secret, "at+jwt", &own), signed(secret, "JWT", &older())].into_iter().chain(outside.clone())
    };
    let mut streams = Vec::new();
    for token in signers(&tenant.subscription_secret) {
        streams.push(all(&tenant, &token).stream().await);
    }
    let mut anybody = tenant.listen(&["a"]).await;
    let mut ids = Vec::new();
    for token in signers(&tenant.webhook_secret) {
        ids.push(publish(&tenant, &token).await.expect(200).body);
    }
    assert_eq!(ids.len(), 4);
    for stream in &mut streams {
        for id in &ids {
            assert_eq!(stream.update().await.id.as_ref(), Some(id));
        }
    }
    tenant.update("a").data("end").published().await;
    assert_eq!(anybody.data_before("end").await, [""; 0]);
}

#[tokio::test]
async fn an_issuer_signs_with_each_kind_of_key() {
    for alg in ["RS256", "ES256", "EdDSA"] {
        let tenant = tenant().await;
        let issuer = Issuer::made(&tenant, json!({"alg": alg})).await;
        trust(&tenant, &[entry(&issuer, &["publish"])]).await;
        let token = current(&tenant, &issuer).await;
        let asked = futures_util::future::join_all((0..8).map(|_| publish(&tenant, &token))).await;
        for answer in asked {
            answer.expect(200);
        }
        // The key says which algorithm it is for, and not the token.
        for (other, status) in [("none", 401), ("HS256", 401), ("PS256", 401), (alg, 200)] {
            let token = issuer.token(json!({"typ": "at+jwt", "alg": other}), claims(&tenant, &issuer.url)).await;
            assert_eq!(publish(&tenant, &token).await.status, status, "{alg} as {other}");
        }
    }
}

#[tokio::test]
async fn an_issuer_lends_what_its_entry_allows() {
    let tenant = tenant().await;
    let issuer = Issuer::of(&tenant).await;
    let tokens = [current(&tenant, &issuer).await, issuer.token(json!({"typ": "JWT"}), older()).await];
    for allows in [&["publish"][..], &["subscribe"], &["publish", "subscribe"]] {
        trust(&tenant, &[entry(&issuer, allows)]).await;
        for token in &tokens {
            let published = publish(&tenant, token).await;
            assert_eq!(published.status == 200, allows.contains(&"publish"), "{allows:?} {}", published.body);
            if published.status != 200 {
                published.expect_problem(403, "insufficient_scope");
            }
            let heard = hears(&tenant, &mut all(&tenant, token).stream().await).await;
            assert_eq!(heard, allows.contains(&"subscribe"), "{allows:?}");
        }
    }
    trust(&tenant, &[]).await;
    for token in &tokens {
        publish(&tenant, token).await.expect_problem(401, "invalid_token");
    }
}

#[tokio::test]
async fn only_the_issuer_that_a_token_names_is_tried() {
    let (tenant, stranger) = (tenant().await, tenant().await);
    let (one, two) = (Issuer::of(&tenant).await, Issuer::of(&tenant).await);
    let entries = [entry(&one, &["publish"]), entry(&two, &["publish"])];
    let named = async |signer: &Issuer, iss: &str, typ: &str| {
        let mut said = if typ == "JWT" { older() } else { claims(&tenant, iss) };
        said["iss"] = json!(iss);
        signer.token(json!({"typ": typ}), said).await
    };
    let nameless = one.token(json!({"typ": "JWT"}), older()).await;
    trust(&tenant, &entries[..1]).await;
    publish(&tenant, &nameless).await.expect(200);
    trust(&tenant, &entries).await;
    publish(&tenant, &nameless).await.expect_problem(401, "invalid_token");
    for typ in ["at+jwt", "JWT"] {
        publish(&tenant, &named(&one, &one.url, typ).await).await.expect(200);
        publish(&tenant, &named(&two, &two.url, typ).await).await.expect(200);
        for iss in [two.url.as_str(), &format!("{}/", one.url), &one.url.to_uppercase(), "other", ""] {
            publish(&tenant, &named(&one, iss, typ).await).await.expect_problem(401, "invalid_token");
        }
    }
    // What another tenant takes is nothing here.
    let token = one.token(json!({"typ": "at+jwt"}), claims(&stranger, &one.url)).await;
    publish(&stranger, &token).await.expect_problem(401, "invalid_token");
}

#[tokio::test]
async fn a_rotation_of_an_issuers_keys_counts_at_once_and_is_asked_for_once_a_minute() {
    let tenant = tenant().await;
    let issuer = Issuer::of(&tenant).await;
    trust(&tenant, &[entry(&issuer, &["publish"])]).await;
    let old = current(&tenant, &issuer).await;
    publish(&tenant, &old).await.expect(200);
    issuer.turn(json!({"rotate": true})).await;
    let new = current(&tenant, &issuer).await;
    for answer in futures_util::future::join_all((0..8).map(|_| publish(&tenant, &new))).await {
        answer.expect(200);
    }
    publish(&tenant, &old).await.expect_problem(401, "invalid_token");
    let asked = issuer.asked_for_keys().await;
    issuer.turn(json!({"rotate": true})).await;
    let newest = current(&tenant, &issuer).await;
    for _ in 0..5 {
        publish(&tenant, &newest).await.expect_problem(401, "invalid_token");
    }
    assert_eq!(issuer.asked_for_keys().await, asked);
    // While it is down, what it told last is good.
    issuer.turn(json!({"down": true})).await;
    publish(&tenant, &new).await.expect(200);
}

#[tokio::test]
async fn an_issuer_that_never_told_its_keys_is_unavailable_and_left_alone() {
    let tenant = tenant().await;
    let issuer = Issuer::of(&tenant).await;
    issuer.turn(json!({"moved": "/jwks"})).await;
    trust(&tenant, &[entry(&issuer, &["publish"])]).await;
    let token = current(&tenant, &issuer).await;
    for _ in 0..3 {
        publish(&tenant, &token).await.expect_problem(503, "unavailable");
    }
    issuer.turn(json!({"moved": null})).await;
    publish(&tenant, &token).await.expect_problem(503, "unavailable");
    assert_eq!(issuer.asked_for_keys().await, 0, "no redirect is followed, and it is asked again after a minute");
    // At another address it is asked anew.
    let mut elsewhere = entry(&issuer, &["publish"]);
    elsewhere["jwks_url"] = json!(format!("{}/jwks?", issuer.url));
    trust(&tenant, &[elsewhere]).await;
    publish(&tenant, &token).await.expect(200);
}

#[tokio::test]
async fn what_an_issuer_says_the_tenants_host_may_not_say_and_the_other_way_round() {
    let tenant = tenant().await;
    let issuer = Issuer::of(&tenant).await;
    trust(&tenant, &[entry(&issuer, &["publish"])]).await;
    let host = format!("http://{}", tenant.host);
    let by_issuer = issuer.token(json!({"typ": "at+jwt"}), claims(&tenant, &host)).await;
    let by_secret = signed(&tenant.webhook_secret, "at+jwt", &claims(&tenant, &issuer.url));
    for token in [by_issuer, by_secret] {
        publish(&tenant, &token).await.expect_problem(401, "invalid_token");
    }
}
