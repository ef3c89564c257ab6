//! What a maker may do by now.
//!
//! What is used later than it was made, and by somebody else, is worth what its maker may do when it is used, and nothing once
//! the maker is gone, disabled, signed out (where it was a session that made it) or no longer admitted to the tenant.

use super::authenticate_member::{NOT_IMPERSONATED, entered, key_as_seen, key_permissions, key_row, user_row};
use super::authenticate_operator::{platform_key_permissions, platform_key_row, tenant_access};
use super::key_row::ApiKeyRow;
use super::maker::Maker;
use crate::http::problem::Problem;
use crate::storage::bindings::{Bindings, SystemClock};
use crate::storage::control_db::ControlDb;
use crate::storage::sql::{Arg, TenantSql};
use crate::storage::tenant_db::TenantDb;
use domain::clock::{Clock, Timestamp};
use domain::permission::{Permissions, PlatformPermission};

impl Maker {
    /// What the maker may do in the tenant now; none if it may do nothing any more. `made_at` is when it made what is
    /// judged, where that is void when the maker's tokens are.
    pub async fn judge(
        &self,
        bindings: &Bindings,
        rows: &TenantDb,
        made_at: Option<Timestamp>,
    ) -> Result<Option<PresentRights>, Problem> {
        if self.until.is_some_and(|until| SystemClock.now().millis() >= until) {
            return Ok(None);
        }
        match self.principal.split_once(':') {
            None if self.principal == "platform_key" => Ok(Some(PresentRights::unruled(Permissions::ALL))),
            None => Ok(None),
            Some(("user", id)) => self.judge_user(rows, (id, &self.basis), made_at).await,
            Some(("key", id)) => self.judge_key(rows, id).await,
            Some(("operator", _)) => self.judge_operator(bindings, rows, made_at).await,
            Some(("platform_key", id)) => self.judge_platform_key(bindings, id).await,
            Some(_) => Ok(None),
        }
    }

    async fn judge_user(
        &self,
        rows: &TenantDb,
        (id, stamp): (&str, &str),
        made_at: Option<Timestamp>,
    ) -> Result<Option<PresentRights>, Problem> {
        // The session is an operator's where the user is acted as.
        let session = self.session.as_deref().filter(|_| self.acts_as.is_none());
        let row = user_row(rows, id, session.unwrap_or_default()).await?;
        let row = row.filter(|row| {
            row.stamp() == stamp
                && (session.is_none() || row.session_is_open(SystemClock.now()))
                && made_at.is_none_or(|at| row.accepts_issued_at(at.millis()))
        });
        Ok(row.map(|row| PresentRights { permissions: row.permissions(), as_seen: row.as_seen() }))
    }

    async fn judge_key(&self, rows: &TenantDb, id: &str) -> Result<Option<PresentRights>, Problem> {
        let row = key_row(rows, id).await?.filter(|row| self.is_key(row, id));
        Ok(row.map(|row| PresentRights { permissions: key_permissions(&row), as_seen: key_as_seen(&row, id) }))
    }

    async fn judge_platform_key(&self, bindings: &Bindings, id: &str) -> Result<Option<PresentRights>, Problem> {
        let db = ControlDb::open(bindings, "judge what a platform key made")?;
        let row = platform_key_row(&db, id).await?.filter(|row| self.is_key(row, id));
        let enters = row.is_some_and(|row| platform_key_permissions(&row).has(PlatformPermission::TenantsEnter));
        Ok(enters.then(|| PresentRights::unruled(Permissions::ALL)))
    }

    /// Whether a key is in force and still answered for as it was.
    fn is_key(&self, row: &ApiKeyRow, id: &str) -> bool {
        // Invitations of an older version do not say it.
        let is_same = self.basis.is_empty() || row.backing(id).basis() == self.basis;
        is_same && row.in_force(SystemClock.now()).is_ok()
    }

    async fn judge_operator(
        &self,
        bindings: &Bindings,
        rows: &TenantDb,
        made_at: Option<Timestamp>,
    ) -> Result<Option<PresentRights>, Problem> {
        let session = self.session.as_deref().unwrap_or_default();
        let access = tenant_access(bindings, rows.tenant(), &self.principal, session).await?;
        let access = access
            .filter(|access| access.basis == self.basis && (self.session.is_none() || access.session_ends.is_some()));
        let Some(access) = access else { return Ok(None) };
        let Some(own) = entered(rows, &access, made_at).await? else { return Ok(None) };
        let Some((user, stamp)) = &self.acts_as else { return Ok(Some(PresentRights::unruled(own))) };
        let user = self.judge_user(rows, (user, stamp), made_at).await?;
        Ok(user
            .map(|user| PresentRights { permissions: user.permissions.without(NOT_IMPERSONATED).within(own), ..user }))
    }
}

/// What a maker may do.
pub struct PresentRights {
    /// The permissions.
    pub permissions: Permissions,
    /// The rules that the maker is still what was read, for a batch that rests on it. An operator and the platform are
    /// read from another database: there are none.
    pub as_seen: Vec<(TenantSql, Vec<Arg>)>,
}

impl PresentRights {
    fn unruled(permissions: Permissions) -> Self {
        Self { permissions, as_seen: Vec::new() }
    }
}
