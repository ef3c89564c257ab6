//! How a GraphQL request names a document in place of holding it: by the SHA-256 of its text, or by an alias that a tenant
//! gave it.
//!
//! Invariants
//! - A hash names one text for ever. An alias never looks like a hash, so nobody can put another text in a hash's place.

use std::fmt;

use crate::error::Invalid;
use crate::hex::hex;

/// What may stand before a hash (the draft of GraphQL over HTTP for persisted documents).
const PREFIX: &str = "sha256:";
/// Hexadecimal digits of a hash.
const DIGITS: usize = 64;
/// The longest alias, in bytes.
const MAX_ALIAS: usize = 128;

/// The SHA-256 of a document's text (UTF-8), in lower-case hexadecimal.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct DocumentHash(Box<str>);

impl DocumentHash {
    /// The hash that was made of a text.
    pub fn of_sha256(hash: &[u8; 32]) -> Self {
        Self(hex(hash).into())
    }

    /// Reads 64 hexadecimal digits in any letter case, with or without `sha256:`.
    pub fn parse(text: &str) -> Result<Self, Invalid> {
        let digits = text.strip_prefix(PREFIX).unwrap_or(text);
        if is_hash(digits) {
            return Ok(Self(digits.to_ascii_lowercase().into()));
        }
        Err(Invalid::new("invalid_hash", "must be a SHA-256: 64 hexadecimal digits"))
    }

    /// Its digits.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for DocumentHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A name that a tenant gave a document: 1 to 128 letters, digits, `.`, `_`, `/` and `-`. It is never a hash.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct DocumentAlias(Box<str>);

impl DocumentAlias {
    /// Reads an alias.
    pub fn parse(text: &str) -> Result<Self, Invalid> {
        let is_alias = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'/' | b'-');
        if text.is_empty() || text.len() > MAX_ALIAS || !text.bytes().all(is_alias) {
            let message = format!("must be 1 to {MAX_ALIAS} letters, digits, `.`, `_`, `/` and `-`");
            return Err(Invalid::new("invalid_alias", message));
        }
        if is_hash(text) {
            return Err(Invalid::new(
                "invalid_alias",
                "must not be 64 hexadecimal digits: those name the text that has this SHA-256",
            ));
        }
        Ok(Self(text.into()))
    }

    /// The alias.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// What a request names a document by.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum DocumentName {
    /// The hash of its text.
    Hash(DocumentHash),
    /// An alias in the tenant's registry.
    Alias(DocumentAlias),
}

impl DocumentName {
    /// Reads a hash, with or without `sha256:`, or an alias.
    pub fn parse(text: &str) -> Result<Self, Invalid> {
        if is_hash(text) || text.starts_with(PREFIX) {
            return DocumentHash::parse(text).map(Self::Hash);
        }
        let alias = DocumentAlias::parse(text).map(Self::Alias);
        alias.map_err(|_| {
            Invalid::new(
                "invalid_name",
                "must be `sha256:` and 64 hexadecimal digits, or an alias of the tenant's registry",
            )
        })
    }
}

fn is_hash(text: &str) -> bool {
    text.len() == DIGITS && text.bytes().all(|b| b.is_ascii_hexdigit())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_hash_is_64_digits_however_they_are_written() {
        let (lower, upper) = ("0a".repeat(32), "0A".repeat(32));
        for text in [&lower, &upper, &format!("sha256:{lower}"), &format!("sha256:{upper}")] {
            assert_eq!(DocumentHash::parse(text).unwrap().as_str(), lower);
            assert!(matches!(DocumentName::parse(text), Ok(DocumentName::Hash(_))), "{text}");
        }
        let other_prefix = format!("md5:{lower}");
        for bad in ["", "sha256:", &lower[1..], &format!("{lower}0"), &format!("SHA256:{lower}"), &other_prefix] {
            assert!(DocumentHash::parse(bad).is_err(), "{bad}");
        }
        assert_eq!(DocumentHash::of_sha256(&[10; 32]).as_str(), lower);
    }

    #[test]
    fn an_alias_is_a_name_and_never_a_hash() {
        for good in ["GetPosts", "app/posts.v2-a_b", "a", &"a".repeat(128), &"a".repeat(63), &"a".repeat(65)] {
            let name = DocumentName::parse(good).unwrap();
            assert_eq!(name, DocumentName::Alias(DocumentAlias::parse(good).unwrap()));
        }
        for bad in ["", " a", "a b", "a:b", "ä", "a?", "sha256:abc", &"a".repeat(129)] {
            assert!(DocumentName::parse(bad).is_err(), "{bad}");
            assert!(DocumentAlias::parse(bad).is_err(), "{bad}");
        }
        assert!(DocumentAlias::parse(&"F".repeat(64)).is_err());
    }

    proptest! {
        #[test]
        fn no_text_is_a_hash_and_an_alias(text in "(sha256:)?[0-9a-fA-Fg./:_-]{0,70}") {
            prop_assert!(DocumentHash::parse(&text).is_err() || DocumentAlias::parse(&text).is_err());
        }
    }
}
