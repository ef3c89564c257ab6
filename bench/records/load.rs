//! Writes collections and their records straight into the files of the local D1, while nobody serves them.
//!
//! Invariants
//! - A tenant's rows are one transaction: it has all of them or none. So the rows themselves say which tenants are
//!   done, and a load that was ended goes on where it stood.
//! - Collections are made by the Worker's own statements, and everything derived of a record by the schema's triggers.
//!   Only those that are asked are live and versioned: nobody would take the announcements of a million records out of
//!   the outbox.
//! - Tenants that are asked are loaded anew each time.

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use carillon::records::definition::Definition;
use carillon::records::provision::insertion;
use carillon::storage::sql::Arg;
use rusqlite::types::Value as Cell;
use rusqlite::{Connection, params, params_from_iter};
use serde_json::Value;

use super::notes;
use super::progress::Progress;
use crate::Result;
use crate::table::whole;

/// Records of a statement.
const AT_ONCE: usize = 500;

const TENANTS: &str = "SELECT f.tenant_id, EXISTS (SELECT 1 FROM collections c WHERE c.tenant_id = f.tenant_id AND c.slug = 'notes') FROM tenant_fence f WHERE f.tenant_id LIKE 'bench-%'";
const INSERT: &str = "INSERT INTO records (tenant_id, collection, id, version, status, data, created_at, updated_at, created_by, updated_by, index_revision, words) SELECT ?1, ?2, json_extract(j.value, '$.id'), 1, json_extract(j.value, '$.status'), json_extract(j.value, '$.data'), json_extract(j.value, '$.at'), json_extract(j.value, '$.at'), 'bench', 'bench', 1, json_extract(j.value, '$.words') FROM json_each(?3) j";
/// What an earlier run left of a tenant that is asked.
const CLEAN: [&str; 5] = [
    "DELETE FROM records WHERE tenant_id = ?1",
    "DELETE FROM record_outbox WHERE tenant_id = ?1",
    "DELETE FROM record_counts WHERE tenant_id = ?1",
    "DELETE FROM collections WHERE tenant_id = ?1",
    "DELETE FROM api_keys WHERE tenant_id = ?1",
];
const AS_ASKED: &str = "UPDATE collections SET live = 1, versioned = 1 WHERE tenant_id = ?1";

/// A tenant and how many records it gets.
#[derive(Clone, Debug)]
pub struct TenantSize {
    pub tenant: String,
    pub records: usize,
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
        let (tenants, took) = self.fresh;
        let (records, tenants) = (whole(self.records as f64), whole(tenants as f64));
        write!(
            f,
            "{records} records, {megabytes} MB; {tenants} tenants of it loaded now in {:.1} s",
            took.as_secs_f64()
        )
    }
}

/// Ends the load with the future that waits for it.
struct Ending(Arc<AtomicBool>);

impl Drop for Ending {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Loads what is missing in the databases under `folder`, and anew what is asked: so many records for those, `neighbours`
/// for each other tenant.
pub async fn load(folder: PathBuf, tenants: usize, asked: Vec<TenantSize>, neighbours: usize) -> Result<Loaded> {
    let ended = Arc::new(AtomicBool::new(false));
    let _ending = Ending(Arc::clone(&ended));
    tokio::task::spawn_blocking(move || load_all(&folder, tenants, asked, neighbours, &ended)).await?
}

fn load_all(
    folder: &Path,
    tenants: usize,
    asked: Vec<TenantSize>,
    neighbours: usize,
    ended: &AtomicBool,
) -> Result<Loaded> {
    let shards = shards(folder)?;
    let mut missing = Vec::new();
    let mut found = 0;
    for shard in &shards {
        let connection = open(shard)?;
        asked.iter().try_for_each(|asked| clean(&connection, &asked.tenant))?;
        let known = tenants_of(&connection)?;
        found += known.len();
        missing.push(known.into_iter().filter(|(_, done)| !done).map(|(tenant, _)| tenant).collect::<Vec<_>>());
    }
    if found != tenants {
        return Err(format!("{found} tenants have a place on a shard, {tenants} were made").into());
    }
    let fresh = missing.iter().map(Vec::len).sum::<usize>();
    let records = asked.iter().map(|asked| asked.records).sum::<usize>() + (tenants - asked.len()) * neighbours;
    let load = Load::new(asked, neighbours, tenants, tenants - fresh)?;
    let begun = Instant::now();
    std::thread::scope(|scope| {
        let each = shards.iter().zip(&missing);
        let threads: Vec<_> = each.map(|(shard, missing)| scope.spawn(|| load.shard(shard, missing, ended))).collect();
        threads.into_iter().try_for_each(|thread| thread.join().map_err(|_| "a load panicked")?)
    })?;
    let took = begun.elapsed();
    let mut bytes = 0;
    for shard in &shards {
        open(shard)?.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))?;
        bytes += fs::metadata(shard)?.len();
    }
    Ok(Loaded { records, bytes, fresh: (fresh, took) })
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
    // What a power cut takes is loaded again.
    connection.execute_batch(
        "PRAGMA foreign_keys = ON; PRAGMA synchronous = OFF; PRAGMA cache_size = -200000; PRAGMA wal_autocheckpoint = 20000",
    )?;
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

/// Takes away what an earlier run wrote.
fn clean(connection: &Connection, tenant: &str) -> Result<()> {
    for sql in CLEAN {
        connection.execute(sql, [tenant])?;
    }
    Ok(())
}

/// What is loaded, and how far it is.
struct Load {
    definition: Definition,
    asked: Vec<TenantSize>,
    neighbours: usize,
    done: AtomicUsize,
    progress: Mutex<Progress>,
}

impl Load {
    fn new(asked: Vec<TenantSize>, neighbours: usize, tenants: usize, done: usize) -> Result<Self> {
        let progress = Mutex::new(Progress::new("tenants loaded", tenants));
        Ok(Self { definition: notes::definition()?, asked, neighbours, done: done.into(), progress })
    }

    fn shard(&self, file: &Path, tenants: &[String], ended: &AtomicBool) -> Result<()> {
        let mut connection = open(file)?;
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
        let asked = self.asked.iter().find(|asked| asked.tenant == tenant);
        let transaction = connection.transaction()?;
        for (sql, args) in insertion(&self.definition, None, notes::FIRST) {
            let cells = std::iter::once(Cell::from(tenant.to_owned())).chain(args.into_iter().map(cell));
            transaction.execute(sql.text(), params_from_iter(cells))?;
        }
        let numbers: Vec<usize> = (0..asked.map_or(self.neighbours, |asked| asked.records)).collect();
        let mut insert = transaction.prepare_cached(INSERT)?;
        for some in numbers.chunks(AT_ONCE) {
            let records: Value = some.iter().map(|number| notes::record(*number)).collect();
            insert.execute(params![tenant, notes::SLUG, records.to_string()])?;
        }
        drop(insert);
        if asked.is_some() {
            transaction.execute(AS_ASKED, [tenant])?;
        }
        Ok(transaction.commit()?)
    }
}

fn cell(arg: Arg) -> Cell {
    match arg {
        Arg::Text(text) => Cell::from(text),
        Arg::Integer(number) => Cell::from(number),
        Arg::Real(number) => Cell::from(number),
        Arg::Null => Cell::Null,
    }
}
