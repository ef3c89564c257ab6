//! How a tenant stands right now, by its hub's word; and calls to the hub that heal both sides.
//!
//! A hub that is behind is sent its configuration, and the call is made again. What a hub grants is
//! good for 5 seconds.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;

use super::registry::Tenant;
use crate::http::problem::{self, Problem};
use crate::hub::client::{CallError, HubClient};
use crate::hub::protocol::{Caller, Configure, GrantRequest, Lease, Refusal, RequestClass, TenantConfig};
use crate::storage::bindings::{Bindings, SystemClock};
use crate::storage::control_db::ControlDb;
use crate::tenant_id::TenantId;
use domain::clock::{Clock, Timestamp};
use domain::host::Host;
use domain::rate::Rate;

/// How long a grant is good, in milliseconds.
const GRANT_MILLIS: i64 = 5000;
/// Most tenants an isolate keeps grants of.
const MAX_KEPT: usize = 5_000;
/// How often a call is made again after healing.
const ATTEMPTS: usize = 3;

thread_local! {
    static KEPT: RefCell<HashMap<TenantId, Kept>> = RefCell::new(HashMap::new());
}

struct Kept {
    config: Rc<TenantConfig>,
    until: Timestamp,
    leases: HashMap<RequestClass, Lease>,
}

/// What became of a call.
#[derive(Debug)]
pub enum HubError {
    /// The hub refused for a reason that healing does not mend.
    Refused(Refusal),
    /// No such tenant is there, or the host is not its (any more), or the request may not learn that it is.
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
    /// How a refusal looks from outside, where the route has no form of its own for it.
    fn from(unheeded: HubError) -> Self {
        match unheeded {
            HubError::Failed(problem) => problem,
            HubError::NotHere | HubError::Refused(Refusal::Stopped) => problem::tenant_not_found(),
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

/// 429 with the headers that tell how the limit stands.
pub fn rate_limited(rate: &Rate) -> Problem {
    let now = SystemClock.now().seconds();
    let mut problem = problem::rate_limited((rate.reset.seconds() - now).max(1).unsigned_abs());
    problem.headers.extend(crate::http::response::rate_headers(rate));
    problem.headers.extend(crate::http::response::rate_left(rate, now));
    problem
}

/// Seconds after which a refused stream may ask again, spread so that refused clients do not come back at once.
fn retry_after() -> u64 {
    let random = crate::storage::sealed::random::<1>().map_or(0, |[byte]| u64::from(byte));
    5 + random % 11
}

/// Calls the hub of a tenant; a hub that is behind is sent its configuration, and the call is made again.
///
/// `host` is the tenant's host the request came to, if it came to one; `seen` the revision the Worker
/// last read of the tenant, 0 for none. A call never goes to another tenant than it was made for: when
/// the host turns out to be somebody else's, whoever resolved it begins anew.
pub async fn call_hub<T>(
    bindings: &Bindings,
    tenant: &TenantId,
    host: Option<&Host>,
    seen: i64,
    call: impl AsyncFn(HubClient, Caller) -> Result<T, CallError>,
) -> Result<T, HubError> {
    for _ in 0..ATTEMPTS {
        let host_name = host.map(|host| host.as_str().to_owned());
        let caller = Caller { tenant: tenant.into(), revision: seen, host: host_name };
        let outcome = match HubClient::of(bindings, tenant) {
            Ok(hub) => call(hub, caller).await,
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
    Err(HubError::Failed(problem::unavailable("the hub stayed behind")))
}

/// Sends a hub its configuration from the registry; false if no such tenant is there.
async fn configure(bindings: &Bindings, tenant: &TenantId) -> Result<bool, Problem> {
    let db = ControlDb::open(bindings, "configure a hub")?;
    let Some(found) = Tenant::find(&db, tenant.as_str()).await? else { return Ok(false) };
    let message = Configure { config: found.config(bindings)? };
    let hub = HubClient::of(bindings, tenant).map_err(problem::unavailable)?;
    hub.call(&message).await.map_err(problem::unavailable)?;
    Ok(true)
}

/// The tenant of a request, on its host where it came to one, as it stands, with one permit of the class taken.
pub async fn enter(
    bindings: &Bindings,
    tenant: &TenantId,
    host: Option<&Host>,
    class: Option<RequestClass>,
) -> Result<(Rc<TenantConfig>, Option<Rate>), HubError> {
    if let Some(kept) = take_kept(tenant, host, class) {
        return Ok(kept);
    }
    let seen = last_seen(tenant);
    let asked = call_hub(bindings, tenant, host, seen, async |hub, caller| {
        hub.call_for(&caller, &GrantRequest { class }).await
    });
    let grant = asked.await?;
    let rate = grant
        .lease
        .as_ref()
        .map(|lease| Rate { remaining: lease.rate.remaining + lease.permits - 1, ..lease.rate.clone() });
    let config = Rc::new(grant.config);
    keep(tenant, Rc::clone(&config), grant.lease, class);
    Ok((config, rate))
}

/// The revision of a tenant's last grant, also of one that is over.
pub fn last_seen(tenant: &TenantId) -> i64 {
    KEPT.with(|kept| kept.borrow().get(tenant).map_or(0, |kept| kept.config.revision))
}

/// Forgets what this isolate was granted for a tenant: it has just changed.
pub fn forget(tenant: &TenantId) {
    KEPT.with(|kept| kept.borrow_mut().remove(tenant));
}

fn take_kept(
    tenant: &TenantId,
    host: Option<&Host>,
    class: Option<RequestClass>,
) -> Option<(Rc<TenantConfig>, Option<Rate>)> {
    let now = SystemClock.now();
    KEPT.with(|kept| {
        let mut kept = kept.borrow_mut();
        let kept = kept.get_mut(tenant).filter(|k| now < k.until && k.config.is_served(now))?;
        if host.is_some_and(|host| !kept.config.hosts.iter().any(|h| h == host.as_str())) {
            return None;
        }
        let Some(class) = class else { return Some((Rc::clone(&kept.config), None)) };
        let lease = kept.leases.get_mut(&class).filter(|lease| lease.permits > 0 && now < lease.until)?;
        lease.permits -= 1;
        let remaining = lease.rate.remaining + lease.permits;
        Some((Rc::clone(&kept.config), Some(Rate { remaining, ..lease.rate.clone() })))
    })
}

fn keep(tenant: &TenantId, config: Rc<TenantConfig>, lease: Option<Lease>, class: Option<RequestClass>) {
    let now = SystemClock.now();
    KEPT.with(|kept| {
        let mut kept = kept.borrow_mut();
        if kept.len() >= MAX_KEPT {
            kept.retain(|_, k| now < k.until);
        }
        let mut leases = kept.remove(tenant).map(|k| k.leases).unwrap_or_default();
        if let (Some(class), Some(mut lease)) = (class, lease) {
            lease.permits -= 1;
            leases.insert(class, lease);
        }
        if kept.len() < MAX_KEPT {
            kept.insert(tenant.clone(), Kept { config, until: now.plus_millis(GRANT_MILLIS), leases });
        }
    });
}
