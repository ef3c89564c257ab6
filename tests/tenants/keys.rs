//! Who may speak of tenants: the platform key, and nothing else.

use serde_json::json;

use crate::world::{PLATFORM_KEY, ROOT, World, stranger};

#[tokio::test]
async fn without_the_key_every_tenant_answers_alike() {
    let world = World::shared().await;
    let tenant = world.tenant().create().await;
    let missing = format!("x{}", &tenant.id[1..]);
    for credential in [
        None,
        Some(String::from("Bearer nonsense")),
        Some(format!("Bearer {}x", PLATFORM_KEY)),
        Some(format!("Bearer {}", &PLATFORM_KEY[..PLATFORM_KEY.len() - 1])),
        Some(format!("Basic {PLATFORM_KEY}")),
        Some(format!("Bearer {}", tenant.webhook_secret)),
        Some(format!("Bearer {}", tenant.token(&["*"]).sign())),
    ] {
        for (method, rest) in [
            ("GET", ""),
            ("PUT", ""),
            ("PATCH", ""),
            ("DELETE", ""),
            ("GET", "/domains"),
            ("POST", "/domains"),
            ("POST", "/secrets/webhook/rotate"),
            ("GET", "/health"),
        ] {
            let ask = async |id: &str| {
                // What fails too often from one network is refused before it is looked at.
                let call = world.call(method, ROOT, &format!("/api/v1/tenants/{id}{rest}"));
                let mut call = call.address(&stranger());
                if let Some(credential) = &credential {
                    call = call.header("Authorization", credential);
                }
                call.send().await.expect_problem(401, "unauthorized").masked(&[id])
            };
            assert_eq!(ask(&tenant.id).await, ask(&missing).await, "{method} {rest}");
        }
    }
    assert_eq!(tenant.shown().await["status"], "active");
}

#[tokio::test]
async fn the_scheme_of_the_credential_is_read_in_any_case() {
    let world = World::shared().await;
    let call = world.call("GET", ROOT, "/api/v1/tenants");
    call.header("Authorization", &format!("bearer {PLATFORM_KEY}")).send().await.expect(200);
}

#[tokio::test]
async fn an_unknown_tenant_is_not_found_by_the_key() {
    let world = World::shared().await;
    for (method, rest) in
        [("GET", ""), ("DELETE", ""), ("GET", "/domains"), ("GET", "/health"), ("POST", "/secrets/webhook/rotate")]
    {
        let path = format!("/api/v1/tenants/t-never{rest}");
        world.platform(method, &path).send().await.expect_problem(404, "tenant_not_found");
    }
    for method in ["PUT", "PATCH"] {
        let call = world.platform(method, "/api/v1/tenants/t-never").json(&json!({}));
        call.send().await.expect_problem(404, "tenant_not_found");
    }
}

#[tokio::test]
async fn a_path_that_is_no_route_and_a_method_that_is_none_say_so() {
    let world = World::shared().await;
    world.platform("GET", "/nothing").send().await.expect_problem(404, "not_found");
    world.platform("GET", "/api/v2/tenants").send().await.expect_problem(404, "not_found");

    let answer = world.platform("DELETE", "/api/v1/tenants").send().await;
    let answer = answer.expect_problem(405, "method_not_allowed");
    let mut allowed: Vec<_> = answer.header("allow").split(", ").collect();
    allowed.sort_unstable();
    assert!(allowed.contains(&"GET") && allowed.contains(&"POST"), "{allowed:?}");
    assert!(!allowed.contains(&"DELETE"), "{allowed:?}");
}

#[tokio::test]
async fn sources_that_disagree_get_the_answer_of_a_missing_tenant() {
    let world = World::shared().await;
    let (mine, other) = (world.tenant().create().await, world.tenant().create().await);
    let missing = mine.admin("GET", "").header("X-Tenant-ID", "t-never0000000").send().await;
    let missing = missing.expect_problem(404, "tenant_not_found");
    let by_header = mine.admin("GET", "").header("X-Tenant-ID", &other.id).send().await;
    let by_query = mine.admin("GET", "").query("tenant_id", &other.id).send().await;
    assert_eq!(by_header.masked(&[]), missing.masked(&[]));
    assert_eq!(by_query.masked(&[]), missing.masked(&[]));

    let agreed = mine.admin("GET", "").header("X-Tenant-ID", &mine.id).query("tenant_id", &mine.id);
    agreed.send().await.expect(200);
}
