//! The headers that pages of other origins may send to a tenant's host and read from its answers, as the operations
//! there say.

use std::collections::BTreeSet;
use std::sync::OnceLock;

use super::contract::{RequestBody, ResponseSpec};
use super::openapi::schemas;
use super::route::{Admission, Endpoint, Route, Surface};
use crate::http::cors::CorsHeaders;

/// What every answer may carry.
const OF_EVERY_ANSWER: &[&str] = &["Retry-After", "X-Carillon-Version", "X-Request-Id"];
/// What tells how a rate stands, where an operation draws from one.
const OF_RATES: &[&str] =
    &["RateLimit", "RateLimit-Policy", "X-RateLimit-Limit", "X-RateLimit-Remaining", "X-RateLimit-Reset"];

static ON_TENANT: OnceLock<CorsHeaders> = OnceLock::new();

/// The union over the operations of a tenant's host.
pub fn on_tenant(sections: &'static [&'static [Route]]) -> &'static CorsHeaders {
    ON_TENANT.get_or_init(|| {
        let routes = || sections.iter().copied().flatten().filter(|route| route.surface.includes(Surface::Tenant));
        CorsHeaders { allowed: joined(routes().flat_map(sent)), exposed: joined(routes().flat_map(answered)) }
    })
}

fn joined(names: impl Iterator<Item = &'static str>) -> String {
    names.collect::<BTreeSet<_>>().into_iter().collect::<Vec<_>>().join(", ")
}

/// The headers that a request to an operation may carry.
fn sent(route: &'static Route) -> Vec<&'static str> {
    let mut names: Vec<_> = route.contract.param_names().filter(|name| schemas::is_header(name)).collect();
    // Any request may repeat whose host it is sent to.
    names.push("X-Tenant-ID");
    if route.contract.body != RequestBody::None {
        names.push("Content-Type");
    }
    if route.endpoint.can_be_unauthorized() {
        names.push("Authorization");
    }
    if route.admission == Admission::Streams {
        // An EventSource that is not the browser's own sends it.
        names.push("Cache-Control");
    }
    names
}

/// The headers that an answer of an operation may carry.
fn answered(route: &'static Route) -> Vec<&'static str> {
    let mut names = OF_EVERY_ANSWER.to_vec();
    for spec in route.contract.responses().unwrap_or_default() {
        match spec {
            ResponseSpec::Success { headers, .. } => names.extend(headers),
            ResponseSpec::Problem { .. } => {}
        }
    }
    if route.contract.param_names().any(|name| name == "Idempotency-Key") {
        names.push("Idempotent-Replayed");
    }
    if route.endpoint.can_be_unauthorized() {
        names.push("WWW-Authenticate");
    }
    match route.admission {
        Admission::Requests | Admission::Webhooks => names.extend(OF_RATES),
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
        assert!(allowed.contains(&"Last-Event-ID") && allowed.contains(&"Prefer") && allowed.contains(&"X-Tenant-ID"));
        assert!(!allowed.contains(&"limit") && !allowed.contains(&"Cookie"), "{allowed:?}");
        for name in [
            "ETag",
            "Idempotent-Replayed",
            "Last-Event-ID",
            "Link",
            "Location",
            "Mercure-Last-Event-ID",
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
        assert_eq!(told.collect::<BTreeSet<_>>(), OF_RATES.iter().copied().collect());
    }
}
