//! Strong entity tags (RFC 9110, 8.8.3), by which a client names the state that it has seen.

use sha2::{Digest, Sha256};

use super::incoming::Incoming;
use super::problem::{self, Problem};
use domain::hex::hex;

/// The tag of a revision of something whose id is never used again.
pub fn of(revision: i64) -> String {
    format!("\"{revision}\"")
}

/// The tag of a version of something whose id may be used again, and whose versions then begin anew: with an identity that
/// never recurs.
pub fn of_version(identity: &str, version: i64) -> String {
    format!("\"{identity}.{version}\"")
}

/// The tag of content: equal content has an equal tag.
pub fn of_content(content: &str) -> String {
    let digest = Sha256::digest(content.as_bytes());
    format!("\"{}\"", hex(digest.get(..16).unwrap_or_default()))
}

/// Whether a list of entity tags names this one.
pub fn names(list: &str, etag: &str) -> bool {
    list.split(',').map(str::trim).any(|tag| tag == "*" || tag == etag || tag.strip_prefix("W/") == Some(etag))
}

/// `If-Match`, where it was sent: 412 unless it names this revision.
pub fn check(request: &Incoming, revision: i64) -> Result<(), Problem> {
    check_tag(request, &of(revision))
}

/// `If-Match`, where it was sent: 412 unless it names this tag.
pub fn check_tag(request: &Incoming, etag: &str) -> Result<(), Problem> {
    match request.header("If-Match") {
        Some(sent) if !names(&sent, etag) => Err(problem::precondition_failed()),
        _ => Ok(()),
    }
}

/// Whether `If-None-Match` names this tag: the client has this state already.
pub fn is_known(request: &Incoming, etag: &str) -> bool {
    request.header("If-None-Match").is_some_and(|sent| names(&sent, etag))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tag_of_content_follows_it() {
        assert_eq!(of_content("{}"), of_content("{}"));
        assert_ne!(of_content("{}"), of_content("[]"));
        assert_eq!(of_content("").len(), 34);
    }

    #[test]
    fn a_version_of_another_thing_has_another_tag() {
        assert_eq!(of_version("a1", 7), "\"a1.7\"");
        assert!(names("\"b2.7\", W/\"a1.7\"", &of_version("a1", 7)));
        for other in [of(7), of_version("a", 17), of_version("b2", 7)] {
            assert!(!names(&other, &of_version("a1", 7)), "{other}");
        }
    }

    #[test]
    fn lists_name_tags() {
        for list in ["\"1\", \"7\"", "W/\"7\"", "*", "\"7\""] {
            assert!(names(list, &of(7)), "{list}");
        }
        for list in ["\"77\"", "7", "", "\"1\""] {
            assert!(!names(list, &of(7)), "{list}");
        }
    }
}
