//! The tenant's own applications at an identity provider.

use serde_json::{Value, json};

use crate::world::{Tenant, World, unique};

const CLIENTS: &str = "/api/v1/sso/clients";

async fn tenant() -> Tenant {
    World::shared().await.tenant().create().await
}

async fn put(tenant: &Tenant, name: &str, body: Value) -> crate::world::TestResponse {
    tenant.as_owner("PUT", &format!("{CLIENTS}/{name}-{}", tenant.id)).json(&body).send().await
}

fn without_secret(shown: &Value) -> Value {
    let mut shown = shown.clone();
    assert!(shown.as_object_mut().unwrap().remove("client_secret").is_some(), "a new client without a secret: {shown}");
    shown
}

#[tokio::test]
async fn the_customary_applications_have_customary_redirect_uris() {
    let domain = format!("blog-{}.example.org", unique());
    let builder = World::shared().await.tenant().set("custom_domains", json!([domain]));
    let tenant = builder.create().await;
    let id = &tenant.id;
    let wordpress = put(&tenant, "wordpress", json!({})).await.expect(200).data();
    assert_eq!(wordpress["client_id"], format!("wordpress-{id}"));
    assert_eq!(
        wordpress["redirect_uris"],
        json!([
            format!("http://wordpress-{id}.local/wp-admin/admin-ajax.php?action=openid_connect_generic"),
            format!("https://{domain}/wp-admin/admin-ajax.php?action=openid_connect_generic"),
        ])
    );
    let openwebui = put(&tenant, "openwebui", json!({})).await.expect(200).data();
    assert_eq!(
        openwebui["redirect_uris"],
        json!([
            format!("http://openwebui.local/oauth/oidc/callback?tenant={id}"),
            format!("https://openwebui.{domain}/oauth/oidc/callback"),
        ])
    );
    let listed = tenant.as_owner("GET", CLIENTS).send().await.expect(200).data();
    assert_eq!(listed.as_array().unwrap().len(), 2);
    let path = format!("{CLIENTS}/wordpress-{id}");
    tenant.as_owner("DELETE", &path).send().await.expect(200);
    tenant.as_owner("DELETE", &path).send().await.expect_problem(404, "not_found");
    let left = tenant.as_owner("GET", CLIENTS).send().await.expect(200);
    assert_eq!(left.data(), json!([without_secret(&openwebui)]));
}

#[tokio::test]
async fn other_applications_name_exact_addresses_and_the_tenant() {
    let tenant = tenant().await;
    let uris = json!({"redirect_uris": ["https://app.example.org/back"]});
    assert_eq!(put(&tenant, "app", uris.clone()).await.expect(200).data()["redirect_uris"], uris["redirect_uris"]);
    let changed = json!({"redirect_uris": ["https://app.example.org/other"]});
    put(&tenant, "app", changed.clone()).await.expect(200);
    let listed = tenant.as_owner("GET", CLIENTS).send().await.expect(200).data();
    assert_eq!((listed.as_array().unwrap().len(), &listed[0]["redirect_uris"]), (1, &changed["redirect_uris"]));
    put(&tenant, "app", json!({})).await.expect_invalid("/redirect_uris");
    put(&tenant, "app", json!({"redirect_uris": []})).await.expect_invalid("/redirect_uris");
    for bad in ["http://app.example.org/", "https://*.example.org/", "https://app.example.org/#x", "app://back"] {
        put(&tenant, "app", json!({"redirect_uris": [bad]})).await.expect_invalid("/redirect_uris/0");
    }
    for id in ["app", "app-other", "wordpress", "a-b"] {
        let call = tenant.as_owner("PUT", &format!("{CLIENTS}/{id}")).json(&uris);
        call.send().await.expect_invalid("/client_id");
    }
    put(&tenant, "a-b", uris).await.expect_invalid("/client_id");
}

#[tokio::test]
async fn another_tenants_applications_are_missing_ones() {
    // Without limits no header counts down.
    let unlimited = World::shared().await.tenant();
    let unlimited = unlimited.limit("max_api_requests_per_minute", -1).limit("max_api_requests_per_day", -1);
    let (tenant, other) = (unlimited.create().await, tenant().await);
    put(&other, "wordpress", json!({})).await.expect(200);
    let foreign = tenant.as_owner("DELETE", &format!("{CLIENTS}/wordpress-{}", other.id)).send().await;
    let missing = tenant.as_owner("DELETE", &format!("{CLIENTS}/wordpress-{}", unique())).send().await;
    assert_eq!(foreign.masked(&[]), missing.masked(&[]));
    assert_eq!(tenant.as_owner("GET", CLIENTS).send().await.expect(200).data(), json!([]));
    let reader = tenant.key(&["sso:read"]).await.text;
    tenant.call("GET", CLIENTS).bearer(&reader).send().await.expect(200);
    let path = format!("{CLIENTS}/wordpress-{}", tenant.id);
    tenant.call("PUT", &path).bearer(&reader).json(&json!({})).send().await.expect_problem(403, "forbidden");
}

#[tokio::test]
async fn an_application_has_a_name_and_a_secret_that_is_told_once() {
    let (here, there) = World::pair().await;
    let tenant = here.tenant().set("display_name", json!("ACME Corporation")).create().await;
    let elsewhere = tenant.through(&there);
    let path = format!("{CLIENTS}/wordpress-{}", tenant.id);
    let made = put(&tenant, "wordpress", json!({})).await.expect(200).data();
    assert_eq!((&made["name"], &made["has_secret"]), (&json!("WordPress ACME Corporation"), &json!(true)));
    let secret = made["client_secret"].as_str().unwrap().to_owned();
    assert!(secret.starts_with("car_cs_") && secret.len() >= 40, "{secret}");
    assert_eq!(put(&tenant, "openwebui", json!({})).await.data()["name"], "OpenWebUI ACME Corporation");
    let named = put(&tenant, "wordpress", json!({"name": "Our blog"})).await.expect(200).data();
    assert_eq!((&named["name"], named.get("client_secret")), (&json!("Our blog"), None));
    let shown = elsewhere.get(&path).await.expect(200);
    assert_eq!(shown.data(), named);
    for answer in [&shown, &elsewhere.get(CLIENTS).await] {
        assert!(!answer.body.contains(&secret) && !answer.body.contains("digest"), "{}", answer.body);
    }
    tenant.get(&format!("{CLIENTS}/none-{}", tenant.id)).await.expect_problem(404, "not_found");
    // Another isolate knows it, and the row holds a digest.
    let verify = async |tenant: &Tenant, secret: &str| {
        let body = json!({"client_secret": secret});
        tenant.ask("POST", &format!("{path}/verify"), body).await.expect(200).data()
    };
    assert_eq!(verify(&elsewhere, &secret).await, json!({"valid": true, "until": null}));
    assert_eq!(verify(&tenant, &format!("{secret}x")).await["valid"], false);
    let rows = tenant.on_shard("SELECT * FROM sso_clients WHERE tenant_id = ?1", &[]).await;
    assert!(!json!(rows).to_string().contains(&secret));
    // A rotation lets the one before go after its grace, and the next one at once.
    let rotate = async |body: Value| tenant.ask("POST", &format!("{path}/rotate"), body).await.expect(200).data();
    let second = rotate(json!({"grace_seconds": 3600})).await;
    let newer = second["client_secret"].as_str().unwrap().to_owned();
    assert_ne!(newer, secret);
    assert_eq!(verify(&elsewhere, &newer).await, json!({"valid": true, "until": null}));
    assert_eq!(verify(&elsewhere, &secret).await, json!({"valid": true, "until": second["previous_valid_until"]}));
    let third = rotate(json!({"grace_seconds": 0})).await["client_secret"].as_str().unwrap().to_owned();
    for (text, valid) in [(&secret, false), (&newer, false), (&third, true)] {
        assert_eq!(verify(&elsewhere, text).await["valid"], valid);
    }
    rotate(json!({})).await;
    assert_eq!(verify(&tenant, &third).await["valid"], true, "a day is the grace where none is named");
    tenant.on_shard("UPDATE sso_clients SET previous_until = 1 WHERE tenant_id = ?1", &[]).await;
    assert_eq!(verify(&tenant, &third).await["valid"], false);
    tenant.ask("POST", &format!("{path}/rotate"), json!({"grace_seconds": -1})).await.expect_invalid("/grace_seconds");
    // Who may read may not rotate; nothing is logged or audited of a secret.
    let reader = tenant.key(&["sso:read"]).await.text;
    tenant.call("POST", &format!("{path}/rotate")).bearer(&reader).send().await.expect_problem(403, "forbidden");
    tenant.call("GET", &path).bearer(&reader).send().await.expect(200);
    let told = [json!(here.logs().await).to_string(), tenant.get("/api/v1/audit").await.expect(200).body].concat();
    for text in [&secret, &newer, &third] {
        assert!(!told.contains(text.as_str()));
    }
    assert!(told.contains("sso_client.rotate"));
}

#[tokio::test]
async fn of_two_requests_that_make_one_application_one_is_told_its_secret() {
    let (here, there) = World::pair().await;
    let tenant = here.tenant().create().await;
    let elsewhere = tenant.through(&there);
    let (one, two) = tokio::join!(put(&tenant, "wordpress", json!({})), put(&elsewhere, "wordpress", json!({})));
    let answers = [one.expect(200).data(), two.expect(200).data()];
    let told: Vec<_> = answers.iter().filter_map(|data| data["client_secret"].as_str()).collect();
    assert_eq!(told.len(), 1, "{}", told.len());
}
