//! A role as it stands: built in, or one that the tenant made itself.
//!
//! Whoever gives a role was seen to cover what it may do. `as_seen` goes into the batch of the gift, so
//! that a role which grew in between is not given by somebody it has outgrown.

use super::rules;
use crate::storage::row::row_types;
use crate::storage::sql::{Arg, StorageError, TenantSql};
use crate::storage::sql::{args, statements};
use crate::storage::tenant_db::TenantDb;
use domain::permission::{BUILT_IN_ROLES, Permissions, permissions_of};

statements! { TenantSql;
    /// What a role of the tenant's own may do.
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
    /// What it may do.
    pub permissions: Permissions,
    own: Option<String>,
}

impl Role {
    /// The role of this name, if there is one.
    pub async fn find(rows: &TenantDb, name: &str) -> Result<Option<Self>, StorageError> {
        if is_built_in(name) {
            return Ok(Some(Self::stored(name, None)));
        }
        let row = rows.row::<PermissionsRow>(&PERMISSIONS, args![name]).await?;
        Ok(row.map(|row| Self::stored(name, Some(row.permissions))))
    }

    /// The role that a row names; `own` is what the tenant's own role of that name may do.
    pub fn stored(name: &str, own: Option<String>) -> Self {
        Self { name: name.to_owned(), permissions: permissions_of(name, own.as_deref()), own }
    }

    /// The rule that it may still do what was seen; a built-in one always does.
    pub fn as_seen(&self) -> Option<(TenantSql, Vec<Arg>)> {
        let own = self.own.as_deref()?;
        Some((rules::ROLE_AS_SEEN, args![self.name.as_str(), own]))
    }
}

/// Whether every tenant has a role of this name.
pub fn is_built_in(name: &str) -> bool {
    BUILT_IN_ROLES.iter().any(|(built_in, _)| *built_in == name)
}
