//! The grammar of executable documents (GraphQL specification, 2.2 to 2.12).
//!
//! It reads each token once, goes on by the next two, and keeps of a definition what the cache needs: names, variables
//! and counts.
//!
//! Not the parser of `apollo-parser`, which stands beside its lexer: that one also takes `{ a(b) }` and
//! `"" fragment on T { a }`, refuses `{ a,: b }`, and finds its nodes by a hash without a key, which somebody who chooses
//! the names can make slow. Tests hold the two against each other.

use apollo_parser::{Token, TokenKind};

use super::error::{DocumentError, Location};
use super::limits::DocumentLimits;
use super::operation::OperationType;
use super::selections::{FragmentReference, Selections};

/// What a document defines, in its order.
#[derive(Debug, Default)]
pub(super) struct Definitions<'a> {
    pub operations: Vec<OperationDefinition<'a>>,
    pub fragments: Vec<FragmentDefinition<'a>>,
}

#[derive(Debug)]
pub(super) struct OperationDefinition<'a> {
    pub kind: OperationType,
    pub name: Option<&'a str>,
    /// Its place in the text, in bytes.
    pub offset: usize,
    pub variables: Vec<VariableDefinition<'a>>,
    pub selections: Selections<'a>,
}

#[derive(Debug)]
pub(super) struct FragmentDefinition<'a> {
    pub name: &'a str,
    /// The name's place in the text, in bytes.
    pub offset: usize,
    pub selections: Selections<'a>,
}

#[derive(Debug)]
pub(super) struct VariableDefinition<'a> {
    pub name: &'a str,
    /// The place of its `$` in the text, in bytes.
    pub offset: usize,
    /// How many tokens come before it in the document, and how many it has.
    pub start: usize,
    pub length: usize,
}

/// Whether a value may be a variable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Constness {
    Constant,
    Variable,
}

/// Reads the definitions of a document, of which there is at least one.
pub(super) fn parse_definitions<'a>(
    text: &'a str,
    tokens: &[Token<'a>],
    limits: &DocumentLimits,
) -> Result<Definitions<'a>, DocumentError> {
    let max_nesting = limits.nesting.min(DocumentLimits::MAX_NESTING);
    let mut parser = DocumentParser { text, tokens, position: 0, nesting: 0, max_nesting };
    let mut definitions = Definitions::default();
    loop {
        parser.definition(&mut definitions)?;
        if parser.kind() == TokenKind::Eof {
            return Ok(definitions);
        }
    }
}

struct DocumentParser<'a, 't> {
    text: &'a str,
    tokens: &'t [Token<'a>],
    /// How many tokens are read.
    position: usize,
    /// How many brackets are open.
    nesting: usize,
    max_nesting: usize,
}

impl<'a> DocumentParser<'a, '_> {
    fn definition(&mut self, definitions: &mut Definitions<'a>) -> Result<(), DocumentError> {
        let kind = match (self.kind(), self.name_ahead()) {
            (TokenKind::LCurly, _) | (_, "query") => OperationType::Query,
            (_, "mutation") => OperationType::Mutation,
            (_, "subscription") => OperationType::Subscription,
            (_, "fragment") => {
                definitions.fragments.push(self.fragment_definition()?);
                return Ok(());
            }
            (_, "schema" | "scalar" | "type" | "interface" | "union" | "enum" | "input" | "directive" | "extend") => {
                let message = "A request takes operations and fragments; it must not define types";
                return Err(DocumentError::new("not_executable", message).at(self.location()));
            }
            _ => return Err(self.expected("{, query, mutation, subscription or fragment")),
        };
        definitions.operations.push(self.operation_definition(kind)?);
        Ok(())
    }

    fn operation_definition(&mut self, kind: OperationType) -> Result<OperationDefinition<'a>, DocumentError> {
        let offset = self.offset();
        let (mut name, mut variables) = (None, Vec::new());
        if self.take(TokenKind::Name) {
            name = Some(self.name_ahead()).filter(|name| !name.is_empty());
            self.take(TokenKind::Name);
            if self.kind() == TokenKind::LParen {
                variables = self.variable_definitions()?;
            }
            self.directives(Constness::Variable)?;
        }
        let mut selections = Selections::default();
        self.selection_set(0, &mut selections)?;
        Ok(OperationDefinition { kind, name, offset, variables, selections })
    }

    fn fragment_definition(&mut self) -> Result<FragmentDefinition<'a>, DocumentError> {
        self.expect(TokenKind::Name)?;
        let offset = self.offset();
        if self.name_ahead() == "on" {
            return Err(self.expected("the fragment's name"));
        }
        let name = self.expect(TokenKind::Name)?;
        if self.name_ahead() != "on" {
            return Err(self.expected("on"));
        }
        self.expect(TokenKind::Name)?;
        self.expect(TokenKind::Name)?;
        self.directives(Constness::Variable)?;
        let mut selections = Selections::default();
        self.selection_set(0, &mut selections)?;
        Ok(FragmentDefinition { name, offset, selections })
    }

    fn variable_definitions(&mut self) -> Result<Vec<VariableDefinition<'a>>, DocumentError> {
        let mut variables = Vec::new();
        self.open(TokenKind::LParen)?;
        loop {
            variables.push(self.variable_definition()?);
            if self.close(TokenKind::RParen) {
                return Ok(variables);
            }
        }
    }

    fn variable_definition(&mut self) -> Result<VariableDefinition<'a>, DocumentError> {
        let (start, offset) = (self.position, self.offset());
        self.expect(TokenKind::Dollar)?;
        let name = self.expect(TokenKind::Name)?;
        self.expect(TokenKind::Colon)?;
        self.type_reference()?;
        if self.take(TokenKind::Eq) {
            self.value(Constness::Constant)?;
        }
        self.directives(Constness::Constant)?;
        Ok(VariableDefinition { name, offset, start, length: self.position - start })
    }

    fn type_reference(&mut self) -> Result<(), DocumentError> {
        let outside = self.nesting;
        while self.kind() == TokenKind::LBracket {
            self.open(TokenKind::LBracket)?;
        }
        self.expect(TokenKind::Name)?;
        self.take(TokenKind::Bang);
        while self.nesting > outside {
            if !self.close(TokenKind::RBracket) {
                return Err(self.expected("]"));
            }
            self.take(TokenKind::Bang);
        }
        Ok(())
    }

    /// Reads selections that so many fields enclose.
    fn selection_set(&mut self, level: u64, selections: &mut Selections<'a>) -> Result<(), DocumentError> {
        self.open(TokenKind::LCurly)?;
        loop {
            if self.take_dots() {
                self.fragment(level, selections)?;
            } else if self.kind() == TokenKind::Name {
                self.field(level, selections)?;
            } else {
                return Err(self.expected("a field or a fragment"));
            }
            if self.close(TokenKind::RCurly) {
                return Ok(());
            }
        }
    }

    fn field(&mut self, level: u64, selections: &mut Selections<'a>) -> Result<(), DocumentError> {
        let mut name = self.expect(TokenKind::Name)?;
        let is_aliased = self.take(TokenKind::Colon);
        if is_aliased {
            name = self.expect(TokenKind::Name)?;
        }
        selections.add_field(name, level, is_aliased);
        self.arguments(Constness::Variable)?;
        self.directives(Constness::Variable)?;
        if self.kind() == TokenKind::LCurly {
            self.selection_set(level + 1, selections)?;
        }
        Ok(())
    }

    /// What stands behind the three dots: the name of a fragment, or one without a name.
    fn fragment(&mut self, level: u64, selections: &mut Selections<'a>) -> Result<(), DocumentError> {
        let offset = self.offset();
        match self.name_ahead() {
            "" => {}
            "on" => {
                self.expect(TokenKind::Name)?;
                self.expect(TokenKind::Name)?;
            }
            name => {
                self.expect(TokenKind::Name)?;
                selections.references.push(FragmentReference { name, offset, level });
                return self.directives(Constness::Variable);
            }
        }
        self.directives(Constness::Variable)?;
        self.selection_set(level, selections)
    }

    fn directives(&mut self, constness: Constness) -> Result<(), DocumentError> {
        while self.take(TokenKind::At) {
            self.expect(TokenKind::Name)?;
            self.arguments(constness)?;
        }
        Ok(())
    }

    fn arguments(&mut self, constness: Constness) -> Result<(), DocumentError> {
        if self.kind() != TokenKind::LParen {
            return Ok(());
        }
        self.open(TokenKind::LParen)?;
        loop {
            self.named_value(constness)?;
            if self.close(TokenKind::RParen) {
                return Ok(());
            }
        }
    }

    fn named_value(&mut self, constness: Constness) -> Result<(), DocumentError> {
        self.expect(TokenKind::Name)?;
        self.expect(TokenKind::Colon)?;
        self.value(constness)
    }

    fn value(&mut self, constness: Constness) -> Result<(), DocumentError> {
        match self.kind() {
            TokenKind::Int | TokenKind::Float | TokenKind::StringValue | TokenKind::Name => self.position += 1,
            TokenKind::Dollar if constness == Constness::Variable => {
                self.position += 1;
                self.expect(TokenKind::Name)?;
            }
            TokenKind::LBracket => {
                self.open(TokenKind::LBracket)?;
                while !self.close(TokenKind::RBracket) {
                    self.value(constness)?;
                }
            }
            TokenKind::LCurly => {
                self.open(TokenKind::LCurly)?;
                while !self.close(TokenKind::RCurly) {
                    self.named_value(constness)?;
                }
            }
            _ if constness == Constness::Constant => return Err(self.expected("a value without variables")),
            _ => return Err(self.expected("a value")),
        }
        Ok(())
    }

    /// The kind of the next token.
    fn kind(&self) -> TokenKind {
        self.tokens.get(self.position).map_or(TokenKind::Eof, Token::kind)
    }

    /// The next token if it is a name, else nothing.
    fn name_ahead(&self) -> &'a str {
        let token = self.tokens.get(self.position).filter(|token| token.kind() == TokenKind::Name);
        token.map_or("", Token::data)
    }

    /// Takes the next token if it is of this kind.
    fn take(&mut self, kind: TokenKind) -> bool {
        let is_next = self.kind() == kind;
        self.position += usize::from(is_next);
        is_next
    }

    fn take_dots(&mut self) -> bool {
        let is_next = self.tokens.get(self.position).is_some_and(|token| token.data() == "...");
        self.position += usize::from(is_next);
        is_next
    }

    /// Takes the next token, which must be of this kind.
    fn expect(&mut self, kind: TokenKind) -> Result<&'a str, DocumentError> {
        match self.tokens.get(self.position).filter(|token| token.kind() == kind) {
            Some(token) => {
                self.position += 1;
                Ok(token.data())
            }
            None => Err(self.expected(described(kind))),
        }
    }

    fn open(&mut self, bracket: TokenKind) -> Result<(), DocumentError> {
        if self.nesting == self.max_nesting && self.kind() == bracket {
            let message = format!("The document nests brackets deeper than the {} that are allowed", self.max_nesting);
            return Err(DocumentError::new("too_nested", message).at(self.location()));
        }
        self.expect(bracket)?;
        self.nesting += 1;
        Ok(())
    }

    fn close(&mut self, bracket: TokenKind) -> bool {
        let is_next = self.take(bracket);
        self.nesting -= usize::from(is_next);
        is_next
    }

    fn offset(&self) -> usize {
        self.tokens.get(self.position).map_or(self.text.len(), Token::index)
    }

    fn location(&self) -> Location {
        Location::of(self.text, self.offset())
    }

    fn expected(&self, what: &str) -> DocumentError {
        let message = format!("expected {what}, found {}", described(self.kind()));
        DocumentError::syntax(&message).at(self.location())
    }
}

/// A kind of token as a message names it.
fn described(kind: TokenKind) -> &'static str {
    match kind {
        TokenKind::Bang => "!",
        TokenKind::Dollar => "$",
        TokenKind::Amp => "&",
        TokenKind::Colon => ":",
        TokenKind::Eq => "=",
        TokenKind::At => "@",
        TokenKind::LParen => "(",
        TokenKind::RParen => ")",
        TokenKind::LBracket => "[",
        TokenKind::RBracket => "]",
        TokenKind::LCurly => "{",
        TokenKind::RCurly => "}",
        TokenKind::Pipe => "|",
        TokenKind::Name => "a name",
        TokenKind::StringValue => "a string",
        TokenKind::Int | TokenKind::Float => "a number",
        TokenKind::Eof => "the end",
        _ => "...",
    }
}
