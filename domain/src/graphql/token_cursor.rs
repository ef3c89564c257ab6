//! The tokens of a document, read forwards and once, with the brackets that are open.

use apollo_parser::{Token, TokenKind};

use super::error::{DocumentError, Location};
use super::limits::DocumentLimits;

/// How far a document is read.
pub(super) struct TokenCursor<'a, 't> {
    text: &'a str,
    tokens: &'t [Token<'a>],
    /// How many tokens are read.
    position: usize,
    /// How many brackets are open.
    nesting: usize,
    max_nesting: usize,
}

impl<'a, 't> TokenCursor<'a, 't> {
    /// Before the first of the tokens of a text.
    pub fn new(text: &'a str, tokens: &'t [Token<'a>], limits: &DocumentLimits) -> Self {
        let max_nesting = limits.nesting.min(DocumentLimits::MAX_NESTING);
        Self { text, tokens, position: 0, nesting: 0, max_nesting }
    }

    /// How many tokens are read.
    pub fn position(&self) -> usize {
        self.position
    }

    /// How many brackets are open.
    pub fn nesting(&self) -> usize {
        self.nesting
    }

    /// The kind of the next token.
    pub fn kind(&self) -> TokenKind {
        self.tokens.get(self.position).map_or(TokenKind::Eof, Token::kind)
    }

    /// The next token if it is a name, else nothing.
    pub fn name_ahead(&self) -> &'a str {
        let token = self.tokens.get(self.position).filter(|token| token.kind() == TokenKind::Name);
        token.map_or("", Token::data)
    }

    /// Takes the next token if it is of this kind.
    pub fn take(&mut self, kind: TokenKind) -> bool {
        let is_next = self.kind() == kind;
        self.position += usize::from(is_next);
        is_next
    }

    /// Takes the next token if it is `...`.
    pub fn take_dots(&mut self) -> bool {
        let is_next = self.tokens.get(self.position).is_some_and(|token| token.data() == "...");
        self.position += usize::from(is_next);
        is_next
    }

    /// Takes the next token, which must be of this kind.
    pub fn expect(&mut self, kind: TokenKind) -> Result<&'a str, DocumentError> {
        match self.tokens.get(self.position).filter(|token| token.kind() == kind) {
            Some(token) => {
                self.position += 1;
                Ok(token.data())
            }
            None => Err(self.expected(described(kind))),
        }
    }

    /// Takes an opening bracket, which must be next and not too deep.
    pub fn open(&mut self, bracket: TokenKind) -> Result<(), DocumentError> {
        if self.nesting == self.max_nesting && self.kind() == bracket {
            let message = format!("The document nests brackets deeper than the {} that are allowed", self.max_nesting);
            return Err(DocumentError::new("too_nested", message).at(self.location()));
        }
        self.expect(bracket)?;
        self.nesting += 1;
        Ok(())
    }

    /// Takes a closing bracket if it is next.
    pub fn close(&mut self, bracket: TokenKind) -> bool {
        let is_next = self.take(bracket);
        self.nesting -= usize::from(is_next);
        is_next
    }

    /// Where the next token begins, in bytes.
    pub fn offset(&self) -> usize {
        self.tokens.get(self.position).map_or(self.text.len(), Token::index)
    }

    /// Where the next token begins, as people count.
    pub fn location(&self) -> Location {
        Location::of(self.text, self.offset())
    }

    /// The error that something else should be next.
    pub fn expected(&self, what: &str) -> DocumentError {
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
