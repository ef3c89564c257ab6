//! Documents that clients registered by themselves, in KV: losing one costs a client another request.
//!
//! Invariants
//! - A text is kept under nothing but its own hash, and is held against it when it is read. So nobody can put another text in
//!   its place, whoever writes to KV.
//! - A tenant has [`PLACES`] places, whatever strangers send. A hash leads to two of them; a new document takes the one that is
//!   empty, else the one whose document was used longest ago. A document that nobody used for 30 days leaves.
//! - A network registers only so many documents a minute. One beyond is answered and not kept.

use std::cell::RefCell;
use std::rc::Rc;

use serde::{Deserialize, Serialize};

use super::texts;
use crate::graphql::naming::hash_of;
use crate::http::request::Background;
use crate::isolate_cache::IsolateCache;
use crate::storage::bindings::{Bindings, SystemClock};
use crate::storage::keys::KvKey;
use crate::storage::kv;
use crate::tenant_id::TenantId;
use domain::address::Network;
use domain::clock::{Clock, Timestamp};
use domain::document_name::DocumentHash;
use domain::pace::{Pace, Spacing};

/// Hexadecimal digits of a place, and how many places that makes: 268 MB of documents of the default length.
const DIGITS: usize = 3;
const PLACES: usize = 16_usize.pow(3);
const _: () = assert!(PLACES == 1 << (4 * DIGITS));
/// Seconds until a document leaves that nobody uses.
const KEPT_SECONDS: u64 = 30 * 24 * 3600;
/// How old its last use may be noted, in milliseconds.
const USE_NOTED_MILLIS: i64 = 24 * 3_600_000;
/// New documents of one network: thirty at once, and thirty a minute.
const REGISTRATIONS: Spacing = Spacing { millis: 2_000, at_once: 30 };
/// Most networks that an isolate remembers, and how long, in milliseconds: until all of the thirty are free again.
const MAX_NETWORKS: usize = 10_000;
const REMEMBERED_MILLIS: i64 = 60_000;

thread_local! {
    static REGISTERED: RefCell<IsolateCache<Network, Pace>> = RefCell::new(IsolateCache::new(MAX_NETWORKS, REMEMBERED_MILLIS));
}

/// A document as it stands in KV.
#[derive(Debug, Serialize, Deserialize)]
struct PersistedDocument {
    text: String,
    /// When it was used, in milliseconds since 1970; up to a day before its last use.
    used_at: i64,
}

/// The text of a hash, if clients of the tenant registered it. Its use is noted behind the response.
pub async fn find(
    bindings: &Bindings,
    background: &Background,
    tenant: &TenantId,
    hash: &DocumentHash,
) -> Option<Rc<str>> {
    if let Some(text) = texts::get(tenant, hash) {
        return Some(text);
    }
    for place in places(hash) {
        let key = KvKey::document(tenant, place);
        let Some(kept) =
            kv::read::<PersistedDocument>(bindings, &key).await.filter(|kept| hash_of(&kept.text) == *hash)
        else {
            continue;
        };
        let text = Rc::<str>::from(kept.text.as_str());
        texts::remember(tenant, hash, &text);
        let now = SystemClock.now();
        if now.since(Timestamp::from_millis(kept.used_at)) >= USE_NOTED_MILLIS {
            let (bindings, used) = (bindings.clone(), PersistedDocument { used_at: now.millis(), ..kept });
            background.spawn(async move { kv::write(&bindings, &key, &used, KEPT_SECONDS).await });
        }
        return Some(text);
    }
    None
}

/// Keeps a document under its hash, behind the response; this isolate knows it at once. Does nothing for a network that
/// registered too many in a minute.
pub fn keep(
    bindings: &Bindings,
    background: &Background,
    tenant: &TenantId,
    network: Network,
    (hash, text): (DocumentHash, String),
) {
    if texts::get(tenant, &hash).is_some() || !may_register(network, SystemClock.now()) {
        return;
    }
    texts::remember(tenant, &hash, &Rc::from(text.as_str()));
    let (bindings, tenant) = (bindings.clone(), tenant.clone());
    background.spawn(async move { put(&bindings, &tenant, &hash, text).await });
}

async fn put(bindings: &Bindings, tenant: &TenantId, hash: &DocumentHash, text: String) {
    let keys = places(hash).map(|place| KvKey::document(tenant, place));
    let mut uses = Vec::new();
    for key in &keys {
        let kept = kv::read::<PersistedDocument>(bindings, key).await;
        if kept.as_ref().is_some_and(|kept| hash_of(&kept.text) == *hash) {
            return;
        }
        uses.push(kept.map(|kept| kept.used_at));
    }
    // None, an empty place, is less than every use.
    let least_used = keys.iter().zip(uses).min_by_key(|(_, used_at)| *used_at);
    if let Some((key, _)) = least_used {
        let kept = PersistedDocument { text, used_at: SystemClock.now().millis() };
        kv::write(bindings, key, &kept, KEPT_SECONDS).await;
    }
}

/// The two places of a hash; they may be one.
fn places(hash: &DocumentHash) -> [&str; 2] {
    let digits = hash.as_str();
    [0..DIGITS, DIGITS..2 * DIGITS].map(|place| digits.get(place).unwrap_or_default())
}

/// Counts a new document of a network, unless it registered too many; one that is not known is not counted.
fn may_register(network: Network, now: Timestamp) -> bool {
    if !network.is_known() {
        return true;
    }
    REGISTERED.with_borrow_mut(|networks| {
        let mut pace = networks.get(&network, now).copied().unwrap_or_default();
        let may = pace.reserve(REGISTRATIONS, 0, now).is_ok();
        if may {
            networks.insert(network, pace, now);
        }
        may
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hash_leads_to_two_of_the_places() {
        let hash = DocumentHash::parse(&format!("0123456{}", "a".repeat(57))).unwrap();
        assert_eq!(places(&hash), ["012", "345"]);
    }

    #[test]
    fn a_network_registers_thirty_documents_at_once_and_thirty_a_minute() {
        let (network, other) = (Network::of("192.0.2.1"), Network::of("192.0.2.2"));
        let registered = |from: i64, to: i64| {
            (from..to).step_by(100).filter(|now| may_register(network, Timestamp::from_millis(*now))).count()
        };
        assert_eq!(registered(1_000_000, 1_000_100), 1);
        assert_eq!(registered(1_000_100, 1_060_100), 29 + 30);
        assert!(may_register(other, Timestamp::from_millis(1_060_000)));
        assert_eq!(registered(1_120_100, 1_120_200), 1, "after a rest");
    }
}
