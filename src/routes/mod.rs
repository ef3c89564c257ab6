//! The one route table: every operation, on which host it lives, whom it serves, what it costs.
//!
//! The router, the OpenAPI document, the API reference and the isolation matrix read this table. A new operation is a
//! new entry in its section; a route that is in no row of the matrix fails the tests. May not touch: stores.

mod auth;
pub mod contract;
mod docs;
mod files;
mod live;
mod members;
mod mercure;
pub mod openapi;
mod operators;
mod platform;
mod records;
pub mod route;
mod settings;
mod sign_in;
mod sso;
mod tenants;

use percent_encoding::percent_decode_str;
use worker::Method;

use crate::http::request::Params;
use crate::records::definition::parse_slug;
pub use crate::routes::route::{Access, Admission, Handler, Route, Surface, Table};

/// The table, section by section.
pub static SECTIONS: &[&[Route]] = &[
    platform::ROUTES,
    docs::ROUTES,
    operators::ROUTES,
    tenants::ROUTES,
    auth::ROUTES,
    sign_in::ROUTES,
    members::ROUTES,
    sso::ROUTES,
    settings::ROUTES,
    live::ROUTES,
    mercure::ROUTES,
    records::ROUTES,
    files::ROUTES,
];

/// Every operation.
pub fn all() -> impl Iterator<Item = &'static Route> {
    SECTIONS.iter().copied().flatten()
}

/// What a path comes to.
pub enum Matched {
    /// An operation, and the path's parameters.
    Route(&'static Route, Params),
    /// The path is known, the method is not; these are.
    Methods(Vec<&'static str>),
    /// Nothing.
    Nothing,
}

/// Finds the operation of a path, by the pattern that says most of it. HEAD finds GET's.
pub fn find(surface: Surface, method: &Method, path: &str) -> Matched {
    let wanted = if *method == Method::Head { Method::Get } else { method.clone() };
    let mut methods = Vec::new();
    let mut fewest = usize::MAX;
    let lives = |route: &&Route| route.surface == surface || route.surface == Surface::Both;
    for route in all().filter(lives) {
        let paths = std::iter::once(&route.path).chain(route.aliases);
        let found = paths.into_iter().find_map(|pattern| match_path(pattern, path));
        if let Some(params) = found.filter(|params| params.0.len() <= fewest) {
            fewest = params.0.len();
            if route.method == wanted {
                return Matched::Route(route, params);
            }
            methods.push(method_name(&route.method));
        }
    }
    if methods.is_empty() {
        return Matched::Nothing;
    }
    if methods.contains(&"GET") {
        methods.push("HEAD");
    }
    methods.push("OPTIONS");
    Matched::Methods(methods)
}

/// A method as it stands in `Allow`.
fn method_name(method: &Method) -> &'static str {
    match method {
        Method::Put => "PUT",
        Method::Post => "POST",
        Method::Patch => "PATCH",
        Method::Delete => "DELETE",
        _ => "GET",
    }
}

fn match_path(pattern: &'static str, path: &str) -> Option<Params> {
    let (mut wanted, mut given) = (pattern.split('/'), path.split('/'));
    let mut params = Vec::new();
    loop {
        match (wanted.next(), given.next()) {
            (None, None) => return Some(Params(params)),
            (Some(segment), Some(text)) => match segment.strip_prefix('{').and_then(|s| s.strip_suffix('}')) {
                // What stands for something else in paths is no collection.
                Some("collection") if parse_slug(text).is_err() => return None,
                Some(name) if !text.is_empty() => {
                    params.push((name, percent_decode_str(text).decode_utf8().ok()?.into_owned()));
                }
                None if segment == text => {}
                _ => return None,
            },
            _ => return None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(surface: Surface, method: Method, path: &str) -> Option<(&'static str, Params)> {
        match find(surface, &method, path) {
            Matched::Route(route, params) => Some((route.name, params)),
            _ => None,
        }
    }

    #[test]
    fn paths_find_their_operations() {
        let (name, params) = found(Surface::Platform, Method::Delete, "/admin/tenants/a%20b/domains/x.test").unwrap();
        assert_eq!((name, params.get("tenant_id"), params.get("domain")), ("domains.detach", "a b", "x.test"));
        assert_eq!(found(Surface::Tenant, Method::Head, "/events").unwrap().0, "events.stream");
        assert!(found(Surface::Tenant, Method::Get, "/api/v1/tenants").is_none());
        assert!(found(Surface::Platform, Method::Get, "/events").is_none());
        assert!(found(Surface::Platform, Method::Get, "/api/v1/tenants/").is_none());
        assert_eq!(found(Surface::Tenant, Method::Get, "/api/v1/users").unwrap().0, "users.list");
        assert_eq!(found(Surface::Tenant, Method::Get, "/api/leads").unwrap().0, "records.list");
        assert_eq!(found(Surface::Tenant, Method::Get, "/api/v1/leads/file").unwrap().0, "records.get");
        assert_eq!(found(Surface::Tenant, Method::Get, "/api/v1/leads/l1/file").unwrap().0, "files.get");
        assert_eq!(found(Surface::Tenant, Method::Put, "/api/leads/l1/file").unwrap().0, "files.put");
        assert_eq!(found(Surface::Tenant, Method::Head, "/media/leads/l1/a%20b.png").unwrap().1.get("name"), "a b.png");
        let Matched::Methods(methods) = find(Surface::Tenant, &Method::Delete, "/api/v1/users") else {
            panic!("known")
        };
        assert_eq!(methods, ["POST", "GET", "HEAD", "OPTIONS"], "what is no collection");
        let Matched::Methods(methods) = find(Surface::Tenant, &Method::Post, "/events") else { panic!("known path") };
        assert_eq!(methods, ["GET", "PUT", "HEAD", "OPTIONS"]);
    }

    #[test]
    fn no_collection_can_be_named_as_a_path() {
        for path in all().flat_map(|route| std::iter::once(&route.path).chain(route.aliases)) {
            let Some(rest) = path.strip_prefix("/api/v1/").or_else(|| path.strip_prefix("/api/")) else { continue };
            let first = rest.split('/').next().unwrap_or_default();
            let is_free = crate::records::definition::parse_slug(first).is_ok();
            assert!(first.starts_with('{') || !is_free, "{path} stands before a collection of that name");
        }
    }

    #[test]
    fn what_is_written_out_goes_before_what_is_named() {
        let accept = "/api/v1/invitations/accept";
        assert_eq!(found(Surface::Tenant, Method::Post, accept).unwrap().0, "invitations.accept");
        let Matched::Methods(methods) = find(Surface::Tenant, &Method::Get, accept) else { panic!("known path") };
        assert_eq!(methods, ["POST", "OPTIONS"], "it is no invitation of that id");
        assert_eq!(found(Surface::Tenant, Method::Get, "/api/v1/auth/sso/callback").unwrap().0, "sso.callback");
        assert_eq!(found(Surface::Tenant, Method::Get, "/api/v1/auth/sso/corp").unwrap().0, "sso.begin");
    }

    #[test]
    fn names_and_paths_are_unique() {
        let mut names = std::collections::HashSet::new();
        let mut paths = std::collections::HashSet::new();
        for route in all() {
            assert!(names.insert(route.name), "{}", route.name);
            for path in std::iter::once(&route.path).chain(route.aliases) {
                assert!(paths.insert((format!("{:?}", route.surface), route.method.to_string(), *path)), "{path}");
            }
        }
    }
}
