//! What a plan allows of records: how many there are, and how many are made in a time.

use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::world::{Tenant, TestResponse, World};

const LEADS: &str = "/api/v1/leads";

/// A tenant with collections of leads and others, under these limits.
async fn tenant(limits: Value) -> Tenant {
    let mut all = json!({"max_api_requests_per_minute": -1});
    for (name, value) in limits.as_object().unwrap() {
        all[name] = value.clone();
    }
    let tenant = World::shared().await.tenant().set("rate_limits", all).create().await;
    for slug in ["leads", "support_tickets"] {
        tenant.collection(slug, json!({"n": {"type": "integer"}}), json!({"soft_delete": true})).await;
    }
    tenant
}

fn creations(count: usize) -> Value {
    vec![json!({"op": "create", "data": {}}); count].into()
}

async fn create(tenant: &Tenant) -> TestResponse {
    tenant.ask("POST", LEADS, json!({})).await
}

/// As if all that was made so far had been made an hour ago, in the same month.
async fn an_hour_later(tenant: &Tenant) {
    for sql in [
        "UPDATE record_rates SET start = start - 3600000 WHERE tenant_id = ?1 AND period = 'hour'",
        "UPDATE records SET created_at = created_at - 3600000 WHERE tenant_id = ?1",
    ] {
        tenant.on_shard(sql, &[]).await;
    }
}

#[tokio::test]
async fn the_plans_records_are_never_passed() {
    let tenant = tenant(json!({"max_records": {"leads": 3}})).await;
    let mut running = JoinSet::new();
    for _ in 0..10 {
        let tenant = tenant.clone();
        running.spawn(async move { create(&tenant).await });
    }
    let answers = running.join_all().await;
    assert_eq!(answers.iter().filter(|answer| answer.status == 201).count(), 3);
    for answer in answers.into_iter().filter(|answer| answer.status != 201) {
        let refused = answer.expect_problem(409, "record_limit_reached");
        assert_eq!(refused.json()["detail"], "Lead limit exceeded for your plan");
    }
    assert_eq!(tenant.ids("leads", &[]).await.len(), 3);
    // What is there may change, and others are made.
    let id = tenant.ids("leads", &[]).await[0].clone();
    tenant.ask("PATCH", &format!("{LEADS}/{id}"), json!({"n": 1})).await.expect(200);
    tenant.record("support_tickets", json!({})).await;
}

#[tokio::test]
async fn what_is_deleted_makes_room() {
    let tenant = tenant(json!({"max_records": {"leads": 2}})).await;
    for id in ["r1", "r2"] {
        tenant.record("leads", json!({"id": id})).await;
    }
    create(&tenant).await.expect_problem(409, "record_limit_reached");
    tenant.as_owner("DELETE", &format!("{LEADS}/r1")).send().await.expect(200);
    tenant.record("leads", json!({"id": "r3"})).await;
    // What comes back needs room as what is new does.
    let restore = || tenant.as_owner("POST", &format!("{LEADS}/r1/restore")).send();
    restore().await.expect_problem(409, "record_limit_reached");
    tenant.bulk("leads", json!([{"op": "restore", "id": "r1"}])).await.expect_problem(409, "record_limit_reached");
    // One goes and one comes.
    tenant.bulk("leads", json!([{"op": "delete", "id": "r2"}, {"op": "restore", "id": "r1"}])).await.expect(200);
    tenant.bulk("leads", json!([{"op": "delete", "id": "r3"}, {"op": "create", "data": {}}])).await.expect(200);
    create(&tenant).await.expect_problem(409, "record_limit_reached");
}

#[tokio::test]
async fn operations_count_together() {
    let tenant = tenant(json!({"max_records": {"leads": 5}})).await;
    tenant.bulk("leads", creations(6)).await.expect_problem(409, "record_limit_reached");
    assert!(tenant.ids("leads", &[]).await.is_empty());
    tenant.bulk("leads", creations(4)).await.expect(200);
    tenant.bulk("leads", creations(2)).await.expect_problem(409, "record_limit_reached");
    tenant.bulk("leads", creations(1)).await.expect(200);
}

#[tokio::test]
async fn a_limit_may_be_for_every_collection_or_for_none() {
    let tenant = tenant(json!({"max_records": {"*": 1, "leads": -1}})).await;
    tenant.bulk("leads", creations(5)).await.expect(200);
    tenant.record("support_tickets", json!({})).await;
    let refused = tenant.ask("POST", "/api/v1/support_tickets", json!({})).await;
    let refused = refused.expect_problem(409, "record_limit_reached");
    assert_eq!(refused.json()["detail"], "Support ticket limit exceeded for your plan");
}

#[tokio::test]
async fn records_made_in_an_hour_are_counted_exactly() {
    let tenant = tenant(json!({"max_records_per_hour": {"leads": 4}})).await;
    let mut running = JoinSet::new();
    for _ in 0..8 {
        let tenant = tenant.clone();
        running.spawn(async move { create(&tenant).await });
    }
    let answers = running.join_all().await;
    assert_eq!(answers.iter().filter(|answer| answer.status == 201).count(), 4);
    for answer in answers.into_iter().filter(|answer| answer.status != 201) {
        let seconds: u64 = answer.expect_problem(429, "rate_limited").header("retry-after").parse().unwrap();
        assert!((1..=3600).contains(&seconds), "{seconds}");
    }
    // What was deleted was made.
    let ids = tenant.ids("leads", &[]).await;
    tenant.as_owner("DELETE", &format!("{LEADS}/{}", ids[0])).query("permanent", "true").send().await.expect(200);
    create(&tenant).await.expect(429);
    tenant.ask("PATCH", &format!("{LEADS}/{}", ids[1]), json!({"n": 1})).await.expect(200);
    an_hour_later(&tenant).await;
    tenant.bulk("leads", creations(5)).await.expect_problem(429, "rate_limited");
    tenant.bulk("leads", creations(4)).await.expect(200);
    create(&tenant).await.expect(429);
    // A collection that is made again begins no new hour.
    tenant.as_owner("DELETE", "/api/v1/collections/leads").send().await.expect(200);
    tenant.collection("leads", json!({"n": {"type": "number"}}), json!({})).await;
    create(&tenant).await.expect_problem(429, "rate_limited");
}

#[tokio::test]
async fn what_failed_is_not_counted() {
    let tenant = tenant(json!({"max_records_per_hour": {"leads": 2}, "max_records_per_month": {"leads": 3}})).await;
    tenant.ask("POST", LEADS, json!({"odd": 1})).await.expect(422);
    tenant.record("leads", json!({"id": "r1"})).await;
    tenant.ask("POST", LEADS, json!({"id": "r1"})).await.expect(409);
    tenant.record("leads", json!({"id": "r2"})).await;
    create(&tenant).await.expect(429);
    an_hour_later(&tenant).await;
    tenant.record("leads", json!({"id": "r3"})).await;
    let refused = create(&tenant).await.expect_problem(429, "rate_limited");
    assert_bound(&refused, "records-month", "allows 3 in");
}

/// The answer names a bound, and all that tells when it ends agrees.
fn assert_bound(refused: &TestResponse, policy: &str, text: &str) {
    let seconds: i64 = refused.header("retry-after").parse().unwrap();
    let header = refused.header("ratelimit");
    assert!(header.starts_with(&format!("\"{policy}\";r=0;t=")), "{header}");
    let told: i64 = header.rsplit("t=").next().unwrap().parse().unwrap();
    assert!(seconds > 0 && (told - seconds).abs() <= 1, "{seconds} {header}");
    assert!(refused.header("ratelimit-policy").starts_with(&format!("\"{policy}\";q=")));
    let detail = refused.json()["detail"].as_str().unwrap().to_owned();
    assert!(detail.contains(policy) && detail.contains(text), "{detail}");
}

#[tokio::test]
async fn of_an_hour_and_a_month_that_are_used_up_the_month_is_told() {
    let both = json!({"max_records_per_hour": {"leads": 1}, "max_records_per_month": {"leads": 2}});
    let tenant = tenant(both).await;
    tenant.record("leads", json!({})).await;
    let hour = create(&tenant).await.expect_problem(429, "rate_limited");
    assert_bound(&hour, "records-hour", "allows 1 in 3600 seconds; 0 are left");
    an_hour_later(&tenant).await;
    tenant.record("leads", json!({})).await;
    assert_bound(&create(&tenant).await, "records-month", "allows 2 in");
    let bulk = tenant.bulk("leads", creations(2)).await.expect_problem(429, "rate_limited");
    assert_bound(&bulk, "records-month", "allows 2 in");
}

#[tokio::test]
async fn a_bound_counts_what_was_made_in_its_window_before_it_was_set() {
    for (limit, policy) in [("max_records_per_month", "records-month"), ("max_records_per_hour", "records-hour")] {
        let tenant = tenant(json!({})).await;
        tenant.bulk("leads", creations(3)).await.expect(200);
        tenant.record("support_tickets", json!({})).await;
        let set = async |most: i64| tenant.patch(json!({"rate_limits": {limit: {"leads": most}}})).await;
        set(2).await;
        assert_bound(&create(&tenant).await.expect_problem(429, "rate_limited"), policy, "allows 2 in");
        set(4).await;
        create(&tenant).await.expect(201);
        assert_bound(&create(&tenant).await.expect_problem(429, "rate_limited"), policy, "allows 4 in");
        // What was made while there was no bound counts again once there is one.
        an_hour_later(&tenant).await;
        if limit == "max_records_per_hour" {
            set(-1).await;
            tenant.bulk("leads", creations(3)).await.expect(200);
            set(3).await;
            assert_bound(&create(&tenant).await.expect_problem(429, "rate_limited"), policy, "allows 3 in");
        }
    }
}

#[tokio::test]
async fn a_limit_that_is_raised_holds_for_the_next_write() {
    let tenant = tenant(json!({"max_records": {"leads": 1}})).await;
    create(&tenant).await.expect(201);
    create(&tenant).await.expect(409);
    tenant.patch(json!({"rate_limits": {"max_records": {"leads": 2}}})).await;
    create(&tenant).await.expect(201);
    create(&tenant).await.expect(409);
}
