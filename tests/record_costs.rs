//! What requests on records cost, by the database's own count of rows: it is what the platform is billed for.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::world::{Cost, RequestBuilder, Tenant, World};

const PATH: &str = "/api/v1/leads";

async fn tenant() -> Tenant {
    World::counting().await.tenant().plan("enterprise").limit("max_api_requests_per_minute", -1).create().await
}

/// A collection whose records have a unique value, a reference and a status.
async fn leads(tenant: &Tenant) {
    let properties = json!({
        "email": {"type": "string", "format": "email", "unique": true},
        "friend": {"type": "string", "reference": "leads"},
        "score": {"type": "integer"},
    });
    let statuses = json!({"initial": "new", "transitions": {"new": ["won"], "won": ["new"]}});
    let more = json!({"soft_delete": true, "versioned": true, "statuses": statuses});
    tenant.collection("leads", properties, more).await;
}

fn lead(i: usize) -> Value {
    json!({"id": format!("r{i}"), "email": format!("e{i}@example.test"), "score": i})
}

/// An operation on a hundred records.
fn hundred(tenant: &Tenant, op: impl Fn(usize) -> Value) -> RequestBuilder {
    let operations: Vec<Value> = (0..100).map(op).collect();
    tenant.as_owner("POST", &format!("{PATH}/bulk")).json(&json!({"operations": operations}))
}

fn patch(tenant: &Tenant, id: &str, body: Value) -> RequestBuilder {
    tenant.as_owner("PATCH", &format!("{PATH}/{id}")).json(&body)
}

/// What each kind of operation costs; `round` makes its values others than those of before.
async fn costs(tenant: &Tenant, round: usize) -> Vec<(&'static str, Cost)> {
    let mut costs = Vec::new();
    let mut cost = async |what: &'static str, call: RequestBuilder, status: u16| {
        let (answer, cost) = tenant.cost(call).await;
        answer.expect(status);
        costs.push((what, cost));
    };
    let id = |i: usize| format!("r{i}");
    cost("get", tenant.as_owner("GET", &format!("{PATH}/r50")), 200).await;
    cost("patch", patch(tenant, "r50", json!({"score": 1000 + round})), 200).await;
    cost("patch of a status", patch(tenant, "r51", json!({"status": "won"})), 200).await;
    cost("patch of a unique value", patch(tenant, "r52", json!({"email": format!("f{round}@example.test")})), 200)
        .await;
    cost("patch to a taken value", patch(tenant, "r53", json!({"email": "e1@example.test"})), 409).await;
    cost("patch of a reference", patch(tenant, "r54", json!({"friend": id(60 + round)})), 200).await;
    cost("patch to no record", patch(tenant, "r54", json!({"friend": "nobody"})), 422).await;
    cost("replace", tenant.as_owner("PUT", &format!("{PATH}/r55")).json(&json!({"score": round})), 200).await;
    let updates = |i| json!({"op": "update", "id": id(i), "data": {"score": 2000 + round + i}});
    cost("a hundred patches", hundred(tenant, updates), 200).await;
    let friends = |i| json!({"op": "update", "id": id(i), "data": {"friend": id((i + round) % 100)}});
    cost("a hundred references", hundred(tenant, friends), 200).await;
    cost(
        "expand",
        tenant.as_owner("GET", PATH).query("expand", "friend").query("limit", "50").query("sort", "id"),
        200,
    )
    .await;
    let unlinks = |i| json!({"op": "update", "id": id(i), "data": {"friend": null}});
    cost("a hundred references less", hundred(tenant, unlinks), 200).await;
    let deletions = |i| json!({"op": "delete", "id": id(i)});
    cost("a hundred deletions", hundred(tenant, deletions), 200).await;
    let restorations = |i| json!({"op": "restore", "id": id(i)});
    cost("a hundred restorations", hundred(tenant, restorations), 200).await;
    let version = tenant.as_owner("POST", &format!("{PATH}/r50/versions/1/restore"));
    cost("a version restored", version, 200).await;
    let forever = |i| json!({"op": "delete", "id": id(i), "permanent": true});
    cost("a hundred deletions for good", hundred(tenant, forever), 200).await;
    let creations = |i| json!({"op": "create", "data": lead(i)});
    cost("a hundred creations", hundred(tenant, creations), 200).await;
    costs
}

/// Reads a definition, now and then: after so many writes of the tenant. So another operation may be the one that does, and
/// it is compared by itself.
const NOW_AND_THEN: &str = "records::collection::FIND";

/// The rows that each reading of a definition read.
fn definitions_read(costs: &[(&'static str, Cost)]) -> Vec<u64> {
    let statements = costs.iter().flat_map(|(_, cost)| &cost.0);
    statements.filter(|statement| statement.name == NOW_AND_THEN).map(|statement| statement.read).collect()
}

/// The rows that each statement read, added up by its name.
fn by_statement(cost: &Cost) -> BTreeMap<&str, (u64, u64)> {
    let mut sums: BTreeMap<&str, (u64, u64)> = BTreeMap::new();
    for statement in cost.0.iter().filter(|statement| statement.name != NOW_AND_THEN) {
        let sum = sums.entry(&statement.name).or_default();
        *sum = (sum.0 + statement.read, sum.1 + statement.written);
    }
    sums
}

#[tokio::test]
async fn an_operation_costs_as_much_among_many_records_as_among_few() {
    let tenant = tenant().await;
    leads(&tenant).await;
    tenant.fill("leads", 0..105, lead).await;
    let few = costs(&tenant, 0).await;
    tenant.fill("leads", 105..2005, lead).await;
    let many = costs(&tenant, 1).await;
    let (of_few, of_many) = (definitions_read(&few), definitions_read(&many));
    assert!(!of_few.is_empty() && !of_many.is_empty(), "no definition was read: {of_few:?} {of_many:?}");
    assert!(of_few.len() <= few.len() && of_many.len() <= many.len(), "more often than now and then");
    let (most_of_few, most_of_many) = (of_few.iter().max().unwrap(), of_many.iter().max().unwrap());
    assert!(most_of_many * 5 <= most_of_few * 6 + 5, "a definition: {of_few:?} and {of_many:?}");
    for ((what, few), (_, many)) in few.iter().zip(&many) {
        eprintln!("{what}: read {} and {}, written {} and {}", few.read(), many.read(), few.written(), many.written());
        let (few, many) = (by_statement(few), by_statement(many));
        assert_eq!(few.keys().collect::<Vec<_>>(), many.keys().collect::<Vec<_>>(), "{what}");
        for (name, (read, written)) in few {
            let (read_of_many, written_of_many) = many[name];
            assert!(
                read_of_many * 5 <= read * 6 + 5,
                "{what}: {name} reads {read} rows among 105 records, {read_of_many} among 2,005"
            );
            assert!(written_of_many * 5 <= written * 6 + 5, "{what}: {name} writes {written} and {written_of_many}");
        }
    }
}

/// The collection that the figures are of: one field, looked up in every way, versioned and live.
async fn notes(tenant: &Tenant) {
    let properties =
        json!({"title": {"type": "string", "maxLength": 100, "indexed": true, "unique": true, "searched": true}});
    tenant.collection("notes", properties, json!({"soft_delete": true, "versioned": true, "live": true})).await;
}

#[tokio::test]
async fn what_an_operation_writes_is_known() {
    let tenant = tenant().await;
    notes(&tenant).await;
    tenant.record("notes", json!({"id": "other", "title": "other words"})).await;
    let mut figures = Vec::new();
    let mut cost = async |what: &'static str, method: &str, path: &str, body: Value| {
        let call = tenant.as_owner(method, &format!("/api/v1/notes{path}"));
        let call = if body.is_null() { call } else { call.json(&body) };
        let (answer, cost, told) = tenant.cost_when_told(call).await;
        assert!(answer.status < 300, "{what}: {}", answer.json());
        eprintln!("{what}: {:#?} told {:#?}", by_statement(&cost), by_statement(&told));
        figures.push((what, cost.read(), cost.written(), told.written()));
    };
    cost("create", "POST", "", json!({"id": "n", "title": "first words"})).await;
    cost("update", "PATCH", "/n", json!({"title": "second words"})).await;
    cost("delete", "DELETE", "/n", Value::Null).await;
    cost("restore", "POST", "/n/restore", Value::Null).await;
    cost("delete for good", "DELETE", "/n?permanent=true", Value::Null).await;
    // What it is, rows read, rows written, and rows written to tell of it. docs/performance.md says which is which.
    let known = [
        ("create", 26, 10, 1),
        ("update", 55, 8, 1),
        ("delete", 41, 7, 1),
        ("restore", 51, 10, 1),
        ("delete for good", 40, 8, 1),
    ];
    assert_eq!(figures, known);
}
