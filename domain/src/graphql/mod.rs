//! GraphQL documents as an edge cache reads them: what one asks for, what it costs at most, and under which key its
//! response is kept (GraphQL specification, September 2025).
//!
//! - [`GraphqlDocument::parse`] takes executable documents within [`DocumentLimits`]; types are the origin's business, so
//!   nothing is said of fields that do not exist or arguments of the wrong type.
//! - Documents of one [normal form](GraphqlDocument::normal_form) have one meaning. It is a document itself: sending it
//!   to the origin, and not the text that came in, makes a cached response one of the document in its key, even where
//!   the origin reads ignored characters by other rules.
//! - [`canonical_variables`] is the other half of a key.
//!
//! Work and memory grow with the size of the document, by a factor of log n where names are looked up: tokens are read
//! once and never again, a fragment is counted once however often it is spread, and names are kept in sorted maps, which
//! no choice of names makes slow. Recursion is bounded by [`DocumentLimits::nesting`].

mod definitions;
mod document;
mod error;
mod fragments;
mod limits;
mod normal_form;
mod operation;
mod parse;
#[cfg(test)]
mod tests;
mod token_cursor;
#[cfg(test)]
mod token_reader;
mod tokens;
mod variables;

pub use document::GraphqlDocument;
pub use error::{DocumentError, Location};
pub use limits::{DocumentLimits, OperationLimits};
pub use operation::{GraphqlOperation, OperationType};
pub use variables::canonical_variables;
