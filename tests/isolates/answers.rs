//! Kept answers of sites: what ends one.

use serde_json::json;

use crate::graphql_cache::{posted, tenant_of, verdict};
use crate::world::content::{Content, post, relay, version};
use crate::world::{Tenant, World};

/// A change of a site that is told through one isolate is what the other one shows to whoever has heard of it.
async fn ends_elsewhere(tell: impl AsyncFn(&Tenant) -> String) {
    let (a, b) = World::pair().await;
    let content = Content::of([1]);
    let tenant = tenant_of(&a, &content.site, json!({"fresh_seconds": 600})).await;
    for (here, there) in [(tenant.clone(), tenant.through(&b)), (tenant.through(&b), tenant.clone())] {
        posted(&there, &post(1)).send().await.expect(200);
        assert!(verdict(&posted(&there, &post(1)).send().await).starts_with("HIT"));
        let now = content.change(1);
        let id = tell(&here).await;
        let answer = posted(&there, &post(1)).header("X-Carillon-After", &id).send().await;
        assert_eq!(version(&answer.body), Some(now), "{}", verdict(&answer));
    }
}

#[tokio::test]
async fn a_webhook_ends_what_it_names_in_every_isolate() {
    ends_elsewhere(async |tenant| tenant.webhook().set("keys", json!([relay(1)])).accepted().await).await;
}

#[tokio::test]
async fn a_purge_ends_what_it_names_in_every_isolate() {
    ends_elsewhere(async |tenant| {
        let purged = tenant.as_owner("POST", "/api/v1/cache/purge").json(&json!({"ids": ["post:1"]}));
        purged.send().await.expect(200).data()["id"].as_str().unwrap().to_owned()
    })
    .await;
}
