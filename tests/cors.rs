//! CORS by the tenant's `cors_origins`: exact match, with credentials.

use serde_json::json;

use crate::world::{Tenant, TestResponse, World, early_in_a_minute};

const HOME: &str = "https://www.example.com";

async fn tenant() -> Tenant {
    let world = World::shared().await;
    let origins = json!([HOME, "http://localhost:3000"]);
    world.tenant().set("cors_origins", origins).create().await
}

async fn preflight(tenant: &Tenant, origin: &str, method: &str) -> TestResponse {
    tenant
        .call("OPTIONS", "/events")
        .header("Origin", origin)
        .header("Access-Control-Request-Method", method)
        .header("Access-Control-Request-Headers", "authorization,last-event-id")
        .send()
        .await
}

#[tokio::test]
async fn a_preflight_from_a_listed_origin_is_allowed_with_credentials() {
    let tenant = tenant().await;
    for origin in [HOME, "http://localhost:3000"] {
        for method in ["GET", "PUT"] {
            let answer = preflight(&tenant, origin, method).await.expect(204);
            assert_eq!(answer.header("access-control-allow-origin"), origin);
            assert_eq!(answer.header("access-control-allow-credentials"), "true");
            assert!(answer.header("access-control-allow-methods").contains(method));
            let allowed = answer.header("access-control-allow-headers").to_lowercase();
            assert!(allowed.contains("authorization") && allowed.contains("last-event-id"));
            assert!(answer.header("vary").to_lowercase().contains("origin"));
            assert!(!answer.header("access-control-max-age").is_empty());
        }
    }
}

#[tokio::test]
async fn an_origin_that_is_not_listed_exactly_is_not_named() {
    let tenant = tenant().await;
    for origin in [
        "https://example.com",
        "http://www.example.com",
        "https://www.example.com:8443",
        "https://www.example.com.evil.example",
        "https://evil-www.example.com",
        "https://WWW.example.com.",
        "null",
        "*",
        "",
    ] {
        let answer = preflight(&tenant, origin, "GET").await;
        assert!(!answer.headers.contains_key("access-control-allow-origin"), "{origin}");
        assert!(!answer.headers.contains_key("access-control-allow-credentials"), "{origin}");
        let stream = tenant.events(&["posts"]).header("Origin", origin).live().await;
        assert!(!stream.headers.contains_key("access-control-allow-origin"), "{origin}");
        assert!(stream.headers["vary"].to_str().unwrap().to_lowercase().contains("origin"));
    }
}

#[tokio::test]
async fn a_stream_for_a_listed_origin_names_it_and_shows_its_headers() {
    let tenant = tenant().await;
    let stream = tenant.events(&["posts"]).header("Origin", HOME).live().await;
    assert_eq!(stream.headers["access-control-allow-origin"], HOME);
    assert_eq!(stream.headers["access-control-allow-credentials"], "true");
    assert!(stream.headers["vary"].to_str().unwrap().to_lowercase().contains("origin"));
}

#[tokio::test]
async fn an_error_too_is_readable_by_a_listed_origin() {
    let tenant = tenant().await;
    let refused = tenant.events(&[]).header("Origin", HOME).refused().await;
    let refused = refused.expect_problem(400, "invalid_query");
    assert_eq!(refused.header("access-control-allow-origin"), HOME);
    assert_eq!(refused.header("access-control-allow-credentials"), "true");
    let exposed = refused.header("access-control-expose-headers").to_lowercase();
    assert!(exposed.contains("retry-after") && exposed.contains("x-request-id"), "{exposed}");
}

#[tokio::test]
async fn a_refusal_of_admission_too_is_readable_by_a_listed_origin() {
    let world = World::shared().await;
    let builder = world.tenant().set("cors_origins", json!([HOME])).limit("max_api_requests_per_minute", 1);
    let tenant = builder.limit("max_anonymous_requests_per_minute", 1).create().await;
    let key = tenant.key(&["users:read"]).await;
    early_in_a_minute().await;
    let users = |origin: &str| tenant.call("GET", "/api/v1/users").bearer(&key.text).header("Origin", origin);
    let page = |origin: &str| tenant.call("GET", "/").header("Origin", origin);
    users(HOME).send().await;
    page(HOME).send().await;
    for call in [users(HOME), page(HOME)] {
        let refused = call.send().await.expect_problem(429, "rate_limited");
        assert_eq!(refused.header("access-control-allow-origin"), HOME);
        assert_eq!(refused.header("access-control-allow-credentials"), "true");
        assert!(refused.header("vary").to_lowercase().contains("origin"), "{:?}", refused.headers);
        assert!(is_shown(&refused, "retry-after") && is_shown(&refused, "x-ratelimit-reset"), "{:?}", refused.headers);
    }
    let foreign = page("https://evil.example").send().await.expect_problem(429, "rate_limited");
    assert!(!foreign.headers.contains_key("access-control-allow-origin"));
    assert!(foreign.header("vary").to_lowercase().contains("origin"));
}

/// Whether a page may read a header that came.
fn is_shown(answer: &TestResponse, name: &str) -> bool {
    let exposed = answer.header("access-control-expose-headers").to_lowercase();
    !answer.header(name).is_empty() && exposed.split(", ").any(|shown| shown == name)
}

#[tokio::test]
async fn a_page_of_a_listed_origin_reads_what_an_answer_tells_beside_its_body() {
    let tenant = tenant().await;
    let key = tenant.key(&["*"]).await;
    let body = json!({"name": "a page", "scopes": ["api-keys:read"]});
    let create = tenant.call("POST", "/api/v1/api-keys").bearer(&key.text).json(&body).header("Origin", HOME);
    let create = create.header("Idempotency-Key", "once");
    let created = create.clone().send().await.expect(201);
    for name in ["location", "ratelimit", "x-carillon-version", "x-ratelimit-remaining", "x-request-id"] {
        assert!(is_shown(&created, name), "{name}: {:?}", created.headers);
    }
    let replayed = create.send().await.expect(201);
    assert!(is_shown(&replayed, "idempotent-replayed"), "{:?}", replayed.headers);
    let (operator, user) = (tenant.world.operator("admin").await, tenant.user("owner").await);
    let token = operator.impersonate(&tenant.id, &user.id).await.expect(200).data()["token"].clone();
    let seen = tenant.call("GET", "/api/v1/users").bearer(token.as_str().unwrap()).header("Origin", HOME);
    let seen = seen.send().await.expect(200);
    assert!(is_shown(&seen, "x-impersonated-by"), "{:?}", seen.headers);
}

#[tokio::test]
async fn a_page_of_a_listed_origin_may_send_what_operations_read() {
    let tenant = tenant().await;
    for (method, path) in [("PATCH", "/api/v1/posts/p1"), ("GET", "/events"), ("POST", "/api/v1/users")] {
        let call = tenant.call("OPTIONS", path).header("Origin", HOME).header("Access-Control-Request-Method", method);
        let answer = call.send().await.expect(204);
        let allowed = answer.header("access-control-allow-headers").to_lowercase();
        for name in [
            "authorization",
            "cache-control",
            "content-type",
            "idempotency-key",
            "content-encoding",
            "if-match",
            "if-modified-since",
            "if-none-match",
            "if-range",
            "if-unmodified-since",
            "last-event-id",
            "prefer",
            "range",
            "x-tenant-id",
        ] {
            assert!(allowed.split(", ").any(|allowed| allowed == name), "{path}: {name} in {allowed}");
        }
    }
}

/// Headers that every page may read (Fetch), and those that are for browsers and proxies.
const NOT_EXPOSED: [&str; 22] = [
    "access-control-allow-credentials",
    "access-control-allow-origin",
    "access-control-expose-headers",
    "cache-control",
    "connection",
    "content-length",
    "content-security-policy",
    "content-type",
    "date",
    "keep-alive",
    "last-modified",
    "referrer-policy",
    "server",
    "set-cookie",
    "strict-transport-security",
    "transfer-encoding",
    "vary",
    "via",
    "x-accel-buffering",
    "x-content-type-options",
    "cf-ray",
    "content-encoding",
];

#[tokio::test]
async fn a_page_of_a_listed_origin_reads_every_header_that_comes() {
    let tenant = tenant().await;
    let switches = json!({"files": true, "public_read": true});
    tenant.collection("media", json!({"title": {"type": "string"}}), switches).await;
    let file = "/media/media/r1/a.txt";
    let key = tenant.key(&["*"]).await.text;
    let owner = |method: &str, path: &str| tenant.call(method, path).bearer(&key);
    let create = owner("POST", "/api/v1/media").json(&json!({"id": "r1"})).header("Prefer", "return=minimal");
    let put = owner("PUT", "/api/v1/media/r1/file").query("name", "a.txt").header("Content-Type", "text/plain");
    let calls = [
        create,
        owner("GET", "/api/v1/media/r1"),
        owner("GET", "/api/v1/media"),
        put.bytes(b"0123456789".to_vec()),
        tenant.call("GET", file),
        tenant.call("GET", file).header("Range", "bytes=2-3"),
        tenant.call("GET", file).header("Range", "bytes=99-"),
        tenant.call("GET", file).header("If-Match", "\"x\""),
        owner("POST", "/api/v1/media").json(&json!({})).header("Content-Encoding", "gzip"),
        tenant.call("DELETE", "/events"),
        tenant.call("GET", "/api/v1/users"),
    ];
    let mut seen = Vec::new();
    for call in calls {
        let answer = call.header("Origin", HOME).send().await;
        for name in answer.headers.keys().map(ToString::to_string).filter(|name| !NOT_EXPOSED.contains(&name.as_str()))
        {
            assert!(is_shown(&answer, &name), "{name}: {:?}", answer.headers);
            seen.push((answer.status, name));
        }
    }
    for (status, name) in [
        (201, "etag"),
        (201, "location"),
        (201, "preference-applied"),
        (200, "last-event-id"),
        (200, "content-disposition"),
        (206, "content-range"),
        (206, "accept-ranges"),
        (416, "content-range"),
        (415, "accept-encoding"),
        (405, "allow"),
        (401, "www-authenticate"),
        (200, "ratelimit"),
        (200, "ratelimit-policy"),
    ] {
        assert!(seen.contains(&(status, name.to_owned())), "{status} {name}: {seen:?}");
    }
}

#[tokio::test]
async fn a_cookie_counts_only_for_a_listed_origin() {
    let tenant = tenant().await;
    let cookie = format!("__Host-carillon_subscriber={}", tenant.token(&["orders"]).sign());
    let asked = tenant.events(&["orders"]).header("Cookie", &cookie);
    asked.clone().header("Origin", HOME).live().await;
    let refused = asked.header("Origin", "https://evil.example").refused().await;
    refused.expect_problem(403, "origin_not_allowed");
    let put = tenant.call("PUT", "/events").header("Cookie", &cookie);
    let put = put.header("Origin", "https://evil.example").send().await;
    put.expect_problem(403, "origin_not_allowed");
}

#[tokio::test]
async fn the_hosts_own_pages_come_by_http_or_https() {
    let tenant = tenant().await;
    let body = json!({"email": "nobody@x.test", "password": "not the password"});
    let login = async |scheme: &str| {
        let origin = format!("{scheme}://{}", tenant.host);
        tenant.call("POST", "/api/v1/auth/login").header("Origin", &origin).json(&body).send().await
    };
    login("http").await.expect_problem(401, "invalid_credentials");
    for scheme in ["ftp", "chrome-extension"] {
        login(scheme).await.expect_problem(403, "origin_not_allowed");
    }
}

#[tokio::test]
async fn a_tenant_without_origins_allows_none() {
    let world = World::shared().await;
    let tenant = world.tenant().create().await;
    let answer = preflight(&tenant, HOME, "GET").await;
    assert!(!answer.headers.contains_key("access-control-allow-origin"));
}

#[tokio::test]
async fn a_change_of_origins_is_followed() {
    let tenant = tenant().await;
    tenant.patch(json!({"cors_origins": ["https://new.example"]})).await;
    crate::world::eventually("the new origin to be allowed", async || {
        let answer = preflight(&tenant, "https://new.example", "GET").await;
        (answer.header("access-control-allow-origin") == "https://new.example").then_some(())
    })
    .await;
    let old = preflight(&tenant, HOME, "GET").await;
    assert!(!old.headers.contains_key("access-control-allow-origin"));
}

#[tokio::test]
async fn an_origin_is_kept_as_browsers_send_it_however_it_was_written() {
    let world = World::shared().await;
    let written = json!([
        "HTTPS://WWW.Example.COM:443/",
        "https://b\u{fc}cher.example",
        "http://LocalHost:3000",
        "https://www.example.com"
    ]);
    let tenant = world.tenant().set("cors_origins", written).create().await;
    let kept = ["https://www.example.com", "https://xn--bcher-kva.example", "http://localhost:3000"];
    assert_eq!(tenant.shown().await["cors_origins"], json!(kept));
    for origin in kept {
        let answer = preflight(&tenant, origin, "GET").await.expect(204);
        assert_eq!(answer.header("access-control-allow-origin"), origin);
    }
    for bad in [
        "null",
        "*",
        "https://*.example.com",
        "https://example.com/path",
        "https://user@example.com",
        "ftp://example.com",
        "https://example.com:70000",
        "https://a..b",
        "https://.",
        "https://example.com, https://other.example",
        "example.com",
    ] {
        let change = tenant.admin("PATCH", "").json(&json!({"cors_origins": [kept[0], bad]}));
        change.send().await.expect_invalid("/cors_origins/1");
    }
    assert_eq!(tenant.shown().await["cors_origins"], json!(kept));
}

#[tokio::test]
async fn options_without_an_origin_tells_what_is_allowed() {
    let tenant = tenant().await;
    let answer = tenant.call("OPTIONS", "/events").send().await.expect(204);
    for method in ["GET", "HEAD", "PUT", "OPTIONS"] {
        assert!(answer.header("allow").contains(method), "{}", answer.header("allow"));
    }
}

#[tokio::test]
async fn the_platform_names_no_origin() {
    let world = World::shared().await;
    let answer = world.platform("GET", "/api/v1/tenants").header("Origin", HOME).send().await;
    assert!(!answer.headers.contains_key("access-control-allow-origin"));
}
