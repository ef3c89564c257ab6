//! Changes of records are heard: each once, in order, by whoever may hear it, whatever ends when.

use serde_json::{Value, json};

use crate::world::{Sockets, Stream, Tenant, World, sequence, stranger};

/// Records through the test admin worker: what is written here, triggers announce.
struct Records {
    tenant: Tenant,
}

impl Records {
    async fn of(tenant: Tenant) -> Records {
        let records = Records { tenant };
        records.collection("leads", true).await;
        records
    }

    async fn shared() -> Records {
        Records::of(World::shared().await.tenant().plan("pro").create().await).await
    }

    async fn collection(&self, slug: &str, is_public: bool) {
        let sql = "INSERT INTO collections (tenant_id, slug, name, schema, statuses, versioned, soft_delete, live, public_read, files, revision, created_at, updated_at) VALUES (?1, ?2, ?2, ?4, 'null', 0, 0, 1, ?3, 0, 1, 0, 0)";
        let fields = json!({"name": {"type": "string"}, "score": {"type": "number"}});
        let schema = json!({"type": "object", "properties": fields, "additionalProperties": true}).to_string();
        self.tenant.on_shard(sql, &[slug, if is_public { "1" } else { "0" }, &schema]).await;
        self.tenant.on_shard("INSERT INTO collection_state (tenant_id, collection) VALUES (?1, ?2)", &[slug]).await;
    }

    async fn create(&self, collection: &str, id: &str, data: Value) {
        let sql = "INSERT INTO records (tenant_id, collection, id, version, data, created_at, updated_at, created_by, updated_by, index_revision) VALUES (?1, ?2, ?3, 1, ?4, 1000, 1000, 'user:ada', 'user:ada', 1)";
        self.tenant.on_shard(sql, &[collection, id, &data.to_string()]).await;
    }

    async fn update(&self, collection: &str, id: &str, data: Value) {
        let sql = "UPDATE records SET data = ?4, version = version + 1, updated_at = 2000, updated_by = 'key:k' WHERE tenant_id = ?1 AND collection = ?2 AND id = ?3";
        self.tenant.on_shard(sql, &[collection, id, &data.to_string()]).await;
    }

    async fn delete(&self, collection: &str, id: &str) {
        let sql = "DELETE FROM records WHERE tenant_id = ?1 AND collection = ?2 AND id = ?3";
        self.tenant.on_shard(sql, &[collection, id]).await;
    }

    /// Creates leads whose ids are these numbers.
    async fn leads(&self, numbers: std::ops::Range<usize>) {
        for number in numbers {
            self.create("leads", &number.to_string(), json!({"score": number})).await;
        }
    }

    /// What waits has waited long enough, and cron comes.
    async fn cron(&self) {
        self.tenant.on_shard("UPDATE record_outbox SET at = 0 WHERE tenant_id = ?1", &[]).await;
        self.tenant.world.scheduled().await;
    }

    async fn waiting(&self) -> i64 {
        let sql = "SELECT count(*) AS waiting FROM record_outbox WHERE tenant_id = ?1";
        self.tenant.on_shard(sql, &[]).await[0]["waiting"].as_i64().unwrap()
    }

    /// Ends what a test heard: a last event for everybody.
    async fn end(&self) -> String {
        self.tenant.webhook().channels(&["end"]).data(json!("end")).accepted().await
    }
}

/// Which records a stream hears of until the end.
async fn heard(stream: &mut Stream) -> Vec<String> {
    let mut heard = Vec::new();
    loop {
        let block = stream.must().await;
        if block.data.is_none() || block.event.is_some() {
            continue;
        }
        let event = block.json();
        if event["data"] == "end" {
            return heard;
        }
        heard.push(event["data"]["id"].as_str().unwrap().to_owned());
    }
}

fn numbers(numbers: std::ops::Range<usize>) -> Vec<String> {
    numbers.map(|number| number.to_string()).collect()
}

#[tokio::test]
async fn changes_are_heard_in_their_order_on_both_topics() {
    let records = Records::shared().await;
    let mut all = records.tenant.events(&["records/leads"]).query("named", "true").live().await;
    let mut one = records.tenant.subscribe(&["records/leads/a"]).await;
    records.create("leads", "a", json!({"name": "Ada", "tags": ["x"]})).await;
    records.create("leads", "b", json!({"name": "Bob"})).await;
    records.update("leads", "a", json!({"name": "Ada L."})).await;
    records.delete("leads", "b").await;
    records.cron().await;

    let names = ["leads.create", "leads.create", "leads.update", "leads.delete"];
    let changes = [("CREATE", "a", 1), ("CREATE", "b", 1), ("UPDATE", "a", 2), ("DELETE", "b", 1)];
    let mut ids = Vec::new();
    for (name, (action, id, version)) in names.into_iter().zip(changes) {
        let event = all.event().await;
        assert_eq!(event.name.as_deref(), Some(name));
        assert_eq!(event.body["action"], action);
        assert_eq!(event.body["node_type"], "leads");
        assert_eq!(event.body["topics"], json!(["records/leads", format!("records/leads/{id}")]));
        assert_eq!(event.body["data"]["id"], id);
        assert_eq!(event.body["data"]["collection"], "leads");
        assert_eq!(event.body["data"]["version"], version);
        ids.push(event.id);
    }
    assert!(ids.windows(2).all(|pair| sequence(&pair[1]) == sequence(&pair[0]) + 1), "{ids:?}");
    assert_eq!(one.event().await.id, ids[0]);
    let update = one.event().await;
    assert_eq!(update.id, ids[2]);
    let shown = json!({
        "id": "a", "tenant_id": records.tenant.id, "name": "Ada L.", "version": 2,
        "created_at": "1970-01-01T00:00:01.000Z", "updated_at": "1970-01-01T00:00:02.000Z",
        "created_by": "user:ada", "updated_by": "key:k",
    });
    assert_eq!(update.body["data"]["record"], shown);
    assert_eq!(records.waiting().await, 0);
}

#[tokio::test]
async fn what_the_api_writes_is_heard_at_once_and_as_a_get_shows_it() {
    let tenant = World::shared().await.tenant().plan("enterprise").create().await;
    let statuses = json!({"initial": "new", "transitions": {"new": ["won"]}});
    let properties = json!({"name": {"type": "string"}, "score": {"type": "number"}});
    tenant.collection("leads", properties, json!({"live": true, "public_read": true, "statuses": statuses})).await;
    let mut stream = tenant.subscribe(&["records/leads"]).await;
    let path = |made: &Value| format!("/api/v1/leads/{}", made["id"].as_str().unwrap());
    let made = tenant.record("leads", json!({"name": "Ada", "score": 0.1})).await;
    assert_eq!(stream.event().await.body["data"]["record"], made);
    let patch = json!({"score": 1e3, "status": "won"});
    let changed = tenant.as_owner("PATCH", &path(&made)).json(&patch).send().await.expect(200).data();
    let event = stream.event().await;
    assert_eq!((&event.body["action"], &event.body["data"]["record"]), (&json!("UPDATE"), &changed));
    tenant.as_owner("DELETE", &path(&made)).send().await.expect(200);
    let event = stream.event().await;
    assert_eq!((&event.body["action"], &event.body["data"]["id"]), (&json!("DELETE"), &made["id"]));

    let bulk: Vec<Value> = (0..100).map(|n| json!({"op": "create", "data": {"score": n}})).collect();
    let body = json!({"operations": bulk});
    tenant.as_owner("POST", "/api/v1/leads/bulk").json(&body).send().await.expect(200);
    for n in 0..100 {
        assert_eq!(stream.event().await.body["data"]["record"]["score"], n);
    }
}

#[tokio::test]
async fn records_that_are_not_public_are_heard_by_the_entitled_alone() {
    let records = Records::shared().await;
    records.collection("secrets", false).await;
    let topics = ["records/*", "end"];
    let mut stranger = records.tenant.subscribe(&topics).await;
    let mut entitled = records.tenant.events(&topics).token(records.tenant.token(&["records/secrets*"])).live().await;
    let mut of_one = records.tenant.events(&topics).token(records.tenant.token(&["records/secrets/s2"])).live().await;
    let start = records.end().await;
    for stream in [&mut stranger, &mut entitled, &mut of_one] {
        assert_eq!(heard(stream).await, [""; 0]);
    }
    records.create("secrets", "s1", json!({})).await;
    records.create("secrets", "s2", json!({})).await;
    records.create("leads", "open", json!({})).await;
    records.cron().await;
    records.end().await;
    assert_eq!(heard(&mut stranger).await, ["open"]);
    assert_eq!(heard(&mut entitled).await, ["s1", "s2", "open"]);
    assert_eq!(heard(&mut of_one).await, ["s2", "open"]);
    let mut replayed = records.tenant.events(&topics).after(&start).resumed().await;
    assert_eq!(heard(&mut replayed).await, ["open"]);
}

#[tokio::test]
async fn another_tenant_hears_nothing_of_it() {
    let (records, others) = (Records::shared().await, Records::shared().await);
    let mut stream = others.tenant.events(&["*"]).token(others.tenant.token(&["*"])).live().await;
    records.create("leads", "ours", json!({})).await;
    records.cron().await;
    others.create("leads", "theirs", json!({})).await;
    others.cron().await;
    others.end().await;
    assert_eq!(heard(&mut stream).await, ["theirs"]);
}

#[tokio::test]
async fn a_crash_between_commit_and_drain_loses_nothing_and_doubles_nothing() {
    let world = World::own().await;
    let records = Records::of(world.tenant().plan("pro").create().await).await;
    let start = records.end().await;
    records.leads(0..3).await;
    records.cron().await;
    let mut before = records.tenant.events(&["records/leads"]).after(&start).resumed().await;
    let mut ids = Vec::new();
    for _ in 0..3 {
        ids.push(before.event().await.id);
    }
    records.leads(3..120).await;
    world.kill();
    world.restart(&[]).await;
    assert_eq!(records.waiting().await, 117);
    records.cron().await;
    assert_eq!(records.waiting().await, 0);
    world.kill();
    world.restart(&[]).await;
    records.cron().await;

    records.end().await;
    let mut after = records.tenant.events(&["records/*", "end"]).after(&start).resumed().await;
    for id in &ids {
        assert_eq!(after.event().await.id, *id, "the same events under the same ids");
    }
    assert_eq!(heard(&mut after).await, numbers(3..120));
}

#[tokio::test]
async fn a_hub_that_ends_between_append_and_delete_appends_nothing_twice() {
    let records = Records::shared().await;
    let start = records.end().await;
    let mut stream = records.tenant.subscribe(&["records/*", "end"]).await;
    let mut wanted = Vec::new();
    for (round, sockets) in [Sockets::Hibernate, Sockets::Close].into_iter().enumerate() {
        // A fence of another epoch lets the hub read and keeps it from deleting.
        let fence = |by: &'static str| {
            let sql = match by {
                "up" => "UPDATE tenant_fence SET epoch = epoch + 1 WHERE tenant_id = ?1",
                _ => "UPDATE tenant_fence SET epoch = epoch - 1 WHERE tenant_id = ?1",
            };
            records.tenant.on_shard(sql, &[])
        };
        fence("up").await;
        records.leads(round * 3..round * 3 + 3).await;
        records.cron().await;
        assert_eq!(records.waiting().await, 3);
        records.tenant.world.evict(&records.tenant, sockets).await;
        records.cron().await;
        fence("down").await;
        records.cron().await;
        assert_eq!(records.waiting().await, 0);
        wanted.extend(numbers(round * 3..round * 3 + 3));
    }
    records.end().await;
    assert_eq!(heard(&mut stream).await, wanted);
    let mut replayed = records.tenant.events(&["records/*", "end"]).after(&start).resumed().await;
    assert_eq!(heard(&mut replayed).await, wanted);
}

#[tokio::test]
async fn a_suspended_tenant_is_drained_once_it_is_served_again() {
    let records = Records::shared().await;
    let start = records.end().await;
    records.leads(0..2).await;
    records.tenant.suspend().await;
    records.cron().await;
    assert_eq!(records.waiting().await, 2);
    records.tenant.activate().await;
    records.cron().await;
    assert_eq!(records.waiting().await, 0);
    records.end().await;
    let mut stream = records.tenant.events(&["records/*", "end"]).after(&start).resumed().await;
    assert_eq!(heard(&mut stream).await, ["0", "1"]);
}

#[tokio::test]
async fn a_filtered_stream_hears_what_matches_and_its_neighbour_hears_all() {
    let records = Records::shared().await;
    let start = records.end().await;
    let asked = |filter: &str| records.tenant.events(&["records/leads", "records/other*"]).query("filter", filter);
    let mut high = asked("score >= 3").live().await;
    let mut ada = asked("(name ~ 'ada' && score < 9) || id = 'z'").live().await;
    let mut all = records.tenant.subscribe(&["records/*", "end"]).await;
    let lead =
        |id: &'static str, score: i64, name: &str| records.create("leads", id, json!({"score": score, "name": name}));
    lead("a", 3, "Ada").await;
    lead("b", 2, "Bob").await;
    records.cron().await;
    records.tenant.world.evict(&records.tenant, Sockets::Hibernate).await;
    lead("c", 9, "Ada").await;
    lead("z", 0, "Zoe").await;
    records.cron().await;

    for id in ["a", "c"] {
        assert_eq!(high.event().await.body["data"]["id"], id);
    }
    for id in ["a", "z"] {
        assert_eq!(ada.event().await.body["data"]["id"], id);
    }
    records.end().await;
    assert_eq!(heard(&mut all).await, ["a", "b", "c", "z"]);
    let mut replayed = asked("score >= 3").after(&start).resumed().await;
    for id in ["a", "c"] {
        assert_eq!(replayed.event().await.body["data"]["id"], id);
    }
    lead("d", 1, "Dan").await;
    lead("e", 4, "Eve").await;
    records.cron().await;
    for stream in [&mut high, &mut replayed] {
        assert_eq!(stream.event().await.body["data"]["id"], "e", "an event that is no record's passes no filter");
    }
}

#[tokio::test]
async fn what_the_filters_of_all_streams_compare_is_bounded() {
    let tenant = World::shared().await.tenant().plan("enterprise").limit("max_connections_per_ip", -1).create().await;
    let records = Records::of(tenant).await;
    // Of twenty comparisons, another one for each stream.
    let filter = |stream: usize| {
        let parts: Vec<_> = (0..20).map(|part| format!("name ~ 'none {stream}.{part}'")).collect();
        parts.join(" || ")
    };
    let asked = |filter: &str, address: &str| {
        records.tenant.events(&["records/leads"]).query("filter", filter).address(address)
    };
    let (hog, other) = (stranger(), stranger());
    let mut held = Vec::new();
    let refused = loop {
        assert!(held.len() < 80, "nothing bounds them");
        match asked(&filter(held.len()), &hog).open().await {
            Ok(stream) => held.push(stream),
            Err(answer) => break answer.expect_problem(429, "too_many_patterns"),
        }
    };
    assert_eq!(refused.pointers(), ["?filter"]);
    assert!(refused.json()["errors"][0]["message"].as_str().unwrap().contains("2,048 comparisons"), "{}", refused.body);
    // A filter that is there already, and none at all, cost nothing; and others have room, also once the hub has slept.
    let mut again = asked(&filter(0), &hog).live().await;
    let mut all = records.tenant.events(&["records/leads"]).address(&hog).live().await;
    let mut fair = asked("name ~ 'none 0.19'", &other).live().await;
    records.tenant.world.evict(&records.tenant, Sockets::Hibernate).await;
    let mut late = asked("name ~ 'none 0.19' && score = null", &other).live().await;
    records.create("leads", "a", json!({"name": "It is none 0.19"})).await;
    records.cron().await;
    for stream in [&mut again, &mut all, &mut fair, &mut late] {
        assert_eq!(stream.event().await.body["data"]["id"], "a");
    }
    drop(held);
}

#[tokio::test]
async fn a_filter_that_cannot_be_used_is_named() {
    let records = Records::shared().await;
    let refused = async |topics: &[&str], filter: &str| {
        let answer = records.tenant.events(topics).query("filter", filter).refused().await;
        let answer = answer.expect_problem(400, "invalid_query");
        let body: Value = serde_json::from_str(&answer.body).unwrap();
        assert_eq!(body["errors"][0]["pointer"], "?filter", "{}", answer.body);
    };
    for filter in ["score >=", "score >= 3 &&", &"(".repeat(50)] {
        refused(&["records/leads"], filter).await;
    }
    for topics in [&["posts"][..], &["records/leads", "posts"], &["*"], &["records*"]] {
        refused(topics, "score >= 3").await;
    }
}

#[tokio::test]
async fn the_largest_records_come_through_live_and_by_replay() {
    let records = Records::shared().await;
    let start = records.end().await;
    let mut stream = records.tenant.subscribe(&["records/*", "end"]).await;
    let text = "\"x\u{e9}".repeat(25_000);
    for number in 0..24 {
        records.create("leads", &number.to_string(), json!({"text": text})).await;
    }
    let announce = async {
        records.cron().await;
        records.end().await;
    };
    let (live, ()) = tokio::join!(heard(&mut stream), announce);
    assert_eq!(live, numbers(0..24));
    let mut replayed = records.tenant.events(&["records/*", "end"]).after(&start).resumed().await;
    assert_eq!(heard(&mut replayed).await, numbers(0..24));
}
