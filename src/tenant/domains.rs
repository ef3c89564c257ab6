//! A tenant's custom domains: claimed, proven, checked again, let go.
//!
//! Owns: the statements that change `tenant_domains`, `domain_claims` and `released_domains`.
//!
//! Invariants
//! - `tenant_domains` holds proven domains alone, each of one tenant. Whatever makes a domain served reads that table:
//!   the resolver, the hub's list of hosts. So a claim is served nowhere.
//! - Claims of many tenants stand side by side; the primary key of `tenant_domains` decides who proves first.
//! - A domain that was let go rests for ten minutes, for everybody but the tenant that let it go.

use super::registry::{DomainRow, Tenant};
use crate::http::problem::{self, Problem};
use crate::storage::control_db::ControlDb;
use crate::storage::row::row_types;
use crate::storage::sealed::random;
use crate::storage::sql::{Arg, ControlSql};
use crate::storage::sql::{args, statements};
use domain::clock::Timestamp;
use domain::domain_proof::{CLAIM_SECONDS, Checks, ProofMethod, ProofPolicy, ProofRecord};
use domain::error::Invalid;
use domain::hex::hex;
use domain::host::Host;

statements! { ControlSql;
    /// Attaches a proven domain, unless it is attached.
    ATTACH = "INSERT INTO tenant_domains (domain, tenant_id, is_primary, created_at, token, proof, proven_at, next_check_at) VALUES (?1, ?2, 0, ?3, ?4, ?5, ?3, ?6)";
    /// Makes no domain of the tenant the primary one.
    CLEAR_PRIMARY = "UPDATE tenant_domains SET is_primary = 0 WHERE tenant_id = ?1";
    /// Makes a domain of the tenant the primary one.
    SET_PRIMARY = "UPDATE tenant_domains SET is_primary = 1 WHERE domain = ?1 AND tenant_id = ?2";
    /// Makes the oldest domain the primary one where none is.
    ELECT_PRIMARY = "UPDATE tenant_domains SET is_primary = 1 WHERE is_primary = 0 AND domain = (SELECT domain FROM tenant_domains WHERE tenant_id = ?1 ORDER BY is_primary DESC, created_at, domain LIMIT 1)";
    /// Detaches a domain from its tenant.
    DETACH = "DELETE FROM tenant_domains WHERE domain = ?1 AND tenant_id = ?2";
    /// Notes that a domain was released, by whom, and what its proof was: nothing, if its record was missing at the last check.
    RELEASE = "INSERT OR REPLACE INTO released_domains (domain, released_at, tenant_id, token, proof) SELECT domain, ?3, tenant_id, CASE WHEN failures = 0 THEN token END, CASE WHEN failures = 0 THEN proof END FROM tenant_domains WHERE domain = ?1 AND tenant_id = ?2";
    /// Notes that a domain is released because its proof is lost.
    RELEASE_LOST = "INSERT OR REPLACE INTO released_domains (domain, released_at, tenant_id) SELECT domain, ?3, tenant_id FROM tenant_domains WHERE domain = ?1 AND tenant_id = ?2";
    /// Notes that the host of a slug was released, and by whom.
    RELEASE_SLUG_HOST = "INSERT OR REPLACE INTO released_domains (domain, released_at, tenant_id) VALUES (?1, ?2, ?3)";
    /// Detaches all domains of a tenant.
    DETACH_ALL = "DELETE FROM tenant_domains WHERE tenant_id = ?1";
    /// Notes that all domains of a tenant were released.
    RELEASE_ALL = "INSERT OR REPLACE INTO released_domains (domain, released_at, tenant_id) SELECT domain, ?2, tenant_id FROM tenant_domains WHERE tenant_id = ?1";
    /// Withdraws all claims of a tenant.
    WITHDRAW_ALL = "DELETE FROM domain_claims WHERE tenant_id = ?1";
    /// Claims a domain; a claim that stands keeps its token, and gets another end.
    CLAIM = "INSERT INTO domain_claims (tenant_id, domain, token, wants_primary, lost_at, created_at, expires_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7) ON CONFLICT (tenant_id, domain) DO UPDATE SET wants_primary = excluded.wants_primary, expires_at = excluded.expires_at";
    /// Withdraws a claim.
    WITHDRAW = "DELETE FROM domain_claims WHERE domain = ?1 AND tenant_id = ?2";
    /// Deletes claims that were not proven in time.
    FORGET_CLAIMS = "DELETE FROM domain_claims WHERE expires_at <= ?1";
    /// Changes how a domain counts as proven; its checks begin anew.
    SET_PROOF = "UPDATE tenant_domains SET proof = ?3, token = ?4, proven_at = ?5, checked_at = ?5, next_check_at = ?6, failures = 0, failing_since = NULL WHERE domain = ?1 AND tenant_id = ?2";
    /// Which of these domains a tenant cannot attach now.
    NOT_FREE = "SELECT domain FROM tenant_domains WHERE domain IN (SELECT value FROM json_each(?1)) UNION SELECT domain FROM released_domains WHERE domain IN (SELECT value FROM json_each(?1)) AND released_at > ?2 AND COALESCE(tenant_id, '') <> ?3";
    /// Which of these domains the tenant let go just now, with what they were proven by.
    OWN_RELEASED = "SELECT domain, token, proof FROM released_domains WHERE domain IN (SELECT value FROM json_each(?1)) AND released_at > ?2 AND tenant_id = ?3 AND token IS NOT NULL AND proof IS NOT NULL";
}

/// Seconds until a released host can be attached by another tenant.
pub const RELEASED_SECONDS: i64 = 600;

row_types! {
    struct TakenDomainRow {
        domain: String,
    }

    struct OwnReleasedRow {
        domain: String,
        token: String,
        proof: String,
    }
}

/// Statements of a tenant's change.
pub type Statements = Vec<(ControlSql, Vec<Arg>)>;

/// A domain that a tenant wants, and what it gets.
#[derive(Debug, Clone)]
pub struct Wanted {
    /// The domain.
    pub domain: Host,
    /// What it counts as proven by; none if it has to be proven.
    pub proof: Option<ProofMethod>,
    /// The random part of its TXT record.
    pub token: String,
}

impl Wanted {
    /// The statements that attach the domain if it is proven, and claim it otherwise.
    pub fn statements(&self, tenant: &str, wants_primary: bool, now: Timestamp) -> Result<Statements, Problem> {
        match self.proof {
            Some(proof) => {
                // The record of a domain that was let go may be gone since: it is looked for at once.
                let next_check = if proof == ProofMethod::Dns { now } else { first_check(now)? };
                Ok(attach(tenant, &self.domain, (proof, &self.token), wants_primary, now, next_check))
            }
            None => Ok(vec![claim(tenant, &self.domain, &self.token, wants_primary, None, now)]),
        }
    }
}

/// What a tenant gets of the domains that it wants. 409, with the position of each, if another tenant has one, or let it go
/// less than ten minutes ago.
pub async fn wanted(
    db: &ControlDb,
    rule: ProofPolicy,
    tenant: &str,
    domains: &[Host],
    pointer: &str,
    now: Timestamp,
) -> Result<Vec<Wanted>, Problem> {
    if domains.is_empty() {
        return Ok(Vec::new());
    }
    check_free(db, tenant, domains, pointer, now).await?;
    let own = db.rows::<OwnReleasedRow>(&OWN_RELEASED, args![names(domains)?, resting_since(now), tenant]).await?;
    let get = |domain: &Host| {
        let before = own.iter().find(|row| row.domain == domain.as_str());
        let proof = match rule {
            ProofPolicy::Assumed => Some(ProofMethod::Assumed),
            ProofPolicy::Required => {
                before.and_then(|row| ProofMethod::parse(&row.proof)).filter(|proof| *proof != ProofMethod::Assumed)
            }
        };
        let token = match before {
            Some(row) if !row.token.is_empty() => row.token.clone(),
            _ => new_token()?,
        };
        Ok(Wanted { domain: domain.clone(), proof, token })
    };
    domains.iter().map(get).collect()
}

/// Refuses domains that a tenant cannot attach now. `pointer` leads to the list, or to the one domain.
pub async fn check_free(
    db: &ControlDb,
    tenant: &str,
    domains: &[Host],
    pointer: &str,
    now: Timestamp,
) -> Result<(), Problem> {
    let rows = db.rows::<TakenDomainRow>(&NOT_FREE, args![names(domains)?, resting_since(now), tenant]).await?;
    let is_taken = |domain: &Host| rows.iter().any(|row| row.domain == domain.as_str());
    let at = |i: usize| if pointer == "/domain" { pointer.to_owned() } else { format!("{pointer}/{i}") };
    let mut taken = domains.iter().enumerate().filter(|(_, domain)| is_taken(domain)).map(|(i, _)| at(i));
    let Some(first) = taken.next() else { return Ok(()) };
    Err(taken.fold(problem::conflict(&first, domain_taken()), |problem, at| problem.field(at, domain_taken())))
}

/// Why a domain cannot be had.
pub fn domain_taken() -> Invalid {
    Invalid::new("taken", "is attached to a tenant, or was released by another one less than ten minutes ago")
}

/// The statements that attach a proven domain, in place of a claim if there is one.
pub fn attach(
    tenant: &str,
    domain: &Host,
    (proof, token): (ProofMethod, &str),
    wants_primary: bool,
    now: Timestamp,
    next_check: Timestamp,
) -> Statements {
    let name = domain.as_str();
    let mut statements = vec![
        (ATTACH, args![name, tenant, now.millis(), token, proof.as_str(), next_check.millis()]),
        (WITHDRAW, args![name, tenant]),
    ];
    statements.extend(primary(tenant, wants_primary.then_some(domain)));
    statements
}

/// When a domain that was proven just now is checked first.
pub fn first_check(now: Timestamp) -> Result<Timestamp, Problem> {
    Ok(Checks::begin(now, chance()?).next)
}

/// The statement that claims a domain.
fn claim(
    tenant: &str,
    domain: &Host,
    token: &str,
    wants_primary: bool,
    lost_at: Option<Timestamp>,
    now: Timestamp,
) -> (ControlSql, Vec<Arg>) {
    let (lost_at, ends) = (lost_at.map(Timestamp::millis), now.plus_seconds(CLAIM_SECONDS).millis());
    (CLAIM, args![tenant, domain.as_str(), token, wants_primary, lost_at, now.millis(), ends])
}

/// The statements that let a domain go, or withdraw its claim.
pub fn release(tenant: &str, domain: &str, now: Timestamp) -> Statements {
    let mut statements = vec![
        (RELEASE, args![domain, tenant, now.millis()]),
        (DETACH, args![domain, tenant]),
        (WITHDRAW, args![domain, tenant]),
    ];
    statements.extend(primary(tenant, None));
    statements
}

/// The statements that make a domain whose proof is lost a claim again.
pub fn lose(tenant: &str, row: &DomainRow, domain: &Host, now: Timestamp) -> Result<Statements, Problem> {
    let token = if row.token.is_empty() { new_token()? } else { row.token.clone() };
    let mut statements = vec![
        (RELEASE_LOST, args![domain.as_str(), tenant, now.millis()]),
        (DETACH, args![domain.as_str(), tenant]),
        claim(tenant, domain, &token, row.is_primary != 0, Some(now), now),
    ];
    statements.extend(primary(tenant, None));
    Ok(statements)
}

/// The statements that see to it that one domain is the primary one: this one, if one is wanted and attached.
pub fn primary(tenant: &str, wanted: Option<&Host>) -> Statements {
    let mut statements = Vec::new();
    if let Some(domain) = wanted {
        statements.extend([(CLEAR_PRIMARY, args![tenant]), (SET_PRIMARY, args![domain.as_str(), tenant])]);
    }
    statements.push((ELECT_PRIMARY, args![tenant]));
    statements
}

/// The statement that changes by what an attached domain counts as proven.
pub fn set_proof(
    tenant: &str,
    row: &DomainRow,
    proof: ProofMethod,
    now: Timestamp,
) -> Result<(ControlSql, Vec<Arg>), Problem> {
    let token = if row.token.is_empty() { new_token()? } else { row.token.clone() };
    let next = first_check(now)?.millis();
    Ok((SET_PROOF, args![row.domain.as_str(), tenant, proof.as_str(), token, now.millis(), next]))
}

/// The statements that replace a tenant's domains: others are let go, new ones attached or claimed. `new` are those of
/// `domains` that the tenant neither has nor claims.
pub fn replace(tenant: &Tenant, domains: &[Host], new: &[Wanted], now: Timestamp) -> Result<Statements, Problem> {
    let id = tenant.id.as_str();
    let is_wanted = |name: &str| domains.iter().any(|domain| domain.as_str() == name);
    let mut statements = Vec::new();
    for name in tenant.domains.iter().map(|row| &row.domain).chain(tenant.claims.iter().map(|row| &row.domain)) {
        if !is_wanted(name) {
            statements.extend(release(id, name, now));
        }
    }
    let first = domains.first();
    for wanted in new {
        statements.extend(wanted.statements(id, Some(&wanted.domain) == first, now)?);
    }
    let is_served = |first: &&Host| {
        let is_new = new.iter().any(|wanted| wanted.domain == **first && wanted.proof.is_some());
        is_new || tenant.domain(first.as_str()).is_some()
    };
    statements.extend(primary(id, first.filter(is_served)));
    Ok(statements)
}

/// The statements that release all domains of a tenant, and withdraw its claims.
pub fn release_all(tenant: &str, now: Timestamp) -> Statements {
    vec![(RELEASE_ALL, args![tenant, now.millis()]), (DETACH_ALL, args![tenant]), (WITHDRAW_ALL, args![tenant])]
}

/// The statement that releases a slug's host.
pub fn release_slug_host(tenant: &str, host: String, now: Timestamp) -> (ControlSql, Vec<Arg>) {
    (RELEASE_SLUG_HOST, args![host, now.millis(), tenant])
}

/// The statement that deletes claims that have ended.
pub fn forget_claims(now: Timestamp) -> (ControlSql, Vec<Arg>) {
    (FORGET_CLAIMS, args![now.millis()])
}

/// The TXT record that proves a domain for a tenant; none if it has no token yet.
pub fn record(tenant: &str, domain: &str, token: &str) -> Option<ProofRecord> {
    let host = Host::parse(domain).ok().filter(|_| !token.is_empty())?;
    Some(ProofRecord::new(&host, tenant, token))
}

/// What other tenants' releases must be older than, in milliseconds since 1970.
pub fn resting_since(now: Timestamp) -> i64 {
    now.plus_seconds(-RELEASED_SECONDS).millis()
}

/// A new random part of a record.
pub fn new_token() -> Result<String, Problem> {
    random::<16>().map(|bytes| hex(&bytes)).map_err(problem::internal)
}

/// What spreads the checks of many domains.
pub fn chance() -> Result<u16, Problem> {
    random::<2>().map(u16::from_le_bytes).map_err(problem::internal)
}

fn names(domains: &[Host]) -> Result<String, Problem> {
    let names: Vec<_> = domains.iter().map(Host::as_str).collect();
    serde_json::to_string(&names).map_err(problem::internal)
}
