//! HMAC-SHA256 in the two spellings that webhooks use, and plain digests.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, Mac};
use sha2::{Digest, Sha256};

/// The MAC's 32 bytes.
pub fn hmac(key: &[u8], message: &[u8]) -> Vec<u8> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).unwrap();
    mac.update(message);
    mac.finalize().into_bytes().to_vec()
}

/// The SHA-256 of a text as lower-case hex, as keys in KV spell it.
pub fn digest_hex(text: &str) -> String {
    Sha256::digest(text).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The MAC as lower-case hex, as in `X-Webhook-Signature: sha256=…`.
pub fn hmac_hex(key: &[u8], message: &[u8]) -> String {
    hmac(key, message).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The MAC as base64, as in `webhook-signature: v1,…`.
pub fn hmac_base64(key: &[u8], message: &[u8]) -> String {
    STANDARD.encode(hmac(key, message))
}

/// A Standard Webhooks key: what follows `whsec_` decoded, any other secret as its UTF-8 bytes.
pub fn standard_key(secret: &str) -> Vec<u8> {
    match secret.strip_prefix("whsec_") {
        Some(encoded) => STANDARD.decode(encoded).unwrap(),
        None => secret.as_bytes().to_vec(),
    }
}
