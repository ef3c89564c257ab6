//! Why a request is refused, and the problem that says so.

use crate::http::problem::{self, Problem};

/// Why a request is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Denial {
    /// It names two tenants.
    CrossesTenants,
    /// It selects a tenant that cannot exist.
    TenantNotFound,
    /// It selects no tenant.
    NoTenantSelected,
    /// There is nothing here for this caller.
    NotFound,
    /// Its address is not on the tenant's list.
    AddressNotAllowed,
    /// Its origin is not on the tenant's list.
    OriginNotAllowed,
    /// It needs a credential, and has none that proves somebody.
    Unauthorized,
    /// Its subscriber token is not valid.
    InvalidToken,
    /// The caller lacks this permission.
    Forbidden(&'static str),
    /// The caller is not a user.
    NotAUser,
    /// The caller is a key of the platform's, and not an operator who is signed in.
    NotSignedIn,
}

impl From<Denial> for Problem {
    fn from(denial: Denial) -> Self {
        match denial {
            Denial::CrossesTenants => problem::tenant_not_found().crossing_tenants(),
            Denial::TenantNotFound => problem::tenant_not_found(),
            Denial::NoTenantSelected => problem::no_tenant_selected(),
            Denial::NotFound => problem::not_found(),
            Denial::AddressNotAllowed => problem::address_not_allowed(),
            Denial::OriginNotAllowed => problem::origin_not_allowed(),
            Denial::Unauthorized => problem::unauthorized(),
            Denial::InvalidToken => problem::invalid_token(),
            Denial::Forbidden(permission) => problem::forbidden(permission),
            Denial::NotAUser => problem::not_a_user(),
            Denial::NotSignedIn => problem::not_signed_in(),
        }
    }
}
