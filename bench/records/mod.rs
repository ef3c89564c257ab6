//! Operations on a few and on many records, of a tenant alone and of one among many: three runtimes at once, one
//! connection to each tenant, call by call in turn.
//!
//! - [`notes`] is the collection that is asked, and [`operation`] what is asked of it
//! - [`load`] writes the rows into the databases' files; those of the neighbours are found there by a later run
//! - [`row_counts`] counts the rows that an operation reads and writes, in runtimes of their own before the timed ones
//! - every list is asked for with another query, so that none is kept: it comes from the rows. One alone is asked for
//!   again and again

mod load;
mod notes;
mod operation;
mod progress;
mod row_counts;

use std::collections::{HashMap, HashSet};
use std::path::PathBuf;
use std::time::Instant;

use hdrhistogram::Histogram;
use serde_json::Value;
use tempfile::TempDir;

use crate::options::{Options, Size};
use crate::peers::{PLATFORM_KEY, Peer, Runtime, create_tenant, d1, serve, serve_counting};
use crate::table::{Table, whole};
use crate::tally::histogram;
use crate::wire::{self, Caller};
use crate::{Result, api};
use load::TenantSize;
use operation::Operation;
use progress::Progress;
use row_counts::RowCounts;

/// Calls before those that count, and most calls that count.
const WARM: usize = 100;
const MOST_CALLS: usize = 400;
/// Records of a page on the way to the cursor.
const PAGE: usize = 50;

/// Databases and the tenants in them.
struct Databases {
    name: String,
    folder: PathBuf,
    tenants: usize,
    asked: Vec<TenantSize>,
    neighbours: usize,
    _temporary: Option<TempDir>,
}

/// A tenant that is asked.
pub struct Fixture {
    /// Which of the databases it lives in.
    databases: usize,
    tenant: String,
    host: String,
    authorization: String,
    /// Behind the newest half of its records.
    cursor: String,
    records: usize,
}

pub async fn measure(options: &Options) -> (Table, bool) {
    let Size { tenants, few, many, neighbours } = options.size;
    let [tenants, few, many, neighbours] = [tenants, few, many, neighbours].map(|count| whole(count as f64));
    let mut table = Table::new(
        format!(
            "Rows: {few} and {many} records, alone and among {tenants} tenants of {neighbours} records each; {} requests of each, in turn",
            options.calls.min(MOST_CALLS)
        ),
        &[
            "request",
            "p95 beside few alone: many",
            "few among",
            "many among",
            "rows read",
            "written",
            "few alone: p50 / p95, ms",
            "many alone",
            "few among",
            "many among",
        ],
    );
    if let Some(reason) = Peer::Carillon.absent() {
        table.absent(&["all".to_owned()]);
        table.note(reason);
        return (table, true);
    }
    let worked = match rows(options, &mut table).await {
        Ok(()) => true,
        Err(error) => table.measured(&["all".to_owned()], Err(error)),
    };
    (table, worked)
}

async fn rows(options: &Options, table: &mut Table) -> Result<()> {
    let all = databases_of(options)?;
    let mut fixtures = Vec::new();
    let mut counted = HashMap::new();
    for (number, databases) in all.iter().enumerate() {
        table.note(format!("{}: {}.", databases.name, databases.prepare().await?));
        let runtime = serve_counting(&databases.folder).await?;
        for asked in &databases.asked {
            let fixture = Fixture::of(asked, number, &runtime).await?;
            for operation in Operation::ALL {
                counted.insert((operation, fixtures.len()), row_counts::of(operation, &fixture, &runtime).await?);
            }
            fixtures.push(fixture);
        }
    }
    let mut runtimes = Vec::new();
    for databases in &all {
        runtimes.push(serve(&databases.folder).await?);
    }
    for operation in Operation::ALL {
        let times = in_turn(operation, &fixtures, &runtimes, options.calls.min(MOST_CALLS)).await;
        let rows: Vec<RowCounts> = (0..fixtures.len()).map(|fixture| counted[&(operation, fixture)]).collect();
        let cells = times.map(|times| cells(&times, &rows));
        let worked = cells.is_ok();
        table.measured(&[operation.name().to_owned()], cells);
        if !worked {
            return Err("what follows was not asked".into());
        }
    }
    for (databases, runtime) in all.iter().zip(&runtimes) {
        let memory = wasm_memory(runtime, &databases.asked[0].tenant).await? / (1024 * 1024);
        let name = &databases.name;
        table.note(format!("{name}: afterwards the Wasm memory of the isolate, which never shrinks, is {memory} MB."));
    }
    Ok(())
}

/// One for each of the two tenants alone, and one for both among others: the fixtures in the order of the columns.
fn databases_of(options: &Options) -> Result<[Databases; 3]> {
    let size = options.size;
    let few = TenantSize { tenant: "bench-few".to_owned(), records: size.few };
    let many = TenantSize { tenant: "bench-many".to_owned(), records: size.many };
    let alone = |name: &str, asked: &TenantSize| -> Result<Databases> {
        let temporary = TempDir::new()?;
        let folder = temporary.path().to_owned();
        let asked = vec![asked.clone()];
        Ok(Databases { name: name.to_owned(), folder, tenants: 1, asked, neighbours: 0, _temporary: Some(temporary) })
    };
    let folder = std::path::absolute(options.state.join(format!("{}x{}", size.tenants, size.neighbours)))?;
    std::fs::create_dir_all(&folder)?;
    let among = Databases {
        name: "among all".to_owned(),
        folder,
        tenants: size.tenants.max(2),
        asked: vec![few.clone(), many.clone()],
        neighbours: size.neighbours,
        _temporary: None,
    };
    Ok([alone("few alone", &few)?, alone("many alone", &many)?, among])
}

impl Databases {
    /// Makes the tenants that are not there yet, and loads the rows.
    async fn prepare(&self) -> Result<load::Loaded> {
        // It makes the databases and the tenants; their records are written once it has let go of the files.
        let runtime = serve(&self.folder).await?;
        self.register(&runtime).await?;
        drop(runtime);
        load::load(self.folder.join("state/d1"), self.tenants, self.asked.clone(), self.neighbours).await
    }

    async fn register(&self, runtime: &Runtime) -> Result<()> {
        let known = d1(runtime.control, "CONTROL", "SELECT id FROM tenants", &[]).await?;
        let known: HashSet<&str> =
            known["results"].as_array().into_iter().flatten().filter_map(|row| row["id"].as_str()).collect();
        let others = (0..self.tenants - self.asked.len()).map(|number| format!("bench-{number:04}"));
        let all = self.asked.iter().map(|asked| asked.tenant.clone()).chain(others);
        let missing: Vec<String> = all.filter(|tenant| !known.contains(&**tenant)).collect();
        let mut progress = Progress::new("tenants made", missing.len());
        for (done, tenant) in missing.iter().enumerate() {
            create_tenant(runtime.address, tenant).await?;
            progress.at(done + 1);
        }
        Ok(())
    }
}

/// Bytes of Wasm memory of the isolate that answers.
async fn wasm_memory(runtime: &Runtime, tenant: &str) -> Result<u64> {
    let path = format!("/api/v1/tenants/{tenant}/health");
    let health = api::ask(runtime.address, "GET", &path, "localhost", &Value::Null, Some(PLATFORM_KEY)).await?;
    let memory = health.pointer("/data/isolate/memory_bytes").and_then(Value::as_u64);
    memory.ok_or_else(|| format!("a health report without its isolate: {health}").into())
}

impl Fixture {
    async fn of(asked: &TenantSize, databases: usize, runtime: &Runtime) -> Result<Self> {
        let host = format!("{}.localhost", asked.tenant);
        let authorization = format!("Bearer {}", api::key(runtime.address, &host).await?);
        let (tenant, cursor) = (asked.tenant.clone(), String::new());
        let mut fixture = Self { databases, tenant, host, authorization, cursor, records: asked.records };
        fixture.cursor = fixture.half(runtime).await?;
        Ok(fixture)
    }

    /// The cursor behind the newest half of the records.
    async fn half(&self, runtime: &Runtime) -> Result<String> {
        let mut caller = Caller::connect(runtime.address).await?;
        let mut cursor = String::new();
        for page in 0..(self.records / 2 / PAGE).max(1) {
            let behind = if page == 0 { String::new() } else { format!("&cursor={cursor}") };
            let request = self.request("GET", &format!("?limit={PAGE}{behind}"), page, &Value::Null);
            let answer: Value = serde_json::from_slice(&caller.call(&request).await?.succeeded()?.body)?;
            cursor = api::text(&answer, "/pagination/cursor")?;
        }
        Ok(cursor)
    }

    /// A request to the collection, with a body unless it is null.
    fn request(&self, method: &str, path: &str, call: usize, body: &Value) -> Vec<u8> {
        let (name, address) = wire::client_address(call);
        let mut headers = vec![("Authorization", &*self.authorization), (name, &*address)];
        let body = if body.is_null() { String::new() } else { body.to_string() };
        if !body.is_empty() {
            headers.push(("Content-Type", "application/json"));
        }
        wire::request(method, &format!("/api/v1/{}{path}", notes::SLUG), &self.host, &headers, body.as_bytes())
    }
}

/// Asks one thing of all, call by call; who is first changes.
async fn in_turn(
    operation: Operation,
    fixtures: &[Fixture],
    runtimes: &[Runtime],
    calls: usize,
) -> Result<Vec<Histogram<u64>>> {
    let mut asking = Vec::new();
    for fixture in fixtures {
        asking.push((fixture, Caller::connect(runtimes[fixture.databases].address).await?, histogram()?));
    }
    let (warm, calls) = (operation.calls(WARM), operation.calls(calls));
    // Those that share a runtime do not follow each other: what one leaves to be done meets nobody's next request.
    let order = [0, 2, 1, 3];
    for call in 0..warm + calls {
        for place in 0..order.len() {
            let (fixture, caller, times) = &mut asking[order[(place + call) % order.len()]];
            // Those before were counted.
            let number = call + row_counts::TIMES;
            if let Some(before) = operation.before(fixture, number) {
                caller.call(&before).await?.succeeded()?;
            }
            let request = operation.request(fixture, number);
            let begun = Instant::now();
            caller.call(&request).await?.succeeded()?;
            if call >= warm {
                times.saturating_record(u64::try_from(begun.elapsed().as_micros())?);
            }
            if let Some(after) = operation.after(fixture, number) {
                caller.call(&after).await?.succeeded()?;
            }
        }
    }
    Ok(asking.into_iter().map(|(_, _, times)| times).collect())
}

fn cells(times: &[Histogram<u64>], rows: &[RowCounts]) -> Vec<String> {
    let millis = |times: &Histogram<u64>, quantile| times.value_at_quantile(quantile) as f64 / 1_000.0;
    let base = times.first().map_or(1.0, |times| millis(times, 0.95));
    let ratios = times.iter().skip(1).map(|times| format!("{:.2}", millis(times, 0.95) / base));
    let counts: [Vec<u64>; 2] =
        [rows.iter().map(|rows| rows.read).collect(), rows.iter().map(|rows| rows.written).collect()];
    let figures = times.iter().map(|times| format!("{:.1} / {:.1}", millis(times, 0.5), millis(times, 0.95)));
    ratios.chain(counts.map(|counts| once_if_equal(&counts))).chain(figures).collect()
}

/// One count if all are equal, else all.
fn once_if_equal(counts: &[u64]) -> String {
    let all: Vec<String> = counts.iter().map(|count| whole(*count as f64)).collect();
    match counts.iter().all(|count| Some(count) == counts.first()) {
        true => all.first().cloned().unwrap_or_default(),
        false => all.join(" · "),
    }
}
