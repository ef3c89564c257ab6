//! Server-Sent Events on the wire (WHATWG HTML, "Server-sent events").
//!
//! A frame is built once and sent to every subscriber. No text from outside can leave its field: line breaks in `data`
//! become further `data:` lines, in other fields they become spaces.

use std::fmt::{self, Write as _};

use crate::log_position::Cursor;

/// Builds the text of an event stream.
#[derive(Debug, Default)]
pub struct Frames(String);

impl Frames {
    /// An empty stream.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the reconnection time, in milliseconds; goes before the block that it belongs to.
    pub fn retry(&mut self, millis: u32) -> &mut Self {
        let _ = writeln!(self.0, "retry: {millis}");
        self
    }

    /// A block with an id only: it moves `Last-Event-ID` and fires no event.
    pub fn cursor(&mut self, id: &Cursor) -> &mut Self {
        let _ = write!(self.0, "id: {id}\n\n");
        self
    }

    /// An event of the log: its id, its name if the stream wants names, and its JSON, `{"id":…` followed by the tail.
    pub fn event(&mut self, id: &Cursor, name: Option<&str>, tail: &str) -> &mut Self {
        let _ = writeln!(self.0, "id: {id}");
        if let Some(name) = name {
            self.field("event", name);
        }
        let _ = write!(self.0, "data: {{\"id\":\"{id}\",{tail}\n\n");
        self
    }

    /// An update on Mercure's wire, with its data as it was sent.
    pub fn update(&mut self, id: &str, kind: Option<&str>, retry: Option<u64>, data: &str) -> &mut Self {
        self.field("id", id);
        if let Some(kind) = kind {
            self.field("event", kind);
        }
        if let Some(retry) = retry {
            let _ = writeln!(self.0, "retry: {retry}");
        }
        self.data(data);
        self
    }

    /// A comment, which keeps a connection open.
    pub fn comment(&mut self) -> &mut Self {
        self.0.push_str(":\n");
        self
    }

    /// An event of the hub itself, such as `hub.resumed`; with an id if it moves the cursor.
    pub fn control(&mut self, name: &str, id: Option<&dyn fmt::Display>, json: &str) -> &mut Self {
        if let Some(id) = id {
            let _ = writeln!(self.0, "id: {id}");
        }
        self.field("event", name);
        self.data(json);
        self
    }

    /// The text built so far.
    pub fn into_string(self) -> String {
        self.0
    }

    /// Writes the data, which ends the block.
    fn data(&mut self, text: &str) {
        for line in lines(text) {
            let _ = writeln!(self.0, "data: {line}");
        }
        self.0.push('\n');
    }

    fn field(&mut self, name: &str, value: &str) {
        let _ = write!(self.0, "{name}: ");
        if value.contains(['\r', '\n', '\0']) {
            self.0.extend(value.chars().map(|c| if matches!(c, '\r' | '\n' | '\0') { ' ' } else { c }));
        } else {
            self.0.push_str(value);
        }
        self.0.push('\n');
    }
}

/// Splits at CR, LF and CRLF, as receivers do.
fn lines(text: &str) -> impl Iterator<Item = &str> {
    text.split("\r\n").flat_map(|part| part.split(['\r', '\n']))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log_position::Epoch;
    use proptest::prelude::*;

    fn cursor() -> Cursor {
        Cursor { epoch: Epoch::from_random([1; 8]), seq: 7 }
    }

    #[test]
    fn the_blocks() {
        let mut frames = Frames::new();
        frames.retry(3000).cursor(&cursor());
        frames.event(&cursor(), Some("post.update"), "\"topics\":[]}");
        frames.control("hub.reset", None, "{}");
        let id = "0101010101010101-7";
        assert_eq!(
            frames.into_string(),
            format!(
                "retry: 3000\nid: {id}\n\nid: {id}\nevent: post.update\ndata: {{\"id\":\"{id}\",\"topics\":[]}}\n\nevent: hub.reset\ndata: {{}}\n\n"
            )
        );
    }

    #[test]
    fn an_update_arrives_as_it_was_sent() {
        let mut frames = Frames::new();
        frames.update("a\0b", Some("c\rd"), None, "e\0f\r\n");
        assert_eq!(frames.into_string(), "id: a b\nevent: c d\ndata: e\0f\ndata: \n\n");
    }

    #[test]
    fn every_line_end_begins_a_line() {
        let split = |text| lines(text).collect::<Vec<_>>();
        assert_eq!(split("a\rb\nc\r\nd"), ["a", "b", "c", "d"]);
        assert_eq!(split("\r\r\n\n\r"), ["", "", "", "", ""]);
        assert_eq!(split("a\r"), ["a", ""]);
        assert_eq!(split(""), [""]);
    }

    proptest! {
        #[test]
        fn no_text_makes_a_second_block_or_field(name in "\\PC*|[\\r\\n\\x00a-z: ]*", json in "(\\PC|[\\r\\n])*") {
            let mut frames = Frames::new();
            frames.control(&name, None, &json);
            let text = frames.into_string();
            let (body, end) = text.split_at(text.len() - 2);
            prop_assert_eq!(end, "\n\n");
            for (i, line) in body.split('\n').enumerate() {
                prop_assert!(!line.contains('\r'));
                let field = if i == 0 { "event: " } else { "data: " };
                prop_assert!(line.starts_with(field));
            }
        }
    }
}
