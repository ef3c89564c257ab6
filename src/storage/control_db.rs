//! The control database: the platform's own tables. Whoever opens it names a reason, which errors show.

use super::bindings::Bindings;
use super::d1::Database;
use super::row::{FromRow, Rows};
use super::sql::{Arg, ControlSql, StorageError};

/// The control database. No code that serves a tenant's principal holds one.
pub struct ControlDb {
    db: Database,
    reason: &'static str,
}

impl ControlDb {
    /// Opens the database; errors and logs show `reason`.
    pub fn open(bindings: &Bindings, reason: &'static str) -> Result<Self, StorageError> {
        Ok(Self { db: bindings.d1("CONTROL")?, reason })
    }

    /// All rows of a statement.
    pub async fn rows<T: FromRow>(&self, sql: &ControlSql, args: Vec<Arg>) -> Result<Vec<T>, StorageError> {
        let rows = self.db.rows(sql.text(), args).await.and_then(Rows::read);
        rows.map_err(|error| self.explain(error, [sql.name()]))
    }

    /// The first row of a statement, if there is one.
    pub async fn row<T: FromRow>(&self, sql: &ControlSql, args: Vec<Arg>) -> Result<Option<T>, StorageError> {
        let row = self.db.rows(sql.text(), args).await.and_then(Rows::first);
        row.map_err(|error| self.explain(error, [sql.name()]))
    }

    /// Several statements in one transaction: all of them or none.
    pub async fn batch(&self, statements: Vec<(ControlSql, Vec<Arg>)>) -> Result<Vec<Rows>, StorageError> {
        let names: Vec<_> = statements.iter().map(|(sql, _)| sql.name()).collect();
        let statements: Vec<_> = statements.into_iter().map(|(sql, args)| (sql.text(), args)).collect();
        self.db.run(&statements).await.map_err(|error| self.explain(error, names))
    }

    fn explain(&self, error: StorageError, names: impl IntoIterator<Item = &'static str>) -> StorageError {
        error.at(format_args!("control ({})", self.reason)).of_statements(names)
    }
}
