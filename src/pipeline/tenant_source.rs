//! How a request comes to a tenant, and what it is told where it is not let in.

use super::context::Found;
use crate::http::problem::{self, Problem};
use crate::hub::protocol::Refusal;
use crate::routes::Route;
use crate::tenant::tenant_state::HubError;
use domain::host::Host;
use domain::ids::ClaimedTenant;

/// How a request comes to a tenant, and the operation that it asks for.
pub(super) struct RouteMatch {
    /// By what it comes.
    pub source: TenantSource,
    /// The operation, or what to answer in its place.
    pub found: Found,
}

impl RouteMatch {
    /// The operation, if there is one.
    pub fn route(&self) -> Option<&'static Route> {
        self.found.as_ref().ok().map(|(route, _)| *route)
    }

    /// Whether it is answered by the route table alone: a preflight, or any other OPTIONS.
    pub fn is_preflight(&self) -> bool {
        matches!(self.found, Err(Ok(_)))
    }
}

/// How a request comes to a tenant.
pub(super) enum TenantSource {
    /// By the tenant's own host.
    Host(Host),
    /// On the platform's host, by a credential that names the tenant. Until it proves somebody, nothing is told of the
    /// tenant, not even whether it exists.
    Named(ClaimedTenant),
    /// On the platform's host, by an operator who selects the tenant and may know its state.
    Selected,
}

impl TenantSource {
    /// The tenant's host, for a request that came to it.
    pub fn host(&self) -> Option<&Host> {
        match self {
            Self::Host(host) => Some(host),
            Self::Named(_) | Self::Selected => None,
        }
    }

    /// What a request is answered that is not let in.
    pub fn refusal(&self, error: HubError) -> Problem {
        match (self, error) {
            (Self::Named(named), HubError::NotHere | HubError::Refused(Refusal::Stopped)) => {
                credential_not_valid(named)
            }
            (Self::Host(_) | Self::Named(_) | Self::Selected, error) => error.into(),
        }
    }
}

/// 401 on the platform's host for a credential that names a tenant: one answer, whether the tenant does not exist, is
/// not served, or does not know the credential. The log alone learns which tenant was tried.
pub(super) fn credential_not_valid(named: &ClaimedTenant) -> Problem {
    problem::unauthorized().cause(format!("the credential is not valid in {}", named.as_str()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_who_may_know_learns_that_a_tenant_is_missing_or_stopped() {
        let named = ClaimedTenant::parse("acme").unwrap();
        let sources = [
            (TenantSource::Host(Host::parse("acme.test").unwrap()), "tenant_not_found"),
            (TenantSource::Named(named), "unauthorized"),
            (TenantSource::Selected, "tenant_not_found"),
        ];
        for (source, code) in &sources {
            assert_eq!(source.refusal(HubError::NotHere).code, *code);
            assert_eq!(source.refusal(HubError::Refused(Refusal::Stopped)).code, *code);
            assert_eq!(source.refusal(HubError::Refused(Refusal::TokenRevoked)).code, "invalid_token");
            assert_eq!(source.refusal(HubError::Failed(problem::unavailable("x"))).code, "unavailable");
        }
    }
}
