//! What a GraphQL request may cost a tenant's site, and who may ask for its schema.

use serde_json::{Value, json};

use crate::world::{RequestBuilder, Site, Tenant, TestResponse, World};

const GRAPHQL: &str = "/graphql";

async fn tenant(site: &Site, settings: Value) -> Tenant {
    let settings = json!({"graphql": settings});
    let tenant = World::shared().await.tenant().set("wpgraphql_endpoint", json!(site.url()));
    tenant.set("settings", settings).create().await
}

fn asked(tenant: &Tenant, document: &str) -> RequestBuilder {
    tenant.call("POST", GRAPHQL).json(&json!({"query": document}))
}

fn told(answer: &TestResponse) -> String {
    answer.json()["errors"][0]["message"].as_str().unwrap_or_else(|| panic!("{}", answer.body)).to_owned()
}

#[tokio::test]
async fn each_bound_is_named_and_what_fits_is_asked() {
    let site = Site::recorded();
    let settings =
        json!({"max_query_bytes": 2_000, "max_depth": 4, "max_aliases": 3, "max_fields": 12, "max_batch": 2});
    let tenant = tenant(&site, settings).await;
    let nested = |levels: usize| format!("{}{}", "{a".repeat(levels), "}".repeat(levels));
    let aliased = |count: usize| format!("{{{}}}", (0..count).map(|i| format!("a{i}:b ")).collect::<String>());
    let fields = |count: usize| format!("{{{}}}", (0..count).map(|i| format!("a{i} ")).collect::<String>());
    let fits = [nested(4), aliased(3), fields(12), format!("{{a(b:\"{}\")}}", "x".repeat(1_900))];
    for document in &fits {
        asked(&tenant, document).send().await.expect(200);
    }
    assert_eq!(site.asked().len(), fits.len());
    for (document, part) in [
        (nested(5), "at most 4"),
        (aliased(4), "at most 3"),
        (fields(13), "at most 12"),
        (format!("{{a(b:\"{}\")}}", "x".repeat(2_000)), "at most 2000"),
        // Fragments count wherever they are spread.
        ("{a{...F}} fragment F on A{b{c{d{e}}}}".into(), "at most 4"),
        ("{...F ...F} fragment F on A{x:a y:b}".into(), "at most 3"),
        ("{...F ...F ...F} fragment F on A{a b c d e}".into(), "at most 12"),
        ("{...F} fragment F on A{...G} fragment G on A{...F}".into(), ""),
        ("{...F}".into(), ""),
        ("query A{a} query B{b}".into(), ""),
        // Nor is what is not executed without bounds: a server validates it all the same.
        (format!("query A{{a}} query B{}", fields(13)), "at most 12"),
        (format!("{{a}} fragment F on A{}", nested(5)), "at most 4"),
        ("type A{a:Int}".into(), ""),
    ] {
        let answer = asked(&tenant, &document).send().await.expect(200);
        assert!(told(&answer).contains(part), "{document}: {}", answer.body);
    }
    let batch = |count: usize| {
        let body = vec![json!({"query": "{a}"}); count];
        tenant.call("POST", GRAPHQL).json(&json!(body)).send()
    };
    batch(2).await.expect(200);
    assert!(told(&batch(3).await.expect(400)).contains("at most 2"));
    let mixed = json!([{"query": "{a}"}, {"query": nested(5)}]);
    let answer = tenant.call("POST", GRAPHQL).json(&mixed).send().await;
    assert!(told(&answer).contains("at most 4"), "{}", answer.body);
    assert_eq!(site.asked().len(), fits.len() + 1, "nothing of what was refused was asked");
}

#[tokio::test]
async fn hostile_documents_are_refused_before_anything_is_asked() {
    let site = Site::recorded();
    let tenant = tenant(&site, json!({})).await;
    let doubling: String = (0..30).map(|i| format!("fragment F{i} on A{{...F{} ...F{}}} ", i + 1, i + 1)).collect();
    let long = 65_000;
    for document in [
        format!("{{...F0}} {doubling} fragment F30 on A{{a}}"),
        "{a".repeat(20_000),
        format!("{}{}", "{a".repeat(5_000), "}".repeat(5_000)),
        format!("{{a(b:{}1{})}}", "[".repeat(10_000), "]".repeat(10_000)),
        format!("{{{}}}", "a:b ".repeat(15_000)),
        format!("{{{}}}", "...F ".repeat(10_000)),
        "{".repeat(long),
        "\"".repeat(long),
        "#".repeat(long),
        format!("{{a(b:\"\"\"{}", "x".repeat(long - 100)),
    ] {
        let answer = asked(&tenant, &document).send().await;
        assert!(!told(&answer).is_empty(), "{}", &document[..50]);
    }
    assert_eq!(site.asked().len(), 0);
}

#[tokio::test]
async fn the_schema_is_shown_to_whom_the_tenant_says() {
    let site = Site::recorded();
    let tenant = tenant(&site, json!({"introspection": "members"})).await;
    let user = tenant.user("viewer").await;
    let access = user.login().await.access;
    let documents = [
        "{__schema{queryType{name}}}",
        "{a:__type(name:\"Post\"){name}}",
        "{...F} fragment F on RootQuery{...on RootQuery{__schema{queryType{name}}}}",
        "query A{__schema{types{name}}} query B{posts{nodes{id}}}",
        "mutation{m{query{__schema{types{name}}}}}",
    ];
    let ask = |document: &str| {
        let body = json!({"query": document, "operationName": document.contains("query A").then_some("A")});
        tenant.call("POST", GRAPHQL).json(&body)
    };
    let is_refused = async |asked: RequestBuilder| {
        let answer = asked.send().await.expect(200);
        answer.json()["errors"][0]["extensions"]["code"] == "INTROSPECTION_REFUSED"
    };
    for document in documents {
        assert!(is_refused(ask(document)).await, "{document}");
        assert!(is_refused(ask(document).header("Authorization", "Bearer of-the-site")).await, "{document}");
        assert!(!is_refused(ask(document).bearer(&access)).await, "{document}");
    }
    assert_eq!(site.asked().len(), documents.len());
    // What names it in another place asks for nothing of the schema.
    assert!(!is_refused(asked(&tenant, "{posts{nodes{__typename}}}")).await);
    assert!(!is_refused(asked(&tenant, "{__typename a(b:\"__schema\")}")).await);
    tenant.patch(json!({"settings": {"graphql": {"introspection": "off"}}})).await;
    assert!(is_refused(ask(documents[0]).bearer(&access)).await);
    tenant.patch(json!({"settings": {"graphql": {"introspection": "on"}}})).await;
    assert!(!is_refused(ask(documents[0])).await, "the site decides");
}

#[tokio::test]
async fn a_form_with_files_passes_whole_where_the_tenant_takes_it() {
    let site = Site::recorded();
    let tenant = tenant(&site, json!({"max_upload_bytes": 100_000})).await;
    let form = |bytes: usize| {
        let operations = r#"{"query":"mutation($f:Upload!){upload(file:$f){id}}","variables":{"f":null}}"#;
        format!(
            "--b\r\nContent-Disposition: form-data; name=\"operations\"\r\n\r\n{operations}\r\n\
             --b\r\nContent-Disposition: form-data; name=\"map\"\r\n\r\n{{\"0\":[\"variables.f\"]}}\r\n\
             --b\r\nContent-Disposition: form-data; name=\"0\"; filename=\"a.txt\"\r\n\r\n{}\r\n--b--\r\n",
            "x".repeat(bytes)
        )
    };
    let media_type = "multipart/form-data; boundary=\"b\"";
    let send = |body: String| tenant.call("POST", GRAPHQL).header("Content-Type", media_type).bytes(body.into()).send();
    let whole = form(90_000);
    send(whole.clone()).await.expect(200);
    let request = site.asked_once();
    assert_eq!((request.body == whole, request.header("content-type")), (true, media_type));
    send(form(100_000)).await.expect_problem(413, "body_too_large");
    let chunked = tenant.call("POST", GRAPHQL).header("Content-Type", media_type).bytes(form(10).into()).chunked();
    chunked.send().await.expect_problem(411, "length_required");
    // What a form asks is not judged: so nobody asks by one for what is not shown.
    tenant.patch(json!({"settings": {"graphql": {"max_upload_bytes": 100_000, "introspection": "off"}}})).await;
    assert!(told(&send(form(10)).await.expect(400)).contains("schema is shown"));
    tenant.patch(json!({"settings": {"graphql": {"max_upload_bytes": 0, "introspection": null}}})).await;
    assert!(told(&send(form(10)).await.expect(400)).contains("Files are not taken"));
    assert_eq!(site.asked().len(), 1);
}

#[tokio::test]
async fn requests_of_strangers_count_against_what_the_tenant_gives_strangers() {
    let site = Site::recorded();
    let tenant = World::shared().await.tenant().limit("max_anonymous_requests_per_minute", 5);
    let keeps_nothing = json!({"graphql": {"cache": {"enabled": false}}});
    let tenant = tenant.set("wpgraphql_endpoint", json!(site.url())).set("settings", keeps_nothing).create().await;
    let mut statuses = Vec::new();
    for _ in 0..12 {
        statuses.push(asked(&tenant, "{posts{nodes{id}}}").send().await.status);
    }
    assert!(statuses.contains(&429), "{statuses:?}");
    assert_eq!(site.asked().len(), statuses.iter().filter(|status| **status == 200).count());
}
