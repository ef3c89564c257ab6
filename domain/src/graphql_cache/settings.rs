//! A tenant's settings of the cache in front of its site.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::lifetime::Lifetime;
use crate::bounded_number::Bounded;
use crate::error::Invalid;

/// How long an answer counts, in seconds.
pub const FRESH: Bounded = Bounded { name: "fresh_seconds", default: 60, least: 0, most: 604_800 };
/// How long after that it may be shown while a new one is fetched, in seconds.
pub const STALE_WHILE_REVALIDATE: Bounded =
    Bounded { name: "stale_while_revalidate_seconds", default: 60, least: 0, most: 604_800 };
/// How long after that it may be shown where the site fails, in seconds.
pub const STALE_IF_ERROR: Bounded = Bounded { name: "stale_if_error_seconds", default: 3_600, least: 0, most: 604_800 };
/// How old an isolate's knowledge of purges may be, in seconds; with 0 it asks each time.
pub const STALENESS: Bounded = Bounded { name: "staleness_seconds", default: 5, least: 0, most: 5 };

/// How many answers are fetched again after a purge has ended them.
pub const WARM_UP: Bounded = Bounded { name: "warm_up", default: 10, least: 0, most: 50 };

/// Most operations with lifetimes of their own.
pub const MAX_OPERATIONS: usize = 100;
/// Most headers that split answers, and most claims.
pub const MAX_SCOPES: usize = 5;

/// Headers that say who asks, or how, and so split nothing that is public.
const NO_SCOPES: [&str; 16] = [
    "authorization",
    "proxy-authorization",
    "cookie",
    "x-wp-nonce",
    "woocommerce-session",
    "x-graphql-preview",
    "accept",
    "content-type",
    "content-length",
    "content-encoding",
    "host",
    "origin",
    "referer",
    "user-agent",
    "connection",
    "range",
];
/// Beginnings of names that do not reach a site.
const NEVER_SENT: [&str; 5] = ["x-carillon-", "x-forwarded-", "cf-", "sec-", "if-"];

/// A header whose value makes another answer: a language, a currency.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct HeaderScope(Box<str>);

impl HeaderScope {
    /// The longest value that splits answers, in bytes. Questions with a longer one pass.
    pub const MAX_VALUE: usize = 128;

    /// Reads a header's name.
    pub fn parse(text: &str) -> Result<Self, Invalid> {
        let name = text.to_ascii_lowercase();
        let is_name = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
        if name.is_empty() || name.len() > 64 || !name.bytes().all(is_name) {
            return Err(Invalid::new("invalid_name", "must be the name of a header: 1 to 64 letters, digits and -"));
        }
        if NO_SCOPES.contains(&&*name) || NEVER_SENT.iter().any(|prefix| name.starts_with(prefix)) {
            let told = "must not be a header that says who asks, or one that does not reach the site";
            return Err(Invalid::new("reserved", told));
        }
        Ok(Self(name.into()))
    }

    /// The name, in lower case.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Tokens that split answers: whoever has one with equal claims is shown the same.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenScope {
    /// What their `aud` names.
    pub audience: String,
    /// The claims whose values make another answer.
    pub claims: Vec<String>,
}

impl TokenScope {
    /// The longest audience and the longest name of a claim, in bytes.
    pub const MAX_AUDIENCE: usize = 200;
    /// See [`Self::MAX_AUDIENCE`].
    pub const MAX_CLAIM: usize = 64;
}

/// How long the answers to an operation count, where that is not as long as all others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct OperationLifetime {
    /// See [`FRESH`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fresh_seconds: Option<u32>,
    /// See [`STALE_WHILE_REVALIDATE`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stale_while_revalidate_seconds: Option<u32>,
    /// See [`STALE_IF_ERROR`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stale_if_error_seconds: Option<u32>,
}

/// A tenant's settings of its cache.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CacheSettings {
    /// Whether answers are kept at all.
    pub enabled: bool,
    /// See [`FRESH`].
    pub fresh_seconds: u32,
    /// See [`STALE_WHILE_REVALIDATE`].
    pub stale_while_revalidate_seconds: u32,
    /// See [`STALE_IF_ERROR`].
    pub stale_if_error_seconds: u32,
    /// See [`STALENESS`].
    pub staleness_seconds: u32,
    /// See [`WARM_UP`].
    #[serde(default)]
    pub warm_up: u32,
    /// Whether answers are kept that the site sends no keys with. Any purge ends them.
    pub untagged: bool,
    /// Whether the ids in the answer to a mutation end the answers that show them.
    #[serde(default)]
    pub purge_by_mutations: bool,
    /// Headers that split answers.
    pub scope_headers: Vec<HeaderScope>,
    /// Tokens that split answers.
    #[serde(default)]
    pub token_scope: Option<TokenScope>,
    /// Operations with lifetimes of their own, by name.
    pub operations: BTreeMap<String, OperationLifetime>,
}

impl Default for CacheSettings {
    fn default() -> Self {
        Self {
            enabled: true,
            fresh_seconds: FRESH.default,
            stale_while_revalidate_seconds: STALE_WHILE_REVALIDATE.default,
            stale_if_error_seconds: STALE_IF_ERROR.default,
            staleness_seconds: STALENESS.default,
            warm_up: WARM_UP.default,
            untagged: false,
            purge_by_mutations: false,
            scope_headers: Vec::new(),
            token_scope: None,
            operations: BTreeMap::new(),
        }
    }
}

impl CacheSettings {
    /// How long answers to an operation count, as the tenant wants it.
    pub fn lifetime(&self, operation: Option<&str>) -> Lifetime {
        let own = operation.and_then(|name| self.operations.get(name)).copied().unwrap_or_default();
        let millis = |own: Option<u32>, all: u32| i64::from(own.unwrap_or(all)) * 1_000;
        Lifetime {
            fresh: millis(own.fresh_seconds, self.fresh_seconds),
            stale_while_revalidate: millis(own.stale_while_revalidate_seconds, self.stale_while_revalidate_seconds),
            stale_if_error: millis(own.stale_if_error_seconds, self.stale_if_error_seconds),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_operation_has_lifetimes_of_its_own() {
        let own = OperationLifetime {
            fresh_seconds: Some(0),
            stale_if_error_seconds: Some(9),
            ..OperationLifetime::default()
        };
        let settings = CacheSettings { operations: [("A".to_owned(), own)].into(), ..CacheSettings::default() };
        let all = Lifetime { fresh: 60_000, stale_while_revalidate: 60_000, stale_if_error: 3_600_000 };
        assert_eq!(settings.lifetime(Some("A")), Lifetime { fresh: 0, stale_if_error: 9_000, ..all });
        assert_eq!([settings.lifetime(None), settings.lifetime(Some("B"))], [all, all]);
    }

    #[test]
    fn who_asks_is_no_scope() {
        for name in ["X-Currency", "accept-language", "X-1"] {
            assert_eq!(HeaderScope::parse(name).unwrap().as_str(), name.to_ascii_lowercase());
        }
        for name in [
            "",
            "Authorization",
            "COOKIE",
            "X-WP-Nonce",
            "x-carillon-a",
            "X-Forwarded-Host",
            "a b",
            "a_b",
            "é",
            "if-match",
        ] {
            assert!(HeaderScope::parse(name).is_err(), "{name}");
        }
    }
}
