//! The one route table: every operation with its host, who may call it, what it draws from, what goes in and out.
//!
//! The router, the pipeline, the OpenAPI documents, the API reference, the CORS headers and the isolation matrix read
//! this table. A new operation is a new entry in its section; a route that is in no row of the matrix fails the tests. May not touch:
//! stores.

mod auth;
pub mod contract;
pub mod cors;
mod docs;
pub mod entry;
mod files;
mod find;
mod graphql;
mod live;
mod members;
mod mercure;
pub mod openapi;
mod operators;
mod platform;
pub mod query;
mod records;
pub mod route;
mod settings;
mod sign_in;
mod sso;
mod tenants;

use worker::Method;

pub use self::find::{Matched, is_of_records};
pub use self::route::{Admission, Endpoint, Handler, HandlerFuture, JudgedBy, Route, Surface, Table, TokenRule};

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
    graphql::ROUTES,
    mercure::ROUTES,
    records::ROUTES,
    files::ROUTES,
];

/// Every operation.
pub fn all() -> impl Iterator<Item = &'static Route> {
    SECTIONS.iter().copied().flatten()
}

/// Finds the operation of a path on a kind of host. HEAD finds GET's.
pub fn find(host: Surface, method: &Method, path: &str) -> Matched {
    find::find(SECTIONS, host, method, path)
}

#[cfg(test)]
mod tests {
    use percent_encoding::percent_decode_str;
    use proptest::prelude::*;

    use super::*;
    use crate::http::request::Params;
    use crate::records::definition::parse_slug;

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
        for path in all().flat_map(Route::paths) {
            let Some(rest) = path.strip_prefix("/api/v1/").or_else(|| path.strip_prefix("/api/")) else { continue };
            let first = rest.split('/').next().unwrap_or_default();
            let is_free = parse_slug(first).is_ok();
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
    fn paths_without_the_version_are_derived() {
        let aliases = |name: &str| all().find(|route| route.name == name).unwrap().aliases();
        assert_eq!(aliases("users.get"), ["/api/users/{user_id}"]);
        assert_eq!(aliases("domains.list"), ["/admin/tenants/{tenant_id}/domains", "/api/tenants/{tenant_id}/domains"]);
        assert_eq!(aliases("tenant.configure"), ["/api/tenant/config"]);
        for without in ["events.stream", "operators.list", "sso.begin", "docs.openapi", "files.upload"] {
            assert_eq!(aliases(without), [""; 0], "{without}");
        }
    }

    #[test]
    fn names_and_paths_are_unique() {
        let mut names = std::collections::HashSet::new();
        let mut paths = std::collections::HashSet::new();
        for route in all() {
            assert!(names.insert(route.name), "{}", route.name);
            for path in route.paths() {
                assert!(
                    paths.insert((format!("{:?}", route.surface), route.method.to_string(), path.clone())),
                    "{path}"
                );
            }
        }
    }

    /// The model that the tree is compared with: of all patterns that match, the one with the fewest parameters.
    fn scan(host: Surface, method: &Method, path: &str) -> Option<(&'static str, Vec<&'static str>)> {
        let matches = |pattern: &str| {
            let (wanted, given): (Vec<&str>, Vec<&str>) = (pattern.split('/').collect(), path.split('/').collect());
            let fits = |(wanted, given): (&&str, &&str)| match *wanted {
                "{collection}" => parse_slug(given).is_ok(),
                named if named.starts_with('{') => !given.is_empty() && percent_decode_str(given).decode_utf8().is_ok(),
                literal => literal == *given,
            };
            (wanted.len() == given.len() && wanted.iter().zip(&given).all(fits)).then(|| pattern.matches('{').count())
        };
        let here = all().filter(|route| route.surface.includes(host));
        let found: Vec<(usize, &'static Route)> = here
            .flat_map(|route| route.paths().into_iter().map(move |pattern| (pattern, route)))
            .filter_map(|(pattern, route)| Some((matches(&pattern)?, route)))
            .collect();
        let fewest = found.iter().map(|(named, _)| *named).min()?;
        let best: Vec<&'static Route> =
            found.iter().filter(|(named, _)| *named == fewest).map(|(_, route)| *route).collect();
        let wanted = if *method == Method::Head { Method::Get } else { method.clone() };
        let name = best.iter().find(|route| route.method == wanted).map_or("", |route| route.name);
        let mut methods: Vec<&str> = best.iter().map(|route| route.method.as_ref()).collect();
        methods.sort_unstable();
        Some((name, methods))
    }

    fn looked_up(host: Surface, method: &Method, path: &str) -> Option<(&'static str, Vec<&'static str>)> {
        match find(host, method, path) {
            Matched::Route(route, _) => Some((route.name, Vec::new())),
            Matched::Methods(mut methods) => {
                methods.retain(|method| !matches!(*method, "HEAD" | "OPTIONS"));
                methods.sort_unstable();
                Some(("", methods))
            }
            Matched::Nothing => None,
        }
    }

    fn assert_found_as_by_scanning(host: Surface, method: &Method, path: &str) {
        let (by_tree, by_scan) = (looked_up(host, method, path), scan(host, method, path));
        let by_scan = by_scan.map(|(name, methods)| if name.is_empty() { (name, methods) } else { (name, vec![]) });
        assert_eq!(by_tree, by_scan, "{method} {path} on {host:?}");
    }

    const METHODS: [Method; 7] =
        [Method::Get, Method::Head, Method::Post, Method::Put, Method::Patch, Method::Delete, Method::Options];

    #[test]
    fn every_operation_is_found_by_each_of_its_paths() {
        for route in all() {
            for host in [Surface::Platform, Surface::Tenant].into_iter().filter(|host| route.surface.includes(*host)) {
                for path in route.paths() {
                    let path = path.replace("{collection}", "leads").replace(['{', '}'], "");
                    assert_eq!(looked_up(host, &route.method, &path).unwrap().0, route.name, "{path} on {host:?}");
                    METHODS.iter().for_each(|method| assert_found_as_by_scanning(host, method, &path));
                }
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2_000))]
        #[test]
        fn a_path_is_found_as_by_scanning_every_pattern(
            at in any::<prop::sample::Index>(),
            method in any::<prop::sample::Index>(),
            other in any::<prop::sample::Index>(),
            cut in 0..9_usize,
            text in "([a-z]{1,5}|v1|users|tenants|%FF|a%20b|:x|\\*|\\{x\\}|)",
        ) {
            let paths: Vec<String> = all().flat_map(Route::paths).collect();
            // One pattern up to a segment, another one from there, and any text in place of names.
            let (head, tail) = (at.get(&paths), other.get(&paths));
            let segments = head.split('/').take(cut).chain(tail.split('/').skip(cut));
            let filled = segments.map(|segment| if segment.starts_with('{') { text.as_str() } else { segment });
            let path = format!("/{}", filled.collect::<Vec<_>>().join("/").trim_start_matches('/'));
            for host in [Surface::Platform, Surface::Tenant] {
                assert_found_as_by_scanning(host, method.get(&METHODS), &path);
            }
        }
    }
}
