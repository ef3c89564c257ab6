//! What one isolate remembers: a bounded map whose entries expire.
//!
//! Pure; the time is handed in. Each isolate of the Worker has caches of its own, and a change does not reach those of
//! other isolates: an entry may be as old as its cache's life. `docs/architecture.md` lists every cache with its key, its
//! life and what ends it; `tests/source_rules/memories.rs` holds the list to the source.
//!
//! Invariants
//! - Identity: a key says what it identifies ([`CacheKey`]). One that can be given again to another thing (a slug, a
//!   revision that starts at 1 again) would show the new one's visitors what the old one's saw. So what stands under such a
//!   key is a hint, which somebody holds against the truth before it counts.
//! - Staleness: the greatest age belongs to the cache, not to an entry, and an entry is as old as the read that it was made
//!   of, not as its insertion.
//! - What was read before a key was forgotten is not inserted afterwards: a slow read does not bring back what a change
//!   has just put out.

use std::borrow::Borrow;
use std::collections::HashMap;
use std::hash::Hash;

use domain::clock::Timestamp;

/// Why a key of a cache may be trusted to mean what it meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyIdentity {
    /// It names one thing for ever; the text says why it is never given again.
    NeverRecurs(&'static str),
    /// It may come to mean another thing: the value is a hint. The text says what it is held against before it counts.
    CheckedAgainst(&'static str),
}

/// A key of an [`IsolateCache`].
pub trait CacheKey: Eq + Hash {
    /// What it identifies.
    const IDENTITY: KeyIdentity;
}

/// At most `capacity` entries, none older than the cache's life. When it is full, expired entries go first; if that makes
/// no room, those that were used longest ago go, an eighth of all at once, so that a flood of new keys costs little per
/// key.
pub struct IsolateCache<K, V> {
    capacity: usize,
    life_millis: i64,
    entries: HashMap<K, CacheEntry<V>>,
    uses: u64,
    forgotten_at: Option<Timestamp>,
}

struct CacheEntry<V> {
    value: V,
    read_at: Timestamp,
    used: u64,
}

impl<K: CacheKey, V> IsolateCache<K, V> {
    /// An empty cache of at most `capacity` entries (at least one), each good for `life_millis` after it was read.
    pub fn new(capacity: usize, life_millis: i64) -> Self {
        Self { capacity: capacity.max(1), life_millis, entries: HashMap::new(), uses: 0, forgotten_at: None }
    }

    /// The value of a key, unless it expired. Counts as a use.
    pub fn get<Q: Eq + Hash + ?Sized>(&mut self, key: &Q, now: Timestamp) -> Option<&mut V>
    where
        K: Borrow<Q>,
    {
        self.uses += 1;
        let life = self.life_millis;
        let entry = self.entries.get_mut(key).filter(|entry| is_good(entry.read_at, life, now))?;
        entry.used = self.uses;
        Some(&mut entry.value)
    }

    /// Stores what was read at `read_at`, in place of the key's value before. Does nothing if a key was forgotten since:
    /// what was read may be what had to go.
    pub fn insert(&mut self, key: K, value: V, read_at: Timestamp) {
        if self.forgotten_at.is_some_and(|at| read_at <= at) {
            return;
        }
        if self.entries.len() >= self.capacity && !self.entries.contains_key(&key) {
            self.make_room(read_at);
        }
        self.uses += 1;
        self.entries.insert(key, CacheEntry { value, read_at, used: self.uses });
    }

    /// Takes a key's value out, even if it expired, to be stored again or reported.
    pub fn take<Q: Eq + Hash + ?Sized>(&mut self, key: &Q) -> Option<V>
    where
        K: Borrow<Q>,
    {
        self.entries.remove(key).map(|entry| entry.value)
    }

    /// Drops a key's value, because what it tells has changed; with it, whatever is still being read.
    pub fn forget<Q: Eq + Hash + ?Sized>(&mut self, key: &Q, now: Timestamp)
    where
        K: Borrow<Q>,
    {
        self.entries.remove(key);
        self.forgotten_at = self.forgotten_at.max(Some(now));
    }

    /// The entries that have not expired. Does not count as a use.
    pub fn current(&self, now: Timestamp) -> impl Iterator<Item = (&K, &V)> {
        let life = self.life_millis;
        let good = self.entries.iter().filter(move |(_, entry)| is_good(entry.read_at, life, now));
        good.map(|(key, entry)| (key, &entry.value))
    }

    fn make_room(&mut self, now: Timestamp) {
        let life = self.life_millis;
        self.entries.retain(|_, entry| is_good(entry.read_at, life, now));
        if self.entries.len() < self.capacity {
            return;
        }
        let mut uses: Vec<u64> = self.entries.values().map(|entry| entry.used).collect();
        let (_, last_out, _) = uses.select_nth_unstable((self.capacity - 1) / 8);
        let last_out = *last_out;
        self.entries.retain(|_, entry| entry.used > last_out);
    }
}

fn is_good(read_at: Timestamp, life_millis: i64, now: Timestamp) -> bool {
    now.since(read_at) < life_millis
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    impl CacheKey for u8 {
        const IDENTITY: KeyIdentity = KeyIdentity::NeverRecurs("a test's numbers");
    }

    impl CacheKey for u32 {
        const IDENTITY: KeyIdentity = KeyIdentity::NeverRecurs("a test's numbers");
    }

    /// The same cache as a list, the entry that was used longest ago first.
    struct Model {
        capacity: usize,
        life: i64,
        entries: Vec<(u8, u32, i64)>,
        forgotten_at: Option<i64>,
    }

    impl Model {
        fn is_good(&self, read_at: i64, now: i64) -> bool {
            now - read_at < self.life
        }

        fn get(&mut self, key: u8, now: i64) -> Option<u32> {
            let at =
                self.entries.iter().position(|(known, _, read_at)| *known == key && self.is_good(*read_at, now))?;
            let entry = self.entries.remove(at);
            self.entries.push(entry);
            Some(entry.1)
        }

        fn insert(&mut self, key: u8, value: u32, read_at: i64) {
            if self.forgotten_at.is_some_and(|at| read_at <= at) {
                return;
            }
            let is_new = self.entries.iter().all(|(known, ..)| *known != key);
            if is_new && self.entries.len() >= self.capacity {
                let life = self.life;
                self.entries.retain(|(_, _, earlier)| read_at - earlier < life);
                if self.entries.len() >= self.capacity {
                    self.entries.drain(..=(self.capacity - 1) / 8);
                }
            }
            self.take(key);
            self.entries.push((key, value, read_at));
        }

        fn take(&mut self, key: u8) -> Option<u32> {
            let at = self.entries.iter().position(|(known, ..)| *known == key)?;
            Some(self.entries.remove(at).1)
        }
    }

    #[derive(Debug, Clone)]
    enum CacheAction {
        Get(u8),
        Current,
        /// Stores what was read so many milliseconds ago.
        Insert(u8, u32, i64),
        Take(u8),
        Forget(u8),
        Wait(i64),
    }

    fn action() -> impl Strategy<Value = CacheAction> {
        prop_oneof![
            (0..30u8).prop_map(CacheAction::Get),
            Just(CacheAction::Current),
            (0..30u8, any::<u32>(), 0..5i64).prop_map(|(key, value, ago)| CacheAction::Insert(key, value, ago)),
            (0..30u8, any::<u32>(), 0..5i64).prop_map(|(key, value, ago)| CacheAction::Insert(key, value, ago)),
            (0..30u8).prop_map(CacheAction::Take),
            (0..30u8).prop_map(CacheAction::Forget),
            (0..20i64).prop_map(CacheAction::Wait),
        ]
    }

    proptest! {
        #[test]
        fn a_cache_does_what_its_model_does(
            capacity in 1usize..20,
            life in 1i64..60,
            actions in proptest::collection::vec(action(), 0..200),
        ) {
            let mut cache = IsolateCache::new(capacity, life);
            let mut model = Model { capacity, life, entries: Vec::new(), forgotten_at: None };
            let mut now = 1_000;
            for action in actions {
                let time = Timestamp::from_millis(now);
                match action {
                    CacheAction::Get(key) => prop_assert_eq!(cache.get(&key, time).copied(), model.get(key, now)),
                    CacheAction::Current => {
                        let mut known: Vec<_> = cache.current(time).map(|(key, value)| (*key, *value)).collect();
                        let good = model.entries.iter().filter(|(.., read_at)| model.is_good(*read_at, now));
                        let mut expected: Vec<_> = good.map(|(key, value, _)| (*key, *value)).collect();
                        known.sort_unstable();
                        expected.sort_unstable();
                        prop_assert_eq!(known, expected);
                    }
                    CacheAction::Insert(key, value, ago) => {
                        cache.insert(key, value, time.plus_millis(-ago));
                        model.insert(key, value, now - ago);
                    }
                    CacheAction::Take(key) => prop_assert_eq!(cache.take(&key), model.take(key)),
                    CacheAction::Forget(key) => {
                        cache.forget(&key, time);
                        model.take(key);
                        model.forgotten_at = Some(now);
                    }
                    CacheAction::Wait(millis) => now += millis,
                }
                prop_assert!(cache.entries.len() <= capacity);
                prop_assert_eq!(cache.entries.len(), model.entries.len());
            }
        }
    }

    #[test]
    fn a_flood_of_new_keys_leaves_what_is_used() {
        let now = Timestamp::from_millis(0);
        let mut cache = IsolateCache::new(80, 60_000);
        cache.insert(0_u32, "used", now);
        for key in 1..10_000 {
            cache.insert(key, "flood", now);
            assert_eq!(cache.get(&0, now).copied(), Some("used"), "{key}");
        }
    }

    #[test]
    fn what_expired_goes_before_anything_that_did_not() {
        let now = Timestamp::from_millis(0);
        let mut cache = IsolateCache::new(16, 100);
        for key in 0..16_u32 {
            cache.insert(key, key, if key % 2 == 0 { now.plus_millis(90) } else { now });
        }
        cache.insert(16, 16, now.plus_millis(100));
        let kept = |key: u32| cache.entries.contains_key(&key);
        assert!((0..=16).step_by(2).all(kept) && !(1..16).step_by(2).any(kept));
    }

    #[test]
    fn an_entry_is_as_old_as_its_read_and_no_older_than_the_caches_life() {
        let read_at = Timestamp::from_millis(1_000);
        let mut cache = IsolateCache::new(2, 5_000);
        cache.insert(1_u8, "read", read_at);
        assert!(cache.get(&1, read_at.plus_millis(4_999)).is_some());
        assert!(cache.get(&1, read_at.plus_millis(5_000)).is_none());
    }

    #[test]
    fn a_slow_read_does_not_bring_back_what_was_forgotten() {
        let began = Timestamp::from_millis(1_000);
        let mut cache = IsolateCache::new(2, 5_000);
        cache.insert(1_u8, "old", began);
        cache.forget(&1, began.plus_millis(10));
        cache.insert(1, "old, read before", began.plus_millis(9));
        assert!(cache.get(&1, began.plus_millis(11)).is_none());
        cache.insert(1, "read since", began.plus_millis(11));
        assert_eq!(cache.get(&1, began.plus_millis(12)).copied(), Some("read since"));
    }
}
