//! `POST /api/v1/auth/switch`: an operator enters a tenant.
//!
//! The server keeps no active tenant: an operator has one token per tenant, and each token names its tenant. A token is
//! good while the session is that it was made with, and the grant: both are read with each request, and a grant that is taken
//! back and given again is another one.

use super::{audit_in_tenant, person};
use crate::auth::authenticate_member::entered;
use crate::auth::authenticate_operator::tenant_access;
use crate::auth::principal::Operator;
use crate::auth::signing_keys;
use crate::credentials::platform_token::{Claims, TokenKind};
use crate::http::fields::Fields;
use crate::http::incoming::JSON;
use crate::http::problem::{self, Problem};
use crate::http::request::Request;
use crate::http::response::Response;
use crate::storage::audit_log::AuditEntry;
use crate::storage::control_db::ControlDb;
use crate::storage::tenant_db::TenantDb;
use crate::tenant::registry::Tenant;
use domain::ids::ClaimedTenant;
use domain::json;
use domain::permission::PlatformPermission;

/// A tenant that the caller may enter now, and the role they have there.
pub(super) struct EnteredTenant {
    pub tenant: Tenant,
    pub role: String,
    /// What the access rests on, as tokens name it.
    pub basis: String,
    pub rows: TenantDb,
}

/// Finds the tenant that a body names; none if it is unknown, not served, or the caller may not enter it: also if the role
/// they were granted is gone, whether or not there is another one of its name.
pub(super) async fn enter_tenant(
    request: &Request<Operator>,
    db: &ControlDb,
    tenant: &str,
    session: &str,
) -> Result<Option<EnteredTenant>, Problem> {
    request.check_named(tenant)?;
    let Ok(claimed) = ClaimedTenant::parse(tenant) else { return Ok(None) };
    let found = Tenant::find(db, claimed.as_str()).await?.filter(|tenant| tenant.is_served(request.now()));
    let Some(tenant) = found else { return Ok(None) };
    let access = tenant_access(&request.bindings, &tenant.id, &request.caller.actor(), session).await?;
    let Some(access) = access.filter(|access| access.session_ends.is_some()) else { return Ok(None) };
    let rows = TenantDb::open(&request.bindings, &tenant.id, &tenant.placement())?;
    if entered(&rows, &access, None).await?.is_none() {
        return Ok(None);
    }
    Ok(Some(EnteredTenant { tenant, role: access.role, basis: access.basis, rows }))
}

/// An entry of the tenant's own audit log for what the caller does.
pub(super) fn audit_entry<'a>(
    request: &'a Request<Operator>,
    operation: &'static str,
    subject: Option<&'a str>,
) -> AuditEntry<'a> {
    AuditEntry {
        at: request.now(),
        actor: request.caller.actor(),
        operation,
        subject,
        detail: None,
        address: request.incoming.address(),
        request_id: &request.incoming.id,
    }
}

/// Mints a token to act in a tenant as oneself, once both audit logs have the entry.
pub async fn switch(mut request: Request<Operator>) -> Result<Response, Problem> {
    let mut fields = Fields::new(request.incoming.json_object(JSON).await?);
    fields.require("tenant_id");
    let named = fields.text("tenant_id", 200).unwrap_or_default();
    fields.finish()?;
    let (_, session) = person(&request, PlatformPermission::TenantsEnter)?;
    let db = ControlDb::open(&request.bindings, "enter a tenant")?;
    let EnteredTenant { tenant, role, basis, rows } =
        enter_tenant(&request, &db, &named, session).await?.ok_or_else(problem::tenant_not_found)?;
    let id = tenant.id.as_str();
    let detail = json!({ "role": role });
    db.batch(vec![audit_in_tenant(&request, "operator.enter", Some(id), detail.clone())]).await?;
    let enter_tenant = AuditEntry { detail: Some(detail), ..audit_entry(&request, "operator.enter", None) };
    rows.write().audit(enter_tenant).commit().await?;
    let claims = Claims {
        sub: request.caller.actor(),
        tenant_id: id.to_owned(),
        client_id: id.to_owned(),
        role: Some(role.clone()),
        sid: Some(session.to_owned()),
        basis: Some(basis),
        ..Claims::default()
    };
    let seconds = TokenKind::Switch.max_seconds();
    let (token, expires_at) = signing_keys::mint(&request.bindings, TokenKind::Switch, claims, seconds).await?;
    let host = tenant.hosts(&request.bindings).into_iter().next();
    let data = json!({ "token": token, "token_type": "Bearer", "expires_at": expires_at, "role": role, "host": host });
    Response::json(200, &data, Some(id))
}
