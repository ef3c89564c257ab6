//! Entity tags (RFC 9110, 8.8.3), by which a client names the state that it has seen. All of ours are strong.

use sha2::{Digest, Sha256};

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
    of_name(&name_of_content(content))
}

/// The same without quotes, for a URL or a body.
pub fn name_of_content(content: &str) -> String {
    let digest = Sha256::digest(content.as_bytes());
    hex(digest.get(..16).unwrap_or_default())
}

/// The tag of what has an opaque name already.
pub fn of_name(name: &str) -> String {
    format!("\"{name}\"")
}

/// What `If-Match` and `If-None-Match` name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EntityTags {
    /// `*`: whatever is there.
    Any,
    /// These tags.
    Listed(Vec<EntityTag>),
}

/// A tag as a client sent it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EntityTag {
    is_weak: bool,
    /// With its quotes.
    opaque: String,
}

impl EntityTags {
    /// Reads a header's value. A tag may contain commas; what is no tag is passed over, and names nothing.
    pub fn parse(list: &str) -> Self {
        if list.trim() == "*" {
            return Self::Any;
        }
        let (mut tags, mut rest) = (Vec::new(), list);
        loop {
            rest = rest.trim_start_matches([' ', '\t', ',']);
            if rest.is_empty() {
                return Self::Listed(tags);
            }
            let (tag, behind) = EntityTag::take(rest);
            let is_whole = behind.trim_start_matches([' ', '\t']).starts_with(',') || behind.trim().is_empty();
            tags.extend(tag.filter(|_| is_whole));
            rest = behind.split_once(',').map_or("", |(_, rest)| rest);
        }
    }

    /// Whether they name this strong tag by the strong comparison (RFC 9110, 8.8.3.2): a weak one names nothing.
    pub fn name_strongly(&self, etag: &str) -> bool {
        self.name(|tag| tag.is_strong(etag))
    }

    /// Whether they name this tag by the weak comparison.
    pub fn name_weakly(&self, etag: &str) -> bool {
        self.name(|tag| tag.opaque == etag)
    }

    fn name(&self, is_it: impl Fn(&EntityTag) -> bool) -> bool {
        match self {
            Self::Any => true,
            Self::Listed(tags) => tags.iter().any(is_it),
        }
    }
}

impl EntityTag {
    /// Reads one tag, and nothing else.
    pub fn parse(text: &str) -> Option<Self> {
        let (tag, behind) = Self::take(text);
        tag.filter(|_| behind.is_empty())
    }

    /// Whether it is this strong tag, and strong itself.
    pub fn is_strong(&self, etag: &str) -> bool {
        !self.is_weak && self.opaque == etag
    }

    /// The tag that a text begins with, and what stands behind it.
    fn take(text: &str) -> (Option<Self>, &str) {
        let (is_weak, rest) = text.strip_prefix("W/").map_or((false, text), |rest| (true, rest));
        let Some((opaque, behind)) = rest.strip_prefix('"').and_then(|inside| inside.split_once('"')) else {
            return (None, text);
        };
        // `etagc`: everything that is seen, and bytes beyond ASCII.
        let is_valid = opaque.chars().all(|c| c.is_ascii_graphic() || !c.is_ascii());
        (is_valid.then(|| Self { is_weak, opaque: of_name(opaque) }), behind)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_tag_of_content_follows_it() {
        assert_eq!(of_content("{}"), of_content("{}"));
        assert_ne!(of_content("{}"), of_content("[]"));
        assert_eq!(of_content("").len(), 34);
    }

    #[test]
    fn a_version_of_another_thing_has_another_tag() {
        assert_eq!(of_version("a1", 7), "\"a1.7\"");
        for other in [of(7), of_version("a", 17), of_version("b2", 7)] {
            assert!(!EntityTags::parse(&other).name_weakly(&of_version("a1", 7)), "{other}");
        }
    }

    /// RFC 9110, 8.8.3.2: two strong tags compare equal both ways, with a weak one among them weakly alone.
    #[test]
    fn lists_name_tags_strongly_or_weakly() {
        for (list, strongly, weakly) in [
            ("\"7\"", true, true),
            ("*", true, true),
            (" * ", true, true),
            ("\"1\", \"7\"", true, true),
            ("\"1\",\"7\"", true, true),
            (",, \"7\" ,", true, true),
            ("W/\"1\"\t,\t\"7\"", true, true),
            ("W/\"7\"", false, true),
            ("\"1\", W/\"7\"", false, true),
            ("w/\"7\"", false, false),
            ("W/ \"7\"", false, false),
            ("\"77\"", false, false),
            ("\"1,7\"", false, false),
            ("\"1\"", false, false),
            ("7", false, false),
            ("'7'", false, false),
            ("\"7", false, false),
            ("7\"", false, false),
            ("\"7\"x", false, false),
            ("x\"7\"", false, false),
            ("x, \"7\"", true, true),
            ("\"7\", *", true, true),
            ("\"1\", *", false, false),
            ("", false, false),
        ] {
            let tags = EntityTags::parse(list);
            assert_eq!((tags.name_strongly(&of(7)), tags.name_weakly(&of(7))), (strongly, weakly), "{list}");
        }
        assert!(EntityTags::parse("\"x\", \"a,b\"").name_strongly("\"a,b\""));
        assert!(!EntityTags::parse("\"a b\"").name_weakly("\"a b\""), "a blank is in no tag");
    }

    #[test]
    fn one_tag_is_one() {
        assert!(EntityTag::parse("\"7\"").unwrap().is_strong(&of(7)));
        assert!(!EntityTag::parse("W/\"7\"").unwrap().is_strong(&of(7)));
        for bad in ["\"7\", \"8\"", "*", "7", "\"7\" ", "", "Sun, 06 Nov 1994 08:49:37 GMT"] {
            assert_eq!(EntityTag::parse(bad), None, "{bad}");
        }
    }

    proptest! {
        #[test]
        fn what_is_strongly_named_is_weakly_named(list in "[W/\", *a-c\\\\]{0,24}", tag in "\"[a-c,/*]{0,3}\"") {
            let tags = EntityTags::parse(&list);
            prop_assert!(!tags.name_strongly(&tag) || tags.name_weakly(&tag));
            let among = EntityTags::parse(&format!("\"x\", {tag} , W/{tag}"));
            prop_assert!(among.name_strongly(&tag));
        }
    }
}
