//! Mercure, "Error Responses".

use serde_json::json;

use crate::world::{HUB, RequestBuilder, Tenant, TestResponse, World, now};

async fn tenant() -> Tenant {
    World::hub(json!({"subscriptions": true})).await
}

fn post(tenant: &Tenant) -> RequestBuilder {
    let call = tenant.call("POST", HUB).header("Content-Type", "application/x-www-form-urlencoded");
    call.bytes(b"topic=a&data=x".to_vec())
}

fn subscribe(tenant: &Tenant) -> RequestBuilder {
    tenant.mercure().query("match", "a")
}

fn subscriptions(tenant: &Tenant) -> RequestBuilder {
    tenant.call("GET", &format!("{HUB}/subscriptions"))
}

/// The challenge, which names the document of the hub, and an error where there is one.
fn assert_challenged(tenant: &Tenant, answer: &TestResponse, error: Option<&str>) {
    let metadata = format!("http://{}/.well-known/oauth-protected-resource{HUB}", tenant.host);
    let error = error.map(|error| format!(", error=\"{error}\"")).unwrap_or_default();
    assert_eq!(answer.header("www-authenticate"), format!("Bearer resource_metadata=\"{metadata}\"{error}"));
}

#[tokio::test]
async fn a_request_that_is_malformed_is_400_without_a_challenge() {
    let tenant = tenant().await;
    let token = tenant.publisher(&["*"]).sign();
    let no_topic = tenant.call("POST", HUB).header("Content-Type", "application/x-www-form-urlencoded");
    for answer in [
        tenant.mercure().refused().await.expect_problem(400, "invalid_query"),
        no_topic.bytes(b"data=x".to_vec()).bearer(&token).send().await.expect_problem(400, "invalid_form"),
    ] {
        assert!(!answer.headers.contains_key("www-authenticate"));
    }
}

#[tokio::test]
async fn what_carries_no_token_by_its_letters_is_400_invalid_request() {
    let tenant = tenant().await;
    for header in ["Bearer", "Bearer ", "Basic dXNlcjpwYXNz", "Bearer a b", "a.b.c", "Bearer a,b"] {
        for call in [post(&tenant), subscribe(&tenant), subscriptions(&tenant)] {
            let answer = call.header("Authorization", header).send().await;
            let answer = answer.expect_problem(400, "malformed_credential");
            assert_challenged(&tenant, &answer, Some("invalid_request"));
        }
    }
}

#[tokio::test]
async fn no_token_where_one_is_needed_is_401_with_a_bare_challenge() {
    let tenant = tenant().await;
    let mut answers = vec![post(&tenant).send().await, subscriptions(&tenant).send().await];
    tenant.set_mercure(json!({"anonymous": false})).await;
    answers.push(subscribe(&tenant).send().await);
    for answer in answers {
        assert_challenged(&tenant, &answer.expect_problem(401, "unauthorized"), None);
    }
}

#[tokio::test]
async fn an_invalid_token_is_401_and_nobody_learns_why() {
    let tenant = tenant().await;
    let other = World::hub(json!({})).await;
    let mut told = Vec::new();
    for token in [
        "garbage".to_owned(),
        other.subscriber(&["*"]).sign(),
        other.access_token("publish", &[("exact", "*")]).sign(),
        tenant.publisher(&["*"]).claim("exp", json!(now() - 10)).sign(),
        tenant.access_token("publish", &[("exact", "*")]).without("aud").sign(),
        tenant.access_token("publish", &[("urlpattern", "(")]).sign(),
    ] {
        for call in [post(&tenant), subscribe(&tenant), subscriptions(&tenant)] {
            let answer = call.bearer(&token).send().await.expect_problem(401, "invalid_token");
            assert_challenged(&tenant, &answer, Some("invalid_token"));
            let mut body = answer.json();
            body.as_object_mut().unwrap().remove("request_id");
            told.push(body);
        }
    }
    told.dedup();
    assert_eq!(told.len(), 1, "{told:?}");
}

#[tokio::test]
async fn a_valid_token_without_the_grant_is_403_insufficient_scope() {
    let tenant = tenant().await;
    for (call, token) in [
        (post(&tenant), tenant.publisher(&["b"])),
        (post(&tenant), tenant.publisher(&[])),
        (post(&tenant), tenant.access_token("publish", &[("exact", "b")])),
        (post(&tenant), tenant.subscriber(&["*"])),
        (post(&tenant), tenant.access_token("subscribe", &[("exact", "*")])),
        (subscriptions(&tenant), tenant.subscriber(&["a"])),
        (subscriptions(&tenant), tenant.publisher(&["*"])),
        (subscriptions(&tenant), tenant.access_token("subscribe", &[("exact", "/.well-known/mercure/subscriptions/")])),
    ] {
        let answer = call.bearer(&token.sign()).send().await.expect_problem(403, "insufficient_scope");
        assert_challenged(&tenant, &answer, Some("insufficient_scope"));
    }
}

#[tokio::test]
async fn the_challenge_leads_to_what_the_hub_says_of_itself() {
    let tenant = tenant().await;
    let refused = post(&tenant).send().await.expect_problem(401, "unauthorized");
    let (_, url) = refused.header("www-authenticate").split_once("resource_metadata=\"").unwrap();
    let path = url.split('"').next().unwrap().strip_prefix(&format!("http://{}", tenant.host)).unwrap();
    assert_eq!(tenant.call("GET", path).send().await.expect(200).json()["resource"], json!(tenant.hub_url()));
}
