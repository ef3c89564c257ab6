//! Passwords as people type them, brought to one form: the OpaqueString profile of RFC 8265, 4.2.
//!
//! Keyboards and systems write the same password in different code points: `é` is one or two, a space may be one that does
//! not break. So spaces outside ASCII become SPACE, and the text is normalised (NFC). Other than the profile says, no
//! character is refused. Upper and lower case stay different, and so do letters that only look alike (NFKC).
//!
//! Invariant: a password is never hashed or compared in another form, because hashing takes no other type. Only a hash
//! from before this rule may be of the text as it was typed.

use std::borrow::Cow;

use crate::error::Invalid;

/// The longest password, in bytes of its normalised form.
pub const MAX_PASSWORD: usize = 256;
/// The longest text that is normalised: decomposed, a password takes up to three times as many bytes.
const MAX_TYPED: usize = 4 * MAX_PASSWORD;

/// Normalises a text to NFC. Handed in, because the runtime has Unicode's tables already.
pub type Normalize<'f> = &'f dyn Fn(&str) -> String;

/// A password. It has no `Debug`, so that it is never printed.
pub struct Password {
    normalised: String,
    /// As it was typed, if that is another text.
    typed: Option<String>,
}

impl Password {
    /// Reads a password as it was typed: 1 to 256 bytes of any content, counted once it is normalised.
    pub fn parse(typed: &str, normalize: Normalize<'_>) -> Result<Self, Invalid> {
        let invalid = || {
            let message = format!("must be a string of 1 to {MAX_PASSWORD} bytes (as NFC)");
            Invalid::new("invalid_length", message)
        };
        if typed.is_empty() || typed.len() > MAX_TYPED {
            return Err(invalid());
        }
        let normalised = match typed.is_ascii() {
            true => Cow::Borrowed(typed),
            false => Cow::Owned(normalize(&typed.replace(is_space, " "))),
        };
        if !(1..=MAX_PASSWORD).contains(&normalised.len()) {
            return Err(invalid());
        }
        let typed = (normalised != typed).then(|| typed.to_owned());
        Ok(Self { normalised: normalised.into_owned(), typed })
    }

    /// The form that is hashed.
    pub fn normalised(&self) -> &str {
        &self.normalised
    }

    /// The password as it was typed, if its normalised form is another text: hashes from before may be of it.
    pub fn as_typed(&self) -> Option<&str> {
        self.typed.as_deref()
    }
}

/// Unicode's general category Zs (space separator), without SPACE itself.
fn is_space(c: char) -> bool {
    matches!(c, '\u{a0}' | '\u{1680}' | '\u{2000}'..='\u{200a}' | '\u{202f}' | '\u{205f}' | '\u{3000}')
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What NFC does to the texts of these tests.
    fn nfc(text: &str) -> String {
        text.replace("e\u{301}", "é").replace('\u{212b}', "Å").replace('\u{1d15e}', "\u{1d157}\u{1d165}")
    }

    fn parse(text: &str) -> Result<Password, Invalid> {
        Password::parse(text, &nfc)
    }

    #[test]
    fn spellings_of_one_password_are_one() {
        for (typed, normalised, is_other) in [
            ("caf\u{e9} 1", "café 1", false),
            ("cafe\u{301} 1", "café 1", true),
            ("cafe\u{301}\u{a0}1", "café 1", true),
            ("a\u{3000}b", "a b", true),
            ("\u{212b}", "\u{c5}", true),
            ("plain", "plain", false),
            ("ﬁ", "ﬁ", false),
            (" a\n", " a\n", false),
        ] {
            let password = parse(typed).unwrap_or_else(|_| panic!("{typed}"));
            assert_eq!(password.normalised(), normalised);
            assert_eq!(password.as_typed(), is_other.then_some(typed));
        }
    }

    #[test]
    fn length_counts_once_it_is_normalised() {
        assert!(parse(&"e\u{301}".repeat(128)).is_ok(), "384 bytes typed, 256 composed");
        assert!(parse(&"e\u{301}".repeat(129)).is_err());
        assert!(parse(&"\u{1d15e}".repeat(33)).is_err(), "132 bytes typed, 264 in NFC");
        assert!(parse(&"x".repeat(256)).is_ok() && parse(&"x".repeat(257)).is_err());
        assert!(parse(&"e\u{301}".repeat(342)).is_err() && parse("").is_err());
    }

    #[test]
    fn the_spaces_are_unicodes() {
        assert_eq!(('\0'..=char::MAX).filter(|c| is_space(*c)).count(), 16, "category Zs has 17 with SPACE");
    }
}
