//! Secrets that webhooks are signed with, and the keys that they stand for.
//!
//! A secret that begins with `whsec_` has the form of Standard Webhooks: base64 of 24 to 64 bytes follows. Any other is a
//! text. One rule says which it is, wherever a secret is set or used.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;

use domain::error::Invalid;

/// What secrets of Standard Webhooks begin with.
pub const PREFIX: &str = "whsec_";
/// Bytes of such a secret.
const BYTES: std::ops::RangeInclusive<usize> = 24..=64;
/// Bytes of any other secret.
const TEXT: std::ops::RangeInclusive<usize> = 16..=256;

/// Reads a secret that somebody sets: 16 to 256 bytes, in any language; after `whsec_`, base64 of 24 to 64 bytes.
pub fn parse(text: &str) -> Result<String, Invalid> {
    let invalid = |message: &'static str| Err(Invalid::new("invalid_secret", message));
    if !TEXT.contains(&text.len()) || text.chars().any(char::is_control) {
        return invalid("must be 16 to 256 bytes long, without control characters");
    }
    // Somebody who meant the form of Standard Webhooks, and would sign with another key than we verify with.
    let start = text.trim_start().get(..PREFIX.len()).unwrap_or_default();
    if start.eq_ignore_ascii_case(PREFIX) && !decoded(text).is_some_and(|key| BYTES.contains(&key.len())) {
        return invalid(
            "must be followed, after whsec_, by the base64 of 24 to 64 bytes, with its padding and no spaces",
        );
    }
    Ok(text.to_owned())
}

/// The key of signatures in the form of Standard Webhooks: what `whsec_` is followed by, decoded; the UTF-8 bytes of any
/// other secret. A secret that was stored before its form was checked, and cannot be decoded, stands for its bytes too.
pub fn standard_key(secret: &str) -> Vec<u8> {
    decoded(secret).unwrap_or_else(|| secret.as_bytes().to_vec())
}

fn decoded(secret: &str) -> Option<Vec<u8>> {
    BASE64.decode(secret.strip_prefix(PREFIX)?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn whsec(bytes: usize) -> String {
        format!("whsec_{}", BASE64.encode(vec![7; bytes]))
    }

    #[test]
    fn secrets_are_texts_or_have_the_form_of_standard_webhooks() {
        for good in [whsec(24), whsec(25), whsec(32), whsec(64), "a secret of the site's own".into(), "x".repeat(256)] {
            assert_eq!(parse(&good), Ok(good));
        }
        let good = whsec(32);
        for bad in [
            whsec(23),
            whsec(65),
            "whsec_".into(),
            "whsec_!!!!not base64 at all!!!!".into(),
            good.trim_end_matches('=').to_owned(),
            good.replace("whsec_", "WHSEC_"),
            good.replace("whsec_", " whsec_"),
            format!("{good} "),
            format!("{good}="),
            format!("whsec_{}", "-_".repeat(16)),
            format!("whsec_{}B==", "A".repeat(33)),
            "x".repeat(15),
            "x".repeat(257),
            format!("{}\n", "x".repeat(20)),
        ] {
            assert_eq!(parse(&bad).unwrap_err().code, "invalid_secret", "{bad:?}");
        }
    }

    #[test]
    fn a_key_is_what_the_form_says() {
        assert_eq!(standard_key(&whsec(24)), [7; 24]);
        assert_eq!(standard_key("whsec_c2VjcmV0"), b"secret", "too short to be set today");
        for text in ["whsec_!", "whsec_c2VjcmV", "plain", "WHSEC_c2VjcmV0"] {
            assert_eq!(standard_key(text), text.as_bytes());
        }
    }

    proptest! {
        #[test]
        fn what_may_be_set_after_the_prefix_is_decoded(text in "whsec_[A-Za-z0-9+/]{0,90}={0,2}") {
            if let Ok(secret) = parse(&text) {
                prop_assert!(BYTES.contains(&standard_key(&secret).len()));
            }
        }
    }
}
