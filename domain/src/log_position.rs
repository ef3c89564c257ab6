//! Cursors: how clients name a position in a tenant's event log, and what a list says about when it was read.

use std::fmt;

use serde::{Deserialize, Serialize};

/// One generation of a tenant's log. A log that is created anew gets a new epoch, which invalidates older cursors.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Epoch(Box<str>);

impl Epoch {
    /// From 8 random bytes.
    pub fn from_random(bytes: [u8; 8]) -> Self {
        Self(crate::hex::hex(&bytes).into())
    }

    /// From its stored text.
    pub fn from_stored(text: &str) -> Self {
        Self(text.into())
    }

    /// The epoch as text: 16 hexadecimal digits.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A position in the log, `{epoch}-{seq}`: the event of that number, or the position right after it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Cursor {
    /// The log's generation.
    pub epoch: Epoch,
    /// The event's number; 0 is the position before the first.
    pub seq: u64,
}

impl Cursor {
    /// Reads a cursor that a client sent; none if it does not have the form of one.
    pub fn parse(text: &str) -> Option<Self> {
        let (epoch, seq) = text.split_once('-')?;
        let shape = epoch.len() == 16 && epoch.bytes().all(|b| b.is_ascii_hexdigit() && !b.is_ascii_uppercase());
        let digits = !seq.is_empty() && seq.len() <= 15 && seq.bytes().all(|b| b.is_ascii_digit());
        if !shape || !digits {
            return None;
        }
        Some(Self { epoch: Epoch(epoch.into()), seq: seq.parse().ok()? })
    }
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.epoch.as_str(), self.seq)
    }
}

impl From<Cursor> for String {
    fn from(cursor: Cursor) -> Self {
        cursor.to_string()
    }
}

impl TryFrom<String> for Cursor {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        Self::parse(&text).ok_or("a cursor must be {epoch}-{seq}: 16 hexadecimal digits and a number")
    }
}

/// What a list or a record says about when it was read, `{epoch}-{seq}~{change}`: a stream that goes on from there tells
/// every change that is not in it, and none that is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReadPosition {
    /// A position in the log from before the rows were read.
    pub log: Cursor,
    /// The number of the tenant's last change that the rows show.
    pub change: u64,
}

impl ReadPosition {
    /// Takes a cursor apart that a client sent: what stands for a position in the log, and the change that it has seen.
    pub fn split(text: &str) -> (&str, Option<u64>) {
        let is_number = |change: &str| (1..=15).contains(&change.len()) && change.bytes().all(|b| b.is_ascii_digit());
        match text.split_once('~') {
            Some((log, change)) if is_number(change) => (log, change.parse().ok()),
            _ => (text, None),
        }
    }
}

impl fmt::Display for ReadPosition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}~{}", self.log, self.change)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn only_our_cursors_are_cursors() {
        let cursor = Cursor { epoch: Epoch::from_random([0xab; 8]), seq: 42 };
        assert_eq!(Cursor::parse(&cursor.to_string()), Some(cursor));
        for foreign in [
            "",
            "-",
            "abababababababab-",
            "abababababababab-1x",
            "ABABABABABABABAB-1",
            "ab-1",
            "abababababababab-9999999999999999",
            "abababababababab--1",
            "#abababababababab-1",
        ] {
            assert_eq!(Cursor::parse(foreign), None, "{foreign}");
        }
    }

    #[test]
    fn a_position_of_a_list_is_taken_apart_and_nothing_else_is() {
        let log = Cursor { epoch: Epoch::from_random([0xab; 8]), seq: 42 };
        let text = ReadPosition { log: log.clone(), change: 7 }.to_string();
        assert_eq!(ReadPosition::split(&text), (&*log.to_string(), Some(7)));
        for other in ["", "a", "abababababababab-42", "urn:x~y", "~", "a~", "a~-1", "a~1x", "a~1234567890123456"] {
            assert_eq!(ReadPosition::split(other), (other, None));
        }
    }

    proptest! {
        #[test]
        fn no_text_breaks_the_cursor_parser(text in "\\PC{0,40}") {
            let _ = Cursor::parse(&text);
        }
    }
}
