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
}

impl fmt::Display for Base {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
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
            "http://xn--u-ccb/",
        ] {
            assert_eq!(place(broken), None, "{broken}");
        }
        assert!(Base::parse("/relative").is_err());
    }

    /// UTS 46 composes the labels of hosts; the rest of a URL is compared as it is spelled (RFC 3986, 6.2).
    #[test]
    fn hosts_are_composed_and_paths_are_not() {
        let place = |topic: &str| TopicUrl::parse(topic, &base()).map(|url| url.place().to_owned());
        for host in ["b\u{fc}cher.example", "bu\u{308}cher.example", "B\u{dc}CHER.example", "BU\u{308}CHER.example"] {
            assert_eq!(place(&format!("https://{host}/a")).unwrap(), "https://xn--bcher-kva.example:/a", "{host}");
        }
        assert_eq!(place("https://bu%CC%88cher.example/").unwrap(), "https://xn--bcher-kva.example:/");
        assert_eq!(place("https://\u{1112}\u{1161}\u{11ab}.example/"), place("https://\u{d55c}.example/"));
        assert_eq!(place("/\u{fc}").unwrap(), "https://hub.example.com:/%C3%BC");
        assert_eq!(place("/u\u{308}").unwrap(), "https://hub.example.com:/u%CC%88");
    }
}
