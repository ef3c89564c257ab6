//! A parsed schema, as values are checked by it.

use domain::pattern::Pattern;
use serde_json::{Number, Value};

use super::format::Format;

/// What a value must be.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Node {
    pub shape: Shape,
    pub nullable: bool,
    /// The allowed values; empty for any.
    pub values: Vec<Value>,
    /// The value of a missing member.
    pub default: Option<Value>,
}

/// The type of a value, with the keywords of that type.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Shape {
    Text(TextShape),
    Number(NumberRange),
    Integer(NumberRange),
    Flag,
    List(Box<ListShape>),
    Object(ObjectShape),
}

#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct TextShape {
    pub format: Option<Format>,
    /// In characters.
    pub length: LengthBounds,
    pub pattern: Option<Box<Pattern>>,
    pub role: TextUse,
}

/// What a string is used for beside being stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum TextUse {
    #[default]
    None,
    /// It is in the index, which limits its length.
    Indexed,
    /// It is a record's id.
    Reference,
}

#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct NumberRange {
    pub min: Option<Number>,
    pub max: Option<Number>,
    /// It must be greater than this.
    pub above: Option<Number>,
    /// It must be less than this.
    pub below: Option<Number>,
    /// It must be a whole multiple of this; never 0.
    pub unit: Option<Number>,
}

#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct LengthBounds {
    pub min: usize,
    pub max: Option<usize>,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) struct ListShape {
    pub items: Node,
    pub length: LengthBounds,
    /// Whether no two elements may be equal.
    pub is_set: bool,
}

#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct ObjectShape {
    pub properties: Vec<Property>,
    /// How many members it has.
    pub size: LengthBounds,
    /// Whether undeclared members are allowed.
    pub is_open: bool,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) struct Property {
    pub name: String,
    pub required: bool,
    pub node: Node,
}

impl ObjectShape {
    pub fn declares(&self, name: &str) -> bool {
        self.properties.iter().any(|property| property.name == name)
    }
}
