//! Mistakes in JSON: where they are, and no more of them than anybody reads.

use std::fmt;

use crate::http::problem::FieldError;
use domain::error::Invalid;
use domain::pointer::escape;

/// Most mistakes that are told at once.
pub const MAX_FAULTS: usize = 20;

/// Where a value stands, as a JSON pointer (RFC 6901). It is written out only for a mistake.
#[derive(Debug, Clone, Copy)]
pub enum JsonPointer<'a> {
    /// The whole.
    Root,
    /// A member of an object.
    Name(&'a JsonPointer<'a>, &'a str),
    /// An element of a list.
    Index(&'a JsonPointer<'a>, usize),
}

impl JsonPointer<'_> {
    /// A member of what stands here.
    pub fn name<'a>(&'a self, name: &'a str) -> JsonPointer<'a> {
        JsonPointer::Name(self, name)
    }

    /// An element of what stands here.
    pub fn index(&self, index: usize) -> JsonPointer<'_> {
        JsonPointer::Index(self, index)
    }

    /// How many steps it is from the whole.
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

/// The mistakes found so far.
#[derive(Debug, Default)]
pub struct ValidationErrors(Vec<FieldError>);

impl ValidationErrors {
    /// Notes a mistake. Those beyond [`MAX_FAULTS`] are left out.
    pub fn add(&mut self, at: &JsonPointer<'_>, invalid: Invalid) {
        if self.0.len() < MAX_FAULTS {
            self.0.push(FieldError::new(at.to_string(), invalid));
        }
    }

    /// What there is, or the mistake that it is none.
    pub fn noted<T>(&mut self, at: &JsonPointer<'_>, read: Result<T, Invalid>) -> Option<T> {
        read.map_err(|invalid| self.add(at, invalid)).ok()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// All of them.
    pub fn into_errors(self) -> Vec<FieldError> {
        self.0
    }
}
