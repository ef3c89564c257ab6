//! Mercure's protocol on `/.well-known/mercure` of every tenant's host, over the log and the streams of `/events`
//! (draft-dunglas-mercure-08; beside it, where the tenant allows, what clients of before 1.0 speak).
//!
//! Invariants
//! - An update that was acknowledged is in the log; whoever comes back gets it in its order, on either wire.
//! - No text of an update can end its field or its block on the wire.
//! - Nobody but the hub publishes in the hub's own namespace.

pub mod discovery;
pub mod publish;
pub mod subscribe;
pub mod subscriptions;

use crate::auth::mercure::proof::{HUB_PATH, Hub};
use crate::auth::principal::Visitor;
use crate::http::problem::{self, Answered};
use crate::http::request::Call;
use domain::matching::topic_url::Base;

/// The origin that was asked, as its client writes it.
fn origin(call: &Call<Visitor>) -> String {
    call.request.origin_of(call.who.host.as_str())
}

/// The hub's URL, as its client writes it.
fn hub_url(call: &Call<Visitor>) -> Answered<Base> {
    Base::parse(&[&origin(call), HUB_PATH].concat()).map_err(problem::internal)
}

/// The hub that was asked.
fn hub(call: &Call<Visitor>) -> Hub<'_> {
    let Visitor { tenant, host, config, .. } = &*call.who;
    Hub { bindings: &call.bindings, tenant, config, host }
}
