//! Reads rows of a database into structs whose fields are named like the columns.

use serde_json::{Map, Value};

use super::sql::StorageError;

/// A row; each column can be taken once.
pub struct Row {
    columns: Map<String, Value>,
    /// The column that is missing or of another type: then code and schema disagree.
    wrong: Option<&'static str>,
}

impl Row {
    /// Takes a column; none if it is missing or of another type.
    pub fn take<T: FromColumn>(&mut self, name: &'static str) -> Option<T> {
        let read = T::read(self.columns.remove(name).unwrap_or_default());
        if read.is_none() {
            self.wrong = Some(name);
        }
        read
    }

    fn read<T: FromRow>(mut self) -> Result<T, StorageError> {
        T::from_row(&mut self).ok_or_else(|| malformed(self.wrong))
    }
}

/// A type that a column can be read as.
pub trait FromColumn: Sized {
    /// None if the value is of another type.
    fn read(value: Value) -> Option<Self>;
}

impl FromColumn for String {
    fn read(value: Value) -> Option<Self> {
        match value {
            Value::String(text) => Some(text),
            _ => None,
        }
    }
}

/// Any JSON value.
impl FromColumn for Value {
    fn read(value: Value) -> Option<Self> {
        Some(value)
    }
}

impl FromColumn for i64 {
    fn read(value: Value) -> Option<Self> {
        value.as_i64()
    }
}

impl FromColumn for u64 {
    fn read(value: Value) -> Option<Self> {
        value.as_u64()
    }
}

impl FromColumn for u32 {
    fn read(value: Value) -> Option<Self> {
        value.as_u64()?.try_into().ok()
    }
}

impl<T: FromColumn> FromColumn for Option<T> {
    fn read(value: Value) -> Option<Self> {
        if value.is_null() { Some(None) } else { T::read(value).map(Some) }
    }
}

/// A type that a row can be read as; implemented by [`row_types!`](super::row::row_types).
pub trait FromRow: Sized {
    /// Takes the columns it needs; none if one is missing or of another type.
    fn from_row(row: &mut Row) -> Option<Self>;
}

/// A row that is read as two types, which have no column in common.
impl<A: FromRow, B: FromRow> FromRow for (A, B) {
    fn from_row(row: &mut Row) -> Option<Self> {
        Some((A::from_row(row)?, B::from_row(row)?))
    }
}

/// Declares structs whose fields are the columns of the same names.
#[macro_export]
macro_rules! row_types {
    ($($(#[$of_type:meta])* $scope:vis struct $name:ident {
        $($(#[$of_field:meta])* $access:vis $column:ident: $kind:ty,)+
    })+) => {$(
        $(#[$of_type])* $scope struct $name { $($(#[$of_field])* $access $column: $kind,)+ }

        impl $crate::storage::row::FromRow for $name {
            fn from_row(row: &mut $crate::storage::row::Row) -> Option<Self> {
                Some(Self { $($column: row.take(stringify!($column))?,)+ })
            }
        }
    )+};
}
pub use crate::row_types;

row_types! {
    /// The row of a statement that counts.
    pub struct CountRow {
        /// The count.
        pub total: i64,
    }
}

/// The rows of one statement.
#[derive(Default)]
pub struct Rows(Vec<Row>);

impl Rows {
    /// All rows; `Malformed` if one is not of this type.
    pub fn read<T: FromRow>(self) -> Result<Vec<T>, StorageError> {
        self.0.into_iter().map(Row::read).collect()
    }

    /// The first row, if there is one.
    pub fn first<T: FromRow>(self) -> Result<Option<T>, StorageError> {
        self.0.into_iter().next().map(Row::read).transpose()
    }

    /// How many rows there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are no rows.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// Reads what `d1.js` returns: the rows of each statement, as JSON.
pub(super) fn parse(json: &str) -> Result<Vec<Rows>, StorageError> {
    let results: Vec<Vec<Map<String, Value>>> =
        serde_json::from_str(json).map_err(|e| StorageError::Malformed(e.to_string().into()))?;
    Ok(results
        .into_iter()
        .map(|rows| Rows(rows.into_iter().map(|columns| Row { columns, wrong: None }).collect()))
        .collect())
}

fn malformed(column: Option<&str>) -> StorageError {
    StorageError::Malformed(format!("column {} is missing or of another type", column.unwrap_or_default()).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    row_types! {
        #[derive(Debug, PartialEq)]
        struct Sample {
            name: String,
            count: i64,
            until: Option<i64>,
        }
    }

    fn sample(json: &str) -> Result<Option<Sample>, StorageError> {
        parse(json).unwrap().remove(0).first()
    }

    #[test]
    fn fields_are_columns() {
        let read = sample(r#"[[{"count":2,"name":"a","until":null,"other":1.5}]]"#).unwrap();
        assert_eq!(read, Some(Sample { name: "a".into(), count: 2, until: None }));
        assert_eq!(sample("[[]]").unwrap(), None);
    }

    #[test]
    fn a_column_that_is_missing_or_of_another_kind_is_named() {
        for row in [r#"{"name":"a"}"#, r#"{"name":"a","count":"2"}"#, r#"{"name":"a","count":1.5}"#] {
            let error = sample(&format!("[[{row}]]")).unwrap_err();
            assert!(error.to_string().contains("count"), "{row}: {error}");
        }
    }
}
