//! `/api/v1/tenants/{tenant_id}/storage`: the bytes that a tenant stores, and their recount.

use crate::api::members::audit_entry;
use crate::auth::principal::Member;
use crate::http::problem::{self, Problem};
use crate::http::request::Request;
use crate::http::response::Response;
use crate::log;
use crate::records::{job, storage};

/// `GET /api/v1/tenants/{tenant_id}/storage`
pub async fn show(request: Request<Member>) -> Result<Response, Problem> {
    answer(&request, 200).await
}

/// `POST /api/v1/tenants/{tenant_id}/storage/recount`
pub async fn recount(request: Request<Member>) -> Result<Response, Problem> {
    named(&request)?;
    let rows = request.caller.rows(&request.bindings)?;
    let (begin, args) = storage::begin_recount();
    rows.write().add(begin, args).audit(audit_entry(&request, "storage.recount", None, None)).commit().await?;
    request.background.spawn(async move {
        if let Err(problem) = storage::recount(&rows, &mut job::turn(job::BEHIND)).await {
            let cause = problem.cause.as_deref().unwrap_or(problem.code);
            log::failed_turn("storage_recount", rows.tenant().as_str(), cause);
        }
    });
    answer(&request, 202).await
}

/// Fails if the path names another tenant.
fn named(request: &Request<Member>) -> Result<(), Problem> {
    if request.caller.tenant.is_named_by(&request.path_tenant()?) {
        return Ok(());
    }
    Err(problem::tenant_not_found().crossing_tenants())
}

async fn answer(request: &Request<Member>, status: u16) -> Result<Response, Problem> {
    named(request)?;
    let rows = request.caller.rows(&request.bindings)?;
    let shown = storage::shown(&rows, request.caller.config.limits.storage_bytes).await?;
    Response::json(status, &shown, Some(request.caller.tenant.as_str()))
}
