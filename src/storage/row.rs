//! Rows as a database gives them, read column by column into the types that name them.

use serde_json::{Map, Value};

use super::sql::StorageError;

/// A row; each column is taken out once.
pub struct Row(Map<String, Value>);

impl Row {
    /// Takes a column out. Fails where it is missing or of another kind: code and schema disagree.
    pub fn take<T: Column>(&mut self, name: &'static str) -> Result<T, StorageError> {
        let value = self.0.remove(name).unwrap_or_default();
        T::read(value).ok_or_else(|| malformed(name))
    }
}

/// What a column can be read as.
pub trait Column: Sized {
    /// None if the value is of another kind.
    fn read(value: Value) -> Option<Self>;
}

impl Column for String {
    fn read(value: Value) -> Option<Self> {
        match value {
            Value::String(text) => Some(text),
            _ => None,
        }
    }
}

impl Column for i64 {
    fn read(value: Value) -> Option<Self> {
        value.as_i64()
    }
}

impl Column for u64 {
    fn read(value: Value) -> Option<Self> {
        value.as_u64()
    }
}

impl Column for u32 {
    fn read(value: Value) -> Option<Self> {
        value.as_u64()?.try_into().ok()
    }
}

impl<T: Column> Column for Option<T> {
    fn read(value: Value) -> Option<Self> {
        if value.is_null() { Some(None) } else { T::read(value).map(Some) }
    }
}

/// What a row can be read as; [`rows!`](crate::rows) implements it.
pub trait FromRow: Sized {
    /// Takes the columns it needs.
    fn from_row(row: &mut Row) -> Result<Self, StorageError>;
}

/// Declares types whose fields are the columns of their names.
#[macro_export]
macro_rules! rows {
    ($($(#[$of_type:meta])* $scope:vis struct $name:ident {
        $($(#[$of_field:meta])* $access:vis $column:ident: $kind:ty,)+
    })+) => {$(
        $(#[$of_type])* $scope struct $name { $($(#[$of_field])* $access $column: $kind,)+ }

        impl $crate::storage::row::FromRow for $name {
            fn from_row(
                row: &mut $crate::storage::row::Row,
            ) -> Result<Self, $crate::storage::sql::StorageError> {
                Ok(Self { $($column: row.take(stringify!($column))?,)+ })
            }
        }
    )+};
}

/// What one statement gave.
#[derive(Default)]
pub struct Rows(Vec<Row>);

impl Rows {
    /// Reads all rows.
    pub fn read<T: FromRow>(self) -> Result<Vec<T>, StorageError> {
        self.0.into_iter().map(|mut row| T::from_row(&mut row)).collect()
    }

    /// Reads the first row, if there is one.
    pub fn first<T: FromRow>(self) -> Result<Option<T>, StorageError> {
        self.0.into_iter().next().map(|mut row| T::from_row(&mut row)).transpose()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// Reads what `d1.js` answers: the rows of each statement.
pub(super) fn parse(json: &str) -> Result<Vec<Rows>, StorageError> {
    let results: Vec<Vec<Map<String, Value>>> =
        serde_json::from_str(json).map_err(|e| StorageError::Malformed(e.to_string()))?;
    Ok(results.into_iter().map(|rows| Rows(rows.into_iter().map(Row).collect())).collect())
}

fn malformed(column: &str) -> StorageError {
    StorageError::Malformed(format!("column {column} is missing or of another kind"))
}

#[cfg(test)]
mod tests {
    use super::*;

    rows! {
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
