//! Custom domains: claimed by any number of tenants, attached to the one that proves it, and after their release to no
//! other for ten minutes.

use serde_json::Value;

use super::input::{self, MAX_DOMAINS};
use super::subject::{change_of, check_match, find};
use crate::auth::principal::Operator;
use crate::http::fields::Fields;
use crate::http::incoming::{JSON, MERGE_PATCH};
use crate::http::problem::{self, Problem};
use crate::http::request::Request;
use crate::http::response::{Pagination, Response};
use crate::records::provision::provision;
use crate::storage::control_db::ControlDb;
use crate::tenant::domain_checks;
use crate::tenant::domains::{self, Statements, Wanted};
use crate::tenant::registry::{ClaimRow, DomainRow, Tenant};
use domain::clock::Timestamp;
use domain::domain_proof::{Finding, ProofMethod, ProofPolicy, ProofRecord};
use domain::error::Invalid;
use domain::host::Host;
use domain::json;
use domain::text::parse_reason;

/// `GET /api/v1/tenants/{tenant_id}/domains`
pub async fn list(request: Request<Operator>) -> Result<Response, Problem> {
    let (_, tenant) = find(&request, "list a tenant's domains").await?;
    let now = request.now().millis();
    let mut rows: Vec<_> = tenant.domains.iter().map(|row| attached_view(&tenant, row)).collect();
    let claims = tenant.claims.iter().filter(|claim| now < claim.expires_at);
    rows.extend(claims.map(|claim| claimed_view(&tenant, claim)));
    let pagination = Pagination { per_page: u32::try_from(MAX_DOMAINS).unwrap_or(0), ..Pagination::default() };
    Response::list(&rows, pagination, Some(tenant.id.as_str()))
}

/// `POST /api/v1/tenants/{tenant_id}/domains`: the domain is pending until its owner has proven it.
pub async fn attach(mut request: Request<Operator>) -> Result<Response, Problem> {
    let mut fields = Fields::new(request.incoming.json_object(JSON).await?);
    let root = &request.bindings.settings.root_domain;
    let domain = fields.required("domain", |f| f.parsed("domain", |text| input::parse_domain(text, root, &to_ascii)));
    let primary = fields.flag("is_primary").unwrap_or(false);
    let domain = fields.finish_with(domain)?;

    let (db, tenant) = find(&request, "attach a domain").await?;
    check_match(&request, &tenant)?;
    let (id, now) = (tenant.id.as_str(), request.now());
    let is_claimed = tenant.claim(domain.as_str(), now).is_some();
    if !is_claimed && tenant.domains.len() + tenant.claims.len() >= MAX_DOMAINS {
        let invalid =
            Invalid::new("too_many", format!("cannot be attached: a tenant has at most {MAX_DOMAINS} domains"));
        return Err(problem::invalid_field("/domain", invalid));
    }
    let rule = request.bindings.settings.domain_proof;
    let wanted = domains::wanted(&db, rule, id, std::slice::from_ref(&domain), "/domain", now).await?;
    let statements = wanted.iter().map(|wanted| wanted.statements(id, primary, now)).collect::<Result<Vec<_>, _>>()?;
    let change = DomainChange { operation: "domain.attach", detail: json!({ "domain": domain.as_str() }) };
    let is_applied = change.apply(&request, &db, &tenant, &domain, statements.concat()).await?;
    let shown = Tenant::get(&db, id).await?;
    let view = view_of(&shown, &domain, now).ok_or_else(problem::not_found)?;
    Response::json(if is_applied { 201 } else { 202 }, &view, Some(id))
        .map(|answer| answer.header("Location", format!("/api/v1/tenants/{id}/domains/{domain}")))
}

/// `PATCH /api/v1/tenants/{tenant_id}/domains/{domain}`: makes it the primary one.
pub async fn patch(mut request: Request<Operator>) -> Result<Response, Problem> {
    let mut fields = Fields::new(request.incoming.json_object(MERGE_PATCH).await?);
    let primary = fields.required("is_primary", |fields| fields.flag("is_primary"));
    if primary == Some(false) {
        fields.wrong::<()>("is_primary", Invalid::new("not_true", "must be true: make another domain the primary one"));
    }
    fields.finish()?;
    let (db, tenant, domain) = named(&request, "change a domain").await?;
    check_match(&request, &tenant)?;
    if tenant.domain(domain.as_str()).is_none() {
        let invalid =
            Invalid::new("not_proven", "must be proven before it is the primary one: ask for its verification");
        return Err(problem::domain_not_proven(invalid));
    }
    let statements = domains::primary(tenant.id.as_str(), Some(&domain));
    let change = DomainChange { operation: "domain.set_primary", detail: json!({ "domain": domain.as_str() }) };
    let is_applied = change.apply(&request, &db, &tenant, &domain, statements).await?;
    shown(&request, &db, &tenant, &domain, is_applied).await
}

/// `DELETE /api/v1/tenants/{tenant_id}/domains/{domain}`
pub async fn detach(request: Request<Operator>) -> Result<Response, Problem> {
    let (db, tenant, domain) = named(&request, "detach a domain").await?;
    check_match(&request, &tenant)?;
    let id = tenant.id.as_str();
    let statements = domains::release(id, domain.as_str(), request.now());
    let change = DomainChange { operation: "domain.detach", detail: json!({ "domain": domain.as_str() }) };
    let is_applied = change.apply(&request, &db, &tenant, &domain, statements).await?;
    Response::json(if is_applied { 200 } else { 202 }, &json!({ "domain": domain.as_str() }), Some(id))
}

/// `POST /api/v1/tenants/{tenant_id}/domains/{domain}/verify`: looks up the TXT record, and serves the domain once it is
/// there.
pub async fn verify(request: Request<Operator>) -> Result<Response, Problem> {
    let (db, tenant, domain) = named(&request, "verify a domain").await?;
    check_match(&request, &tenant)?;
    let token = match (tenant.domain(domain.as_str()), tenant.claim(domain.as_str(), request.now())) {
        (Some(row), _) => row.token.as_str(),
        (None, Some(claim)) => claim.token.as_str(),
        (None, None) => return Err(problem::not_found()),
    };
    let proof = match request.bindings.settings.domain_proof {
        ProofPolicy::Assumed => ProofMethod::Assumed,
        ProofPolicy::Required => {
            let record = domains::record(tenant.id.as_str(), domain.as_str(), token)
                .ok_or_else(|| problem::unavailable("a domain has no token yet: cron gives it one within a minute"))?;
            found(domain_checks::find(&request.bindings, &record).await, &record)?;
            ProofMethod::Dns
        }
    };
    let change = DomainChange { operation: "domain.verify", detail: json!({ "domain": domain.as_str() }) };
    prove(&request, &db, &tenant, &domain, proof, change).await
}

/// `POST /api/v1/tenants/{tenant_id}/domains/{domain}/vouch`: an operator says that the domain is the tenant's.
pub async fn vouch(mut request: Request<Operator>) -> Result<Response, Problem> {
    let mut fields = Fields::new(request.incoming.json_object(JSON).await?);
    let reason = fields.required("reason", |fields| fields.parsed("reason", parse_reason));
    let reason = fields.finish_with(reason)?;
    let (db, tenant, domain) = named(&request, "vouch for a domain").await?;
    check_match(&request, &tenant)?;
    let detail = json!({ "domain": domain.as_str(), "reason": reason });
    prove(&request, &db, &tenant, &domain, ProofMethod::Vouched, DomainChange { operation: "domain.vouch", detail })
        .await
}

/// An operation on a domain, for the audit log.
struct DomainChange {
    operation: &'static str,
    detail: Value,
}

impl DomainChange {
    /// Writes the change and carries it; true if every store has it.
    async fn apply(
        self,
        request: &Request<Operator>,
        db: &ControlDb,
        tenant: &Tenant,
        domain: &Host,
        statements: Statements,
    ) -> Result<bool, Problem> {
        let mut change = change_of(request, tenant, self.operation);
        change.detail = Some(self.detail);
        change.hosts.push(domain.as_str().to_owned());
        let conflict = |text: &str| match text.contains("tenant_domains.domain") {
            true => problem::conflict("/domain", domains::domain_taken()),
            false => problem::internal(text),
        };
        change.write(db, statements, conflict).await?;
        change.carry(db, provision).await
    }
}

/// Attaches a claimed domain, or changes how an attached one counts as proven; then asks it over HTTPS.
async fn prove(
    request: &Request<Operator>,
    db: &ControlDb,
    tenant: &Tenant,
    domain: &Host,
    proof: ProofMethod,
    change: DomainChange,
) -> Result<Response, Problem> {
    let (id, now) = (tenant.id.as_str(), request.now());
    let statements = match (tenant.domain(domain.as_str()), tenant.claim(domain.as_str(), now)) {
        (Some(row), _) => vec![domains::set_proof(id, row, proof, now)?],
        (None, Some(claim)) => {
            domains::check_free(db, id, std::slice::from_ref(domain), "/domain", now).await?;
            let next_check = domains::first_check(now)?;
            domains::attach(id, domain, (proof, &claim.token), claim.wants_primary != 0, now, next_check)
        }
        (None, None) => return Err(problem::not_found()),
    };
    let is_applied = change.apply(request, db, tenant, domain, statements).await?;
    domain_checks::note_https(&request.bindings, db, id, domain).await?;
    shown(request, db, tenant, domain, is_applied).await
}

/// What a look-up that found no record is answered with: which record to set where.
fn found(finding: Finding, record: &ProofRecord) -> Result<(), Problem> {
    let ProofRecord { name, value } = record;
    match finding {
        Finding::Found => Ok(()),
        Finding::Missing => {
            let message = format!(
                "is not proven: set a TXT record with the name {name} and the value {value} where the domain's DNS is \
                 kept, wait until it is public, and ask again"
            );
            Err(problem::domain_not_proven(Invalid::new("no_record", message)))
        }
        Finding::Unanswered => Err(problem::unavailable("no answer to a DNS query").detail(format!(
            "Nobody answers whether {name} has a TXT record: the resolver or the domain's name servers fail. Ask again."
        ))),
    }
}

/// The domain that the path names, attached or claimed; 404 if it is neither.
async fn named(request: &Request<Operator>, reason: &'static str) -> Result<(ControlDb, Tenant, Host), Problem> {
    let (db, tenant) = find(request, reason).await?;
    let root = &request.bindings.settings.root_domain;
    let sent = request.params.get("domain");
    // A domain of before may have a name that is refused today, and can be let go all the same.
    let domain = input::parse_domain(sent, root, &to_ascii).or_else(|_| Host::parse(sent));
    let domain = domain.map_err(|_| problem::not_found())?;
    match view_of(&tenant, &domain, request.now()) {
        Some(_) => Ok((db, tenant, domain)),
        None => Err(problem::not_found()),
    }
}

async fn shown(
    request: &Request<Operator>,
    db: &ControlDb,
    tenant: &Tenant,
    domain: &Host,
    is_applied: bool,
) -> Result<Response, Problem> {
    let tenant = Tenant::get(db, tenant.id.as_str()).await?;
    let view = view_of(&tenant, domain, request.now()).ok_or_else(problem::not_found)?;
    Response::json(if is_applied { 200 } else { 202 }, &view, Some(tenant.id.as_str()))
}

/// What a tenant gets of a new list of domains: those that it neither has nor claims.
pub(super) async fn new_of(
    request: &Request<Operator>,
    db: &ControlDb,
    tenant: &Tenant,
    list: &[Host],
) -> Result<Vec<Wanted>, Problem> {
    let now = request.now();
    let is_known = |domain: &Host| view_of(tenant, domain, now).is_some();
    let new: Vec<_> = list.iter().filter(|domain| !is_known(domain)).cloned().collect();
    let rule = request.bindings.settings.domain_proof;
    domains::wanted(db, rule, tenant.id.as_str(), &new, "/custom_domains", now)
        .await
        .map_err(|problem| repointed(problem, list, &new))
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

fn view_of(tenant: &Tenant, domain: &Host, now: Timestamp) -> Option<Value> {
    let name = domain.as_str();
    let attached = tenant.domain(name).map(|row| attached_view(tenant, row));
    attached.or_else(|| tenant.claim(name, now).map(|claim| claimed_view(tenant, claim)))
}

fn attached_view(tenant: &Tenant, row: &DomainRow) -> Value {
    json!({
        "domain": row.domain,
        "status": "active",
        "is_primary": row.is_primary != 0,
        "ssl_enabled": row.ssl_enabled != 0,
        "https_status": row.https_status,
        "proof": row.proof,
        "proven_at": row.proven_at.map(Timestamp::from_millis),
        "checked_at": row.checked_at.map(Timestamp::from_millis),
        "failing_since": row.failing_since.map(Timestamp::from_millis),
        "expires_at": Value::Null,
        "record": record_view(tenant, &row.domain, &row.token),
        "created_at": Timestamp::from_millis(row.created_at),
    })
}

fn claimed_view(tenant: &Tenant, claim: &ClaimRow) -> Value {
    json!({
        "domain": claim.domain,
        "status": "pending",
        "is_primary": false,
        "ssl_enabled": false,
        "https_status": Value::Null,
        "proof": Value::Null,
        "proven_at": Value::Null,
        "checked_at": Value::Null,
        "failing_since": claim.lost_at.map(Timestamp::from_millis),
        "expires_at": Timestamp::from_millis(claim.expires_at),
        "record": record_view(tenant, &claim.domain, &claim.token),
        "created_at": Timestamp::from_millis(claim.created_at),
    })
}

/// The TXT record that proves the domain.
fn record_view(tenant: &Tenant, domain: &str, token: &str) -> Value {
    match domains::record(tenant.id.as_str(), domain, token) {
        Some(ProofRecord { name, value }) => json!({ "type": "TXT", "name": name, "value": value }),
        None => Value::Null,
    }
}

/// An international name in ASCII (UTS 46), by the runtime's URL parser, as browsers do it; none if it is not a name.
pub(super) fn to_ascii(name: &str) -> Option<String> {
    web_sys::Url::new(&format!("http://{name}/")).ok().map(|url| url.hostname())
}
