//! Events, and the cursors that name a position in a tenant's event log.

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::clock::Timestamp;
use crate::topic::Topic;

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

/// A webhook's event as subscribers read it, without its id, which the log assigns.
#[derive(Debug, Serialize)]
pub struct Content<'a, Tenant> {
    /// The tenant's id.
    pub tenant_id: &'a Tenant,
    /// The topics it is published on, as one event.
    pub topics: &'a [Topic],
    /// `post`, `comment`, …, as the site names it.
    pub node_type: &'a str,
    /// `CREATE`, `UPDATE`, `DELETE` or another name that the site uses.
    pub action: &'a str,
    /// The site's payload, byte for byte; `null` if it sent none.
    pub data: Option<&'a RawValue>,
    /// When it was accepted.
    pub occurred_at: Timestamp,
}

impl<Tenant: Serialize> Content<'_, Tenant> {
    /// The event's JSON without its opening brace and id, to be written after `{"id":"…",`. It is one line: line breaks in
    /// `data` can only be white space between tokens, and become spaces.
    pub fn to_tail(&self) -> Result<String, serde_json::Error> {
        let json = serde_json::to_string(self)?;
        let tail = json.strip_prefix('{').unwrap_or(&json);
        Ok(tail.replace(['\r', '\n'], " "))
    }
}

/// A Mercure update as subscribers of `/events` read it, without its id and data.
#[derive(Debug, Serialize)]
pub struct UpdateHead<'a, Tenant> {
    /// The tenant's id.
    pub tenant_id: &'a Tenant,
    /// Its topics.
    pub topics: &'a [Topic],
    /// Its event type.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub r#type: Option<&'a str>,
    /// The id that its publisher gave it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub update_id: Option<&'a str>,
    /// When it was accepted.
    pub occurred_at: Timestamp,
}

impl<Tenant: Serialize> UpdateHead<'_, Tenant> {
    /// The members, to be written between `{"id":"…",` and `"data":"…"}`.
    pub fn to_members(&self) -> Result<String, serde_json::Error> {
        let json = serde_json::to_string(self)?;
        let members = json.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')).unwrap_or_default();
        Ok([members, ","].concat())
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
    fn data_is_carried_untouched_but_on_one_line() {
        let tenant = "acme";
        let data = RawValue::from_string("{\"n\": 12345678901234567890.10,\r\n \"s\":\"a\\nb\"}".into()).unwrap();
        let content = Content {
            tenant_id: &tenant,
            topics: &[Topic::parse("t").unwrap()],
            node_type: "post",
            action: "UPDATE",
            data: Some(&data),
            occurred_at: Timestamp::from_millis(0),
        };
        assert_eq!(
            content.to_tail().unwrap(),
            concat!(
                r#""tenant_id":"acme","topics":["t"],"node_type":"post","action":"UPDATE","#,
                r#""data":{"n": 12345678901234567890.10,   "s":"a\nb"},"occurred_at":"1970-01-01T00:00:00.000Z"}"#
            )
        );
    }

    proptest! {
        #[test]
        fn no_text_breaks_the_cursor_parser(text in "\\PC{0,40}") {
            let _ = Cursor::parse(&text);
        }
    }
}
