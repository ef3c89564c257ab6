//! Authenticates an operator. The credential's row is read with each request and never cached.

use super::key_row::ApiKeyRow;
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
    KEY = "SELECT digest, previous_digest, previous_until, permissions AS scopes, ip_allowlist, expires_at, revoked_at, last_used_at FROM platform_keys WHERE id = ?1";
    /// Notes when a key was last used, at most once a minute.
    KEY_USED = "UPDATE platform_keys SET last_used_at = ?2 WHERE id = ?1 AND COALESCE(last_used_at, 0) <= ?2 - 60000";
    /// A session with its operator.
    SESSION = "SELECT s.digest, s.expires_at, o.id, o.role FROM operator_sessions s JOIN operators o ON o.id = s.operator_id WHERE s.id = ?1 AND o.status = 'active'";
    /// The role of an active operator whose session is open, and their role in a tenant, if they were granted one.
    OPERATOR = "SELECT o.role, s.expires_at AS session_expires_at, (SELECT g.role FROM operator_grants g WHERE g.operator_id = o.id AND g.tenant_id = ?2) AS granted FROM operator_sessions s JOIN operators o ON o.id = s.operator_id WHERE s.id = ?3 AND s.expires_at > ?4 AND o.id = ?1 AND o.status = 'active'";
}

row_types! {
    struct SessionRow {
        digest: String,
        expires_at: i64,
        id: String,
        role: String,
    }
}

row_types! {
    struct OperatorGrantRow {
        role: String,
        session_expires_at: i64,
        granted: Option<String>,
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
    let permissions = PlatformPermissions::stored(&row.scopes);
    Ok(Some(Operator::proven(OperatorKind::Key { id: id.to_owned() }, permissions)))
}

async fn operator_session(bindings: &Bindings, id: &str, text: &str) -> Result<Option<Operator>, Problem> {
    let db = ControlDb::open(bindings, "authenticate an operator's session")?;
    let now = SystemClock.now().millis();
    let row = db.row::<SessionRow>(&SESSION, args![id]).await?;
    let row = row.filter(|row| constant_time_eq(&digest(text.as_bytes()), &row.digest) && now < row.expires_at);
    Ok(row.map(|row| {
        let is_admin = row.role == "admin";
        let who = OperatorKind::Person { id: row.id, session: id.to_owned(), is_admin };
        Operator::proven(who, platform_permissions_of(is_admin))
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

/// The role of an operator (`operator:{id}`) in a tenant; none if they have none, or the session has ended.
pub async fn entered_role(
    bindings: &Bindings,
    tenant: &TenantId,
    operator: &str,
    session: &str,
) -> Result<Option<String>, Problem> {
    Ok(entered_until(bindings, tenant, operator, session).await?.map(|(role, _)| role))
}

/// The same, with the end of the session.
pub async fn entered_until(
    bindings: &Bindings,
    tenant: &TenantId,
    operator: &str,
    session: &str,
) -> Result<Option<(String, Timestamp)>, Problem> {
    let Some(id) = operator.strip_prefix("operator:") else { return Ok(None) };
    let db = ControlDb::open(bindings, "check an operator's grant")?;
    let args = args![id, tenant.as_str(), session, SystemClock.now().millis()];
    let row = db.row::<OperatorGrantRow>(&OPERATOR, args).await?;
    Ok(row.and_then(|row| {
        let role = if row.role == "admin" { Some("owner".to_owned()) } else { row.granted };
        Some((role?, Timestamp::from_millis(row.session_expires_at)))
    }))
}
