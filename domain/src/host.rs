//! Host names: those that requests are sent to, and those that tenants may own.

use std::fmt;

use serde::Serialize;

use crate::error::Invalid;
use crate::ids::Slug;

/// A host name in its canonical spelling: lower case, ASCII, no port, no trailing dot.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
pub struct Host(Box<str>);

impl Host {
    /// Reads the authority of a URL or a `Host` header; port and trailing dot are dropped, letters become lower case.
    ///
    /// International names must be in punycode, as clients send them.
    pub fn parse(authority: &str) -> Result<Self, Invalid> {
        let invalid = || Invalid::new("invalid_host", "must be a host name, such as blog.example.com");
        let name = match authority.rsplit_once(':') {
            Some((name, port)) if port.bytes().all(|b| b.is_ascii_digit()) => name,
            _ => authority,
        };
        let name = name.strip_suffix('.').unwrap_or(name);
        let label = |label: &str| {
            (1..=63).contains(&label.len())
                && !label.starts_with('-')
                && !label.ends_with('-')
                && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
        };
        if name.len() > 253 || !name.split('.').all(label) {
            return Err(invalid());
        }
        Ok(Self(name.to_ascii_lowercase().into()))
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What a host may be, before any look-up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HostKind {
    /// The platform's own host, which serves operators.
    Platform,
    /// A host that a tenant may have: `{slug}.{root}` or a custom domain.
    Tenant(Host),
    /// A reserved label, or a deeper name under the root: no tenant can have it.
    Nobody,
}

/// The domain under which the platform and its tenants live.
#[derive(Debug, Clone)]
pub struct RootDomain(Host);

impl RootDomain {
    /// Reads the variable `ROOT_DOMAIN`.
    pub fn parse(text: &str) -> Result<Self, Invalid> {
        Host::parse(text).map(Self)
    }

    /// The domain.
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }

    /// Whether a host is the domain or a name under it.
    pub fn contains(&self, host: &Host) -> bool {
        self.label_of(host).is_some()
    }

    /// What a host is.
    pub fn kind_of(&self, host: Host) -> HostKind {
        match self.label_of(&host) {
            Some("" | "console") => HostKind::Platform,
            Some(label) if Slug::parse(label).is_ok() => HostKind::Tenant(host),
            Some(_) => HostKind::Nobody,
            None => HostKind::Tenant(host),
        }
    }

    /// The host of a tenant's slug.
    pub fn host_of(&self, slug: &Slug) -> Host {
        Host(format!("{}.{}", slug.as_str(), self.0).into())
    }

    /// Reads a domain that a tenant attaches: a full name, not under the root domain.
    pub fn custom_domain(&self, text: &str) -> Result<Host, Invalid> {
        let host = Host::parse(text)
            .map_err(|_| Invalid::new("invalid_domain", "must be a domain name, such as blog.example.com"))?;
        if !host.as_str().contains('.') || host.as_str().bytes().all(|b| b.is_ascii_digit() || b == b'.') {
            return Err(Invalid::new("invalid_domain", "must be a full domain name, such as blog.example.com"));
        }
        if self.label_of(&host).is_some() {
            return Err(Invalid::new("reserved", "must not lie under the platform's own domain"));
        }
        Ok(host)
    }

    /// The labels before the root domain; empty for the root itself, none for other hosts.
    fn label_of<'h>(&self, host: &'h Host) -> Option<&'h str> {
        let before = host.as_str().strip_suffix(self.0.as_str())?;
        if before.is_empty() { Some("") } else { before.strip_suffix('.') }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn root() -> RootDomain {
        RootDomain::parse("localhost").unwrap()
    }

    fn kind_of(text: &str) -> HostKind {
        root().kind_of(Host::parse(text).unwrap())
    }

    #[test]
    fn one_spelling_of_a_host() {
        for text in ["acme.localhost", "ACME.localhost:8787", "acme.localhost.", "Acme.Localhost.:80"] {
            assert_eq!(Host::parse(text).unwrap().as_str(), "acme.localhost");
        }
        for text in ["", ".", "a..b", "-a.b", "[::1]:80", "a b", "bücher.example", &"a".repeat(300)] {
            assert!(Host::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_host_is_the_platforms_a_tenants_or_nobodys() {
        assert_eq!(kind_of("localhost:8787"), HostKind::Platform);
        assert_eq!(kind_of("console.localhost"), HostKind::Platform);
        assert!(matches!(kind_of("acme.localhost"), HostKind::Tenant(_)));
        assert!(matches!(kind_of("blog.acme.com"), HostKind::Tenant(_)));
        assert!(matches!(kind_of("notlocalhost"), HostKind::Tenant(_)));
        for nobody in ["www.localhost", "api.localhost", "default.localhost", "a.b.localhost", "a_b.localhost"] {
            assert_eq!(kind_of(nobody), HostKind::Nobody, "{nobody}");
        }
    }

    #[test]
    fn custom_domains_are_full_and_foreign() {
        assert_eq!(root().custom_domain("Blog.ACME.com.").unwrap().as_str(), "blog.acme.com");
        assert!(root().custom_domain("xn--bcher-kva.example").is_ok());
        for bad in ["acme", "x.localhost", "localhost", "127.0.0.1", ""] {
            assert!(root().custom_domain(bad).is_err(), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn parsing_is_idempotent(text in "[A-Za-z0-9.:-]{0,40}") {
            if let Ok(host) = Host::parse(&text) {
                prop_assert_eq!(Host::parse(host.as_str()), Ok(host));
            }
        }
    }
}
