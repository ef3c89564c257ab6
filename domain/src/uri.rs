//! URIs with a scheme (RFC 3986), as fields of records hold them.
//!
//! What a page makes a link of must not run in the page: the schemes of scripts are refused, and credentials in web
//! addresses, which show one host and lead to another.

use std::net::Ipv6Addr;

use crate::error::Invalid;
use crate::host::Host;

/// Schemes whose URIs are programs, which browsers run in the page that links to them.
const SCRIPTS: [&str; 2] = ["javascript", "vbscript"];

/// Checks a URI: RFC 3986's rule `URI`. One of the web (`http`, `https`) must have a host, and no credentials.
pub fn check_uri(text: &str) -> Result<(), Invalid> {
    let invalid = |message: &'static str| Err(Invalid::new("invalid_uri", message));
    let Some((scheme, rest)) = text.split_once(':').filter(|(scheme, _)| is_scheme(scheme)) else {
        return invalid(
            "must be an absolute URI (RFC 3986), such as https://example.com/page: it begins with a scheme",
        );
    };
    if !has_whole_escapes(rest) {
        return invalid("must be a URI in which each % is followed by two hexadecimal digits");
    }
    let (rest, fragment) = rest.split_once('#').unwrap_or((rest, ""));
    let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
    let (authority, path) = match rest.strip_prefix("//") {
        Some(rest) => {
            let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
            (Some(authority), path)
        }
        None => (None, rest),
    };
    let is_written = [query, fragment].iter().all(|part| part.bytes().all(|b| is_of_path(b) || b == b'?'))
        && path.bytes().all(is_of_path)
        && authority.is_none_or(is_authority);
    if !is_written {
        return invalid("must be a URI (RFC 3986): other characters than those that URIs have are percent-encoded");
    }
    let scheme = scheme.to_ascii_lowercase();
    if SCRIPTS.contains(&scheme.as_str()) {
        return invalid("must be a URI of another scheme than javascript and vbscript");
    }
    if matches!(scheme.as_str(), "http" | "https") && !authority.is_some_and(is_web_authority) {
        return invalid("must have a host and no credentials: https://example.com/page");
    }
    Ok(())
}

fn is_scheme(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphabetic())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'-' | b'.'))
}

/// Whether each `%` is followed by two hexadecimal digits.
pub fn has_whole_escapes(text: &str) -> bool {
    let is_hex = |digits: &str| digits.bytes().all(|b| b.is_ascii_hexdigit());
    text.split('%').skip(1).all(|behind| behind.get(..2).is_some_and(is_hex))
}

/// `unreserved`, `sub-delims`, or part of an escape.
fn is_of_name(b: u8) -> bool {
    b.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=%".contains(&b)
}

/// What a path has, its slashes too.
fn is_of_path(b: u8) -> bool {
    is_of_name(b) || matches!(b, b':' | b'@' | b'/')
}

fn is_authority(text: &str) -> bool {
    let (user, place) = text.rsplit_once('@').unwrap_or(("", text));
    user.bytes().all(|b| is_of_name(b) || b == b':') && is_place(place)
}

/// A host and a port, both of which may be empty.
fn is_place(text: &str) -> bool {
    let is_port = |port: &str| port.bytes().all(|b| b.is_ascii_digit());
    if let Some(rest) = text.strip_prefix('[') {
        let Some((literal, port)) = rest.split_once(']') else { return false };
        return is_ip_literal(literal) && (port.is_empty() || port.strip_prefix(':').is_some_and(is_port));
    }
    let (name, port) = text.split_once(':').unwrap_or((text, ""));
    name.bytes().all(is_of_name) && is_port(port)
}

/// An IPv6 address, or one of a later version (`v1.…`).
fn is_ip_literal(text: &str) -> bool {
    let Some(future) = text.strip_prefix(['v', 'V']) else { return text.parse::<Ipv6Addr>().is_ok() };
    future.split_once('.').is_some_and(|(version, address)| {
        !version.is_empty()
            && version.bytes().all(|b| b.is_ascii_hexdigit())
            && !address.is_empty()
            && address.bytes().all(|b| (is_of_name(b) && b != b'%') || b == b':')
    })
}

/// A host name or an IP address, and a port that exists.
fn is_web_authority(text: &str) -> bool {
    if text.contains('@') {
        return false;
    }
    let (host, port) = match text.rfind(':').filter(|at| !text.get(*at..).unwrap_or_default().contains(']')) {
        Some(at) => text.split_at(at),
        None => (text, ""),
    };
    let port = port.strip_prefix(':').unwrap_or_default();
    (host.starts_with('[') || Host::parse(host).is_ok()) && (port.is_empty() || port.parse::<u16>().is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_is_a_uri_and_what_is_none() {
        for good in [
            "https://example.com",
            "HTTP://localhost:8080/a?b=%20#c",
            "https://example.com:/",
            "https://[2001:db8::7]:8443/a",
            "https://127.0.0.1/",
            "https://example.com/a//b;c=1/@:!$&'()*+,=~?q=/?#/?",
            "mailto:ann@example.com?subject=Hi%20there",
            "tel:+49-30-1;ext=5",
            "urn:isbn:0451450523",
            "urn:uuid:f81d4fae-7dec-11d0-a765-00a0c91e6bf6",
            "data:text/plain;charset=utf-8;base64,aGk=",
            "ldap://[2001:db8::7]/c=GB?objectClass?one",
            "ftp://ann:secret@ftp.example.com/x",
            "file:///etc/hosts",
            "news:comp.lang.rust",
            "git+ssh://git@example.com:22/a.git",
            "x-a.b+c:",
            "a://[v1.x:y]/",
            "about:blank#%7F",
        ] {
            assert_eq!(check_uri(good), Ok(()), "{good}");
        }
        for bad in [
            "",
            ":",
            ":a",
            "example.com",
            "/a",
            "//example.com/a",
            "#a",
            "1a:b",
            "a b:c",
            "ä:b",
            "http:",
            "https://",
            "https:///a",
            "https://:80/",
            "https:example.com",
            "https://a b",
            " https://a.b",
            "https://a.b ",
            "https://a.b/\n",
            "https://ü.example",
            "https://a.b/ü",
            "https://a.b/%",
            "https://a.b/%2",
            "https://a.b/%zz",
            "https://a.b/%é0",
            "https://a.b/?%G0",
            "https://a.b/#%0",
            "urn:a:%zz",
            "mailto:a%@b.co",
            "https://a.b:port/",
            "https://a.b:65536/",
            "https://user:secret@example.com",
            "https://user@example.com",
            "https://good.example\\@bad.example",
            "https://a.b/<>",
            "https://a.b/{id}",
            "https://a.b/[x]",
            "https://a.b/^`|\"",
            "https://a.b/#a#b",
            "https://[::1/",
            "https://[::1]x/",
            "https://[:::1]/",
            "https://[1.2.3.4]/",
            "https://[fe80::1%25eth0]/",
            "a://[v.x]/",
            "a://b:c:1/",
            "javascript:alert(1)",
            "JavaScript:alert(1)",
            "vbscript:x",
        ] {
            assert!(check_uri(bad).is_err(), "{bad:?}");
        }
    }

    proptest! {
        /// What is taken of the web is read by the URL standard too, and leads to a host without credentials.
        #[test]
        fn a_web_address_leads_where_it_says(rest in "[a-z0-9.:@/?#\\[\\]%\\\\-]{0,20}") {
            let text = format!("https://{rest}");
            // Names that the URL standard reads as broken IP addresses are names here.
            if let (Ok(()), Ok(url)) = (check_uri(&text), url::Url::parse(&text)) {
                prop_assert!(url.username().is_empty() && url.password().is_none() && url.has_host());
            }
        }

        #[test]
        fn no_text_breaks_the_reader(text in "\\PC{0,40}|[a-z]{0,3}:[^ ]{0,20}") {
            if check_uri(&text).is_ok() {
                prop_assert!(text.is_ascii() && text.contains(':'));
                let with = |more: &str| check_uri(&[text.as_str(), more].concat());
                prop_assert!(with("%").is_err() && with(" ").is_err());
            }
        }
    }
}
