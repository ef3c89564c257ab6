//! `POST /api/v1/auth/switch`: an operator enters a tenant.
//!
//! There is no active tenant on the server: an operator holds a token per tenant, and each names its own. A
//! token is good while the session it was taken with is, and the grant behind it is read with each request.

use super::{audited_in, person};
use crate::auth::authenticate_operator::entered_role;
use crate::auth::principal::Operator;
use crate::auth::signing_keys;
use crate::credentials::platform_token::{Claims, Kind};
use crate::http::fields::Fields;
use crate::http::incoming::JSON;
use crate::http::problem::{self, Problem};
use crate::http::request::Request;
use crate::http::response::Response;
use crate::storage::audit_log::Deed;
use crate::storage::control_db::ControlDb;
use crate::storage::tenant_db::TenantDb;
use crate::tenant::registry::Tenant;
use domain::ids::ClaimedTenant;
use domain::json;
use domain::permission::PlatformPermission;

/// A tenant that the caller may enter now, and with which role.
pub(super) struct Entry {
    pub tenant: Tenant,
    pub role: String,
    pub rows: TenantDb,
}

/// Finds the tenant that a body names; none if it is unknown, not served, or not the caller's to enter.
pub(super) async fn entry(
    request: &Request<Operator>,
    db: &ControlDb,
    tenant: &str,
    session: &str,
) -> Result<Option<Entry>, Problem> {
    request.check_named(tenant)?;
    let Ok(claimed) = ClaimedTenant::parse(tenant) else { return Ok(None) };
    let found = Tenant::find(db, claimed.as_str()).await?.filter(|tenant| tenant.is_served(request.now()));
    let Some(tenant) = found else { return Ok(None) };
    let role = entered_role(&request.bindings, &tenant.id, &request.caller.actor(), session).await?;
    let Some(role) = role else { return Ok(None) };
    let rows = TenantDb::open(&request.bindings, &tenant.id, &tenant.placement())?;
    Ok(Some(Entry { tenant, role, rows }))
}

/// What the caller does, for the tenant's own audit.
pub(super) fn deed<'a>(request: &'a Request<Operator>, operation: &'static str, subject: Option<&'a str>) -> Deed<'a> {
    Deed {
        at: request.now(),
        actor: request.caller.actor(),
        operation,
        subject,
        detail: None,
        address: request.incoming.address(),
        request_id: &request.incoming.id,
    }
}

/// Mints a token to act in a tenant as oneself. It is handed out once both audits have the deed.
pub async fn switch(mut request: Request<Operator>) -> Result<Response, Problem> {
    let mut fields = Fields::new(request.incoming.json_object(JSON).await?);
    fields.require("tenant_id");
    let named = fields.text("tenant_id", 200).unwrap_or_default();
    fields.finish()?;
    let (_, session) = person(&request, PlatformPermission::TenantsEnter)?;
    let db = ControlDb::open(&request.bindings, "enter a tenant")?;
    let Entry { tenant, role, rows } =
        entry(&request, &db, &named, session).await?.ok_or_else(problem::tenant_not_found)?;
    let id = tenant.id.as_str();
    let detail = json!({ "role": role });
    db.batch(vec![audited_in(&request, "operator.enter", Some(id), detail.clone())]).await?;
    let deed = Deed { detail: Some(detail), ..deed(&request, "operator.enter", None) }.statement();
    rows.write().add(deed.0, deed.1).commit().await?;
    let claims = Claims {
        sub: request.caller.actor(),
        tenant_id: id.to_owned(),
        client_id: id.to_owned(),
        role: Some(role.clone()),
        sid: Some(session.to_owned()),
        ..Claims::default()
    };
    let seconds = Kind::Switch.max_seconds();
    let (token, expires_at) = signing_keys::mint(&request.bindings, Kind::Switch, claims, seconds).await?;
    let host = tenant.hosts(&request.bindings).into_iter().next();
    let data = json!({ "token": token, "token_type": "Bearer", "expires_at": expires_at, "role": role, "host": host });
    Response::json(200, &data, Some(id))
}
