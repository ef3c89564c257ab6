//! `/api/v1/{collection}/{record_id}/versions`: a record's earlier versions, their differences, and restoring one.

use serde_json::{Map, Value};

use super::record;
use crate::auth::principal::Member;
use crate::http::listing::{ListParams, ViewRow};
use crate::http::problem::{self, Problem};
use crate::http::request::Request;
use crate::http::response::Response;
use crate::records::collection::Collection;
use crate::records::operation::OperationKind;
use crate::records::record::Record;
use crate::storage::row::row_types;
use crate::storage::sql::{args, statements};
use crate::storage::tenant_db::TenantDb;
use domain::difference::difference;
use domain::error::Invalid;
use domain::json;

statements! { TenantSql;
    /// A record's versions, newest first: without what they held.
    SHOWN = "SELECT v.version AS created_at, v.record_id AS id, json_object('version', v.version, 'operation', v.operation, 'status', v.status, 'at', v.at, 'by', v.by) AS view FROM record_versions v WHERE v.tenant_id = ?1 AND v.version < ?2 AND (?3 IS NOT NULL) AND v.collection = ?5 AND v.record_id = ?6 ORDER BY v.version DESC LIMIT ?4";
    /// One of them.
    FIND = "SELECT version, operation, status, data, at, by FROM record_versions WHERE tenant_id = ?1 AND collection = ?2 AND record_id = ?3 AND version = ?4";
}

row_types! {
    struct VersionRow {
        version: i64,
        operation: String,
        status: Option<String>,
        data: String,
        at: i64,
        by: String,
    }
}

/// `GET /api/v1/{collection}/{record_id}/versions`
///
/// A cursor names the collection's creation id. It names the record by its id alone: it says no more than below which version
/// to continue, and the versions of a record go with it.
pub async fn list(request: Request<Member>) -> Result<Response, Problem> {
    let rows = request.caller.rows(&request.bindings)?;
    let (collection, id) = found(&request, &rows).await?;
    let tenant = request.caller.tenant.to_string();
    let filters = json!([tenant, collection.slug, collection.creation_id, id]).to_string();
    let asked = ListParams::read(&request, "versions.list", &filters)?;
    let mut args = asked.args();
    args.extend(args![collection.slug.as_str(), id.as_str()]);
    let listed = rows.rows::<ViewRow>(&SHOWN, args).await?;
    if listed.is_empty() && !asked.has_cursor() {
        // A record has no versions if its collection does not store them; 404 only without a record.
        Record::find(&rows, &collection.slug, &id).await?;
    }
    asked.answer(&request, listed, Some(&tenant))
}

/// `GET /api/v1/{collection}/{record_id}/versions/{version}`
pub async fn get(request: Request<Member>) -> Result<Response, Problem> {
    let rows = request.caller.rows(&request.bindings)?;
    let (collection, id) = found(&request, &rows).await?;
    let version = version(&rows, &collection, &id, request.params.get("version")).await?;
    let data = data(&version)?;
    let shown = json!({
        "version": version.version, "operation": version.operation, "status": version.status, "data": data,
        "at": version.at, "by": version.by,
    });
    Response::json(200, &crate::http::listing::with_timestamps(shown), Some(request.caller.tenant.as_str()))
}

/// `GET /api/v1/{collection}/{record_id}/versions/{version}/diff`
pub async fn diff(request: Request<Member>) -> Result<Response, Problem> {
    let rows = request.caller.rows(&request.bindings)?;
    let (collection, id) = found(&request, &rows).await?;
    let to = version(&rows, &collection, &id, request.params.get("version")).await?;
    let from = match request.incoming.query.get("from") {
        Some(text) => {
            let invalid =
                || problem::invalid_query("from", Invalid::new("not_found", "is not a version of this record"));
            Some(version(&rows, &collection, &id, text).await.map_err(|_| invalid())?)
        }
        None if to.version > 1 => version(&rows, &collection, &id, &(to.version - 1).to_string()).await.ok(),
        None => None,
    };
    let before = from.as_ref().map(with_status).transpose()?.unwrap_or_default();
    let after = with_status(&to)?;
    let changes = difference(&before, &after);
    let shown = json!({ "from": from.map(|version| version.version), "to": to.version, "changes": changes });
    Response::json(200, &shown, Some(request.caller.tenant.as_str()))
}

/// `POST /api/v1/{collection}/{record_id}/versions/{version}/restore`
pub async fn restore(request: Request<Member>) -> Result<Response, Problem> {
    let version = request.params.get("version").parse().map_err(|_| problem::not_found())?;
    record::change(&request, OperationKind::RestoreVersion(version)).await
}

/// The collection and the record id that the path names. The record itself may be deleted: its versions remain.
async fn found(request: &Request<Member>, rows: &TenantDb) -> Result<(Collection, String), Problem> {
    let collection = Collection::find(rows, request.params.get("collection")).await?.ok_or_else(problem::not_found)?;
    Ok((collection, request.params.get("record_id").to_owned()))
}

async fn version(rows: &TenantDb, collection: &Collection, id: &str, text: &str) -> Result<VersionRow, Problem> {
    let version: u32 = text.parse().map_err(|_| problem::not_found())?;
    let args = args![collection.slug.as_str(), id, i64::from(version)];
    rows.row::<VersionRow>(&FIND, args).await?.ok_or_else(problem::not_found)
}

fn data(version: &VersionRow) -> Result<Map<String, Value>, Problem> {
    serde_json::from_str(&version.data).map_err(problem::internal)
}

/// A version's fields, with its status as a member.
fn with_status(version: &VersionRow) -> Result<Map<String, Value>, Problem> {
    let mut data = data(version)?;
    if let Some(status) = &version.status {
        data.insert("status".into(), status.as_str().into());
    }
    Ok(data)
}
