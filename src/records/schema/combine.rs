//! Reads `allOf`, `anyOf`, `oneOf` and `not`.

use serde_json::{Map, Value};

use super::assertion::{AssertedKind, Assertion, Combined};
use super::equality::canonical;
use super::parse::{KEYWORDS, SchemaParser};
use crate::records::faults::JsonPointer;
use domain::error::Invalid;

/// Most schemas of one keyword.
const MAX_BRANCHES: usize = 20;
/// Most schemas inside these keywords, in one collection's schema.
const MAX_ASSERTIONS: usize = 200;
/// Deepest nesting of schemas inside them.
const MAX_DEPTH: usize = 5;
/// Most values of `enum`.
const MAX_VALUES: usize = 200;

impl SchemaParser {
    /// What the four keywords of a schema say.
    pub(super) fn combined(&mut self, written: &Map<String, Value>, at: &JsonPointer<'_>, depth: usize) -> Combined {
        Combined {
            all: self.branches(written, "allOf", at, depth).unwrap_or_default(),
            any: self.branches(written, "anyOf", at, depth),
            one: self.branches(written, "oneOf", at, depth),
            none: written.get("not").map(|schema| Box::new(self.assertion(schema, &at.name("not"), depth))),
        }
    }

    fn branches(
        &mut self,
        written: &Map<String, Value>,
        keyword: &str,
        at: &JsonPointer<'_>,
        depth: usize,
    ) -> Option<Vec<Assertion>> {
        let at = at.name(keyword);
        match written.get(keyword)? {
            Value::Array(branches) if (1..=MAX_BRANCHES).contains(&branches.len()) => {
                let branches = branches.iter().enumerate();
                Some(branches.map(|(i, schema)| self.assertion(schema, &at.index(i), depth)).collect())
            }
            _ => self.wrong(&at, "wrong_type", format!("must be a list of 1 to {MAX_BRANCHES} schemas")),
        }
    }

    /// A schema as the standard has it.
    fn assertion(&mut self, written: &Value, at: &JsonPointer<'_>, depth: usize) -> Assertion {
        self.assertions += 1;
        if depth > MAX_DEPTH || self.assertions > MAX_ASSERTIONS {
            let message = format!(
                "must be one of at most {MAX_ASSERTIONS} schemas in allOf, anyOf, oneOf and not, nested {MAX_DEPTH} deep"
            );
            return self.wrong(at, "too_deep", message).unwrap_or_default();
        }
        let written = match written {
            Value::Object(written) => written,
            Value::Bool(fits) => return Assertion::always(*fits),
            _ => return self.wrong(at, "wrong_type", "must be an object, true or false").unwrap_or_default(),
        };
        for (keyword, value) in written {
            self.asserted_keyword(keyword, value, &at.name(keyword));
        }
        Assertion {
            kinds: self.asserted_kinds(written, at),
            values: self.asserted_values(written, at),
            text: self.text(written, at),
            range: self.range(written, at),
            length: self.bounds(written, ["minItems", "maxItems"], at),
            is_set: self.switch(written, "uniqueItems", at),
            items: written.get("items").map(|items| Box::new(self.assertion(items, &at.name("items"), depth + 1))),
            properties: self.asserted_properties(written, &at.name("properties"), depth),
            required: self.asserted_names(written, &at.name("required")),
            size: self.bounds(written, ["minProperties", "maxProperties"], at),
            is_closed: written.contains_key("additionalProperties")
                && !self.switch(written, "additionalProperties", at),
            combined: self.combined(written, at, depth + 1),
        }
    }

    fn asserted_keyword(&mut self, keyword: &str, value: &Value, at: &JsonPointer<'_>) {
        match keyword {
            "title" | "description" | "$comment" => self.is_text(value, at),
            "type"
            | "enum"
            | "const"
            | "format"
            | "pattern"
            | "minLength"
            | "maxLength"
            | "minimum"
            | "maximum"
            | "exclusiveMinimum"
            | "exclusiveMaximum"
            | "multipleOf"
            | "items"
            | "minItems"
            | "maxItems"
            | "uniqueItems"
            | "properties"
            | "required"
            | "additionalProperties"
            | "minProperties"
            | "maxProperties"
            | "allOf"
            | "anyOf"
            | "oneOf"
            | "not" => {}
            "default" | "examples" | "deprecated" | "$schema" | "indexed" | "unique" | "searched" | "reference" => {
                let message = "does not apply inside allOf, anyOf, oneOf and not";
                self.faults.add(at, Invalid::new("not_applicable", message));
            }
            _ => {
                let message = format!("is not a supported keyword; these are: {KEYWORDS}");
                self.faults.add(at, Invalid::new("unsupported_keyword", message));
            }
        }
    }

    fn asserted_kinds(&mut self, written: &Map<String, Value>, at: &JsonPointer<'_>) -> Option<Vec<AssertedKind>> {
        let kinds = match written.get("type")? {
            Value::Array(kinds) if !kinds.is_empty() => kinds.iter().map(Value::as_str).collect(),
            kind => vec![kind.as_str()],
        };
        let named = kinds.into_iter().map(|kind| kind.and_then(AssertedKind::named)).collect();
        let message = "must be one or more of null, boolean, number, integer, string, array and object";
        Option::or_else(named, || self.wrong(&at.name("type"), "unsupported_type", message))
    }

    fn asserted_values(&mut self, written: &Map<String, Value>, at: &JsonPointer<'_>) -> Option<Vec<Value>> {
        let listed = match written.get("enum") {
            None => None,
            Some(Value::Array(values)) if (1..=MAX_VALUES).contains(&values.len()) => Some(values.clone()),
            Some(_) => {
                let message = format!("must be a list of 1 to {MAX_VALUES} values");
                self.wrong(&at.name("enum"), "invalid_enum", message)
            }
        };
        let Some(constant) = written.get("const") else { return listed };
        let text = canonical(constant);
        let is_listed = listed.is_none_or(|listed| listed.iter().any(|value| canonical(value) == text));
        Some(if is_listed { vec![constant.clone()] } else { Vec::new() })
    }

    fn asserted_properties(
        &mut self,
        written: &Map<String, Value>,
        at: &JsonPointer<'_>,
        depth: usize,
    ) -> Vec<(String, Assertion)> {
        match written.get("properties") {
            None => Vec::new(),
            Some(Value::Object(properties)) => {
                let one = |(name, schema): (&String, &Value)| {
                    (name.clone(), self.assertion(schema, &at.name(name), depth + 1))
                };
                properties.iter().map(one).collect()
            }
            Some(_) => self.wrong(at, "wrong_type", "must be an object").unwrap_or_default(),
        }
    }

    fn asserted_names(&mut self, written: &Map<String, Value>, at: &JsonPointer<'_>) -> Vec<String> {
        let names = match written.get("required") {
            None => Some(Vec::new()),
            Some(Value::Array(names)) => names.iter().map(|name| name.as_str().map(str::to_owned)).collect(),
            Some(_) => None,
        };
        names.or_else(|| self.wrong(at, "wrong_type", "must be a list of names")).unwrap_or_default()
    }
}
