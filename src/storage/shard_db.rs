//! A shard as the platform's own work reads it: which tenants have something to do. It gives their ids and nothing else.

use super::bindings::Bindings;
use super::d1::Database;
use super::row::{Rows, row_types};
use super::sql::{Arg, ShardSql, StorageError};
use crate::tenant_id::TenantId;

row_types! {
    struct ShardTenantRow {
        tenant_id: String,
    }
}

/// A shard, read across tenants. No code that serves a tenant's principal holds one.
pub struct ShardDb {
    db: Database,
    shard: String,
    reason: &'static str,
}

impl ShardDb {
    /// Opens a shard of the deployment; errors and logs show `reason`.
    pub fn open(bindings: &Bindings, shard: &str, reason: &'static str) -> Result<Self, StorageError> {
        Ok(Self { db: bindings.d1(shard)?, shard: shard.to_owned(), reason })
    }

    /// The tenants that a statement selects. Each has a row on this shard, so each is known to exist.
    pub async fn tenants(&self, sql: &ShardSql, args: Vec<Arg>) -> Result<Vec<TenantId>, StorageError> {
        let found = self.db.rows(sql.text(), args).await.and_then(Rows::read::<ShardTenantRow>);
        let found = found
            .map_err(|error| error.at(format_args!("{} ({})", self.shard, self.reason)).of_statements([sql.name()]))?;
        Ok(found.iter().map(|row| TenantId::proven(&row.tenant_id)).collect())
    }
}
