//! Reads patterns (ECMA-262, "Patterns", with the flag `u`).
//!
//! Laxer than the flag where a browser without it is, and the meaning is plain: any punctuation may be escaped, `]` and `}`
//! stand for themselves, and so does a `-` beside a class in a class (`[\w-.]`).

use super::characters::{CharacterItem, CharacterKind, CharacterSet};
use crate::error::Invalid;

/// Deepest nesting of groups.
const MAX_DEPTH: usize = 30;
/// Most repetitions that are counted.
const MAX_COUNT: u32 = 1_000;

/// What is true at a place between two characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PatternAnchor {
    Start,
    End,
    /// Between a character of a word and another one.
    WordEdge,
    /// Not so.
    NoWordEdge,
}

/// A pattern as it was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PatternNode {
    One(CharacterSet),
    At(PatternAnchor),
    Sequence(Vec<PatternNode>),
    Either(Vec<PatternNode>),
    /// So often at least, and at most where there is a limit.
    Repeat(Box<PatternNode>, u32, Option<u32>),
}

/// Reads a pattern.
pub fn read(text: &str) -> Result<PatternNode, Invalid> {
    let mut parser = RegexParser { chars: text.chars().collect(), at: 0 };
    let node = parser.either(0)?;
    if parser.peek().is_some() { Err(parser.wrong("a group is closed that is not open")) } else { Ok(node) }
}

struct RegexParser {
    chars: Vec<char>,
    at: usize,
}

/// What stands behind a backslash.
enum PatternEscape {
    Character(char),
    Set(CharacterItem),
}

impl RegexParser {
    fn peek(&self) -> Option<char> {
        self.chars.get(self.at).copied()
    }

    fn next(&mut self) -> Option<char> {
        let next = self.peek();
        self.at += usize::from(next.is_some());
        next
    }

    fn take(&mut self, wanted: &str) -> bool {
        let is_next = wanted.chars().enumerate().all(|(i, c)| self.chars.get(self.at + i) == Some(&c));
        self.at += if is_next { wanted.chars().count() } else { 0 };
        is_next
    }

    fn wrong(&self, why: &str) -> Invalid {
        let message = format!("cannot be read as a pattern: at character {}, {why}", self.at + 1);
        Invalid::new("invalid_pattern", message)
    }

    /// Takes what is a digit of this base, up to so many.
    fn digits(&mut self, base: u32, most: usize) -> String {
        let mut digits = String::new();
        while let Some(digit) = self.peek().filter(|c| c.is_digit(base) && digits.len() < most) {
            digits.push(digit);
            self.at += 1;
        }
        digits
    }

    fn either(&mut self, depth: usize) -> Result<PatternNode, Invalid> {
        let mut branches = vec![self.sequence(depth)?];
        while self.take("|") {
            branches.push(self.sequence(depth)?);
        }
        match branches.pop() {
            Some(only) if branches.is_empty() => Ok(only),
            last => {
                branches.extend(last);
                Ok(PatternNode::Either(branches))
            }
        }
    }

    fn sequence(&mut self, depth: usize) -> Result<PatternNode, Invalid> {
        let mut parts = Vec::new();
        while self.peek().is_some_and(|c| !matches!(c, '|' | ')')) {
            let part = self.part(depth)?;
            parts.push(self.repeated(part)?);
        }
        Ok(PatternNode::Sequence(parts))
    }

    fn part(&mut self, depth: usize) -> Result<PatternNode, Invalid> {
        const BRACE: &str = "a brace begins a repetition as in {2} or {2,5}: write \\{ for the character";
        let one = |item| Ok(PatternNode::One(CharacterSet::of(item)));
        match self.peek() {
            Some('*' | '+' | '?') => return Err(self.wrong("there is nothing to repeat")),
            Some('{') => return Err(self.wrong(BRACE)),
            _ => {}
        }
        match self.next() {
            Some('^') => Ok(PatternNode::At(PatternAnchor::Start)),
            Some('$') => Ok(PatternNode::At(PatternAnchor::End)),
            Some('.') => one(CharacterItem::NotOf(CharacterKind::LineEnd)),
            Some('(') => self.group(depth),
            Some('[') => self.class().map(PatternNode::One),
            Some('\\') if self.take("b") => Ok(PatternNode::At(PatternAnchor::WordEdge)),
            Some('\\') if self.take("B") => Ok(PatternNode::At(PatternAnchor::NoWordEdge)),
            Some('\\') => match self.escape()? {
                PatternEscape::Character(c) => one(CharacterItem::Range(c, c)),
                PatternEscape::Set(item) => one(item),
            },
            Some(c) => one(CharacterItem::Range(c, c)),
            None => Ok(PatternNode::Sequence(Vec::new())),
        }
    }

    fn group(&mut self, depth: usize) -> Result<PatternNode, Invalid> {
        if depth == MAX_DEPTH {
            return Err(self.wrong("groups are nested deeper than 30 levels"));
        }
        if ["?=", "?!", "?<=", "?<!"].into_iter().any(|look| self.comes_next(look)) {
            return Err(self.wrong("looking ahead or behind is not taken"));
        }
        if self.take("?<") {
            self.group_name()?;
        } else if !self.take("?:") && self.peek() == Some('?') {
            return Err(self.wrong("flags of groups are not taken"));
        }
        let inner = self.either(depth + 1)?;
        if self.take(")") { Ok(inner) } else { Err(self.wrong("a group is not closed")) }
    }

    /// Whether this comes next; nothing is taken.
    fn comes_next(&mut self, wanted: &str) -> bool {
        let before = self.at;
        let takes = self.take(wanted);
        self.at = before;
        takes
    }

    fn group_name(&mut self) -> Result<(), Invalid> {
        let is_first = |c: char| c.is_alphabetic() || matches!(c, '_' | '$');
        if !self.peek().is_some_and(is_first) {
            return Err(self.wrong("a group's name is not complete"));
        }
        while self.peek().is_some_and(|c| is_first(c) || c.is_alphanumeric()) {
            self.at += 1;
        }
        if self.take(">") { Ok(()) } else { Err(self.wrong("a group's name is not complete")) }
    }

    /// The part with the repetition that follows it.
    fn repeated(&mut self, part: PatternNode) -> Result<PatternNode, Invalid> {
        let before = self.at;
        let (least, most) = match self.peek() {
            Some('*') => (0, None),
            Some('+') => (1, None),
            Some('?') => (0, Some(1)),
            Some('{') => match self.counted()? {
                Some(counted) => counted,
                None => return Ok(part),
            },
            _ => return Ok(part),
        };
        if matches!(part, PatternNode::At(_)) {
            self.at = before;
            return Err(self.wrong("there is nothing to repeat"));
        }
        self.at += usize::from(self.at == before);
        // A lazy one finds the same texts.
        self.take("?");
        Ok(PatternNode::Repeat(Box::new(part), least, most))
    }

    /// `{2}`, `{2,}` or `{2,5}`; none, with nothing taken, for another brace.
    fn counted(&mut self) -> Result<Option<(u32, Option<u32>)>, Invalid> {
        let before = self.at;
        self.at += 1;
        let least = self.digits(10, usize::MAX);
        let most = if self.take(",") { Some(self.digits(10, usize::MAX)) } else { None };
        let is_whole = !least.is_empty() && self.take("}");
        let behind = std::mem::replace(&mut self.at, before);
        if !is_whole {
            return Ok(None);
        }
        let count = |digits: &str| digits.parse().ok().filter(|count| *count <= MAX_COUNT);
        let too_many = || self.wrong("a repetition is counted to 1000 at most");
        let least = count(&least).ok_or_else(too_many)?;
        let most = match most.as_deref() {
            None => Some(least),
            Some("") => None,
            Some(most) => Some(count(most).ok_or_else(too_many)?),
        };
        if most.is_some_and(|most| most < least) {
            return Err(self.wrong("a repetition ends before it begins"));
        }
        self.at = behind;
        Ok(Some((least, most)))
    }

    fn class(&mut self) -> Result<CharacterSet, Invalid> {
        let mut set = CharacterSet { items: Vec::new(), is_negated: self.take("^") };
        loop {
            if self.take("]") {
                return Ok(set);
            }
            let first = self.class_item()?;
            let is_range = self.peek() == Some('-') && self.chars.get(self.at + 1).is_some_and(|c| *c != ']');
            let (PatternEscape::Character(from), true) = (&first, is_range) else {
                set.items.push(item_of(&first));
                continue;
            };
            self.at += 1;
            match self.class_item()? {
                PatternEscape::Character(to) if to < *from => return Err(self.wrong("a range ends before it begins")),
                PatternEscape::Character(to) => set.items.push(CharacterItem::Range(*from, to)),
                PatternEscape::Set(item) => {
                    set.items.extend([CharacterItem::Range(*from, *from), CharacterItem::Range('-', '-'), item]);
                }
            }
        }
    }

    fn class_item(&mut self) -> Result<PatternEscape, Invalid> {
        match self.next() {
            None => Err(self.wrong("a class is not closed")),
            Some('\\') if self.take("b") => Ok(PatternEscape::Character('\u{8}')),
            Some('\\') => self.escape(),
            Some(c) => Ok(PatternEscape::Character(c)),
        }
    }

    fn escape(&mut self) -> Result<PatternEscape, Invalid> {
        let Some(c) = self.peek() else { return Err(self.wrong("a backslash stands before a character")) };
        let is_digit_behind = self.chars.get(self.at + 1).is_some_and(char::is_ascii_digit);
        match c {
            '1'..='9' | 'k' => return Err(self.wrong("references to groups are not taken")),
            'd' | 'D' | 'w' | 'W' | 's' | 'S' | 'p' | 'P' | 't' | 'n' | 'v' | 'f' | 'r' | 'c' | 'x' | 'u' => {}
            '0' if !is_digit_behind => {}
            _ if c.is_ascii_punctuation() => {}
            _ => return Err(self.wrong("there is no such escape")),
        }
        self.at += 1;
        let set = |kind, negated| if negated { CharacterItem::NotOf(kind) } else { CharacterItem::Of(kind) };
        Ok(match c {
            'd' | 'D' => PatternEscape::Set(set(CharacterKind::Digit, c == 'D')),
            'w' | 'W' => PatternEscape::Set(set(CharacterKind::Word, c == 'W')),
            's' | 'S' => PatternEscape::Set(set(CharacterKind::Space, c == 'S')),
            'p' | 'P' => PatternEscape::Set(set(self.property()?, c == 'P')),
            't' => PatternEscape::Character('\t'),
            'n' => PatternEscape::Character('\n'),
            'v' => PatternEscape::Character('\u{b}'),
            'f' => PatternEscape::Character('\u{c}'),
            'r' => PatternEscape::Character('\r'),
            '0' => PatternEscape::Character('\0'),
            'c' => match self.next().filter(char::is_ascii_alphabetic) {
                Some(letter) => PatternEscape::Character(char::from((letter as u8) % 32)),
                None => {
                    self.at = self.at.min(self.chars.len()).saturating_sub(1);
                    return Err(self.wrong("an escape is not complete"));
                }
            },
            'x' => PatternEscape::Character(self.hexadecimal(2)?),
            'u' => PatternEscape::Character(self.unicode()?),
            other => PatternEscape::Character(other),
        })
    }

    /// The name of `\p{…}`.
    fn property(&mut self) -> Result<CharacterKind, Invalid> {
        let before = self.at;
        let mut name = String::new();
        let mut is_whole = self.take("{");
        while is_whole && !self.take("}") {
            match self.next() {
                Some(c) => name.push(c),
                None => is_whole = false,
            }
        }
        CharacterKind::named(&name).filter(|_| is_whole).ok_or_else(|| {
            self.at = before;
            self.wrong(&["the properties that are taken are ", CharacterKind::NAMES].concat())
        })
    }

    fn hexadecimal(&mut self, length: usize) -> Result<char, Invalid> {
        self.code(length)
            .and_then(|code| char::from_u32(code).ok_or_else(|| self.wrong("an escape is not a character")))
    }

    fn code(&mut self, length: usize) -> Result<u32, Invalid> {
        let before = self.at;
        let digits = self.digits(16, length);
        match u32::from_str_radix(&digits, 16).ok().filter(|_| digits.len() == length) {
            Some(code) => Ok(code),
            None => {
                self.at = before;
                Err(self.wrong("an escape is not complete"))
            }
        }
    }

    /// `\u0041`, `\ud83d\ude00` or `\u{1F600}`, of which the `\u` was taken.
    fn unicode(&mut self) -> Result<char, Invalid> {
        let before = self.at;
        let character = if self.take("{") {
            let code = u32::from_str_radix(&self.digits(16, 8), 16).ok();
            if self.take("}") { code.and_then(char::from_u32) } else { None }
        } else {
            let first = self.code(4)?;
            let second = if (0xD800..0xDC00).contains(&first) && self.take("\\u") { Some(self.code(4)?) } else { None };
            let units = [Some(first), second].into_iter().flatten().filter_map(|unit| u16::try_from(unit).ok());
            let mut decoded = char::decode_utf16(units);
            let only = decoded.next().and_then(Result::ok);
            if decoded.next().is_none() { only } else { None }
        };
        character.ok_or_else(|| {
            self.at = before;
            self.wrong("an escape is not a character")
        })
    }
}

fn item_of(escape: &PatternEscape) -> CharacterItem {
    match escape {
        PatternEscape::Character(c) => CharacterItem::Range(*c, *c),
        PatternEscape::Set(item) => *item,
    }
}
