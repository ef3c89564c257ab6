//! The credential that a request presents where it is asked for one.

use super::decide::{self, Verifies};
use super::subscriber_token::TOKEN_COOKIE;
use crate::auth::authenticate_member::Credential;
use crate::auth::proofs::{ProofAttempt, ProofScope};
use crate::http::incoming::Incoming;
use crate::routes::{Admission, Endpoint, Route, TokenRule};

/// What a request presents at a route; none if the route does not look at what it presents, or it presents nothing.
pub fn attempt(scope: ProofScope<'_>, request: &Incoming, route: &Route) -> Option<ProofAttempt> {
    let header = request.header("Authorization");
    match decide::verifies(Some(&route.endpoint)) {
        Verifies::Principal => match Credential::of(request)? {
            Credential::Bearer(_) => Some(ProofAttempt::of(scope, request, "member", &[&header?])),
            Credential::Cookie(text) => Some(ProofAttempt::of(scope, request, "session", &[&text])),
        },
        Verifies::SubscriberToken => match header.or_else(|| request.cookie(TOKEN_COOKIE)) {
            Some(text) => Some(ProofAttempt::of(scope, request, "subscriber", &[&text])),
            None => Some(ProofAttempt::of(scope, request, "ticket", &[request.query.get("ticket")?])),
        },
        Verifies::Nothing => verified_by_handler(route).then(|| {
            let parts = ["X-Webhook-Signature", "webhook-signature", "webhook-id", "Authorization", "Cookie"];
            let parts = parts.map(|name| request.header(name).unwrap_or_default());
            let parts: Vec<&str> =
                parts.iter().map(String::as_str).chain([&*request.path, &*request.raw_query]).collect();
            ProofAttempt::of(scope, request, "handler", &parts)
        }),
    }
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
