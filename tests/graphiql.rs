//! A page to try queries, at `/graphql` in a browser: whom it is shown to, what it is made of, and that it works.

use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

use crate::world::content::{Content, post};
use crate::world::{Chromium, Line, ROOT, RequestBuilder, Site, Tenant, TestResponse, World};

const GRAPHQL: &str = "/graphql";
const FILES: [(&str, &str); 2] =
    [("/graphql/assets/graphiql.js", "text/javascript"), ("/graphql/assets/graphiql.css", "text/css")];
/// What Chromium sends when it is led to an address.
const NAVIGATION: &str =
    "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,image/apng,*/*;q=0.8";

async fn tenant_with(settings: Value) -> Tenant {
    World::shared().await.tenant().set("settings", json!({"graphql": settings})).create().await
}

async fn tenant() -> Tenant {
    tenant_with(json!({"graphiql": true})).await
}

fn navigation(tenant: &Tenant) -> RequestBuilder {
    tenant.call("GET", GRAPHQL).header("Accept", NAVIGATION)
}

fn is_page(answer: &TestResponse) -> bool {
    answer.headers.get("content-type").is_some_and(|sent| sent.to_str().unwrap().starts_with("text/html"))
}

#[tokio::test]
async fn a_browser_is_shown_the_page_where_the_tenant_allows_it() {
    let (with, without) = (tenant().await, tenant_with(json!({})).await);
    let page = navigation(&with).send().await.expect(200);
    assert!(is_page(&page) && page.body.contains("/graphql/assets/graphiql.js"), "{}", page.body);
    for (name, expected) in [
        ("cache-control", "no-cache"),
        ("referrer-policy", "no-referrer"),
        ("vary", "Accept, Origin"),
        ("x-content-type-options", "nosniff"),
    ] {
        assert_eq!(page.header(name), expected, "{name}");
    }
    let policy = page.header("content-security-policy");
    for rule in [
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "connect-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
    ] {
        assert!(policy.split("; ").any(|part| part == rule), "{rule}: {policy}");
    }
    assert!(!policy.contains("unsafe"), "{policy}");
    let head = with.call("HEAD", GRAPHQL).header("Accept", NAVIGATION).send().await.expect(200);
    assert!(is_page(&head) && head.body.is_empty());
    // Parameters that are not the request's own may be its site's.
    let german = navigation(&with).query("lang", "de").send().await.expect(200);
    assert!(is_page(&german));
    // Elsewhere nothing has changed.
    let refused = navigation(&without).send().await.expect_problem(404, "no_endpoint");
    assert_eq!(refused.header("vary"), "Origin");
    without.call("GET", GRAPHQL).header("Accept", "text/html").send().await.expect_problem(406, "not_acceptable");
    for (path, _) in FILES {
        without.call("GET", path).send().await.expect_problem(404, "not_found");
    }
}

#[tokio::test]
async fn whoever_asks_a_query_is_answered_as_where_there_is_no_page() {
    let site = Site::recorded();
    let with_site = async |graphiql: bool| {
        let settings = json!({"graphql": {"graphiql": graphiql, "cache": {"enabled": false}}});
        let tenant = World::shared().await.tenant().set("wpgraphql_endpoint", json!(site.url()));
        tenant.set("settings", settings).create().await
    };
    let (with, without) = (with_site(true).await, with_site(false).await);
    let document = "{posts{nodes{id}}}";
    let asked = |tenant: &Tenant| {
        let json = |call: RequestBuilder| call.header("Accept", "application/json");
        [
            // A page would be wrong here, whatever is preferred.
            navigation(tenant).query("query", document),
            navigation(tenant).query("query", ""),
            navigation(tenant).query("operationName", "A"),
            navigation(tenant).query("queryId", "no/such"),
            navigation(tenant).query("documentId", "no/such"),
            navigation(tenant).query("extensions", "{}"),
            json(tenant.call("GET", GRAPHQL)),
            json(tenant.call("GET", GRAPHQL).query("query", document)),
            tenant.call("GET", GRAPHQL),
            tenant.call("POST", GRAPHQL).header("Accept", NAVIGATION).json(&json!({"query": document})),
            tenant.call("POST", GRAPHQL).header("Accept", NAVIGATION).json(&json!({})),
        ]
    };
    for (here, there) in asked(&with).into_iter().zip(asked(&without)) {
        let (here, there) = (here.send().await, there.send().await);
        assert!(!is_page(&here), "{}", here.body);
        assert_eq!((here.status, &here.body), (there.status, &there.body));
        assert_eq!(here.header("content-type"), there.header("content-type"));
    }
    let bare = with.call("GET", GRAPHQL).send().await.expect(400);
    assert_eq!(bare.header("vary"), "Accept, Origin", "a browser would be shown the page");
}

#[tokio::test]
async fn files_of_the_page_are_asked_for_again_by_their_tags() {
    let tenant = tenant().await;
    for (path, media_type) in FILES {
        let file = tenant.call("GET", path).send().await.expect(200);
        assert_eq!(file.header("content-type"), format!("{media_type}; charset=utf-8"));
        assert_eq!((file.header("cache-control"), file.header("x-content-type-options")), ("no-cache", "nosniff"));
        assert!(file.body.len() > 1_000, "{path}");
        let tag = file.header("etag").to_owned();
        for known in [tag.clone(), format!("W/{tag}"), format!("\"other\", {tag}"), "*".to_owned()] {
            let again = tenant.call("GET", path).header("If-None-Match", &known).send().await.expect(304);
            assert_eq!((again.header("etag"), again.body.as_str()), (tag.as_str(), ""));
        }
        tenant.call("GET", path).header("If-None-Match", "\"other\"").send().await.expect(200);
        tenant
            .call("GET", path)
            .header("If-Match", "\"other\"")
            .send()
            .await
            .expect_problem(412, "precondition_failed");
        let head = tenant.call("HEAD", path).send().await.expect(200);
        assert_eq!((head.header("etag"), head.body.as_str()), (tag.as_str(), ""));
        tenant.call("POST", path).send().await.expect_problem(405, "method_not_allowed");
    }
}

#[tokio::test]
async fn no_other_file_of_the_build_is_served_and_none_on_other_hosts() {
    let tenant = tenant().await;
    for path in [
        "/graphql/assets",
        "/graphql/assets/",
        "/graphql/assets/index.html",
        "/graphql/assets/graphiql.jsx",
        "/graphql/assets/graphiql.js/",
        "/graphql/assets/..%2Fgraphiql.js",
        "/graphql/assets/GRAPHIQL.JS",
        "/graphiql/graphiql.js",
        "/graphiql/graphiql.css",
    ] {
        tenant.call("GET", path).send().await.expect_problem(404, "not_found");
    }
    let world = &tenant.world;
    for (path, _) in FILES.into_iter().chain([(GRAPHQL, "")]) {
        let accepts = |host: &str| world.call("GET", host, path).header("Accept", NAVIGATION);
        accepts("nobody.localhost").send().await.expect_problem(404, "tenant_not_found");
        accepts("nobody.example").send().await.expect_problem(404, "tenant_not_found");
        accepts(ROOT).send().await.expect_problem(404, "not_found");
    }
    let by_path = world.call("GET", ROOT, &format!("{GRAPHQL}/{}", tenant.id)).header("Accept", NAVIGATION);
    by_path.send().await.expect_problem(404, "no_endpoint");
}

/// What the page's last line says.
fn says(text: &str) -> String {
    format!("document.querySelector('[role=status]')?.innerText.includes({})", json!(text))
}

#[tokio::test]
async fn a_query_that_is_asked_in_the_page_shows_its_answer_and_what_the_cache_said() {
    let content = Content::of([1]);
    let world = World::shared().await;
    let tenant = world.tenant().set("wpgraphql_endpoint", json!(content.site.url()));
    let tenant = tenant.set("settings", json!({"graphql": {"graphiql": true}})).create().await;
    let line = Line::to(&world).await;
    let mut chromium = Chromium::start().await;
    let page = chromium.open(&format!("{}{GRAPHQL}", line.origin(&tenant))).await;
    chromium.until(&page, &says("Ask a query")).await;
    let editor = "document.querySelector('.graphiql-query-editor .CodeMirror')?.CodeMirror";
    chromium.until(&page, editor).await;
    chromium.run(&page, &format!("{editor}.setValue({})", json!(post(1)))).await;
    let click = "document.querySelector('.graphiql-execute-button').click()";
    let answer = "document.querySelector('.graphiql-response .CodeMirror')?.CodeMirror.getValue()";
    for (verdict, meaning) in [("MISS; reason=new", "is kept from now on"), ("HIT; reason=memory", "was not asked")] {
        chromium.run(&page, click).await;
        chromium.until(&page, &says(verdict)).await;
        assert_eq!(chromium.run(&page, &says(meaning)).await, true);
        assert_eq!(chromium.run(&page, &says("Age ")).await, true);
        chromium.until(&page, &format!("{answer}?.includes('\"version\": 1')")).await;
    }
    let refused = "new Promise((told) => new ReportingObserver(told, {types: ['csp-violation'], buffered: true}).observe() ?? setTimeout(() => told([]), 200)).then((all) => all.map((one) => one.body.effectiveDirective + one.body.blockedURL))";
    assert_eq!(chromium.run(&page, refused).await, json!([]), "its policy lets it do what it does");
}

#[test]
fn the_build_stops_where_the_assets_are_over_their_budget() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let build = |budget: Option<&str>| {
        let mut command = Command::new(root.join("scripts/build-assets"));
        budget.map(|budget| command.env("ASSETS_BUDGET_KB", budget));
        command.output().unwrap()
    };
    let within = build(None);
    assert!(within.status.success(), "{within:?}");
    let over = build(Some("1"));
    assert!(!over.status.success());
    assert!(String::from_utf8_lossy(&over.stderr).contains("over their budget of 1 KB"), "{over:?}");
}
