//! The credential that a request presents where it is asked for one.

use super::decide::{self, Verifies};
use super::subscriber_token::{is_principals, presented_cookie};
use crate::auth::authenticate_member::Credential;
use crate::auth::proofs::{ProofAttempt, ProofScope};
use crate::http::incoming::Incoming;
use crate::routes::{Admission, Endpoint, Route, TokenRule};

/// What a request presents at a route; none if the route does not look at what it presents, or it presents nothing.
pub fn attempt(door: ProofScope<'_>, request: &Incoming, route: &Route) -> Option<ProofAttempt> {
    match decide::verifies(Some(&route.endpoint)) {
        Verifies::Principal => of_principal(door, request),
        Verifies::Subscriber(rule) if is_principals(request, rule) => of_principal(door, request),
        Verifies::Subscriber(TokenRule::Mercure) | Verifies::Nothing => of_handler(door, request, route),
        Verifies::Subscriber(_) => match request.header("Authorization").or_else(|| presented_cookie(request)) {
            Some(text) => Some(ProofAttempt::of(door, request, "subscriber", &[&text])),
            None => Some(ProofAttempt::of(door, request, "ticket", &[request.query.get("ticket")?])),
        },
    }
}

fn of_principal(door: ProofScope<'_>, request: &Incoming) -> Option<ProofAttempt> {
    match Credential::of(request)? {
        Credential::Bearer(_) => Some(ProofAttempt::of(door, request, "member", &[&request.header("Authorization")?])),
        Credential::Cookie(text) => Some(ProofAttempt::of(door, request, "session", &[&text])),
    }
}

/// Everything that a handler may verify.
fn of_handler(door: ProofScope<'_>, request: &Incoming, route: &Route) -> Option<ProofAttempt> {
    verified_by_handler(route).then(|| {
        let parts = ["X-Webhook-Signature", "webhook-signature", "webhook-id", "Authorization", "Cookie"];
        let parts = parts.map(|name| request.header(name).unwrap_or_default());
        let parts: Vec<&str> = parts.iter().map(String::as_str).chain([&*request.path, &*request.raw_query]).collect();
        ProofAttempt::of(door, request, "handler", &parts)
    })
}

/// Whether a handler verifies what it is sent, and the request draws from nothing else than what it opens.
fn verified_by_handler(route: &Route) -> bool {
    let may_verify = match route.endpoint {
        Endpoint::Signer(_) | Endpoint::Visitor(TokenRule::Mercure, _) => true,
        // Links that are signed.
        Endpoint::Visitor(TokenRule::Ignored, _) => route.admission == Admission::Unmetered,
        Endpoint::Anyone(_)
        | Endpoint::Operator(..)
        | Endpoint::SignedInOperator(_)
        | Endpoint::Member(..)
        | Endpoint::Reader(..)
        | Endpoint::User(_)
        | Endpoint::Visitor(TokenRule::Optional | TokenRule::Required, _)
        | Endpoint::SignIn(_)
        | Endpoint::Table(_)
        | Endpoint::TableReader(..) => false,
    };
    may_verify && route.admission != Admission::Requests
}
