//! A tenant's outbox: the changes of its records that have not been sent to subscribers, and which of its collections
//! stand.
//!
//! Triggers write it in the transaction of the change; only the tenant's hub reads and empties it.
//!
//! Invariants
//! - Rows are read in the order of their numbers, and none is passed over.
//! - Rows are deleted up to a number that the hub acknowledges, in a fenced write. If the fence refuses, the tenant is
//!   suspended or moving to another shard: the rows stay (or move along), and the hub recognises them by their number.
//! - A number that the tenant's sequence never reached deletes nothing: then the shard was restored to an earlier time,
//!   and its rows under lower numbers may be new.
//! - A number is the generation that a collection of the tenant got by the change, and higher than all of them before. So
//!   changes that are not announced leave numbers out.
//! - Hiding, showing or deleting a collection takes a number of the same sequence. So of two readings of the collections
//!   that stand, the one at the higher number is the newer one.

use super::bindings::Bindings;
use super::row::row_types;
use super::sql::StorageError;
use super::sql::{args, statements};
use super::tenant_db::{Placement, ReadStatement, TenantDb};
use crate::tenant_id::TenantId;

statements! { TenantSql;
    /// The rows after a number: at most 100 of them and about 256 KB, but at least one if there is one.
    AFTER = "SELECT q.* FROM (SELECT p.*, sum(length(p.data) + COALESCE(length(p.before), 0)) OVER (ORDER BY p.seq) AS upto FROM (SELECT * FROM record_outbox WHERE tenant_id = ?1 AND seq > ?2 ORDER BY seq LIMIT 100) p) q WHERE q.upto - length(q.data) - COALESCE(length(q.before), 0) < 262144 ORDER BY q.seq";
    /// Deletes rows that are in the hub's log.
    FORGET = "DELETE FROM record_outbox WHERE tenant_id = ?1 AND seq <= ?2 AND ?2 <= (SELECT q.last FROM (SELECT last FROM past_sequences WHERE tenant_id = ?1 UNION ALL SELECT generation AS last FROM collection_state WHERE tenant_id = ?1) q ORDER BY q.last DESC LIMIT 1)";
    /// The last number that the sequence gave.
    LAST = "SELECT q.last FROM (SELECT last FROM past_sequences WHERE tenant_id = ?1 UNION ALL SELECT generation AS last FROM collection_state WHERE tenant_id = ?1) q ORDER BY q.last DESC LIMIT 1";
    /// The collections that stand.
    COLLECTIONS = "SELECT slug, creation_id, public_read, created_at FROM collections WHERE tenant_id = ?1 AND deleted_at IS NULL ORDER BY slug LIMIT 200";
}

row_types! {
    /// A record after a change; or, without a record's id, that a collection was hidden, shown or deleted.
    #[derive(Debug, Clone)]
    pub struct OutboxRow {
        /// The change's number in the outbox.
        pub seq: u64,
        /// When it changed, in milliseconds since 1970.
        pub at: i64,
        /// The collection's slug.
        pub collection: String,
        /// The record's id; empty if the row is about the collection itself.
        pub record_id: String,
        /// `create`, `update` or `delete`.
        pub action: String,
        /// 1 if only subscribers with a matching right receive it, else 0.
        pub private: i64,
        /// The record's version after the change.
        pub version: i64,
        /// Its status, if the collection has statuses.
        pub status: Option<String>,
        /// Its fields, as JSON.
        pub data: String,
        /// `client_id` if the record shows its tenant's id under that name too.
        pub alias: Option<String>,
        /// When it was created, in milliseconds since 1970.
        pub created_at: i64,
        /// When it changed last, in milliseconds since 1970.
        pub updated_at: i64,
        /// Who created it.
        pub created_by: String,
        /// Who changed it last.
        pub updated_by: String,
        /// The collection's creation id; none in a row of before there were any.
        pub creation_id: Option<String>,
        /// What the record was before it changed, as JSON ([`RecordBefore`](crate::hub::record_event)); none if it is new,
        /// or is as the row has it.
        pub before: Option<String>,
    }

    struct LastNumberRow {
        last: u64,
    }

    /// A collection that stands.
    #[derive(Debug, Clone)]
    pub struct CurrentCollectionRow {
        /// Its slug, which a later collection may have too.
        pub slug: String,
        /// Its identity.
        pub creation_id: String,
        /// 1 if everybody on the tenant's host may read it, else 0.
        pub public_read: i64,
        /// When it was created, in milliseconds since 1970.
        pub created_at: i64,
    }
}

impl OutboxRow {
    /// Whether it says that a collection was hidden, shown or deleted.
    pub fn is_of_collection(&self) -> bool {
        self.record_id.is_empty()
    }
}

/// Which collections stand, and when.
#[derive(Debug, Clone, Default)]
pub struct CollectionsRead {
    /// The last number that the sequence had given at that moment; 0 if none.
    pub last: u64,
    /// All collections of the tenant that are not being deleted.
    pub collections: Vec<CurrentCollectionRow>,
}

/// The outbox after rows were acknowledged.
#[derive(Debug, Default)]
pub struct OutboxState {
    /// The next rows.
    pub rows: Vec<OutboxRow>,
    /// The last number that the sequence gave; none if it never gave one.
    pub last: Option<u64>,
}

/// A tenant's outbox.
pub struct Outbox(TenantDb);

impl Outbox {
    /// Opens the outbox of a proven tenant.
    pub fn open(bindings: &Bindings, tenant: &TenantId, placement: &Placement) -> Result<Self, StorageError> {
        TenantDb::open(bindings, tenant, placement).map(Self)
    }

    /// The rows after a number, as many as one page takes.
    pub async fn after(&self, seq: u64) -> Result<Vec<OutboxRow>, StorageError> {
        self.0.rows(&AFTER, args![number(seq)]).await
    }

    /// Deletes the rows up to a number and reads those after it, in one transaction.
    pub async fn acknowledge(&self, seq: u64) -> Result<OutboxState, StorageError> {
        let batch = self.0.write().add(FORGET, args![number(seq)]).add(LAST, Vec::new()).add(AFTER, args![number(seq)]);
        let mut read = batch.commit().await?;
        let rows = read.pop().unwrap_or_default().read()?;
        let last = read.pop().unwrap_or_default().first::<LastNumberRow>()?;
        Ok(OutboxState { rows, last: last.map(|row| row.last) })
    }

    /// Which collections stand, as of one moment.
    pub async fn collections(&self) -> Result<CollectionsRead, StorageError> {
        let reads = vec![ReadStatement::Constant(LAST, Vec::new()), ReadStatement::Constant(COLLECTIONS, Vec::new())];
        let mut read = self.0.reads(reads).await?.into_iter();
        let last = read.next().unwrap_or_default().first::<LastNumberRow>()?;
        let collections = read.next().unwrap_or_default().read()?;
        Ok(CollectionsRead { last: last.map_or(0, |row| row.last), collections })
    }
}

fn number(seq: u64) -> i64 {
    i64::try_from(seq).unwrap_or(i64::MAX)
}
