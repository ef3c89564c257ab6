//! A request on its way, and what is learnt of it.

use worker::Method;

use crate::http::incoming::Incoming;
use crate::http::problem::{self, Problem};
use crate::http::request::{Background, Params, Request};
use crate::http::response::{Response, rate_headers, rate_left};
use crate::routes::{self, Matched, Route, Surface};
use crate::storage::bindings::{Bindings, SystemClock};
use domain::clock::Clock;
use domain::rate::Rate;

/// What is known of a request by the time it is answered: for its headers and its log line.
#[derive(Default)]
pub struct Trail {
    /// The tenant, once proven.
    pub tenant: Option<String>,
    /// The route's name.
    pub route: Option<&'static str>,
    /// Further headers of the answer.
    pub headers: Vec<(&'static str, String)>,
}

/// A request on its way.
pub struct Walk {
    /// The request.
    pub request: Box<Incoming>,
    /// The deployment.
    pub bindings: Bindings,
    /// What may go on behind the answer.
    pub background: Background,
}

impl Walk {
    /// What the handler is given.
    pub fn call<Who>(self, params: Params, who: Box<Who>) -> Request<Who> {
        Request { incoming: self.request, params, bindings: self.bindings, background: self.background, caller: who }
    }
}

/// The operation a request asks for, or what to answer in its place.
pub fn find(surface: Surface, request: &Incoming) -> Result<(&'static Route, Params), Result<Response, Problem>> {
    match routes::find(surface, &request.method, &request.path) {
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
