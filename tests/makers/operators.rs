//! What operators have in a tenant: nothing comes back with a grant or a role.

use serde_json::json;

use super::{KEYS, entered, pair, status};

#[tokio::test]
async fn a_switch_token_does_not_revive_with_its_grant() {
    let (here, there) = pair().await;
    let (support, token) = entered(&here, "owner").await;
    let user = here.user("owner").await;
    let acting = support.impersonate(&here.id, &user.id).await.expect(200).data();
    let acting = acting["token"].as_str().unwrap();
    assert_eq!((status(&there, KEYS, &token).await, status(&there, KEYS, acting).await), (200, 200));
    support.take_grant(&here).await;
    support.grant(&here, "owner").await;
    assert_eq!((status(&there, KEYS, &token).await, status(&there, KEYS, acting).await), (401, 401));
    assert_eq!(status(&there, KEYS, &support.entered(&here).await).await, 200);
}

#[tokio::test]
async fn nothing_of_an_operator_revives_with_their_role() {
    let (here, there) = pair().await;
    let admin = here.world.operator("admin").await;
    admin.grant(&here, "viewer").await;
    let token = admin.entered(&here).await;
    assert_eq!(status(&there, KEYS, &token).await, 200);
    admin.patch(json!({"role": "support"})).await;
    assert_eq!(status(&there, "/api/v1/settings", &token).await, 401, "it was an admin's");
    let narrow = admin.entered(&here).await;
    assert_eq!(status(&there, KEYS, &narrow).await, 403);
    admin.patch(json!({"role": "admin"})).await;
    assert_eq!((status(&there, KEYS, &token).await, status(&there, KEYS, &narrow).await), (401, 401));
    admin.patch(json!({"status": "disabled"})).await;
    admin.patch(json!({"status": "active"})).await;
    assert_eq!(status(&there, KEYS, &token).await, 401);
}

#[tokio::test]
async fn a_grant_does_not_go_on_with_another_role_of_the_same_name() {
    let (here, there) = pair().await;
    here.role("press", &["audit:read"]).await;
    let (support, token) = entered(&here, "press").await;
    assert_eq!(status(&there, "/api/v1/audit", &token).await, 200);
    here.as_owner("DELETE", "/api/v1/roles/press").send().await.expect(200);
    assert_eq!(status(&there, "/api/v1/audit", &token).await, 401);
    let lists = async || {
        !support
            .call("GET", "/api/v1/operators/me/tenants")
            .send()
            .await
            .expect(200)
            .data()
            .as_array()
            .unwrap()
            .is_empty()
    };
    support.switch(&there.id).await.expect_problem(404, "tenant_not_found");
    assert!(!lists().await);
    here.role("press", &["*"]).await;
    assert_eq!(status(&there, "/api/v1/audit", &token).await, 401);
    let entries = here.audited("operator.enter").await.len();
    support.switch(&there.id).await.expect_problem(404, "tenant_not_found");
    assert_eq!(here.audited("operator.enter").await.len(), entries);
    assert!(!lists().await, "the role is another one");
    support.grant(&here, "press").await;
    assert!(lists().await);
    assert_eq!(status(&there, KEYS, &support.entered(&here).await).await, 200);
}
