use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use carillon::routes::contract::{RequestBody, ResponseSpec, pieces};
use carillon::routes::openapi::document::names_its_tenant;
use carillon::routes::openapi::responses::implied;
use carillon::routes::openapi::schemas::{self, FIND};
use carillon::routes::{self, Admission, Endpoint, Route, Surface, TokenRule};
use domain::plan::Limits;
use serde_json::Value;

use crate::shapes::Shape;
use crate::source::{SourceFile, read, root};
use crate::statements::migrated;
use crate::tokens::Token;

const PATH: &str = "docs/api.md";

const OPENING: &str = "# API

<!-- Written by `UPDATE_DOCS=1 cargo test --test source_rules` from src/routes and src/http/problem.rs. Do not edit. -->

Every operation, by the host it lives on. `{name}` in a path is one segment, percent-encoded. GET serves HEAD too; OPTIONS lists a
path's methods and, on a tenant's host, answers preflights.

**Successes** are `application/json` in one envelope: `{\"success\": true, \"data\": …}`, with `tenant_id` where the data is a tenant's, and
with `pagination` where it is a list. Bodies are JSON objects of at most 256 KB; a field that is not known is an error.

**Lists** carry `pagination`: `{per_page, has_next, has_prev, cursor}`. `cursor` is opaque and signed: send it back as it is, with the same
filters, for the rows that follow, also behind a page that was asked for by number (then without `page`). It is good for no other list. `page` stands there where pages were asked for,
`total` and `total_pages` where rows were counted. `partial` is there, and true, where a bound ended the page early, and `cut` says which: `{by, bound}`, of the `bytes` that a page
shows (1 MB) or of the `records` that a list reads. Without `cursor` no row can follow: without `cut` because there is none, with `cut` because what lies beyond the bound is not listed. A page by
number that begins beyond the bound is 400 and names `page` with its bound. `total_is_lower_bound` is there, and true, where counting ended at its bound.

**Every answer** carries `X-Request-Id`, which its log line has too, and `X-Carillon-Version`, the release that answered.

**Changes** take `If-Match` with the `ETag` that was read, and are 412 if the object changed since. A change that is 202 with `pending: true` is
certain and arrives by itself. With `Idempotency-Key`, the same key gives the first answer again for 24 hours. What GET showed of a thing can be sent back with PUT or PATCH as it
is: a member that the platform sets is ignored where it is what is shown (or counts by itself, as `last_used_at`), and refused as `read_only` where it is another.

**A tenant's first owner** comes from outside it: a new tenant has no users, and `admin_email` makes nobody one. Whoever may act there, a platform key with `X-Tenant-ID` or an operator who
entered it (`auth.switch`), sends `POST /api/v1/invitations` with `{\"email\": …, \"role\": \"owner\"}`; who is invited accepts on the tenant's host. Or `POST /api/v1/users` makes the
user, who sets a password by `auth.password.forgot`. `role` is `viewer` wherever a user is made, invited or registers without one; single sign-on lets nobody new in without a role that its settings name.

**The primary domain** of a tenant is `domain`, the first of its `custom_domains`: the first one of the list that was sent, or the one that `domains.attach` or `domains.patch` gave `is_primary`. Where it goes,
the oldest one that is served takes its place. It is the one that an application of single sign-on gets its redirect URIs from. `{slug}.{root}` is the tenant's host beside it, always.

**Rates** stand in the answers of what draws from requests or webhooks, where the tenant has such a limit: `X-RateLimit-Limit`,
`X-RateLimit-Remaining` (a lower bound), `X-RateLimit-Reset` (seconds since 1970), and the IETF draft's `RateLimit-Policy` and `RateLimit`: of a
minute and a day those of the window in which fewer are left. Over a limit the answer is 429 with `Retry-After`.

**Problems** are `application/problem+json` (RFC 9457): `type` (`urn:carillon:problem:{code}`), `title`, `status`, `detail`, and ours: `success`
(false), `error`, `code`, `request_id`, and `errors`, one `{pointer, code, message}` per field that is wrong. `pointer` is a JSON pointer into the
body, or `?name` for a query parameter. What one caller may not know of answers exactly as what is not there.

**Shapes** of parameters, bodies and the `data` of answers are written so; `Names` are listed [at the end](#shapes).

| written | means |
|---|---|
| `string`, `int`, `bool`, `any`, `null`, `true`, `'word'` | the JSON type, or the one value |
| `text` | a string without control characters |
| `time` | a string, RFC 3339 |
| `string(1..200)`, `int(0..)` | bounds: of a length in bytes of UTF-8, of a value |
| `string/^[a-z]+$/` | a pattern |
| `T[]`, `T[](1..100)` | a list, and how many |
| `T?` | or `null` |
| `A\\|B` | one of them |
| `{a: T, b?: T, c??: T}` | an object; `b` may be left out, `c` may be left out or `null` |
| `{*: T}` | an object of any names |
| `{...User, key: string}` | with the members of `User` too |
| `{a: T, ...}` | further members may be there; else there are none |
| `list T` | a list with `pagination` beside `data` |
| `raw T` | the whole answer, without the envelope |
| `linked T` | likewise, as `application/ld+json` where that is asked for |
| `html`, `css`, `script`, `text` | `text/html`, `text/css`, `text/javascript`, `text/plain` |
| `graphql`, `graphql html` | `application/graphql-response+json` or `application/json`, as `Accept` says; or `text/html` |
| `events` | a stream of Server-Sent Events, `text/event-stream` |
| `bytes` | bytes of the type that `Content-Type` says |

Any operation may answer with these problems; each names the codes that are particular to it.
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
    write_plans(&mut page);
    write_parameters(&mut page);
    write_shapes(&mut page);
    page
}

/// What the plans allow, from the rows of CONTROL: by the names of `limits` and `rate_limits`.
fn write_plans(page: &mut String) {
    let db = migrated("migrations/control");
    let mut plans = db.prepare("SELECT id, limits, features FROM plans ORDER BY position").unwrap();
    let read =
        |row: &rusqlite::Row<'_>| Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?, row.get::<_, String>(2)?));
    let plans: Vec<_> = plans.query_map((), read).unwrap().map(Result::unwrap).collect();
    let columns: Vec<(String, BTreeMap<String, String>)> = plans
        .into_iter()
        .map(|(id, limits, features)| {
            let limits: Limits = serde_json::from_str(&limits).unwrap();
            let mut cells = BTreeMap::new();
            cells_of("", &serde_json::to_value(limits.named()).unwrap(), &mut cells);
            cells_of("features", &serde_json::from_str(&features).unwrap(), &mut cells);
            (id, cells)
        })
        .collect();
    let rows: BTreeSet<&String> = columns.iter().flat_map(|(_, cells)| cells.keys()).collect();
    page.push_str("\n## Plans\n\nWhat a plan allows: `limits` of its tenants, where `rate_limits` does not override them, and `features`. `-1` is no limit; `*` is every other \
        collection. A tenant that names no plan has `free`.\n\n");
    let heads: Vec<_> = columns.iter().map(|(id, _)| format!("`{id}`")).collect();
    writeln!(page, "| | {} |\n|---|{}", heads.join(" | "), "---|".repeat(heads.len())).unwrap();
    for row in rows {
        let cells = columns.iter().map(|(_, cells)| cells.get(row).map_or("–", String::as_str));
        writeln!(page, "| `{row}` | {} |", cells.collect::<Vec<_>>().join(" | ")).unwrap();
    }
}

/// A cell for each value, by its path.
fn cells_of(path: &str, value: &Value, cells: &mut BTreeMap<String, String>) {
    match value {
        Value::Object(members) => {
            for (name, member) in members {
                let inside = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
                cells_of(&inside, member, cells);
            }
        }
        other => drop(cells.insert(path.to_owned(), other.to_string())),
    }
}

fn write_route(page: &mut String, route: &Route) {
    let method = route.method.to_string();
    write!(page, "\n### {}\n\n`{method} {}`\n\n{}\n\n", route.name, route.path, route.summary).unwrap();
    let aliases: Vec<String> = route.aliases().iter().map(|alias| format!("`{alias}`")).collect();
    let lines = [
        ("Also", aliases.join(", ")),
        ("For", for_whom(&route.endpoint)),
        ("Draws from", from_what(route).into()),
        ("Query", params(route, false)),
        ("Headers", params(route, true)),
    ];
    for (what, text) in lines.iter().filter(|(_, text)| !text.is_empty()) {
        writeln!(page, "- {what}: {text}").unwrap();
    }
    write_body(page, route.contract.body);
    write_answers(page, route);
}

/// The parameters of the query, or the headers.
fn params(route: &Route, headers: bool) -> String {
    let contract = &route.contract;
    let params = pieces(contract.params, ',').into_iter().zip(contract.param_names());
    let here = params.filter(|(_, name)| schemas::is_header(name) == headers);
    let mut here: Vec<String> = here.map(|(param, _)| inline(param)).collect();
    if headers && route.surface != Surface::Tenant && names_its_tenant(&route.endpoint) {
        here.push("`X-Tenant-ID`".to_owned());
    }
    here.join(", ")
}

/// A shape on one line, its notes in parentheses.
fn inline(text: &str) -> String {
    let Shape { text, members, note } = Shape::of(text);
    let notes: Vec<String> = members.into_iter().map(|(_, note)| note).chain([note]).collect();
    let notes: Vec<String> = notes.into_iter().filter(|note| !note.is_empty()).collect();
    if notes.is_empty() { format!("`{text}`") } else { format!("`{text}` ({})", notes.join("; ")) }
}

fn write_body(page: &mut String, body: RequestBody) {
    let (what, schema) = match body {
        RequestBody::None => return,
        RequestBody::Bytes(about) => return writeln!(page, "- Body: {about}").unwrap(),
        RequestBody::Optional(schema) => ("Body, may be left out", schema),
        RequestBody::Required(schema) => ("Body", schema),
        RequestBody::Form(schema) => ("Form", schema),
    };
    write_shape(page, what, &Shape::of(schema));
}

/// A shape as an item, the notes of its members as items of their own below.
fn write_shape(page: &mut String, what: &str, shape: &Shape) {
    let note = if shape.note.is_empty() { String::new() } else { format!(" ({})", shape.note) };
    let text = if shape.text.is_empty() { String::new() } else { format!(" `{}`", shape.text) };
    writeln!(page, "- {what}:{text}{note}").unwrap();
    for (member, note) in &shape.members {
        writeln!(page, "  - `{member}`: {note}").unwrap();
    }
}

fn write_answers(page: &mut String, route: &Route) {
    let responses = route.contract.responses().expect("every contract can be read");
    writeln!(page, "- Answers:").unwrap();
    let mut listed = Vec::new();
    for response in &responses {
        match response {
            ResponseSpec::Success { status, data, headers, note } => {
                let Shape { text, members, note: of_data } = Shape::of(data);
                let data = if text.is_empty() { String::new() } else { format!(" `{text}`") };
                let headers: Vec<String> = headers.iter().map(|name| format!("`{name}`")).collect();
                let headers =
                    if headers.is_empty() { String::new() } else { format!(", headers {}", headers.join(", ")) };
                let note = if note.is_empty() { of_data } else { (*note).to_owned() };
                let note = if note.is_empty() { note } else { format!(": {note}") };
                writeln!(page, "  - {status}{data}{headers}{note}").unwrap();
                for (member, note) in members {
                    writeln!(page, "    - `{member}`: {note}").unwrap();
                }
            }
            ResponseSpec::Graphql { status, note } => {
                listed.push(*status);
                writeln!(page, "  - {status} with `errors` of GraphQL: {note}").unwrap();
            }
            ResponseSpec::Problem { status, codes } => {
                listed.push(*status);
                let one = |(code, note): &(&str, &str)| match *note {
                    "" => format!("`{code}`"),
                    note => format!("`{code}` ({note})"),
                };
                writeln!(page, "  - {status} {}", codes.iter().map(one).collect::<Vec<_>>().join(", ")).unwrap();
            }
        }
    }
    let hosts = [Surface::Platform, Surface::Tenant].into_iter().filter(|host| route.surface.includes(*host));
    let further: BTreeSet<u16> = hosts.flat_map(|host| implied(route, host)).collect();
    let further: Vec<String> =
        further.into_iter().filter(|status| !listed.contains(status)).map(|status| status.to_string()).collect();
    writeln!(page, "  - also {}", further.join(", ")).unwrap();
}

/// What operations share by name.
fn write_parameters(page: &mut String) {
    page.push_str("\n## Parameters\n\n| name | in | shape | |\n|---|---|---|---|\n");
    for (name, place, schema, about) in schemas::PARAMETERS {
        writeln!(page, "| `{name}` | {place} | `{}` | {about} |", schema.replace('|', "\\|")).unwrap();
    }
}

fn write_shapes(page: &mut String) {
    page.push_str("\n## Shapes\n\n");
    for (name, schema) in schemas::named().expect("every schema can be read") {
        let shape = match FIND(name) {
            Some(text) => Shape::of(text),
            None => Shape { text: words(&schema), ..Shape::default() },
        };
        write_shape(page, &format!("`{name}`"), &shape);
    }
}

/// The words that a schema allows.
fn words(schema: &str) -> String {
    let schema: Value = serde_json::from_str(schema).expect("a schema is JSON");
    let words = schema["enum"].as_array().expect("a schema without a text is a list of words");
    words.iter().map(|word| format!("'{}'", word.as_str().unwrap())).collect::<Vec<_>>().join("|")
}

fn on_surface(surface: Surface) -> &'static str {
    match surface {
        Surface::Platform => "On the platform's host",
        Surface::Tenant => "On a tenant's host",
        Surface::Both => "In a tenant: on its host, or on the platform's with a credential that names it",
    }
}

fn for_whom(endpoint: &Endpoint) -> String {
    match endpoint {
        Endpoint::Anyone(_) | Endpoint::Table(_) | Endpoint::Visitor(TokenRule::Ignored, _) => "everybody.".to_owned(),
        Endpoint::Operator(permission, _) => format!(
            "operators with `{}`: a platform key, or a session, as `Authorization: Bearer`.",
            permission.as_str()
        ),
        Endpoint::SignedInOperator(_) => {
            "operators who are signed in, by their session as `Authorization: Bearer`.".to_owned()
        }
        Endpoint::Member(permission, _) => format!(
            "whoever has `{}` in the tenant: a key or a token as `Authorization: Bearer`, or the session cookie. A \
             platform key names the tenant with `X-Tenant-ID`.",
            permission.as_str()
        ),
        Endpoint::Reader(permission, _) | Endpoint::TableReader(permission, _) => format!(
            "whoever has `{}` in the tenant, by a key, a token or the session cookie; and everybody on the tenant's \
             host, for what is public.",
            permission.as_str()
        ),
        Endpoint::User(_) => {
            "users who are signed in: a token as `Authorization: Bearer`, or the session cookie.".to_owned()
        }
        Endpoint::SignIn(_) => "everybody, from an address and an origin that the tenant lets in.".to_owned(),
        Endpoint::Visitor(TokenRule::Optional, _) => "everybody; a subscriber token that is presented, as \
             `Authorization: Bearer` or the cookie `__Host-carillon_subscriber`, must be valid, and so must the credential of \
             whoever acts in the tenant, with `events:read` or `records:read`: a key or a token as `Authorization: Bearer`, \
             or the session cookie."
            .to_owned(),
        Endpoint::Visitor(TokenRule::Required, _) => "subscribers, with a token of the tenant as \
             `Authorization: Bearer` or the cookie `__Host-carillon_subscriber`; and whoever has `events:read` or `records:read` \
             in the tenant, with a key or a token as `Authorization: Bearer`, or the session cookie."
            .to_owned(),
        Endpoint::Visitor(TokenRule::PassedOn, _) => "everybody; the credential of whoever acts in the tenant, a key or a \
             token as `Authorization: Bearer`, or the session cookie, must be valid. Any other credential is the site's, and \
             passed on to it."
            .to_owned(),
        Endpoint::Visitor(TokenRule::Mercure, _) => "everybody on the tenant's host; what takes a token of Mercure's, \
             docs/mercure.md says. It comes as `Authorization: Bearer` or the cookie `__Secure-mercure_access_token`, of \
             before 1.0 `mercureAuthorization`. Whoever acts in the tenant, with `events:read` or `records:read`, subscribes \
             with a key or a token as `Authorization: Bearer`, or the session cookie."
            .to_owned(),
        Endpoint::Signer(_) => "the tenant's site, which signs the body with the webhook secret: \
             `X-Webhook-Signature: sha256={hex}`, or `webhook-id`, `webhook-timestamp` and `webhook-signature` \
             (Standard Webhooks)."
            .to_owned(),
    }
}

fn from_what(route: &Route) -> &'static str {
    match route.admission {
        Admission::Unmetered if route.surface.includes(Surface::Tenant) => {
            "nothing but the filter per network; on a tenant's host from the requests of strangers, unless it succeeds: \
             where they are used up, it is refused."
        }
        Admission::Unmetered => "nothing but the filter per network.",
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
        assert!(!route.summary.is_empty() && !route.contract.answers.is_empty(), "{} says what it does", route.name);
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
