//! What a class of characters takes in (ECMAScript, with the flag `v`): characters, and texts of none or several.

use std::collections::BTreeSet;

use crate::matching::expression::{CharClass, Expression};

/// What a class takes in: characters, and texts of none or several of them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ClassSet {
    chars: CharClass,
    texts: BTreeSet<String>,
    /// Whether it was written so that it may have texts; what may have them has no opposite.
    may_have_texts: bool,
}

impl ClassSet {
    /// Characters alone.
    pub fn of(chars: CharClass) -> Self {
        Self { chars, ..Self::default() }
    }

    /// Texts with those of a single character among the characters.
    pub fn of_texts(texts: Vec<String>) -> Self {
        let mut set = Self::default();
        for text in texts {
            let mut chars = text.chars();
            match (chars.next(), chars.next()) {
                (Some(c), None) => set.chars.add(CharClass::of(&[(c, c)])),
                _ => {
                    set.may_have_texts = true;
                    set.texts.insert(text);
                }
            }
        }
        set
    }

    /// Everything else; none of what may have texts.
    pub fn negate(self) -> Option<Self> {
        (!self.may_have_texts).then(|| Self::of(self.chars.negate()))
    }

    /// One of its characters or texts.
    pub fn into_expression(self) -> Expression {
        if self.texts.is_empty() {
            return Expression::One(self.chars);
        }
        let texts = self.texts.into_iter().map(Expression::Text);
        Expression::Either(std::iter::once(Expression::One(self.chars)).chain(texts).collect())
    }

    /// Takes in what another set has.
    pub fn add(&mut self, other: Self) {
        self.chars.add(other.chars);
        self.texts.extend(other.texts);
        self.may_have_texts |= other.may_have_texts;
    }

    /// Takes out what another set does not have.
    pub fn keep(&mut self, other: &Self) {
        self.chars.keep(other.chars);
        self.texts.retain(|text| other.texts.contains(text));
        self.may_have_texts &= other.may_have_texts;
    }

    /// Takes out what another set has.
    pub fn remove(&mut self, other: &Self) {
        self.chars.keep(other.chars.negate());
        self.texts.retain(|text| !other.texts.contains(text));
    }
}
