//! Keys of KV and of R2, from typed constructors only.

use crate::tenant_id::TenantId;
use domain::host::Host;

/// A key of the KV namespace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KvKey(String);

impl KvKey {
    /// `host:{host}`: which tenant a host belongs to. A hint, checked against the hub's own list.
    pub fn host(host: &Host) -> Self {
        Self(format!("host:{host}"))
    }

    /// `t:{tenant}:oidc:{provider}:{part}`: what a tenant's provider tells of itself. Neither id holds a colon.
    pub fn oidc(tenant: &TenantId, provider: &str, part: OidcPart) -> Self {
        Self(format!("t:{tenant}:oidc:{provider}:{}", part.as_str()))
    }

    /// `t:{tenant}:issuer:{digest}`: the keys of an issuer whose tokens a tenant takes, by the digest of its name.
    pub fn issuer_keys(tenant: &TenantId, digest: &str) -> Self {
        Self(format!("t:{tenant}:issuer:{digest}"))
    }

    /// `t:{tenant}:{collection}:tenant:{tenant}:page:{page}:status:{status}:…`: a page of a list, for whom, and what else
    /// is asked of it.
    pub fn list(tenant: &TenantId, collection: &str, page: u32, status: &str, audience: &str, rest: &str) -> Self {
        Self(format!("t:{tenant}:{collection}:tenant:{tenant}:page:{page}:status:{status}:{audience}:{rest}"))
    }

    /// `t:{tenant}:tenant:{tenant}:stats`: how much a tenant has.
    pub fn stats(tenant: &TenantId) -> Self {
        Self(format!("t:{tenant}:tenant:{tenant}:stats"))
    }

    /// The key as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A key of the bucket of files: `t/{tenant}/{object}`. No id of a tenant holds a slash, so nobody's prefix begins
/// another's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObjectKey(String);

impl ObjectKey {
    /// An object of a tenant, by the name that its rows have for it.
    pub fn of(tenant: &TenantId, object: &str) -> Self {
        Self(format!("{}{object}", Self::prefix(tenant)))
    }

    /// What every key of a tenant begins with.
    pub fn prefix(tenant: &TenantId) -> String {
        format!("t/{tenant}/")
    }

    /// The key as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// What is remembered of a provider.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OidcPart {
    /// Its discovery document.
    Discovery,
    /// The keys it signs with.
    Keys,
}

impl OidcPart {
    fn as_str(self) -> &'static str {
        match self {
            Self::Discovery => "discovery",
            Self::Keys => "jwks",
        }
    }
}
