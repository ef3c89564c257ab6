//! The tokens of a document: all but the ignored ones.

use apollo_parser::{Lexer, Token, TokenKind};

use super::error::{DocumentError, Location};
use super::limits::DocumentLimits;

/// The significant tokens of a text, in order, without the end. Refused are longer texts, more tokens, and what is no token.
pub(super) fn read_tokens<'a>(text: &'a str, limits: &DocumentLimits) -> Result<Vec<Token<'a>>, DocumentError> {
    if text.len() > limits.bytes {
        let message = format!("The document is {} bytes long; at most {} are allowed", text.len(), limits.bytes);
        return Err(DocumentError::new("too_long", message));
    }
    let mut tokens = Vec::new();
    for token in Lexer::new(text) {
        let token =
            token.map_err(|error| DocumentError::syntax(error.message()).at(Location::of(text, error.index())))?;
        match token.kind() {
            TokenKind::Whitespace | TokenKind::Comment | TokenKind::Comma | TokenKind::Eof => continue,
            TokenKind::StringValue if !is_closed_on_its_line(token.data()) => {
                let location = Location::of(text, token.index());
                return Err(DocumentError::syntax("unterminated string value").at(location));
            }
            _ => {}
        }
        if tokens.len() == limits.tokens {
            let message = format!("The document has more tokens than the {} that are allowed", limits.tokens);
            return Err(DocumentError::new("too_many_tokens", message).at(Location::of(text, token.index())));
        }
        tokens.push(token);
    }
    Ok(tokens)
}

/// Whether a string holds line breaks in a block only: the lexer takes one behind the opening quote.
fn is_closed_on_its_line(string: &str) -> bool {
    string.starts_with("\"\"\"") || !string.contains(['\n', '\r'])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(text: &str) -> Vec<&str> {
        read_tokens(text, &DocumentLimits::default()).unwrap().iter().map(Token::data).collect()
    }

    fn refusal(text: &str) -> DocumentError {
        read_tokens(text, &DocumentLimits::default()).unwrap_err()
    }

    #[test]
    fn ignored_tokens_are_left_out() {
        assert_eq!(texts("\u{feff}{ a,,b\t# c \" }\r\n...on\u{feff}D}"), ["{", "a", "b", "...", "on", "D", "}"]);
        assert_eq!(texts("#a\rb#c"), ["b"]);
        assert_eq!(texts(" ,#\n"), Vec::<&str>::new());
    }

    #[test]
    fn strings_are_one_token() {
        for string in [
            r#""""#,
            r#""a # , b""#,
            r#""\" \\ \/ \b \u00e4 \u{1F600} \uD83D\uDE00""#,
            "\"\u{feff}ä\t\"",
            r#""""""""#,
            "\"\"\"a\r\n  \"b\" \"\"c \\\"\"\" \\n \\\\ \"\"\"",
        ] {
            assert_eq!(texts(string), [string]);
            assert_eq!(texts(&[string, string].join("#\"\n")), [string, string]);
        }
        // The quotes behind a backslash close nothing, whatever is before it.
        assert_eq!(texts(r#""""\\"""""""#), [r#""""\\"""""""#]);
    }

    #[test]
    fn what_is_no_token_is_refused_where_it_stands() {
        for (text, line, column) in [
            ("{ ä }", 1, 3),
            ("{\n  a(b: 01) }", 2, 8),
            ("{ a(b: 1x) }", 1, 8),
            ("{ a(b: 1.) }", 1, 8),
            ("{ a(b: -) }", 1, 8),
            ("{ .. }", 1, 3),
            ("\r\n\"a", 2, 1),
            ("\r\"a\nb\"", 2, 1),
            ("\"\na\"", 1, 1),
            ("\"\ra\"", 1, 1),
            (r#""\x""#, 1, 1),
            (r#""\u12""#, 1, 1),
            (r#""\uD83D""#, 1, 1),
            ("\"\"\"a\"\"", 1, 1),
            (r#""""\\""""#, 1, 1),
            ("'a'", 1, 1),
            ("%", 1, 1),
        ] {
            let error = refusal(text);
            assert_eq!((error.code, error.locations), ("syntax", vec![Location { line, column }]), "{text:?}");
        }
    }

    #[test]
    fn bytes_and_tokens_are_bounded() {
        let limits = DocumentLimits { bytes: 20, tokens: 5, nesting: 9 };
        let read = |text: &str| read_tokens(text, &limits).map(|tokens| tokens.len());
        assert_eq!(read("{ a, b, c }         "), Ok(5));
        let error = read("{ a, b, c }          ").unwrap_err();
        assert_eq!(error.message, "The document is 21 bytes long; at most 20 are allowed");
        let error = read("{ a,\nb, c, d }").unwrap_err();
        assert_eq!(error.message, "The document has more tokens than the 5 that are allowed");
        assert_eq!(error.locations, [Location { line: 2, column: 9 }]);
    }
}
