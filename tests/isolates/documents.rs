//! GraphQL documents: which of them may be asked. An isolate asks the registry anew after five seconds, and the tenant's
//! configuration too.

use serde_json::{Value, json};

use crate::world::{Pair, Site, SiteAnswer, Tenant, World, eventually, unique};

const GRAPHQL: &str = "/graphql";
const DOCUMENTS: &str = "/api/v1/documents";
const REFUSED: &str = "DOCUMENT_NOT_REGISTERED";

async fn pair(rule: &str) -> (Site, Pair) {
    let site =
        Site::saying(|request| SiteAnswer::json(200, json!({"data": {"asked": request.document()}}).to_string()));
    let settings = json!({"graphql": {"documents": rule}});
    let pair =
        World::on_both(|tenant| tenant.set("wpgraphql_endpoint", json!(site.url())).set("settings", settings)).await;
    (site, pair)
}

fn document() -> String {
    format!("{{a{}}}", unique())
}

async fn register(tenant: &Tenant, text: &str, alias: &str) {
    let body = json!({"documents": [{"text": text, "alias": alias}]});
    tenant.as_owner("PUT", DOCUMENTS).json(&body).send().await.expect(200);
}

/// What a stranger's request leads to: the document that the site was asked, or the code of the refusal.
async fn told(tenant: &Tenant, body: Value) -> String {
    let answer = tenant.call("POST", GRAPHQL).json(&body).send().await.expect(200).json();
    let told =
        if answer["data"].is_object() { &answer["data"]["asked"] } else { &answer["errors"][0]["extensions"]["code"] };
    told.as_str().unwrap_or_else(|| panic!("{answer}")).to_owned()
}

async fn is_told_soon(tenant: &Tenant, body: Value, expected: &str) {
    eventually("the other isolate", async || (told(tenant, body.clone()).await == expected).then_some(())).await;
}

#[tokio::test]
async fn a_document_that_left_the_registry_is_refused_in_every_isolate() {
    let (_site, Pair { here, there }) = pair("registered").await;
    let text = document();
    register(&here, &text, "One").await;
    for body in [json!({"query": text}), json!({"queryId": "One"})] {
        assert_eq!(told(&here, body.clone()).await, text);
        assert_eq!(told(&there, body).await, text);
    }
    let listed = here.as_owner("GET", DOCUMENTS).send().await.expect(200).data();
    let path = format!("{DOCUMENTS}/{}", listed[0]["hash"].as_str().unwrap());
    here.as_owner("DELETE", &path).send().await.expect(200);
    for body in [json!({"query": text}), json!({"queryId": "One"})] {
        assert_eq!(told(&here, body.clone()).await, REFUSED, "at once where it was taken out");
        is_told_soon(&there, body, REFUSED).await;
    }
}

#[tokio::test]
async fn an_alias_that_is_given_to_another_document_is_its_in_every_isolate() {
    let (_site, Pair { here, there }) = pair("any").await;
    let [first, second] = [document(), document()];
    register(&here, &first, "One").await;
    let body = json!({"documentId": "One"});
    assert_eq!((told(&here, body.clone()).await, told(&there, body.clone()).await), (first.clone(), first));
    register(&here, &second, "One").await;
    assert_eq!(told(&here, body.clone()).await, second);
    is_told_soon(&there, body, &second).await;
}

#[tokio::test]
async fn registered_documents_alone_are_asked_in_every_isolate_once_a_tenant_says_so() {
    let (_site, Pair { here, there }) = pair("any").await;
    let [registered, other] = [document(), document()];
    register(&here, &registered, "One").await;
    let (asks, asks_other) = (json!({"query": registered}), json!({"query": other}));
    for tenant in [&here, &there] {
        assert_eq!(told(tenant, asks_other.clone()).await, other);
    }
    let settings = json!({"graphql": {"documents": "registered"}});
    here.as_owner("PATCH", "/api/v1/settings").json(&settings).send().await.expect(200);
    assert_eq!(told(&here, asks_other.clone()).await, REFUSED);
    is_told_soon(&there, asks_other.clone(), REFUSED).await;
    assert_eq!(told(&there, asks_other).await, REFUSED);
    for tenant in [&here, &there] {
        assert_eq!(told(tenant, asks.clone()).await, registered);
    }
}
