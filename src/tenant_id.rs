//! A tenant that was found to exist.
//!
//! A [`ClaimedTenant`] is text of the right shape that somebody sent; a [`TenantId`] was found in the registry, or is
//! the name of the hub object that runs. Scoped storage takes only the latter. It cannot be deserialised, and nothing
//! outside this crate can make one.

use std::fmt;

use domain::ids::ClaimedTenant;
use serde::Serialize;

/// The id of a tenant that exists; all of a tenant's rows, keys, streams and limits are found by it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct TenantId(Box<str>);

impl TenantId {
    /// For the registry and the resolver, which found the tenant, and for the hub, whose name it is.
    /// A test of the source keeps the list of callers.
    pub(crate) fn proven(id: &str) -> Self {
        Self(id.into())
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether a claimed id is this tenant's.
    pub fn is_named_by(&self, claimed: &ClaimedTenant) -> bool {
        self.as_str() == claimed.as_str()
    }
}

impl fmt::Display for TenantId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl From<&TenantId> for ClaimedTenant {
    fn from(tenant: &TenantId) -> Self {
        Self::of_known_tenant(tenant.as_str())
    }
}
