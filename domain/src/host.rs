//! Host names: those that requests are sent to, and those that tenants may own.

use std::fmt;

use serde::Serialize;

use crate::error::Invalid;
use crate::ids::Slug;
use crate::script::is_of_one_script;

/// The longest name of a custom domain, in bytes: the name of its TXT record must fit into DNS too.
const MAX_DOMAIN: usize = 240;

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

    /// Reads a full name, as the public DNS has them: two labels or more, the last one letters or an international name.
    ///
    /// So nothing passes that URL parsers read as an IP address (`127.1`, `0x7f.5`, `a.2`: the host "ends in a number",
    /// URL Standard, 3.5). An international label must be decodable, and its letters of one script.
    pub fn full_name(text: &str) -> Result<Self, Invalid> {
        let invalid = |message: &'static str| Err(Invalid::new("invalid_domain", message));
        let Ok(host) = Self::parse(text) else {
            return invalid("must be a domain name, such as blog.example.com");
        };
        if text.contains(':') {
            return invalid("must be a domain name without a port, such as blog.example.com");
        }
        let Some((_, last)) = host.0.rsplit_once('.') else {
            return invalid("must be a full domain name, such as blog.example.com");
        };
        if !last.bytes().all(|b| b.is_ascii_lowercase()) && !last.starts_with("xn--") {
            return invalid("must end in a name, such as .com: what ends in a number is read as an IP address");
        }
        if host.0.split('.').any(|label| label.starts_with('_')) {
            return invalid("must be the name of a host: a label that begins with '_' names a record");
        }
        if !host.has_readable_labels() {
            return invalid("must have international labels in valid punycode, each in the letters of one script");
        }
        Ok(host)
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether each international label can be decoded, and its letters are of one script.
    pub fn has_readable_labels(&self) -> bool {
        self.0.split('.').all(is_readable)
    }
}

/// Whether a label is plain ASCII, or punycode of letters of one script in their only spelling.
fn is_readable(label: &str) -> bool {
    let Some(encoded) = label.strip_prefix("xn--") else { return true };
    let Some(decoded) = idna::punycode::decode_to_string(encoded) else { return false };
    let is_canonical = idna::punycode::encode_str(&decoded).as_deref() == Some(encoded);
    let is_letter = |c: char| match c {
        'a'..='z' | '0'..='9' | '-' => true,
        other => other >= '\u{b7}' && !other.is_control() && !other.is_whitespace() && !other.is_uppercase(),
    };
    is_canonical && !decoded.is_ascii() && decoded.chars().all(is_letter) && is_of_one_script(&decoded)
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
        let host = Host::full_name(text);
        if host.as_ref().is_ok_and(|host| self.contains(host))
            || Host::parse(text).is_ok_and(|host| self.contains(&host))
        {
            return Err(Invalid::new("reserved", "must not lie under the platform's own domain"));
        }
        let host = host?;
        if host.as_str().len() > MAX_DOMAIN {
            return Err(Invalid::new("too_long", format!("must be at most {MAX_DOMAIN} bytes long")));
        }
        Ok(host)
    }

    /// Whether a host is the root domain, or lies under it.
    pub fn contains(&self, host: &Host) -> bool {
        self.label_of(host).is_some()
    }

    /// Whether this is a deployment for development: `localhost`, or a name under it, which no DNS leads to.
    pub fn is_local(&self) -> bool {
        let name = self.as_str();
        name == "localhost" || name.ends_with(".localhost")
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
        for bad in
            ["acme", "x.localhost", "localhost", "X.LOCALHOST.", "127.0.0.1", "", "a.example:80", "_acme.example.com"]
        {
            assert!(root().custom_domain(bad).is_err(), "{bad}");
        }
        let longest = format!("{0}.{0}.{0}.{1}.com", "a".repeat(63), "b".repeat(44));
        assert!(root().custom_domain(&longest).is_ok() && root().custom_domain(&format!("b{longest}")).is_err());
    }

    #[test]
    fn what_url_parsers_read_as_a_number_is_no_domain() {
        for bad in [
            "127.1",
            "0x7f.5",
            "0x7f.1",
            "0177.0.0.1",
            "a.2",
            "a.b.0x7f",
            "a.0x",
            "a.0X1F",
            "acme.example.08",
            "1.2.3.4.5",
            "a.b.c.d.9.",
            "2130706433",
            "blog.acme.b4",
        ] {
            assert!(root().custom_domain(bad).is_err(), "{bad}");
        }
        for good in ["1.acme.com", "0x7f.acme.com", "127.0.0.1.example.com", "4.de"] {
            assert!(root().custom_domain(good).is_ok(), "{good}");
        }
    }

    #[test]
    fn international_labels_are_decodable_and_of_one_script() {
        for good in ["xn--bcher-kva.example", "xn--e1afmkfd.xn--p1ai", "xn--wgv71a119e.jp", "acme.xn--p1ai"] {
            assert!(root().custom_domain(good).is_ok(), "{good}");
        }
        // Cyrillic a before "pple"; then what does not decode, decodes to ASCII, or is not the shortest spelling.
        for bad in ["xn--pple-43d.com", "xn--.com", "xn--99999999.com", "xn--a.com", "xn--abc-.com", "blog.xn--0.com"] {
            assert!(root().custom_domain(bad).is_err(), "{bad}");
        }
    }

    proptest! {
        /// Whatever the URL standard reads as an IP address is no domain, and what passes is read as the same name.
        #[test]
        fn no_domain_is_an_address(text in "(0[xX])?[0-9a-fA-F]{0,4}(\\.(0[xX])?[0-9a-fA-F]{0,4}){0,4}(\\.[a-z]{1,3})?\\.?") {
            let Ok(host) = root().custom_domain(&text) else { return Ok(()) };
            let url = url::Url::parse(&format!("https://{text}/"));
            let is_same = url.is_ok_and(|url| url.domain().map(|name| name.trim_end_matches('.')) == Some(host.as_str()));
            prop_assert!(is_same, "{text}");
        }

        #[test]
        fn parsing_is_idempotent(text in "[A-Za-z0-9.:-]{0,40}") {
            if let Ok(host) = Host::parse(&text) {
                prop_assert_eq!(Host::parse(host.as_str()), Ok(host));
            }
        }
    }
}
