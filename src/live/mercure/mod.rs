//! Mercure's protocol on `/.well-known/mercure` of every tenant's host, over the log and the streams of `/events`
//! (draft-dunglas-mercure-08; if the tenant allows it, also the protocol before 1.0).
//!
//! Invariants
//! - An acknowledged update is in the log; a client that reconnects receives it in order, on either wire.
//! - No text of an update can end its field or its block on the wire.
//! - Only the hub publishes in the hub's own namespace.

pub mod discovery;
pub mod publish;
pub mod subscribe;
pub mod subscriptions;

use crate::auth::mercure::proof::HubAccess;
use crate::auth::principal::Visitor;
use crate::http::problem::{self, Problem};
use crate::http::request::Request;
use domain::matching::topic_url::Base;
use domain::mercure::HUB_PATH;

/// The requested origin, as the client wrote it.
fn origin(request: &Request<Visitor>) -> String {
    request.incoming.origin_of(request.caller.host.as_str())
}

/// The hub's URL, as the client wrote it.
fn hub_url(request: &Request<Visitor>) -> Result<Base, Problem> {
    Base::parse(&[&origin(request), HUB_PATH].concat()).map_err(problem::internal)
}

/// The hub that was asked.
fn hub(request: &Request<Visitor>) -> HubAccess<'_> {
    let Visitor { tenant, host, config, .. } = &*request.caller;
    HubAccess { bindings: &request.bindings, tenant, config, host }
}
