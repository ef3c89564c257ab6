//! A tenant's state as its hub grants it, and calls to the hub that bring a hub up to date.
//!
//! A hub whose configuration is older than what the Worker has seen is sent the current one, and the call is made again.
//! What a grant gives, and for how long, is [`CachedGrant`]'s: its configuration is good for 5 seconds. That is not how long a change may go unnoticed:
//! whatever a request reads or does compares the revision that it was judged by with the shard's fence
//! ([`TenantDb::judged_at`](crate::storage::tenant_db::TenantDb::judged_at)) or the hub's configuration
//! ([`call_hub_judged_at`]), at no further round trip. If a later one has come, the grant is dropped ([`outdated`]) and the
//! request is judged again. Only what neither reads nor does anything is answered by a grant as old as that.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use worker::Delay;

use super::grant::{CachedGrant, GrantOutcome};
use super::known_purges;
use super::registry::Tenant;
use super::secrets;
use crate::http::problem::{self, Problem};
use crate::hub::client::{CallError, HubClient};
use crate::hub::protocol::{
    Caller, Configure, Grant, GrantRequest, PurgesAfter, Refusal, RefusedPattern, TenantConfig,
};
use crate::isolate_cache::{CacheKey, IsolateCache, KeyIdentity};
use crate::storage::bindings::{Bindings, SystemClock};
use crate::storage::control_db::ControlDb;
use crate::tenant_id::TenantId;
use domain::address::Network;
use domain::clock::{Clock, Timestamp};
use domain::host::Host;
use domain::log_position::Cursor;
use domain::network_share::HeldPermits;
use domain::plan::Limits;
use domain::rate::Rate;

pub use super::grant::Needs;

/// How long an isolate remembers a grant, in milliseconds: the longest window that its permits are good in. What it may
/// be used for meanwhile is judged by itself.
const REMEMBERED_MILLIS: i64 = 60_000;
/// Most tenants whose grants an isolate caches.
const MAX_TENANTS: usize = 5_000;
/// How often a call is tried, with the hub brought up to date in between.
const ATTEMPTS: usize = 3;

/// How long an isolate remembers the revision of a tenant, in milliseconds.
const SEEN_MILLIS: i64 = 3_600_000;

/// How often, and for how many milliseconds each time, a request waits for a permit that may be given back.
const WAITS: usize = 40;
const WAIT_MILLIS: u64 = 50;
/// How long an isolate remembers what a network holds, in milliseconds: longer than the window that it is counted in.
const HELD_MILLIS: i64 = 120_000;
/// Most networks, each at one tenant, whose permits an isolate counts.
const MAX_HOLDERS: usize = 20_000;
/// Most requests that wait in an isolate.
const MAX_WAITING: usize = 500;

impl CacheKey for TenantId {
    const IDENTITY: KeyIdentity = KeyIdentity::NeverRecurs("the id of a purged tenant is retired");
}

/// A network at a tenant.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct PermitHolder(TenantId, Network);

impl CacheKey for PermitHolder {
    const IDENTITY: KeyIdentity = KeyIdentity::CheckedAgainst(
        "the window: whoever has the network meanwhile is bounded by what was counted in it",
    );
}

thread_local! {
    static HELD: RefCell<IsolateCache<PermitHolder, HeldPermits>> = RefCell::new(IsolateCache::new(MAX_HOLDERS, HELD_MILLIS));
    static WAITING: Cell<usize> = const { Cell::new(0) };
    static GRANTS: RefCell<IsolateCache<TenantId, CachedGrant>> = RefCell::new(IsolateCache::new(MAX_TENANTS, REMEMBERED_MILLIS));
    // The highest revision of each tenant that this isolate has seen anywhere: no older configuration counts.
    static SEEN: RefCell<IsolateCache<TenantId, i64>> = RefCell::new(IsolateCache::new(MAX_TENANTS, SEEN_MILLIS));
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
            HubError::Refused(Refusal::RateLimited(rate)) => problem::limit_used_up(&rate, SystemClock.now()),
            HubError::Refused(Refusal::SecretRetired | Refusal::TicketInvalid | Refusal::TokenRevoked) => {
                problem::invalid_token()
            }
            HubError::Refused(Refusal::NoCredential) => problem::unauthorized(),
            HubError::Refused(Refusal::AddressNotAllowed) => problem::address_not_allowed(),
            HubError::Refused(refusal) => problem::unavailable(format!("hub refused: {refusal:?}")),
        }
    }
}

impl HubError {
    /// The response to a stream that was refused, under the limits that it was judged by.
    pub fn of_stream(self, limits: &Limits) -> Problem {
        match self {
            Self::Refused(Refusal::TooManyStreams) => problem::too_many_streams(limits.streams(), retry_after()),
            Self::Refused(Refusal::TooManyConnections) => {
                let all = limits.streams();
                let bounds = (limits.streams_per_network(0), limits.streams_per_network(all));
                problem::too_many_connections(bounds, retry_after())
            }
            Self::Refused(Refusal::TooManyPatterns(RefusedPattern { parameter, bound })) => {
                problem::too_many_patterns(parameter.pointer(), bound.exceeded(), retry_after())
            }
            other => other.into(),
        }
    }
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

/// A request that its tenant's state admits.
pub struct AdmittedRequest {
    /// The tenant's configuration, at most 5 seconds old.
    pub config: Rc<TenantConfig>,
    /// The rate that a permit was taken from.
    pub rate: Option<Rate>,
    /// A stranger's permit, if one was taken.
    pub permit: Option<StrangerPermit>,
}

/// A permit for a stranger's request. It is spent unless it is given back.
#[must_use]
pub struct StrangerPermit {
    tenant: TenantId,
    network: Network,
    reset: Timestamp,
    is_given_back: bool,
}

impl StrangerPermit {
    /// Gives the permit back: the request proved to be somebody's. The isolate's next request may have it.
    pub fn give_back(mut self) {
        self.is_given_back = true;
    }
}

impl Drop for StrangerPermit {
    fn drop(&mut self) {
        let now = SystemClock.now();
        GRANTS.with_borrow_mut(|grants| {
            if let Some(grant) = grants.get(&self.tenant, now) {
                grant.settle(self.reset, self.is_given_back);
            }
        });
        HELD.with_borrow_mut(|held| {
            if let Some(held) = held.get(&PermitHolder(self.tenant.clone(), self.network), now) {
                held.settle(self.reset, self.is_given_back);
            }
        });
    }
}

/// The same as [`enter`], for a request that will give its permit back if it is what it says: if there is none left, it
/// waits for one that another request of this isolate may give back. So a fleet of clients that come at once is let in one
/// after the other; where nothing is out, which is so as soon as strangers have spent all, it is refused at once.
pub async fn enter_or_wait(
    bindings: &Bindings,
    tenant: &TenantId,
    host: Option<&Host>,
    needs: Needs,
) -> Result<AdmittedRequest, HubError> {
    let mut entered = enter(bindings, tenant, host, needs).await;
    for _ in 0..WAITS {
        if !matches!(entered, Err(HubError::Refused(Refusal::RateLimited(_)))) || !may_wait(tenant, host, needs) {
            break;
        }
        let Some(_waiting) = Waiting::begin() else { break };
        Delay::from(Duration::from_millis(WAIT_MILLIS)).await;
        entered = enter(bindings, tenant, host, needs).await;
    }
    entered
}

/// Whether a permit may come back that the request may have.
fn may_wait(tenant: &TenantId, host: Option<&Host>, needs: Needs) -> bool {
    let (seen, now) = (last_seen(tenant), SystemClock.now());
    GRANTS.with_borrow_mut(|grants| {
        grants.get(tenant, now).is_some_and(|grant| {
            let rate = grant.strangers_rate(host, seen, now);
            let has_spent = rate.is_some_and(|rate| holds(tenant, needs, now, |held| held.has_spent_its_share(&rate)));
            grant.has_permits_out(now) && !has_spent
        })
    })
}

/// What is so of the permits that the network of a stranger's request holds; no network counts that is not known.
fn holds(tenant: &TenantId, needs: Needs, now: Timestamp, is_so: impl Fn(&HeldPermits) -> bool) -> bool {
    match needs {
        Needs::Stranger { network, .. } if network.is_known() => HELD.with_borrow_mut(|held| {
            held.get(&PermitHolder(tenant.clone(), network), now).is_some_and(|held| is_so(held))
        }),
        Needs::Stranger { .. } | Needs::Config | Needs::Principal => false,
    }
}

/// Counts a permit that a stranger's request takes.
fn hold(tenant: &TenantId, needs: Needs, rate: &Rate, now: Timestamp) {
    let Needs::Stranger { network, .. } = needs else { return };
    if !network.is_known() || rate.limit.bound().is_none() {
        return;
    }
    let holder = PermitHolder(tenant.clone(), network);
    HELD.with_borrow_mut(|held| match held.get(&holder, now).filter(|held| held.reset() == rate.reset) {
        Some(held) => held.take(),
        None => {
            let mut first = HeldPermits::none(rate.reset);
            first.take();
            held.insert(holder, first, now);
        }
    });
}

/// One of the few requests that wait in this isolate.
struct Waiting;

impl Waiting {
    fn begin() -> Option<Self> {
        let waiting = WAITING.get();
        (waiting < MAX_WAITING).then(|| {
            WAITING.set(waiting + 1);
            Self
        })
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        WAITING.set(WAITING.get().saturating_sub(1));
    }
}

/// What a request needs of its tenant: from this isolate's grant, or else from the hub.
pub async fn enter(
    bindings: &Bindings,
    tenant: &TenantId,
    host: Option<&Host>,
    needs: Needs,
) -> Result<AdmittedRequest, HubError> {
    for _ in 0..ATTEMPTS {
        let request = match take(tenant, host, needs) {
            GrantOutcome::Taken(config, rate) => {
                return Ok(AdmittedRequest { config, permit: permit(tenant, needs, &rate), rate });
            }
            GrantOutcome::Refused(rate) => return Err(HubError::Refused(Refusal::RateLimited(rate))),
            GrantOutcome::Ask(request) => request,
        };
        ask_hub(bindings, tenant, host, &request).await?;
    }
    Err(HubError::Failed(problem::unavailable("a grant was void before it was used")))
}

/// The configuration that the hub gives now. For what is judged by the configuration alone, and neither reads the shard nor
/// calls the hub before it has effects: who may sign in, register or set a password.
pub async fn enter_now(
    bindings: &Bindings,
    tenant: &TenantId,
    host: Option<&Host>,
) -> Result<Rc<TenantConfig>, HubError> {
    ask_hub(bindings, tenant, host, &Needs::Config.asked()).await?;
    let admission = enter(bindings, tenant, host, Needs::Config).await?;
    Ok(admission.config)
}

/// Asks the hub what was purged; the configuration comes with it.
pub async fn ask_for_purges(
    bindings: &Bindings,
    tenant: &TenantId,
    host: Option<&Host>,
    after: PurgesAfter,
) -> Result<(), HubError> {
    ask_hub(bindings, tenant, host, &GrantRequest { purges: Some(after), ..Needs::Config.asked() }).await
}

/// Asks the hub for a grant, and remembers what it says.
async fn ask_hub(
    bindings: &Bindings,
    tenant: &TenantId,
    host: Option<&Host>,
    request: &GrantRequest,
) -> Result<(), HubError> {
    let (seen, asked_at) = (last_seen(tenant), SystemClock.now());
    let asked =
        GrantRequest { purges: request.purges.clone().or_else(|| known_purges::to_ask(tenant)), ..request.clone() };
    let grant = call_hub(bindings, tenant, host, seen, async |hub, caller| hub.call_for(&caller, &asked).await).await;
    match grant {
        Ok(mut grant) => {
            known_purges::learn(tenant, grant.purges.take(), asked_at);
            store(tenant, grant, request, asked_at);
            Ok(())
        }
        Err(HubError::Refused(Refusal::Stopped)) => {
            forget(tenant);
            Err(HubError::Refused(Refusal::Stopped))
        }
        Err(HubError::Refused(Refusal::RateLimited(rate))) => {
            if let Some(class) = request.class {
                let now = SystemClock.now();
                GRANTS.with_borrow_mut(|grants| {
                    grants.get(tenant, now).into_iter().for_each(|cached| cached.refuse(class, rate.clone(), now));
                });
            }
            Err(HubError::Refused(Refusal::RateLimited(rate)))
        }
        Err(error) => Err(error),
    }
}

fn take(tenant: &TenantId, host: Option<&Host>, needs: Needs) -> GrantOutcome {
    let (seen, now) = (last_seen(tenant), SystemClock.now());
    GRANTS.with_borrow_mut(|grants| match grants.get(tenant, now) {
        Some(grant) => {
            if let Some(rate) = grant.strangers_rate(host, seen, now)
                && holds(tenant, needs, now, |held| held.has_its_share(&rate))
            {
                return GrantOutcome::Refused(Rate { remaining: 0, ..rate });
            }
            let outcome = grant.take(host, needs, seen, now);
            if let GrantOutcome::Taken(_, Some(rate)) = &outcome {
                hold(tenant, needs, rate, now);
            }
            outcome
        }
        None => GrantOutcome::Ask(needs.asked()),
    })
}

/// The configuration that this isolate remembers of a tenant that serves a host, used up or not; nothing is asked. Only
/// for telling a page of which origin it is refused.
pub fn remembered(tenant: &TenantId, host: &Host) -> Option<Rc<TenantConfig>> {
    let (seen, now) = (last_seen(tenant), SystemClock.now());
    GRANTS.with_borrow_mut(|grants| {
        // As long as a grant is remembered, its configuration was good that long ago.
        let lately = now.plus_millis(-REMEMBERED_MILLIS);
        match grants.get(tenant, now)?.take(Some(host), Needs::Config, seen, lately) {
            GrantOutcome::Taken(config, _) => Some(config).filter(|config| config.is_served(now)),
            GrantOutcome::Refused(_) | GrantOutcome::Ask(_) => None,
        }
    })
}

fn permit(tenant: &TenantId, needs: Needs, rate: &Option<Rate>) -> Option<StrangerPermit> {
    match (needs, rate) {
        (Needs::Stranger { network, .. }, Some(rate)) => {
            Some(StrangerPermit { tenant: tenant.clone(), network, reset: rate.reset, is_given_back: false })
        }
        (Needs::Stranger { .. } | Needs::Config | Needs::Principal, _) => None,
    }
}

fn store(tenant: &TenantId, grant: Grant, asked: &GrantRequest, asked_at: Timestamp) {
    outdated(tenant, grant.config.revision);
    GRANTS.with_borrow_mut(|grants| {
        let cached = match grants.take(tenant) {
            Some(mut cached) => {
                cached.store(grant, asked, asked_at);
                cached
            }
            None => CachedGrant::new(grant, asked, asked_at),
        };
        grants.insert(tenant.clone(), cached, asked_at);
    });
}

/// The highest revision of a tenant that this isolate has seen; 0 for none.
pub fn last_seen(tenant: &TenantId) -> i64 {
    seen_at(tenant, SystemClock.now())
}

fn seen_at(tenant: &TenantId, now: Timestamp) -> i64 {
    SEEN.with_borrow_mut(|seen| seen.get(tenant, now).copied().unwrap_or(0))
}

/// The tenant has this revision: what this isolate has cached of an earlier one counts no more.
pub fn outdated(tenant: &TenantId, revision: i64) {
    note_revision(tenant, revision, SystemClock.now());
    secrets::forget_before(tenant, revision);
}

/// A position in the tenant's log that is older than whatever is read from now on; none if its hub told none.
pub fn log_position(tenant: &TenantId) -> Option<Cursor> {
    GRANTS.with_borrow_mut(|grants| grants.get(tenant, SystemClock.now())?.log().cloned())
}

/// Drops a tenant's grant from this isolate's cache: its hub said something else.
pub fn forget(tenant: &TenantId) {
    GRANTS.with_borrow_mut(|grants| grants.take(tenant));
}

fn note_revision(tenant: &TenantId, revision: i64, now: Timestamp) {
    if revision > seen_at(tenant, now) {
        SEEN.with_borrow_mut(|seen| seen.insert(tenant.clone(), revision, now));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_revision_is_unseen() {
        let (tenant, now) = (TenantId::proven("no-revision-is-unseen"), Timestamp::from_millis(1_000_000));
        for (revision, seen) in [(7, 7), (8, 8), (7, 8)] {
            note_revision(&tenant, revision, now);
            assert_eq!(seen_at(&tenant, now), seen);
        }
    }
}
