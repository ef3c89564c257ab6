//! What a list reads and shows at most, and how it says what was cut.

use carillon::http::incoming::Query;
use carillon::records::collection::Collection;
use carillon::records::definition::Definition;
use carillon::records::plan::{ListPlan, ReadBounds};
use carillon::records::record_query::RecordQuery;
use carillon::storage::composed::ListStatement;
use carillon::storage::sql::Arg;
use carillon::storage::tenant_db::ReadStatement;
use serde_json::{Value, json};

use crate::world::{Tenant, TestResponse, World};

/// More records than a stranger's list reads.
const RECORDS: usize = 10_500;

async fn tenant() -> Tenant {
    let tenant = World::shared().await.tenant();
    let tenant = tenant.limit("max_api_requests_per_minute", -1).limit("max_anonymous_requests_per_minute", -1);
    tenant.create().await
}

fn schema() -> Value {
    json!({
        "text": {"type": "string"},
        "n": {"type": "integer", "indexed": true},
        "even": {"type": "boolean", "indexed": true},
    })
}

/// Puts records on the tenant's shard by one statement: the newest has the highest number.
async fn fill(tenant: &Tenant) {
    let data = "json_object('text', 'number ' || i || '.', 'n', i, 'even', json(iif(i % 2 = 0, 'true', 'false')))";
    let sql = format!(
        "WITH RECURSIVE numbers (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM numbers WHERE i < {RECORDS}) \
         INSERT INTO records (tenant_id, collection, id, version, data, created_at, updated_at, created_by, updated_by, index_revision) \
         SELECT c.tenant_id, c.slug, printf('r%05d', i), 1, {data}, 1700000000000 + i, 1700000000000 + i, 'key:k', 'key:k', c.revision \
         FROM numbers, collections c WHERE c.tenant_id = ?1 AND c.slug = 'things'"
    );
    for shard in ["SHARD_00", "SHARD_01"] {
        tenant.world.rows(shard, &sql, &[tenant.id.as_str()]).await;
    }
}

/// As somebody from a network that has asked for nothing yet.
async fn strangers(tenant: &Tenant, query: &[(&str, &str)]) -> TestResponse {
    let call = tenant.through(&tenant.world.elsewhere()).call("GET", "/api/v1/things");
    query.iter().fold(call, |call, (name, value)| call.query(name, value)).send().await.expect(200)
}

fn pagination(answer: &TestResponse, name: &str) -> Value {
    answer.json()["pagination"][name].clone()
}

/// What D1 says that the statements of a query read.
async fn rows_read(tenant: &Tenant, parameters: &[(&str, &str)], bounds: ReadBounds) -> u64 {
    let body = json!({"slug": "things", "schema": {"type": "object", "properties": schema()}});
    let definition = Definition::read(body.as_object().unwrap().clone()).unwrap();
    let collection = Collection::fresh(definition, None, 0).unwrap();
    let query = form_urlencoded::Serializer::new(String::new()).extend_pairs(parameters).finish();
    let query = RecordQuery::read(&Query::parse(&query)).unwrap();
    let plan = ListPlan::of(&tenant.id, &collection, &query).unwrap();
    let pages = plan.page("things", &query, bounds, 1 << 20, None).unwrap();
    let counts = plan.count("things", bounds).unwrap().into_iter().filter_map(|count| match count {
        ReadStatement::List(composed) => Some(composed),
        ReadStatement::Constant(..) => None,
    });
    let mut read = 0;
    for statement in pages.into_iter().chain(counts.filter(|_| query.count)) {
        read += rows_read_by(tenant, &statement).await;
    }
    read
}

async fn rows_read_by(tenant: &Tenant, statement: &ListStatement) -> u64 {
    let args = statement.args().iter().map(|arg| match arg {
        Arg::Text(text) => json!(text),
        Arg::Integer(number) => json!(number),
        Arg::Real(number) => json!(number),
        Arg::Null => Value::Null,
    });
    let params: Vec<Value> = std::iter::once(json!(tenant.id)).chain(args).collect();
    let mut read = 0;
    for shard in ["SHARD_00", "SHARD_01"] {
        read += tenant.world.rows_read(shard, statement.text(), &params).await;
    }
    read
}

#[tokio::test]
async fn a_stranger_reads_so_many_records_and_is_told_what_was_cut() {
    let tenant = tenant().await;
    tenant.collection("things", schema(), json!({"public_read": true})).await;
    fill(&tenant).await;
    // What a stranger's filter finds among the newest 10,000 it finds; the rest is behind the cursor.
    let rare = [("filter", "text ~ 'number 7.'")];
    let first = strangers(&tenant, &rare).await;
    assert_eq!(
        (first.ids().len(), pagination(&first, "partial"), pagination(&first, "has_next")),
        (0, json!(true), json!(true))
    );
    let cursor = first.cursor().unwrap();
    let second = strangers(&tenant, &[rare[0], ("cursor", &cursor)]).await;
    assert_eq!(
        (second.ids(), pagination(&second, "partial"), second.cursor()),
        (vec!["r00007".to_owned()], Value::Null, None)
    );
    // A member's reads all of them.
    let whole = tenant.listed("things", &rare).await.expect(200);
    assert_eq!((whole.ids(), pagination(&whole, "partial")), (vec!["r00007".to_owned()], Value::Null));
    // Counts stop, and say so; what is counted anyway is exact.
    let counted = [("filter", "text ~ 'number'"), ("count", "true"), ("limit", "1")];
    let theirs = strangers(&tenant, &counted).await;
    assert_eq!(
        (pagination(&theirs, "total"), pagination(&theirs, "total_is_lower_bound")),
        (json!(10_000), json!(true))
    );
    let ours = tenant.listed("things", &counted).await.expect(200);
    assert_eq!((pagination(&ours, "total"), pagination(&ours, "total_is_lower_bound")), (json!(RECORDS), Value::Null));
    let all = strangers(&tenant, &[("count", "true"), ("limit", "1")]).await;
    assert_eq!((pagination(&all, "total"), pagination(&all, "total_is_lower_bound")), (json!(RECORDS), Value::Null));
    // Pages by number lie within the bound.
    let inside = strangers(&tenant, &[("page", "99"), ("per_page", "100")]).await;
    assert_eq!((inside.ids().len(), pagination(&inside, "partial")), (100, Value::Null));
    // Beyond it a page is refused with its bound, and the cursor of the last one goes on.
    for page in ["101", "900"] {
        let beyond = tenant.through(&tenant.world.elsewhere()).call("GET", "/api/v1/things");
        let beyond = beyond.query("page", page).query("per_page", "100").send().await.expect_invalid_query("page");
        assert!(beyond.body.contains("must be at most 100 with 100 rows on a page"), "{}", beyond.body);
    }
    let last = strangers(&tenant, &[("page", "100"), ("per_page", "100")]).await;
    assert_eq!(
        (last.ids().len(), pagination(&last, "partial"), pagination(&last, "cut")),
        (100, json!(true), json!({"by": "records", "bound": 10_000}))
    );
    let cursor = last.cursor().unwrap();
    assert_eq!(strangers(&tenant, &[("limit", "7"), ("cursor", &cursor)]).await.ids().len(), 7);
    assert_eq!(tenant.listed("things", &[("page", "101"), ("per_page", "100")]).await.expect(200).ids().len(), 100);
    // An order that no index has is that of the newest, and is said to be.
    let sorted = strangers(&tenant, &[("sort", "version,created_at"), ("limit", "1")]).await;
    assert_eq!((sorted.ids(), pagination(&sorted, "partial")), (vec!["r00501".to_owned()], json!(true)));
    // An index leads to few records, wherever they are.
    let few = strangers(&tenant, &[("filter", "n < 20 && text ~ '.'"), ("count", "true")]).await;
    assert_eq!((few.ids().len(), pagination(&few, "total"), pagination(&few, "partial")), (19, json!(19), Value::Null));
    let sorted = strangers(&tenant, &[("filter", "n < 20"), ("sort", "even,n"), ("limit", "3")]).await;
    assert_eq!(sorted.ids(), ["r00001", "r00003", "r00005"]);
}

#[tokio::test]
async fn a_statement_reads_no_more_rows_than_its_bound_allows_by_d1s_own_count() {
    let tenant = tenant().await;
    tenant.collection("things", schema(), json!({})).await;
    fill(&tenant).await;
    let bounds = ReadBounds { records: 1_000, index_values: 100 };
    let unmet = "text ~ 'nothing has this'";
    let queries: [&[(&str, &str)]; 12] = [
        &[("filter", unmet)],
        &[("filter", unmet), ("count", "true")],
        &[("filter", unmet), ("sort", "id")],
        &[("filter", unmet), ("sort", "-n")],
        &[("filter", unmet), ("sort", "version")],
        &[("filter", unmet), ("sort", "even,-n")],
        &[("q", "nothing has this")],
        &[("filter", "n >= 0 && text ~ 'nothing'"), ("count", "true")],
        &[("filter", "even = true && text ~ 'nothing'"), ("count", "true")],
        &[("filter", "n != 5 && version = 2")],
        &[("filter", "created_at > '2020-01-01' && created_at > '2027-01-01'")],
        &[("page", "900"), ("per_page", "100"), ("filter", "n >= 0")],
    ];
    for query in queries {
        let read = rows_read(&tenant, query, bounds).await;
        eprintln!("{query:?}: {read} rows");
        // The record and its values of indexes; D1 counts what is buffered and sorted too.
        assert!(read <= 9 * 1_000, "{query:?}: {read} rows");
    }
}

#[tokio::test]
async fn a_page_ends_at_its_bytes_and_the_list_goes_on() {
    let tenant = tenant().await;
    let properties = json!({"text": {"type": "string"}, "n": {"type": "integer", "indexed": true}});
    tenant.collection("things", properties, json!({"public_read": true})).await;
    let long = "x".repeat(100 * 1024);
    for i in 0..25 {
        tenant.record("things", json!({"id": format!("t{i:02}"), "text": long, "n": i % 3})).await;
    }
    let all: Vec<String> = (0..25).map(|i| format!("t{i:02}")).collect();
    let queries: [&[(&str, &str)]; 5] = [
        &[("sort", "id"), ("limit", "200")],
        &[("sort", "created_at"), ("limit", "200")],
        &[("sort", "created_at"), ("filter", "text ~ 'xx'"), ("limit", "200")],
        &[("sort", "version,id"), ("limit", "200")],
        &[("sort", "id"), ("filter", "n >= 0"), ("limit", "12")],
    ];
    for query in queries {
        let first = strangers(&tenant, query).await;
        assert_eq!((first.ids(), pagination(&first, "partial")), (all[..10].to_vec(), json!(true)), "{query:?}");
        assert_eq!(pagination(&first, "has_next"), json!(true));
        assert_eq!(tenant.walked("things", query).await, all, "{query:?}");
    }
    // By number too.
    for _ in 0..3 {
        let page = strangers(&tenant, &[("sort", "id"), ("page", "1"), ("per_page", "20")]).await;
        assert_eq!(
            (page.ids(), pagination(&page, "partial"), pagination(&page, "total")),
            (all[..10].to_vec(), json!(true), json!(25))
        );
        let cursor = page.cursor().unwrap();
        assert_eq!(strangers(&tenant, &[("sort", "id"), ("cursor", &cursor)]).await.ids(), all[10..20]);
    }
    let short = strangers(&tenant, &[("sort", "id"), ("limit", "10")]).await;
    assert_eq!(
        (short.ids().len(), pagination(&short, "partial"), pagination(&short, "has_next")),
        (10, Value::Null, json!(true))
    );
}

#[tokio::test]
async fn an_answer_of_more_than_two_megabytes_is_streamed_whole() {
    let tenant = tenant().await;
    tenant.collection("things", json!({"text": {"type": "string"}}), json!({})).await;
    let long = "ü".repeat(50 * 1024);
    for i in 0..30 {
        tenant.record("things", json!({"id": format!("t{i}"), "text": long})).await;
    }
    let update: Vec<Value> = (0..30).map(|i| json!({"op": "update", "id": format!("t{i}"), "data": {}})).collect();
    let answer = tenant.bulk("things", update.into()).await.expect(200);
    assert!(answer.body.len() > 3_000_000, "{}", answer.body.len());
    assert_eq!(answer.header("content-length"), "");
    let texts = answer.column("text");
    assert!(texts.len() == 30 && texts.iter().all(|text| *text == json!(long)));
    let small = tenant.get("/api/v1/things/t1").await.expect(200);
    assert_eq!(small.header("content-length"), small.body.len().to_string());
    let head = tenant.as_owner("HEAD", "/api/v1/things").send().await.expect(200);
    assert_eq!(head.body, "");
    let health = tenant.admin("GET", "/health").send().await.expect(200).data();
    let memory = health["isolate"]["memory_bytes"].as_u64().unwrap();
    assert!(memory > 1_000_000 && memory.is_multiple_of(65_536), "{memory}");
}

#[tokio::test]
async fn a_network_whose_reads_are_dear_waits_and_nobody_else_does() {
    let tenant = tenant().await;
    tenant.collection("things", schema(), json!({"public_read": true})).await;
    fill(&tenant).await;
    // Another one each time, so that none is kept.
    let dear = |round: usize| {
        let parts: Vec<_> = (0..20).map(|part| format!("text ~ 'none {round}.{part}'")).collect();
        parts.join(" || ")
    };
    let ask = |tenant: &Tenant, round| tenant.call("GET", "/api/v1/things").query("filter", &dear(round)).send();
    let mut refused = None;
    for round in 0..30 {
        let answer = ask(&tenant, round).await;
        if answer.status != 200 {
            refused = Some(answer.expect_problem(429, "rate_limited"));
            break;
        }
    }
    let refused = refused.unwrap();
    assert!(refused.header("Retry-After").parse::<u64>().unwrap() > 0);
    // Nobody else: other reads of the same network, members, other networks.
    tenant.call("GET", "/api/v1/things").query("limit", "1").send().await.expect(200);
    tenant.listed("things", &[("filter", &dear(40))]).await.expect(200);
    ask(&tenant.through(&tenant.world.elsewhere()), 50).await.expect(200);
}

#[tokio::test]
async fn what_a_list_compares_is_bounded_by_bytes_too() {
    let tenant = tenant().await;
    let lists = json!({"list": {"type": "array", "items": {"type": "string"}}, "n": {"type": "integer"}});
    tenant.collection("things", lists, json!({"public_read": true})).await;
    // Twenty kilobytes each, in two thousand texts: a few of these records are as much as thousands of small ones.
    let list = "(WITH RECURSIVE parts (j) AS (SELECT 1 UNION ALL SELECT j + 1 FROM parts WHERE j < 2000) SELECT json_group_array('part ' || j) FROM parts)";
    let sql = format!(
        "WITH RECURSIVE numbers (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM numbers WHERE i < 120) \
         INSERT INTO records (tenant_id, collection, id, version, data, created_at, updated_at, created_by, updated_by, index_revision) \
         SELECT c.tenant_id, c.slug, printf('r%03d', i), 1, json_object('n', i, 'list', json({list})), 1700000000000 + i, 1700000000000 + i, 'key:k', 'key:k', c.revision \
         FROM numbers, collections c WHERE c.tenant_id = ?1 AND c.slug = 'things'"
    );
    tenant.on_shard(&sql, &[]).await;
    let parts: Vec<_> = (0..19).map(|part| format!("list ~ 'none {part}'")).collect();
    let none = parts.join(" || ");
    let answer = strangers(&tenant, &[("filter", &none), ("count", "true")]).await;
    assert_eq!((pagination(&answer, "partial"), pagination(&answer, "has_next")), (json!(true), json!(true)));
    assert_eq!(pagination(&answer, "total_is_lower_bound"), json!(true));
    // It goes on by the cursor, to the end.
    let found = format!("n = 3 || {none}");
    let (mut query, mut records, mut pages) = (vec![("filter", found)], Vec::new(), 0);
    loop {
        let asked: Vec<(&str, &str)> = query.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let answer = strangers(&tenant, &asked).await;
        records.extend(answer.json()["data"].as_array().unwrap().iter().map(|record| record["n"].clone()));
        pages += 1;
        match pagination(&answer, "cursor") {
            Value::String(cursor) => {
                query.retain(|(name, _)| *name != "cursor");
                query.push(("cursor", cursor));
            }
            _ => break,
        }
    }
    assert_eq!(records, [json!(3)]);
    assert!((4..=10).contains(&pages), "{pages}");
    // Without a condition nothing is compared.
    let all = strangers(&tenant, &[("limit", "40")]).await;
    assert_eq!(all.json()["data"].as_array().unwrap().len(), 40);
}

#[tokio::test]
async fn a_search_has_few_beginnings_and_says_so() {
    let tenant = tenant().await;
    let fields = json!({"text": {"type": "string", "searched": true}});
    tenant.collection("things", fields, json!({"public_read": true})).await;
    tenant.record("things", json!({"text": "one two three four five 東京"})).await;
    let found = async |q: &str| strangers(&tenant, &[("q", q)]).await.json()["data"].as_array().unwrap().len();
    assert_eq!(found("o* tw* thr* f*").await, 1);
    assert_eq!(found(&"o* ".repeat(30)).await, 1, "what stands there again is asked for once");
    assert_eq!(found("東 京").await, 1);
    let many = tenant.call("GET", "/api/v1/things").query("q", "o* tw* thr* f* fi*").send().await;
    let error = many.expect_invalid_query("q").json()["errors"][0].clone();
    assert!(
        error["code"] == "too_many_beginnings" && error["message"].as_str().unwrap().contains("at most 4"),
        "{error}"
    );
}

#[tokio::test]
async fn pages_of_large_records_are_paid_for_and_those_of_small_ones_are_not() {
    let tenant = tenant().await;
    let fields = json!({"text": {"type": "string"}});
    tenant.collection("things", fields.clone(), json!({"public_read": true})).await;
    tenant.collection("small", fields, json!({"public_read": true})).await;
    let network = tenant.through(&tenant.world.elsewhere());
    let page = |path: String| network.call("GET", &path).send();
    // What the isolate knows of the records is that there are none. It knows better once it has shown them.
    page("/api/v1/things?limit=8".into()).await.expect(200);
    let text = "x".repeat(100_000);
    for some in 0..2 {
        tenant.fill("things", some * 4..some * 4 + 4, |i| json!({"id": format!("r{i}"), "text": text})).await;
    }
    tenant.fill("small", 0..20, |_| json!({"text": "x"})).await;
    page("/api/v1/things?limit=8".into()).await.expect(200);
    // At once: what a network may do comes back by time, so a few after each other would tell how fast this machine is. The
    // description of the tenant's collections is work as well.
    for (path, most) in [("/api/v1/things?limit=8", 100), ("/api/v1/openapi.json", 150)] {
        let answers = futures_util::future::join_all((0..most).map(|_| page(path.into()))).await;
        let refused: Vec<_> = answers.iter().filter(|answer| answer.status != 200).collect();
        assert!(!refused.is_empty(), "nothing bounds {path}");
        let (is_first, answered) = (path.contains("things"), most - refused.len());
        assert!(!is_first || answered > 5, "{answered} of {path}");
        for answer in refused {
            assert_eq!((answer.status, answer.json()["code"].as_str()), (429, Some("rate_limited")));
            assert!(answer.header("retry-after").parse::<u64>().unwrap() > 0);
        }
    }
    // What is small is served all the same, and so is whoever shows a credential.
    page("/api/v1/small".into()).await.expect(200);
    page("/api/v1/things/r1".into()).await.expect(200);
    tenant.listed("things", &[("limit", "8")]).await.expect(200);
}
