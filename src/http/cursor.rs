//! Cursors of lists: opaque, signed, and good only for the list that made them.
//!
//! A cursor holds the sort key of the last row of a page. Its signature covers the route and the filters, so a cursor of
//! another list, or one that was edited, is refused.

use crate::credentials::signed_text::{self, SigningKey};
use domain::error::Invalid;

/// The list that a cursor is bound to.
pub struct ListIdentity<'a> {
    /// The route's name.
    pub route: &'a str,
    /// The filters, in a canonical form.
    pub filters: &'a str,
}

/// The sort key of a row in a list that is sorted by time and id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Position {
    /// The row's time, in milliseconds since 1970.
    pub at: i64,
    /// The row's id.
    pub id: String,
}

/// Writes the cursor that continues a list, sorted by time and id, after a row.
pub fn seal(key: &SigningKey, list: &ListIdentity<'_>, position: &Position) -> String {
    seal_text(key, list, &format!("{}.{}", position.at, position.id))
}

/// Reads a cursor of such a list.
pub fn open(
    find_key: impl FnOnce(u32) -> Option<SigningKey>,
    list: &ListIdentity<'_>,
    text: &str,
) -> Result<Position, Invalid> {
    let position = open_text(find_key, list, text)?;
    let parts =
        position.split_once('.').and_then(|(at, id)| Some(Position { at: at.parse().ok()?, id: id.to_owned() }));
    parts.ok_or_else(invalid)
}

/// Writes a cursor that holds a text, for lists with other sort keys.
pub fn seal_text(key: &SigningKey, list: &ListIdentity<'_>, text: &str) -> String {
    signed_text::seal(key, &[list.route, list.filters], text)
}

/// Reads the text of a cursor of this list. `find_key` gives the key of a version, if it still exists.
pub fn open_text(
    find_key: impl FnOnce(u32) -> Option<SigningKey>,
    list: &ListIdentity<'_>,
    text: &str,
) -> Result<String, Invalid> {
    signed_text::open(find_key, &[list.route, list.filters], text).ok_or_else(invalid)
}

/// The error for a text that is not a cursor of the list.
pub fn invalid() -> Invalid {
    Invalid::new("invalid_cursor", "must be a cursor that this list returned for the same filters")
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;

    use super::*;
    use proptest::prelude::*;

    const LIST: ListIdentity<'_> = ListIdentity { route: "tenants.list", filters: "status=active" };

    fn key(version: u32) -> Option<SigningKey> {
        (version == 1).then_some(SigningKey { version: 1, key: [7; 32] })
    }

    proptest! {
        #[test]
        fn a_cursor_opens_its_own_list_only(at in 0i64..1 << 50, id in "[a-z0-9._-]{1,63}") {
            let place = Position { at, id };
            let text = seal(&key(1).unwrap(), &LIST, &place);
            prop_assert_eq!(open(key, &LIST, &text), Ok(place));
            let other = ListIdentity { route: "tenants.list", filters: "status=suspended" };
            prop_assert!(open(key, &other, &text).is_err());
            let other = ListIdentity { route: "domains.list", filters: "status=active" };
            prop_assert!(open(key, &other, &text).is_err());
        }

        #[test]
        fn an_edited_cursor_opens_nothing(flip in 0usize..40, bit in 0u8..8) {
            let text = seal(&key(1).unwrap(), &LIST, &Position { at: 5, id: "acme".into() });
            let mut bytes = BASE64.decode(&text).unwrap();
            let at = flip % bytes.len();
            bytes[at] ^= 1 << bit;
            prop_assert!(open(key, &LIST, &BASE64.encode(bytes)).is_err());
        }

        #[test]
        fn no_text_breaks_the_reader(text in "\\PC{0,80}") {
            let _ = open(key, &LIST, &text);
        }
    }
}
