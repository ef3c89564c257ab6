//! A tenant's state as its hub grants it, and calls to the hub that bring a hub up to date.
//!
//! A hub whose configuration is older than what the Worker has seen is sent the current one, and the call is made again.
//! A grant (configuration, and permits for requests) is good for 5 seconds. That is not how long a change may go unnoticed:
//! whatever a request reads or does compares the revision that it was judged by with the shard's fence
//! ([`TenantDb::judged_at`](crate::storage::tenant_db::TenantDb::judged_at)) or the hub's configuration
//! ([`call_hub_judged_at`]), at no further round trip. If a later one has come, the grant is dropped ([`outdated`]) and the
//! request is judged again. Only what neither reads nor does anything is answered by a grant as old as that.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;

use super::registry::Tenant;
use super::secrets;
use crate::http::problem::{self, Problem};
use crate::hub::client::{CallError, HubClient};
use crate::hub::protocol::{Caller, Configure, GrantRequest, Lease, Refusal, RequestClass, TenantConfig};
use crate::isolate_cache::{CacheKey, IsolateCache, KeyIdentity};
use crate::storage::bindings::{Bindings, SystemClock};
use crate::storage::control_db::ControlDb;
use crate::tenant_id::TenantId;
use domain::clock::{Clock, Timestamp};
use domain::host::Host;
use domain::rate::Rate;

/// How long a grant is good, in milliseconds.
const GRANT_MILLIS: i64 = 5000;
/// Most tenants whose grants an isolate caches.
const MAX_TENANTS: usize = 5_000;
/// How often a call is tried, with the hub brought up to date in between.
const ATTEMPTS: usize = 3;

/// How long an isolate remembers the revision of a tenant, in milliseconds.
const SEEN_MILLIS: i64 = 3_600_000;

impl CacheKey for TenantId {
    const IDENTITY: KeyIdentity = KeyIdentity::NeverRecurs("the id of a purged tenant is retired");
}

thread_local! {
    static GRANTS: RefCell<IsolateCache<TenantId, CachedGrant>> = RefCell::new(IsolateCache::new(MAX_TENANTS, GRANT_MILLIS));
    // The highest revision of each tenant that this isolate has seen anywhere: no older configuration counts.
    static SEEN: RefCell<IsolateCache<TenantId, i64>> = RefCell::new(IsolateCache::new(MAX_TENANTS, SEEN_MILLIS));
}

struct CachedGrant {
    config: Rc<TenantConfig>,
    leases: HashMap<RequestClass, Lease>,
}

/// Why a call to a hub failed.
#[derive(Debug)]
pub enum HubError {
    /// The hub refused, and its configuration is not the reason.
    Refused(Refusal),
    /// The tenant does not exist, or the host is not the tenant's (any more), or the caller may not know that it is.
    NotHere,
    /// The platform failed.
    Failed(Problem),
}

impl From<Problem> for HubError {
    fn from(problem: Problem) -> Self {
        Self::Failed(problem)
    }
}

impl From<HubError> for Problem {
    /// The response to a failed call, where the route has none of its own.
    fn from(error: HubError) -> Self {
        match error {
            HubError::Failed(problem) => problem,
            HubError::NotHere | HubError::Refused(Refusal::Stopped) => problem::tenant_not_found(),
            HubError::Refused(Refusal::Outdated(revision)) => problem::outdated(revision),
            HubError::Refused(Refusal::RateLimited(rate)) => rate_limited(&rate),
            HubError::Refused(Refusal::SecretRetired | Refusal::TicketInvalid | Refusal::TokenRevoked) => {
                problem::invalid_token()
            }
            HubError::Refused(Refusal::TooManyStreams) => problem::too_many_streams(retry_after()),
            HubError::Refused(Refusal::TooManyConnections) => problem::too_many_connections(retry_after()),
            HubError::Refused(refusal) => problem::unavailable(format!("hub refused: {refusal:?}")),
        }
    }
}

/// 429 with the headers that describe the limit.
pub fn rate_limited(rate: &Rate) -> Problem {
    let now = SystemClock.now().seconds();
    let mut problem = problem::rate_limited((rate.reset.seconds() - now).max(1).unsigned_abs());
    problem.headers.extend(crate::http::response::rate_headers(rate));
    problem.headers.extend(crate::http::response::rate_left(rate, now));
    problem
}

/// Seconds until a refused stream should try again: 5 to 15, at random, so that clients do not all come back at once.
fn retry_after() -> u64 {
    let random = crate::storage::sealed::random::<1>().map_or(0, |[byte]| u64::from(byte));
    5 + random % 11
}

/// Calls a tenant's hub. A hub whose configuration is older than `seen` is sent the current one, and the call is made
/// again.
///
/// `host` is the tenant's host that the request came to, if it came to one; `seen` is the tenant's revision that the
/// Worker has seen, 0 for none. A call never goes to another tenant: if the host turns out to be another tenant's, the
/// caller has to resolve it again.
pub async fn call_hub<T>(
    bindings: &Bindings,
    tenant: &TenantId,
    host: Option<&Host>,
    seen: i64,
    call: impl AsyncFn(HubClient, Caller) -> Result<T, CallError>,
) -> Result<T, HubError> {
    let host = host.map(|host| host.as_str().to_owned());
    call_as(bindings, Caller { tenant: tenant.into(), revision: seen, host, judged_at: None }, tenant, call).await
}

/// The same for a request that was judged by the configuration of a revision: a hub with a later one refuses it
/// (`Outdated`), and the request is to be judged again.
pub async fn call_hub_judged_at<T>(
    bindings: &Bindings,
    tenant: &TenantId,
    host: Option<&Host>,
    judged_at: i64,
    call: impl AsyncFn(HubClient, Caller) -> Result<T, CallError>,
) -> Result<T, HubError> {
    let host = host.map(|host| host.as_str().to_owned());
    let caller = Caller { tenant: tenant.into(), revision: judged_at, host, judged_at: Some(judged_at) };
    call_as(bindings, caller, tenant, call).await
}

async fn call_as<T>(
    bindings: &Bindings,
    caller: Caller,
    tenant: &TenantId,
    call: impl AsyncFn(HubClient, Caller) -> Result<T, CallError>,
) -> Result<T, HubError> {
    for _ in 0..ATTEMPTS {
        let outcome = match HubClient::of(bindings, tenant) {
            Ok(hub) => call(hub, caller.clone()).await,
            Err(error) => Err(error),
        };
        match outcome {
            Ok(answer) => return Ok(answer),
            Err(CallError::Refused(Refusal::Behind)) => {
                if !configure(bindings, tenant).await? {
                    return Err(HubError::NotHere);
                }
            }
            Err(CallError::Refused(Refusal::WrongHost)) => return Err(HubError::NotHere),
            Err(CallError::Refused(refusal)) => return Err(HubError::Refused(refusal)),
            Err(CallError::Unreachable(cause)) => return Err(HubError::Failed(problem::unavailable(cause))),
        }
    }
    Err(HubError::Failed(problem::unavailable("the hub's configuration stayed out of date")))
}

/// Sends a hub its configuration from the registry; false if the tenant does not exist.
async fn configure(bindings: &Bindings, tenant: &TenantId) -> Result<bool, Problem> {
    let db = ControlDb::open(bindings, "configure a hub")?;
    let Some(found) = Tenant::find(&db, tenant.as_str()).await? else { return Ok(false) };
    let message = Configure { config: found.config(bindings)? };
    let hub = HubClient::of(bindings, tenant).map_err(problem::unavailable)?;
    hub.call(&message).await.map_err(problem::unavailable)?;
    Ok(true)
}

/// A tenant's configuration, at most 5 seconds old, with one permit of the class taken; the rate that the permit was taken
/// from, if there is a class.
pub async fn enter(
    bindings: &Bindings,
    tenant: &TenantId,
    host: Option<&Host>,
    class: Option<RequestClass>,
) -> Result<(Rc<TenantConfig>, Option<Rate>), HubError> {
    if let Some(cached) = take_cached(tenant, host, class) {
        return Ok(cached);
    }
    ask_hub(bindings, tenant, host, class).await
}

/// The same with a configuration that the hub gives now. For what is judged by the configuration alone, and neither reads
/// the shard nor calls the hub before it has effects: who may sign in, register or set a password.
pub async fn enter_now(
    bindings: &Bindings,
    tenant: &TenantId,
    host: Option<&Host>,
    class: Option<RequestClass>,
) -> Result<(Rc<TenantConfig>, Option<Rate>), HubError> {
    let leased = class.and_then(|class| take_cached(tenant, host, Some(class))).and_then(|(_, rate)| rate);
    let (config, rate) = ask_hub(bindings, tenant, host, class.filter(|_| leased.is_none())).await?;
    Ok((config, leased.or(rate)))
}

async fn ask_hub(
    bindings: &Bindings,
    tenant: &TenantId,
    host: Option<&Host>,
    class: Option<RequestClass>,
) -> Result<(Rc<TenantConfig>, Option<Rate>), HubError> {
    let (seen, now) = (last_seen(tenant), SystemClock.now());
    let request = GrantRequest { class };
    let grant = call_hub(bindings, tenant, host, seen, async |hub, caller| hub.call_for(&caller, &request).await);
    let grant = grant.await?;
    let rate = grant
        .lease
        .as_ref()
        .map(|lease| Rate { remaining: lease.rate.remaining + lease.permits - 1, ..lease.rate.clone() });
    let config = Rc::new(grant.config);
    store(tenant, Rc::clone(&config), grant.lease, class, now);
    Ok((config, rate))
}

/// The highest revision of a tenant that this isolate has seen; 0 for none.
pub fn last_seen(tenant: &TenantId) -> i64 {
    seen_at(tenant, SystemClock.now())
}

fn seen_at(tenant: &TenantId, now: Timestamp) -> i64 {
    SEEN.with_borrow_mut(|seen| seen.get(tenant, now).copied().unwrap_or(0))
}

/// The tenant has this revision: drops what this isolate has cached of an earlier one. Permits go too, because they were
/// leased under the limits of then.
pub fn outdated(tenant: &TenantId, revision: i64) {
    note_revision(tenant, revision, SystemClock.now());
    secrets::forget_before(tenant, revision);
}

/// Drops a tenant's grant from this isolate's cache: its hub said something else.
pub fn forget(tenant: &TenantId) {
    GRANTS.with_borrow_mut(|grants| grants.take(tenant));
}

fn note_revision(tenant: &TenantId, revision: i64, now: Timestamp) {
    if revision > seen_at(tenant, now) {
        SEEN.with_borrow_mut(|seen| seen.insert(tenant.clone(), revision, now));
    }
    GRANTS.with_borrow_mut(|grants| {
        if grants.get(tenant, now).is_some_and(|grant| grant.config.revision < revision) {
            grants.take(tenant);
        }
    });
}

fn take_cached(
    tenant: &TenantId,
    host: Option<&Host>,
    class: Option<RequestClass>,
) -> Option<(Rc<TenantConfig>, Option<Rate>)> {
    let (seen, now) = (last_seen(tenant), SystemClock.now());
    GRANTS.with_borrow_mut(|grants| grants.get(tenant, now)?.take(host, class, seen, now))
}

impl CachedGrant {
    /// The configuration with one permit of the class, if the tenant is served on this host by a configuration that is not
    /// older than the revision that was seen.
    fn take(
        &mut self,
        host: Option<&Host>,
        class: Option<RequestClass>,
        seen: i64,
        now: Timestamp,
    ) -> Option<(Rc<TenantConfig>, Option<Rate>)> {
        let Self { config, leases } = self;
        let is_its_host = host.is_none_or(|host| config.hosts.iter().any(|own| own == host.as_str()));
        if config.revision < seen || !config.is_served(now) || !is_its_host {
            return None;
        }
        let Some(class) = class else { return Some((Rc::clone(config), None)) };
        let lease = leases.get_mut(&class).filter(|lease| lease.permits > 0 && now < lease.until)?;
        lease.permits -= 1;
        let remaining = lease.rate.remaining + lease.permits;
        Some((Rc::clone(config), Some(Rate { remaining, ..lease.rate.clone() })))
    }
}

fn store(
    tenant: &TenantId,
    config: Rc<TenantConfig>,
    lease: Option<Lease>,
    class: Option<RequestClass>,
    read_at: Timestamp,
) {
    outdated(tenant, config.revision);
    if config.revision < last_seen(tenant) {
        return;
    }
    GRANTS.with_borrow_mut(|grants| {
        let mut leases = grants.take(tenant).map(|grant| grant.leases).unwrap_or_default();
        if let (Some(class), Some(mut lease)) = (class, lease) {
            lease.permits -= 1;
            leases.insert(class, lease);
        }
        grants.insert(tenant.clone(), CachedGrant { config, leases }, read_at);
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hub::protocol::TenantState;
    use serde_json::json;

    const NOW: Timestamp = Timestamp::from_millis(1_000_000);

    fn grant(change: impl FnOnce(&mut TenantConfig)) -> CachedGrant {
        let limits = json!({
            "api_requests_per_minute": 1, "api_requests_per_day": 1, "anonymous_requests_per_minute": 1,
            "webhooks_per_minute": 1, "concurrent_subscriptions": 1, "connections_per_address": null,
            "event_retention_seconds": 1, "event_retention_count": 1, "event_log_bytes": 1,
        });
        let config = json!({
            "revision": 7, "standing": "active", "expires_at": null, "hosts": ["acme.test"], "limits": limits,
            "webhook_versions": [], "subscription_versions": [], "require_standard_webhooks": false,
            "cors_origins": [], "placement": {"shard": "SHARD_00", "epoch": 1},
        });
        let mut config = serde_json::from_value(config).unwrap();
        change(&mut config);
        CachedGrant { config: Rc::new(config), leases: HashMap::new() }
    }

    #[test]
    fn a_grant_counts_for_its_hosts_while_the_tenant_is_served_and_nothing_newer_was_seen() {
        let now = NOW;
        let own = Host::parse("acme.test").unwrap();
        let other = Host::parse("other.test").unwrap();
        let taken = |mut grant: CachedGrant, host: Option<&Host>, seen| grant.take(host, None, seen, now).is_some();
        assert!(taken(grant(|_| {}), Some(&own), 7) && taken(grant(|_| {}), None, 0));
        assert!(!taken(grant(|_| {}), Some(&own), 8), "a later revision was seen on the shard or at the hub");
        assert!(!taken(grant(|_| {}), Some(&other), 7), "the host is not its own, or not any more");
        assert!(!taken(grant(|config| config.state = TenantState::Stopped), Some(&own), 7));
        assert!(!taken(grant(|config| config.expires_at = Some(now)), Some(&own), 7), "it expires at its instant");
        assert!(taken(grant(|config| config.expires_at = Some(now.plus_millis(1))), Some(&own), 7));
    }

    #[test]
    fn a_grant_is_dropped_with_its_permits_once_a_later_revision_is_seen() {
        let tenant = TenantId::proven("dropped-once-seen");
        let read_at = NOW;
        GRANTS.with_borrow_mut(|grants| grants.insert(tenant.clone(), grant(|_| {}), read_at));
        note_revision(&tenant, 7, read_at);
        assert!(GRANTS.with_borrow_mut(|grants| grants.get(&tenant, read_at).is_some()), "it is of this revision");
        note_revision(&tenant, 8, read_at);
        assert!(GRANTS.with_borrow_mut(|grants| grants.get(&tenant, read_at).is_none()));
        assert_eq!(seen_at(&tenant, read_at), 8);
        note_revision(&tenant, 7, read_at);
        assert_eq!(seen_at(&tenant, read_at), 8, "no revision is unseen");
    }

    #[test]
    fn a_grant_lives_for_five_seconds() {
        let tenant = TenantId::proven("five-seconds");
        let read_at = NOW;
        GRANTS.with_borrow_mut(|grants| {
            grants.insert(tenant.clone(), grant(|_| {}), read_at);
            assert!(grants.get(&tenant, read_at.plus_millis(4_999)).is_some());
            assert!(grants.get(&tenant, read_at.plus_millis(5_000)).is_none());
        });
    }
}
