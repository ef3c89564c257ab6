//! Which stale answers this isolate is fetching anew: one question for each, however many are shown the stale one meanwhile.

use std::cell::RefCell;

use super::question_of::QuestionOf;
use crate::isolate_cache::IsolateCache;
use crate::storage::bindings::SystemClock;
use crate::tenant_id::TenantId;
use domain::clock::Clock;

/// Most answers that are fetched anew at once, and after how many milliseconds one counts as given up.
const MOST: usize = 1_000;
const GIVEN_UP_MILLIS: i64 = 60_000;

thread_local! {
    static RENEWED: RefCell<IsolateCache<QuestionOf, ()>> = RefCell::new(IsolateCache::new(MOST, GIVEN_UP_MILLIS));
}

/// That an answer is fetched anew.
pub struct Revalidation(QuestionOf);

impl Revalidation {
    /// Begins, unless it is under way.
    pub fn begin(tenant: &TenantId, key: &str) -> Option<Self> {
        let (renewed, now) = (QuestionOf::new(tenant, key), SystemClock.now());
        RENEWED.with_borrow_mut(|all| {
            if all.get(&renewed, now).is_some() {
                return None;
            }
            all.insert(renewed.clone(), (), now);
            Some(Self(renewed))
        })
    }

    /// It is over.
    pub fn end(self) {
        RENEWED.with_borrow_mut(|all| all.take(&self.0));
    }
}
