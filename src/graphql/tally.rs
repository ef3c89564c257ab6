//! Counts of kept answers: of this isolate, told to the tenant's hub from time to time.

use std::cell::RefCell;

use super::verdict::CacheVerdict;
use crate::http::request::Background;
use crate::hub::client::HubClient;
use crate::hub::protocol::RecordAnswerCounts;
use crate::isolate_cache::IsolateCache;
use crate::storage::bindings::{Bindings, SystemClock};
use crate::tenant_id::TenantId;
use domain::clock::Clock;
use domain::graphql_cache::{AnswerCounts, AnswerTally};

/// Most tenants whose answers an isolate counts, and how long, in milliseconds.
const MAX_TENANTS: usize = 2_000;
const COUNTED_MILLIS: i64 = 3_600_000;

thread_local! {
    static TALLIES: RefCell<IsolateCache<TenantId, AnswerTally>> = RefCell::new(IsolateCache::new(MAX_TENANTS, COUNTED_MILLIS));
}

/// Counts an answer, and tells the hub behind it if there is enough to tell.
pub fn count(
    bindings: &Bindings,
    background: &Background,
    tenant: &TenantId,
    operation: Option<&str>,
    verdict: CacheVerdict,
) {
    let now = SystemClock.now();
    let one = match verdict {
        CacheVerdict::Hit(_) => AnswerCounts { hits: 1, ..AnswerCounts::default() },
        CacheVerdict::Stale(_) => AnswerCounts { stale: 1, ..AnswerCounts::default() },
        CacheVerdict::Miss(_) => AnswerCounts { misses: 1, ..AnswerCounts::default() },
        CacheVerdict::Pass(_) => AnswerCounts { passes: 1, ..AnswerCounts::default() },
    };
    let due = TALLIES.with_borrow_mut(|tallies| {
        let mut tally = tallies.take(tenant).unwrap_or_else(|| AnswerTally::new(now));
        tally.add(operation, one);
        if tally.is_due(now) {
            return Some(tally);
        }
        tallies.insert(tenant.clone(), tally, now);
        None
    });
    if let Some(tally) = due {
        let (bindings, tenant) = (bindings.clone(), tenant.clone());
        background.spawn(async move { told(&bindings, &tenant, tally).await });
    }
}

/// Tells the hub what this isolate has counted so far.
pub async fn flush(bindings: &Bindings, tenant: &TenantId) {
    if let Some(tally) = TALLIES.with_borrow_mut(|tallies| tallies.take(tenant)) {
        told(bindings, tenant, tally).await;
    }
}

async fn told(bindings: &Bindings, tenant: &TenantId, tally: AnswerTally) {
    let Ok(hub) = HubClient::of(bindings, tenant) else { return };
    let message = RecordAnswerCounts { tenant: tenant.into(), counts: tally.into_counts() };
    // A lost report loses counts, nothing else.
    let _ = hub.call(&message).await;
}
