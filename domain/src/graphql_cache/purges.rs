//! What an isolate knows of a tenant's purges, and what that says of an answer.
//!
//! Invariants
//! - All purges between the floor and the position up to which it knows are known. Of those before the floor it knows that
//!   there may have been some: an answer that may have missed one counts as purged.
//! - Positions of another generation of the log cannot be compared: an answer that carries one counts as purged.
//! - To know more ends more: what is forgotten raises the floor.

use std::cell::Cell;
use std::collections::HashMap;

use serde::{Deserialize, Serialize};

use super::tags::Tag;
use crate::clock::Timestamp;
use crate::log_position::Cursor;

/// Most tags that are remembered of a tenant.
const MAX_REMEMBERED: usize = 5_000;

/// A purge as the log has it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PurgeEntry {
    /// Its number: that of the event that brought it.
    pub seq: u64,
    /// Whether what it names may be shown for a while, as what has expired may.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub soft: bool,
    /// What it names.
    pub tags: Vec<Tag>,
}

/// All purges behind `floor`, as of `through`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PurgeNews {
    /// The end of the log.
    pub through: Cursor,
    /// The number behind which no purge is left out.
    pub floor: u64,
    /// The purges, in order.
    pub entries: Vec<PurgeEntry>,
}

/// What the purges say of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PurgeVerdict {
    /// None names it.
    Good,
    /// One names it, and it may be shown for a while.
    Soft,
    /// One names it, or may have.
    Gone,
}

/// The last purges that named a tag; 0 for none.
#[derive(Debug, Clone, Copy, Default)]
struct LastPurges {
    hard: u64,
    soft: u64,
}

/// What an isolate knows of a tenant's purges.
#[derive(Debug)]
pub struct KnownPurges {
    through: Cursor,
    floor: u64,
    tags: HashMap<Tag, LastPurges>,
    asked_at: Timestamp,
    /// Whether purges were learnt that nobody has looked at.
    has_news: Cell<bool>,
}

impl KnownPurges {
    /// What the hub said first. `asked_at` is when it was asked.
    pub fn new(news: PurgeNews, asked_at: Timestamp) -> Self {
        let PurgeNews { through, floor, entries } = news;
        let mut known = Self { through, floor, tags: HashMap::new(), asked_at, has_news: Cell::new(false) };
        known.add(entries);
        known
    }

    /// The position up to which it knows.
    pub fn through(&self) -> &Cursor {
        &self.through
    }

    /// When it was asked last.
    pub fn asked_at(&self) -> Timestamp {
        self.asked_at
    }

    /// Whether it knows of an event that somebody has heard. One of another log, or of none, is not known.
    pub fn has_heard(&self, event: &Cursor) -> bool {
        self.through.epoch == event.epoch && event.seq <= self.through.seq
    }

    /// Takes in what the hub said to a question that was asked at a time. Answers may overtake each other.
    pub fn learn(&mut self, news: PurgeNews, asked_at: Timestamp) {
        if news.through.epoch != self.through.epoch {
            // Of two logs, that of the later question is the later one.
            if asked_at >= self.asked_at {
                *self = Self::new(news, asked_at);
                self.has_news.set(true);
            }
            return;
        }
        let PurgeNews { through, floor, entries } = news;
        // What was overtaken tells nothing new, and that nothing is missing.
        self.asked_at = self.asked_at.max(asked_at);
        if through.seq <= self.through.seq {
            return;
        }
        if floor > self.through.seq {
            self.floor = floor;
            self.tags.clear();
            self.has_news.set(true);
        }
        self.through = through;
        self.add(entries);
    }

    /// Whether purges were learnt since [`Self::take_news`].
    pub fn has_news(&self) -> bool {
        self.has_news.get()
    }

    /// Whether purges were learnt since it was called last.
    pub fn take_news(&self) -> bool {
        self.has_news.replace(false)
    }

    fn add(&mut self, entries: Vec<PurgeEntry>) {
        if !entries.is_empty() {
            self.has_news.set(true);
        }
        for PurgeEntry { seq, soft, tags } in entries {
            for tag in tags {
                let last = self.tags.entry(tag).or_default();
                let kind = if soft { &mut last.soft } else { &mut last.hard };
                *kind = seq.max(*kind);
            }
        }
        if self.tags.len() > MAX_REMEMBERED {
            self.forget_half();
        }
    }

    /// How many tags it remembers.
    pub fn len(&self) -> usize {
        self.tags.len()
    }

    /// Whether it remembers none.
    pub fn is_empty(&self) -> bool {
        self.tags.is_empty()
    }

    /// Forgets the older half: what may have missed one of these purges counts as purged.
    pub fn forget_half(&mut self) {
        let mut numbers: Vec<u64> = self.tags.values().map(|last| last.hard.max(last.soft)).collect();
        let middle = numbers.len() / 2;
        let (_, floor, _) = numbers.select_nth_unstable(middle);
        let floor = *floor;
        self.floor = self.floor.max(floor);
        self.tags.retain(|_, last| last.hard.max(last.soft) > floor);
    }

    /// What they say of an answer with these tags, whose question was sent when the log was known up to `began`.
    pub fn judge(&self, began: &Cursor, tags: &[Tag]) -> PurgeVerdict {
        if began.epoch != self.through.epoch || began.seq < self.floor {
            return PurgeVerdict::Gone;
        }
        let named = tags.iter().filter_map(|tag| self.tags.get(tag));
        named.fold(PurgeVerdict::Good, |verdict, last| match verdict {
            PurgeVerdict::Gone => verdict,
            _ if last.hard > began.seq => PurgeVerdict::Gone,
            _ if last.soft > began.seq => PurgeVerdict::Soft,
            _ => verdict,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log_position::Epoch;
    use proptest::prelude::*;

    fn cursor(epoch: u8, seq: u64) -> Cursor {
        Cursor { epoch: Epoch::from_random([epoch; 8]), seq }
    }

    fn tag(text: &str) -> Tag {
        Tag::parse(text).unwrap()
    }

    fn entry(seq: u64, text: &str) -> PurgeEntry {
        PurgeEntry { seq, soft: false, tags: vec![tag(text)] }
    }

    fn news(through: u64, floor: u64, entries: Vec<PurgeEntry>) -> PurgeNews {
        PurgeNews { through: cursor(1, through), floor, entries }
    }

    fn at(millis: i64) -> Timestamp {
        Timestamp::from_millis(millis)
    }

    #[test]
    fn what_was_learnt_is_news_once() {
        let mut known = KnownPurges::new(news(3, 0, Vec::new()), at(0));
        assert!(!known.has_news(), "nothing was purged");
        let other_log = PurgeNews { through: cursor(2, 1), floor: 0, entries: Vec::new() };
        for learnt in [news(4, 0, vec![entry(4, "a")]), news(9, 8, Vec::new()), other_log] {
            known.learn(learnt, at(1));
            assert!(known.has_news() && known.take_news() && !known.take_news() && !known.has_news());
        }
    }

    #[test]
    fn a_later_purge_of_one_of_its_tags_ends_an_answer() {
        let known = KnownPurges::new(news(9, 2, vec![entry(5, "a")]), at(0));
        let judge = |began, name: &str| known.judge(&cursor(1, began), &[tag("other"), tag(name)]);
        assert_eq!(
            [judge(4, "a"), judge(5, "a"), judge(4, "b")],
            [PurgeVerdict::Gone, PurgeVerdict::Good, PurgeVerdict::Good]
        );
        assert_eq!(judge(1, "b"), PurgeVerdict::Gone, "what was purged before the floor is not known");
        assert_eq!(known.judge(&cursor(2, 9), &[tag("b")]), PurgeVerdict::Gone, "another log");
    }

    #[test]
    fn a_soft_purge_lets_an_answer_be_shown_for_a_while_unless_a_hard_one_names_it() {
        let soft = PurgeEntry { soft: true, ..entry(5, "a") };
        let mut known = KnownPurges::new(news(5, 0, vec![soft]), at(0));
        assert_eq!(known.judge(&cursor(1, 4), &[tag("a")]), PurgeVerdict::Soft);
        known.learn(news(6, 5, vec![entry(6, "b")]), at(1));
        assert_eq!(known.judge(&cursor(1, 4), &[tag("a"), tag("b")]), PurgeVerdict::Gone);
        assert_eq!(known.judge(&cursor(1, 4), &[tag("b"), tag("a")]), PurgeVerdict::Gone);
    }

    #[test]
    fn news_that_leave_something_out_end_all_that_may_have_missed_it() {
        let mut known = KnownPurges::new(news(5, 0, vec![]), at(0));
        known.learn(news(20, 12, vec![entry(15, "a")]), at(1));
        assert_eq!(known.judge(&cursor(1, 11), &[tag("b")]), PurgeVerdict::Gone);
        assert_eq!(known.judge(&cursor(1, 12), &[tag("b")]), PurgeVerdict::Good);
        assert_eq!(known.judge(&cursor(1, 14), &[tag("a")]), PurgeVerdict::Gone);
    }

    #[test]
    fn news_that_were_overtaken_take_nothing_back() {
        let mut known = KnownPurges::new(news(9, 0, vec![entry(8, "a")]), at(10));
        known.learn(news(7, 0, vec![]), at(5));
        assert_eq!((known.through(), known.asked_at()), (&cursor(1, 9), at(10)));
        assert_eq!(known.judge(&cursor(1, 7), &[tag("a")]), PurgeVerdict::Gone);
        known.learn(PurgeNews { through: cursor(2, 1), floor: 0, entries: vec![] }, at(5));
        assert_eq!(known.through(), &cursor(1, 9), "a log of before");
        known.learn(PurgeNews { through: cursor(2, 1), floor: 0, entries: vec![] }, at(11));
        assert_eq!(known.judge(&cursor(1, 9), &[]), PurgeVerdict::Gone);
        assert!(known.has_heard(&cursor(2, 1)) && !known.has_heard(&cursor(2, 2)) && !known.has_heard(&cursor(1, 1)));
    }

    #[test]
    fn what_is_too_much_to_remember_raises_the_floor() {
        let mut known = KnownPurges::new(news(0, 0, vec![]), at(0));
        for seq in 1..=3 * MAX_REMEMBERED as u64 {
            known.learn(news(seq, seq - 1, vec![entry(seq, &format!("t{seq}"))]), at(1));
            assert!(known.tags.len() <= MAX_REMEMBERED);
        }
        assert_eq!(known.judge(&cursor(1, 5), &[tag("never")]), PurgeVerdict::Gone);
        assert_eq!(known.judge(&cursor(1, 3 * MAX_REMEMBERED as u64), &[tag("never")]), PurgeVerdict::Good);
    }

    proptest! {
        /// Whatever part of the log an isolate was told, in whatever order, it takes no answer for good that a purge of the whole
        /// log has ended.
        #[test]
        fn no_answer_outlives_its_purge(
            purges in prop::collection::vec((0u8..4, any::<bool>()), 0..30),
            told in prop::collection::vec((0u64..31, 0u64..31), 1..8),
            began in 0u64..31,
            of in 0u8..4,
        ) {
            let log: Vec<PurgeEntry> = purges.iter().zip(1u64..).map(|((name, soft), seq)| {
                PurgeEntry { seq, soft: *soft, tags: vec![tag(&name.to_string())] }
            }).collect();
            let part = |(floor, through): (u64, u64)| {
                let through = through.min(log.len() as u64).max(floor.min(log.len() as u64));
                let entries = log.iter().filter(|entry| entry.seq > floor && entry.seq <= through).cloned().collect();
                news(through, floor.min(through), entries)
            };
            let mut known: Option<KnownPurges> = None;
            for (nth, one) in told.into_iter().enumerate() {
                let time = at(nth as i64);
                match known.as_mut() {
                    Some(known) => known.learn(part(one), time),
                    None => known = Some(KnownPurges::new(part(one), time)),
                }
            }
            let known = known.unwrap();
            let through = known.through().seq;
            let began = began.min(through);
            let purged = |soft: bool| log.iter().any(|entry| entry.seq > began && entry.seq <= through && entry.soft == soft
                && entry.tags == [tag(&of.to_string())]);
            let verdict = known.judge(&cursor(1, began), &[tag(&of.to_string())]);
            if purged(false) { prop_assert_eq!(verdict, PurgeVerdict::Gone); }
            if purged(true) { prop_assert_ne!(verdict, PurgeVerdict::Good); }
            if began >= known.floor && !purged(false) && !purged(true) { prop_assert_eq!(verdict, PurgeVerdict::Good); }
        }
    }
}
