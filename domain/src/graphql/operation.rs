//! An operation of a document: what it does and how much it selects.

use super::error::{DocumentError, Location};
use super::limits::OperationLimits;

/// What an operation does (GraphQL specification, 2.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OperationType {
    /// Reads.
    Query,
    /// Writes, then reads.
    Mutation,
    /// Reads for each of a source's events.
    Subscription,
}

/// An operation with its numbers, for which every fragment counts as often as it is spread.
///
/// Numbers that would be larger than the largest are that.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GraphqlOperation<'a> {
    /// What it does.
    pub kind: OperationType,
    /// None for an anonymous operation.
    pub name: Option<&'a str>,
    /// Where it begins.
    pub location: Location,
    /// Deepest nesting of fields: 1 for `{ a }`, 2 for `{ a { b } }`. Fragments add none of their own.
    pub depth: u64,
    /// Selected fields, on every level.
    pub fields: u64,
    /// Selected fields with an alias.
    pub aliases: u64,
    /// Whether it selects `__schema` or `__type`, itself or by a fragment. They are fields of the root, which some schemas
    /// reach at other places, too; `__typename` tells nothing that is worth hiding.
    pub introspects: bool,
}

impl GraphqlOperation<'_> {
    /// Checks its numbers. The error names the first bound that is exceeded: `too_deep`, `too_many_fields` or
    /// `too_many_aliases`.
    pub fn check(&self, limits: &OperationLimits) -> Result<(), DocumentError> {
        let within = limits.check("operation", self.depth, self.fields, self.aliases);
        within.map_err(|error| error.at(self.location))
    }
}
