//! Filters of streams that ask for some records only: `GET /events?topic=records/leads&filter=score>=3`.
//!
//! Invariants
//! - An event that is not about a record passes no filter.
//! - In a batch, an event is parsed at most once, and only if a stream with a filter would get it; and a filter is
//!   evaluated once per event, however many streams have it.

use std::collections::HashMap;

use serde_json::{Map, Value};

use super::event_log::Entry;
use domain::filter::Filter;

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
}

/// The filters of a batch, with what was found out so far about its events.
#[derive(Debug, Default)]
pub struct RecordFilters<'f> {
    records: HashMap<u64, Option<Map<String, Value>>>,
    passed: HashMap<(u64, &'f str), bool>,
}

impl<'f> RecordFilters<'f> {
    /// Whether an event passes; without a filter every event does.
    pub fn passes(&mut self, entry: &Entry, filter: Option<&'f RecordFilter>) -> bool {
        let Some(RecordFilter { text, filter }) = filter else { return true };
        let Self { records, passed } = self;
        *passed.entry((entry.seq, text)).or_insert_with(|| {
            let record = records.entry(entry.seq).or_insert_with(|| match entry.update {
                Some(_) => None,
                None => record(&entry.tail),
            });
            record.as_ref().is_some_and(|record| filter.admits(record))
        })
    }
}

/// The record in an event's `data`.
fn record(tail: &str) -> Option<Map<String, Value>> {
    let mut event: Value = serde_json::from_str(&format!("{{{tail}")).ok()?;
    match event.get_mut("data")?.get_mut("record")?.take() {
        Value::Object(record) => Some(record),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(seq: u64, data: &str) -> Entry {
        let tail = format!("\"action\":\"UPDATE\",\"data\":{data}}}");
        Entry { seq, topics: Vec::new(), private: false, name: String::new(), tail, update: None, creation_id: None }
    }

    #[test]
    fn a_filter_sees_the_record_and_nothing_else_passes_it() {
        let filter = RecordFilter::parse("score>=3").unwrap();
        let mut filters = RecordFilters::default();
        for (seq, data, passes) in [
            (1, r#"{"id":"a","record":{"score":3}}"#, true),
            (2, r#"{"id":"b","record":{"score":2}}"#, false),
            (3, r#"{"id":"c","score":5,"record":{}}"#, false),
            (4, r#"{"score":5}"#, false),
            (5, "null", false),
            (6, "\"text\"", false),
        ] {
            let entry = entry(seq, data);
            assert_eq!(filters.passes(&entry, Some(&filter)), passes, "{data}");
            assert_eq!(filters.passes(&entry, Some(&filter)), passes, "{data}, again");
            assert!(filters.passes(&entry, None));
        }
        assert!(RecordFilter::parse("score >=").is_none());
    }

    #[test]
    fn without_a_filter_no_event_is_parsed() {
        let mut filters = RecordFilters::default();
        assert!(filters.passes(&entry(1, "no JSON"), None));
        assert!(filters.records.is_empty() && filters.passed.is_empty());
    }
}
