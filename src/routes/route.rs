//! What an entry of the table says.

use std::future::Future;
use std::pin::Pin;

use worker::Method;

use super::contract::Contract;
use crate::auth::principal::{Anyone, Member, Operator, Reader, Signer, Visitor};
use crate::http::problem::Problem;
use crate::http::request::Request;
use crate::http::response::Response;
use domain::permission::{Permission, PlatformPermission};

/// On which hosts an operation lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Surface {
    /// The platform's host.
    Platform,
    /// Every tenant's host.
    Tenant,
    /// Every tenant's host, and the platform's for a credential that names its tenant or may select one.
    Both,
}

/// Whom an operation serves, and which permission it asks for. Proven before the handler is reached,
/// but for a signature, which covers the raw body and is the handler's first act.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Everybody.
    Anyone,
    /// Operators with this permission.
    Operator(PlatformPermission),
    /// A person of the platform who is signed in.
    SignedInOperator,
    /// Whoever has this permission in the tenant: users by their role, keys by their scopes.
    Member(Permission),
    /// Whoever has this permission in the tenant, and strangers on the tenant's host for what is public.
    Reader(Permission),
    /// A user of the tenant who is signed in.
    User,
    /// Everybody on the tenant's host, to become a user: address and origin are checked.
    SignIn,
    /// Everybody on the tenant's host; a token is not looked at.
    Visitor,
    /// Everybody on the tenant's host; a token that is presented must be valid.
    OptionalSubscriber,
    /// A subscriber token of the tenant.
    Subscriber,
    /// Everybody on the tenant's host; which operation takes a token of Mercure's, and of whom, its protocol says.
    Mercure,
    /// A webhook signed with the tenant's secret.
    Signature,
}

/// What an operation draws from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Admission {
    /// Nothing but the filter per address.
    Unmetered,
    /// The tenant's requests: those of its principals, or those of strangers.
    Requests,
    /// The tenant's streams, counted by the hub when one is opened.
    Streams,
    /// The tenant's webhooks, counted by the hub when one is accepted.
    Webhooks,
}

/// What a handler gives.
pub type Answering = Pin<Box<dyn Future<Output = Result<Response, Problem>>>>;

/// A handler, by the kind of principal it takes.
#[derive(Clone, Copy)]
pub enum Handler {
    /// For everybody.
    Anyone(fn(Request<Anyone>) -> Answering),
    /// For operators.
    Operator(fn(Request<Operator>) -> Answering),
    /// For those who act in a tenant.
    Member(fn(Request<Member>) -> Answering),
    /// For those who read a tenant's records.
    Reader(fn(Request<Reader>) -> Answering),
    /// For visitors of a tenant's host.
    Visitor(fn(Request<Visitor>) -> Answering),
    /// For sites that sign.
    Signer(fn(Request<Signer>) -> Answering),
    /// For whoever asks what the table says.
    Table(fn(Request<Table>) -> Answering),
}

/// The table, as the pipeline hands it to a handler: what an entry calls cannot name what it is in.
pub struct Table {
    /// Section by section.
    pub sections: &'static [&'static [Route]],
    /// Who reads it on a tenant's host, where it tells of the tenant's own collections.
    pub reader: Option<Reader>,
}

/// One operation.
pub struct Route {
    /// Its name: in logs, metrics and audits.
    pub name: &'static str,
    /// Its method; GET serves HEAD too.
    pub method: Method,
    /// Its path; `{name}` is one segment.
    pub path: &'static str,
    /// Further paths of the same operation.
    pub aliases: &'static [&'static str],
    /// Where it lives.
    pub surface: Surface,
    /// Whom it serves.
    pub access: Access,
    /// What it draws from.
    pub admission: Admission,
    /// Its handler.
    pub handler: Handler,
    /// What goes in and out, for machines.
    pub contract: Contract,
    /// One sentence for the API reference.
    pub summary: &'static str,
    /// Body, query and headers it reads, for the API reference.
    pub request: &'static str,
    /// What it answers, for the API reference.
    pub answer: &'static str,
}

/// A section as it is built: the Worker leaves out what only the API reference says, which the host writes.
pub(super) const fn shipped<const N: usize>(mut section: [Route; N]) -> [Route; N] {
    let mut rest = section.as_mut_slice();
    while let (true, Some((route, others))) = (cfg!(target_arch = "wasm32"), rest.split_first_mut()) {
        (route.request, route.answer) = ("", "");
        rest = others;
    }
    section
}

/// A handler of a table's entry: the kind of principal, and the function.
macro_rules! handler {
    ($kind:ident, $path:path) => {
        super::route::Handler::$kind(|request| Box::pin($path(request)))
    };
}
pub(super) use handler;
