//! Passwords: argon2id, kept as PHC strings.

use argon2::{Algorithm, Argon2, Params, Version};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD as BASE64;

/// KiB of memory, passes and lanes: the first of OWASP's equivalent settings for argon2id.
const FULL: (u32, u32, u32) = (19_456, 2, 1);
/// The least argon2 takes; it protects nothing.
const LIGHT: (u32, u32, u32) = (8, 1, 1);

/// Why a password was not hashed.
#[derive(Debug, thiserror::Error)]
pub enum HashError {
    /// The runtime gave no randomness.
    #[error("randomness: {0}")]
    Random(getrandom::Error),
    /// Argon2 refused its parameters or its memory.
    #[error("argon2: {0}")]
    Argon2(argon2::Error),
}

/// Hashes a password under a fresh salt; `light` is for tests that hash many.
pub fn hash(password: &str, light: bool) -> Result<String, HashError> {
    let (memory, passes, lanes) = if light { LIGHT } else { FULL };
    let params = Params::new(memory, passes, lanes, Some(32)).map_err(HashError::Argon2)?;
    let (mut salt, mut key) = ([0; 16], [0; 32]);
    getrandom::fill(&mut salt).map_err(HashError::Random)?;
    let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
    argon2.hash_password_into(password.as_bytes(), &salt, &mut key).map_err(HashError::Argon2)?;
    let (salt, key) = (BASE64.encode(salt), BASE64.encode(key));
    Ok(format!("$argon2id$v=19$m={memory},t={passes},p={lanes}${salt}${key}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hash_says_how_it_was_made_and_is_never_the_same() {
        let hashes = [hash("a password", false).unwrap(), hash("a password", false).unwrap()];
        assert!(hashes[0].starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{}", hashes[0]);
        assert_ne!(hashes[0], hashes[1]);
    }
}
