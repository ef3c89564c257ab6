//! Turns of background work: which tenants a run serves, when one is served again, and how a turn is paced.
//!
//! Pure; the time is handed in.
//!
//! Invariants
//! - Whoever has waited longest is served first. Half of a run is for those that were served before, half for the others;
//!   what one half does not need is the other's. So whatever others do, each tenant that is due has its turn within so many
//!   runs as it takes to serve all tenants twice.
//! - A tenant whose work fails waits longer each time, up to about an hour, and takes no turn meanwhile. How long depends
//!   on its id too, so that those that failed together do not all come back together.
//! - A turn rests after each step for as long as the step took: a database serves it at most half of the time.

use crate::clock::Timestamp;

/// How long a tenant waits after its first failure, in milliseconds; twice as long after each further one.
const FIRST_WAIT_MILLIS: i64 = 60_000;
/// Failures beyond which the wait grows no more: 64 minutes.
const MOST_DOUBLINGS: u32 = 6;
/// The shortest and the longest rest after a step, in milliseconds.
const REST_MILLIS: (i64, i64) = (5, 1_000);

/// How a turn ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// Nothing is left to do.
    Done,
    /// Something is left for another turn.
    More,
    /// It failed, or brought nothing about.
    Failed,
}

/// What is to be remembered of a tenant after its turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// Nothing: it comes again once something is due.
    Forget,
    /// When it is due again, and how often it has failed in a row.
    At {
        /// When.
        due: Timestamp,
        /// How often.
        failures: u32,
    },
}

impl Outcome {
    /// What is remembered of a tenant that has failed so often in a row before this turn.
    pub fn next(self, tenant: &str, failures: u32, now: Timestamp) -> Next {
        match self {
            Self::Done => Next::Forget,
            Self::More => Next::At { due: now, failures: 0 },
            Self::Failed => {
                let failures = failures.saturating_add(1);
                Next::At { due: now.plus_millis(wait_millis(tenant, failures)), failures }
            }
        }
    }
}

/// How long somebody waits after so many failures in a row: a quarter less or more than the doubled wait, by its id.
pub fn wait_millis(id: &str, failures: u32) -> i64 {
    let doubled = FIRST_WAIT_MILLIS << failures.saturating_sub(1).min(MOST_DOUBLINGS);
    doubled * (768 + i64::from(jitter(id, failures) % 513)) / 1024
}

/// A number that depends on the id and on the failures (FNV-1a).
fn jitter(id: &str, failures: u32) -> u32 {
    let bytes = id.bytes().chain(failures.to_le_bytes());
    let hash = bytes.fold(0x811c_9dc5_u32, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193));
    // The low bits of FNV-1a alone are poor.
    hash ^ (hash >> 15)
}

/// Whom a run serves, at most so many, in this order: in turn those that were served before and the others, each list as
/// it is sorted, longest wait first.
pub fn choose<T>(again: Vec<T>, others: Vec<T>, most: usize) -> Vec<T> {
    let (mut again, mut others) = (again.into_iter(), others.into_iter());
    let mut chosen = Vec::new();
    loop {
        let before = chosen.len();
        for next in [again.next(), others.next()].into_iter().flatten() {
            if chosen.len() == most {
                return chosen;
            }
            chosen.push(next);
        }
        if chosen.len() == before {
            return chosen;
        }
    }
}

/// A run of background work. Once its time is over it begins no further turn.
#[derive(Debug, Clone, Copy)]
pub struct Run {
    until: Timestamp,
}

impl Run {
    /// A run that begins now and begins turns for so long.
    pub fn new(now: Timestamp, seconds: i64) -> Self {
        Self { until: now.plus_seconds(seconds) }
    }

    /// Whether a further turn may begin.
    pub fn has_time(&self, now: Timestamp) -> bool {
        now < self.until
    }
}

/// A turn: so many steps at most, and none begins once its time is over.
#[derive(Debug, Clone, Copy)]
pub struct Turn {
    steps: u32,
    until: Timestamp,
}

impl Turn {
    /// A turn that begins now.
    pub fn new(steps: u32, millis: i64, now: Timestamp) -> Self {
        Self { steps, until: now.plus_millis(millis) }
    }

    /// Takes a step, if one is left.
    pub fn take_step(&mut self, now: Timestamp) -> bool {
        let may = self.steps > 0 && now < self.until;
        self.steps = self.steps.saturating_sub(1);
        may
    }
}

/// How long to rest after a step that took so long, in milliseconds.
pub fn rest_millis(step: i64) -> i64 {
    step.clamp(REST_MILLIS.0, REST_MILLIS.1)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use proptest::prelude::*;

    fn at(millis: i64) -> Timestamp {
        Timestamp::from_millis(millis)
    }

    #[test]
    fn what_is_remembered_follows_from_how_the_turn_ended() {
        assert_eq!(Outcome::Done.next("acme", 3, at(7)), Next::Forget);
        assert_eq!(Outcome::More.next("acme", 3, at(7)), Next::At { due: at(7), failures: 0 });
        let Next::At { due, failures } = Outcome::Failed.next("acme", u32::MAX, at(7)) else { panic!("forgotten") };
        assert_eq!((due, failures), (at(7).plus_millis(wait_millis("acme", u32::MAX)), u32::MAX));
    }

    #[test]
    fn those_that_failed_together_come_back_at_different_times() {
        let waits: std::collections::BTreeSet<_> =
            (0..200).map(|i| wait_millis(&format!("t-{i}"), 1) / 1_000).collect();
        assert!(waits.len() > 20, "{waits:?}");
    }

    #[test]
    fn a_turn_ends_by_its_steps_and_by_its_time() {
        let mut turn = Turn::new(2, 100, at(0));
        assert_eq!([turn.take_step(at(0)), turn.take_step(at(99)), turn.take_step(at(99))], [true, true, false]);
        assert!(!Turn::new(2, 100, at(0)).take_step(at(100)));
    }

    #[test]
    fn both_lists_are_served_in_turn() {
        assert_eq!(choose(vec![1, 2, 3], vec![11, 12, 13], 4), [1, 11, 2, 12]);
        assert_eq!(choose(vec![1, 2, 3, 4], vec![11], 4), [1, 11, 2, 3]);
        assert_eq!(choose(vec![], vec![11, 12], 4), [11, 12]);
        assert_eq!(choose(vec![1], Vec::new(), 0), [0; 0]);
    }

    /// How a tenant behaves whenever it has its turn.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    enum Behaviour {
        /// It is done, and something new is due soon.
        Busy,
        /// It always has more to do.
        Endless,
        /// It fails.
        Stuck,
    }

    /// The tables, as the statements look at them.
    #[derive(Default)]
    struct Waiting {
        /// What is due of each tenant, and since when.
        due: BTreeMap<usize, i64>,
        /// What is remembered of it.
        remembered: BTreeMap<usize, (i64, u32)>,
    }

    impl Waiting {
        fn chosen(&self, now: i64, most: usize) -> Vec<usize> {
            let sorted = |mut list: Vec<(i64, usize)>| -> Vec<usize> {
                list.sort_unstable();
                list.into_iter().map(|(_, tenant)| tenant).collect()
            };
            let again = self.remembered.iter().filter(|(_, (due, _))| *due <= now);
            let others = self.due.iter().filter(|(tenant, due)| **due <= now && !self.remembered.contains_key(tenant));
            choose(
                sorted(again.map(|(tenant, (due, _))| (*due, *tenant)).collect()),
                sorted(others.map(|(tenant, due)| (*due, *tenant)).collect()),
                most,
            )
        }

        fn serve(&mut self, tenant: usize, behaviour: Behaviour, now: i64) {
            let failures = self.remembered.get(&tenant).map_or(0, |(_, failures)| *failures);
            let outcome = match behaviour {
                Behaviour::Busy => Outcome::Done,
                Behaviour::Endless => Outcome::More,
                Behaviour::Stuck => Outcome::Failed,
            };
            match outcome.next(&format!("t-{tenant}"), failures, at(now)) {
                Next::Forget => {
                    self.remembered.remove(&tenant);
                    self.due.insert(tenant, now + 1);
                }
                Next::At { due, failures } => {
                    self.remembered.insert(tenant, (due.millis(), failures));
                }
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        /// No tenant starves: from when it is due, each has its turn once half of each run could have served all others.
        #[test]
        fn every_tenant_that_is_due_has_its_turn(
            others in prop::collection::vec(prop_oneof![Just(Behaviour::Busy), Just(Behaviour::Endless), Just(Behaviour::Stuck)], 1..60),
            most in 2usize..12,
            joins_at in 0i64..20,
        ) {
            const RUN: i64 = 60_000;
            let mut waiting = Waiting::default();
            let quiet = others.len();
            for tenant in 0..quiet {
                waiting.due.insert(tenant, 0);
            }
            let bound = i64::try_from(others.len().div_ceil(most / 2) + 2).unwrap();
            let mut served = false;
            for run in 0..joins_at + bound {
                let now = 1 + run * RUN;
                if run == joins_at {
                    waiting.due.insert(quiet, now);
                }
                for tenant in waiting.chosen(now, most) {
                    served |= tenant == quiet;
                    let behaviour = others.get(tenant).copied().unwrap_or(Behaviour::Busy);
                    waiting.serve(tenant, behaviour, now);
                }
                if served {
                    break;
                }
            }
            prop_assert!(served, "not served within {bound} runs");
        }

        /// One that fails takes few turns, and none of those that the others would have had.
        #[test]
        fn a_stuck_tenant_takes_few_turns(others in 1usize..20, most in 2usize..6) {
            let mut waiting = Waiting::default();
            for tenant in 0..=others {
                waiting.due.insert(tenant, 0);
            }
            let mut turns = BTreeMap::<usize, u32>::new();
            for run in 0..24 * 60 {
                let now = 1 + run * 60_000;
                for tenant in waiting.chosen(now, most) {
                    *turns.entry(tenant).or_default() += 1;
                    let behaviour = if tenant == 0 { Behaviour::Stuck } else { Behaviour::Busy };
                    waiting.serve(tenant, behaviour, now);
                }
            }
            prop_assert!((5..=36).contains(&turns[&0]), "{turns:?}");
            let least = u32::try_from(24 * 60 / (others.div_ceil(most - 1) + 1)).unwrap();
            prop_assert!((1..=others).all(|tenant| turns[&tenant] >= least), "{least} {turns:?}");
        }

        #[test]
        fn waits_double_up_to_an_hour_and_a_quarter_apart(id in "[a-z0-9-]{1,40}", failures in 0u32..200) {
            let doubled = (60_000_i64 << failures.saturating_sub(1).min(6)) as f64;
            let wait = wait_millis(&id, failures) as f64;
            prop_assert!((0.74..=1.26).contains(&(wait / doubled)), "{wait}");
        }

        /// However long its steps take, a turn uses a database at most half of the time, short of a second's step.
        #[test]
        fn a_turn_rests_as_long_as_it_works(steps in prop::collection::vec(0i64..1_000, 1..50)) {
            let rests: i64 = steps.iter().map(|step| rest_millis(*step)).sum();
            prop_assert!(rests >= steps.iter().sum::<i64>());
        }
    }
}
