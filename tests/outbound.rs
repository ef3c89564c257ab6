//! Addresses that the platform calls: one guard, when they are saved and when they are called.

use serde_json::{Value, json};

use crate::world::{Internet, Tenant, World, unique};

/// What is refused even where this machine may be called.
const REFUSED: [&str; 36] = [
    "https://127.0.0.2/graphql",
    "https://127.1/graphql",
    "https://2130706433/graphql",
    "https://0x7f.1/graphql",
    "https://0x7f000001/graphql",
    "https://0177.0.0.1/graphql",
    "https://[::ffff:127.0.0.1]/graphql",
    "https://[::ffff:7f00:1]/graphql",
    "https://[fd00::1]/graphql",
    "https://169.254.169.254/latest/meta-data",
    "https://10.0.0.1/graphql",
    "https://8.8.8.8/graphql",
    "https://metadata.google.internal/graphql",
    "https://metadata.google.internal./graphql",
    "https://localhost./graphql",
    "https://foo.localhost/graphql",
    "https://printer.local/graphql",
    "https://printer/graphql",
    "https://a.2/graphql",
    "https://site.example./graphql",
    "https://site.example:22/graphql",
    "https://user@site.example/graphql",
    "https://user:pass@site.example/graphql",
    "https://127.0.0.1@site.example/graphql",
    "https://site.example@127.0.0.1/graphql",
    "https://site.example/graphql#fragment",
    "https://site.example\\@127.0.0.1/graphql",
    "https://１２７.0.0.1/graphql",
    "https://①②⑦.0.0.1/graphql",
    "https://127。0。0。1/graphql",
    "https://xn--a.example/graphql",
    "http://site.example/graphql",
    "ftp://site.example/graphql",
    "https:///graphql",
    "https://site.example/%zz",
    "https://site.example/graphql?a=%2",
];

async fn site(tenant: &Tenant) -> Value {
    tenant.admin("GET", "/health").send().await.expect(200).data()["checks"]["wordpress"].clone()
}

async fn store(tenant: &Tenant, endpoint: &str) {
    let before = "UPDATE tenants SET wpgraphql_endpoint = ?2 WHERE id = ?1";
    tenant.world.batch("CONTROL", vec![json!([before, [tenant.id, endpoint]])]).await;
}

#[tokio::test]
async fn an_address_that_is_not_public_is_refused_wherever_it_is_saved() {
    let world = World::shared().await;
    let tenant = world.tenant().create().await;
    let key = tenant.key(&["tenant:configure"]).await;
    for bad in REFUSED {
        let body = json!({"wpgraphql_endpoint": bad});
        tenant.admin("PATCH", "").json(&body).send().await.expect_invalid("/wpgraphql_endpoint");
        let configured = tenant.call("POST", "/api/tenant/config").bearer(&key.text).json(&body).send().await;
        configured.expect_invalid("/wpgraphql_endpoint");
    }
    let created = world.tenant().set("wpgraphql_endpoint", json!(REFUSED[0])).call().send().await;
    created.expect_invalid("/wpgraphql_endpoint");
    assert_eq!(tenant.shown().await["wpgraphql_endpoint"], Value::Null);
    // The same guard stands before the other addresses.
    for bad in REFUSED.into_iter().filter(|bad| !bad.contains('#')) {
        let issuer = json!({"issuer": "https://issuer.example", "jwks_url": bad, "allows": ["publish"]});
        let patch = json!({"settings": {"mercure": {"issuers": [issuer]}}});
        let answer = tenant.admin("PATCH", "").json(&patch).send().await;
        answer.expect_invalid("/settings/mercure/issuers/0/jwks_url");
        let provider = json!({"id": "corp", "name": "Corp", "issuer": bad, "client_id": "c"});
        let answer = tenant.as_owner("POST", "/api/v1/sso/providers").json(&provider).send().await;
        answer.expect_invalid("/issuer");
    }
}

#[tokio::test]
async fn an_address_that_was_stored_before_is_judged_when_it_is_called() {
    let world = World::own().await;
    let internet = Internet::shared();
    let (tenant, path) = (world.tenant().create().await, format!("/{}", unique()));
    let endpoint = internet.url(&path);
    store(&tenant, &endpoint).await;
    assert_eq!(site(&tenant).await["status"], "ok");
    world.restart(&[("ALLOW_LOOPBACK", "false")]).await;
    let asked = internet.asked(&path).len();
    for bad in REFUSED.into_iter().chain([endpoint.as_str()]) {
        store(&tenant, bad).await;
        let check = site(&tenant).await;
        assert_eq!(check["status"], "refused", "{bad}: {check}");
        assert!(check["reason"].as_str().unwrap().starts_with("wpgraphql_endpoint must "), "{check}");
    }
    assert_eq!(internet.asked(&path).len(), asked, "it was called though it is refused");
    // It stays until it is changed: an unrelated change is not refused, nor is a site that repeats it.
    tenant.patch(json!({"display_name": "Another"})).await;
    tenant.patch(json!({"wpgraphql_endpoint": endpoint})).await;
    let key = tenant.key(&["tenant:configure"]).await;
    let configure = async |endpoint: &str| {
        let body = json!({"wpgraphql_endpoint": endpoint});
        tenant.call("POST", "/api/tenant/config").bearer(&key.text).json(&body).send().await
    };
    configure(&endpoint).await.expect(200);
    configure(&internet.url("/another")).await.expect_invalid("/wpgraphql_endpoint");
}

#[tokio::test]
async fn a_query_that_an_endpoint_has_is_kept() {
    let world = World::shared().await;
    let internet = Internet::shared();
    for (rest, asked) in [("", "?query=%7B__typename%7D"), ("?graphql=true", "?graphql=true&query=%7B__typename%7D")] {
        let path = format!("/{}/index.php", unique());
        let endpoint = internet.url(&format!("{path}{rest}"));
        let tenant = world.tenant().set("wpgraphql_endpoint", json!(endpoint)).create().await;
        assert_eq!(site(&tenant).await, json!({"status": "ok", "http_status": 200}));
        assert_eq!(internet.asked(&path), [format!("GET {path}{asked} HTTP/1.1")]);
    }
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let world = World::shared().await;
    let internet = Internet::shared();
    let endpoint = internet.url(&format!("/redirect?{}", unique()));
    let tenant = world.tenant().set("wpgraphql_endpoint", json!(endpoint)).create().await;
    assert_eq!(site(&tenant).await, json!({"status": "ok", "http_status": 302}));
    assert_eq!(internet.asked("/followed"), [""; 0]);
}

#[tokio::test]
async fn switches_of_development_do_not_start_a_public_deployment() {
    let world = World::own().await;
    for (name, value) in [("ALLOW_LOOPBACK", "true"), ("ALLOW_LOOPBACK_ISSUERS", "true"), ("DOMAIN_PROOF", "assumed")] {
        let others = [("ALLOW_LOOPBACK", "false"), ("DOMAIN_PROOF", "required"), ("ROOT_DOMAIN", "live.example.com")];
        let mut vars: Vec<_> = others.into_iter().filter(|(other, _)| *other != name).collect();
        vars.push((name, value));
        world.restart(&vars).await;
        world.call("GET", "live.example.com", "/health").send().await.expect_problem(503, "unavailable");
        let logged = world.logs().await;
        let cause = logged.iter().filter_map(|line| line["cause"].as_str()).find(|cause| cause.contains("ROOT_DOMAIN"));
        assert!(cause.is_some(), "{name}: {logged:?}");
    }
}
