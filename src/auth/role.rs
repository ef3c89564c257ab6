//! Roles: built-in ones, and a tenant's own.
//!
//! Nobody assigns a role with permissions that they do not have. The rule `as_seen` goes into the batch of the assignment,
//! so that a role which gets more permissions in between is not assigned.

use super::rules;
use crate::storage::row::row_types;
use crate::storage::sql::{Arg, StorageError, TenantSql};
use crate::storage::sql::{args, statements};
use crate::storage::tenant_db::TenantDb;
use domain::permission::{BUILT_IN_ROLES, Permissions, permissions_of};

statements! { TenantSql;
    /// The permissions of a role of the tenant's own.
    PERMISSIONS = "SELECT permissions FROM roles WHERE tenant_id = ?1 AND name = ?2";
}

row_types! {
    struct PermissionsRow {
        permissions: String,
    }
}

/// A role.
#[derive(Debug)]
pub struct Role {
    /// Its name.
    pub name: String,
    /// Its permissions.
    pub permissions: Permissions,
    own: Option<String>,
}

impl Role {
    /// The role of this name, if it exists.
    pub async fn find(rows: &TenantDb, name: &str) -> Result<Option<Self>, StorageError> {
        if is_built_in(name) {
            return Ok(Some(Self::stored(name, None)));
        }
        let row = rows.row::<PermissionsRow>(&PERMISSIONS, args![name]).await?;
        Ok(row.map(|row| Self::stored(name, Some(row.permissions))))
    }

    /// The role of a name; `own` is the JSON of the permissions of the tenant's own role of that name.
    pub fn stored(name: &str, own: Option<String>) -> Self {
        Self { name: name.to_owned(), permissions: permissions_of(name, own.as_deref()), own }
    }

    /// The rule that its permissions are still those that were read; none for a built-in role, which never changes.
    pub fn as_seen(&self) -> Option<(TenantSql, Vec<Arg>)> {
        let own = self.own.as_deref()?;
        Some((rules::ROLE_AS_SEEN, args![self.name.as_str(), own]))
    }
}

/// Whether a role of this name is built in.
pub fn is_built_in(name: &str) -> bool {
    BUILT_IN_ROLES.iter().any(|(built_in, _)| *built_in == name)
}
