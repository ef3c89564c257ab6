//! One endpoint of each kind, for tests.

use crate::http::problem;
use crate::http::request::Request;
use crate::routes::{Endpoint, HandlerFuture, TokenRule};
use domain::permission::{Permission, PlatformPermission};

/// The permission that endpoints of a tenant ask for here.
pub const ASKED: Permission = Permission::UsersRead;
/// The permission that endpoints of the platform ask for here.
pub const ASKED_OF_OPERATORS: PlatformPermission = PlatformPermission::TenantsRead;

fn never<Who>(_: Request<Who>) -> HandlerFuture {
    Box::pin(async { Err(problem::not_found()) })
}

/// Every kind of endpoint, with a name to tell it by.
pub fn all() -> [(&'static str, Endpoint); 15] {
    [
        ("anyone", Endpoint::Anyone(never)),
        ("operator", Endpoint::Operator(ASKED_OF_OPERATORS, never)),
        ("signed-in operator", Endpoint::SignedInOperator(never)),
        ("member", Endpoint::Member(ASKED, never)),
        ("reader", Endpoint::Reader(ASKED, never)),
        ("user", Endpoint::User(never)),
        ("visitor", Endpoint::Visitor(TokenRule::Ignored, never)),
        ("optional subscriber", Endpoint::Visitor(TokenRule::Optional, never)),
        ("subscriber", Endpoint::Visitor(TokenRule::Required, never)),
        ("mercure", Endpoint::Visitor(TokenRule::Mercure, never)),
        ("passed on", Endpoint::Visitor(TokenRule::PassedOn, never)),
        ("sign-in", Endpoint::SignIn(never)),
        ("signer", Endpoint::Signer(never)),
        ("table", Endpoint::Table(never)),
        ("table reader", Endpoint::TableReader(ASKED, never)),
    ]
}
