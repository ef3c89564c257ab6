//! E-mail addresses, by one rule for users and for fields of records.
//!
//! An address is a `Dot-string@Domain` of RFC 5321, with letters beyond ASCII as in RFC 6531. Quoted local parts and address
//! literals are refused: hardly a mail server takes the first, and the second names no domain.

use std::borrow::Cow;

use unicode_normalization::UnicodeNormalization;
use unicode_normalization::char::is_combining_mark;

use crate::error::Invalid;
use crate::host::Host;
use crate::text::bounded;

/// The longest local part, in bytes (RFC 5321, 4.5.3.1.1).
const MAX_LOCAL: usize = 64;
/// The longest address, in bytes: that of a path without its brackets (RFC 5321, 4.5.3.1.3).
const MAX_ADDRESS: usize = 254;

/// An e-mail address as it was written; an international domain in punycode and lower case, so that one mailbox has one
/// spelling of it.
pub fn parse_email(text: &str) -> Result<String, Invalid> {
    let text = bounded(text, MAX_ADDRESS)?;
    let invalid = || {
        let message =
            "must be an e-mail address, such as ann@example.com: at most 64 bytes before the @, without quotes";
        Invalid::new("invalid_email", message)
    };
    let (local, domain) = text.rsplit_once('@').filter(|(local, _)| is_local(local)).ok_or_else(invalid)?;
    let ascii = domain.split('.').map(ascii_label).collect::<Option<Vec<_>>>().ok_or_else(invalid)?.join(".");
    let is_international = ascii.split('.').any(|label| label.get(..4).is_some_and(|x| x.eq_ignore_ascii_case("xn--")));
    let ascii = if is_international { ascii.to_ascii_lowercase() } else { ascii };
    if !is_domain(&ascii) {
        return Err(invalid());
    }
    let address = [local, "@", &ascii].concat();
    if address.len() <= MAX_ADDRESS { Ok(address) } else { Err(invalid()) }
}

/// The address of somebody who says that they have one here. It may have been stored when quotes, dots anywhere and underscores
/// in the domain were taken: whoever came in by it comes in still.
pub fn parse_known_email(text: &str) -> Result<String, Invalid> {
    let may_be_stored = |(local, domain): (&str, &str)| {
        let is_written_so = |host: Host| host.as_str().eq_ignore_ascii_case(domain);
        !local.is_empty() && !text.contains(' ') && Host::parse(domain).is_ok_and(is_written_so)
    };
    parse_email(text).or_else(|invalid| {
        let is_one = text.len() <= MAX_ADDRESS && text.split_once('@').is_some_and(may_be_stored);
        if is_one { Ok(text.into()) } else { Err(invalid) }
    })
}

/// Words of letters, digits and what mail takes between them, with single dots in between.
fn is_local(text: &str) -> bool {
    let word = |word: &str| !word.is_empty() && word.chars().all(is_of_word);
    text.len() <= MAX_LOCAL && text.split('.').all(word)
}

fn is_of_word(c: char) -> bool {
    if c.is_ascii() {
        return c.is_ascii_alphanumeric() || "!#$%&'*+-/=?^_`{|}~".contains(c);
    }
    !c.is_control() && !c.is_whitespace() && !is_invisible(c)
}

/// Characters that show nothing, and turn the order in which others are shown: no address is told apart by them.
fn is_invisible(c: char) -> bool {
    matches!(u32::from(c), 0xAD | 0x200B..=0x200F | 0x202A..=0x202E | 0x2060..=0x206F | 0xFEFF | 0xFFF0..=0xFFFF | 0xE0000..)
}

/// A label of a domain in ASCII; a label in ASCII stays as it is.
fn ascii_label(label: &str) -> Option<Cow<'_, str>> {
    if label.is_ascii() {
        return Some(Cow::Borrowed(label));
    }
    let lower: String = label.nfkc().flat_map(char::to_lowercase).nfc().collect();
    if lower.is_ascii() {
        return Some(Cow::Owned(lower));
    }
    let is_letter = |c: char| c == '-' || c == '\u{b7}' || c.is_alphanumeric() || is_combining_mark(c);
    let encoded = if lower.chars().all(is_letter) { idna::punycode::encode_str(&lower) } else { None };
    encoded.map(|encoded| Cow::Owned(["xn--", &encoded].concat()))
}

/// A host name without port, end dot and underscore. Its last label begins with a letter, as all of the DNS do: else it may
/// be an IP address.
fn is_domain(text: &str) -> bool {
    let last = text.rsplit('.').next().unwrap_or_default();
    let is_written_so = |host: Host| host.as_str().eq_ignore_ascii_case(text) && host.has_readable_labels();
    !text.contains('_')
        && last.starts_with(|c: char| c.is_ascii_alphabetic())
        && Host::parse(text).is_ok_and(is_written_so)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_is_an_address_and_what_is_none() {
        let local = |length: usize| format!("{}@example.com", "a".repeat(length));
        let label = "b".repeat(63);
        // 254 bytes, and one more.
        let longest = format!("a@{label}.{label}.{label}.{}", "c".repeat(60));
        let too_long = format!("a{longest}");
        for good in [
            "ann@example.com",
            "a@b",
            "A.B+c@Mail.example.com",
            "first.last@example.co.uk",
            "!#$%&'*+-/=?^_`{|}~@example.com",
            "te~st@1.example.com",
            "ü.ñ@example.com",
            "用户@example.com",
            "a@xn--bcher-kva.example",
            &local(64),
            &longest,
        ] {
            assert_eq!(parse_email(good).as_deref(), Ok(good));
        }
        for bad in [
            "",
            "a",
            "@b.co",
            "a@",
            "a@b@c.co",
            ".a@b.co",
            "a.@b.co",
            "a..b@b.co",
            "a b@b.co",
            "\"a b\"@b.co",
            "\"a\"@b.co",
            "a(b)@b.co",
            "a,b@b.co",
            "<a@b.co>",
            "Ann <a@b.co>",
            "a\\b@b.co",
            "a:b@b.co",
            "a[b]@b.co",
            "a@b.co.",
            "a@.b.co",
            "a@b..co",
            "a@-b.co",
            "a@b-.co",
            "a@b_c.co",
            "a@b.co:25",
            "a@b c",
            "a@b.co\n",
            "a@[127.0.0.1]",
            "a@[IPv6:::1]",
            "a@127.0.0.1",
            "a@b.123",
            "a@b=c.co",
            "a\u{200b}b@b.co",
            "a\u{202e}b@b.co",
            "a\u{a0}b@b.co",
            "a@xn--99999999.com",
            "a@b😀.co",
            "a@\u{430}pple.com",
            &local(65),
            &too_long,
        ] {
            assert!(parse_email(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn who_has_an_address_of_before_is_known_by_it() {
        let local = format!("{}@example.com", "a".repeat(65));
        for once_taken in ["\"ann\"@example.com", "a..b@example.com", "ann@one_two.example", &local] {
            assert!(parse_email(once_taken).is_err(), "{once_taken}");
            assert_eq!(parse_known_email(once_taken).as_deref(), Ok(once_taken));
        }
        assert_eq!(parse_known_email("ann@bücher.example").as_deref(), Ok("ann@xn--bcher-kva.example"));
        for never_taken in
            ["", "ann", "@example.com", "a b@example.com", "ann@example.com:25", "ann@", &"a".repeat(255)]
        {
            assert!(parse_known_email(never_taken).is_err(), "{never_taken}");
        }
    }

    #[test]
    fn an_international_domain_has_one_spelling() {
        for (written, kept) in [
            ("ann@bücher.example", "ann@xn--bcher-kva.example"),
            ("ann@BÜCHER.Example", "ann@xn--bcher-kva.example"),
            ("Ann@XN--Bcher-KVA.example", "Ann@xn--bcher-kva.example"),
            ("ann@bu\u{308}cher.example", "ann@xn--bcher-kva.example"),
            ("ann@пример.рф", "ann@xn--e1afmkfd.xn--p1ai"),
            ("ann@日本語.jp", "ann@xn--wgv71a119e.jp"),
        ] {
            assert_eq!(parse_email(written).as_deref(), Ok(kept), "{written}");
        }
        // The bound is on what is kept: each label grows.
        let long = format!("a@{}", vec!["ü".repeat(20); 6].join("."));
        assert!(long.len() <= MAX_ADDRESS && parse_email(&long).is_ok());
        assert!(parse_email(&format!("a@{}.com", "ü".repeat(80))).is_err());
    }

    proptest! {
        #[test]
        fn what_is_kept_is_read_again_unchanged(text in "\\PC{0,20}|[a-z.+ü\"]{1,9}@[a-züàА-я.-]{1,12}|[a-z]@([a-z0-9ü-]{1,9}\\.){0,3}[a-z]{1,3}") {
            if let Ok(kept) = parse_email(&text) {
                prop_assert!(kept.len() <= MAX_ADDRESS);
                prop_assert!(kept.rsplit('@').next().unwrap_or_default().is_ascii());
                prop_assert_eq!(parse_email(&kept), Ok(kept.clone()));
            }
        }
    }
}
