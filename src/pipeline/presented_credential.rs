//! The credential that a request presents where it is asked for one.

use super::decide::{self, Verifies};
use super::subscriber_token::{is_principals, presented_cookie};
use crate::auth::authenticate_member::Credential;
use crate::auth::proofs::{ProofAttempt, ProofScope};
use crate::http::incoming::Incoming;
use crate::routes::{Admission, Endpoint, Route, TokenRule};
use crate::storage::bindings::Bindings;

/// What a request presents at a route; none if the route does not look at what it presents, or it presents nothing.
pub fn attempt(scope: ProofScope<'_>, request: &Incoming, bindings: &Bindings, route: &Route) -> Option<ProofAttempt> {
    match decide::verifies(Some(&route.endpoint)) {
        Verifies::Principal => of_principal(scope, request),
        Verifies::Subscriber(rule) if is_principals(request, bindings, rule) => of_principal(scope, request),
        Verifies::Subscriber(TokenRule::Mercure) | Verifies::Nothing => for_handler(scope, request, route),
        // What is the site's is for the site to verify.
        Verifies::Subscriber(TokenRule::PassedOn) => None,
        Verifies::Subscriber(_) => match request.header("Authorization").or_else(|| presented_cookie(request)) {
            Some(text) => Some(ProofAttempt::of(scope, request, "subscriber", &[&text])),
            None => Some(ProofAttempt::of(scope, request, "ticket", &[request.query.get("ticket")?])),
        },
    }
}

fn of_principal(scope: ProofScope<'_>, request: &Incoming) -> Option<ProofAttempt> {
    match Credential::of(request)? {
        Credential::Bearer(_) => Some(ProofAttempt::of(scope, request, "member", &[&request.header("Authorization")?])),
        Credential::Cookie(text) => Some(ProofAttempt::of(scope, request, "session", &[&text])),
    }
}

/// What is left to a handler to verify: a signature over the body, a token on Mercure's wire, a signed link.
fn for_handler(scope: ProofScope<'_>, request: &Incoming, route: &Route) -> Option<ProofAttempt> {
    let (header, cookie) = (request.header("Authorization"), request.header("Cookie"));
    let presents = match carrier_of(route)? {
        ProofCarrier::Body => true,
        ProofCarrier::Token => header.is_some() || cookie.is_some() || request.query.get("authorization").is_some(),
        ProofCarrier::Link => request.query.get("signature").is_some(),
    };
    let signature = ["X-Webhook-Signature", "webhook-signature"].map(|name| request.header(name).unwrap_or_default());
    let [plain, standard] = &signature;
    let (header, cookie) = (header.unwrap_or_default(), cookie.unwrap_or_default());
    let parts = [&header, &cookie, plain, standard, &request.path, &request.raw_query].map(String::as_str);
    presents.then(|| ProofAttempt::of(scope, request, "handler", &parts))
}

/// Where a request carries what a handler verifies.
enum ProofCarrier {
    /// Its body, or what it comes with, is what is verified.
    Body,
    /// It has a token.
    Token,
    /// Its URL is signed.
    Link,
}

/// Where requests of an operation carry what its handler verifies, if they draw from nothing else than what they open, or sign
/// somebody in.
fn carrier_of(route: &Route) -> Option<ProofCarrier> {
    match route.endpoint {
        // Refused sign-ins count as failed proofs, and a network that proved somebody may sign in although no permit is left.
        Endpoint::SignIn(_) => Some(ProofCarrier::Body),
        _ if route.admission == Admission::Requests => None,
        Endpoint::Signer(_) => Some(ProofCarrier::Body),
        Endpoint::Visitor(TokenRule::Mercure, _) => Some(ProofCarrier::Token),
        Endpoint::Visitor(TokenRule::Ignored, _) => Some(ProofCarrier::Link),
        Endpoint::Anyone(_)
        | Endpoint::Operator(..)
        | Endpoint::SignedInOperator(_)
        | Endpoint::Member(..)
        | Endpoint::Reader(..)
        | Endpoint::User(_)
        | Endpoint::Visitor(TokenRule::Optional | TokenRule::Required | TokenRule::PassedOn, _)
        | Endpoint::Table(_)
        | Endpoint::TableReader(..) => None,
    }
}
