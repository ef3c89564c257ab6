//! The tenant's audit: what was done, by whom, from where; nobody changes it.

use serde_json::{Value, json};

use crate::world::{Tenant, World, address};

const AUDIT: &str = "/api/v1/audit";

async fn tenant() -> Tenant {
    World::shared().await.tenant().create().await
}

async fn audit_entries(tenant: &Tenant, query: &[(&str, &str)]) -> Vec<Value> {
    let call = query.iter().fold(tenant.as_owner("GET", AUDIT), |call, (name, value)| call.query(name, value));
    call.send().await.expect(200).data().as_array().unwrap().clone()
}

fn operations(audit_entries: &[Value]) -> Vec<&str> {
    audit_entries.iter().map(|audit_entry| audit_entry["operation"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn what_was_done_is_told_with_who_and_where() {
    let tenant = tenant().await;
    let person = tenant.person("owner").await;
    let body = json!({"email": address(), "role": "viewer"});
    let made = person.call("POST", "/api/v1/users").json(&body).send().await.expect(201);
    let id = made.data()["id"].clone();
    let path = format!("/api/v1/users/{}", id.as_str().unwrap());
    person.call("PATCH", &path).json(&json!({"status": "disabled"})).send().await.expect(200);
    person.call("DELETE", &path).send().await.expect(200);
    let all = audit_entries(&tenant, &[]).await;
    assert_eq!(
        operations(&all),
        ["user.remove", "user.update", "user.create", "invitation.accept", "invitation.create"]
    );
    let created = &all[2];
    assert_eq!(created["actor"], format!("user:{}", person.id));
    assert_eq!((&created["subject"], &created["detail"]["email"]), (&id, &body["email"]));
    assert_eq!(created["address"], tenant.world.address);
    assert_eq!(created["request_id"], made.header("x-request-id"));
    assert!(created["at"].as_str().unwrap().ends_with('Z'), "{created}");
    assert_eq!(all[3]["actor"], format!("user:{}", person.id));
    assert_eq!(all[4]["actor"], "platform_key");
}

#[tokio::test]
async fn the_audit_is_filtered_and_goes_on_by_cursor() {
    let tenant = tenant().await;
    let key = tenant.key(&["roles:*", "audit:read"]).await;
    tenant.role("press", &["audit:read"]).await;
    let path = "/api/v1/roles/press";
    tenant.call("PATCH", path).bearer(&key.text).json(&json!({"description": "x"})).send().await.expect(200);
    tenant.call("DELETE", path).bearer(&key.text).send().await.expect(200);
    let actor = format!("key:{}", key.id);
    let found = audit_entries(&tenant, &[("actor", &actor)]).await;
    assert_eq!(operations(&found), ["role.delete", "role.update"]);
    assert_eq!(audit_entries(&tenant, &[("operation", "role.")]).await.len(), 3);
    assert_eq!(operations(&audit_entries(&tenant, &[("operation", "api_key")]).await), ["api_key.create"]);
    assert_eq!(audit_entries(&tenant, &[("subject", "press"), ("operation", "role.create")]).await.len(), 1);
    let second = found[1]["at"].as_str().unwrap();
    let since = audit_entries(&tenant, &[("since", second)]).await;
    assert!(
        since.len() >= 2 && since.iter().all(|audit_entry| audit_entry["at"].as_str().unwrap() >= second),
        "{since:?}"
    );
    let until = audit_entries(&tenant, &[("until", second)]).await;
    assert!(until.iter().all(|audit_entry| audit_entry["at"].as_str().unwrap() < second), "{until:?}");
    assert_eq!(since.len() + until.len(), 4);
    tenant.as_owner("GET", AUDIT).query("since", "yesterday").send().await.expect_invalid_query("since");
    let mut seen = Vec::new();
    let mut cursor = String::new();
    loop {
        let page = tenant.as_owner("GET", AUDIT).query("limit", "1").query("cursor", &cursor).send().await.expect(200);
        seen.extend(page.data().as_array().unwrap().clone());
        match page.json()["pagination"]["cursor"].as_str() {
            Some(next) => cursor = next.to_owned(),
            None => break,
        }
    }
    assert_eq!(seen, audit_entries(&tenant, &[]).await);
}

#[tokio::test]
async fn the_audit_takes_its_permission_and_is_a_tenants_own() {
    let (tenant, other) = (tenant().await, tenant().await);
    let key = tenant.key(&["users:*", "roles:*"]).await.text;
    let refused = tenant.call("GET", AUDIT).bearer(&key).send().await.expect_problem(403, "forbidden");
    assert!(refused.body.contains("audit:read"));
    other.role("press", &["audit:read"]).await;
    assert_eq!(operations(&audit_entries(&tenant, &[]).await), ["api_key.create"]);
    for method in ["POST", "PUT", "PATCH", "DELETE"] {
        tenant.as_owner(method, AUDIT).send().await.expect_problem(405, "method_not_allowed");
    }
}

#[tokio::test]
async fn what_is_secret_is_not_in_it() {
    let tenant = tenant().await;
    let key = tenant.key(&["*"]).await;
    let (_, token) = tenant.invite(&address(), "viewer").await;
    let text = Value::Array(audit_entries(&tenant, &[]).await).to_string();
    for secret in [&key.text, &token, &tenant.webhook_secret] {
        assert!(!text.contains(secret.as_str()));
    }
}
