//! `GET /api/v1/tenants`: pages by cursor and by number, filters, counts.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::world::{Tenant, TestResponse, World, unique};

/// Tenants that share a word which no other tenant has; every second one is on the pro plan.
async fn siblings(world: &World, count: usize) -> (String, Vec<Tenant>) {
    let word = format!("w{}", unique());
    let mut made = Vec::new();
    for number in 0..count {
        let plan = if number % 2 == 0 { "pro" } else { "free" };
        let name = json!(format!("{word} number {number}"));
        made.push(world.tenant().plan(plan).set("display_name", name).create().await);
    }
    (word, made)
}

fn ids(answer: &TestResponse) -> Vec<String> {
    let data = answer.data();
    let rows = data.as_array().unwrap();
    rows.iter().map(|row| row["tenant_id"].as_str().unwrap().to_owned()).collect()
}

fn set(tenants: &[Tenant]) -> BTreeSet<String> {
    tenants.iter().map(|tenant| tenant.id.clone()).collect()
}

#[tokio::test]
async fn a_cursor_walks_every_tenant_once() {
    let world = World::shared().await;
    let (word, made) = siblings(&world, 7).await;
    let mut seen = Vec::new();
    let mut cursor: Option<String> = None;
    loop {
        let mut call = world.platform("GET", "/api/v1/tenants").query("q", &word).query("limit", "3");
        if let Some(cursor) = &cursor {
            call = call.query("cursor", cursor);
        }
        let page = call.send().await.expect(200);
        assert!(ids(&page).len() <= 3);
        seen.extend(ids(&page));
        let pagination = page.json()["pagination"].clone();
        assert_eq!(pagination["has_next"], pagination["cursor"].is_string(), "{pagination}");
        match pagination["cursor"].as_str() {
            Some(next) => cursor = Some(next.to_owned()),
            None => break,
        }
    }
    assert_eq!(seen.len(), 7);
    assert_eq!(seen.into_iter().collect::<BTreeSet<_>>(), set(&made));
}

#[tokio::test]
async fn a_row_made_while_walking_shifts_no_page() {
    let world = World::shared().await;
    let (word, made) = siblings(&world, 4).await;
    let list = || world.platform("GET", "/api/v1/tenants").query("q", &word).query("limit", "2");
    let first = list().send().await.expect(200);
    let late = world.tenant().set("display_name", json!(format!("{word} late"))).create().await;
    let cursor = first.json()["pagination"]["cursor"].as_str().unwrap().to_owned();
    let second = list().query("cursor", &cursor).send().await.expect(200);
    let seen: BTreeSet<_> = ids(&first).into_iter().chain(ids(&second)).collect();
    assert!(seen.is_subset(&set(&made)) || seen.contains(&late.id));
    assert_eq!(seen.len(), 4, "nobody twice");
}

#[tokio::test]
async fn pages_are_numbered_where_asked() {
    let world = World::shared().await;
    let (word, made) = siblings(&world, 5).await;
    let page = async |number: &str| {
        let call = world.platform("GET", "/api/v1/tenants").query("q", &word);
        call.query("page", number).query("per_page", "2").send().await.expect(200)
    };
    let (first, second, third) = (page("1").await, page("2").await, page("3").await);
    let told = first.json()["pagination"].clone();
    assert_eq!(told["page"], 1);
    assert_eq!(told["per_page"], 2);
    assert_eq!(told["total"], 5);
    assert_eq!(told["total_pages"], 3);
    assert_eq!((&told["has_next"], &told["has_prev"]), (&json!(true), &json!(false)));
    let told = third.json()["pagination"].clone();
    assert_eq!((&told["has_next"], &told["has_prev"]), (&json!(false), &json!(true)));
    let all: Vec<_> = [first, second, third].iter().flat_map(ids).collect();
    assert_eq!(all.len(), 5);
    assert_eq!(all.into_iter().collect::<BTreeSet<_>>(), set(&made));
}

#[tokio::test]
async fn a_total_is_counted_when_asked_for() {
    let world = World::shared().await;
    let (word, _) = siblings(&world, 3).await;
    let list = || world.platform("GET", "/api/v1/tenants").query("q", &word).query("limit", "1");
    let counted = list().query("count", "true").send().await.expect(200);
    assert_eq!(counted.json()["pagination"]["total"], 3);
}

#[tokio::test]
async fn status_plan_and_text_filter_together() {
    let world = World::shared().await;
    let (word, made) = siblings(&world, 4).await;
    made[0].suspend().await;
    let find = async |filters: &[(&str, &str)]| {
        let mut call = world.platform("GET", "/api/v1/tenants").query("q", &word);
        for (name, value) in filters {
            call = call.query(name, value);
        }
        ids(&call.send().await.expect(200)).into_iter().collect::<BTreeSet<_>>()
    };
    assert_eq!(find(&[]).await, set(&made));
    assert_eq!(find(&[("status", "suspended")]).await, set(&made[..1]));
    assert_eq!(find(&[("status", "active")]).await, set(&made[1..]));
    let pro = [made[0].clone(), made[2].clone()];
    assert_eq!(find(&[("plan", "pro")]).await, set(&pro));
    assert_eq!(find(&[("plan", "pro"), ("status", "active")]).await, set(&made[2..3]));
    assert_eq!(find(&[("plan", "enterprise")]).await, BTreeSet::new());
}

#[tokio::test]
async fn text_finds_ids_names_and_slugs_and_no_wildcards() {
    let world = World::shared().await;
    let tenant = world.tenant().set("display_name", json!("Blühende Gärten")).create().await;
    let find = async |text: &str| {
        let call = world.platform("GET", "/api/v1/tenants").query("q", text);
        ids(&call.send().await.expect(200))
    };
    assert_eq!(find(&tenant.id).await, [tenant.id.as_str()]);
    assert_eq!(find(&tenant.id[2..].to_uppercase()).await, [tenant.id.as_str()]);
    assert_eq!(find(&format!("{}%", &tenant.id[..9])).await, Vec::<String>::new());
    assert_eq!(find(&format!("{}_", &tenant.id[..13])).await, Vec::<String>::new());
    let long = "x".repeat(120);
    assert_eq!(find(&long).await, Vec::<String>::new(), "longer than LIKE would take");
}

#[tokio::test]
async fn a_list_shows_no_secret() {
    let world = World::shared().await;
    let (word, made) = siblings(&world, 1).await;
    let page = world.platform("GET", "/api/v1/tenants").query("q", &word).send().await.expect(200);
    assert!(!page.body.contains(&made[0].webhook_secret));
    assert!(!page.body.contains(&made[0].subscription_secret));
    assert_eq!(page.data()[0].get("webhook_secret"), None::<&Value>);
}

#[tokio::test]
async fn a_bad_query_names_its_parameter() {
    let world = World::shared().await;
    let (word, _) = siblings(&world, 2).await;
    let list = || world.platform("GET", "/api/v1/tenants");
    for (name, value) in [
        ("status", "asleep"),
        ("plan", "platinum"),
        ("limit", "0"),
        ("limit", "many"),
        ("page", "0"),
        ("per_page", "x"),
        ("count", "perhaps"),
        ("cursor", "nonsense"),
    ] {
        let answer = list().query(name, value).send().await;
        assert_eq!(answer.status, 400, "{name}={value}: {}", answer.body);
        answer.expect_invalid_query(name);
    }

    let first = list().query("q", &word).query("limit", "1").send().await.expect(200);
    let cursor = first.json()["pagination"]["cursor"].as_str().unwrap().to_owned();
    let (head, tail) = cursor.split_at(cursor.len() / 2);
    let forged = format!("{head}{}{}", if tail.starts_with('A') { 'B' } else { 'A' }, &tail[1..]);
    let forged = list().query("q", &word).query("cursor", &forged).send().await;
    forged.expect_invalid_query("cursor");
    let other_filter = list().query("status", "active").query("cursor", &cursor).send().await;
    other_filter.expect_invalid_query("cursor");
}
