//! Provisioning: which of the tenant's users an identity of a provider is.
//!
//! A returning user is known by their subject at the provider, which never changes hands. Otherwise the user with the same
//! e-mail address is linked, if the provider verified it; if nobody had verified the account's address, the account loses
//! its password and its sessions. Otherwise a user is created.

use super::id_token::Identity;
use super::provider::{OwnRole, Provider, own_roles, permissions_of, stored_permissions};
use crate::auth::revocation::{MintedBy, revoking};
use crate::auth::rules;
use crate::auth::session::{LoginContext, SessionUser};
use crate::credentials::key::fresh_id;
use crate::http::incoming::Incoming;
use crate::http::problem::{self, Problem};
use crate::storage::audit_log::AuditEntry;
use crate::storage::bindings::SystemClock;
use crate::storage::row::row_types;
use crate::storage::sql::args;
use crate::storage::sql::statements;
use crate::storage::sql::{Arg, StorageError, TenantSql};
use domain::clock::{Clock, Timestamp};
use domain::json;
use domain::permission::Permissions;

statements! { TenantSql;
    /// The user of a subject.
    BY_SUBJECT = "SELECT u.id, u.email, u.name, u.role, u.status, u.security_stamp FROM sso_identities i JOIN users u ON u.tenant_id = ?1 AND u.id = i.user_id WHERE i.tenant_id = ?1 AND i.provider_id = ?2 AND i.subject = ?3";
    /// The user of an address.
    BY_EMAIL = "SELECT id, email, name, role, status, security_stamp FROM users WHERE tenant_id = ?1 AND email = ?2";
    /// A new user with a verified address.
    INSERT_USER = "INSERT INTO users (tenant_id, id, email, name, role, email_verified_at, created_at, updated_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?6, ?6)";
    /// Links a user to a subject.
    INSERT_IDENTITY = "INSERT INTO sso_identities (tenant_id, provider_id, subject, user_id, created_at) VALUES (?1, ?2, ?3, ?4, ?5)";
    /// Ends the sessions of a user whose address is not verified.
    END_UNVERIFIED_SESSIONS = "DELETE FROM sessions WHERE tenant_id = ?1 AND user_id = (SELECT u.id FROM users u WHERE u.tenant_id = ?1 AND u.id = ?2 AND u.email_verified_at IS NULL)";
    /// Deletes the tokens that were mailed to a user whose address is not verified.
    FORGET_UNVERIFIED_MAILED = "DELETE FROM mailed_tokens WHERE tenant_id = ?1 AND user_id = (SELECT u.id FROM users u WHERE u.tenant_id = ?1 AND u.id = ?2 AND u.email_verified_at IS NULL)";
    /// The provider is enabled, and reaches as far, with the same roles, as it did when it was read.
    PROVIDER_AS_SEEN = "INSERT OR REPLACE INTO write_rules (tenant_id, is_as_seen) VALUES (?1, EXISTS (SELECT 1 FROM sso_providers WHERE tenant_id = ?1 AND id = ?2 AND enabled = 1 AND issuer = ?3 AND reach = ?4 AND role_map = ?5 AND COALESCE(role_claim, '') = COALESCE(?6, '') AND COALESCE(default_role, '') = COALESCE(?7, '')))";
    /// Marks an unverified address as verified, and drops the password from before.
    VERIFY_EMAIL = "UPDATE users SET password_hash = NULL, not_before = ?3, email_verified_at = ?3, updated_at = ?3 WHERE tenant_id = ?1 AND id = ?2 AND email_verified_at IS NULL";
    /// Sets the role that the provider assigns, except where the tenant would lose its last owner.
    SET_ROLE = "UPDATE users SET role = ?3, updated_at = ?4 WHERE tenant_id = ?1 AND id = ?2 AND (role NOT IN ('owner', 'admin') OR ?3 IN ('owner', 'admin') OR EXISTS (SELECT 1 FROM users o WHERE o.tenant_id = ?1 AND o.id <> ?2 AND o.role IN ('owner', 'admin') AND o.status = 'active'))";
}

row_types! {
    struct SsoUserRow {
        id: String,
        email: String,
        name: String,
        role: String,
        status: String,
        security_stamp: String,
    }
}

/// A user who may sign in.
pub struct ProvisionedUser {
    /// The user.
    pub user: SessionUser,
    /// What is written when their session is opened.
    pub statements: Vec<(TenantSql, Vec<Arg>)>,
    /// Whether these take their role from them and give them another one.
    pub changes_role: bool,
}

/// Finds or makes the user of an identity.
pub struct UserProvisioning<'a> {
    /// The tenant and its rows.
    pub context: &'a LoginContext<'a>,
    /// The provider.
    pub provider: &'a Provider,
    /// The identity that it asserts.
    pub identity: &'a Identity,
    /// How many users the tenant may have; none for no limit.
    pub max_users: Option<i64>,
    /// The request, for the audit.
    pub request: &'a Incoming,
}

impl UserProvisioning<'_> {
    /// Finds, links or creates the user. 403 for somebody who may not sign in, whatever the reason.
    pub async fn provision(&self) -> Result<ProvisionedUser, Problem> {
        match self.try_once().await {
            // Another sign-in with the same subject or address was faster: its user is found now.
            Err(ProvisionError::Conflict) => self.try_once().await,
            outcome => outcome,
        }
        .map_err(|error| match error {
            ProvisionError::Conflict => problem::changed_meanwhile(),
            ProvisionError::Refused(problem) => problem,
        })
    }

    async fn try_once(&self) -> Result<ProvisionedUser, ProvisionError> {
        let rows = self.context.rows;
        let (provider, subject) = (self.provider.id.as_str(), self.identity.subject.as_str());
        let own = own_roles(rows).await?;
        if let Some(row) = rows.row::<SsoUserRow>(&BY_SUBJECT, args![provider, subject]).await? {
            return Ok(self.sign_in(row, &own)?);
        }
        let email = self.identity.email.as_deref().ok_or_else(problem::sso_email_unverified)?;
        match rows.row::<SsoUserRow>(&BY_EMAIL, args![email]).await? {
            Some(row) => self.link(row, &own).await,
            None => self.create(email, &own).await,
        }
    }

    /// A known user, with the role that the provider assigns today.
    fn sign_in(&self, row: SsoUserRow, own: &[OwnRole]) -> Result<ProvisionedUser, Problem> {
        let role = self.provider.role_of(&self.identity.roles, Some(&row.role));
        let role =
            role.filter(|role| row.status == "active" && self.covers(&row.role, own) && self.may_assign(role, own));
        let role = role.ok_or_else(problem::sso_not_admitted)?;
        let now = SystemClock.now();
        // Who it is and who vouches for them are still what was judged when the session is written.
        let mut statements = self.provider_as_seen(&[&role, &row.role], own);
        statements.push((rules::USER_STANDS, args![row.id.as_str(), row.security_stamp.as_str(), row.role.as_str()]));
        if role != row.role {
            statements.push((SET_ROLE, args![row.id.as_str(), role.as_str(), now.millis()]));
        }
        let changes_role = role != row.role;
        let user = SessionUser { id: row.id, email: row.email, name: row.name, role };
        statements.push(self.audit_entry("sso.login", &user, now).statement());
        Ok(ProvisionedUser { user, statements, changes_role })
    }

    /// An existing user who signs in with this provider for the first time.
    async fn link(&self, row: SsoUserRow, own: &[OwnRole]) -> Result<ProvisionedUser, ProvisionError> {
        let stands = args![row.id.as_str(), row.security_stamp.as_str(), row.role.as_str()];
        let provisioned = self.sign_in(row, own)?;
        let now = SystemClock.now();
        let id = provisioned.user.id.as_str();
        let entry = self.audit_entry("sso.link", &provisioned.user, now);
        let batch = self
            .context
            .rows
            .write()
            .add_all(self.provider_as_seen(&[], own))
            .add(rules::USER_STANDS, stands)
            .add(END_UNVERIFIED_SESSIONS, args![id])
            .add(FORGET_UNVERIFIED_MAILED, args![id])
            .add(VERIFY_EMAIL, args![id, now.millis()])
            .add(INSERT_IDENTITY, self.identity_args(id, now))
            .audit(entry);
        let (bindings, tenant) = (self.context.bindings, self.context.tenant);
        // Sessions of before the address was verified end, and streams with them.
        let commit = async { Ok(batch.commit().await) };
        revoking(bindings, tenant, MintedBy::user(id), commit).await??;
        Ok(provisioned)
    }

    /// A new user, if the tenant may have another one.
    async fn create(&self, email: &str, own: &[OwnRole]) -> Result<ProvisionedUser, ProvisionError> {
        let role = self.provider.role_of(&self.identity.roles, None).filter(|role| self.may_assign(role, own));
        let role = role.ok_or_else(problem::sso_not_admitted)?;
        let id = fresh_id("usr").map_err(problem::internal)?;
        let user = SessionUser { id, email: email.to_owned(), name: self.identity.name.clone(), role };
        let now = SystemClock.now();
        let entry = self.audit_entry("sso.create_user", &user, now);
        let insert = args![user.id.as_str(), email, user.name.as_str(), user.role.as_str(), now.millis()];
        let batch = self
            .context
            .rows
            .write()
            .add_all(self.provider_as_seen(&[&user.role], own))
            .add(rules::HAS_ROOM, args![self.max_users])
            .add(INSERT_USER, insert)
            .add(INSERT_IDENTITY, self.identity_args(&user.id, now))
            .audit(entry);
        batch.commit().await?;
        let statements = vec![self.audit_entry("sso.login", &user, now).statement()];
        Ok(ProvisionedUser { user, statements, changes_role: false })
    }

    /// Whether the provider may sign in users of a role: whoever configured it has all of the role's permissions. A role
    /// that does not exist has none.
    fn covers(&self, role: &str, own: &[OwnRole]) -> bool {
        Permissions::stored(&self.provider.reach).covers(permissions_of(role, own).unwrap_or_default())
    }

    /// Whether the provider may assign a role: it exists, and is covered.
    fn may_assign(&self, role: &str, own: &[OwnRole]) -> bool {
        permissions_of(role, own).is_some() && self.covers(role, own)
    }

    /// The rules that the provider and these roles are still what they were judged by.
    fn provider_as_seen(&self, roles: &[&str], own: &[OwnRole]) -> Vec<(TenantSql, Vec<Arg>)> {
        let provider = self.provider;
        let seen = args![
            provider.id.as_str(),
            provider.issuer.as_str(),
            provider.reach.as_str(),
            provider.role_map.as_str(),
            provider.role_claim.as_deref(),
            provider.default_role.as_deref()
        ];
        let roles = roles.iter().filter_map(|role| {
            let own = stored_permissions(role, own)?;
            Some((rules::ROLE_AS_SEEN, args![*role, own]))
        });
        std::iter::once((PROVIDER_AS_SEEN, seen)).chain(roles).collect()
    }

    fn identity_args(&self, user: &str, now: Timestamp) -> Vec<Arg> {
        args![self.provider.id.as_str(), self.identity.subject.as_str(), user, now.millis()]
    }

    fn audit_entry<'e>(&'e self, operation: &'static str, user: &'e SessionUser, now: Timestamp) -> AuditEntry<'e> {
        AuditEntry {
            at: now,
            actor: format!("user:{}", user.id),
            operation,
            subject: Some(&user.id),
            detail: Some(json!({ "provider": self.provider.id, "role": user.role })),
            address: self.request.address(),
            request_id: &self.request.id,
        }
    }
}

/// Why a sign-in did not succeed.
enum ProvisionError {
    /// Another sign-in of the same person was faster.
    Conflict,
    /// They may not sign in, or something failed.
    Refused(Problem),
}

impl From<Problem> for ProvisionError {
    fn from(problem: Problem) -> Self {
        Self::Refused(problem)
    }
}

impl From<StorageError> for ProvisionError {
    fn from(error: StorageError) -> Self {
        match error {
            full if rules::is_full(&full) => Self::Refused(rules::meaning(full)),
            StorageError::Constraint(_) => Self::Conflict,
            other => Self::Refused(other.into()),
        }
    }
}
