//! A parsed schema, as values are checked by it.

use serde_json::Value;

use super::assertion::Combined;
use super::bounds::{LengthBounds, NumberRange, TextShape};

/// What a value must be.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Node {
    pub shape: Shape,
    pub nullable: bool,
    /// The allowed values; empty for any.
    pub values: Vec<Value>,
    /// The value of a missing member.
    pub default: Option<Value>,
    /// What `allOf`, `anyOf`, `oneOf` and `not` say.
    pub combined: Combined,
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

    /// The values that a property may have, or the elements of a list; empty for any.
    pub fn listed_values(&self, name: &str) -> &[Value] {
        match self.properties.iter().find(|property| property.name == name).map(|property| &property.node) {
            Some(Node { shape: Shape::List(list), .. }) => &list.items.values,
            Some(node) => &node.values,
            None => &[],
        }
    }
}
