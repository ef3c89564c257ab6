//! URLs that the platform calls because a tenant named them. They must name a public host.
//!
//! Only the text is checked here. A public name that resolves to a private address is refused by the runtime: a Worker's
//! `fetch` reaches the public internet only.

use crate::error::Invalid;
use crate::host::{Host, RootDomain};

/// The longest URL, in bytes.
const MAX_LENGTH: usize = 500;

/// Top-level names that are not public.
const PRIVATE: &[&str] = &["localhost", "local", "internal", "intranet", "private", "corp", "home", "lan", "arpa"];

/// Whether this machine may be called; only tests allow it.
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
        let invalid = || Invalid::new("invalid_url", "must be an https URL without credentials or fragment");
        let clean = text.bytes().all(|b| b.is_ascii_graphic() && !matches!(b, b'\\' | b'#' | b'"' | b'<' | b'>'));
        if !clean || text.len() > MAX_LENGTH {
            return Err(invalid());
        }
        let (scheme, rest) = text.split_once("://").ok_or_else(invalid)?;
        let authority = rest.split(['/', '?']).next().unwrap_or_default();
        let host = host_of(authority).ok_or_else(invalid)?;
        let is_loopback = matches!(host, "localhost" | "127.0.0.1" | "[::1]");
        if is_loopback && loopback == Loopback::Allowed && matches!(scheme, "http" | "https") {
            return Ok(Self(text.into()));
        }
        if scheme != "https" {
            return Err(invalid());
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

/// The host of an authority; none if it is followed by anything but a port.
fn host_of(authority: &str) -> Option<&str> {
    let end = if authority.starts_with('[') {
        authority.find(']')? + 1
    } else {
        authority.find(':').unwrap_or(authority.len())
    };
    let (host, port) = authority.split_at_checked(end)?;
    match port.strip_prefix(':') {
        None if port.is_empty() => Some(host),
        Some(digits) if digits.bytes().all(|b| b.is_ascii_digit()) => digits.parse::<u16>().ok().map(|_| host),
        _ => None,
    }
}

/// Whether a host is a full name of the public DNS. Its last label is letters or punycode, which rules out every spelling
/// of an IP address.
fn is_public(host: &str, root: &RootDomain) -> bool {
    let host = host.to_ascii_lowercase();
    let named = root.custom_domain(&host).is_ok_and(|parsed| parsed.as_str() == host);
    let last = host.rsplit('.').next().unwrap_or_default();
    let word = last.bytes().all(|b| b.is_ascii_lowercase()) || last.starts_with("xn--");
    named && word && !PRIVATE.contains(&last) && Host::parse(&host).is_ok()
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

    proptest! {
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
