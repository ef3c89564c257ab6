//! The collection that is asked. What a filter or a search finds is as much among a hundred records as among ten
//! thousand, unless its name says otherwise; so what it costs may not differ.

use carillon::records::definition::Definition;
use carillon::records::words::of_record;
use serde_json::{Map, Value, json};

use crate::Result;

/// Its name.
pub const SLUG: &str = "notes";
/// Records of a batch.
const BATCH: usize = 5;
/// Groups of the records of a collection.
const GROUPS: usize = 20;
const STATUSES: [&str; 4] = ["draft", "open", "done", "dropped"];
/// When the first record was made, and milliseconds from one to the next.
pub const FIRST: i64 = 1_750_000_000_000;
const APART: i64 = 60_000;

/// As the API takes it.
pub fn definition() -> Result<Definition> {
    let transitions: Map<String, Value> =
        STATUSES.iter().map(|status| ((*status).to_owned(), STATUSES.as_slice().into())).collect();
    let body = json!({
        "slug": SLUG,
        "schema": {"type": "object", "properties": {
            "title": {"type": "string", "maxLength": 200, "searched": true},
            "batch": {"type": "string", "maxLength": 20, "indexed": true},
            "group": {"type": "string", "maxLength": 20, "indexed": true},
            "code": {"type": "string", "maxLength": 40, "unique": true},
            "text": {"type": "string", "maxLength": 200},
            "score": {"type": "integer"},
        }},
        "statuses": {"initial": "draft", "transitions": transitions},
    });
    let Value::Object(body) = body else { return Err("no object".into()) };
    Definition::read(body).map_err(|problem| format!("{problem:?}").into())
}

/// The id of record `number`.
pub fn id(number: usize) -> String {
    format!("note-{number:06}")
}

/// The batch of record `number`; it has five.
pub fn batch(number: usize) -> String {
    format!("batch{:05}", number / BATCH)
}

/// The group of record `number`; it has a twentieth of all.
pub fn group(number: usize) -> String {
    format!("group{:02}", number % GROUPS)
}

/// What the title of record `number` says.
pub fn title(number: usize) -> String {
    format!("A common note of {} and {}", batch(number), group(number))
}

/// The fields of record `number`.
pub fn fields(number: usize) -> Value {
    let parity = if number.is_multiple_of(2) { "even" } else { "odd" };
    json!({
        "title": title(number),
        "batch": batch(number),
        "group": group(number),
        "code": format!("code-{number}"),
        "text": format!("The number of this note is {parity}, and what it is about nobody looks up."),
        "score": number,
    })
}

/// Record `number` as it is loaded.
pub fn record(number: usize) -> Value {
    let data = fields(number);
    let words = data.as_object().and_then(|data| of_record(&["title"], data));
    let at = FIRST + i64::try_from(number).unwrap_or(0) * APART;
    json!({"id": id(number), "status": STATUSES[number % STATUSES.len()], "at": at, "words": words, "data": data})
}
