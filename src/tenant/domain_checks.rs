//! Proofs of custom domains are looked up: the TXT record by DNS over HTTPS, HTTPS by a request to the domain.
//!
//! Invariants
//! - Nothing is looked up where proofs are assumed: development and tests call no other machine.
//! - A run of cron checks so many domains at most: of each tenant the one that waits longest, then of each the next; four at
//!   a time. One that cannot be checked waits some minutes.
//! - A check counts once, even if two runs overlap: it is written only if nobody checked meanwhile.

use futures_util::future::join_all;

use super::change::{Provision, TenantChange};
use super::domains::{self, chance};
use super::registry::{DomainRow, Tenant};
use super::turns::within;
use crate::http::outbound::{self, OutboundRequest};
use crate::http::problem::{self, Problem};
use crate::log;
use crate::storage::bindings::{Bindings, SystemClock};
use crate::storage::control_db::ControlDb;
use crate::storage::row::row_types;
use crate::storage::sql::{args, statements};
use domain::clock::{Clock, Timestamp};
use domain::dns_json::txt_records;
use domain::domain_proof::{Checks, Finding, ProofMethod, ProofPolicy, ProofRecord, Verdict, has_https};
use domain::host::Host;
use domain::json;
use domain::outbound::OutboundUrl;
use domain::turns::{Run, wait_millis};

statements! { ControlSql;
    /// Domains whose check is due: of each tenant the one that waits longest, then of each the next.
    DUE = "SELECT d.domain, d.tenant_id FROM (SELECT domain, tenant_id, next_check_at, row_number() OVER (PARTITION BY +tenant_id ORDER BY next_check_at) AS place FROM tenant_domains WHERE next_check_at <= ?1) d ORDER BY d.place, d.next_check_at LIMIT 40";
    /// When a domain is checked next that could not be.
    POSTPONE = "UPDATE tenant_domains SET next_check_at = ?3 WHERE domain = ?1 AND tenant_id = ?2 AND next_check_at <= ?4";
    /// What a check found, unless another one was faster; gives a token to a domain that an older release attached.
    NOTE_CHECK = "UPDATE tenant_domains SET checked_at = ?3, next_check_at = ?4, failures = ?5, failing_since = ?6, ssl_enabled = ?7, https_status = ?8, token = CASE WHEN token = '' THEN ?10 ELSE token END WHERE domain = ?1 AND tenant_id = ?2 AND COALESCE(checked_at, 0) = ?9";
    /// What HTTPS to a domain answered.
    NOTE_HTTPS = "UPDATE tenant_domains SET ssl_enabled = ?3, https_status = ?4 WHERE domain = ?1 AND tenant_id = ?2";
}

/// Domains that are checked at one time. The runtime opens six connections at most.
const AT_ONCE: usize = 4;
/// How long a resolver or a domain may take to respond, in milliseconds.
const TIMEOUT_MILLIS: u32 = 5000;
/// The longest that a check takes with what follows from it, in milliseconds.
const LIMIT_MILLIS: u64 = 20_000;
/// A domain that could not be checked waits as long as a tenant does after so many failures.
const RETRIED_AS: u32 = 4;
/// The longest answer of a resolver, in bytes.
const MAX_ANSWER: u32 = 64 * 1024;

row_types! {
    struct DueRow {
        domain: String,
        tenant_id: String,
    }
}

/// Looks up a record.
pub async fn find(bindings: &Bindings, record: &ProofRecord) -> Finding {
    let url = bindings.settings.dns_resolver.with_parameter("name", &record.name).with_parameter("type", "TXT");
    let headers = json!({ "Accept": "application/dns-json" });
    let request = OutboundRequest { method: "GET", url: &url, headers, body: None, most: MAX_ANSWER };
    let response = outbound::send_within(request, TIMEOUT_MILLIS).await.ok().filter(|response| response.status == 200);
    record.finding(response.and_then(|response| txt_records(&response.body)).as_deref())
}

/// Asks a domain over HTTPS, and notes what it answered.
pub async fn note_https(bindings: &Bindings, db: &ControlDb, tenant: &str, domain: &Host) -> Result<(), Problem> {
    if bindings.settings.domain_proof == ProofPolicy::Assumed {
        return Ok(());
    }
    let status = probe(bindings, domain).await;
    let has_https = has_https(status);
    db.batch(vec![(NOTE_HTTPS, args![domain.as_str(), tenant, has_https, status.map(i64::from)])]).await?;
    Ok(())
}

/// The status that HTTPS to a domain answers; none if it does not.
async fn probe(bindings: &Bindings, domain: &Host) -> Option<u16> {
    let settings = &bindings.settings;
    let url = match &settings.domain_probe {
        None => settings.outbound(&format!("https://{domain}/")).ok()?,
        Some(template) => {
            OutboundUrl::of_deployment(&template.replace("{domain}", domain.as_str()), settings.loopback).ok()?
        }
    };
    let request = OutboundRequest { method: "GET", url: &url, headers: json!({}), body: None, most: 0 };
    outbound::send_within(request, TIMEOUT_MILLIS).await.ok().map(|response| response.status)
}

/// Checks domains that are due, and ends claims that were not proven in time; how many domains were checked. Run by cron
/// each minute.
pub async fn check_due(bindings: &Bindings, run: &Run, provision: impl Provision) -> Result<u64, Problem> {
    let db = ControlDb::open(bindings, "check custom domains")?;
    let now = SystemClock.now();
    db.batch(vec![domains::forget_claims(now)]).await?;
    if bindings.settings.domain_proof == ProofPolicy::Assumed {
        return Ok(0);
    }
    let due = db.rows::<DueRow>(&DUE, args![now.millis()]).await?;
    let mut checked = 0;
    for some in due.chunks(AT_ONCE) {
        if !run.has_time(SystemClock.now()) {
            break;
        }
        checked += some.len() as u64;
        let checks = join_all(some.iter().map(|row| within(LIMIT_MILLIS, check(bindings, &db, row, &provision)))).await;
        for (row, outcome) in some.iter().zip(checks) {
            if let Err(problem) = outcome {
                log::failed_domain_check(&row.tenant_id, problem.cause.as_deref().unwrap_or(problem.code));
            }
        }
        let later = |row: &DueRow| {
            let next = now.plus_millis(wait_millis(&row.domain, RETRIED_AS)).millis();
            (POSTPONE, args![row.domain.as_str(), row.tenant_id.as_str(), next, now.millis()])
        };
        // A check that came to an end has set the next one: that stays.
        db.batch(some.iter().map(later).collect()).await?;
    }
    Ok(checked)
}

async fn check(bindings: &Bindings, db: &ControlDb, due: &DueRow, provision: &impl Provision) -> Result<(), Problem> {
    let Some(tenant) = Tenant::find(db, &due.tenant_id).await? else { return Ok(()) };
    let (Some(row), Ok(domain)) = (tenant.domain(&due.domain), Host::parse(&due.domain)) else { return Ok(()) };
    let status = probe(bindings, &domain).await;
    let now = SystemClock.now();
    match judge(bindings, &tenant, row, now).await? {
        Verdict::Lost => lose(bindings, db, &tenant, row, &domain, provision).await,
        Verdict::Proven(checks) => {
            let note = args![
                row.domain.as_str(),
                tenant.id.as_str(),
                now.millis(),
                checks.next.millis(),
                i64::from(checks.failures),
                checks.failing_since.map(Timestamp::millis),
                has_https(status),
                status.map(i64::from),
                row.checked_at.unwrap_or(0),
                domains::new_token()?
            ];
            db.batch(vec![(NOTE_CHECK, note)]).await?;
            Ok(())
        }
    }
}

/// What follows for a domain. Only a domain that was proven by its record can lose it.
async fn judge(bindings: &Bindings, tenant: &Tenant, row: &DomainRow, now: Timestamp) -> Result<Verdict, Problem> {
    let chance = chance()?;
    let record = domains::record(tenant.id.as_str(), &row.domain, &row.token);
    let (Some(ProofMethod::Dns), Some(record)) = (ProofMethod::parse(&row.proof), record) else {
        return Ok(Verdict::Proven(Checks::begin(now, chance)));
    };
    Ok(row.checks().judge(find(bindings, &record).await, now, chance))
}

/// A domain whose proof is lost is served no more; what remains is a claim.
async fn lose(
    bindings: &Bindings,
    db: &ControlDb,
    tenant: &Tenant,
    row: &DomainRow,
    domain: &Host,
    provision: &impl Provision,
) -> Result<(), Problem> {
    let change = TenantChange {
        bindings,
        tenant: tenant.id.as_str(),
        revision: tenant.row.revision,
        actor: "cron".to_owned(),
        operation: "domain.lose",
        request_id: "cron",
        is_conditional: false,
        hosts: tenant.hosts(bindings),
        templates: Vec::new(),
        detail: Some(json!({ "domain": row.domain })),
    };
    let statements = domains::lose(tenant.id.as_str(), row, domain, SystemClock.now())?;
    change.write(db, statements, |text| problem::internal(text)).await?;
    log::domain_lost(tenant.id.as_str());
    change.carry(db, provision).await.map(drop)
}
