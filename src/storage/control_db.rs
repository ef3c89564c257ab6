//! The control database: the platform's own tables. Each use names its reason.

use super::bindings::Bindings;
use super::d1::Database;
use super::row::{FromRow, Rows};
use super::sql::{Arg, ControlSql, StorageError};

/// The control database, opened for a reason. Tenants' principals never hold one.
pub struct ControlDb {
    db: Database,
    reason: &'static str,
}

impl ControlDb {
    /// Opens the database; `reason` stands in errors and logs.
    pub fn open(bindings: &Bindings, reason: &'static str) -> Result<Self, StorageError> {
        Ok(Self { db: bindings.d1("CONTROL")?, reason })
    }

    /// All rows of a statement.
    pub async fn rows<T: FromRow>(&self, sql: &ControlSql, args: Vec<Arg>) -> Result<Vec<T>, StorageError> {
        self.db.rows(sql.text(), args).await.map_err(|e| self.explain(e))?.read()
    }

    /// The one row of a statement, if there is one.
    pub async fn row<T: FromRow>(&self, sql: &ControlSql, args: Vec<Arg>) -> Result<Option<T>, StorageError> {
        self.db.rows(sql.text(), args).await.map_err(|e| self.explain(e))?.first()
    }

    /// Several statements in one transaction: all of them or none.
    pub async fn batch(&self, statements: Vec<(ControlSql, Vec<Arg>)>) -> Result<Vec<Rows>, StorageError> {
        let statements: Vec<_> = statements.into_iter().map(|(sql, args)| (sql.text(), args)).collect();
        self.db.run(&statements).await.map_err(|e| self.explain(e))
    }

    fn explain(&self, error: StorageError) -> StorageError {
        match error {
            StorageError::Unavailable(text) => StorageError::Unavailable(format!("control ({}): {text}", self.reason)),
            other => other,
        }
    }
}
