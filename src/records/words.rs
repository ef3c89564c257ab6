//! The words of a record, which the Worker cuts: a trigger cannot tell what a word is.
//!
//! Invariant: the words of a record are those of its searched fields in the order of their names, whoever cuts them.

use serde_json::{Map, Value};

use super::schema::Schema;
use domain::words;

/// The searched fields of a schema, by name.
pub fn searched(schema: &Schema) -> Vec<&str> {
    let mut fields: Vec<&str> =
        schema.fields().filter(|field| field.is_searched).map(|field| field.name.as_str()).collect();
    fields.sort_unstable();
    fields
}

/// The words of a record's searched fields; none if there is no such field.
pub fn of_record<'d>(searched: &[&str], data: &'d Map<String, Value>) -> Option<String> {
    let texts = |value: &'d Value| match value {
        Value::Array(values) => values.iter().filter_map(Value::as_str).collect(),
        value => Vec::from_iter(value.as_str()),
    };
    let texts = searched.iter().filter_map(|field| data.get(*field)).flat_map(texts);
    (!searched.is_empty()).then(|| words::of_texts(texts))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_those_of_the_searched_fields() {
        let Value::Object(data) =
            serde_json::json!({"b": ["One two", 3, "four"], "a": "Zero", "c": "beside", "d": null})
        else {
            panic!("no object")
        };
        assert_eq!(of_record(&["a", "b", "d", "e"], &data).as_deref(), Some("zzero  one two  four"));
        assert_eq!(of_record(&["d"], &data).as_deref(), Some(""));
        assert_eq!(of_record(&[], &data), None);
    }
}
