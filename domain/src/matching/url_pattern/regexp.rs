//! The regular expressions that a pattern may hold: the part of ECMAScript's (with its `v` flag) that a finite
//! automaton can run.
//!
//! Characters, `.`, classes, `\d \w \s` and their opposites, `|`, groups that do not capture, `? * + {n,m}`. Anchors,
//! assertions, references and operations on sets are refused, and so are repetitions beyond [`MAX_REPEAT`]. What nested
//! ones come to together is bounded by the steps to compile.

use crate::error::Invalid;
use crate::matching::expression::{CharClass, Expression};
use crate::matching::steps::Steps;

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

const MAX_DEPTH: u32 = 32;

/// Largest number in `{n}`, `{n,}` and `{n,m}`: enough for a SHA-512 in hexadecimal digits, which is the longest identifier
/// of fixed length that URLs hold; labels of hosts have 63 characters, UUIDs 36.
pub const MAX_REPEAT: u32 = 128;

/// Parses a regular expression.
pub fn parse(text: &str) -> Result<Expression, Invalid> {
    let mut parser = RegexpParser { rest: text, depth: 0 };
    let expression = parser.either()?;
    if parser.rest.is_empty() { Ok(expression) } else { Err(unsupported()) }
}

fn unsupported() -> Invalid {
    let message = "has a regular expression of more than characters, classes, |, (?:…), ?, *, + and {n,m}";
    Invalid::new("unsupported_regexp", message)
}

fn too_often() -> Invalid {
    let message = "repeats a part more than 128 times: {n}, {n,} and {n,m} take numbers up to 128; \
                   use * or + for any number of times";
    Invalid::new(Steps::EXCEEDED, message)
}

/// What stands in a class, or behind a backslash.
enum ClassMember {
    /// One character.
    One(char),
    /// Any of these.
    Any(CharClass),
}

impl ClassMember {
    fn class(self) -> CharClass {
        match self {
            Self::One(c) => CharClass::of(&[(c, c)]),
            Self::Any(class) => class,
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
            Some('[') => self.class().map(Expression::One),
            Some('\\') => self.escape(false).map(|member| Expression::One(member.class())),
            Some('(') if self.take("?:") && self.depth < MAX_DEPTH => {
                self.depth += 1;
                let inner = self.either()?;
                self.depth -= 1;
                if self.take(")") { Ok(inner) } else { Err(unsupported()) }
            }
            Some(c) if !matches!(c, '^' | '$' | '(' | ')' | '*' | '+' | '?' | '{' | '}' | ']') => {
                Ok(Expression::Text(c.into()))
            }
            _ => Err(unsupported()),
        }
    }

    /// The quantifier behind an atom. A lazy one takes the same texts as a greedy one.
    fn repeated(&mut self, atom: Expression) -> Result<Expression, Invalid> {
        let (least, most) = match self.peek() {
            Some('?') => (0, Some(1)),
            Some('*') => (0, None),
            Some('+') => (1, None),
            Some('{') => {
                let (inside, rest) =
                    self.rest.get(1..).and_then(|rest| rest.split_once('}')).ok_or_else(unsupported)?;
                self.rest = rest;
                self.take("?");
                let (least, most) = counts(inside).ok_or_else(unsupported)?;
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

    fn class(&mut self) -> Result<CharClass, Invalid> {
        let negated = self.take("^");
        let mut class = CharClass::default();
        while !self.take("]") {
            let first = self.member()?;
            if self.take("-") {
                let last = self.member()?;
                match (first, last) {
                    (ClassMember::One(first), ClassMember::One(last)) if first <= last => {
                        class.add(CharClass::of(&[(first, last)]))
                    }
                    _ => return Err(unsupported()),
                }
            } else {
                class.add(first.class());
            }
        }
        Ok(if negated { class.negate() } else { class })
    }

    /// A member of a class, or one end of a range.
    fn member(&mut self) -> Result<ClassMember, Invalid> {
        const DOUBLED: &str = "&!#$%*+,.:;<=>?@^`~";
        let c = self.next().ok_or_else(unsupported)?;
        let reserved = matches!(c, '(' | ')' | '[' | ']' | '{' | '}' | '/' | '-' | '|');
        if reserved || DOUBLED.contains(c) && self.peek() == Some(c) {
            return Err(unsupported());
        }
        if c == '\\' { self.escape(true) } else { Ok(ClassMember::One(c)) }
    }

    fn escape(&mut self, in_class: bool) -> Result<ClassMember, Invalid> {
        let c = self.next().ok_or_else(unsupported)?;
        let meant = match c {
            'd' => return Ok(ClassMember::Any(CharClass::of(&DIGITS))),
            'D' => return Ok(ClassMember::Any(CharClass::but(&DIGITS))),
            'w' => return Ok(ClassMember::Any(CharClass::of(&WORD))),
            'W' => return Ok(ClassMember::Any(CharClass::but(&WORD))),
            's' => return Ok(ClassMember::Any(CharClass::of(&SPACE))),
            'S' => return Ok(ClassMember::Any(CharClass::but(&SPACE))),
            't' => '\t',
            'n' => '\n',
            'v' => '\u{b}',
            'f' => '\u{c}',
            'r' => '\r',
            'x' => self.code(2)?,
            'u' if self.take("{") => {
                let (digits, rest) = self.rest.split_once('}').ok_or_else(unsupported)?;
                self.rest = rest;
                coded(digits).ok_or_else(unsupported)?
            }
            'u' => self.code(4)?,
            c if "^$\\.*+?()[]{}|/".contains(c) || in_class && "&-!#%,:;<=>@`~".contains(c) => c,
            _ => return Err(unsupported()),
        };
        Ok(ClassMember::One(meant))
    }

    fn code(&mut self, digits: usize) -> Result<char, Invalid> {
        let (code, rest) = self.rest.split_at_checked(digits).ok_or_else(unsupported)?;
        self.rest = rest;
        coded(code).ok_or_else(unsupported)
    }
}

fn coded(digits: &str) -> Option<char> {
    let shaped = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_hexdigit());
    shaped.then(|| u32::from_str_radix(digits, 16).ok()).flatten().and_then(char::from_u32)
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
