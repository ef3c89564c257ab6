//! Validation errors in JSON: each with a pointer to its value, and at most [`MAX_FAULTS`] of them.

use std::fmt;

use crate::http::problem::FieldError;
use domain::error::Invalid;
use domain::pointer::escape;

/// Most errors that are reported at once.
pub const MAX_FAULTS: usize = 20;

/// A JSON pointer (RFC 6901), as a chain of steps on the stack. It becomes text only when there is an error.
#[derive(Debug, Clone, Copy)]
pub enum JsonPointer<'a> {
    /// The whole document.
    Root,
    /// A member of an object.
    Name(&'a JsonPointer<'a>, &'a str),
    /// An element of a list.
    Index(&'a JsonPointer<'a>, usize),
}

impl JsonPointer<'_> {
    /// The pointer to a member of this value.
    pub fn name<'a>(&'a self, name: &'a str) -> JsonPointer<'a> {
        JsonPointer::Name(self, name)
    }

    /// The pointer to an element of this value.
    pub fn index(&self, index: usize) -> JsonPointer<'_> {
        JsonPointer::Index(self, index)
    }

    /// The number of steps from the root.
    pub fn depth(&self) -> usize {
        let (mut depth, mut here) = (0, self);
        while let JsonPointer::Name(above, _) | JsonPointer::Index(above, _) = here {
            depth += 1;
            here = above;
        }
        depth
    }
}

impl fmt::Display for JsonPointer<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            JsonPointer::Root => Ok(()),
            JsonPointer::Name(above, name) => write!(f, "{above}/{}", escape(name)),
            JsonPointer::Index(above, index) => write!(f, "{above}/{index}"),
        }
    }
}

/// The errors found so far.
#[derive(Debug, Default)]
pub struct ValidationErrors(Vec<FieldError>);

impl ValidationErrors {
    /// Adds an error; those beyond [`MAX_FAULTS`] are dropped.
    pub fn add(&mut self, at: &JsonPointer<'_>, invalid: Invalid) {
        if self.0.len() < MAX_FAULTS {
            self.0.push(FieldError::new(at.to_string(), invalid));
        }
    }

    /// The value of a result; an error is added, and none returned.
    pub fn check<T>(&mut self, at: &JsonPointer<'_>, read: Result<T, Invalid>) -> Option<T> {
        read.map_err(|invalid| self.add(at, invalid)).ok()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The errors, in the order in which they were found.
    pub fn into_errors(self) -> Vec<FieldError> {
        self.0
    }
}
