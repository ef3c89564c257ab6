//! The JSON Schema Test Suite, as the crate `json_schema_test_suite` carries it, against [`Schema`].
//!
//! Its schemas are of any value, those of collections are of records. So each is tried twice: as the schema of a field, of
//! which what it leaves open is said (the type, which the value that is tried has, and that objects are open); and as it
//! stands, in `allOf` of a field of the value's type. What is refused then is refused when a collection is defined, and
//! counted by the reason; whatever is taken must say what the suite says.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::Command;

use serde_json::{Map, Value, json};

use super::Schema;

/// The tables of the keywords and formats that are taken, in the suite's folder of the draft 2019-09.
const TABLES: [&str; 32] = [
    "additionalProperties",
    "allOf",
    "anyOf",
    "const",
    "default",
    "enum",
    "exclusiveMaximum",
    "exclusiveMinimum",
    "items",
    "maxItems",
    "maxLength",
    "maxProperties",
    "maximum",
    "minItems",
    "minLength",
    "minProperties",
    "minimum",
    "multipleOf",
    "not",
    "oneOf",
    "optional/bignum",
    "optional/ecmascript-regex",
    "optional/format/date",
    "optional/format/date-time",
    "optional/format/email",
    "optional/format/uri",
    "optional/format/uuid",
    "optional/non-bmp-regex",
    "pattern",
    "properties",
    "required",
    "uniqueItems",
];

/// Where the suite says otherwise: table, value, and why it is so.
const EXCEPTIONS: &[(&str, &str, &str)] = &[
    ("const", "\"hello\\u0000there\"", "no text of a record has U+0000, at which SQLite ends a text of JSON"),
    ("enum", "\"hello\\u0000there\"", "likewise"),
    (
        "optional/bignum",
        "1.2345678910111214e+52",
        "integers are those that every reader of JSON holds exactly: up to 2^53",
    ),
    ("optional/bignum", "-1.2345678910111214e+52", "likewise"),
    ("optional/bignum", "18446744073709551600", "numbers are those that a double holds exactly"),
    (
        "optional/format/uri",
        "\"http://-.~_!$&'()*+,;=:%40:80%2f::::::@example.com\"",
        "credentials in a web address show one host and lead to another",
    ),
];

/// How many tests agree, are exceptions, or are of what is refused: as a field, and inside one.
const COUNTS: &[(&str, usize, usize)] = &[
    ("agrees", 302, 368),
    ("control_character", 4, 0),
    ("differs", 4, 4),
    ("invalid_name", 2, 0),
    ("not_applicable", 32, 4),
    ("not_of_records", 50, 50),
    ("too_short", 2, 0),
    ("unknown_field", 2, 0),
    ("unsupported_format", 1, 1),
    ("unsupported_keyword", 26, 29),
    ("wrong_type", 50, 19),
];

/// How a schema of the suite is tried.
#[derive(Clone, Copy)]
enum Trial {
    AsField,
    Inside,
}

/// The suite's folder in the sources that Cargo keeps.
fn folder() -> PathBuf {
    let arguments = ["metadata", "--format-version", "1", "--locked"];
    let told = Command::new(env!("CARGO")).args(arguments).current_dir(env!("CARGO_MANIFEST_DIR")).output().unwrap();
    let told: Value = serde_json::from_slice(&told.stdout).unwrap();
    let packages = told["packages"].as_array().unwrap();
    let suite = packages.iter().find(|package| package["name"] == "json_schema_test_suite").unwrap();
    let manifest = PathBuf::from(suite["manifest_path"].as_str().unwrap());
    manifest.with_file_name("path/to/JSON-Schema-Test-Suite/repository/tests/draft2019-09")
}

fn kind_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

/// The type of a value, and of a list's elements.
fn form_of(value: &Value) -> Vec<&'static str> {
    let mut form = vec![kind_of(value)];
    let mut inner = value.get(0);
    while let Some(value) = inner {
        form.push(kind_of(value));
        inner = value.get(0);
    }
    form
}

/// The schema with the types of a value where it says none, and with its objects open where it does not close them.
fn typed(schema: &Value, value: Option<&Value>) -> Value {
    let Value::Object(written) = schema else { return schema.clone() };
    let mut schema = written.clone();
    if !schema.contains_key("type") {
        schema.insert("type".into(), value.map_or("string", kind_of).into());
    }
    if schema["type"] == "array" {
        let items = written.get("items").cloned().unwrap_or_else(|| Value::Object(Map::new()));
        let elements = value.and_then(Value::as_array);
        schema.insert("items".into(), typed(&items, elements.and_then(|elements| elements.first())));
    }
    if schema["type"] == "object" {
        schema.entry("additionalProperties").or_insert(Value::Bool(true));
        if let Some(Value::Object(properties)) = schema.get_mut("properties") {
            for (name, property) in properties {
                *property = typed(property, value.and_then(|value| value.get(name)));
            }
        }
    }
    Value::Object(schema)
}

/// Whether the elements of each list are of one type, which is what lists of records have.
fn is_of_records(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::Array(items) => {
            items.iter().all(is_of_records) && items.windows(2).all(|pair| form_of(&pair[0]) == form_of(&pair[1]))
        }
        Value::Object(members) => members.values().all(is_of_records),
        Value::Bool(_) | Value::Number(_) | Value::String(_) => true,
    }
}

/// What became of a test: whether the value was accepted, or why it could not be tried.
fn tried(trial: Trial, schema: &Value, value: &Value) -> Result<bool, String> {
    if !is_of_records(value) {
        return Err("not_of_records".into());
    }
    let mut field = match trial {
        Trial::AsField => typed(schema, Some(value)),
        Trial::Inside => typed(&json!({}), Some(value)),
    };
    if matches!(trial, Trial::Inside) {
        field["allOf"] = json!([schema]);
    }
    let written = json!({"type": "object", "properties": {"f": field}});
    let schema = Schema::parse(&written).map_err(|errors| errors[0].code.to_owned())?;
    let mut data = Map::from_iter([("f".to_owned(), value.clone())]);
    let accepted = schema.check(&mut data).is_empty();
    let kept = data.clone();
    assert!(!accepted || (schema.check(&mut data).is_empty() && data == kept), "what is kept is kept: {value}");
    Ok(accepted)
}

#[test]
fn schemas_say_what_the_suite_of_json_schema_says() {
    let folder = folder();
    let (mut counts, mut wrong) = (BTreeMap::<String, [usize; 2]>::new(), Vec::new());
    for table in TABLES {
        let text = std::fs::read_to_string(folder.join(format!("{table}.json"))).unwrap();
        for case in serde_json::from_str::<Vec<Value>>(&text).unwrap() {
            for test in case["tests"].as_array().unwrap() {
                let (value, valid) = (&test["data"], test["valid"].as_bool().unwrap());
                let written = value.to_string();
                let is_exception = EXCEPTIONS.iter().any(|(of, is, _)| *of == table && *is == written);
                for (place, trial) in [Trial::AsField, Trial::Inside].into_iter().enumerate() {
                    let outcome = match tried(trial, &case["schema"], value) {
                        Err(code) => code,
                        Ok(accepted) if accepted == valid => "agrees".to_owned(),
                        Ok(_) if is_exception => "differs".to_owned(),
                        Ok(_) => {
                            wrong.push(format!("{table}: {value} of {} is valid: {valid} ({place})", case["schema"]));
                            continue;
                        }
                    };
                    counts.entry(outcome).or_default()[place] += 1;
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}\n{counts:?}");
    let counts: Vec<(&str, usize, usize)> = counts.iter().map(|(name, [a, b])| (name.as_str(), *a, *b)).collect();
    assert_eq!(counts, COUNTS);
}
