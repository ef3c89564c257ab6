//! What regular expressions may not have in a pattern, each refused by its name.

use crate::error::Invalid;

/// What ECMAScript's expressions have and a pattern may not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exception {
    /// `^`, `$`, `\b`, `\B`: a pattern's parts match as a whole in any case.
    Anchor,
    /// `(?=…)`, `(?!…)`, `(?<=…)`, `(?<!…)`.
    Assertion,
    /// `\1`, `\k<name>`: what a finite automaton cannot remember.
    BackReference,
    /// `(?<name>…)`: the pattern's own names do.
    NamedGroup,
    /// `(?i:…)`.
    FlagGroup,
    /// `\p{…}`, `\P{…}`: it takes tables of Unicode, and the parts of URLs are ASCII.
    Property,
    /// Nothing of those: it is no expression at all.
    Malformed,
}

impl Exception {
    /// The refusal, which says what is refused and what would do.
    pub fn refusal(self) -> Invalid {
        let message = match self {
            Self::Anchor => {
                "has an anchor (^, $, \\b, \\B) in a regular expression: leave it out, a part matches as a whole"
            }
            Self::Assertion => "has a lookahead or lookbehind in a regular expression, which no automaton runs",
            Self::BackReference => {
                "has a back reference (\\1, \\k<name>) in a regular expression, which no automaton runs"
            }
            Self::NamedGroup => "has a named group in a regular expression: use (?:…), and :name(…) for the whole",
            Self::FlagGroup => "has flags in a regular expression, as in (?i:…): write both cases, as in [aA]",
            Self::Property => {
                "has a property of Unicode (\\p{…}) in a regular expression: list the characters, as in [a-zA-Z]"
            }
            Self::Malformed => {
                "has a regular expression that is none by ECMAScript's grammar with the flag v: characters, classes, |, \
                 (?:…), ?, *, + and {n,m} are taken"
            }
        };
        Invalid::new("unsupported_regexp", message)
    }
}
