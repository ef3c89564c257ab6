//! Cross-origin requests: only exact origins of the tenant's `cors_origins`, with credentials, never `*`. What tells of no
//! tenant is for pages of all origins.

use url::Url;

use domain::error::Invalid;

/// The longest origin that is read, in bytes.
const MAX_ORIGIN: usize = 300;
/// What an origin must be.
const SHAPE: &str = "must be an origin, such as https://www.example.com";

/// The headers beyond the safelisted ones that a host's operations read and answer with, each list joined by `, `.
#[derive(Debug, PartialEq, Eq)]
pub struct CorsHeaders {
    /// What a page of an allowed origin may send.
    pub allowed: String,
    /// What it may read.
    pub exposed: String,
}

/// What a request's `Origin` is to a tenant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// None was sent, or it is the tenant's own host.
    Same,
    /// In the tenant's `cors_origins`; the response names it.
    Allowed(String),
    /// Any other. The response names none, so browsers do not show it to the page.
    Foreign,
}

impl Origin {
    /// Classifies an `Origin` header by the tenant's `cors_origins`, and scheme and host that the request was sent to.
    pub fn judge(origin: Option<&str>, allowed: &[String], sent_to: (&str, &str)) -> Self {
        match origin {
            None => Self::Same,
            Some(origin) if allowed.iter().any(|listed| is_listed(listed, origin)) => Self::Allowed(origin.into()),
            Some(origin) if origin.split_once("://").is_some_and(|from| is_own(from, sent_to)) => Self::Same,
            Some(_) => Self::Foreign,
        }
    }

    /// The headers that let a page of this origin read the response.
    pub fn headers(&self, cors: &CorsHeaders) -> Vec<(&'static str, String)> {
        let mut headers = vec![("Vary", "Origin".to_owned())];
        if let Self::Allowed(origin) = self {
            headers.push(("Access-Control-Allow-Origin", origin.clone()));
            headers.push(("Access-Control-Allow-Credentials", "true".into()));
            headers.push(("Access-Control-Expose-Headers", cors.exposed.clone()));
        }
        headers
    }

    /// The headers of a preflight response; `methods` are those of the path.
    pub fn preflight_headers(&self, methods: &str, cors: &CorsHeaders) -> Vec<(&'static str, String)> {
        let mut headers = self.headers(cors);
        if matches!(self, Self::Allowed(_)) {
            headers.push(("Access-Control-Allow-Methods", methods.into()));
            headers.push(("Access-Control-Allow-Headers", cors.allowed.clone()));
            headers.push(("Access-Control-Max-Age", "7200".into()));
        }
        headers
    }
}

/// The headers that let a page of any origin read an answer which tells of no tenant, and of it the headers `told`. The
/// origin is repeated, because a page that sends credentials cannot read what is for `*` (Fetch, "CORS check").
pub fn headers_for_all(origin: Option<&str>, told: &[&str]) -> Vec<(&'static str, String)> {
    let origin = origin.filter(|origin| origin.len() <= MAX_ORIGIN).map(str::to_owned);
    let allowed = origin.map_or(Origin::Foreign, Origin::Allowed);
    allowed.headers(&CorsHeaders { allowed: String::new(), exposed: told.join(", ") })
}

/// Reads an origin that is to be listed, and gives it as browsers serialise it (WHATWG HTML, "Serialization of an
/// origin"): scheme and host in lower case, the host in punycode, no default port, no path. `to_ascii` makes punycode of
/// an international name.
pub fn parse_origin(text: &str, to_ascii: &dyn Fn(&str) -> Option<String>) -> Result<String, Invalid> {
    let invalid = |message: &'static str| Invalid::new("invalid_origin", message);
    if text.eq_ignore_ascii_case("null") {
        return Err(invalid("must not be null: any page can take that origin"));
    }
    if text.contains('*') {
        return Err(invalid("must name each origin: wildcards are not supported"));
    }
    let is_clean = text.len() <= MAX_ORIGIN && !text.contains(|c: char| c.is_control() || c.is_whitespace());
    let (scheme, rest) = text.split_once("://").filter(|_| is_clean).ok_or_else(|| invalid(SHAPE))?;
    let authority = rest.strip_suffix('/').unwrap_or(rest);
    if authority.contains(['/', '?', '#', '\\', '@']) {
        return Err(invalid("must be scheme, host and port alone, such as https://www.example.com"));
    }
    if !["http", "https"].iter().any(|known| scheme.eq_ignore_ascii_case(known)) {
        return Err(invalid("must begin with https:// or http://"));
    }
    let ascii = match authority.is_ascii() {
        true => Some(authority.to_owned()),
        false => {
            let (name, port) = authority.split_once(':').map_or((authority, None), |(name, port)| (name, Some(port)));
            to_ascii(name).map(|name| port.map_or_else(|| name.clone(), |port| format!("{name}:{port}")))
        }
    };
    ascii.and_then(|authority| serialised(scheme, &authority)).ok_or_else(|| invalid(SHAPE))
}

/// Whether scheme and host of a page are those that the request was sent to. A page of https may ask by http, as behind
/// whatever ends TLS before a Worker on one's own machine; one of http is foreign to https.
fn is_own((scheme, authority): (&str, &str), (asked, host): (&str, &str)) -> bool {
    authority == host && (scheme == "https" || (scheme == "http" && asked == "http"))
}

/// An origin as browsers serialise it; none if it is not one, or its host has an empty label.
fn serialised(scheme: &str, authority: &str) -> Option<String> {
    let is_clean = authority.bytes().all(|b| b.is_ascii_graphic() && !matches!(b, b'/' | b'?' | b'#' | b'\\' | b'@'));
    let url = Url::parse(&format!("{scheme}://{authority}/")).ok().filter(|_| is_clean && !authority.is_empty())?;
    let name = url.host_str()?;
    let has_empty_label = name.strip_suffix('.').unwrap_or(name).split('.').any(str::is_empty);
    let origin = url.origin();
    (origin.is_tuple() && !has_empty_label).then(|| origin.ascii_serialization())
}

/// Whether a listed origin is the one that a browser sent. One that was listed before origins were serialised may be
/// spelled in another way.
fn is_listed(listed: &str, sent: &str) -> bool {
    let spelled = || listed.split_once("://").and_then(|(scheme, authority)| serialised(scheme, authority));
    listed == sent || spelled().is_some_and(|listed| listed == sent)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn parse(text: &str) -> Result<String, Invalid> {
        parse_origin(text, &|_| Some("xn--bcher-kva.example".into()))
    }

    #[test]
    fn origins_match_exactly() {
        let list = vec!["https://www.example.com".to_owned()];
        let judge = |origin| Origin::judge(origin, &list, ("http", "acme.localhost:8787"));
        assert_eq!(judge(None), Origin::Same);
        assert_eq!(judge(Some("http://acme.localhost:8787")), Origin::Same);
        assert_eq!(judge(Some("https://www.example.com")), Origin::Allowed("https://www.example.com".into()));
        for foreign in [
            "https://www.example.com.evil.test",
            "http://www.example.com",
            "null",
            "https://example.com",
            "http://acme.localhost:8788",
        ] {
            assert_eq!(judge(Some(foreign)), Origin::Foreign, "{foreign}");
        }
    }

    #[test]
    fn what_tells_of_no_tenant_is_read_by_pages_of_all_origins() {
        let vary = ("Vary", "Origin".to_owned());
        assert_eq!(
            headers_for_all(Some("https://any.test"), &["Retry-After", "RateLimit"]),
            [
                vary.clone(),
                ("Access-Control-Allow-Origin", "https://any.test".into()),
                ("Access-Control-Allow-Credentials", "true".into()),
                ("Access-Control-Expose-Headers", "Retry-After, RateLimit".into()),
            ]
        );
        for none in [None, Some("x".repeat(301).as_str())] {
            assert_eq!(headers_for_all(none, &[]), std::slice::from_ref(&vary));
        }
    }

    #[test]
    fn a_page_of_another_scheme_is_not_the_hosts_own() {
        let judge = |asked: &str, origin: &str| Origin::judge(Some(origin), &[], (asked, "acme.test"));
        for asked in ["http", "https"] {
            assert_eq!(judge(asked, "https://acme.test"), Origin::Same);
            for scheme in ["ftp", "ws", "file", "chrome-extension", "HTTPS", ""] {
                assert_eq!(judge(asked, &format!("{scheme}://acme.test")), Origin::Foreign, "{scheme}");
            }
        }
        assert_eq!(judge("http", "http://acme.test"), Origin::Same);
        assert_eq!(judge("https", "http://acme.test"), Origin::Foreign);
        assert_eq!(judge("https", "https://acme.test:8443"), Origin::Foreign);
    }

    #[test]
    fn only_origins_are_listed() {
        assert!(parse("http://localhost:3000").is_ok());
        for bad in [
            "",
            "*",
            "https://*",
            "https://*.a.test",
            "null",
            "NULL",
            "a.test",
            "//a.test",
            "https://",
            "https:///",
            "https://a.test//",
            "https://a.test/path",
            "https://a.test?q",
            "https://a.test#f",
            "https://u@a.test",
            "https://u:p@a.test",
            "https://a.test\\b",
            "https:\\\\a.test",
            "ftp://a.test",
            "file://",
            "data:text/html,x",
            "https://a.test:99999",
            "https://a.test:x",
            "https://a.test:+1",
            "https://a b.test",
            " https://a.test",
            "https://a.test ",
            "https://a.test\n",
            "https://a.test, https://b.test",
            "https://[::1",
            "https://1.2.3.4.5.6",
            "https://xn--/",
            "https://a..b",
            "https://.",
            "https://.a.test",
            "https://a.test..",
            "https://a%2e.b",
        ] {
            assert_eq!(parse(bad).map_err(|invalid| invalid.code), Err("invalid_origin"), "{bad}");
        }
    }

    #[test]
    fn origins_are_stored_as_browsers_serialise_them() {
        for (text, stored) in [
            ("https://www.example.com", "https://www.example.com"),
            ("HTTPS://WWW.Example.COM", "https://www.example.com"),
            ("https://www.example.com:443", "https://www.example.com"),
            ("https://www.example.com:0443", "https://www.example.com"),
            ("https://www.example.com:", "https://www.example.com"),
            ("http://www.example.com:80/", "http://www.example.com"),
            ("http://www.example.com:443", "http://www.example.com:443"),
            ("https://www.example.com:8443/", "https://www.example.com:8443"),
            ("https://b\u{fc}cher.example", "https://xn--bcher-kva.example"),
            ("https://B\u{dc}CHER.example:443", "https://xn--bcher-kva.example"),
            ("http://localhost:3000", "http://localhost:3000"),
            ("http://127.1:3000", "http://127.0.0.1:3000"),
            ("http://[::0001]:3000", "http://[::1]:3000"),
            ("https://www.example.com.", "https://www.example.com."),
            ("https://ex%61mple.com", "https://example.com"),
        ] {
            assert_eq!(parse(text).as_deref(), Ok(stored), "{text}");
            assert_eq!(parse(stored).as_deref(), Ok(stored));
        }
    }

    #[test]
    fn an_origin_that_was_stored_in_another_spelling_counts() {
        let list = ["https://www.example.com:443".to_owned(), "not an origin".to_owned(), "*".to_owned()];
        let judge = |origin| Origin::judge(Some(origin), &list, ("http", "acme.localhost:8787"));
        assert_eq!(judge("https://www.example.com"), Origin::Allowed("https://www.example.com".into()));
        for foreign in ["https://www.example.com:8443", "http://www.example.com", "https://example.com", "null"] {
            assert_eq!(judge(foreign), Origin::Foreign, "{foreign}");
        }
    }

    proptest! {
        #[test]
        fn what_is_stored_is_stored_as_it_is(text in "(?i)(https?://)?[a-z0-9.:/@?#%\\[\\]\\\\ -]{0,30}") {
            if let Ok(stored) = parse(&text) {
                prop_assert_eq!(parse(&stored), Ok(stored));
            }
        }
    }
}
