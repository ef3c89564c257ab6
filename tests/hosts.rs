//! Whose request is it: from the host to the tenant, in every spelling of a host.

use serde_json::json;

use crate::world::{ROOT, Tenant, World, eventually, unique};

#[tokio::test]
async fn a_slug_is_a_host_in_every_spelling() {
    let world = World::shared().await;
    let tenant = world.tenant().create().await;
    let upper = tenant.host.to_uppercase();
    for host in [
        tenant.host.clone(),
        format!("{}:8787", tenant.host),
        upper.clone(),
        format!("{}.", tenant.host),
        format!("{upper}.:8787"),
    ] {
        let mut stream = tenant.events(&["posts"]).host(&host).live().await;
        tenant.publish("posts", json!(host)).await;
        assert_eq!(stream.event().await.body["tenant_id"], tenant.id, "{host}");
    }
}

#[tokio::test]
async fn an_unknown_host_is_nobodys() {
    let world = World::shared().await;
    let tenant = world.tenant().create().await;
    for host in [
        "t-never.localhost",
        "unknown.example",
        "www.localhost",
        "api.localhost",
        "default.localhost",
        &format!("deeper.{}", tenant.host),
        &format!("{}.example", tenant.host),
        &tenant.slug,
        "127.0.0.1",
        "[::1]",
        "xn--.localhost",
    ] {
        for (method, path) in [("GET", "/"), ("GET", "/events?topic=a"), ("PUT", "/events")] {
            let answer = world.call(method, host, path).send().await;
            assert_eq!(answer.status, 404, "{method} {host}{path}: {}", answer.body);
            answer.expect_problem(404, "tenant_not_found");
        }
    }
}

#[tokio::test]
async fn nobody_is_bound_to_tls_over_plain_http() {
    let world = World::shared().await;
    let tenant = world.tenant().create().await;
    for (host, path) in [(ROOT, "/health"), (tenant.host.as_str(), "/health"), ("unknown.example", "/")] {
        let answer = world.call("GET", host, path).send().await;
        assert!(!answer.headers.contains_key("strict-transport-security"), "{host}");
    }
}

#[tokio::test]
async fn hosts_that_are_asked_over_tls_are_bound_to_it() {
    let world = World::own().await;
    let domain = format!("{}.example", unique());
    let tenant = world.tenant().plan("enterprise").set("custom_domains", json!([domain])).create().await;
    let bound = async |scheme: &str, host: &str| {
        let head = world.head_of(&format!("{scheme}://{host}/health")).await;
        head["headers"]["strict-transport-security"].as_str().map(str::to_owned)
    };
    assert_eq!(bound("https", &domain).await.as_deref(), Some("max-age=2592000"), "its owner may take it elsewhere");
    for (scheme, host) in [
        ("http", domain.as_str()),
        ("https", "unknown.example"),
        ("https", ROOT),
        ("https", &tenant.host),
        ("https", "127.0.0.1"),
    ] {
        assert_eq!(bound(scheme, host).await, None, "{scheme}://{host}");
    }
    // Switches of development are refused on such a domain.
    let live = [("ROOT_DOMAIN", "live.example.com"), ("ALLOW_LOOPBACK", "false"), ("DOMAIN_PROOF", "required")];
    world.restart(&live).await;
    for host in ["live.example.com", "console.live.example.com", "nobody.live.example.com", "www.live.example.com"] {
        assert_eq!(bound("https", host).await.as_deref(), Some("max-age=31536000"), "{host}");
        assert_eq!(bound("http", host).await, None, "{host}");
    }
}

#[tokio::test]
async fn an_unknown_host_echoes_nothing_and_answers_like_any_other() {
    let world = World::shared().await;
    let ask = async |host: &str| world.call("GET", host, "/").send().await.masked(&[]);
    assert_eq!(ask("t-never.localhost").await, ask("unknown.example").await);
}

#[tokio::test]
async fn the_platform_host_and_the_console_are_the_platform() {
    let world = World::shared().await;
    for host in [ROOT, "localhost:8787", "LOCALHOST", "localhost.", "console.localhost"] {
        world.platform("GET", "/api/v1/tenants").host(host).send().await.expect(200);
    }
}

#[tokio::test]
async fn each_kind_of_host_has_its_own_routes() {
    let world = World::shared().await;
    let tenant = world.tenant().create().await;
    for path in ["/api/v1/tenants", "/admin/tenants", "/health"] {
        let call = world.platform("GET", path).host(&tenant.host);
        call.send().await.expect_problem(404, "not_found");
    }
    let own = world.platform("GET", &format!("/api/v1/tenants/{}", tenant.id)).host(&tenant.host);
    own.send().await.expect_problem(404, "not_found");
    for path in ["/events?topic=a", "/events/diagnose"] {
        world.call("GET", ROOT, path).send().await.expect_problem(404, "not_found");
    }
    tenant.call("GET", "/nothing").send().await.expect_problem(404, "not_found");
    tenant.call("GET", "/events/").send().await.expect_problem(404, "not_found");
}

#[tokio::test]
async fn a_method_that_a_path_does_not_know_is_answered_with_those_it_knows() {
    let world = World::shared().await;
    let tenant = world.tenant().create().await;
    for (method, path, known) in [
        ("GET", "/webhook", "POST"),
        ("DELETE", "/webhook", "POST"),
        ("POST", "/events", "GET"),
        ("DELETE", "/events", "PUT"),
        ("POST", "/", "GET"),
    ] {
        let answer = tenant.call(method, path).send().await;
        let answer = answer.expect_problem(405, "method_not_allowed");
        assert!(answer.header("allow").split(", ").any(|allowed| allowed == known), "{path}");
        assert!(!answer.header("allow").contains(method), "{path}");
    }
}

#[tokio::test]
async fn a_source_that_disagrees_with_the_host_gets_the_answer_of_a_missing_tenant() {
    let world = World::shared().await;
    let (mine, other) = (world.tenant().create().await, world.tenant().create().await);
    let missing = world.call("GET", "t-never.localhost", "/events?topic=a").send().await;
    let missing = missing.expect_problem(404, "tenant_not_found").masked(&[]);
    for claimed in [other.id.as_str(), "t-never", "Not:An:Id"] {
        let by_header = mine.events(&["a"]).header("X-Tenant-ID", claimed).refused().await;
        let by_query = mine.events(&["a"]).query("tenant_id", claimed).refused().await;
        let by_both = mine.events(&["a"]).header("X-Tenant-ID", &mine.id).query("tenant_id", claimed).refused().await;
        let twice = mine.events(&["a"]).header("X-Tenant-ID", &mine.id).header("X-Tenant-ID", claimed).refused().await;
        for answer in [by_header, by_query, by_both, twice] {
            assert_eq!(answer.masked(&[]), missing, "claimed {claimed:?}");
        }
    }
    let page = mine.call("GET", "/").header("X-Tenant-ID", &other.id).send().await;
    page.expect_problem(404, "tenant_not_found");
}

#[tokio::test]
async fn sources_that_agree_are_welcome() {
    let world = World::shared().await;
    let tenant = world.tenant().create().await;
    let agreed = tenant.events(&["a"]).header("X-Tenant-ID", &tenant.id);
    agreed.query("tenant_id", &tenant.id).live().await;
}

#[tokio::test]
async fn a_forwarded_host_names_nobody() {
    let world = World::shared().await;
    let (mine, other) = (world.tenant().create().await, world.tenant().create().await);
    let mut stream = mine
        .events(&["a"])
        .header("X-Forwarded-Host", &other.host)
        .header("Forwarded", &format!("host={}", other.host))
        .live()
        .await;
    other.publish("a", json!("theirs")).await;
    mine.publish("a", json!("ours")).await;
    assert_eq!(stream.event().await.body["data"], "ours");
}

#[tokio::test]
async fn a_tenant_can_be_reached_as_soon_as_it_is_created_and_after_a_miss() {
    let world = World::shared().await;
    let slug = format!("s-{}", unique());
    let host = format!("{slug}.{ROOT}");
    for _ in 0..3 {
        world.call("GET", &host, "/").send().await.expect_problem(404, "tenant_not_found");
    }
    world.tenant().set("slug", json!(slug)).create().await;
    world.call("GET", &host, "/").send().await.expect(200);
}

/// What KV keeps of a tenant's host, once somebody asked for it.
async fn hint(tenant: &Tenant) -> (String, String) {
    tenant.call("GET", "/").send().await.expect(200);
    let key = format!("host:{}", tenant.host);
    let value = eventually("the host to be kept in KV", async || tenant.world.read_kv(&key).await).await;
    (key, value)
}

#[tokio::test]
async fn a_hint_that_kv_has_lost_changes_no_answer() {
    let world = World::shared().await;
    let tenant = world.tenant().create().await;
    let (key, _) = hint(&tenant).await;
    world.forget_in_kv(&key).await;
    tenant.call("GET", "/").send().await.expect(200);
}

#[tokio::test]
async fn a_hint_that_names_the_wrong_tenant_is_not_believed() {
    let world = World::shared().await;
    let tenant = world.tenant().create().await;
    let (key, value) = hint(&tenant).await;
    let unowned = format!("{}.example", unique());
    let forged = value.replace(&tenant.host, &unowned);
    world.write_kv(&key.replace(&tenant.host, &unowned), &forged).await;
    let answer = world.call("GET", &unowned, "/").send().await;
    answer.expect_problem(404, "tenant_not_found");
}

#[tokio::test]
async fn what_a_former_owner_proves_is_worth_nothing_on_a_host_that_moved() {
    let world = World::shared().await;
    let former = world.tenant().create().await;
    let (key, value) = hint(&former).await;
    for proof in ["signature", "token"] {
        // KV still says that the host is the former owner's.
        let owner = world.tenant().create().await;
        let moved = |text: &str| text.replace(&former.host, &owner.host);
        world.write_kv(&moved(&key), &moved(&value)).await;
        if proof == "signature" {
            former.webhook().host(&owner.host).send().await.expect_problem(401, "invalid_signature");
        } else {
            let token = former.token(&["*"]).sign();
            let call = world.call("GET", &owner.host, "/events").query("topic", "*").bearer(&token);
            call.send().await.expect_problem(401, "invalid_token");
        }
        let health = owner.admin("GET", "/health").send().await.expect(200);
        let latest = health.data()["checks"]["hub"]["latest"].as_str().unwrap().to_owned();
        assert!(latest.ends_with("-0"), "the owner's log holds what the former one sent: {latest}");
    }
}

#[tokio::test]
async fn a_misspelt_path_of_the_platform_is_missing_whoever_asks() {
    let world = World::shared().await;
    let operator = world.operator("admin").await;
    for path in [
        "/api/v1/tenantz",
        "/api/v1/operatorz",
        "/api/v1/platform-keyz",
        "/api/v1/tenantz/acme",
        "/api/tenantz",
        "/api/v1/tenantz/acme/versions",
    ] {
        for method in ["GET", "POST", "PUT", "PATCH", "DELETE"] {
            let call = || world.call(method, crate::world::ROOT, path);
            for (who, call) in [
                ("nobody", call()),
                ("a key", world.platform(method, path)),
                ("an operator", operator.call(method, path)),
                ("a text", call().bearer("nothing that is known")),
            ] {
                let answer = call.send().await;
                assert_eq!(answer.status, 404, "{who}: {method} {path}: {}", answer.body);
                answer.expect_problem(404, "not_found");
            }
        }
    }
    // Where a tenant is named, the path is that of its records.
    let tenant = world.tenant().create().await;
    tenant.as_owner("GET", "/api/v1/tenantz").send().await.expect_problem(404, "not_found");
    tenant.template("leads").await;
    tenant.as_owner("GET", "/api/v1/leads").send().await.expect(200);
    world.call("GET", crate::world::ROOT, "/api/v1/tenants").send().await.expect_problem(401, "unauthorized");
}

#[tokio::test]
async fn a_client_id_names_the_tenant_and_another_ones_finds_nothing() {
    let world = World::shared().await;
    let unlimited = || world.tenant().limit("max_api_requests_per_minute", -1).limit("max_api_requests_per_day", -1);
    let (tenant, other) = (unlimited().create().await, unlimited().create().await);
    tenant.template("leads").await;
    other.template("leads").await;
    tenant.record("leads", json!({"id": "l1", "email": "a@example.org"})).await;
    let key = tenant.key(&["*"]).await.text;
    let ask = |path: &str, id: &str| tenant.call("GET", path).bearer(&key).query("client_id", id).send();
    for path in ["/api/v1/leads", "/api/v1/leads/l1", "/api/v1/collections", "/api/v1/users"] {
        ask(path, &tenant.id).await.expect(200);
        let foreign = ask(path, &other.id).await;
        let missing = ask(path, &format!("t-{}", unique())).await;
        assert_eq!(foreign.masked(&[]), missing.masked(&[]), "{path}");
        foreign.expect_problem(404, "tenant_not_found");
        ask(path, "No Tenant").await.expect_problem(404, "tenant_not_found");
    }
    // A platform key selects by it, as by its other name.
    let call = world.platform("GET", "/api/v1/leads").query("client_id", &tenant.id);
    assert_eq!(call.send().await.expect(200).ids(), ["l1"]);
    let both = world.platform("GET", "/api/v1/leads").query("client_id", &tenant.id).query("tenant_id", &other.id);
    both.send().await.expect_problem(404, "tenant_not_found");
    // In bodies too.
    let body = |id: &str| json!({"email": format!("{}@example.org", unique()), "client_id": id});
    tenant.ask("POST", "/api/v1/leads", body(&tenant.id)).await.expect(201);
    tenant.ask("POST", "/api/v1/leads", body(&other.id)).await.expect_problem(404, "tenant_not_found");
}
