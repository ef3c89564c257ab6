//! Signatures of webhooks, in two forms.
//!
//! - The plain form: `X-Webhook-Signature: sha256=<hex>`, HMAC-SHA256 of the raw body; the key is
//!   the secret's UTF-8 bytes as shown.
//! - Standard Webhooks: `webhook-id`, `webhook-timestamp`, `webhook-signature: v1,<base64>` over
//!   `{id}.{timestamp}.{body}`; the key is what [`standard_key`] makes of the secret.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use hmac::{Hmac, Mac};
use sha2::{Digest, Sha256};

use super::webhook_secret::standard_key;
use domain::clock::Timestamp;
use domain::hex::hex;
use domain::ids::WebhookId;

/// Seconds a timestamp may lie in the past or the future.
pub const TOLERANCE_SECONDS: i64 = 300;

/// A version of a webhook secret that may have signed.
pub struct SigningSecret<'a> {
    /// The version.
    pub version: u32,
    /// The secret as its owner was shown it.
    pub secret: &'a str,
}

/// The headers that a webhook may be signed in: those of Standard Webhooks, and ours.
pub const SIGNATURE_HEADERS: [&str; 4] =
    ["webhook-id", "webhook-timestamp", "webhook-signature", "x-webhook-signature"];

/// The signature in a webhook's headers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WebhookSignature {
    /// The plain form: the digest.
    Plain(Vec<u8>),
    /// Standard Webhooks; there may be several signatures while secrets rotate.
    Standard {
        /// The sender's id of the webhook.
        id: WebhookId,
        /// When it was sent, in seconds since 1970, as written.
        timestamp: i64,
        /// The `v1` signatures.
        signatures: Vec<Vec<u8>>,
    },
}

impl WebhookSignature {
    /// Reads the headers; none if neither form is complete and well-formed.
    ///
    /// If any header of Standard Webhooks is there, that form counts, so that nobody evades its tolerance and
    /// de-duplication by sending both.
    pub fn read(header: impl Fn(&str) -> Option<String>) -> Option<Self> {
        let [id, timestamp, signatures, plain] = SIGNATURE_HEADERS.map(header);
        if id.is_some() || timestamp.is_some() || signatures.is_some() {
            let signatures: Vec<_> = signatures?
                .split(' ')
                .filter_map(|part| part.strip_prefix("v1,"))
                .filter_map(|text| BASE64.decode(text).ok())
                .take(10)
                .collect();
            let id = WebhookId::parse(&id?).ok()?;
            return Some(Self::Standard { id, timestamp: timestamp?.parse().ok()?, signatures });
        }
        decode_hex(plain?.strip_prefix("sha256=")?).map(Self::Plain)
    }
}

/// The version of the secret that signed the body, or none. All secrets are tried, whether or not one fits; without
/// secrets, a secret that no tenant has is tried, so that the time is the same.
pub fn verify(
    signature: Option<&WebhookSignature>,
    body: &[u8],
    secrets: &[SigningSecret<'_>],
    now: Timestamp,
) -> Option<u32> {
    let nobody = [SigningSecret { version: 0, secret: "no tenant has this secret" }];
    let candidates = if secrets.is_empty() { &nobody[..] } else { secrets };
    let mut found = None;
    for candidate in candidates {
        if is_signed_with(signature, body, candidate.secret) && candidate.version != 0 {
            found = found.or(Some(candidate.version));
        }
    }
    let is_timely = match signature {
        Some(WebhookSignature::Standard { timestamp, .. }) => {
            now.seconds().saturating_sub(*timestamp).saturating_abs() <= TOLERANCE_SECONDS
        }
        Some(WebhookSignature::Plain(_)) | None => true,
    };
    found.filter(|_| is_timely)
}

fn is_signed_with(signature: Option<&WebhookSignature>, body: &[u8], secret: &str) -> bool {
    match signature {
        Some(WebhookSignature::Standard { id, timestamp, signatures }) => {
            let key = standard_key(secret);
            let head = format!("{}.{timestamp}.", id.as_str());
            let mut fits = false;
            for signature in signatures {
                fits |= hmac(&key, &[head.as_bytes(), body]).is_some_and(|mac| mac.verify_slice(signature).is_ok());
            }
            fits
        }
        Some(WebhookSignature::Plain(digest)) => {
            hmac(secret.as_bytes(), &[body]).is_some_and(|mac| mac.verify_slice(digest).is_ok())
        }
        None => hmac(secret.as_bytes(), &[body]).is_some_and(|mac| mac.verify_slice(&[0; 32]).is_ok()),
    }
}

/// Signs an outgoing webhook in the form of Standard Webhooks; gives the value of `webhook-signature`.
pub fn sign(secret: &str, id: &str, timestamp: i64, body: &[u8]) -> Option<String> {
    let mac = hmac(&standard_key(secret), &[format!("{id}.{timestamp}.").as_bytes(), body])?;
    Some(format!("v1,{}", BASE64.encode(mac.finalize().into_bytes())))
}

/// Whether `mac` is the HMAC-SHA256 of a text, with the secret's UTF-8 bytes as the key.
pub fn is_mac(secret: &str, text: &str, mac: &[u8]) -> bool {
    hmac(secret.as_bytes(), &[text.as_bytes()]).is_some_and(|made| made.verify_slice(mac).is_ok())
}

fn hmac(key: &[u8], parts: &[&[u8]]) -> Option<Hmac<Sha256>> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).ok()?;
    for part in parts {
        mac.update(part);
    }
    Some(mac)
}

fn decode_hex(text: &str) -> Option<Vec<u8>> {
    if text.len() != 64 || !text.is_ascii() {
        return None;
    }
    let digit = |b: u8| (b as char).to_digit(16).and_then(|d| u8::try_from(d).ok());
    text.as_bytes()
        .chunks_exact(2)
        .map(|pair| match pair {
            [high, low] => Some(digit(*high)? << 4 | digit(*low)?),
            _ => None,
        })
        .collect()
}

/// The SHA-256 digest of bytes, in lower-case hexadecimal.
pub fn digest(body: &[u8]) -> String {
    hex(&Sha256::digest(body))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const NOW: Timestamp = Timestamp::from_millis(1_614_265_330_000);

    fn read(headers: &[(&str, &str)]) -> Option<WebhookSignature> {
        WebhookSignature::read(|name| headers.iter().find(|(n, _)| *n == name).map(|(_, v)| (*v).to_owned()))
    }

    fn check(headers: &[(&str, &str)], body: &[u8], secret: &str) -> Option<u32> {
        verify(read(headers).as_ref(), body, &[SigningSecret { version: 3, secret }], NOW)
    }

    #[test]
    fn the_example_of_standard_webhooks_verifies() {
        // The test vector of the specification's reference libraries.
        let headers = [
            ("webhook-id", "msg_p5jXN8AQM9LWM0D4loKWxJek"),
            ("webhook-timestamp", "1614265330"),
            ("webhook-signature", "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="),
        ];
        let secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
        assert_eq!(check(&headers, br#"{"test": 2432232314}"#, secret), Some(3));
        let signed = sign(secret, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, br#"{"test": 2432232314}"#);
        assert_eq!(signed.as_deref(), Some(headers[2].1));
        assert_eq!(check(&headers, br#"{"test": 2432232315}"#, secret), None);
        let late = verify(
            read(&headers).as_ref(),
            br#"{"test": 2432232314}"#,
            &[SigningSecret { version: 3, secret }],
            NOW.plus_seconds(301),
        );
        assert_eq!(late, None);
    }

    #[test]
    fn the_plain_form_verifies() {
        // RFC 4231, test case 2.
        let headers =
            [("x-webhook-signature", "sha256=5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843")];
        assert_eq!(check(&headers, b"what do ya want for nothing?", "Jefe"), Some(3));
        assert_eq!(check(&headers, b"what do ya want for nothing!", "Jefe"), None);
        assert_eq!(verify(read(&headers).as_ref(), b"what do ya want for nothing?", &[], NOW), None);
    }

    #[test]
    fn half_a_standard_signature_is_none_even_beside_a_plain_one() {
        let plain = ("x-webhook-signature", "sha256=5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
        assert!(read(&[plain]).is_some());
        assert!(read(&[plain, ("webhook-id", "x")]).is_none());
        for bad in ["", "sha256=", "sha256=zz", "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"] {
            assert!(read(&[("x-webhook-signature", bad)]).is_none(), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn no_headers_break_the_reader(a in "\\PC{0,90}", b in "\\PC{0,20}", c in "\\PC{0,90}") {
            let _ = read(&[("x-webhook-signature", &a)]);
            let _ = read(&[("webhook-id", &a), ("webhook-timestamp", &b), ("webhook-signature", &c)]);
        }
    }
}
