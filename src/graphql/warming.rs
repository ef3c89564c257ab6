//! Warm-up: answers that a purge has ended and that were asked for most are fetched again, behind the request that told this
//! isolate of the purge.
//!
//! Invariants
//! - A site is asked for `warm_up` answers at most after purges, two at a time, whatever ended them: a burst of purges is
//!   followed by three rounds at most. Through the shield, so equal questions of all isolates are one; what it has no room for is
//!   left out, so that its places are there for visitors.
//! - Only questions of strangers are asked again: nobody's credential is remembered for it.

use std::cell::RefCell;
use std::pin::pin;
use std::rc::Rc;
use std::time::Duration;

use futures_util::future::{join, select};
use worker::Delay;

use super::answer_store;
use super::asking::Asking;
use super::question::Question;
use super::told;
use crate::http::request::Background;
use crate::isolate_cache::IsolateCache;
use crate::storage::bindings::{Bindings, SystemClock};
use crate::tenant::known_purges;
use crate::tenant::site::Site;
use crate::tenant::tenant_state;
use crate::tenant_id::TenantId;
use domain::clock::{Clock, Timestamp};
use domain::graphql_cache::KnownPurges;

/// Most tenants whose answers an isolate fetches again at once, and after how many milliseconds one counts as given up.
const MAX_TENANTS: usize = 200;
const GIVEN_UP_MILLIS: i64 = 60_000;
/// How often it looks for purges that came meanwhile, and how long it waits before.
const ROUNDS: usize = 3;
const BETWEEN_ROUNDS: Duration = Duration::from_secs(2);
/// How long it begins new questions, in milliseconds, and how long it goes on at all: the platform ends what runs on for 30
/// seconds after a response.
const MOST_MILLIS: i64 = 15_000;
const LONGEST: Duration = Duration::from_secs(25);

thread_local! {
    static UNDER_WAY: RefCell<IsolateCache<TenantId, ()>> = RefCell::new(IsolateCache::new(MAX_TENANTS, GIVEN_UP_MILLIS));
}

/// Fetches again what this isolate has just learnt to be ended, behind a request to the tenant.
pub fn after_purges(bindings: &Bindings, background: &Background, tenant: &TenantId) {
    let is_news = known_purges::look(tenant, KnownPurges::has_news) == Some(true);
    if !is_news || !answer_store::holds_some(tenant) || !begin(tenant, SystemClock.now()) {
        return;
    }
    let (bindings, tenant, inner) = (bindings.clone(), tenant.clone(), background.clone());
    background.spawn(async move {
        let rounds = rounds(&bindings, &inner, &tenant);
        // What is under way when its time is over is given up.
        select(pin!(rounds), pin!(Delay::from(LONGEST))).await;
        UNDER_WAY.with_borrow_mut(|all| all.take(&tenant));
    });
}

/// Fetches again as long as purges come, some rounds.
async fn rounds(bindings: &Bindings, background: &Background, tenant: &TenantId) {
    let until = SystemClock.now().plus_millis(MOST_MILLIS);
    for _ in 0..ROUNDS {
        let is_news = SystemClock.now() < until && known_purges::look(tenant, KnownPurges::take_news) == Some(true);
        // An answer that cannot be fetched now is fetched when it is asked for.
        if !is_news || warm(bindings, background, tenant, until).await.unwrap_or(0) == 0 {
            return;
        }
        Delay::from(BETWEEN_ROUNDS).await;
    }
}

/// Whether it is the only warm-up of the tenant in this isolate.
fn begin(tenant: &TenantId, now: Timestamp) -> bool {
    UNDER_WAY.with_borrow_mut(|all| {
        let is_first = all.get(tenant, now).is_none();
        if is_first {
            all.insert(tenant.clone(), (), now);
        }
        is_first
    })
}

/// How many questions were asked again; none if the tenant's site cannot be asked.
async fn warm(bindings: &Bindings, background: &Background, tenant: &TenantId, until: Timestamp) -> Option<usize> {
    let site = Site::of(bindings, tenant, tenant_state::last_seen(tenant)).await.ok()?;
    let endpoint = site.endpoint(bindings).ok()?;
    let secret = told::secret_version(bindings, tenant, &site).await.ok()?;
    let (most, now) = (usize::try_from(site.settings.cache.warm_up).ok()?, SystemClock.now());
    // What was asked of the site before it changed is under another key now.
    let questions = answer_store::to_warm(tenant, now, most, |question| question.is_of(&site, secret));
    let count = questions.len();
    let asking = |question: Rc<Question>| Asking {
        bindings: bindings.clone(),
        tenant: tenant.clone(),
        site: Rc::clone(&site),
        endpoint: endpoint.clone(),
        question,
    };
    let waiting = RefCell::new(questions.into_iter().map(asking));
    join(fetch_all(&waiting, background, until), fetch_all(&waiting, background, until)).await;
    Some(count)
}

/// Fetches what is waiting, one after the other, until the site fails.
async fn fetch_all(waiting: &RefCell<impl Iterator<Item = Asking>>, background: &Background, until: Timestamp) {
    while SystemClock.now() < until {
        let next = waiting.borrow_mut().next();
        let Some(asking) = next else { return };
        let Some(began) = known_purges::known_through(&asking.tenant) else { return };
        if !asking.warm(began, background).await {
            return;
        }
    }
}
