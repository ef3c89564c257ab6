//! GraphQL documents that are named in place of being sent: those that clients register by themselves, and a tenant's
//! registry.

use carillon::credentials::signature::digest;
use serde_json::{Value, json};

use crate::world::{Pair, RequestBuilder, Site, SiteAnswer, Tenant, TestResponse, World, eventually, unique};

const GRAPHQL: &str = "/graphql";
const DOCUMENTS: &str = "/api/v1/documents";
const RESPONSE: &str = "application/graphql-response+json";

/// A site that repeats the document that it was asked.
fn echo() -> Site {
    Site::saying(|request| SiteAnswer::json(200, json!({"data": {"asked": request.document()}}).to_string()))
}

async fn pair(site: &Site) -> Pair {
    World::on_both(|tenant| tenant.set("wpgraphql_endpoint", json!(site.url()))).await
}

async fn tenant(site: &Site, settings: Value) -> Tenant {
    let tenant = World::shared().await.elsewhere().tenant().limit("max_anonymous_requests_per_minute", -1);
    tenant.set("wpgraphql_endpoint", json!(site.url())).set("settings", json!({"graphql": settings})).create().await
}

/// A document that no other test asks.
fn document() -> String {
    format!("{{a{}}}", unique())
}

fn hash(text: &str) -> String {
    digest(text.as_bytes())
}

fn apollo(hash: &str) -> Value {
    json!({"persistedQuery": {"version": 1, "sha256Hash": hash}})
}

fn post(tenant: &Tenant, body: Value) -> RequestBuilder {
    tenant.call("POST", GRAPHQL).json(&body)
}

/// A document as clients of Apollo's protocol send it once they were told that it is not known.
async fn register(tenant: &Tenant, text: &str) -> TestResponse {
    post(tenant, json!({"query": text, "extensions": apollo(&hash(text))})).send().await
}

async fn by_hash(tenant: &Tenant, hash: &str) -> TestResponse {
    tenant.call("GET", GRAPHQL).query("queryId", hash).send().await
}

/// The document that the site was asked.
#[track_caller]
fn asked(answer: &TestResponse) -> String {
    answer.json()["data"]["asked"].as_str().unwrap_or_else(|| panic!("{}", answer.body)).to_owned()
}

/// The code of the one error that an answer lists.
#[track_caller]
fn code(answer: &TestResponse) -> String {
    let code = &answer.json()["errors"][0]["extensions"]["code"];
    code.as_str().unwrap_or_else(|| panic!("{}", answer.body)).to_owned()
}

const NOT_FOUND: &str =
    r#"{"errors":[{"message":"PersistedQueryNotFound","extensions":{"code":"PERSISTED_QUERY_NOT_FOUND"}}]}"#;

/// What KV holds in the two places of a hash.
async fn kept(tenant: &Tenant, hash: &str) -> Vec<Value> {
    let mut kept = Vec::new();
    for place in [&hash[..3], &hash[3..6]] {
        let text = tenant.world.read_kv(&format!("t:{}:document:{place}", tenant.id)).await;
        kept.extend(text.map(|text| serde_json::from_str(&text).unwrap()));
    }
    kept
}

#[tokio::test]
async fn a_document_that_a_client_registered_is_known_by_its_hash_in_every_isolate() {
    let site = echo();
    let Pair { here, there } = pair(&site).await;
    let (text, variables) = (format!("query Q($n:Int){{a{}(n:$n)}}", unique()), json!({"n": 1}));
    let hash = hash(&text);
    let by_apollo = |tenant: &Tenant| post(tenant, json!({"extensions": apollo(&hash), "variables": variables})).send();
    let unknown = by_apollo(&here).await.expect(200);
    assert_eq!((unknown.body.as_str(), unknown.header("cache-control")), (NOT_FOUND, "no-store"));
    let as_response = post(&here, json!({"queryId": hash})).header("Accept", RESPONSE).send().await;
    assert_eq!((as_response.status, as_response.body.as_str()), (400, NOT_FOUND));
    assert_eq!(site.asked().len(), 0);

    assert_eq!(asked(&register(&here, &text).await.expect(200)), text);
    assert_eq!(asked(&by_apollo(&here).await.expect(200)), text, "at once where it was registered");
    eventually("the other isolate", async || {
        let answer = by_apollo(&there).await.expect(200);
        (answer.body != NOT_FOUND).then(|| assert_eq!(asked(&answer), text))
    })
    .await;
    for tenant in [&here, &there] {
        let (prefixed, upper) = (format!("sha256:{hash}"), hash.to_uppercase());
        for (name, id) in [("queryId", &hash), ("queryId", &prefixed), ("documentId", &prefixed), ("queryId", &upper)] {
            let get = tenant.call("GET", GRAPHQL).query(name, id).query("variables", r#"{"n":2}"#);
            assert_eq!(asked(&get.send().await.expect(200)), text, "{name} {id}");
            assert_eq!(asked(&post(tenant, json!({name: id})).send().await.expect(200)), text, "{name} {id}");
        }
        let get = tenant.call("GET", GRAPHQL).query("extensions", &apollo(&hash).to_string());
        assert_eq!(asked(&get.send().await.expect(200)), text);
    }
    // The site hears the text alone.
    for request in site.asked() {
        assert!(!format!("{} {}", request.target, request.body).contains(&hash[..16]), "{request:?}");
        assert!(!request.body.contains("persistedQuery") && !request.target.contains("extensions"), "{request:?}");
    }
    let kept = kept(&here, &hash).await;
    assert_eq!(kept.iter().map(|kept| &kept["text"]).collect::<Vec<_>>(), [&json!(text)]);
}

#[tokio::test]
async fn nobody_puts_another_text_in_a_hashs_place() {
    let site = echo();
    let Pair { here, there } = pair(&site).await;
    let (text, other) = (document(), document());
    let wrong = post(&here, json!({"query": other, "extensions": apollo(&hash(&text))})).send().await.expect(400);
    assert_eq!(code(&wrong), "PERSISTED_QUERY_HASH_MISMATCH");
    let wrong = here.call("GET", GRAPHQL).query("query", &other).query("documentId", &hash(&text)).send().await;
    assert_eq!((wrong.status, code(&wrong)), (400, "PERSISTED_QUERY_HASH_MISMATCH".to_owned()));
    // No client gives a document a name.
    let named = post(&here, json!({"query": other, "queryId": "GetPosts"})).send().await.expect(400);
    assert_eq!(code(&named), "PERSISTED_QUERY_HASH_MISMATCH");
    assert_eq!(post(&here, json!({"queryId": "GetPosts"})).send().await.expect(200).body, NOT_FOUND);
    for differ in [
        json!({"queryId": hash(&text), "documentId": hash(&other)}),
        json!({"queryId": hash(&text), "extensions": apollo(&hash(&other))}),
        json!({"query": text, "queryId": hash(&text), "documentId": "GetPosts"}),
    ] {
        let answer = post(&here, differ.clone()).send().await.expect(400);
        assert_eq!(code(&answer), "BAD_REQUEST", "{differ}");
    }
    assert_eq!(site.asked().len(), 0);
    assert_eq!(kept(&here, &hash(&text)).await, [json!(null); 0]);
    // Nor does whoever writes to KV.
    let place = format!("t:{}:document:{}", here.id, &hash(&text)[..3]);
    here.world.write_kv(&place, &json!({"text": other, "used_at": 4_000_000_000_000_u64}).to_string()).await;
    for tenant in [&here, &there] {
        assert_eq!(by_hash(tenant, &hash(&text)).await.expect(200).body, NOT_FOUND);
    }
    // What stands in one of its places keeps no document out.
    register(&here, &text).await.expect(200);
    eventually("the other isolate", async || {
        let answer = by_hash(&there, &hash(&text)).await.expect(200);
        (answer.body != NOT_FOUND).then(|| assert_eq!(asked(&answer), text))
    })
    .await;
}

#[tokio::test]
async fn only_what_was_posted_and_judged_is_registered() {
    let site = echo();
    let tenant = tenant(&site, json!({"max_depth": 3})).await;
    let text = document();
    let get = tenant.call("GET", GRAPHQL).query("query", &text).query("extensions", &apollo(&hash(&text)).to_string());
    assert_eq!(asked(&get.send().await.expect(200)), text);
    let plain = document();
    post(&tenant, json!({"query": plain})).send().await.expect(200);
    let (broken, deep) = (format!("{{a{}", unique()), format!("{{a{}{{b{{c{{d}}}}}}}}", unique()));
    for refused in [&broken, &deep] {
        assert!(register(&tenant, refused).await.expect(200).json()["errors"].is_array(), "{refused}");
    }
    for unknown in [&text, &plain, &broken, &deep] {
        assert_eq!(by_hash(&tenant, &hash(unknown)).await.expect(200).body, NOT_FOUND, "{unknown}");
        assert_eq!(kept(&tenant, &hash(unknown)).await, [json!(null); 0], "{unknown}");
    }
    // Another tenant's are not there.
    register(&tenant, &text).await.expect(200);
    assert_eq!(asked(&by_hash(&tenant, &hash(&text)).await.expect(200)), text);
    let other = self::tenant(&site, json!({})).await;
    assert_eq!(by_hash(&other, &hash(&text)).await.expect(200).body, NOT_FOUND);
}

#[tokio::test]
async fn a_document_that_comes_by_its_hash_is_judged_as_who_asks_it() {
    let site = echo();
    let tenant = tenant(&site, json!({"introspection": "members", "max_batch": 3})).await;
    let key = tenant.key(&["users:read"]).await.text;
    let schema = format!("{{__schema{{types{{name}}}} a{}}}", unique());
    let body = json!({"query": schema, "extensions": apollo(&hash(&schema))});
    post(&tenant, body).bearer(&key).send().await.expect(200);
    assert_eq!(code(&by_hash(&tenant, &hash(&schema)).await.expect(200)), "INTROSPECTION_REFUSED");
    let by_member = tenant.call("GET", GRAPHQL).query("queryId", &hash(&schema)).bearer(&key).send().await;
    assert_eq!(asked(&by_member.expect(200)), schema);
    // A mutation is not asked by GET, and is by POST.
    let mutation = format!("mutation{}", document());
    register(&tenant, &mutation).await.expect(200);
    by_hash(&tenant, &hash(&mutation)).await.expect(405);
    assert_eq!(asked(&post(&tenant, json!({"queryId": hash(&mutation)})).send().await.expect(200)), mutation);
    // An operation of the document is chosen as ever.
    let two = format!("query A{{a}}query B{{b{}}}", unique());
    post(&tenant, json!({"query": two, "queryId": hash(&two), "operationName": "A"})).send().await.expect(200);
    assert!(by_hash(&tenant, &hash(&two)).await.expect(200).json()["errors"].is_array());
    let chosen = post(&tenant, json!({"queryId": hash(&two), "operationName": "B"})).send().await.expect(200);
    assert_eq!(asked(&chosen), two);
    // In a batch too, each by itself: the site gets the texts.
    let text = document();
    let batch = json!([{"queryId": hash(&two), "operationName": "A"}, {"query": text, "queryId": hash(&text)}]);
    post(&tenant, batch).send().await.expect(200);
    let sent: Value = serde_json::from_str(&site.asked().pop().unwrap().body).unwrap();
    assert_eq!(sent, json!([{"query": two, "operationName": "A"}, {"query": text}]));
    assert_eq!(asked(&by_hash(&tenant, &hash(&text)).await.expect(200)), text);
    let unknown = post(&tenant, json!([{"query": text}, {"queryId": hash("unknown")}])).send().await.expect(200);
    assert_eq!(unknown.body, NOT_FOUND);
}

#[tokio::test]
async fn a_long_document_that_is_asked_by_its_hash_stands_in_no_url() {
    let site = echo();
    let tenant = tenant(&site, json!({})).await;
    let long = format!("{{a(b:\"{}\")}}", unique().repeat(200));
    assert!(long.len() > 2_000);
    register(&tenant, &long).await.expect(200);
    assert_eq!(asked(&by_hash(&tenant, &hash(&long)).await.expect(200)), long);
    let last = site.asked().pop().unwrap();
    assert_eq!((last.method.as_str(), last.parameter("query")), ("POST", None));
}

#[tokio::test]
async fn a_network_registers_so_many_documents_and_what_it_asks_beyond_is_answered() {
    let site = echo();
    let tenant = tenant(&site, json!({})).await;
    let texts: Vec<_> = (0..60).map(|_| document()).collect();
    for text in &texts {
        assert_eq!(asked(&register(&tenant, text).await.expect(200)), *text);
    }
    let mut known = 0;
    for text in &texts {
        known += usize::from(by_hash(&tenant, &hash(text)).await.expect(200).body != NOT_FOUND);
    }
    assert!((30..60).contains(&known), "{known}");
}

#[tokio::test]
async fn a_registry_holds_documents_by_hash_and_alias() {
    let site = echo();
    let tenant = tenant(&site, json!({})).await;
    let [first, second] = [document(), document()];
    let put =
        async |documents: Value| tenant.as_owner("PUT", DOCUMENTS).json(&json!({"documents": documents})).send().await;
    let alias = async |alias: &str| tenant.call("GET", GRAPHQL).query("documentId", alias).send().await.expect(200);
    let registered = put(json!([
        {"text": first, "alias": "app/First"},
        {"query": second, "hash": format!("sha256:{}", hash(&second))},
    ]));
    let expected =
        json!({"documents": [{"hash": hash(&first), "alias": "app/First"}, {"hash": hash(&second), "alias": null}]});
    assert_eq!(registered.await.expect(200).data(), expected);
    assert_eq!(asked(&alias("app/First").await), first);
    assert_eq!(asked(&post(&tenant, json!({"queryId": "app/First"})).send().await.expect(200)), first);
    for text in [&first, &second] {
        assert_eq!(asked(&by_hash(&tenant, &hash(text)).await.expect(200)), *text);
    }
    // It is shown, a page at a time.
    let shown = tenant.as_owner("GET", &format!("{DOCUMENTS}/{}", hash(&first))).send().await.expect(200).data();
    assert_eq!((&shown["text"], &shown["alias"]), (&json!(first), &json!("app/First")));
    assert_eq!((&shown["bytes"], &shown["created_by"]), (&json!(first.len()), &json!("platform_key")));
    let page = tenant.as_owner("GET", DOCUMENTS).query("limit", "1").send().await.expect(200).json();
    assert_eq!((page["data"].as_array().unwrap().len(), &page["pagination"]["has_next"]), (1, &json!(true)));
    let cursor = page["pagination"]["cursor"].as_str().unwrap();
    let next = tenant.as_owner("GET", DOCUMENTS).query("cursor", cursor).send().await.expect(200).json();
    let mut hashes = [&page["data"][0]["hash"], &next["data"][0]["hash"]].map(|hash| hash.as_str().unwrap().to_owned());
    hashes.sort();
    let mut expected = [hash(&first), hash(&second)];
    expected.sort();
    assert_eq!((hashes, next["data"].as_array().unwrap().len()), (expected, 1));
    assert_eq!(next["data"][0]["text"], Value::Null, "texts are shown one by one");
    // An alias goes from one document to another, two change theirs, and one that is listed without loses its own.
    put(json!([{"text": second, "alias": "app/First"}])).await.expect(200);
    assert_eq!(asked(&alias("app/First").await), second);
    put(json!([{"text": first, "alias": "app/First"}, {"text": second, "alias": "app/Second"}])).await.expect(200);
    put(json!([{"text": first, "alias": "app/Second"}, {"text": second, "alias": "app/First"}])).await.expect(200);
    assert_eq!((asked(&alias("app/First").await), asked(&alias("app/Second").await)), (second.clone(), first.clone()));
    put(json!([{"text": first}])).await.expect(200);
    assert_eq!(alias("app/Second").await.body, NOT_FOUND);
    // What left is not known by its alias any more.
    let gone = tenant.as_owner("DELETE", &format!("{DOCUMENTS}/{}", hash(&second))).send().await.expect(200);
    assert_eq!(gone.data(), json!({"hash": hash(&second)}));
    assert_eq!(alias("app/First").await.body, NOT_FOUND);
    for path in [format!("{DOCUMENTS}/{}", hash(&second)), format!("{DOCUMENTS}/app")] {
        tenant.as_owner("GET", &path).send().await.expect_problem(404, "not_found");
        tenant.as_owner("DELETE", &path).send().await.expect_problem(404, "not_found");
    }
    let entries = tenant.as_owner("GET", "/api/v1/audit").query("operation", "document.").send().await.expect(200);
    let operations: Vec<_> =
        entries.data().as_array().unwrap().iter().map(|entry| entry["operation"].clone()).collect();
    assert_eq!((operations.len(), &operations[0]), (6, &json!("document.delete")));
}

#[tokio::test]
async fn a_registry_takes_all_that_is_listed_or_nothing_and_names_what_is_wrong() {
    let site = echo();
    let tenant = tenant(&site, json!({"max_depth": 2})).await;
    let good = document();
    let put =
        async |documents: Value| tenant.as_owner("PUT", DOCUMENTS).json(&json!({"documents": documents})).send().await;
    for (wrong, pointer) in [
        (json!({"text": "{a"}), "/documents/1/text"),
        (json!({"text": "{a{b{c}}}"}), "/documents/1/text"),
        (json!({"text": "{a}", "hash": hash("{b}")}), "/documents/1/hash"),
        (json!({"text": "{a}", "alias": "0".repeat(64)}), "/documents/1/alias"),
        (json!({"text": "{a}", "alias": "a b"}), "/documents/1/alias"),
        (json!({"text": good}), "/documents/1/text"),
        (json!({"alias": "A"}), "/documents/1/text"),
    ] {
        put(json!([{"text": good}, wrong])).await.expect_invalid(pointer);
    }
    put(json!([])).await.expect_invalid("/documents");
    let many: Vec<_> = (0..1_001).map(|i| json!({"text": format!("{{a{i}}}")})).collect();
    put(json!(many)).await.expect_invalid("/documents");
    let long = format!("{{\"documents\":[{}]}}", " ".repeat(2 * 1024 * 1024));
    let call = tenant.as_owner("PUT", DOCUMENTS).header("Content-Type", "application/json").bytes(long.into_bytes());
    call.send().await.expect_problem(413, "body_too_large");
    assert_eq!(by_hash(&tenant, &hash(&good)).await.expect(200).body, NOT_FOUND);
    put(json!(many[..1_000])).await.expect(200);
    // A tenant has only so many.
    let fill = "INSERT INTO documents (tenant_id, hash, text, bytes, created_at, created_by) WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 9000) SELECT ?1, printf('%064d', i), '{a}', 3, 1, '' FROM n";
    tenant.seed(&[(fill, &[])]).await;
    put(json!([{"text": good}])).await.expect_problem(409, "too_many");
    put(json!([{"text": "{a1}", "alias": "A"}])).await.expect(200);
    let swollen = "UPDATE documents SET bytes = 20000000 WHERE tenant_id = ?1 AND alias = 'A'";
    tenant.seed(&[(swollen, &[])]).await;
    put(json!([{"text": "{a1}"}])).await.expect_problem(409, "too_many");
}

#[tokio::test]
async fn a_registry_is_read_and_written_by_whoever_may() {
    let site = echo();
    let tenant = tenant(&site, json!({})).await;
    let text = document();
    let [reader, writer, other] = [&["documents:read"], &["documents:write"], &["settings:read"]];
    let (reader, writer) = (tenant.key(reader).await.text, tenant.key(writer).await.text);
    let (other, viewer) = (tenant.key(other).await.text, tenant.user("viewer").await.login().await.access);
    let put = |key: &str| tenant.call("PUT", DOCUMENTS).bearer(key).json(&json!({"documents": [{"text": text}]}));
    let path = format!("{DOCUMENTS}/{}", hash(&text));
    for key in [&reader, &other, &viewer] {
        put(key).send().await.expect_problem(403, "forbidden");
        tenant.call("DELETE", &path).bearer(key).send().await.expect_problem(403, "forbidden");
    }
    put(&writer).send().await.expect(200);
    for key in [&writer, &other, &viewer] {
        tenant.call("GET", DOCUMENTS).bearer(key).send().await.expect_problem(403, "forbidden");
        tenant.call("GET", &path).bearer(key).send().await.expect_problem(403, "forbidden");
    }
    assert_eq!(tenant.call("GET", &path).bearer(&reader).send().await.expect(200).data()["text"], text);
    tenant.call("DELETE", &path).bearer(&writer).send().await.expect(200);
}

#[tokio::test]
async fn where_registered_documents_alone_are_asked_strangers_ask_no_other() {
    let site = echo();
    let tenant = tenant(&site, json!({"documents": "registered", "max_upload_bytes": 1_000})).await;
    let [registered, other] = [document(), document()];
    let body = json!({"documents": [{"text": registered, "alias": "One"}]});
    tenant.as_owner("PUT", DOCUMENTS).json(&body).send().await.expect(200);
    let refused = async |call: RequestBuilder| {
        let answer = call.send().await.expect(200);
        assert_eq!(code(&answer), "DOCUMENT_NOT_REGISTERED", "{}", answer.body);
    };
    let member = tenant.key(&["documents:read", "settings:read"]).await.text;
    let writer = tenant.key(&["documents:write"]).await.text;
    for ask in [json!({"query": registered}), json!({"queryId": hash(&registered)}), json!({"documentId": "One"})] {
        for call in [post(&tenant, ask.clone()), post(&tenant, ask.clone()).bearer(&member)] {
            assert_eq!(asked(&call.send().await.expect(200)), registered, "{ask}");
        }
    }
    assert_eq!(asked(&by_hash(&tenant, &hash(&registered)).await.expect(200)), registered);
    let before = site.asked().len();
    for ask in [
        json!({"query": other}),
        json!({"query": format!("{registered} ")}),
        json!({"queryId": hash(&other)}),
        json!({"documentId": "Other"}),
        json!({"query": other, "extensions": apollo(&hash(&other))}),
        json!({"query": "{a"}),
        json!([{"query": registered}, {"query": other}]),
    ] {
        refused(post(&tenant, ask.clone())).await;
        refused(post(&tenant, ask).bearer(&member)).await;
    }
    refused(tenant.call("GET", GRAPHQL).query("query", &other)).await;
    let as_response = post(&tenant, json!({"query": other})).header("Accept", RESPONSE).send().await;
    assert_eq!((as_response.status, code(&as_response)), (400, "DOCUMENT_NOT_REGISTERED".to_owned()));
    // The documents of a form are not read here, so nobody can say that they are registered.
    let form = tenant.call("POST", GRAPHQL).header("Content-Type", "multipart/form-data; boundary=a");
    refused(form.bytes(b"--a--\r\n".to_vec())).await;
    assert_eq!(site.asked().len(), before);
    // Who may register documents tries them first. What they ask is not registered by that.
    let with_hash = json!({"query": other, "extensions": apollo(&hash(&other))});
    for ask in [json!({"query": other}), with_hash] {
        assert_eq!(asked(&post(&tenant, ask).bearer(&writer).send().await.expect(200)), other);
    }
    refused(post(&tenant, json!({"queryId": hash(&other)}))).await;
    assert_eq!(kept(&tenant, &hash(&other)).await, [json!(null); 0]);
}
