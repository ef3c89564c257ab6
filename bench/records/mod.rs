//! A tenant's records among those of many tenants, beside the same records alone: two runtimes at once, one
//! connection each, call by call in turn.
//!
//! - [`load`] writes the rows into the databases' files, once; a later run finds them there
//! - [`way`] is what is asked; [`reads`] counts the rows that each of it looks at
//! - every list is asked for with another query, so that none is kept: it comes from the rows. One alone is asked for
//!   again and again

mod load;
mod progress;
mod queries;
mod reads;

use std::collections::HashSet;
use std::ops::Range;
use std::time::Instant;

use hdrhistogram::Histogram;
use serde_json::{Value, json};

use crate::Result;
use crate::options::{Options, Size};
use crate::peers::{PLATFORM_KEY, Peer, Runtime, create_tenant, d1, serve};
use crate::table::{Table, whole};
use crate::tally::histogram;
use crate::wire::{self, Caller};
use load::Loaded;
use progress::Progress;
use queries::CredentialKind;

/// Calls before those that count.
const WARM: usize = 300;
/// Most calls of each kind: every one that creates leaves a record.
const MOST_CALLS: usize = 500;
/// How many pages the cursor lies behind the beginning, if there are as many and one more.
const PAGES: usize = 5;
/// Records of a page where nobody says.
const PAGE: usize = 50;

/// The id of tenant `number`.
fn tenant_id(number: usize) -> String {
    format!("bench-{number:04}")
}

/// A runtime with its rows, and the tenant in it that is asked for.
struct Fixture {
    runtime: Runtime,
    loaded: Loaded,
    tenant: String,
    host: String,
    authorization: String,
    shard: String,
    cursor: String,
    size: Size,
}

pub async fn measure(options: &Options) -> (Table, bool) {
    let Size { tenants, deployments, workflows } = options.size;
    let [tenants, deployments, workflows] = [tenants, deployments, workflows].map(|count| whole(count as f64));
    let calls = options.calls.min(MOST_CALLS);
    let mut table = Table::new(
        format!(
            "Rows: {tenants} tenants × {deployments} deployments × {workflows} workflows, one of them beside the same alone; {calls} requests of each, in turn"
        ),
        &[
            "request",
            "among all: p50, ms",
            "p95, ms",
            "rows read",
            "alone: p50, ms",
            "p95, ms",
            "rows read",
            "ratio of p95",
        ],
    );
    if let Some(reason) = Peer::Carillon.absent() {
        table.absent(&["all".to_owned()]);
        table.note(reason);
        return (table, true);
    }
    let worked = match rows(options, calls, &mut table).await {
        Ok(()) => true,
        Err(error) => table.measured(&["all".to_owned()], Err(error)),
    };
    (table, worked)
}

async fn rows(options: &Options, calls: usize, table: &mut Table) -> Result<()> {
    let size = options.size;
    let middle = size.tenants / 2;
    let many = party(options, 0..size.tenants, middle).await?;
    let alone = party(options, middle..middle + 1, middle).await?;
    for (party, name) in [(&many, "among all"), (&alone, "alone")] {
        table.note(format!("{name}: {}.", party.loaded));
    }
    for way in CredentialKind::ALL {
        let cells = in_turn(way, [&many, &alone], calls).await;
        let worked = cells.is_ok();
        table.measured(&[way.name().to_owned()], cells);
        if !worked {
            return Err("what follows was not asked".into());
        }
    }
    for (party, name) in [(&many, "among all"), (&alone, "alone")] {
        let memory = party.wasm_memory().await? / (1024 * 1024);
        table.note(format!("{name}: afterwards the Wasm memory of the isolate, which never shrinks, is {memory} MB."));
    }
    Ok(())
}

/// Loads what is not there yet, and serves it.
async fn party(options: &Options, tenants: Range<usize>, asked: usize) -> Result<Fixture> {
    let size = options.size;
    let name = format!("{}x{}x{}", tenants.len(), size.deployments, size.workflows);
    let folder = std::path::absolute(options.state.join(name))?;
    std::fs::create_dir_all(&folder)?;
    // It makes the databases and the tenants; their records are written once it has let go of the files.
    let runtime = serve(&folder).await?;
    register(&runtime, tenants.clone()).await?;
    drop(runtime);
    let tenant = tenant_id(asked);
    let loaded = load::load(folder.join("state/d1"), tenants.len(), size, tenant.clone()).await?;
    let runtime = serve(&folder).await?;
    let host = format!("{tenant}.localhost");
    let authorization = format!("Bearer {}", api_key(&runtime, &host).await?);
    let place = "SELECT shard FROM placements WHERE tenant_id = ?1";
    let placed = d1(runtime.control, "CONTROL", place, &[tenant.as_str().into()]).await?;
    let shard = text(&placed, "/results/0/shard")?;
    let mut party = Fixture { runtime, loaded, tenant, host, authorization, shard, cursor: String::new(), size };
    party.cursor = party.behind(party.pages()).await?;
    Ok(party)
}

/// Makes the tenants that are not there yet.
async fn register(runtime: &Runtime, tenants: Range<usize>) -> Result<()> {
    let known = d1(runtime.control, "CONTROL", "SELECT id FROM tenants", &[]).await?;
    let known: HashSet<&str> =
        known["results"].as_array().into_iter().flatten().filter_map(|row| row["id"].as_str()).collect();
    let missing: Vec<String> = tenants.map(tenant_id).filter(|tenant| !known.contains(&**tenant)).collect();
    let mut progress = Progress::new("tenants made", missing.len());
    for (done, tenant) in missing.iter().enumerate() {
        create_tenant(runtime.address, tenant).await?;
        progress.at(done + 1);
    }
    Ok(())
}

/// A key of the tenant that may do everything.
async fn api_key(runtime: &Runtime, host: &str) -> Result<String> {
    let body = json!({"name": "bench", "scopes": ["*"]}).to_string();
    let authorization = format!("Bearer {PLATFORM_KEY}");
    let headers = [("Authorization", &*authorization), ("Content-Type", "application/json")];
    let request = wire::request("POST", "/api/v1/api-keys", host, &headers, body.as_bytes());
    let answer = Caller::connect(runtime.address).await?.call(&request).await?.succeeded()?;
    text(&serde_json::from_slice(&answer.body)?, "/data/key")
}

impl Fixture {
    fn pages(&self) -> usize {
        PAGES.min((self.size.deployments / PAGE).saturating_sub(1))
    }

    /// Bytes of Wasm memory of the isolate that answers.
    async fn wasm_memory(&self) -> Result<u64> {
        let authorization = format!("Bearer {PLATFORM_KEY}");
        let path = format!("/api/v1/tenants/{}/health", self.tenant);
        let request = wire::request("GET", &path, "localhost", &[("Authorization", &*authorization)], &[]);
        let answer = Caller::connect(self.runtime.address).await?.call(&request).await?.succeeded()?;
        let health: Value = serde_json::from_slice(&answer.body)?;
        let memory = health.pointer("/data/isolate/memory_bytes").and_then(Value::as_u64);
        memory.ok_or_else(|| format!("a health report without its isolate: {health}").into())
    }

    /// The cursor behind some pages.
    async fn behind(&self, pages: usize) -> Result<String> {
        let mut caller = Caller::connect(self.runtime.address).await?;
        let mut cursor = String::new();
        for page in 0..pages {
            let query = if page == 0 { String::new() } else { format!("?cursor={cursor}") };
            let request = self.request("GET", &format!("/api/v1/deployments{query}"), 0, &[]);
            let answer: Value = serde_json::from_slice(&caller.call(&request).await?.succeeded()?.body)?;
            match answer.pointer("/pagination/cursor").and_then(Value::as_str) {
                Some(next) => next.clone_into(&mut cursor),
                None => break,
            }
        }
        Ok(cursor)
    }

    fn request(&self, method: &str, path: &str, call: usize, body: &[u8]) -> Vec<u8> {
        let (name, address) = wire::client_address(call);
        let mut headers = vec![("Authorization", &*self.authorization), (name, &*address)];
        if !body.is_empty() {
            headers.push(("Content-Type", "application/json"));
        }
        wire::request(method, path, &self.host, &headers, body)
    }
}

/// Asks one thing of both, call by call.
async fn in_turn(way: CredentialKind, parties: [&Fixture; 2], calls: usize) -> Result<Vec<String>> {
    let mut asking = Vec::new();
    for party in parties {
        asking.push((party, Caller::connect(party.runtime.address).await?, histogram()?));
    }
    for call in 0..WARM + calls {
        for (party, caller, times) in &mut asking {
            let request = way.request(party, call);
            let begun = Instant::now();
            caller.call(&request).await?.succeeded()?;
            if call >= WARM {
                times.saturating_record(u64::try_from(begun.elapsed().as_micros())?);
            }
        }
    }
    let mut cells = Vec::new();
    for (party, _, times) in &asking {
        cells.extend([0.5, 0.95].map(|quantile| format!("{:.2}", millis(times, quantile))));
        cells.push(reads::rows_read(way, party).await?.map_or_else(|| "–".to_owned(), |count| whole(count as f64)));
    }
    let p95: Vec<f64> = asking.iter().map(|(_, _, times)| millis(times, 0.95)).collect();
    cells.push(format!("{:.2}", p95[0] / p95[1]));
    Ok(cells)
}

fn millis(times: &Histogram<u64>, quantile: f64) -> f64 {
    times.value_at_quantile(quantile) as f64 / 1_000.0
}

fn text(answer: &Value, pointer: &str) -> Result<String> {
    let text = answer.pointer(pointer).and_then(Value::as_str);
    text.map(str::to_owned).ok_or_else(|| format!("an answer without {pointer}: {answer}").into())
}
