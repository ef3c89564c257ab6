//! `GET /api/v1/tenants`: by cursor, or by page where asked; filtered by status, plan and text.

use serde_json::Value;

use crate::auth::principal::Operator;
use crate::http::cursor::{self, ListIdentity, Position};
use crate::http::letters::lower_case;
use crate::http::listing::{cut_by_bytes, fitting};
use crate::http::problem::{self, Problem};
use crate::http::request::Request;
use crate::http::response::{Pagination, Response};
use crate::storage::control_db::ControlDb;
use crate::storage::row::CountRow;
use crate::storage::sql::Arg;
use crate::storage::sql::{args, statements};
use crate::tenant::registry::TenantDetails;
use domain::error::Invalid;

statements! { ControlSql;
    /// Tenants, newest first. A filter that is NULL matches every tenant; ?4 and ?5 are a cursor's position. One that has
    /// expired by ?8 is no active one.
    LIST = "SELECT t.*, p.limits AS plan_limits, p.features AS plan_features, l.shard, l.epoch, (SELECT json_group_array(d.domain) FROM (SELECT domain FROM tenant_domains WHERE tenant_id = t.id ORDER BY is_primary DESC, created_at, domain) d) AS domains, (SELECT json_group_array(d.domain) FROM (SELECT domain FROM domain_claims WHERE tenant_id = t.id ORDER BY created_at, domain) d) AS claims, EXISTS (SELECT 1 FROM pending_changes c WHERE c.tenant_id = t.id) AS pending FROM tenants t JOIN plans p ON p.id = t.plan JOIN placements l ON l.tenant_id = t.id WHERE t.status <> 'purged' AND (?1 IS NULL OR CASE WHEN t.status = 'active' AND t.expires_at <= ?8 THEN 'expired' ELSE t.status END = ?1) AND (?2 IS NULL OR t.plan = ?2) AND (?3 IS NULL OR instr(lower(t.id || ' ' || t.slug || ' ' || t.display_name), ?3) > 0) AND (t.created_at, t.id) < (COALESCE(?4, 9007199254740991), COALESCE(?5, '')) ORDER BY t.created_at DESC, t.id DESC LIMIT ?6 OFFSET ?7";
    /// How many there are at ?4.
    COUNT = "SELECT count(*) AS total FROM tenants t WHERE t.status <> 'purged' AND (?1 IS NULL OR CASE WHEN t.status = 'active' AND t.expires_at <= ?4 THEN 'expired' ELSE t.status END = ?1) AND (?2 IS NULL OR t.plan = ?2) AND (?3 IS NULL OR instr(lower(t.id || ' ' || t.slug || ' ' || t.display_name), ?3) > 0)";
}

const ROUTE: &str = "tenants.list";

/// Where a list begins.
enum Start {
    Cursor(Option<Position>),
    Page(u32),
}

/// `GET /api/v1/tenants?status=&plan=&q=&limit=&cursor=&page=&per_page=&count=`
pub async fn list(request: Request<Operator>) -> Result<Response, Problem> {
    let query = &request.incoming.query;
    let status = query.get("status").filter(|s| !s.is_empty());
    if status.is_some_and(|s| !matches!(s, "active" | "expired" | "suspended" | "deleted")) {
        let invalid = Invalid::new("invalid_status", "must be active, expired, suspended or deleted");
        return Err(problem::invalid_query("status", invalid));
    }
    let plan = query.get("plan").filter(|p| !p.is_empty());
    let text = query.get("q").filter(|q| !q.is_empty()).map(lower_case);
    if text.as_ref().is_some_and(|q| q.len() > 200) {
        return Err(problem::invalid_query("q", Invalid::new("too_long", "must be at most 200 bytes long")));
    }
    let filters = serde_json::json!([status, plan, text]).to_string();
    let identity = ListIdentity { route: ROUTE, filters: &filters };
    let limit_name = if query.get("per_page").is_some() { "per_page" } else { "limit" };
    let per_page = query.number(limit_name, 1..=200, 50)?;
    let start = start(&request, &identity)?;
    let count = query.flag("count")? || matches!(start, Start::Page(_));

    let db = ControlDb::open(&request.bindings, "list tenants")?;
    if let Some(plan) = plan
        && crate::tenant::registry::find_plan(&db, plan).await?.is_none()
    {
        let invalid = Invalid::new("unknown_plan", "is not a plan of this platform");
        return Err(problem::invalid_query("plan", invalid));
    }
    let now = request.now();
    let filter_args = args![status, plan, text];
    let (after, offset) = match &start {
        Start::Cursor(after) => (after.as_ref(), 0),
        Start::Page(page) => (None, i64::from(page - 1) * i64::from(per_page)),
    };
    let mut list_args = filter_args.clone();
    list_args.extend([Arg::from(after.map(|p| p.at)), Arg::from(after.map(|p| p.id.clone()))]);
    list_args.extend(args![i64::from(per_page) + 1, offset, now.millis()]);
    let mut rows = db.rows::<TenantDetails>(&LIST, list_args).await?;
    let count_args = filter_args.into_iter().chain(args![now.millis()]).collect();
    let counted = if count { db.row::<CountRow>(&COUNT, count_args).await? } else { None };
    let total = counted.and_then(|row| u64::try_from(row.total).ok());

    let root = request.bindings.settings.root_domain.as_str();
    let views =
        rows.iter().map(|row| row.to_view(root, now)).collect::<Result<Vec<Value>, _>>().map_err(problem::internal)?;
    let shown = fitting(views.iter().map(|view| view.to_string().len())).min(per_page as usize);
    let has_next = rows.len() > shown;
    rows.truncate(shown);
    let next =
        rows.last().filter(|_| has_next).map(|row| Position { at: row.row.created_at(), id: row.row.id().to_owned() });
    let key = request.bindings.settings.keys.cursor_key().map_err(problem::internal)?;
    let partial = has_next && shown < per_page as usize;
    let pagination = Pagination {
        page: if let Start::Page(page) = start { Some(page) } else { None },
        per_page,
        total,
        total_is_lower_bound: false,
        total_pages: total.map(|total| total.div_ceil(u64::from(per_page))),
        has_next,
        has_prev: after.is_some() || offset > 0,
        partial,
        cut: partial.then(cut_by_bytes),
        cursor: next.map(|position| cursor::seal(&key, &identity, &position)),
    };
    Response::list(views.get(..shown).unwrap_or_default(), pagination, None)
}

fn start(request: &Request<Operator>, identity: &ListIdentity<'_>) -> Result<Start, Problem> {
    let query = &request.incoming.query;
    let sent = query.get("cursor").filter(|c| !c.is_empty());
    if query.get("page").is_some() {
        if sent.is_some() {
            return Err(problem::invalid_query(
                "page",
                Invalid::new("contradiction", "cannot be combined with cursor"),
            ));
        }
        return Ok(Start::Page(query.number("page", 1..=10_000, 1)?));
    }
    let Some(sent) = sent else { return Ok(Start::Cursor(None)) };
    let keys = &request.bindings.settings.keys;
    let position = cursor::open(|version| keys.cursor_key_of(version), identity, sent);
    position.map(|position| Start::Cursor(Some(position))).map_err(|e| problem::invalid_query("cursor", e))
}
