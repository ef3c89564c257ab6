//! Why a document or its variables were refused.

use std::borrow::Cow;

use serde::Serialize;
use serde_json::Value;

use crate::json;

/// Why a GraphQL request was refused before it reached the origin: a stable `code` for programs, a message for people.
///
/// The message never quotes the document, so that it can be shown and logged; `locations` show where to look.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct DocumentError {
    /// Stable, snake case: `syntax`, `too_deep`, `unknown_fragment`, …
    pub code: &'static str,
    /// A sentence without its full stop.
    pub message: Cow<'static, str>,
    /// Where it is in the document; none if it is nowhere in particular.
    pub locations: Vec<Location>,
}

/// A place in a document, counted from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Location {
    /// A line ends with LF, CR or CR LF.
    pub line: usize,
    /// In characters.
    pub column: usize,
}

impl Location {
    /// The place that is so many bytes into a text.
    pub(super) fn of(text: &str, offset: usize) -> Self {
        let mut location = Self { line: 1, column: 1 };
        let mut last = '\0';
        for (_, c) in text.char_indices().take_while(|(at, _)| *at < offset) {
            match c {
                '\n' if last == '\r' => {}
                '\n' | '\r' => location = Self { line: location.line + 1, column: 1 },
                _ => location.column += 1,
            }
            last = c;
        }
        location
    }
}

impl DocumentError {
    pub(super) fn new(code: &'static str, message: impl Into<Cow<'static, str>>) -> Self {
        Self { code, message: message.into(), locations: Vec::new() }
    }

    pub(super) fn syntax(message: &str) -> Self {
        Self::new("syntax", format!("Syntax error: {message}"))
    }

    /// The same error at a place more.
    #[must_use]
    pub(super) fn at(mut self, location: Location) -> Self {
        self.locations.push(location);
        self
    }

    /// As an element of a response's `errors`: `{"message":…,"locations":[{"line":1,"column":1}]}`. An error without a
    /// place has no `locations`.
    pub fn to_json(&self) -> Value {
        match self.locations.as_slice() {
            [] => json!({ "message": self.message }),
            locations => json!({ "message": self.message, "locations": locations }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_end_as_graphql_says() {
        let text = "a\nb\rc\r\nä€d";
        let places = [(0, 1, 1), (2, 2, 1), (4, 3, 1), (5, 3, 2), (7, 4, 1), (9, 4, 2), (12, 4, 3), (99, 4, 4)];
        for (offset, line, column) in places {
            assert_eq!(Location::of(text, offset), Location { line, column }, "{offset}");
        }
    }

    #[test]
    fn it_is_an_error_of_graphql() {
        let error = DocumentError::syntax("expected a name");
        assert_eq!(error.to_json().to_string(), r#"{"message":"Syntax error: expected a name"}"#);
        let error = error.at(Location { line: 2, column: 7 });
        assert_eq!(
            error.to_json().to_string(),
            r#"{"message":"Syntax error: expected a name","locations":[{"line":2,"column":7}]}"#
        );
    }
}
