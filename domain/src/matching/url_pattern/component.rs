//! One component of a pattern, compiled (URL Pattern standard, 2.1 "Parsing" and "Converting part lists to regular
//! expressions"; the parts become an automaton's expressions instead).

use super::canonical::Encode;
use super::regexp;
use super::tokens::{PatternToken, Policy, TokenType, tokens};
use crate::error::Invalid;
use crate::matching::expression::{CharClass, Expression};
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
        PatternParser { tokens: &tokens, at: 0, options, fixed: String::new(), names: Vec::new(), items: Vec::new() };
    parser.parse()?;
    Program::compile(Expression::Sequence(parser.items), steps)
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum PartModifier {
    None,
    Optional,
    ZeroOrMore,
    OneOrMore,
}

/// What a group takes, before its modifier.
struct Group<'a> {
    prefix: String,
    name: Option<PatternToken<'a>>,
    /// A regular expression or `*`.
    value: Option<PatternToken<'a>>,
    suffix: String,
}

struct PatternParser<'t, 'a> {
    tokens: &'t [PatternToken<'a>],
    at: usize,
    options: Options,
    /// Fixed text that is not canonical yet.
    fixed: String,
    names: Vec<&'a str>,
    items: Vec<Expression>,
}

impl<'a> PatternParser<'_, 'a> {
    fn parse(&mut self) -> Result<(), Invalid> {
        while self.at < self.tokens.len() {
            let plain = self.take(TokenType::Char);
            let (name, value) = self.take_group();
            if name.is_some() || value.is_some() {
                let mut prefix = plain.map_or("", |token| token.value);
                if !prefix.is_empty() && !self.options.prefix.is_some_and(|own| prefix.starts_with(own)) {
                    self.fixed.push_str(prefix);
                    prefix = "";
                }
                self.add(Group { prefix: prefix.into(), name, value, suffix: String::new() })?;
            } else if let Some(token) = plain.or_else(|| self.take(TokenType::EscapedChar)) {
                self.fixed.push_str(token.value);
            } else if self.take(TokenType::Open).is_some() {
                let prefix = self.take_text();
                let (name, value) = self.take_group();
                let suffix = self.take_text();
                if self.take(TokenType::Close).is_none() {
                    return Err(invalid("has a group in braces that is open or holds another"));
                }
                self.add(Group { prefix, name, value, suffix })?;
            } else if self.take(TokenType::End).is_none() {
                return Err(invalid("has a brace, ? or + where none can be; one that means itself is escaped by \\"));
            }
        }
        self.end_fixed()
    }

    fn take(&mut self, kind: TokenType) -> Option<PatternToken<'a>> {
        let token = self.tokens.get(self.at).copied().filter(|token| token.kind == kind)?;
        self.at += 1;
        Some(token)
    }

    /// A name, and a regular expression or `*`; `*` behind a name would be its modifier.
    fn take_group(&mut self) -> (Option<PatternToken<'a>>, Option<PatternToken<'a>>) {
        let name = self.take(TokenType::Name);
        let value = self.take(TokenType::Regexp);
        let value = if name.is_none() && value.is_none() { self.take(TokenType::Asterisk) } else { value };
        (name, value)
    }

    fn take_text(&mut self) -> String {
        let mut text = String::new();
        while let Some(token) = self.take(TokenType::Char).or_else(|| self.take(TokenType::EscapedChar)) {
            text.push_str(token.value);
        }
        text
    }

    fn take_modifier(&mut self) -> PartModifier {
        match self.take(TokenType::OtherModifier).or_else(|| self.take(TokenType::Asterisk)).map(|token| token.value) {
            None => PartModifier::None,
            Some("?") => PartModifier::Optional,
            Some("+") => PartModifier::OneOrMore,
            Some(_) => PartModifier::ZeroOrMore,
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
        if is_fixed && modifier == PartModifier::None {
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
            PartModifier::None => once,
            PartModifier::Optional => once.optional(),
            // The first prefix and the last suffix stand outside of what repeats; taken as text it is the same.
            PartModifier::ZeroOrMore | PartModifier::OneOrMore => repeated(once, modifier),
        });
        Ok(())
    }

    fn value(&self, token: Option<PatternToken<'a>>) -> Result<Expression, Invalid> {
        match token {
            None => {
                let others = match self.options.delimiter {
                    Some(delimiter) => CharClass::but(&[(delimiter, delimiter)]),
                    None => CharClass::but(&[]),
                };
                Ok(Expression::Repeat(Box::new(Expression::One(others)), 1, None))
            }
            Some(token) if token.kind == TokenType::Asterisk => {
                Ok(Expression::One(CharClass::but(&regexp::LINE_ENDS)).any_number())
            }
            Some(token) => regexp::parse(token.value),
        }
    }
}

fn repeated(expression: Expression, modifier: PartModifier) -> Expression {
    match modifier {
        PartModifier::None => expression,
        PartModifier::Optional => expression.optional(),
        PartModifier::ZeroOrMore => expression.any_number(),
        PartModifier::OneOrMore => Expression::Repeat(Box::new(expression), 1, None),
    }
}

fn invalid(message: &'static str) -> Invalid {
    Invalid::new("invalid_url_pattern", message)
}
