//! Roles: five that every tenant has, and those it makes.

use serde_json::{Value, json};

use crate::world::{Tenant, TestResponse, World, address};

const ROLES: &str = "/api/v1/roles";

async fn tenant() -> Tenant {
    World::shared().await.tenant().create().await
}

async fn with(tenant: &Tenant, key: &str, method: &str, path: &str, body: Value) -> TestResponse {
    tenant.call(method, path).bearer(key).json(&body).send().await
}

async fn owner(tenant: &Tenant, method: &str, path: &str, body: Value) -> TestResponse {
    tenant.as_owner(method, path).json(&body).send().await
}

#[tokio::test]
async fn a_role_is_made_shown_changed_and_deleted() {
    let tenant = tenant().await;
    let body = json!({"name": "press", "description": "The newsroom", "permissions": ["users:*", "audit:read"]});
    let made = owner(&tenant, "POST", ROLES, body.clone()).await.expect(201);
    let path = format!("{ROLES}/press");
    assert_eq!(made.header("location"), path);
    assert_eq!(made.data()["permissions"], body["permissions"]);
    assert_eq!(tenant.as_owner("GET", &path).send().await.expect(200).data(), made.data());
    let taken = owner(&tenant, "POST", ROLES, body).await.expect_problem(409, "conflict");
    assert_eq!(taken.pointers(), ["/name"]);
    let changed = owner(&tenant, "PATCH", &path, json!({"permissions": ["audit:read"]})).await.expect(200).data();
    assert_eq!((&changed["permissions"], &changed["description"]), (&json!(["audit:read"]), &json!("The newsroom")));
    owner(&tenant, "DELETE", &path, json!({})).await.expect(200);
    tenant.as_owner("GET", &path).send().await.expect_problem(404, "not_found");
}

#[tokio::test]
async fn built_in_roles_are_listed_and_stay() {
    let tenant = tenant().await;
    tenant.role("press", &["audit:read"]).await;
    let listed = tenant.as_owner("GET", ROLES).send().await.expect(200).data();
    let names: Vec<_> =
        listed.as_array().unwrap().iter().map(|r| (r["name"].as_str().unwrap(), &r["built_in"])).collect();
    let (yes, no) = (json!(true), json!(false));
    assert_eq!(
        names,
        [("owner", &yes), ("admin", &yes), ("editor", &yes), ("user", &yes), ("viewer", &yes), ("press", &no)]
    );
    assert_eq!(listed[0]["permissions"], json!(["*"]));
    for name in ["owner", "viewer"] {
        let path = format!("{ROLES}/{name}");
        tenant.as_owner("GET", &path).send().await.expect(200);
        owner(&tenant, "PATCH", &path, json!({"permissions": ["*"]})).await.expect_problem(409, "built_in_role");
        owner(&tenant, "DELETE", &path, json!({})).await.expect_problem(409, "built_in_role");
        let body = json!({"name": name, "permissions": ["*"]});
        owner(&tenant, "POST", ROLES, body).await.expect_problem(409, "conflict");
    }
}

#[tokio::test]
async fn every_permission_is_listed_with_what_it_means() {
    let tenant = tenant().await;
    let listed = tenant.as_owner("GET", "/api/v1/permissions").send().await.expect(200).data();
    let find = |name: &str| listed.as_array().unwrap().iter().find(|p| p["name"] == name).cloned().unwrap();
    assert_eq!(find("audit:read")["description"], "Read the tenant's audit.");
    assert_eq!(listed.as_array().unwrap().len(), 24);
}

#[tokio::test]
async fn bad_bodies_name_their_fields() {
    let tenant = tenant().await;
    assert_eq!(owner(&tenant, "POST", ROLES, json!({})).await.expect(422).pointers(), ["/name", "/permissions"]);
    for name in ["", "Press", "1st", "a b", "-a", &"a".repeat(41), "é"] {
        owner(&tenant, "POST", ROLES, json!({"name": name, "permissions": ["*"]})).await.expect_invalid("/name");
    }
    for (body, pointer) in [
        (json!({"name": "a", "permissions": []}), "/permissions"),
        (json!({"name": "a", "permissions": ["tenants:read"]}), "/permissions/0"),
        (json!({"name": "a", "permissions": ["*"], "built_in": true}), "/built_in"),
        (json!({"name": "a", "permissions": ["*"], "description": "x".repeat(501)}), "/description"),
    ] {
        owner(&tenant, "POST", ROLES, body).await.expect_invalid(pointer);
    }
}

#[tokio::test]
async fn nobody_makes_or_changes_a_role_beyond_their_own() {
    let tenant = tenant().await;
    tenant.role("strong", &["*"]).await;
    tenant.role("weak", &["audit:read"]).await;
    let key = tenant.key(&["roles:*", "audit:read"]).await.text;
    let refused = [
        with(&tenant, &key, "POST", ROLES, json!({"name": "mine", "permissions": ["users:write"]})).await,
        with(&tenant, &key, "POST", ROLES, json!({"name": "mine", "permissions": ["*"]})).await,
        with(&tenant, &key, "PATCH", &format!("{ROLES}/weak"), json!({"permissions": ["users:write"]})).await,
        with(&tenant, &key, "PATCH", &format!("{ROLES}/strong"), json!({"permissions": ["audit:read"]})).await,
        with(&tenant, &key, "PATCH", &format!("{ROLES}/strong"), json!({"description": "x"})).await,
        with(&tenant, &key, "DELETE", &format!("{ROLES}/strong"), json!({})).await,
    ];
    for answer in refused {
        answer.expect_problem(403, "beyond_own_permissions");
    }
    // Nor their own role, by which they act.
    tenant.role("keeper", &["roles:*"]).await;
    let keeper = tenant.person("keeper").await;
    let raised = keeper.call("PATCH", &format!("{ROLES}/keeper")).json(&json!({"permissions": ["*"]})).send().await;
    raised.expect_problem(403, "beyond_own_permissions");
    with(&tenant, &key, "PATCH", &format!("{ROLES}/weak"), json!({"permissions": ["roles:read"]})).await.expect(200);
}

#[tokio::test]
async fn other_permissions_count_on_the_next_request_and_end_streams() {
    let tenant = tenant().await;
    tenant.role("press", &["audit:read", "subscriber-tokens:write", "events:read"]).await;
    let person = tenant.person("press").await;
    let mint = person.call("POST", "/api/v1/subscriber-tokens").json(&json!({"topics": ["a"]}));
    let token = mint.clone().send().await.expect(201).data()["token"].as_str().unwrap().to_owned();
    let mut stream = tenant.events(&["a"]).header("Authorization", &format!("Bearer {token}")).live().await;
    let path = format!("{ROLES}/press");
    owner(&tenant, "PATCH", &path, json!({"description": "x"})).await.expect(200);
    tenant.publish("a", json!(1)).await;
    assert_eq!(stream.event().await.body["data"], 1);
    owner(&tenant, "PATCH", &path, json!({"permissions": ["audit:read"]})).await.expect(200);
    assert_eq!(stream.closed().await, "token_revoked");
    mint.send().await.expect_problem(403, "forbidden");
    person.call("GET", "/api/v1/audit").send().await.expect(200);
}

#[tokio::test]
async fn a_role_of_many_users_ends_their_streams_alone_and_only_where_it_loses_something() {
    let tenant = World::shared().await.tenant().limit("max_users", -1).create().await;
    tenant.role("big", &["events:read", "subscriber-tokens:write"]).await;
    for _ in 0..21 {
        tenant.made_user("big").await;
    }
    let person = tenant.person("big").await;
    let key = tenant.key(&["events:read", "subscriber-tokens:write"]).await;
    let minted = async |token: &str| {
        let mint = tenant.call("POST", "/api/v1/subscriber-tokens").bearer(token).json(&json!({"topics": ["a"]}));
        mint.send().await.expect(201).data()["token"].as_str().unwrap().to_owned()
    };
    let open =
        async |token: &str| tenant.events(&["a"]).header("Authorization", &format!("Bearer {token}")).live().await;
    let (theirs, keys) = (minted(&person.token).await, minted(&key.text).await);
    let mut of_role = [open(&person.token).await, open(&theirs).await];
    let mut of_key = [open(&key.text).await, open(&keys).await];

    let path = format!("{ROLES}/big");
    let more = json!({"permissions": ["events:read", "subscriber-tokens:write", "settings:read", "roles:read"]});
    owner(&tenant, "PATCH", &path, more).await.expect(200);
    tenant.publish("a", json!(1)).await;
    for stream in of_role.iter_mut().chain(&mut of_key) {
        assert_eq!(stream.event().await.body["data"], 1);
    }
    open(&theirs).await;
    owner(&tenant, "PATCH", &path, json!({"permissions": ["roles:read"]})).await.expect(200);
    for stream in &mut of_role {
        assert_eq!(stream.closed().await, "token_revoked");
    }
    tenant.publish("a", json!(2)).await;
    for stream in &mut of_key {
        assert_eq!(stream.event().await.body["data"], 2);
    }
    open(&keys).await;
    tenant.events(&["a"]).header("Authorization", &format!("Bearer {theirs}")).refused().await.expect(401);
}

#[tokio::test]
async fn a_role_in_use_is_not_deleted() {
    let tenant = tenant().await;
    tenant.role("press", &["audit:read"]).await;
    let path = format!("{ROLES}/press");
    let id = tenant.made_user("press").await;
    owner(&tenant, "DELETE", &path, json!({})).await.expect_problem(409, "role_in_use");
    owner(&tenant, "DELETE", &format!("/api/v1/users/{id}"), json!({})).await.expect(200);
    let (invitation, _) = tenant.invite(&address(), "press").await;
    owner(&tenant, "DELETE", &path, json!({})).await.expect_problem(409, "role_in_use");
    owner(&tenant, "DELETE", &format!("/api/v1/invitations/{invitation}"), json!({})).await.expect(200);
    owner(&tenant, "DELETE", &path, json!({})).await.expect(200);
}

#[tokio::test]
async fn a_role_that_goes_while_it_is_given_leaves_nobody_without_one() {
    for _ in 0..5 {
        let tenant = tenant().await;
        tenant.role("press", &["audit:read"]).await;
        let body = json!({"email": address(), "role": "press"});
        let given = tenant.as_owner("POST", "/api/v1/users").json(&body).send();
        let gone = tenant.as_owner("DELETE", &format!("{ROLES}/press")).send();
        let (given, gone) = tokio::join!(given, gone);
        assert!(
            (given.status, gone.status) == (201, 409) || (matches!(given.status, 409 | 422) && gone.status == 200),
            "{} {}",
            given.status,
            gone.status
        );
    }
}

#[tokio::test]
async fn a_foreign_role_and_a_missing_one_answer_alike() {
    let (tenant, other) = (tenant().await, tenant().await);
    other.role("theirs", &["audit:read"]).await;
    let key = tenant.key(&["*"]).await.text;
    for method in ["GET", "PATCH", "DELETE"] {
        let ask = async |name: &str| {
            let answer = with(&tenant, &key, method, &format!("{ROLES}/{name}"), json!({})).await;
            let answer = answer.expect_problem(404, "not_found");
            (answer.status, answer.json()["code"].clone(), answer.json()["detail"].clone())
        };
        assert_eq!(ask("theirs").await, ask("nobodys").await, "{method}");
    }
    owner(&tenant, "POST", "/api/v1/users", json!({"email": address(), "role": "theirs"}))
        .await
        .expect_invalid("/role");
}

#[tokio::test]
async fn a_tenant_makes_fifty_roles() {
    let world = World::shared().await;
    let tenant = world.tenant().limit("max_api_requests_per_minute", -1).create().await;
    for i in 0..48 {
        tenant.role(&format!("role-{i}"), &["audit:read"]).await;
    }
    let more = (0..6).map(|i| {
        let body = json!({"name": format!("more-{i}"), "permissions": ["audit:read"]});
        tenant.as_owner("POST", ROLES).json(&body).send()
    });
    let answers = futures_util::future::join_all(more).await;
    assert_eq!(answers.iter().filter(|answer| answer.status == 201).count(), 2);
    let body = json!({"name": "more", "permissions": ["audit:read"]});
    owner(&tenant, "POST", ROLES, body).await.expect_problem(409, "too_many");
    assert_eq!(tenant.as_owner("GET", ROLES).send().await.expect(200).data().as_array().unwrap().len(), 55);
}
