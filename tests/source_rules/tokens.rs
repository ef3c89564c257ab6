use proc_macro2::{Delimiter, Group, Literal, Span, TokenStream, TokenTree};
use syn::{Lit, Meta};

/// One token of Rust. Comments are none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Token {
    Word(String),
    Text(String),
    Number(String),
    Mark(char),
}

impl Token {
    pub fn is(&self, wanted: &str) -> bool {
        match self {
            Self::Word(word) => word == wanted,
            Self::Mark(mark) => wanted.len() == 1 && wanted.starts_with(*mark),
            Self::Text(_) | Self::Number(_) => false,
        }
    }

    pub fn word(&self) -> Option<&str> {
        if let Self::Word(word) = self { Some(word) } else { None }
    }
}

/// What a file is made of.
pub enum Piece {
    Token(Token),
    Doc(String),
}

/// A stream taken apart, its groups too, each piece with its place.
pub fn pieces(stream: TokenStream) -> Vec<(Piece, Span)> {
    let mut all = Vec::new();
    take_apart(stream, &mut all);
    all
}

fn take_apart(stream: TokenStream, pieces: &mut Vec<(Piece, Span)>) {
    let mut trees = stream.into_iter().peekable();
    while let Some(tree) = trees.next() {
        match tree {
            TokenTree::Punct(mark) if mark.as_char() == '#' => {
                let inner = trees.next_if(|tree| matches!(tree, TokenTree::Punct(mark) if mark.as_char() == '!'));
                match trees.peek() {
                    Some(TokenTree::Group(group)) if let Some(text) = documentation(group) => {
                        pieces.push((Piece::Doc(text), mark.span().join(group.span()).unwrap_or(mark.span())));
                        trees.next();
                    }
                    _ => {
                        pieces.push((Piece::Token(Token::Mark('#')), mark.span()));
                        pieces.extend(inner.map(|inner| (Piece::Token(Token::Mark('!')), inner.span())));
                    }
                }
            }
            TokenTree::Punct(mark) if mark.as_char() == '\'' => {
                if let Some(TokenTree::Ident(name)) = trees.next() {
                    let span = mark.span().join(name.span()).unwrap_or(mark.span());
                    pieces.push((Piece::Token(Token::Word(format!("'{name}"))), span));
                }
            }
            TokenTree::Punct(mark) => pieces.push((Piece::Token(Token::Mark(mark.as_char())), mark.span())),
            TokenTree::Ident(name) => pieces.push((Piece::Token(Token::Word(word(&name))), name.span())),
            TokenTree::Literal(literal) => pieces.push((Piece::Token(token_of(&literal)), literal.span())),
            TokenTree::Group(group) => {
                let (open, close) = match group.delimiter() {
                    Delimiter::Parenthesis => ('(', ')'),
                    Delimiter::Brace => ('{', '}'),
                    Delimiter::Bracket | Delimiter::None => ('[', ']'),
                };
                pieces.push((Piece::Token(Token::Mark(open)), group.span_open()));
                take_apart(group.stream(), pieces);
                pieces.push((Piece::Token(Token::Mark(close)), group.span_close()));
            }
        }
    }
}

/// The tokens of a macro or an attribute, each with its place.
pub fn tokens_of(stream: TokenStream) -> Vec<(Token, Span)> {
    let token = |(piece, span)| if let Piece::Token(token) = piece { Some((token, span)) } else { None };
    pieces(stream).into_iter().filter_map(token).collect()
}

/// A name as it is meant: `r#type` is `type`.
pub fn word(name: &proc_macro2::Ident) -> String {
    name.to_string().trim_start_matches("r#").to_owned()
}

/// The text of `[doc = "…"]`, which is what a doc comment comes to.
fn documentation(group: &Group) -> Option<String> {
    let attribute: Meta = syn::parse2(group.stream()).ok().filter(|_| group.delimiter() == Delimiter::Bracket)?;
    match attribute {
        Meta::NameValue(pair) if pair.path.is_ident("doc") => match pair.value {
            syn::Expr::Lit(syn::ExprLit { lit: Lit::Str(text), .. }) => Some(text.value()),
            _ => None,
        },
        _ => None,
    }
}

fn token_of(literal: &Literal) -> Token {
    match Lit::new(literal.clone()) {
        Lit::Str(text) => Token::Text(text.value()),
        Lit::ByteStr(text) => Token::Text(String::from_utf8_lossy(&text.value()).into_owned()),
        Lit::CStr(text) => Token::Text(text.value().to_string_lossy().into_owned()),
        Lit::Char(text) => Token::Text(text.value().into()),
        Lit::Byte(text) => Token::Text(char::from(text.value()).into()),
        _ => Token::Number(literal.to_string()),
    }
}
