//! Streams that asked for some records only: which events pass their filters.
//!
//! Invariants
//! - What is not a record's event passes no filter.
//! - An event is read at most once per batch, and only when a stream with a filter would get it; a filter judges an
//!   event once, however many streams have it.

use std::collections::HashMap;

use serde_json::{Map, Value};

use super::event_log::Entry;
use domain::filter::Filter;

/// A stream's filter: its canonical text, by which equal ones are known, and what was read from it.
#[derive(Debug)]
pub struct RecordFilter {
    text: Box<str>,
    filter: Filter,
}

impl RecordFilter {
    /// Reads a filter's text; none if it is not one.
    pub fn parse(text: &str) -> Option<Self> {
        Some(Self { text: text.into(), filter: Filter::parse(text).ok()? })
    }
}

/// What filters say of the events of a batch.
#[derive(Debug, Default)]
pub struct Sieve<'f> {
    records: HashMap<u64, Option<Map<String, Value>>>,
    verdicts: HashMap<(u64, &'f str), bool>,
}

impl<'f> Sieve<'f> {
    /// Whether an event passes; without a filter each does.
    pub fn passes(&mut self, entry: &Entry, filter: Option<&'f RecordFilter>) -> bool {
        let Some(RecordFilter { text, filter }) = filter else { return true };
        let Self { records, verdicts } = self;
        *verdicts.entry((entry.seq, text)).or_insert_with(|| {
            let record = records.entry(entry.seq).or_insert_with(|| match entry.update {
                Some(_) => None,
                None => record(&entry.tail),
            });
            record.as_ref().is_some_and(|record| filter.admits(record))
        })
    }
}

/// The record that an event shows.
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
        Entry { seq, topics: Vec::new(), private: false, name: String::new(), tail, update: None }
    }

    #[test]
    fn a_filter_sees_the_record_and_nothing_else_passes_it() {
        let filter = RecordFilter::parse("score>=3").unwrap();
        let mut sieve = Sieve::default();
        for (seq, data, passes) in [
            (1, r#"{"id":"a","record":{"score":3}}"#, true),
            (2, r#"{"id":"b","record":{"score":2}}"#, false),
            (3, r#"{"id":"c","score":5,"record":{}}"#, false),
            (4, r#"{"score":5}"#, false),
            (5, "null", false),
            (6, "\"text\"", false),
        ] {
            let entry = entry(seq, data);
            assert_eq!(sieve.passes(&entry, Some(&filter)), passes, "{data}");
            assert_eq!(sieve.passes(&entry, Some(&filter)), passes, "{data}, again");
            assert!(sieve.passes(&entry, None));
        }
        assert!(RecordFilter::parse("score >=").is_none());
    }

    #[test]
    fn what_is_asked_without_a_filter_reads_no_event() {
        let mut sieve = Sieve::default();
        assert!(sieve.passes(&entry(1, "no JSON"), None));
        assert!(sieve.records.is_empty() && sieve.verdicts.is_empty());
    }
}
