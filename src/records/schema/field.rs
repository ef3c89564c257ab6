//! A collection's top-level fields, as indexes, filters, lists and API descriptions need them.

use super::format::Format;

/// The type of a field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FieldKind {
    /// `string`
    Text,
    /// `number`
    Number,
    /// `integer`
    Integer,
    /// `boolean`
    Flag,
    /// `array` of this type
    List(Box<FieldKind>),
    /// `object`
    Object,
}

impl FieldKind {
    /// Whether it is a single value that can be compared.
    pub fn is_scalar(&self) -> bool {
        !matches!(self, Self::List(_) | Self::Object)
    }

    /// The type that filters compare: a list's elements, else the field itself.
    pub fn compared(&self) -> &Self {
        match self {
            Self::List(elements) => elements,
            one => one,
        }
    }
}

/// A property of a schema's top level.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Field {
    /// Its name.
    pub name: String,
    /// Its type.
    pub kind: FieldKind,
    /// Whether it may be null.
    pub nullable: bool,
    /// Whether every record must have it.
    pub required: bool,
    /// The format of its strings.
    pub format: Option<Format>,
    /// Whether it has an index, for filters and sorting.
    pub is_indexed: bool,
    /// Whether no two records may have the same value; implies an index.
    pub is_unique: bool,
    /// Whether it is in the full-text index.
    pub is_searched: bool,
    /// The slug of the collection that it refers to; implies an index.
    pub reference: Option<String>,
}
