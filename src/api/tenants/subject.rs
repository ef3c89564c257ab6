//! The tenant that an operator's call is about: found, checked against `If-Match`, changed, shown.

use crate::auth::principal::Operator;
use crate::http::etag;
use crate::http::problem::{self, Answered};
use crate::http::request::Call;
use crate::http::response::Answer;
use crate::storage::control_db::ControlDb;
use crate::tenant::change::Change;
use crate::tenant::registry::{Shown, Tenant};

/// The tenant that the path names, and the database it was found in.
pub(super) async fn find(call: &Call<Operator>, reason: &'static str) -> Answered<(ControlDb, Tenant)> {
    let id = call.path_tenant()?;
    let db = ControlDb::open(&call.bindings, reason)?;
    let tenant = Tenant::get(&db, id.as_str()).await?;
    Ok((db, tenant))
}

/// A change of a tenant as it was read.
pub(super) fn change_of<'a>(call: &'a Call<Operator>, tenant: &'a Tenant, operation: &'static str) -> Change<'a> {
    Change {
        actor: call.who.actor(),
        bindings: &call.bindings,
        tenant: tenant.id.as_str(),
        revision: tenant.row.revision,
        operation,
        request_id: &call.request.id,
        is_conditional: call.request.header("If-Match").is_some(),
        hosts: tenant.hosts(&call.bindings),
        templates: Vec::new(),
    }
}

/// `If-Match`, where it was sent.
pub(super) fn check_match(call: &Call<Operator>, tenant: &Tenant) -> Answered<()> {
    etag::check(&call.request, tenant.row.revision)
}

/// The tenant after a change: 200 once it has arrived everywhere, else 202.
pub(super) async fn shown_after(call: &Call<Operator>, db: &ControlDb, id: &str, arrived: bool) -> Answered<Answer> {
    let shown = Shown::get(db, id).await?;
    show(call, &shown, if arrived { 200 } else { 202 })
}

pub(super) fn show(call: &Call<Operator>, shown: &Shown, status: u16) -> Answered<Answer> {
    let view = shown.to_view(call.bindings.settings.root_domain.as_str()).map_err(problem::internal)?;
    let answer = Answer::json(status, &view, Some(shown.row.id()))?;
    Ok(answer.header("ETag", shown.row.etag()))
}
