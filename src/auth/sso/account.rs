//! Which user somebody is whom a provider vouches for.
//!
//! One who came before is known by their subject at the provider, which never changes hands. Else the
//! user of the same address is linked, if the provider verified it; an account whose address nobody had
//! proven falls to them, without the password and the sessions it had. Else a user is made.

use super::id_token::Identity;
use super::provider::{OwnRole, Provider, own_roles, permissions_of};
use crate::auth::rules;
use crate::auth::session::{LoginContext, SigningIn};
use crate::credentials::key::fresh_id;
use crate::http::incoming::Incoming;
use crate::http::problem::{self, Problem};
use crate::storage::audit_log::Deed;
use crate::storage::bindings::SystemClock;
use crate::storage::row::row_types;
use crate::storage::sql::args;
use crate::storage::sql::statements;
use crate::storage::sql::{Arg, StorageError, TenantSql};
use domain::clock::{Clock, Timestamp};
use domain::json;
use domain::permission::Permissions;

statements! { TenantSql;
    /// The user whom a subject is.
    BY_SUBJECT = "SELECT u.id, u.email, u.name, u.role, u.status FROM sso_identities i JOIN users u ON u.tenant_id = ?1 AND u.id = i.user_id WHERE i.tenant_id = ?1 AND i.provider_id = ?2 AND i.subject = ?3";
    /// The user of an address.
    BY_EMAIL = "SELECT id, email, name, role, status FROM users WHERE tenant_id = ?1 AND email = ?2";
    /// A new user, whose address is proven.
    INSERT_USER = "INSERT INTO users (tenant_id, id, email, name, role, email_verified_at, created_at, updated_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?6, ?6)";
    /// Who a user is at a provider.
    INSERT_IDENTITY = "INSERT INTO sso_identities (tenant_id, provider_id, subject, user_id, created_at) VALUES (?1, ?2, ?3, ?4, ?5)";
    /// Ends the sessions of a user whose address nobody proved.
    END_UNPROVEN = "DELETE FROM sessions WHERE tenant_id = ?1 AND user_id = (SELECT u.id FROM users u WHERE u.tenant_id = ?1 AND u.id = ?2 AND u.email_verified_at IS NULL)";
    /// The address of a user is proven from now on; a password from before goes.
    PROVE = "UPDATE users SET password_hash = NULL, not_before = ?3, email_verified_at = ?3, updated_at = ?3 WHERE tenant_id = ?1 AND id = ?2 AND email_verified_at IS NULL";
    /// The role that the provider gives; the last owner stays one.
    SET_ROLE = "UPDATE users SET role = ?3, updated_at = ?4 WHERE tenant_id = ?1 AND id = ?2 AND (role NOT IN ('owner', 'admin') OR ?3 IN ('owner', 'admin') OR EXISTS (SELECT 1 FROM users o WHERE o.tenant_id = ?1 AND o.id <> ?2 AND o.role IN ('owner', 'admin') AND o.status = 'active'))";
}

row_types! {
    struct UserRow {
        id: String,
        email: String,
        name: String,
        role: String,
        status: String,
    }
}

/// A user who may come in, and what is written when they do.
pub struct Welcome {
    /// The user.
    pub user: SigningIn,
    /// The deeds of the sign-in itself.
    pub deeds: Vec<(TenantSql, Vec<Arg>)>,
}

/// Somebody at the door.
pub struct Arrival<'a> {
    /// The tenant and its rows.
    pub lobby: &'a LoginContext<'a>,
    /// The provider.
    pub provider: &'a Provider,
    /// Whom it vouches for.
    pub identity: &'a Identity,
    /// How many users the tenant may have.
    pub room: Option<i64>,
    /// The request, for the audit.
    pub request: &'a Incoming,
}

impl Arrival<'_> {
    /// Finds, links or makes the user. 403 for somebody who may not come in, whatever the reason.
    pub async fn welcome(&self) -> Result<Welcome, Problem> {
        match self.try_once().await {
            // Somebody with the same subject or address came in at the same moment.
            Err(Turned::Meanwhile) => self.try_once().await,
            outcome => outcome,
        }
        .map_err(|turned| match turned {
            Turned::Meanwhile => problem::changed_meanwhile(),
            Turned::Away(problem) => problem,
        })
    }

    async fn try_once(&self) -> Result<Welcome, Turned> {
        let rows = self.lobby.rows;
        let (provider, subject) = (self.provider.id.as_str(), self.identity.subject.as_str());
        let own = own_roles(rows).await?;
        if let Some(row) = rows.row::<UserRow>(&BY_SUBJECT, args![provider, subject]).await? {
            return Ok(self.greet(row, &own)?);
        }
        let email = self.identity.email.as_deref().ok_or_else(problem::sso_email_unverified)?;
        match rows.row::<UserRow>(&BY_EMAIL, args![email]).await? {
            Some(row) => self.link(row, &own).await,
            None => self.create(email, &own).await,
        }
    }

    /// A user who is known, with the role that the provider gives today.
    fn greet(&self, row: UserRow, own: &[OwnRole]) -> Result<Welcome, Problem> {
        let role = self.provider.role_of(&self.identity.roles, Some(&row.role));
        let role = role.filter(|role| row.status == "active" && self.reaches(&row.role, own) && self.gives(role, own));
        let role = role.ok_or_else(problem::sso_not_admitted)?;
        let now = SystemClock.now();
        let mut deeds = Vec::new();
        if role != row.role {
            deeds.push((SET_ROLE, args![row.id.as_str(), role.as_str(), now.millis()]));
        }
        let user = SigningIn { id: row.id, email: row.email, name: row.name, role };
        deeds.push(self.deed("sso.login", &user, now));
        Ok(Welcome { user, deeds })
    }

    /// A user who comes from this provider for the first time.
    async fn link(&self, row: UserRow, own: &[OwnRole]) -> Result<Welcome, Turned> {
        let welcome = self.greet(row, own)?;
        let now = SystemClock.now();
        let id = welcome.user.id.as_str();
        let deed = self.deed("sso.link", &welcome.user, now);
        let batch = self
            .lobby
            .rows
            .write()
            .add(END_UNPROVEN, args![id])
            .add(PROVE, args![id, now.millis()])
            .add(INSERT_IDENTITY, self.identity_args(id, now))
            .add(deed.0, deed.1);
        batch.commit().await?;
        Ok(welcome)
    }

    /// A newcomer, if the tenant has room for one.
    async fn create(&self, email: &str, own: &[OwnRole]) -> Result<Welcome, Turned> {
        let role = self.provider.role_of(&self.identity.roles, None).filter(|role| self.gives(role, own));
        let role = role.ok_or_else(problem::sso_not_admitted)?;
        let id = fresh_id("usr").map_err(problem::internal)?;
        let user = SigningIn { id, email: email.to_owned(), name: self.identity.name.clone(), role };
        let now = SystemClock.now();
        let deed = self.deed("sso.create_user", &user, now);
        let insert = args![user.id.as_str(), email, user.name.as_str(), user.role.as_str(), now.millis()];
        let batch = self
            .lobby
            .rows
            .write()
            .add(rules::HAS_ROOM, args![self.room])
            .add(INSERT_USER, insert)
            .add(INSERT_IDENTITY, self.identity_args(&user.id, now))
            .add(deed.0, deed.1);
        batch.commit().await?;
        let deeds = vec![self.deed("sso.login", &user, now)];
        Ok(Welcome { user, deeds })
    }

    /// Whether the provider may sign in somebody who has a role now. A role that is gone gives nothing.
    fn reaches(&self, role: &str, own: &[OwnRole]) -> bool {
        Permissions::stored(&self.provider.reach).covers(permissions_of(role, own).unwrap_or_default())
    }

    /// Whether the provider may give a role; not one that is gone.
    fn gives(&self, role: &str, own: &[OwnRole]) -> bool {
        permissions_of(role, own).is_some() && self.reaches(role, own)
    }

    fn identity_args(&self, user: &str, now: Timestamp) -> Vec<Arg> {
        args![self.provider.id.as_str(), self.identity.subject.as_str(), user, now.millis()]
    }

    fn deed(&self, operation: &'static str, user: &SigningIn, now: Timestamp) -> (TenantSql, Vec<Arg>) {
        let deed = Deed {
            at: now,
            actor: format!("user:{}", user.id),
            operation,
            subject: Some(&user.id),
            detail: Some(json!({ "provider": self.provider.id, "role": user.role })),
            address: self.request.address(),
            request_id: &self.request.id,
        };
        deed.statement()
    }
}

/// Why somebody did not get in at once.
enum Turned {
    /// Two came at the same moment, and the other one was first.
    Meanwhile,
    /// They may not, or something failed.
    Away(problem::Problem),
}

impl From<problem::Problem> for Turned {
    fn from(problem: problem::Problem) -> Self {
        Self::Away(problem)
    }
}

impl From<StorageError> for Turned {
    fn from(error: StorageError) -> Self {
        match error {
            full if rules::is_full(&full) => Self::Away(rules::meaning(full)),
            StorageError::Constraint(_) => Self::Meanwhile,
            other => Self::Away(other.into()),
        }
    }
}
