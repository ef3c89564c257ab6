//! What a fresh isolate costs: the first request to Carillon beside the first to an empty Rust Worker, each in an
//! isolate that was made for it. Nothing is read on the way, so what stands between them is code: its size to compile,
//! its start, one answer.

use std::time::Instant;

use crate::Result;
use crate::options::Options;
use crate::peers::fresh;
use crate::table::Table;
use crate::tally::histogram;
use crate::wire::{self, Caller};

/// Isolates of each Worker that are measured; each costs milliseconds, not microseconds as a call does.
const ISOLATES: usize = 200;
/// Isolates before those that count.
const WARM: usize = 10;
const WORKERS: [&str; 2] = ["carillon", "empty"];

pub async fn measure(options: &Options) -> (Table, bool) {
    let isolates = options.calls.min(ISOLATES);
    let mut table = Table::new(
        format!("First request: {isolates} fresh isolates of each, in turn"),
        &["request", "Carillon p50, ms", "p95, ms", "empty Rust Worker p50, ms", "p95, ms", "ratio of p50"],
    );
    let name = ["OPTIONS /health".to_owned()];
    if let Some(reason) = fresh::absent() {
        table.absent(&name);
        table.note(reason);
        return (table, true);
    }
    let cells = row(isolates).await;
    let worked = table.measured(&name, cells);
    (table, worked)
}

async fn row(isolates: usize) -> Result<Vec<String>> {
    let server = fresh::start().await?;
    let mut caller = Caller::connect(server.address).await?;
    let mut times = [histogram()?, histogram()?];
    for isolate in 0..WARM + isolates {
        for (worker, times) in WORKERS.iter().zip(&mut times) {
            let request = wire::request("OPTIONS", "/health", "localhost", &[("Worker", worker)], &[]);
            let begun = Instant::now();
            caller.call(&request).await?.succeeded()?;
            let took = u64::try_from(begun.elapsed().as_micros())?;
            if isolate >= WARM {
                times.saturating_record(took);
            }
        }
    }
    let quantile = |worker: usize, quantile: f64| times[worker].value_at_quantile(quantile) as f64;
    let millis = |micros: f64| format!("{:.1}", micros / 1_000.0);
    let (ours, empty) = (quantile(0, 0.5), quantile(1, 0.5));
    let ratio = format!("{:.2}", ours / empty);
    Ok(vec![millis(ours), millis(quantile(0, 0.95)), millis(empty), millis(quantile(1, 0.95)), ratio])
}
