//! Which parameters of the query an operation takes.
//!
//! An operation of the API refuses a parameter that its contract does not name, and one that is sent twice: a filter that is
//! misspelt would else show everything, and the second of two would be lost. What is linked to and what others call by standards
//! of their own (pages, documents, files, streams, webhooks, the way to a provider and back) ignores what it does not know.

use super::openapi::schemas::is_header;
use super::route::{Endpoint, Route};
use crate::http::incoming::Query;
use crate::http::problem::{self, Problem};
use domain::error::Invalid;

/// Name the tenant of a request, for every operation.
const TENANT: [&str; 2] = ["tenant_id", "client_id"];
/// What every list takes, so that whoever reads lists reads all in one way. One that is shown whole has one page.
const PAGING: [&str; 2] = ["limit", "cursor"];
/// How many rows a page may have.
const LIMITS: std::ops::RangeInclusive<u32> = 1..=200;
/// What begins a path of signing in with a provider, which sends along what it likes.
const TO_PROVIDERS: &str = "/api/v1/auth/sso/";

/// Whether an operation refuses parameters that it does not know.
pub fn refuses_unknown(route: &Route) -> bool {
    match route.endpoint {
        Endpoint::Operator(..)
        | Endpoint::SignedInOperator(_)
        | Endpoint::Member(..)
        | Endpoint::Reader(..)
        | Endpoint::User(_) => true,
        Endpoint::Anyone(_) | Endpoint::SignIn(_) | Endpoint::Visitor(..) => {
            route.path.starts_with("/api/v1/") && !route.path.starts_with(TO_PROVIDERS)
        }
        Endpoint::Signer(_) | Endpoint::Table(_) | Endpoint::TableReader(..) => false,
    }
}

/// Refuses a parameter that an operation does not know: 400 names it, and those that are known.
pub fn check(route: &Route, query: &Query) -> Result<(), Problem> {
    if !refuses_unknown(route) {
        return Ok(());
    }
    let is_list = route.contract.answers.starts_with("200 list ");
    let known = |name: &str| {
        TENANT.contains(&name) || (is_list && PAGING.contains(&name)) || names(route).any(|known| known == name)
    };
    let Some(unknown) = query.names().find(|name| !known(name)) else { return check_values(route, query) };
    let listed = names(route).collect::<Vec<_>>().join(", ");
    let message = match listed.is_empty() {
        true => "is not known: this operation takes no parameter".to_owned(),
        false => ["is not known: this operation takes ", &listed].concat(),
    };
    Err(problem::invalid_query(unknown, Invalid::new("unknown_parameter", message)))
}

/// Refuses a parameter that is sent twice and means one thing; and of a list that is shown whole, a page that it cannot have.
fn check_values(route: &Route, query: &Query) -> Result<(), Problem> {
    let is_twice = |name: &&str| query.all(name).count() > 1;
    let means_one = |name: &&str| !TENANT.contains(name) && !route.contract.takes_several(name);
    if let Some(twice) = query.names().filter(means_one).find(is_twice) {
        return Err(problem::invalid_query(twice, Invalid::new("repeated", "must be sent once")));
    }
    if !names(route).any(|name| name == "limit") {
        query.number("limit", LIMITS, 1)?;
    }
    let has_cursor = query.get("cursor").is_some_and(|cursor| !cursor.is_empty());
    if has_cursor && !names(route).any(|name| name == "cursor") {
        let message = "is not a cursor of this list, which has one page";
        return Err(problem::invalid_query("cursor", Invalid::new("invalid_cursor", message)));
    }
    Ok(())
}

/// The parameters of the query that an operation's contract names.
fn names(route: &Route) -> impl Iterator<Item = &'static str> {
    route.contract.param_names().filter(|name| !is_header(name))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::routes;

    fn refused(route: &str, query: &str) -> Option<(String, String)> {
        let route = routes::all().find(|known| known.name == route).unwrap();
        let problem = check(route, &Query::parse(query)).err()?;
        assert_eq!((problem.status, problem.code, problem.errors[0].code), (400, "invalid_query", "unknown_parameter"));
        Some((problem.errors[0].pointer.clone(), problem.errors[0].message.to_string()))
    }

    #[test]
    fn what_a_contract_names_is_taken_and_nothing_else() {
        let list = "filter=a&q=b&status=c&created_after=d&sort=e&fields=f&expand=g&limit=1&cursor=h&page=1&per_page=1";
        assert_eq!(refused("records.list", list), None);
        assert_eq!(refused("records.list", ""), None);
        assert_eq!(refused("records.list", "tenant_id=acme&client_id=acme&count=true"), None);
        let (pointer, message) = refused("records.list", "limit=1&fliter=a").unwrap();
        assert_eq!(pointer, "?fliter");
        assert!(message.starts_with("is not known: this operation takes filter, q, status, "), "{message}");
        assert!(message.ends_with("limit, cursor"), "headers are no parameters of the query: {message}");
        assert_eq!(refused("records.list", "Filter=a").unwrap().0, "?Filter");
        assert_eq!(refused("records.get", "fields=a&limit=1").unwrap().0, "?limit");
        assert_eq!(refused("collections.list", "limit=200&cursor="), None);
        assert_eq!(refused("collections.list", "page=1").unwrap().0, "?page");
        assert_eq!(refused("records.get", "If-None-Match=a").unwrap().0, "?If-None-Match");
        assert_eq!(refused("users.get", "a").unwrap().1, "is not known: this operation takes no parameter");
        assert_eq!(refused("branding.get", "foo=1").unwrap().0, "?foo");
        assert_eq!(refused("sso.list", "foo=1").unwrap().0, "?foo");
        for tolerant in [
            "webhook.receive",
            "events.stream",
            "mercure.subscribe",
            "page.show",
            "sso.begin",
            "sso.callback",
            "docs.openapi",
        ] {
            assert_eq!(refused(tolerant, "utm_source=a&_=1"), None, "{tolerant}");
        }
    }

    #[test]
    fn a_parameter_that_means_one_thing_is_sent_once() {
        let refused = |route: &str, query: &str| {
            let route = routes::all().find(|known| known.name == route).unwrap();
            let problem = check(route, &Query::parse(query)).err()?;
            Some((problem.errors[0].pointer.clone(), problem.errors[0].code))
        };
        for (query, pointer) in
            [("filter=a&filter=b", "?filter"), ("limit=1&page=1&page=2", "?page"), ("status=new&status=new", "?status")]
        {
            assert_eq!(refused("records.list", query), Some((pointer.to_owned(), "repeated")), "{query}");
        }
        assert_eq!(refused("records.list", "tenant_id=a&tenant_id=b&limit=1"), None);
        // A list that is shown whole has one page.
        for (query, code) in
            [("limit=0", "invalid_number"), ("limit=abc", "invalid_number"), ("cursor=x", "invalid_cursor")]
        {
            assert_eq!(refused("roles.list", query).unwrap().1, code, "{query}");
        }
        assert_eq!(refused("roles.list", "limit=200&cursor="), None);
    }

    #[test]
    fn only_what_others_call_takes_what_it_does_not_know() {
        for route in routes::all().filter(|route| !refuses_unknown(route)) {
            let is_api = route.path.starts_with("/api/v1/") && !route.path.starts_with(TO_PROVIDERS);
            let shows_the_api = matches!(route.endpoint, Endpoint::Table(_) | Endpoint::TableReader(..));
            assert!(!is_api || shows_the_api, "{}", route.name);
        }
    }
}
