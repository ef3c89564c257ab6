//! A tenant's identity provider, and the role that it assigns to a user.

use serde_json::{Map, Value};

use crate::auth::role::is_built_in;
use crate::http::problem::{self, Problem};
use crate::storage::row::row_types;
use crate::storage::sealed::{SealContext, SealKey};
use crate::storage::sql::{args, statements};
use crate::storage::tenant_db::TenantDb;
use crate::tenant_id::TenantId;
use domain::permission::{BUILT_IN_ROLES, Permissions};

statements! { TenantSql;
    /// A provider that users may sign in with.
    ENABLED = "SELECT id, issuer, client_id, client_secret, scopes, role_claim, role_map, default_role, reach FROM sso_providers WHERE tenant_id = ?1 AND id = ?2 AND enabled = 1";
    /// The tenant's own roles.
    OWN_ROLES = "SELECT name, permissions FROM roles WHERE tenant_id = ?1";
}

row_types! {
    /// A provider. Has no `Debug`: its secret, though sealed, is never printed.
    pub struct Provider {
        /// Its id in the tenant.
        pub id: String,
        /// The issuer, byte for byte.
        pub issuer: String,
        /// Our client's id at the provider.
        pub client_id: String,
        /// The client's secret, sealed.
        pub client_secret: Option<String>,
        /// The scopes that are requested, `openid` among them.
        pub scopes: String,
        /// The claim that names roles.
        pub role_claim: Option<String>,
        /// A JSON object from values of the claim to roles.
        pub role_map: String,
        /// The role if no entry of the map fits.
        pub default_role: Option<String>,
        /// A JSON array of the permissions of whoever configured it. It signs in nobody who has others.
        pub reach: String,
    }
}

impl Provider {
    /// The provider of that id, if users may sign in with it.
    pub async fn find(rows: &TenantDb, id: &str) -> Result<Option<Self>, Problem> {
        Ok(rows.row(&ENABLED, args![id]).await?)
    }

    /// The client's secret, opened.
    pub fn secret(&self, key: &SealKey, tenant: &TenantId) -> Result<Option<String>, Problem> {
        let Some(sealed) = &self.client_secret else { return Ok(None) };
        let opened = key.open(&secret_place(tenant, &self.id), sealed).map_err(problem::internal)?;
        String::from_utf8(opened).map(Some).map_err(problem::internal)
    }

    /// The role for these values of the claim, at each sign-in; `current` is the role of an existing user. None refuses the
    /// sign-in.
    ///
    /// With a role claim, the first entry of the map that fits counts, else the default role. Without one, users keep
    /// their role, and new users get the default role.
    pub fn role_of(&self, values: &[String], current: Option<&str>) -> Option<String> {
        let default = || self.default_role.clone();
        if self.role_claim.is_none() {
            return current.map(str::to_owned).or_else(default);
        }
        let map: Map<String, Value> = serde_json::from_str(&self.role_map).unwrap_or_default();
        let named = map.iter().find(|(value, _)| values.contains(value)).and_then(|(_, role)| role.as_str());
        named.map(str::to_owned).or_else(default)
    }
}

/// The place that a client's secret is sealed for.
pub fn secret_place<'a>(tenant: &'a TenantId, provider: &'a str) -> SealContext<'a> {
    SealContext { owner: tenant.as_str(), table: "sso_providers", column: "client_secret", row: provider }
}

row_types! {
    /// A role of the tenant's own.
    pub struct OwnRole {
        name: String,
        permissions: String,
    }
}

/// The tenant's own roles.
pub async fn own_roles(rows: &TenantDb) -> Result<Vec<OwnRole>, Problem> {
    Ok(rows.rows(&OWN_ROLES, Vec::new()).await?)
}

/// The permissions of a role; none if it does not exist.
pub fn permissions_of(role: &str, own: &[OwnRole]) -> Option<Permissions> {
    let built_in = BUILT_IN_ROLES.iter().find(|(name, _)| *name == role).map(|(_, permissions)| *permissions);
    built_in.or_else(|| own.iter().find(|own| own.name == role).map(|own| Permissions::stored(&own.permissions)))
}

/// The permissions of a role of the tenant's own, as they are stored; none for a built-in role.
pub fn stored_permissions<'a>(role: &str, own: &'a [OwnRole]) -> Option<&'a str> {
    if is_built_in(role) {
        return None;
    }
    own.iter().find(|own| own.name == role).map(|own| own.permissions.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn provider(role_claim: Option<&str>, default_role: Option<&str>) -> Provider {
        Provider {
            id: "corp".to_owned(),
            issuer: String::new(),
            client_id: String::new(),
            client_secret: None,
            scopes: String::new(),
            role_claim: role_claim.map(str::to_owned),
            role_map: r#"{"chiefs":"admin","staff":"editor"}"#.to_owned(),
            default_role: default_role.map(str::to_owned),
            reach: "[]".to_owned(),
        }
    }

    fn role(provider: &Provider, values: &[&str], current: Option<&str>) -> Option<String> {
        provider.role_of(&values.iter().map(|value| (*value).to_owned()).collect::<Vec<_>>(), current)
    }

    #[test]
    fn the_first_entry_of_the_map_that_fits_counts() {
        let provider = provider(Some("groups"), None);
        assert_eq!(role(&provider, &["staff", "chiefs"], None).as_deref(), Some("admin"));
        assert_eq!(role(&provider, &["staff"], Some("admin")).as_deref(), Some("editor"));
        assert_eq!(role(&provider, &["others"], Some("admin")), None);
    }

    #[test]
    fn whom_the_map_does_not_name_gets_the_default_role() {
        let provider = provider(Some("groups"), Some("viewer"));
        assert_eq!(role(&provider, &[], Some("admin")).as_deref(), Some("viewer"));
    }

    #[test]
    fn without_a_claim_users_keep_their_role_and_newcomers_get_the_default_one() {
        assert_eq!(role(&provider(None, Some("viewer")), &["staff"], Some("owner")).as_deref(), Some("owner"));
        assert_eq!(role(&provider(None, Some("viewer")), &["staff"], None).as_deref(), Some("viewer"));
        assert_eq!(role(&provider(None, None), &[], Some("user")).as_deref(), Some("user"));
        assert_eq!(role(&provider(None, None), &["staff"], None), None);
    }

    #[test]
    fn a_role_that_is_not_there_is_none() {
        let own = [OwnRole { name: "press".to_owned(), permissions: r#"["audit:read"]"#.to_owned() }];
        assert_eq!(permissions_of("owner", &own), Some(Permissions::ALL));
        assert_eq!(permissions_of("press", &own).unwrap().names(), ["audit:read"]);
        assert_eq!(permissions_of("gone", &own), None);
    }
}
