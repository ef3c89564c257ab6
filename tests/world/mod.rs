//! The world that a test lives in: a running Worker, its operator, its tenants, their visitors.
//!
//! Most tests share one runtime ([`World::shared`]) and make tenants of their own, so that all run
//! in parallel. A test that kills, restarts or configures the runtime takes one of its own
//! ([`World::own`]). One about what an isolate remembers takes two isolates ([`World::pair`]). Every wait is bounded by [`PATIENCE`]; nothing asserts on time measured.

mod chromium;
pub mod content;
mod costs;
mod internet;
mod issuer;
mod line;
mod mercure;
mod operator;
mod pair;
mod people;
mod records;
mod request_builder;
mod runtime;
mod signing;
mod site;
mod site_records;
mod sse;
mod tenant;
mod token;
mod user;
mod webhook;

use std::future::Future;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::sync::{Semaphore, SemaphorePermit};

pub use chromium::{Chromium, Page};
pub use costs::Cost;
pub use internet::Internet;
pub use issuer::{Browser, CLIENT_SECRET, Issuer};
pub use line::Line;
pub use mercure::HUB;
pub use operator::Operator;
pub use pair::Pair;
pub use people::{Person, address};
pub use request_builder::{RequestBuilder, TestResponse, stranger, without_nonce};
pub use runtime::{PLATFORM_KEY, ROOT};
pub use signing::{digest_hex, hmac, hmac_base64, hmac_hex, standard_key};
pub use site::{Site, SiteAnswer, recorded};
pub use sse::{Block, Stream};
pub use tenant::{ApiKey, Tenant, TenantBuilder};
pub use token::Token;
pub use user::{PASSWORD, PASSWORD_HASH, Tokens, User, hashes};
pub use webhook::Webhook;

use runtime::Runtime;

/// The longest that any single wait takes before its test fails.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// Private runtimes at one time: each is a node and a workerd process.
const OWN_RUNTIMES: usize = 2;
static OWN: Semaphore = Semaphore::const_new(OWN_RUNTIMES);

/// A running Worker and one visitor's address.
#[derive(Clone)]
pub struct World {
    runtime: Arc<Runtime>,
    /// Which of the runtime's isolates answers.
    isolate: usize,
    http: reqwest::Client,
    /// The address that this test's requests come from unless they say otherwise.
    pub address: String,
    _permit: Option<Arc<SemaphorePermit<'static>>>,
}

impl World {
    /// The runtime that the tests of this binary share. It ends with the binary.
    pub async fn shared() -> World {
        static SHARED: OnceLock<Arc<Runtime>> = OnceLock::new();
        let start = || Arc::clone(SHARED.get_or_init(|| Arc::new(Runtime::start(1, &[]))));
        let runtime = tokio::task::spawn_blocking(start).await.unwrap();
        World::over(runtime, None)
    }

    /// A runtime of this test's own, to be killed, restarted and configured.
    pub async fn own() -> World {
        let permit = OWN.acquire().await.unwrap();
        let start = || Arc::new(Runtime::start(1, &[]));
        let runtime = tokio::task::spawn_blocking(start).await.unwrap();
        World::over(runtime, Some(Arc::new(permit)))
    }

    /// A runtime of one test, in which no shield can be had.
    pub async fn without_shields() -> World {
        let permit = OWN.acquire().await.unwrap();
        let start = || Arc::new(Runtime::start_without_shields());
        let runtime = tokio::task::spawn_blocking(start).await.unwrap();
        World::over(runtime, Some(Arc::new(permit)))
    }

    /// Two isolates of one runtime, over the same databases, KV, R2 and hubs: as on Cloudflare, where any isolate may
    /// serve any request, each remembers for itself, and none hears of what another one changes. A tenant of one is
    /// asked through the other with [`Tenant::through`]. The tests that take them share that runtime; it ends with the
    /// binary.
    pub async fn pair() -> (World, World) {
        static PAIR: OnceLock<Arc<Runtime>> = OnceLock::new();
        let start = || Arc::clone(PAIR.get_or_init(|| Arc::new(Runtime::start(2, &[]))));
        let runtime = tokio::task::spawn_blocking(start).await.unwrap();
        let first = World::over(runtime, None);
        let second = World { isolate: 1, ..first.clone() };
        (first, second)
    }

    /// Two isolates, as [`World::pair`] has them, of a deployment in which custom domains must be proven: what it asks is
    /// [`Internet::shared`].
    pub async fn proving() -> (World, World) {
        static PROVING: OnceLock<Arc<Runtime>> = OnceLock::new();
        let vars = Internet::shared().vars();
        let start = move || Arc::clone(PROVING.get_or_init(|| Arc::new(Runtime::start(2, &vars))));
        let runtime = tokio::task::spawn_blocking(start).await.unwrap();
        let first = World::over(runtime, None);
        let second = World { isolate: 1, ..first.clone() };
        (first, second)
    }

    fn over(runtime: Arc<Runtime>, permit: Option<Arc<SemaphorePermit<'static>>>) -> World {
        // workerd closes a connection that was idle for five seconds; a request must not meet it there.
        let http = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .pool_idle_timeout(std::time::Duration::from_secs(2))
            .build()
            .unwrap();
        World { runtime, isolate: 0, http, address: stranger(), _permit: permit }
    }

    /// The same world, seen from another address.
    pub fn elsewhere(&self) -> World {
        World { address: stranger(), ..self.clone() }
    }

    /// Where the Worker listens.
    fn url(&self) -> String {
        self.runtime.url(self.isolate)
    }

    /// Where the Worker listens, as host and port.
    pub fn address_of_worker(&self) -> String {
        self.url().trim_start_matches("http://").to_owned()
    }

    /// The hubs of a runtime that was killed lose all that they stored.
    pub fn lose_hubs(&self) {
        self.runtime.lose_hubs();
    }

    /// `kill -9` on every process of the runtime, at this instant.
    pub fn kill(&self) {
        self.runtime.kill();
    }

    /// Starts the runtime again over the same state, with these vars beside the usual ones.
    pub async fn restart(&self, vars: &[(&'static str, &str)]) {
        let vars: Vec<_> = vars.iter().map(|(name, value)| (*name, value.to_string())).collect();
        let runtime = Arc::clone(&self.runtime);
        tokio::task::spawn_blocking(move || runtime.restart(&vars)).await.unwrap();
    }

    /// A request to any host, with nothing added but this visitor's address.
    pub fn call(&self, method: &str, host: &str, path: &str) -> RequestBuilder {
        RequestBuilder::new(self, method, host, path)
    }

    /// Sends the beginning of a JSON body. What is given back is to be dropped to break it off.
    pub async fn begin(&self, host: &str, path: &str) -> TcpStream {
        let address = &self.address;
        let text = format!(
            "POST {path} HTTP/1.1\r\nHost: {host}\r\nCF-Connecting-IP: {address}\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{{"
        );
        let worker = self.url();
        let mut line = TcpStream::connect(worker.trim_start_matches("http://")).await.unwrap();
        line.write_all(text.as_bytes()).await.unwrap();
        line
    }

    /// A request to the platform host that carries the platform key.
    pub fn platform(&self, method: &str, path: &str) -> RequestBuilder {
        self.call(method, ROOT, path).bearer(PLATFORM_KEY)
    }

    /// A tenant to be made.
    pub fn tenant(&self) -> TenantBuilder {
        TenantBuilder::new(self)
    }

    /// Runs each trigger of cron once, to its end.
    pub async fn scheduled(&self) {
        self.control("/scheduled", json!({})).await;
    }

    /// The head of the answer to a GET of this URL, which may be of https: its status and its headers.
    pub async fn head_of(&self, url: &str) -> Value {
        self.control("/fetch", json!({"url": url})).await
    }

    /// Evicts a tenant's hub; its sockets are hibernated or closed.
    pub async fn evict(&self, tenant: &Tenant, sockets: Sockets) {
        let (status, text) = self.try_to_evict(tenant, sockets).await;
        // A hub that does not run is out of memory already.
        assert!(status.is_success() || text.contains("not currently running"), "/evict answers {status}: {text}");
    }

    /// Whether a tenant's hub could go to sleep, which it does then: nothing is under way in it.
    pub async fn can_evict(&self, tenant: &Tenant) -> bool {
        let (status, text) = self.try_to_evict(tenant, Sockets::Hibernate).await;
        status.is_success() || text.contains("not currently running")
    }

    async fn try_to_evict(&self, tenant: &Tenant, sockets: Sockets) -> (reqwest::StatusCode, String) {
        let sockets = match sockets {
            Sockets::Hibernate => "hibernate",
            Sockets::Close => "close",
        };
        let url = format!("{}/evict", self.runtime.control());
        let asked = json!({"tenant": tenant.id, "webSockets": sockets});
        let answer = within("/evict", self.http.post(url).json(&asked).send()).await.unwrap();
        (answer.status(), answer.text().await.unwrap())
    }

    /// A tenant's hub is aborted, as a fault of the platform would: whatever it holds open breaks off.
    pub async fn abort(&self, tenant: &Tenant) {
        self.control("/abort", json!({"tenant": tenant.id})).await;
    }

    /// KV loses the answers that it holds of a tenant's site.
    pub async fn forget_answers(&self, tenant: &Tenant) {
        self.control("/kv/forget", json!({"prefix": format!("t:{}:graphql:", tenant.id)})).await;
    }

    /// Rows of CONTROL, read through the test admin worker.
    pub async fn rows(&self, binding: &str, sql: &str, params: &[&str]) -> Vec<Value> {
        let asked = json!({"binding": binding, "sql": sql, "params": params});
        let answer = self.control("/d1", asked).await;
        answer["results"].as_array().cloned().unwrap_or_else(|| panic!("no rows in {answer}"))
    }

    /// How many rows a statement reads, as D1 counts and bills them.
    pub async fn rows_read(&self, binding: &str, sql: &str, params: &[Value]) -> u64 {
        let answer = self.control("/d1", json!({"binding": binding, "sql": sql, "params": params})).await;
        answer["meta"]["rows_read"].as_u64().unwrap_or_else(|| panic!("no meta in {answer}"))
    }

    /// Statements that stand or fall together, each `[sql, params]`.
    pub async fn batch(&self, binding: &str, statements: Vec<Value>) {
        self.control("/d1/batch", json!({"binding": binding, "statements": statements})).await;
    }

    /// A hint that KV loses.
    pub async fn forget_in_kv(&self, key: &str) {
        self.control("/kv/delete", json!({"key": key})).await;
    }

    /// A hint that KV still holds though it is no longer true, or never was.
    pub async fn write_kv(&self, key: &str, value: &str) {
        self.control("/kv/put", json!({"key": key, "value": value})).await;
    }

    /// What KV holds.
    pub async fn read_kv(&self, key: &str) -> Option<String> {
        let answer = self.control("/kv/get", json!({"key": key})).await;
        answer["value"].as_str().map(str::to_owned)
    }

    /// The keys of objects in R2 under a prefix, at most 1,000.
    pub async fn objects(&self, prefix: &str) -> Vec<String> {
        let answer = self.control("/r2/list", json!({"prefix": prefix})).await;
        answer["keys"].as_array().unwrap().iter().map(|key| key.as_str().unwrap().to_owned()).collect()
    }

    /// Puts an object into R2 that no row knows; with a count, so many, each with its number behind the key.
    pub async fn seed_object(&self, key: &str, count: Option<usize>) {
        let mut asked = json!({"key": key, "text": "forged"});
        if let Some(count) = count {
            asked["count"] = count.into();
        }
        self.control("/r2/put", asked).await;
    }

    /// The Worker's own log lines, parsed, newest last.
    pub async fn logs(&self) -> Vec<Value> {
        let url = format!("{}/logs", self.runtime.control());
        let text = self.http.get(url).send().await.unwrap().text().await.unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    async fn control(&self, path: &str, body: Value) -> Value {
        let url = format!("{}{path}", self.runtime.control());
        let answer = within(path, self.http.post(url).json(&body).send()).await.unwrap();
        let status = answer.status();
        let text = answer.text().await.unwrap();
        assert!(status.is_success(), "the runtime's control {path} answers {status}: {text}");
        serde_json::from_str(&text).unwrap_or(Value::Null)
    }
}

/// What happens to a hub's sockets when it is evicted.
#[derive(Clone, Copy)]
pub enum Sockets {
    Hibernate,
    Close,
}

/// Awaits `future` for at most [`PATIENCE`].
pub async fn within<T>(what: &str, future: impl Future<Output = T>) -> T {
    match tokio::time::timeout(PATIENCE, future).await {
        Ok(value) => value,
        Err(_) => panic!("waited {PATIENCE:?} without success for: {what}"),
    }
}

/// Asks again until `question` has an answer; for what can only be observed by asking.
pub async fn eventually<T, F: Future<Output = Option<T>>>(what: &str, mut question: impl FnMut() -> F) -> T {
    within(what, async {
        loop {
            if let Some(answer) = question().await {
                return answer;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    })
    .await
}

/// Begins early enough in a minute of UTC for what follows to end within it.
pub async fn early_in_a_minute() {
    let left = 60 - now() % 60;
    if left < 30 {
        tokio::time::sleep(Duration::from_secs(left)).await;
    }
}

/// Seconds since 1970.
pub fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

/// Twelve characters that no other caller gets.
pub fn unique() -> String {
    let mut bytes = [0_u8; 6];
    getrandom::fill(&mut bytes).unwrap();
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The part of an event's id that counts.
pub fn sequence(id: &str) -> u64 {
    let (_, number) = id.rsplit_once('-').unwrap_or_else(|| panic!("no event id: {id:?}"));
    number.parse().unwrap_or_else(|_| panic!("no event id: {id:?}"))
}
