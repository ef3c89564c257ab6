//! Keys of KV and R2. Typed constructors are the only way to make one, so that every key names its owner.

use crate::tenant_id::TenantId;
use domain::host::Host;

/// A key of the KV namespace.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct KvKey(String);

impl KvKey {
    /// `host:{host}`: which tenant a host belongs to. A hint: the tenant's hub checks it against its own list of hosts.
    pub fn host(host: &Host) -> Self {
        Self(format!("host:{host}"))
    }

    /// `t:{tenant}:oidc:{digest}:{part}`: a document of a tenant's OpenID provider, by the digest of its issuer's name. A
    /// provider's own id would not do: another issuer may be given it.
    pub fn oidc(tenant: &TenantId, digest: &str, part: OidcPart) -> Self {
        Self(format!("t:{tenant}:oidc:{digest}:{}", part.as_str()))
    }

    /// `t:{tenant}:issuer:{digest}`: the keys of an issuer whose tokens a tenant accepts, by the digest of its name.
    pub fn issuer_keys(tenant: &TenantId, digest: &str) -> Self {
        Self(format!("t:{tenant}:issuer:{digest}"))
    }

    /// `t:{tenant}:{collection}:tenant:{tenant}:page:{page}:status:{status}:{audience}:{rest}`: a page of a list.
    /// `audience` is `member` or `public`, `rest` the digest of any further query.
    pub fn list(tenant: &TenantId, collection: &str, page: u32, status: &str, audience: &str, rest: &str) -> Self {
        Self(format!("t:{tenant}:{collection}:tenant:{tenant}:page:{page}:status:{status}:{audience}:{rest}"))
    }

    /// `t:{tenant}:tenant:{tenant}:stats`: a tenant's counts of records.
    pub fn stats(tenant: &TenantId) -> Self {
        Self(format!("t:{tenant}:tenant:{tenant}:stats"))
    }

    /// `t:{tenant}:graphql:{digest}`: the answer of a tenant's site to a question, by the question's digest.
    pub fn graphql(tenant: &TenantId, digest: &str) -> Self {
        Self(format!("t:{tenant}:graphql:{digest}"))
    }

    /// `t:{tenant}:document:{place}`: the text of a GraphQL document, with its last use. Nobody signs it: whoever reads it
    /// holds the text against the hash that was asked for.
    pub fn document(tenant: &TenantId, place: &str) -> Self {
        Self(format!("t:{tenant}:document:{place}"))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A key of the bucket of files: `t/{tenant}/{object}`. A tenant's id contains no slash, so no tenant's prefix begins
/// another's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObjectKey(String);

impl ObjectKey {
    /// An object of a tenant, by the name in the column `object`.
    pub fn of(tenant: &TenantId, object: &str) -> Self {
        Self(format!("{}{object}", Self::prefix(tenant)))
    }

    /// The prefix of every key of a tenant.
    pub fn prefix(tenant: &TenantId) -> String {
        format!("t/{tenant}/")
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Which document of an OpenID provider.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OidcPart {
    /// Its discovery document (OpenID Connect Discovery 1.0).
    Discovery,
    /// Its signing keys (RFC 7517).
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
