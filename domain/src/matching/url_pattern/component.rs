//! One component of a pattern, compiled (URL Pattern standard, 2.1 "Parsing" and "Converting part lists to regular
//! expressions"; the parts become an automaton's expressions instead).

use super::canonical::Encode;
use super::regexp;
use super::tokens::{Kind, Policy, Token, tokens};
use crate::error::Invalid;
use crate::matching::expression::{Class, Expression};
use crate::matching::program::Program;
use crate::matching::steps::Steps;

/// How a component is read.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// Where `:name` ends: at the next of these.
    pub delimiter: Option<char>,
    /// What belongs to the group behind it, and repeats with it.
    pub prefix: Option<char>,
    /// The canonical form of its fixed text.
    pub encode: Encode,
}

impl Options {
    /// Of a component without structure.
    pub fn plain(encode: Encode) -> Self {
        Self { delimiter: None, prefix: None, encode }
    }
}

/// Compiles the pattern of one component; refused if it takes too many steps.
pub fn compile(text: &str, options: Options, steps: &mut Steps) -> Result<Program, Invalid> {
    let tokens = tokens(text, Policy::Strict)?;
    let mut parser =
        Parser { tokens: &tokens, at: 0, options, fixed: String::new(), names: Vec::new(), items: Vec::new() };
    parser.parse()?;
    Program::compile(Expression::Sequence(parser.items), steps)
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Modifier {
    None,
    Optional,
    ZeroOrMore,
    OneOrMore,
}

/// What a group takes, before its modifier.
struct Group<'a> {
    prefix: String,
    name: Option<Token<'a>>,
    /// A regular expression or `*`.
    value: Option<Token<'a>>,
    suffix: String,
}

struct Parser<'t, 'a> {
    tokens: &'t [Token<'a>],
    at: usize,
    options: Options,
    /// Fixed text that is not canonical yet.
    fixed: String,
    names: Vec<&'a str>,
    items: Vec<Expression>,
}

impl<'a> Parser<'_, 'a> {
    fn parse(&mut self) -> Result<(), Invalid> {
        while self.at < self.tokens.len() {
            let plain = self.take(Kind::Char);
            let (name, value) = self.take_group();
            if name.is_some() || value.is_some() {
                let mut prefix = plain.map_or("", |token| token.value);
                if !prefix.is_empty() && !self.options.prefix.is_some_and(|own| prefix.starts_with(own)) {
                    self.fixed.push_str(prefix);
                    prefix = "";
                }
                self.add(Group { prefix: prefix.into(), name, value, suffix: String::new() })?;
            } else if let Some(token) = plain.or_else(|| self.take(Kind::EscapedChar)) {
                self.fixed.push_str(token.value);
            } else if self.take(Kind::Open).is_some() {
                let prefix = self.take_text();
                let (name, value) = self.take_group();
                let suffix = self.take_text();
                if self.take(Kind::Close).is_none() {
                    return Err(invalid("has a group in braces that is open or holds another"));
                }
                self.add(Group { prefix, name, value, suffix })?;
            } else if self.take(Kind::End).is_none() {
                return Err(invalid("has a brace, ? or + where none can be; one that means itself is escaped by \\"));
            }
        }
        self.end_fixed()
    }

    fn take(&mut self, kind: Kind) -> Option<Token<'a>> {
        let token = self.tokens.get(self.at).copied().filter(|token| token.kind == kind)?;
        self.at += 1;
        Some(token)
    }

    /// A name, and a regular expression or `*`; `*` behind a name would be its modifier.
    fn take_group(&mut self) -> (Option<Token<'a>>, Option<Token<'a>>) {
        let name = self.take(Kind::Name);
        let value = self.take(Kind::Regexp);
        let value = if name.is_none() && value.is_none() { self.take(Kind::Asterisk) } else { value };
        (name, value)
    }

    fn take_text(&mut self) -> String {
        let mut text = String::new();
        while let Some(token) = self.take(Kind::Char).or_else(|| self.take(Kind::EscapedChar)) {
            text.push_str(token.value);
        }
        text
    }

    fn take_modifier(&mut self) -> Modifier {
        match self.take(Kind::OtherModifier).or_else(|| self.take(Kind::Asterisk)).map(|token| token.value) {
            None => Modifier::None,
            Some("?") => Modifier::Optional,
            Some("+") => Modifier::OneOrMore,
            Some(_) => Modifier::ZeroOrMore,
        }
    }

    fn encode(&self, text: &str) -> Result<Expression, Invalid> {
        if text.is_empty() {
            return Ok(Expression::Text(String::new()));
        }
        (self.options.encode)(text).map(Expression::Text)
    }

    fn end_fixed(&mut self) -> Result<(), Invalid> {
        let fixed = std::mem::take(&mut self.fixed);
        let fixed = self.encode(&fixed)?;
        self.items.push(fixed);
        Ok(())
    }

    fn add(&mut self, group: Group<'a>) -> Result<(), Invalid> {
        let modifier = self.take_modifier();
        let is_fixed = group.name.is_none() && group.value.is_none();
        if is_fixed && modifier == Modifier::None {
            self.fixed.push_str(&group.prefix);
            return Ok(());
        }
        self.end_fixed()?;
        let prefix = self.encode(&group.prefix)?;
        if is_fixed {
            self.items.push(repeated(prefix, modifier));
            return Ok(());
        }
        let suffix = self.encode(&group.suffix)?;
        let value = self.value(group.value)?;
        if let Some(name) = group.name {
            if self.names.contains(&name.value) {
                return Err(invalid("has two groups of one name"));
            }
            self.names.push(name.value);
        }
        let once = Expression::Sequence(vec![prefix.clone(), value.clone(), suffix.clone()]);
        self.items.push(match modifier {
            Modifier::None => once,
            Modifier::Optional => once.optional(),
            // The first prefix and the last suffix stand outside of what repeats; taken as text it is the same.
            Modifier::ZeroOrMore | Modifier::OneOrMore => repeated(once, modifier),
        });
        Ok(())
    }

    fn value(&self, token: Option<Token<'a>>) -> Result<Expression, Invalid> {
        match token {
            None => {
                let others = match self.options.delimiter {
                    Some(delimiter) => Class::but(&[(delimiter, delimiter)]),
                    None => Class::but(&[]),
                };
                Ok(Expression::Repeat(Box::new(Expression::One(others)), 1, None))
            }
            Some(token) if token.kind == Kind::Asterisk => {
                Ok(Expression::One(Class::but(&regexp::LINE_ENDS)).any_number())
            }
            Some(token) => regexp::parse(token.value),
        }
    }
}

fn repeated(expression: Expression, modifier: Modifier) -> Expression {
    match modifier {
        Modifier::None => expression,
        Modifier::Optional => expression.optional(),
        Modifier::ZeroOrMore => expression.any_number(),
        Modifier::OneOrMore => Expression::Repeat(Box::new(expression), 1, None),
    }
}

fn invalid(message: &'static str) -> Invalid {
    Invalid::new("invalid_url_pattern", message)
}
