//! A tenant's secrets, on the isolate that did not rotate them: the versions that it opened before are in its memory still.

use serde_json::{Value, json};

use crate::world::{Pair, Tenant, Token, World, eventually};

async fn plain() -> Pair {
    World::on_both(|tenant| tenant).await
}

/// Rotates without a grace.
async fn rotate(tenant: &Tenant, kind: &str) -> String {
    let call = tenant.admin("POST", &format!("/secrets/{kind}/rotate")).json(&json!({"grace_seconds": 0}));
    call.send().await.expect(200).data()["secret"].as_str().unwrap().to_owned()
}

/// Webhooks of both forms, and Mercure tokens of both forms, signed with a text.
async fn publishes(tenant: &Tenant, secret: &str) -> [u16; 4] {
    let of = Tenant { webhook_secret: secret.to_owned(), ..tenant.clone() };
    let update = async |token: Token| of.update("a").data("x").token(token).send().await.status;
    [
        of.webhook().send().await.status,
        of.webhook().standard(&format!("msg_{}", crate::world::unique())).send().await.status,
        update(of.publisher(&["*"])).await,
        update(of.access_token("publish", &[("exact", "*")])).await,
    ]
}

/// Streams of both wires and a ticket, by tokens signed with a text.
async fn subscribes(tenant: &Tenant, secret: &str) -> [u16; 4] {
    let of = Tenant { subscription_secret: secret.to_owned(), ..tenant.clone() };
    let status = |opened: Result<_, crate::world::TestResponse>| opened.map_or_else(|refused| refused.status, |_| 200);
    let on_mercure =
        async |token: Token| status(of.mercure().query("match", "*").bearer(&token.sign()).open().await.map(drop));
    [
        status(of.events(&["a"]).token(of.token(&["a"])).open().await.map(drop)),
        of.call("PUT", "/events").bearer(&of.token(&["a"]).sign()).send().await.status,
        on_mercure(of.subscriber(&["*"])).await,
        on_mercure(of.access_token("subscribe", &[("exact", "*")])).await,
    ]
}

#[tokio::test]
async fn a_retired_webhook_secret_is_worthless_in_every_isolate() {
    let pair = plain().await;
    let old = pair.here.webhook_secret.clone();
    let asked = async |tenant: &Tenant| publishes(tenant, &old).await;
    let rotated = async |tenant: &Tenant| drop(rotate(tenant, "webhook").await);
    pair.binds(asked, [202, 202, 200, 200], rotated, [401; 4]).await;
    let new = rotate(&pair.here, "webhook").await;
    // An isolate that has just read the secrets, because something did not fit, reads them again after a second.
    eventually("the secret that replaces it is good", async || {
        (publishes(&pair.there, &new).await == [202, 202, 200, 200]).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_retired_subscription_secret_is_worthless_in_every_isolate() {
    let pair = plain().await;
    let old = pair.here.subscription_secret.clone();
    let ticket = pair.here.ticket(pair.here.token(&["a"])).await;
    pair.there.events(&["a"]).ticket(&ticket).live().await;
    let asked = async |tenant: &Tenant| subscribes(tenant, &old).await;
    let rotated = async |tenant: &Tenant| drop(rotate(tenant, "subscription").await);
    pair.binds(asked, [200, 201, 200, 200], rotated, [401; 4]).await;
    pair.there.events(&["a"]).ticket(&ticket).refused().await.expect_problem(401, "invalid_token");
    let new = rotate(&pair.here, "subscription").await;
    assert_eq!(subscribes(&pair.there, &new).await, [200, 201, 200, 200]);
}

#[tokio::test]
async fn a_text_that_was_retired_and_is_in_force_again_is_good_in_every_isolate() {
    let pair = plain().await;
    let set = async |kind: &str, text: &str| {
        let body = json!({"grace_seconds": 0, "secret": text});
        pair.here.admin("POST", &format!("/secrets/{kind}/rotate")).json(&body).send().await
    };
    let (published, subscribed) = (pair.here.webhook_secret.clone(), pair.here.subscription_secret.clone());
    // The other isolate knows both texts as their first versions.
    assert_eq!(publishes(&pair.there, &published).await, [202, 202, 200, 200]);
    assert_eq!(subscribes(&pair.there, &subscribed).await, [200, 201, 200, 200]);
    for (kind, text) in [("webhook", &published), ("subscription", &subscribed)] {
        rotate(&pair.here, kind).await;
        set(kind, text).await.expect(200);
    }
    assert_eq!(publishes(&pair.there, &published).await, [202, 202, 200, 200]);
    assert_eq!(subscribes(&pair.there, &subscribed).await, [200, 201, 200, 200]);
}

#[tokio::test]
async fn the_plain_signature_form_is_switched_off_in_every_isolate() {
    let pair = plain().await;
    let asked = async |tenant: &Tenant| tenant.webhook().send().await.status;
    let off = async |tenant: &Tenant| {
        let change: Value = json!({"require_standard_webhooks": true});
        tenant.patch(change).await;
    };
    pair.binds(asked, 202, off, 401).await;
    pair.there.webhook().standard("msg_still_good").send().await.expect(202);
}
