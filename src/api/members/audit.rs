//! `/api/v1/audit`: what was done in a tenant, and by whom. Read only.

use crate::auth::principal::Member;
use crate::http::incoming::Query;
use crate::http::listing::{ListParams, ViewRow};
use crate::http::problem::{self, Problem};
use crate::http::request::Request;
use crate::http::response::Response;
use crate::storage::sql::{args, statements};
use domain::clock::Timestamp;
use domain::json;

statements! { TenantSql;
    /// Entries, newest first: ?5 the actor, ?6 how the operation begins, ?7 the subject, ids from ?8 and before ?9.
    /// An id begins with its time in 13 digits, so a span of time is a span of ids.
    SHOWN = "SELECT id, at AS created_at, json_object('id', id, 'at', at, 'actor', actor, 'operation', operation, 'subject', subject, 'detail', json(detail), 'address', address, 'request_id', request_id) AS view FROM audit_log WHERE tenant_id = ?1 AND id >= ?8 AND id < CASE WHEN ?3 = '' THEN ?9 ELSE ?3 END AND ?2 >= at AND (?5 IS NULL OR actor = ?5) AND (?6 IS NULL OR substr(operation, 1, length(?6)) = ?6) AND (?7 IS NULL OR subject = ?7) ORDER BY id DESC LIMIT ?4";
}

/// Sorts after every id.
const AFTER_ALL_IDS: &str = "~";

/// `GET /api/v1/audit`
pub async fn list(request: Request<Member>) -> Result<Response, Problem> {
    let query = &request.incoming.query;
    let [actor, operation, subject] = ["actor", "operation", "subject"]
        .map(|name| query.get(name).filter(|text| !text.is_empty()).map(str::to_owned));
    let since = timestamp(query, "since")?.map_or_else(String::new, first_id);
    let until = timestamp(query, "until")?.map_or_else(|| AFTER_ALL_IDS.to_owned(), first_id);
    let tenant = request.caller.tenant.to_string();
    let filters = json!([tenant, actor, operation, subject, since, until]).to_string();
    let params = ListParams::read(&request, "audit.list", &filters)?;
    let mut args = params.args();
    args.extend(args![actor, operation, subject, since, until]);
    let rows = request.caller.rows(&request.bindings)?.rows::<ViewRow>(&SHOWN, args).await?;
    params.answer(&request, rows, Some(&tenant))
}

/// The first id that an entry of this time may have.
fn first_id(at: Timestamp) -> String {
    format!("{:013}", at.millis())
}

fn timestamp(query: &Query, name: &str) -> Result<Option<Timestamp>, Problem> {
    let text = query.get(name).filter(|text| !text.is_empty());
    text.map(|text| Timestamp::parse_rfc3339(text).map_err(|e| problem::invalid_query(name, e))).transpose()
}
