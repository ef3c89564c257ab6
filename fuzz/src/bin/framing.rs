//! Frames of the event stream: whatever the texts, a reader gets the events that were written, with their fields and
//! no others.
#![no_main]

use carillon_fuzz::event_stream::{Event, read};
use domain::frame::Frames;
use domain::log_position::{Cursor, Epoch};
use libfuzzer_sys::fuzz_target;
use serde_json::value::RawValue;

/// What a field of one line makes of a text.
fn on_one_line(text: &str) -> String {
    text.replace(['\r', '\n', '\0'], " ")
}

fn named(name: &str) -> String {
    if name.is_empty() { "message".into() } else { on_one_line(name) }
}

/// An update as its publisher has it: what becomes its id and its time to come back, if it has any.
type Update<'a> = (&'a str, Option<u64>);

fuzz_target!(|input: (Option<u32>, &str, &str, Option<&str>, &str, u64, Update<'_>)| {
    let (retry, name, text, event_name, json, seq, (update_id, update_retry)) = input;
    let cursor = Cursor { epoch: Epoch::from_random([7; 8]), seq };
    let mut frames = Frames::new();
    if let Some(retry) = retry {
        frames.retry(retry);
    }
    frames.control(name, None, text);
    let data = text.replace("\r\n", "\n").replace('\r', "\n");
    let mut expected = vec![Event { name: named(name), data: data.clone(), last_id: String::new() }];
    // An event's JSON stands on one line: line breaks can only be white space between its tokens.
    let json = RawValue::from_string(json.into()).map(|json| json.get().replace(['\r', '\n'], " "));
    let tail = format!("\"data\":{}}}", json.unwrap_or_else(|_| "null".into()));
    frames.event(&cursor, event_name, &tail);
    expected.push(Event {
        name: event_name.map_or_else(|| "message".into(), named),
        data: format!("{{\"id\":\"{cursor}\",{tail}"),
        last_id: cursor.to_string(),
    });
    frames.comment().update(update_id, event_name, update_retry, text).comment();
    let last_id = on_one_line(update_id);
    expected.push(Event { name: event_name.map_or_else(|| "message".into(), named), data, last_id: last_id.clone() });
    let reading = read(&frames.into_string());
    assert_eq!(reading.events, expected);
    assert_eq!(reading.last_id, last_id);
    assert_eq!(reading.retries, retry.into_iter().map(u64::from).chain(update_retry).collect::<Vec<_>>());
});
