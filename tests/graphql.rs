//! A tenant's GraphQL endpoint: what its site is asked, and what of its answer a client gets.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use carillon::credentials::signature::digest;
use serde_json::{Value, json};

use crate::world::{
    PLATFORM_KEY, ROOT, RequestBuilder, Site, SiteAnswer, Tenant, TestResponse, World, hmac_hex, recorded, stranger,
};

const GRAPHQL: &str = "/graphql";
const RESPONSE: &str = "application/graphql-response+json";
const POSTS: &str = "{posts{nodes{id}}}";

async fn tenant(site: &Site) -> Tenant {
    let keeps_nothing = json!({"graphql": {"cache": {"enabled": false}}});
    let tenant = World::shared().await.tenant().set("wpgraphql_endpoint", json!(site.url()));
    tenant.set("settings", keeps_nothing).create().await
}

fn posted(tenant: &Tenant, document: &str) -> RequestBuilder {
    tenant.call("POST", GRAPHQL).json(&json!({"query": document}))
}

async fn post(tenant: &Tenant, document: &str) -> TestResponse {
    posted(tenant, document).send().await
}

async fn set(tenant: &Tenant, settings: Value) {
    tenant.patch(json!({"settings": {"graphql": settings}})).await;
}

/// The text of the one error that an answer lists.
fn error(answer: &TestResponse) -> String {
    let errors = answer.json()["errors"].as_array().unwrap_or_else(|| panic!("{}", answer.body)).clone();
    assert_eq!(errors.len(), 1, "{}", answer.body);
    errors[0]["message"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn what_a_site_says_is_what_a_client_gets() {
    let site = Site::recorded();
    let tenant = tenant(&site).await;
    for document in [POSTS, "{posts{nodes{id nope}}}", "{post(id:\"does-not-exist\",idType:SLUG){id}}"] {
        let recorded = recorded(document);
        let asked_by_post = post(&tenant, document).await;
        let asked_by_get = tenant.call("GET", GRAPHQL).query("query", document).send().await;
        for answer in [asked_by_post, asked_by_get] {
            assert_eq!((answer.status, &answer.body), (200, &recorded.text()), "{document}");
            assert_eq!(answer.header("content-type"), "application/json; charset=utf-8");
            assert!(answer.header("content-security-policy").contains("sandbox"), "no browser makes a page of it");
            assert_eq!(answer.header("x-graphql-keys"), format!("{} {}", recorded.id, recorded.keys));
            assert_eq!(answer.header("x-graphql-query-id"), recorded.id);
            assert_eq!(answer.headers.get_all("x-content-type-options").iter().count(), 1);
            assert_eq!(answer.headers.get("access-control-allow-origin"), None, "the site does not decide it");
        }
    }
    let methods: Vec<_> = site.asked().into_iter().map(|request| request.method).collect();
    assert_eq!(methods, ["POST", "GET", "POST", "GET", "POST", "GET"]);
    let head = tenant.call("HEAD", GRAPHQL).query("query", POSTS).send().await;
    assert_eq!((head.status, head.body.as_str()), (200, ""));
}

#[tokio::test]
async fn a_site_is_asked_what_was_judged_and_nothing_else_of_the_body() {
    let site = Site::recorded();
    let tenant = tenant(&site).await;
    let body = r#"{"query":"query A($n:Int){posts(first:$n){nodes{id}}}","query":"query B($n:Int){posts(first:$n){nodes{id}}}",
        "variables":{"n":10000000000000000000001},"operationName":"B","id":"other","extensions":{"a":1}}"#;
    let asked = tenant.call("POST", GRAPHQL).header("Content-Type", "application/json; charset=utf-8");
    asked.bytes(body.into()).send().await.expect(200);
    let request = site.asked_once();
    assert_eq!(
        request.body,
        r#"{"query":"query B($n:Int){posts(first:$n){nodes{id}}}","operationName":"B","variables":{"n":10000000000000000000001},"extensions":{"a":1}}"#
    );
    assert_eq!(request.header("content-type"), "application/json");
    // By GET, whatever else stands in the query is the site's.
    let site = Site::recorded();
    let tenant = self::tenant(&site).await;
    let asked = tenant.call("GET", GRAPHQL).query("query", "query($a:ID!){node(id:$a){id}}").query("lang", "de");
    let asked = asked.query("variables", r#"{"a":"ü&="}"#).query("tenant_id", &tenant.id).query("id", "other");
    asked.send().await.expect(200);
    let request = site.asked_once();
    assert_eq!(request.parameter("query").unwrap(), "query($a:ID!){node(id:$a){id}}");
    assert_eq!(request.parameter("variables").unwrap(), r#"{"a":"ü&="}"#);
    assert_eq!(request.parameter("lang").unwrap(), "de");
    assert_eq!((request.parameter("tenant_id"), request.parameter("id")), (None, None));
}

#[tokio::test]
async fn a_site_hears_whom_it_serves_and_nothing_that_is_ours() {
    let site = Site::recorded();
    let tenant = tenant(&site).await;
    let user = tenant.user("viewer").await;
    let cookie = user.browser().await;
    let asked = posted(&tenant, POSTS)
        .header("Authorization", "Basic YWRtaW46YXBwIHBhc3N3b3Jk")
        .header("Cookie", &format!("{cookie}; wordpress_logged_in_x=1; carillon_subscriber=t"))
        .header("woocommerce-session", "Session abc")
        .header("X-WP-Nonce", "n")
        .header("X-Forwarded-For", "10.0.0.1")
        .header("X-Forwarded-Host", "evil.test")
        .header("Forwarded", "for=10.0.0.1")
        .header("X-Carillon-Site-Key", "forged");
    asked.send().await.expect(200);
    let request = site.asked_once();
    assert_eq!(request.header("authorization"), "Basic YWRtaW46YXBwIHBhc3N3b3Jk");
    assert_eq!(request.header("cookie"), "wordpress_logged_in_x=1");
    assert_eq!((request.header("woocommerce-session"), request.header("x-wp-nonce")), ("Session abc", "n"));
    assert_eq!(request.header("x-forwarded-for"), tenant.world.address);
    assert_eq!(
        (request.header("x-forwarded-host"), request.header("x-forwarded-proto")),
        (tenant.host.as_str(), "http")
    );
    for name in ["forwarded", "x-carillon-site-key", "cf-connecting-ip", "x-tenant-id"] {
        assert_eq!(request.header(name), "", "{name}");
    }
    // A credential of ours says who asks, and is not the site's to see.
    let site = Site::recorded();
    let tenant = self::tenant(&site).await;
    let key = tenant.key(&["users:read"]).await.text;
    let tokens = tenant.user("viewer").await.login().await;
    for credential in [&key, &tokens.access] {
        posted(&tenant, POSTS).bearer(credential).send().await.expect(200);
    }
    assert!(site.asked().iter().all(|request| request.header("authorization").is_empty()));
    // One that is not good any more is refused here, and does not reach the site.
    let wrong = format!("{}x", &key[..key.len() - 1]);
    posted(&tenant, POSTS).bearer(&wrong).send().await.expect_problem(401, "invalid_token");
    assert_eq!(site.asked().len(), 2);
}

#[tokio::test]
async fn a_site_that_wants_to_know_who_asks_is_told_a_key_that_it_can_make_itself() {
    let site = Site::recorded();
    let tenant = tenant(&site).await;
    set(&tenant, json!({"send_site_key": true})).await;
    post(&tenant, POSTS).await.expect(200);
    let secret = tenant.webhook_secret.clone();
    assert_eq!(site.asked_once().header("x-carillon-site-key"), hmac_hex(secret.as_bytes(), b"carillon-graphql"));
}

#[tokio::test]
async fn what_a_site_says_of_more_than_its_answer_is_left_out() {
    let site = Site::saying(|_| {
        SiteAnswer::json(200, "{\"data\":{}}")
            .with("Set-Cookie", "__Host-carillon_session=fixed; Path=/; Secure")
            .with("Set-Cookie", "wp_cart=1; Domain=.localhost; Path=/; HttpOnly")
            .with("Set-Cookie", "second=2; Path=/")
            .with("Set-Cookie", "=carillon_subscriber=nameless")
            .with("WWW-Authenticate", "Basic realm=\"Carillon\"")
            .with("Clear-Site-Data", "\"cookies\"")
            .with("Strict-Transport-Security", "max-age=1")
            .with("Access-Control-Allow-Origin", "*")
            .with("X-Carillon-Version", "forged")
            .with("X-Request-ID", "forged")
            .with("Cache-Control", "max-age=600, s-maxage=600, must-revalidate")
            .with("X-JWT-Refresh", "t")
    });
    let tenant = tenant(&site).await;
    let answer = post(&tenant, POSTS).await.expect(200);
    let cookies: Vec<_> = answer.headers.get_all("set-cookie").iter().map(|value| value.to_str().unwrap()).collect();
    assert_eq!(cookies, ["wp_cart=1; Path=/; HttpOnly", "second=2; Path=/"]);
    assert_eq!(answer.header("x-jwt-refresh"), "t");
    assert_eq!(answer.header("cache-control"), "no-store", "it sets a cookie");
    for name in ["clear-site-data", "strict-transport-security", "access-control-allow-origin", "www-authenticate"] {
        assert_eq!(answer.headers.get(name), None, "{name}");
    }
    assert_ne!(answer.header("x-request-id"), "forged");
    assert_eq!(answer.header("x-carillon-version"), env!("CARGO_PKG_VERSION"));
}

#[tokio::test]
async fn a_site_may_say_that_nothing_has_changed_and_nobody_keeps_what_a_member_was_told() {
    let site = Site::saying(|request| {
        let tagged = |status| {
            SiteAnswer::json(status, "{\"data\":{}}").with("ETag", "\"a\"").with("Cache-Control", "s-maxage=600")
        };
        if request.header("if-none-match") == "\"a\"" {
            SiteAnswer { body: String::new(), ..tagged(304) }
        } else {
            tagged(200)
        }
    });
    let tenant = tenant(&site).await;
    let get = || tenant.call("GET", GRAPHQL).query("query", POSTS);
    let first = get().send().await.expect(200);
    assert_eq!((first.header("etag"), first.header("cache-control")), ("\"a\"", "s-maxage=600"));
    let again = get().header("If-None-Match", "\"a\"").send().await;
    assert_eq!((again.status, again.body.as_str(), again.header("etag")), (304, "", "\"a\""));
    let key = tenant.key(&["users:read"]).await.text;
    assert_eq!(get().bearer(&key).send().await.expect(200).header("cache-control"), "no-store");
    for (name, value) in [("Cookie", "wp=1"), ("Authorization", "Basic YTpi"), ("woocommerce-session", "Session a")] {
        let told = get().header(name, value).send().await.expect(200);
        assert_eq!(told.header("cache-control"), "no-store", "{name}");
    }
}

#[tokio::test]
async fn what_php_would_read_as_another_request_does_not_reach_a_site() {
    let site = Site::recorded();
    let tenant = tenant(&site).await;
    let get = |name: &str, value: &str| tenant.call("GET", GRAPHQL).query("query", POSTS).query(name, value);
    for (name, value) in [
        ("id", "alias"),
        ("QueryId", "alias"),
        ("documentid", "alias"),
        ("Query", "{__schema{types{name}}}"),
        ("query[]", "x"),
        (" query", "x"),
        ("rest_route", "/wp/v2/users"),
        ("_method", "POST"),
        ("utm_source", "x"),
    ] {
        get(name, value).send().await.expect(200);
    }
    let hash = digest(POSTS.as_bytes());
    let persisted = json!({"persistedQuery": {"version": 1, "sha256Hash": hash}});
    get("extensions", &persisted.to_string()).send().await.expect(200);
    get("queryId", &hash).send().await.expect(200);
    get("documentId", &format!("sha256:{hash}")).send().await.expect(200);
    for request in site.asked() {
        let query = request.target.split_once('?').unwrap().1;
        assert_eq!(form_urlencoded::parse(query.as_bytes()).count(), 1, "{query}");
    }
    let with_hash =
        json!({"query": POSTS, "extensions": {"persistedQuery": {"version": 1, "sha256Hash": hash}, "a": 1}});
    tenant.call("POST", GRAPHQL).json(&with_hash).send().await.expect(200);
    assert!(site.asked().last().unwrap().body.ends_with(r#""extensions":{"a":1}}"#));
    // What the tenant wants passed on is.
    set(&tenant, json!({"pass_parameters": ["utm_source"]})).await;
    get("utm_source", "x").query("lang", "de").send().await.expect(200);
    let last = site.asked().pop().unwrap();
    assert_eq!((last.parameter("utm_source").as_deref(), last.parameter("lang")), (Some("x"), None));
}

#[tokio::test]
async fn an_endpoint_that_leads_back_here_is_not_followed_round_and_round() {
    let site = Site::recorded();
    let tenant = tenant(&site).await;
    post(&tenant, POSTS).await.expect(200);
    let sent = site.asked_once().header("x-carillon-via").to_owned();
    let back = posted(&tenant, POSTS).header("X-Carillon-Via", &sent).send().await;
    assert!(back.expect_problem(502, "site_not_graphql").body.contains("leads back"));
    assert_eq!(site.asked().len(), 1);
}

#[tokio::test]
async fn what_is_not_graphql_is_not_passed_on() {
    let site = Site::recorded();
    let tenant = tenant(&site).await;
    for (says, status, code) in [
        (SiteAnswer::html(200, "<script>alert(1)</script>"), 502, "site_not_graphql"),
        (SiteAnswer::typed("application/json;, text/html", "<script>alert(1)</script>"), 502, "site_not_graphql"),
        (SiteAnswer::typed("multipart/mixed; boundary=a", "<script>alert(1)</script>"), 502, "site_not_graphql"),
        (SiteAnswer::typed("application/problem+json", "{}"), 502, "site_not_graphql"),
        (SiteAnswer::json(999, "{}"), 502, "site_not_graphql"),
        (SiteAnswer::json(600, "{}"), 502, "site_not_graphql"),
        (SiteAnswer::html(404, "Not found"), 502, "site_not_graphql"),
        (SiteAnswer::json(301, "{}").with("Location", "http://169.254.169.254/"), 502, "site_not_graphql"),
        (SiteAnswer::html(500, "There has been a critical error on this website."), 503, "site_unavailable"),
        (SiteAnswer::html(502, "Bad gateway"), 503, "site_unavailable"),
        (SiteAnswer::nothing(), 503, "site_unavailable"),
    ] {
        let told = format!("{says:?}");
        site.now(move |_| says.clone());
        let answer = post(&tenant, POSTS).await.expect_problem(status, code);
        assert!(!answer.body.contains("script") && !answer.body.contains("169.254"), "{told}: {}", answer.body);
        assert_eq!(answer.headers.contains_key("retry-after"), status != 502, "{told}");
        assert_eq!(answer.headers.get("location"), None);
    }
    // What a site says in JSON is its own, whatever its status.
    for status in [400, 401, 403, 500] {
        site.now(move |_| SiteAnswer::json(status, "{\"errors\":[{\"message\":\"m\"}]}").with("X-Of", "the site"));
        let answer = post(&tenant, POSTS).await;
        assert_eq!((answer.status, answer.header("x-of")), (status, "the site"));
    }
}

#[tokio::test]
async fn what_only_reads_is_asked_once_more_and_a_mutation_is_not() {
    let site = Site::recorded();
    let tenant = tenant(&site).await;
    for fails in [SiteAnswer::nothing(), SiteAnswer::html(502, ""), SiteAnswer::json(504, "{}")] {
        for (document, status, asked) in [(POSTS, 200, 2), ("mutation{deletePost(input:{id:\"1\"}){id}}", 503, 1)] {
            let (site, fails) = (Site::recorded(), fails.clone());
            let count = AtomicUsize::new(0);
            let is_json = fails.status == 504;
            site.now(move |_| match count.fetch_add(1, Ordering::Relaxed) {
                0 => fails.clone(),
                _ => SiteAnswer::json(200, "{\"data\":{}}"),
            });
            tenant.patch(json!({"wpgraphql_endpoint": site.url()})).await;
            let expected = if is_json && status == 503 { 504 } else { status };
            assert_eq!((post(&tenant, document).await.status, site.asked().len()), (expected, asked), "{document}");
        }
    }
    // A second failure is told.
    site.now(|_| SiteAnswer::nothing());
    tenant.patch(json!({"wpgraphql_endpoint": site.url()})).await;
    post(&tenant, POSTS).await.expect_problem(503, "site_unavailable");
    assert_eq!(site.asked().len(), 2);
}

#[tokio::test]
async fn a_site_that_takes_too_long_is_not_waited_for() {
    let site = Site::saying(|_| SiteAnswer::json(200, "{}").after(Duration::from_secs(5)));
    let tenant = tenant(&site).await;
    set(&tenant, json!({"timeout_ms": 500})).await;
    let answer = post(&tenant, POSTS).await.expect_problem(504, "site_timed_out");
    assert_eq!(answer.header("retry-after"), "5");
    assert_eq!(site.asked().len(), 1, "what is slow is not asked twice");
}

#[tokio::test]
async fn a_large_answer_comes_whole() {
    let body = format!("{{\"data\":\"{}\"}}", "ü".repeat(3_000_000));
    let said = body.clone();
    let site = Site::saying(move |_| SiteAnswer::json(200, said.clone()));
    let tenant = tenant(&site).await;
    assert_eq!(post(&tenant, POSTS).await.expect(200).body, body);
}

#[tokio::test]
async fn a_site_that_moves_is_asked_in_every_isolate_once_the_change_is_answered() {
    let (a, b) = World::pair().await;
    let (first, second) = (Site::recorded(), Site::recorded());
    let keeps_nothing = json!({"graphql": {"cache": {"enabled": false}}});
    let tenant = a.tenant().set("wpgraphql_endpoint", json!(first.url())).set("settings", keeps_nothing).create().await;
    let there = tenant.through(&b);
    for one in [&tenant, &there] {
        post(one, POSTS).await.expect(200);
    }
    tenant.patch(json!({"wpgraphql_endpoint": second.url()})).await;
    post(&tenant, POSTS).await.expect(200);
    assert_eq!((first.asked().len(), second.asked().len()), (2, 1));
    // Elsewhere within the life of what an isolate knows of a tenant.
    crate::world::eventually("the other isolate", async || {
        post(&there, POSTS).await.expect(200);
        (second.asked().len() > 1).then_some(())
    })
    .await;
    let before = first.asked().len();
    post(&there, POSTS).await.expect(200);
    assert_eq!(first.asked().len(), before);
}

#[tokio::test]
async fn a_tenant_without_a_site_says_so_and_an_address_that_is_refused_is_not_called() {
    let world = World::shared().await;
    let tenant = world.tenant().create().await;
    let answer = post(&tenant, POSTS).await.expect_problem(404, "no_endpoint");
    assert!(answer.body.contains("wpgraphql_endpoint"), "{}", answer.body);
    let store = "UPDATE tenants SET wpgraphql_endpoint = 'https://169.254.169.254/graphql' WHERE id = ?1";
    let tenant = world.tenant().create().await;
    world.batch("CONTROL", vec![json!([store, [tenant.id]])]).await;
    let answer = post(&tenant, POSTS).await.expect_problem(503, "site_unavailable");
    assert!(answer.body.contains("wpgraphql_endpoint must "), "{}", answer.body);
    // Of another tenant nothing is known.
    let foreign = world.call("POST", "nobody.localhost", GRAPHQL).json(&json!({"query": POSTS})).send().await;
    let missing = foreign.expect_problem(404, "tenant_not_found");
    assert_eq!(missing.json()["error"], "Tenant not found");
}

#[tokio::test]
async fn pages_of_origins_that_the_tenant_lists_may_ask_and_others_send_nothing_in_a_persons_name() {
    let site = Site::recorded();
    let tenant = tenant(&site).await;
    let listed = "https://app.example";
    tenant.patch(json!({"cors_origins": [listed]})).await;
    let preflight = tenant
        .call("OPTIONS", GRAPHQL)
        .header("Origin", listed)
        .header("Access-Control-Request-Method", "POST")
        .header("Access-Control-Request-Headers", "content-type, x-wp-nonce, woocommerce-session, authorization");
    let preflight = preflight.send().await;
    let allowed = preflight.header("access-control-allow-headers").to_ascii_lowercase();
    for name in ["content-type", "x-wp-nonce", "woocommerce-session", "authorization"] {
        assert!(allowed.split(", ").any(|allowed| allowed == name), "{name} of {allowed}");
    }
    assert!(preflight.header("access-control-allow-methods").contains("POST"));
    let answer = posted(&tenant, POSTS).header("Origin", listed).header("Cookie", "wp=1").send().await.expect(200);
    assert_eq!(answer.header("access-control-allow-origin"), listed);
    let exposed = answer.header("access-control-expose-headers").to_ascii_lowercase();
    assert!(exposed.contains("x-graphql-keys"), "{exposed}");
    let before = site.asked().len();
    let foreign = || posted(&tenant, POSTS).header("Origin", "https://evil.example");
    foreign().header("Cookie", "wp=1").send().await.expect_problem(403, "origin_not_allowed");
    foreign().header("Authorization", "Bearer site").send().await.expect_problem(403, "origin_not_allowed");
    assert_eq!(site.asked().len(), before);
    // Without anything of a person's it asks as any stranger does, and the browser does not show it the answer.
    let answer = foreign().send().await.expect(200);
    assert_eq!(answer.headers.get("access-control-allow-origin"), None);
}

#[tokio::test]
async fn on_the_platforms_host_the_path_names_the_tenant_and_no_cookie_passes() {
    let site = Site::saying(|_| SiteAnswer::json(200, "{\"data\":{}}").with("Set-Cookie", "wp=1"));
    let tenant = tenant(&site).await;
    tenant.patch(json!({"cors_origins": ["https://app.example"]})).await;
    let path = format!("{GRAPHQL}/{}", tenant.id);
    let call = |method: &str| tenant.world.call(method, ROOT, &path).header("Origin", "https://app.example");
    let posted =
        call("POST").header("Cookie", "any=1").header("Authorization", "Bearer site").json(&json!({"query": POSTS}));
    let answer = posted.send().await.expect(200);
    assert_eq!((answer.headers.get("set-cookie"), answer.body.as_str()), (None, "{\"data\":{}}"));
    assert_eq!(answer.header("access-control-allow-origin"), "https://app.example");
    let request = site.asked_once();
    assert_eq!((request.header("cookie"), request.header("authorization")), ("", "Bearer site"));
    call("GET").query("query", POSTS).send().await.expect(200);
    let preflight = call("OPTIONS").header("Access-Control-Request-Method", "POST").send().await;
    assert_eq!(preflight.header("access-control-allow-origin"), "https://app.example");
    call("DELETE").send().await.expect_problem(405, "method_not_allowed");
    for nobody in ["t-nobody", "not%20a%20name"] {
        let missing = tenant.world.call("POST", ROOT, &format!("{GRAPHQL}/{nobody}")).json(&json!({"query": POSTS}));
        let missing = missing.send().await.expect_problem(404, "tenant_not_found");
        assert_eq!(missing.json()["error"], "Tenant not found");
    }
    // A header that names another tenant than the path is nobody's.
    let another = call("POST").header("X-Tenant-ID", "t-nobody").json(&json!({"query": POSTS}));
    another.send().await.expect_problem(404, "tenant_not_found");
    tenant.suspend().await;
    call("GET").query("query", POSTS).send().await.expect_problem(404, "tenant_not_found");
}

#[tokio::test]
async fn no_credential_of_this_platform_reaches_a_site_whoever_it_is_good_for() {
    let site = Site::recorded();
    let (tenant, other) = (tenant(&site).await, self::tenant(&Site::recorded()).await);
    let admin = tenant.world.operator("admin").await;
    let access = other.user("viewer").await.login().await;
    let foreign = other.key(&["users:read"]).await.text;
    let path = format!("{GRAPHQL}/{}", tenant.id);
    for credential in [PLATFORM_KEY, &admin.session, &access.access, &access.refresh, &foreign, "car_tk_cut.off"] {
        for scheme in ["Bearer ", "bearer ", "", "Token "] {
            let header = format!("{scheme}{credential}");
            for (host, path) in [(tenant.host.as_str(), GRAPHQL), (ROOT, path.as_str())] {
                let asked = tenant.world.call("POST", host, path).header("Authorization", &header);
                let asked = asked.address(&stranger()).json(&json!({"query": POSTS}));
                assert_ne!(asked.send().await.status, 500);
            }
        }
    }
    let seen: Vec<_> = site.asked().into_iter().map(|request| request.header("authorization").to_owned()).collect();
    assert!(seen.iter().all(String::is_empty), "{seen:?}");
}

#[tokio::test]
async fn each_client_gets_the_media_type_that_it_takes_where_a_request_is_refused_here() {
    let site = Site::recorded();
    let tenant = tenant(&site).await;
    for (accept, media_type, status) in [
        (None, "application/json", 200),
        (Some("*/*"), "application/json", 200),
        (Some("application/json"), "application/json", 200),
        (Some(RESPONSE), RESPONSE, 400),
        (Some("application/graphql-response+json, application/json;q=0.9"), RESPONSE, 400),
        (Some("application/graphql-response+json, application/json"), RESPONSE, 400),
        (Some("application/graphql-response+json;q=0.1, application/json"), "application/json", 200),
    ] {
        let asked = posted(&tenant, "{posts{nodes{id}}");
        let answer = accept.into_iter().fold(asked, |asked, accept| asked.header("Accept", accept)).send().await;
        let told = answer.header("content-type").split(';').next().unwrap().to_owned();
        assert_eq!((told.as_str(), answer.status), (media_type, status), "{accept:?}");
        assert!(answer.json()["errors"][0]["locations"][0]["line"] == 1, "{}", answer.body);
    }
    let neither = posted(&tenant, POSTS).header("Accept", "text/html").send().await;
    neither.expect_problem(406, "not_acceptable");
    assert_eq!(site.asked().len(), 0);
}

#[tokio::test]
async fn a_request_that_is_none_is_told_what_is_wrong() {
    let site = Site::recorded();
    let tenant = tenant(&site).await;
    for (body, part) in [
        ("", "JSON object"),
        ("{", "JSON object"),
        ("[]", "empty"),
        ("{}", "`query`"),
        (r#"{"query":1}"#, "`query`"),
        (r#"{"query":"{a}","variables":[]}"#, "`variables`"),
        (r#"{"query":"{a}","operationName":[]}"#, "`operationName`"),
        (r#"{"query":"{a}","extensions":"x"}"#, "`extensions`"),
    ] {
        let asked = tenant.call("POST", GRAPHQL).header("Content-Type", "application/json").bytes(body.into());
        let answer = asked.send().await.expect(400);
        assert!(error(&answer).contains(part), "{body}: {}", answer.body);
    }
    let get = tenant.call("GET", GRAPHQL).send().await.expect(400);
    assert!(error(&get).contains("`query`"));
    let plain =
        tenant.call("POST", GRAPHQL).header("Content-Type", "text/plain").bytes(b"{\"query\":\"{a}\"}".to_vec());
    plain.send().await.expect_problem(415, "unsupported_media_type");
    let mutation = "mutation{createPost(input:{}){id}}";
    let by_get = tenant.call("GET", GRAPHQL).query("query", mutation).send().await.expect(405);
    assert_eq!(by_get.header("allow"), "POST");
    let persisted = json!({"extensions": {"persistedQuery": {"version": 1, "sha256Hash": "ab"}}});
    let answer = tenant.call("POST", GRAPHQL).json(&persisted).send().await.expect(400);
    assert!(error(&answer).contains("`persistedQuery`"), "{}", answer.body);
    assert_eq!(site.asked().len(), 0);
    // A document as a body of its own is a request, too.
    let asked = tenant.call("POST", GRAPHQL).header("Content-Type", "application/graphql").bytes(POSTS.into());
    assert_eq!(asked.send().await.expect(200).body, recorded(POSTS).text());
}
