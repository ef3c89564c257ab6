//! Impersonation: an operator acts as a user, for a reason, for a while, and in plain sight.

use serde_json::{Value, json};

use crate::world::{Operator, ROOT, Tenant, User, World, unique};

const KEYS: &str = "/api/v1/api-keys";
const IMPERSONATE: &str = "/api/v1/auth/impersonate";

/// A tenant with an owner, and a support operator who may enter it as owner.
async fn scene() -> (Tenant, User, Operator) {
    let world = World::shared().await;
    let (tenant, support) = (world.tenant().create().await, world.operator("support").await);
    support.grant(&tenant, "owner").await;
    let user = tenant.user("owner").await;
    (tenant, user, support)
}

async fn token(tenant: &Tenant, user: &User, operator: &Operator) -> String {
    let data = operator.impersonate(&tenant.id, &user.id).await.expect(200).data();
    data["token"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn an_impersonator_acts_as_the_user_and_every_answer_says_so() {
    let (tenant, user, support) = scene().await;
    let answer = support.impersonate(&tenant.id, &user.id).await.expect(200);
    let data = answer.data();
    let shown = &data["impersonation"];
    assert_eq!((&shown["operator"], &shown["banner"]), (&json!(support.id), &json!(true)));
    assert_eq!((&shown["user"]["id"], &shown["user"]["email"]), (&json!(user.id), &json!(user.email)));
    let token = data["token"].as_str().unwrap();
    let listed = tenant.call("GET", KEYS).bearer(token).send().await.expect(200);
    assert_eq!(listed.header("x-impersonated-by"), support.id);
    // Refusals say so too, and nobody else's answers do.
    let refused = tenant.call("POST", KEYS).bearer(token).json(&json!({"name": "x", "scopes": ["users:read"]}));
    let refused = refused.send().await.expect_problem(403, "forbidden");
    assert_eq!(refused.header("x-impersonated-by"), support.id);
    let own = tenant.call("GET", KEYS).bearer(&support.entered(&tenant).await).send().await.expect(200);
    assert_eq!(own.header("x-impersonated-by"), "");
}

#[tokio::test]
async fn both_audits_have_who_whom_and_why() {
    let (tenant, user, support) = scene().await;
    let body =
        json!({"tenant_id": tenant.id, "user_id": user.id, "reason": "ticket 4711: nothing arrives", "minutes": 5});
    support.call("POST", IMPERSONATE).json(&body).send().await.expect(200);
    let actor = format!("operator:{}", support.id);
    let theirs = tenant.audited("user.impersonate").await;
    assert_eq!((&theirs[0]["actor"], &theirs[0]["subject"]), (&json!(actor), &json!(user.id)));
    let sql = "SELECT actor, detail FROM platform_audit WHERE tenant_id = ?1 AND operation = 'user.impersonate'";
    let ours = tenant.world.rows("CONTROL", sql, &[&tenant.id]).await;
    assert_eq!(ours[0]["actor"], json!(actor));
    for detail in [&theirs[0]["detail"], &ours[0]["detail"]] {
        let detail: Value = serde_json::from_str(detail.as_str().unwrap()).unwrap();
        assert_eq!((&detail["reason"], &detail["minutes"]), (&json!("ticket 4711: nothing arrives"), &json!(5)));
    }
}

#[tokio::test]
async fn an_impersonator_makes_and_reads_no_secrets() {
    let (tenant, user, support) = scene().await;
    let key = tenant.key(&["api-keys:read"]).await;
    let token = token(&tenant, &user, &support).await;
    for (method, path) in [
        ("POST", KEYS.to_owned()),
        ("PATCH", format!("{KEYS}/{}", key.id)),
        ("POST", format!("{KEYS}/{}/reroll", key.id)),
        ("DELETE", format!("{KEYS}/{}", key.id)),
        ("POST", "/api/tenant/config".to_owned()),
        ("POST", "/api/v1/subscriber-tokens".to_owned()),
    ] {
        let refused = tenant.call(method, &path).bearer(&token).json(&json!({})).send().await;
        refused.expect_problem(403, "forbidden");
    }
    tenant.call("GET", KEYS).bearer(&key.text).send().await.expect(200);
}

#[tokio::test]
async fn an_impersonator_may_do_no_more_than_the_operator_nor_than_the_user() {
    let (tenant, owner, support) = scene().await;
    let token_as = async |user: &User| token(&tenant, user, &support).await;
    let as_owner = token_as(&owner).await;
    tenant.call("GET", KEYS).bearer(&as_owner).send().await.expect(200);
    // A viewer that support acts as stays a viewer.
    let as_viewer = token_as(&tenant.user("viewer").await).await;
    tenant.call("GET", KEYS).bearer(&as_viewer).send().await.expect_problem(403, "forbidden");
    // Support that was granted a viewer's role does not become an owner by acting as one.
    support.grant(&tenant, "viewer").await;
    tenant.call("GET", KEYS).bearer(&as_owner).send().await.expect_problem(403, "forbidden");
}

#[tokio::test]
async fn unknown_users_and_tenants_answer_alike() {
    let (tenant, user, support) = scene().await;
    let world = &tenant.world;
    let (foreign, suspended) = (world.tenant().create().await, world.tenant().create().await);
    let (theirs, stopped) = (foreign.user("owner").await, suspended.user("owner").await);
    support.grant(&suspended, "owner").await;
    suspended.suspend().await;
    let disabled = tenant.user("owner").await;
    tenant.on_shard("UPDATE users SET status = 'disabled' WHERE tenant_id = ?1 AND id = ?2", &[&disabled.id]).await;
    let ask = async |tenant: &str, user: &str| {
        support.impersonate(tenant, user).await.expect_problem(404, "not_found").masked(&[tenant, user])
    };
    let unknown = ask(&format!("t-{}", unique()), "usr_nobody").await;
    for (tenant, user) in [
        (&tenant.id, "usr_nobody"),
        (&tenant.id, &theirs.id),
        (&tenant.id, &disabled.id),
        (&foreign.id, &theirs.id),
        (&suspended.id, &stopped.id),
    ] {
        assert_eq!(ask(tenant, user).await, unknown, "{user} of {tenant}");
    }
    support.impersonate(&tenant.id, &user.id).await.expect(200);
}

#[tokio::test]
async fn a_reason_is_given_and_the_time_is_bounded() {
    let (tenant, user, support) = scene().await;
    let ask = async |change: Value| {
        let mut body = json!({"tenant_id": tenant.id, "user_id": user.id, "reason": "a reason that will do"});
        for (name, value) in change.as_object().unwrap() {
            body[name] = value.clone();
        }
        support.call("POST", IMPERSONATE).json(&body).send().await
    };
    for reason in [Value::Null, json!(""), json!("too short"), json!("          "), json!("x".repeat(501))] {
        ask(json!({"reason": reason})).await.expect_invalid("/reason");
    }
    for minutes in [0, 61, -5] {
        ask(json!({"minutes": minutes})).await.expect_invalid("/minutes");
    }
    ask(json!({"role": "owner"})).await.expect_invalid("/role");
    assert!(tenant.audited("user.impersonate").await.is_empty());
    ask(json!({"minutes": 60})).await.expect(200);
    let key = tenant.world.platform("POST", IMPERSONATE).json(&json!({}));
    key.send().await.expect_problem(403, "not_signed_in");
}

#[tokio::test]
async fn a_token_ends_with_its_user_its_operator_and_its_grant() {
    let (tenant, user, support) = scene().await;
    let asks = async |token: &str| tenant.call("GET", KEYS).bearer(token).send().await.status;
    let first = token(&tenant, &user, &support).await;
    assert_eq!(asks(&first).await, 200);
    let set = async |status: &str| {
        tenant.on_shard("UPDATE users SET status = ?3 WHERE tenant_id = ?1 AND id = ?2", &[&user.id, status]).await
    };
    set("disabled").await;
    assert_eq!(asks(&first).await, 401);
    set("active").await;
    assert_eq!(asks(&first).await, 401, "it does not come back with the user");
    let first = token(&tenant, &user, &support).await;
    assert_eq!(asks(&first).await, 200);
    support.take_grant(&tenant).await;
    assert_eq!(asks(&first).await, 401);
    support.grant(&tenant, "owner").await;
    assert_eq!(asks(&first).await, 401, "another grant");
    let second = token(&tenant, &user, &support).await;
    assert_eq!(asks(&second).await, 200);
    support.patch(json!({"status": "disabled"})).await;
    assert_eq!(asks(&second).await, 401);
}

#[tokio::test]
async fn a_token_is_for_its_tenant_and_for_nothing_else() {
    let (tenant, user, support) = scene().await;
    let other = tenant.world.tenant().create().await;
    support.grant(&other, "owner").await;
    let token = token(&tenant, &user, &support).await;
    other.call("GET", KEYS).bearer(&token).send().await.expect_problem(404, "tenant_not_found");
    for path in [IMPERSONATE, "/api/v1/auth/switch", "/api/v1/operators/logout"] {
        let answer = tenant.world.call("POST", ROOT, path).bearer(&token).json(&json!({})).send().await;
        answer.expect_problem(401, "unauthorized");
    }
    // There is nothing to refresh it with: whatever takes refresh tokens does not take it.
    let refreshed = tenant.call("POST", "/api/v1/auth/refresh").json(&json!({"refresh_token": token})).send().await;
    refreshed.expect_invalid("/refresh_token");
    other.call("PUT", "/events").bearer(&token).send().await.expect_problem(404, "tenant_not_found");
    // What the user may read, whoever acts as them hears: not longer than the token lives.
    let ticket = tenant.call("PUT", "/events").bearer(&token).send().await.expect(201);
    assert!(!ticket.header("x-impersonated-by").is_empty());
}
