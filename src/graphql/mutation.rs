//! Purges by mutations: the nodes that a mutation's answer shows are those that it may have changed.

use std::cell::RefCell;

use super::exchange::SiteResponse;
use super::fetching::gathered;
use super::purging;
use super::warming;
use crate::auth::principal::Visitor;
use crate::http::outbound::{ForwardedResponse, GatheredBody, NoResponse};
use crate::http::request::Request;
use crate::isolate_cache::IsolateCache;
use crate::storage::bindings::SystemClock;
use crate::tenant_id::TenantId;
use domain::clock::{Clock, Timestamp};
use domain::graphql_cache::PurgeTags;
use domain::pace::{Pace, Spacing};

/// Purges by mutations of one tenant in an isolate: twenty at once, and one a second. Strangers can make some, and none is
/// needed: the site's webhook names what has changed, too.
const PURGES: Spacing = Spacing { millis: 1_000, at_once: 20 };
/// Most tenants whose purges an isolate counts, and how long, in milliseconds.
const MAX_TENANTS: usize = 1_000;
const COUNTED_MILLIS: i64 = 30_000;

thread_local! {
    static PURGED: RefCell<IsolateCache<TenantId, Pace>> = RefCell::new(IsolateCache::new(MAX_TENANTS, COUNTED_MILLIS));
}

fn may_purge(tenant: &TenantId, now: Timestamp) -> bool {
    PURGED.with_borrow_mut(|all| {
        let mut pace = all.get(tenant, now).copied().unwrap_or_default();
        let is_due = pace.wait(PURGES, now) == 0;
        if is_due {
            pace.count_many(PURGES, 1, now);
            all.insert(tenant.clone(), pace, now);
        }
        is_due
    })
}

/// The site's answer to a mutation, once what it has changed is purged.
pub async fn answered(
    request: &Request<Visitor>,
    sent: Result<ForwardedResponse, NoResponse>,
) -> Result<SiteResponse, NoResponse> {
    let response = gathered(sent).await?;
    let shown = match &response.body {
        Some(GatheredBody::Text(body)) if response.status == 200 => PurgeTags::of_mutation(body),
        // What is longer than any answer that is kept streams through unread.
        Some(GatheredBody::Text(_) | GatheredBody::Stream(_)) | None => PurgeTags::default(),
    };
    let Visitor { tenant, config, .. } = &*request.caller;
    if !shown.is_empty() && may_purge(tenant, SystemClock.now()) {
        // The mutation is done, whatever becomes of the purge.
        let _ = purging::purge(&request.bindings, tenant, config.revision, false, shown.into_tags()).await;
        warming::after_purges(&request.bindings, &request.background, tenant);
    }
    Ok(response)
}
