//! When values of JSON are equal, as JSON Schema says: numbers by their value, objects whatever the order of their members.

use serde_json::{Number, Value};

use domain::json::without_fraction;

/// Whether a value equals one of a list.
pub(super) fn is_among(value: &Value, list: &[Value]) -> bool {
    if list.contains(value) {
        return true;
    }
    let text = canonical(value);
    list.iter().any(|listed| canonical(listed) == text)
}

/// The one text of all values that are equal.
pub(super) fn canonical(value: &Value) -> String {
    let mut text = String::new();
    write(value, &mut text);
    text
}

fn write(value: &Value, text: &mut String) {
    match value {
        Value::Null | Value::Bool(_) | Value::String(_) => text.push_str(&value.to_string()),
        Value::Number(number) => text.push_str(&number_text(number)),
        Value::Array(items) => {
            for (i, item) in items.iter().enumerate() {
                text.push(if i == 0 { '[' } else { ',' });
                write(item, text);
            }
            text.push_str(if items.is_empty() { "[]" } else { "]" });
        }
        Value::Object(members) => {
            let mut members: Vec<(&String, &Value)> = members.iter().collect();
            members.sort_unstable_by_key(|(name, _)| *name);
            text.push('{');
            for (name, value) in members {
                text.push_str(&Value::from(name.as_str()).to_string());
                text.push(':');
                write(value, text);
                text.push(',');
            }
            text.push('}');
        }
    }
}

fn number_text(number: &Number) -> String {
    match number.as_f64().filter(|_| number.is_f64()) {
        Some(real) => match without_fraction(real) {
            Some(whole) => whole.to_string(),
            // Up to 2^64 whole numbers are written as such, and equal the same one with a point.
            None if real.fract() == 0.0 && real.abs() < 18_446_744_073_709_551_616.0 => format!("{real:.0}"),
            None => number.to_string(),
        },
        None => number.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn equal_values_have_one_text() {
        let read = |text: &str| serde_json::from_str::<Value>(text).unwrap();
        for (a, b) in [
            ("1", "1.0"),
            ("-0.0", "0"),
            ("1e2", "100"),
            ("9007199254740994", "9007199254740994.0"),
            ("1e20", "100000000000000000000"),
            ("[1, {\"a\": 1, \"b\": [2.0]}]", "[1.0, {\"b\": [2], \"a\": 1}]"),
        ] {
            assert_eq!(canonical(&read(a)), canonical(&read(b)), "{a} and {b}");
        }
        let all = [
            "1",
            "\"1\"",
            "true",
            "[1]",
            "[]",
            "{}",
            "[[]]",
            "[{}]",
            "null",
            "\"null\"",
            "{\"a\":1}",
            "{\"a,\":1}",
            "[1,2]",
            "[12]",
            "0",
            "false",
            "9007199254740993",
            "9007199254740992",
            "{\"a\":[1,2]}",
            "{\"a\":[1],\"b\":2}",
        ];
        for (i, a) in all.iter().enumerate() {
            for b in all.iter().skip(i + 1) {
                assert_ne!(canonical(&read(a)), canonical(&read(b)), "{a} and {b}");
            }
        }
        assert!(is_among(&json!({"a": 1, "b": 2}), &[json!(0), json!({"b": 2.0, "a": 1.0})]));
        assert!(!is_among(&json!([1]), &[json!(1)]));
    }
}
