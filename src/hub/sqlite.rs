//! A synchronous SQLite behind a trait: the Durable Object's in production, rusqlite in tests.

use domain::clock::Timestamp;

/// A value bound to a statement or read from a row.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// A whole number between -2^53 and 2^53.
    Integer(i64),
    Text(String),
    Null,
}

impl From<i64> for Value {
    fn from(number: i64) -> Self {
        Self::Integer(number)
    }
}

impl From<u64> for Value {
    fn from(number: u64) -> Self {
        Self::Integer(i64::try_from(number).unwrap_or(i64::MAX))
    }
}

/// Milliseconds since 1970.
impl From<Timestamp> for Value {
    fn from(at: Timestamp) -> Self {
        Self::Integer(at.millis())
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::Text(text.into())
    }
}

impl Value {
    /// The number; 0 for anything else.
    pub fn integer(&self) -> i64 {
        match self {
            Self::Integer(number) => *number,
            Self::Text(_) | Self::Null => 0,
        }
    }

    /// The number as a count or sequence number; 0 for a negative one or anything else.
    pub fn count(&self) -> u64 {
        u64::try_from(self.integer()).unwrap_or(0)
    }

    /// The number as milliseconds since 1970.
    pub fn timestamp(&self) -> Timestamp {
        Timestamp::from_millis(self.integer())
    }

    pub fn into_text(self) -> Option<String> {
        match self {
            Self::Text(text) => Some(text),
            Self::Integer(_) | Self::Null => None,
        }
    }
}

/// A statement failed; holds SQLite's message.
#[derive(Debug, thiserror::Error)]
#[error("hub storage: {0}")]
pub struct SqliteError(pub String);

/// A synchronous SQLite. In production, what is written between two awaits becomes durable together.
pub trait Sqlite {
    /// Runs a statement and returns its rows.
    fn query(&self, sql: &'static str, args: &[Value]) -> Result<Vec<Vec<Value>>, SqliteError>;

    /// Runs a statement that returns no rows.
    fn execute(&self, sql: &'static str, args: &[Value]) -> Result<(), SqliteError> {
        self.query(sql, args).map(drop)
    }

    /// Runs `work` in a transaction: all of its writes are kept, or if it fails none.
    fn atomically<T>(&self, work: impl FnOnce() -> Result<T, SqliteError>) -> Result<T, SqliteError>;

    /// The first row of a statement, if it returns any.
    fn first(&self, sql: &'static str, args: &[Value]) -> Result<Option<Vec<Value>>, SqliteError> {
        Ok(self.query(sql, args)?.into_iter().next())
    }
}

/// The first `N` cells of a row; `Null` for those it does not have.
pub fn cells<const N: usize>(row: Vec<Value>) -> [Value; N] {
    let mut row = row.into_iter();
    std::array::from_fn(|_| row.next().unwrap_or(Value::Null))
}

#[cfg(test)]
pub mod testing {
    //! [`Sqlite`] of rusqlite, for tests on the host.

    use super::*;
    use rusqlite::types::{Value as Cell, ValueRef};

    impl Sqlite for rusqlite::Connection {
        fn query(&self, sql: &'static str, args: &[Value]) -> Result<Vec<Vec<Value>>, SqliteError> {
            let fail = |e: rusqlite::Error| SqliteError(e.to_string());
            let mut statement = self.prepare(sql).map_err(fail)?;
            let columns = statement.column_count();
            let bound = args.iter().map(|value| match value {
                Value::Integer(number) => Cell::Integer(*number),
                Value::Text(text) => Cell::Text(text.clone()),
                Value::Null => Cell::Null,
            });
            let mut rows = statement.query(rusqlite::params_from_iter(bound)).map_err(fail)?;
            let mut read = Vec::new();
            while let Some(row) = rows.next().map_err(fail)? {
                let cell = |i| match row.get_ref(i).unwrap() {
                    ValueRef::Integer(number) => Value::Integer(number),
                    ValueRef::Text(text) => Value::Text(String::from_utf8(text.to_vec()).unwrap()),
                    _ => Value::Null,
                };
                read.push((0..columns).map(cell).collect());
            }
            Ok(read)
        }

        fn atomically<T>(&self, work: impl FnOnce() -> Result<T, SqliteError>) -> Result<T, SqliteError> {
            self.execute_batch("SAVEPOINT work").unwrap();
            let outcome = work();
            self.execute_batch(if outcome.is_ok() { "RELEASE work" } else { "ROLLBACK TO work; RELEASE work" })
                .unwrap();
            outcome
        }
    }
}
