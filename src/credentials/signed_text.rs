//! Texts that we give out and recognise when they come back: signed (HMAC-SHA256), not encrypted.
//!
//! A signature covers the text's purpose, so that a text for another list, tenant or file is refused.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use hmac::{Hmac, Mac};
use sha2::Sha256;

/// A key that signs texts, with the version of the master key that it is derived from.
pub struct SigningKey {
    /// The n of the `KEK_v{n}` that it is derived from; signed texts contain it.
    pub version: u32,
    /// The derived key.
    pub key: [u8; 32],
}

/// Encodes a text with its signature, which covers its `purpose` too.
pub fn seal(key: &SigningKey, purpose: &[&str], text: &str) -> String {
    let payload = format!("{}.{text}", key.version);
    let tag = tag(key, purpose, &payload);
    BASE64.encode(format!("{payload}.{tag}"))
}

/// Decodes a signed text; none if it was not signed for this purpose. `find_key` gives the key of a version, if it still
/// exists.
pub fn open(find_key: impl FnOnce(u32) -> Option<SigningKey>, purpose: &[&str], sealed: &str) -> Option<String> {
    let sealed = String::from_utf8(BASE64.decode(sealed).ok()?).ok()?;
    let (payload, sent) = sealed.rsplit_once('.')?;
    let (version, text) = payload.split_once('.')?;
    let key = find_key(version.parse().ok()?)?;
    is_tag(&key, purpose, payload, sent)?.then(|| text.to_owned())
}

/// The signature alone, for a text that is sent beside it: `{version}.{tag}`.
pub fn sign(key: &SigningKey, purpose: &[&str], text: &str) -> String {
    format!("{}.{}", key.version, tag(key, purpose, text))
}

/// Whether a signature is that of a text and a purpose.
pub fn is_signed(
    find_key: impl FnOnce(u32) -> Option<SigningKey>,
    purpose: &[&str],
    text: &str,
    signature: &str,
) -> bool {
    let verified = || {
        let (version, sent) = signature.split_once('.')?;
        is_tag(&find_key(version.parse().ok()?)?, purpose, text, sent)
    };
    verified().unwrap_or(false)
}

fn mac(key: &SigningKey, purpose: &[&str], text: &str) -> Option<Hmac<Sha256>> {
    let mut mac = Hmac::<Sha256>::new_from_slice(&key.key).ok()?;
    for part in purpose.iter().chain([&text]) {
        mac.update(&(part.len() as u64).to_be_bytes());
        mac.update(part.as_bytes());
    }
    Some(mac)
}

fn tag(key: &SigningKey, purpose: &[&str], text: &str) -> String {
    mac(key, purpose, text).map(|mac| BASE64.encode(mac.finalize().into_bytes())).unwrap_or_default()
}

fn is_tag(key: &SigningKey, purpose: &[&str], text: &str, sent: &str) -> Option<bool> {
    Some(mac(key, purpose, text)?.verify_slice(&BASE64.decode(sent).ok()?).is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(version: u32) -> Option<SigningKey> {
        (version == 3).then_some(SigningKey { version: 3, key: [7; 32] })
    }

    #[test]
    fn a_signature_is_good_for_its_text_and_its_purpose_only() {
        let signature = sign(&key(3).unwrap(), &["download", "acme"], "a.png 17");
        let is_good = |purpose: &[&str], text: &str, signature: &str| is_signed(key, purpose, text, signature);
        assert!(is_good(&["download", "acme"], "a.png 17", &signature));
        assert!(!is_good(&["download", "globex"], "a.png 17", &signature));
        assert!(!is_good(&["download", "acme"], "a.png 18", &signature));
        assert!(!is_good(&["download"], "acmea.png 17", &signature));
        let tag = signature.strip_prefix("3.").unwrap();
        for wrong in ["", ".", "3.", tag, &format!("4.{tag}"), &signature[..signature.len() - 1]] {
            assert!(!is_good(&["download", "acme"], "a.png 17", wrong), "{wrong}");
        }
    }
}
