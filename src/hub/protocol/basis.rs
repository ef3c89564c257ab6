//! What a stream's rights rest on, and whether the tenant's configuration still lets it stand.
//!
//! Invariants
//! - One value says who let a stream in. It is kept with the stream, and judged by one function: when the stream is opened,
//!   when its bridge attaches it again, when the hub wakes, and whenever the configuration changes.
//! - Members are those of older versions of the messages, so that old and new code understand each other.

use serde::{Deserialize, Serialize};

use super::tenant_config::{TenantConfig, accepts};
use crate::hub::sockets::CloseReason;
use domain::address::is_let_in;
use domain::clock::Timestamp;
use domain::hearing::HearingRights;
use domain::mercure::Action;
use domain::minted::Minted;
use domain::unix_time::optional_millis;

/// What a stream's rights rest on.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "BasisMembers", into = "BasisMembers")]
pub struct Basis {
    /// Who let it in.
    pub grantor: Grantor,
    /// When its token, session or key ends.
    pub expires_at: Option<Timestamp>,
    /// Whether it speaks Mercure's protocol before 1.0.
    pub is_older: bool,
}

/// Who let a stream in.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Grantor {
    /// Nobody: it has no credential.
    #[default]
    Nobody,
    /// The site, by a token that this version of the subscription secret signed.
    SubscriptionSecret(u32),
    /// The site, by a token that this version of the webhook secret signed. It grants no private event.
    WebhookSecret(u32),
    /// An issuer of the tenant's settings.
    Issuer(TokenIssuer),
    /// An issuer that an older Worker did not name.
    UnnamedIssuer,
    /// A principal who minted the token.
    Minted(Minted),
    /// A principal itself. It hears what it may read.
    Principal(Minted, HearingRights),
}

/// An issuer of tokens; with another URL of keys it is another issuer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenIssuer {
    /// Its name.
    pub name: String,
    /// The URL of its keys.
    pub jwks_url: String,
    /// What its tokens must be allowed for this to stand: to subscribe for a stream that hears private events.
    pub action: Action,
}

impl TokenIssuer {
    /// Whether the tenant still lets this issuer's tokens allow it.
    pub fn is_trusted(&self, config: &TenantConfig) -> bool {
        config.mercure.lends(&self.name, &self.jwks_url, self.action)
    }
}

/// Why a stream may not stand (any more).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotAllowed {
    /// Its token, session or key has ended, or the secret that signed its token is not accepted.
    Expired,
    /// The tenant wants a credential of everybody.
    NoCredential,
    /// The issuer of its token is not the tenant's, or may not allow it.
    IssuerDropped,
    /// The tenant does not serve Mercure before 1.0.
    OlderProtocol,
    /// The tenant's list of addresses does not include its client's.
    Address,
}

impl NotAllowed {
    pub fn close_reason(self) -> CloseReason {
        match self {
            Self::Expired => CloseReason::TokenExpired,
            Self::NoCredential => CloseReason::NoCredential,
            Self::IssuerDropped | Self::OlderProtocol => CloseReason::TokenRevoked,
            Self::Address => CloseReason::AddressNotAllowed,
        }
    }
}

impl Basis {
    /// Whether the configuration lets a stream stand on this at a moment, for a client at an address.
    pub fn check(&self, config: &TenantConfig, address: &str, now: Timestamp) -> Result<(), NotAllowed> {
        if self.expires_at.is_some_and(|at| at <= now) {
            return Err(NotAllowed::Expired);
        }
        if self.is_older && !config.mercure.compatibility {
            return Err(NotAllowed::OlderProtocol);
        }
        let (holds, otherwise) = match &self.grantor {
            Grantor::Nobody => (config.mercure.anonymous, NotAllowed::NoCredential),
            Grantor::SubscriptionSecret(version) => {
                (accepts(&config.subscription_versions, *version, now), NotAllowed::Expired)
            }
            Grantor::WebhookSecret(version) => (accepts(&config.webhook_versions, *version, now), NotAllowed::Expired),
            Grantor::Issuer(issuer) => (issuer.is_trusted(config), NotAllowed::IssuerDropped),
            Grantor::UnnamedIssuer => {
                let lends = |action| config.mercure.issuers.iter().any(|issuer| issuer.allows.contains(&action));
                (lends(Action::Subscribe), NotAllowed::IssuerDropped)
            }
            Grantor::Minted(_) => (true, NotAllowed::Expired),
            Grantor::Principal(..) => (is_let_in(&config.ip_allowlist, address), NotAllowed::Address),
        };
        if holds { Ok(()) } else { Err(otherwise) }
    }

    /// Who minted its token or opened it, if that was a principal: revocations name them.
    pub fn minted(&self) -> Option<&Minted> {
        match &self.grantor {
            Grantor::Minted(minted) | Grantor::Principal(minted, _) => Some(minted),
            Grantor::Nobody
            | Grantor::SubscriptionSecret(_)
            | Grantor::WebhookSecret(_)
            | Grantor::Issuer(_)
            | Grantor::UnnamedIssuer => None,
        }
    }

    /// What a principal hears without a list of topics.
    pub fn rights(&self) -> HearingRights {
        match &self.grantor {
            Grantor::Principal(_, rights) => *rights,
            Grantor::Nobody
            | Grantor::SubscriptionSecret(_)
            | Grantor::WebhookSecret(_)
            | Grantor::Issuer(_)
            | Grantor::UnnamedIssuer
            | Grantor::Minted(_) => HearingRights::default(),
        }
    }
}

/// A basis as members of a message: at most one of those that say who let it in, and `principal` beside `minted`.
#[derive(Debug, Default, Serialize, Deserialize)]
struct BasisMembers {
    #[serde(default, skip_serializing_if = "Option::is_none", with = "optional_millis")]
    expires_at: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    secret_version: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    webhook_version: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    issuer: Option<TokenIssuer>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    minted: Option<Minted>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    principal: Option<HearingRights>,
    #[serde(default, skip_serializing_if = "is_false")]
    older: bool,
}

fn is_false(flag: &bool) -> bool {
    !*flag
}

impl From<BasisMembers> for Basis {
    fn from(members: BasisMembers) -> Self {
        let BasisMembers { expires_at, secret_version, webhook_version, issuer, minted, principal, older } = members;
        let grantor = match (minted, principal, secret_version, webhook_version, issuer) {
            (Some(minted), Some(rights), ..) => Grantor::Principal(minted, rights),
            (Some(minted), None, ..) => Grantor::Minted(minted),
            (None, _, Some(version), ..) => Grantor::SubscriptionSecret(version),
            (None, _, None, Some(version), _) => Grantor::WebhookSecret(version),
            (None, _, None, None, Some(issuer)) => Grantor::Issuer(issuer),
            // Whoever has no credential has no end either.
            (None, _, None, None, None) if expires_at.is_some() => Grantor::UnnamedIssuer,
            (None, _, None, None, None) => Grantor::Nobody,
        };
        Self { grantor, expires_at, is_older: older }
    }
}

impl From<Basis> for BasisMembers {
    fn from(basis: Basis) -> Self {
        let members = Self { expires_at: basis.expires_at, older: basis.is_older, ..Self::default() };
        match basis.grantor {
            Grantor::Nobody | Grantor::UnnamedIssuer => members,
            Grantor::SubscriptionSecret(version) => Self { secret_version: Some(version), ..members },
            Grantor::WebhookSecret(version) => Self { webhook_version: Some(version), ..members },
            Grantor::Issuer(issuer) => Self { issuer: Some(issuer), ..members },
            Grantor::Minted(minted) => Self { minted: Some(minted), ..members },
            Grantor::Principal(minted, rights) => Self { minted: Some(minted), principal: Some(rights), ..members },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hub::model::served;
    use domain::mercure::Issuer;

    fn at(millis: i64) -> Timestamp {
        Timestamp::from_millis(millis)
    }

    fn minted() -> Minted {
        Minted { by: "user:a".into(), at: at(1), also: vec!["session:s".into()] }
    }

    fn issuer(url: &str) -> TokenIssuer {
        TokenIssuer { name: "https://i.test".into(), jwks_url: url.into(), action: Action::Subscribe }
    }

    fn grantors() -> [Grantor; 6] {
        let rights = HearingRights { events: true, records: false };
        [
            Grantor::Nobody,
            Grantor::SubscriptionSecret(2),
            Grantor::WebhookSecret(1),
            Grantor::Issuer(issuer("https://i.test/keys")),
            Grantor::Minted(minted()),
            Grantor::Principal(minted(), rights),
        ]
    }

    fn check(grantor: Grantor, change: impl Fn(&mut TenantConfig)) -> Result<(), NotAllowed> {
        let mut config = served();
        let lending = Issuer {
            issuer: "https://i.test".into(),
            jwks_url: "https://i.test/keys".into(),
            allows: vec![Action::Subscribe],
        };
        config.mercure.issuers = vec![lending];
        change(&mut config);
        Basis { grantor, ..Basis::default() }.check(&config, "192.0.2.1", at(10))
    }

    #[test]
    fn each_source_stands_by_its_own_part_of_the_configuration() {
        let [nobody, subscription, webhook, by_issuer, minted, principal] = grantors();
        for grantor in grantors() {
            assert_eq!(check(grantor, |_| ()), Ok(()));
        }
        let anonymous_off = |config: &mut TenantConfig| config.mercure.anonymous = false;
        let no_issuer = |config: &mut TenantConfig| config.mercure.issuers.clear();
        let other_keys = |config: &mut TenantConfig| config.mercure.issuers[0].jwks_url = "https://i.test/other".into();
        let publishing = |config: &mut TenantConfig| config.mercure.issuers[0].allows = vec![Action::Publish];
        let no_secret = |config: &mut TenantConfig| config.subscription_versions.clear();
        let no_webhook = |config: &mut TenantConfig| config.webhook_versions.clear();
        let list = |config: &mut TenantConfig| config.ip_allowlist = vec!["198.51.100.0/24".into()];
        type Change<'c> = (&'c dyn Fn(&mut TenantConfig), &'c Grantor, NotAllowed);
        let changes: [Change<'_>; 7] = [
            (&anonymous_off, &nobody, NotAllowed::NoCredential),
            (&no_issuer, &by_issuer, NotAllowed::IssuerDropped),
            (&other_keys, &by_issuer, NotAllowed::IssuerDropped),
            (&publishing, &by_issuer, NotAllowed::IssuerDropped),
            (&no_secret, &subscription, NotAllowed::Expired),
            (&no_webhook, &webhook, NotAllowed::Expired),
            (&list, &principal, NotAllowed::Address),
        ];
        for (change, meant, why) in changes {
            for grantor in grantors() {
                let expected = if grantor == *meant { Err(why) } else { Ok(()) };
                assert_eq!(check(grantor.clone(), change), expected, "{grantor:?} {why:?}");
            }
        }
        assert_eq!(check(minted, anonymous_off), Ok(()));
        assert_eq!(check(Grantor::UnnamedIssuer, |_| ()), Ok(()));
        assert_eq!(check(Grantor::UnnamedIssuer, publishing), Err(NotAllowed::IssuerDropped));
    }

    #[test]
    fn an_end_and_the_older_protocol_bound_every_source() {
        let mut config = served();
        config.mercure.issuers = vec![Issuer {
            issuer: "https://i.test".into(),
            jwks_url: "https://i.test/keys".into(),
            allows: vec![Action::Subscribe],
        }];
        for grantor in grantors() {
            let basis = Basis { grantor, expires_at: Some(at(20)), is_older: true };
            assert_eq!(basis.check(&config, "192.0.2.1", at(19)), Ok(()), "{basis:?}");
            assert_eq!(basis.check(&config, "192.0.2.1", at(20)), Err(NotAllowed::Expired), "{basis:?}");
            let mut strict = config.clone();
            strict.mercure.compatibility = false;
            assert_eq!(basis.check(&strict, "192.0.2.1", at(19)), Err(NotAllowed::OlderProtocol), "{basis:?}");
        }
    }

    #[test]
    fn a_basis_survives_its_text_and_that_of_an_older_version_is_read() {
        for grantor in grantors() {
            let basis = Basis { grantor, expires_at: None, is_older: false };
            let json = serde_json::to_string(&basis).unwrap();
            assert_eq!(serde_json::from_str::<Basis>(&json).unwrap(), basis, "{json}");
        }
        let read = |json: &str| serde_json::from_str::<Basis>(json).unwrap().grantor;
        assert_eq!(read("{}"), Grantor::Nobody);
        assert_eq!(read(r#"{"secret_version":2,"minted":null,"expires_at":5}"#), Grantor::SubscriptionSecret(2));
        assert_eq!(read(r#"{"expires_at":5}"#), Grantor::UnnamedIssuer);
        assert!(matches!(read(r#"{"minted":{"by":"key:k","at":1},"expires_at":5}"#), Grantor::Minted(_)));
    }
}
