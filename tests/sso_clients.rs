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
    assert_eq!(tenant.as_owner("GET", CLIENTS).send().await.data(), json!([openwebui]));
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
