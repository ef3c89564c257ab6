//! What the cache keeps of a definition: its names, and its selections as numbers.

use std::collections::BTreeMap;

use super::operation::OperationType;

/// What a document defines, in its order.
#[derive(Debug, Default)]
pub(super) struct Definitions<'a> {
    pub operations: Vec<OperationDefinition<'a>>,
    pub fragments: Vec<FragmentDefinition<'a>>,
}

impl Definitions<'_> {
    /// What stands in all of them, fragments counted once.
    pub fn written(&self) -> SelectionCounts {
        let of_operations = self.operations.iter().map(|operation| &operation.selections);
        let of_fragments = self.fragments.iter().map(|fragment| &fragment.selections);
        of_operations.chain(of_fragments).fold(SelectionCounts::default(), |all, selections| SelectionCounts {
            fields: all.fields.saturating_add(selections.own.fields),
            aliases: all.aliases.saturating_add(selections.own.aliases),
            depth: all.depth.max(selections.own.depth),
            introspects: all.introspects || selections.own.introspects,
        })
    }
}

#[derive(Debug)]
pub(super) struct OperationDefinition<'a> {
    pub kind: OperationType,
    pub name: Option<&'a str>,
    /// Its place in the text, in bytes.
    pub offset: usize,
    pub variables: Vec<VariableDefinition<'a>>,
    pub selections: Selections<'a>,
}

#[derive(Debug)]
pub(super) struct FragmentDefinition<'a> {
    pub name: &'a str,
    /// The name's place in the text, in bytes.
    pub offset: usize,
    pub selections: Selections<'a>,
}

#[derive(Debug)]
pub(super) struct VariableDefinition<'a> {
    pub name: &'a str,
    /// The place of its `$` in the text, in bytes.
    pub offset: usize,
    /// How many tokens come before it in the document, and how many it has.
    pub start: usize,
    pub length: usize,
}

/// Numbers of a set of selections, with its fragments expanded as often as they are spread.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct SelectionCounts {
    /// Selected fields.
    pub fields: u64,
    /// Selected fields with an alias.
    pub aliases: u64,
    /// Deepest nesting of fields; 1 for fields without selections of their own.
    pub depth: u64,
    /// Whether `__schema` or `__type` is among the fields.
    pub introspects: bool,
}

/// A fragment by its name, spread somewhere.
#[derive(Debug, Clone, Copy)]
pub(super) struct FragmentReference<'a> {
    pub name: &'a str,
    /// The name's place in the text, in bytes.
    pub offset: usize,
    /// How many fields enclose it.
    pub level: u64,
}

/// The selections of a definition: what it selects itself, and the fragments that it spreads.
#[derive(Debug, Default)]
pub(super) struct Selections<'a> {
    pub own: SelectionCounts,
    pub references: Vec<FragmentReference<'a>>,
}

impl<'a> Selections<'a> {
    /// Counts a field that so many others enclose.
    pub fn add_field(&mut self, name: &str, level: u64, is_aliased: bool) {
        self.own.fields += 1;
        self.own.aliases += u64::from(is_aliased);
        self.own.depth = self.own.depth.max(level + 1);
        self.own.introspects |= matches!(name, "__schema" | "__type");
    }

    /// All that is selected, by the counts of its fragments. Numbers end at the largest; a fragment without counts adds
    /// nothing.
    pub fn expand(&self, fragments: &BTreeMap<&'a str, SelectionCounts>) -> SelectionCounts {
        let mut counts = self.own;
        for reference in &self.references {
            let Some(fragment) = fragments.get(reference.name) else { continue };
            counts.fields = counts.fields.saturating_add(fragment.fields);
            counts.aliases = counts.aliases.saturating_add(fragment.aliases);
            counts.depth = counts.depth.max(reference.level + fragment.depth);
            counts.introspects |= fragment.introspects;
        }
        counts
    }
}
