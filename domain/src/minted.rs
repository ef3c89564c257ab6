//! Who minted a token of the platform's.

use serde::{Deserialize, Serialize};

use crate::clock::Timestamp;
use crate::unix_time::millis;

/// Who minted a token, and when: the token is void once that principal loses its rights.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Minted {
    /// The principal: `user:…`, `key:…`.
    pub by: String,
    /// When. In JSON: milliseconds since 1970.
    #[serde(with = "millis")]
    pub at: Timestamp,
}
