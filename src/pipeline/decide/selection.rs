//! Which tenant a request on the platform's host is for.

use super::denial::Denial;
use super::rights::has_platform;
use crate::auth::signing_keys;
use crate::credentials::key::PresentedKey;
use domain::ids::ClaimedTenant;
use domain::permission::{PlatformPermission, PlatformPermissions};

/// What a credential on the platform's host tells before it is proven.
#[derive(Debug, PartialEq, Eq)]
pub enum CredentialNames {
    /// A tenant's key: it names its tenant.
    Tenant(ClaimedTenant),
    /// A token of this platform: its claims name the tenant, once it is verified.
    TenantInToken,
    /// No tenant: an operator's key or session, or nothing that is known here.
    Nobody,
}

/// What kind of credential a bearer is, as far as its text says.
pub fn credential_names(bearer: &str) -> CredentialNames {
    match PresentedKey::parse(bearer) {
        Some(PresentedKey { tenant: Some(named), .. }) => CredentialNames::Tenant(named),
        Some(PresentedKey { tenant: None, .. }) => CredentialNames::Nobody,
        None if signing_keys::is_ours(bearer) => CredentialNames::TenantInToken,
        None => CredentialNames::Nobody,
    }
}

/// The tenant that headers and query name in agreement; none if there are two, none, or a malformed one.
pub fn named_by_all(named: &[String]) -> Option<ClaimedTenant> {
    let first = named.first().and_then(|name| ClaimedTenant::parse(name).ok())?;
    named.iter().all(|name| name == first.as_str()).then_some(first)
}

/// The tenant that an operator selects: by header or query, else by the path.
pub fn selected(named: &[String], in_path: &str) -> Result<ClaimedTenant, Denial> {
    let named = named.first().map(String::as_str).or_else(|| Some(in_path).filter(|name| !name.is_empty()));
    ClaimedTenant::parse(named.ok_or(Denial::NoTenantSelected)?).map_err(|_| Denial::TenantNotFound)
}

/// Whether an operator may select a tenant. A person may not: the token that a switch gives names its own.
pub fn may_select(permissions: PlatformPermissions, is_person: bool) -> Result<(), Denial> {
    match is_person {
        true => Err(Denial::Unauthorized),
        false => has_platform(permissions, PlatformPermission::TenantsEnter),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    fn claimed(name: &str) -> ClaimedTenant {
        ClaimedTenant::parse(name).unwrap()
    }

    #[test]
    fn a_webhooks_names_must_agree() {
        assert_eq!(named_by_all(&names(&["acme"])), Some(claimed("acme")));
        assert_eq!(named_by_all(&names(&["acme", "acme"])), Some(claimed("acme")));
        for none in [&[][..], &["acme", "other"], &["", "acme"], &["not a name"], &["acme", "Acme"]] {
            assert_eq!(named_by_all(&names(none)), None, "{none:?}");
        }
    }

    #[test]
    fn an_operator_selects_by_header_or_query_else_by_the_path() {
        assert_eq!(selected(&names(&["acme"]), "other"), Ok(claimed("acme")));
        assert_eq!(selected(&[], "other"), Ok(claimed("other")));
        assert_eq!(selected(&[], ""), Err(Denial::NoTenantSelected));
        assert_eq!(selected(&names(&[""]), "other"), Err(Denial::TenantNotFound), "an empty name is no name");
        assert_eq!(selected(&[], "not a name"), Err(Denial::TenantNotFound));
    }

    #[test]
    fn only_automation_that_may_enter_tenants_selects_one() {
        let entering = PlatformPermissions::of(&[PlatformPermission::TenantsEnter]);
        let other = PlatformPermissions::of(&[PlatformPermission::TenantsRead]);
        assert_eq!(may_select(entering, false), Ok(()));
        assert_eq!(may_select(other, false), Err(Denial::Forbidden("tenants:enter")));
        for permissions in [entering, other, PlatformPermissions::ALL] {
            assert_eq!(may_select(permissions, true), Err(Denial::Unauthorized), "a person");
        }
    }

    #[test]
    fn a_credential_says_where_its_tenant_is_named() {
        for nobody in ["", "x", "a.b.c", "car_pk_test", "eyJhbGciOiJub25lIn0.e30."] {
            assert_eq!(credential_names(nobody), CredentialNames::Nobody, "{nobody}");
        }
        // {"alg":"EdDSA","kid":"sig_000000000000"}
        let ours = "eyJhbGciOiJFZERTQSIsImtpZCI6InNpZ18wMDAwMDAwMDAwMDAifQ.e30.AA";
        assert_eq!(credential_names(ours), CredentialNames::TenantInToken);
    }
}
