//! A record's fields, as indexing, filters, lists and API descriptions see them.

use super::format::Format;

/// What a field holds.
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
    /// `array`, of these
    List(Box<FieldKind>),
    /// `object`
    Object,
}

impl FieldKind {
    /// Whether it is one value that can be compared.
    pub fn is_scalar(&self) -> bool {
        !matches!(self, Self::List(_) | Self::Object)
    }

    /// What is compared: the elements of a list, else the field itself.
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
    /// What it holds.
    pub kind: FieldKind,
    /// Whether it may be null.
    pub nullable: bool,
    /// Whether every record has it.
    pub required: bool,
    /// The format of its text, or of its elements.
    pub format: Option<Format>,
    /// Whether records are found and sorted by it.
    pub is_indexed: bool,
    /// Whether no two records have the same value. It is indexed then.
    pub is_unique: bool,
    /// Whether its words are in the full-text index.
    pub is_searched: bool,
    /// The slug of the collection whose records it names. It is indexed then.
    pub reference: Option<String>,
}
