//! Passwords: argon2id, stored as PHC strings (`$argon2id$v=19$m=…,t=…,p=…$salt$hash`).
//!
//! Invariants
//! - What is hashed is a [`Password`], in its normalised form. A stored hash may be of a text as it was typed, from before
//!   that rule: it verifies too, and is then hashed again.
//! - How many hashes a verification takes depends on the text alone, and not on whether a hash is stored: one, or two for
//!   a text that was not typed in its normalised form. So the time does not reveal whether an account exists. Only a right
//!   password may cost fewer, or one more, to be hashed again with today's parameters.
//! - A stored hash names its own parameters, within bounds, so that they can change from one sign-in to the next.

use std::cell::Cell;

use argon2::{Algorithm, Argon2, Params, Version};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD as BASE64;
use subtle::ConstantTimeEq;

use domain::password::Password;
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
    /// The password, stored with other parameters than today's or before it was normalised: hash it again.
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
    pub fn hash(&self, password: &Password, salt: &[u8; SALT_BYTES]) -> Option<String> {
        let costs = costs(self.hashing);
        let hash = self.derive(costs, password.normalised(), salt)?;
        let Argon2Costs { memory, passes, lanes } = costs;
        let (salt, hash) = (BASE64.encode(salt), BASE64.encode(hash));
        Some(format!("$argon2id$v=19$m={memory},t={passes},p={lanes}${salt}${hash}"))
    }

    /// Verifies a password. Without a stored hash, or with one that cannot be parsed, it takes the same time.
    pub fn verify(&self, password: &Password, stored: Option<&str>) -> PasswordCheck {
        let stored = stored.and_then(StoredHash::parse);
        let is_current = stored.as_ref().is_some_and(|stored| stored.costs == costs(self.hashing));
        if self.is_of(password.normalised(), stored.as_ref()) {
            return if is_current { PasswordCheck::Right } else { PasswordCheck::RightButStale };
        }
        match password.as_typed() {
            Some(typed) if self.is_of(typed, stored.as_ref()) => PasswordCheck::RightButStale,
            _ => PasswordCheck::Wrong,
        }
    }

    /// Whether a stored hash is of a text; takes one hash in any case.
    fn is_of(&self, text: &str, stored: Option<&StoredHash>) -> bool {
        let Some(stored) = stored else {
            let _ = self.derive(costs(self.hashing), text, &[0; SALT_BYTES]);
            return false;
        };
        let hash = self.derive(stored.costs, text, &stored.salt);
        hash.is_some_and(|hash| bool::from(hash.ct_eq(&stored.hash)))
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

    fn typed(text: &str) -> Password {
        Password::parse(text, &|text| text.replace("e\u{301}", "é")).unwrap_or_else(|_| panic!("{text}"))
    }

    #[test]
    fn a_password_is_known_again_and_no_other_is() {
        let hasher = Hasher::new(Hashing::Light);
        let stored = hasher.hash(&typed("correct horse"), &SALT).unwrap();
        assert!(stored.starts_with("$argon2id$v=19$m=7168,t=5,p=1$c29tZXNhbHRzb21lc2FsdA$"), "{stored}");
        assert_eq!(hasher.verify(&typed("correct horse"), Some(&stored)), PasswordCheck::Right);
        assert_eq!(hasher.verify(&typed("correct horsf"), Some(&stored)), PasswordCheck::Wrong);
        assert_eq!(hasher.hashes(), 3);
    }

    #[test]
    fn the_vector_of_the_reference_implementation() {
        // phc-winner-argon2, test.c: version 0x13, type id, m=256, t=2, p=1.
        let stored = "$argon2id$v=19$m=256,t=2,p=1$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4";
        let hasher = Hasher::default();
        assert_eq!(hasher.verify(&typed("password"), Some(stored)), PasswordCheck::RightButStale);
        assert_eq!(hasher.verify(&typed("Password"), Some(stored)), PasswordCheck::Wrong);
    }

    #[test]
    fn other_parameters_are_stale() {
        let stored = Hasher::new(Hashing::Light).hash(&typed("p"), &SALT).unwrap();
        assert_eq!(Hasher::new(Hashing::Standard).verify(&typed("p"), Some(&stored)), PasswordCheck::RightButStale);
    }

    #[test]
    fn every_judgement_costs_one_operation() {
        let stored = Hasher::new(Hashing::Light).hash(&typed("p"), &SALT).unwrap();
        let too_dear = stored.replace("m=7168", "m=4000000");
        let others = ["", "$argon2id$v=19$", "$2y$10$abc", &stored[..stored.len() - 4], too_dear.as_str()];
        for stored in [None, Some(stored.as_str())].into_iter().chain(others.map(Some)) {
            let hasher = Hasher::new(Hashing::Light);
            assert_eq!(hasher.verify(&typed("wrong"), stored), PasswordCheck::Wrong, "{stored:?}");
            assert_eq!(hasher.hashes(), 1, "{stored:?}");
        }
    }

    #[test]
    fn a_password_is_the_same_however_it_is_composed() {
        let hasher = Hasher::new(Hashing::Light);
        let stored = hasher.hash(&typed("cafe\u{301}"), &SALT).unwrap();
        for spelling in ["caf\u{e9}", "cafe\u{301}"] {
            assert_eq!(hasher.verify(&typed(spelling), Some(&stored)), PasswordCheck::Right, "{spelling}");
        }
        assert_eq!(hasher.verify(&typed("cafe"), Some(&stored)), PasswordCheck::Wrong);
    }

    #[test]
    fn a_hash_from_before_normalisation_still_verifies_and_is_stale() {
        let hasher = Hasher::new(Hashing::Light);
        // What an earlier version stored of the text as it was typed: a normaliser that changes nothing.
        let before = Password::parse("cafe\u{301}", &str::to_owned).unwrap_or_else(|_| panic!("it is short"));
        let stored = hasher.hash(&before, &SALT).unwrap();
        assert_eq!(hasher.verify(&typed("cafe\u{301}"), Some(&stored)), PasswordCheck::RightButStale);
    }

    #[test]
    fn a_text_that_is_not_normalised_costs_two_whether_a_hash_is_stored_or_not() {
        let stored = Hasher::new(Hashing::Light).hash(&typed("p"), &SALT).unwrap();
        for stored in [None, Some(stored.as_str()), Some("")] {
            let hasher = Hasher::new(Hashing::Light);
            assert_eq!(hasher.verify(&typed("e\u{301}"), stored), PasswordCheck::Wrong);
            assert_eq!(hasher.hashes(), 2, "{stored:?}");
        }
    }
}
