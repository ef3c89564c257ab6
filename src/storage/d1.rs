//! A D1 database: one crossing into JavaScript with statements, one back with all rows.

use js_sys::Array;
use wasm_bindgen::prelude::*;

use super::row::{Rows, parse};
use super::sql::{Arg, StorageError};
use crate::log;

#[wasm_bindgen(module = "/src/storage/d1.js")]
extern "C" {
    #[wasm_bindgen(catch)]
    async fn run(db: &JsValue, statements: Array) -> Result<JsValue, JsValue>;
}

/// A binding of type D1.
pub(super) struct Database(JsValue);

impl Database {
    /// Wraps a binding.
    pub(super) fn new(binding: JsValue) -> Self {
        Self(binding)
    }

    /// Runs statements in one transaction, all of them or none; gives the rows of each.
    pub(super) async fn run(&self, statements: &[(&str, Vec<Arg>)]) -> Result<Vec<Rows>, StorageError> {
        log::database_called();
        let json = run(&self.0, statements.iter().map(to_js).collect()).await;
        let json = json.map_err(|thrown| StorageError::from_d1(js_sys::Error::from(thrown).message().into()))?;
        parse(&json.as_string().unwrap_or_default())
    }

    /// Runs one statement.
    pub(super) async fn rows(&self, sql: &str, args: Vec<Arg>) -> Result<Rows, StorageError> {
        Ok(self.run(&[(sql, args)]).await?.pop().unwrap_or_default())
    }
}

fn to_js((sql, args): &(&str, Vec<Arg>)) -> Array {
    let args: Array = args.iter().map(Arg::to_js).collect();
    Array::of2(&(*sql).into(), &args)
}
