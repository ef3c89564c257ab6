//! Answers in memory, within a bound of bytes. Of tenants that want more than there is, none holds more than a quarter, and what
//! was used longest ago goes first.

use std::collections::{BTreeMap, HashMap};
use std::hash::Hash;
use std::rc::Rc;

use super::cached_response::KeptAnswer;

/// Answers by tenant and key.
#[derive(Debug)]
pub struct AnswerMemory<Tenant> {
    bound: usize,
    share: usize,
    bytes: usize,
    uses: u64,
    tenants: HashMap<Tenant, TenantAnswers>,
    /// Whose answer was used when: the first was used longest ago.
    order: BTreeMap<u64, (Tenant, Box<str>)>,
}

#[derive(Debug, Default)]
struct TenantAnswers {
    bytes: usize,
    answers: HashMap<Box<str>, HeldAnswer>,
    order: BTreeMap<u64, Box<str>>,
}

#[derive(Debug)]
struct HeldAnswer {
    answer: Rc<KeptAnswer>,
    bytes: usize,
    used: u64,
    /// Whether it was asked for again since it was put here.
    is_in_demand: bool,
}

impl<Tenant: Clone + Eq + Hash> AnswerMemory<Tenant> {
    /// A memory of so many bytes, of which a tenant has a quarter.
    pub fn new(bound: usize) -> Self {
        Self::shared(bound, bound / 4)
    }

    /// A memory of so many bytes, of which a tenant has `share`.
    pub fn shared(bound: usize, share: usize) -> Self {
        Self { bound, share, bytes: 0, uses: 0, tenants: HashMap::new(), order: BTreeMap::new() }
    }

    /// The most that a tenant holds, in bytes: an answer that is larger is not held.
    pub fn share(&self) -> usize {
        self.share
    }

    /// An answer. Counts as a use.
    pub fn get(&mut self, tenant: &Tenant, key: &str) -> Option<Rc<KeptAnswer>> {
        let answers = self.tenants.get_mut(tenant)?;
        let held = answers.answers.get_mut(key)?;
        self.uses += 1;
        let before = std::mem::replace(&mut held.used, self.uses);
        if let Some(key) = answers.order.remove(&before) {
            answers.order.insert(self.uses, key);
        }
        if let Some(owner) = self.order.remove(&before) {
            self.order.insert(self.uses, owner);
        }
        Some(Rc::clone(&held.answer))
    }

    /// Whether an answer is asked for again for the first time since it was put here.
    pub fn comes_into_demand(&mut self, tenant: &Tenant, key: &str) -> bool {
        let held = self.tenants.get_mut(tenant).and_then(|answers| answers.answers.get_mut(key));
        held.is_some_and(|held| !std::mem::replace(&mut held.is_in_demand, true))
    }

    /// Holds an answer, in place of the one of before.
    pub fn put(&mut self, tenant: &Tenant, key: &str, answer: Rc<KeptAnswer>) {
        self.remove(tenant, key);
        let bytes = answer.bytes() + key.len();
        if bytes > self.share() {
            return;
        }
        while self.bytes_of(tenant) + bytes > self.share() && self.remove_oldest_of(tenant) {}
        while self.bytes + bytes > self.bound && self.remove_oldest() {}
        self.uses += 1;
        let answers = self.tenants.entry(tenant.clone()).or_default();
        answers.bytes += bytes;
        answers.order.insert(self.uses, key.into());
        answers.answers.insert(key.into(), HeldAnswer { answer, bytes, used: self.uses, is_in_demand: false });
        self.order.insert(self.uses, (tenant.clone(), key.into()));
        self.bytes += bytes;
    }

    /// Drops an answer.
    pub fn remove(&mut self, tenant: &Tenant, key: &str) {
        let Some(answers) = self.tenants.get_mut(tenant) else { return };
        let Some(held) = answers.answers.remove(key) else { return };
        answers.bytes -= held.bytes;
        answers.order.remove(&held.used);
        self.order.remove(&held.used);
        self.bytes -= held.bytes;
        if answers.answers.is_empty() {
            self.tenants.remove(tenant);
        }
    }

    fn bytes_of(&self, tenant: &Tenant) -> usize {
        self.tenants.get(tenant).map_or(0, |answers| answers.bytes)
    }

    fn remove_oldest_of(&mut self, tenant: &Tenant) -> bool {
        let oldest = self.tenants.get(tenant).and_then(|answers| answers.order.values().next().cloned());
        oldest.as_ref().is_some_and(|key| {
            self.remove(tenant, key);
            true
        })
    }

    fn remove_oldest(&mut self) -> bool {
        let oldest = self.order.values().next().cloned();
        oldest.is_some_and(|(tenant, key)| {
            self.remove(&tenant, &key);
            true
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::cached_response::ShownResponse;
    use super::super::lifetime::Lifetime;
    use super::*;
    use crate::clock::Timestamp;
    use crate::log_position::{Cursor, Epoch};
    use proptest::prelude::*;

    fn answer(bytes: usize) -> Rc<KeptAnswer> {
        Rc::new(KeptAnswer {
            began: Cursor { epoch: Epoch::from_random([1; 8]), seq: 0 },
            asked_at: Timestamp::from_millis(0),
            lifetime: Lifetime { fresh: 1, stale_while_revalidate: 0, stale_if_error: 0 },
            tags: Vec::new(),
            answer: ShownResponse { headers: Vec::new(), body: "x".repeat(bytes).into() },
        })
    }

    #[test]
    fn a_flood_of_one_tenant_leaves_the_others_alone() {
        let mut memory = AnswerMemory::new(40_000);
        memory.put(&"quiet", "a", answer(1_000));
        memory.put(&"loud", "used", answer(1_000));
        for nth in 0..1_000 {
            memory.put(&"loud", &format!("k{nth}"), answer(1_000));
            assert!(memory.get(&"loud", "used").is_some() && memory.bytes_of(&"loud") <= memory.share());
        }
        assert!(memory.get(&"quiet", "a").is_some() && memory.get(&"loud", "k999").is_some());
        assert!(memory.get(&"loud", "k0").is_none() && memory.get(&"other", "a").is_none());
    }

    #[test]
    fn an_answer_comes_into_demand_once() {
        let mut memory = AnswerMemory::new(40_000);
        assert!(!memory.comes_into_demand(&1, "a"), "it is not here");
        for _ in 0..2 {
            memory.put(&1, "a", answer(10));
            assert!(memory.comes_into_demand(&1, "a") && !memory.comes_into_demand(&1, "a"));
        }
    }

    #[test]
    fn an_answer_larger_than_a_share_is_not_held_and_the_one_of_before_goes() {
        let mut memory = AnswerMemory::new(40_000);
        memory.put(&1, "a", answer(10));
        memory.put(&1, "a", answer(10_000));
        assert!(memory.get(&1, "a").is_none());
        assert_eq!((memory.bytes, memory.order.len(), memory.tenants.len()), (0, 0, 0));
    }

    proptest! {
        /// Whatever is held and dropped, what is counted is what is there, and no bound is passed.
        #[test]
        fn it_holds_what_it_counts(acts in prop::collection::vec((0u8..6, 0u8..12, 0usize..9_000, 0u8..8), 0..300)) {
            let mut memory = AnswerMemory::new(40_000);
            for (tenant, key, bytes, act) in acts {
                let key = format!("k{key}");
                match act {
                    0 => memory.remove(&tenant, &key),
                    1 | 2 => drop(memory.get(&tenant, &key)),
                    _ => memory.put(&tenant, &key, answer(bytes)),
                }
                let held = |answers: &TenantAnswers| answers.answers.values().map(|held| held.bytes).sum::<usize>();
                prop_assert_eq!(memory.tenants.values().map(held).sum::<usize>(), memory.bytes);
                prop_assert!(memory.bytes <= 40_000);
                for answers in memory.tenants.values() {
                    prop_assert_eq!(held(answers), answers.bytes);
                    prop_assert!(answers.bytes <= 10_000 && answers.order.len() == answers.answers.len());
                }
                prop_assert_eq!(memory.order.len(), memory.tenants.values().map(|answers| answers.answers.len()).sum::<usize>());
            }
        }
    }
}
