//! A schema as it is held against values.

use serde_json::Value;

use super::format::Format;

/// What a value may be.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Node {
    pub shape: Shape,
    pub nullable: bool,
    /// The values it may have; empty if any.
    pub values: Vec<Value>,
    /// What it has where none is given.
    pub default: Option<Value>,
}

/// By type.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Shape {
    Text(Text),
    Number(Range),
    Integer(Range),
    Flag,
    List(Box<List>),
    Object(Object),
}

#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Text {
    pub format: Option<Format>,
    /// In characters.
    pub length: Bounds,
    pub role: Role,
}

/// What a text is used for beside being kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Role {
    #[default]
    None,
    /// It is in the index, which takes no long ones.
    Indexed,
    /// It is a record's id.
    Reference,
}

#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Range {
    pub min: Option<f64>,
    pub max: Option<f64>,
}

#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Bounds {
    pub min: usize,
    pub max: Option<usize>,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) struct List {
    pub items: Node,
    pub length: Bounds,
}

#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Object {
    pub properties: Vec<Property>,
    /// Whether it may have further members.
    pub is_open: bool,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) struct Property {
    pub name: String,
    pub required: bool,
    pub node: Node,
}

impl Object {
    pub fn declares(&self, name: &str) -> bool {
        self.properties.iter().any(|property| property.name == name)
    }
}
