//! The tenant in an operator's path: finding it, checking the request's conditions, changing it, responding with it.

use crate::auth::principal::Operator;
use crate::http::etag;
use crate::http::precondition::Validators;
use crate::http::problem::{self, Problem};
use crate::http::request::Request;
use crate::http::response::Response;
use crate::storage::control_db::ControlDb;
use crate::tenant::change::TenantChange;
use crate::tenant::registry::{Tenant, TenantDetails};

/// The tenant that the path names, and the database it was found in.
pub(super) async fn find(request: &Request<Operator>, reason: &'static str) -> Result<(ControlDb, Tenant), Problem> {
    let id = request.path_tenant()?;
    let db = ControlDb::open(&request.bindings, reason)?;
    let tenant = Tenant::get(&db, id.as_str()).await?;
    Ok((db, tenant))
}

/// A change of a tenant, from the revision that was read.
pub(super) fn change_of<'a>(
    request: &'a Request<Operator>,
    tenant: &'a Tenant,
    operation: &'static str,
) -> TenantChange<'a> {
    TenantChange {
        actor: request.caller.actor(),
        bindings: &request.bindings,
        tenant: tenant.id.as_str(),
        revision: tenant.row.revision,
        operation,
        request_id: &request.incoming.id,
        is_conditional: !request.preconditions().are_open_to_changes(),
        hosts: tenant.hosts(&request.bindings),
        templates: Vec::new(),
        detail: None,
    }
}

/// 412 if the request's conditions do not hold of the tenant's revision.
pub(super) fn check_match(request: &Request<Operator>, tenant: &Tenant) -> Result<(), Problem> {
    request.preconditions().check(Some(Validators::tag(&etag::of(tenant.row.revision))))
}

/// Responds with the tenant after a change: 200 if the change has reached every store, else 202.
pub(super) async fn shown_after(
    request: &Request<Operator>,
    db: &ControlDb,
    id: &str,
    is_applied: bool,
) -> Result<Response, Problem> {
    let shown = TenantDetails::get(db, id).await?;
    show(request, &shown, if is_applied { 200 } else { 202 })
}

pub(super) fn show(request: &Request<Operator>, shown: &TenantDetails, status: u16) -> Result<Response, Problem> {
    let view =
        shown.to_view(request.bindings.settings.root_domain.as_str(), request.now()).map_err(problem::internal)?;
    let answer = Response::json(status, &view, Some(shown.row.id()))?;
    Ok(answer.tagged(shown.row.etag()))
}
