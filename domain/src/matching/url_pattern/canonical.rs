//! The canonical form of a pattern's fixed text, component by component (URL Pattern standard, "Canonicalization").
//!
//! A topic's URL is canonical already: what the pattern says literally must be written in the same way.

use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};
use url::{Host, Url};

use crate::error::Invalid;

/// The canonical form of a piece of a component.
pub type Encode = fn(&str) -> Result<String, Invalid>;

// The percent-encode sets of the URL standard, 1.3.
const FRAGMENT: &AsciiSet = &CONTROLS.add(b' ').add(b'"').add(b'<').add(b'>').add(b'`');
const SPECIAL_QUERY: &AsciiSet = &CONTROLS.add(b' ').add(b'"').add(b'#').add(b'<').add(b'>').add(b'\'');
const PATH: &AsciiSet = &FRAGMENT.add(b'#').add(b'?').add(b'^').add(b'{').add(b'}');
const USERINFO: &AsciiSet =
    &PATH.add(b'/').add(b':').add(b';').add(b'=').add(b'@').add(b'[').add(b'\\').add(b']').add(b'|');

fn invalid(message: &'static str) -> Invalid {
    Invalid::new("invalid_url_pattern", message)
}

/// A scheme, in lower case.
pub fn protocol(value: &str) -> Result<String, Invalid> {
    let shaped = value.starts_with(|c: char| c.is_ascii_alphabetic())
        && value.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'-' | b'.'));
    if shaped { Ok(value.to_ascii_lowercase()) } else { Err(invalid("has a protocol that no URL can have")) }
}

/// A user's name or password.
pub fn credential(value: &str) -> Result<String, Invalid> {
    Ok(utf8_percent_encode(value, USERINFO).to_string())
}

/// A host's name as the URL parser writes it: in lower case, in Punycode, an IPv4 address in its usual form.
pub fn hostname(value: &str) -> Result<String, Invalid> {
    let value = value.split(['/', '\\', '?', '#']).next().unwrap_or_default();
    Host::parse(value).map(|host| host.to_string()).map_err(|_| invalid("has a host name that no URL can have"))
}

/// An IPv6 address, or a piece of one, in lower case.
pub fn ipv6_hostname(value: &str) -> Result<String, Invalid> {
    let shaped = value.bytes().all(|b| b.is_ascii_hexdigit() || matches!(b, b'[' | b']' | b':'));
    if shaped { Ok(value.to_ascii_lowercase()) } else { Err(invalid("has an IPv6 address that no URL can have")) }
}

/// A port's number without leading zeros; what stands behind the digits falls away, as in the URL parser.
pub fn port(value: &str) -> Result<String, Invalid> {
    let digits = value.split(|c: char| !c.is_ascii_digit()).next().unwrap_or_default();
    let port = if digits.is_empty() { None } else { digits.trim_start_matches('0').parse::<u16>().ok() };
    let is_zero = !digits.is_empty() && digits.bytes().all(|b| b == b'0');
    match port {
        Some(port) => Ok(port.to_string()),
        None if is_zero => Ok("0".into()),
        None => Err(invalid("has a port that is not 0 to 65535")),
    }
}

/// A piece of a path below a special scheme: percent-encoded, without dot segments.
pub fn pathname(value: &str) -> Result<String, Invalid> {
    // A piece that does not begin with a slash gets one, and a character that keeps it from being a dot segment.
    let added = if value.starts_with('/') { "" } else { "/-" };
    let mut url = Url::parse("https://dummy.invalid/").map_err(|_| invalid("has a path that no URL can have"))?;
    url.set_path(&format!("{added}{value}"));
    Ok(url.path().get(added.len()..).unwrap_or_default().into())
}

/// A piece of a path below any other scheme.
pub fn opaque_pathname(value: &str) -> Result<String, Invalid> {
    Ok(utf8_percent_encode(value, CONTROLS).to_string())
}

/// A piece of the query.
pub fn search(value: &str) -> Result<String, Invalid> {
    Ok(utf8_percent_encode(value, SPECIAL_QUERY).to_string())
}

/// A piece of the fragment.
pub fn hash(value: &str) -> Result<String, Invalid> {
    Ok(utf8_percent_encode(value, FRAGMENT).to_string())
}
