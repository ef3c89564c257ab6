//! The headers that pages of other origins may send to a tenant's host and read from its answers, as the operations
//! there say.
//!
//! Each is named once: in the contract of the operations that read or send it, or where what makes an operation read or
//! send it is decided (its body, its endpoint, what it draws from, the problems that it may answer).

use std::collections::BTreeSet;
use std::sync::OnceLock;

use super::contract::{RequestBody, ResponseSpec};
use super::openapi::responses::{implied, implied_headers, problem_headers};
use super::openapi::schemas;
use super::route::{Admission, Endpoint, Route, Surface};
use crate::credentials::signature::SIGNATURE_HEADERS;
use crate::http::cors::CorsHeaders;
use crate::http::response::{ON_EVERY_ANSWER, RATE_HEADERS};

static ON_TENANT: OnceLock<CorsHeaders> = OnceLock::new();

/// The union over the operations of a tenant's host.
pub fn on_tenant(sections: &'static [&'static [Route]]) -> &'static CorsHeaders {
    ON_TENANT.get_or_init(|| {
        let routes = || sections.iter().copied().flatten().filter(|route| route.surface.includes(Surface::Tenant));
        let answered = routes().flat_map(|route| answered(route, Surface::Tenant));
        CorsHeaders { allowed: joined(routes().flat_map(sent)), exposed: joined(answered) }
    })
}

fn joined(names: impl Iterator<Item = &'static str>) -> String {
    names.collect::<BTreeSet<_>>().into_iter().collect::<Vec<_>>().join(", ")
}

/// The headers that an operation reads, beside those that browsers send by themselves or let any page send.
pub fn sent(route: &'static Route) -> Vec<&'static str> {
    let mut names: Vec<_> = route.contract.param_names().filter(|name| schemas::is_header(name)).collect();
    // Any request may repeat whose host it is sent to.
    names.push("X-Tenant-ID");
    match route.contract.body {
        RequestBody::None => {}
        RequestBody::Optional(_) | RequestBody::Required(_) | RequestBody::Form(_) | RequestBody::Bytes(_) => {
            names.extend(["Content-Type", "Content-Encoding"]);
        }
    }
    if let Endpoint::Signer(_) = route.endpoint {
        names.extend(SIGNATURE_HEADERS);
    } else if route.endpoint.can_be_unauthorized() {
        names.push("Authorization");
    }
    if route.admission == Admission::Streams {
        // An EventSource that is not the browser's own sends it.
        names.push("Cache-Control");
    }
    names
}

/// The headers that an answer of an operation on this kind of host may carry.
pub fn answered(route: &'static Route, surface: Surface) -> Vec<&'static str> {
    let mut names = ON_EVERY_ANSWER.to_vec();
    // Its path may be called by another method.
    let mut problems = implied(route, surface);
    problems.push(405);
    for spec in route.contract.responses().unwrap_or_default() {
        match spec {
            ResponseSpec::Success { headers, .. } => names.extend(headers),
            ResponseSpec::Graphql { status, .. } | ResponseSpec::Problem { status, .. } => problems.push(status),
        }
    }
    names.extend(problems.into_iter().flat_map(problem_headers));
    names.extend(implied_headers(route));
    match route.admission {
        Admission::Requests | Admission::Webhooks => names.extend(RATE_HEADERS),
        Admission::Unmetered | Admission::Streams => {}
    }
    match route.endpoint {
        Endpoint::Member(..) | Endpoint::Reader(..) | Endpoint::User(_) | Endpoint::TableReader(..) => {
            names.push("X-Impersonated-By");
        }
        Endpoint::Anyone(_)
        | Endpoint::Operator(..)
        | Endpoint::SignedInOperator(_)
        | Endpoint::Visitor(..)
        | Endpoint::SignIn(_)
        | Endpoint::Signer(_)
        | Endpoint::Table(_) => {}
    }
    names
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::rate_fields::{rate_headers, rate_left};
    use crate::routes::SECTIONS;
    use domain::plan::Limit;
    use domain::rate::Rate;

    fn names(list: &str) -> Vec<&str> {
        list.split(", ").collect()
    }

    #[test]
    fn pages_of_other_origins_may_send_and_read_what_operations_name() {
        let cors = on_tenant(SECTIONS);
        let (allowed, exposed) = (names(&cors.allowed), names(&cors.exposed));
        for name in ["Authorization", "Cache-Control", "Content-Type", "Idempotency-Key", "If-Match", "If-None-Match"] {
            assert!(allowed.contains(&name), "{name}: {allowed:?}");
        }
        for name in
            ["If-Modified-Since", "If-Unmodified-Since", "If-Range", "Range", "Last-Event-ID", "Prefer", "X-Tenant-ID"]
        {
            assert!(allowed.contains(&name), "{name}: {allowed:?}");
        }
        assert!(!allowed.contains(&"limit") && !allowed.contains(&"Cookie"), "{allowed:?}");
        for name in [
            "Accept-Encoding",
            "Accept-Ranges",
            "Allow",
            "Content-Disposition",
            "Content-Range",
            "ETag",
            "Idempotent-Replayed",
            "Last-Event-ID",
            "Link",
            "Location",
            "Mercure-Last-Event-ID",
            "Preference-Applied",
            "RateLimit",
            "RateLimit-Policy",
            "Retry-After",
            "WWW-Authenticate",
            "X-Cache",
            "X-Impersonated-By",
            "X-Carillon-Version",
            "X-Request-Id",
        ] {
            assert!(exposed.contains(&name), "{name}: {exposed:?}");
        }
        assert!(!exposed.contains(&"Set-Cookie"));
    }

    #[test]
    fn every_header_that_tells_a_rate_can_be_read() {
        let rate = Rate {
            limit: Limit::AtMost(5),
            remaining: 1,
            reset: domain::clock::Timestamp::from_millis(60_000),
            policy: "requests".into(),
            window: 60,
        };
        let told = rate_headers(&rate).into_iter().chain(rate_left(&rate, 0)).map(|(name, _)| name);
        assert_eq!(told.collect::<BTreeSet<_>>(), RATE_HEADERS.iter().copied().collect());
    }
}
