//! Templates: collections that ship with the platform, and what their records look like.

use std::collections::HashMap;

use serde_json::{Map, Value, json};

use crate::world::{Tenant, World};

const TEMPLATES: &str = "/api/v1/templates";

async fn tenant() -> Tenant {
    World::shared().await.unbounded_tenant().await
}

#[tokio::test]
async fn templates_are_listed_with_their_collections() {
    let tenant = tenant().await;
    let listed = tenant.get(TEMPLATES).await.expect(200);
    let expected = [
        "deployments",
        "workflows",
        "leads",
        "campaigns",
        "agents",
        "conversations",
        "content",
        "media",
        "plugins",
        "support_tickets",
        "blog",
        "newsroom",
    ];
    assert_eq!(listed.column("name"), expected);
    for template in listed.data().as_array().unwrap() {
        assert!(
            !template["description"].as_str().unwrap().is_empty()
                && !template["collections"].as_array().unwrap().is_empty()
        );
    }
    tenant.as_owner("POST", &format!("{TEMPLATES}/nothing/apply")).send().await.expect_problem(404, "not_found");
}

#[tokio::test]
async fn every_template_is_applied_and_its_collections_take_records() {
    let tenant = tenant().await;
    for template in tenant.get(TEMPLATES).await.data().as_array().unwrap() {
        let apply = async || {
            tenant.as_owner("POST", &format!("{TEMPLATES}/{}/apply", template["name"].as_str().unwrap())).send().await
        };
        let applied = apply().await.expect(200).data();
        let together =
            [applied["made"].as_array().unwrap().clone(), applied["kept"].as_array().unwrap().clone()].concat();
        for slug in template["collections"].as_array().unwrap() {
            assert!(together.contains(slug), "{applied}");
        }
        let again = apply().await.expect(200).data();
        assert_eq!((&again["made"], &again["kept"]), (&json!([]), &template["collections"]));
    }
    let mut known: HashMap<String, String> = HashMap::new();
    let mut waiting: Vec<Value> = tenant.get("/api/v1/collections").await.data().as_array().unwrap().clone();
    assert!(waiting.len() >= 12);
    while !waiting.is_empty() {
        let before = waiting.len();
        let mut later = Vec::new();
        for collection in waiting {
            let slug = collection["slug"].as_str().unwrap();
            let Some(body) = plausible(&collection, &known) else {
                later.push(collection);
                continue;
            };
            let made = tenant.record(slug, body.clone()).await;
            for (name, value) in body.as_object().unwrap() {
                assert_eq!(&made[name], value, "{slug}.{name}");
            }
            assert_eq!(made.get("client_id").is_some(), collection["alias"] == "client_id", "{slug}");
            assert_eq!(made["status"], collection["statuses"]["initial"], "{slug}");
            assert_eq!(tenant.listed(slug, &[("q", "x"), ("sort", "-created_at")]).await.status, 200);
            known.insert(slug.to_owned(), made["id"].as_str().unwrap().to_owned());
        }
        assert!(later.len() < before, "references in a circle: {later:#?}");
        waiting = later;
    }
}

/// A record with every field of its collection; none while one that it refers to is not there.
fn plausible(collection: &Value, known: &HashMap<String, String>) -> Option<Value> {
    let mut record = Map::new();
    for (name, property) in collection["schema"]["properties"].as_object().unwrap() {
        if let Some(target) = property["reference"].as_str() {
            if target == collection["slug"] {
                continue;
            }
            let id = json!(known.get(target)?);
            record.insert(name.clone(), if property["type"].to_string().contains("array") { json!([id]) } else { id });
        } else {
            record.insert(name.clone(), value(property));
        }
    }
    Some(record.into())
}

fn value(property: &Value) -> Value {
    if let Some(first) = property["enum"].as_array().and_then(|values| values.first()) {
        return first.clone();
    }
    let kind = property["type"].as_str().or_else(|| property["type"][0].as_str()).unwrap();
    let at_least = |name: &str| property[name].as_u64().unwrap_or(0);
    match (kind, property["format"].as_str()) {
        ("string", Some("date-time")) => json!("2026-01-31T12:00:00.000Z"),
        ("string", Some("date")) => json!("2026-01-31"),
        ("string", Some("email")) => json!("ada@example.test"),
        ("string", Some("uri")) => json!("https://example.test/a"),
        ("string", Some("uuid")) => json!("550e8400-e29b-41d4-a716-446655440000"),
        ("string", _) => json!("x".repeat(at_least("minLength").max(1) as usize)),
        ("integer" | "number", _) => json!(at_least("minimum").max(1)),
        ("boolean", _) => json!(true),
        ("array", _) => json!(vec![value(&property["items"]); at_least("minItems").max(1) as usize]),
        _ => match property["properties"].as_object() {
            Some(members) => Value::Object(members.iter().map(|(name, inner)| (name.clone(), value(inner))).collect()),
            None => json!({}),
        },
    }
}

#[tokio::test]
async fn leads_have_the_fields_of_their_table() {
    let tenant = tenant().await;
    tenant.template("leads").await;
    let made = tenant.record("leads", json!({"client_id": tenant.id, "email": "test@example.com"})).await;
    assert_eq!(
        (&made["client_id"], &made["status"], &made["email"]),
        (&json!(tenant.id), &json!("new"), &json!("test@example.com"))
    );
    let found =
        tenant.listed("leads", &[("filter", "email = 'test@example.com'"), ("sort", "last_name")]).await.expect(200);
    assert_eq!(found.data(), json!([made]));
    // An address may come twice: campaigns bring one person to the table more than once.
    tenant.record("leads", json!({"email": "test@example.com"})).await;
    tenant.ask("POST", "/api/v1/leads", json!({"score": 101})).await.expect_invalid("/score");
}

#[tokio::test]
async fn a_template_keeps_what_the_tenant_made_of_its_name() {
    let tenant = tenant().await;
    tenant.collection("leads", json!({"own": {"type": "string"}}), json!({})).await;
    tenant.template("leads").await;
    let kept = tenant.shown_collection("leads").await;
    assert_eq!((&kept["template"], &kept["schema"]["properties"]["own"]["type"]), (&Value::Null, &json!("string")));
    tenant.template("blog").await;
    let shown = tenant.get("/api/v1/collections").await.data();
    assert!(shown.as_array().unwrap().iter().any(|collection| collection["template"] == "blog"));
}

#[tokio::test]
async fn a_tenant_begins_with_the_collections_that_its_creation_names() {
    let world = World::shared().await;
    let slugs = async |tenant: &Tenant| tenant.get("/api/v1/collections").await.expect(200).column("slug");
    let one = world.tenant().set("template", json!("leads")).create().await;
    assert_eq!(slugs(&one).await, ["leads"]);
    one.record("leads", json!({"email": "first@example.test"})).await;
    assert!(slugs(&world.tenant().create().await).await.is_empty());
    let names = world.tenant().create().await.get(TEMPLATES).await.expect(200).column("name");
    let all = world.tenant().set("templates", json!(names)).create().await;
    assert!(slugs(&all).await.len() > names.len());
    // What the tenant makes of them stays, whatever the operator changes.
    one.as_owner("DELETE", "/api/v1/collections/leads").send().await.expect(200);
    one.patch(json!({"display_name": "One"})).await;
    assert!(slugs(&one).await.is_empty());
}

#[tokio::test]
async fn a_template_that_is_none_makes_no_tenant() {
    let world = World::shared().await;
    for (name, value, pointer) in [
        ("template", json!("nothing"), "/template"),
        ("template", json!(["leads", "nothing"]), "/template/1"),
        ("templates", json!([7]), "/templates/0"),
        ("templates", json!(vec!["leads"; 13]), "/templates"),
    ] {
        world.tenant().set(name, value).call().send().await.expect_invalid(pointer);
    }
    let tenant = world.tenant().create().await;
    tenant.admin("PATCH", "").json(&json!({"template": "leads"})).send().await.expect_invalid("/template");
}

#[tokio::test]
async fn a_plugin_keeps_one_value_under_each_key() {
    let (here, there) = World::pair().await;
    let tenant = here.unbounded_tenant().await;
    tenant.template("plugins").await;
    let shown = tenant.shown_collection("plugin_data").await;
    assert_eq!(shown["unique_together"], json!(["plugin_id", "key"]));
    assert_eq!(tenant.shown_collection("plugins").await["unique_together"], Value::Null);
    // What the rule rests on cannot be taken away.
    for (change, name) in [
        (json!({"properties": {"key": {"indexed": null}}}), "key"),
        (json!({"properties": {"key": {"indexed": false}}}), "key"),
        (json!({"properties": {"key": null}, "required": []}), "key"),
        (json!({"properties": {"plugin_id": null}, "required": []}), "plugin_id"),
    ] {
        let change = json!({"schema": change});
        let refused = tenant.ask("PATCH", "/api/v1/collections/plugin_data", change).await;
        refused.expect_invalid(&format!("/schema/properties/{name}"));
    }
    for name in ["seo", "forms"] {
        tenant.record("plugins", json!({"id": name, "name": name})).await;
    }
    let data = |plugin: &str, key: &str| json!({"plugin_id": plugin, "key": key, "value": {"n": 1}});
    let first = tenant.record("plugin_data", data("seo", "settings")).await;
    tenant.record("plugin_data", data("forms", "settings")).await;
    let other = tenant.record("plugin_data", data("seo", "cache")).await;
    let elsewhere = tenant.through(&there);
    let twice = elsewhere.ask("POST", "/api/v1/plugin_data", data("seo", "settings")).await;
    assert_eq!(twice.expect_problem(409, "not_unique").pointers(), ["/key"]);
    let path = |record: &Value| format!("/api/v1/plugin_data/{}", record["id"].as_str().unwrap());
    elsewhere.ask("PATCH", &path(&other), json!({"key": "settings"})).await.expect_problem(409, "not_unique");
    // Its own value is no other's.
    elsewhere.ask("PATCH", &path(&first), json!({"value": {"n": 2}})).await.expect(200);
    elsewhere.ask("PUT", &path(&first), data("seo", "settings")).await.expect(200);
    let bulk = json!([{"op": "create", "data": data("seo", "new")}, {"op": "create", "data": data("seo", "new")}]);
    let refused = tenant.bulk("plugin_data", bulk).await.expect_problem(409, "not_unique");
    assert_eq!(refused.pointers(), ["/operations/1/data/key"]);
    // One that is gone leaves its key, and two may change places in one request.
    tenant.as_owner("DELETE", &path(&first)).send().await.expect(200);
    let again = tenant.record("plugin_data", data("seo", "settings")).await;
    let swapped = json!([
        {"op": "update", "id": again["id"], "data": {"key": "cache"}},
        {"op": "update", "id": other["id"], "data": {"key": "settings"}},
    ]);
    tenant.bulk("plugin_data", swapped).await.expect(200);
    // Of many at once one is written.
    let calls = (0..6).map(|i| {
        let tenant = if i % 2 == 0 { &tenant } else { &elsewhere };
        tenant.ask("POST", "/api/v1/plugin_data", data("forms", "race"))
    });
    let answers = futures_util::future::join_all(calls).await;
    assert_eq!(answers.iter().filter(|answer| answer.status == 201).count(), 1);
    assert!(answers.iter().all(|answer| [201, 409].contains(&answer.status)));
    // Another tenant's keys are its own.
    let stranger = here.unbounded_tenant().await;
    stranger.template("plugins").await;
    stranger.record("plugins", json!({"id": "seo", "name": "seo"})).await;
    stranger.record("plugin_data", data("seo", "settings")).await;
}
