//! Schemas of collections: a subset of JSON Schema, every keyword of which is enforced.
//!
//! Owns: the supported keywords, and how values are checked by them.
//! Invariants: an unknown keyword is refused. A default satisfies its own property. What [`Schema::check`] accepts, it
//! accepts again without changing it.

mod assertion;
mod bounds;
mod check;
mod combine;
mod equality;
mod field;
mod format;
mod parse;
mod shape;
#[cfg(test)]
mod suite;

use serde_json::{Map, Value};

use crate::http::problem::FieldError;
use crate::records::faults::ValidationErrors;
use crate::records::schema::assertion::Combined;
use crate::records::schema::check::SchemaCheck;
pub use crate::records::schema::field::{Field, FieldKind};
pub use crate::records::schema::format::Format;
use crate::records::schema::parse::RecordSchema;
use crate::records::schema::shape::ObjectShape;
use domain::error::Invalid;

/// A collection's schema.
#[derive(Debug, Clone, PartialEq)]
pub struct Schema {
    written: Value,
    fields: Vec<Field>,
    root: ObjectShape,
    /// What `allOf`, `anyOf`, `oneOf` and `not` say of the whole record.
    combined: Combined,
}

impl Schema {
    /// Reads a schema. Pointers of errors are relative to it. The caller limits its size.
    pub fn parse(written: &Value) -> Result<Self, Vec<FieldError>> {
        let RecordSchema { root, combined, fields } = parse::read(written)?;
        Ok(Self { written: written.clone(), fields, root, combined })
    }

    /// Reads a schema that was accepted once. A default or a listed value that a format refuses since then is still used.
    pub fn stored(written: &Value) -> Option<Self> {
        let RecordSchema { root, combined, fields } = parse::read_accepted(written)?;
        Some(Self { written: written.clone(), fields, root, combined })
    }

    /// The schema as it was sent.
    pub fn written(&self) -> &Value {
        &self.written
    }

    /// The fields of its top level, in their order.
    pub fn fields(&self) -> impl Iterator<Item = &Field> {
        self.fields.iter()
    }

    /// The field of this name.
    pub fn field(&self, name: &str) -> Option<&Field> {
        self.fields.iter().find(|field| field.name == name)
    }

    /// Refuses a value that is not among those that `enum` or `const` list for a field, or for a list's elements; null and
    /// what no schema lists is left alone.
    pub fn check_listed(&self, name: &str, value: &Value) -> Result<(), Invalid> {
        match self.root.listed_values(name) {
            [] => Ok(()),
            values => check::is_listed(value, values),
        }
    }

    /// Whether a record may have a field of this name.
    pub fn may_have(&self, name: &str) -> bool {
        self.root.is_open || self.root.declares(name)
    }

    /// Checks a record's data and normalises it: missing fields get their defaults, a null in a field that is not nullable
    /// counts as missing, times become UTC, whole numbers lose their fraction.
    ///
    /// Gives up to [`crate::records::faults::MAX_FAULTS`] errors; none if the data is valid.
    pub fn check(&self, data: &mut Map<String, Value>) -> Vec<FieldError> {
        let mut faults = ValidationErrors::default();
        check::record(&self.root, &self.combined, data, &mut SchemaCheck::new(&mut faults));
        faults.into_errors()
    }

    /// Removes from a record's data what this schema does not declare.
    pub fn drop_undeclared(&self, data: &mut Map<String, Value>) {
        check::drop_undeclared(&self.root, data);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    pub(super) fn told(errors: &[FieldError]) -> Vec<String> {
        errors.iter().map(|error| format!("{} {}", error.pointer, error.code)).collect()
    }

    fn refused(schema: Value) -> Vec<String> {
        told(&Schema::parse(&schema).unwrap_err())
    }

    #[test]
    fn fields_tell_what_they_are_used_for() {
        let written = json!({"type": "object", "required": ["title"], "properties": {
            "title": {"type": "string", "searched": true, "title": "Title"},
            "slug": {"type": "string", "unique": true},
            "tags": {"type": ["array", "null"], "items": {"type": "string"}, "reference": "tags"},
            "at": {"type": "array", "items": {"type": "string", "format": "date-time"}, "indexed": true},
            "shape": {"type": "array", "items": {"type": "array", "items": {"type": "number"}}}}});
        let schema = Schema::parse(&written).unwrap();
        assert_eq!(schema.written(), &written);
        let names: Vec<_> = schema.fields().map(|field| field.name.as_str()).collect();
        assert_eq!(names, ["title", "slug", "tags", "at", "shape"]);
        let title = schema.field("title").unwrap();
        assert!(title.required && title.is_searched && !title.is_indexed && !title.nullable);
        let slug = schema.field("slug").unwrap();
        assert!(slug.is_unique && slug.is_indexed && !slug.required);
        let tags = schema.field("tags").unwrap();
        assert!(tags.nullable && tags.is_indexed && !tags.is_unique && tags.reference.as_deref() == Some("tags"));
        assert_eq!(schema.field("at").unwrap().format, Some(Format::DateTime));
        let list = |kind| FieldKind::List(Box::new(kind));
        assert_eq!(schema.field("shape").unwrap().kind, list(list(FieldKind::Number)));
        assert_eq!(schema.field("none"), None);
    }

    #[test]
    fn what_is_declared_no_more_is_taken_out() {
        let inner = json!({"type": "object", "properties": {"a": {"type": "string"}}});
        let written = json!({"type": "object", "properties": {
            "one": inner, "many": {"type": "array", "items": inner}, "free": {"type": "object"}}});
        let mut data = json!({"one": {"a": "", "b": 1}, "many": [{"b": 1}, {"a": ""}], "free": {"b": 1}, "gone": 1});
        Schema::parse(&written).unwrap().drop_undeclared(data.as_object_mut().unwrap());
        assert_eq!(data, json!({"one": {"a": ""}, "many": [{}, {"a": ""}], "free": {"b": 1}}));
    }

    #[test]
    fn what_a_schema_may_not_say_is_refused_at_its_place() {
        for (property, expected) in [
            (json!({"type": "string", "pattern": "("}), "/pattern invalid_pattern"),
            (json!({"type": "string", "pattern": "(?=a)"}), "/pattern invalid_pattern"),
            (json!({"type": "string", "pattern": "(a{1000}){1000}"}), "/pattern too_complex"),
            (json!({"type": "string", "pattern": "a".repeat(1001)}), "/pattern too_long"),
            (json!({"type": "string", "pattern": 1}), "/pattern wrong_type"),
            (json!({"type": "string", "pattern": "^a", "default": "b"}), "/default pattern_not_matched"),
            (json!({"type": "number", "pattern": "^a"}), "/pattern not_applicable"),
            (json!({"type": "string", "if": {}}), "/if unsupported_keyword"),
            (json!({"type": "string", "oneOf": []}), "/oneOf wrong_type"),
            (json!({"type": "string", "anyOf": vec![json!(true); 21]}), "/anyOf wrong_type"),
            (json!({"type": "string", "allOf": [1]}), "/allOf/0 wrong_type"),
            (json!({"type": "string", "not": {"if": {}}}), "/not/if unsupported_keyword"),
            (json!({"type": "string", "not": {"default": 1}}), "/not/default not_applicable"),
            (json!({"type": "string", "not": {"type": "file"}}), "/not/type unsupported_type"),
            (json!({"type": "string", "not": {"type": []}}), "/not/type unsupported_type"),
            (json!({"type": "string", "not": {"required": [1]}}), "/not/required wrong_type"),
            (json!({"type": "string", "not": {"pattern": "("}}), "/not/pattern invalid_pattern"),
            (
                json!({"type": "string", "not": {"properties": {"a": {"minimum": "1"}}}}),
                "/not/properties/a/minimum wrong_type",
            ),
            (json!({"type": "string", "not": {"enum": []}}), "/not/enum invalid_enum"),
            (json!({"type": "string", "not": {"additionalProperties": {}}}), "/not/additionalProperties wrong_type"),
            (
                json!({"type": "string", "not": {"not": {"not": {"not": {"not": {"not": {}}}}}}}),
                "/not/not/not/not/not/not too_deep",
            ),
            (json!({"type": "string", "default": "a", "anyOf": [{"minLength": 2}]}), "/default not_any_of"),
            (json!({"type": "string", "const": 1}), "/const wrong_type"),
            (json!({"type": "string", "const": "a", "enum": ["b"]}), "/const contradiction"),
            (json!({"type": "string", "minLength": 1.5}), "/minLength invalid_number"),
            (json!({"type": "string", "maxLength": -1.0}), "/maxLength invalid_number"),
            (json!({"type": "number", "multipleOf": 0}), "/multipleOf invalid_number"),
            (json!({"type": "number", "multipleOf": -0.5}), "/multipleOf invalid_number"),
            (json!({"type": "number", "multipleOf": "1"}), "/multipleOf wrong_type"),
            (json!({"type": "number", "exclusiveMinimum": true}), "/exclusiveMinimum wrong_type"),
            (json!({"type": "number", "minimum": 1, "exclusiveMaximum": 1}), "/minimum contradiction"),
            (json!({"type": "number", "exclusiveMinimum": 1, "maximum": 1}), "/exclusiveMinimum contradiction"),
            (json!({"type": "string", "multipleOf": 2}), "/multipleOf not_applicable"),
            (json!({"type": "array", "items": {"type": "string"}, "uniqueItems": 1}), "/uniqueItems wrong_type"),
            (json!({"type": "object", "minProperties": 2, "maxProperties": 1}), "/minProperties contradiction"),
            (
                json!({"type": "string", "$schema": "https://json-schema.org/draft/2020-12/schema"}),
                "/$schema not_applicable",
            ),
            (json!({"type": "string", "examples": "a"}), "/examples wrong_type"),
            (json!({"type": "string", "deprecated": 1}), "/deprecated wrong_type"),
            (json!({"type": "string", "$ref": "#"}), "/$ref unsupported_keyword"),
            (json!({"enum": ["a"]}), "/type required"),
            (json!(true), " wrong_type"),
            (json!({"type": "file"}), "/type unsupported_type"),
            (json!({"type": "null"}), "/type unsupported_type"),
            (json!({"type": ["string", "number"]}), "/type unsupported_type"),
            (json!({"type": 1}), "/type wrong_type"),
            (json!({"type": "string", "title": 1}), "/title wrong_type"),
            (json!({"type": "string", "enum": []}), "/enum invalid_enum"),
            (json!({"type": "string", "enum": vec!["a"; 201]}), "/enum invalid_enum"),
            (json!({"type": "string", "enum": ["a", 1]}), "/enum/1 wrong_type"),
            (json!({"type": "string", "enum": ["a", "a"]}), "/enum/1 duplicate"),
            (json!({"type": "string", "format": "ipv4"}), "/format unsupported_format"),
            (json!({"type": "string", "minLength": -1}), "/minLength invalid_number"),
            (json!({"type": "string", "minLength": 2, "maxLength": 1}), "/minLength contradiction"),
            (json!({"type": "number", "minimum": "1"}), "/minimum wrong_type"),
            (json!({"type": "number", "minimum": 2, "maximum": 1}), "/minimum contradiction"),
            (json!({"type": "number", "minLength": 1}), "/minLength not_applicable"),
            (json!({"type": "string", "items": {"type": "string"}}), "/items not_applicable"),
            (json!({"type": "array"}), "/items required"),
            (json!({"type": "array", "items": {"type": "string", "default": "a"}}), "/items/default not_applicable"),
            (json!({"type": "array", "items": {"type": "string", "indexed": true}}), "/items/indexed not_applicable"),
            (
                json!({"type": "array", "items": {"type": "object", "properties": {"a": {"type": "string", "default": ""}}}}),
                "/items/properties/a/default not_applicable",
            ),
            (
                json!({"type": "object", "properties": {"a": {"type": "string", "unique": true}}}),
                "/properties/a/unique not_applicable",
            ),
            (json!({"type": "object", "properties": {"a b": {"type": "string"}}}), "/properties/a b invalid_name"),
            (json!({"type": "object", "additionalProperties": {}}), "/additionalProperties wrong_type"),
            (json!({"type": "object", "required": ["a"]}), "/required/0 unknown_field"),
            (json!({"type": "string", "default": 1}), "/default wrong_type"),
            (json!({"type": "string", "default": null}), "/default wrong_type"),
            (json!({"type": "string", "enum": ["a"], "default": "b"}), "/default not_in_enum"),
            (json!({"type": "string", "reference": "tags", "default": "/"}), "/default not_an_id"),
            (json!({"type": "string", "indexed": 1}), "/indexed wrong_type"),
            (json!({"type": "object", "indexed": true}), "/indexed not_indexable"),
            (json!({"type": "array", "items": {"type": "object"}, "indexed": true}), "/indexed not_indexable"),
            (
                json!({"type": "array", "items": {"type": ["string", "null"]}, "indexed": true}),
                "/indexed not_indexable",
            ),
            (json!({"type": "array", "items": {"type": "string"}, "unique": true}), "/unique not_indexable"),
            (json!({"type": "number", "searched": true}), "/searched not_indexable"),
            (json!({"type": "number", "reference": "tags"}), "/reference not_indexable"),
            (json!({"type": "string", "reference": "No such"}), "/reference invalid_slug"),
        ] {
            let schema = json!({"type": "object", "properties": {"f": property.clone()}});
            assert_eq!(refused(schema), [format!("/properties/f{expected}")], "{property}");
        }
        for (schema, expected) in [
            (json!([]), " wrong_type"),
            (json!({"properties": {}}), "/type required"),
            (json!({"type": "string"}), "/type unsupported_type"),
            (json!({"type": ["object", "null"]}), "/type unsupported_type"),
            (
                json!({"type": "object", "$schema": "http://json-schema.org/draft-04/schema#"}),
                "/$schema unsupported_schema",
            ),
            (json!({"type": "object", "properties": []}), "/properties wrong_type"),
            (json!({"type": "object", "required": ["a"]}), "/required/0 unknown_field"),
            (json!({"type": "object", "required": "a"}), "/required wrong_type"),
            (json!({"type": "object", "enum": [{}]}), "/enum not_applicable"),
            (json!({"type": "object", "const": {}}), "/const not_applicable"),
            (json!({"type": "object", "minProperties": 1}), "/minProperties not_applicable"),
            (json!({"type": "object", "properties": {"id": {"type": "string"}}}), "/properties/id reserved"),
            (json!({"type": "object", "properties": {"a-b": {"type": "string"}}}), "/properties/a-b invalid_name"),
        ] {
            assert_eq!(refused(schema.clone()), [expected], "{schema}");
        }
    }

    #[test]
    fn a_schema_has_its_bounds() {
        let fields = |count: usize, property: Value| {
            let properties: Map<String, Value> = (0..count).map(|i| (format!("f{i}"), property.clone())).collect();
            json!({"type": "object", "properties": properties})
        };
        let nested = |levels: usize| {
            (0..levels)
                .fold(json!({"type": "object"}), |inner, _| json!({"type": "object", "properties": {"a": inner}}))
        };
        let indexed = json!({"type": "string", "indexed": true});
        let searched = json!({"type": "string", "searched": true});
        for (at_bound, beyond, expected) in [
            (fields(100, json!({"type": "string"})), fields(101, json!({"type": "string"})), "/properties too_many"),
            (fields(10, indexed.clone()), fields(11, indexed), "/properties/f10 too_many_indexed"),
            (fields(8, searched.clone()), fields(9, searched), "/properties/f8 too_many_searched"),
            (nested(5), nested(6), &format!("{} too_deep", "/properties/a".repeat(6))),
        ] {
            assert!(Schema::parse(&at_bound).is_ok(), "{expected}");
            assert_eq!(refused(beyond), [expected]);
        }
    }

    /// Every kind of field, so that whatever comes meets something.
    fn rich() -> Schema {
        let schema = Schema::parse(&json!({"type": "object", "additionalProperties": true, "properties": {
            "a": {"type": "string", "maxLength": 5, "default": "x"}, "b": {"type": ["integer", "null"], "minimum": -5},
            "c": {"type": "number", "enum": [0, 1, 2.5]}, "d": {"type": "array", "items": {"type": ["number", "null"]}},
            "e": {"type": "object", "properties": {"a": {"type": "string", "format": "date-time"}, "b": {"type": "boolean", "default": true}}},
            "f": {"type": "string", "format": "date-time"}, "g": {"type": "object"}, "h": {"type": "string", "reference": "r"}}}));
        schema.unwrap()
    }

    const MOMENT: &str = "202[0-9]-0[1-9]-0[1-9][T ]0[0-9]:00:00(\\.5)?(Z|\\+0[0-9]:30)";

    /// What the rich schema accepts, in whatever form.
    fn fitting() -> impl Strategy<Value = Value> {
        let number = prop_oneof![(-5i64..9).prop_map(Value::from), (-5i64..9).prop_map(|n| Value::from(n as f64))];
        let moment = || MOMENT.prop_map(Value::from);
        let or_null = |value: BoxedStrategy<Value>| prop_oneof![Just(Value::Null), value];
        let field = prop_oneof![
            ("a", or_null("[\\P{Cc}]{0,5}".prop_map(Value::from).boxed())),
            ("b", or_null(number.clone().boxed())),
            ("c", or_null(prop_oneof![Just(json!(1)), Just(json!(1.0)), Just(json!(-0.0)), Just(json!(2.5))].boxed())),
            ("d", or_null(prop::collection::vec(or_null(number.boxed()), 0..4).prop_map(Value::from).boxed())),
            ("e", or_null(or_null(moment().boxed()).prop_map(|at| json!({"a": at})).boxed())),
            ("f", or_null(moment().boxed())),
            ("g", or_null(any_json().prop_map(|any| json!({"any": any})).boxed())),
            ("h", or_null("[a-z0-9][a-z_-]{0,9}".prop_map(Value::from).boxed())),
            ("i", any_json().boxed()),
        ];
        prop::collection::vec(field, 0..9)
            .prop_map(|m| Value::Object(m.into_iter().map(|(k, v)| (k.to_owned(), v)).collect()))
    }

    fn any_json() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<f64>().prop_map(Value::from),
            (-9i64..9).prop_map(Value::from),
            (-9i64..9).prop_map(|n| Value::from(n as f64)),
            any::<u64>().prop_map(Value::from),
            "[a-z\\PC]{0,6}".prop_map(Value::from),
            (0i64..4_000_000_000_000).prop_map(|t| Value::from(domain::clock::Timestamp::from_millis(t).to_string())),
            MOMENT.prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 24, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::vec(("[a-i]|\\PC{0,3}", inner), 0..5)
                    .prop_map(|m| Value::Object(m.into_iter().collect())),
            ]
        })
    }

    fn any_schema() -> impl Strategy<Value = Value> {
        const WORDS: [&str; 24] = [
            "type",
            "properties",
            "required",
            "items",
            "enum",
            "format",
            "minLength",
            "maxLength",
            "minimum",
            "maximum",
            "minItems",
            "maxItems",
            "additionalProperties",
            "default",
            "indexed",
            "unique",
            "searched",
            "reference",
            "string",
            "object",
            "array",
            "integer",
            "null",
            "date-time",
        ];
        let word = prop::sample::select(WORDS.to_vec());
        let leaf = prop_oneof![word.clone().prop_map(Value::from), (-2i64..9).prop_map(Value::from), Just(json!(true))];
        leaf.prop_recursive(6, 60, 6, move |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..3).prop_map(Value::from),
                prop::collection::vec((word.clone(), inner), 0..6).prop_map(|members| {
                    let mut object: Map<String, Value> = members.into_iter().map(|(k, v)| (k.to_owned(), v)).collect();
                    object.insert("type".into(), Value::from("object"));
                    Value::Object(object)
                }),
            ]
        })
    }

    proptest! {
        #[test]
        fn what_is_accepted_is_accepted_again_unchanged(data in prop_oneof![fitting(), any_json()]) {
            if let Value::Object(mut data) = data {
                let schema = rich();
                if schema.check(&mut data).is_empty() {
                    let kept = serde_json::to_string(&data).unwrap();
                    prop_assert_eq!(schema.check(&mut data), vec![]);
                    prop_assert_eq!(serde_json::to_string(&data).unwrap(), kept);
                }
            }
        }

        #[test]
        fn what_fits_is_accepted(data in fitting()) {
            let mut data = data.as_object().unwrap().clone();
            prop_assert_eq!(rich().check(&mut data), vec![]);
        }

        #[test]
        fn no_value_breaks_a_schema(schema in any_schema(), data in any_json()) {
            let _ = Schema::parse(&data);
            if let (Ok(schema), Value::Object(mut data)) = (Schema::parse(&schema), data) {
                schema.check(&mut data);
            }
        }
    }
}
