//! What an event is to each stream: changes of records are judged by the stream's filter, live and in replays.
//!
//! A stream with a filter (`GET /events?topic=records/leads&filter=score>=3`) hears of the records that its list shows. So
//! one that comes to match is created to it, and one that matches no more leaves.
//!
//! Invariants
//! - An event that is not about a record passes no filter.
//! - In a batch, an event is parsed at most once, and only if a stream with a filter would get it; and a filter is
//!   evaluated once per event, however many streams have it.

use std::collections::HashMap;

use serde_json::{Map, Value};

use super::event_log::Entry;
use domain::filter::Filter;
use domain::record_change::{ChangeAction, RecordChange};

/// A stream's filter, with its canonical text, by which equal filters are recognised.
#[derive(Debug)]
pub struct RecordFilter {
    text: Box<str>,
    filter: Filter,
}

impl RecordFilter {
    /// None if the text is not a valid filter.
    pub fn parse(text: &str) -> Option<Self> {
        Some(Self { text: text.into(), filter: Filter::parse(text).ok()? })
    }

    /// Its canonical text, and what it says.
    pub fn parts(&self) -> (&str, &Filter) {
        (&self.text, &self.filter)
    }
}

/// How an event is told to a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Telling {
    /// As the log has it.
    AsStored,
    /// A change after which the stream's list shows the record for the first time: as its creation.
    Entering,
    /// A change after which the stream's list shows the record no more: that it left.
    Leaving,
}

/// The changes of a batch, with what was found out so far about them.
#[derive(Debug, Default)]
pub struct ChangeJudge<'f> {
    changes: HashMap<u64, Option<StoredChange>>,
    judged: HashMap<(u64, &'f str), Option<Telling>>,
}

impl<'f> ChangeJudge<'f> {
    /// How an event is told to a stream with this filter; none if it is not. Without a filter every event is told as it is.
    pub fn telling(&mut self, entry: &Entry, filter: Option<&'f RecordFilter>) -> Option<Telling> {
        let Some(RecordFilter { text, filter }) = filter else { return Some(Telling::AsStored) };
        let Self { changes, judged } = self;
        *judged.entry((entry.seq, text)).or_insert_with(|| {
            let change = changes.entry(entry.seq).or_insert_with(|| StoredChange::read(entry));
            change.as_ref().and_then(|change| change.telling(filter))
        })
    }
}

/// A change of a record, as the log has it.
#[derive(Debug)]
struct StoredChange {
    action: ChangeAction,
    change: RecordChange,
}

impl StoredChange {
    /// None if the event is not about a record.
    fn read(entry: &Entry) -> Option<Self> {
        if entry.update.is_some() {
            return None;
        }
        let mut event: Value = serde_json::from_str(&format!("{{{}", entry.tail)).ok()?;
        let action = ChangeAction::parse(event.get("action")?.as_str()?)?;
        let shown = match event.get_mut("data")?.get_mut("record").map(Value::take) {
            Some(Value::Object(record)) => Some(record),
            _ => None,
        };
        let replaced: Option<Map<String, Value>> = match &entry.before {
            Some(before) => serde_json::from_str(before).ok(),
            None => None,
        };
        let change = match (action, shown, replaced) {
            (ChangeAction::Create, after @ Some(_), _) => RecordChange { before: None, after },
            (ChangeAction::Update, Some(after), Some(replaced)) => RecordChange::of(after, replaced),
            // Of before the log held what was: nobody knows whether it matched.
            (ChangeAction::Update, Some(after), None) => {
                RecordChange { before: Some(after.clone()), after: Some(after) }
            }
            (ChangeAction::Delete, None, before @ Some(_)) | (ChangeAction::Delete, before @ Some(_), None) => {
                RecordChange { before, after: None }
            }
            _ => return None,
        };
        Some(Self { action, change })
    }

    fn telling(&self, filter: &Filter) -> Option<Telling> {
        Some(match self.change.action(Some(filter))? {
            action if action == self.action => Telling::AsStored,
            ChangeAction::Leave => Telling::Leaving,
            ChangeAction::Create => Telling::Entering,
            ChangeAction::Update | ChangeAction::Delete => Telling::AsStored,
        })
    }
}

/// The name and the JSON behind the id of an event, told otherwise than the log has it. As the log has it, if that is not
/// about a record.
pub fn retold(entry: &Entry, action: ChangeAction) -> (String, String) {
    let name = match entry.name.rsplit_once('.') {
        Some((collection, _)) => format!("{collection}.{}", action.name().to_ascii_lowercase()),
        None => entry.name.clone(),
    };
    let retold = || {
        let mut event: Map<String, Value> = serde_json::from_str(&format!("{{{}", entry.tail)).ok()?;
        *event.get_mut("action")? = action.name().into();
        if action.is_of_what_left() {
            event.get_mut("data")?.as_object_mut()?.remove("record");
        }
        Value::Object(event).to_string().strip_prefix('{').map(str::to_owned)
    };
    (name, retold().unwrap_or_else(|| entry.tail.clone()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(seq: u64, action: &str, data: &str, before: Option<&str>) -> Entry {
        let tail = format!("\"node_type\":\"leads\",\"action\":\"{action}\",\"data\":{data},\"occurred_at\":\"x\"}}");
        let name = format!("leads.{}", action.to_ascii_lowercase());
        let before = before.map(str::to_owned);
        Entry {
            seq,
            topics: Vec::new(),
            private: false,
            name,
            tail,
            update: None,
            creation_id: None,
            before,
            change: None,
        }
    }

    #[test]
    fn a_filter_sees_the_record_as_it_was_and_as_it_is_and_nothing_else_passes_it() {
        use Telling::{AsStored, Entering, Leaving};
        let filter = RecordFilter::parse("score>=3").unwrap();
        let mut judge = ChangeJudge::default();
        let record = |score: u64| format!(r#"{{"id":"a","record":{{"score":{score}}}}}"#);
        let gone = r#"{"id":"a"}"#;
        for (seq, (action, data, before, telling)) in [
            ("CREATE", &*record(3), None, Some(AsStored)),
            ("CREATE", &*record(2), None, None),
            ("UPDATE", &*record(3), Some(r#"{"score":4}"#), Some(AsStored)),
            ("UPDATE", &*record(3), Some(r#"{"version":1}"#), Some(AsStored)),
            ("UPDATE", &*record(3), Some(r#"{"score":null}"#), Some(Entering)),
            ("UPDATE", &*record(2), Some(r#"{"score":3}"#), Some(Leaving)),
            ("UPDATE", &*record(2), Some(r#"{"score":1}"#), None),
            ("DELETE", gone, Some(r#"{"score":3}"#), Some(AsStored)),
            ("DELETE", gone, Some(r#"{"score":2}"#), None),
            // Of a log of before.
            ("UPDATE", &*record(3), None, Some(AsStored)),
            ("UPDATE", &*record(2), None, None),
            ("DELETE", &*record(3), None, Some(AsStored)),
            ("DELETE", &*record(2), None, None),
            // Of no record.
            ("UPDATE", r#"{"id":"c","score":5,"record":{}}"#, None, None),
            ("UPDATE", r#"{"score":5}"#, None, None),
            ("UPDATE", "null", None, None),
            ("DELETE", "\"text\"", None, None),
            ("shown", &*record(3), None, None),
        ]
        .into_iter()
        .enumerate()
        {
            let entry = entry(seq as u64, action, data, before);
            assert_eq!(judge.telling(&entry, Some(&filter)), telling, "{action} {data} {before:?}");
            assert_eq!(judge.telling(&entry, Some(&filter)), telling, "{action} {data} {before:?}, again");
            assert_eq!(judge.telling(&entry, None), Some(AsStored));
        }
        assert!(RecordFilter::parse("score >=").is_none());
    }

    #[test]
    fn without_a_filter_no_event_is_parsed() {
        let mut judge = ChangeJudge::default();
        assert!(judge.telling(&entry(1, "UPDATE", "no JSON", None), None).is_some());
        assert!(judge.changes.is_empty() && judge.judged.is_empty());
    }

    #[test]
    fn what_left_is_told_by_its_name_and_what_came_as_it_is() {
        let changed = entry(1, "UPDATE", r#"{"id":"a","collection":"leads","version":2,"record":{"z":1,"a":2}}"#, None);
        let event = |action: &str, data: &str| {
            format!(r#""node_type":"leads","action":"{action}","data":{data},"occurred_at":"x"}}"#)
        };
        let (name, tail) = retold(&changed, ChangeAction::Leave);
        assert_eq!(
            (name.as_str(), tail),
            ("leads.leave", event("LEAVE", r#"{"id":"a","collection":"leads","version":2}"#))
        );
        let (name, tail) = retold(&changed, ChangeAction::Create);
        let data = r#"{"id":"a","collection":"leads","version":2,"record":{"z":1,"a":2}}"#;
        assert_eq!((name.as_str(), tail), ("leads.create", event("CREATE", data)));
    }
}
