//! Why a value from outside was not accepted.

use std::borrow::Cow;

/// Why a value is invalid: a stable `code` for programs, a message for people.
///
/// It never quotes the value, so that it can be shown and logged.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Invalid {
    /// Stable, snake case: `too_long`, `reserved`, …
    pub code: &'static str,
    /// What the value must be, to be read after the field's name: "must be at most 5 bytes long".
    pub message: Cow<'static, str>,
}

impl Invalid {
    /// An error with its code and message.
    pub fn new(code: &'static str, message: impl Into<Cow<'static, str>>) -> Self {
        Self { code, message: message.into() }
    }
}
