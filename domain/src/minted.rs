//! Who had the platform mint a token.

use serde::{Deserialize, Serialize};

/// Of a token that the platform minted: by whom and when, so that whoever loses their rights loses it too.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Minted {
    /// The principal that had it minted: `user:…`, `key:…`.
    pub by: String,
    /// When, in milliseconds since 1970.
    pub at: i64,
}
