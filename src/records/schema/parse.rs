//! Reads schemas: a subset of JSON Schema with the keywords `indexed`, `unique`, `searched` and `reference` added.
//!
//! Unknown keywords are refused, never ignored: every keyword of an accepted schema is enforced.

use std::cmp::Ordering;
use std::collections::HashSet;

use serde_json::{Map, Value};

use super::assertion::Combined;
use super::bounds::{LengthBounds, NumberRange, TextShape, TextUse};
use super::check::{self, SchemaCheck};
use super::equality::{canonical, is_among};
use super::field::{Field, FieldKind};
use super::format::Format;
use super::shape::{ListShape, Node, ObjectShape, Property, Shape};
use crate::http::problem::FieldError;
use crate::records::faults::{JsonPointer, ValidationErrors};
use crate::records::names;
use domain::decimal;
use domain::error::Invalid;
use domain::json::whole;
use domain::pattern::Pattern;

/// Most properties of an object.
const MAX_PROPERTIES: usize = 100;
/// Most fields that are indexed, unique or references.
const MAX_INDEXED: usize = 10;
/// Most fields in the full-text index.
const MAX_SEARCHED: usize = 8;
/// Most elements of an indexed list: each is a row of the index.
const MAX_INDEXED_ITEMS: usize = 100;
/// Deepest nesting of properties.
const MAX_DEPTH: usize = 5;
/// Most values of an enum.
const MAX_VALUES: usize = 200;

/// A record's schema as it was read.
pub(super) struct RecordSchema {
    pub root: ObjectShape,
    pub combined: Combined,
    pub fields: Vec<Field>,
}

/// Reads a record's schema.
pub(super) fn read(written: &Value) -> Result<RecordSchema, Vec<FieldError>> {
    let mut reader = SchemaParser::default();
    let node = reader.node(written, &JsonPointer::Root, SchemaLocation::Record);
    match node {
        Some(Node { shape: Shape::Object(root), combined, .. }) if reader.faults.is_empty() => {
            Ok(RecordSchema { root, combined, fields: reader.fields })
        }
        _ => Err(reader.faults.into_errors()),
    }
}

/// Reads a schema that was accepted once, whatever would be wrong with it today.
pub(super) fn read_accepted(written: &Value) -> Option<RecordSchema> {
    let mut reader = SchemaParser::default();
    match reader.node(written, &JsonPointer::Root, SchemaLocation::Record)? {
        Node { shape: Shape::Object(root), combined, .. } => {
            Some(RecordSchema { root, combined, fields: reader.fields })
        }
        _ => None,
    }
}

/// The keywords that are taken, for whoever wrote another one.
pub(super) const KEYWORDS: &str = "type, enum, const, format, pattern, minLength, maxLength, minimum, maximum, exclusiveMinimum, \
                        exclusiveMaximum, multipleOf, items, minItems, maxItems, uniqueItems, properties, required, \
                        additionalProperties, minProperties, maxProperties, allOf, anyOf, oneOf, not, default, title, description, examples, \
                        deprecated, $comment, $schema, indexed, unique, searched, reference";
/// The dialects in which these keywords mean the same.
const DIALECTS: [&str; 3] = [
    "https://json-schema.org/draft/2020-12/schema",
    "https://json-schema.org/draft/2019-09/schema",
    "http://json-schema.org/draft-07/schema",
];

/// Where in a record the described value is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum SchemaLocation {
    Record,
    /// A property this deep, from 1.
    Property(usize),
    /// An element of a list this deep.
    Item(usize),
    /// A property of a list's element, this deep.
    Within(usize),
}

impl SchemaLocation {
    fn depth(self) -> usize {
        match self {
            Self::Record => 0,
            Self::Property(depth) | Self::Item(depth) | Self::Within(depth) => depth,
        }
    }

    /// The location of a property of this value.
    fn property(self) -> Self {
        match self {
            Self::Record | Self::Property(_) => Self::Property(self.depth() + 1),
            Self::Item(_) | Self::Within(_) => Self::Within(self.depth() + 1),
        }
    }
}

#[derive(Default)]
pub(super) struct SchemaParser {
    pub(super) faults: ValidationErrors,
    /// The fields so far.
    fields: Vec<Field>,
    /// How many schemas stand in `allOf`, `anyOf`, `oneOf` and `not` so far.
    pub(super) assertions: usize,
}

impl SchemaParser {
    fn node(&mut self, written: &Value, at: &JsonPointer<'_>, place: SchemaLocation) -> Option<Node> {
        let Value::Object(written) = written else {
            return self.wrong(at, "wrong_type", "must be an object");
        };
        if place.depth() > MAX_DEPTH {
            return self.wrong(at, "too_deep", format!("must not be nested deeper than {MAX_DEPTH} levels"));
        }
        let (kind, nullable) = self.kind(written, at, place)?;
        for (keyword, value) in written {
            self.keyword(keyword, value, kind, &at.name(keyword), place);
        }
        let shape = match kind {
            "string" => Shape::Text(self.text(written, at)),
            "number" => Shape::Number(self.range(written, at)),
            "integer" => Shape::Integer(self.range(written, at)),
            "boolean" => Shape::Flag,
            "array" => Shape::List(Box::new(self.list(written, at, place)?)),
            _ => Shape::Object(self.object(written, at, place)),
        };
        let combined = self.combined(written, at, 1);
        let mut node = Node { shape, nullable, values: Vec::new(), default: None, combined };
        self.values(&mut node, written, at);
        Some(node)
    }

    /// The type, and whether null is one too.
    fn kind<'w>(
        &mut self,
        written: &'w Map<String, Value>,
        at: &JsonPointer<'_>,
        place: SchemaLocation,
    ) -> Option<(&'w str, bool)> {
        const TYPES: [&str; 6] = ["string", "number", "integer", "boolean", "array", "object"];
        let at_type = at.name("type");
        let (kind, nullable) = match written.get("type") {
            None => return self.wrong(&at_type, "required", "is required"),
            Some(Value::String(kind)) => (kind.as_str(), false),
            Some(Value::Array(kinds)) => match kinds.as_slice() {
                [Value::String(kind)] => (kind.as_str(), false),
                [Value::String(kind), Value::String(null)] if null == "null" => (kind.as_str(), true),
                [Value::String(null), Value::String(kind)] if null == "null" => (kind.as_str(), true),
                _ => {
                    return self.wrong(
                        &at_type,
                        "unsupported_type",
                        "must be one type, or a list of one type and \"null\"",
                    );
                }
            },
            Some(_) => {
                return self.wrong(&at_type, "wrong_type", "must be one type, or a list of one type and \"null\"");
            }
        };
        if !TYPES.contains(&kind) {
            let message = "must be string, number, integer, boolean, array or object";
            return self.wrong(&at_type, "unsupported_type", message);
        }
        if place == SchemaLocation::Record && (kind != "object" || nullable) {
            return self.wrong(&at_type, "unsupported_type", "must be object: records are objects");
        }
        Some((kind, nullable))
    }

    /// Refuses a keyword that is unknown or does not apply here; others are read where they are used.
    fn keyword(&mut self, keyword: &str, value: &Value, kind: &str, at: &JsonPointer<'_>, place: SchemaLocation) {
        let applies = match keyword {
            "type" => true,
            "title" | "description" | "$comment" => return self.is_text(value, at),
            "examples" => return self.is(value.is_array(), "must be a list", at),
            "deprecated" => return self.is(value.is_boolean(), "must be true or false", at),
            "$schema" if place == SchemaLocation::Record => return self.dialect(value, at),
            "$schema" => false,
            // Not inside lists: a long default in each of many elements would fill the memory.
            "default" => matches!(place, SchemaLocation::Property(_)),
            "allOf" | "anyOf" | "oneOf" | "not" => true,
            "enum" | "const" => place != SchemaLocation::Record,
            "format" | "pattern" | "minLength" | "maxLength" => kind == "string",
            "minimum" | "maximum" | "exclusiveMinimum" | "exclusiveMaximum" | "multipleOf" => {
                matches!(kind, "number" | "integer")
            }
            "items" | "minItems" | "maxItems" | "uniqueItems" => kind == "array",
            "properties" | "required" | "additionalProperties" => kind == "object",
            // A body has members beside the fields, which no count should tell apart.
            "minProperties" | "maxProperties" => kind == "object" && place != SchemaLocation::Record,
            "indexed" | "unique" | "searched" | "reference" if place == SchemaLocation::Property(1) => true,
            "indexed" | "unique" | "searched" | "reference" => {
                let message = "applies to top-level fields only";
                return self.faults.add(at, Invalid::new("not_applicable", message));
            }
            _ => {
                let message = format!("is not a supported keyword; these are: {KEYWORDS}");
                return self.faults.add(at, Invalid::new("unsupported_keyword", message));
            }
        };
        if !applies {
            self.faults
                .add(at, Invalid::new("not_applicable", format!("does not apply to the type {kind} at this place")));
        }
    }

    pub(super) fn text(&mut self, written: &Map<String, Value>, at: &JsonPointer<'_>) -> TextShape {
        let format = match written.get("format") {
            None => None,
            Some(format) => {
                let named = format.as_str().and_then(Format::named);
                let message = "must be date-time, date, email, uri or uuid";
                named.or_else(|| self.wrong(&at.name("format"), "unsupported_format", message))
            }
        };
        let at_pattern = at.name("pattern");
        let pattern = match written.get("pattern") {
            None => None,
            Some(Value::String(pattern)) => self.faults.check(&at_pattern, Pattern::parse(pattern)).map(Box::new),
            Some(_) => self.wrong(&at_pattern, "wrong_type", "must be a regular expression in a string"),
        };
        TextShape { format, length: self.bounds(written, ["minLength", "maxLength"], at), pattern, role: TextUse::None }
    }

    pub(super) fn range(&mut self, written: &Map<String, Value>, at: &JsonPointer<'_>) -> NumberRange {
        let keywords = ["minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"];
        let [min, max, above, below, unit] = keywords.map(|keyword| match written.get(keyword) {
            None => None,
            Some(Value::Number(bound)) => Some(bound.clone()),
            Some(_) => self.wrong(&at.name(keyword), "wrong_type", "must be a number"),
        });
        let contradictions = [
            ("minimum", &min, &max, "maximum", Ordering::is_gt as fn(Ordering) -> bool),
            ("minimum", &min, &below, "exclusiveMaximum", Ordering::is_ge),
            ("exclusiveMinimum", &above, &max, "maximum", Ordering::is_ge),
            ("exclusiveMinimum", &above, &below, "exclusiveMaximum", Ordering::is_ge),
        ];
        for (keyword, low, high, other, is_beyond) in contradictions {
            if let (Some(low), Some(high)) = (low, high)
                && is_beyond(decimal::order(low, high))
            {
                let message = format!("must not leave out every number up to {other}");
                self.faults.add(&at.name(keyword), Invalid::new("contradiction", message));
            }
        }
        let unit = unit.filter(|unit| {
            let is_positive = unit.as_f64().is_some_and(|unit| unit > 0.0);
            if !is_positive {
                let message = "must be a number greater than 0";
                self.faults.add(&at.name("multipleOf"), Invalid::new("invalid_number", message));
            }
            is_positive
        });
        NumberRange { min, max, above, below, unit }
    }

    pub(super) fn bounds(
        &mut self,
        written: &Map<String, Value>,
        keywords: [&str; 2],
        at: &JsonPointer<'_>,
    ) -> LengthBounds {
        let [min, max] = keywords.map(|keyword| {
            let bound = written.get(keyword)?;
            // One that is larger than any text or list bounds nothing.
            let bound =
                whole(bound).filter(|bound| *bound >= 0).map(|bound| usize::try_from(bound).unwrap_or(usize::MAX));
            let message = format!("must be a whole number from 0 to {}", i64::MAX);
            bound.or_else(|| self.wrong(&at.name(keyword), "invalid_number", message))
        });
        if max.is_some_and(|max| min.unwrap_or_default() > max) {
            let [min, max] = keywords;
            self.faults.add(&at.name(min), Invalid::new("contradiction", format!("must not be above {max}")));
        }
        LengthBounds { min: min.unwrap_or_default(), max }
    }

    fn list(&mut self, written: &Map<String, Value>, at: &JsonPointer<'_>, place: SchemaLocation) -> Option<ListShape> {
        let length = self.bounds(written, ["minItems", "maxItems"], at);
        let at_items = at.name("items");
        let Some(items) = written.get("items") else {
            return self.wrong(&at_items, "required", "must be the schema of the list's elements");
        };
        let is_set = self.switch(written, "uniqueItems", at);
        Some(ListShape { items: self.node(items, &at_items, SchemaLocation::Item(place.depth() + 1))?, length, is_set })
    }

    /// An object without `properties` may have any members; a record, and an object with `properties`, only those declared.
    fn object(&mut self, written: &Map<String, Value>, at: &JsonPointer<'_>, place: SchemaLocation) -> ObjectShape {
        let properties = match written.get("properties") {
            None => Vec::new(),
            Some(Value::Object(properties)) => self.properties(properties, &at.name("properties"), place),
            Some(_) => self.wrong(&at.name("properties"), "wrong_type", "must be an object").unwrap_or_default(),
        };
        let is_open = match written.get("additionalProperties") {
            None => place != SchemaLocation::Record && !written.contains_key("properties"),
            Some(Value::Bool(open)) => *open,
            Some(_) => {
                let at = at.name("additionalProperties");
                self.wrong(&at, "wrong_type", "must be true or false").unwrap_or_default()
            }
        };
        let size = self.bounds(written, ["minProperties", "maxProperties"], at);
        let mut object = ObjectShape { properties, size, is_open };
        self.required(&mut object, written, at, place);
        object
    }

    fn properties(
        &mut self,
        written: &Map<String, Value>,
        at: &JsonPointer<'_>,
        place: SchemaLocation,
    ) -> Vec<Property> {
        if written.len() > MAX_PROPERTIES {
            let message = format!("must be at most {MAX_PROPERTIES} properties");
            return self.wrong(at, "too_many", message).unwrap_or_default();
        }
        let mut properties = Vec::with_capacity(written.len());
        for (name, schema) in written {
            let at = at.name(name);
            let shaped =
                if place == SchemaLocation::Record { names::own_field_name(name) } else { names::field_name(name) };
            self.faults.check(&at, shaped);
            let Some(mut node) = self.node(schema, &at, place.property()) else {
                continue;
            };
            if let (SchemaLocation::Record, Value::Object(schema)) = (place, schema) {
                let field = self.field(name, schema, &mut node, &at);
                self.fields.push(field);
            }
            if let Some(mut default) = schema.get("default").cloned() {
                check::node(&node, &mut default, &at.name("default"), &mut SchemaCheck::new(&mut self.faults));
                node.default = Some(default);
            }
            properties.push(Property { name: name.clone(), required: false, node });
        }
        properties
    }

    fn required(
        &mut self,
        object: &mut ObjectShape,
        written: &Map<String, Value>,
        at: &JsonPointer<'_>,
        place: SchemaLocation,
    ) {
        let at = at.name("required");
        let names = match written.get("required") {
            None => return,
            Some(Value::Array(names)) => names,
            Some(_) => return self.faults.add(&at, Invalid::new("wrong_type", "must be a list of names")),
        };
        for (i, name) in names.iter().enumerate() {
            let name = name.as_str().unwrap_or_default();
            match object.properties.iter_mut().find(|property| property.name == name) {
                Some(property) => property.required = true,
                // Its own errors were reported.
                None if written.get("properties").is_some_and(|declared| declared.get(name).is_some()) => {}
                None => self.faults.add(&at.index(i), Invalid::new("unknown_field", "must name a declared property")),
            }
            if let (SchemaLocation::Record, Some(field)) =
                (place, self.fields.iter_mut().find(|field| field.name == name))
            {
                field.required = true;
            }
        }
    }

    /// The allowed values of `enum` and `const`. Without null among them, the value may not be null.
    fn values(&mut self, node: &mut Node, written: &Map<String, Value>, at: &JsonPointer<'_>) {
        let listed = match written.get("enum") {
            None => None,
            Some(Value::Array(values)) if (1..=MAX_VALUES).contains(&values.len()) => {
                Some(self.listed(node, values, &at.name("enum")))
            }
            Some(_) => {
                let message = format!("must be a list of 1 to {MAX_VALUES} values");
                self.wrong(&at.name("enum"), "invalid_enum", message)
            }
        };
        let at = at.name("const");
        let constant = written.get("const").map(|value| self.listed_value(node, value, &at));
        if let (Some(listed), Some(constant)) = (&listed, &constant)
            && !is_among(constant, listed)
        {
            self.faults.add(&at, Invalid::new("contradiction", "must be one of the values of enum"));
        }
        if let Some(values) = constant.map(|value| vec![value]).or(listed) {
            node.nullable &= values.contains(&Value::Null);
            node.values = values;
        }
    }

    fn listed(&mut self, node: &Node, values: &[Value], at: &JsonPointer<'_>) -> Vec<Value> {
        let mut kept = Vec::with_capacity(values.len());
        let mut seen = HashSet::new();
        for (i, value) in values.iter().enumerate() {
            let value = self.listed_value(node, value, &at.index(i));
            if !seen.insert(canonical(&value)) {
                self.faults.add(&at.index(i), Invalid::new("duplicate", "appears twice in the list"));
            }
            kept.push(value);
        }
        kept
    }

    /// A value of the schema as records store it.
    fn listed_value(&mut self, node: &Node, value: &Value, at: &JsonPointer<'_>) -> Value {
        let mut value = value.clone();
        check::node(node, &mut value, at, &mut SchemaCheck::new(&mut self.faults));
        value
    }

    /// A top-level field with its uses.
    fn field(&mut self, name: &str, written: &Map<String, Value>, node: &mut Node, at: &JsonPointer<'_>) -> Field {
        let kind = kind_of(&node.shape);
        let [indexed, is_unique, searched] =
            ["indexed", "unique", "searched"].map(|keyword| self.switch(written, keyword, at));
        let reference = written.get("reference").and_then(|slug| self.reference(slug, &kind, &at.name("reference")));
        let elements_nullable = matches!(&node.shape, Shape::List(list) if list.items.nullable);
        if is_unique && !kind.is_scalar() {
            self.not_indexable(&at.name("unique"), "applies to strings, numbers, integers and booleans only");
        } else if (indexed || reference.is_some()) && (!kind.compared().is_scalar() || elements_nullable) {
            let keyword = if indexed { "indexed" } else { "reference" };
            self.not_indexable(
                &at.name(keyword),
                "applies to strings, numbers, integers and booleans, and to lists of them, without null",
            );
        }
        if searched && *kind.compared() != FieldKind::Text {
            self.not_indexable(&at.name("searched"), "applies to strings and lists of strings only");
        }
        let is_indexed = indexed || is_unique || reference.is_some();
        let role = if reference.is_some() { TextUse::Reference } else { TextUse::Indexed };
        let format = if is_indexed { use_as(&mut node.shape, role) } else { use_as(&mut node.shape, TextUse::None) };
        let (name, nullable) = (name.to_owned(), node.nullable);
        let field = Field {
            name,
            kind,
            nullable,
            required: false,
            format,
            is_indexed,
            is_unique,
            is_searched: searched,
            reference,
        };
        self.count(&field, at);
        field
    }

    fn reference(&mut self, slug: &Value, kind: &FieldKind, at: &JsonPointer<'_>) -> Option<String> {
        let Value::String(slug) = slug else {
            return self.wrong(at, "wrong_type", "must be the slug of a collection");
        };
        self.faults.check(at, names::collection_slug(slug))?;
        if *kind.compared() != FieldKind::Text {
            self.not_indexable(at, "applies to strings and lists of strings only");
            return None;
        }
        Some(slug.clone())
    }

    /// Refuses the first field that exceeds a limit.
    fn count(&mut self, field: &Field, at: &JsonPointer<'_>) {
        let others = |counts: fn(&Field) -> bool| self.fields.iter().filter(|field| counts(field)).count();
        if field.is_indexed && others(|field| field.is_indexed) == MAX_INDEXED {
            let message = format!("at most {MAX_INDEXED} fields may be indexed, unique or references");
            self.faults.add(at, Invalid::new("too_many_indexed", message));
        }
        if field.is_searched && others(|field| field.is_searched) == MAX_SEARCHED {
            let message = format!("at most {MAX_SEARCHED} fields may be searched");
            self.faults.add(at, Invalid::new("too_many_searched", message));
        }
    }

    pub(super) fn is_text(&mut self, value: &Value, at: &JsonPointer<'_>) {
        self.is(value.is_string(), "must be a string", at);
    }

    fn is(&mut self, is_so: bool, must: &'static str, at: &JsonPointer<'_>) {
        if !is_so {
            self.faults.add(at, Invalid::new("wrong_type", must));
        }
    }

    /// A keyword that is on or off.
    pub(super) fn switch(&mut self, written: &Map<String, Value>, keyword: &str, at: &JsonPointer<'_>) -> bool {
        match written.get(keyword) {
            None => false,
            Some(Value::Bool(is_on)) => *is_on,
            Some(_) => self.wrong(&at.name(keyword), "wrong_type", "must be true or false").unwrap_or_default(),
        }
    }

    fn dialect(&mut self, value: &Value, at: &JsonPointer<'_>) {
        if !value.as_str().is_some_and(|named| DIALECTS.contains(&named.trim_end_matches('#'))) {
            let message = format!("must be one of {}", DIALECTS.join(", "));
            self.faults.add(at, Invalid::new("unsupported_schema", message));
        }
    }

    fn not_indexable(&mut self, at: &JsonPointer<'_>, message: &'static str) {
        self.faults.add(at, Invalid::new("not_indexable", message));
    }

    pub(super) fn wrong<T>(
        &mut self,
        at: &JsonPointer<'_>,
        code: &'static str,
        message: impl Into<std::borrow::Cow<'static, str>>,
    ) -> Option<T> {
        self.faults.add(at, Invalid::new(code, message));
        None
    }
}

fn kind_of(shape: &Shape) -> FieldKind {
    match shape {
        Shape::Text(_) => FieldKind::Text,
        Shape::Number(_) => FieldKind::Number,
        Shape::Integer(_) => FieldKind::Integer,
        Shape::Flag => FieldKind::Flag,
        Shape::List(list) => FieldKind::List(Box::new(kind_of(&list.items.shape))),
        Shape::Object(_) => FieldKind::Object,
    }
}

/// Sets the use of a field's strings and limits a list of them; gives their format.
fn use_as(shape: &mut Shape, role: TextUse) -> Option<Format> {
    match shape {
        Shape::Text(text) => {
            text.role = role;
            text.format
        }
        Shape::List(list) => {
            if role != TextUse::None {
                list.length.max = Some(list.length.max.map_or(MAX_INDEXED_ITEMS, |max| max.min(MAX_INDEXED_ITEMS)));
            }
            use_as(&mut list.items.shape, role)
        }
        _ => None,
    }
}
