//! What tenants wait while a large collection of another one of their shard is deleted in the background: four read a
//! record of theirs at an even pace, before and until it is gone.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::options::{BULK, Options};
use crate::peers::{Peer, create_tenant, d1, serve};
use crate::table::{Table, whole};
use crate::tally::histogram;
use crate::wire;
use crate::{Result, api, neighbour};

/// Who reads. Between two of them another tenant is made, which goes to the other shard.
const READERS: [&str; 4] = ["reader-0", "reader-1", "reader-2", "reader-3"];
const DELETER: &str = "deleter";
/// How often it is looked whether the collection is gone.
const LOOK: Duration = Duration::from_millis(50);
/// How long that may take.
const LONGEST: Duration = Duration::from_secs(300);

pub async fn measure(options: &Options) -> (Table, bool) {
    let records = options.size.many;
    let mut table = Table::new(
        format!("Deletion: a collection of {} records, while four other tenants read", whole(records as f64)),
        &["readers", "p50, ms", "p99, ms", "longest, ms", "reads", "during, s"],
    );
    if let Some(reason) = Peer::Carillon.absent() {
        table.absent(&["all".to_owned()]);
        table.note(reason);
        return (table, true);
    }
    match rows(records, options.length.min(Duration::from_secs(10))).await {
        Ok(rows) => {
            for (name, cells) in ["before", "meanwhile"].into_iter().zip(rows) {
                table.row(std::iter::once(name.to_owned()).chain(cells).collect());
            }
            (table, true)
        }
        Err(error) => {
            let worked = table.measured(&["all".to_owned()], Err(error));
            (table, worked)
        }
    }
}

async fn rows(records: usize, quiet: Duration) -> Result<[Vec<String>; 2]> {
    let state = TempDir::new()?;
    let runtime = serve(state.path()).await?;
    let address = runtime.address;
    for tenant in READERS {
        create_tenant(address, tenant).await?;
        create_tenant(address, &format!("beside-{tenant}")).await?;
        with_a_record(address, tenant).await?;
    }
    create_tenant(address, DELETER).await?;
    let shards = "SELECT DISTINCT shard FROM placements WHERE tenant_id LIKE 'reader-%' OR tenant_id = 'deleter'";
    let shards = d1(runtime.control, "CONTROL", shards, &[]).await?;
    if shards["results"].as_array().map(Vec::len) != Some(1) {
        return Err("the tenants do not lie on one shard".into());
    }
    let key = fill(address, records).await?;
    let begun = Instant::now();
    let before = read(address, || begun.elapsed() < quiet).await?;
    let before = cells(&before, begun.elapsed());
    let (gone, begun) = (AtomicBool::new(false), Instant::now());
    let (meanwhile, deleted) = tokio::join!(read(address, || !gone.load(Ordering::Relaxed)), async {
        let deleted = delete(address, &key).await;
        gone.store(true, Ordering::Relaxed);
        deleted
    });
    deleted?;
    Ok([before, cells(&meanwhile?, begun.elapsed())])
}

fn cells(times: &Histogram<u64>, during: Duration) -> Vec<String> {
    let millis = |micros: u64| format!("{:.1}", micros as f64 / 1_000.0);
    let [p50, p99] = [0.5, 0.99].map(|quantile| millis(times.value_at_quantile(quantile)));
    vec![p50, p99, millis(times.max()), whole(times.len() as f64), format!("{:.1}", during.as_secs_f64())]
}

/// All readers at once.
async fn read(address: SocketAddr, goes_on: impl Fn() -> bool) -> Result<Histogram<u64>> {
    let of = |tenant: &'static str| {
        let request = move |call| {
            let (name, network) = wire::client_address(call);
            wire::request("GET", "/api/v1/articles/one", &format!("{tenant}.localhost"), &[(name, &*network)], &[])
        };
        neighbour::times(address, request, &goes_on)
    };
    let [a, b, c, d] = READERS.map(of);
    let (a, b, c, d) = tokio::join!(a, b, c, d);
    let mut all = histogram()?;
    for times in [a?, b?, c?, d?] {
        all.add(times)?;
    }
    Ok(all)
}

/// Gives a tenant a public record.
async fn with_a_record(address: SocketAddr, tenant: &str) -> Result<()> {
    let host = format!("{tenant}.localhost");
    let key = api::key(address, &host).await?;
    let schema = json!({"type": "object", "properties": {"text": {"type": "string"}}});
    let body = json!({"slug": "articles", "schema": schema, "public_read": true});
    api::ask(address, "POST", "/api/v1/collections", &host, &body, Some(&key)).await?;
    let body = json!({"id": "one", "text": "What is read."});
    api::ask(address, "POST", "/api/v1/articles", &host, &body, Some(&key)).await?;
    Ok(())
}

/// Makes the collection that is deleted, with one index, words and versions; the tenant's key.
async fn fill(address: SocketAddr, records: usize) -> Result<String> {
    let host = format!("{DELETER}.localhost");
    let key = api::key(address, &host).await?;
    let properties = json!({
        "score": {"type": "integer", "indexed": true},
        "title": {"type": "string", "searched": true},
    });
    let body = json!({"slug": "leads", "schema": {"type": "object", "properties": properties}, "versioned": true});
    api::ask(address, "POST", "/api/v1/collections", &host, &body, Some(&key)).await?;
    let numbers: Vec<usize> = (0..records).collect();
    for some in numbers.chunks(BULK) {
        let create = |number| json!({"op": "create", "data": {"score": number, "title": format!("Lead {number}")}});
        let operations: Vec<Value> = some.iter().map(create).collect();
        let body = json!({"operations": operations});
        api::ask(address, "POST", "/api/v1/leads/bulk", &host, &body, Some(&key)).await?;
    }
    Ok(key)
}

/// Deletes it and waits until another one can be made under its name.
async fn delete(address: SocketAddr, key: &str) -> Result<()> {
    let host = format!("{DELETER}.localhost");
    api::ask(address, "DELETE", "/api/v1/collections/leads", &host, &Value::Null, Some(key)).await?;
    let body = json!({"slug": "leads", "schema": {"type": "object", "properties": {}}});
    let begun = Instant::now();
    while let Err(error) = api::ask(address, "POST", "/api/v1/collections", &host, &body, Some(key)).await {
        if begun.elapsed() > LONGEST {
            return Err(format!("the collection does not go: {error}").into());
        }
        tokio::time::sleep(LOOK).await;
    }
    Ok(())
}
