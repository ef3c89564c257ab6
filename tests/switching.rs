//! Switching: operators enter tenants, one token for each.

use serde_json::{Value, json};

use crate::world::{Operator, ROOT, Tenant, TestResponse, World, unique};

const KEYS: &str = "/api/v1/api-keys";

async fn tenant() -> Tenant {
    World::shared().await.tenant().create().await
}

async fn support() -> Operator {
    World::shared().await.operator("support").await
}

/// The tenant's keys, asked for on its host.
async fn keys(tenant: &Tenant, token: &str) -> TestResponse {
    tenant.call("GET", KEYS).bearer(token).send().await
}

#[tokio::test]
async fn an_operator_enters_the_tenant_it_was_granted_with_its_role() {
    let (tenant, support) = (tenant().await, support().await);
    support.grant(&tenant, "admin").await;
    let data = support.switch(&tenant.id).await.expect(200);
    assert_eq!(data.json()["tenant_id"], json!(tenant.id));
    let data = data.data();
    assert_eq!((&data["role"], &data["host"]), (&json!("admin"), &json!(tenant.host)));
    let token = data["token"].as_str().unwrap();
    keys(&tenant, token).await.expect(200);
    // On the platform's host the token names its tenant by itself.
    tenant.world.call("GET", ROOT, KEYS).bearer(token).send().await.expect(200);
    let made = tenant.call("POST", KEYS).bearer(token).json(&json!({"name": "x", "scopes": ["users:read"]}));
    assert_eq!(made.send().await.expect(201).data()["created_by"], format!("operator:{}", support.id));

    support.grant(&tenant, "viewer").await;
    keys(&tenant, token).await.expect_problem(403, "forbidden");
}

#[tokio::test]
async fn entering_is_in_both_audits() {
    let (tenant, support) = (tenant().await, support().await);
    support.grant(&tenant, "viewer").await;
    support.entered(&tenant).await;
    let actor = format!("operator:{}", support.id);
    let theirs = tenant.audited("operator.enter").await;
    assert_eq!(theirs.len(), 1);
    assert_eq!((&theirs[0]["actor"], &theirs[0]["address"]), (&json!(actor), &json!(support.world.address)));
    let sql = "SELECT actor FROM platform_audit WHERE tenant_id = ?1 AND operation = 'operator.enter'";
    assert_eq!(tenant.world.rows("CONTROL", sql, &[&tenant.id]).await, [json!({"actor": actor})]);
}

#[tokio::test]
async fn unknown_ungranted_and_stopped_tenants_answer_alike() {
    let (support, admin) = (support().await, World::shared().await.operator("admin").await);
    let (granted, foreign, suspended) = (tenant().await, tenant().await, tenant().await);
    for tenant in [&granted, &suspended] {
        support.grant(tenant, "owner").await;
    }
    suspended.suspend().await;
    let ask = async |operator: &Operator, tenant: &str| {
        operator.switch(tenant).await.expect_problem(404, "tenant_not_found").masked(&[tenant])
    };
    let unknown = ask(&support, &format!("t-{}", unique())).await;
    for tenant in [foreign.id.as_str(), suspended.id.as_str(), "No Tenant", "*"] {
        assert_eq!(ask(&support, tenant).await, unknown, "{tenant}");
    }
    assert_eq!(ask(&admin, &suspended.id).await, unknown);
    support.switch(&granted.id).await.expect(200);
    admin.switch(&foreign.id).await.expect(200);
    assert!(
        foreign
            .audited("operator.enter")
            .await
            .iter()
            .all(|audit_entry| audit_entry["actor"] != format!("operator:{}", support.id))
    );
    // Naming two tenants is naming none.
    let body = json!({"tenant_id": granted.id});
    let crossed = support.call("POST", "/api/v1/auth/switch").header("X-Tenant-ID", &foreign.id).json(&body);
    crossed.send().await.expect_problem(404, "tenant_not_found");
}

#[tokio::test]
async fn a_token_is_for_one_tenant_and_for_tenants_only() {
    let (tenant, other, admin) = (tenant().await, tenant().await, World::shared().await.operator("admin").await);
    let token = admin.entered(&tenant).await;
    keys(&other, &token).await.expect_problem(404, "tenant_not_found");
    let named = tenant.world.call("GET", ROOT, KEYS).bearer(&token).header("X-Tenant-ID", &other.id);
    named.send().await.expect_problem(404, "tenant_not_found");
    for (method, path) in [
        ("GET", "/api/v1/tenants"),
        ("GET", "/api/v1/operators/me"),
        ("POST", "/api/v1/auth/switch"),
        ("POST", "/api/v1/auth/impersonate"),
        ("GET", "/api/v1/platform-keys"),
    ] {
        let answer =
            tenant.world.call(method, ROOT, path).bearer(&token).json(&json!({"tenant_id": other.id})).send().await;
        answer.expect_problem(401, "unauthorized");
    }
    // And it opens streams of its own tenant alone.
    other.call("PUT", "/events").bearer(&token).send().await.expect_problem(404, "tenant_not_found");
    tenant.call("PUT", "/events").bearer(&token).send().await.expect(201);
}

#[tokio::test]
async fn a_session_is_no_credential_of_a_tenant() {
    let (tenant, admin) = (tenant().await, World::shared().await.operator("admin").await);
    keys(&tenant, &admin.session).await.expect_problem(401, "unauthorized");
    for named in [tenant.id.as_str(), "t-nobody"] {
        let selects = tenant.world.call("GET", ROOT, KEYS).bearer(&admin.session).header("X-Tenant-ID", named);
        selects.send().await.expect_problem(401, "unauthorized");
        admin.call("GET", "/api/v1/operators/me").send().await.expect(200);
    }
    let cookie = format!("__Host-carillon_session={}", admin.session);
    tenant.call("GET", KEYS).header("Cookie", &cookie).send().await.expect_problem(401, "unauthorized");
}

#[tokio::test]
async fn what_an_operator_loses_its_tokens_lose_with_the_next_request() {
    let tenant = tenant().await;
    for loss in ["grant", "status", "password", "session", "account"] {
        let support = support().await;
        support.grant(&tenant, "owner").await;
        let token = support.entered(&tenant).await;
        keys(&tenant, &token).await.expect(200);
        match loss {
            "grant" => support.take_grant(&tenant).await,
            "status" => _ = support.patch(json!({"status": "disabled"})).await,
            "password" => _ = support.patch(json!({"password": "quite another one"})).await,
            "session" => _ = support.call("POST", "/api/v1/operators/logout").send().await.expect(204),
            _ => _ = support.admin("DELETE", "").send().await.expect(200),
        }
        let refused = keys(&tenant, &token).await;
        assert_eq!(refused.status, 401, "{loss}: {}", refused.body);
    }
}

#[tokio::test]
async fn a_grant_that_goes_takes_the_streams_it_opened() {
    let (tenant, support) = (tenant().await, support().await);
    support.grant(&tenant, "owner").await;
    let token = support.entered(&tenant).await;
    let minted = tenant.call("POST", "/api/v1/subscriber-tokens").bearer(&token).json(&json!({"topics": ["inner"]}));
    let minted = minted.send().await.expect(201).data();
    let minted = minted["token"].as_str().unwrap();
    let mut stream = tenant.call("GET", "/events").query("topic", "inner").bearer(minted).open().await.ok().unwrap();
    support.take_grant(&tenant).await;
    while stream.block().await.is_some() {}
    let again = tenant.call("GET", "/events").query("topic", "inner").bearer(minted).open().await.err().unwrap();
    again.expect_problem(401, "invalid_token");
}

#[tokio::test]
async fn a_key_does_not_switch_and_bodies_are_read_to_the_letter() {
    let admin = World::shared().await.operator("admin").await;
    let post = async |body: Value| admin.call("POST", "/api/v1/auth/switch").json(&body).send().await;
    post(json!({})).await.expect_invalid("/tenant_id");
    post(json!({"tenant_id": 7})).await.expect_invalid("/tenant_id");
    post(json!({"tenant_id": "t", "role": "owner"})).await.expect_invalid("/role");
    let key = admin.world.platform("POST", "/api/v1/auth/switch").json(&json!({"tenant_id": "t"}));
    key.send().await.expect_problem(403, "not_signed_in");
}
