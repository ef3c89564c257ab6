//! A collection that is made, hidden, shown, deleted and made again, and the changes of its records.

use super::reference::KnownEvent;
use super::steps::Becomes;
use super::world::{Closing, Fault, World, ensure};
use super::{announced, creation_id, record};
use crate::hub::protocol::Refusal;
use crate::hub::state_error::StateError;
use crate::storage::outbox::{CollectionsRead, CurrentCollectionRow};

impl World {
    /// What the hub reads of the collections now.
    fn collections(&self) -> CollectionsRead {
        let row = |(number, private): (u64, bool)| CurrentCollectionRow {
            slug: "leads".into(),
            creation_id: creation_id(number),
            public_read: i64::from(!private),
            created_at: 0,
        };
        CollectionsRead { last: self.outbox.len() as u64, collections: self.collection.map(row).into_iter().collect() }
    }

    /// What becomes of the collection is a row of the outbox; that it is made is none.
    pub fn change_collection(&mut self, becomes: Becomes, told: bool, late: bool) -> Result<String, Fault> {
        if !self.is_served() {
            return Ok("nobody writes".into());
        }
        let before = self.collection;
        let number = before.map_or(self.random(), |(number, _)| number);
        self.collection = match becomes {
            Becomes::Deleted => None,
            Becomes::Private => Some((number, true)),
            Becomes::Public => Some((number, false)),
        };
        if before.is_some() && before != self.collection {
            self.outbox.push(announced(self.outbox.len() as u64 + 1, number, becomes == Becomes::Private));
        }
        if told {
            self.learn(late)?;
        }
        Ok(format!("{:?}", self.collection))
    }

    /// The hub reads which collections stand, and perhaps once more, `late`, what was read before.
    fn learn(&mut self, late: bool) -> Result<bool, Fault> {
        // What a hub that wakes still has to send, it sends by what it knew.
        let woken = self.turn(&Closing::new(), |_| Ok(()))?;
        let (now, caller, read) = (self.now, self.caller(), self.collections());
        let before = std::mem::replace(&mut self.read_before, read.clone());
        let (outcome, failed) = self.run(|state| state.learn_collections(&caller, read, now));
        match &outcome {
            Ok(is_news) => {
                ensure!(*is_news, "what is read now is not news");
                self.reference.learn(self.collection);
            }
            Err(StateError::Storage(_)) => {}
            Err(StateError::Refused(refusal)) => return Err(format!("refused: {refusal:?}")),
        }
        self.check(&Closing::new(), failed)?;
        if late && outcome.is_ok() && before.last < self.outbox.len() as u64 {
            let late = self.turn(&Closing::new(), |state| state.learn_collections(&caller, before, now))?;
            ensure!(!matches!(late, Ok(true)), "what was read before is taken for news");
        }
        Ok(woken.is_ok() && outcome.is_ok())
    }

    pub fn change(&mut self, scores: &[(Option<u64>, u64)], again: usize) -> Result<String, Fault> {
        let Some((number, private)) = self.collection else { return Ok("there is no collection".into()) };
        let (now, caller, last) = (self.now, self.caller(), self.reference.last());
        let before = self.outbox.len();
        let mut rows = self.outbox[self.taken.saturating_sub(again)..].to_vec();
        let mut known = Vec::new();
        for ((marker, seq), scores) in (last + 1..).zip(before as u64 + 1..).zip(scores) {
            let row = record(seq, marker, *scores, number, private);
            let topics = vec!["records/leads".into(), format!("records/leads/{}", row.record_id)];
            let (scores, collection) = (Some(*scores), Some(number));
            known.push(KnownEvent { at: now, topics, private, scores, collection, was_hidden: false });
            rows.push(row);
        }
        let (behind, _) = self.run(|state| Ok(state.are_collections_behind(&rows)));
        self.check(&Closing::new(), true)?;
        if !behind.is_ok_and(|behind| !behind) && (!self.is_served() || !self.learn(false)?) {
            return Ok("what stands is not known".into());
        }
        self.outbox.extend_from_slice(&rows[rows.len() - scores.len()..]);
        let (outcome, failed) = self.run(|state| state.take_changes(&caller, rows, now));
        match &outcome {
            Ok(taken) => {
                ensure!(taken.events == scores.len() as u64 && taken.unreadable.is_empty(), "{taken:?}");
                self.reference.events.extend(known);
                self.taken = self.outbox.len();
            }
            Err(StateError::Refused(Refusal::Stopped)) => {
                ensure!(!self.is_served(), "refused: stopped");
                self.outbox.truncate(before);
            }
            Err(StateError::Storage(_)) => {
                self.reconcile(known)?;
                ensure!(self.reference.last() == last, "half a page of the outbox is in the log");
                self.outbox.truncate(before);
            }
            Err(StateError::Refused(refusal)) => return Err(format!("refused: {refusal:?}")),
        }
        self.check(&Closing::new(), failed)?;
        self.after_turn()?;
        Ok(format!("{:?}", outcome.map(|taken| taken.events)))
    }
}
