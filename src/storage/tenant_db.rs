//! A tenant's rows on its shard.
//!
//! Invariants
//! - [`TenantDb`] is opened for one proven tenant and binds its id as `?1` of every statement: there is no way to ask it
//!   for another tenant's rows.
//! - Every write is one transaction that begins with the fence: it passes only while the tenant may write to this shard
//!   at this epoch of its placement.
//! - Rows that were opened for a request which a configuration judged ([`TenantDb::judged_at`]) compare its revision with
//!   the fence's in the transaction of their first read. A configuration may be some seconds old, the fence is not: so what
//!   a change of the tenant takes away, it takes from the next request of every isolate.

use std::cell::Cell;

use super::bindings::{Bindings, SystemClock};
use super::composed::ListStatement;
use super::d1::Database;
use super::rest::rest_since;
use super::row::{FromRow, Rows, row_types};
use super::sql::statements;
use super::sql::{Arg, StorageError, TenantSql};
use crate::log;
use crate::tenant_id::TenantId;
use domain::clock::Clock;
use domain::turns::Turn;

statements! { TenantSql;
    /// Fails the batch unless the tenant may write to this shard at this epoch.
    GUARD = "INSERT OR REPLACE INTO write_guard (tenant_id, ok) VALUES (?1, (SELECT mode = 'rw' AND epoch = ?2 FROM tenant_fence WHERE tenant_id = ?1))";
    /// The tenant's fence.
    FENCE = "SELECT mode, epoch, revision FROM tenant_fence WHERE tenant_id = ?1";
    /// The tenant's revision, if it is above ?2.
    LATER_REVISION = "SELECT revision FROM tenant_fence WHERE tenant_id = ?1 AND revision > ?2";
    /// Sets the fence of a revision; an older revision changes nothing.
    SET_FENCE = "INSERT INTO tenant_fence (tenant_id, mode, epoch, revision) VALUES (?1, ?2, ?3, ?4) ON CONFLICT (tenant_id) DO UPDATE SET mode = excluded.mode, epoch = excluded.epoch, revision = excluded.revision WHERE excluded.revision >= tenant_fence.revision AND excluded.epoch >= tenant_fence.epoch";
    /// Purge, each round: from now on no change is announced and no version is kept.
    MUTE_COLLECTIONS = "UPDATE collections SET live = 0, versioned = 0 WHERE tenant_id = ?1 AND (live = 1 OR versioned = 1)";
    /// Purge, each round: some references. All of them go before the first record, because records refer to each other.
    PURGE_SOME_REFERENCES = "DELETE FROM record_references WHERE tenant_id = ?1 AND (collection, record_id, field, position) IN (SELECT collection, record_id, field, position FROM record_references WHERE tenant_id = ?1 LIMIT 500)";
    /// Purge, each round: some versions. A record may have 200, too many to delete together with it.
    PURGE_SOME_VERSIONS = "DELETE FROM record_past_versions WHERE tenant_id = ?1 AND (collection, record_id, version) IN (SELECT collection, record_id, version FROM record_past_versions WHERE tenant_id = ?1 LIMIT 500)";
    /// Purge, each round: some records, once no reference and no version is left. Triggers delete their index rows and counts.
    PURGE_SOME_RECORDS = "DELETE FROM records WHERE tenant_id = ?1 AND NOT EXISTS (SELECT 1 FROM record_references WHERE tenant_id = ?1) AND NOT EXISTS (SELECT 1 FROM record_past_versions WHERE tenant_id = ?1) AND (collection, id) IN (SELECT collection, id FROM records WHERE tenant_id = ?1 LIMIT 500)";
    /// Purge, each round: one row while there are records.
    RECORDS_LEFT = "SELECT 1 AS found FROM records WHERE tenant_id = ?1 LIMIT 1";
    PURGE_RECORD_REFERENCES = "DELETE FROM record_references WHERE tenant_id = ?1";
    PURGE_RECORD_PAST_VERSIONS = "DELETE FROM record_past_versions WHERE tenant_id = ?1";
    PURGE_RECORD_INDEX = "DELETE FROM record_index WHERE tenant_id = ?1";
    /// Purge. The files' bytes are deleted by the tenant's prefix in R2.
    PURGE_RECORD_FILES = "DELETE FROM record_files WHERE tenant_id = ?1";
    PURGE_RECORDS = "DELETE FROM records WHERE tenant_id = ?1";
    PURGE_UNREFERENCED_OBJECTS = "DELETE FROM unreferenced_objects WHERE tenant_id = ?1";
    PURGE_STORAGE_USED = "DELETE FROM storage_used WHERE tenant_id = ?1";
    PURGE_RECORD_RATES = "DELETE FROM record_rates WHERE tenant_id = ?1";
    /// Purge. Changes that were not announced yet are dropped: there is nobody to tell.
    PURGE_RECORD_OUTBOX = "DELETE FROM record_outbox WHERE tenant_id = ?1";
    PURGE_COLLECTION_STATE = "DELETE FROM collection_state WHERE tenant_id = ?1";
    /// Purge. A collection leaves its number there, so it comes behind them.
    PURGE_PAST_SEQUENCES = "DELETE FROM past_sequences WHERE tenant_id = ?1";
    PURGE_COLLECTION_FIELDS = "DELETE FROM collection_fields WHERE tenant_id = ?1";
    PURGE_COLLECTIONS = "DELETE FROM collections WHERE tenant_id = ?1";
    PURGE_BACKGROUND_TURNS = "DELETE FROM background_turns WHERE tenant_id = ?1";
    PURGE_SECURITY_EVENTS = "DELETE FROM security_events WHERE tenant_id = ?1";
    PURGE_AUDIT_LOG = "DELETE FROM audit_log WHERE tenant_id = ?1";
    PURGE_SSO_CLIENTS = "DELETE FROM sso_clients WHERE tenant_id = ?1";
    PURGE_SSO_ATTEMPTS = "DELETE FROM sso_attempts WHERE tenant_id = ?1";
    PURGE_SSO_IDENTITIES = "DELETE FROM sso_identities WHERE tenant_id = ?1";
    PURGE_SSO_PROVIDERS = "DELETE FROM sso_providers WHERE tenant_id = ?1";
    PURGE_API_KEYS = "DELETE FROM api_keys WHERE tenant_id = ?1";
    PURGE_TENANT_INVITATIONS = "DELETE FROM tenant_invitations WHERE tenant_id = ?1";
    PURGE_MAILED_TOKENS = "DELETE FROM mailed_tokens WHERE tenant_id = ?1";
    PURGE_REGISTRATIONS = "DELETE FROM registrations WHERE tenant_id = ?1";
    PURGE_REFRESH_TOKENS = "DELETE FROM refresh_tokens WHERE tenant_id = ?1";
    PURGE_SESSIONS = "DELETE FROM sessions WHERE tenant_id = ?1";
    PURGE_TENANT_AUTH = "DELETE FROM tenant_auth WHERE tenant_id = ?1";
    PURGE_ROLES = "DELETE FROM roles WHERE tenant_id = ?1";
    PURGE_USERS = "DELETE FROM users WHERE tenant_id = ?1";
    PURGE_DOCUMENTS = "DELETE FROM documents WHERE tenant_id = ?1";
    PURGE_IDEMPOTENCY_KEYS = "DELETE FROM idempotency_keys WHERE tenant_id = ?1";
    PURGE_WRITE_RULES = "DELETE FROM write_rules WHERE tenant_id = ?1";
    /// Purge: the guard's own row, last.
    PURGE_WRITE_GUARD = "DELETE FROM write_guard WHERE tenant_id = ?1";
}

/// One round of a purge, a transaction: a part of the tables that may hold a million rows, then whether records are left.
pub const PURGE_ROUND: &[TenantSql] =
    &[MUTE_COLLECTIONS, PURGE_SOME_REFERENCES, PURGE_SOME_VERSIONS, PURGE_SOME_RECORDS, RECORDS_LEFT];

/// Most rounds of one call of a purge, and its longest time, in milliseconds.
const PURGE_ROUNDS: u32 = 150;
const PURGE_MILLIS: i64 = 5_000;

/// What a purge deletes after its rounds, in this order: a row that refers to another goes first.
pub const PURGES: &[TenantSql] = &[
    PURGE_RECORD_REFERENCES,
    PURGE_RECORD_PAST_VERSIONS,
    PURGE_RECORD_INDEX,
    PURGE_RECORD_FILES,
    PURGE_RECORDS,
    PURGE_UNREFERENCED_OBJECTS,
    PURGE_STORAGE_USED,
    PURGE_RECORD_RATES,
    PURGE_RECORD_OUTBOX,
    PURGE_COLLECTION_STATE,
    PURGE_PAST_SEQUENCES,
    PURGE_COLLECTION_FIELDS,
    PURGE_COLLECTIONS,
    PURGE_BACKGROUND_TURNS,
    PURGE_SECURITY_EVENTS,
    PURGE_AUDIT_LOG,
    PURGE_SSO_CLIENTS,
    PURGE_SSO_ATTEMPTS,
    PURGE_SSO_IDENTITIES,
    PURGE_SSO_PROVIDERS,
    PURGE_API_KEYS,
    PURGE_TENANT_INVITATIONS,
    PURGE_MAILED_TOKENS,
    PURGE_REGISTRATIONS,
    PURGE_REFRESH_TOKENS,
    PURGE_SESSIONS,
    PURGE_TENANT_AUTH,
    PURGE_ROLES,
    PURGE_USERS,
    PURGE_DOCUMENTS,
    PURGE_IDEMPOTENCY_KEYS,
    PURGE_WRITE_RULES,
    PURGE_WRITE_GUARD,
];

/// Which shard holds a tenant's rows, and since which move.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Placement {
    /// Name of the shard's binding.
    pub shard: String,
    /// Rises with each move; the shard refuses writes of another epoch.
    pub epoch: u32,
}

/// What a shard lets a tenant do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FenceMode {
    /// Read and write.
    ReadWrite,
    /// Read only.
    ReadOnly,
    /// Neither.
    Off,
}

impl FenceMode {
    /// The value of the column `mode`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ReadWrite => "rw",
            Self::ReadOnly => "ro",
            Self::Off => "off",
        }
    }
}

/// A tenant's rows on its shard.
pub struct TenantDb {
    tenant: TenantId,
    placement: Placement,
    db: Database,
    /// The revision that the first read compares with the fence's.
    judged_at: Cell<Option<i64>>,
    /// Whether each transaction logs the rows that its statements read and wrote.
    logs_rows: bool,
    /// What the database did, where it is counted.
    work: Cell<Option<DatabaseWork>>,
}

/// What a database did for a request, by its own count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct DatabaseWork {
    /// Rows read, as D1 bills them.
    pub rows_read: u64,
    /// How long its thread was taken, in microseconds.
    pub micros: u64,
}

row_types! {
    struct RevisionRow {
        revision: i64,
    }
}

impl TenantDb {
    /// Opens the rows of a proven tenant; `Unavailable` if the deployment has no such shard.
    pub fn open(bindings: &Bindings, tenant: &TenantId, placement: &Placement) -> Result<Self, StorageError> {
        if !bindings.settings.shards.contains(&placement.shard) {
            return Err(StorageError::Unavailable(format!("unknown shard {}", placement.shard).into()));
        }
        let db = bindings.d1(&placement.shard)?;
        let (tenant, placement, logs_rows) = (tenant.clone(), placement.clone(), bindings.settings.logs_rows);
        Ok(Self { tenant, placement, db, judged_at: Cell::new(None), logs_rows, work: Cell::new(None) })
    }

    /// The rows, with a count of what the database does for them.
    #[must_use]
    pub fn counting(self) -> Self {
        self.work.set(Some(DatabaseWork::default()));
        self
    }

    /// What the database did so far, if it is counted.
    pub fn work(&self) -> DatabaseWork {
        self.work.get().unwrap_or_default()
    }

    /// The rows for a request that was judged by the tenant's configuration of this revision. Their first read fails with
    /// `Outdated` if the tenant has changed since: nothing was done yet, and the request is to be judged again.
    #[must_use]
    pub fn judged_at(self, revision: i64) -> Self {
        self.judged_at.set(Some(revision));
        self
    }

    /// Fails with `Outdated` if the tenant has changed since the request was judged; for a request that reads nothing else
    /// before it acts.
    pub async fn check_judged(&self) -> Result<(), StorageError> {
        self.reads(Vec::new()).await.map(drop)
    }

    /// The tenant whose rows these are.
    pub fn tenant(&self) -> &TenantId {
        &self.tenant
    }

    /// All rows of a statement; the tenant is bound as `?1`, `args` from `?2` on.
    pub async fn rows<T: FromRow>(&self, sql: &TenantSql, args: Vec<Arg>) -> Result<Vec<T>, StorageError> {
        let rows = self.first_of(sql, args).await.and_then(Rows::read);
        rows.map_err(|error| error.of_statements([sql.name()]))
    }

    /// The first row of a statement, if there is one.
    pub async fn row<T: FromRow>(&self, sql: &TenantSql, args: Vec<Arg>) -> Result<Option<T>, StorageError> {
        let row = self.first_of(sql, args).await.and_then(Rows::first);
        row.map_err(|error| error.of_statements([sql.name()]))
    }

    /// The rows of several statements that only read, in one transaction: all of them see the same state.
    pub async fn reads(&self, reads: Vec<ReadStatement>) -> Result<Vec<Rows>, StorageError> {
        let names: Vec<_> = reads.iter().map(ReadStatement::name).collect();
        let parts: Vec<(String, Vec<Arg>)> = reads.into_iter().map(ReadStatement::into_parts).collect();
        if parts.iter().any(|(text, _)| !text.starts_with("SELECT ")) {
            return Err(StorageError::Malformed("a write among statements that only read".into()).of_statements(names));
        }
        let bound: Vec<_> = parts.iter().map(|(text, args)| (text.as_str(), self.bind(args.clone()))).collect();
        self.read(&names, &bound).await.map_err(|error| error.of_statements(names))
    }

    /// Reads in one transaction; the first time with the tenant's revision, if the request was judged by one.
    async fn read(&self, names: &[&'static str], statements: &[(&str, Vec<Arg>)]) -> Result<Vec<Rows>, StorageError> {
        let Some(judged_at) = self.judged_at.take() else {
            return if statements.is_empty() { Ok(Vec::new()) } else { self.transact(names, statements).await };
        };
        let fence = (LATER_REVISION.text(), self.bind(super::sql::args![judged_at]));
        let with_fence: Vec<_> = std::iter::once(fence).chain(statements.iter().cloned()).collect();
        let names = [&[LATER_REVISION.name()], names].concat();
        let mut results = self.transact(&names, &with_fence).await?.into_iter();
        match results.next().unwrap_or_default().first::<RevisionRow>()? {
            Some(row) => Err(StorageError::Outdated(row.revision)),
            None => Ok(results.collect()),
        }
    }

    async fn first_of(&self, sql: &TenantSql, args: Vec<Arg>) -> Result<Rows, StorageError> {
        let results = self.read(&[sql.name()], &[(sql.text(), self.bind(args))]).await?;
        Ok(results.into_iter().next().unwrap_or_default())
    }

    /// Runs statements of these names in one transaction.
    async fn transact(&self, names: &[&str], statements: &[(&str, Vec<Arg>)]) -> Result<Vec<Rows>, StorageError> {
        if !self.logs_rows && self.work.get().is_none() {
            return self.db.run(statements).await;
        }
        let (rows, counted) = self.db.run_counted(statements).await?;
        self.work.set(self.work.get().map(|before| DatabaseWork {
            rows_read: before.rows_read + counted.iter().map(|statement| statement.read).sum::<u64>(),
            micros: before.micros + counted.iter().map(|statement| statement.micros).sum::<u64>(),
        }));
        if self.logs_rows {
            log::rows(
                self.tenant.as_str(),
                names.iter().zip(&counted).map(|(name, rows)| (*name, rows.read, rows.written)),
            );
        }
        Ok(rows)
    }

    /// Begins a write: a transaction that starts with the fence.
    pub fn write(&self) -> TenantBatch<'_> {
        TenantBatch { db: self, statements: vec![(GUARD, super::sql::args![i64::from(self.placement.epoch)])] }
    }

    /// Sets the fence itself, the one write without a fence before it. Idempotent; a lower revision changes nothing.
    pub async fn set_fence(&self, mode: FenceMode, revision: i64) -> Result<(), StorageError> {
        let args = super::sql::args![mode.as_str(), i64::from(self.placement.epoch), revision];
        self.run(vec![(SET_FENCE, args)]).await.map(drop)
    }

    /// Deletes the tenant's rows for good; only the closed fence stays. Idempotent. False if there are more rows than one
    /// call deletes: call it again.
    pub async fn purge(&self) -> Result<bool, StorageError> {
        let mut turn = Turn::new(PURGE_ROUNDS, PURGE_MILLIS, SystemClock.now());
        loop {
            let began = SystemClock.now();
            if !turn.take_step(began) {
                return Ok(false);
            }
            let results = self.run(unbound(PURGE_ROUND)).await?;
            if results.last().is_none_or(Rows::is_empty) {
                return self.run(unbound(PURGES)).await.map(|_| true);
            }
            rest_since(began).await;
        }
    }

    async fn run(&self, statements: Vec<(TenantSql, Vec<Arg>)>) -> Result<Vec<Rows>, StorageError> {
        let names: Vec<_> = statements.iter().map(|(sql, _)| sql.name()).collect();
        let bound: Vec<_> = statements.into_iter().map(|(sql, args)| (sql.text(), self.bind(args))).collect();
        self.transact(&names, &bound).await.map_err(|error| error.of_statements(names))
    }

    fn bind(&self, mut args: Vec<Arg>) -> Vec<Arg> {
        args.insert(0, Arg::from(self.tenant.as_str()));
        args
    }
}

/// A statement that only reads.
pub enum ReadStatement {
    /// A registered one; its arguments are bound from `?2` on.
    Constant(TenantSql, Vec<Arg>),
    /// A list's, which is put together at run time.
    List(ListStatement),
}

impl ReadStatement {
    fn name(&self) -> &'static str {
        match self {
            Self::Constant(sql, _) => sql.name(),
            Self::List(_) => "storage::composed",
        }
    }

    fn into_parts(self) -> (String, Vec<Arg>) {
        match self {
            Self::Constant(sql, args) => (sql.text().to_owned(), args),
            Self::List(list) => list.into_parts(),
        }
    }
}

/// Statements without arguments of their own.
fn unbound(statements: &[TenantSql]) -> Vec<(TenantSql, Vec<Arg>)> {
    statements.iter().map(|sql| (*sql, Vec::new())).collect()
}

/// A write that is being put together: the fence first, then what was added. All of it happens, or nothing.
pub struct TenantBatch<'db> {
    db: &'db TenantDb,
    statements: Vec<(TenantSql, Vec<Arg>)>,
}

impl TenantBatch<'_> {
    /// Adds a statement; `args` are bound from `?2` on.
    #[must_use]
    pub fn add(mut self, sql: TenantSql, args: Vec<Arg>) -> Self {
        self.statements.push((sql, args));
        self
    }

    /// Adds statements in the given order.
    #[must_use]
    pub fn add_all(mut self, statements: impl IntoIterator<Item = (TenantSql, Vec<Arg>)>) -> Self {
        self.statements.extend(statements);
        self
    }

    /// Runs the transaction and gives the rows of each statement, the fence's first. `Fenced` if the tenant may not write
    /// to this shard now.
    pub async fn commit(self) -> Result<Vec<Rows>, StorageError> {
        self.db.run(self.statements).await
    }
}
