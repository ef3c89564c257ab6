//! From a path to its operation, by a radix tree of all patterns that is made when an isolate first needs it.
//!
//! Where several patterns match, the one with fewer parameters is taken. `{collection}` matches what can be a
//! collection's slug: a reserved word cannot.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use matchit::Router;
use percent_encoding::percent_decode_str;
use worker::Method;

use super::route::{Route, Surface};
use crate::http::request::Params;
use crate::records::definition::parse_slug;

/// The result of looking up a path and a method.
pub enum Matched {
    /// An operation, and the path's parameters.
    Route(&'static Route, Params),
    /// The path is known, the method is not; these are.
    Methods(Vec<&'static str>),
    /// The path is unknown.
    Nothing,
}

/// Operations by their paths, those of one path together.
type Paths = Router<Vec<&'static Route>>;

static ON_PLATFORM: OnceLock<Paths> = OnceLock::new();
static ON_TENANT: OnceLock<Paths> = OnceLock::new();

/// Finds the operation of a path on a kind of host. HEAD finds GET's.
pub fn find(sections: &'static [&'static [Route]], host: Surface, method: &Method, path: &str) -> Matched {
    let paths = match host {
        Surface::Platform => ON_PLATFORM.get_or_init(|| paths_on(sections, Surface::Platform)),
        Surface::Tenant | Surface::Both => ON_TENANT.get_or_init(|| paths_on(sections, Surface::Tenant)),
    };
    let Ok(found) = paths.at(path) else { return Matched::Nothing };
    let Some(params) = decoded(&found.params) else { return Matched::Nothing };
    let wanted = if *method == Method::Head { &Method::Get } else { method };
    match found.value.iter().find(|route| route.method == *wanted) {
        Some(route) => Matched::Route(route, params),
        None => Matched::Methods(methods(found.value)),
    }
}

/// Whether a path is one of records: it begins with what can be a collection's slug.
pub fn is_of_records(path: &str) -> bool {
    let inside = path.strip_prefix("/api/v1/").or_else(|| path.strip_prefix("/api/"));
    inside.and_then(|inside| inside.split('/').next()).is_some_and(|slug| parse_slug(slug).is_ok())
}

fn paths_on(sections: &'static [&'static [Route]], host: Surface) -> Paths {
    let mut by_path: BTreeMap<String, Vec<&'static Route>> = BTreeMap::new();
    for route in sections.iter().copied().flatten().filter(|route| route.surface.includes(host)) {
        for path in route.paths() {
            by_path.entry(path).or_default().push(route);
        }
    }
    let mut paths = Paths::new();
    for (path, routes) in by_path {
        // The tree refuses what a test of the table rules out: one path whose parameters are named in two ways.
        let _ = paths.insert(path.replace('{', ":").replace('}', ""), routes);
    }
    paths
}

/// The values of a path's parameters; none if one is empty or no text, or if a collection cannot have that name.
fn decoded(found: &matchit::Params<'static, '_>) -> Option<Params> {
    let mut params = Vec::new();
    for (name, text) in found.iter() {
        let is_possible = !text.is_empty() && (name != "collection" || parse_slug(text).is_ok());
        let text = percent_decode_str(text).decode_utf8().ok().filter(|_| is_possible)?;
        params.push((name, text.into_owned()));
    }
    Some(Params(params))
}

/// The methods of a path, as they stand in `Allow`.
fn methods(routes: &[&'static Route]) -> Vec<&'static str> {
    let mut methods: Vec<&str> = routes.iter().map(|route| route.method.as_ref()).collect();
    if methods.contains(&"GET") {
        methods.push("HEAD");
    }
    methods.push("OPTIONS");
    methods
}
