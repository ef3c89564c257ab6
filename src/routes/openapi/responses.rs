//! The responses of an operation: what its contract lists, and what follows from who may call it.

use worker::Method;

use super::notation::{self, quoted, reference};
use super::schemas::FIND;
use crate::routes::contract::{RequestBody, ResponseSpec};
use crate::routes::query;
use crate::routes::route::{Route, Surface};

/// What a problem of each status means, whatever the operation.
const PROBLEMS: &[(u16, &str)] = &[
    (400, "The request is malformed."),
    (401, "A valid credential is required."),
    (403, "This principal, address or origin may not do this."),
    (404, "There is none, or none for this caller."),
    (405, "The method is not allowed here."),
    (406, "There is no representation that `Accept` takes."),
    (409, "It contradicts what is there."),
    (411, "The body's length is not announced."),
    (412, "The object is not in the state that the request's conditions ask for."),
    (413, "The body is too large."),
    (415, "The body's media type or content encoding is not supported."),
    (416, "The range lies behind the end."),
    (422, "The body is not valid; `errors` names each mistake."),
    (429, "Over a limit; `Retry-After` tells the seconds."),
    (502, "Another server, which was asked, cannot be used."),
    (503, "A part of the platform does not answer; trying again is right."),
    (504, "Another server, which was asked, takes too long; trying again is right."),
];

/// The shared responses, as members of JSON: one for each status that a problem may have.
pub fn shared() -> String {
    let responses = PROBLEMS.iter().map(|(status, about)| member(*status, &problem(*status, about)));
    responses.collect::<Vec<_>>().join(",")
}

/// The responses of an operation on this kind of host, as members of JSON.
pub fn responses(route: &Route, surface: Surface) -> Option<String> {
    let mut responses: Vec<(u16, String)> = Vec::new();
    for spec in route.contract.responses()? {
        responses.push(match spec {
            ResponseSpec::Success { status, data, headers, note } => {
                (status, success(data, &[headers, implied_headers(route)].concat(), note)?)
            }
            ResponseSpec::Graphql { status, note } => {
                let forms = [content("application/problem+json", &reference("schemas", "Problem")), graphql()];
                (status, response(&["What is wrong: ", note, "."].concat(), &forms.join(","), problem_headers(status)))
            }
            ResponseSpec::Problem { status, codes } => {
                let about = PROBLEMS.iter().find(|(known, _)| *known == status)?.1;
                (status, problem(status, &[about, " ", &listed(&codes)].concat()))
            }
        });
    }
    // Both are listed in their order.
    for status in implied(route, surface) {
        let at = responses.iter().position(|(listed, _)| *listed >= status).unwrap_or(responses.len());
        if responses.get(at).is_none_or(|(listed, _)| *listed != status) {
            responses.insert(at, (status, reference("responses", &status.to_string())));
        }
    }
    Some(responses.iter().map(|(status, response)| member(*status, response)).collect::<Vec<_>>().join(","))
}

/// Codes with what they mean: `` `conflict` (the slug is taken), `too_many` ``.
fn listed(codes: &[(&str, &str)]) -> String {
    let one = |(code, note): &(&str, &str)| match *note {
        "" => ["`", code, "`"].concat(),
        note => ["`", code, "` (", note, ")"].concat(),
    };
    codes.iter().map(one).collect::<Vec<_>>().join(", ")
}

fn member(status: u16, response: &str) -> String {
    ["\"", &status.to_string(), "\":", response].concat()
}

/// The statuses of problems that follow from where an operation is, who may call it and what it reads.
pub fn implied(route: &Route, surface: Surface) -> Vec<u16> {
    let Route { endpoint, contract, .. } = route;
    let reads_body = contract.body != RequestBody::None;
    let is_form = matches!(contract.body, RequestBody::Form(_));
    let selects = surface == Surface::Platform && endpoint.enters_by_credential();
    let is_tenants = surface == Surface::Tenant || endpoint.enters_by_credential();
    let names = |name: &str| contract.names(name);
    let is_conditional = names("If-Match") || names("If-Unmodified-Since");
    let reads_query = contract.has_own_params() || names("cursor") || names("Idempotency-Key");
    let rules = [
        (400, reads_body || selects || reads_query || query::refuses_unknown(route)),
        (401, endpoint.can_be_unauthorized()),
        (403, endpoint.can_be_forbidden()),
        (404, is_tenants || route.path.contains('{')),
        (412, is_conditional || names("If-None-Match") && route.method != Method::Get),
        (413, reads_body),
        (415, reads_body),
        (422, reads_body && !is_form),
        (429, true),
        (503, true),
    ];
    rules.into_iter().filter(|(_, holds)| *holds).map(|(status, _)| status).collect()
}

/// A success with data: `User`, `list User`, `raw Jwks`, `linked {…}` (JSON or JSON-LD), `html`, `css`, `script`,
/// `text`, `events`, `bytes`, `graphql`, `graphql html`, or nothing.
fn success(data: &str, headers: &[&str], note: &str) -> Option<String> {
    let (form, shown) = data.split_once(' ').unwrap_or((data, ""));
    let text = |media_type: &str| content(media_type, "{\"type\":\"string\"}");
    let content = match form {
        "" => String::new(),
        "html" => text("text/html"),
        "bytes" => content("*/*", "true"),
        "graphql" if shown == "html" => [graphql(), text("text/html")].join(","),
        "graphql" => graphql(),
        "css" => text("text/css"),
        "script" => text("text/javascript"),
        "text" => text("text/plain"),
        "events" => text("text/event-stream"),
        "raw" => content("application/json", &notation::schema(shown, FIND)?),
        "linked" => {
            let shown = notation::schema(shown, FIND)?;
            [content("application/json", &shown), content("application/ld+json", &shown)].join(",")
        }
        "list" => content("application/json", &enveloped(&notation::schema(shown, FIND)?, true)),
        _ => content("application/json", &enveloped(&notation::schema(data, FIND)?, false)),
    };
    let about = if note.is_empty() { "Success.".to_owned() } else { ["Success: ", note, "."].concat() };
    Some(response(&about, &content, headers))
}

/// A GraphQL response, or a list of them, in either of its media types.
fn graphql() -> String {
    let shown = "{\"type\":[\"object\",\"array\"]}";
    [content("application/graphql-response+json", shown), content("application/json", shown)].join(",")
}

/// The envelope of successes around what they show.
fn enveloped(data: &str, is_list: bool) -> String {
    let (before, behind, required) = match is_list {
        true => (
            "{\"type\":\"array\",\"items\":",
            "},\"pagination\":{\"$ref\":\"#/components/schemas/Pagination\"}",
            ",\"pagination\"",
        ),
        false => ("", "", ""),
    };
    let opening = "{\"type\":\"object\",\"properties\":{\"success\":{\"const\":true},\"data\":";
    let closing = ",\"tenant_id\":{\"type\":\"string\"}},\"required\":[\"success\",\"data\"";
    [opening, before, data, behind, closing, required, "],\"additionalProperties\":false}"].concat()
}

/// The headers that follow from what an operation reads, of its successes.
pub fn implied_headers(route: &Route) -> Vec<&'static str> {
    let rules = [("Idempotency-Key", "Idempotent-Replayed"), ("Prefer", "Preference-Applied")];
    rules.into_iter().filter(|(read, _)| route.contract.names(read)).map(|(_, sent)| sent).collect()
}

/// The headers that a problem of this status may have.
pub fn problem_headers(status: u16) -> &'static [&'static str] {
    match status {
        401 => &["WWW-Authenticate"],
        405 => &["Allow"],
        409 | 503 => &["Retry-After"],
        429 => &["Retry-After", "RateLimit"],
        415 => &["Accept-Encoding"],
        416 => &["Content-Range"],
        _ => &[],
    }
}

fn problem(status: u16, about: &str) -> String {
    let content = content("application/problem+json", &reference("schemas", "Problem"));
    response(about, &content, problem_headers(status))
}

fn response(about: &str, content: &str, headers: &[&str]) -> String {
    let mut response = ["{\"description\":", &quoted(about)].concat();
    if !content.is_empty() {
        response.push_str(&[",\"content\":{", content, "}"].concat());
    }
    if !headers.is_empty() {
        let headers: Vec<String> =
            headers.iter().map(|name| [&quoted(name), ":{\"schema\":{\"type\":\"string\"}}"].concat()).collect();
        response.push_str(&[",\"headers\":{", &headers.join(","), "}"].concat());
    }
    response.push('}');
    response
}

/// A media type and its schema, as a member of JSON.
pub fn content(media_type: &str, schema: &str) -> String {
    ["\"", media_type, "\":{\"schema\":", schema, "}"].concat()
}
