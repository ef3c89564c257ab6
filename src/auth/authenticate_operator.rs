//! Authenticates an operator. The credential's row is read with each request and never cached.

use super::key_row::{ApiKeyRow, Backing, KeyBounds};
use super::principal::{Operator, OperatorKind};
use crate::credentials::constant_time::constant_time_eq;
use crate::credentials::key::{KeyKind, PresentedKey};
use crate::credentials::signature::digest;
use crate::http::incoming::Incoming;
use crate::http::problem::Problem;
use crate::storage::bindings::{Bindings, SystemClock};
use crate::storage::control_db::ControlDb;
use crate::storage::row::row_types;
use crate::storage::sql::{args, statements};
use crate::tenant_id::TenantId;
use domain::clock::{Clock, Timestamp};
use domain::permission::{PlatformPermission, PlatformPermissions};

statements! { ControlSql;
    /// A platform key by its id.
    KEY = "SELECT k.digest, k.previous_digest, k.previous_until, k.permissions AS scopes, k.ip_allowlist, k.expires_at, k.revoked_at, k.last_used_at, k.held_by, k.holder_id, k.holder_stamp, CASE WHEN o.status = 'active' THEN o.security_stamp END AS holder_now, o.role AS holder_role, NULL AS own_role, k.made_through, (SELECT json_group_array(json_object('scopes', m.permissions, 'ip_allowlist', m.ip_allowlist, 'expires_at', m.expires_at, 'revoked_at', m.revoked_at, 'holder_id', m.holder_id, 'holder_stamp', m.holder_stamp, 'holder_now', CASE WHEN h.status = 'active' THEN h.security_stamp END, 'holder_role', h.role, 'rests_elsewhere', EXISTS (SELECT 1 FROM json_each(m.made_through) n WHERE n.value <> k.id AND n.value NOT IN (SELECT e.value FROM json_each(k.made_through) e)))) FROM json_each(k.made_through) j JOIN platform_keys m ON m.id = j.value LEFT JOIN operators h ON h.id = m.holder_id) AS makers FROM platform_keys k LEFT JOIN operators o ON o.id = k.holder_id WHERE k.id = ?1";
    /// Notes when a key was last used, at most once a minute.
    KEY_USED = "UPDATE platform_keys SET last_used_at = ?2 WHERE id = ?1 AND COALESCE(last_used_at, 0) <= ?2 - 60000";
    /// A session with its operator.
    SESSION = "SELECT s.digest, s.expires_at, o.id, o.role, o.security_stamp FROM operator_sessions s JOIN operators o ON o.id = s.operator_id WHERE s.id = ?1 AND o.status = 'active'";
    /// An active operator with one of their sessions, if it is open, and their grant of a tenant, if they have one.
    OPERATOR = "SELECT o.role, o.security_stamp, s.expires_at AS session_expires_at, g.role AS granted, g.creation_id AS grant_id, g.role_id FROM operators o LEFT JOIN operator_sessions s ON s.id = ?3 AND s.operator_id = o.id AND s.expires_at > ?4 LEFT JOIN operator_grants g ON g.operator_id = o.id AND g.tenant_id = ?2 WHERE o.id = ?1 AND o.status = 'active'";
}

row_types! {
    struct SessionRow {
        digest: String,
        expires_at: i64,
        id: String,
        role: String,
        security_stamp: String,
    }
}

row_types! {
    struct OperatorGrantRow {
        role: String,
        security_stamp: String,
        session_expires_at: Option<i64>,
        granted: Option<String>,
        grant_id: Option<String>,
        role_id: Option<String>,
    }
}

/// What an operator has in a tenant.
pub struct TenantAccess {
    /// The role.
    pub role: String,
    /// The creation id of the role, where it is the tenant's own; empty for a built-in one.
    pub role_id: String,
    /// What this access rests on: the operator's security stamp and, for support, the grant. It never recurs.
    pub basis: String,
    /// The end of the session that was asked about; none if it is not open.
    pub session_ends: Option<Timestamp>,
}

impl OperatorGrantRow {
    fn access(self) -> Option<TenantAccess> {
        let session_ends = self.session_expires_at.map(Timestamp::from_millis);
        if self.role == "admin" {
            let (role, role_id) = ("owner".to_owned(), String::new());
            return Some(TenantAccess { role, role_id, basis: format!("admin.{}", self.security_stamp), session_ends });
        }
        let (role, role_id) = (self.granted?, self.role_id.unwrap_or_default());
        let basis = format!("grant.{}.{}", self.security_stamp, self.grant_id.unwrap_or_default());
        Some(TenantAccess { role, role_id, basis, session_ends })
    }
}

/// The operator that a request's credential authenticates; none without a good credential.
pub async fn operator(bindings: &Bindings, request: &Incoming) -> Result<Option<Operator>, Problem> {
    let bearer = request.bearer().unwrap_or_default();
    if let Some(operator) = Operator::prove(Some(&bearer), &bindings.settings.platform_key) {
        return Ok(Some(operator));
    }
    let Some(key) = PresentedKey::parse(&bearer) else { return Ok(None) };
    match key.kind {
        KeyKind::Platform => platform_key(bindings, &key.id, &bearer, &request.address()).await,
        KeyKind::OperatorSession => operator_session(bindings, &key.id, &bearer).await,
        KeyKind::Tenant | KeyKind::UserSession | KeyKind::Refresh => Ok(None),
    }
}

async fn platform_key(bindings: &Bindings, id: &str, text: &str, address: &str) -> Result<Option<Operator>, Problem> {
    let db = ControlDb::open(bindings, "authenticate a platform key")?;
    let now = SystemClock.now();
    let row = db.row::<ApiKeyRow>(&KEY, args![id]).await?;
    let Some(row) = row.filter(|row| row.admits(text, address, now)) else { return Ok(None) };
    if !row.was_noted(now) {
        db.batch(vec![(KEY_USED, args![id, now.millis()])]).await?;
    }
    let (backing, bounds) = (row.backing(id), row.bounds());
    Ok(Some(Operator::proven(OperatorKind::Key { id: id.to_owned() }, platform_key_permissions(&row), backing, bounds)))
}

/// A platform key's row by its id.
pub async fn platform_key_row(db: &ControlDb, id: &str) -> Result<Option<ApiKeyRow>, Problem> {
    Ok(db.row::<ApiKeyRow>(&KEY, args![id]).await?)
}

/// What a platform key may do now, if it is in force.
pub fn platform_key_permissions(row: &ApiKeyRow) -> PlatformPermissions {
    let held = |role: &str, _: Option<&str>| platform_permissions_of(role == "admin");
    row.effective(held, PlatformPermissions::stored, PlatformPermissions::within)
}

async fn operator_session(bindings: &Bindings, id: &str, text: &str) -> Result<Option<Operator>, Problem> {
    let db = ControlDb::open(bindings, "authenticate an operator's session")?;
    let now = SystemClock.now().millis();
    let row = db.row::<SessionRow>(&SESSION, args![id]).await?;
    let row = row.filter(|row| constant_time_eq(&digest(text.as_bytes()), &row.digest) && now < row.expires_at);
    Ok(row.map(|row| {
        let is_admin = row.role == "admin";
        let backing = Backing::person(&row.id, &row.security_stamp);
        let who = OperatorKind::Person { id: row.id, session: id.to_owned(), is_admin };
        Operator::proven(who, platform_permissions_of(is_admin), backing, KeyBounds::default())
    }))
}

/// The permissions of an admin, or of support.
pub const fn platform_permissions_of(is_admin: bool) -> PlatformPermissions {
    if is_admin {
        PlatformPermissions::ALL
    } else {
        PlatformPermissions::of(&[PlatformPermission::TenantsEnter, PlatformPermission::UsersImpersonate])
    }
}

/// What an active operator (`operator:{id}`) has in a tenant, and whether one of their sessions is open; none if they may
/// not enter it.
pub async fn tenant_access(
    bindings: &Bindings,
    tenant: &TenantId,
    operator: &str,
    session: &str,
) -> Result<Option<TenantAccess>, Problem> {
    let Some(id) = operator.strip_prefix("operator:") else { return Ok(None) };
    let db = ControlDb::open(bindings, "check an operator's grant")?;
    let args = args![id, tenant.as_str(), session, SystemClock.now().millis()];
    Ok(db.row::<OperatorGrantRow>(&OPERATOR, args).await?.and_then(OperatorGrantRow::access))
}
