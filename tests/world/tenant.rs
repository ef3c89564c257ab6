//! Tenants: made by the operator, visited by browsers, fed by their sites.

use std::sync::OnceLock;

use serde_json::{Map, Value, json};

use super::{ROOT, RequestBuilder, Stream, TestResponse, Token, Webhook, World, unique};

/// A tenant that is to be made. Its id and slug are its own unless the test names them.
pub struct TenantBuilder {
    world: World,
    body: Map<String, Value>,
}

impl TenantBuilder {
    pub(super) fn new(world: &World) -> TenantBuilder {
        let builder = TenantBuilder { world: world.clone(), body: Map::new() };
        let builder = builder.set("tenant_id", json!(format!("t-{}", unique())));
        match live_mode() {
            Some(mode) => builder.live_mode(mode),
            None => builder,
        }
    }

    /// How its streams are carried, where its plan would allow no direct ones too.
    pub fn live_mode(self, mode: &str) -> TenantBuilder {
        self.limit("max_direct_streams", -1).set("settings", json!({"live": {"mode": mode}}))
    }

    pub fn id(self, id: &str) -> TenantBuilder {
        self.set("tenant_id", json!(id))
    }

    pub fn plan(self, plan: &str) -> TenantBuilder {
        self.set("plan", json!(plan))
    }

    /// Overrides one of the plan's limits; -1 is none.
    pub fn limit(mut self, name: &str, value: i64) -> TenantBuilder {
        let limits = self.body.entry("rate_limits").or_insert_with(|| json!({}));
        limits[name] = value.into();
        self
    }

    /// Sets one field of the body as it stands; of its settings, those that are named.
    pub fn set(mut self, name: &str, value: Value) -> TenantBuilder {
        match (self.body.get_mut(name), value) {
            (Some(Value::Object(settings)), Value::Object(more)) if name == "settings" => settings.extend(more),
            (_, value) => _ = self.body.insert(name.to_owned(), value),
        }
        self
    }

    /// The request that would make it.
    pub fn call(&self) -> RequestBuilder {
        self.world.platform("POST", "/api/v1/tenants").json(&Value::Object(self.body.clone()))
    }

    pub async fn create(self) -> Tenant {
        let answer = self.call().send().await.expect(201);
        Tenant::from_answer(&self.world, &answer.data())
    }
}

/// How the streams of tenants are carried in this run of the tests; by itself as the hubs choose.
fn live_mode() -> Option<&'static str> {
    static MODE: OnceLock<Option<String>> = OnceLock::new();
    MODE.get_or_init(|| std::env::var("LIVE_MODE").ok()).as_deref()
}

/// A tenant that exists, or did.
#[derive(Clone)]
pub struct Tenant {
    pub world: World,
    pub id: String,
    pub slug: String,
    /// `{slug}.{root}`.
    pub host: String,
    pub webhook_secret: String,
    pub subscription_secret: String,
}

impl Tenant {
    /// Reads the answer to a creation, which alone shows the secrets.
    pub fn from_answer(world: &World, data: &Value) -> Tenant {
        let text = |name: &str| match data[name].as_str() {
            Some(value) => value.to_owned(),
            None => panic!("a new tenant without {name}: {data}"),
        };
        let slug = text("slug");
        Tenant {
            world: world.clone(),
            id: text("tenant_id"),
            host: format!("{slug}.{ROOT}"),
            slug,
            webhook_secret: text("webhook_secret"),
            subscription_secret: text("subscription_secret"),
        }
    }

    /// The same tenant, asked through another isolate ([`World::pair`]).
    pub fn through(&self, world: &World) -> Tenant {
        Tenant { world: world.clone(), ..self.clone() }
    }

    /// A request to the tenant's own host.
    pub fn call(&self, method: &str, path: &str) -> RequestBuilder {
        self.world.call(method, &self.host, path)
    }

    /// What of a URL on the tenant's own host stands behind the host.
    pub fn behind_host(&self, url: &Value) -> String {
        let rest = url.as_str().and_then(|url| url.strip_prefix(&format!("http://{}", self.host)));
        let rest = rest.unwrap_or_else(|| panic!("not on {}: {url}", self.host));
        rest[rest.find('/').unwrap()..].to_owned()
    }

    /// The operator's request about this tenant.
    pub fn admin(&self, method: &str, rest: &str) -> RequestBuilder {
        self.world.platform(method, &format!("/api/v1/tenants/{}{rest}", self.id))
    }

    /// A request in the tenant, on the platform's host, by the platform key: it may do everything there.
    pub fn as_owner(&self, method: &str, path: &str) -> RequestBuilder {
        self.world.platform(method, path).header("X-Tenant-ID", &self.id)
    }

    /// A key of the tenant's with these scopes.
    pub async fn key(&self, scopes: &[&str]) -> ApiKey {
        let body = json!({"name": "a test", "scopes": scopes});
        let data = self.as_owner("POST", "/api/v1/api-keys").json(&body).send().await.expect(201).data();
        ApiKey { id: data["id"].as_str().unwrap().to_owned(), text: data["key"].as_str().unwrap().to_owned() }
    }

    /// Rows of the tenant's shard; `?1` in the statement is the tenant.
    pub async fn on_shard(&self, sql: &str, params: &[&str]) -> Vec<Value> {
        let params: Vec<&str> = std::iter::once(self.id.as_str()).chain(params.iter().copied()).collect();
        self.world.rows(&self.shard().await, sql, &params).await
    }

    /// The same for many statements, in one batch.
    pub async fn seed(&self, statements: &[(&str, &[&str])]) {
        let mut own = Vec::new();
        for (sql, params) in statements {
            let params = [&[self.id.as_str()], *params].concat();
            own.push(json!([sql, params]));
        }
        self.world.batch(&self.shard().await, own).await;
    }

    /// The database that holds its rows.
    pub async fn shard(&self) -> String {
        let placed = "SELECT shard FROM placements WHERE tenant_id = ?1";
        let placed = self.world.rows("CONTROL", placed, &[&self.id]).await;
        placed[0]["shard"].as_str().unwrap().to_owned()
    }

    /// What the operator is shown.
    pub async fn shown(&self) -> Value {
        self.admin("GET", "").send().await.expect(200).data()
    }

    /// A merge patch that must be applied everywhere when the answer comes.
    pub async fn patch(&self, change: Value) -> Value {
        self.admin("PATCH", "").json(&change).send().await.expect(200).data()
    }

    pub async fn suspend(&self) {
        self.patch(json!({"status": "suspended"})).await;
    }

    pub async fn activate(&self) {
        self.patch(json!({"status": "active"})).await;
    }

    /// The first phase.
    pub async fn delete(&self) {
        self.admin("DELETE", "").send().await.expect(200);
    }

    /// The second phase.
    pub async fn purge(&self) {
        self.admin("DELETE", "").query("purge", "true").send().await.expect(200);
    }

    /// A webhook of this tenant's site.
    pub fn webhook(&self) -> Webhook {
        Webhook::new(self)
    }

    /// Publishes to one topic; returns the event's id.
    pub async fn publish(&self, topic: &str, data: Value) -> String {
        self.webhook().channels(&[topic]).data(data).accepted().await
    }

    /// Publishes a run of numbers to one topic; returns the events' ids.
    pub async fn publish_all(&self, topic: &str, numbers: std::ops::Range<usize>) -> Vec<String> {
        let mut ids = Vec::new();
        for number in numbers {
            ids.push(self.publish(topic, json!(number)).await);
        }
        ids
    }

    pub fn token(&self, topics: &[&str]) -> Token {
        Token::new(&self.subscription_secret, topics)
    }

    /// A subscription that is being asked for.
    pub fn events(&self, topics: &[&str]) -> Subscribe {
        let mut call = self.call("GET", "/events");
        for topic in topics {
            call = call.query("topic", topic);
        }
        Subscribe { call }
    }

    /// Subscribes, and reads past the opening block.
    pub async fn subscribe(&self, topics: &[&str]) -> Stream {
        self.events(topics).live().await
    }

    /// Trades a token for a ticket.
    pub async fn ticket(&self, token: Token) -> String {
        let asked = self.call("PUT", "/events").bearer(&token.sign());
        let answer = asked.send().await.expect(201);
        answer.data()["ticket"].as_str().unwrap().to_owned()
    }
}

/// A tenant's key: its text is known to whoever made it.
#[derive(Clone, Debug)]
pub struct ApiKey {
    pub id: String,
    pub text: String,
}

/// `GET /events`, being built.
#[derive(Clone)]
pub struct Subscribe {
    call: RequestBuilder,
}

impl Subscribe {
    pub fn query(self, name: &str, value: &str) -> Subscribe {
        Subscribe { call: self.call.query(name, value) }
    }

    pub fn header(self, name: &str, value: &str) -> Subscribe {
        Subscribe { call: self.call.header(name, value) }
    }

    pub fn token(self, token: Token) -> Subscribe {
        Subscribe { call: self.call.bearer(&token.sign()) }
    }

    pub fn ticket(self, ticket: &str) -> Subscribe {
        self.query("ticket", ticket)
    }

    /// Resumes after this event.
    pub fn after(self, id: &str) -> Subscribe {
        self.header("Last-Event-ID", id)
    }

    pub fn address(self, address: &str) -> Subscribe {
        Subscribe { call: self.call.address(address) }
    }

    pub fn host(self, host: &str) -> Subscribe {
        Subscribe { call: self.call.host(host) }
    }

    /// The stream, from its very first block on; or the refusal.
    pub async fn open(self) -> Result<Stream, TestResponse> {
        self.call.open().await
    }

    /// The stream, from its very first block on.
    pub async fn stream(self) -> Stream {
        self.call.stream().await
    }

    /// A fresh stream, past the block that opens it and names its cursor.
    pub async fn live(self) -> Stream {
        let mut stream = self.stream().await;
        let first = stream.must().await;
        assert!(first.retry.is_some() && first.id.is_some(), "a fresh stream opens with {first:?}");
        stream
    }

    /// A resumed stream, past its verdict.
    pub async fn resumed(self) -> Stream {
        let mut stream = self.stream().await;
        stream.hub("hub.resumed").await;
        stream
    }

    /// The answer that is no stream.
    pub async fn refused(self) -> TestResponse {
        self.call.refused().await
    }
}
