//! What a list with a stream behind it shows: each change as it is for the records that the list shows, none lost between
//! the two and none told twice.

use std::collections::BTreeMap;

use futures_util::future::join_all;
use serde_json::{Value, json};

use crate::world::{Chromium, Line, Stream, Tenant, World};

/// A front end's list: what a GET gave, and a stream that goes on from there.
struct LiveList {
    filter: String,
    records: BTreeMap<String, Value>,
    stream: Stream,
    told: Vec<(String, String)>,
}

/// Records by their ids.
fn by_id(list: &Value) -> BTreeMap<String, Value> {
    let records = list.as_array().unwrap().iter();
    records.map(|record| (record["id"].as_str().unwrap().to_owned(), record.clone())).collect()
}

async fn listed(tenant: &Tenant, filter: &str) -> (BTreeMap<String, Value>, String) {
    let answer = tenant.call("GET", "/api/v1/leads").query("per_page", "200").query("filter", filter).send().await;
    let answer = answer.expect(200);
    (by_id(&answer.json()["data"]), answer.header("last-event-id").to_owned())
}

impl LiveList {
    /// Loads the list, and opens the stream as a browser does, which can set no header.
    async fn open(tenant: &Tenant, filter: &str) -> LiveList {
        let (records, position) = listed(tenant, filter).await;
        let stream = tenant.events(&["records/leads"]).query("filter", filter).query("last_event_id", &position);
        LiveList { filter: filter.into(), records, stream: stream.resumed().await, told: Vec::new() }
    }

    /// Applies what is told until a record of this id is there. Nothing may be told of what is not shown.
    async fn follow(&mut self, end: &str) {
        while !self.records.contains_key(end) {
            let body = self.stream.event().await.body;
            let (action, data) = (body["action"].as_str().unwrap().to_owned(), &body["data"]);
            let id = data["id"].as_str().unwrap().to_owned();
            self.told.push((action.clone(), id.clone()));
            let known = match action.as_str() {
                "CREATE" | "UPDATE" => self.records.insert(id, data["record"].clone()),
                "DELETE" | "LEAVE" => {
                    let names: Vec<&String> = data.as_object().unwrap().keys().collect();
                    assert_eq!(names, ["id", "collection", "version"], "{body}");
                    self.records.remove(&id)
                }
                other => panic!("{other}"),
            };
            assert_eq!(known.is_some(), action != "CREATE", "{}: {body}", self.filter);
            if let Some(known) = known {
                let (was, is) = (known["version"].as_i64().unwrap(), data["version"].as_i64().unwrap());
                assert!(was < is || (action == "DELETE" && was == is), "{}: {was} {body}", self.filter);
            }
        }
    }

    /// What was told since it was last asked.
    fn told(&mut self) -> Vec<(String, String)> {
        std::mem::take(&mut self.told)
    }
}

fn fields() -> Value {
    json!({
        "name": {"type": "string"},
        "score": {"type": ["integer", "null"]},
        "tags": {"type": "array", "items": {"type": "string"}},
        "city": {"type": "string", "indexed": true},
    })
}

async fn leads(tenant: &Tenant, more: Value) {
    let statuses = json!({"initial": "draft", "transitions": {"draft": ["published"], "published": ["draft"]}});
    let mut settings = json!({"live": true, "public_read": true, "versioned": true, "statuses": statuses});
    settings.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    tenant.collection("leads", fields(), settings).await;
}

async fn tenant(world: &World) -> Tenant {
    world.tenant().plan("enterprise").create().await
}

#[tokio::test]
async fn a_filtered_stream_says_what_comes_and_what_leaves() {
    let (a, b) = World::pair().await;
    let tenant = tenant(&a).await;
    leads(&tenant, json!({"soft_delete": true})).await;
    let filter = "(score >= 3 && tags ~ 'x' && status = 'published') || name = 'end'";
    let make = |id: &str| json!({"id": id, "name": id, "score": 5, "tags": ["x", "y"], "status": "published"});
    let ids = ["patched", "nulled", "put", "bulked", "status", "element", "deleted", "restored", "touched", "never"];
    for id in ids {
        let mut record = make(id);
        record.as_object_mut().unwrap().remove("status");
        tenant.record("leads", record).await;
        let publish = json!({"status": "published"});
        tenant.ask("PATCH", &format!("/api/v1/leads/{id}"), publish).await.expect(200);
    }
    let change = async |method: &str, id: &str, body: Value| {
        tenant.ask(method, &format!("/api/v1/leads/{id}"), body).await.expect(200);
    };
    change("PATCH", "never", json!({"score": 0})).await;
    let elsewhere = tenant.through(&b);
    let mut list = LiveList::open(&elsewhere, filter).await;
    let (_, before) = listed(&elsewhere, filter).await;
    let shown: Vec<&str> = list.records.keys().map(String::as_str).collect();
    assert_eq!(shown, ["bulked", "deleted", "element", "nulled", "patched", "put", "restored", "status", "touched"]);

    change("PATCH", "touched", json!({"city": "Ulm"})).await;
    change("PATCH", "patched", json!({"score": 2})).await;
    change("PATCH", "nulled", json!({"score": null})).await;
    change("PUT", "put", json!({"name": "put", "score": 9, "status": "published"})).await;
    let update = json!([{"op": "update", "id": "bulked", "data": {"score": 1}}]);
    tenant.bulk("leads", update).await.expect(200);
    change("PATCH", "status", json!({"status": "draft"})).await;
    change("PATCH", "element", json!({"tags": ["y"]})).await;
    tenant.as_owner("DELETE", "/api/v1/leads/deleted").send().await.expect(200);
    tenant.as_owner("DELETE", "/api/v1/leads/restored").send().await.expect(200);
    tenant.as_owner("POST", "/api/v1/leads/restored/restore").send().await.expect(200);
    change("PATCH", "never", json!({"score": 1})).await;
    change("PATCH", "never", json!({"score": 8})).await;
    change("PATCH", "patched", json!({"score": 3})).await;
    tenant.record("leads", json!({"id": "end", "name": "end"})).await;

    let told: Vec<(String, String)> = [
        ("UPDATE", "touched"),
        ("LEAVE", "patched"),
        ("LEAVE", "nulled"),
        ("LEAVE", "put"),
        ("LEAVE", "bulked"),
        ("LEAVE", "status"),
        ("LEAVE", "element"),
        ("DELETE", "deleted"),
        ("DELETE", "restored"),
        ("CREATE", "restored"),
        ("CREATE", "never"),
        ("CREATE", "patched"),
        ("CREATE", "end"),
    ]
    .map(|(action, id)| (action.to_owned(), id.to_owned()))
    .into();
    list.follow("end").await;
    assert_eq!(list.told(), told);
    assert_eq!(list.records, listed(&elsewhere, filter).await.0);
    // A stream that comes later is told the same by its replay; one without a filter, each change as it was.
    let replayed = tenant.events(&["records/leads"]).query("filter", filter).query("last_event_id", &before);
    let (records, stream) = (BTreeMap::new(), replayed.query("named", "true").resumed().await);
    let mut replayed = LiveList { filter: filter.into(), records, stream, told: Vec::new() };
    for (action, id) in &told {
        let event = replayed.stream.event().await;
        assert_eq!((&event.body["action"], &event.body["data"]["id"]), (&json!(action), &json!(id)));
        assert_eq!(event.name, Some(format!("leads.{}", action.to_lowercase())));
    }
    let mut all = tenant.events(&["records/leads"]).query("last_event_id", &before).resumed().await;
    for (action, id) in [("UPDATE", "touched"), ("UPDATE", "patched"), ("UPDATE", "nulled"), ("UPDATE", "put")] {
        let event = all.event().await;
        assert_eq!((&event.body["action"], &event.body["data"]["id"]), (&json!(action), &json!(id)));
        assert_eq!(event.body["data"]["record"]["id"], *id);
    }
}

#[tokio::test]
async fn what_a_stranger_hears_of_a_record_that_left_is_its_name_alone() {
    let tenant = tenant(&World::shared().await).await;
    leads(&tenant, json!({})).await;
    tenant.record("leads", json!({"id": "a", "name": "shown"})).await;
    tenant.ask("PATCH", "/api/v1/leads/a", json!({"status": "published"})).await.expect(200);
    let filter = "status = 'published'";
    let (_, position) = listed(&tenant, filter).await;
    let wires = [
        tenant.events(&["records/leads"]).query("filter", filter),
        tenant.events(&["records/leads/a"]).query("filter", filter).query("named", "true"),
    ];
    let mut streams = Vec::new();
    for wire in wires {
        streams.push(wire.query("last_event_id", &position).resumed().await);
    }
    let draft = json!({"status": "draft", "name": "a draft of what nobody may read yet"});
    tenant.ask("PATCH", "/api/v1/leads/a", draft).await.expect(200);
    tenant.as_owner("DELETE", "/api/v1/leads/a").send().await.expect(200);
    for stream in &mut streams {
        let left = stream.event().await.body;
        assert_eq!(left["action"], "LEAVE");
        assert_eq!(left["data"], json!({"id": "a", "collection": "leads", "version": 3}));
        assert!(!left.to_string().contains("draft of what"), "{left}");
    }
    // Of what is deleted nobody is told more either, whether or not they would have been shown it.
    let mut all = tenant.events(&["records/leads"]).query("last_event_id", &position).resumed().await;
    assert_eq!(all.event().await.body["action"], "UPDATE");
    let gone = all.event().await.body;
    assert_eq!((&gone["action"], gone["data"].get("record")), (&json!("DELETE"), None));
}

/// Numbers that look random, the same in every run.
struct Random(u64);

impl Random {
    fn below(&mut self, most: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % most
    }

    fn chance(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }

    fn fields(&mut self) -> Value {
        let tags: Vec<&str> = ["x", "y", "z"].into_iter().filter(|_| self.chance(50)).collect();
        let score = if self.chance(20) { Value::Null } else { self.below(6).into() };
        let city = if self.chance(50) { "Ulm" } else { "Bonn" };
        json!({"score": score, "tags": tags, "city": city})
    }
}

/// Writes whatever comes to mind to a few records, some of which others write to as well.
async fn write(tenant: &Tenant, seed: u64, changes: u64) {
    let mut random = Random(seed);
    for _ in 0..changes {
        let id = format!("r{}", random.below(12));
        let path = format!("/api/v1/leads/{id}");
        let mut body = random.fields();
        let answer = match random.below(8) {
            0..3 => {
                body["id"] = json!(id);
                tenant.ask("POST", "/api/v1/leads", body).await
            }
            3 => {
                body["status"] = json!(if random.chance(50) { "published" } else { "draft" });
                tenant.ask("PATCH", &path, body).await
            }
            4 => tenant.ask("PATCH", &path, json!({"score": random.below(6)})).await,
            5 => tenant.as_owner("DELETE", &path).send().await,
            6 => tenant.as_owner("POST", &format!("{path}/restore")).send().await,
            _ => {
                let other = format!("r{}", random.below(12));
                let operations = json!([
                    {"op": "update", "id": id, "data": random.fields()},
                    {"op": "update", "id": other, "data": {"score": random.below(6)}},
                ]);
                tenant.bulk("leads", operations).await
            }
        };
        // What is not there, or is there already, is refused, and changes nothing.
        assert!(matches!(answer.status, 200..=299 | 400 | 404 | 409 | 422), "{}", answer.body);
    }
}

/// However a list is asked for while others write, and whichever isolate answers, the list with its stream is the list that
/// there is, and no change is told that was in it.
#[tokio::test]
async fn a_list_and_its_stream_begin_at_one_point() {
    let (a, b) = World::pair().await;
    for (round, deletes_softly) in [(1, true), (2, false)] {
        let tenant = tenant(&a).await;
        leads(&tenant, json!({"soft_delete": deletes_softly})).await;
        write(&tenant, round, 20).await;
        let (front, back) = (tenant.through(&b.elsewhere()), tenant.through(&a.elsewhere()));
        let writers = join_all((0..4).map(|writer| write(&tenant, 100 * round + writer, 40)));
        let readers = async {
            let mut lists = Vec::new();
            for filter in [
                "name = 'end' || score >= 3",
                "name = 'end' || score = null",
                "name = 'end' || tags ~ 'x'",
                "name = 'end' || (status = 'published' && score < 4)",
                "name = 'end' || tags = null || city = 'Bonn'",
                "name = 'end' || id != 'none'",
            ] {
                for tenant in [&front, &back] {
                    lists.push(LiveList::open(tenant, filter).await);
                }
            }
            lists
        };
        let (_, mut lists) = tokio::join!(writers, readers);
        tenant.record("leads", json!({"id": "end", "name": "end"})).await;
        let mut told = 0;
        for list in &mut lists {
            list.follow("end").await;
            told += list.told().len();
            assert_eq!(list.records, listed(&back, &list.filter).await.0, "{}", list.filter);
        }
        assert!(told > 100, "the writers were done before the lists began: {told}");
    }
}

/// The front end of `tests/clients/live-list.js`, in a browser whose connections are cut, while twenty write.
#[tokio::test]
async fn a_front_end_in_a_browser_shows_the_list_that_there_is() {
    let world = World::shared().await;
    let unlimited = ["max_api_requests_per_minute", "max_api_requests_per_day", "max_anonymous_requests_per_minute"];
    let tenant = unlimited.into_iter().fold(world.tenant().plan("enterprise"), |tenant, limit| tenant.limit(limit, -1));
    let tenant = tenant.create().await;
    leads(&tenant, json!({"soft_delete": true})).await;
    tenant.fill("leads", 0..45, |i| json!({"id": format!("old{i}"), "score": i % 6, "tags": ["x"]})).await;
    // A browser has six connections to a host and port, of which a stream takes one.
    let lines = [Line::to(&world).await, Line::to(&world).await];
    let filters = [
        ["score >= 3", "score = null", "tags ~ 'x'", "tags = null", "id != 'none'"],
        [
            "city = 'Bonn'",
            "city != 'Ulm' && score < 4",
            "status = 'published'",
            "status != 'draft'",
            "tags !~ 'y' && score <= 4",
        ],
    ];
    let mut chromium = Chromium::start().await;
    let mut pages = Vec::new();
    for (line, filters) in lines.iter().zip(filters) {
        let page = chromium.open(&line.origin(&tenant)).await;
        chromium.run(&page, include_str!("clients/live-list.js")).await;
        pages.push((page, filters.map(|filter| format!("name = 'end' || ({filter})"))));
    }
    let writers = join_all((0..20).map(|writer| write(&tenant, 7 * writer + 1, 60)));
    let reader = async {
        for (page, filters) in &pages {
            let begin = format!(
                "globalThis.lists = {}.map((filter) => new LiveList('leads', filter)); \
                 Promise.all(lists.map((list) => list.load())).then(() => true)",
                json!(filters)
            );
            assert_eq!(chromium.run(page, &begin).await, true);
        }
        for line in &lines {
            line.pieces(20).await;
            line.cut();
            line.mend();
        }
    };
    tokio::join!(writers, reader);
    tenant.record("leads", json!({"id": "end", "name": "end"})).await;
    for (page, filters) in &pages {
        chromium.until(page, "lists.every((list) => list.records.has('end'))").await;
        let shown = chromium.run(page, "lists.map((list) => [...list.records.values()])").await;
        for (filter, shown) in filters.iter().zip(shown.as_array().unwrap()) {
            assert_eq!(by_id(shown), listed(&tenant, filter).await.0, "{filter}");
        }
    }
}

/// A change that the hub has not been told yet when the stream opens is in the list already, and not told again.
#[tokio::test]
async fn a_change_that_waits_in_the_outbox_is_in_the_list_and_not_told_again() {
    let tenant = tenant(&World::shared().await).await;
    leads(&tenant, json!({})).await;
    tenant.record("leads", json!({"id": "a", "name": "a"})).await;
    // Straight on the shard: nobody tells the hub.
    let raise = "UPDATE records SET data = json_set(data, '$.name', 'b'), version = version + 1 WHERE tenant_id = ?1 AND id = 'a'";
    tenant.on_shard(raise, &[]).await;
    let mut list = LiveList::open(&tenant, "id != 'none'").await;
    assert_eq!(list.records["a"]["name"], "b");
    tenant.on_shard("UPDATE record_outbox SET at = 0 WHERE tenant_id = ?1", &[]).await;
    tenant.world.scheduled().await;
    tenant.ask("PATCH", "/api/v1/leads/a", json!({"name": "c"})).await.expect(200);
    tenant.record("leads", json!({"id": "end"})).await;
    list.follow("end").await;
    assert_eq!(list.told(), [("UPDATE".to_owned(), "a".to_owned()), ("CREATE".to_owned(), "end".to_owned())]);
    assert_eq!(list.records, listed(&tenant, "id != 'none'").await.0);
    // A single record says it as well, also where it has not changed.
    let one = tenant.call("GET", "/api/v1/leads/a").send().await.expect(200);
    let known = tenant.call("GET", "/api/v1/leads/a").header("If-None-Match", one.header("etag")).send().await;
    assert_eq!(known.expect(304).header("last-event-id"), one.header("last-event-id"));
    let mut stream =
        tenant.events(&["records/leads/a"]).query("last_event_id", one.header("last-event-id")).resumed().await;
    tenant.ask("PATCH", "/api/v1/leads/a", json!({"name": "d"})).await.expect(200);
    assert_eq!(stream.event().await.body["data"]["record"]["name"], "d");
}
