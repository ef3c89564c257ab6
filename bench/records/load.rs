//! Writes collections and their records straight into the files of the local D1, while nobody serves them.
//!
//! Invariants
//! - A tenant's rows are one transaction: it has all of them or none. So the rows themselves say which tenants are
//!   done, and a load that was ended goes on where it stood.
//! - Collections are made by the Worker's own statements of its own templates, and everything derived of a record by
//!   the schema's triggers. One thing differs: they are not live, as nobody would take the announcements of a million
//!   records out of the outbox.

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use carillon::records::definition::Definition;
use carillon::records::provision::insertion;
use carillon::records::template::Template;
use carillon::records::words::of_record;
use carillon::storage::sql::Arg;
use rusqlite::types::Value as Cell;
use rusqlite::{Connection, params, params_from_iter};
use serde_json::{Value, json};

use super::progress::Progress;
use crate::Result;
use crate::options::Size;
use crate::table::whole;

/// Projects that a tenant's deployments are of.
pub const PROJECTS: usize = 20;
const APPROVALS: [&str; 4] = ["not_required", "pending", "approved", "rejected"];
/// Records of a statement.
const AT_ONCE: usize = 500;
/// When the first record was made, and milliseconds from one to the next.
const FIRST: i64 = 1_750_000_000_000;
const APART: i64 = 60_000;

/// A record, by its number and status.
type Written = fn(usize, &str) -> Value;

const TENANTS: &str = "SELECT f.tenant_id, EXISTS (SELECT 1 FROM collections c WHERE c.tenant_id = f.tenant_id AND c.slug = 'deployments') FROM tenant_fence f WHERE f.tenant_id LIKE 'bench-%'";
const INSERT: &str = "INSERT INTO records (tenant_id, collection, id, version, status, data, created_at, updated_at, created_by, updated_by, index_revision, words) SELECT ?1, ?2, json_extract(j.value, '$.id'), 1, json_extract(j.value, '$.status'), json_extract(j.value, '$.data'), json_extract(j.value, '$.at'), json_extract(j.value, '$.at'), 'bench', 'bench', 1, json_extract(j.value, '$.words') FROM json_each(?3) j";

/// The id of deployment `number`.
pub fn deployment_id(number: usize) -> String {
    format!("deployment-{number:06}")
}

/// When record `number` was made.
pub fn created_at(number: usize) -> i64 {
    FIRST + i64::try_from(number).unwrap_or(0) * APART
}

/// What lies there, and what it took to put it there.
pub struct Loaded {
    records: usize,
    bytes: u64,
    /// Tenants that were loaded now, and how long that took.
    fresh: (usize, Duration),
}

impl fmt::Display for Loaded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let megabytes = whole(self.bytes as f64 / 1e6);
        write!(f, "{} records, {megabytes} MB", whole(self.records as f64))?;
        match self.fresh {
            (0, _) => write!(f, ", loaded before"),
            (tenants, took) => {
                write!(f, ", {} tenants of it loaded now in {} s", whole(tenants as f64), whole(took.as_secs_f64()))
            }
        }
    }
}

/// Ends the load with the future that waits for it.
struct Ending(Arc<AtomicBool>);

impl Drop for Ending {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Loads what is missing in the databases under `folder`, and takes away what an earlier run wrote for `asked`.
pub async fn load(folder: PathBuf, tenants: usize, size: Size, asked: String) -> Result<Loaded> {
    let ended = Arc::new(AtomicBool::new(false));
    let _ending = Ending(Arc::clone(&ended));
    tokio::task::spawn_blocking(move || load_all(&folder, tenants, size, &asked, &ended)).await?
}

fn load_all(folder: &Path, tenants: usize, size: Size, asked: &str, ended: &AtomicBool) -> Result<Loaded> {
    let shards = shards(folder)?;
    let mut missing = Vec::new();
    let mut found = 0;
    for shard in &shards {
        let known = tenants_of(&open(shard)?)?;
        found += known.len();
        missing.push(known.into_iter().filter(|(_, done)| !done).map(|(tenant, _)| tenant).collect::<Vec<_>>());
    }
    if found != tenants {
        return Err(format!("{found} tenants have a place on a shard, {tenants} were made").into());
    }
    let fresh = missing.iter().map(Vec::len).sum::<usize>();
    let load = Load::new(size, tenants, tenants - fresh)?;
    let begun = Instant::now();
    std::thread::scope(|scope| {
        let each = shards.iter().zip(&missing);
        let threads: Vec<_> = each.map(|(shard, missing)| scope.spawn(|| load.shard(shard, missing, ended))).collect();
        threads.into_iter().try_for_each(|thread| thread.join().map_err(|_| "a load panicked")?)
    })?;
    let took = begun.elapsed();
    let mut bytes = 0;
    for shard in &shards {
        clean(&open(shard)?, asked)?;
        bytes += fs::metadata(shard)?.len();
    }
    Ok(Loaded { records: tenants * (size.deployments + size.workflows), bytes, fresh: (fresh, took) })
}

/// The files of the databases that hold tenants' rows.
fn shards(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut shards = Vec::new();
    for kind in fs::read_dir(folder)? {
        for file in fs::read_dir(kind?.path())? {
            let file = file?.path();
            if file.extension().is_some_and(|extension| extension == "sqlite") && has_rows(&open(&file)?)? {
                shards.push(file);
            }
        }
    }
    Ok(shards)
}

fn open(file: &Path) -> Result<Connection> {
    let connection = Connection::open(file)?;
    // The runtime that was just ended may hold it for a moment.
    connection.busy_timeout(Duration::from_secs(20))?;
    connection.execute_batch("PRAGMA foreign_keys = ON")?;
    Ok(connection)
}

fn has_rows(connection: &Connection) -> Result<bool> {
    let sql = "SELECT EXISTS (SELECT 1 FROM sqlite_master WHERE name = 'record_index')";
    Ok(connection.query_row(sql, [], |row| row.get(0))?)
}

/// The tenants of a shard, and whether their rows are there.
fn tenants_of(connection: &Connection) -> Result<Vec<(String, bool)>> {
    let mut statement = connection.prepare(TENANTS)?;
    let tenants = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
    Ok(tenants.collect::<Result<_, _>>()?)
}

/// Takes away what an earlier run created, and the log that grew beside the file.
fn clean(connection: &Connection, asked: &str) -> Result<()> {
    connection.execute("DELETE FROM records WHERE tenant_id = ?1 AND created_by <> 'bench'", [asked])?;
    connection.execute("DELETE FROM api_keys WHERE tenant_id = ?1", [asked])?;
    connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))?;
    Ok(())
}

/// What is loaded, and how far it is.
struct Load {
    size: Size,
    deployments: Definition,
    workflows: Definition,
    done: AtomicUsize,
    progress: Mutex<Progress>,
}

impl Load {
    fn new(size: Size, tenants: usize, done: usize) -> Result<Self> {
        let (deployments, workflows) = (definition("deployments")?, definition("workflows")?);
        let progress = Mutex::new(Progress::new("tenants loaded", tenants));
        Ok(Self { size, deployments, workflows, done: done.into(), progress })
    }

    fn shard(&self, file: &Path, tenants: &[String], ended: &AtomicBool) -> Result<()> {
        let mut connection = open(file)?;
        // What a power cut takes is loaded again.
        connection.execute_batch(
            "PRAGMA synchronous = OFF; PRAGMA cache_size = -200000; PRAGMA wal_autocheckpoint = 20000",
        )?;
        for tenant in tenants {
            if ended.load(Ordering::Relaxed) {
                return Err("ended before everything was loaded".into());
            }
            self.tenant(&mut connection, tenant)?;
            let done = self.done.fetch_add(1, Ordering::Relaxed) + 1;
            if let Ok(mut progress) = self.progress.lock() {
                progress.at(done);
            }
        }
        Ok(())
    }

    fn tenant(&self, connection: &mut Connection, tenant: &str) -> Result<()> {
        let transaction = connection.transaction()?;
        let kinds: [(&Definition, usize, Written); 2] =
            [(&self.deployments, self.size.deployments, deployment), (&self.workflows, self.size.workflows, workflow)];
        for (definition, count, record) in kinds {
            for (sql, args) in insertion(definition, Some(&definition.slug), FIRST) {
                let cells = std::iter::once(Cell::from(tenant.to_owned())).chain(args.into_iter().map(cell));
                transaction.execute(sql.text(), params_from_iter(cells))?;
            }
            let statuses = statuses(definition);
            let numbers: Vec<usize> = (0..count).collect();
            let mut insert = transaction.prepare_cached(INSERT)?;
            for some in numbers.chunks(AT_ONCE) {
                let records: Value =
                    some.iter().map(|number| record(*number, statuses[number % statuses.len()])).collect();
                insert.execute(params![tenant, definition.slug, records.to_string()])?;
            }
        }
        Ok(transaction.commit()?)
    }
}

/// A template's collection of the same name, announced to nobody.
fn definition(template: &str) -> Result<Definition> {
    let collections = Template::find(template).ok_or("no such template")?.collections;
    let mut written = collections.into_iter().next().ok_or("a template without a collection")?;
    written.insert("live".to_owned(), false.into());
    Definition::read(written).map_err(|problem| format!("{template}: {problem:?}").into())
}

fn statuses(definition: &Definition) -> Vec<&str> {
    definition.statuses["transitions"].as_object().into_iter().flatten().map(|(name, _)| name.as_str()).collect()
}

fn deployment(number: usize, status: &str) -> Value {
    let project = number % PROJECTS;
    let data =
        json!({"project_name": format!("project-{project}"), "url": format!("https://project-{project}.example.com/")});
    json!({"id": deployment_id(number), "status": status, "at": created_at(number), "words": words(&data, "project_name"), "data": data})
}

/// The words of the one field that is searched.
fn words(data: &Value, field: &str) -> Option<String> {
    data.as_object().and_then(|data| of_record(&[field], data))
}

fn workflow(number: usize, status: &str) -> Value {
    let data = json!({
        "name": format!("Workflow {number} of editors"),
        "config": {"steps": ["draft", "review", "publish"], "retries": 3},
        "uuid": format!("00000000-0000-4000-8000-{number:012}"),
        "user_id": format!("usr_{}", number % 10),
        "content": "What the workflow works on.",
        "approval": APPROVALS[number % APPROVALS.len()],
    });
    json!({"id": format!("workflow-{number:06}"), "status": status, "at": created_at(number), "words": words(&data, "name"), "data": data})
}

fn cell(arg: Arg) -> Cell {
    match arg {
        Arg::Text(text) => Cell::from(text),
        Arg::Integer(number) => Cell::from(number),
        Arg::Real(number) => Cell::from(number),
        Arg::Null => Cell::Null,
    }
}
