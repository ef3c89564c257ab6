//! A shard as the platform looks at it: which tenants there is something to do for. It reads their ids and nothing else.

use super::bindings::Bindings;
use super::d1::Database;
use super::row::row_types;
use super::sql::{Arg, ShardSql, StorageError};
use crate::tenant_id::TenantId;

row_types! {
    struct ShardTenantRow {
        tenant_id: String,
    }
}

/// A shard, opened for a reason. Tenants' principals never hold one.
pub struct ShardDb {
    db: Database,
    shard: String,
    reason: &'static str,
}

impl ShardDb {
    /// Opens a shard of the deployment; `reason` stands in errors and logs.
    pub fn open(bindings: &Bindings, shard: &str, reason: &'static str) -> Result<Self, StorageError> {
        Ok(Self { db: bindings.d1(shard)?, shard: shard.to_owned(), reason })
    }

    /// The tenants that a statement finds. Each has a row here, so each is one.
    pub async fn tenants(&self, sql: &ShardSql, args: Vec<Arg>) -> Result<Vec<TenantId>, StorageError> {
        let found = self.db.rows(sql.text(), args).await.map_err(|e| self.explain(e))?.read::<ShardTenantRow>()?;
        Ok(found.iter().map(|row| TenantId::proven(&row.tenant_id)).collect())
    }

    fn explain(&self, error: StorageError) -> StorageError {
        match error {
            StorageError::Unavailable(text) => {
                StorageError::Unavailable(format!("{} ({}): {text}", self.shard, self.reason))
            }
            other => other,
        }
    }
}
