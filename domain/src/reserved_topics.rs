//! Topics that the platform alone publishes on: changes of records, and what lies in the hub's own namespace.
//!
//! Invariant: a topic that is free is none of these in any reading: neither as it is written, nor once it is resolved
//! against the hub of any host, over `https` or `http`, nor with its percent-encoded characters decoded.

use url::Url;

use crate::error::Invalid;
use crate::mercure::HUB_PATH;
use crate::selector::RECORDS;

/// Hubs that topics are resolved against. Their host does not matter, because any host is looked at alike; their scheme
/// does: `http:records/a` is a path where the hub's scheme is `http`, and a host elsewhere.
const HUBS: [&str; 2] = ["https://hub.invalid/.well-known/mercure", "http://hub.invalid/.well-known/mercure"];
/// Where topics of records lie once they are resolved.
const RECORDS_PATH: &str = "/.well-known/records/";

/// Refuses a topic that no publisher may use.
pub fn check(topic: &str) -> Result<(), Invalid> {
    refuse(topic, |below| below.is_empty() || below.starts_with('/'))
}

/// Refuses a channel that no site may publish on. The hub's own address is free, because a channel such as `#general` or
/// `?p=42` resolves to it, and nobody waits there for the platform; what lies below it is not.
pub fn check_channel(channel: &str) -> Result<(), Invalid> {
    refuse(channel, |below| below.len() > 1 && below.starts_with('/'))
}

/// Refuses what lies where records are, or so far below the hub that `is_reserved`.
fn refuse(topic: &str, is_reserved: impl Fn(&str) -> bool) -> Result<(), Invalid> {
    let path =
        if topic.starts_with(RECORDS) { Some(RECORDS_PATH.to_owned()) } else { reserved_path(topic, is_reserved) };
    let message = match path {
        None => return Ok(()),
        Some(path) if path.starts_with(RECORDS_PATH) => "the platform announces changes of records itself",
        Some(_) => "it lies in the hub's own namespace",
    };
    Err(Invalid::new("reserved", format!("is reserved: {message}")))
}

/// The path of a topic that resolves to a reserved one.
fn reserved_path(topic: &str, is_reserved: impl Fn(&str) -> bool) -> Option<String> {
    let urls = HUBS.iter().filter_map(|hub| Url::parse(hub).ok()?.join(topic).ok());
    urls.flat_map(|url| readings(url.path())).find(|path| {
        let below = path.strip_prefix(HUB_PATH);
        path.starts_with(RECORDS_PATH) || below.is_some_and(&is_reserved)
    })
}

/// A path as it stands, as matchers read it; with percent-encoding decoded as often as it was applied and backslashes as
/// slashes; and without the dot segments that come of that, as whoever reads it most leniently does.
fn readings(path: &str) -> [String; 3] {
    let decoded = String::from_utf8_lossy(&decoded(path)).replace('\\', "/");
    let plain = without_dot_segments(&decoded);
    [path.to_owned(), decoded, plain]
}

fn without_dot_segments(path: &str) -> String {
    // An opaque path (`urn:a`) has no segments.
    let Some(rest) = path.strip_prefix('/') else { return path.to_owned() };
    let mut segments: Vec<&str> = Vec::new();
    for segment in rest.split('/') {
        match segment {
            "." => {}
            ".." => drop(segments.pop()),
            segment => segments.push(segment),
        }
    }
    // A path that ends in a dot segment names what lies below the one before.
    let is_folder = rest.ends_with("/.") || rest.ends_with("/..");
    format!("/{}{}", segments.join("/"), if is_folder { "/" } else { "" })
}

/// Decodes every percent-encoded byte, also of what decoding yields.
fn decoded(path: &str) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(path.len());
    for byte in path.bytes() {
        bytes.push(byte);
        while let [.., b'%', high, low] = bytes.as_slice()
            && let (Some(high), Some(low)) = (char::from(*high).to_digit(16), char::from(*low).to_digit(16))
            && let Ok(byte) = u8::try_from(high << 4 | low)
        {
            bytes.truncate(bytes.len() - 3);
            bytes.push(byte);
        }
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::matching::matcher::{MatchType, Matcher, Subject};
    use crate::matching::topic_url::Base;
    use proptest::prelude::*;

    fn is_free(topic: &str) -> bool {
        check(topic).is_ok()
    }

    #[test]
    fn the_hubs_own_namespace() {
        for topic in [
            "/.well-known/mercure",
            "/.well-known/mercure/",
            "/.well-known/mercure/subscriptions/exact/a/b",
            "/.well-known/mercure?a",
            "",
            "?a",
            "#a",
            "mercure",
            "mercure/subscriptions",
            "./mercure",
            "../.well-known/mercure/subscriptions/a/b",
            "https://other.example.com/.well-known/mercure",
            "HTTPS://HUB.example.com:443/.well-known/mercure",
            "https:/.well-known/mercure",
            "https:mercure",
            "http:mercure",
            "http://hub.example.com:81/.well-known/mercure?q#f",
            "https://user:password@hub.example.com/.well-known/mercure",
            "foo://x/.well-known/mercure/a",
            "foo:/.well-known/mercure",
            "//other/.well-known/mercure",
            "/a/../.well-known/./mercure",
            "/.well-known/mercure/../mercure/",
            "/a/%2e%2E/.well-known/mercure",
            "/a/%2e%2E%2F.well-known/mercure",
            "/%2Ewell%2dknown/%6Dercur%65",
            "/.well-known%2Fmercure",
            "mercure/%2E%2e%2F",
            "%6Dercure/%2E%2e%2Fa",
            "/.well-known%252Fmercure%25252fa",
            "/.well-known/mercure%2Fa",
            "/.well-known/mercure%5Ca",
            "/%252e%252e/.well-known/mercure",
            "/.well-known/a%2F..%2Fmercure",
            "\\.well-known\\mercure",
            "\\\\other\\.well-known\\mercure",
            "/.well-known/mer\tcure",
            " /.well-known/mercure ",
        ] {
            assert!(!is_free(topic), "{topic}");
        }
    }

    #[test]
    fn a_channel_may_be_the_hubs_address_and_nothing_below_it() {
        for channel in
            ["#general", "?p=42", "mercure", "a/../mercure", "/.well-known/mercure", "https:mercure#a", "posts"]
        {
            assert_eq!(check_channel(channel), Ok(()), "{channel}");
        }
        for channel in [
            "mercure/subscriptions",
            "/.well-known/mercure/subscriptions/exact/a/b",
            "/.well-known/mercure%2Fa",
            "\\.well-known\\mercure\\a",
            "records/leads",
            "x/../records/leads",
        ] {
            assert_eq!(check_channel(channel).unwrap_err().code, "reserved", "{channel}");
        }
    }

    #[test]
    fn topics_of_records() {
        for topic in [
            "records/leads",
            "records/leads/1",
            "records/",
            "./records/leads",
            "../.well-known/records/leads",
            "records%2Fleads",
            "rec%6Frds/leads",
            "records%252fleads",
            ".\\records\\leads",
            "records\\leads",
            "x/../records/leads",
            "x/%2e%2e/records/leads",
            "/.well-known/records/leads",
            "https://hub.example.com/.well-known/records/leads?a#b",
            "HTTP://other:80/.well-known/records/leads",
            "//hub.example.com:8787/.well-known/records/leads",
            "https:records/leads",
            "http:records/leads",
            "re\ncords/leads",
            " records/leads",
        ] {
            assert_eq!(check(topic).unwrap_err().code, "reserved", "{topic}");
        }
    }

    #[test]
    fn what_looks_alike_is_free() {
        for topic in [
            "/",
            "/.well-known/mercury",
            "/.well-known/mercure2",
            "/.Well-Known/mercure",
            "/a/.well-known/mercure",
            "//.well-known/mercure",
            "/.well-known//mercure",
            "/.well-known/mercure%",
            "/.well-known/mercure%zz",
            "urn:.well-known/mercure",
            "http://[/.well-known/mercure",
            "books/1",
            "records",
            "Records/leads",
            "/records/leads",
            "https://example.com/records/leads",
            "my/records/leads",
            "100%",
            "é/ü",
            "a?b=records/leads",
        ] {
            assert!(is_free(topic), "{topic}");
        }
    }

    proptest! {
        /// Whatever is built of the pieces that make a path mean another one, no free topic reaches who waits for the
        /// platform's own topics on any host, by a pattern or by the exact URL.
        #[test]
        fn a_free_topic_is_no_reserved_one_at_any_host(
            pieces in prop::collection::vec(
                prop::sample::select(vec![
                    "records", "mercure", ".well-known", "subscriptions", "/", "\\", "%2F", "%5c", ".", "..", "%2e", "%2E%2e",
                    "%25", "a", "https:", "HTTP:", "//", "acme.test", "ACME.test:443", ":80", "@", "?", "#", "\t", " ", "%6D", "é",
                ]),
                0..9,
            ),
            host in prop::sample::select(vec!["https://acme.test", "http://acme.test:8787", "https://blog.example.org"]),
        ) {
            let topic = pieces.concat();
            let base = Base::parse(&format!("{host}{HUB_PATH}")).unwrap();
            if is_free(&topic) {
                for pattern in ["records/*", "/.well-known/records/*", "/.well-known/mercure", "/.well-known/mercure/*"] {
                    let matcher = Matcher::parse(MatchType::UrlPattern, pattern, &base).unwrap();
                    prop_assert!(!matcher.matches(&Subject::new(&topic, &base)), "{} {}", topic, pattern);
                }
                prop_assert!(!topic.starts_with(RECORDS));
            }
        }

        #[test]
        fn no_text_breaks_the_reader(topic in "\\PC{0,60}|[%0-9a-f./\\\\:]{0,60}") {
            let _ = check(&topic);
        }
    }
}
