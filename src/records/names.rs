//! The syntax of names: collections, records, fields, statuses.

use domain::error::Invalid;

/// Members of every record that are not fields of its schema: no schema may declare them.
pub const RESERVED: [&str; 13] = [
    "id",
    "tenant_id",
    "client_id",
    "collection",
    "status",
    "version",
    "created_at",
    "updated_at",
    "deleted_at",
    "created_by",
    "updated_by",
    "expand",
    "file",
];

/// Path segments in the position of a record's id: no record may have them as its id.
pub const RESERVED_IDS: [&str; 1] = ["bulk"];

/// A collection's slug: `[a-z][a-z0-9_-]{0,62}`.
pub fn collection_slug(text: &str) -> Result<(), Invalid> {
    let message = "must be 1 to 63 characters of a-z, 0-9, '_' and '-', and begin with a letter";
    shaped(text, 63, |b| b.is_ascii_lowercase(), is_lower, ("invalid_slug", message))
}

/// A record's id: `[A-Za-z0-9][A-Za-z0-9_-]{0,63}`, except [`RESERVED_IDS`].
pub fn record_id(text: &str) -> Result<(), Invalid> {
    if RESERVED_IDS.contains(&text) {
        return Err(Invalid::new("reserved", "is reserved: paths use it for something else"));
    }
    let message = "must be 1 to 64 characters of A-Z, a-z, 0-9, '_' and '-', and begin with a letter or digit";
    let rest = |b: u8| b.is_ascii_alphanumeric() || b == b'_' || b == b'-';
    shaped(text, 64, |b| b.is_ascii_alphanumeric(), rest, ("not_an_id", message))
}

/// The name of a field at any depth: `[A-Za-z_][A-Za-z0-9_]{0,63}`.
pub fn field_name(text: &str) -> Result<(), Invalid> {
    let message = "must be 1 to 64 characters of A-Z, a-z, 0-9 and '_', and not begin with a digit";
    let first = |b: u8| b.is_ascii_alphabetic() || b == b'_';
    let rest = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
    shaped(text, 64, first, rest, ("invalid_name", message))
}

/// The name of a top-level field: not one of [`RESERVED`].
pub fn own_field_name(text: &str) -> Result<(), Invalid> {
    if RESERVED.contains(&text) {
        return Err(Invalid::new("reserved", "is reserved: every record has a field of this name"));
    }
    field_name(text)
}

/// A status: `[a-z][a-z0-9_-]{0,39}`.
pub fn status(text: &str) -> Result<(), Invalid> {
    let message = "must be 1 to 40 characters of a-z, 0-9, '_' and '-', and begin with a letter";
    shaped(text, 40, |b| b.is_ascii_lowercase(), is_lower, ("invalid_status", message))
}

fn is_lower(b: u8) -> bool {
    b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_' || b == b'-'
}

fn shaped(
    text: &str,
    max: usize,
    first: fn(u8) -> bool,
    rest: fn(u8) -> bool,
    (code, message): (&'static str, &'static str),
) -> Result<(), Invalid> {
    let mut bytes = text.bytes();
    let fits = bytes.next().is_some_and(first) && bytes.all(rest) && text.len() <= max;
    if fits { Ok(()) } else { Err(Invalid::new(code, message)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_keep_their_shapes() {
        let accepts = |parse: fn(&str) -> Result<(), Invalid>, text: &str| parse(text).is_ok();
        for (parse, good, bad) in [
            (
                collection_slug as fn(&str) -> _,
                vec!["a", "support_tickets", "a-1"],
                vec!["", "1a", "_a", "A", "a b", "ä"],
            ),
            (
                record_id,
                vec!["a", "0", "Z_9-", "550e8400-e29b-41d4-a716-446655440000"],
                vec!["", "_a", "-a", "a.b", "a/b", "bulk"],
            ),
            (field_name, vec!["a", "_a", "fooBar", "a1"], vec!["", "1a", "a-b", "a.b", "a$", "é"]),
            (own_field_name, vec!["title"], vec!["id", "status", "created_at", "file", "1a"]),
            (status, vec!["draft", "in-review", "step_2"], vec!["", "Draft", "1st", "in review"]),
        ] {
            for text in good {
                assert!(accepts(parse, text), "{text}");
            }
            for text in bad {
                assert!(!accepts(parse, text), "{text}");
            }
        }
        for (parse, max) in [(collection_slug as fn(&str) -> _, 63), (record_id, 64), (field_name, 64), (status, 40)] {
            assert!(accepts(parse, &"a".repeat(max)) && !accepts(parse, &"a".repeat(max + 1)));
        }
    }
}
