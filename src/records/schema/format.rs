//! Formats of strings (JSON Schema's `format`); each is enforced.

use std::borrow::Cow;

use domain::clock::Timestamp;
use domain::email::parse_email;
use domain::error::Invalid;
use domain::uri::check_uri;

/// The times that RFC 3339 can write in UTC: the years 0 to 9999, in milliseconds since 1970.
const TIMESTAMPS: std::ops::RangeInclusive<i64> = -62_167_219_200_000..=253_402_300_799_999;

/// What a string must be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// `date-time`: RFC 3339. Stored in UTC with milliseconds, so that strings sort by time.
    DateTime,
    /// `date`: RFC 3339's full-date.
    Date,
    /// `email`: as users have it. Stored with an international domain in punycode.
    Email,
    /// `uri`: RFC 3986, with a scheme that is safe to follow.
    Uri,
    /// `uuid`: RFC 9562, in upper or lower case.
    Uuid,
}

impl Format {
    /// The format of this name.
    pub fn named(name: &str) -> Option<Self> {
        match name {
            "date-time" => Some(Self::DateTime),
            "date" => Some(Self::Date),
            "email" => Some(Self::Email),
            "uri" => Some(Self::Uri),
            "uuid" => Some(Self::Uuid),
            _ => None,
        }
    }

    /// The string as it is stored: a time and an e-mail address in their one spelling, everything else as it was sent.
    pub fn read(self, text: &str) -> Result<Cow<'_, str>, Invalid> {
        let kept = match self {
            Self::DateTime => {
                let timestamp = Timestamp::parse_rfc3339(text);
                let timestamp = timestamp.ok().filter(|timestamp| TIMESTAMPS.contains(&timestamp.millis()));
                let invalid = "must be an RFC 3339 time, such as 2027-01-31T12:00:00Z";
                timestamp.map(|timestamp| Cow::Owned(timestamp.to_string())).ok_or(Cow::Borrowed(invalid))
            }
            Self::Date if is_date(text) => Ok(Cow::Borrowed(text)),
            Self::Date => Err("must be a date, such as 2027-01-31".into()),
            Self::Email => parse_email(text).map(Cow::Owned).map_err(|invalid| invalid.message),
            Self::Uri => check_uri(text).map(|()| Cow::Borrowed(text)).map_err(|invalid| invalid.message),
            Self::Uuid if is_uuid(text) => Ok(Cow::Borrowed(text)),
            Self::Uuid => Err("must be a UUID, such as 123e4567-e89b-12d3-a456-426614174000".into()),
        };
        kept.map_err(|message| Invalid::new("invalid_format", message))
    }
}

fn is_date(text: &str) -> bool {
    text.len() == 10 && Timestamp::parse_rfc3339(&format!("{text}T00:00:00Z")).is_ok()
}

fn is_uuid(text: &str) -> bool {
    let hyphen = |at: usize| matches!(at, 8 | 13 | 18 | 23);
    text.len() == 36
        && text.bytes().enumerate().all(|(at, b)| if hyphen(at) { b == b'-' } else { b.is_ascii_hexdigit() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn each_format_has_its_texts() {
        for (name, good, bad) in [
            (
                "date-time",
                vec![
                    "2026-01-01T10:00:00Z",
                    "2026-01-01t12:00:00.5+02:00",
                    "0000-01-01T00:00:00Z",
                    "9999-12-31T23:59:59.999Z",
                ],
                vec![
                    "",
                    "2026-01-01",
                    "10:00",
                    "2026-02-30T00:00:00Z",
                    "0000-01-01T00:00:00+01:00",
                    "9999-12-31T23:59:59-01:00",
                ],
            ),
            (
                "date",
                vec!["2026-01-31", "2024-02-29"],
                vec!["", "2026-1-31", "2026-02-29", "2026-01-01T", "31.01.2026"],
            ),
            (
                "email",
                vec!["ann@example.com", "a.b+c@x.co", "ü@example.com"],
                vec!["", "ann", "ann@", "@x.co", "a b@x.co", "a@b@c", "a@x.co:25"],
            ),
            (
                "uri",
                vec![
                    "https://example.com",
                    "HTTP://localhost:8080/a?b=%20#c",
                    "mailto:ann@example.com?subject=Hi",
                    "tel:+49-30-1",
                    "urn:isbn:0451450523",
                    "data:text/plain,x",
                ],
                vec![
                    "",
                    "example.com",
                    "/a",
                    "//example.com/a",
                    "https:",
                    "https://",
                    "https:///a",
                    "https:example.com",
                    "https://a b",
                    "https://ü.example",
                    "https://user:secret@example.com",
                    "https://good.example\\@bad.example",
                    "https://example.com/\n",
                    "javascript:alert(1)",
                    " https://example.com",
                    "https://example.com/%zz",
                    "urn:isbn:%",
                ],
            ),
            (
                "uuid",
                vec!["123e4567-e89b-12d3-a456-426614174000", "123E4567-E89B-12D3-A456-426614174000"],
                vec![
                    "",
                    "123e4567e89b12d3a456426614174000",
                    "{123e4567-e89b-12d3-a456-42661417400}",
                    "123e4567-e89b-12d3-a456-42661417400g",
                ],
            ),
        ] {
            let format = Format::named(name).unwrap();
            for text in good {
                assert!(format.read(text).is_ok(), "{name}: {text}");
            }
            for text in bad {
                assert_eq!(format.read(text).map_err(|invalid| invalid.code), Err("invalid_format"), "{name}: {text}");
            }
        }
        assert_eq!(Format::named("hostname"), None);
    }

    #[test]
    fn times_are_kept_in_one_spelling() {
        let kept = Format::DateTime.read("2026-01-01 12:00:00.25+02:00").unwrap();
        assert_eq!(kept, "2026-01-01T10:00:00.250Z");
        assert_eq!(Format::DateTime.read("2016-12-31T15:59:60-08:00").unwrap(), "2017-01-01T00:00:00.000Z");
        assert!(Format::DateTime.read("9999-12-31T23:59:60Z").is_err(), "no text of four digits stands behind it");
    }

    #[test]
    fn an_address_is_what_a_users_is() {
        for text in ["ann@bücher.example", "Ann@Example.com", "\"a\"@b.co", "a..b@b.co", "a@b.co:25", &"a".repeat(70)]
        {
            assert_eq!(Format::Email.read(text).map(Cow::into_owned).ok(), parse_email(text).ok(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn what_is_kept_is_read_again_unchanged(text in "[0-9:TZ+. -]{0,30}|[0-9]{4}-[01][0-9]-[0-3][0-9]T[0-2][0-9]:[0-5][0-9]:[0-6][0-9][Z+-](1[0-9]:00)?|\\PC{0,40}") {
            for format in [Format::DateTime, Format::Date, Format::Email, Format::Uri, Format::Uuid] {
                if let Ok(kept) = format.read(&text) {
                    prop_assert_eq!(format.read(&kept), Ok(kept.clone()));
                }
            }
        }
    }
}
