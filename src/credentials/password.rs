//! Passwords: argon2id, stored as PHC strings (`$argon2id$v=19$m=…,t=…,p=…$salt$hash`).
//!
//! Invariants
//! - Verifying a password takes exactly one hash, whether a hash is stored or not: the time does not reveal whether an
//!   account exists. Only a right password may cost a second one, to be hashed again with today's parameters.
//! - A stored hash names its own parameters, within bounds, so that they can change from one sign-in to the next.

use std::cell::Cell;

use argon2::{Algorithm, Argon2, Params, Version};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD as BASE64;
use subtle::ConstantTimeEq;

use domain::sign_in::Hashing;

/// Bytes of a salt.
pub const SALT_BYTES: usize = 16;
const HASH_BYTES: usize = 32;

/// The most memory (in KiB) and the most passes that a stored hash may name: what an isolate can spare.
const MAX_MEMORY: u32 = 32 * 1024;
const MAX_PASSES: u32 = 10;

/// The parameters of a setting. Both are from OWASP's Password Storage Cheat Sheet, and equally strong.
const fn costs(hashing: Hashing) -> Argon2Costs {
    match hashing {
        Hashing::Standard => Argon2Costs { memory: 19_456, passes: 2, lanes: 1 },
        Hashing::Light => Argon2Costs { memory: 7_168, passes: 5, lanes: 1 },
    }
}

/// Parameters of argon2id: memory in KiB, passes, lanes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Argon2Costs {
    memory: u32,
    passes: u32,
    lanes: u32,
}

/// A stored hash, parsed.
struct StoredHash {
    costs: Argon2Costs,
    salt: Vec<u8>,
    hash: Vec<u8>,
}

impl StoredHash {
    fn parse(phc: &str) -> Option<Self> {
        let mut parts = phc.strip_prefix("$argon2id$v=19$")?.split('$');
        let (costs, salt, hash) = (parts.next()?, parts.next()?, parts.next()?);
        let mut costs = costs.split(',');
        let mut cost = |name: &str| costs.next()?.strip_prefix(name)?.parse::<u32>().ok();
        let costs = Argon2Costs { memory: cost("m=")?, passes: cost("t=")?, lanes: cost("p=")? };
        let (salt, hash) = (BASE64.decode(salt).ok()?, BASE64.decode(hash).ok()?);
        let is_affordable = costs.memory <= MAX_MEMORY && costs.passes <= MAX_PASSES && costs.lanes == 1;
        let is_complete = parts.next().is_none() && salt.len() >= 8 && hash.len() == HASH_BYTES;
        (is_affordable && is_complete).then_some(Self { costs, salt, hash })
    }
}

/// The result of verifying a password.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PasswordCheck {
    /// Not the password, or no hash is stored.
    Wrong,
    /// The password.
    Right,
    /// The password, stored with other parameters than today's: hash it again.
    RightButStale,
}

/// Hashes passwords, and counts the hashes.
#[derive(Debug, Default)]
pub struct Hasher {
    hashing: Hashing,
    hashes: Cell<u32>,
}

impl Hasher {
    /// With the deployment's parameters.
    pub fn new(hashing: Hashing) -> Self {
        Self { hashing, hashes: Cell::new(0) }
    }

    /// How many hashes were computed.
    pub fn hashes(&self) -> u32 {
        self.hashes.get()
    }

    /// A hash to be stored; none if there is not enough memory.
    pub fn hash(&self, password: &str, salt: &[u8; SALT_BYTES]) -> Option<String> {
        let costs = costs(self.hashing);
        let hash = self.derive(costs, password, salt)?;
        let Argon2Costs { memory, passes, lanes } = costs;
        let (salt, hash) = (BASE64.encode(salt), BASE64.encode(hash));
        Some(format!("$argon2id$v=19$m={memory},t={passes},p={lanes}${salt}${hash}"))
    }

    /// Verifies a password. Without a stored hash, or with one that cannot be parsed, it takes the same time.
    pub fn verify(&self, password: &str, stored: Option<&str>) -> PasswordCheck {
        let today = costs(self.hashing);
        let Some(stored) = stored.and_then(StoredHash::parse) else {
            let _ = self.derive(today, password, &[0; SALT_BYTES]);
            return PasswordCheck::Wrong;
        };
        let hash = self.derive(stored.costs, password, &stored.salt);
        let right = hash.is_some_and(|hash| bool::from(hash.ct_eq(&stored.hash)));
        match (right, stored.costs == today) {
            (false, _) => PasswordCheck::Wrong,
            (true, true) => PasswordCheck::Right,
            (true, false) => PasswordCheck::RightButStale,
        }
    }

    fn derive(&self, costs: Argon2Costs, password: &str, salt: &[u8]) -> Option<[u8; HASH_BYTES]> {
        self.hashes.set(self.hashes.get() + 1);
        let params = Params::new(costs.memory, costs.passes, costs.lanes, Some(HASH_BYTES)).ok()?;
        let mut hash = [0; HASH_BYTES];
        let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
        argon2.hash_password_into(password.as_bytes(), salt, &mut hash).ok()?;
        Some(hash)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SALT: [u8; SALT_BYTES] = *b"somesaltsomesalt";

    #[test]
    fn a_password_is_known_again_and_no_other_is() {
        let hasher = Hasher::new(Hashing::Light);
        let stored = hasher.hash("correct horse", &SALT).unwrap();
        assert!(stored.starts_with("$argon2id$v=19$m=7168,t=5,p=1$c29tZXNhbHRzb21lc2FsdA$"), "{stored}");
        assert_eq!(hasher.verify("correct horse", Some(&stored)), PasswordCheck::Right);
        assert_eq!(hasher.verify("correct horsf", Some(&stored)), PasswordCheck::Wrong);
        assert_eq!(hasher.hashes(), 3);
    }

    #[test]
    fn the_vector_of_the_reference_implementation() {
        // phc-winner-argon2, test.c: version 0x13, type id, m=256, t=2, p=1.
        let stored = "$argon2id$v=19$m=256,t=2,p=1$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4";
        let hasher = Hasher::default();
        assert_eq!(hasher.verify("password", Some(stored)), PasswordCheck::RightButStale);
        assert_eq!(hasher.verify("Password", Some(stored)), PasswordCheck::Wrong);
    }

    #[test]
    fn other_parameters_are_stale() {
        let stored = Hasher::new(Hashing::Light).hash("p", &SALT).unwrap();
        assert_eq!(Hasher::new(Hashing::Standard).verify("p", Some(&stored)), PasswordCheck::RightButStale);
    }

    #[test]
    fn every_judgement_costs_one_operation() {
        let stored = Hasher::new(Hashing::Light).hash("p", &SALT).unwrap();
        let too_dear = stored.replace("m=7168", "m=4000000");
        let others = ["", "$argon2id$v=19$", "$2y$10$abc", &stored[..stored.len() - 4], too_dear.as_str()];
        for stored in [None, Some(stored.as_str())].into_iter().chain(others.map(Some)) {
            let hasher = Hasher::new(Hashing::Light);
            assert_eq!(hasher.verify("wrong", stored), PasswordCheck::Wrong, "{stored:?}");
            assert_eq!(hasher.hashes(), 1, "{stored:?}");
        }
    }
}
