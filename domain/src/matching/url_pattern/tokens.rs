//! A pattern string in tokens (URL Pattern standard, 2.1 "Tokens" and "Tokenizing").

use crate::error::Invalid;

/// What a token is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TokenType {
    /// `{`
    Open,
    /// `}`
    Close,
    /// `(…)`
    Regexp,
    /// `:name`
    Name,
    /// A character of no meaning to patterns.
    Char,
    /// `\` and a character that means itself.
    EscapedChar,
    /// `?` or `+`
    OtherModifier,
    /// `*`
    Asterisk,
    /// The end of the text.
    End,
    /// What is no token, where that is let pass.
    InvalidChar,
}

/// A piece of the text.
#[derive(Debug, Clone, Copy)]
pub struct PatternToken<'a> {
    /// What it is.
    pub kind: TokenType,
    /// Where it begins, in bytes.
    pub at: usize,
    /// What it says: a name without its colon, a regular expression without its parentheses.
    pub value: &'a str,
}

/// What becomes of text that is no token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Policy {
    /// It is an error.
    Strict,
    /// It is a token of its own: the text may be cut in pieces before they are read.
    Lenient,
}

/// Reads a pattern string.
pub fn tokens(text: &str, policy: Policy) -> Result<Vec<PatternToken<'_>>, Invalid> {
    let mut tokens = Vec::new();
    let mut at = 0;
    while let Some(c) = char_at(text, at) {
        let after = at + c.len_utf8();
        let (kind, from, to, next) = match c {
            '*' => (TokenType::Asterisk, at, after, after),
            '?' | '+' => (TokenType::OtherModifier, at, after, after),
            '{' => (TokenType::Open, at, after, after),
            '}' => (TokenType::Close, at, after, after),
            '\\' => match char_at(text, after) {
                Some(escaped) => {
                    (TokenType::EscapedChar, after, after + escaped.len_utf8(), after + escaped.len_utf8())
                }
                None => (TokenType::InvalidChar, at, after, after),
            },
            ':' => match after + name_length(text.get(after..).unwrap_or_default()) {
                end if end > after => (TokenType::Name, after, end, end),
                _ => (TokenType::InvalidChar, at, after, after),
            },
            '(' => match regexp_end(text, after) {
                Some(end) => (TokenType::Regexp, after, end, end + 1),
                None => (TokenType::InvalidChar, at, after, after),
            },
            _ => (TokenType::Char, at, after, after),
        };
        if kind == TokenType::InvalidChar && policy == Policy::Strict {
            return Err(Invalid::new("invalid_url_pattern", broken(c)));
        }
        tokens.push(PatternToken { kind, at, value: text.get(from..to).unwrap_or_default() });
        at = next;
    }
    tokens.push(PatternToken { kind: TokenType::End, at: text.len(), value: "" });
    Ok(tokens)
}

fn broken(c: char) -> &'static str {
    match c {
        '\\' => "ends in the middle of an escape",
        ':' => "has a colon without a name; a colon that means itself is written {\\:}",
        _ => "has a group in parentheses that is empty, open, not ASCII, or holds a group that captures",
    }
}

fn char_at(text: &str, at: usize) -> Option<char> {
    text.get(at..)?.chars().next()
}

/// Bytes of the identifier that the text begins with. Beyond ASCII, letters, digits and the common marks stand in for
/// Unicode's ID_Start and ID_Continue, which differ from them in rare characters.
fn name_length(text: &str) -> usize {
    let starts = |c: char| c.is_alphabetic() || matches!(c, '_' | '$' | '℘' | '℮' | '゛' | '゜');
    let continues = |c: char| starts(c) || c.is_alphanumeric() || is_mark(c);
    if !text.starts_with(starts) {
        return 0;
    }
    text.find(|c| !continues(c)).unwrap_or(text.len())
}

/// Joiners, combining marks and variation selectors.
fn is_mark(c: char) -> bool {
    matches!(c, '\u{200c}' | '\u{200d}' | '\u{300}'..='\u{36f}' | '\u{fe00}'..='\u{fe0f}' | '\u{e0100}'..='\u{e01ef}')
}

/// Where the parenthesis closes that was opened before `start`.
fn regexp_end(text: &str, start: usize) -> Option<usize> {
    let bytes = text.as_bytes().get(start..)?;
    let mut depth = 1;
    let mut at = 0;
    while let Some(&b) = bytes.get(at).filter(|b| b.is_ascii()) {
        match b {
            b'?' if at == 0 => return None,
            b'\\' => {
                at += 1;
                bytes.get(at).filter(|b| b.is_ascii())?;
            }
            b')' => {
                depth -= 1;
                if depth == 0 {
                    return (at > 0).then_some(start + at);
                }
            }
            b'(' => {
                depth += 1;
                if bytes.get(at + 1) != Some(&b'?') {
                    return None;
                }
            }
            _ => {}
        }
        at += 1;
    }
    None
}
