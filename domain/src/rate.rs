//! What a caller is told of a rate limit.

use serde::{Deserialize, Serialize};

use crate::plan::Limit;

/// How a limit stands; becomes the rate headers of an answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rate {
    /// Name of the policy, such as `webhooks`.
    pub policy: String,
    /// The bound of the window.
    pub limit: Limit,
    /// What is left of it: a lower bound.
    pub remaining: u64,
    /// Seconds of the window.
    pub window: u64,
    /// When the window ends, in seconds since 1970.
    pub reset: i64,
}
