//! What this isolate knows of tenants' purges of kept answers. Whatever the hub is asked for a tenant that it knows something
//! of brings what is new, so a grant that is renewed renews this, too.

use std::cell::RefCell;

use crate::hub::protocol::PurgesAfter;
use crate::isolate_cache::IsolateCache;
use crate::storage::bindings::SystemClock;
use crate::tenant_id::TenantId;
use domain::clock::{Clock, Timestamp};
use domain::graphql_cache::{KnownPurges, PurgeNews};
use domain::log_position::Cursor;

/// Most tenants whose purges an isolate knows, and how long after they were renewed last, in milliseconds.
const MAX_TENANTS: usize = 1_000;
const REMEMBERED_MILLIS: i64 = 600_000;
/// Tags that all of them have together, and from how many on a tenant's count.
const MAX_TAGS: usize = 50_000;
const MANY_TAGS: usize = 50;

thread_local! {
    static KNOWN: RefCell<IsolateCache<TenantId, KnownPurges>> = RefCell::new(IsolateCache::new(MAX_TENANTS, REMEMBERED_MILLIS));
}

/// What to ask the hub beside whatever is asked: nothing for a tenant that nothing is known of.
pub fn to_ask(tenant: &TenantId) -> Option<PurgesAfter> {
    known_through(tenant).map(|after| PurgesAfter { after: Some(after) })
}

/// What to ask the hub to know a tenant's purges at all.
pub fn to_ask_anew(tenant: &TenantId) -> PurgesAfter {
    PurgesAfter { after: known_through(tenant) }
}

/// Up to which position the tenant's purges are known.
pub fn known_through(tenant: &TenantId) -> Option<Cursor> {
    look(tenant, |known| known.through().clone())
}

/// Takes in what the hub said. `asked_at` is when it was asked.
pub fn learn(tenant: &TenantId, news: Option<PurgeNews>, asked_at: Timestamp) {
    let Some(news) = news else { return };
    KNOWN.with_borrow_mut(|all| {
        let mut known = match all.take(tenant) {
            Some(mut known) => {
                known.learn(news, asked_at);
                known
            }
            None => KnownPurges::new(news, asked_at),
        };
        let now = SystemClock.now();
        if known.len() > MANY_TAGS && all.current(now).map(|(_, other)| other.len()).sum::<usize>() > MAX_TAGS {
            known.forget_half();
        }
        all.insert(tenant.clone(), known, now);
    });
}

/// Looks at what is known of a tenant's purges.
pub fn look<T>(tenant: &TenantId, look: impl FnOnce(&KnownPurges) -> T) -> Option<T> {
    KNOWN.with_borrow_mut(|all| all.get(tenant, SystemClock.now()).map(|known| look(known)))
}
