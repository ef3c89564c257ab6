//! Classes of characters with the flag `v` (ECMAScript, `ClassContents` with `UnicodeSetsMode`): unions and ranges,
//! `--` and `&&`, classes in classes, and texts in `\q{…}`.

use std::collections::BTreeSet;

use super::{EscapePlace, EscapedMeaning, Exception, RegexpParser, malformed};
use crate::error::Invalid;
use crate::matching::expression::{CharClass, Expression};

/// Characters that stand for themselves in a class only behind a backslash.
const SYNTAX: &str = "()[]{}/-|";
/// Punctuators that stand for themselves in a class, but not twice in a row.
const RESERVED_TWICE: &str = "&!#$%*+,.:;<=>?@^`~";

/// What a class takes in: characters, and texts of none or several of them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ClassSet {
    chars: CharClass,
    texts: BTreeSet<String>,
    /// Whether it was written so that it may have texts; what may have them has no opposite.
    may_have_texts: bool,
}

impl From<EscapedMeaning> for ClassSet {
    fn from(meant: EscapedMeaning) -> Self {
        Self { chars: meant.class(), ..Self::default() }
    }
}

impl ClassSet {
    /// One of its characters or texts.
    pub fn into_expression(self) -> Expression {
        if self.texts.is_empty() {
            return Expression::One(self.chars);
        }
        let texts = self.texts.into_iter().map(Expression::Text);
        Expression::Either(std::iter::once(Expression::One(self.chars)).chain(texts).collect())
    }

    fn add(&mut self, other: Self) {
        self.chars.add(other.chars);
        self.texts.extend(other.texts);
        self.may_have_texts |= other.may_have_texts;
    }

    fn keep(&mut self, other: &Self) {
        self.chars.keep(other.chars);
        self.texts.retain(|text| other.texts.contains(text));
        self.may_have_texts &= other.may_have_texts;
    }

    fn remove(&mut self, other: &Self) {
        self.chars.keep(other.chars.negate());
        self.texts.retain(|text| !other.texts.contains(text));
    }
}

/// One operand of a class.
enum ClassOperand {
    /// A character, which may begin a range.
    One(char),
    /// A class, an escape for several characters, or texts.
    Set(ClassSet),
}

impl ClassOperand {
    fn set(self) -> ClassSet {
        match self {
            Self::One(c) => EscapedMeaning::One(c).into(),
            Self::Set(set) => set,
        }
    }
}

impl RegexpParser<'_> {
    /// What stands behind an opening bracket, up to its closing one.
    pub fn class(&mut self) -> Result<ClassSet, Invalid> {
        let is_negated = self.take("^");
        let set = self.deeper(Self::class_contents)?;
        match is_negated {
            true if set.may_have_texts => Err(malformed()),
            true => Ok(ClassSet { chars: set.chars.negate(), ..ClassSet::default() }),
            false => Ok(set),
        }
    }

    fn class_contents(&mut self) -> Result<ClassSet, Invalid> {
        let mut set = ClassSet::default();
        if self.take("]") {
            return Ok(set);
        }
        let first = self.operand()?;
        for operator in ["--", "&&"] {
            if self.rest.starts_with(operator) {
                return self.operation(first.set(), operator);
            }
        }
        let mut operand = first;
        loop {
            set.add(self.range(operand)?);
            if self.take("]") {
                return Ok(set);
            }
            operand = self.operand()?;
        }
    }

    /// `a--b--c` or `a&&b&&c`; one class has one operator, and no ranges beside it.
    fn operation(&mut self, mut set: ClassSet, operator: &str) -> Result<ClassSet, Invalid> {
        while !self.take("]") {
            if !self.take(operator) || operator == "&&" && self.peek() == Some('&') {
                return Err(malformed());
            }
            let operand = self.operand()?.set();
            if operator == "--" { set.remove(&operand) } else { set.keep(&operand) }
        }
        Ok(set)
    }

    /// The range that an operand begins, or the operand itself.
    fn range(&mut self, first: ClassOperand) -> Result<ClassSet, Invalid> {
        if self.rest.starts_with("--") || !self.take("-") {
            return Ok(first.set());
        }
        match (first, self.operand()?) {
            (ClassOperand::One(first), ClassOperand::One(last)) if first <= last => {
                Ok(ClassSet { chars: CharClass::of(&[(first, last)]), ..ClassSet::default() })
            }
            _ => Err(malformed()),
        }
    }

    fn operand(&mut self) -> Result<ClassOperand, Invalid> {
        if self.take("[") {
            return self.class().map(ClassOperand::Set);
        }
        if self.take("\\q{") {
            return self.texts().map(ClassOperand::Set);
        }
        self.class_character()
    }

    /// A character, or an escape.
    fn class_character(&mut self) -> Result<ClassOperand, Invalid> {
        let c = self.next().ok_or_else(malformed)?;
        if SYNTAX.contains(c) || RESERVED_TWICE.contains(c) && self.peek() == Some(c) {
            return Err(malformed());
        }
        if c != '\\' {
            return Ok(ClassOperand::One(c));
        }
        if self.peek().is_some_and(|c| matches!(c, 'p' | 'P')) {
            return Err(Exception::Property.refusal());
        }
        Ok(match self.escape(EscapePlace::InClass)? {
            EscapedMeaning::One(c) => ClassOperand::One(c),
            EscapedMeaning::Any(class) => ClassOperand::Set(EscapedMeaning::Any(class).into()),
        })
    }

    /// What stands in `\q{…}`: texts with `|` in between. One of a single character is that character.
    fn texts(&mut self) -> Result<ClassSet, Invalid> {
        let mut set = ClassSet::default();
        let mut text = String::new();
        loop {
            let is_last = self.take("}");
            if is_last || self.take("|") {
                let text = std::mem::take(&mut text);
                let mut chars = text.chars();
                match (chars.next(), chars.next()) {
                    (Some(c), None) => set.chars.add(CharClass::of(&[(c, c)])),
                    _ => {
                        set.may_have_texts = true;
                        set.texts.insert(text);
                    }
                }
                if is_last {
                    return Ok(set);
                }
                continue;
            }
            match self.class_character()? {
                ClassOperand::One(c) => text.push(c),
                ClassOperand::Set(_) => return Err(malformed()),
            }
        }
    }
}
