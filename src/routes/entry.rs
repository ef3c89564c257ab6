//! How an entry of the table is written.

use worker::Method;

use super::contract::{Contract, RequestBody};
use super::route::{Admission, Endpoint, Handler, JudgedBy, Route, Surface, TokenRule};
use crate::auth::principal::Visitor;

/// A GET; it serves HEAD too.
pub const fn get(name: &'static str, path: &'static str, endpoint: Endpoint) -> Route {
    Route::new(Method::Get, name, path, endpoint)
}

/// A POST.
pub const fn post(name: &'static str, path: &'static str, endpoint: Endpoint) -> Route {
    Route::new(Method::Post, name, path, endpoint)
}

/// A PUT.
pub const fn put(name: &'static str, path: &'static str, endpoint: Endpoint) -> Route {
    Route::new(Method::Put, name, path, endpoint)
}

/// A PATCH.
pub const fn patch(name: &'static str, path: &'static str, endpoint: Endpoint) -> Route {
    Route::new(Method::Patch, name, path, endpoint)
}

/// A DELETE.
pub const fn delete(name: &'static str, path: &'static str, endpoint: Endpoint) -> Route {
    Route::new(Method::Delete, name, path, endpoint)
}

/// A static file of the build, for everybody on the tenant's host: no credential is looked at, and whoever has it already is
/// told 304. Its handler names the file and says where there is none.
pub const fn asset(name: &'static str, path: &'static str, handler: Handler<Visitor>) -> Route {
    get(name, path, Endpoint::Visitor(TokenRule::Ignored, handler)).judged_now().params("If-None-Match, If-Match")
}

/// A section whose paths have no form without the version.
pub const fn versioned_only<const N: usize>(mut section: [Route; N]) -> [Route; N] {
    let mut rest = section.as_mut_slice();
    while let Some((route, others)) = rest.split_first_mut() {
        route.is_versioned_only = true;
        rest = others;
    }
    section
}

impl Route {
    const fn new(method: Method, name: &'static str, path: &'static str, endpoint: Endpoint) -> Self {
        let (surface, admission) = (endpoint.usual_surface(), endpoint.usual_admission());
        let judged_by = endpoint.usual_judgement();
        let contract = Contract { params: "", body: RequestBody::None, answers: "" };
        Self {
            name,
            method,
            path,
            surface,
            endpoint,
            admission,
            judged_by,
            contract,
            summary: "",
            is_versioned_only: false,
        }
    }

    /// On other hosts than its endpoint's usual ones. Where nobody could call it, it does not compile.
    pub const fn on(mut self, surface: Surface) -> Self {
        assert!(self.endpoint.can_be_on(surface), "nobody could call this operation there");
        self.surface = surface;
        self
    }

    /// Draws from something else than its endpoint usually does.
    pub const fn draws_from(mut self, admission: Admission) -> Self {
        self.admission = admission;
        self
    }

    /// Is judged by the tenant's configuration as the hub has it now, because it reads no rows and calls no hub.
    pub const fn judged_now(mut self) -> Self {
        self.judged_by = JudgedBy::Current;
        self
    }

    /// What it does, in a sentence or two.
    pub const fn summary(mut self, summary: &'static str) -> Self {
        self.summary = summary;
        self
    }

    /// Its parameters beside those of the path.
    pub const fn params(mut self, params: &'static str) -> Self {
        self.contract.params = params;
        self
    }

    /// Takes a body of this schema.
    pub const fn body(mut self, schema: &'static str) -> Self {
        self.contract.body = RequestBody::Required(schema);
        self
    }

    /// Takes a body of this schema, or none.
    pub const fn optional_body(mut self, schema: &'static str) -> Self {
        self.contract.body = RequestBody::Optional(schema);
        self
    }

    /// Takes a form of this schema.
    pub const fn form(mut self, schema: &'static str) -> Self {
        self.contract.body = RequestBody::Form(schema);
        self
    }

    /// Takes bytes, of which this says what they are.
    pub const fn bytes(mut self, about: &'static str) -> Self {
        self.contract.body = RequestBody::Bytes(about);
        self
    }

    /// What it answers.
    pub const fn answers(mut self, answers: &'static str) -> Self {
        self.contract.answers = answers;
        self
    }
}

/// An async function as a [`Handler`].
macro_rules! handler {
    ($path:path) => {
        |call| Box::pin($path(call))
    };
}
pub(super) use handler;
