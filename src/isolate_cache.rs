//! What one isolate remembers: a bounded map whose entries expire.
//!
//! Pure; the time is handed in. Each isolate of the Worker has caches of its own, and a change does not reach those of
//! other isolates: an entry may be as old as its time to live.
//!
//! Identity rule: a key must name one thing for ever. A key that can be given again to another thing (a slug, a
//! revision that starts at 1 again) would show the new one's visitors what the old one's saw. Where a key can change
//! hands, what is cached must be a hint that somebody else checks before it counts.

use std::borrow::Borrow;
use std::collections::HashMap;
use std::hash::Hash;

use domain::clock::Timestamp;

/// At most `capacity` entries. When it is full, expired entries go first; if that makes no room, those that were used
/// longest ago go, an eighth of all at once, so that a flood of new keys costs little per key.
pub struct IsolateCache<K, V> {
    capacity: usize,
    entries: HashMap<K, CacheEntry<V>>,
    uses: u64,
}

struct CacheEntry<V> {
    value: V,
    expires_at: Timestamp,
    used: u64,
}

impl<K: Eq + Hash, V> IsolateCache<K, V> {
    /// An empty cache of at most `capacity` entries, at least one.
    pub fn new(capacity: usize) -> Self {
        Self { capacity: capacity.max(1), entries: HashMap::new(), uses: 0 }
    }

    /// The value of a key, unless it expired. Counts as a use.
    pub fn get<Q: Eq + Hash + ?Sized>(&mut self, key: &Q, now: Timestamp) -> Option<&mut V>
    where
        K: Borrow<Q>,
    {
        self.uses += 1;
        let entry = self.entries.get_mut(key).filter(|entry| now < entry.expires_at)?;
        entry.used = self.uses;
        Some(&mut entry.value)
    }

    /// The value of a key, even if it expired. Does not count as a use.
    pub fn peek<Q: Eq + Hash + ?Sized>(&self, key: &Q) -> Option<&V>
    where
        K: Borrow<Q>,
    {
        self.entries.get(key).map(|entry| &entry.value)
    }

    /// Stores a value until `expires_at`, in place of the key's value before.
    pub fn insert(&mut self, key: K, value: V, expires_at: Timestamp, now: Timestamp) {
        if self.entries.len() >= self.capacity && !self.entries.contains_key(&key) {
            self.make_room(now);
        }
        self.uses += 1;
        self.entries.insert(key, CacheEntry { value, expires_at, used: self.uses });
    }

    /// Takes a key's value out, even if it expired.
    pub fn remove<Q: Eq + Hash + ?Sized>(&mut self, key: &Q) -> Option<V>
    where
        K: Borrow<Q>,
    {
        self.entries.remove(key).map(|entry| entry.value)
    }

    fn make_room(&mut self, now: Timestamp) {
        self.entries.retain(|_, entry| now < entry.expires_at);
        if self.entries.len() < self.capacity {
            return;
        }
        let mut uses: Vec<u64> = self.entries.values().map(|entry| entry.used).collect();
        let (_, last_out, _) = uses.select_nth_unstable((self.capacity - 1) / 8);
        let last_out = *last_out;
        self.entries.retain(|_, entry| entry.used > last_out);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The same cache as a list, the entry that was used longest ago first.
    struct Model {
        capacity: usize,
        entries: Vec<(u8, u32, i64)>,
    }

    impl Model {
        fn get(&mut self, key: u8, now: i64) -> Option<u32> {
            let at = self.entries.iter().position(|(known, _, expires_at)| *known == key && now < *expires_at)?;
            let entry = self.entries.remove(at);
            self.entries.push(entry);
            Some(entry.1)
        }

        fn insert(&mut self, key: u8, value: u32, expires_at: i64, now: i64) {
            let is_new = self.entries.iter().all(|(known, ..)| *known != key);
            if is_new && self.entries.len() >= self.capacity {
                self.entries.retain(|(_, _, expires_at)| now < *expires_at);
                if self.entries.len() >= self.capacity {
                    self.entries.drain(..=(self.capacity - 1) / 8);
                }
            }
            self.remove(key);
            self.entries.push((key, value, expires_at));
        }

        fn remove(&mut self, key: u8) -> Option<u32> {
            let at = self.entries.iter().position(|(known, ..)| *known == key)?;
            Some(self.entries.remove(at).1)
        }
    }

    #[derive(Debug, Clone)]
    enum CacheAction {
        Get(u8),
        Peek(u8),
        Insert(u8, u32, i64),
        Remove(u8),
        Wait(i64),
    }

    fn action() -> impl Strategy<Value = CacheAction> {
        prop_oneof![
            (0..30u8).prop_map(CacheAction::Get),
            (0..30u8).prop_map(CacheAction::Peek),
            (0..30u8, any::<u32>(), 1..50i64).prop_map(|(key, value, millis)| CacheAction::Insert(key, value, millis)),
            (0..30u8).prop_map(CacheAction::Remove),
            (0..20i64).prop_map(CacheAction::Wait),
        ]
    }

    proptest! {
        #[test]
        fn a_cache_does_what_its_model_does(
            capacity in 1usize..20,
            actions in proptest::collection::vec(action(), 0..200),
        ) {
            let mut cache = IsolateCache::new(capacity);
            let mut model = Model { capacity, entries: Vec::new() };
            let mut now = 1_000;
            for action in actions {
                let time = Timestamp::from_millis(now);
                match action {
                    CacheAction::Get(key) => prop_assert_eq!(cache.get(&key, time).copied(), model.get(key, now)),
                    CacheAction::Peek(key) => {
                        let known = model.entries.iter().find(|(known, ..)| *known == key).map(|(_, value, _)| *value);
                        prop_assert_eq!(cache.peek(&key).copied(), known);
                    }
                    CacheAction::Insert(key, value, millis) => {
                        cache.insert(key, value, time.plus_millis(millis), time);
                        model.insert(key, value, now + millis, now);
                    }
                    CacheAction::Remove(key) => prop_assert_eq!(cache.remove(&key), model.remove(key)),
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
        let mut cache = IsolateCache::new(80);
        cache.insert(0, "used", now.plus_seconds(60), now);
        for key in 1..10_000 {
            cache.insert(key, "flood", now.plus_seconds(60), now);
            assert_eq!(cache.get(&0, now).copied(), Some("used"), "{key}");
        }
    }

    #[test]
    fn what_expired_goes_before_anything_that_did_not() {
        let now = Timestamp::from_millis(0);
        let mut cache = IsolateCache::new(16);
        for key in 0..16 {
            cache.insert(key, key, now.plus_millis(if key % 2 == 0 { 1000 } else { 10 }), now);
        }
        cache.insert(16, 16, now.plus_millis(1000), now.plus_millis(10));
        assert!((0..=16).step_by(2).all(|key| cache.peek(&key) == Some(&key)));
        assert!((1..16).step_by(2).all(|key| cache.peek(&key).is_none()));
    }
}
