//! Identifiers from outside: tenants' ids, slugs, webhook ids.
//!
//! A [`ClaimedTenant`] is a well-formed id that somebody sent. The id of a tenant that is known to exist is a type of the
//! Worker's crate (`src/tenant_id.rs`), which nothing outside that crate can make.

use serde::{Deserialize, Serialize};

use crate::error::Invalid;

/// Labels under the root domain that no tenant may have.
pub const RESERVED_LABELS: [&str; 6] = ["www", "api", "admin", "app", "console", "default"];

/// What new tenants may not be called beside [`RESERVED_LABELS`], because visitors and mail servers would take the host for
/// the platform's own. With digits behind, with hyphens inside or with digits for letters they are the same words.
const INFRASTRUCTURE: &[&str] = &[
    "abuse",
    "access",
    "account",
    "accounts",
    "adm",
    "admin",
    "administrator",
    "api",
    "apis",
    "app",
    "apps",
    "assets",
    "auth",
    "authentication",
    "authorize",
    "autoconfig",
    "autodiscover",
    "backend",
    "billing",
    "carillon",
    "cdn",
    "cloud",
    "config",
    "console",
    "control",
    "cpanel",
    "dashboard",
    "database",
    "db",
    "default",
    "dev",
    "dns",
    "docs",
    "documentation",
    "download",
    "downloads",
    "edge",
    "email",
    "events",
    "files",
    "ftp",
    "gateway",
    "git",
    "grpc",
    "health",
    "help",
    "helpdesk",
    "hooks",
    "hostmaster",
    "hub",
    "id",
    "identity",
    "idp",
    "imap",
    "info",
    "infra",
    "internal",
    "invoice",
    "invoices",
    "ip",
    "isatap",
    "jwks",
    "kb",
    "ldap",
    "legal",
    "live",
    "local",
    "localdomain",
    "localhost",
    "log",
    "login",
    "logon",
    "logout",
    "logs",
    "mail",
    "mailer",
    "mailerdaemon",
    "manage",
    "media",
    "mercure",
    "metrics",
    "monitor",
    "monitoring",
    "mta",
    "mtasts",
    "mx",
    "my",
    "noreply",
    "notifications",
    "ns",
    "null",
    "oauth",
    "oidc",
    "ops",
    "owner",
    "passkey",
    "password",
    "passwords",
    "pay",
    "payment",
    "payments",
    "platform",
    "pop",
    "portal",
    "postmaster",
    "preview",
    "prod",
    "production",
    "proxy",
    "public",
    "register",
    "registry",
    "relay",
    "root",
    "saml",
    "secret",
    "secrets",
    "secure",
    "security",
    "server",
    "service",
    "services",
    "sftp",
    "signin",
    "signon",
    "signup",
    "smtp",
    "sql",
    "ssh",
    "ssladmin",
    "ssladministrator",
    "sslwebmaster",
    "sso",
    "staff",
    "stage",
    "staging",
    "static",
    "stats",
    "status",
    "storage",
    "stun",
    "support",
    "sys",
    "sysadmin",
    "system",
    "team",
    "telnet",
    "tenant",
    "tenants",
    "test",
    "tls",
    "token",
    "tokens",
    "turn",
    "update",
    "updates",
    "upload",
    "uploads",
    "user",
    "users",
    "verify",
    "vpn",
    "web",
    "webhook",
    "webhooks",
    "webmail",
    "webmaster",
    "wpad",
    "ws",
    "wss",
    "www",
];

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

    /// A slug for a tenant that has not got it yet: none that looks like a part of the platform, like a number or like
    /// punycode. Tenants of before keep theirs.
    pub fn parse_new(text: &str) -> Result<Self, Invalid> {
        let slug = Self::parse(text)?;
        let reserved = |message: &'static str| Err(Invalid::new("reserved", message));
        if text.bytes().all(|b| b.is_ascii_digit() || b == b'-') {
            return reserved("must have a letter");
        }
        if text.get(2..4) == Some("--") {
            return reserved("must not have '--' as its third and fourth characters: such labels are punycode");
        }
        if looks_like_infrastructure(text) {
            return reserved("is reserved, because it looks like a part of the platform: choose another label");
        }
        Ok(slug)
    }

    /// The slug a new tenant gets when none is chosen: its id with `_` as `-`.
    pub fn from_id(id: &ClaimedTenant) -> Result<Self, Invalid> {
        Self::parse_new(id.as_str().replace('_', "-").trim_end_matches('-'))
    }

    /// The label.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Whether a label is a word of [`INFRASTRUCTURE`]: `login`, `log-in`, `login2`, `l0gin`.
fn looks_like_infrastructure(label: &str) -> bool {
    let plain = label.replace('-', "");
    let unnumbered = plain.trim_end_matches(|c: char| c.is_ascii_digit());
    let read = |text: &str, one: char| -> String {
        text.chars()
            .map(|c| match c {
                '0' => 'o',
                '1' => one,
                '3' => 'e',
                '4' => 'a',
                '5' => 's',
                '7' => 't',
                other => other,
            })
            .collect()
    };
    [plain.as_str(), unnumbered]
        .into_iter()
        .flat_map(|text| [text.to_owned(), read(text, 'l'), read(text, 'i')])
        .any(|text| INFRASTRUCTURE.contains(&text.as_str()))
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

    #[test]
    fn new_slugs_do_not_look_like_the_platforms_own_hosts() {
        for bad in [
            "login",
            "log-in",
            "sign-in",
            "login2",
            "l0gin",
            "auth",
            "auth-1",
            "mail",
            "mail01",
            "ma1l",
            "support",
            "supp0rt",
            "account",
            "accounts",
            "4ccount",
            "admin",
            "4dm1n",
            "api",
            "ap1",
            "www",
            "www2",
            "ns",
            "ns1",
            "ns-02",
            "mx10",
            "smtp",
            "status",
            "help",
            "security",
            "5ecurity",
            "billing",
            "mta-sts",
            "no-reply",
            "www-2",
            "0",
            "123",
            "12-34",
            "xn--bcher-kva",
            "xn--a",
            "ab--cd",
            "s-s-o",
        ] {
            assert_eq!(Slug::parse_new(bad).unwrap_err().code, "reserved", "{bad}");
        }
        // Tenants of before keep such a slug, and are found by it.
        for kept in ["login", "mail", "123", "xn--a"] {
            assert!(Slug::parse(kept).is_ok(), "{kept}");
        }
        for good in
            ["acme-corp", "mailbox", "helping-hands", "a1", "2fast", "t-0123", "loginworks", "newsroom", "a-b--c"]
        {
            assert!(Slug::parse_new(good).is_ok(), "{good}");
        }
    }
}
