//! What a tenant's settings and its operator's settings of it let in, on the isolate that did not change them.

use serde_json::{Value, json};

use crate::world::{HUB, Issuer, PASSWORD, Pair, Tenant, TestResponse, World, address, eventually, now, stranger};

const KEYS: &str = "/api/v1/api-keys";
const REGISTER: &str = "/api/v1/auth/register";
const LOGIN: &str = "/api/v1/auth/login";
const HOME: &str = "https://www.example.com";

/// A change by the tenant's operator.
fn patched(change: Value) -> impl AsyncFnOnce(&Tenant) {
    async move |tenant: &Tenant| drop(tenant.patch(change).await)
}

/// A change by the tenant itself.
fn set(change: Value) -> impl AsyncFnOnce(&Tenant) {
    async move |tenant: &Tenant| {
        tenant.as_owner("PATCH", "/api/v1/settings").json(&change).send().await.expect(200);
    }
}

async fn plain() -> Pair {
    World::on_both(|tenant| tenant).await
}

#[tokio::test]
async fn the_address_list_holds_in_every_isolate() {
    let pair = plain().await;
    let key = pair.here.key(&["api-keys:read"]).await.text;
    let user = pair.here.user("owner").await;
    let (session, cookie) = (user.login().await.access, user.browser().await);
    // A key, a token, a cookie, an operator, and somebody who signs in.
    let asked = async |tenant: &Tenant| {
        let list = || tenant.call("GET", KEYS);
        let body = json!({"email": user.email, "password": user.password});
        let calls = [
            list().bearer(&key),
            list().bearer(&session),
            list().header("Cookie", &cookie),
            tenant.as_owner("GET", KEYS),
            tenant.call("POST", LOGIN).json(&body),
        ];
        let mut statuses = Vec::new();
        for call in calls {
            statuses.push(call.send().await.status);
        }
        statuses
    };
    let elsewhere = json!({"ip_allowlist": ["192.0.2.0/24"]});
    pair.binds(&asked, vec![200; 5], patched(elsewhere), vec![403; 5]).await;
    pair.here.patch(json!({"ip_allowlist": []})).await;
    let replaced = async |tenant: &Tenant| {
        let shown = tenant.shown().await;
        let body = json!({"display_name": shown["display_name"], "ip_allowlist": ["192.0.2.0/24"]});
        tenant.admin("PUT", "").json(&body).send().await.expect(200);
    };
    pair.binds(async |tenant: &Tenant| tenant.call("GET", KEYS).bearer(&key).send().await.status, 200, replaced, 403)
        .await;
}

#[tokio::test]
async fn an_origin_that_is_taken_off_the_list_is_off_in_every_isolate() {
    let pair = World::on_both(|tenant| tenant.set("cors_origins", json!([HOME]))).await;
    pair.here.collection("posts", json!({}), json!({"public_read": true})).await;
    pair.here.record("posts", json!({"id": "p1"})).await;
    let cookie = pair.here.user("owner").await.browser().await;
    // What a page of another origin may read, with a cookie and without; whether it may change something by the cookie.
    let asked = async |tenant: &Tenant| {
        let from = |method: &str, path: &str| tenant.call(method, path).header("Origin", HOME);
        let named = |answer: &TestResponse| answer.header("access-control-allow-origin").to_owned();
        let list = from("GET", "/api/v1/posts").send().await.expect(200);
        let body = json!({"name": "by a page", "scopes": ["users:read"]});
        let made = from("POST", KEYS).header("Cookie", &cookie).json(&body).send().await;
        let stream = tenant.events(&["posts"]).header("Origin", HOME).live().await;
        let preflight = from("OPTIONS", KEYS).header("Access-Control-Request-Method", "POST").send().await;
        let opened = stream.headers.get("access-control-allow-origin").map(|_| ());
        (named(&list), named(&preflight), opened, made.status)
    };
    let before = (HOME.to_owned(), HOME.to_owned(), Some(()), 201);
    pair.binds(asked, before, patched(json!({"cors_origins": []})), (String::new(), String::new(), None, 403)).await;
}

#[tokio::test]
async fn registration_is_closed_in_every_isolate() {
    let pair = World::on_both(|tenant| tenant.set("settings", json!({"registration": "open"}))).await;
    let register = async |tenant: &Tenant| {
        let body = json!({"email": address(), "password": PASSWORD});
        tenant.call("POST", REGISTER).json(&body).address(&stranger()).send().await.status
    };
    pair.binds(register, 202, set(json!({"registration": "closed"})), 403).await;
}

#[tokio::test]
async fn a_stricter_password_policy_holds_in_every_isolate() {
    let pair = World::on_both(|tenant| tenant.set("settings", json!({"registration": "open"}))).await;
    let register = async |tenant: &Tenant| {
        let body = json!({"email": address(), "password": "no digit in here"});
        tenant.call("POST", REGISTER).json(&body).address(&stranger()).send().await.status
    };
    pair.binds(register, 202, set(json!({"password_policy": {"require_digit": true}})), 422).await;
}

#[tokio::test]
async fn mercures_switches_hold_in_every_isolate() {
    let pair = plain().await;
    let anonymous = async |tenant: &Tenant| {
        let opened = tenant.mercure().query("match", "*").open().await.map(drop).map_err(|answer| answer.status);
        (opened, tenant.call("HEAD", HUB).query("match", "*").send().await.status)
    };
    let closed = set(json!({"mercure": {"anonymous": false}}));
    pair.binds(anonymous, (Ok(()), 200), closed, (Err(401), 401)).await;

    let older = async |tenant: &Tenant| {
        let published = tenant.update("a").data("x").send().await.status;
        let token = tenant.subscriber(&["*"]).sign();
        let opened = tenant.mercure().query("match", "*").bearer(&token).open().await;
        (published, opened.map(drop).map_err(|answer| answer.status))
    };
    let strict = set(json!({"mercure": {"compatibility": false}}));
    pair.binds(older, (200, Ok(())), strict, (401, Err(401))).await;
}

#[tokio::test]
async fn how_streams_are_carried_holds_in_every_isolate() {
    let pair = World::on_both(|tenant| tenant.live_mode("direct")).await;
    let way_of_a_new_stream = async |tenant: &Tenant| {
        let _stream = tenant.events(&["posts"]).address(&stranger()).live().await;
        let health = tenant.admin("GET", "/health").send().await.expect(200).data();
        let direct = health["checks"]["hub"]["carried"]["direct"]["plain"].as_u64().unwrap();
        if direct > 0 { "direct" } else { "bridged" }
    };
    // Streams that are to be bridged go one after another, those that are there too.
    let bridged = async |tenant: &Tenant| {
        set(json!({"live": {"mode": "bridged"}}))(tenant).await;
        eventually("the direct streams to go", async || {
            let health = tenant.admin("GET", "/health").send().await.expect(200).data();
            (health["checks"]["hub"]["carried"]["direct"]["plain"] == 0).then_some(())
        })
        .await;
    };
    pair.binds(way_of_a_new_stream, "direct", bridged, "bridged").await;
}

#[tokio::test]
async fn an_issuer_that_is_not_trusted_any_more_is_not_in_any_isolate() {
    let pair = plain().await;
    let issuer = Issuer::of(&pair.here).await;
    let entry = |allows: &[&str]| json!({"mercure": {"issuers": [{"issuer": issuer.url, "jwks_url": format!("{}/jwks", issuer.url), "allows": allows}]}});
    let claims = json!({"iss": issuer.url, "aud": pair.here.hub_url(), "exp": now() + 300, "authorization_details": [
        {"type": "https://mercure.rocks/authorization-detail", "actions": ["publish", "subscribe"],
            "topics": [{"match": "*"}]}]});
    let token = issuer.token(json!({"typ": "at+jwt"}), claims).await;
    let asked = async |tenant: &Tenant| {
        let call = tenant.call("POST", HUB).bearer(&token);
        let call = call.header("Content-Type", "application/x-www-form-urlencoded");
        let published = call.bytes(b"topic=a&private=on&data=hidden".to_vec()).send().await.status;
        let opened = tenant.mercure().query("match", "*").bearer(&token).open().await;
        (published, opened.map(drop).map_err(|answer| answer.status))
    };
    pair.here.patch(json!({"settings": entry(&["publish", "subscribe"])})).await;
    pair.binds(&asked, (200, Ok(())), patched(json!({"settings": entry(&["subscribe"])})), (403, Ok(()))).await;
    pair.binds(&asked, (403, Ok(())), patched(json!({"settings": {"mercure": {"issuers": []}}})), (401, Err(401)))
        .await;
}

#[tokio::test]
async fn another_branding_is_shown_by_every_isolate() {
    let pair = plain().await;
    let shown = async |tenant: &Tenant| tenant.call("GET", "/branding.css").send().await.expect(200).body;
    let before = shown(&pair.here).await;
    let colour = json!({"variables": {"--accent": "#123456"}});
    let changed = pair.here.as_owner("PATCH", "/api/v1/branding").json(&colour).send().await;
    let after = if changed.status == 200 { shown(&pair.here).await } else { panic!("{}", changed.body) };
    assert_ne!(before, after);
    assert_eq!(shown(&pair.there).await, after);
}

#[tokio::test]
async fn a_page_that_is_switched_off_is_not_shown_by_any_isolate() {
    let settings = |graphiql: bool| json!({"graphql": {"graphiql": graphiql}});
    let pair = World::on_both(|tenant| tenant.set("settings", settings(true))).await;
    let file = async |tenant: &Tenant| tenant.call("GET", "/graphql/assets/graphiql.css").send().await.status;
    pair.binds(file, 200, set(settings(false)), 404).await;
    let page = async || pair.there.call("GET", "/graphql").header("Accept", "text/html").send().await.status;
    eventually("the other isolate", async || (page().await == 406).then_some(())).await;
}
