//! `/api/v1/operators/{operator_id}/grants/{tenant_id}`: which tenants support may enter, and as what.
//!
//! A grant that is changed or removed ends what the operator has in the tenant: its tokens are refused on their next
//! request, and the streams of subscriber tokens it minted end at once.

use super::accounts::{check_may_change, shown};
use super::rules;
use super::{ControlStatement, audit_in_tenant};
use crate::auth::authenticate_member::own_role;
use crate::auth::principal::Operator;
use crate::auth::revocation::{MintedBy, revoking};
use crate::auth::role::is_built_in;
use crate::http::fields::Fields;
use crate::http::incoming::JSON;
use crate::http::problem::{self, Problem};
use crate::http::request::Request;
use crate::http::response::Response;
use crate::storage::control_db::ControlDb;
use crate::storage::row::row_types;
use crate::storage::sql::{args, statements};
use crate::storage::tenant_db::TenantDb;
use crate::tenant::registry::Tenant;
use domain::error::Invalid;
use domain::json;

statements! { ControlSql;
    /// Grants a tenant, or another role in it.
    GRANT = "INSERT INTO operator_grants (operator_id, tenant_id, role, created_at, role_id) VALUES (?1, ?2, ?3, ?4, ?5) ON CONFLICT (operator_id, tenant_id) DO UPDATE SET role = excluded.role, role_id = excluded.role_id";
    /// Removes a grant.
    REMOVE = "DELETE FROM operator_grants WHERE operator_id = ?1 AND tenant_id = ?2";
    /// An operator's role in a tenant, and in how many tenants they have one.
    GRANTED = "SELECT (SELECT g.role FROM operator_grants g WHERE g.operator_id = ?1 AND g.tenant_id = ?2) AS role, (SELECT r.role_id FROM operator_grants r WHERE r.operator_id = ?1 AND r.tenant_id = ?2) AS role_id, (SELECT count(*) FROM operator_grants n WHERE n.operator_id = ?1) AS total";
}

/// Most tenants that one operator is granted.
const MAX_GRANTS: i64 = 2_000;

row_types! {
    struct GrantedRow {
        role: Option<String>,
        role_id: Option<String>,
        total: i64,
    }
}

/// `PUT /api/v1/operators/{operator_id}/grants/{tenant_id}`
pub async fn put(mut request: Request<Operator>) -> Result<Response, Problem> {
    let mut fields = Fields::new(request.incoming.json_object(JSON).await?);
    fields.require("role");
    let role = fields.text("role", 64);
    let role = fields.finish_with(role)?;
    let GrantTarget { db, tenant, operator, as_seen } = find(&request, "grant a tenant").await?;
    let role_id = find_role(&request, &tenant, &role).await?;
    let id = tenant.id.as_str();
    let granted = db.row::<GrantedRow>(&GRANTED, args![operator, id]).await?;
    let granted = granted.ok_or_else(|| problem::internal("a count without a row"))?;
    if granted.role.is_none() && granted.total >= MAX_GRANTS {
        return Err(problem::too_many("grants", MAX_GRANTS));
    }
    let grant = (GRANT, args![operator, id, role.as_str(), request.now().millis(), role_id.as_str()]);
    let detail = json!({ "subject": operator, "role": role });
    let audit = audit_in_tenant(&request, "operator.grant", Some(id), detail);
    let is_new = granted.role.is_none();
    if is_new || granted.role.as_ref() == Some(&role) && granted.role_id.as_ref() == Some(&role_id) {
        rules::commit(&db, vec![as_seen, grant, audit]).await?;
    } else {
        change(&request, &db, &tenant, vec![as_seen, grant, audit]).await?;
    }
    shown(&db, operator).await
}

/// `DELETE /api/v1/operators/{operator_id}/grants/{tenant_id}`
pub async fn delete(request: Request<Operator>) -> Result<Response, Problem> {
    let GrantTarget { db, tenant, operator, as_seen } = find(&request, "remove a grant").await?;
    let id = tenant.id.as_str();
    let granted = db.row::<GrantedRow>(&GRANTED, args![operator, id]).await?;
    if granted.is_none_or(|row| row.role.is_none()) {
        return Err(problem::not_found());
    }
    let audit = audit_in_tenant(&request, "operator.take_grant", Some(id), json!({ "subject": operator }));
    change(&request, &db, &tenant, vec![as_seen, (REMOVE, args![operator, id]), audit]).await?;
    shown(&db, operator).await
}

/// The tenant and the operator that the path names.
struct GrantTarget<'a> {
    db: ControlDb,
    tenant: Tenant,
    operator: &'a str,
    /// The rule that the operator may still be changed by the caller.
    as_seen: ControlStatement,
}

/// Finds what the path names. Refuses an operator whom the caller may not change.
async fn find<'a>(request: &'a Request<Operator>, reason: &'static str) -> Result<GrantTarget<'a>, Problem> {
    let claimed = request.path_tenant()?;
    let operator = request.params.get("operator_id");
    let db = ControlDb::open(&request.bindings, reason)?;
    let as_seen = check_may_change(request, &db, operator).await?;
    let tenant = Tenant::get(&db, claimed.as_str()).await?;
    Ok(GrantTarget { db, tenant, operator, as_seen })
}

/// The creation id of a role of the tenant's own, empty for a built-in one. Refuses a role that is neither.
async fn find_role(request: &Request<Operator>, tenant: &Tenant, role: &str) -> Result<String, Problem> {
    if is_built_in(role) {
        return Ok(String::new());
    }
    let rows = TenantDb::open(&request.bindings, &tenant.id, &tenant.placement())?;
    let unknown = || problem::invalid_field("/role", Invalid::new("unknown_role", "is not a role of this tenant"));
    own_role(&rows, role).await?.map(|(_, id)| id).ok_or_else(unknown)
}

/// Commits a change of a grant, and ends the streams that the operator's tokens opened.
async fn change(
    request: &Request<Operator>,
    db: &ControlDb,
    tenant: &Tenant,
    batch: Vec<ControlStatement>,
) -> Result<(), Problem> {
    let minted_by = MintedBy::Principal(format!("operator:{}", request.params.get("operator_id")));
    let commit = rules::commit(db, batch);
    revoking(&request.bindings, &tenant.id, minted_by, commit).await
}
