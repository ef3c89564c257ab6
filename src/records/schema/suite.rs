//! The JSON Schema Test Suite, as the crate `json_schema_test_suite` carries it, against [`Schema`].
//!
//! Its schemas are of any value, those of collections are of records. So each becomes the schema of a field, and what it
//! leaves open is said: the type, which the value that is tried has, and that objects are open. What is refused then is
//! refused when a collection is defined, and counted by the reason; whatever is taken must say what the suite says.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::Command;

use serde_json::{Map, Value, json};

use super::Schema;

/// The tables of the keywords and formats that are taken, in the suite's folder of the draft 2019-09.
const TABLES: [&str; 28] = [
    "additionalProperties",
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
    (
        "optional/bignum",
        "1.2345678910111214e+52",
        "integers are those that every reader of JSON holds exactly: up to 2^53",
    ),
    ("optional/bignum", "-1.2345678910111214e+52", "likewise"),
    (
        "optional/format/uri",
        "\"http://-.~_!$&'()*+,;=:%40:80%2f::::::@example.com\"",
        "credentials in a web address show one host and lead to another",
    ),
];

/// What is tried, by table and value.
fn expected_counts() -> BTreeMap<String, usize> {
    BTreeMap::new()
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
fn tried(schema: &Value, value: &Value) -> Result<bool, String> {
    if !is_of_records(value) {
        return Err("not_of_records".into());
    }
    let written = json!({"type": "object", "properties": {"f": typed(schema, Some(value))}});
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
    let (mut counts, mut wrong) = (BTreeMap::<String, usize>::new(), Vec::new());
    for table in TABLES {
        let text = std::fs::read_to_string(folder.join(format!("{table}.json"))).unwrap();
        for case in serde_json::from_str::<Vec<Value>>(&text).unwrap() {
            for test in case["tests"].as_array().unwrap() {
                let (value, valid) = (&test["data"], test["valid"].as_bool().unwrap());
                let outcome = match tried(&case["schema"], value) {
                    Err(code) => code,
                    Ok(accepted) if accepted == valid => "agrees".to_owned(),
                    Ok(_) if EXCEPTIONS.iter().any(|(of, is, _)| *of == table && *is == value.to_string()) => {
                        "differs".to_owned()
                    }
                    Ok(_) => {
                        wrong.push(format!("{table}: {} of {} is valid: {valid}", value, case["schema"]));
                        continue;
                    }
                };
                *counts.entry(outcome).or_default() += 1;
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}\n{counts:?}");
    assert_eq!(counts, expected_counts());
}
