//! Answers in memory, within a bound of bytes. Of tenants that want more than there is, none holds more than a quarter, and what
//! was used longest ago goes first.
//!
//! Beside an answer lies the question by which it can be asked for again, so that those which are wanted most can be fetched
//! anew when a purge has ended them.

use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap};
use std::hash::Hash;
use std::rc::Rc;

use super::cached_response::KeptAnswer;
use super::purges::{KnownPurges, PurgeVerdict};
use crate::clock::Timestamp;

/// Most answers of a tenant that are held against its purges to find those to fetch anew: its most wanted ones.
const MAX_CONSIDERED: usize = 200;

/// What takes space in memory.
pub trait Weighed {
    /// How much, in bytes.
    fn bytes(&self) -> usize;
}

impl Weighed for () {
    fn bytes(&self) -> usize {
        0
    }
}

impl<T: Weighed> Weighed for Option<Rc<T>> {
    fn bytes(&self) -> usize {
        self.as_ref().map_or(0, |held| held.bytes())
    }
}

/// Answers by tenant and key, each with its question.
#[derive(Debug)]
pub struct AnswerMemory<Tenant, Question = ()> {
    bound: usize,
    share: usize,
    bytes: usize,
    uses: u64,
    tenants: HashMap<Tenant, TenantAnswers<Question>>,
    /// Whose answer was used when: the first was used longest ago.
    order: BTreeMap<u64, (Tenant, Box<str>)>,
}

#[derive(Debug)]
struct TenantAnswers<Question> {
    bytes: usize,
    answers: HashMap<Box<str>, HeldAnswer<Question>>,
    order: BTreeMap<u64, Box<str>>,
}

impl<Question> Default for TenantAnswers<Question> {
    fn default() -> Self {
        Self { bytes: 0, answers: HashMap::new(), order: BTreeMap::new() }
    }
}

#[derive(Debug)]
struct HeldAnswer<Question> {
    answer: Rc<KeptAnswer>,
    question: Question,
    bytes: usize,
    used: u64,
    /// How often it was asked for, the answer in whose place it came included. Half of it counts on when it is fetched again by
    /// itself.
    uses: u32,
    /// Whether it was asked for again since it was put here.
    is_in_demand: bool,
}

impl<Tenant: Clone + Eq + Hash, Question: Clone + Weighed> AnswerMemory<Tenant, Question> {
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
        held.uses = held.uses.saturating_add(1);
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

    /// Holds an answer with its question, in place of the one of before.
    pub fn put(&mut self, tenant: &Tenant, key: &str, answer: Rc<KeptAnswer>, question: Question) {
        let uses = self.remove(tenant, key);
        let bytes = answer.bytes() + key.len() + question.bytes();
        if bytes > self.share() {
            return;
        }
        while self.bytes_of(tenant) + bytes > self.share() && self.remove_oldest_of(tenant) {}
        while self.bytes + bytes > self.bound && self.remove_oldest() {}
        self.uses += 1;
        let answers = self.tenants.entry(tenant.clone()).or_default();
        answers.bytes += bytes;
        answers.order.insert(self.uses, key.into());
        let held = HeldAnswer { answer, question, bytes, used: self.uses, uses, is_in_demand: false };
        answers.answers.insert(key.into(), held);
        self.order.insert(self.uses, (tenant.clone(), key.into()));
        self.bytes += bytes;
    }

    /// Whether answers of a tenant are held.
    pub fn holds_some(&self, tenant: &Tenant) -> bool {
        self.tenants.contains_key(tenant)
    }

    /// The questions to ask anew after purges, at most so many: of answers that a purge has ended and that were asked for again
    /// while they counted. Those that may still be shown for a while come first, then those that were asked for most. Only
    /// questions that `may_ask` takes.
    pub fn to_warm(
        &mut self,
        tenant: &Tenant,
        (known, now): (&KnownPurges, Timestamp),
        most: usize,
        may_ask: impl Fn(&Question) -> bool,
    ) -> Vec<Question> {
        let Some(answers) = self.tenants.get_mut(tenant) else { return Vec::new() };
        let is_wanted = |held: &&mut HeldAnswer<Question>| {
            held.uses > 0 && held.answer.age(now) < held.answer.lifetime.whole() && may_ask(&held.question)
        };
        let mut wanted: Vec<&mut HeldAnswer<Question>> = answers.answers.values_mut().filter(is_wanted).collect();
        wanted.sort_unstable_by_key(|held| (Reverse(held.uses), Reverse(held.used)));
        wanted.truncate(MAX_CONSIDERED);
        let verdict = |held: &HeldAnswer<Question>| known.judge(&held.answer.began, &held.answer.tags);
        let judged = wanted.into_iter().map(|held| (verdict(held), held));
        let (soft, others): (Vec<_>, Vec<_>) = judged.partition(|(verdict, _)| *verdict == PurgeVerdict::Soft);
        let gone = others.into_iter().filter(|(verdict, _)| *verdict == PurgeVerdict::Gone);
        let taken = soft.into_iter().chain(gone).take(most);
        let question = |(_, held): (PurgeVerdict, &mut HeldAnswer<Question>)| {
            held.uses /= 2;
            held.question.clone()
        };
        taken.map(question).collect()
    }

    /// Drops an answer. How often it was asked for.
    pub fn remove(&mut self, tenant: &Tenant, key: &str) -> u32 {
        let Some(answers) = self.tenants.get_mut(tenant) else { return 0 };
        let Some(held) = answers.answers.remove(key) else { return 0 };
        answers.bytes -= held.bytes;
        answers.order.remove(&held.used);
        self.order.remove(&held.used);
        self.bytes -= held.bytes;
        if answers.answers.is_empty() {
            self.tenants.remove(tenant);
        }
        held.uses
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
    use super::super::purges::{PurgeEntry, PurgeNews};
    use super::super::tags::Tag;
    use super::*;
    use crate::log_position::{Cursor, Epoch};
    use proptest::prelude::*;

    struct Named(&'static str);

    impl Weighed for Named {
        fn bytes(&self) -> usize {
            self.0.len()
        }
    }

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
        memory.put(&"quiet", "a", answer(1_000), ());
        memory.put(&"loud", "used", answer(1_000), ());
        for nth in 0..1_000 {
            memory.put(&"loud", &format!("k{nth}"), answer(1_000), ());
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
            memory.put(&1, "a", answer(10), ());
            assert!(memory.comes_into_demand(&1, "a") && !memory.comes_into_demand(&1, "a"));
        }
    }

    #[test]
    fn what_is_wanted_most_is_fetched_anew_and_the_softly_purged_first() {
        let epoch = Epoch::from_random([1; 8]);
        let entry = |seq, soft, tag| PurgeEntry { seq, soft, tags: vec![Tag::parse(tag).unwrap()] };
        let entries = vec![entry(1, false, "hard"), entry(2, true, "soft")];
        let news = PurgeNews { through: Cursor { epoch, seq: 2 }, floor: 0, entries };
        let known = KnownPurges::new(news, Timestamp::from_millis(0));
        let tagged = |tag| {
            let lifetime = Lifetime { fresh: 1_000, stale_while_revalidate: 0, stale_if_error: 0 };
            Rc::new(KeptAnswer { tags: vec![Tag::parse(tag).unwrap()], lifetime, ..answer(10).as_ref().clone() })
        };
        let mut memory = AnswerMemory::new(40_000);
        let all = [
            ("a", "hard", 3),
            ("b", "soft", 1),
            ("c", "other", 9),
            ("d", "hard", 0),
            ("e", "soft", 2),
            ("f", "hard", 5),
        ];
        for (key, tag, uses) in all {
            memory.put(&1, key, tagged(tag), Some(Rc::new(Named(key))));
            (0..uses).for_each(|_| drop(memory.get(&1, key)));
        }
        type Questions = Vec<Option<Rc<Named>>>;
        let named = |memory: &mut AnswerMemory<i32, _>, tenant, at, most| {
            let may_ask = |question: &Option<Rc<Named>>| question.as_ref().is_some_and(|one| one.0 != "x");
            let at = (&known, Timestamp::from_millis(at));
            let questions: Questions = memory.to_warm(&tenant, at, most, may_ask);
            questions.into_iter().flatten().map(|one| one.0).collect::<String>()
        };
        memory.put(&1, "x", tagged("soft"), Some(Rc::new(Named("x"))));
        (0..20).for_each(|_| drop(memory.get(&1, "x")));
        assert_eq!([named(&mut memory, 1, 1_000, 9), named(&mut memory, 2, 0, 9)], ["", ""], "too old, and another's");
        // What nobody asks for is fetched anew a few times at most, whether the site gives an answer or not.
        assert_eq!(named(&mut memory, 1, 999, 1), "e");
        memory.put(&1, "e", tagged("soft"), Some(Rc::new(Named("e"))));
        let rounds: Vec<String> = (0..4).map(|_| named(&mut memory, 1, 999, 9)).collect();
        assert_eq!(rounds, ["ebfa", "fa", "f", ""]);
    }

    #[test]
    fn an_answer_larger_than_a_share_is_not_held_and_the_one_of_before_goes() {
        let mut memory = AnswerMemory::new(40_000);
        memory.put(&1, "a", answer(10), ());
        memory.put(&1, "a", answer(10_000), ());
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
                    0 => drop(memory.remove(&tenant, &key)),
                    1 | 2 => drop(memory.get(&tenant, &key)),
                    _ => memory.put(&tenant, &key, answer(bytes), ()),
                }
                let held = |answers: &TenantAnswers<()>| answers.answers.values().map(|held| held.bytes).sum::<usize>();
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
