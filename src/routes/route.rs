//! An operation: its path, its hosts, who may call it with what runs, what it draws from, what goes in and out.
//!
//! Who may call, what they need and what runs are one value, the [`Endpoint`]. A handler takes the principal that its
//! endpoint proves, so one that is joined to another rule does not compile. Every decision about rights matches each
//! endpoint by name: there is no arm that allows what nobody thought of.

use std::future::Future;
use std::pin::Pin;

use worker::Method;

use super::contract::Contract;
use crate::auth::principal::{Anyone, Member, Operator, Reader, Signer, Visitor};
use crate::http::problem::Problem;
use crate::http::request::Request;
use crate::http::response::Response;
use domain::permission::{Permission, PlatformPermission};

/// What precedes the version in a path.
const VERSIONED: &str = "/api/v1/";

/// On which hosts an operation is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Surface {
    /// The platform's host.
    Platform,
    /// Every tenant's host.
    Tenant,
    /// Every tenant's host, and the platform's for a credential that names its tenant or may select one.
    Both,
}

impl Surface {
    /// Whether an operation that is here is on this kind of host.
    pub fn includes(self, host: Self) -> bool {
        self == host || self == Self::Both
    }
}

/// What an operation draws from, once it was let in. On a tenant's host every request first takes a permit of the tenant's
/// for strangers, and gets it back if it proves to be somebody or opens what it asked for (`pipeline/permit.rs`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Admission {
    /// Nothing further.
    Unmetered,
    /// The tenant's requests: those of its principals, or those of strangers.
    Requests,
    /// The tenant's streams, counted by the hub when one is opened.
    Streams,
    /// The tenant's webhooks, counted by the hub when one is accepted.
    Webhooks,
}

/// What a handler returns.
pub type HandlerFuture = Pin<Box<dyn Future<Output = Result<Response, Problem>>>>;

/// A handler of requests by one kind of principal.
pub type Handler<Who> = fn(Request<Who>) -> HandlerFuture;

/// Who may call an operation, with what runs for them. The caller is proven before the handler is reached, except for a
/// signature, which covers the raw body and which the handler verifies first.
#[derive(Clone, Copy)]
pub enum Endpoint {
    /// Everybody, on the platform's host.
    Anyone(Handler<Anyone>),
    /// Operators with this permission.
    Operator(PlatformPermission, Handler<Operator>),
    /// Operators who are signed in: a person's session, not a key.
    SignedInOperator(Handler<Operator>),
    /// Whoever has this permission in the tenant: users by their role, keys by their scopes.
    Member(Permission, Handler<Member>),
    /// Whoever has this permission in the tenant, and strangers on the tenant's host for what is public.
    Reader(Permission, Handler<Reader>),
    /// A user of the tenant who is signed in.
    User(Handler<Member>),
    /// Everybody on the tenant's host, with or without a subscriber token as the rule says.
    Visitor(TokenRule, Handler<Visitor>),
    /// Everybody on the tenant's host who wants to become a user: their address and origin are checked.
    SignIn(Handler<Visitor>),
    /// A site that signs its webhook with the tenant's secret.
    Signer(Handler<Signer>),
    /// Everybody on the platform's host; the handler is given the route table.
    Table(Handler<Table>),
    /// The callers of `Reader`; the handler is given the route table.
    TableReader(Permission, Handler<Table>),
}

/// What becomes of a subscriber token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TokenRule {
    /// It is not looked at.
    Ignored,
    /// Nobody needs one; one that is presented must be valid.
    Optional,
    /// A valid one is needed.
    Required,
    /// Mercure's protocol says which operation needs a token and whose; the handler verifies it.
    Mercure,
    /// A key, token or session of this platform must be valid; any other credential is the site's, and passed on to it.
    PassedOn,
}

/// How fresh the tenant's configuration must be that a request is judged by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum JudgedBy {
    /// As this isolate has it: what the request reads or does compares the revision.
    Cached,
    /// As the hub has it now: the request reads and does nothing, or nothing before the configuration has decided.
    Current,
}

/// The route table as a handler gets it: what an entry calls cannot name the table that it is in.
pub struct Table {
    /// Section by section.
    pub sections: &'static [&'static [Route]],
    /// Who reads it on a tenant's host, where it lists the tenant's own collections.
    pub reader: Option<Reader>,
}

impl Endpoint {
    /// The hosts that its operations are on, unless an entry says otherwise.
    pub(super) const fn usual_surface(&self) -> Surface {
        match self {
            Self::Anyone(_) | Self::Operator(..) | Self::SignedInOperator(_) | Self::Table(_) => Surface::Platform,
            Self::Member(..) | Self::Reader(..) => Surface::Both,
            Self::User(_) | Self::Visitor(..) | Self::SignIn(_) | Self::Signer(_) | Self::TableReader(..) => {
                Surface::Tenant
            }
        }
    }

    /// Whether its operations can be on these hosts at all.
    pub(super) const fn can_be_on(&self, surface: Surface) -> bool {
        match self {
            Self::Anyone(_) | Self::Operator(..) | Self::SignedInOperator(_) | Self::Table(_) => {
                matches!(surface, Surface::Platform)
            }
            // On the platform's host its path names the tenant.
            Self::Visitor(TokenRule::PassedOn, _) => matches!(surface, Surface::Tenant | Surface::Platform),
            Self::User(_)
            | Self::Visitor(TokenRule::Ignored | TokenRule::Optional | TokenRule::Required | TokenRule::Mercure, _)
            | Self::SignIn(_)
            | Self::TableReader(..) => matches!(surface, Surface::Tenant),
            Self::Member(..) | Self::Reader(..) | Self::Signer(_) => true,
        }
    }

    /// What its operations draw from, unless an entry says otherwise.
    pub(super) const fn usual_admission(&self) -> Admission {
        match self {
            Self::Anyone(_) | Self::Operator(..) | Self::SignedInOperator(_) | Self::Table(_) => Admission::Unmetered,
            Self::Member(..)
            | Self::Reader(..)
            | Self::User(_)
            | Self::Visitor(..)
            | Self::SignIn(_)
            | Self::TableReader(..) => Admission::Requests,
            Self::Signer(_) => Admission::Webhooks,
        }
    }

    /// By what its operations are judged, unless an entry says otherwise. Whoever signs in, registers or sets a password is
    /// judged by the tenant's switches and policies alone.
    pub(super) const fn usual_judgement(&self) -> JudgedBy {
        match self {
            Self::SignIn(_) => JudgedBy::Current,
            Self::Anyone(_)
            | Self::Operator(..)
            | Self::SignedInOperator(_)
            | Self::Table(_)
            | Self::Member(..)
            | Self::Reader(..)
            | Self::User(_)
            | Self::Visitor(..)
            | Self::Signer(_)
            | Self::TableReader(..) => JudgedBy::Cached,
        }
    }

    /// Whether a request without a credential, or with a wrong one, can be 401.
    pub const fn can_be_unauthorized(&self) -> bool {
        match self {
            Self::Anyone(_) | Self::Table(_) | Self::SignIn(_) | Self::Visitor(TokenRule::Ignored, _) => false,
            Self::Operator(..)
            | Self::SignedInOperator(_)
            | Self::Member(..)
            | Self::Reader(..)
            | Self::User(_)
            | Self::Visitor(TokenRule::Optional | TokenRule::Required | TokenRule::Mercure | TokenRule::PassedOn, _)
            | Self::Signer(_)
            | Self::TableReader(..) => true,
        }
    }

    /// Whether a principal, an address or an origin can be 403.
    pub const fn can_be_forbidden(&self) -> bool {
        match self {
            Self::Anyone(_) | Self::Table(_) | Self::Visitor(TokenRule::Ignored, _) | Self::Signer(_) => false,
            Self::Operator(..)
            | Self::SignedInOperator(_)
            | Self::Member(..)
            | Self::Reader(..)
            | Self::User(_)
            | Self::Visitor(TokenRule::Optional | TokenRule::Required | TokenRule::Mercure | TokenRule::PassedOn, _)
            | Self::SignIn(_)
            | Self::TableReader(..) => true,
        }
    }

    /// Whether it can act in a tenant that a credential on the platform's host names.
    pub const fn enters_by_credential(&self) -> bool {
        match self {
            Self::Member(..) | Self::Reader(..) => true,
            Self::Anyone(_)
            | Self::Operator(..)
            | Self::SignedInOperator(_)
            | Self::User(_)
            | Self::Visitor(..)
            | Self::SignIn(_)
            | Self::Signer(_)
            | Self::Table(_)
            | Self::TableReader(..) => false,
        }
    }
}

/// One operation.
pub struct Route {
    /// Its name: in logs, metrics and audits.
    pub name: &'static str,
    /// Its method; GET serves HEAD too.
    pub method: Method,
    /// Its path; `{name}` is one segment.
    pub path: &'static str,
    /// Where it is.
    pub surface: Surface,
    /// Who may call it, and what runs.
    pub endpoint: Endpoint,
    /// What it draws from.
    pub admission: Admission,
    /// How fresh the configuration must be that a request to a tenant is judged by.
    pub judged_by: JudgedBy,
    /// What goes in and out.
    pub contract: Contract,
    /// What it does, in a sentence or two.
    pub summary: &'static str,
    /// Whether its path has no form without the version.
    pub(super) is_versioned_only: bool,
}

impl Route {
    /// Its further paths: `/api/…` beside `/api/v1/…`, and `/admin/tenants…` beside those of tenants.
    pub fn aliases(&self) -> Vec<String> {
        let Some(rest) = self.path.strip_prefix(VERSIONED).filter(|_| !self.is_versioned_only) else {
            return Vec::new();
        };
        let admin = rest.split('/').next() == Some("tenants");
        let prefixes = ["/admin/", "/api/"].into_iter().skip(usize::from(!admin));
        prefixes.map(|prefix| [prefix, rest].concat()).collect()
    }

    /// All its paths, its own first.
    pub fn paths(&self) -> Vec<String> {
        std::iter::once(self.path.to_owned()).chain(self.aliases()).collect()
    }
}
