//! Passwords: argon2id, kept as PHC strings (`$argon2id$v=19$m=…,t=…,p=…$salt$hash`).
//!
//! Invariants
//! - Judging a password takes exactly one operation, whether there is a hash or none: nobody learns from
//!   the work whether an account exists. Only a right password may take a second one, to be hashed anew
//!   with the parameters of today.
//! - What is kept says its own parameters, within bounds, so that they can change from one sign-in to the next.

use std::cell::Cell;

use argon2::{Algorithm, Argon2, Params, Version};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD as BASE64;
use subtle::ConstantTimeEq;

use domain::sign_in::Hashing;

/// Bytes of a salt.
pub const SALT_BYTES: usize = 16;
const HASH_BYTES: usize = 32;

/// The most memory that a kept hash may ask for, in KiB, and the most passes: what an instance can spare.
const MAX_MEMORY: u32 = 32 * 1024;
const MAX_PASSES: u32 = 10;

/// The parameters of a choice. Both are of OWASP's Password Storage Cheat Sheet, and as strong as each other.
const fn costs(hashing: Hashing) -> Costs {
    match hashing {
        Hashing::Standard => Costs { memory: 19_456, passes: 2, lanes: 1 },
        Hashing::Light => Costs { memory: 7_168, passes: 5, lanes: 1 },
    }
}

/// Parameters of argon2id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Costs {
    memory: u32,
    passes: u32,
    lanes: u32,
}

/// A kept hash, read.
struct Kept {
    costs: Costs,
    salt: Vec<u8>,
    hash: Vec<u8>,
}

impl Kept {
    fn read(phc: &str) -> Option<Self> {
        let mut parts = phc.strip_prefix("$argon2id$v=19$")?.split('$');
        let (costs, salt, hash) = (parts.next()?, parts.next()?, parts.next()?);
        let mut costs = costs.split(',');
        let mut cost = |name: &str| costs.next()?.strip_prefix(name)?.parse::<u32>().ok();
        let costs = Costs { memory: cost("m=")?, passes: cost("t=")?, lanes: cost("p=")? };
        let (salt, hash) = (BASE64.decode(salt).ok()?, BASE64.decode(hash).ok()?);
        let bearable = costs.memory <= MAX_MEMORY && costs.passes <= MAX_PASSES && costs.lanes == 1;
        let whole = parts.next().is_none() && salt.len() >= 8 && hash.len() == HASH_BYTES;
        (bearable && whole).then_some(Self { costs, salt, hash })
    }
}

/// What a password is, held against a kept hash.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Not the password, or there is none to hold it against.
    Wrong,
    /// The password.
    Right,
    /// The password, kept with other parameters than those of today: hash it anew.
    RightButStale,
}

/// Hashes, and counts how often it did.
#[derive(Debug, Default)]
pub struct Hasher {
    hashing: Hashing,
    done: Cell<u32>,
}

impl Hasher {
    /// With the deployment's parameters.
    pub fn new(hashing: Hashing) -> Self {
        Self { hashing, done: Cell::new(0) }
    }

    /// How many operations it has done.
    pub fn done(&self) -> u32 {
        self.done.get()
    }

    /// A hash to keep; none if there is no memory for it.
    pub fn hash(&self, password: &str, salt: &[u8; SALT_BYTES]) -> Option<String> {
        let costs = costs(self.hashing);
        let hash = self.derive(costs, password, salt)?;
        let Costs { memory, passes, lanes } = costs;
        let (salt, hash) = (BASE64.encode(salt), BASE64.encode(hash));
        Some(format!("$argon2id$v=19$m={memory},t={passes},p={lanes}${salt}${hash}"))
    }

    /// Judges a password. Without a hash, or with one that cannot be read, it does the work all the same.
    pub fn verify(&self, password: &str, kept: Option<&str>) -> Verdict {
        let today = costs(self.hashing);
        let Some(kept) = kept.and_then(Kept::read) else {
            let _ = self.derive(today, password, &[0; SALT_BYTES]);
            return Verdict::Wrong;
        };
        let hash = self.derive(kept.costs, password, &kept.salt);
        let right = hash.is_some_and(|hash| bool::from(hash.ct_eq(&kept.hash)));
        match (right, kept.costs == today) {
            (false, _) => Verdict::Wrong,
            (true, true) => Verdict::Right,
            (true, false) => Verdict::RightButStale,
        }
    }

    fn derive(&self, costs: Costs, password: &str, salt: &[u8]) -> Option<[u8; HASH_BYTES]> {
        self.done.set(self.done.get() + 1);
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
        let kept = hasher.hash("correct horse", &SALT).unwrap();
        assert!(kept.starts_with("$argon2id$v=19$m=7168,t=5,p=1$c29tZXNhbHRzb21lc2FsdA$"), "{kept}");
        assert_eq!(hasher.verify("correct horse", Some(&kept)), Verdict::Right);
        assert_eq!(hasher.verify("correct horsf", Some(&kept)), Verdict::Wrong);
        assert_eq!(hasher.done(), 3);
    }

    #[test]
    fn the_vector_of_the_reference_implementation() {
        // phc-winner-argon2, test.c: version 0x13, type id, m=256, t=2, p=1.
        let kept = "$argon2id$v=19$m=256,t=2,p=1$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4";
        let hasher = Hasher::default();
        assert_eq!(hasher.verify("password", Some(kept)), Verdict::RightButStale);
        assert_eq!(hasher.verify("Password", Some(kept)), Verdict::Wrong);
    }

    #[test]
    fn other_parameters_are_stale() {
        let kept = Hasher::new(Hashing::Light).hash("p", &SALT).unwrap();
        assert_eq!(Hasher::new(Hashing::Standard).verify("p", Some(&kept)), Verdict::RightButStale);
    }

    #[test]
    fn every_judgement_costs_one_operation() {
        let kept = Hasher::new(Hashing::Light).hash("p", &SALT).unwrap();
        let too_dear = kept.replace("m=7168", "m=4000000");
        let others = ["", "$argon2id$v=19$", "$2y$10$abc", &kept[..kept.len() - 4], too_dear.as_str()];
        for kept in [None, Some(kept.as_str())].into_iter().chain(others.map(Some)) {
            let hasher = Hasher::new(Hashing::Light);
            assert_eq!(hasher.verify("wrong", kept), Verdict::Wrong, "{kept:?}");
            assert_eq!(hasher.done(), 1, "{kept:?}");
        }
    }
}
