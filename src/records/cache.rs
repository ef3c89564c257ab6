//! A cache in KV of lists and statistics that are requested often; entries live for a minute.
//!
//! Invariants
//! - An entry names its tenant and the generation of the records it was made of. A write changes the generation in its own
//!   transaction, and every request reads it from the shard: a cached response is never stale.
//! - What is to end before a write ends it does so by another generation, too (`records/cache_purge.rs`).
//! - A generation contains the collection's creation id, so an entry of a deleted collection is never used for another one
//!   under the same slug.
//! - An entry is signed, for its KV key and its generation: whoever can write to KV shows nobody a list of their own making.
//!   It is not sealed. Encrypting a page costs several times what signing it does, on each request that is to be quick;
//!   whoever can read KV can read the lists that were asked for within the last minute.
//! - A list is cached only when it is requested again, so lists that nobody repeats cost nothing.
//! - Losing KV costs time and changes no response.

use std::cell::RefCell;

use serde::{Deserialize, Serialize};

use crate::credentials::signature::digest;
use crate::credentials::signed_text;
use crate::isolate_cache::{CacheKey, IsolateCache, KeyIdentity};
use crate::storage::bindings::{Bindings, SystemClock};
use crate::storage::keys::KvKey;
use crate::storage::kv;
use crate::storage::sealed::{KeyRing, SigningPurpose};
use crate::tenant_id::TenantId;
use domain::clock::Clock;

/// Seconds that an entry lives; KV's minimum.
const TTL_SECONDS: u64 = 60;
/// Milliseconds within which a second request makes a list hot.
const HOT_MILLIS: i64 = 60_000;
/// Most lists whose requests an isolate counts, and the longest query, in bytes, of one that it counts.
const MAX_COUNTED: usize = 2_000;
const MAX_QUERY: usize = 1_024;
/// Most tenants whose hits and misses an isolate counts, and how long, in milliseconds.
const MAX_TENANTS: usize = 5_000;
const COUNTS_MILLIS: i64 = 3_600_000;
/// Most lists of a collection that are recomputed after a write.
const MAX_WARMED: usize = 3;
/// The largest response that is cached, in bytes.
pub const MAX_BYTES: usize = 512 * 1024;

/// A cached response.
#[derive(Debug, Serialize, Deserialize)]
struct CachedBody {
    tenant_id: String,
    generation: CacheGeneration,
    until: i64,
    body: String,
    #[serde(default)]
    signature: String,
}

impl CachedBody {
    /// What the signature covers besides the body.
    fn signed_for<'a>(&'a self, key: &'a KvKey, until: &'a str) -> [&'a str; 5] {
        ["cached", &self.tenant_id, key.as_str(), &self.generation.0, until]
    }

    fn sign(&mut self, keys: &KeyRing, key: &KvKey) -> Option<()> {
        let signing = keys.signing_key(SigningPurpose::CachedAnswer).ok()?;
        let until = self.until.to_string();
        self.signature = signed_text::sign(&signing, &self.signed_for(key, &until), &self.body);
        Some(())
    }

    fn is_signed(&self, keys: &KeyRing, key: &KvKey) -> bool {
        let find_key = |version| keys.signing_key_of(SigningPurpose::CachedAnswer, version);
        let until = self.until.to_string();
        signed_text::is_signed(find_key, &self.signed_for(key, &until), &self.body, &self.signature)
    }
}

/// The state that a response was made of: a collection by its creation id, and its number of writes. It never recurs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CacheGeneration(String);

impl CacheGeneration {
    /// The generation of a collection, with the number in `collection_state`.
    pub fn of(creation_id: &str, number: i64) -> Self {
        Self(format!("{creation_id}.{number}"))
    }

    /// The number of the collection's last write.
    pub fn number(&self) -> Option<u64> {
        self.0.rsplit_once('.')?.1.parse().ok()
    }

    /// The generation of several collections, from a text of their creation ids and numbers.
    pub fn of_several(text: &str) -> Self {
        Self(digest(text.as_bytes()))
    }
}

/// A request for a list.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ListRequest {
    tenant: TenantId,
    slug: String,
    /// Whether a member asks; members see more than visitors.
    is_member: bool,
    /// The query string as it was sent.
    query: String,
}

impl CacheKey for ListRequest {
    const IDENTITY: KeyIdentity = KeyIdentity::CheckedAgainst(
        "nothing: by slug, so a collection made again is taken for one that is asked for as often as the one before; that \
         decides what is worth caching, and not what is shown",
    );
}

/// Hits and misses since they were last reported to the tenant's hub.
#[derive(Debug, Clone, Copy, Default)]
struct CacheCounts {
    hits: u64,
    misses: u64,
}

thread_local! {
    // How often each list was requested, each time within a minute of the one before.
    static REQUESTS: RefCell<IsolateCache<ListRequest, u32>> = RefCell::new(IsolateCache::new(MAX_COUNTED, HOT_MILLIS));
    static COUNTS: RefCell<IsolateCache<TenantId, CacheCounts>> = RefCell::new(IsolateCache::new(MAX_TENANTS, COUNTS_MILLIS));
}

impl CacheCounts {
    fn add(&mut self, is_hit: bool) {
        *(if is_hit { &mut self.hits } else { &mut self.misses }) += 1;
    }
}

impl ListRequest {
    /// A request for a list of a collection.
    pub fn new(tenant: &TenantId, slug: &str, is_member: bool, query: &str) -> Self {
        Self { tenant: tenant.clone(), slug: slug.to_owned(), is_member, query: query.to_owned() }
    }

    /// The collection's slug.
    pub fn slug(&self) -> &str {
        &self.slug
    }

    /// The query string as it was sent.
    pub fn query(&self) -> &str {
        &self.query
    }

    /// Whether a member asks.
    pub fn is_member(&self) -> bool {
        self.is_member
    }

    /// Counts the request; whether the same list was requested within the last minute.
    pub fn is_hot(&self) -> bool {
        if self.query.len() > MAX_QUERY {
            return false;
        }
        let now = SystemClock.now();
        REQUESTS.with_borrow_mut(|requests| {
            let times = requests.get(self, now).copied().unwrap_or(0);
            requests.insert(self.clone(), times.saturating_add(1), now);
            times > 0
        })
    }

    /// Its key in KV: page and status in plain text, every other query by its digest.
    pub fn key(&self, page: u32, status: &str, is_plain: bool) -> KvKey {
        let rest = if is_plain { String::new() } else { digest(self.query.as_bytes()) };
        let audience = if self.is_member { "member" } else { "public" };
        KvKey::list(&self.tenant, &self.slug, page, status, audience, &rest)
    }
}

/// The cached response under a key, if it is of this generation; counts a hit or a miss.
pub async fn find(bindings: &Bindings, tenant: &TenantId, key: &KvKey, generation: &CacheGeneration) -> Option<String> {
    let now = SystemClock.now().millis();
    let cached: Option<CachedBody> = kv::read(bindings, key).await;
    let is_good = |cached: &CachedBody| {
        cached.tenant_id == tenant.as_str()
            && cached.generation == *generation
            && now < cached.until
            && cached.is_signed(&bindings.settings.keys, key)
    };
    let found = cached.filter(is_good).map(|cached| cached.body);
    count(tenant, found.is_some());
    found
}

/// Caches a response.
pub async fn store(bindings: &Bindings, tenant: &TenantId, key: &KvKey, generation: CacheGeneration, body: &str) {
    if body.len() > MAX_BYTES {
        return;
    }
    let until = SystemClock.now().plus_seconds(i64::try_from(TTL_SECONDS).unwrap_or(0)).millis();
    let (tenant_id, body, signature) = (tenant.to_string(), body.to_owned(), String::new());
    let mut cached = CachedBody { tenant_id, generation, until, body, signature };
    if cached.sign(&bindings.settings.keys, key).is_some() {
        kv::write(bindings, key, &cached, TTL_SECONDS).await;
    }
}

/// The lists of a collection that this isolate is asked for most, to be recomputed after a write.
pub fn hottest(tenant: &TenantId, slug: &str) -> Vec<ListRequest> {
    REQUESTS.with_borrow(|requests| {
        let is_hot = |list: &ListRequest, times: u32| list.tenant == *tenant && list.slug == slug && times > 1;
        let requests = requests.current(SystemClock.now());
        let mut hot: Vec<_> = requests.filter(|(list, times)| is_hot(list, **times)).collect();
        hot.sort_by_key(|(_, times)| std::cmp::Reverse(**times));
        hot.into_iter().take(MAX_WARMED).map(|(list, _)| list.clone()).collect()
    })
}

fn count(tenant: &TenantId, is_hit: bool) {
    let now = SystemClock.now();
    COUNTS.with_borrow_mut(|counts| match counts.get(tenant, now) {
        Some(known) => known.add(is_hit),
        None => {
            let mut first = CacheCounts::default();
            first.add(is_hit);
            counts.insert(tenant.clone(), first, now);
        }
    });
}

/// Takes a tenant's hits and misses once there are `at_least` of them.
pub fn take_counts(tenant: &TenantId, at_least: u64) -> Option<(u64, u64)> {
    COUNTS.with_borrow_mut(|counts| {
        let known = counts.get(tenant, SystemClock.now()).filter(|known| known.hits + known.misses >= at_least)?;
        let taken = (known.hits, known.misses);
        counts.take(tenant);
        Some(taken)
    })
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;
    use crate::storage::sealed::MasterKey;

    #[test]
    fn a_cached_answer_is_good_as_it_was_cached_and_nowhere_else() {
        let ring = |byte| KeyRing::new(1, HashMap::from([(1, MasterKey::new([byte; 32]))])).unwrap();
        let (keys, tenant) = (ring(3), TenantId::proven("acme"));
        let (one, other) = (KvKey::list(&tenant, "posts", 1, "", "public", ""), KvKey::stats(&tenant));
        let made = || {
            let (tenant_id, generation) = ("acme".to_owned(), CacheGeneration::of("c1", 7));
            let mut cached =
                CachedBody { tenant_id, generation, until: 9, body: "[]".into(), signature: String::new() };
            cached.sign(&keys, &one).unwrap();
            cached
        };
        assert!(made().is_signed(&keys, &one));
        assert!(!made().is_signed(&keys, &other) && !made().is_signed(&ring(4), &one));
        for changed in [
            CachedBody { tenant_id: "globex".into(), ..made() },
            CachedBody { generation: CacheGeneration::of("c1", 8), ..made() },
            CachedBody { until: 10, ..made() },
            CachedBody { body: "[1]".into(), ..made() },
            CachedBody { signature: String::new(), ..made() },
        ] {
            assert!(!changed.is_signed(&keys, &one), "{changed:?}");
        }
    }
}
