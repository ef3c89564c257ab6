//! What another tenant notices while a stranger asks a neighbour for what costs much and is answered: patterns, references,
//! filters, searches, counts; and for what costs nothing much, to compare. Both tenants lie on one shard; the server bounds networks as a deployment does, the attacked
//! tenant has no limits of its own.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use crate::attack::{ATTACKER, WARM};
use crate::mark::Mark;
use crate::matching::{self, HUB};
use crate::options::Options;
use crate::peers::{Peer, Runtime, create_tenant, d1, serve_bounded};
use crate::publisher::Site;
use crate::table::Table;
use crate::wire::{self, Caller, Head};
use crate::{Result, api, neighbour};

const CONNECTIONS: usize = 4;
/// The longest that a row is measured, quiet and attacked each: its p99 is decided by a hundredth of some 80 requests a second.
const LONGEST: Duration = Duration::from_secs(60);
const TARGET: &str = "target.localhost";
/// Records of the target's collection: more than a stranger's list reads.
const RECORDS: usize = 12_000;
/// Posts that refer to each other, each to all.
const POSTS: usize = 20;
/// A part of a pattern that repeats so often again that a stream may use it eight times.
const NESTED: &str = "(?:%5Ba-z%5D{9}){40}";
/// Patterns of a stream that stand in the way of one topic.
const CROWD: usize = 90;
/// The pause between two updates that the target publishes.
const BETWEEN_UPDATES: Duration = Duration::from_millis(100);

/// What is asked of the target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum CostlyRequest {
    /// Streams that open and close, each with new patterns that are dear to compile.
    Patterns,
    /// Updates of the target's with a long topic, which all patterns are held against that its streams may hold.
    Crowd,
    References,
    Filter,
    Texts,
    Search,
    Count,
    /// A record by its id: what four connections do by themselves.
    Plain,
}

impl CostlyRequest {
    const ALL: [Self; 8] = [
        Self::Patterns,
        Self::Crowd,
        Self::References,
        Self::Filter,
        Self::Texts,
        Self::Search,
        Self::Count,
        Self::Plain,
    ];

    fn name(self) -> &'static str {
        match self {
            Self::Patterns => "patterns of nested repeats",
            Self::Crowd => "patterns before one topic",
            Self::References => "expand of a dense graph",
            Self::Filter => "filter without an index",
            Self::Texts => "20 comparisons of texts",
            Self::Search => "search for zq*",
            Self::Count => "counts",
            Self::Plain => "a record, nothing costly",
        }
    }

    /// What the other tenant is asked for meanwhile.
    fn noticed(self) -> Noticed {
        match self {
            Self::Patterns | Self::Crowd => Noticed::Webhook,
            _ => Noticed::Record,
        }
    }

    /// Its request of this number: none is answered from what is kept.
    fn request(self, number: u64) -> Vec<u8> {
        let notes = |query: &str| get(&format!("/api/v1/notes?limit=20&{query}"));
        let unlike_others = format!("id%21=%22n{number}%22");
        match self {
            Self::Patterns => {
                let pattern = |n| format!("match_urlpattern=/{number}-{n}-({NESTED})");
                get(&format!("{HUB}?{}", (0..8).map(pattern).collect::<Vec<_>>().join("&")))
            }
            Self::Crowd => {
                let pattern = |n| format!("match_urlpattern=/books/(%5B%5Ez%5D*{number}-{n})");
                get(&format!("{HUB}?{}", (0..CROWD).map(pattern).collect::<Vec<_>>().join("&")))
            }
            // By turns as much as is put beside, and more than that, which is refused.
            Self::References => {
                let limit = if number.is_multiple_of(2) { POSTS / 2 } else { POSTS };
                get(&format!("/api/v1/posts?limit={limit}&filter={unlike_others}&expand=related.related"))
            }
            Self::Filter => notes(&format!("filter=score=-{}", number + 1)),
            Self::Texts => {
                let comparison = |n| format!("text~%22zzz{number}-{n}%22");
                notes(&format!("filter={}", (0..20).map(comparison).collect::<Vec<_>>().join("%7C%7C")))
            }
            Self::Search => notes(&format!("q=zq*&filter={unlike_others}")),
            Self::Count => notes(&format!("count=true&filter=text~%22number%22%26%26{unlike_others}")),
            Self::Plain => get("/api/v1/notes/r00001"),
        }
    }

    /// Whether a status is an answer to it. What is refused as malformed costs nothing, and is no measurement.
    fn is_answered_with(self, status: u16) -> bool {
        matches!(status, 200 | 429) || (self == Self::References && status == 400)
    }

    /// Makes what is asked for.
    async fn prepare(self, shard: &SharedShard) -> Result<()> {
        match self {
            Self::Patterns | Self::Crowd => Ok(()),
            Self::References => shard.posts().await,
            Self::Filter | Self::Texts | Self::Search | Self::Count | Self::Plain => shard.notes().await,
        }
    }
}

/// What the other tenant is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Noticed {
    Webhook,
    Record,
}

impl Noticed {
    fn name(self) -> &'static str {
        match self {
            Self::Webhook => "webhook",
            Self::Record => "record",
        }
    }
}

fn get(path: &str) -> Vec<u8> {
    wire::request("GET", path, TARGET, &[ATTACKER], &[])
}

pub async fn measure(options: &Options) -> (Table, bool) {
    let length = options.length.min(LONGEST);
    let mut table = Table::new(
        format!(
            "Costly requests: {} s each, {CONNECTIONS} connections of one network without a pause",
            length.as_secs()
        ),
        &[
            "asked of the target",
            "of the other",
            "answered/s",
            "ratio of p99",
            "quiet p50, µs",
            "p99, µs",
            "attacked p50, µs",
            "p99, µs",
            "answers of it",
        ],
    );
    if let Some(reason) = Peer::Carillon.absent() {
        table.absent(&["all".to_owned(), String::new()]);
        table.note(reason);
        return (table, true);
    }
    let mut worked = true;
    for attack in CostlyRequest::ALL {
        let cells = cells(attack, length).await;
        worked &= table.measured(&[attack.name().to_owned(), attack.noticed().name().to_owned()], cells);
    }
    (table, worked)
}

async fn cells(attack: CostlyRequest, length: Duration) -> Result<Vec<String>> {
    let shard = SharedShard::new().await?;
    attack.prepare(&shard).await?;
    let quiet = shard.of_the_other(attack.noticed(), length).await?;
    let (ends, sent) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let address = shard.runtime.address;
    let mut attackers = JoinSet::new();
    for _ in 0..CONNECTIONS {
        let (ends, sent) = (ends.clone(), sent.clone());
        match attack {
            CostlyRequest::Patterns => attackers.spawn(open_and_close(attack, address, ends, sent)),
            CostlyRequest::Crowd => attackers.spawn(open_and_hold(attack, address, ends, sent)),
            _ => attackers.spawn(ask(attack, address, ends, sent)),
        };
    }
    if attack == CostlyRequest::Crowd {
        attackers.spawn(publish(address, shard.target_secret.clone(), ends.clone(), sent.clone()));
    }
    tokio::time::sleep(WARM).await;
    let (before, begun) = (sent.load(Ordering::Relaxed), Instant::now());
    let attacked = shard.of_the_other(attack.noticed(), length).await;
    let rate = (sent.load(Ordering::Relaxed) - before) as f64 / begun.elapsed().as_secs_f64();
    ends.store(true, Ordering::Relaxed);
    let mut answers = BTreeMap::new();
    while let Some(attacker) = attackers.join_next().await {
        for (status, count) in attacker?? {
            *answers.entry(status).or_insert(0_u64) += count;
        }
    }
    let answers: Vec<String> = answers.iter().map(|(status, count)| format!("{status} × {count}")).collect();
    let mut cells = vec![format!("{rate:.0}")];
    cells.extend(neighbour::cells(&quiet, &attacked?));
    cells.push(answers.join(", "));
    Ok(cells)
}

type Answers = BTreeMap<u16, u64>;

/// Asks again and again.
async fn ask(
    attack: CostlyRequest,
    address: SocketAddr,
    ends: Arc<AtomicBool>,
    sent: Arc<AtomicU64>,
) -> Result<Answers> {
    let (mut caller, mut answers) = (Caller::connect(address).await?, Answers::new());
    while !ends.load(Ordering::Relaxed) {
        let request = attack.request(sent.fetch_add(1, Ordering::Relaxed));
        let status = caller.call(&request).await?.status;
        if !attack.is_answered_with(status) {
            return Err(format!("a request for {} was answered with status {status}", attack.name()).into());
        }
        *answers.entry(status).or_default() += 1;
    }
    Ok(answers)
}

/// Opens a stream, leaves it, and opens the next one.
async fn open_and_close(
    attack: CostlyRequest,
    address: SocketAddr,
    ends: Arc<AtomicBool>,
    sent: Arc<AtomicU64>,
) -> Result<Answers> {
    let mut answers = Answers::new();
    while !ends.load(Ordering::Relaxed) {
        let (status, _) = open(address, &attack.request(sent.fetch_add(1, Ordering::Relaxed))).await?;
        *answers.entry(status).or_default() += 1;
    }
    Ok(answers)
}

/// Opens streams and holds them, until one is refused.
async fn open_and_hold(
    attack: CostlyRequest,
    address: SocketAddr,
    ends: Arc<AtomicBool>,
    sent: Arc<AtomicU64>,
) -> Result<Answers> {
    let (mut answers, mut held) = (Answers::new(), Vec::new());
    while answers.keys().all(|status| *status == 200) {
        let (status, stream) = open(address, &attack.request(sent.fetch_add(1, Ordering::Relaxed))).await?;
        *answers.entry(status).or_default() += 1;
        held.push(stream);
    }
    while !ends.load(Ordering::Relaxed) {
        tokio::time::sleep(BETWEEN_UPDATES).await;
    }
    Ok(answers)
}

/// Publishes updates of the target's, each with a topic of 4,000 bytes that its streams' patterns begin like.
async fn publish(address: SocketAddr, secret: String, ends: Arc<AtomicBool>, sent: Arc<AtomicU64>) -> Result<Answers> {
    let (mut caller, mut answers, token) =
        (Caller::connect(address).await?, Answers::new(), matching::publisher(&secret)?);
    let (topic, mut number) = ("a".repeat(4_000), 0);
    while !ends.load(Ordering::Relaxed) {
        number += 1;
        let (name, network) = wire::client_address(number);
        let headers =
            [("Authorization", &*token), ("Content-Type", "application/x-www-form-urlencoded"), (name, &*network)];
        let body = format!("topic=%2Fbooks%2F{topic}{number}&data=x");
        let request = wire::request("POST", HUB, TARGET, &headers, body.as_bytes());
        *answers.entry(caller.call(&request).await?.status).or_default() += 1;
        sent.fetch_add(1, Ordering::Relaxed);
        tokio::time::sleep(BETWEEN_UPDATES).await;
    }
    Ok(answers)
}

/// The status of a stream that is opened, and the stream.
async fn open(address: SocketAddr, request: &[u8]) -> Result<(u16, TcpStream)> {
    let mut stream = TcpStream::connect(address).await?;
    stream.write_all(request).await?;
    let mut bytes = Vec::new();
    loop {
        if let Some(head) = Head::parse(&bytes)? {
            return Ok((head.status, stream));
        }
        if stream.read_buf(&mut bytes).await? == 0 {
            return Err("the server closed the connection before it answered".into());
        }
    }
}

/// A runtime with the attacked tenant and another one, on one shard.
struct SharedShard {
    runtime: Runtime,
    binding: String,
    target_key: String,
    target_secret: String,
    other: Site,
    _state: TempDir,
}

impl SharedShard {
    async fn new() -> Result<Self> {
        let state = TempDir::new()?;
        let runtime = serve_bounded(state.path()).await?;
        let other = Site::of_tenant("bench", &create_tenant(runtime.address, "bench").await?)?;
        // It goes where fewer are, so that the next one lies beside the first.
        create_tenant(runtime.address, "beside").await?;
        let target_secret = create_tenant(runtime.address, "target").await?;
        let shards = "SELECT DISTINCT shard FROM placements WHERE tenant_id IN ('bench', 'target')";
        let shards = d1(runtime.control, "CONTROL", shards, &[]).await?;
        if shards["results"].as_array().map(Vec::len) != Some(1) {
            return Err("the two tenants do not lie on one shard".into());
        }
        let key = api::key(runtime.address, "bench.localhost").await?;
        let body = json!({"slug": "articles", "schema": {"type": "object", "properties": {"text": {"type": "string"}}}, "public_read": true});
        let post = async |path: &str, body: &Value| {
            api::ask(runtime.address, "POST", path, "bench.localhost", body, Some(&key)).await
        };
        post("/api/v1/collections", &body).await?;
        post("/api/v1/articles", &json!({"id": "one", "text": "What the other tenant has."})).await?;
        let target_key = api::key(runtime.address, TARGET).await?;
        let binding = api::text(&shards, "/results/0/shard")?;
        Ok(Self { runtime, binding, target_key, target_secret, other, _state: state })
    }

    /// How long the other tenant's requests take.
    async fn of_the_other(&self, noticed: Noticed, length: Duration) -> Result<hdrhistogram::Histogram<u64>> {
        let request = |call| match noticed {
            Noticed::Webhook => self.other.webhook(Mark { number: u32::try_from(call).unwrap_or(0), sent: 0 }),
            Noticed::Record => {
                let (name, address) = wire::client_address(call);
                wire::request("GET", "/api/v1/articles/one", "bench.localhost", &[(name, &*address)], &[])
            }
        };
        neighbour::times_for(self.runtime.address, request, length).await
    }

    async fn post(&self, path: &str, body: &Value) -> Result<Value> {
        api::ask(self.runtime.address, "POST", path, TARGET, body, Some(&self.target_key)).await
    }

    /// Posts that refer to each other, each to all.
    async fn posts(&self) -> Result<()> {
        let properties = json!({
            "text": {"type": "string"},
            "related": {"type": "array", "items": {"type": "string"}, "reference": "posts"},
        });
        let body =
            json!({"slug": "posts", "schema": {"type": "object", "properties": properties}, "public_read": true});
        self.post("/api/v1/collections", &body).await?;
        let ids: Vec<String> = (0..POSTS).map(|number| format!("p{number}")).collect();
        let create = |id| json!({"op": "create", "data": {"id": id, "text": "A post. ".repeat(10), "related": ids}});
        let operations: Vec<Value> = ids.iter().map(create).collect();
        self.post("/api/v1/posts/bulk", &json!({"operations": operations})).await?;
        Ok(())
    }

    /// More notes than a stranger's list reads, put straight on the shard: 400 bytes each, and a word of its own.
    async fn notes(&self) -> Result<()> {
        let properties = json!({
            "text": {"type": "string"},
            "title": {"type": "string", "searched": true},
            "score": {"type": "integer"},
        });
        let body =
            json!({"slug": "notes", "schema": {"type": "object", "properties": properties}, "public_read": true});
        self.post("/api/v1/collections", &body).await?;
        let text = "What nobody looks up, and says little. ".repeat(10);
        let sql = format!(
            "WITH RECURSIVE numbers (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM numbers WHERE i < {RECORDS}) \
             INSERT INTO records (tenant_id, collection, id, version, data, created_at, updated_at, created_by, updated_by, index_revision, words) \
             SELECT c.tenant_id, c.slug, printf('r%05d', i), 1, json_object('text', '{text}number ' || i, 'title', printf('zq%05d', i), 'score', i), \
             1700000000000 + i, 1700000000000 + i, 'bench', 'bench', c.revision, printf('zq%05d', i) \
             FROM numbers, collections c WHERE c.tenant_id = ?1 AND c.slug = 'notes'"
        );
        d1(self.runtime.control, &self.binding, &sql, &["target".into()]).await?;
        Ok(())
    }
}
