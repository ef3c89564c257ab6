//! Sets of characters in patterns: ranges, and what Unicode says of a character.

use unicode_normalization::char::is_combining_mark;

/// What is asked of a character.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CharacterKind {
    /// `\d`
    Digit,
    /// `\w`
    Word,
    /// `\s`
    Space,
    /// What ends a line, which `.` does not take.
    LineEnd,
    Any,
    Ascii,
    Letter,
    UppercaseLetter,
    Mark,
    Number,
    Alphabetic,
    Lowercase,
    Uppercase,
    WhiteSpace,
}

impl CharacterKind {
    /// Those that `\p{…}` names.
    pub const NAMES: &str = "L, Lu, M, N, Alphabetic, Lowercase, Uppercase, White_Space, ASCII and Any";

    /// The kind that `\p{…}` names, also by its long name.
    pub fn named(name: &str) -> Option<Self> {
        let value = name.strip_prefix("General_Category=").or_else(|| name.strip_prefix("gc=")).unwrap_or(name);
        Some(match value {
            "L" | "Letter" => Self::Letter,
            "Lu" | "Uppercase_Letter" => Self::UppercaseLetter,
            "M" | "Mark" | "Combining_Mark" => Self::Mark,
            "N" | "Number" => Self::Number,
            _ if value.len() < name.len() => return None,
            "Alphabetic" | "Alpha" => Self::Alphabetic,
            "Lowercase" | "Lower" => Self::Lowercase,
            "Uppercase" | "Upper" => Self::Uppercase,
            "White_Space" | "space" => Self::WhiteSpace,
            "ASCII" => Self::Ascii,
            "Any" => Self::Any,
            _ => return None,
        })
    }

    /// Whether a character is of it.
    pub fn holds(self, c: char) -> bool {
        match self {
            Self::Digit => c.is_ascii_digit(),
            Self::Word => is_word(c),
            // ECMA-262's white space and line ends: Unicode's without U+0085, with U+FEFF.
            Self::Space => (c.is_whitespace() && c != '\u{85}') || c == '\u{feff}',
            Self::LineEnd => matches!(c, '\n' | '\r' | '\u{2028}' | '\u{2029}'),
            Self::Any => true,
            Self::Ascii => c.is_ascii(),
            Self::Letter => c.is_alphabetic() && !is_no_letter(c),
            Self::UppercaseLetter => c.is_uppercase() && !is_no_letter(c),
            Self::Mark => is_combining_mark(c),
            Self::Number => c.is_numeric(),
            Self::Alphabetic => c.is_alphabetic(),
            Self::Lowercase => c.is_lowercase(),
            Self::Uppercase => c.is_uppercase(),
            Self::WhiteSpace => c.is_whitespace(),
        }
    }
}

/// Whether words of `\b` have a character.
pub fn is_word(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_'
}

/// What is alphabetic in Unicode and no letter: marks, numbers such as Ⅷ, letters in circles and squares.
fn is_no_letter(c: char) -> bool {
    is_combining_mark(c)
        || c.is_numeric()
        || matches!(u32::from(c), 0x24B6..=0x24E9 | 0x1F130..=0x1F149 | 0x1F150..=0x1F169 | 0x1F170..=0x1F189)
}

/// A part of a set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CharacterItem {
    /// From one character to another, both included.
    Range(char, char),
    /// Those of a kind.
    Of(CharacterKind),
    /// Those not of a kind.
    NotOf(CharacterKind),
}

/// A set of characters.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct CharacterSet {
    /// Any of these,
    pub items: Vec<CharacterItem>,
    /// or any but these.
    pub is_negated: bool,
}

impl CharacterSet {
    /// The set of one item.
    pub fn of(item: CharacterItem) -> Self {
        Self { items: vec![item], is_negated: false }
    }

    /// Whether a character is in the set.
    pub fn holds(&self, c: char) -> bool {
        let is = |item: &CharacterItem| match item {
            CharacterItem::Range(first, last) => (*first..=*last).contains(&c),
            CharacterItem::Of(kind) => kind.holds(c),
            CharacterItem::NotOf(kind) => !kind.holds(c),
        };
        self.items.iter().any(is) != self.is_negated
    }
}
