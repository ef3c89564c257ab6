//! The kinds of principals. None converts into another.

use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use super::token::SubscriberToken;
use crate::domain::ids::TenantId;
use crate::hub::protocol::TenantConfig;

/// Nobody in particular: health, preflights.
#[derive(Debug)]
pub struct Anyone;

/// The platform's operator, by the platform key. The only principal that may select a tenant.
#[derive(Debug)]
pub struct Operator(());

impl Operator {
    /// The actor's name in the audit.
    pub const ACTOR: &'static str = "platform_key";

    /// Proves the platform key, in constant time. None for any other text.
    pub fn prove(presented: Option<&str>, platform_key: &str) -> Option<Self> {
        let digest = |text: &str| Sha256::digest(text.as_bytes());
        let same = digest(presented.unwrap_or_default()).ct_eq(&digest(platform_key));
        bool::from(same).then_some(Self(()))
    }
}

/// Somebody on a tenant's host: a browser, a headless front end. With a token it may see private events.
#[derive(Debug)]
pub struct Visitor {
    /// Whose host it is.
    pub tenant: TenantId,
    /// The host.
    pub host: crate::domain::host::Host,
    /// The tenant as it stands, at most 5 seconds old.
    pub config: TenantConfig,
    /// The verified token, if one was presented.
    pub token: Option<SubscriberToken>,
}

/// A WordPress site about to prove itself by its webhook's signature; the handler verifies the raw body.
#[derive(Debug)]
pub struct Signer {
    /// The tenant the request names, by host or header; proven once the signature is.
    pub named: Named,
}

/// How a webhook names its tenant.
#[derive(Debug, Clone)]
pub enum Named {
    /// By the tenant's own host.
    Host(crate::domain::host::Host, TenantId),
    /// By `X-Tenant-ID` on the platform host; none or a malformed one names nobody.
    Header(Option<crate::domain::ids::ClaimedTenant>),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_platform_key_proves_an_operator() {
        let key = "car_pk_0123456789abcdef0123456789abcdef";
        assert!(Operator::prove(Some(key), key).is_some());
        for other in [None, Some(""), Some("car_pk_"), Some(&key[1..])] {
            assert!(Operator::prove(other, key).is_none());
        }
    }
}
