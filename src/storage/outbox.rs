//! A tenant's outbox: the changes of its records that subscribers have not been told of.
//!
//! Triggers write it, in the transaction of the change; only the tenant's hub reads and empties it.
//!
//! Invariants
//! - Rows are read in the order of their numbers, and none is passed over.
//! - Rows are deleted up to a number that the hub names, behind the fence. Where the fence says no, the tenant is
//!   stopped or on its way to another shard: the rows stay (or move along), and the hub knows them again by their number.
//! - Nothing is deleted by a number that the tenant's sequence never gave: then the shard was put back to an earlier
//!   moment, and what it holds under lower numbers may be new.

use super::bindings::Bindings;
use super::row::row_types;
use super::sql::StorageError;
use super::sql::{args, statements};
use super::tenant_db::{Placement, TenantDb};
use crate::tenant_id::TenantId;

statements! { TenantSql;
    /// What lies behind a number: at most 100 rows, and about 256 KB, but at least one row where there is one.
    BEYOND = "SELECT q.* FROM (SELECT p.*, sum(length(p.data)) OVER (ORDER BY p.seq) AS upto FROM (SELECT * FROM record_outbox WHERE tenant_id = ?1 AND seq > ?2 ORDER BY seq LIMIT 100) p) q WHERE q.upto - length(q.data) < 262144 ORDER BY q.seq";
    /// Deletes what is in the hub's log.
    FORGET = "DELETE FROM record_outbox WHERE tenant_id = ?1 AND seq <= ?2 AND ?2 <= (SELECT last FROM record_sequence WHERE tenant_id = ?1)";
    /// The last number that the outbox gave.
    LAST = "SELECT last FROM record_sequence WHERE tenant_id = ?1";
}

row_types! {
    /// A change of a record.
    #[derive(Debug, Clone)]
    pub struct OutboxRow {
        /// Its number in the outbox.
        pub seq: u64,
        /// When it was written, in milliseconds since 1970.
        pub at: i64,
        /// The collection.
        pub collection: String,
        /// The record.
        pub record_id: String,
        /// `create`, `update` or `delete`.
        pub action: String,
        /// Whether only entitled subscribers hear of it: 0 or 1.
        pub private: i64,
        /// The record's version behind the change.
        pub version: i64,
        /// Its status, where the collection has a vocabulary.
        pub status: Option<String>,
        /// Its fields, as JSON.
        pub data: String,
        /// The further name under which it carries its tenant's id, if any.
        pub alias: Option<String>,
        /// When it was created.
        pub created_at: i64,
        /// When it changed last.
        pub updated_at: i64,
        /// Who created it.
        pub created_by: String,
        /// Who changed it last.
        pub updated_by: String,
    }

    struct LastNumberRow {
        last: u64,
    }
}

/// How the outbox stands once what the hub has was deleted.
#[derive(Debug, Default)]
pub struct OutboxState {
    /// What lies behind the number.
    pub rows: Vec<OutboxRow>,
    /// The last number that was given; none if none ever was.
    pub last: Option<u64>,
}

/// The outbox of a tenant.
pub struct Outbox(TenantDb);

impl Outbox {
    /// Of a proven tenant.
    pub fn open(bindings: &Bindings, tenant: &TenantId, placement: &Placement) -> Result<Self, StorageError> {
        TenantDb::open(bindings, tenant, placement).map(Self)
    }

    /// What lies behind a number.
    pub async fn beyond(&self, seq: u64) -> Result<Vec<OutboxRow>, StorageError> {
        self.0.rows(&BEYOND, args![number(seq)]).await
    }

    /// Deletes what lies up to a number, and reads what lies behind it, in one transaction.
    pub async fn settle(&self, seq: u64) -> Result<OutboxState, StorageError> {
        let batch =
            self.0.write().add(FORGET, args![number(seq)]).add(LAST, Vec::new()).add(BEYOND, args![number(seq)]);
        let mut read = batch.commit().await?;
        let rows = read.pop().unwrap_or_default().read()?;
        let last = read.pop().unwrap_or_default().first::<LastNumberRow>()?;
        Ok(OutboxState { rows, last: last.map(|row| row.last) })
    }
}

fn number(seq: u64) -> i64 {
    i64::try_from(seq).unwrap_or(i64::MAX)
}
