//! Comparison of secrets in constant time.

use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

/// Whether two texts are equal and not empty. The time taken depends on their lengths only.
pub fn constant_time_eq(given: &str, expected: &str) -> bool {
    let digest = |text: &str| Sha256::digest(text.as_bytes());
    bool::from(digest(given).ct_eq(&digest(expected))) && !expected.is_empty()
}
