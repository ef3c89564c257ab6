//! What goes in and out of an operation. The OpenAPI document, the API reference and the CORS headers are made of it.
//!
//! Texts are in the notation of `openapi/notation.rs`; `Names` are defined in `openapi/schemas.rs`. `<…>` after a
//! parameter, a member, an answer or a code is a note for readers. What follows from the endpoint and the admission class
//! is added to the documents and not repeated here.

/// The contract of one operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Contract {
    /// Parameters beside those of the path: `name?: schema` is one of the query, a name alone is a shared one.
    pub params: &'static str,
    /// The body.
    pub body: RequestBody,
    /// Answers: `201 User +Location; 409 conflict <the address is taken> user_limit_reached`. Of a success: its status,
    /// its data and its headers. Of a problem: its status and the codes that are particular to this operation.
    pub answers: &'static str,
}

/// The body of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RequestBody {
    /// None is read.
    None,
    /// One of this schema may be sent.
    Optional(&'static str),
    /// One of this schema is sent.
    Required(&'static str),
    /// A form of this schema is sent.
    Form(&'static str),
    /// Bytes are sent, of the type that their header says. The text says what they are.
    Bytes(&'static str),
}

/// One status that an operation answers with.
#[derive(Debug, PartialEq, Eq)]
pub enum ResponseSpec<'t> {
    /// A status below 400.
    Success {
        /// The status.
        status: u16,
        /// The data's form and schema: `User`, `list User`, `html`; empty where there is no body.
        data: &'t str,
        /// The headers it carries beside the usual ones.
        headers: Vec<&'t str>,
        /// What readers should know; may be empty.
        note: &'t str,
    },
    /// A status from 400 with what is wrong as GraphQL tells it, or with a problem.
    Graphql {
        /// The status.
        status: u16,
        /// What readers should know.
        note: &'t str,
    },
    /// A status from 400.
    Problem {
        /// The status.
        status: u16,
        /// The codes, each with what it means here; the meaning may be empty.
        codes: Vec<(&'t str, &'t str)>,
    },
}

impl Contract {
    /// The names of the parameters that are not the path's.
    pub fn param_names(&self) -> impl Iterator<Item = &'static str> {
        let name = |param: &'static str| {
            let end = param.find(|c: char| !(c.is_ascii_alphanumeric() || matches!(c, '_' | '-')));
            param.get(..end.unwrap_or(param.len()))
        };
        pieces(self.params, ',').into_iter().filter_map(name)
    }

    /// Whether a parameter of the query may be sent more than once.
    pub fn takes_several(&self, name: &str) -> bool {
        let is_list = |param: &&str| param.split('<').next().unwrap_or_default().contains("[]");
        let is_it = |param: &&str| param.split(['?', ':']).next().is_some_and(|known| known.trim() == name);
        pieces(self.params, ',').iter().filter(|param| is_it(param)).any(is_list)
    }

    /// Whether it has a parameter of this name that is not the path's.
    pub fn names(&self, name: &str) -> bool {
        self.param_names().any(|param| param == name)
    }

    /// Whether it has a parameter of the query: one with a schema of its own.
    pub fn has_own_params(&self) -> bool {
        pieces(self.params, ',').iter().any(|param| param.split('<').next().unwrap_or_default().contains(':'))
    }

    /// What it answers, by status; none if the text cannot be read, which a test rules out.
    pub fn responses(&self) -> Option<Vec<ResponseSpec<'static>>> {
        pieces(self.answers, ';').into_iter().map(response).collect()
    }
}

fn response(text: &'static str) -> Option<ResponseSpec<'static>> {
    let (status, rest) = text.split_once(' ').unwrap_or((text, ""));
    let status = status.parse::<u16>().ok()?;
    if let Some(note) = rest.strip_prefix("graphql ").filter(|_| status >= 400) {
        let note = note.trim().strip_prefix('<').and_then(|note| note.strip_suffix('>'))?;
        return Some(ResponseSpec::Graphql { status, note });
    }
    if status >= 400 {
        return Some(ResponseSpec::Problem { status, codes: codes(rest)? });
    }
    let (rest, note) = match rest.strip_suffix('>') {
        Some(rest) => rest.rsplit_once('<')?,
        None => (rest, ""),
    };
    let mut parts = pieces(rest, '+').into_iter();
    let data = parts.next().unwrap_or_default();
    Some(ResponseSpec::Success { status, data, headers: parts.collect(), note })
}

/// `conflict <the slug is taken> too_many`, as codes and what they mean.
fn codes(text: &'static str) -> Option<Vec<(&'static str, &'static str)>> {
    let (mut codes, mut rest) = (Vec::new(), text.trim());
    while !rest.is_empty() {
        let (code, behind) = rest.split_once(' ').unwrap_or((rest, ""));
        let (note, behind) = match behind.strip_prefix('<') {
            Some(noted) => noted.split_once('>')?,
            None => ("", behind),
        };
        codes.push((code, note));
        rest = behind.trim_start();
    }
    Some(codes)
}

/// Splits a text in the notation at a separator, but not inside brackets, notes, literals and patterns. Trims the pieces.
pub fn pieces(text: &'static str, separator: char) -> Vec<&'static str> {
    let (mut pieces, mut from, mut depth) = (Vec::new(), 0, 0_usize);
    let mut closes: Option<&str> = None;
    for (at, c) in text.char_indices() {
        let rest = text.get(at..).unwrap_or_default();
        match (closes, c) {
            (Some(end), _) if rest.starts_with(end) => closes = None,
            (Some(_), _) => {}
            (None, '<') => closes = Some(">"),
            (None, '\'') => closes = Some("'"),
            (None, '/') if rest.starts_with("/^") => closes = Some("$/"),
            (None, '{' | '(' | '[') => depth += 1,
            (None, '}' | ')' | ']') => depth = depth.saturating_sub(1),
            (None, c) if c == separator && depth == 0 => {
                pieces.extend(text.get(from..at));
                from = at + separator.len_utf8();
            }
            (None, _) => {}
        }
    }
    pieces.extend(text.get(from..).filter(|last| !last.trim().is_empty() || from > 0));
    pieces.into_iter().map(str::trim).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(params: &'static str, answers: &'static str) -> Contract {
        Contract { params, body: RequestBody::None, answers }
    }

    #[test]
    fn an_answer_has_a_status_data_headers_and_notes() {
        let answers = of(
            "",
            "201 {a: string/^[;+<]$/ <one; or more>, b: 'x+y'} +Location +ETag <shown once>; 204; \
             409 conflict <it is taken; by others> too_many; 422 validation_failed",
        );
        let responses = answers.responses().unwrap();
        let data = "{a: string/^[;+<]$/ <one; or more>, b: 'x+y'}";
        let headers = vec!["Location", "ETag"];
        assert_eq!(responses[0], ResponseSpec::Success { status: 201, data, headers, note: "shown once" });
        assert_eq!(responses[1], ResponseSpec::Success { status: 204, data: "", headers: vec![], note: "" });
        let codes = vec![("conflict", "it is taken; by others"), ("too_many", "")];
        assert_eq!(responses[2], ResponseSpec::Problem { status: 409, codes });
        assert_eq!(responses[3], ResponseSpec::Problem { status: 422, codes: vec![("validation_failed", "")] });
        assert_eq!(of("", "twohundred User").responses(), None);
        assert_eq!(of("", "409 conflict <open").responses(), None);
    }

    #[test]
    fn parameters_have_names() {
        let shared = of("limit, cursor, If-Match <a: b>", "");
        assert_eq!(shared.param_names().collect::<Vec<_>>(), ["limit", "cursor", "If-Match"]);
        assert!(!shared.has_own_params());
        let own = of("q?: string(..9) <text, in a or b>, s?: 'a'|'b,c', n: int(1..2)", "");
        assert_eq!(own.param_names().collect::<Vec<_>>(), ["q", "s", "n"]);
        assert!(own.has_own_params());
        assert_eq!(of("", "").param_names().count(), 0);
    }
}
