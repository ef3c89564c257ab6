//! What a handler is given: the request, the path's parameters, the bindings, and who calls.

use std::cell::Cell;
use std::future::Future;
use std::rc::Rc;

use worker::Method;

use super::incoming::Incoming;
use super::precondition::Preconditions;
use super::problem::{self, Problem};
use crate::storage::bindings::{Bindings, SystemClock};
use domain::clock::{Clock, Timestamp};
use domain::ids::ClaimedTenant;

/// A request that was resolved, authenticated and admitted. `Caller` is the kind of principal that the route asks for,
/// so a handler cannot be reached by another. Large fields are boxed: every handler's future holds its request.
pub struct Request<Caller> {
    /// Method, URL, headers and body, as they came in.
    pub incoming: Box<Incoming>,
    /// The path's parameters, decoded.
    pub params: Params,
    /// The stores and settings of the deployment.
    pub bindings: Bindings,
    /// For work that goes on after the response was sent.
    pub background: Background,
    /// Whether the handler has proved somebody itself, by something that the pipeline does not verify.
    pub proof: HandlersProof,
    /// Who calls.
    pub caller: Box<Caller>,
}

/// Tells the pipeline that a handler has proved somebody itself: by a signature over the body, a link, a ticket. What the
/// request had to leave as a stranger's is then given back, whatever else is wrong with it.
#[derive(Clone, Default)]
pub struct HandlersProof(Rc<Cell<bool>>);

impl HandlersProof {
    /// Notes that somebody was proved.
    pub fn succeeded(&self) {
        self.0.set(true);
    }

    /// Whether somebody was.
    pub fn has_succeeded(&self) -> bool {
        self.0.get()
    }
}

/// Runs work after the response was sent (`ctx.waitUntil`).
#[derive(Clone)]
pub struct Background(Rc<worker::Context>);

impl Background {
    /// In the context of one request.
    pub fn new(ctx: worker::Context) -> Self {
        Self(Rc::new(ctx))
    }

    /// Keeps the context alive until the future is done.
    pub fn spawn(&self, work: impl Future<Output = ()> + 'static) {
        self.0.wait_until(work);
    }
}

impl<Caller> Request<Caller> {
    /// The platform's time.
    pub fn now(&self) -> Timestamp {
        SystemClock.now()
    }

    /// Whether the method is HEAD.
    pub fn is_head(&self) -> bool {
        self.incoming.method == Method::Head
    }

    /// The conditions that the request is done under.
    pub fn preconditions(&self) -> Preconditions {
        Preconditions::of(&self.incoming, self.now())
    }

    /// The tenant that the path names. 404 for a malformed id, and where a header or the query names another tenant.
    pub fn path_tenant(&self) -> Result<ClaimedTenant, Problem> {
        let claimed = ClaimedTenant::parse(self.params.get("tenant_id")).map_err(|_| problem::tenant_not_found())?;
        self.check_named(claimed.as_str())?;
        Ok(claimed)
    }

    /// Refuses a request whose header or query names another tenant than this one.
    pub fn check_named(&self, tenant: &str) -> Result<(), Problem> {
        let agree = self.incoming.named_tenants().iter().all(|named| named == tenant);
        if agree { Ok(()) } else { Err(problem::tenant_not_found().crossing_tenants()) }
    }
}

/// The parameters of a path, in order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Params(pub Vec<(&'static str, String)>);

impl Params {
    /// A parameter's value; empty if the path has none of that name.
    pub fn get(&self, name: &str) -> &str {
        self.0.iter().find(|(n, _)| *n == name).map_or("", |(_, value)| value)
    }
}
