//! The regular expressions that a pattern may hold: the part of ECMAScript's (with its `v` flag) that a finite
//! automaton can run.
//!
//! Characters, `.`, classes with all that the `v` flag gives them (`class`), `\d \w \s` and their opposites, `|`, groups
//! that do not capture, `? * + {n,m}`. What is valid besides is refused by name ([`Exception`]), and so are repetitions
//! beyond [`MAX_REPEAT`]. What nested ones come to together is bounded by the steps to compile.

mod class;
mod exception;

use crate::error::Invalid;
use crate::matching::expression::{CharClass, Expression};
use crate::matching::steps::Steps;

use class::ClassSet;
use exception::Exception;

const DIGITS: [(char, char); 1] = [('0', '9')];
const WORD: [(char, char); 4] = [('0', '9'), ('A', 'Z'), ('_', '_'), ('a', 'z')];
const SPACE: [(char, char); 10] = [
    ('\t', '\r'),
    (' ', ' '),
    ('\u{a0}', '\u{a0}'),
    ('\u{1680}', '\u{1680}'),
    ('\u{2000}', '\u{200a}'),
    ('\u{2028}', '\u{2029}'),
    ('\u{202f}', '\u{202f}'),
    ('\u{205f}', '\u{205f}'),
    ('\u{3000}', '\u{3000}'),
    ('\u{feff}', '\u{feff}'),
];
/// What `.` does not take.
pub const LINE_ENDS: [(char, char); 3] = [('\n', '\n'), ('\r', '\r'), ('\u{2028}', '\u{2029}')];

/// Characters that stand for themselves in a class only behind a backslash.
const SYNTAX: &str = "()[]{}/-|";
/// Punctuators that stand for themselves in a class, but not twice in a row.
const RESERVED_TWICE: &str = "&!#$%*+,.:;<=>?@^`~";

const MAX_DEPTH: u32 = 32;

/// Largest number in `{n}`, `{n,}` and `{n,m}`: enough for a SHA-512 in hexadecimal digits, which is the longest identifier
/// of fixed length that URLs hold; labels of hosts have 63 characters, UUIDs 36.
pub const MAX_REPEAT: u32 = 128;

/// Parses a regular expression.
pub fn parse(text: &str) -> Result<Expression, Invalid> {
    let mut parser = RegexpParser { rest: text, depth: 0 };
    let expression = parser.either()?;
    if parser.rest.is_empty() { Ok(expression) } else { Err(malformed()) }
}

fn malformed() -> Invalid {
    Exception::Malformed.refusal()
}

fn too_often() -> Invalid {
    let message = "repeats a part more than 128 times: {n}, {n,} and {n,m} take numbers up to 128; \
                   use * or + for any number of times";
    Invalid::new(Steps::EXCEEDED, message)
}

/// What an escape stands for.
enum EscapedMeaning {
    /// One character.
    One(char),
    /// Any of these.
    Any(CharClass),
}

impl EscapedMeaning {
    fn class(self) -> CharClass {
        match self {
            Self::One(c) => CharClass::of(&[(c, c)]),
            Self::Any(class) => class,
        }
    }
}

/// Where an escape stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum EscapePlace {
    Outside,
    InClass,
}

fn too_deep() -> Invalid {
    Invalid::new(Steps::EXCEEDED, "has a regular expression with groups or classes in one another 32 deep")
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
            Self::One(c) => ClassSet::of(CharClass::of(&[(c, c)])),
            Self::Set(set) => set,
        }
    }
}

struct RegexpParser<'a> {
    rest: &'a str,
    depth: u32,
}

impl RegexpParser<'_> {
    fn peek(&self) -> Option<char> {
        self.rest.chars().next()
    }

    fn next(&mut self) -> Option<char> {
        let mut chars = self.rest.chars();
        let c = chars.next();
        self.rest = chars.as_str();
        c
    }

    fn take(&mut self, text: &str) -> bool {
        self.rest.strip_prefix(text).map(|rest| self.rest = rest).is_some()
    }

    fn either(&mut self) -> Result<Expression, Invalid> {
        let mut ways = vec![self.sequence()?];
        while self.take("|") {
            ways.push(self.sequence()?);
        }
        Ok(Expression::Either(ways))
    }

    fn sequence(&mut self) -> Result<Expression, Invalid> {
        let mut items = Vec::new();
        while self.peek().is_some_and(|c| !matches!(c, '|' | ')')) {
            let atom = self.atom()?;
            items.push(self.repeated(atom)?);
        }
        Ok(Expression::Sequence(items))
    }

    fn atom(&mut self) -> Result<Expression, Invalid> {
        match self.next() {
            Some('.') => Ok(Expression::One(CharClass::but(&LINE_ENDS))),
            Some('[') => self.class().map(ClassSet::into_expression),
            Some('\\') => self.escape(EscapePlace::Outside).map(|meant| Expression::One(meant.class())),
            Some('(') => self.group(),
            Some('^' | '$') => Err(Exception::Anchor.refusal()),
            Some(c) if !matches!(c, ')' | '*' | '+' | '?' | '{' | '}' | ']') => Ok(Expression::Text(c.into())),
            _ => Err(malformed()),
        }
    }

    /// What stands behind an opening parenthesis.
    fn group(&mut self) -> Result<Expression, Invalid> {
        if self.take("?:") {
            return self.deeper(|parser| {
                let inner = parser.either()?;
                if parser.take(")") { Ok(inner) } else { Err(malformed()) }
            });
        }
        let is_any_of = |starts: &[&str]| starts.iter().any(|start| self.rest.starts_with(start));
        let exception = if is_any_of(&["?=", "?!", "?<=", "?<!"]) {
            Exception::Assertion
        } else if is_any_of(&["?<"]) {
            Exception::NamedGroup
        } else if is_any_of(&["?i", "?m", "?s", "?-"]) {
            Exception::FlagGroup
        } else {
            Exception::Malformed
        };
        Err(exception.refusal())
    }

    /// Reads what is nested, to a bounded depth.
    fn deeper<T>(&mut self, read: impl FnOnce(&mut Self) -> Result<T, Invalid>) -> Result<T, Invalid> {
        if self.depth == MAX_DEPTH {
            return Err(too_deep());
        }
        self.depth += 1;
        let inner = read(self);
        self.depth -= 1;
        inner
    }

    /// The quantifier behind an atom. A lazy one takes the same texts as a greedy one.
    fn repeated(&mut self, atom: Expression) -> Result<Expression, Invalid> {
        let (least, most) = match self.peek() {
            Some('?') => (0, Some(1)),
            Some('*') => (0, None),
            Some('+') => (1, None),
            Some('{') => {
                let (inside, rest) = self.rest.get(1..).and_then(|rest| rest.split_once('}')).ok_or_else(malformed)?;
                self.rest = rest;
                self.take("?");
                let (least, most) = counts(inside).ok_or_else(malformed)?;
                if most.unwrap_or(least) > MAX_REPEAT {
                    return Err(too_often());
                }
                return Ok(Expression::Repeat(Box::new(atom), least, most));
            }
            _ => return Ok(atom),
        };
        self.next();
        self.take("?");
        Ok(Expression::Repeat(Box::new(atom), least, most))
    }

    /// What a backslash stands before (ECMAScript, `AtomEscape` and `ClassSetCharacter` with the flag v).
    fn escape(&mut self, place: EscapePlace) -> Result<EscapedMeaning, Invalid> {
        let c = self.next().ok_or_else(malformed)?;
        let in_class = place == EscapePlace::InClass;
        let meant = match c {
            'd' => return Ok(EscapedMeaning::Any(CharClass::of(&DIGITS))),
            'D' => return Ok(EscapedMeaning::Any(CharClass::but(&DIGITS))),
            'w' => return Ok(EscapedMeaning::Any(CharClass::of(&WORD))),
            'W' => return Ok(EscapedMeaning::Any(CharClass::but(&WORD))),
            's' => return Ok(EscapedMeaning::Any(CharClass::of(&SPACE))),
            'S' => return Ok(EscapedMeaning::Any(CharClass::but(&SPACE))),
            't' => '\t',
            'n' => '\n',
            'v' => '\u{b}',
            'f' => '\u{c}',
            'r' => '\r',
            'b' if in_class => '\u{8}',
            'c' => self.next().filter(char::is_ascii_alphabetic).map(control).ok_or_else(malformed)?,
            '0' if !self.peek().is_some_and(|c| c.is_ascii_digit()) => '\0',
            'x' => self.code(2).and_then(char::from_u32).ok_or_else(malformed)?,
            'u' => self.unicode().ok_or_else(malformed)?,
            'p' | 'P' => return Err(Exception::Property.refusal()),
            'b' | 'B' if !in_class => return Err(Exception::Anchor.refusal()),
            '1'..='9' | 'k' if !in_class => return Err(Exception::BackReference.refusal()),
            c if "^$\\.*+?()[]{}|/".contains(c) || in_class && "&-!#%,:;<=>@`~".contains(c) => c,
            _ => return Err(malformed()),
        };
        Ok(EscapedMeaning::One(meant))
    }

    /// What stands behind `\u`: four digits, two times four for a pair of surrogates, or any number in braces. A surrogate
    /// alone is in no URL, and stands for a character that is in none either.
    fn unicode(&mut self) -> Option<char> {
        if self.take("{") {
            let (digits, rest) = self.rest.split_once('}')?;
            self.rest = rest;
            return coded(digits).filter(|code| *code <= u32::from(char::MAX)).map(or_replacement);
        }
        let first = self.code(4)?;
        let low = self.rest.strip_prefix("\\u").and_then(|rest| coded(rest.get(..4)?));
        match low.filter(|low| (0xd800..0xdc00).contains(&first) && (0xdc00..0xe000).contains(low)) {
            Some(low) => {
                self.rest = self.rest.get(6..)?;
                char::from_u32(0x10000 + ((first - 0xd800) << 10) + (low - 0xdc00))
            }
            None => Some(or_replacement(first)),
        }
    }

    fn code(&mut self, digits: usize) -> Option<u32> {
        let (code, rest) = self.rest.split_at_checked(digits)?;
        self.rest = rest;
        coded(code)
    }
}

/// Classes (`ClassContents` with the flag v): unions and ranges, `--` and `&&`, classes in classes, `\q{…}`.
impl RegexpParser<'_> {
    /// What stands behind an opening bracket, up to its closing one.
    fn class(&mut self) -> Result<ClassSet, Invalid> {
        let is_negated = self.take("^");
        let set = self.deeper(Self::class_contents)?;
        if is_negated { set.negate().ok_or_else(malformed) } else { Ok(set) }
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
                Ok(ClassSet::of(CharClass::of(&[(first, last)])))
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
            EscapedMeaning::Any(class) => ClassOperand::Set(ClassSet::of(class)),
        })
    }

    /// What stands in `\q{…}`: texts with `|` in between.
    fn texts(&mut self) -> Result<ClassSet, Invalid> {
        let (mut texts, mut text) = (Vec::new(), String::new());
        loop {
            let is_last = self.take("}");
            if is_last || self.take("|") {
                texts.push(std::mem::take(&mut text));
                if is_last {
                    return Ok(ClassSet::of_texts(texts));
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

fn coded(digits: &str) -> Option<u32> {
    let shaped = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_hexdigit());
    shaped.then(|| u32::from_str_radix(digits, 16).ok()).flatten()
}

fn or_replacement(code: u32) -> char {
    char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER)
}

/// The control character of a letter, as `\cJ` is a line feed.
fn control(letter: char) -> char {
    u8::try_from(letter).map_or(letter, |letter| char::from(letter % 32))
}

/// `n`, `n,` or `n,m`. What is too large for a number is the largest.
fn counts(text: &str) -> Option<(u32, Option<u32>)> {
    let number = |text: &str| {
        let shaped = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        shaped.then(|| text.parse().unwrap_or(u32::MAX))
    };
    match text.split_once(',') {
        None => number(text).map(|n| (n, Some(n))),
        Some((least, "")) => Some((number(least)?, None)),
        Some((least, most)) => {
            Some((number(least)?, Some(number(most)?))).filter(|(least, most)| Some(*least) <= *most)
        }
    }
}
