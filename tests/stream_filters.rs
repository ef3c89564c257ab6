//! A stream's filter is the filter of a list: it takes the same ones, and hears of the same records.

use serde_json::json;

use crate::world::{Stream, Tenant, World};

const EMAIL: &str = "x@bücher.example";

/// A collection of every kind of field, which everybody may read.
async fn tenant() -> Tenant {
    let tenant = World::shared().await.tenant().plan("enterprise").limit("max_connections_per_ip", -1).create().await;
    let text = |format: &str| json!({"type": "string", "format": format});
    let fields = json!({
        "name": {"type": "string"}, "score": {"type": "number"}, "done": {"type": "boolean"}, "meta": {"type": "object"},
        "at": text("date-time"), "times": {"type": "array", "items": text("date-time")},
        "email": text("email"), "mails": {"type": "array", "items": text("email")},
        "day": text("date"), "uuid": text("uuid"), "size": {"type": "string", "enum": ["s", "m"]},
    });
    let statuses = json!({"initial": "draft", "transitions": {"draft": ["done"]}});
    tenant.collection("things", fields, json!({"live": true, "public_read": true, "statuses": statuses})).await;
    tenant
}

/// The records that a stream is told of, up to the one named `end`.
async fn told(stream: &mut Stream) -> Vec<String> {
    let mut told = Vec::new();
    while told.last().is_none_or(|id| id != "end") {
        let body = stream.event().await.body;
        assert_eq!(body["action"], "CREATE", "{body}");
        told.push(body["data"]["id"].as_str().unwrap().to_owned());
    }
    told
}

#[tokio::test]
async fn a_stream_hears_of_the_records_that_its_list_shows() {
    let tenant = tenant().await;
    let of_email = |comparison: &str| format!("{comparison} '{EMAIL}'");
    let filters = [
        ("at >= '2027-01-01T00:45:00+01:00'".to_owned(), "bc"),
        ("at = '2027-01-01T00:00:00Z'".to_owned(), "b"),
        ("at = '2027-01-01'".to_owned(), "b"),
        ("at < '2027-01-01'".to_owned(), "a"),
        ("times < '2027-01-01'".to_owned(), "a"),
        ("times != '2027-06-01T02:00:00+02:00'".to_owned(), "ab"),
        (of_email("email ="), "b"),
        (of_email("email !="), "ac"),
        (of_email("mails ="), "bc"),
        (of_email("mails !="), "a"),
        ("created_at > '2020-01-01T00:00:00+01:00'".to_owned(), "abc"),
        ("updated_at <= '2020-01-01'".to_owned(), ""),
        ("day >= '2027-01-01' && day < '2027-02-01'".to_owned(), "a"),
        ("status != 'done' && score >= 3".to_owned(), "ac"),
        (String::new(), "abc"),
    ]
    .map(|(filter, expected)| match filter.as_str() {
        "" => (filter, expected),
        asked => (format!("name = 'end' || ({asked})"), expected),
    });
    let mut streams = Vec::new();
    for (filter, _) in &filters {
        streams.push(tenant.events(&["records/things"]).query("filter", filter).live().await);
    }
    let before = tenant.listed("things", &[]).await.expect(200).header("last-event-id").to_owned();
    for record in [
        json!({"id": "a", "at": "2026-12-31T23:30:00Z", "times": ["2026-06-01T00:00:00Z"], "email": "ann@example.com",
            "mails": ["ann@example.com"], "day": "2027-01-01", "score": 3}),
        json!({"id": "b", "at": "2027-01-01T00:00:00Z", "times": [], "email": EMAIL, "mails": [EMAIL],
            "day": "2027-02-28", "score": 5, "status": "done"}),
        json!({"id": "c", "at": "2027-01-01T02:00:00+01:00", "times": ["2027-06-01T00:00:00Z"], "email": "zoe@example.com",
            "mails": ["zoe@example.com", "x@xn--bcher-kva.example"], "day": "2026-01-01", "score": 4}),
        json!({"id": "end", "name": "end"}),
    ] {
        tenant.record("things", record).await;
    }
    for ((filter, expected), mut stream) in filters.iter().zip(streams) {
        let shown = tenant.ids("things", &[("filter", filter), ("sort", "id")]).await;
        assert_eq!(shown.concat(), format!("{expected}end"), "{filter}");
        assert_eq!(told(&mut stream).await, shown, "{filter}");
        let replayed = tenant.events(&["records/things"]).query("filter", filter).after(&before);
        assert_eq!(told(&mut replayed.resumed().await).await, shown, "{filter}, replayed");
    }
}

#[tokio::test]
async fn a_stream_refuses_what_its_list_refuses() {
    let tenant = tenant().await;
    for filter in [
        "nothing = 1",
        "tenant_id = 'a'",
        "client_id = 'a'",
        "deleted_at = null",
        "score = '3'",
        "done = 1",
        "name = 1",
        "meta = null",
        "at > 'soon'",
        "at ~ '2027'",
        "score > 1e309",
        "status = 'nope'",
        "status != 'nope'",
        "day = '2027-02-30'",
        "day = '2027-1-1'",
        "day < 'zzz'",
        "day = '2027-01-01T00:00:00Z'",
        "uuid = '7'",
        "email = 'ann'",
        "mails != 'ann'",
        "size = 'xl'",
        "size != 'xl'",
        "name = 'a' || (score > 1 && done = 'yes')",
        "name =",
    ] {
        let listed = tenant.listed("things", &[("filter", filter)]).await.expect_invalid_query("filter");
        let asked = |topic: &str| tenant.events(&[topic]).query("filter", filter);
        for topic in ["records/things", "records/things/a", "records/things/*", "records/*"] {
            let refused = asked(topic).refused().await.expect_invalid_query("filter");
            assert_eq!(refused.json()["errors"], listed.json()["errors"], "{filter} of {topic}");
        }
        let head = tenant.call("HEAD", "/events").query("topic", "records/things").query("filter", filter);
        assert_eq!(head.send().await.status, 400, "{filter}");
    }
    let twice = tenant.events(&["records/things"]).query("filter", "score > 1").query("filter", "score < 1");
    twice.refused().await.expect_invalid_query("filter");
    for empty in ["", " "] {
        tenant.events(&["records/things", "orders"]).query("filter", empty).live().await;
    }
}

#[tokio::test]
async fn a_filter_tells_nothing_of_a_collection_that_its_caller_may_not_know() {
    let tenant = tenant().await;
    tenant.collection("secrets", json!({"score": {"type": "number"}}), json!({"live": true})).await;
    let of = |topic: &str, filter: &str| tenant.events(&[topic]).query("filter", filter);
    for filter in ["score = 1", "nothing = 1"] {
        let hidden = of("records/secrets", filter).refused().await.expect_problem(404, "not_found");
        let missing = of("records/nobody", filter).refused().await.expect_problem(404, "not_found");
        assert_eq!(hidden.masked(&["secrets"]), missing.masked(&["nobody"]));
        for token in [tenant.token(&["records/other", "orders"]), tenant.token(&["records/secret"])] {
            let refused = of("records/secrets", filter).token(token.clone()).refused().await;
            refused.expect_problem(404, "not_found");
            let ticket = tenant.ticket(token).await;
            of("records/secrets", filter).ticket(&ticket).refused().await.expect_problem(404, "not_found");
        }
        of("records/secrets", filter).ticket("car_st_none").refused().await.expect_problem(401, "invalid_token");
        of("records/secr*", filter).refused().await.expect_problem(404, "not_found");
    }
    tenant.events(&["records/secrets"]).live().await;
    let granted = || tenant.token(&["records/secrets/7", "orders"]);
    let reader = format!("Bearer {}", tenant.key(&["records:read"]).await.text);
    let listener = format!("Bearer {}", tenant.key(&["events:read"]).await.text);
    of("records/secrets", "score = 1").token(granted()).live().await;
    of("records/secrets", "score = 1").header("Authorization", &reader).live().await;
    of("records/secrets", "score = 1").ticket(&tenant.ticket(granted()).await).live().await;
    let asked = |filter: &str| of("records/secrets", filter);
    asked("nothing = 1").token(granted()).refused().await.expect_invalid_query("filter");
    asked("nothing = 1").header("Authorization", &reader).refused().await.expect_invalid_query("filter");
    let unknown = asked("nothing = 1").header("Authorization", &listener).refused().await;
    unknown.expect_problem(404, "not_found");
    let ticket = tenant.ticket(granted()).await;
    asked("nothing = 1").ticket(&ticket).refused().await.expect_invalid_query("filter");
    asked("score = 1").ticket(&ticket).live().await;
}

#[tokio::test]
async fn several_collections_are_of_one_mind_about_a_filter() {
    let tenant = tenant().await;
    tenant.collection("days", json!({"at": {"type": "string", "format": "date"}}), json!({"public_read": true})).await;
    tenant.collection("numbers", json!({"n": {"type": "number"}}), json!({"public_read": true})).await;
    tenant.collection("secrets", json!({"hidden": {"type": "string"}}), json!({})).await;
    let of = |topics: &[&str], filter: &str| tenant.events(topics).query("filter", filter);
    for (topics, filter) in [
        (vec!["records/*"], "n = 1"),
        (vec!["records/*"], "at = null"),
        (vec!["records/days", "records/num*"], "at = '2027-01-01'"),
        (vec!["records/things", "records/days"], "id = 'a'"),
        (vec!["records/things/a", "records/things", "records/none*"], "score > 1"),
    ] {
        of(&topics, filter).live().await;
    }
    for (topics, filter, code) in [
        (vec!["records/*"], "hidden = 'a'", "unknown_field"),
        (vec!["records/*"], "at = '2027-01-01'", "ambiguous"),
        (vec!["records/things", "records/days"], "at = '2027-01-01'", "ambiguous"),
        (vec!["records/things", "records/numbers"], "n = 1", "unknown_field"),
    ] {
        let refused = of(&topics, filter).refused().await.expect_invalid_query("filter");
        assert_eq!(refused.codes(), [code], "{topics:?} {filter}");
    }
    let refused = of(&["records/things", "records/secrets"], "id = 'a'").refused().await;
    refused.expect_problem(404, "not_found");
}

#[tokio::test]
async fn what_is_not_of_records_takes_no_filter() {
    let tenant = tenant().await;
    for topics in [&["orders"][..], &["records/things", "orders"], &["*"], &["records*"]] {
        let refused =
            tenant.events(topics).query("filter", "score >= 3").refused().await.expect_invalid_query("filter");
        assert_eq!(refused.codes(), ["not_of_records"]);
    }
}
