use std::fmt::Write as _;

use carillon::routes::{self, Access, Admission, Route, Surface};

use crate::source::{SourceFile, read, root};
use crate::tokens::Token;

const PATH: &str = "docs/api.md";

const OPENING: &str = "# API

<!-- Written by `UPDATE_DOCS=1 cargo test --test source_rules` from src/routes and src/http/problem.rs. Do not edit. -->

Every operation, by the host it lives on. `{name}` in a path is one segment, percent-encoded. GET serves HEAD too; OPTIONS lists a
path's methods and, on a tenant's host, answers preflights.

**Successes** are `application/json` in one envelope: `{\"success\": true, \"data\": …}`, with `tenant_id` where the data is a tenant's, and
with `pagination` where it is a list. Bodies are JSON objects of at most 256 KB; a field that is not known is an error.

**Lists** carry `pagination`: `{per_page, has_next, has_prev, cursor}`. `cursor` is opaque and signed: send it back as it is, with the same
filters, for the rows that follow. It is `null` where none follow, and good for no other list. `page` stands there where pages were asked for,
`total` and `total_pages` where rows were counted.

**Changes** take `If-Match` with the `ETag` that was read, and are 412 if the object changed since. A change that is 202 with `pending: true` is
certain and arrives by itself. With `Idempotency-Key`, the same key gives the first answer again for 24 hours.

**Rates** stand in the answers of what draws from requests or webhooks, where the tenant has such a limit: `X-RateLimit-Limit`,
`X-RateLimit-Remaining` (a lower bound), `X-RateLimit-Reset` (seconds since 1970), and the IETF draft's `RateLimit-Policy` and `RateLimit`. Over a
limit the answer is 429 with `Retry-After`.

**Problems** are `application/problem+json` (RFC 9457): `type` (`urn:carillon:problem:{code}`), `title`, `status`, `detail`, and ours: `success`
(false), `error`, `code`, `request_id`, and `errors`, one `{pointer, code, message}` per field that is wrong. `pointer` is a JSON pointer into the
body, or `?name` for a query parameter. What one caller may not know of answers exactly as what is not there. Any operation may answer with these:
";

#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Problem {
    status: String,
    code: String,
    title: String,
}

/// The problems that a source makes, by status and code: `Problem::new(404, "not_found", "Not found")`.
fn problems(file: &SourceFile) -> Vec<Problem> {
    let calls = file.find(&["Problem", ":", ":", "new", "("]).into_iter().map(|(at, _)| &file.tokens[at + 5..at + 10]);
    let read = |call: &[(Token, usize)]| match call {
        [(Token::Number(status), _), _, (Token::Text(code), _), _, (Token::Text(title), _)] => {
            Problem { status: status.clone(), code: code.clone(), title: title.clone() }
        }
        other => panic!("a problem whose status, code and title are not written out: {other:?}"),
    };
    let mut problems: Vec<Problem> = calls.map(read).collect();
    problems.sort();
    problems
}

fn reference(problems: &[Problem]) -> String {
    let mut page = String::from(OPENING);
    page.push_str("\n| status | code | title |\n|---|---|---|\n");
    for Problem { status, code, title } in problems {
        writeln!(page, "| {status} | `{code}` | {title} |").unwrap();
    }
    for surface in [Surface::Platform, Surface::Tenant, Surface::Both] {
        write!(page, "\n## {}\n", on_surface(surface)).unwrap();
        for route in routes::all().filter(|route| route.surface == surface) {
            write_route(&mut page, route);
        }
    }
    page
}

fn write_route(page: &mut String, route: &Route) {
    let method = route.method.to_string();
    write!(page, "\n### {}\n\n`{method} {}`\n\n{}\n\n", route.name, route.path, route.summary).unwrap();
    let aliases: Vec<String> = route.aliases.iter().map(|alias| format!("`{alias}`")).collect();
    let lines = [
        ("Also", aliases.join(", ")),
        ("For", for_whom(route.access)),
        ("Draws from", from_what(route.admission).into()),
        ("Request", route.request.into()),
        ("Answer", route.answer.into()),
    ];
    for (what, text) in lines.iter().filter(|(_, text)| !text.is_empty()) {
        writeln!(page, "- {what}: {text}").unwrap();
    }
}

fn on_surface(surface: Surface) -> &'static str {
    match surface {
        Surface::Platform => "On the platform's host",
        Surface::Tenant => "On a tenant's host",
        Surface::Both => "In a tenant: on its host, or on the platform's with a credential that names it",
    }
}

fn for_whom(access: Access) -> String {
    let whom = match access {
        Access::Anyone | Access::Visitor => "everybody.",
        Access::Operator(permission) => {
            let permission = permission.as_str();
            return format!("operators with `{permission}`: a platform key, or a session, as `Authorization: Bearer`.");
        }
        Access::SignedInOperator => "operators who are signed in, by their session as `Authorization: Bearer`.",
        Access::Member(permission) => {
            let permission = permission.as_str();
            return format!(
                "whoever has `{permission}` in the tenant: a key or a token as `Authorization: Bearer`, or the session cookie. A platform key names the tenant with `X-Tenant-ID`."
            );
        }
        Access::Reader(permission) => {
            let permission = permission.as_str();
            return format!(
                "whoever has `{permission}` in the tenant, by a key, a token or the session cookie; and everybody on the tenant's host, for what is public."
            );
        }
        Access::User => "users who are signed in: a token as `Authorization: Bearer`, or the session cookie.",
        Access::SignIn => "everybody, from an address and an origin that the tenant lets in.",
        Access::OptionalSubscriber => "everybody; a subscriber token that is presented must be valid.",
        Access::Subscriber => "subscribers, with a token of the tenant.",
        Access::Mercure => "everybody on the tenant's host; what takes a token of Mercure's, docs/mercure.md says.",
        Access::Signature => "the tenant's site, which signs the body with the webhook secret.",
    };
    whom.to_owned()
}

fn from_what(admission: Admission) -> &'static str {
    match admission {
        Admission::Unmetered => "nothing but the filter per address.",
        Admission::Requests => "the tenant's requests; without a token, from those of strangers.",
        Admission::Streams => "the tenant's streams.",
        Admission::Webhooks => "the tenant's webhooks, once it is accepted.",
    }
}

fn of_this_project() -> String {
    let problem = SourceFile::of("src/http/problem.rs", &read("src/http/problem.rs")).without_tests();
    reference(&problems(&problem))
}

/// The problems of this project, by status and code.
pub fn problems_of_this_project() -> Vec<(String, String)> {
    let problem = SourceFile::of("src/http/problem.rs", &read("src/http/problem.rs")).without_tests();
    problems(&problem).into_iter().map(|problem| (problem.status, problem.code)).collect()
}

#[test]
fn the_api_reference_is_the_route_table() {
    let page = of_this_project();
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(root().join(PATH), &page).unwrap();
    }
    let written = std::fs::read_to_string(root().join(PATH)).unwrap_or_default();
    let differs = page.lines().zip(written.lines()).find(|(page, written)| page != written);
    assert!(
        page == written,
        "{PATH} is out of date (first at {differs:?}): UPDATE_DOCS=1 cargo test --test source_rules writes it"
    );
}

#[test]
fn every_operation_and_every_problem_is_in_the_reference() {
    let page = of_this_project();
    for route in routes::all() {
        assert!(page.contains(&format!("### {}\n", route.name)), "{}", route.name);
        assert!(!route.summary.is_empty() && !route.answer.is_empty(), "{} says what it does and answers", route.name);
    }
    let source = SourceFile::of(
        "src/http/problem.rs",
        "Problem::new(404, \"not_found\", \"Not found\"); Problem::new(\n400, \"a\", \"A\",\n)",
    );
    let codes: Vec<String> = problems(&source).into_iter().map(|problem| problem.code).collect();
    assert_eq!(codes, ["a", "not_found"]);
}

#[test]
fn no_two_problems_share_a_code() {
    let problem = SourceFile::of("src/http/problem.rs", &read("src/http/problem.rs")).without_tests();
    let problems = problems(&problem);
    assert!(problems.len() > 20, "{}", problems.len());
    let mut codes = std::collections::BTreeSet::new();
    for problem in &problems {
        assert!(codes.insert(&problem.code), "{problem:?}");
    }
}
