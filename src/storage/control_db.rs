//! The control database: the platform's own tables. Each use names its reason.

use serde::de::DeserializeOwned;
use worker::D1Database;

use super::bindings::Bindings;
use super::sql::{Arg, ControlSql, StorageError};

/// The control database, opened for a reason. Tenants' principals never hold one.
pub struct ControlDb {
    db: D1Database,
    reason: &'static str,
}

impl ControlDb {
    /// Opens the database; `reason` stands in errors and logs.
    pub fn open(bindings: &Bindings, reason: &'static str) -> Result<Self, StorageError> {
        Ok(Self { db: bindings.d1("CONTROL")?, reason })
    }

    /// All rows of a statement.
    pub async fn rows<T: DeserializeOwned>(&self, sql: &ControlSql, args: Vec<Arg>) -> Result<Vec<T>, StorageError> {
        let statement = prepare(&self.db, sql.text(), &args).map_err(|e| self.explain(&e))?;
        let result = statement.all().await.map_err(|e| self.explain(&e))?;
        Rows(result).read()
    }

    /// The one row of a statement, if there is one.
    pub async fn row<T: DeserializeOwned>(&self, sql: &ControlSql, args: Vec<Arg>) -> Result<Option<T>, StorageError> {
        Ok(self.rows(sql, args).await?.into_iter().next())
    }

    /// Several statements in one transaction: all of them or none.
    pub async fn batch(&self, statements: Vec<(ControlSql, Vec<Arg>)>) -> Result<Vec<Rows>, StorageError> {
        let prepared = statements.iter().map(|(sql, args)| prepare(&self.db, sql.text(), args));
        let prepared = prepared.collect::<Result<Vec<_>, _>>().map_err(|e| self.explain(&e))?;
        let results = self.db.batch(prepared).await.map_err(|e| self.explain(&e))?;
        Ok(results.into_iter().map(Rows).collect())
    }

    fn explain(&self, error: &worker::Error) -> StorageError {
        match StorageError::from_d1(error) {
            StorageError::Unavailable(text) => StorageError::Unavailable(format!("control ({}): {text}", self.reason)),
            other => other,
        }
    }
}

/// What one statement of a batch gave.
pub struct Rows(pub(super) worker::D1Result);

impl Rows {
    /// Reads the rows.
    pub fn read<T: DeserializeOwned>(&self) -> Result<Vec<T>, StorageError> {
        self.0.results().map_err(|e| StorageError::Malformed(e.to_string()))
    }
}

pub(super) fn prepare(db: &D1Database, sql: &str, args: &[Arg]) -> worker::Result<worker::D1PreparedStatement> {
    let args: Vec<_> = args.iter().map(Arg::to_js).collect();
    db.prepare(sql).bind(&args)
}
