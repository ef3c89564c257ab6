//! Why a value from outside was not accepted.

use std::borrow::Cow;

/// A value that does not fit its type: a stable `code` for programs, a sentence for people.
///
/// It never quotes the value, so it can be shown and logged.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Invalid {
    /// Stable, snake case: `too_long`, `reserved`, …
    pub code: &'static str,
    /// One sentence, in the present tense, without the offending value.
    pub message: Cow<'static, str>,
}

impl Invalid {
    /// A value that does not fit, with the reason.
    pub fn new(code: &'static str, message: impl Into<Cow<'static, str>>) -> Self {
        Self { code, message: message.into() }
    }
}
