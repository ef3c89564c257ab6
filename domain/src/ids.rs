//! Identifiers from outside: tenants' ids, slugs, webhook ids.
//!
//! A [`ClaimedTenant`] is a well-formed id that somebody sent. The id of a tenant that is known to exist is a type of the
//! Worker's crate (`src/tenant_id.rs`), which nothing outside that crate can make.

use serde::{Deserialize, Serialize};

use crate::error::Invalid;

/// Labels under the root domain that no tenant may have.
pub const RESERVED_LABELS: [&str; 6] = ["www", "api", "admin", "app", "console", "default"];

const ID_SHAPE: &str = "must be 1 to 63 characters of a-z, 0-9, '-' and '_', and start with a letter or digit";

/// A tenant that a request or a message names: well-formed, not known to exist, not to be trusted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String")]
pub struct ClaimedTenant(Box<str>);

impl ClaimedTenant {
    /// `^[a-z0-9][a-z0-9_-]{0,62}$`: no colon, so that keys made of ids cannot collide.
    pub fn parse(text: &str) -> Result<Self, Invalid> {
        let mut bytes = text.bytes();
        let first = bytes.next().is_some_and(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
        let rest = bytes.all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || b == b'_');
        if first && rest && text.len() <= 63 {
            Ok(Self(text.into()))
        } else {
            Err(Invalid::new("invalid_id", ID_SHAPE))
        }
    }

    /// Names a tenant that is known, so its id needs no check: for messages between parts of the platform.
    pub fn of_known_tenant(id: &str) -> Self {
        Self(id.into())
    }

    /// The id.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for ClaimedTenant {
    type Error = Invalid;

    fn try_from(text: String) -> Result<Self, Invalid> {
        Self::parse(&text)
    }
}

/// A tenant's label under the root domain: one DNS label, not reserved.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize)]
pub struct Slug(Box<str>);

impl Slug {
    /// A DNS label of at most 63 characters that is not reserved.
    pub fn parse(text: &str) -> Result<Self, Invalid> {
        let shape = !text.is_empty()
            && text.len() <= 63
            && !text.starts_with('-')
            && !text.ends_with('-')
            && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
        if !shape {
            return Err(Invalid::new(
                "invalid_slug",
                "must be a DNS label: 1 to 63 characters of a-z, 0-9 and inner '-'",
            ));
        }
        if RESERVED_LABELS.contains(&text) {
            return Err(Invalid::new("reserved", "is reserved: choose another label"));
        }
        Ok(Self(text.into()))
    }

    /// The slug a tenant gets when none is chosen: its id with `_` as `-`.
    pub fn from_id(id: &ClaimedTenant) -> Result<Self, Invalid> {
        Self::parse(id.as_str().replace('_', "-").trim_end_matches('-'))
    }

    /// The label.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A webhook's id from its sender (`webhook-id` of Standard Webhooks), by which it is de-duplicated.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WebhookId(Box<str>);

impl WebhookId {
    /// 1 to 256 visible ASCII characters.
    pub fn parse(text: &str) -> Result<Self, Invalid> {
        if (1..=256).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_graphic()) {
            Ok(Self(text.into()))
        } else {
            Err(Invalid::new("invalid_webhook_id", "must be 1 to 256 visible ASCII characters"))
        }
    }

    /// The id.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_keep_their_shape() {
        for good in ["a", "acme-corp", "tenant_abc123", "0", &"x".repeat(63)] {
            assert!(ClaimedTenant::parse(good).is_ok(), "{good}");
        }
        for bad in ["", "-a", "_a", "A", "a:b", "a b", "ä", &"x".repeat(64)] {
            assert!(ClaimedTenant::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn slugs_are_labels_and_not_reserved() {
        assert!(Slug::parse("acme-corp").is_ok());
        for bad in ["", "-a", "a-", "a_b", "a.b", "www", "console"] {
            assert!(Slug::parse(bad).is_err(), "{bad}");
        }
        let id = ClaimedTenant::parse("tenant_abc_").unwrap();
        assert_eq!(Slug::from_id(&id).unwrap().as_str(), "tenant-abc");
    }
}
