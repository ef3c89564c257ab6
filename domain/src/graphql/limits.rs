//! How large a document and an operation may be.

use super::error::DocumentError;

/// Bounds of a document's text, checked while it is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DocumentLimits {
    /// Most bytes.
    pub bytes: usize,
    /// Most tokens; ignored ones (white space, commas, comments) do not count.
    pub tokens: usize,
    /// Deepest nesting of brackets of all kinds. Above [`Self::MAX_NESTING`] it is that.
    pub nesting: usize,
}

impl DocumentLimits {
    /// The deepest nesting that may be allowed: each level is a few calls, on a stack of 1 MB in Wasm.
    pub const MAX_NESTING: usize = 256;
}

impl Default for DocumentLimits {
    /// Room for what tools write, with a fragment for each kind of block.
    fn default() -> Self {
        Self { bytes: 100 * 1024, tokens: 20_000, nesting: 64 }
    }
}

/// Bounds of what an operation selects, with its fragments expanded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OperationLimits {
    /// Deepest nesting of fields.
    pub depth: u64,
    /// Most fields.
    pub fields: u64,
    /// Most fields with an alias.
    pub aliases: u64,
}

impl Default for OperationLimits {
    /// Room for the introspection query of GraphiQL, which is 15 levels deep.
    fn default() -> Self {
        Self { depth: 15, fields: 1_000, aliases: 100 }
    }
}

impl OperationLimits {
    /// Checks numbers of `what`; the error has no place.
    pub(super) fn check(&self, what: &str, depth: u64, fields: u64, aliases: u64) -> Result<(), DocumentError> {
        let (code, message) = if depth > self.depth {
            ("too_deep", format!("is {depth} levels deep; at most {}", self.depth))
        } else if fields > self.fields {
            ("too_many_fields", format!("selects {fields} fields; at most {}", self.fields))
        } else if aliases > self.aliases {
            ("too_many_aliases", format!("has {aliases} aliases; at most {}", self.aliases))
        } else {
            return Ok(());
        };
        Err(DocumentError::new(code, format!("The {what} {message} are allowed")))
    }
}
