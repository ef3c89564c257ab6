//! Operators: the platform's people, their sessions, and what they may enter.

use carillon::credentials::password::Hasher;
use carillon::credentials::signature::digest;
use domain::password::Password;
use serde_json::{Value, json};

use crate::world::{PASSWORD, ROOT, World, unique};

const OPERATORS: &str = "/api/v1/operators";
const ME: &str = "/api/v1/operators/me";

#[tokio::test]
async fn an_operator_signs_in_sees_itself_and_signs_out() {
    let world = World::shared().await;
    let support = world.operator("support").await;
    assert!(support.session.starts_with("car_os_"));
    let me = support.call("GET", ME).send().await.expect(200).data();
    assert_eq!(me["id"], json!(support.id));
    assert_eq!(me["permissions"], json!(["tenants:enter", "users:impersonate"]));
    assert!(me["session_expires_at"].is_string() && me["last_login_at"].is_string(), "{me}");
    let admin = world.operator("admin").await;
    admin.call("GET", "/api/v1/tenants").query("limit", "1").send().await.expect(200);
    support.call("GET", "/api/v1/tenants").send().await.expect_problem(403, "forbidden");

    let rows = world.rows("CONTROL", "SELECT * FROM operator_sessions WHERE operator_id = ?1", &[&support.id]).await;
    assert!(!json!(rows).to_string().contains(&support.session[20..]), "{rows:?}");
    support.call("POST", "/api/v1/operators/logout").send().await.expect(204);
    support.call("GET", ME).send().await.expect_problem(401, "unauthorized");
}

#[tokio::test]
async fn whatever_does_not_fit_gets_one_answer() {
    let world = World::shared().await;
    let (known, disabled) = (world.operator("support").await, world.operator("support").await);
    disabled.patch(json!({"status": "disabled"})).await;
    let mut answers = Vec::new();
    for (email, password) in [
        (known.email.as_str(), "not the password"),
        (known.email.as_str(), ""),
        ("nobody@platform.example", PASSWORD),
        ("no address", PASSWORD),
        (disabled.email.as_str(), PASSWORD),
    ] {
        if password.is_empty() {
            world.sign_in(email, password).await.expect_invalid("/password");
            continue;
        }
        answers.push(world.sign_in(email, password).await.expect_problem(401, "invalid_credentials").masked(&[]));
    }
    assert!(answers.windows(2).all(|pair| pair[0] == pair[1]), "{answers:#?}");
    let odd = "tab\tand more, 12 bytes";
    known.patch(json!({"password": odd})).await;
    world.sign_in(&known.email, odd).await.expect(200);
    // However it is composed.
    known.patch(json!({"password": "twelve letters, cafe\u{301}"})).await;
    for typed in ["twelve letters, caf\u{e9}", "twelve\u{a0}letters, cafe\u{301}"] {
        world.sign_in(&known.email, typed).await.expect(200);
    }
    world.sign_in(&known.email, "twelve letters, cafe").await.expect(401);
    known.patch(json!({"password": PASSWORD})).await;
    // Letters of an address count alike.
    world.sign_in(&known.email.to_uppercase(), PASSWORD).await.expect(200);
}

#[tokio::test]
async fn an_operators_hash_of_a_password_as_it_was_typed_is_made_anew() {
    let world = World::shared().await;
    let known = world.operator("support").await;
    let typed = Password::parse("twelve letters, cafe\u{301}", &str::to_owned).unwrap_or_else(|_| panic!("short"));
    let old = Hasher::default().hash(&typed, b"sixteen bytes of").unwrap();
    world.rows("CONTROL", "UPDATE operators SET password_hash = ?2 WHERE id = ?1", &[&known.id, &old]).await;
    world.sign_in(&known.email, "twelve letters, caf\u{e9}").await.expect(401);
    world.sign_in(&known.email, "twelve letters, cafe\u{301}").await.expect(200);
    world.sign_in(&known.email, "twelve letters, caf\u{e9}").await.expect(200);
}

/// Tries until it is refused; how many tries were answered otherwise.
async fn tries_until_limited(most: usize, sign_in: impl AsyncFn(usize) -> crate::world::TestResponse) -> usize {
    for tried in 0..most {
        let answer = sign_in(tried).await;
        if answer.status == 429 {
            let answer = answer.expect_problem(429, "rate_limited");
            let wait: u64 = answer.header("retry-after").parse().unwrap();
            assert!((1..=60).contains(&wait));
            return tried;
        }
        answer.expect_problem(401, "invalid_credentials");
    }
    panic!("{most} tries in less than two minutes");
}

#[tokio::test]
async fn a_network_fails_ten_times_at_an_account_and_locks_nobody_else_out() {
    let world = World::shared().await;
    let (operator, attacker) = (world.operator("support").await, world.elsewhere());
    let tries = tries_until_limited(21, async |_| attacker.sign_in(&operator.email, "a wrong password").await).await;
    assert!(tries >= 10, "{tries}");
    attacker.sign_in(&operator.email, "a wrong password").await;
    let pair = format!("pair:{}:", digest(operator.email.as_bytes()));
    let counts = "SELECT n.tries AS of_network, p.tries AS of_pair FROM operator_login_failures p JOIN operator_login_failures n ON n.minute = p.minute AND n.who = 'network:' || substr(p.who, 71) WHERE substr(p.who, 1, 70) = ?1";
    for row in world.rows("CONTROL", counts, &[&pair]).await {
        assert_eq!(row["of_network"], row["of_pair"], "what was refused is no failure elsewhere: {row}");
        assert!(row["of_pair"].as_i64().unwrap() <= 10, "{row}");
    }
    world.elsewhere().sign_in(&operator.email, PASSWORD).await.expect(200);
}

#[tokio::test]
async fn tries_from_an_address_are_counted_whomever_they_are_for() {
    let world = World::shared().await;
    let sign_in =
        async |tried: usize| world.sign_in(&format!("{tried}@{}.example", unique()), "a wrong password").await;
    let tries = tries_until_limited(41, sign_in).await;
    assert!(tries >= 20, "{tries}");
    // The right password is refused just so, and another address is not.
    let operator = world.elsewhere().operator("support").await;
    operator.world.sign_in(&operator.email, PASSWORD).await.expect(200);
}

#[tokio::test]
async fn a_session_ends_with_its_hours_its_password_and_its_operator() {
    let world = World::shared().await;
    let expired = world.operator("support").await;
    world.rows("CONTROL", "UPDATE operator_sessions SET expires_at = 1 WHERE operator_id = ?1", &[&expired.id]).await;
    expired.call("GET", ME).send().await.expect_problem(401, "unauthorized");

    let changed = world.operator("support").await;
    changed.patch(json!({"password": "another password"})).await;
    changed.call("GET", ME).send().await.expect_problem(401, "unauthorized");
    world.sign_in(&changed.email, PASSWORD).await.expect_problem(401, "invalid_credentials");
    world.sign_in(&changed.email, "another password").await.expect(200);

    let disabled = world.operator("admin").await;
    disabled.patch(json!({"status": "disabled"})).await;
    disabled.call("GET", ME).send().await.expect_problem(401, "unauthorized");
    disabled.patch(json!({"status": "active"})).await;
    disabled.call("GET", ME).send().await.expect_problem(401, "unauthorized");

    let removed = world.operator("admin").await;
    removed.admin("DELETE", "").send().await.expect(200);
    removed.call("GET", ME).send().await.expect_problem(401, "unauthorized");
    removed.admin("GET", "").send().await.expect_problem(404, "not_found");
    world.sign_in(&removed.email, PASSWORD).await.expect_problem(401, "invalid_credentials");
}

#[tokio::test]
async fn a_role_changes_with_the_next_request() {
    let operator = World::shared().await.operator("admin").await;
    operator.call("GET", OPERATORS).send().await.expect(200);
    operator.patch(json!({"role": "support"})).await;
    operator.call("GET", OPERATORS).send().await.expect_problem(403, "forbidden");
}

#[tokio::test]
async fn nobody_makes_or_changes_an_operator_who_may_do_more() {
    let world = World::shared().await;
    let key = json!({"name": "x", "permissions": ["operators:*", "tenants:enter", "users:impersonate"]});
    let key = world.platform("POST", "/api/v1/platform-keys").json(&key).send().await.expect(201).data();
    let weak = json!({"name": "x", "permissions": ["operators:*"]});
    let weak = world.platform("POST", "/api/v1/platform-keys").json(&weak).send().await.expect(201).data();
    let by = async |key: &Value, method: &str, path: &str, body: &Value| {
        world.call(method, ROOT, path).bearer(key["key"].as_str().unwrap()).json(body).send().await
    };
    let new = |role: &str| json!({"email": format!("{}@x.example", unique()), "name": "x", "password": PASSWORD, "role": role});
    by(&key, "POST", OPERATORS, &new("admin")).await.expect_problem(403, "beyond_own_permissions");
    let support = by(&key, "POST", OPERATORS, &new("support")).await.expect(201).data();
    let support = format!("{OPERATORS}/{}", support["id"].as_str().unwrap());
    by(&key, "PATCH", &support, &json!({"role": "admin"})).await.expect_problem(403, "beyond_own_permissions");
    by(&weak, "POST", OPERATORS, &new("support")).await.expect_problem(403, "beyond_own_permissions");
    by(&weak, "PATCH", &support, &json!({"password": PASSWORD})).await.expect_problem(403, "beyond_own_permissions");

    let admin = world.operator("admin").await;
    let path = format!("{OPERATORS}/{}", admin.id);
    by(&key, "PATCH", &path, &json!({"password": "a password of mine"}))
        .await
        .expect_problem(403, "beyond_own_permissions");
    by(&key, "DELETE", &path, &json!({})).await.expect_problem(403, "beyond_own_permissions");
    admin.call("GET", ME).send().await.expect(200);
}

#[tokio::test]
async fn bad_bodies_name_their_fields_and_an_address_is_one_operators() {
    let world = World::shared().await;
    let post = async |body: Value| world.platform("POST", OPERATORS).json(&body).send().await;
    assert_eq!(post(json!({})).await.expect(422).pointers(), ["/email", "/name", "/password", "/role"]);
    let good =
        json!({"email": format!("{}@x.example", unique()), "name": "x", "password": PASSWORD, "role": "support"});
    for (name, value) in [
        ("email", json!("nobody")),
        ("password", json!("short")),
        ("password", json!("x".repeat(257))),
        ("role", json!("root")),
        ("status", json!("disabled")),
        ("grants", json!([])),
    ] {
        let mut body = good.clone();
        body[name] = value;
        post(body).await.expect_invalid(&format!("/{name}"));
    }
    let made = post(good.clone()).await.expect(201);
    assert!(!made.body.contains("argon2") && !made.body.contains(PASSWORD), "{}", made.body);
    let taken = post(good.clone()).await.expect_problem(409, "conflict");
    assert_eq!(taken.pointers(), ["/email"]);
    let other = world.operator("support").await;
    other.admin("PATCH", "").json(&json!({"email": good["email"]})).send().await.expect_problem(409, "conflict");
    for (method, body) in [("GET", None), ("PATCH", Some(json!({}))), ("DELETE", None)] {
        let call = world.platform(method, &format!("{OPERATORS}/opr_nobody"));
        let call = body.map_or(call.clone(), |body| call.json(&body));
        call.send().await.expect_problem(404, "not_found");
    }
}

#[tokio::test]
async fn grants_name_a_tenant_that_is_there_and_a_role_it_has() {
    let world = World::shared().await;
    let (tenant, support) = (world.tenant().create().await, world.operator("support").await);
    let put = async |tenant: &str, role: &str| {
        support.admin("PUT", &format!("/grants/{tenant}")).json(&json!({"role": role})).send().await
    };
    put("t-nobody", "viewer").await.expect_problem(404, "tenant_not_found");
    put(&tenant.id, "press").await.expect_invalid("/role");
    let sql = "INSERT INTO roles (tenant_id, name, permissions, created_at, updated_at) VALUES (?1, 'press', '[\"api-keys:read\"]', 1, 1)";
    tenant.on_shard(sql, &[]).await;
    let shown = put(&tenant.id, "press").await.expect(200).data();
    assert_eq!(shown["grants"], json!([{"tenant_id": tenant.id, "role": "press"}]));
    let shown = put(&tenant.id, "viewer").await.expect(200).data();
    assert_eq!(shown["grants"], json!([{"tenant_id": tenant.id, "role": "viewer"}]));
    let taken = support.admin("DELETE", &format!("/grants/{}", tenant.id)).send().await.expect(200).data();
    assert_eq!((&taken["grants"], &taken["grant_count"]), (&json!([]), &json!(0)));
    support.admin("DELETE", &format!("/grants/{}", tenant.id)).send().await.expect_problem(404, "not_found");
    let nobody = world.platform("PUT", &format!("{OPERATORS}/opr_nobody/grants/{}", tenant.id));
    nobody.json(&json!({"role": "viewer"})).send().await.expect_problem(404, "not_found");
    let crossed = support.admin("PUT", &format!("/grants/{}", tenant.id)).header("X-Tenant-ID", "t-other");
    crossed.json(&json!({"role": "viewer"})).send().await.expect_problem(404, "tenant_not_found");
}

#[tokio::test]
async fn operators_list_the_tenants_they_may_enter() {
    let world = World::shared().await;
    let mark = unique();
    let made = async |n: usize| world.tenant().id(&format!("t-{mark}-{n}")).create().await;
    let (one, two, three) = (made(1).await, made(2).await, made(3).await);
    let (admin, support) = (world.operator("admin").await, world.operator("support").await);
    for tenant in [&one, &two] {
        support.grant(tenant, "viewer").await;
    }
    three.suspend().await;
    let list = async |operator: &crate::world::Operator| {
        let page =
            operator.call("GET", "/api/v1/operators/me/tenants").query("q", &mark).send().await.expect(200).data();
        page.as_array().unwrap().iter().map(|t| (t["tenant_id"].clone(), t["role"].clone())).collect::<Vec<_>>()
    };
    assert_eq!(list(&admin).await, [(json!(two.id), json!("owner")), (json!(one.id), json!("owner"))]);
    assert_eq!(list(&support).await, [(json!(two.id), json!("viewer")), (json!(one.id), json!("viewer"))]);
    let page = support.call("GET", "/api/v1/operators/me/tenants").query("limit", "1").send().await.expect(200).json();
    let cursor = page["pagination"]["cursor"].as_str().unwrap();
    let next =
        support.call("GET", "/api/v1/operators/me/tenants").query("cursor", cursor).send().await.expect(200).json();
    assert_eq!((&next["data"][0]["tenant_id"], &next["pagination"]["cursor"]), (&json!(one.id), &Value::Null));
    // Its hosts: the custom domains, the primary one first, and the slug's.
    let domains = [format!("b-{mark}.example.org"), format!("a-{mark}.example.org")];
    two.patch(json!({"custom_domains": domains})).await;
    for operator in [&admin, &support] {
        let listed =
            operator.call("GET", "/api/v1/operators/me/tenants").query("q", &mark).send().await.expect(200).data();
        assert_eq!(listed[0]["hosts"], json!([domains[0], domains[1], two.host]));
        assert_eq!(listed[1]["hosts"], json!([one.host]));
    }
    let foreign = admin.call("GET", "/api/v1/operators/me/tenants").query("cursor", cursor).send().await;
    foreign.expect_invalid_query("cursor");
    one.delete().await;
    one.purge().await;
    let left =
        world.rows("CONTROL", "SELECT tenant_id FROM operator_grants WHERE operator_id = ?1", &[&support.id]).await;
    assert_eq!(left, [json!({"tenant_id": two.id})]);
}

#[tokio::test]
async fn cron_forgets_what_is_over() {
    let world = World::own().await;
    let support = world.operator("support").await;
    world.rows("CONTROL", "UPDATE operator_sessions SET expires_at = 1", &[]).await;
    world.rows("CONTROL", "UPDATE operator_logins SET minute = 1", &[]).await;
    world.scheduled().await;
    assert!(world.rows("CONTROL", "SELECT * FROM operator_sessions", &[]).await.is_empty());
    assert!(world.rows("CONTROL", "SELECT * FROM operator_logins", &[]).await.is_empty());
    world.sign_in(&support.email, PASSWORD).await.expect(200);
}
