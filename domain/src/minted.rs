//! Who let a stream in: a principal itself, or the token that a principal minted.

use serde::{Deserialize, Serialize};

use crate::clock::Timestamp;
use crate::unix_time::millis;

/// Who minted a token or opened a stream, and when: it is void once that principal, or anything else that it rests on,
/// loses its rights.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Minted {
    /// The principal: `user:…`, `key:…`, `operator:…`.
    pub by: String,
    /// When. In JSON: milliseconds since 1970.
    #[serde(with = "millis")]
    pub at: Timestamp,
    /// What else it rests on, by the names that revocations use: its session, its role, the operator behind it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub also: Vec<String>,
}

impl Minted {
    /// Everything by whose revocation it becomes void.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        std::iter::once(self.by.as_str()).chain(self.also.iter().map(String::as_str))
    }

    /// Whether a revocation makes it void: of this name (none: of everybody), as of this moment.
    pub fn is_voided_by(&self, name: Option<&str>, at: Timestamp) -> bool {
        self.at <= at && name.is_none_or(|name| self.names().any(|own| own == name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_it_rests_on_makes_it_void() {
        let at = Timestamp::from_millis;
        let minted = Minted { by: "user:a".into(), at: at(5), also: vec!["session:s".into(), "role:press".into()] };
        for name in [None, Some("user:a"), Some("session:s"), Some("role:press")] {
            assert!(minted.is_voided_by(name, at(5)) && !minted.is_voided_by(name, at(4)), "{name:?}");
        }
        assert!(!minted.is_voided_by(Some("user:b"), at(9)) && !minted.is_voided_by(Some("session"), at(9)));
    }

    #[test]
    fn one_of_an_older_worker_is_read() {
        let minted: Minted = serde_json::from_str(r#"{"by":"key:k","at":7}"#).unwrap();
        assert_eq!(minted.names().collect::<Vec<_>>(), ["key:k"]);
        assert_eq!(serde_json::to_string(&minted).unwrap(), r#"{"by":"key:k","at":7}"#);
    }
}
