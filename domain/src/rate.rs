//! How much of a rate limit is used, as a caller is told of it.

use serde::{Deserialize, Serialize};

use crate::clock::Timestamp;
use crate::plan::Limit;
use crate::unix_time;

/// The state of one rate limit. Becomes the `X-RateLimit-*` and `RateLimit` headers of a response.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rate {
    /// Name of the policy, such as `webhooks`.
    pub policy: String,
    /// Most uses in one window.
    pub limit: Limit,
    /// Uses left in this window: a lower bound.
    pub remaining: u64,
    /// Length of the window in seconds.
    pub window: u64,
    /// When the window ends. In JSON: whole seconds since 1970.
    #[serde(with = "unix_time::seconds")]
    pub reset: Timestamp,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn in_json_a_rate_is_numbers() {
        let reset = Timestamp::from_millis(180_000);
        let rate = Rate { policy: "webhooks".into(), limit: Limit::AtMost(20), remaining: 19, window: 60, reset };
        let json = r#"{"policy":"webhooks","limit":20,"remaining":19,"window":60,"reset":180}"#;
        assert_eq!(serde_json::to_string(&rate).unwrap(), json);
        assert_eq!(serde_json::from_str::<Rate>(json).unwrap(), rate);
    }
}
