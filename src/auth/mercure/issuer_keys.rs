//! The public keys of issuers whose tokens a tenant accepts, fetched from the URLs in its settings.
//!
//! Invariants
//! - Keys are cached for one tenant, one issuer and one URL; the copy in KV is sealed under the tenant's key.
//! - Keys are fetched again after ten minutes. For an unknown key, or after a failure, they are fetched at most once a
//!   minute, per isolate and, as far as KV is current, over all isolates. In an isolate one request fetches at a time;
//!   others that need the result wait for it.
//! - A failed fetch keeps the previous keys: they are good for six hours after they were fetched.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use worker::Delay;

use crate::auth::outbound_oidc::document;
use crate::auth::sealed_cache::SealedCache;
use crate::credentials::jwk::KeySet;
use crate::credentials::signature::digest;
use crate::http::problem::{self, Problem};
use crate::isolate_cache::{CacheKey, IsolateCache, KeyIdentity};
use crate::storage::bindings::{Bindings, SystemClock};
use crate::storage::keys::KvKey;
use crate::tenant::secrets;
use crate::tenant_id::TenantId;
use domain::clock::{Clock, Timestamp};
use domain::mercure::Issuer;

/// How long keys are fresh, in milliseconds.
const FRESH_MILLIS: i64 = 600_000;
/// The least time between two fetches for an unknown key or after a failure, in milliseconds.
const RETRY_MILLIS: i64 = 60_000;
/// How long keys are good while fetching fails, in milliseconds.
const STALE_MILLIS: i64 = 6 * 3_600_000;
/// How often, and how long at most, a request waits for another one's fetch, in milliseconds.
const WAIT_MILLIS: u64 = 50;
const MAX_WAIT_MILLIS: i64 = 12_000;
/// Most issuers whose keys an isolate caches.
const MAX_ISSUERS: usize = 500;

impl CacheKey for KvKey {
    const IDENTITY: KeyIdentity =
        KeyIdentity::CheckedAgainst("the URL of the keys in the tenant's settings; the key names tenant and issuer");
}

thread_local! {
    static KEYS: RefCell<IsolateCache<KvKey, Rc<IssuerKeySet>>> = RefCell::new(IsolateCache::new(MAX_ISSUERS, STALE_MILLIS));
    static FETCHING: RefCell<IsolateCache<KvKey, ()>> = RefCell::new(IsolateCache::new(MAX_ISSUERS, MAX_WAIT_MILLIS));
}

/// The keys that were fetched last, and when.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct IssuerKeySet {
    /// The keys.
    pub keys: KeySet,
    jwks_url: String,
    /// When they were fetched, in milliseconds since 1970; 0 for never.
    #[serde(rename = "told_at")]
    fetched_at: i64,
    /// When a fetch last failed, or was last made for an unknown key, in milliseconds since 1970; 0 for never.
    retried_at: i64,
}

/// How fresh keys must be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Freshness {
    /// For any token: fetched in the last ten minutes.
    Fresh,
    /// For a token whose key was not among those fetched at this time: fetched later.
    NewerThan(i64),
}

impl Freshness {
    /// The time that the keys must have been fetched after.
    fn after(self, now: Timestamp) -> i64 {
        match self {
            Self::Fresh => now.millis() - FRESH_MILLIS,
            Self::NewerThan(at) => at,
        }
    }
}

impl IssuerKeySet {
    fn is_after(&self, at: i64) -> bool {
        self.fetched_at > at
    }

    /// Whether the keys are good while fetching fails.
    fn is_usable(&self, now: Timestamp) -> bool {
        self.is_after(now.millis() - STALE_MILLIS)
    }

    /// Whether nothing is to be fetched: the keys are fresh enough, or the last retry was less than a minute ago.
    fn suffices(&self, needed: Freshness, now: Timestamp) -> bool {
        self.is_after(needed.after(now)) || now.millis() - self.retried_at < RETRY_MILLIS
    }

    /// When the issuer was last asked.
    fn asked_at(&self) -> i64 {
        self.fetched_at.max(self.retried_at)
    }
}

/// An issuer's keys, on behalf of a tenant.
pub struct IssuerKeys<'a> {
    /// The deployment.
    pub bindings: &'a Bindings,
    /// The tenant.
    pub tenant: &'a TenantId,
    /// The issuer.
    pub issuer: &'a Issuer,
}

impl IssuerKeys<'_> {
    /// The keys. 503 if they cannot be fetched and no usable ones are cached.
    pub async fn current(&self) -> Result<Rc<IssuerKeySet>, Problem> {
        let (at, now) = (self.at(), SystemClock.now());
        // While another request fetches, stale keys will do.
        let others_fetch = |keys: &IssuerKeySet| FetchLock::is_taken(&at, now) && keys.is_usable(now);
        if let Some(keys) = self.cached(&at)
            && (keys.is_after(Freshness::Fresh.after(now)) || others_fetch(&keys))
        {
            return Ok(keys);
        }
        self.get(&at, Freshness::Fresh).await
    }

    /// Keys fetched after these, in which a key is missing; the same ones if they were fetched for that less than a minute
    /// ago.
    pub async fn newer_than(&self, keys: &IssuerKeySet) -> Result<Rc<IssuerKeySet>, Problem> {
        self.get(&self.at(), Freshness::NewerThan(keys.fetched_at)).await
    }

    /// Keys as fresh as needed, if they may be fetched now; else the last ones.
    async fn get(&self, at: &KvKey, needed: Freshness) -> Result<Rc<IssuerKeySet>, Problem> {
        let _lock = FetchLock::take(at).await;
        let cached = self.cached(at);
        let is_enough = cached.as_ref().is_some_and(|cached| cached.suffices(needed, SystemClock.now()));
        let keys = if is_enough { cached } else { Some(self.load(at, needed, cached).await?) };
        let now = SystemClock.now();
        keys.filter(|keys| keys.is_usable(now))
            .ok_or_else(|| problem::unavailable("an issuer's keys cannot be fetched"))
    }

    /// Loads keys from KV, where other isolates leave them, or fetches them from the issuer.
    async fn load(
        &self,
        at: &KvKey,
        needed: Freshness,
        cached: Option<Rc<IssuerKeySet>>,
    ) -> Result<Rc<IssuerKeySet>, Problem> {
        let secrets = secrets::load(self.bindings, self.tenant.as_str()).await?;
        let kv = SealedCache { bindings: self.bindings, tenant: self.tenant, key: secrets.data_key()?, at: at.clone() };
        let stored = kv.get::<IssuerKeySet>().await.filter(|keys| self.is_of(keys)).map(Rc::new);
        let known = later(cached, stored);
        let keys = match known {
            Some(keys) if keys.suffices(needed, SystemClock.now()) => keys,
            previous => {
                let keys = self.fetch(needed, previous.as_deref()).await;
                kv.put(&keys, STALE_MILLIS.unsigned_abs() / 1000).await;
                Rc::new(keys)
            }
        };
        KEYS.with_borrow_mut(|cache| cache.insert(at.clone(), Rc::clone(&keys), SystemClock.now()));
        Ok(keys)
    }

    /// Fetches the keys. A failed fetch keeps the previous ones.
    async fn fetch(&self, needed: Freshness, previous: Option<&IssuerKeySet>) -> IssuerKeySet {
        let previous = previous.cloned().unwrap_or_default();
        let keys = match self.bindings.settings.outbound(&self.issuer.jwks_url) {
            Ok(address) => document(&address).await.ok().as_ref().and_then(KeySet::parse),
            Err(_) => None,
        };
        let (jwks_url, now) = (self.issuer.jwks_url.clone(), SystemClock.now().millis());
        let retried_at = if keys.is_some() && needed == Freshness::Fresh { previous.retried_at } else { now };
        match keys {
            Some(keys) => IssuerKeySet { keys, jwks_url, fetched_at: now, retried_at },
            None => IssuerKeySet { jwks_url, retried_at, ..previous },
        }
    }

    fn at(&self) -> KvKey {
        KvKey::issuer_keys(self.tenant, &digest(self.issuer.issuer.as_bytes()))
    }

    /// What this isolate has cached.
    fn cached(&self, at: &KvKey) -> Option<Rc<IssuerKeySet>> {
        let cached = KEYS.with_borrow_mut(|cache| cache.get(at, SystemClock.now()).cloned());
        cached.filter(|keys| self.is_of(keys))
    }

    /// Whether keys came from the URL that the settings name today.
    fn is_of(&self, keys: &IssuerKeySet) -> bool {
        keys.jwks_url == self.issuer.jwks_url
    }
}

/// Of two copies, the one whose issuer was asked later.
fn later(ours: Option<Rc<IssuerKeySet>>, theirs: Option<Rc<IssuerKeySet>>) -> Option<Rc<IssuerKeySet>> {
    match (ours, theirs) {
        (Some(ours), Some(theirs)) => Some(if theirs.asked_at() > ours.asked_at() { theirs } else { ours }),
        (ours, theirs) => ours.or(theirs),
    }
}

/// One request's right to fetch an issuer's keys, given back when it is dropped. If the request is cut off before, the
/// lock expires after the longest time that a fetch may take.
struct FetchLock<'a>(&'a KvKey);

impl<'a> FetchLock<'a> {
    fn is_taken(at: &KvKey, now: Timestamp) -> bool {
        FETCHING.with_borrow_mut(|fetching| fetching.get(at, now).is_some())
    }

    async fn take(at: &'a KvKey) -> Self {
        loop {
            let now = SystemClock.now();
            if !Self::is_taken(at, now) {
                FETCHING.with_borrow_mut(|fetching| fetching.insert(at.clone(), (), now));
                return Self(at);
            }
            Delay::from(Duration::from_millis(WAIT_MILLIS)).await;
        }
    }
}

impl Drop for FetchLock<'_> {
    fn drop(&mut self) {
        FETCHING.with_borrow_mut(|fetching| fetching.take(self.0));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_millis(1_000_000_000);

    fn known(fetched_ago: Option<i64>, retried_ago: Option<i64>) -> Rc<IssuerKeySet> {
        let [fetched_at, retried_at] = [fetched_ago, retried_ago].map(|ago| ago.map_or(0, |ago| NOW.millis() - ago));
        Rc::new(IssuerKeySet { keys: KeySet::default(), jwks_url: "https://a.test/".into(), fetched_at, retried_at })
    }

    #[test]
    fn keys_are_fetched_after_ten_minutes_and_retried_once_a_minute() {
        for (fetched, retried, suffices) in [
            (Some(0), None, true),
            (Some(FRESH_MILLIS - 1), None, true),
            (Some(FRESH_MILLIS), None, false),
            (Some(FRESH_MILLIS), Some(RETRY_MILLIS - 1), true),
            (Some(FRESH_MILLIS), Some(RETRY_MILLIS), false),
            (None, Some(RETRY_MILLIS - 1), true),
            (None, Some(RETRY_MILLIS), false),
        ] {
            assert_eq!(known(fetched, retried).suffices(Freshness::Fresh, NOW), suffices, "{fetched:?} {retried:?}");
        }
        // For an unknown key they are fetched at once, however fresh they are; then not again within a minute.
        for (retried, suffices) in [(None, false), (Some(RETRY_MILLIS - 1), true), (Some(RETRY_MILLIS), false)] {
            let needed = Freshness::NewerThan(NOW.millis() - 1);
            assert_eq!(known(Some(1), retried).suffices(needed, NOW), suffices, "{retried:?}");
        }
        assert!(
            known(Some(0), None).suffices(Freshness::NewerThan(NOW.millis() - 1), NOW),
            "another request fetched them meanwhile"
        );
    }

    #[test]
    fn keys_outlast_failing_fetches_by_hours_and_no_longer() {
        assert!(known(Some(STALE_MILLIS - 1), Some(0)).is_usable(NOW));
        assert!(!known(Some(STALE_MILLIS), Some(0)).is_usable(NOW));
        assert!(!known(None, Some(0)).is_usable(NOW));
    }

    #[test]
    fn of_two_copies_the_later_one_counts() {
        let (old, new) = (known(Some(9), None), known(Some(99), Some(5)));
        for (ours, theirs) in [(&old, &new), (&new, &old)] {
            let later = later(Some(Rc::clone(ours)), Some(Rc::clone(theirs))).unwrap();
            assert!(Rc::ptr_eq(&later, &new));
        }
        assert!(later(None, None).is_none() && later(Some(Rc::clone(&old)), None).is_some());
    }
}
