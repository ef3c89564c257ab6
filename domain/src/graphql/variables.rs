//! The variables of a request as one text for all of their spellings.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::error::DocumentError;

/// Most bytes of the variables' JSON.
const MAX_BYTES: usize = 256 * 1024;
/// Deepest nesting of objects and lists.
const MAX_DEPTH: usize = 64;

/// The canonical JSON of a request's `variables`: without white space, the members of each object in the order of their
/// names, and one escape for each character. None, `null` and `{}` are `{}`.
///
/// Numbers stay as they were written: `1` and `1.0` are two, and so are whole numbers that a double does not tell apart. Of
/// members with one name the last counts. It is never longer than the text, and reading it takes the time of its length
/// times its depth. The errors' codes are `variables_too_long`, `variables_too_nested` and `invalid_variables`.
pub fn canonical_variables(variables: Option<&str>) -> Result<String, DocumentError> {
    let Some(text) = variables else { return Ok("{}".into()) };
    if text.len() > MAX_BYTES {
        let message = format!("The variables are {} bytes long; at most {MAX_BYTES} are allowed", text.len());
        return Err(DocumentError::new("variables_too_long", message));
    }
    let raw: &RawValue = read(text)?;
    if raw.get() == "null" {
        return Ok("{}".into());
    }
    if !raw.get().starts_with('{') {
        return Err(DocumentError::new("invalid_variables", "`variables` must be a JSON object"));
    }
    let mut canonical = String::with_capacity(text.len());
    write_value(raw, 1, &mut canonical)?;
    Ok(canonical)
}

fn write_value(raw: &RawValue, depth: usize, out: &mut String) -> Result<(), DocumentError> {
    let text = raw.get();
    if depth > MAX_DEPTH && text.starts_with(['{', '[']) {
        let message = format!("The variables are nested deeper than the {MAX_DEPTH} levels that are allowed");
        return Err(DocumentError::new("variables_too_nested", message));
    }
    match text.as_bytes().first() {
        Some(b'{') => {
            let members: BTreeMap<String, &RawValue> = read(text)?;
            out.push('{');
            for (nth, (name, value)) in members.iter().enumerate() {
                out.push_str(if nth == 0 { "" } else { "," });
                write_string(name, out)?;
                out.push(':');
                write_value(value, depth + 1, out)?;
            }
            out.push('}');
        }
        Some(b'[') => {
            let items: Vec<&RawValue> = read(text)?;
            out.push('[');
            for (nth, item) in items.iter().enumerate() {
                out.push_str(if nth == 0 { "" } else { "," });
                write_value(item, depth + 1, out)?;
            }
            out.push(']');
        }
        Some(b'"') => write_string(&read::<String>(text)?, out)?,
        _ => out.push_str(text),
    }
    Ok(())
}

fn write_string(text: &str, out: &mut String) -> Result<(), DocumentError> {
    out.push_str(&serde_json::to_string(text).map_err(|_| not_json())?);
    Ok(())
}

fn read<'a, T: Deserialize<'a>>(text: &'a str) -> Result<T, DocumentError> {
    serde_json::from_str(text).map_err(|_| not_json())
}

fn not_json() -> DocumentError {
    DocumentError::new("invalid_variables", "`variables` must be valid JSON")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::Value;

    fn canonical(text: &str) -> String {
        canonical_variables(Some(text)).unwrap_or_else(|error| panic!("{text}: {error}"))
    }

    fn refusal(text: &str) -> &'static str {
        canonical_variables(Some(text)).unwrap_err().code
    }

    #[test]
    fn no_variables_are_one_text() {
        assert_eq!(canonical_variables(None).as_deref(), Ok("{}"));
        for none in ["null", " null\n", "{}", "\t{ }"] {
            assert_eq!(canonical(none), "{}");
        }
    }

    #[test]
    fn order_white_space_and_escapes_make_no_difference() {
        for (text, expected) in [
            (
                r#" { "b" : [ 1 , { "d" : null, "c" : true } ] , "a" : { } } "#,
                r#"{"a":{},"b":[1,{"c":true,"d":null}]}"#,
            ),
            (r#"{"\u0061\/":"\u00e4\ud83d\ude00\t\u0001"}"#, "{\"a/\":\"ä😀\\t\\u0001\"}"),
            (r#"{"a":1,"b":2,"\u0061":3}"#, r#"{"a":3,"b":2}"#),
            (r#"{"B":1,"a":1,"ä":1,"A":1}"#, r#"{"A":1,"B":1,"a":1,"ä":1}"#),
        ] {
            assert_eq!(canonical(text), expected);
            assert_eq!(canonical(expected), expected);
        }
    }

    #[test]
    fn numbers_stay_as_they_are_written() {
        let text = r#"{"a":[1234567890123456789012345,1234567890123456789012346,1,1.0,1e0,1E+0,-0,0.10,1e999]}"#;
        assert_eq!(canonical(text), text);
    }

    #[test]
    fn lists_keep_their_order_and_null_is_no_absence() {
        assert_ne!(canonical(r#"{"a":[1,2]}"#), canonical(r#"{"a":[2,1]}"#));
        assert_ne!(canonical(r#"{"a":null}"#), canonical("{}"));
        assert_ne!(canonical(r#"{"a":"1"}"#), canonical(r#"{"a":1}"#));
    }

    #[test]
    fn what_is_no_object_is_refused() {
        let wrong = [
            "",
            "[]",
            "1",
            "\"{}\"",
            "true",
            "{",
            "{}x",
            "{\"a\":01}",
            "{a:1}",
            "{\"a\":\"\\ud800\"}",
            "{\"\\udc00\":1}",
        ];
        for wrong in wrong {
            assert_eq!(refusal(wrong), "invalid_variables", "{wrong}");
        }
    }

    #[test]
    fn bytes_and_depth_are_bounded() {
        let long = |length: usize| format!("{{\"a\":\"{}\"}}", "x".repeat(length - 8));
        assert_eq!(canonical(&long(MAX_BYTES)).len(), MAX_BYTES);
        assert_eq!(refusal(&long(MAX_BYTES + 1)), "variables_too_long");
        let nested = |depth: usize| format!("{}1{}", "{\"a\":".repeat(depth), "}".repeat(depth));
        assert_eq!(canonical(&nested(64)), nested(64));
        assert_eq!(refusal(&nested(65)), "variables_too_nested");
        assert_eq!(refusal(&format!("{{\"a\":{}", "[".repeat(60_000))), "invalid_variables");
        assert_eq!(refusal(&format!("{{\"a\":{}{}}}", "[".repeat(30_000), "]".repeat(30_000))), "variables_too_nested");
    }

    /// JSON with members in any order and white space anywhere.
    fn values() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<f64>().prop_map(Value::from),
            any::<String>().prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 30, 5, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
                prop::collection::hash_map("[a-c\\PC]{0,2}", inner, 0..5)
                    .prop_map(|members| Value::Object(members.into_iter().collect())),
            ]
        })
    }

    fn reversed(value: &Value) -> Value {
        match value {
            Value::Object(members) => {
                Value::Object(members.iter().rev().map(|(name, value)| (name.clone(), reversed(value))).collect())
            }
            Value::Array(items) => items.iter().map(reversed).collect(),
            other => other.clone(),
        }
    }

    proptest! {
        #[test]
        fn the_canonical_text_says_the_same(value in values()) {
            let value = crate::json!({ "v": value });
            let text = canonical(&serde_json::to_string_pretty(&value).unwrap());
            prop_assert_eq!(serde_json::from_str::<Value>(&text).unwrap(), value.clone());
            prop_assert_eq!(&canonical(&text), &text);
            prop_assert_eq!(canonical(&reversed(&value).to_string()), text);
        }

        #[test]
        fn different_values_have_different_texts(a in values(), b in values()) {
            let text = |value: &Value| canonical(&crate::json!({ "v": value.clone() }).to_string());
            prop_assert!(text(&a) != text(&b) || a == b);
        }

        #[test]
        fn no_text_breaks_the_reader(text in "[{}\\[\\]\",:\\\\ua0-9eE.+ -]{0,40}|\\PC{0,20}") {
            if let Ok(canonical) = canonical_variables(Some(&text)) {
                prop_assert!(canonical.len() <= text.len().max(2));
            }
        }
    }
}
