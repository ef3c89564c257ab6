//! The hub's own SQLite, behind a trait: the Durable Object's in production, any other in tests.

use wasm_bindgen::prelude::*;

/// A value bound to a statement or read from a row.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// A whole number below 2^53.
    Integer(i64),
    /// Text.
    Text(String),
    /// Nothing.
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

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::Text(text.into())
    }
}

impl Value {
    /// The number, or 0 where there is none.
    pub fn integer(&self) -> i64 {
        match self {
            Self::Integer(number) => *number,
            Self::Text(_) | Self::Null => 0,
        }
    }

    /// The number as a count or sequence; negative ones are 0.
    pub fn count(&self) -> u64 {
        u64::try_from(self.integer()).unwrap_or(0)
    }

    /// The text, or none.
    pub fn into_text(self) -> Option<String> {
        match self {
            Self::Text(text) => Some(text),
            Self::Integer(_) | Self::Null => None,
        }
    }
}

/// The statement failed; holds SQLite's words.
#[derive(Debug, thiserror::Error)]
#[error("hub storage: {0}")]
pub struct SqliteError(pub String);

/// A synchronous SQLite. What is written between two awaits becomes durable together.
pub trait Sqlite {
    /// Runs a statement and gives its rows.
    fn query(&self, sql: &'static str, args: &[Value]) -> Result<Vec<Vec<Value>>, SqliteError>;

    /// Runs a statement for its effect.
    fn execute(&self, sql: &'static str, args: &[Value]) -> Result<(), SqliteError> {
        self.query(sql, args).map(drop)
    }

    /// Does all of what is done in `work`, or where it fails nothing.
    fn atomically<T>(&self, work: impl FnOnce() -> Result<T, SqliteError>) -> Result<T, SqliteError>;

    /// The first row of a statement.
    fn first(&self, sql: &'static str, args: &[Value]) -> Result<Option<Vec<Value>>, SqliteError> {
        Ok(self.query(sql, args)?.into_iter().next())
    }
}

#[wasm_bindgen(module = "/src/hub/object.js")]
extern "C" {
    #[wasm_bindgen(catch)]
    fn query(sql: &JsValue, text: &str, args: js_sys::Array) -> Result<js_sys::Array, JsValue>;
    #[wasm_bindgen(catch)]
    fn atomically(storage: &JsValue, work: &mut dyn FnMut() -> bool) -> Result<(), JsValue>;
}

/// The Durable Object's SQLite.
pub struct ObjectSqlite {
    storage: JsValue,
    sql: JsValue,
}

impl ObjectSqlite {
    /// From `ctx.storage` and its `sql`.
    pub fn new(storage: JsValue, sql: JsValue) -> Self {
        Self { storage, sql }
    }
}

impl Sqlite for ObjectSqlite {
    fn query(&self, sql: &'static str, args: &[Value]) -> Result<Vec<Vec<Value>>, SqliteError> {
        let bound = args.iter().map(to_js).collect();
        let rows = query(&self.sql, sql, bound).map_err(thrown)?;
        Ok(rows.iter().map(|row| js_sys::Array::from(&row).iter().map(from_js).collect()).collect())
    }

    fn atomically<T>(&self, work: impl FnOnce() -> Result<T, SqliteError>) -> Result<T, SqliteError> {
        let (mut work, mut outcome) = (Some(work), None);
        let mut attempt = || {
            outcome = work.take().map(|work| work());
            matches!(outcome, Some(Ok(_)))
        };
        atomically(&self.storage, &mut attempt).map_err(thrown)?;
        outcome.unwrap_or_else(|| Err(SqliteError("the transaction did not run".into())))
    }
}

fn thrown(error: JsValue) -> SqliteError {
    SqliteError(js_sys::Error::from(error).message().into())
}

#[allow(clippy::cast_precision_loss)]
fn to_js(value: &Value) -> JsValue {
    match value {
        Value::Integer(number) => JsValue::from_f64(*number as f64),
        Value::Text(text) => JsValue::from_str(text),
        Value::Null => JsValue::NULL,
    }
}

#[allow(clippy::cast_possible_truncation)]
fn from_js(value: JsValue) -> Value {
    match (value.as_f64(), value.as_string()) {
        (Some(number), _) => Value::Integer(number as i64),
        (None, Some(text)) => Value::Text(text),
        (None, None) => Value::Null,
    }
}

#[cfg(test)]
pub mod testing {
    //! SQLite in memory, for tests on the host.

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
