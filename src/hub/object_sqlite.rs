//! [`Sqlite`] of a Durable Object.

use wasm_bindgen::prelude::*;

use super::sqlite::{Sqlite, SqliteError, Value};

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
