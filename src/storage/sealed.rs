//! Encryption at rest: AES-256-GCM under a tenant's data key, which is itself sealed under the platform's master key.
//!
//! Each sealed value is bound to its context (tenant, table, column, row) as associated data: copied elsewhere it does
//! not open. Deleting a tenant's data key makes everything sealed under it unreadable.

use std::collections::HashMap;

use aes_gcm::aead::{Aead, KeyInit, Payload};
use aes_gcm::{Aes256Gcm, Nonce};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use hkdf::Hkdf;
use sha2::Sha256;

use crate::credentials::signed_text::SigningKey;

/// Where a sealed value is stored: the associated data of its seal.
#[derive(Debug, Clone, Copy)]
pub struct SealContext<'a> {
    /// The tenant's id, or `platform`.
    pub owner: &'a str,
    /// The table.
    pub table: &'a str,
    /// The column.
    pub column: &'a str,
    /// The row's id.
    pub row: &'a str,
}

impl SealContext<'_> {
    fn bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        for part in [self.owner, self.table, self.column, self.row] {
            bytes.extend((part.len() as u64).to_be_bytes());
            bytes.extend(part.as_bytes());
        }
        bytes
    }
}

/// A value could not be sealed or opened: a wrong key, another context, or changed bytes.
#[derive(Debug, thiserror::Error)]
#[error("a sealed value does not open: wrong key, wrong context or changed bytes")]
pub struct Unsealable;

/// A 256-bit key that seals and opens values.
pub struct SealKey([u8; 32]);

impl SealKey {
    /// A new random key.
    pub fn random() -> Result<Self, Unsealable> {
        random().map(Self)
    }

    /// Seals a value for a context: `{nonce}.{ciphertext}`, both in base64.
    pub fn seal(&self, context: &SealContext<'_>, value: &[u8]) -> Result<String, Unsealable> {
        let nonce: [u8; 12] = random()?;
        let payload = Payload { msg: value, aad: &context.bytes() };
        let sealed = self.cipher()?.encrypt(Nonce::from_slice(&nonce), payload).map_err(|_| Unsealable)?;
        Ok(format!("{}.{}", BASE64.encode(nonce), BASE64.encode(sealed)))
    }

    /// Opens a value that was sealed for the same context.
    pub fn open(&self, context: &SealContext<'_>, sealed: &str) -> Result<Vec<u8>, Unsealable> {
        let (nonce, sealed) = sealed.split_once('.').ok_or(Unsealable)?;
        let nonce: [u8; 12] = BASE64.decode(nonce).ok().and_then(|n| n.try_into().ok()).ok_or(Unsealable)?;
        let sealed = BASE64.decode(sealed).map_err(|_| Unsealable)?;
        let payload = Payload { msg: &sealed, aad: &context.bytes() };
        self.cipher()?.decrypt(Nonce::from_slice(&nonce), payload).map_err(|_| Unsealable)
    }

    fn cipher(&self) -> Result<Aes256Gcm, Unsealable> {
        Aes256Gcm::new_from_slice(&self.0).map_err(|_| Unsealable)
    }
}

/// One version of the platform's master key (`KEK_v{n}`). Only keys derived from it (HKDF-SHA-256) are used.
pub struct MasterKey([u8; 32]);

impl MasterKey {
    /// From the 32 bytes of the Worker's secret.
    pub fn new(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    fn derive(&self, purpose: &str) -> Result<[u8; 32], Unsealable> {
        let mut key = [0; 32];
        Hkdf::<Sha256>::new(None, &self.0).expand(purpose.as_bytes(), &mut key).map_err(|_| Unsealable)?;
        Ok(key)
    }
}

/// What a signature is for: each purpose has its own key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SigningPurpose {
    /// Cursors of lists.
    Cursor,
    /// URLs that accept an upload.
    Upload,
    /// URLs that show a file.
    Download,
    /// Answers that are cached in KV.
    CachedAnswer,
}

impl SigningPurpose {
    fn label(self) -> &'static str {
        match self {
            Self::Cursor => "carillon cursor v1",
            Self::Upload => "carillon upload v1",
            Self::Download => "carillon download v1",
            Self::CachedAnswer => "carillon cached answer v1",
        }
    }
}

/// The known versions of the master key, and the one that seals now.
pub struct KeyRing {
    current: u32,
    keys: HashMap<u32, MasterKey>,
}

impl KeyRing {
    /// None if `keys` lacks the current version.
    pub fn new(current: u32, keys: HashMap<u32, MasterKey>) -> Option<Self> {
        keys.contains_key(&current).then_some(Self { current, keys })
    }

    /// The version that seals now.
    pub fn current(&self) -> u32 {
        self.current
    }

    /// Seals a tenant's data key: `{version}.{nonce}.{ciphertext}`.
    pub fn wrap(&self, tenant: &str, key: &SealKey) -> Result<String, Unsealable> {
        self.seal(&data_key_context(tenant), &key.0)
    }

    /// Opens a tenant's data key, whichever known version sealed it.
    pub fn unwrap(&self, tenant: &str, wrapped: &str) -> Result<SealKey, Unsealable> {
        let key = self.open(&data_key_context(tenant), wrapped)?;
        key.try_into().map(SealKey).map_err(|_| Unsealable)
    }

    /// Seals a value of the platform itself under the current version.
    pub fn seal(&self, context: &SealContext<'_>, value: &[u8]) -> Result<String, Unsealable> {
        let key = self.sealing_key(self.current)?;
        Ok(format!("{}.{}", self.current, key.seal(context, value)?))
    }

    /// Opens a value of the platform itself, whichever known version sealed it.
    pub fn open(&self, context: &SealContext<'_>, sealed: &str) -> Result<Vec<u8>, Unsealable> {
        let (version, sealed) = sealed.split_once('.').ok_or(Unsealable)?;
        self.sealing_key(version.parse().map_err(|_| Unsealable)?)?.open(context, sealed)
    }

    /// The key that signs list cursors now.
    pub fn cursor_key(&self) -> Result<SigningKey, Unsealable> {
        self.signing_key(SigningPurpose::Cursor)
    }

    /// The key that signed list cursors under a version, if that version is still known.
    pub fn cursor_key_of(&self, version: u32) -> Option<SigningKey> {
        self.signing_key_of(SigningPurpose::Cursor, version)
    }

    /// The key that signs for a purpose now.
    pub fn signing_key(&self, purpose: SigningPurpose) -> Result<SigningKey, Unsealable> {
        self.signing_key_of(purpose, self.current).ok_or(Unsealable)
    }

    /// The key that signed for a purpose under a version, if that version is still known.
    pub fn signing_key_of(&self, purpose: SigningPurpose, version: u32) -> Option<SigningKey> {
        let key = self.keys.get(&version)?.derive(purpose.label()).ok()?;
        Some(SigningKey { version, key })
    }

    fn sealing_key(&self, version: u32) -> Result<SealKey, Unsealable> {
        self.keys.get(&version).ok_or(Unsealable)?.derive("carillon seal v1").map(SealKey)
    }
}

fn data_key_context(tenant: &str) -> SealContext<'_> {
    SealContext { owner: tenant, table: "tenants", column: "data_key", row: tenant }
}

/// Random bytes from the runtime's generator.
pub fn random<const N: usize>() -> Result<[u8; N], Unsealable> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(|_| Unsealable)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ring(current: u32) -> KeyRing {
        let keys = (1..=current).map(|v| (v, MasterKey::new([u8::try_from(v).unwrap(); 32]))).collect();
        KeyRing::new(current, keys).unwrap()
    }

    #[test]
    fn a_value_opens_in_its_place_only() {
        let key = SealKey::random().unwrap();
        let place = SealContext { owner: "a", table: "t", column: "c", row: "1" };
        let sealed = key.seal(&place, b"secret").unwrap();
        assert_eq!(key.open(&place, &sealed).unwrap(), b"secret");
        for other in [
            SealContext { owner: "b", ..place },
            SealContext { table: "u", ..place },
            SealContext { column: "d", ..place },
            SealContext { row: "2", ..place },
            SealContext { owner: "at", table: "", ..place },
        ] {
            assert!(key.open(&other, &sealed).is_err());
        }
        assert!(SealKey::random().unwrap().open(&place, &sealed).is_err());
    }

    #[test]
    fn data_keys_outlive_a_new_master_key() {
        let key = SealKey::random().unwrap();
        let wrapped = ring(1).wrap("acme", &key).unwrap();
        assert_eq!(ring(2).unwrap("acme", &wrapped).unwrap().0, key.0);
        assert!(ring(2).unwrap("globex", &wrapped).is_err());
    }
}
