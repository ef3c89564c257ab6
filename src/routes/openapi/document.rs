//! The document itself, written as text: it has some thousand members, and nobody but the client reads them.

use super::collections::{COLLECTION, Described};
use super::notation::{self, quoted, reference};
use super::responses::{content, responses, shared};
use super::schemas::{self, FIND};
use crate::routes::contract::Body;
use crate::routes::route::{Access, Route, Surface};

const OPENING: &str = r#"{"openapi":"3.1.0","info":{"title":"Carillon","version":""#;
const ABOUT: &str = r#"","description":"Successes come in one envelope (`success`, `data`, `tenant_id`, for lists `pagination`), problems as RFC 9457. Bounds of texts count bytes of UTF-8. GET serves HEAD too. Every answer carries `X-Request-Id` and `X-Carillon-Version`; where a rate is drawn from, `X-RateLimit-*`, `RateLimit` and `RateLimit-Policy`."},"servers":[{"url":"/"}],"paths":{"#;
const SECURITY: &str = r#"},"securitySchemes":{"bearer":{"type":"http","scheme":"bearer","description":"A key, or a token."},"session":{"type":"apiKey","in":"cookie","name":"__Host-carillon_session","description":"A browser's session."},"subscriber":{"type":"apiKey","in":"cookie","name":"carillon_subscriber","description":"A subscriber token."},"mercure":{"type":"apiKey","in":"cookie","name":"__Secure-mercure_access_token","description":"A token of Mercure's."},"signature":{"type":"apiKey","in":"header","name":"X-Webhook-Signature","description":"`sha256=` and the HMAC-SHA256 of the body in hex, or the three headers of Standard Webhooks."}}}}"#;

/// The OpenAPI 3.1 document of a kind of host, and of collections that were made there; none if a contract of the table
/// cannot be read, which a test rules out.
pub fn document(sections: &[&[Route]], surface: Surface, collections: &[Described]) -> Option<String> {
    let mut paths: Vec<(String, Vec<String>)> = Vec::new();
    let mut add = |path: String, operation: String| match paths.iter_mut().find(|(known, _)| *known == path) {
        Some((_, operations)) => operations.push(operation),
        None => paths.push((path, vec![operation])),
    };
    let routes = || sections.iter().copied().flatten().filter(|route| lives(route, surface));
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

/// Whether an operation is in the document of this kind of host.
pub fn lives(route: &Route, surface: Surface) -> bool {
    route.surface == surface || route.surface == Surface::Both
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
    let (schema, is_required) = match route.contract.body {
        Body::None => ("", "false"),
        Body::Optional(schema) => (schema, "false"),
        Body::Required(schema) => (schema, "true"),
        Body::Form(schema) => {
            let form = content("application/x-www-form-urlencoded", &notation::schema(schema, FIND)?);
            operation.push_str(&[",\"requestBody\":{\"required\":true,\"content\":{", &form, "}}"].concat());
            ("", "true")
        }
        Body::Bytes => {
            operation.push_str(",\"requestBody\":{\"required\":true,\"content\":{\"*/*\":{}}}");
            ("", "true")
        }
    };
    if !schema.is_empty() {
        let schema = match of.and_then(|collection| collection.body(route)) {
            Some(own) => own,
            None => notation::schema(schema, FIND)?,
        };
        let mut bodies = content("application/json", &schema);
        if route.method == worker::Method::Patch {
            bodies.push(',');
            bodies.push_str(&content("application/merge-patch+json", &schema));
        }
        let body = [",\"requestBody\":{\"required\":", is_required, ",\"content\":{", &bodies, "}}"].concat();
        operation.push_str(&body);
    }
    let responses = responses(route, surface)?;
    let responses = match of {
        Some(collection) => collection.answers(&responses),
        None => responses,
    };
    let security = security(route.access, surface);
    for part in [",\"responses\":{", &responses, "},\"security\":[", security, "]"] {
        operation.push_str(part);
    }
    if of.is_none() && !route.aliases.is_empty() {
        operation.push_str(&[",\"x-aliases\":[\"", &route.aliases.join("\",\""), "\"]"].concat());
    }
    operation.push('}');
    Some(operation)
}

/// The parameters of the path, then those of the contract.
fn parameters(route: &Route, surface: Surface, names_collection: bool) -> Option<Vec<String>> {
    let mut parameters = Vec::new();
    let in_path = route.path.split('/').filter_map(|segment| segment.strip_prefix('{')?.strip_suffix('}'));
    for name in in_path.filter(|name| !(names_collection && *name == COLLECTION)) {
        parameters.push(match schemas::parameter(name) {
            Some(_) => reference("parameters", name),
            None => parameter(name, "path", true, "{\"type\":\"string\",\"minLength\":1}"),
        });
    }
    for member in notation::members(route.contract.params, FIND)? {
        parameters.push(match member.schema {
            Some(schema) => parameter(member.name, "query", member.is_required, &schema),
            None => reference("parameters", member.name),
        });
    }
    if surface == Surface::Platform && matches!(route.access, Access::Member(_) | Access::Reader(_) | Access::Signature)
    {
        parameters.push(reference("parameters", "X-Tenant-ID"));
    }
    Some(parameters)
}

fn parameter(name: &str, place: &str, is_required: bool, schema: &str) -> String {
    let is_required = if is_required { "true" } else { "false" };
    ["{\"name\":\"", name, "\",\"in\":\"", place, "\",\"required\":", is_required, ",\"schema\":", schema, "}"].concat()
}

/// The credentials that an operation takes, any one of them, as items of JSON.
fn security(access: Access, surface: Surface) -> &'static str {
    match access {
        Access::Anyone | Access::SignIn | Access::Visitor => "",
        Access::Operator(_) | Access::SignedInOperator => r#"{"bearer":[]}"#,
        Access::Member(_) | Access::Reader(_) | Access::User if surface == Surface::Platform => r#"{"bearer":[]}"#,
        Access::Member(_) | Access::User => r#"{"bearer":[]},{"session":[]}"#,
        Access::Reader(_) => r#"{},{"bearer":[]},{"session":[]}"#,
        Access::Subscriber => r#"{"bearer":[]},{"subscriber":[]}"#,
        Access::Signature => r#"{"signature":[]}"#,
        Access::Mercure => r#"{},{"bearer":[]},{"mercure":[]}"#,
        Access::OptionalSubscriber => r#"{},{"bearer":[]},{"subscriber":[]}"#,
    }
}
