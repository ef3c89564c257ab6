//! What schemas say of a text, of a number, and of how many there may be.

use std::cmp::Ordering;

use serde_json::Number;

use super::format::Format;
use domain::decimal;
use domain::error::Invalid;
use domain::pattern::Pattern;

#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct TextShape {
    pub format: Option<Format>,
    /// In characters.
    pub length: LengthBounds,
    pub pattern: Option<Box<Pattern>>,
    pub role: TextUse,
}

/// What a string is used for beside being stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum TextUse {
    #[default]
    None,
    /// It is in the index, which limits its length.
    Indexed,
    /// It is a record's id.
    Reference,
}

#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct NumberRange {
    pub min: Option<Number>,
    pub max: Option<Number>,
    /// It must be greater than this.
    pub above: Option<Number>,
    /// It must be less than this.
    pub below: Option<Number>,
    /// It must be a whole multiple of this; never 0.
    pub unit: Option<Number>,
}

#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct LengthBounds {
    pub min: usize,
    pub max: Option<usize>,
}

impl LengthBounds {
    pub fn holds(&self, length: usize) -> bool {
        length >= self.min && self.max.is_none_or(|max| length <= max)
    }
}

impl NumberRange {
    /// What is wrong with a number, if something is.
    pub fn refusal(&self, given: &Number) -> Option<Invalid> {
        let bounds = [
            (&self.min, Ordering::is_lt as fn(Ordering) -> bool, "too_small", "must be at least "),
            (&self.above, Ordering::is_le, "too_small", "must be greater than "),
            (&self.max, Ordering::is_gt, "too_large", "must be at most "),
            (&self.below, Ordering::is_ge, "too_large", "must be less than "),
        ];
        for (bound, is_beyond, code, must_be) in bounds {
            if let Some(bound) = bound.as_ref().filter(|bound| is_beyond(decimal::order(given, bound))) {
                return Some(Invalid::new(code, format!("{must_be}{bound}")));
            }
        }
        let unit = self.unit.as_ref().filter(|unit| !decimal::is_multiple(given, unit))?;
        Some(Invalid::new("not_a_multiple", format!("must be a multiple of {unit}")))
    }
}
