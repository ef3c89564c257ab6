//! A model of a site, its log and two isolates, driven at random through the functions that the Worker calls: no isolate ever
//! shows an answer that is older than was promised.

use std::collections::HashMap;

use proptest::prelude::*;

use super::*;
use crate::clock::Timestamp;
use crate::log_position::{Cursor, Epoch};

/// How many nodes the site has. Question `n` asks for node `n`.
const NODES: usize = 4;
/// How old an isolate's knowledge may be, in milliseconds.
const STALENESS: i64 = 5_000;

#[derive(Debug, Clone)]
enum Step {
    /// The site changes a node; so many milliseconds later its webhook comes in at an isolate.
    ContentChange {
        node: usize,
        soft: bool,
        isolate: usize,
    },
    /// Somebody asks an isolate; the site's answer, if it has to be asked, comes so many milliseconds later.
    Ask {
        node: usize,
        isolate: usize,
        site_takes: i64,
        after_last_event: bool,
    },
    Wait(i64),
    /// The hub loses its log and begins another.
    Wipe,
    /// The hub trims purges up to the present.
    Trim,
    /// An isolate ends.
    Restart(usize),
}

struct LoggedPurge {
    entry: PurgeEntry,
}

struct Hub {
    epoch: u8,
    seq: u64,
    floor: u64,
    purges: Vec<LoggedPurge>,
}

impl Hub {
    fn cursor(&self, seq: u64) -> Cursor {
        Cursor { epoch: Epoch::from_random([self.epoch; 8]), seq }
    }

    fn news(&self, after: Option<&Cursor>) -> PurgeNews {
        let known = after.filter(|after| after.epoch == self.cursor(0).epoch).map_or(0, |after| after.seq);
        let floor = self.floor.max(known);
        let entries =
            self.purges.iter().filter(|purge| purge.entry.seq > floor).map(|purge| purge.entry.clone()).collect();
        PurgeNews { through: self.cursor(self.seq), floor, entries }
    }
}

/// A question to the site that is under way.
struct QuestionUnderWay {
    node: usize,
    isolate: usize,
    asked_at: Timestamp,
    began: Cursor,
    /// The site reads its database at once.
    read: u64,
    due: i64,
}

struct World {
    now: i64,
    hub: Hub,
    /// The version of each node, and when each version ended: at the moment that its purge was accepted.
    versions: [u64; NODES],
    ended_at: HashMap<(usize, u64), (i64, bool)>,
    known: [Option<KnownPurges>; 2],
    memory: [AnswerMemory<u8>; 2],
    /// The store that both share, as KV does.
    store: HashMap<usize, KeptAnswer>,
    under_way: Vec<QuestionUnderWay>,
}

impl World {
    fn new() -> Self {
        Self {
            now: 0,
            hub: Hub { epoch: 1, seq: 0, floor: 0, purges: Vec::new() },
            versions: [0; NODES],
            ended_at: HashMap::new(),
            known: [None, None],
            memory: [AnswerMemory::new(100_000), AnswerMemory::new(100_000)],
            store: HashMap::new(),
            under_way: Vec::new(),
        }
    }

    fn at(&self) -> Timestamp {
        Timestamp::from_millis(self.now)
    }

    fn renew(&mut self, isolate: usize) {
        let news = self.hub.news(self.known[isolate].as_ref().map(KnownPurges::through));
        let now = self.at();
        match self.known[isolate].as_mut() {
            Some(known) => known.learn(news, now),
            None => self.known[isolate] = Some(KnownPurges::new(news, now)),
        }
    }

    fn change(&mut self, node: usize, soft: bool, isolate: usize) {
        self.ended_at.insert((node, self.versions[node]), (self.now, soft));
        self.versions[node] += 1;
        self.hub.seq += 1;
        let tags = PurgeTags::default().key(Tag::parse(&format!("node{node}")).unwrap()).into_tags();
        let entry = PurgeEntry { seq: self.hub.seq, soft, tags };
        self.hub.purges.push(LoggedPurge { entry });
        // Where the webhook came in it binds at once.
        self.renew(isolate);
    }

    /// Asks an isolate as the Worker does. The version that is shown, if the site need not be asked.
    fn ask(
        &mut self,
        node: usize,
        isolate: usize,
        site_takes: i64,
        after: Option<Cursor>,
    ) -> Option<(u64, AnswerFreshness)> {
        let now = self.at();
        let is_known = self.known[isolate].as_ref().is_some_and(|known| {
            now.since(known.asked_at()) < STALENESS && after.as_ref().is_none_or(|event| known.has_heard(event))
        });
        if !is_known {
            self.renew(isolate);
        }
        let known = self.known[isolate].as_ref().unwrap();
        let held = self.memory[isolate].get(&0, &node.to_string());
        let kept = held.map(|held| (*held).clone()).or_else(|| self.store.get(&node).cloned());
        let freshness = kept.as_ref().map(|kept| kept.judge(known, after.is_some(), now));
        let shown = kept
            .zip(freshness)
            .filter(|(_, freshness)| matches!(freshness, AnswerFreshness::Fresh | AnswerFreshness::Stale(_)));
        if !matches!(freshness, Some(AnswerFreshness::Fresh)) {
            let began = known.through().clone();
            let due = self.now + site_takes;
            self.under_way.push(QuestionUnderWay {
                node,
                isolate,
                asked_at: now,
                began,
                read: self.versions[node],
                due,
            });
        }
        shown.map(|(kept, freshness)| (kept.answer.body.parse().unwrap(), freshness))
    }

    /// Answers of the site that are due are kept.
    fn fill(&mut self) {
        let (due, under_way) = self.under_way.drain(..).partition::<Vec<_>, _>(|under_way| under_way.due <= self.now);
        self.under_way = under_way;
        for QuestionUnderWay { node, isolate, asked_at, began, read, .. } in due {
            let body = format!("{{\"data\":{{\"node\":{read}}}}}");
            let headers = [("x-graphql-keys".to_owned(), format!("d graphql:Query node{node} list:x"))];
            let document = AnsweredDocument { operation: None, digest: "d", nests_connections: false };
            let sent = SentAnswer { status: 200, headers: &headers, body: &body };
            let mut kept =
                KeptAnswer::of_answer(&CacheSettings::default(), document, (asked_at, &began), &sent).unwrap();
            kept.answer.body = read.to_string().into();
            self.store.insert(node, kept.clone());
            self.memory[isolate].put(&0, &node.to_string(), kept.into(), ());
        }
    }
}

fn step() -> impl Strategy<Value = Step> {
    let isolate = 0usize..2;
    prop_oneof![
        3 => (0..NODES, prop::bool::weighted(0.3), isolate.clone())
            .prop_map(|(node, soft, isolate)| Step::ContentChange { node, soft, isolate }),
        8 => (0..NODES, isolate.clone(), 0i64..9_000, any::<bool>()).prop_map(|(node, isolate, site_takes, after_last_event)| {
            Step::Ask { node, isolate, site_takes, after_last_event }
        }),
        5 => prop_oneof![0i64..200, 0i64..20_000].prop_map(Step::Wait),
        1 => Just(Step::Wipe),
        1 => Just(Step::Trim),
        1 => isolate.prop_map(Step::Restart),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, ..ProptestConfig::default() })]

    #[test]
    fn no_answer_is_older_than_was_promised(steps in prop::collection::vec(step(), 1..60)) {
        let mut world = World::new();
        for step in steps {
            world.fill();
            match step {
                Step::ContentChange { node, soft, isolate } => world.change(node, soft, isolate),
                Step::Wait(millis) => world.now += millis,
                Step::Wipe => {
                    world.hub = Hub { epoch: world.hub.epoch + 1, seq: 0, floor: 0, purges: Vec::new() };
                }
                Step::Trim => {
                    world.hub.floor = world.hub.seq;
                    world.hub.purges.clear();
                }
                Step::Restart(isolate) => {
                    world.known[isolate] = None;
                    world.memory[isolate] = AnswerMemory::new(100_000);
                }
                Step::Ask { node, isolate, site_takes, after_last_event } => {
                    let after = after_last_event.then(|| world.hub.cursor(world.hub.seq));
                    let Some((version, freshness)) = world.ask(node, isolate, site_takes, after) else { continue };
                    let Some((ended_at, soft)) = world.ended_at.get(&(node, version)).copied() else { continue };
                    let since = world.now - ended_at;
                    if after_last_event {
                        prop_assert!(false, "version {version} ended {since} ms ago, and the event was heard");
                    } else if soft && version + 1 == world.versions[node] {
                        prop_assert!(since < STALENESS || matches!(freshness, AnswerFreshness::Stale(_)), "{freshness:?}");
                    } else if !soft {
                        prop_assert!(since < STALENESS, "version {version} ended {since} ms ago: {freshness:?}");
                    }
                }
            }
        }
    }
}
