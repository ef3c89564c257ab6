//! Passwords: argon2id (RFC 9106) by OWASP's parameters, kept as PHC strings.
//!
//! Pure. Whoever checks a password for an account that is not there does the work all the same, with
//! [`NOBODYS`].

use argon2::password_hash::{PasswordHash, PasswordHasher as _, PasswordVerifier as _, SaltString};
use argon2::{Algorithm, Argon2, Params, Version};

use crate::domain::error::Invalid;

/// KiB of memory.
const MEMORY: u32 = 19_456;
/// Passes over it.
const PASSES: u32 = 2;
/// Bytes of salt.
const SALT: usize = 16;

/// A hash that no password has: it costs what every other costs.
pub const NOBODYS: &str =
    "$argon2id$v=19$m=19456,t=2,p=1$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

/// The password could not be hashed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the password could not be hashed")]
pub struct Unhashable;

/// A password that may be set: long enough to be worth its hash, short enough to be hashed.
pub fn parse(text: &str) -> Result<String, Invalid> {
    if (12..=200).contains(&text.len()) {
        Ok(text.to_owned())
    } else {
        Err(Invalid::new("invalid_password", "must be 12 to 200 bytes long"))
    }
}

/// Hashes a password under a fresh salt, as a PHC string.
pub fn hash(password: &str) -> Result<String, Unhashable> {
    let mut salt = [0; SALT];
    getrandom::fill(&mut salt).map_err(|_| Unhashable)?;
    let salt = SaltString::encode_b64(&salt).map_err(|_| Unhashable)?;
    let hash = hasher()?.hash_password(password.as_bytes(), &salt).map_err(|_| Unhashable)?;
    Ok(hash.to_string())
}

/// Whether a password is the one of a PHC string; compared in constant time.
pub fn verify(password: &str, phc: &str) -> bool {
    let (Ok(hash), Ok(hasher)) = (PasswordHash::new(phc), hasher()) else { return false };
    hasher.verify_password(password.as_bytes(), &hash).is_ok()
}

fn hasher() -> Result<Argon2<'static>, Unhashable> {
    let params = Params::new(MEMORY, PASSES, 1, None).map_err(|_| Unhashable)?;
    Ok(Argon2::new(Algorithm::Argon2id, Version::V0x13, params))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_verifies_against_its_own_hash_only() {
        let phc = hash("correct horse battery").unwrap();
        assert!(phc.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{phc}");
        assert_ne!(hash("correct horse battery").unwrap(), phc, "each has a salt of its own");
        assert!(verify("correct horse battery", &phc));
        for wrong in ["correct horse batterY", "", "correct horse battery "] {
            assert!(!verify(wrong, &phc));
        }
        assert!(!verify("correct horse battery", "no hash"));
    }

    #[test]
    fn nobodys_hash_is_well_formed_and_fits_nothing() {
        assert!(PasswordHash::new(NOBODYS).is_ok());
        assert!(!verify("", NOBODYS) && !verify("correct horse battery", NOBODYS));
    }
}
