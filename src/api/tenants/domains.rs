//! Custom domains: attached to one tenant at most, and after their release to no other for ten minutes.

use super::input::{self, MAX_DOMAINS};
use super::subject::{change_of, check_match, find};
use crate::auth::principal::Operator;
use crate::http::fields::Fields;
use crate::http::incoming::JSON;
use crate::http::problem::{self, Problem};
use crate::http::request::Request;
use crate::http::response::{Pagination, Response};
use crate::records::provision::provision;
use crate::storage::control_db::ControlDb;
use crate::storage::row::row_types;
use crate::storage::sql::{Arg, ControlSql};
use crate::storage::sql::{args, statements};
use crate::tenant::change::RELEASED_SECONDS;
use crate::tenant::registry::{DomainRow, Tenant};
use domain::clock::Timestamp;
use domain::error::Invalid;
use domain::host::Host;
use domain::json;

statements! { ControlSql;
    /// Attaches a domain, unless it is attached.
    ATTACH = "INSERT INTO tenant_domains (domain, tenant_id, is_primary, created_at) VALUES (?1, ?2, ?3, ?4)";
    /// Makes no domain of the tenant the primary one.
    CLEAR_PRIMARY = "UPDATE tenant_domains SET is_primary = 0 WHERE tenant_id = ?1";
    /// Makes a domain of the tenant the primary one.
    SET_PRIMARY = "UPDATE tenant_domains SET is_primary = 1 WHERE domain = ?1 AND tenant_id = ?2";
    /// Detaches a domain from its tenant.
    DETACH = "DELETE FROM tenant_domains WHERE domain = ?1 AND tenant_id = ?2";
    /// Notes that a domain was released.
    RELEASE = "INSERT OR REPLACE INTO released_domains (domain, released_at) SELECT domain, ?3 FROM tenant_domains WHERE domain = ?1 AND tenant_id = ?2";
    /// Notes that the host of a slug was released.
    RELEASE_SLUG_HOST = "INSERT OR REPLACE INTO released_domains (domain, released_at) VALUES (?1, ?2)";
    /// Detaches all domains of a tenant.
    DETACH_ALL = "DELETE FROM tenant_domains WHERE tenant_id = ?1";
    /// Notes that all domains of a tenant were released.
    RELEASE_ALL = "INSERT OR REPLACE INTO released_domains (domain, released_at) SELECT domain, ?2 FROM tenant_domains WHERE tenant_id = ?1";
    /// Which of these domains cannot be attached now.
    NOT_FREE = "SELECT domain FROM tenant_domains WHERE domain IN (SELECT value FROM json_each(?1)) UNION SELECT domain FROM released_domains WHERE domain IN (SELECT value FROM json_each(?1)) AND released_at > ?2";
}

row_types! {
    struct TakenDomainRow {
        domain: String,
    }
}

/// `GET /api/v1/tenants/{tenant_id}/domains`
pub async fn list(request: Request<Operator>) -> Result<Response, Problem> {
    let (_, tenant) = find(&request, "list a tenant's domains").await?;
    let rows: Vec<_> = tenant.domains.iter().map(view).collect();
    let pagination = Pagination { per_page: u32::try_from(MAX_DOMAINS).unwrap_or(0), ..Pagination::default() };
    Response::list(&rows, pagination, Some(tenant.id.as_str()))
}

/// `POST /api/v1/tenants/{tenant_id}/domains`
pub async fn attach(mut request: Request<Operator>) -> Result<Response, Problem> {
    let mut fields = Fields::new(request.incoming.json_object(JSON).await?);
    let root = &request.bindings.settings.root_domain;
    let domain = fields.required("domain", |f| f.parsed("domain", |text| input::parse_domain(text, root, &to_ascii)));
    let primary = fields.flag("is_primary").unwrap_or(false);
    let domain = fields.finish_with(domain)?;

    let (db, tenant) = find(&request, "attach a domain").await?;
    check_match(&request, &tenant)?;
    if tenant.domains.len() >= MAX_DOMAINS {
        let invalid =
            Invalid::new("too_many", format!("cannot be attached: a tenant has at most {MAX_DOMAINS} domains"));
        return Err(problem::invalid_field("/domain", invalid));
    }
    let now = request.now().millis();
    let taken = || problem::conflict("/domain", domain_taken());
    if !not_free(&db, std::slice::from_ref(&domain), now).await?.is_empty() {
        return Err(taken());
    }
    let id = tenant.id.as_str();
    let primary = primary || tenant.domains.is_empty();
    let mut statements = Vec::new();
    if primary {
        statements.push((CLEAR_PRIMARY, args![id]));
    }
    statements.push((ATTACH, args![domain.as_str(), id, primary, now]));
    let mut change = change_of(&request, &tenant, "domain.attach");
    change.hosts.push(domain.as_str().to_owned());
    change.write(&db, statements, |_| taken()).await?;
    let is_applied = change.carry(&db, provision).await?;
    let row =
        DomainRow { domain: domain.as_str().into(), is_primary: i64::from(primary), ssl_enabled: 0, created_at: now };
    Response::json(if is_applied { 201 } else { 202 }, &view(&row), Some(id))
        .map(|answer| answer.header("Location", format!("/api/v1/tenants/{id}/domains/{domain}")))
}

/// `DELETE /api/v1/tenants/{tenant_id}/domains/{domain}`
pub async fn detach(request: Request<Operator>) -> Result<Response, Problem> {
    let (db, tenant) = find(&request, "detach a domain").await?;
    check_match(&request, &tenant)?;
    let root = &request.bindings.settings.root_domain;
    let domain =
        input::parse_domain(request.params.get("domain"), root, &to_ascii).map_err(|_| problem::not_found())?;
    if !tenant.domains.iter().any(|row| row.domain == domain.as_str()) {
        return Err(problem::not_found());
    }
    let id = tenant.id.as_str();
    let statements =
        vec![(RELEASE, args![domain.as_str(), id, request.now().millis()]), (DETACH, args![domain.as_str(), id])];
    let change = change_of(&request, &tenant, "domain.detach");
    change.write(&db, statements, |text| problem::internal(text)).await?;
    let is_applied = change.carry(&db, provision).await?;
    Response::json(if is_applied { 200 } else { 202 }, &json!({ "domain": domain.as_str() }), Some(id))
}

/// Refuses domains that cannot be attached now, each with its pointer into `custom_domains`.
pub(super) async fn check_free(db: &ControlDb, domains: &[Host], now: i64) -> Result<(), Problem> {
    let taken = not_free(db, domains, now).await?;
    let mut pointers =
        domains.iter().enumerate().filter(|(_, d)| taken.iter().any(|t| t == d.as_str())).map(|(i, _)| i);
    let Some(first) = pointers.next() else { return Ok(()) };
    let problem = problem::conflict(&format!("/custom_domains/{first}"), domain_taken());
    Err(pointers.fold(problem, |problem, i| problem.field(format!("/custom_domains/{i}"), domain_taken())))
}

fn domain_taken() -> Invalid {
    Invalid::new("taken", "is attached to a tenant, or was released less than ten minutes ago")
}

/// The statements that replace a tenant's domains: others are detached, new ones attached.
pub(super) async fn replace(
    db: &ControlDb,
    tenant: &Tenant,
    wanted: &[Host],
    now: i64,
) -> Result<Vec<(ControlSql, Vec<Arg>)>, Problem> {
    let id = tenant.id.as_str();
    let has = |domain: &Host| tenant.domains.iter().any(|row| row.domain == domain.as_str());
    let new: Vec<_> = wanted.iter().filter(|domain| !has(domain)).cloned().collect();
    check_free(db, &new, now).await.map_err(|problem| repointed(problem, wanted, &new))?;
    let gone = tenant.domains.iter().filter(|row| !wanted.iter().any(|domain| domain.as_str() == row.domain));
    let mut statements = Vec::new();
    for row in gone {
        statements.push((RELEASE, args![row.domain.as_str(), id, now]));
        statements.push((DETACH, args![row.domain.as_str(), id]));
    }
    statements.extend(new.iter().map(|domain| (ATTACH, args![domain.as_str(), id, false, now])));
    if let Some(first) = wanted.first() {
        statements.push((CLEAR_PRIMARY, args![id]));
        statements.push((SET_PRIMARY, args![first.as_str(), id]));
    }
    Ok(statements)
}

/// Points a problem with the new domains to their positions in the whole list.
fn repointed(mut problem: Problem, wanted: &[Host], new: &[Host]) -> Problem {
    for error in &mut problem.errors {
        let place = error.pointer.rsplit('/').next().and_then(|index| new.get(index.parse::<usize>().ok()?));
        if let Some(index) = place.and_then(|domain| wanted.iter().position(|w| w == domain)) {
            error.pointer = format!("/custom_domains/{index}");
        }
    }
    problem
}

/// The statements that release all domains of a tenant.
pub(super) fn release_all(tenant: &str, now: i64) -> Vec<(ControlSql, Vec<Arg>)> {
    vec![(RELEASE_ALL, args![tenant, now]), (DETACH_ALL, args![tenant])]
}

async fn not_free(db: &ControlDb, domains: &[Host], now: i64) -> Result<Vec<String>, Problem> {
    if domains.is_empty() {
        return Ok(Vec::new());
    }
    let names: Vec<_> = domains.iter().map(Host::as_str).collect();
    let names = serde_json::to_string(&names).map_err(problem::internal)?;
    let rows = db.rows::<TakenDomainRow>(&NOT_FREE, args![names, now - RELEASED_SECONDS * 1000]).await?;
    Ok(rows.into_iter().map(|row| row.domain).collect())
}

fn view(row: &DomainRow) -> serde_json::Value {
    json!({
        "domain": row.domain,
        "is_primary": row.is_primary != 0,
        "ssl_enabled": row.ssl_enabled != 0,
        "created_at": Timestamp::from_millis(row.created_at),
    })
}

/// An international name in ASCII (UTS 46), by the runtime's URL parser, as browsers do it; none if it is not a name.
pub(super) fn to_ascii(name: &str) -> Option<String> {
    web_sys::Url::new(&format!("http://{name}/")).ok().map(|url| url.hostname())
}
