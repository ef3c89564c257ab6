//! What a change of a record is to whoever hears of it: it depends on what their list showed before and shows afterwards.
//!
//! Invariant: whoever applies what they are told to the list that they had has the list that there is.

use serde_json::{Map, Value};

use crate::filter::Filter;

/// What a change is told as.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ChangeAction {
    /// The record came into the list.
    Create,
    /// A record of the list changed.
    Update,
    /// A record of the list was deleted.
    Delete,
    /// A record left the list and is not deleted: it no longer matches.
    Leave,
}

impl ChangeAction {
    /// The action of this name, as events have it.
    pub fn parse(name: &str) -> Option<Self> {
        [Self::Create, Self::Update, Self::Delete, Self::Leave].into_iter().find(|known| known.name() == name)
    }

    /// Its name in events.
    pub fn name(self) -> &'static str {
        match self {
            Self::Create => "CREATE",
            Self::Update => "UPDATE",
            Self::Delete => "DELETE",
            Self::Leave => "LEAVE",
        }
    }

    /// Whether the record is told of by name alone: its id, collection and version.
    pub fn is_of_what_left(self) -> bool {
        matches!(self, Self::Delete | Self::Leave)
    }
}

/// A record before and after a change, as it is shown; none where there is none.
#[derive(Debug, Clone, PartialEq)]
pub struct RecordChange {
    /// As it was.
    pub before: Option<Map<String, Value>>,
    /// As it is.
    pub after: Option<Map<String, Value>>,
}

impl RecordChange {
    /// A change of which is known how the record is, and which members it had with other values. A value of null stands for
    /// a member that it did not have.
    pub fn of(after: Map<String, Value>, replaced: Map<String, Value>) -> Self {
        let mut before = after.clone();
        before.extend(replaced);
        Self { before: Some(before), after: Some(after) }
    }

    /// The members that had other values, with these values; null for those that the record did not have.
    pub fn replaced(before: Map<String, Value>, after: &Map<String, Value>) -> Map<String, Value> {
        let added = after.keys().filter(|name| !before.contains_key(*name)).map(|name| (name.clone(), Value::Null));
        let added: Vec<_> = added.collect();
        before.into_iter().filter(|(name, was)| after.get(name) != Some(was)).chain(added).collect()
    }

    /// What it is to somebody whose list shows the records that the filter admits, or all of them; none if they are not told.
    pub fn action(&self, filter: Option<&Filter>) -> Option<ChangeAction> {
        let shows = |record: &Option<Map<String, Value>>| {
            record.as_ref().is_some_and(|record| filter.is_none_or(|filter| filter.admits(record)))
        };
        match (shows(&self.before), shows(&self.after)) {
            (false, false) => None,
            (false, true) => Some(ChangeAction::Create),
            (true, true) => Some(ChangeAction::Update),
            (true, false) if self.after.is_none() => Some(ChangeAction::Delete),
            (true, false) => Some(ChangeAction::Leave),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use proptest::prelude::*;

    fn record(json: Value) -> Map<String, Value> {
        match json {
            Value::Object(record) => record,
            other => panic!("{other}"),
        }
    }

    #[test]
    fn what_is_told_depends_on_what_is_shown() {
        let filter = Filter::parse("score >= 3").unwrap();
        let scored = |score: Option<i64>| score.map(|score| record(serde_json::json!({ "id": "a", "score": score })));
        for (before, after, all, filtered) in [
            (None, Some(5), Some(ChangeAction::Create), Some(ChangeAction::Create)),
            (None, Some(1), Some(ChangeAction::Create), None),
            (Some(1), Some(5), Some(ChangeAction::Update), Some(ChangeAction::Create)),
            (Some(4), Some(5), Some(ChangeAction::Update), Some(ChangeAction::Update)),
            (Some(4), Some(1), Some(ChangeAction::Update), Some(ChangeAction::Leave)),
            (Some(2), Some(1), Some(ChangeAction::Update), None),
            (Some(4), None, Some(ChangeAction::Delete), Some(ChangeAction::Delete)),
            (Some(1), None, Some(ChangeAction::Delete), None),
        ] {
            let change = RecordChange { before: scored(before), after: scored(after) };
            assert_eq!((change.action(None), change.action(Some(&filter))), (all, filtered), "{change:?}");
        }
    }

    fn value() -> impl Strategy<Value = Value> {
        prop_oneof![
            Just(Value::Null),
            (0i64..4).prop_map(Value::from),
            "[ab]{0,2}".prop_map(Value::from),
            prop::collection::vec(0i64..4, 0..3).prop_map(Value::from),
        ]
    }

    fn fields() -> impl Strategy<Value = Map<String, Value>> {
        prop::collection::btree_map("[abc]", value(), 0..4).prop_map(|map| map.into_iter().collect())
    }

    fn filter() -> impl Strategy<Value = Filter> {
        prop::sample::select(vec![
            "a >= 2",
            "a = null",
            "a != null",
            "b ~ 'a' || c = 1",
            "c != 2 && b != 'ab'",
            "a < 3 && (b = null || c >= 1)",
        ])
        .prop_map(|text| Filter::parse(text).unwrap())
    }

    proptest! {
        /// What was told of a change says how the record was, as far as anybody can see.
        #[test]
        fn a_record_is_as_it_was_with_what_was_replaced(before in fields(), after in fields(), filter in filter()) {
            let change = RecordChange::of(after.clone(), RecordChange::replaced(before.clone(), &after));
            let told = RecordChange { before: Some(before), after: Some(after) };
            prop_assert_eq!(change.action(Some(&filter)), told.action(Some(&filter)));
        }

        /// Whoever had the list and applies what is told has the list that there is.
        #[test]
        fn a_list_that_applies_what_is_told_is_the_list(
            steps in prop::collection::vec((0u8..4, prop::option::of(fields())), 0..40),
            joined in 0usize..40,
            filter in prop::option::of(filter()),
        ) {
            let shown = |records: &BTreeMap<u8, Map<String, Value>>| {
                let mut shown = records.clone();
                shown.retain(|_, record| filter.as_ref().is_none_or(|filter| filter.admits(record)));
                shown
            };
            let (mut records, mut list) = (BTreeMap::new(), BTreeMap::new());
            for (at, (id, after)) in steps.into_iter().enumerate() {
                if at == joined {
                    list = shown(&records);
                }
                let before = match &after {
                    Some(after) => records.insert(id, after.clone()),
                    None => records.remove(&id),
                };
                let change = RecordChange { before, after };
                match change.action(filter.as_ref()) {
                    _ if at < joined => {}
                    Some(ChangeAction::Create) => prop_assert!(list.insert(id, change.after.unwrap()).is_none()),
                    Some(ChangeAction::Update) => prop_assert!(list.insert(id, change.after.unwrap()).is_some()),
                    Some(ChangeAction::Delete | ChangeAction::Leave) => prop_assert!(list.remove(&id).is_some()),
                    None => {}
                }
                if at >= joined {
                    prop_assert_eq!(&list, &shown(&records));
                }
            }
        }
    }
}
