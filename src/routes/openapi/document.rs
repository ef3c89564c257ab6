//! The document as text. It has some thousand members that only the client reads, so no JSON tree is built.

use super::collections::{COLLECTION, Described};
use super::notation::{self, quoted, reference};
use super::responses::{content, responses, shared};
use super::schemas::{self, FIND};
use crate::routes::contract::RequestBody;
use crate::routes::route::{Endpoint, Route, Surface, TokenRule};

const OPENING: &str = r#"{"openapi":"3.1.0","info":{"title":"Carillon","version":""#;
const ABOUT: &str = r#"","description":"Successes come in one envelope (`success`, `data`, `tenant_id`, for lists `pagination`), problems as RFC 9457. Bounds of texts count bytes of UTF-8. GET serves HEAD too. Every answer carries `X-Request-Id` and `X-Carillon-Version`; where a rate is drawn from, `X-RateLimit-*`, `RateLimit` and `RateLimit-Policy`; what an impersonator is answered, `X-Impersonated-By`. Bodies are sent without `Content-Encoding`."},"servers":[{"url":"/"}],"paths":{"#;
const SECURITY: &str = r#"},"securitySchemes":{"bearer":{"type":"http","scheme":"bearer","description":"A key, or a token."},"session":{"type":"apiKey","in":"cookie","name":"__Host-carillon_session","description":"A browser's session."},"subscriber":{"type":"apiKey","in":"cookie","name":"__Host-carillon_subscriber","description":"A subscriber token. A site on another host sets `carillon_subscriber`, which counts after it."},"mercure":{"type":"apiKey","in":"cookie","name":"__Secure-mercure_access_token","description":"A token of Mercure's."},"signature":{"type":"apiKey","in":"header","name":"X-Webhook-Signature","description":"`sha256=` and the HMAC-SHA256 of the body in hex, or the three headers of Standard Webhooks."}}}}"#;

/// The OpenAPI 3.1 document of a kind of host with these collections of a tenant; `None` if a contract of the table cannot
/// be read, which a test rules out.
pub fn document(sections: &[&[Route]], surface: Surface, collections: &[Described]) -> Option<String> {
    let mut paths: Vec<(String, Vec<String>)> = Vec::new();
    let mut add = |path: String, operation: String| match paths.iter_mut().find(|(known, _)| *known == path) {
        Some((_, operations)) => operations.push(operation),
        None => paths.push((path, vec![operation])),
    };
    let routes = || sections.iter().copied().flatten().filter(|route| route.surface.includes(surface));
    for route in routes() {
        add(route.path.to_owned(), operation(route, surface, None)?);
    }
    for collection in collections {
        for route in routes().filter(|route| collection.has(route)) {
            add(collection.path(route), operation(route, surface, Some(collection))?);
        }
    }
    let items: Vec<String> =
        paths.iter().map(|(path, operations)| named(path, &["{", &operations.join(","), "}"].concat())).collect();
    let mut known: Vec<String> = schemas::named()?.iter().map(|(name, schema)| named(name, schema)).collect();
    for collection in collections {
        known.extend(collection.schemas.iter().map(|(name, schema)| named(name, schema)));
    }
    let mut parameters = Vec::new();
    for name in schemas::parameters() {
        parameters.push(named(name, &schemas::parameter(name)?));
    }
    let parts = [
        OPENING,
        env!("CARGO_PKG_VERSION"),
        ABOUT,
        &items.join(","),
        "},\"components\":{\"schemas\":{",
        &known.join(","),
        "},\"parameters\":{",
        &parameters.join(","),
        "},\"responses\":{",
        &shared(),
        SECURITY,
    ];
    Some(parts.concat())
}

/// A member of JSON.
fn named(name: &str, value: &str) -> String {
    [&quoted(name), ":", value].concat()
}

fn operation(route: &Route, surface: Surface, of: Option<&Described>) -> Option<String> {
    let section = route.name.split('.').next().unwrap_or_default();
    let (name, tag) = match of {
        Some(collection) => (collection.operation(route), collection.slug.as_str()),
        None => (route.name.to_owned(), section),
    };
    let mut operation = ["\"", &route.method.as_ref().to_lowercase(), "\":{\"operationId\":\"", &name].concat();
    for part in ["\",\"tags\":[\"", tag, "\"],\"summary\":", &quoted(route.summary), ",\"parameters\":["] {
        operation.push_str(part);
    }
    operation.push_str(&parameters(route, surface, of.is_some())?.join(","));
    operation.push(']');
    operation.push_str(&request_body(route, of)?);
    let responses = responses(route, surface)?;
    let responses = match of {
        Some(collection) => collection.answers(&responses),
        None => responses,
    };
    let security = security(&route.endpoint, surface);
    for part in [",\"responses\":{", &responses, "},\"security\":[", security, "]"] {
        operation.push_str(part);
    }
    let aliases = route.aliases();
    if of.is_none() && !aliases.is_empty() {
        operation.push_str(&[",\"x-aliases\":[\"", &aliases.join("\",\""), "\"]"].concat());
    }
    operation.push('}');
    Some(operation)
}

/// The body as a member of JSON behind others; nothing where none is read.
fn request_body(route: &Route, of: Option<&Described>) -> Option<String> {
    let (content, about, is_required) = match route.contract.body {
        RequestBody::None => return Some(String::new()),
        RequestBody::Optional(schema) => (json_body(route, schema, of)?, "", "false"),
        RequestBody::Required(schema) => (json_body(route, schema, of)?, "", "true"),
        RequestBody::Form(schema) => {
            (content("application/x-www-form-urlencoded", &notation::schema(schema, FIND)?), "", "true")
        }
        RequestBody::Bytes(about) => ("\"*/*\":{}".to_owned(), about, "true"),
    };
    let body = ["{\"required\":", is_required, ",\"content\":{", &content, "}}"].concat();
    Some([",\"requestBody\":", &notation::described(body, about)].concat())
}

/// The media types of a body of JSON. A collection's records have a schema of their own.
fn json_body(route: &Route, schema: &str, of: Option<&Described>) -> Option<String> {
    let schema = match of.and_then(|collection| collection.body(route)) {
        Some(own) => own,
        None => notation::schema(schema, FIND)?,
    };
    let plain = content("application/json", &schema);
    Some(match route.method {
        worker::Method::Patch => [plain, content("application/merge-patch+json", &schema)].join(","),
        _ => plain,
    })
}

/// The parameters of the path, then those of the contract.
fn parameters(route: &Route, surface: Surface, names_collection: bool) -> Option<Vec<String>> {
    let mut parameters = Vec::new();
    let in_path = route.path.split('/').filter_map(|segment| segment.strip_prefix('{')?.strip_suffix('}'));
    for name in in_path.filter(|name| !(names_collection && *name == COLLECTION)) {
        parameters.push(match schemas::parameter(name) {
            Some(_) => reference("parameters", name),
            None => parameter((name, "path", true), "{\"type\":\"string\",\"minLength\":1}", ""),
        });
    }
    for member in notation::members(route.contract.params, FIND)? {
        parameters.push(match member.schema {
            Some(schema) => parameter((member.name, "query", member.is_required), &schema, member.note),
            None => notation::described(reference("parameters", member.name), member.note),
        });
    }
    if surface == Surface::Platform && names_its_tenant(&route.endpoint) {
        parameters.push(reference("parameters", "X-Tenant-ID"));
    }
    Some(parameters)
}

/// A parameter by its name, its place and whether it is required.
fn parameter((name, place, is_required): (&str, &str, bool), schema: &str, note: &str) -> String {
    let is_required = if is_required { "true" } else { "false" };
    let parameter = ["{\"name\":\"", name, "\",\"in\":\"", place, "\",\"required\":", is_required, "}"].concat();
    let described = notation::described(parameter, note);
    [described.strip_suffix('}').unwrap_or_default(), ",\"schema\":", schema, "}"].concat()
}

/// Whether a request on the platform's host can name the tenant that it is for.
pub fn names_its_tenant(endpoint: &Endpoint) -> bool {
    endpoint.enters_by_credential() || matches!(endpoint, Endpoint::Signer(_))
}

/// The credentials that an operation takes, any one of them, as items of JSON.
fn security(endpoint: &Endpoint, surface: Surface) -> &'static str {
    let on_platform = surface == Surface::Platform;
    match endpoint {
        Endpoint::Anyone(_) | Endpoint::Table(_) | Endpoint::SignIn(_) | Endpoint::Visitor(TokenRule::Ignored, _) => "",
        Endpoint::Operator(..) | Endpoint::SignedInOperator(_) => r#"{"bearer":[]}"#,
        Endpoint::Member(..) | Endpoint::Reader(..) if on_platform => r#"{"bearer":[]}"#,
        Endpoint::Member(..) | Endpoint::User(_) => r#"{"bearer":[]},{"session":[]}"#,
        Endpoint::Reader(..) | Endpoint::TableReader(..) => r#"{},{"bearer":[]},{"session":[]}"#,
        Endpoint::Visitor(TokenRule::Required, _) => r#"{"bearer":[]},{"subscriber":[]},{"session":[]}"#,
        Endpoint::Visitor(TokenRule::Optional, _) => r#"{},{"bearer":[]},{"subscriber":[]},{"session":[]}"#,
        Endpoint::Visitor(TokenRule::PassedOn, _) => r#"{},{"bearer":[]},{"session":[]}"#,
        Endpoint::Visitor(TokenRule::Mercure, _) => r#"{},{"bearer":[]},{"mercure":[]},{"session":[]}"#,
        Endpoint::Signer(_) => r#"{"signature":[]}"#,
    }
}
