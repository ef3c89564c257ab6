//! The kinds of principals: who may call. None converts into another, except a member into a reader.

use std::rc::Rc;

use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use super::key_row::{Backing, KeyBounds};
use super::maker::Maker;
use crate::credentials::subscriber_token::SubscriberToken;
use crate::hub::protocol::{Grantor, TenantConfig};
use crate::storage::bindings::Bindings;
use crate::storage::sql::StorageError;
use crate::storage::tenant_db::TenantDb;
use crate::tenant_id::TenantId;
use domain::clock::Timestamp;
use domain::hearing::HearingRights;
use domain::host::Host;
use domain::minted::Minted;
use domain::permission::{Permissions, PlatformPermissions};

/// Anybody, not authenticated.
#[derive(Debug)]
pub struct Anyone;

/// An operator of the platform: a person, or its automation. The only principal that may select a tenant.
#[derive(Debug)]
pub struct Operator {
    who: OperatorKind,
    permissions: PlatformPermissions,
    backing: Backing,
    bounds: KeyBounds,
}

/// Which operator.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OperatorKind {
    /// The key in the deployment's settings.
    FirstKey,
    /// A platform key.
    Key {
        /// Its id.
        id: String,
    },
    /// A person who signed in.
    Person {
        /// The operator's id.
        id: String,
        /// The session's id.
        session: String,
        /// Whether they may enter every tenant, or only those that they were granted.
        is_admin: bool,
    },
}

impl Operator {
    /// Authenticates the deployment's first key, in constant time; none for any other text.
    pub fn prove(presented: Option<&str>, first_key: &str) -> Option<Self> {
        let digest = |text: &str| Sha256::digest(text.as_bytes());
        let same = digest(presented.unwrap_or_default()).ct_eq(&digest(first_key));
        bool::from(same).then(|| {
            let (backing, bounds) = (Backing::default(), KeyBounds::default());
            Self::proven(OperatorKind::FirstKey, PlatformPermissions::ALL, backing, bounds)
        })
    }

    /// An operator whose row was read and whose secret was verified.
    pub(super) fn proven(
        who: OperatorKind,
        permissions: PlatformPermissions,
        backing: Backing,
        bounds: KeyBounds,
    ) -> Self {
        Self { who, permissions, backing, bounds }
    }

    /// Who answers for what it makes.
    pub fn backing(&self) -> &Backing {
        &self.backing
    }

    /// From where and until when it may act, if it is a key.
    pub fn bounds(&self) -> &KeyBounds {
        &self.bounds
    }

    /// Who it is.
    pub fn who(&self) -> &OperatorKind {
        &self.who
    }

    /// Its permissions.
    pub fn permissions(&self) -> PlatformPermissions {
        self.permissions
    }

    /// The actor in audit logs.
    pub fn actor(&self) -> String {
        match &self.who {
            OperatorKind::FirstKey => "platform_key".to_owned(),
            OperatorKind::Key { id } => format!("platform_key:{id}"),
            OperatorKind::Person { id, .. } => format!("operator:{id}"),
        }
    }
}

/// Somebody who acts in one tenant: a user, the tenant's automation, or an operator who entered.
#[derive(Debug)]
pub struct Member {
    /// The tenant.
    pub tenant: TenantId,
    /// The tenant's host that the request came to; none on the platform's host.
    pub host: Option<Host>,
    /// The tenant's configuration, current when the member was proven.
    pub config: Rc<TenantConfig>,
    who: Actor,
    permissions: Permissions,
    maker: Maker,
    terms: CredentialTerms,
    backing: Backing,
    bounds: KeyBounds,
}

/// What bounds whatever outlives the request that a credential was presented with: streams, tickets, minted tokens.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CredentialTerms {
    /// When it was proven: a moment before its row was read.
    pub proven_at: Timestamp,
    /// When the credential ends; none for a key without an end.
    pub expires_at: Option<Timestamp>,
    /// When what it may mint ends: its session or key, not a token that can be renewed.
    pub mints_until: Option<Timestamp>,
    /// What it rests on beside its principal, by the names that revocations use (`auth/revocation.rs`).
    pub rests_on: Vec<String>,
    /// What its streams rest on beside that: the present texts, and networks, of a key and of those that it was made by.
    pub texts: Vec<String>,
    /// Lists of networks that it may be used from; each must let the client in, and an empty one lets in everybody.
    pub networks: Vec<Vec<String>>,
}

/// Who acts in a tenant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Actor {
    /// The tenant's automation.
    Key {
        /// The key's id.
        id: String,
    },
    /// A user who signed in.
    User(User),
    /// An operator who impersonates a user.
    Impersonator {
        /// The operator.
        operator: String,
        /// The user.
        user: User,
        /// When it ends.
        until: Timestamp,
    },
    /// An operator who entered the tenant.
    Operator {
        /// The operator.
        operator: String,
        /// The role it entered with.
        role: String,
    },
}

/// A user, as the row is now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    /// The id.
    pub id: String,
    /// The address.
    pub email: String,
    /// The name.
    pub name: String,
    /// The role's name.
    pub role: String,
    /// Whether the address is verified.
    pub email_verified: bool,
    /// The session's id; none if the user is impersonated.
    pub session: Option<String>,
    /// The stamp, another one each time that the user is disabled or enabled.
    pub stamp: String,
}

impl Member {
    /// A principal whose row was read and whose secret or signature was verified.
    pub(super) fn proven(
        tenant: &TenantId,
        host: Option<&Host>,
        config: &Rc<TenantConfig>,
        who: Actor,
        permissions: Permissions,
        maker: Maker,
        terms: CredentialTerms,
    ) -> Self {
        let (tenant, host, config) = (tenant.clone(), host.cloned(), Rc::clone(config));
        let (backing, bounds) = (maker.backing(), KeyBounds::default());
        Self { tenant, host, config, who, permissions, maker, terms, backing, bounds }
    }

    /// The same principal, a key of the tenant or of the platform, with who answers for what it makes, and its bounds.
    #[must_use]
    pub(super) fn bounded(self, backing: Backing, bounds: KeyBounds) -> Self {
        Self { backing, bounds, ..self }
    }

    /// A principal with every permission, for tests of other rooms.
    #[cfg(test)]
    pub(crate) fn testing(tenant: &str, config: TenantConfig, who: Actor) -> Self {
        let (maker, terms) = (Maker::default(), CredentialTerms::default());
        Self::proven(&TenantId::proven(tenant), None, &Rc::new(config), who, Permissions::ALL, maker, terms)
    }

    /// Who it is.
    pub fn who(&self) -> &Actor {
        &self.who
    }

    /// The user that acts, or is impersonated.
    pub fn user(&self) -> Option<&User> {
        match &self.who {
            Actor::User(user) | Actor::Impersonator { user, .. } => Some(user),
            Actor::Key { .. } | Actor::Operator { .. } => None,
        }
    }

    /// Its permissions.
    pub fn permissions(&self) -> Permissions {
        self.permissions
    }

    /// What bounds that which outlives this request.
    pub fn terms(&self) -> &CredentialTerms {
        &self.terms
    }

    /// What a stream of this principal rests on.
    pub fn as_grantor(&self) -> Grantor {
        let by = match &self.who {
            Actor::Impersonator { user, .. } => format!("user:{}", user.id),
            Actor::Key { .. } | Actor::User(_) | Actor::Operator { .. } => self.actor(),
        };
        let also = self.terms.rests_on.iter().chain(&self.terms.texts).cloned().collect();
        Grantor::Principal(Minted { by, at: self.terms.proven_at, also }, HearingRights::of(self.permissions))
    }

    /// The principal as what it makes remembers it.
    pub fn maker(&self) -> &Maker {
        &self.maker
    }

    /// Who answers for what it makes.
    pub fn backing(&self) -> &Backing {
        &self.backing
    }

    /// From where and until when it may act, if it is a key of the tenant or of the platform.
    pub fn bounds(&self) -> &KeyBounds {
        &self.bounds
    }

    /// The actor in audit logs, and in the tokens that it mints.
    pub fn actor(&self) -> String {
        match &self.who {
            Actor::Key { id } => format!("key:{id}"),
            Actor::User(user) => format!("user:{}", user.id),
            Actor::Impersonator { operator, user, .. } => format!("{operator} as user:{}", user.id),
            Actor::Operator { operator, .. } => operator.clone(),
        }
    }

    /// The tenant's rows. The look-up that proved the member has compared the configuration's revision.
    pub fn rows(&self, bindings: &Bindings) -> Result<TenantDb, StorageError> {
        TenantDb::open(bindings, &self.tenant, &self.config.placement)
    }
}

/// Somebody who reads a tenant's records: a member, or a visitor of the tenant's host, who sees public ones.
#[derive(Debug)]
pub struct Reader {
    /// The tenant.
    pub tenant: TenantId,
    /// The tenant's configuration; what is read or done by it compares its revision.
    pub config: Rc<TenantConfig>,
    member: Option<Maker>,
}

impl Reader {
    /// A visitor of the tenant's host without a credential.
    pub fn stranger(tenant: TenantId, config: Rc<TenantConfig>) -> Self {
        Self { tenant, config, member: None }
    }

    /// Whether it may see records that are not public.
    pub fn is_member(&self) -> bool {
        self.member.is_some()
    }

    /// The member as what it makes remembers it; none for a visitor.
    pub fn maker(&self) -> Option<&Maker> {
        self.member.as_ref()
    }

    /// The tenant's rows. For a stranger, whom no look-up proved, the first read compares the configuration's revision.
    pub fn rows(&self, bindings: &Bindings) -> Result<TenantDb, StorageError> {
        let rows = TenantDb::open(bindings, &self.tenant, &self.config.placement)?;
        Ok(if self.is_member() { rows } else { rows.judged_at(self.config.revision) })
    }
}

impl From<&Member> for Reader {
    fn from(member: &Member) -> Self {
        let (tenant, config) = (member.tenant.clone(), Rc::clone(&member.config));
        Self { tenant, config, member: Some(member.maker.clone()) }
    }
}

/// A visitor of a tenant's host: a browser, a headless front end. With a token it may see private events.
#[derive(Debug)]
pub struct Visitor {
    /// The tenant.
    pub tenant: TenantId,
    /// The host.
    pub host: Host,
    /// The tenant's configuration; what is read or done by it compares its revision.
    pub config: Rc<TenantConfig>,
    /// The verified token, if one was sent.
    pub token: Option<SubscriberToken>,
    /// The principal, where an operation takes one in place of a token and one was proven.
    pub member: Option<Box<Member>>,
}

impl Visitor {
    /// The tenant's rows; the first read compares the configuration's revision.
    pub fn rows(&self, bindings: &Bindings) -> Result<TenantDb, StorageError> {
        Ok(TenantDb::open(bindings, &self.tenant, &self.config.placement)?.judged_at(self.config.revision))
    }
}

/// A WordPress site that sends a webhook; the handler verifies the signature of the raw body.
#[derive(Debug)]
pub struct Signer {
    /// The tenant that the request names; authenticated once the signature is verified.
    pub named: Named,
}

/// How a webhook names its tenant.
#[derive(Debug, Clone)]
pub enum Named {
    /// By the tenant's own host.
    Host(Host, TenantId),
    /// By `X-Tenant-ID` on the platform's host; none if it is absent or malformed.
    Header(Option<domain::ids::ClaimedTenant>),
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
