//! Topics: what an event is about.

use serde::{Deserialize, Serialize};

use super::error::Invalid;

/// A topic's greatest length in bytes.
pub const MAX_TOPIC: usize = 256;

/// The name an event is published under: 1 to 256 bytes, no control characters, no `*`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String")]
pub struct Topic(Box<str>);

impl Topic {
    /// Parses a topic; `*` is left to selectors.
    pub fn parse(text: &str) -> Result<Self, Invalid> {
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

/// The rules that topics and selectors share.
pub(super) fn check(text: &str) -> Result<(), Invalid> {
    if text.is_empty() || text.len() > MAX_TOPIC {
        return Err(Invalid::new("invalid_topic", "must be 1 to 256 bytes long"));
    }
    if text.chars().any(char::is_control) {
        return Err(Invalid::new("invalid_topic", "must not contain control characters"));
    }
    Ok(())
}
