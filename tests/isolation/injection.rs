//! Places inside a request where somebody else's records could be named: filters, sorts, expansions, fields, cursors,
//! versions, keys of earlier answers, ids in bodies, children under other parents.
//!
//! Everything of B's has a twin of A's with the same names, so that only the tenant tells them apart. What A is
//! answered about B's object is what A is answered about one that never was, and B stays as it was.

use serde_json::{Value, json};

use crate::world::{Tenant, TestResponse, World, unique};

/// A tenant whose collections and ids are those of every other one; its texts hold a canary.
struct Side {
    tenant: Tenant,
    key: String,
    canary: String,
    /// The id of a record that only this side has.
    own: String,
    /// The id of an author that only this side has.
    author: String,
}

impl Side {
    async fn new(world: &World) -> Side {
        let tenant = world.tenant().plan("enterprise").create().await;
        let text = json!({"type": "string", "maxLength": 200, "indexed": true, "searched": true});
        tenant.collection("authors", json!({"name": text}), json!({"versioned": true})).await;
        let properties = json!({"title": text, "author": {"type": "string", "reference": "authors"},
            "code": {"type": "string", "maxLength": 60, "unique": true}});
        tenant.collection("posts", properties, json!({"versioned": true, "soft_delete": true, "live": true})).await;
        let canary = format!("canary{}", unique());
        let (own, author) = (format!("post-{}", unique()), format!("author-{}", unique()));
        for id in ["shared-author", &author] {
            tenant.record("authors", json!({"id": id, "name": format!("{canary} {id}")})).await;
        }
        for (id, by) in [("shared", "shared-author"), (&own, &author)] {
            let body = json!({"id": id, "title": format!("{canary} {id}"), "author": by, "code": format!("code-{id}")});
            tenant.record("posts", body).await;
        }
        let key = tenant.key(&["*"]).await.text;
        Side { tenant, key, canary, own, author }
    }

    async fn ask(&self, method: &str, path: &str, query: &[(&str, &str)], body: Option<Value>) -> TestResponse {
        let call = self.tenant.call(method, path).bearer(&self.key);
        let call = query.iter().fold(call, |call, (name, value)| call.query(name, value));
        match body {
            Some(body) => call.json(&body).send().await,
            None => call.send().await,
        }
    }

    /// All that anybody could have changed.
    async fn fingerprint(&self) -> Vec<Value> {
        let sql = "SELECT (SELECT json_group_array(json_array(collection, id, version, status, data, deleted_at)) FROM records WHERE tenant_id = ?1) AS records, (SELECT json_group_array(json_array(collection, record_id, field, value)) FROM record_index WHERE tenant_id = ?1) AS indexed, (SELECT json_group_array(json_array(collection, record_id, target_id)) FROM record_references WHERE tenant_id = ?1) AS named, (SELECT json_group_array(json_array(collection, status, records)) FROM record_counts WHERE tenant_id = ?1) AS counts, (SELECT count(*) FROM record_versions WHERE tenant_id = ?1) AS versions, (SELECT last FROM record_sequence WHERE tenant_id = ?1) AS announced, (SELECT count(*) FROM idempotency_keys WHERE tenant_id = ?1) AS kept";
        self.tenant.on_shard(sql, &[]).await
    }
}

/// What is compared: the answer without what counts requests, the asked-about name taken out.
fn told(answer: &TestResponse, name: &str) -> String {
    let masked = answer.masked(&[name]);
    masked.lines().filter(|line| !line.contains("ratelimit")).collect::<Vec<_>>().join("\n")
}

#[tokio::test]
async fn nothing_inside_a_request_reaches_another_tenants_records() {
    let world = World::shared().await;
    let (a, b) = (Side::new(&world).await, Side::new(&world).await);
    let before = b.fingerprint().await;
    let never = |like: &str| format!("{}-{}", like.split('-').next().unwrap(), unique());
    let (no_post, no_author) = (never(&b.own), never(&b.author));
    let mut failures = Vec::new();
    let posts = "/api/v1/posts";
    // Each way: what is asked about B's object and about one that never was.
    type Injection = fn(&str, &str) -> (String, String, Vec<(&'static str, String)>, Option<Value>);
    let ways: Vec<(&str, Injection)> = vec![
        ("path", |post, _| ("GET".into(), format!("/api/v1/posts/{post}"), vec![], None)),
        ("patch", |post, _| ("PATCH".into(), format!("/api/v1/posts/{post}"), vec![], Some(json!({"title": "x"})))),
        ("put", |post, _| ("PUT".into(), format!("/api/v1/posts/{post}"), vec![], Some(json!({"title": "x"})))),
        ("delete", |post, _| {
            ("DELETE".into(), format!("/api/v1/posts/{post}"), vec![("permanent", "true".into())], None)
        }),
        ("restore", |post, _| ("POST".into(), format!("/api/v1/posts/{post}/restore"), vec![], None)),
        ("versions", |post, _| ("GET".into(), format!("/api/v1/posts/{post}/versions"), vec![], None)),
        ("version", |post, _| ("GET".into(), format!("/api/v1/posts/{post}/versions/1"), vec![], None)),
        ("diff", |post, _| ("GET".into(), format!("/api/v1/posts/{post}/versions/1/diff"), vec![], None)),
        ("restore version", |post, _| {
            ("POST".into(), format!("/api/v1/posts/{post}/versions/1/restore"), vec![], None)
        }),
        ("child under another parent", |_, author| {
            ("GET".into(), format!("/api/v1/posts/{author}/versions/1"), vec![], None)
        }),
        ("filter by id", |post, _| {
            (
                "GET".into(),
                "/api/v1/posts".into(),
                vec![("filter", format!("id = \"{post}\"")), ("count", "true".into())],
                None,
            )
        }),
        ("filter by reference", |_, author| {
            (
                "GET".into(),
                "/api/v1/posts".into(),
                vec![("filter", format!("author = \"{author}\"")), ("count", "true".into())],
                None,
            )
        }),
        ("filter by unique value", |post, _| {
            (
                "GET".into(),
                "/api/v1/posts".into(),
                vec![
                    ("filter", format!("code >= \"code-{post}\" && code <= \"code-{post}\"")),
                    ("sort", "-code".into()),
                ],
                None,
            )
        }),
        ("words", |post, _| ("GET".into(), "/api/v1/posts".into(), vec![("q", post.into())], None)),
        ("reference", |_, author| {
            ("POST".into(), "/api/v1/posts".into(), vec![], Some(json!({"id": "mine", "author": author})))
        }),
        ("reference in bulk", |_, author| {
            (
                "POST".into(),
                "/api/v1/posts/bulk".into(),
                vec![],
                Some(json!({"operations": [{"op": "update", "id": "shared", "data": {"author": author}}]})),
            )
        }),
        ("bulk delete", |post, _| {
            (
                "POST".into(),
                "/api/v1/posts/bulk".into(),
                vec![],
                Some(json!({"operations": [{"op": "delete", "id": post, "permanent": true}]})),
            )
        }),
    ];
    for (name, way) in ways {
        let mut answers = Vec::new();
        for (post, author) in [(&b.own, &b.author), (&no_post, &no_author)] {
            let (method, path, query, body) = way(post, author);
            let query: Vec<(&str, &str)> = query.iter().map(|(name, value)| (*name, value.as_str())).collect();
            let answer = a.ask(&method, &path, &query, body).await;
            if answer.body.contains(&b.canary) {
                failures.push(format!("{name}: B's canary in {}", answer.body));
            }
            answers.push(told(&answer, post).replace(author.as_str(), "(name)"));
        }
        if answers[0] != answers[1] {
            failures.push(format!("{name}:\nabout B: {}\nabout nobody: {}", answers[0], answers[1]));
        }
    }
    // Twins: the same names on both sides, and only A's come.
    for query in [
        vec![("expand", "author")],
        vec![("sort", "title")],
        vec![("filter", "title ~ \"canary\"")],
        vec![("q", "canary*")],
        vec![("fields", "id,title,tenant_id")],
    ] {
        let answer = a.ask("GET", posts, &query, None).await.expect(200);
        let whose = answer.column("tenant_id");
        if answer.body.contains(&b.canary) || whose.iter().any(|id| *id != json!(a.tenant.id)) {
            failures.push(format!("{query:?}: {}", answer.body));
        }
    }
    assert!(failures.is_empty(), "{} ways:\n{}", failures.len(), failures.join("\n"));
    assert_eq!(before, b.fingerprint().await);
    // The control: B's own request finds what A's did not.
    let own = b.ask("GET", &format!("{posts}/{}", b.own), &[("expand", "author")], None).await.expect(200);
    assert!(own.body.contains(&b.canary));
}

#[tokio::test]
async fn what_one_tenant_was_given_is_worth_nothing_to_another() {
    let world = World::shared().await;
    let (a, b) = (Side::new(&world).await, Side::new(&world).await);
    let posts = "/api/v1/posts";
    let page = b.ask("GET", posts, &[("limit", "1")], None).await.expect(200);
    let cursor = page.json()["pagination"]["cursor"].as_str().unwrap().to_owned();
    b.ask("GET", posts, &[("limit", "1"), ("cursor", &cursor)], None).await.expect(200);
    let theirs = a.ask("GET", posts, &[("limit", "1"), ("cursor", &cursor)], None).await;
    theirs.expect_invalid_query("cursor");
    // A key of an earlier answer is its own tenant's: the same key makes another record here.
    let body = json!({"title": "once"});
    let made = async |side: &Side| {
        let call = side.tenant.call("POST", posts).bearer(&side.key).header("Idempotency-Key", "\"twin\"").json(&body);
        call.send().await.expect(201)
    };
    let (theirs, mine) = (made(&b).await, made(&a).await);
    assert_ne!(theirs.data()["id"], mine.data()["id"]);
    assert_eq!((&mine.data()["tenant_id"], mine.header("idempotent-replayed")), (&json!(a.tenant.id), ""));
    // A version that B's twin has is no version of A's.
    let shared = format!("{posts}/shared");
    let second = b.ask("PATCH", &shared, &[], Some(json!({"title": "second"}))).await.expect(200);
    let tag = second.header("etag");
    let call = a.tenant.call("PATCH", &shared).bearer(&a.key).header("If-Match", tag).json(&json!({"title": "x"}));
    call.send().await.expect_problem(412, "precondition_failed");
    // A body that names another tenant finds none.
    for name in ["tenant_id"] {
        let body = json!({"title": "x", name: b.tenant.id});
        a.ask("POST", posts, &[], Some(body.clone())).await.expect_problem(404, "tenant_not_found");
        a.ask("PATCH", &shared, &[], Some(body)).await.expect_problem(404, "tenant_not_found");
    }
}
