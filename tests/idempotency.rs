//! `Idempotency-Key` on what a tenant creates: done once, answered again for a day.

use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::world::{ROOT, RequestBuilder, Tenant, TestResponse, World, address, unique};

async fn tenant() -> Tenant {
    World::shared().await.tenant().create().await
}

fn bodies() -> [(&'static str, Value); 4] {
    [
        ("/api/v1/api-keys", json!({"name": "deploys", "scopes": ["audit:read"]})),
        ("/api/v1/users", json!({"email": address(), "role": "viewer"})),
        ("/api/v1/roles", json!({"name": "press", "permissions": ["audit:read"]})),
        ("/api/v1/invitations", json!({"email": address()})),
    ]
}

fn keyed(call: RequestBuilder, key: &str, body: &Value) -> RequestBuilder {
    call.header("Idempotency-Key", key).json(body)
}

async fn ask(tenant: &Tenant, path: &str, key: &str, body: &Value) -> TestResponse {
    keyed(tenant.as_owner("POST", path), key, body).send().await
}

#[tokio::test]
async fn the_first_answer_is_given_again_and_another_body_is_refused() {
    let tenant = tenant().await;
    for (path, body) in bodies() {
        let key = unique();
        let first = ask(&tenant, path, &key, &body).await.expect(201);
        let again = ask(&tenant, path, &format!("\"{key}\""), &body).await.expect(201);
        assert_eq!(again.body, first.body, "{path}");
        assert_eq!(again.header("location"), first.header("location"));
        assert_eq!((first.header("idempotent-replayed"), again.header("idempotent-replayed")), ("", "true"));
        let count = tenant.as_owner("GET", path).query("limit", "200").send().await.expect(200).data();
        let own = count.as_array().unwrap().iter().filter(|row| row["built_in"] != true).count();
        assert_eq!(own, 1, "{path}");
        let mut other = body.clone();
        other["name"] = json!("other");
        ask(&tenant, path, &key, &other).await.expect_problem(422, "idempotency_key_reused");
    }
}

#[tokio::test]
async fn a_key_counts_for_its_operation_principal_and_tenant_only() {
    let (tenant, other) = (tenant().await, tenant().await);
    let key = unique();
    let [(keys, make), (users, user), ..] = bodies();
    let first = ask(&tenant, keys, &key, &make).await.expect(201);
    ask(&tenant, users, &key, &user).await.expect(201);
    let theirs = ask(&other, keys, &key, &make).await.expect(201);
    assert_ne!(theirs.data()["key"], first.data()["key"]);
    let automation = tenant.key(&["*"]).await.text;
    let by_key = keyed(tenant.call("POST", keys).bearer(&automation), &key, &make).send().await.expect(201);
    assert_ne!(by_key.data()["key"], first.data()["key"], "somebody else's answer is not told");
    for bad in ["", "\"\"", "a b", &"x".repeat(256)] {
        let answer = ask(&tenant, keys, bad, &make).await;
        if !bad.is_empty() {
            answer.expect_problem(400, "invalid_header");
        }
    }
}

#[tokio::test]
async fn sent_many_times_at_once_it_is_done_once() {
    let tenant = tenant().await;
    for (path, body) in bodies() {
        let (key, mut running) = (unique(), JoinSet::new());
        for _ in 0..5 {
            running.spawn(keyed(tenant.as_owner("POST", path), &key, &body).send());
        }
        let answers = running.join_all().await;
        for answer in &answers {
            assert_eq!((answer.status, &answer.body), (201, &answers[0].body), "{path}");
        }
    }
    assert_eq!(tenant.on_shard("SELECT id FROM api_keys WHERE tenant_id = ?1", &[]).await.len(), 1);
    let created = tenant.as_owner("GET", "/api/v1/audit").send().await.expect(200).data();
    assert_eq!(created.as_array().unwrap().len(), 4, "one audit_entry each");
    assert_eq!(tenant.invitation_tokens().await.len(), 1, "one mail");
}

#[tokio::test]
async fn what_failed_is_not_kept() {
    let tenant = tenant().await;
    let key = unique();
    let body = json!({"email": address(), "role": "press"});
    ask(&tenant, "/api/v1/users", &key, &body).await.expect_invalid("/role");
    tenant.role("press", &["audit:read"]).await;
    ask(&tenant, "/api/v1/users", &key, &body).await.expect(201);
}

#[tokio::test]
async fn a_kept_answer_is_sealed_and_ends_after_a_day() {
    let tenant = tenant().await;
    let key = unique();
    let [(path, body), ..] = bodies();
    let first = ask(&tenant, path, &key, &body).await.expect(201);
    let kept = tenant.on_shard("SELECT * FROM idempotency_keys WHERE tenant_id = ?1", &[]).await;
    assert_eq!(kept.len(), 1);
    let text = Value::Array(kept).to_string();
    assert!(!text.contains(first.data()["key"].as_str().unwrap()) && !text.contains(&key));
    for shard in ["SHARD_00", "SHARD_01"] {
        let sql = "UPDATE idempotency_keys SET created_at = created_at - 86400001 WHERE tenant_id = ?1 RETURNING scope";
        tenant.world.rows(shard, sql, &[&tenant.id]).await;
    }
    let anew = ask(&tenant, path, &key, &body).await.expect(201);
    assert_ne!(anew.data()["id"], first.data()["id"]);
    assert_eq!(tenant.on_shard("SELECT scope FROM idempotency_keys WHERE tenant_id = ?1", &[]).await.len(), 1);
}

#[tokio::test]
async fn what_an_isolate_remembers_of_an_unknown_id_ends_with_the_creation_of_its_tenant() {
    let world = World::shared().await;
    let id = format!("t-{}", unique());
    let stranger = world.tenant().create().await;
    let early = stranger.webhook().host(ROOT).header("X-Tenant-ID", &id).set("tenant_id", json!(id));
    early.send().await.expect_problem(401, "invalid_signature");
    let tenant = world.tenant().id(&id).create().await;
    let body = json!({"email": address(), "role": "viewer"});
    tenant.as_owner("POST", "/api/v1/users").header("Idempotency-Key", "first").json(&body).send().await.expect(201);
}
