//! Texts of documents that this isolate has seen, by tenant and hash. Which of them somebody may ask is decided elsewhere.

use std::cell::RefCell;
use std::rc::Rc;

use crate::isolate_cache::{CacheKey, IsolateCache, KeyIdentity};
use crate::storage::bindings::SystemClock;
use crate::tenant_id::TenantId;
use domain::clock::Clock;
use domain::document_name::DocumentHash;

/// Most texts that an isolate remembers, and the longest one, in bytes: 10 MB in all.
const MAX_TEXTS: usize = 300;
const MAX_BYTES: usize = 32_768;
/// How long it remembers them, in milliseconds.
const REMEMBERED_MILLIS: i64 = 3_600_000;

/// A hash that a tenant's clients ask by.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct HashOfTenant {
    tenant: TenantId,
    hash: DocumentHash,
}

impl CacheKey for HashOfTenant {
    const IDENTITY: KeyIdentity = KeyIdentity::NeverRecurs("a hash names one text");
}

thread_local! {
    static TEXTS: RefCell<IsolateCache<HashOfTenant, Rc<str>>> = RefCell::new(IsolateCache::new(MAX_TEXTS, REMEMBERED_MILLIS));
}

fn key(tenant: &TenantId, hash: &DocumentHash) -> HashOfTenant {
    HashOfTenant { tenant: tenant.clone(), hash: hash.clone() }
}

/// The text of a hash, if this isolate remembers it for the tenant.
pub fn get(tenant: &TenantId, hash: &DocumentHash) -> Option<Rc<str>> {
    TEXTS.with_borrow_mut(|texts| texts.get(&key(tenant, hash), SystemClock.now()).cloned())
}

/// Remembers the text of a hash, unless it is long.
pub fn remember(tenant: &TenantId, hash: &DocumentHash, text: &Rc<str>) {
    if text.len() <= MAX_BYTES {
        TEXTS.with_borrow_mut(|texts| texts.insert(key(tenant, hash), Rc::clone(text), SystemClock.now()));
    }
}
