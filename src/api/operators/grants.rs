//! `/api/v1/operators/{operator_id}/grants/{tenant_id}`: which tenants support may enter, and as what.
//!
//! A grant that changes or goes ends what the operator holds in the tenant: its tokens on their next
//! request, the streams of subscriber tokens it minted at once.

use super::operators::{check_reach, shown};
use super::{Bound, audited_in};
use crate::auth::authenticate_member::own_role;
use crate::auth::principal::Operator;
use crate::http::fields::Fields;
use crate::http::incoming::JSON;
use crate::http::problem::{self, Problem};
use crate::http::request::Request;
use crate::http::response::Response;
use crate::hub::client::HubClient;
use crate::hub::protocol::EndMinted;
use crate::storage::control_db::ControlDb;
use crate::storage::row::row_types;
use crate::storage::sql::{args, statements};
use crate::storage::tenant_db::TenantDb;
use crate::tenant::registry::Tenant;
use domain::error::Invalid;
use domain::json;
use domain::permission::BUILT_IN_ROLES;

statements! { ControlSql;
    /// Grants a tenant, or another role in it.
    GRANT = "INSERT INTO operator_grants (operator_id, tenant_id, role, created_at) VALUES (?1, ?2, ?3, ?4) ON CONFLICT (operator_id, tenant_id) DO UPDATE SET role = excluded.role";
    /// Takes a tenant away.
    TAKE = "DELETE FROM operator_grants WHERE operator_id = ?1 AND tenant_id = ?2";
    /// What an operator was granted in a tenant, and how many tenants it was granted.
    GRANTED = "SELECT (SELECT g.role FROM operator_grants g WHERE g.operator_id = ?1 AND g.tenant_id = ?2) AS role, (SELECT count(*) FROM operator_grants n WHERE n.operator_id = ?1) AS total";
}

/// Most tenants that one operator is granted.
const MAX_GRANTS: i64 = 2_000;

row_types! {
    struct GrantedRow {
        role: Option<String>,
        total: i64,
    }
}

/// `PUT /api/v1/operators/{operator_id}/grants/{tenant_id}`
pub async fn put(mut request: Request<Operator>) -> Result<Response, Problem> {
    let mut fields = Fields::new(request.incoming.json_object(JSON).await?);
    fields.require("role");
    let role = fields.text("role", 64);
    fields.finish()?;
    let role = role.ok_or_else(|| problem::internal("a body without its fields"))?;
    let (db, tenant, operator) = meant(&request, "grant a tenant").await?;
    check_role(&request, &tenant, &role).await?;
    let id = tenant.id.as_str();
    let granted = db.row::<GrantedRow>(&GRANTED, args![operator, id]).await?;
    let granted = granted.ok_or_else(|| problem::internal("a count without a row"))?;
    if granted.role.is_none() && granted.total >= MAX_GRANTS {
        return Err(problem::too_many("grants", MAX_GRANTS));
    }
    let grant = (GRANT, args![operator, id, role.as_str(), request.now().millis()]);
    let detail = json!({ "subject": operator, "role": role });
    let audit = audited_in(&request, "operator.grant", Some(id), detail);
    if granted.role.as_ref().is_some_and(|before| *before != role) {
        change(&request, &db, &tenant, vec![grant, audit]).await?;
    } else {
        db.batch(vec![grant, audit]).await?;
    }
    shown(&db, operator).await
}

/// `DELETE /api/v1/operators/{operator_id}/grants/{tenant_id}`
pub async fn delete(request: Request<Operator>) -> Result<Response, Problem> {
    let (db, tenant, operator) = meant(&request, "take a tenant away").await?;
    let id = tenant.id.as_str();
    let granted = db.row::<GrantedRow>(&GRANTED, args![operator, id]).await?;
    if granted.is_none_or(|row| row.role.is_none()) {
        return Err(problem::not_found());
    }
    let audit = audited_in(&request, "operator.take_grant", Some(id), json!({ "subject": operator }));
    change(&request, &db, &tenant, vec![(TAKE, args![operator, id]), audit]).await?;
    shown(&db, operator).await
}

/// The tenant and the operator that the path names, if the caller may change what the operator may.
async fn meant<'a>(
    request: &'a Request<Operator>,
    reason: &'static str,
) -> Result<(ControlDb, Tenant, &'a str), Problem> {
    let claimed = request.path_tenant()?;
    let operator = request.params.get("operator_id");
    let db = ControlDb::open(&request.bindings, reason)?;
    check_reach(request, &db, operator).await?;
    let tenant = Tenant::get(&db, claimed.as_str()).await?;
    Ok((db, tenant, operator))
}

/// A role that the tenant has: one that is built in, or its own.
async fn check_role(request: &Request<Operator>, tenant: &Tenant, role: &str) -> Result<(), Problem> {
    if BUILT_IN_ROLES.iter().any(|(name, _)| *name == role) {
        return Ok(());
    }
    let rows = TenantDb::open(&request.bindings, &tenant.id, &tenant.placement())?;
    match own_role(&rows, role).await? {
        Some(_) => Ok(()),
        None => Err(problem::invalid_field("/role", Invalid::new("unknown_role", "is not a role of the tenant"))),
    }
}

/// Changes a grant, and ends the streams that it opened: before, so that none outlives it, and once more behind it.
async fn change(
    request: &Request<Operator>,
    db: &ControlDb,
    tenant: &Tenant,
    batch: Vec<Bound>,
) -> Result<(), Problem> {
    end_minted(request, tenant).await?;
    db.batch(batch).await?;
    end_minted(request, tenant).await
}

async fn end_minted(request: &Request<Operator>, tenant: &Tenant) -> Result<(), Problem> {
    let by = format!("operator:{}", request.params.get("operator_id"));
    let message = EndMinted { tenant: (&tenant.id).into(), by: Some(by), at: request.now() };
    let hub = HubClient::of(&request.bindings, &tenant.id).map_err(problem::unavailable)?;
    hub.call(&message).await.map(drop).map_err(problem::unavailable)
}
