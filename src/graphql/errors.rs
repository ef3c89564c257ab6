//! What is wrong with a request itself, told as GraphQL over HTTP tells it: in `errors`, with a status by the media type.

use crate::http::accept::Accept;
use crate::http::problem::{self, Problem};
use crate::http::response::Response;
use domain::graphql::DocumentError;
use domain::json;
use serde_json::Value;

/// The media type of responses whose status tells whether the document was executed.
const RESPONSE: &str = "application/graphql-response+json";
/// The media type of before, where a well-formed request is answered with 200.
const JSON: &str = "application/json";

/// The media type that a client gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MediaType {
    /// `application/graphql-response+json`.
    Response,
    /// `application/json`.
    Json,
}

impl MediaType {
    /// The one that a client prefers; `application/json` for whoever takes both alike without naming the other. 406 if it
    /// takes neither.
    pub fn chosen_by(accept: &Accept) -> Result<Self, Problem> {
        let (response, json) = (accept.quality(RESPONSE), accept.quality(JSON));
        if !accept.takes(RESPONSE) && !accept.takes(JSON) {
            return Err(problem::not_acceptable(RESPONSE));
        }
        let prefers_response = response > json || response == json && accept.names(RESPONSE);
        Ok(if prefers_response { Self::Response } else { Self::Json })
    }

    /// That of a site's response: one of the two, in UTF-8. Whatever else stands there, a browser might take for another type.
    pub fn of_site(sent: &str) -> Option<Self> {
        let sent = sent.to_ascii_lowercase();
        let mut parts = sent.split(';').map(str::trim);
        let media_type = match parts.next()? {
            RESPONSE => Self::Response,
            JSON => Self::Json,
            _ => return None,
        };
        let is_utf8 = |part: &str| matches!(part, "" | "charset=utf-8" | "charset=\"utf-8\"");
        parts.all(is_utf8).then_some(media_type)
    }

    /// What a site is told to answer in, for a client that gets this one.
    pub fn accepted(self) -> &'static str {
        match self {
            Self::Response => "application/graphql-response+json, application/json;q=0.9",
            Self::Json => "application/json, application/graphql-response+json;q=0.9",
        }
    }

    /// As the header says it.
    pub fn header(self) -> &'static str {
        match self {
            Self::Response => "application/graphql-response+json; charset=utf-8",
            Self::Json => "application/json; charset=utf-8",
        }
    }
}

/// Why a request is not passed on.
#[derive(Debug)]
pub enum Refused {
    /// It is no GraphQL request, or one that this tenant does not take: 400 for every media type.
    Request(GraphqlError),
    /// Its document cannot be executed: 400, but 200 for `application/json`.
    Document(GraphqlError),
    /// It changes something and was sent by GET: 405.
    Method(GraphqlError),
    /// A problem of the platform's.
    Problem(Problem),
}

/// An error as GraphQL lists it.
#[derive(Debug)]
pub struct GraphqlError(Value);

impl GraphqlError {
    /// An error with a code for programs.
    pub fn new(code: &'static str, message: impl Into<String>) -> Self {
        Self(json!({ "message": message.into(), "extensions": { "code": code } }))
    }

    /// Its text.
    pub fn message(&self) -> String {
        self.0.get("message").and_then(Value::as_str).unwrap_or_default().to_owned()
    }
}

impl From<Problem> for Refused {
    fn from(problem: Problem) -> Self {
        Self::Problem(problem)
    }
}

impl From<DocumentError> for Refused {
    fn from(error: DocumentError) -> Self {
        let mut listed = error.to_json();
        if let Value::Object(members) = &mut listed {
            members.insert("extensions".into(), json!({ "code": error.code.to_ascii_uppercase() }));
        }
        Self::Document(GraphqlError(listed))
    }
}

impl Refused {
    /// A request without what it must have, or with what it must not.
    pub fn request(message: impl Into<String>) -> Self {
        Self::Request(GraphqlError::new("BAD_REQUEST", message))
    }

    /// A text that is not the one that the request names.
    pub fn mismatch(message: &'static str) -> Self {
        Self::Request(GraphqlError::new("PERSISTED_QUERY_HASH_MISMATCH", message))
    }

    /// A name of no document that is known here. Apollo's clients, and others that follow its protocol, know this text and
    /// send the document.
    pub fn unknown_document() -> Self {
        Self::Document(GraphqlError::new("PERSISTED_QUERY_NOT_FOUND", "PersistedQueryNotFound"))
    }

    /// The response.
    pub fn into_response(self, media_type: MediaType) -> Result<Response, Problem> {
        let (status, error) = match self {
            Self::Problem(problem) => return Err(problem),
            Self::Request(error) => (400, error),
            Self::Document(error) => (if media_type == MediaType::Json { 200 } else { 400 }, error),
            Self::Method(error) => (405, error),
        };
        let body = json!({ "errors": [error.0] }).to_string();
        let response = Response::graphql(status, body, media_type.header());
        Ok(if status == 405 { response.header("Allow", "POST") } else { response })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_site_answers_in_one_of_two_types_and_nothing_beside() {
        for (sent, expected) in [
            ("application/json", Some(MediaType::Json)),
            ("Application/JSON ; charset=UTF-8", Some(MediaType::Json)),
            ("application/json; charset=\"utf-8\"", Some(MediaType::Json)),
            ("application/graphql-response+json;charset=utf-8", Some(MediaType::Response)),
            ("application/json;, text/html", None),
            ("application/json, text/html", None),
            ("application/x,text/html,+json", None),
            ("application/json; charset=utf-7", None),
            ("application/json; a=b", None),
            ("application/problem+json", None),
            ("multipart/mixed; boundary=a", None),
            ("text/html", None),
            ("", None),
        ] {
            assert_eq!(MediaType::of_site(sent), expected, "{sent}");
        }
    }
}
