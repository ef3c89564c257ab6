//! URLs that the platform calls. They must name a public host, whoever named them: a tenant, its identity provider, the
//! deployment's own settings.
//!
//! Only the text is checked here, once when it is saved and again when it is called. What a public name resolves to is
//! out of reach: a name such as `127.0.0.1.nip.io` passes. On Cloudflare it leads nowhere, because a Worker's `fetch` reaches
//! the public internet only (`global_fetch_strictly_public`).

use crate::error::Invalid;
use crate::host::{Host, RootDomain};
use crate::uri::has_whole_escapes;

/// The longest URL, in bytes.
const MAX_LENGTH: usize = 500;

/// Top-level names that are not public.
const PRIVATE: &[&str] = &[
    "alt",
    "arpa",
    "corp",
    "home",
    "internal",
    "intra",
    "intranet",
    "invalid",
    "lan",
    "local",
    "localdomain",
    "localhost",
    "onion",
    "private",
];

/// The lowest port beside 443. Below it stand services that are not HTTP.
const LOWEST_PORT: u16 = 1024;

/// Whether this machine may be called; only development and tests allow it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Loopback {
    /// It may not.
    Refused,
    /// It may, over plain HTTP too.
    Allowed,
}

/// An `https` URL of a public host, without credentials or fragment, as it was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutboundUrl(Box<str>);

impl OutboundUrl {
    /// Reads a URL.
    ///
    /// IP addresses are refused in every spelling that browsers understand, since whoever has a certificate has a name; so
    /// are hosts under the platform's own domain.
    pub fn parse(text: &str, root: &RootDomain, loopback: Loopback) -> Result<Self, Invalid> {
        Self::read(text, Some(root), loopback)
    }

    /// Reads a URL of the deployment's own settings, which may lie under the platform's own domain.
    pub fn of_deployment(text: &str, loopback: Loopback) -> Result<Self, Invalid> {
        Self::read(text, None, loopback)
    }

    /// The same URL with one more parameter in its query. Name and value are form-encoded already.
    #[must_use]
    pub fn with_parameter(&self, name: &str, value: &str) -> Self {
        let before = match self.0.split_once('?') {
            None => "?",
            Some((_, query)) if query.is_empty() || query.ends_with('&') => "",
            Some(_) => "&",
        };
        Self(format!("{}{before}{name}={value}", self.0).into())
    }

    fn read(text: &str, root: Option<&RootDomain>, loopback: Loopback) -> Result<Self, Invalid> {
        let invalid = || Invalid::new("invalid_url", "must be an https URL without credentials or fragment");
        let clean = text.bytes().all(|b| b.is_ascii_graphic() && !matches!(b, b'\\' | b'#' | b'"' | b'<' | b'>'));
        if !clean || text.len() > MAX_LENGTH {
            return Err(invalid());
        }
        if !has_whole_escapes(text) {
            return Err(Invalid::new(
                "invalid_url",
                "must be a URL in which each % is followed by two hexadecimal digits",
            ));
        }
        let (scheme, rest) = text.split_once("://").ok_or_else(invalid)?;
        let authority = rest.split(['/', '?']).next().unwrap_or_default();
        let (host, port) = host_and_port(authority).ok_or_else(invalid)?;
        let is_loopback = matches!(host, "localhost" | "127.0.0.1" | "[::1]");
        if is_loopback && loopback == Loopback::Allowed && matches!(scheme, "http" | "https") {
            return Ok(Self(text.into()));
        }
        if scheme != "https" {
            return Err(invalid());
        }
        if port.is_some_and(|port| port != 443 && port < LOWEST_PORT) {
            let message = format!("must name no port below {LOWEST_PORT} but 443");
            return Err(Invalid::new("invalid_port", message));
        }
        if is_public(host, root) {
            Ok(Self(text.into()))
        } else {
            Err(Invalid::new("not_public", "must name a public host by its domain name, not by an IP address"))
        }
    }

    /// The URL.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// The host of an authority and its port, if it names one; none if the host is followed by anything else.
fn host_and_port(authority: &str) -> Option<(&str, Option<u16>)> {
    let end = if authority.starts_with('[') {
        authority.find(']')? + 1
    } else {
        authority.find(':').unwrap_or(authority.len())
    };
    let (host, port) = authority.split_at_checked(end)?;
    match port.strip_prefix(':') {
        None if port.is_empty() => Some((host, None)),
        Some(digits) if digits.bytes().all(|b| b.is_ascii_digit()) => {
            digits.parse().ok().map(|port| (host, Some(port)))
        }
        _ => None,
    }
}

/// Whether a host is a full name of the public DNS, and not the platform's own. A full name rules out every spelling of an
/// IP address.
fn is_public(host: &str, root: Option<&RootDomain>) -> bool {
    let host = host.to_ascii_lowercase();
    let Ok(name) = Host::full_name(&host) else { return false };
    let last = host.rsplit('.').next().unwrap_or_default();
    name.as_str() == host && !PRIVATE.contains(&last) && !root.is_some_and(|root| root.contains(&name))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn parse(text: &str, loopback: Loopback) -> Result<OutboundUrl, Invalid> {
        OutboundUrl::parse(text, &RootDomain::parse("live.example.com").unwrap(), loopback)
    }

    #[test]
    fn public_hosts_are_called_over_https() {
        for good in [
            "https://login.example.org",
            "https://login.example.org/tenant/v2.0",
            "https://Login.Example.org:8443/a?b=c",
            "https://xn--bcher-kva.xn--p1ai/",
        ] {
            assert_eq!(parse(good, Loopback::Refused).unwrap().as_str(), good);
        }
    }

    #[test]
    fn everything_else_is_refused() {
        for bad in [
            "",
            "login.example.org",
            "http://login.example.org",
            "ftp://login.example.org",
            "https://",
            "https:///path",
            "https://user@login.example.org",
            "https://user:pass@login.example.org",
            "https://login.example.org#fragment",
            "https://login.example.org\\@evil.test",
            "https://login.example.org:99999",
            "https://login.example.org:+1",
            "https://login.example.org:",
            "https://login.example.org./",
            "https://login example.org",
            "https://login.example.org/\n",
            "https://localhost",
            "https://a.localhost",
            "https://printer",
            "https://printer.local",
            "https://metadata.google.internal",
            "https://router.home.arpa",
            "https://127.0.0.1",
            "https://10.0.0.1",
            "https://169.254.169.254/latest/meta-data",
            "https://192.168.1.1",
            "https://8.8.8.8",
            "https://127.1",
            "https://2130706433",
            "https://0x7f.0x0.0x0.0x1",
            "https://0x7f000001",
            "https://0177.0.0.01",
            "https://1.2.3.0x4",
            "https://[::1]",
            "https://[fd00::1]",
            "https://[::ffff:169.254.169.254]",
            "https://%31%30.0.0.1",
            "https://１０.0.0.1",
            "https://live.example.com",
            "https://acme.live.example.com",
            "https://LIVE.example.com:8443/a",
            "https://localhost.",
            "https://127.0.0.1.",
            "https://foo.localhost",
            "https://foo.localhost./",
            "https://metadata.google.internal./",
            "https://0x7f.1",
            "https://0x7f.5/",
            "https://a.2",
            "https://a.0x",
            "https://0177.0.0.1",
            "https://127.0.0.1@login.example.org",
            "https://login.example.org@127.0.0.1",
            "https://login.example.org:22",
            "https://login.example.org:25/",
            "https://login.example.org:80",
            "https://login.example.org:0",
            "https://login.example.org:443:443",
            "https://[::ffff:127.0.0.1]",
            "https://[::ffff:7f00:1]:8443",
            "https://①②⑦.⓪.⓪.①",
            "https://127。0。0。1",
            "https://xn--.example.org",
            "https://xn--a.example.org",
            "https://xn--99999999.example.org",
            "https://_dns.example.org",
            "https://a.onion",
            "HTTPS://login.example.org",
            "//login.example.org",
            "https:login.example.org",
            "file:///etc/passwd",
            "data:text/plain,a",
        ] {
            assert!(parse(bad, Loopback::Refused).is_err(), "{bad}");
        }
        assert!(parse(&format!("https://a.example.org/{}", "x".repeat(500)), Loopback::Refused).is_err());
    }

    #[test]
    fn tests_call_this_machine_and_nothing_else_that_is_private() {
        for url in ["http://127.0.0.1:8000", "http://localhost:8000/a", "https://[::1]:1"] {
            assert!(parse(url, Loopback::Allowed).is_ok(), "{url}");
            assert!(parse(url, Loopback::Refused).is_err(), "{url}");
        }
        for other in ["http://127.0.0.2", "http://10.0.0.1", "http://a@127.0.0.1", "http://127.0.0.1.evil.test"] {
            assert!(parse(other, Loopback::Allowed).is_err(), "{other}");
        }
    }

    #[test]
    fn the_deployments_own_addresses_may_lie_under_its_own_domain() {
        let own = |text: &str| OutboundUrl::of_deployment(text, Loopback::Refused).is_ok();
        assert!(own("https://mail.live.example.com/hook") && own("https://cloudflare-dns.com/dns-query"));
        assert!(
            !own("https://127.0.0.1/hook") && !own("http://mail.live.example.com/hook") && !own("https://a.internal")
        );
    }

    #[test]
    fn a_parameter_joins_the_query_that_stands() {
        for (before, after) in [
            ("https://a.example.org", "https://a.example.org?query=x"),
            ("https://a.example.org/graphql", "https://a.example.org/graphql?query=x"),
            ("https://a.example.org/?graphql", "https://a.example.org/?graphql&query=x"),
            ("https://a.example.org/index.php?graphql=true", "https://a.example.org/index.php?graphql=true&query=x"),
            ("https://a.example.org/?", "https://a.example.org/?query=x"),
            ("https://a.example.org/?a&", "https://a.example.org/?a&query=x"),
        ] {
            assert_eq!(parse(before, Loopback::Refused).unwrap().with_parameter("query", "x").as_str(), after);
        }
    }

    proptest! {
        /// What passes is read by the URL standard as the same public name: no two parsers disagree about the host.
        #[test]
        fn what_passes_names_the_host_that_is_called(
            host in "([a-z0-9xX.@:%_-]|[0-9]{1,3}\\.|0x[0-9a-f]{0,3}\\.?|xn--[a-z0-9]{0,5}){1,12}",
            rest in "([/?@:.a-z0-9]){0,8}",
        ) {
            let text = format!("https://{host}{rest}");
            if let Ok(passed) = parse(&text, Loopback::Refused) {
                let url = url::Url::parse(passed.as_str());
                prop_assert!(url.is_ok(), "{text}");
                let url = url.unwrap();
                let Some(url::Host::Domain(domain)) = url.host() else { panic!("{text} names no domain") };
                prop_assert!(domain.contains('.') && !domain.ends_with('.'), "{text}");
                prop_assert!(text["https://".len()..].to_ascii_lowercase().starts_with(domain), "{text}");
                prop_assert!(url.username().is_empty() && url.password().is_none());
            }
        }

        #[test]
        fn no_text_breaks_the_reader(text in "(https?://)?\\PC{0,60}") {
            let _ = parse(&text, Loopback::Allowed);
        }

        #[test]
        fn no_number_is_a_public_host(a: u32, b in "[0-9a-fx.]{1,20}") {
            let address = std::net::Ipv4Addr::from(a);
            let text = format!("https://{address}/");
            prop_assert!(parse(&text, Loopback::Refused).is_err());
            let ends_in_number = b.rsplit('.').next().is_some_and(|last| last.starts_with(|c: char| c.is_ascii_digit()));
            if ends_in_number {
                let text = format!("https://{b}/");
                prop_assert!(parse(&text, Loopback::Refused).is_err());
            }
        }
    }
}
