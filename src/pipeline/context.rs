//! A request in the pipeline, and what is learnt of it.

use worker::Method;

use crate::http::incoming::{Incoming, PlatformRequest};
use crate::http::problem::{self, Problem};
use crate::http::rate_fields::{rate_headers, rate_left};
use crate::http::request::{Background, HandlersProof, Params, Request};
use crate::http::response::Response;
use crate::hub::protocol::WireFormat;
use crate::routes::{self, Matched, Route, Surface};
use crate::storage::bindings::{Bindings, SystemClock};
use domain::clock::Clock;
use domain::rate::Rate;

/// What is known of a request by the time it is answered: for the answer's headers and the log line.
#[derive(Default)]
pub struct ResponseMeta {
    /// The tenant, once proven.
    pub tenant: Option<String>,
    /// The route's name.
    pub route: Option<&'static str>,
    /// Whether the host that was asked is a tenant's, and serves it.
    pub is_tenants_host: bool,
    /// The wire of the stream that the request asks for, if it asks as a browser's `EventSource` does.
    pub event_source: Option<WireFormat>,
    /// Further headers of the answer.
    pub headers: Vec<(&'static str, String)>,
}

/// A request with what answering it takes.
pub struct RequestContext {
    /// The request.
    pub request: Box<Incoming>,
    /// The deployment.
    pub bindings: Bindings,
    /// Takes work that goes on once the answer is sent.
    pub background: Background,
    /// Where a handler notes that it has proved somebody itself.
    pub proof: HandlersProof,
}

impl RequestContext {
    /// What a handler is given.
    pub fn call<Who>(self, params: Params, who: Box<Who>) -> Request<Who> {
        let Self { request: incoming, bindings, background, proof } = self;
        Request { incoming, params, bindings, background, proof, caller: who }
    }
}

/// What it takes to answer a request once more from the beginning.
pub struct SecondLook {
    raw: PlatformRequest,
    id: String,
    bindings: Bindings,
    background: Background,
}

impl RequestContext {
    /// Keeps what it takes to answer the request once more.
    pub fn again(&self) -> SecondLook {
        SecondLook {
            raw: self.request.handle(),
            id: self.request.id.clone(),
            bindings: self.bindings.clone(),
            background: self.background.clone(),
        }
    }
}

impl SecondLook {
    /// The request as it came in; none if its body has been read, which cannot be done twice.
    pub fn context(self) -> Option<RequestContext> {
        if self.raw.body_used() {
            return None;
        }
        let request = Box::new(Incoming::new(self.raw.into(), self.id));
        let Self { bindings, background, .. } = self;
        Some(RequestContext { request, bindings, background, proof: HandlersProof::default() })
    }
}

/// The operation that a request asks for with the path's parameters, or the answer where there is none.
pub type Found = Result<(&'static Route, Params), Result<Response, Problem>>;

/// Looks up the operation that a request asks for on a kind of host.
pub fn find(host: Surface, request: &Incoming) -> Found {
    match routes::find(host, &request.method, &request.path) {
        Matched::Route(route, params) => Ok((route, params)),
        Matched::Methods(methods) if request.method == Method::Options => {
            Err(Ok(Response::empty(204).header("Allow", methods.join(", "))))
        }
        Matched::Methods(methods) => Err(Err(problem::method_not_allowed(&methods.join(", ")))),
        Matched::Nothing => Err(Err(problem::not_found())),
    }
}

/// The headers that tell how a limit stands.
pub fn rate_fields(rate: &Rate) -> Vec<(&'static str, String)> {
    let mut fields = rate_headers(rate);
    fields.extend(rate_left(rate, SystemClock.now().seconds()));
    fields
}
