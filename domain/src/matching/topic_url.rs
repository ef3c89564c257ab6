//! Topics as URLs: resolved against the hub's URL by the WHATWG parser.

use std::fmt;

use url::Url;

use crate::error::Invalid;

/// The hub's URL, which relative topics and patterns start from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Base(Url);

impl Base {
    /// Parses the hub's URL.
    pub fn parse(text: &str) -> Result<Self, Invalid> {
        Url::parse(text).map(Self).map_err(|_| Invalid::new("invalid_url", "must be an absolute URL"))
    }

    /// The URL as text.
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }

    pub(super) fn url(&self) -> &Url {
        &self.0
    }

    /// Whether a topic lies in the hub's own namespace, where nobody may publish: its path is the hub's or below it,
    /// whatever its scheme and host, once it is resolved, free of dot segments, and unreserved characters are decoded.
    /// What is no URL reference is not reserved.
    pub fn reserves(&self, topic: &str) -> bool {
        self.0.join(topic).is_ok_and(|url| {
            let path = decode_unreserved(url.path());
            path.strip_prefix(self.0.path()).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        })
    }
}

impl fmt::Display for Base {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A path with those characters as themselves that never need encoding (RFC 3986, 2.3).
fn decode_unreserved(path: &str) -> String {
    let mut decoded = String::with_capacity(path.len());
    let mut rest = path;
    while let Some((before, behind)) = rest.split_once('%') {
        decoded.push_str(before);
        let byte = behind.get(..2).filter(|code| code.bytes().all(|b| b.is_ascii_hexdigit()));
        let byte = byte.and_then(|code| u8::from_str_radix(code, 16).ok());
        match byte.filter(|b| b.is_ascii_alphanumeric() || b"-._~".contains(b)) {
            Some(byte) => {
                decoded.push(char::from(byte));
                rest = behind.get(2..).unwrap_or_default();
            }
            None => {
                decoded.push('%');
                rest = behind;
            }
        }
    }
    decoded.push_str(rest);
    decoded
}

/// A topic as a URL.
#[derive(Debug)]
pub struct TopicUrl {
    url: Url,
    port: String,
    place: String,
}

impl TopicUrl {
    /// Resolves a topic; none if it is no URL reference.
    pub fn parse(topic: &str, base: &Base) -> Option<Self> {
        let url = base.0.join(topic).ok()?;
        let port = url.port().map(|port| port.to_string()).unwrap_or_default();
        let place = format!("{}://{}:{port}{}", url.scheme(), url.host_str().unwrap_or_default(), url.path());
        Some(Self { url, port, place })
    }

    /// Scheme, host, port (its colon is always there) and path in one: what the index looks at. Who is named as the
    /// user is left out, as most patterns do not care.
    pub fn place(&self) -> &str {
        &self.place
    }

    /// The components in the order of the standard: protocol, username, password, hostname, port, pathname, search,
    /// hash.
    pub(super) fn components(&self) -> [&str; 8] {
        [
            self.url.scheme(),
            self.url.username(),
            self.url.password().unwrap_or_default(),
            self.url.host_str().unwrap_or_default(),
            &self.port,
            self.url.path(),
            self.url.query().unwrap_or_default(),
            self.url.fragment().unwrap_or_default(),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn base() -> Base {
        Base::parse("https://hub.example.com/.well-known/mercure").unwrap()
    }

    #[test]
    fn the_hubs_own_namespace() {
        for topic in [
            "/.well-known/mercure",
            "/.well-known/mercure/",
            "/.well-known/mercure/subscriptions/exact/a/b",
            "",
            "?a",
            "#a",
            "mercure",
            "mercure/subscriptions",
            "./mercure",
            "https://other.example.com/.well-known/mercure",
            "http://hub.example.com:81/.well-known/mercure?q#f",
            "foo://x/.well-known/mercure/a",
            "foo:/.well-known/mercure",
            "//other/.well-known/mercure",
            "/a/../.well-known/./mercure",
            "/a/%2e%2E/.well-known/mercure",
            "/%2Ewell%2dknown/%6Dercur%65",
            "\\.well-known\\mercure",
            "/.well-known/mer\tcure",
        ] {
            assert!(base().reserves(topic), "{topic}");
        }
        for topic in [
            "/",
            "/.well-known/mercury",
            "/.well-known/mercure2",
            "/.well-known/mercure%2Fa",
            "/.Well-Known/mercure",
            "/a/.well-known/mercure",
            "//.well-known/mercure",
            "/.well-known//mercure",
            "/.well-known/mercure%",
            "urn:.well-known/mercure",
            "http://[/.well-known/mercure",
            "books/1",
        ] {
            assert!(!base().reserves(topic), "{topic}");
        }
    }

    #[test]
    fn topics_are_resolved_against_the_hub() {
        let place = |topic: &str| TopicUrl::parse(topic, &base()).map(|url| url.place().to_owned());
        assert_eq!(place("books/1").unwrap(), "https://hub.example.com:/.well-known/books/1");
        assert_eq!(place("/books/1?q#f").unwrap(), "https://hub.example.com:/books/1");
        assert_eq!(place("http://user:pw@EXAMPLE.com:8080").unwrap(), "http://example.com:8080/");
        assert_eq!(place("https://bücher.example/").unwrap(), "https://xn--bcher-kva.example:/");
        assert_eq!(place("urn:isbn:1").unwrap(), "urn://:isbn:1");
        for broken in [
            "http://[",
            "https://a b/",
            "https://a:99999/",
            "http://%zz/",
            "http://a\u{ad}b/",
            "http://%E2%80%8B/",
            "http://xn--a/",
        ] {
            assert_eq!(place(broken), None, "{broken}");
        }
        assert!(Base::parse("/relative").is_err());
    }
}
