//! Checks values by a schema and normalises them to the form in which they are stored.

use std::collections::HashSet;

use serde_json::{Map, Number, Value};

use super::assertion::Combined;
use super::bounds::{LengthBounds, NumberRange, TextShape, TextUse};
use super::equality::{canonical, is_among};
use super::shape::{ListShape, Node, ObjectShape, Shape};
use crate::records::faults::{JsonPointer, ValidationErrors};
use crate::records::names;
use domain::error::Invalid;
use domain::pattern::effort::Effort;

/// Deepest nesting of a record's data, the record itself counted.
const MAX_DEPTH: usize = 32;
/// Longest indexed string, in bytes.
const MAX_INDEXED: usize = 500;
/// The largest whole number that every JSON parser reads exactly (RFC 8259, section 6).
const MAX_INTEGER: f64 = 9_007_199_254_740_991.0;

/// The check of one record, default or listed value.
pub(super) struct SchemaCheck<'f> {
    faults: &'f mut ValidationErrors,
    /// What its patterns may still take.
    effort: Effort,
}

impl<'f> SchemaCheck<'f> {
    /// Notes here what is wrong.
    pub fn new(faults: &'f mut ValidationErrors) -> Self {
        Self { faults, effort: Effort::default() }
    }
}

/// Checks a record.
pub(super) fn record(
    shape: &ObjectShape,
    combined: &Combined,
    data: &mut Map<String, Value>,
    run: &mut SchemaCheck<'_>,
) {
    object(shape, data, &JsonPointer::Root, run);
    if !combined.is_empty() {
        let whole = Value::Object(std::mem::take(data));
        combined
            .refusal(&whole, &mut run.effort)
            .into_iter()
            .for_each(|invalid| run.faults.add(&JsonPointer::Root, invalid));
        if let Value::Object(members) = whole {
            *data = members;
        }
    }
}

/// Checks an object: missing members get their defaults; a null in a member that is not nullable counts as missing.
pub(super) fn object(
    shape: &ObjectShape,
    members: &mut Map<String, Value>,
    at: &JsonPointer<'_>,
    run: &mut SchemaCheck<'_>,
) {
    for property in &shape.properties {
        let (name, wanted) = (&property.name, &property.node);
        if !wanted.nullable && members.get(name).is_some_and(Value::is_null) {
            members.shift_remove(name);
        }
        if let (Some(default), false) = (&wanted.default, members.contains_key(name)) {
            members.insert(name.clone(), default.clone());
        }
        match members.get_mut(name) {
            Some(value) => node(wanted, value, &at.name(name), run),
            None if property.required => run.faults.add(&at.name(name), Invalid::new("required", "is required")),
            None => {}
        }
    }
    for (name, value) in members.iter().filter(|(name, _)| !shape.declares(name)) {
        let at_member = at.name(name);
        if !shape.is_open {
            run.faults.add(&at_member, Invalid::new("unknown_field", "is not a field that the schema declares"));
        } else if let (JsonPointer::Root, Err(invalid)) = (at, names::own_field_name(name)) {
            run.faults.add(&at_member, invalid);
        } else {
            free_member(name, value, &at_member, run);
        }
    }
    let (count, LengthBounds { min, max }) = (members.len(), &shape.size);
    if count < *min {
        run.faults.add(at, Invalid::new("too_few", format!("must have at least {min} members")));
    }
    if let Some(max) = max.filter(|max| count > *max) {
        run.faults.add(at, Invalid::new("too_many", format!("must have at most {max} members")));
    }
}

/// Removes members that the schema does not declare.
pub(super) fn drop_undeclared(shape: &ObjectShape, members: &mut Map<String, Value>) {
    members.retain(|name, _| shape.is_open || shape.declares(name));
    for property in &shape.properties {
        match (&property.node.shape, members.get_mut(&property.name)) {
            (Shape::Object(inner), Some(Value::Object(members))) => drop_undeclared(inner, members),
            (Shape::List(list), Some(Value::Array(items))) => {
                let Shape::Object(inner) = &list.items.shape else { continue };
                items.iter_mut().filter_map(Value::as_object_mut).for_each(|item| drop_undeclared(inner, item));
            }
            _ => {}
        }
    }
}

/// Checks a value.
pub(super) fn node(wanted: &Node, value: &mut Value, at: &JsonPointer<'_>, run: &mut SchemaCheck<'_>) {
    match (&wanted.shape, &mut *value) {
        (_, Value::Null) if wanted.nullable => {}
        (Shape::Text(shape), Value::String(given)) => text(shape, given, at, run),
        (Shape::Number(range), Value::Number(given)) => number(range, given, at, run),
        (Shape::Integer(range), Value::Number(given)) => integer(range, given, at, run),
        (Shape::Flag, Value::Bool(_)) => {}
        (Shape::List(shape), Value::Array(items)) => list(shape, items, at, run),
        (Shape::Object(shape), Value::Object(members)) => object(shape, members, at, run),
        (shape, _) => return run.faults.add(at, wrong_type(shape)),
    }
    if !wanted.values.is_empty() {
        run.faults.check(at, is_listed(value, &wanted.values));
    }
    wanted.combined.refusal(value, &mut run.effort).into_iter().for_each(|invalid| run.faults.add(at, invalid));
}

/// Refuses a value that is not one of those listed.
pub(super) fn is_listed(value: &Value, values: &[Value]) -> Result<(), Invalid> {
    if is_among(value, values) { Ok(()) } else { Err(not_in_enum(values)) }
}

fn text(shape: &TextShape, given: &mut String, at: &JsonPointer<'_>, run: &mut SchemaCheck<'_>) {
    if let Some(format) = shape.format {
        match run.faults.check(at, format.read(given)) {
            Some(kept) if kept != given.as_str() => *given = kept.into_owned(),
            Some(_) => {}
            None => return,
        }
    }
    no_nul(given, at, run);
    let (length, LengthBounds { min, max }) = (given.chars().count(), &shape.length);
    if length < *min {
        run.faults.add(at, Invalid::new("too_short", format!("must be at least {min} characters long")));
    }
    if let Some(max) = max.filter(|max| length > *max) {
        run.faults.add(at, Invalid::new("too_long", format!("must be at most {max} characters long")));
    }
    if let Some(pattern) = &shape.pattern
        && run.faults.check(at, pattern.is_found_in(given, &mut run.effort)) == Some(false)
    {
        let message = format!("must match the pattern {}", pattern.as_str());
        run.faults.add(at, Invalid::new("pattern_not_matched", message));
    }
    match shape.role {
        TextUse::None => {}
        TextUse::Indexed if given.len() > MAX_INDEXED => {
            let message = format!("must be at most {MAX_INDEXED} bytes long, as it is indexed");
            run.faults.add(at, Invalid::new("too_long_for_index", message));
        }
        TextUse::Indexed => {}
        TextUse::Reference => drop(run.faults.check(at, names::record_id(given))),
    }
}

fn number(range: &NumberRange, given: &mut Number, at: &JsonPointer<'_>, run: &mut SchemaCheck<'_>) {
    let value = given.as_f64().unwrap_or_default();
    if !is_double(given, value) {
        // A filter, an order and most readers of JSON would take it for another one.
        let message = "must be a number that a double holds exactly, as all whole numbers up to 9007199254740992 are";
        return run.faults.add(at, Invalid::new("inexact_number", message));
    }
    if value.fract() == 0.0 && value.abs() <= MAX_INTEGER {
        // 1.0 is stored as 1, so that equal numbers have the same text.
        *given = Number::from(value as i64);
    }
    within(range, given, at, run);
}

/// Whether a number is this double; whole numbers of up to 64 bits are read exactly, and may be none.
fn is_double(given: &Number, value: f64) -> bool {
    let whole = given.as_i64().map(i128::from).or_else(|| given.as_u64().map(i128::from));
    whole.is_none_or(|whole| value as i128 == whole)
}

fn integer(range: &NumberRange, given: &mut Number, at: &JsonPointer<'_>, run: &mut SchemaCheck<'_>) {
    let value = given.as_f64().unwrap_or_default();
    if value.fract() != 0.0 {
        return run.faults.add(at, Invalid::new("wrong_type", "must be a whole number"));
    }
    if value.abs() > MAX_INTEGER {
        let code = if value > 0.0 { "too_large" } else { "too_small" };
        return run.faults.add(at, Invalid::new(code, format!("must be within ±{MAX_INTEGER}")));
    }
    number(range, given, at, run);
}

fn within(range: &NumberRange, given: &Number, at: &JsonPointer<'_>, run: &mut SchemaCheck<'_>) {
    range.refusal(given).into_iter().for_each(|invalid| run.faults.add(at, invalid));
}

fn list(shape: &ListShape, items: &mut [Value], at: &JsonPointer<'_>, run: &mut SchemaCheck<'_>) {
    let LengthBounds { min, max } = &shape.length;
    if items.len() < *min {
        run.faults.add(at, Invalid::new("too_few", format!("must have at least {min} entries")));
    }
    if let Some(max) = max.filter(|max| items.len() > *max) {
        return run.faults.add(at, Invalid::new("too_many", format!("must have at most {max} entries")));
    }
    for (i, item) in items.iter_mut().enumerate() {
        node(&shape.items, item, &at.index(i), run);
    }
    if shape.is_set {
        let mut seen = HashSet::new();
        if let Some(again) = items.iter().position(|item| !seen.insert(canonical(item))) {
            run.faults.add(&at.index(again), Invalid::new("duplicate", "must not equal another entry of the list"));
        }
    }
}

/// Checks a value that no schema describes: it must be storable.
fn free(value: &Value, at: &JsonPointer<'_>, run: &mut SchemaCheck<'_>) {
    match value {
        Value::String(text) => no_nul(text, at, run),
        Value::Array(_) | Value::Object(_) if at.depth() >= MAX_DEPTH => {
            run.faults.add(at, Invalid::new("too_deep", format!("must not be nested deeper than {MAX_DEPTH} levels")));
        }
        Value::Array(items) => {
            for (i, item) in items.iter().enumerate() {
                free(item, &at.index(i), run);
            }
        }
        Value::Object(members) => {
            for (name, value) in members {
                free_member(name, value, &at.name(name), run);
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

fn free_member(name: &str, value: &Value, at: &JsonPointer<'_>, run: &mut SchemaCheck<'_>) {
    no_nul(name, at, run);
    free(value, at, run);
}

/// SQLite's JSON functions end a string at U+0000.
fn no_nul(text: &str, at: &JsonPointer<'_>, run: &mut SchemaCheck<'_>) {
    if text.contains('\0') {
        run.faults.add(at, Invalid::new("control_character", "must not contain U+0000"));
    }
}

fn wrong_type(shape: &Shape) -> Invalid {
    let message = match shape {
        Shape::Text(_) => "must be a string",
        Shape::Number(_) => "must be a number",
        Shape::Integer(_) => "must be a whole number",
        Shape::Flag => "must be true or false",
        Shape::List(_) => "must be a list",
        Shape::Object(_) => "must be an object",
    };
    Invalid::new("wrong_type", message)
}

/// Lists the allowed values if they are few and short.
fn not_in_enum(values: &[Value]) -> Invalid {
    if let [only] = values
        && only.to_string().len() <= 200
    {
        return Invalid::new("not_in_enum", format!("must be {only}"));
    }
    let listed: Vec<String> = values.iter().take(20).map(Value::to_string).collect();
    let listed = listed.join(", ");
    if values.len() <= 20 && listed.len() <= 200 {
        return Invalid::new("not_in_enum", format!("must be one of {listed}"));
    }
    Invalid::new("not_in_enum", "must be one of the values that the schema lists")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::records::schema::Schema;
    use crate::records::schema::tests::told;
    use serde_json::json;

    /// A schema of one field, `f`.
    fn of(property: Value) -> Schema {
        Schema::parse(&json!({"type": "object", "properties": {"f": property}})).unwrap()
    }

    fn check(schema: &Schema, data: Value) -> Result<Value, Vec<String>> {
        let mut data = data.as_object().unwrap().clone();
        let errors = schema.check(&mut data);
        if errors.is_empty() { Ok(Value::Object(data)) } else { Err(told(&errors)) }
    }

    #[test]
    fn each_keyword_accepts_and_refuses() {
        let long = "x".repeat(501);
        let cases = [
            (
                json!({"type": "string"}),
                vec![json!(""), json!("ä")],
                vec![(json!(1), "wrong_type"), (json!("a\0"), "control_character")],
            ),
            (
                json!({"type": "number"}),
                vec![
                    json!(1),
                    json!(-1.5),
                    json!(9_007_199_254_740_994_i64),
                    json!(1_u64 << 63),
                    json!(i64::MIN),
                    json!(1e300),
                ],
                vec![
                    (json!("1"), "wrong_type"),
                    (json!(true), "wrong_type"),
                    (json!(9_007_199_254_740_993_i64), "inexact_number"),
                    (json!(-9_007_199_254_740_993_i64), "inexact_number"),
                    (json!(i64::MAX), "inexact_number"),
                    (json!(u64::MAX), "inexact_number"),
                ],
            ),
            (
                json!({"type": "integer"}),
                vec![json!(0), json!(-7), json!(9_007_199_254_740_991_i64)],
                vec![
                    (json!(1.5), "wrong_type"),
                    (json!("1"), "wrong_type"),
                    (json!(9_007_199_254_740_992_i64), "too_large"),
                    (json!(-9_007_199_254_740_992_i64), "too_small"),
                ],
            ),
            (
                json!({"type": "boolean"}),
                vec![json!(true), json!(false)],
                vec![(json!(0), "wrong_type"), (json!("true"), "wrong_type")],
            ),
            (json!({"type": ["string", "null"]}), vec![json!(null), json!("a")], vec![(json!(1), "wrong_type")]),
            (json!({"type": "string", "enum": ["a", "b"]}), vec![json!("a")], vec![(json!("c"), "not_in_enum")]),
            (
                json!({"type": "number", "enum": [1.0, 2.5]}),
                vec![json!(1), json!(2.5)],
                vec![(json!(2), "not_in_enum")],
            ),
            (
                json!({"type": ["string", "null"], "enum": ["a", null]}),
                vec![json!(null)],
                vec![(json!(""), "not_in_enum")],
            ),
            (json!({"type": "string", "minLength": 2}), vec![json!("äö")], vec![(json!("ä"), "too_short")]),
            (json!({"type": "string", "maxLength": 2}), vec![json!("äö"), json!("")], vec![(json!("abc"), "too_long")]),
            (json!({"type": "number", "minimum": 0.5}), vec![json!(0.5)], vec![(json!(0.4), "too_small")]),
            (json!({"type": "integer", "maximum": 5}), vec![json!(5)], vec![(json!(6), "too_large")]),
            (
                json!({"type": "string", "format": "date-time"}),
                vec![json!("2026-01-01T00:00:00.000Z")],
                vec![(json!("today"), "invalid_format")],
            ),
            (
                json!({"type": "string", "format": "date"}),
                vec![json!("2026-01-01")],
                vec![(json!("2026-13-01"), "invalid_format")],
            ),
            (json!({"type": "string", "format": "email"}), vec![json!("a@b.co")], vec![(json!("a"), "invalid_format")]),
            (
                json!({"type": "string", "format": "uri"}),
                vec![json!("https://a.co")],
                vec![(json!("javascript:1"), "invalid_format")],
            ),
            (
                json!({"type": "string", "format": "uuid"}),
                vec![json!("123e4567-e89b-12d3-a456-426614174000")],
                vec![(json!("1"), "invalid_format")],
            ),
            (
                json!({"type": "array", "items": {"type": "string"}, "minItems": 1, "maxItems": 2}),
                vec![json!(["a"]), json!(["a", "b"])],
                vec![(json!([]), "too_few"), (json!(["a", "b", "c"]), "too_many"), (json!("a"), "wrong_type")],
            ),
            (
                json!({"type": "object"}),
                vec![json!({}), json!({"any": [1, {"thing": null}]})],
                vec![(json!([]), "wrong_type")],
            ),
            (
                json!({"type": "string", "indexed": true}),
                vec![json!("x".repeat(500))],
                vec![(json!(long), "too_long_for_index")],
            ),
            (
                json!({"type": "string", "unique": true}),
                vec![json!("x".repeat(500))],
                vec![(json!(long), "too_long_for_index")],
            ),
            (json!({"type": "string", "searched": true}), vec![json!(long)], vec![(json!(1), "wrong_type")]),
            (
                json!({"type": "string", "reference": "posts"}),
                vec![json!("a-1")],
                vec![(json!("a/1"), "not_an_id"), (json!(""), "not_an_id")],
            ),
            (
                json!({"type": "array", "items": {"type": "integer"}, "indexed": true}),
                vec![json!(vec![1; 100]), json!([])],
                vec![(json!(vec![1; 101]), "too_many")],
            ),
        ];
        for (property, good, bad) in cases {
            let schema = of(property.clone());
            for value in good {
                let data = json!({"f": value});
                assert_eq!(check(&schema, data.clone()), Ok(data), "{property}");
            }
            for (value, code) in bad {
                assert_eq!(check(&schema, json!({"f": value})), Err(vec![format!("/f {code}")]), "{property}");
            }
        }
    }

    #[test]
    fn the_keywords_of_numbers_texts_and_lists() {
        let range = json!({"type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 1, "multipleOf": 0.1});
        let unique = json!({"type": "array", "items": {"type": "object"}, "uniqueItems": true});
        let constant = json!({"type": ["string", "null"], "const": "a"});
        let either = json!({"type": "object", "minProperties": 1, "maxProperties": 2, "anyOf": [{"required": ["a"]}, {"required": ["b"]}]});
        let one = json!({"type": "integer", "oneOf": [{"multipleOf": 3}, {"multipleOf": 5}], "not": {"const": 9}});
        let nullable = json!({"type": ["string", "null"], "allOf": [{"type": "string"}]});
        for (property, good, bad) in [
            (
                range,
                vec![json!(0.1), json!(0.3), json!(0.7)],
                vec![(json!(0), "too_small"), (json!(1), "too_large"), (json!(0.35), "not_a_multiple")],
            ),
            (
                unique,
                vec![json!([]), json!([{"a": 1}, {"a": 2}, {"a": "1"}])],
                vec![(json!([{"a": 1, "b": [2]}, {"b": [2.0], "a": 1}]), "duplicate")],
            ),
            (constant, vec![json!("a")], vec![(json!("b"), "not_in_enum")]),
            (
                json!({"type": "object", "const": {"a": [1]}}),
                vec![json!({"a": [1]})],
                vec![(json!({"a": [2]}), "not_in_enum")],
            ),
            (
                json!({"type": "array", "items": {"type": "integer"}, "enum": [[1, 2], []]}),
                vec![json!([1, 2]), json!([])],
                vec![(json!([2, 1]), "not_in_enum")],
            ),
            (
                json!({"type": "string", "pattern": "^\\p{Lu}[^\\s]*$"}),
                vec![json!("Ärger")],
                vec![(json!("ärger"), "pattern_not_matched"), (json!("Ä b"), "pattern_not_matched")],
            ),
            (json!({"type": "string", "maxLength": 2.0}), vec![json!("ab")], vec![(json!("abc"), "too_long")]),
            (
                either,
                vec![json!({"a": 1}), json!({"b": 1, "c": 1})],
                vec![(json!({"c": 1}), "not_any_of"), (json!({"a": 1, "b": 1, "c": 1}), "too_many")],
            ),
            (
                one,
                vec![json!(3), json!(10)],
                vec![(json!(15), "not_one_of"), (json!(1), "not_one_of"), (json!(9), "not_excluded")],
            ),
            (nullable, vec![json!("a")], vec![(json!(null), "not_all_of")]),
        ] {
            let schema = of(property.clone());
            for value in good {
                let data = json!({"f": value});
                assert_eq!(check(&schema, data.clone()), Ok(data), "{property}");
            }
            for (value, code) in bad {
                let told = check(&schema, json!({"f": value.clone()})).unwrap_err();
                assert!(
                    told.iter().all(|told| told.ends_with(code)) && told.len() == 1,
                    "{property} {value}: {told:?}"
                );
            }
        }
        let whole = json!({"type": "object", "properties": {"a": {"type": "string"}, "b": {"type": "string"}},
            "oneOf": [{"required": ["a"]}, {"required": ["b"]}]});
        let whole = Schema::parse(&whole).unwrap();
        assert_eq!(check(&whole, json!({"a": "", "b": null})), Ok(json!({"a": ""})), "null counts as missing");
        assert_eq!(check(&whole, json!({"a": "", "b": ""})), Err(vec![" not_one_of".into()]));
    }

    #[test]
    fn what_takes_too_long_is_refused() {
        let slow = of(json!({"type": "string", "pattern": "(a?){500}(a?){400}b"}));
        assert_eq!(check(&slow, json!({"f": "a".repeat(100_000)})), Err(vec!["/f too_complex".into()]));
        let branch = json!({"items": {"type": "integer"}});
        let many = of(json!({"type": "array", "items": {"type": "integer"}, "allOf": vec![branch; 20]}));
        assert!(check(&many, json!({"f": vec![1; 10_000]})).is_ok());
        assert_eq!(check(&many, json!({"f": vec![1; 120_000]})), Err(vec!["/f too_complex".into()]));
    }

    #[test]
    fn nested_values_are_named_by_their_pointers() {
        let schema = of(json!({"type": "array", "items": {"type": "object", "required": ["a"],
            "properties": {"a": {"type": "string"}, "n": {"type": "integer"}}}}));
        assert_eq!(check(&schema, json!({"f": [{"a": "", "n": null}]})), Ok(json!({"f": [{"a": ""}]})));
        let wrong = json!({"f": [{}, {"a": 1, "x/y": 2}, null]});
        assert_eq!(
            check(&schema, wrong),
            Err(["/f/0/a required", "/f/1/a wrong_type", "/f/1/x~1y unknown_field", "/f/2 wrong_type"]
                .map(Into::into)
                .into())
        );
        let ids = of(json!({"type": "array", "items": {"type": "string"}, "reference": "tags"}));
        assert_eq!(check(&ids, json!({"f": ["a", "-"]})), Err(vec!["/f/1 not_an_id".into()]));
    }

    #[test]
    fn what_is_missing_gets_its_default() {
        let schema = Schema::parse(&json!({"type": "object", "required": ["a", "b", "c"], "properties": {
            "a": {"type": "string"}, "b": {"type": "integer", "default": 3}, "c": {"type": ["string", "null"]},
            "d": {"type": "string"}, "e": {"type": "string", "format": "date-time", "default": "2026-01-01T00:00:00+01:00"}}}));
        let schema = schema.unwrap();
        let kept = json!({"a": "x", "c": null, "b": 3, "e": "2025-12-31T23:00:00.000Z"});
        assert_eq!(check(&schema, json!({"a": "x", "c": null, "d": null})), Ok(kept.clone()));
        assert_eq!(check(&schema, json!({"a": "x", "c": null, "b": null, "e": null})), Ok(kept));
        assert_eq!(check(&schema, json!({"a": null})), Err(vec!["/a required".into(), "/c required".into()]));
    }

    #[test]
    fn values_are_kept_in_one_form() {
        let schema = Schema::parse(&json!({"type": "object", "properties": {"n": {"type": "integer"},
            "x": {"type": "number"}, "t": {"type": "array", "items": {"type": "string", "format": "date-time"}}}}));
        let kept = check(&schema.unwrap(), json!({"n": 2.0, "x": -0.0, "t": ["2026-01-01T00:00:00Z"]})).unwrap();
        assert_eq!(kept.to_string(), r#"{"n":2,"x":0,"t":["2026-01-01T00:00:00.000Z"]}"#);
    }

    #[test]
    fn further_fields_come_only_where_they_may() {
        let closed = of(json!({"type": "string"}));
        assert_eq!(
            check(&closed, json!({"g": 1, "id": "a"})),
            Err(vec!["/g unknown_field".into(), "/id unknown_field".into()])
        );
        let open = Schema::parse(&json!({"type": "object", "additionalProperties": true})).unwrap();
        assert!(check(&open, json!({"g": {"any thing": [1]}})).is_ok());
        assert_eq!(
            check(&open, json!({"id": "a", "g.h": 1})),
            Err(vec!["/id reserved".into(), "/g.h invalid_name".into()])
        );
        assert_eq!(check(&open, json!({"g": {"a\0": "b"}})), Err(vec!["/g/a\0 control_character".into()]));
        let nested = |levels: usize| (1..levels).fold(json!(1), |inner, _| json!([inner]));
        assert!(check(&open, json!({"g": nested(32)})).is_ok());
        let pointer = format!("/g{}", "/0".repeat(31));
        assert_eq!(check(&open, json!({"g": nested(33)})), Err(vec![format!("{pointer} too_deep")]));
    }

    #[test]
    fn no_more_mistakes_are_told_than_anybody_reads() {
        let schema = of(json!({"type": "array", "items": {"type": "string"}}));
        assert_eq!(check(&schema, json!({"f": vec![1; 100]})).unwrap_err().len(), crate::records::faults::MAX_FAULTS);
    }
}
