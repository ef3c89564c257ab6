//! What a handler is given: the request, the path's parameters, the bindings, and who calls.

use std::future::Future;
use std::rc::Rc;

use worker::Method;

use super::incoming::Incoming;
use super::problem::{self, Answered};
use crate::storage::bindings::{Bindings, SystemClock};
use domain::clock::{Clock, Timestamp};
use domain::ids::ClaimedTenant;

/// A call that passed resolving, authentication and admission. `Who` is the kind of principal
/// the route asks for, so a handler cannot be reached by another. What is large in it is boxed: each handler keeps
/// its call while it waits.
pub struct Call<Who> {
    /// The request.
    pub request: Box<Incoming>,
    /// The path's parameters, decoded.
    pub params: Params,
    /// The deployment.
    pub bindings: Bindings,
    /// What may go on behind the answer.
    pub later: Later,
    /// Who calls.
    pub who: Box<Who>,
}

/// Where work is left that goes on once the answer is sent.
#[derive(Clone)]
pub struct Later(Rc<worker::Context>);

impl Later {
    /// Of a request's context.
    pub fn new(ctx: worker::Context) -> Self {
        Self(Rc::new(ctx))
    }

    /// Leaves work.
    pub fn run(&self, work: impl Future<Output = ()> + 'static) {
        self.0.wait_until(work);
    }
}

impl<Who> Call<Who> {
    /// Now.
    pub fn now(&self) -> Timestamp {
        SystemClock.now()
    }

    /// Whether only the head is asked for.
    pub fn is_head(&self) -> bool {
        self.request.method == Method::Head
    }

    /// The tenant that the path names. A malformed one names nobody, and one that header or query
    /// contradict is nobody's either.
    pub fn path_tenant(&self) -> Answered<ClaimedTenant> {
        let claimed = ClaimedTenant::parse(self.params.get("tenant_id")).map_err(|_| problem::tenant_not_found())?;
        self.check_named(claimed.as_str())?;
        Ok(claimed)
    }

    /// Refuses a request whose header or query name another tenant than this one.
    pub fn check_named(&self, tenant: &str) -> Answered<()> {
        let agree = self.request.named_tenants().iter().all(|named| named == tenant);
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
