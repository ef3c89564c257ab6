//! Topics: the names under which events are published.

use serde::{Deserialize, Serialize};

use crate::error::Invalid;

/// Most bytes of a topic. The hub's own topics are the longest: they contain a percent-encoded selector.
pub const MAX_TOPIC: usize = 32 * 1024;
/// Most bytes of a channel and of a selector on `/events`.
pub const MAX_CHANNEL: usize = 256;

/// The name of what an event is about: 1 byte to 32 KB, no control characters, not `*` alone.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String")]
pub struct Topic(Box<str>);

impl Topic {
    /// Parses a topic of any publisher.
    pub fn parse(text: &str) -> Result<Self, Invalid> {
        check_within(text, MAX_TOPIC)?;
        if text == "*" {
            return Err(Invalid::new("invalid_topic", "must not be '*'"));
        }
        Ok(Self(text.into()))
    }

    /// Parses a channel, a topic that selectors on `/events` can name: 1 to 256 bytes, without `*`.
    pub fn channel(text: &str) -> Result<Self, Invalid> {
        check(text)?;
        if text.contains('*') {
            return Err(Invalid::new("invalid_topic", "must not contain '*'"));
        }
        Ok(Self(text.into()))
    }

    /// The topic as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for Topic {
    type Error = Invalid;

    fn try_from(text: String) -> Result<Self, Invalid> {
        Self::parse(&text)
    }
}

/// The rules that channels and selectors share.
pub(super) fn check(text: &str) -> Result<(), Invalid> {
    check_within(text, MAX_CHANNEL)
}

fn check_within(text: &str, most: usize) -> Result<(), Invalid> {
    if text.is_empty() || text.len() > most {
        return Err(Invalid::new("invalid_topic", format!("must be 1 to {most} bytes long")));
    }
    if text.chars().any(char::is_control) {
        return Err(Invalid::new("invalid_topic", "must not contain control characters"));
    }
    Ok(())
}
