//! Users of a tenant: who may change them, and what they lose at once.

use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::world::{Tenant, TestResponse, World, address, unique};

const USERS: &str = "/api/v1/users";

async fn tenant() -> Tenant {
    World::shared().await.tenant().create().await
}

async fn with(tenant: &Tenant, key: &str, method: &str, path: &str, body: Value) -> TestResponse {
    tenant.call(method, path).bearer(key).json(&body).send().await
}

async fn shown(tenant: &Tenant, id: &str) -> Value {
    tenant.as_owner("GET", &format!("{USERS}/{id}")).send().await.expect(200).data()
}

/// Sends all at once; the statuses, sorted.
async fn at_once(calls: Vec<crate::world::RequestBuilder>) -> Vec<u16> {
    let mut running = JoinSet::new();
    for call in calls {
        running.spawn(call.send());
    }
    let mut statuses: Vec<u16> = running.join_all().await.into_iter().map(|answer| answer.status).collect();
    statuses.sort_unstable();
    statuses
}

#[tokio::test]
async fn a_user_is_made_shown_changed_and_removed() {
    let tenant = tenant().await;
    let email = address();
    let body = json!({"email": email.to_uppercase(), "name": "Ada", "role": "editor"});
    let made = tenant.as_owner("POST", USERS).json(&body).send().await.expect(201);
    let user = made.data();
    let path = format!("{USERS}/{}", user["id"].as_str().unwrap());
    assert_eq!(made.header("location"), path);
    assert_eq!((&user["email"], &user["status"]), (&json!(email), &json!("active")));
    assert_eq!(tenant.as_owner("GET", &path).send().await.expect(200).data(), user);
    let patch = async |body: Value| tenant.as_owner("PATCH", &path).json(&body).send().await.expect(200).data();
    assert_eq!(patch(json!({"name": "Ada L."})).await["name"], "Ada L.");
    assert_eq!(patch(json!({"role": "viewer"})).await["role"], "viewer");
    assert_eq!(patch(json!({"status": "disabled"})).await["status"], "disabled");
    let last = patch(json!({"status": "active", "name": null})).await;
    assert_eq!((&last["status"], &last["name"], &last["role"]), (&json!("active"), &json!(""), &json!("viewer")));
    tenant.as_owner("DELETE", &path).send().await.expect(200);
    tenant.as_owner("GET", &path).send().await.expect_problem(404, "not_found");
    tenant.as_owner("POST", USERS).json(&body).send().await.expect(201);
}

#[tokio::test]
async fn an_address_is_one_users_in_a_tenant_and_anybodys_in_another() {
    let (tenant, other) = (tenant().await, tenant().await);
    let body = |email: &str| json!({"email": email, "role": "viewer"});
    let email = address();
    tenant.as_owner("POST", USERS).json(&body(&email)).send().await.expect(201);
    let taken = tenant.as_owner("POST", USERS).json(&body(&email.to_uppercase())).send().await;
    assert_eq!(taken.expect_problem(409, "conflict").pointers(), ["/email"]);
    other.as_owner("POST", USERS).json(&body(&email)).send().await.expect(201);
}

#[tokio::test]
async fn bad_bodies_name_their_fields() {
    let tenant = tenant().await;
    let post = async |body: Value| tenant.as_owner("POST", USERS).json(&body).send().await;
    assert_eq!(post(json!({})).await.expect(422).pointers(), ["/email"]);
    for (body, pointer) in [
        (json!({"email": "nobody", "role": "viewer"}), "/email"),
        (json!({"email": address(), "role": "king"}), "/role"),
        (json!({"email": address(), "role": "viewer", "name": "x".repeat(201)}), "/name"),
        (json!({"email": address(), "role": "viewer", "password": "x"}), "/password"),
    ] {
        post(body).await.expect_invalid(pointer);
    }
    let path = format!("{USERS}/{}", tenant.made_user("viewer").await);
    for (body, pointer) in [
        (json!({"status": "gone"}), "/status"),
        (json!({"role": "king"}), "/role"),
        (json!({"email": "a@b.c"}), "/email"),
    ] {
        tenant.as_owner("PATCH", &path).json(&body).send().await.expect_invalid(pointer);
    }
}

#[tokio::test]
async fn lists_are_filtered_and_go_on_by_cursor() {
    let tenant = tenant().await;
    for (email, name, role) in [
        ("ann@example.com", "Ann", "viewer"),
        ("bob@example.com", "Bob 100%", "editor"),
        ("cy@example.org", "Cy", "viewer"),
    ] {
        let body = json!({"email": email, "name": name, "role": role});
        let data = tenant.as_owner("POST", USERS).json(&body).send().await.expect(201).data();
        if email.starts_with("cy") {
            let path = format!("{USERS}/{}", data["id"].as_str().unwrap());
            tenant.as_owner("PATCH", &path).json(&json!({"status": "disabled"})).send().await.expect(200);
        }
    }
    let found = async |query: &[(&str, &str)]| {
        let call = query.iter().fold(tenant.as_owner("GET", USERS), |call, (name, value)| call.query(name, value));
        let data = call.send().await.expect(200).data();
        let mut found: Vec<_> =
            data.as_array().unwrap().iter().map(|u| u["email"].as_str().unwrap()[..2].to_owned()).collect();
        found.sort();
        found.join(" ")
    };
    for (query, wanted) in [
        (&[][..], "an bo cy"),
        (&[("status", "disabled")], "cy"),
        (&[("role", "viewer")], "an cy"),
        (&[("role", "viewer"), ("status", "active")], "an"),
        (&[("q", "EXAMPLE.COM")], "an bo"),
        (&[("q", "0%")], "bo"),
        (&[("q", "_")], ""),
    ] {
        assert_eq!(found(query).await, wanted, "{query:?}");
    }
    tenant.as_owner("GET", USERS).query("status", "gone").send().await.expect_invalid_query("status");
    let page = tenant.as_owner("GET", USERS).query("limit", "2").send().await.expect(200).json();
    let cursor = page["pagination"]["cursor"].as_str().unwrap();
    let rest = tenant.as_owner("GET", USERS).query("cursor", cursor).send().await.expect(200).data();
    assert_eq!(rest.as_array().unwrap().len(), 1);
    let filtered = tenant.as_owner("GET", USERS).query("cursor", cursor).query("role", "viewer");
    filtered.send().await.expect_invalid_query("cursor");
}

#[tokio::test]
async fn nobody_gives_a_role_beyond_their_own() {
    let tenant = tenant().await;
    let key = tenant.key(&["users:*", "events:read", "collections:read", "records:read", "settings:read"]).await.text;
    let viewer = format!("{USERS}/{}", tenant.made_user("viewer").await);
    with(&tenant, &key, "POST", USERS, json!({"email": address(), "role": "viewer"})).await.expect(201);
    for role in ["owner", "admin", "editor"] {
        let made = with(&tenant, &key, "POST", USERS, json!({"email": address(), "role": role})).await;
        assert_eq!(made.expect_problem(403, "beyond_own_permissions").pointers(), ["/role"]);
        let promoted = with(&tenant, &key, "PATCH", &viewer, json!({"role": role})).await;
        promoted.expect_problem(403, "beyond_own_permissions");
    }
    // A user cannot promote themselves either.
    tenant.role("helpdesk", &["users:*", "events:read", "collections:read", "records:read", "settings:read"]).await;
    let helper = tenant.person("helpdesk").await;
    let promoted = helper.call("PATCH", &helper.path()).json(&json!({"role": "owner"})).send().await;
    promoted.expect_problem(403, "beyond_own_permissions");
}

#[tokio::test]
async fn nobody_changes_a_user_who_may_do_more() {
    let tenant = tenant().await;
    tenant.made_user("owner").await;
    let owner = tenant.made_user("owner").await;
    let key = tenant.key(&["users:*", "events:read", "collections:read", "records:read", "settings:read"]).await.text;
    for (method, rest, body) in [
        ("PATCH", "", json!({"name": "x"})),
        ("PATCH", "", json!({"status": "disabled"})),
        ("PATCH", "", json!({"role": "viewer"})),
        ("DELETE", "", json!({})),
        ("POST", "/sessions/revoke", json!({})),
    ] {
        let refused = with(&tenant, &key, method, &format!("{USERS}/{owner}{rest}"), body).await;
        refused.expect_problem(403, "beyond_own_permissions");
    }
    assert_eq!(shown(&tenant, &owner).await["status"], "active");
}

#[tokio::test]
async fn the_last_owner_stays() {
    let tenant = tenant().await;
    let (owner, admin) = (tenant.made_user("owner").await, tenant.made_user("admin").await);
    let change =
        async |id: &str, body: Value| tenant.as_owner("PATCH", &format!("{USERS}/{id}")).json(&body).send().await;
    change(&admin, json!({"status": "disabled"})).await.expect(200);
    for body in [json!({"role": "editor"}), json!({"status": "disabled"})] {
        change(&owner, body).await.expect_problem(409, "last_owner");
    }
    let removed = tenant.as_owner("DELETE", &format!("{USERS}/{owner}")).send().await;
    removed.expect_problem(409, "last_owner");
    change(&owner, json!({"role": "admin", "name": "Still"})).await.expect(200);
    tenant.as_owner("DELETE", &format!("{USERS}/{admin}")).send().await.expect(200);
    let audit = tenant.on_shard("SELECT operation FROM audit_log WHERE tenant_id = ?1", &[]).await;
    assert_eq!(
        audit.iter().filter(|audit_entry| audit_entry["operation"] == "user.remove").count(),
        1,
        "what was refused is no audit_entry"
    );
}

#[tokio::test]
async fn of_two_last_owners_who_leave_at_once_one_stays() {
    for how in ["demote", "disable", "remove"] {
        let tenant = tenant().await;
        let ids = [tenant.made_user("owner").await, tenant.made_user("admin").await];
        let calls = ids.iter().map(|id| {
            let path = format!("{USERS}/{id}");
            match how {
                "demote" => tenant.as_owner("PATCH", &path).json(&json!({"role": "viewer"})),
                "disable" => tenant.as_owner("PATCH", &path).json(&json!({"status": "disabled"})),
                _ => tenant.as_owner("DELETE", &path),
            }
        });
        assert_eq!(at_once(calls.collect()).await, [200, 409], "{how}");
        let sql = "SELECT id FROM users WHERE tenant_id = ?1 AND role IN ('owner', 'admin') AND status = 'active'";
        assert_eq!(tenant.on_shard(sql, &[]).await.len(), 1, "{how}");
    }
}

#[tokio::test]
async fn a_plan_has_room_for_so_many_users_whoever_comes_at_once() {
    let tenant = World::shared().await.tenant().limit("max_users", 3).create().await;
    let body = || json!({"email": address(), "role": "viewer"});
    let calls = (0..10).map(|_| tenant.as_owner("POST", USERS).json(&body()));
    let statuses = at_once(calls.collect()).await;
    assert_eq!(statuses, [201, 201, 201, 409, 409, 409, 409, 409, 409, 409]);
    tenant.as_owner("POST", USERS).json(&body()).send().await.expect_problem(409, "user_limit_reached");
    tenant.patch(json!({"rate_limits": {"max_users": -1}})).await;
    tenant.as_owner("POST", USERS).json(&body()).send().await.expect(201);
    let free = World::shared().await.tenant().create().await;
    for _ in 0..10 {
        free.made_user("viewer").await;
    }
    free.as_owner("POST", USERS).json(&body()).send().await.expect_problem(409, "user_limit_reached");
}

#[tokio::test]
async fn a_change_of_role_counts_on_the_next_request_and_ends_streams() {
    let tenant = tenant().await;
    tenant.role("press", &["users:read", "subscriber-tokens:write", "events:read"]).await;
    let person = tenant.person("press").await;
    let mint = person.call("POST", "/api/v1/subscriber-tokens").json(&json!({"topics": ["a"]}));
    let minted = mint.clone().send().await.expect(201).data()["token"].as_str().unwrap().to_owned();
    let mut stream = tenant.events(&["a"]).header("Authorization", &format!("Bearer {minted}")).live().await;
    let mut public = tenant.subscribe(&["a"]).await;
    person.patched(json!({"name": "P."})).await.expect(200);
    tenant.publish("a", json!(1)).await;
    assert_eq!(stream.event().await.body["data"], 1, "another name ends nothing");
    person.patched(json!({"role": "user"})).await.expect(200);
    assert_eq!(stream.closed().await, "token_revoked");
    mint.send().await.expect_problem(403, "forbidden");
    person.call("GET", USERS).send().await.expect(200);
    person.patched(json!({"role": "viewer"})).await.expect(200);
    person.call("GET", USERS).send().await.expect_problem(403, "forbidden");
    assert_eq!(public.event().await.body["data"], 1);
}

#[tokio::test]
async fn who_is_disabled_or_removed_is_out_at_once_and_stays_out() {
    let tenant = tenant().await;
    let (disabled, removed) = (tenant.person("owner").await, tenant.person("owner").await);
    tenant.made_user("owner").await;
    let mut streams = Vec::new();
    for person in [&disabled, &removed] {
        let mint = person.call("POST", "/api/v1/subscriber-tokens").json(&json!({"topics": ["a"]}));
        let token = mint.send().await.expect(201).data()["token"].as_str().unwrap().to_owned();
        streams.push(tenant.events(&["a"]).header("Authorization", &format!("Bearer {token}")).live().await);
    }
    disabled.patched(json!({"status": "disabled"})).await.expect(200);
    removed.call("DELETE", &removed.path()).send().await.expect(200);
    for (person, stream) in [&disabled, &removed].into_iter().zip(&mut streams) {
        assert_eq!(stream.closed().await, "token_revoked");
        person.call("GET", USERS).send().await.expect_problem(401, "unauthorized");
    }
    disabled.patched(json!({"status": "active"})).await.expect(200);
    disabled.call("GET", USERS).send().await.expect_problem(401, "unauthorized");
    let sql = "SELECT id FROM sessions WHERE tenant_id = ?1";
    assert_eq!(tenant.on_shard(sql, &[]).await.len(), 0);
}

#[tokio::test]
async fn sessions_are_revoked_of_one_or_of_all() {
    let tenant = tenant().await;
    let (one, another) = (tenant.person("editor").await, tenant.person("editor").await);
    let key = tenant.key(&["users:read", "subscriber-tokens:write", "events:read"]).await;
    tenant.as_owner("POST", &format!("{}/sessions/revoke", one.path())).send().await.expect(200);
    one.call("GET", USERS).send().await.expect_problem(401, "unauthorized");
    another.call("GET", USERS).send().await.expect(200);
    let mint = tenant.call("POST", "/api/v1/subscriber-tokens").bearer(&key.text).json(&json!({"topics": ["a"]}));
    let token = mint.send().await.expect(201).data()["token"].as_str().unwrap().to_owned();
    let mut stream = tenant.events(&["a"]).header("Authorization", &format!("Bearer {token}")).live().await;
    tenant.as_owner("POST", "/api/v1/auth/revoke-all").send().await.expect(200);
    assert_eq!(stream.closed().await, "token_revoked");
    another.call("GET", USERS).send().await.expect_problem(401, "unauthorized");
    tenant.call("GET", USERS).bearer(&key.text).send().await.expect(200);
    let newcomer = tenant.person("editor").await;
    newcomer.call("GET", USERS).send().await.expect(200);
}

#[tokio::test]
async fn who_may_not_do_everything_does_not_revoke_all() {
    let tenant = tenant().await;
    tenant.role("staff", &["users:write", "users:read"]).await;
    let (owner, staff) = (tenant.person("owner").await, tenant.person("staff").await);
    let one = staff.call("POST", &format!("{}/sessions/revoke", owner.path())).send().await;
    one.expect_problem(403, "beyond_own_permissions");
    let all = staff.call("POST", "/api/v1/auth/revoke-all").send().await;
    all.expect_problem(403, "beyond_own_permissions");
    owner.call("GET", USERS).send().await.expect(200);
    owner.call("POST", "/api/v1/auth/revoke-all").send().await.expect(200);
    staff.call("GET", USERS).send().await.expect_problem(401, "unauthorized");
}

#[tokio::test]
async fn a_foreign_user_and_a_missing_one_answer_alike() {
    let world = World::shared().await;
    let unlimited = || world.tenant().limit("max_api_requests_per_minute", -1).limit("max_api_requests_per_day", -1);
    let (tenant, other) = (unlimited().create().await, unlimited().create().await);
    let key = tenant.key(&["*"]).await.text;
    let theirs = other.made_user("viewer").await;
    for (method, rest) in [("GET", ""), ("PATCH", ""), ("DELETE", ""), ("POST", "/sessions/revoke")] {
        let ask = async |id: &str| {
            let answer = with(&tenant, &key, method, &format!("{USERS}/{id}{rest}"), json!({})).await;
            answer.expect_problem(404, "not_found").masked(&[id])
        };
        assert_eq!(ask(&theirs).await, ask(&format!("usr_{}", unique())).await, "{method}");
    }
    assert_eq!(shown(&other, &theirs).await["status"], "active");
}

#[tokio::test]
async fn one_role_is_the_default_everywhere() {
    let world = World::shared().await;
    let tenant = world.tenant().create().await;
    for path in ["/api/v1/users", "/api/v1/invitations"] {
        let made = tenant.as_owner("POST", path).json(&json!({"email": crate::world::address()})).send().await;
        assert_eq!(made.expect(201).data()["role"], domain::permission::DEFAULT_ROLE, "{path}");
    }
}
