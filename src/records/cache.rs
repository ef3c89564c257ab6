//! Lists and statistics that are asked for often, kept in KV for a minute.
//!
//! Invariants
//! - What is kept names its tenant and the generation of what it was made of. A write makes another generation in its
//!   own transaction, and the generation is read from the shard with every request: a kept answer is never stale.
//! - A generation names the collection by its creation id: what was kept of a deleted one is no answer of the one that
//!   has its slug now.
//! - A list is kept only once somebody asks for it again, so that what nobody repeats costs nothing.
//! - Losing KV costs time, never truth.

use std::cell::RefCell;
use std::collections::HashMap;

use serde::{Deserialize, Serialize};

use crate::credentials::signature::digest;
use crate::storage::bindings::{Bindings, SystemClock};
use crate::storage::keys::KvKey;
use crate::storage::kv;
use crate::tenant_id::TenantId;
use domain::clock::Clock;

/// Seconds that an answer is kept; KV keeps nothing for less.
const KEPT_SECONDS: u64 = 60;
/// How long a list counts as asked for again, in milliseconds.
const HOT_MILLIS: i64 = 60_000;
/// Most lists that an isolate counts.
const MAX_COUNTED: usize = 2_000;
/// Most lists of a collection that are made anew behind a write.
const MAX_WARMED: usize = 3;
/// The largest answer that is kept, in bytes.
const MAX_BYTES: usize = 512 * 1024;

/// An answer as it is kept.
#[derive(Debug, Serialize, Deserialize)]
struct CachedBody {
    tenant_id: String,
    generation: CacheGeneration,
    until: i64,
    body: String,
}

/// What an answer was made of: a collection by its creation id, and how often it was written to. It never comes back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CacheGeneration(String);

impl CacheGeneration {
    /// Of a collection, by the number in its state.
    pub fn of(creation_id: &str, number: i64) -> Self {
        Self(format!("{creation_id}.{number}"))
    }

    /// Of several collections, by a text of their creation ids and numbers.
    pub fn of_several(text: &str) -> Self {
        Self(digest(text.as_bytes()))
    }
}

/// A list that is asked for.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ListRequest {
    tenant: TenantId,
    slug: String,
    /// Whether a member asks, who sees more than a stranger.
    is_member: bool,
    /// The query as it came.
    query: String,
}

/// How often a list was asked for, and when last.
#[derive(Debug, Clone, Copy)]
struct RequestCount {
    times: u32,
    at: i64,
}

/// How often tenants' answers were found, and how often not, since that was told last.
type CacheCounts = HashMap<TenantId, (u64, u64)>;

thread_local! {
    static ASKED: RefCell<HashMap<ListRequest, RequestCount>> = RefCell::new(HashMap::new());
    static LOOKS: RefCell<CacheCounts> = RefCell::new(HashMap::new());
}

impl ListRequest {
    /// A list of a collection.
    pub fn new(tenant: &TenantId, slug: &str, is_member: bool, query: &str) -> Self {
        Self { tenant: tenant.clone(), slug: slug.to_owned(), is_member, query: query.to_owned() }
    }

    /// The collection's slug.
    pub fn slug(&self) -> &str {
        &self.slug
    }

    /// The query as it came.
    pub fn query(&self) -> &str {
        &self.query
    }

    /// Whether a member asks.
    pub fn is_member(&self) -> bool {
        self.is_member
    }

    /// Notes that it is asked for; whether it was a moment ago.
    pub fn is_hot(&self) -> bool {
        let now = SystemClock.now().millis();
        ASKED.with(|asked| {
            let mut asked = asked.borrow_mut();
            if asked.len() >= MAX_COUNTED {
                asked.retain(|_, one| now - one.at < HOT_MILLIS);
            }
            if asked.len() >= MAX_COUNTED && !asked.contains_key(self) {
                return false;
            }
            let one = asked.entry(self.clone()).or_insert(RequestCount { times: 0, at: now });
            let hot = one.times > 0 && now - one.at < HOT_MILLIS;
            *one = RequestCount { times: if hot { one.times.saturating_add(1) } else { 1 }, at: now };
            hot
        })
    }

    /// The key that it is kept under: pages by number and status as they are asked for, everything else by digest.
    pub fn key(&self, page: u32, status: &str, is_plain: bool) -> KvKey {
        let rest = if is_plain { String::new() } else { digest(self.query.as_bytes()) };
        let audience = if self.is_member { "member" } else { "public" };
        KvKey::list(&self.tenant, &self.slug, page, status, audience, &rest)
    }
}

/// What is kept under a key, if it is of this generation.
pub async fn find(bindings: &Bindings, tenant: &TenantId, key: &KvKey, generation: &CacheGeneration) -> Option<String> {
    let now = SystemClock.now().millis();
    let kept: Option<CachedBody> = kv::read(bindings, key).await;
    let is_good =
        |kept: &CachedBody| kept.tenant_id == tenant.as_str() && kept.generation == *generation && now < kept.until;
    let found = kept.filter(is_good).map(|kept| kept.body);
    note(tenant, found.is_some());
    found
}

/// Keeps an answer.
pub async fn keep(bindings: &Bindings, tenant: &TenantId, key: &KvKey, generation: CacheGeneration, body: &str) {
    if body.len() > MAX_BYTES {
        return;
    }
    let until = SystemClock.now().plus_seconds(i64::try_from(KEPT_SECONDS).unwrap_or(0)).millis();
    let kept = CachedBody { tenant_id: tenant.to_string(), generation, until, body: body.to_owned() };
    kv::write(bindings, key, &kept, KEPT_SECONDS).await;
}

/// The lists of a collection that are asked for most, to be made anew behind a write.
pub fn hottest(tenant: &TenantId, slug: &str) -> Vec<ListRequest> {
    let now = SystemClock.now().millis();
    ASKED.with(|asked| {
        let asked = asked.borrow();
        let is_hot = |listed: &ListRequest, one: &RequestCount| {
            listed.tenant == *tenant && listed.slug == slug && one.times > 1 && now - one.at < HOT_MILLIS
        };
        let mut hot: Vec<_> = asked.iter().filter(|(listed, one)| is_hot(listed, one)).collect();
        hot.sort_by_key(|(_, one)| std::cmp::Reverse(one.times));
        hot.into_iter().take(MAX_WARMED).map(|(listed, _)| listed.clone()).collect()
    })
}

fn note(tenant: &TenantId, is_hit: bool) {
    LOOKS.with(|looks| {
        let mut looks = looks.borrow_mut();
        let (hits, misses) = looks.entry(tenant.clone()).or_default();
        *(if is_hit { hits } else { misses }) += 1;
    });
}

/// How often a tenant's answers were found and how often not, once that is worth telling.
pub fn take_looks(tenant: &TenantId, at_least: u64) -> Option<(u64, u64)> {
    LOOKS.with(|looks| {
        let mut looks = looks.borrow_mut();
        let worth = looks.get(tenant).is_some_and(|(hits, misses)| hits + misses >= at_least);
        worth.then(|| looks.remove(tenant)).flatten()
    })
}
