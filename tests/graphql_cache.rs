//! Answers that are kept: what meets the same one, what passes by, and how long one counts.

use std::time::Duration;

use serde_json::{Value, json};

use crate::world::content::{self, Content, POSTS};
use crate::world::{RequestBuilder, Site, SiteAnswer, Tenant, TestResponse, World, digest_hex, eventually, stranger};

const GRAPHQL: &str = "/graphql";

/// A tenant with this site. Its answers are not fetched again by themselves unless that is asked for.
pub async fn tenant_of(world: &World, site: &Site, mut cache: Value) -> Tenant {
    cache.as_object_mut().unwrap().entry("warm_up").or_insert(json!(0));
    let settings = json!({"graphql": {"cache": cache}});
    let tenant = world.tenant().set("wpgraphql_endpoint", json!(site.url())).set("settings", settings);
    let unbounded = ["max_anonymous_requests_per_minute", "max_webhooks_per_minute", "max_api_requests_per_minute"];
    unbounded.into_iter().fold(tenant, |tenant, name| tenant.limit(name, -1)).create().await
}

async fn tenant(site: &Site) -> Tenant {
    tenant_of(&World::shared().await, site, json!({})).await
}

pub fn posted(tenant: &Tenant, document: &str) -> RequestBuilder {
    tenant.call("POST", GRAPHQL).address(&stranger()).json(&json!({"query": document}))
}

fn got(tenant: &Tenant, document: &str) -> RequestBuilder {
    tenant.call("GET", GRAPHQL).query("query", document)
}

/// What the cache says of its answer.
pub fn verdict(answer: &TestResponse) -> &str {
    assert_eq!(answer.status, 200, "{}", answer.body);
    answer.header("x-carillon-cache")
}

async fn ask(tenant: &Tenant, document: &str) -> TestResponse {
    posted(tenant, document).send().await
}

#[tokio::test]
async fn one_answer_serves_all_spellings_of_a_question() {
    let content = Content::of([1, 2]);
    let tenant = tenant(&content.site).await;
    let first = ask(&tenant, POSTS).await;
    assert_eq!(verdict(&first), "MISS; reason=new");
    let spelt = "# all of them\n{ posts {\n nodes { version, } } }";
    for again in [ask(&tenant, spelt).await, got(&tenant, spelt).send().await, got(&tenant, POSTS).send().await] {
        assert_eq!((verdict(&again), &again.body), ("HIT; reason=memory", &first.body));
        assert_eq!(again.header("x-graphql-keys"), first.header("x-graphql-keys"));
        assert_eq!(again.header("cache-control"), "no-cache");
        assert!(again.header("age").parse::<u64>().unwrap() < 60);
    }
    let document = "query Q($a:Int,$b:[Int]){posts(first:$a,in:$b){nodes{version}}}";
    let with = |body: Value| tenant.call("POST", GRAPHQL).json(&body).send();
    let asked = with(json!({"query": document, "variables": {"a": 1, "b": [1, 2]}})).await;
    assert_eq!(verdict(&asked), "MISS; reason=new");
    let reordered = "query Q($b:[Int],$a:Int){posts(first:$a,in:$b){nodes{version}}}";
    let again = with(json!({"query": reordered, "variables": {"b": [1, 2], "a": 1}})).await;
    assert_eq!(verdict(&again), "HIT; reason=memory");
    for other in [json!({"a": 2, "b": [1, 2]}), json!({"a": 1, "b": [2, 1]}), json!({})] {
        assert_eq!(verdict(&with(json!({"query": document, "variables": other})).await), "MISS; reason=new");
    }
    assert_eq!(content.executions(), 5);
}

#[tokio::test]
async fn a_document_that_is_named_by_its_hash_meets_the_answer_of_its_text() {
    let content = Content::of([1]);
    let tenant = tenant(&content.site).await;
    let (hash, spelt) = (digest_hex("{ posts { nodes { version } } }"), "{ posts { nodes { version } } }");
    let named = json!({"persistedQuery": {"version": 1, "sha256Hash": hash}});
    let body = json!({"query": spelt, "extensions": named});
    assert_eq!(verdict(&tenant.call("POST", GRAPHQL).json(&body).send().await), "MISS; reason=new");
    let by_hash = tenant.call("GET", GRAPHQL).query("extensions", &named.to_string()).send().await;
    assert_eq!(verdict(&by_hash), "HIT; reason=memory");
    assert_eq!(verdict(&ask(&tenant, POSTS).await), "HIT; reason=memory");
    assert_eq!(content.executions(), 1);
}

#[tokio::test]
async fn a_client_that_has_the_answer_is_told_so() {
    let content = Content::of([1]);
    let tenant = tenant(&content.site).await;
    let tag = got(&tenant, POSTS).send().await.header("etag").to_owned();
    assert!(tag.starts_with('"'), "{tag}");
    let known = got(&tenant, POSTS).header("If-None-Match", &tag).send().await;
    assert_eq!((known.status, known.body.as_str(), known.header("etag")), (304, "", tag.as_str()));
    content.change(1);
    tenant.webhook().accepted().await;
    let other = got(&tenant, POSTS).header("If-None-Match", &tag).send().await;
    assert_eq!(verdict(&other), "MISS; reason=purged");
}

#[tokio::test]
async fn what_says_who_asks_passes_both_ways() {
    let content = Content::of([1]);
    let tenant = tenant(&content.site).await;
    let user = tenant.user("viewer").await;
    let cookie = user.browser().await;
    ask(&tenant, POSTS).await.expect(200);
    let asked = || posted(&tenant, POSTS);
    let preview = "{post(id:1,asPreview:true){version}}";
    for (request, reason) in [
        (asked().header("Authorization", "Basic YTpi"), "credential"),
        (asked().header("Authorization", "Bearer eyJhbGciOiJub25lIn0.e30."), "credential"),
        (asked().header("woocommerce-session", "Session a"), "credential"),
        (asked().header("Cookie", "wordpress_logged_in_x=1"), "cookie"),
        (asked().header("Cookie", "anything=1"), "cookie"),
        (asked().header("X-WP-Nonce", "n"), "nonce"),
        (asked().query("_wpnonce", "n"), "nonce"),
        (asked().header("X-GraphQL-Preview", "1"), "preview"),
        (asked().header("X-JWT-Auth", "t"), "header"),
        (asked().header("X-Api-Key", "k"), "header"),
        (posted(&tenant, preview), "preview"),
        (got(&tenant, POSTS).header("Cookie", &cookie), "credential"),
        (tenant.call("POST", GRAPHQL).json(&json!({"query": POSTS, "extensions": {"preview": 1}})), "extensions"),
        (tenant.call("POST", GRAPHQL).json(&json!([{"query": POSTS}])), "batch"),
        (posted(&tenant, "mutation{posts{nodes{version}}}"), "mutation"),
        (posted(&tenant, "{__schema{queryType{name}}}"), "introspection"),
    ] {
        let before = content.executions();
        let answer = request.send().await;
        assert_eq!(verdict(&answer), format!("PASS; reason={reason}"));
        assert_eq!(content.executions(), before + 1, "{reason}: the site was asked");
        assert_eq!(verdict(&ask(&tenant, POSTS).await), "HIT; reason=memory", "{reason}: and nothing was kept of it");
    }
}

#[tokio::test]
async fn an_answer_of_errors_or_of_somebody_is_never_kept() {
    let tenant = tenant(&Site::recorded()).await;
    let good = r#"{"data":{"a":1}}"#;
    let keys = |answer: SiteAnswer| answer.with("X-GraphQL-Keys", "id graphql:Query list:post");
    let many: Vec<String> = (0..1_001).map(|nth| format!("k{nth}")).collect();
    let long = format!(r#"{{"data":{{"a":"{}"}}}}"#, "x".repeat(2_100_000));
    for (answer, reason) in [
        (keys(SiteAnswer::json(200, r#"{"errors":[{"message":"m"}],"data":{"a":1}}"#)), "errors"),
        (keys(SiteAnswer::json(200, r#"{"data":null}"#)), "errors"),
        (keys(SiteAnswer::json(200, "[]")), "errors"),
        (keys(SiteAnswer::json(200, good)).with("Set-Cookie", "a=b"), "set-cookie"),
        (keys(SiteAnswer::json(200, good)).with("woocommerce-session", "Session a"), "set-cookie"),
        (keys(SiteAnswer::json(200, good)).with("Cache-Control", "no-store"), "no-store"),
        (keys(SiteAnswer::json(200, good)).with("Cache-Control", "private, max-age=9"), "no-store"),
        (keys(SiteAnswer::json(200, good)).with("Expires", "Wed, 11 Jan 1984 05:00:00 GMT"), "no-store"),
        (keys(SiteAnswer::json(200, good)).with("Vary", "*"), "vary"),
        (keys(SiteAnswer::json(200, long)), "too-large"),
        (SiteAnswer::json(200, good), "no-keys"),
        (SiteAnswer::json(200, good).with("X-GraphQL-Keys", &many.join(" ")), "too-many-keys"),
    ] {
        let site = Site::saying(move |_| answer.clone());
        tenant.patch(json!({"wpgraphql_endpoint": site.url()})).await;
        for _ in 0..2 {
            let answer = posted(&tenant, "{a}").send().await;
            assert_eq!(verdict(&answer), format!("PASS; reason={reason}"));
        }
        // What is too large for the shield is asked past it from the second time on.
        let past_the_shield = usize::from(reason == "too-large");
        assert_eq!(site.asked().len(), 2 + past_the_shield, "{reason}");
    }
    let refused = Site::saying(move |_| keys(SiteAnswer::json(400, good)));
    tenant.patch(json!({"wpgraphql_endpoint": refused.url()})).await;
    let answer = posted(&tenant, "{a}").send().await;
    assert_eq!((answer.status, answer.header("x-carillon-cache")), (400, "PASS; reason=status"));
}

#[tokio::test]
async fn nothing_that_a_client_sends_beside_its_question_reaches_a_site_whose_answer_is_kept() {
    let site = Site::recorded();
    let tenant = tenant(&site).await;
    let asked = posted(&tenant, "{posts{nodes{id}}}")
        .header("X-Forwarded-Host", "evil.test")
        .header("Accept-Language", "de")
        .header("Referer", "https://evil.test/")
        .header("Origin", "https://evil.test")
        .header("User-Agent", "evil")
        .header("X-Original-URL", "/x");
    assert_eq!(verdict(&asked.send().await), "MISS; reason=new");
    let request = site.asked_once();
    for name in
        ["x-forwarded-host", "x-forwarded-for", "x-original-url", "accept-language", "referer", "origin", "cookie"]
    {
        assert_eq!(request.header(name), "", "{name}");
    }
    assert!(request.header("user-agent").starts_with("Carillon"));
    assert_eq!(request.header("x-carillon-via"), "graphql");
}

#[tokio::test]
async fn a_header_scope_splits_answers_and_so_do_parameters_of_the_site() {
    let site = Site::saying(|request| {
        let body = json!({"data": {"a": [request.header("x-currency"), request.parameter("lang")]}});
        SiteAnswer::json(200, body.to_string()).with("X-GraphQL-Keys", "id graphql:Query list:post")
    });
    let tenant = tenant_of(&World::shared().await, &site, json!({"scope_headers": ["X-Currency"]})).await;
    for (currency, lang) in [("eur", "de"), ("usd", "de"), ("eur", "en"), ("", "de")] {
        let ask = || {
            let asked = posted(&tenant, "{a}").query("lang", lang);
            if currency.is_empty() { asked } else { asked.header("X-Currency", currency) }
        };
        let (first, again) = (ask().send().await, ask().send().await);
        assert_eq!((verdict(&first), verdict(&again)), ("MISS; reason=new", "HIT; reason=memory"));
        assert_eq!(again.json()["data"]["a"], json!([currency, lang]));
    }
    let long = posted(&tenant, "{a}").header("X-Currency", &"x".repeat(129)).send().await;
    assert_eq!(verdict(&long), "PASS; reason=scope");
}

#[tokio::test]
async fn an_answer_of_one_tenant_is_nobody_elses() {
    let content = Content::of([1]);
    let (one, other) = (tenant(&content.site).await, tenant(&content.site).await);
    assert_eq!(verdict(&ask(&one, POSTS).await), "MISS; reason=new");
    assert_eq!(verdict(&ask(&other, POSTS).await), "MISS; reason=new", "the same site, the same question");
    assert_eq!(verdict(&ask(&one, POSTS).await), "HIT; reason=memory");
    // What one tenant's site says has changed ends nothing of another's.
    content.change(1);
    one.webhook().accepted().await;
    assert_eq!(verdict(&ask(&one, POSTS).await), "MISS; reason=purged");
    assert_eq!(verdict(&ask(&other, POSTS).await), "HIT; reason=memory");
}

#[tokio::test]
async fn by_path_a_tenants_answers_are_the_same() {
    let content = Content::of([1]);
    let tenant = tenant(&content.site).await;
    ask(&tenant, POSTS).await.expect(200);
    let path = format!("{GRAPHQL}/{}", tenant.id);
    let by_path = tenant.world.call("POST", crate::world::ROOT, &path).json(&json!({"query": POSTS})).send().await;
    assert_eq!(verdict(&by_path), "HIT; reason=memory");
}

#[tokio::test]
async fn another_endpoint_or_setting_begins_an_empty_cache_and_the_old_one_does_not_come_back() {
    let (first, second) = (Content::of([1]), Content::of([1]));
    let tenant = tenant(&first.site).await;
    ask(&tenant, POSTS).await.expect(200);
    for content in [&second, &first, &second] {
        tenant.patch(json!({"wpgraphql_endpoint": content.site.url()})).await;
        assert_eq!(verdict(&ask(&tenant, POSTS).await), "MISS; reason=new");
        assert_eq!(verdict(&ask(&tenant, POSTS).await), "HIT; reason=memory");
    }
    tenant.patch(json!({"settings": {"graphql": {"cache": {"scope_headers": ["X-Currency"]}}}})).await;
    assert_eq!(verdict(&ask(&tenant, POSTS).await), "MISS; reason=new");
    tenant.patch(json!({"display_name": "Another name"})).await;
    assert_eq!(verdict(&ask(&tenant, POSTS).await), "HIT; reason=memory", "that is no other site");
    tenant.patch(json!({"settings": {"graphql": {"cache": {"enabled": false}}}})).await;
    assert_eq!(verdict(&ask(&tenant, POSTS).await), "PASS; reason=off");
}

#[tokio::test]
async fn an_answer_found_in_kv_serves_another_isolate() {
    let (a, b) = World::pair().await;
    let content = Content::of([1]);
    let tenant = tenant_of(&a, &content.site, json!({})).await;
    let there = tenant.through(&b);
    let first = ask(&tenant, POSTS).await;
    // What is asked for again comes to KV.
    ask(&tenant, POSTS).await.expect(200);
    let found = eventually("the other isolate", async || {
        let answer = ask(&there, POSTS).await;
        verdict(&answer).starts_with("HIT").then_some(answer)
    })
    .await;
    assert_eq!(found.body, first.body);
    assert_eq!(found.header("etag"), first.header("etag"));
    assert_eq!(verdict(&ask(&there, POSTS).await), "HIT; reason=memory");
}

#[tokio::test]
async fn what_has_expired_is_shown_while_it_is_fetched_anew_and_where_the_site_fails() {
    let content = Content::of([1]);
    let cache = json!({"fresh_seconds": 0, "stale_while_revalidate_seconds": 60});
    let tenant = tenant_of(&World::shared().await, &content.site, cache).await;
    assert_eq!(verdict(&ask(&tenant, &content::post(1)).await), "MISS; reason=new");
    content.change(1);
    let stale = ask(&tenant, &content::post(1)).await;
    assert_eq!((verdict(&stale), content::version(&stale.body)), ("STALE; reason=expired", Some(1)));
    eventually("the new answer", async || {
        let answer = ask(&tenant, &content::post(1)).await;
        (content::version(&answer.body) == Some(2)).then_some(())
    })
    .await;
    // Where no answer may be shown while it is fetched, the one of before stands in for a site that fails.
    let content = Content::of([1]);
    let cache = json!({"fresh_seconds": 0, "stale_while_revalidate_seconds": 0, "stale_if_error_seconds": 60});
    let tenant = tenant_of(&World::shared().await, &content.site, cache).await;
    assert_eq!(verdict(&ask(&tenant, &content::post(1)).await), "MISS; reason=new");
    assert_eq!(verdict(&ask(&tenant, &content::post(1)).await), "MISS; reason=expired");
    content.fails(true);
    assert_eq!(verdict(&ask(&tenant, &content::post(1)).await), "STALE; reason=site-failed");
    content.site.now(|_| SiteAnswer::nothing());
    assert_eq!(verdict(&ask(&tenant, &content::post(1)).await), "STALE; reason=site-failed");
    tenant.webhook().accepted().await;
    posted(&tenant, &content::post(1)).send().await.expect_problem(503, "site_unavailable");
}

#[tokio::test]
async fn what_ends_while_a_site_fails_is_not_shown_in_its_place() {
    let content = Content::of([1]);
    let cache = json!({"fresh_seconds": 0, "stale_while_revalidate_seconds": 0, "stale_if_error_seconds": 60});
    let tenant = tenant_of(&World::shared().await, &content.site, cache).await;
    ask(&tenant, &content::post(1)).await.expect(200);
    let asked = content.executions();
    content.site.now(|_| SiteAnswer::json(500, "{}").after(Duration::from_millis(600)));
    let waiting = tokio::spawn(posted(&tenant, &content::post(1)).send());
    eventually("the site is asked", async || (content.executions() > asked).then_some(())).await;
    tenant.webhook().set("action", json!("DELETE")).set("keys", json!([content::relay(1)])).accepted().await;
    let answer = waiting.await.unwrap();
    assert_eq!((answer.status, answer.header("x-carillon-cache")), (500, "PASS; reason=status"));
}

#[tokio::test]
async fn a_site_that_restricts_is_obeyed_and_operations_have_lifetimes_of_their_own() {
    let world = World::shared().await;
    let content = Content::of([1]);
    content.with("Cache-Control", "max-age=0, must-revalidate");
    let tenant = tenant_of(&world, &content.site, json!({})).await;
    for _ in 0..2 {
        let answer = ask(&tenant, POSTS).await;
        assert_eq!(verdict(&answer), "PASS; reason=no-store");
    }
    let content = Content::of([1]);
    let operations =
        json!({"Live": {"fresh_seconds": 0, "stale_while_revalidate_seconds": 0, "stale_if_error_seconds": 0}});
    let tenant = tenant_of(&world, &content.site, json!({"operations": operations})).await;
    for (document, second) in [
        ("query Live{posts{nodes{version}}}", "PASS; reason=no-store"),
        ("query Other{posts{nodes{version}}}", "HIT; reason=memory"),
    ] {
        ask(&tenant, document).await.expect(200);
        assert_eq!(verdict(&ask(&tenant, document).await), second, "{document}");
    }
}

#[tokio::test]
async fn explain_says_what_the_next_answer_says() {
    let content = Content::of([1]);
    let tenant = tenant(&content.site).await;
    let explain = async |body: Value| {
        tenant.as_owner("POST", "/api/v1/cache/explain").json(&body).send().await.expect(200).data()
    };
    for (body, request) in [
        (json!({"query": POSTS}), posted(&tenant, POSTS)),
        (json!({"query": POSTS}), posted(&tenant, POSTS)),
        (json!({"query": POSTS, "headers": {"Cookie": "a=b"}}), posted(&tenant, POSTS).header("Cookie", "a=b")),
        (json!({"query": POSTS, "headers": {"X-Other": "a"}}), posted(&tenant, POSTS).header("X-Other", "a")),
        (json!({"query": "mutation{posts{nodes{version}}}"}), posted(&tenant, "mutation{posts{nodes{version}}}")),
        (
            json!({"query": "{post(id:1,asPreview:true){version}}"}),
            posted(&tenant, "{post(id:1,asPreview:true){version}}"),
        ),
        (json!({"query": POSTS, "parameters": {"lang": "de"}}), posted(&tenant, POSTS).query("lang", "de")),
    ] {
        let told = explain(body.clone()).await;
        let answer = request.send().await;
        assert_eq!(told["next"], verdict(&answer), "{body}: {told}");
    }
    let kept = explain(json!({"query": POSTS})).await;
    let tags: Vec<&str> = kept["kept"]["tags"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
    assert!(tags.contains(&"list:post") && tags.contains(&&*content::relay(1)), "{tags:?}");
    tenant.webhook().accepted().await;
    assert_eq!(explain(json!({"query": POSTS})).await["next"], "MISS; reason=purged");
    content.fails(true);
    assert_eq!(explain(json!({"query": POSTS})).await["next"], "PASS; reason=status");
    assert_eq!(content.executions(), 10, "it asks, and keeps nothing");
    let viewer = tenant.user("viewer").await.login().await.access;
    tenant
        .call("POST", "/api/v1/cache/explain")
        .bearer(&viewer)
        .json(&json!({"query": POSTS}))
        .send()
        .await
        .expect_problem(403, "forbidden");
    tenant.as_owner("POST", "/api/v1/cache/explain").json(&json!({"query": "{"})).send().await.expect_invalid("/query");
}

#[tokio::test]
async fn a_body_that_is_no_json_is_told_and_the_answer_of_before_stands_in_for_it() {
    let broken =
        [SiteAnswer::json(200, r#"{"data":{"po"#), SiteAnswer::json(200, ""), SiteAnswer::json(200, "<b>Warning</b>")];
    for answer in broken.into_iter().chain([SiteAnswer::json(204, "")]) {
        let content = Content::of([1]);
        let cache = json!({"fresh_seconds": 0, "stale_while_revalidate_seconds": 0, "stale_if_error_seconds": 60});
        let tenant = tenant_of(&World::shared().await, &content.site, cache).await;
        ask(&tenant, POSTS).await.expect(200);
        content.site.now(move |_| answer.clone());
        assert_eq!(verdict(&ask(&tenant, POSTS).await), "STALE; reason=site-failed");
        ask(&tenant, "{pages{nodes{id}}}").await.expect_problem(502, "site_not_graphql");
    }
}

#[tokio::test]
async fn a_document_of_many_lines_is_explained_and_an_empty_name_of_an_operation_is_none() {
    let tenant = tenant(&Content::of([1]).site).await;
    let lines = "query Q {\n  posts {\n\tnodes { version }\n  }\n}";
    let told = tenant.as_owner("POST", "/api/v1/cache/explain").json(&json!({"query": lines})).send().await.expect(200);
    assert_eq!(told.data()["next"], "MISS; reason=new");
    let body = json!({"query": lines, "operationName": ""});
    assert_eq!(verdict(&tenant.call("POST", GRAPHQL).json(&body).send().await), "MISS; reason=new");
    assert_eq!(verdict(&ask(&tenant, lines).await), "HIT; reason=memory");
}

#[tokio::test]
async fn a_body_that_comes_late_is_waited_for_and_kept() {
    let content = Content::of([1]);
    let tenant = tenant(&content.site).await;
    content.slow(Duration::from_millis(300));
    assert_eq!(verdict(&ask(&tenant, POSTS).await), "MISS; reason=new");
    assert_eq!(verdict(&ask(&tenant, POSTS).await), "HIT; reason=memory");
}

#[tokio::test]
async fn answers_are_counted_by_operation() {
    let content = Content::of([1]);
    let tenant = tenant(&content.site).await;
    for _ in 0..4 {
        ask(&tenant, "query A{posts{nodes{version}}}").await.expect(200);
    }
    ask(&tenant, POSTS).await.expect(200);
    posted(&tenant, "query B{posts{nodes{version}}}").header("Cookie", "a=b").send().await.expect(200);
    let told = tenant.as_owner("GET", "/api/v1/cache/stats").send().await.expect(200).data();
    let of = |name: Value| {
        told["operations"].as_array().unwrap().iter().find(|one| one["operation"] == name).unwrap().clone()
    };
    let a = of(json!("A"));
    assert_eq!(json!([a["hits"], a["misses"], a["hit_rate"]]), json!([3, 1, 0.75]));
    assert_eq!((&of(json!("B"))["passes"], &of(Value::Null)["misses"]), (&json!(1), &json!(1)));
    assert_eq!(json!([told["all"]["hits"], told["all"]["misses"], told["all"]["passes"]]), json!([3, 2, 1]));
    assert_eq!(told["operations"][0]["operation"], "A", "those with most answers first");
    for wrong in ["0", "8", "x"] {
        tenant.as_owner("GET", "/api/v1/cache/stats").query("days", wrong).send().await.expect_invalid_query("days");
    }
    // Of another tenant nothing is counted here.
    let other = self::tenant(&content.site).await;
    let told = other.as_owner("GET", "/api/v1/cache/stats").send().await.expect(200).data();
    assert_eq!(
        (&told["all"]["hits"], &told["all"]["hit_rate"], &told["since"]),
        (&json!(0), &Value::Null, &Value::Null)
    );
}
