//! What `allOf`, `anyOf`, `oneOf` and `not` say of a value: schemas as the standard has them, which only say yes or no.
//!
//! Beside the schema of a field, which has one type, these may leave the type open: a keyword of another type says nothing,
//! and objects are open. They are asked of a value as it is stored, and change nothing of it.

use serde_json::{Map, Number, Value};

use super::bounds::{LengthBounds, NumberRange, TextShape};
use super::equality::{canonical, is_among};
use super::format::Format;
use domain::error::Invalid;
use domain::pattern::effort::Effort;

/// A schema that a value fits or not.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Assertion {
    /// The types of which it is one; every type if there are none said.
    pub kinds: Option<Vec<AssertedKind>>,
    /// The values of which it is one.
    pub values: Option<Vec<Value>>,
    pub text: TextShape,
    pub range: NumberRange,
    pub length: LengthBounds,
    pub is_set: bool,
    pub items: Option<Box<Assertion>>,
    pub properties: Vec<(String, Assertion)>,
    pub required: Vec<String>,
    pub size: LengthBounds,
    /// Whether there may be no further members.
    pub is_closed: bool,
    pub combined: Combined,
}

/// A type that a value is asked to be of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum AssertedKind {
    Null,
    Flag,
    Number,
    Integer,
    Text,
    List,
    Object,
}

/// Schemas that are put together.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Combined {
    pub all: Vec<Assertion>,
    pub any: Option<Vec<Assertion>>,
    pub one: Option<Vec<Assertion>>,
    pub none: Option<Box<Assertion>>,
}

impl AssertedKind {
    /// The type of this name.
    pub fn named(name: &str) -> Option<Self> {
        Some(match name {
            "null" => Self::Null,
            "boolean" => Self::Flag,
            "number" => Self::Number,
            "integer" => Self::Integer,
            "string" => Self::Text,
            "array" => Self::List,
            "object" => Self::Object,
            _ => return None,
        })
    }

    fn holds(self, value: &Value) -> bool {
        match self {
            Self::Null => value.is_null(),
            Self::Flag => value.is_boolean(),
            Self::Number => value.is_number(),
            Self::Integer => value.as_f64().is_some_and(|number| number.fract() == 0.0),
            Self::Text => value.is_string(),
            Self::List => value.is_array(),
            Self::Object => value.is_object(),
        }
    }
}

impl Combined {
    /// Whether it says nothing.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// What is wrong with a value, if something is.
    pub fn refusal(&self, value: &Value, effort: &mut Effort) -> Option<Invalid> {
        if self.is_empty() {
            return None;
        }
        match self.first_refusal(value, effort) {
            Ok(None) => None,
            Ok(Some(invalid)) | Err(invalid) => Some(invalid),
        }
    }

    fn first_refusal(&self, value: &Value, effort: &mut Effort) -> Result<Option<Invalid>, Invalid> {
        let refused = |code, message: &str| Ok(Some(Invalid::new(code, message.to_owned())));
        if count(&self.all, value, effort)? < self.all.len() {
            return refused("not_all_of", "must fit every schema of allOf");
        }
        if let Some(any) = &self.any
            && count(any, value, effort)? == 0
        {
            return refused("not_any_of", "must fit one of the schemas of anyOf");
        }
        if let Some(one) = &self.one {
            match count(one, value, effort)? {
                1 => {}
                0 => return refused("not_one_of", "must fit one of the schemas of oneOf"),
                many => {
                    return refused("not_one_of", &format!("must fit only one of the schemas of oneOf, not {many}"));
                }
            }
        }
        match &self.none {
            Some(none) if none.holds(value, effort)? => refused("not_excluded", "must not fit the schema of not"),
            _ => Ok(None),
        }
    }
}

/// How many schemas a value fits.
fn count(schemas: &[Assertion], value: &Value, effort: &mut Effort) -> Result<usize, Invalid> {
    schemas.iter().try_fold(0, |fits, schema| Ok(fits + usize::from(schema.holds(value, effort)?)))
}

impl Assertion {
    /// The schemas `true` and `false`: what every value fits, and what none does.
    pub fn always(fits: bool) -> Self {
        Self { kinds: if fits { None } else { Some(Vec::new()) }, ..Self::default() }
    }

    /// Whether a value fits; refused where the effort is used up before that is known.
    fn holds(&self, value: &Value, effort: &mut Effort) -> Result<bool, Invalid> {
        effort.take()?;
        let is_of_kind = self.kinds.as_ref().is_none_or(|kinds| kinds.iter().any(|kind| kind.holds(value)));
        if !is_of_kind || self.values.as_ref().is_some_and(|values| !is_among(value, values)) {
            return Ok(false);
        }
        let fits = match value {
            Value::String(text) => self.holds_text(text, effort)?,
            Value::Number(number) => self.holds_number(number),
            Value::Array(items) => self.holds_list(items, effort)?,
            Value::Object(members) => self.holds_object(members, effort)?,
            Value::Null | Value::Bool(_) => true,
        };
        Ok(fits && self.combined.first_refusal(value, effort)?.is_none())
    }

    fn holds_text(&self, text: &str, effort: &mut Effort) -> Result<bool, Invalid> {
        let is_of_format = |format: Format| format.read(text).is_ok();
        if !self.text.length.holds(text.chars().count()) || !self.text.format.is_none_or(is_of_format) {
            return Ok(false);
        }
        self.text.pattern.as_ref().map_or(Ok(true), |pattern| pattern.is_found_in(text, effort))
    }

    fn holds_number(&self, number: &Number) -> bool {
        self.range.refusal(number).is_none()
    }

    fn holds_list(&self, items: &[Value], effort: &mut Effort) -> Result<bool, Invalid> {
        if !self.length.holds(items.len()) {
            return Ok(false);
        }
        if self.is_set {
            let mut seen = std::collections::HashSet::new();
            if !items.iter().all(|item| seen.insert(canonical(item))) {
                return Ok(false);
            }
        }
        match &self.items {
            Some(schema) => all(items.iter().map(|item| (schema.as_ref(), item)), effort),
            None => Ok(true),
        }
    }

    fn holds_object(&self, members: &Map<String, Value>, effort: &mut Effort) -> Result<bool, Invalid> {
        let is_declared = |name: &String| self.properties.iter().any(|(declared, _)| declared == name);
        if !self.size.holds(members.len())
            || !self.required.iter().all(|name| members.contains_key(name))
            || (self.is_closed && !members.keys().all(is_declared))
        {
            return Ok(false);
        }
        let declared = self.properties.iter().filter_map(|(name, schema)| Some((schema, members.get(name)?)));
        all(declared, effort)
    }
}

fn all<'a>(pairs: impl Iterator<Item = (&'a Assertion, &'a Value)>, effort: &mut Effort) -> Result<bool, Invalid> {
    for (schema, value) in pairs {
        if !schema.holds(value, effort)? {
            return Ok(false);
        }
    }
    Ok(true)
}
