//! Secrets are compared in constant time.

use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

/// Compares two texts in constant time, by their digests.
pub fn same(given: &str, kept: &str) -> bool {
    let digest = |text: &str| Sha256::digest(text.as_bytes());
    bool::from(digest(given).ct_eq(&digest(kept))) && !kept.is_empty()
}
