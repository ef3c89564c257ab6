//! A D1 database: one crossing into JavaScript with statements, one back with all rows.

use js_sys::Array;
use wasm_bindgen::prelude::*;

use super::row::{Rows, parse, row_types};
use super::sql::{Arg, StorageError};
use crate::log;

#[wasm_bindgen(module = "/src/storage/d1.js")]
extern "C" {
    #[wasm_bindgen(catch)]
    async fn run(db: &JsValue, statements: Array, counted: bool) -> Result<JsValue, JsValue>;
}

row_types! {
    /// The rows that a statement read and wrote, by D1's own count, and how long it took there.
    pub(super) struct RowsCounted {
        pub(super) read: u64,
        pub(super) written: u64,
        pub(super) micros: u64,
    }
}

/// Most bytes of a value, which D1 sets.
const MAX_VALUE: usize = 2_000_000;

/// A binding of type D1.
pub(super) struct Database(JsValue);

impl Database {
    /// Wraps a binding.
    pub(super) fn new(binding: JsValue) -> Self {
        Self(binding)
    }

    /// Runs statements in one transaction, all of them or none; gives the rows of each.
    pub(super) async fn run(&self, statements: &[(&str, Vec<Arg>)]) -> Result<Vec<Rows>, StorageError> {
        self.call(statements, false).await
    }

    /// The same, and how many rows each statement read and wrote.
    pub(super) async fn run_counted(
        &self,
        statements: &[(&str, Vec<Arg>)],
    ) -> Result<(Vec<Rows>, Vec<RowsCounted>), StorageError> {
        let mut rows = self.call(statements, true).await?;
        let counted = rows.split_off(statements.len().min(rows.len()));
        let counted = counted.into_iter().map(Rows::first::<RowsCounted>).filter_map(Result::transpose);
        Ok((rows, counted.collect::<Result<_, _>>()?))
    }

    async fn call(&self, statements: &[(&str, Vec<Arg>)], counted: bool) -> Result<Vec<Rows>, StorageError> {
        let is_too_large = |arg: &Arg| matches!(arg, Arg::Text(text) if text.len() > MAX_VALUE);
        if statements.iter().any(|(_, args)| args.iter().any(is_too_large)) {
            return Err(StorageError::TooLarge);
        }
        log::database_called();
        let json = run(&self.0, statements.iter().map(to_js).collect(), counted).await;
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
