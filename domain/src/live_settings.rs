//! A tenant's settings of its live streams.

use serde::{Deserialize, Serialize};

/// How a tenant's streams are carried from its hub to their clients.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LiveMode {
    /// As the hub's load has it.
    #[default]
    Auto,
    /// Through sockets behind which the hub may sleep.
    Bridged,
    /// By the hub itself, which is awake as long as there is a stream.
    Direct,
}

impl LiveMode {
    /// Reads its name; none for an unknown one.
    pub fn parse(text: &str) -> Option<Self> {
        match text {
            "auto" => Some(Self::Auto),
            "bridged" => Some(Self::Bridged),
            "direct" => Some(Self::Direct),
            _ => None,
        }
    }
}

/// A tenant's settings of its live streams.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct LiveSettings {
    /// How its streams are carried.
    pub mode: LiveMode,
}

impl LiveSettings {
    /// Whether every member has its default.
    pub fn is_default(&self) -> bool {
        *self == Self::default()
    }
}
