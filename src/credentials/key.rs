//! The text of keys and of the other secrets that name a row: `{prefix}{id}_{secret}{checksum}`.
//!
//! `car_tk_{tenant}.{id}_…` is a key of a tenant's automation, `car_pk_…` one of the platform's,
//! `car_us_…` and `car_os_…` are sessions of users and operators, `car_rt_…` is a refresh token.
//!
//! The secret is 178 bits in base 62; the checksum is the CRC-32 of everything before it, in six digits of base 62, so a
//! mistyped key is refused before a row is read. By prefix and shape, secret scanners find a key that leaked (as with
//! GitHub's tokens).

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use crc::{CRC_32_ISO_HDLC, Crc, NoTable};

use domain::ids::ClaimedTenant;

const ID_LENGTH: usize = 12;
const SECRET_LENGTH: usize = 30;
const CHECKSUM_LENGTH: usize = 6;
const BASE62: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// What a key opens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyKind {
    /// The platform, for automation.
    Platform,
    /// A tenant, for automation.
    Tenant,
    /// The platform, for a person who signed in.
    OperatorSession,
    /// A tenant, for a browser that signed in.
    UserSession,
    /// The next tokens of a session.
    Refresh,
}

impl KeyKind {
    const ALL: [Self; 5] = [Self::Platform, Self::Tenant, Self::OperatorSession, Self::UserSession, Self::Refresh];

    /// The beginning of its text.
    pub const fn prefix(self) -> &'static str {
        match self {
            Self::Platform => "car_pk_",
            Self::Tenant => "car_tk_",
            Self::OperatorSession => "car_os_",
            Self::UserSession => "car_us_",
            Self::Refresh => "car_rt_",
        }
    }
}

/// A key that somebody presents. Its shape and its checksum are right; nothing else was verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PresentedKey {
    /// What it claims to open.
    pub kind: KeyKind,
    /// The tenant that it names; only a tenant's key names one.
    pub tenant: Option<ClaimedTenant>,
    /// The id of its row.
    pub id: String,
}

/// Whether a text begins as every key of this platform does. One that is cut off or misspelt is one all the same: nobody else
/// gets to see it.
pub fn begins_as_a_key(text: &str) -> bool {
    text.starts_with("car_")
}

impl PresentedKey {
    /// Parses a key; none if it has another form or a wrong checksum.
    pub fn parse(text: &str) -> Option<Self> {
        let (head, checksum) = text.split_at_checked(text.len().checked_sub(CHECKSUM_LENGTH)?)?;
        let (rest, secret) = head.rsplit_once('_')?;
        if secret.len() != SECRET_LENGTH || !is_base62(secret) || checksum_of(head) != checksum {
            return None;
        }
        let (kind, rest) = KeyKind::ALL.iter().find_map(|kind| Some((*kind, rest.strip_prefix(kind.prefix())?)))?;
        let (tenant, id) = match kind {
            KeyKind::Tenant => {
                let (tenant, id) = rest.split_once('.')?;
                (Some(ClaimedTenant::parse(tenant).ok()?), id)
            }
            _ => (None, rest),
        };
        (id.len() == ID_LENGTH && is_base62(id)).then(|| Self { kind, tenant, id: id.to_owned() })
    }
}

/// A new key: its text, which is shown once, and the id of its row.
pub struct FreshKey {
    /// The id.
    pub id: String,
    /// The text.
    pub text: String,
}

impl FreshKey {
    /// A key of a kind that names no tenant, for a new row.
    pub fn new(kind: KeyKind) -> Result<Self, getrandom::Error> {
        Self::again(kind, base62(ID_LENGTH)?)
    }

    /// A new text for an existing row.
    pub fn again(kind: KeyKind, id: String) -> Result<Self, getrandom::Error> {
        let head = format!("{}{id}_{}", kind.prefix(), base62(SECRET_LENGTH)?);
        Ok(Self { text: format!("{head}{}", checksum_of(&head)), id })
    }

    /// A key of a tenant; with an id, a new text for an existing row.
    pub fn of_tenant(tenant: &str, id: Option<String>) -> Result<Self, getrandom::Error> {
        let id = id.map_or_else(|| base62(ID_LENGTH), Ok)?;
        let head = format!("{}{tenant}.{id}_{}", KeyKind::Tenant.prefix(), base62(SECRET_LENGTH)?);
        Ok(Self { text: format!("{head}{}", checksum_of(&head)), id })
    }
}

/// A new secret that names no row: 256 bits after a prefix for its kind.
pub fn fresh_secret(prefix: &str) -> Result<String, getrandom::Error> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes)?;
    Ok(format!("{prefix}{}", BASE64.encode(bytes)))
}

/// A new id: its kind, `_`, and 71 bits.
pub fn fresh_id(kind: &str) -> Result<String, getrandom::Error> {
    Ok(format!("{kind}_{}", base62(ID_LENGTH)?))
}

fn checksum_of(text: &str) -> String {
    let crc = Crc::<u32, NoTable>::new(&CRC_32_ISO_HDLC);
    let mut rest = crc.checksum(text.as_bytes()) as usize;
    let mut digits = [0; CHECKSUM_LENGTH];
    for digit in digits.iter_mut().rev() {
        *digit = rest % BASE62.len();
        rest /= BASE62.len();
    }
    digits.iter().filter_map(|digit| BASE62.get(*digit)).map(|b| char::from(*b)).collect()
}

/// Random digits of base 62, uniformly distributed.
fn base62(length: usize) -> Result<String, getrandom::Error> {
    let mut text = String::with_capacity(length);
    while text.len() < length {
        let mut bytes = [0; 64];
        getrandom::fill(&mut bytes)?;
        let digits = bytes.iter().filter_map(|byte| BASE62.get(usize::from(byte & 63))).map(|b| char::from(*b));
        text.extend(digits.take(length - text.len()));
    }
    Ok(text)
}

fn is_base62(text: &str) -> bool {
    text.bytes().all(|b| b.is_ascii_alphanumeric())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn keys_are_read_as_they_are_made() {
        let key = FreshKey::of_tenant("tenant_abc", None).unwrap();
        let tenant = ClaimedTenant::parse("tenant_abc").ok();
        let presented = PresentedKey { kind: KeyKind::Tenant, tenant, id: key.id.clone() };
        assert_eq!(PresentedKey::parse(&key.text), Some(presented));
        let rerolled = FreshKey::of_tenant("tenant_abc", Some(key.id.clone())).unwrap();
        assert_eq!(rerolled.id, key.id);
        assert_ne!(rerolled.text, key.text);
        for kind in KeyKind::ALL.into_iter().filter(|kind| *kind != KeyKind::Tenant) {
            let key = FreshKey::new(kind).unwrap();
            assert_eq!(PresentedKey::parse(&key.text), Some(PresentedKey { kind, tenant: None, id: key.id }));
        }
    }

    #[test]
    fn the_checksum_is_the_customary_crc_32() {
        // The check value of the algorithm's catalogue entry.
        let mut value: u64 = 0;
        for digit in checksum_of("123456789").bytes() {
            value = value * 62 + BASE62.iter().position(|b| *b == digit).unwrap() as u64;
        }
        assert_eq!(value, 0xcbf4_3926);
    }

    proptest! {
        #[test]
        fn a_mistyped_key_is_refused(at in 0usize..60, to in "[0-9A-Za-z._]") {
            let text = FreshKey::of_tenant("acme", None).unwrap().text;
            let mut mistyped = text.clone();
            let at = at % text.len();
            mistyped.replace_range(at..=at, &to);
            prop_assert_eq!(PresentedKey::parse(&mistyped).is_some(), mistyped == text);
        }

        #[test]
        fn no_text_breaks_the_reader(text in "\\PC{0,80}") {
            prop_assert_eq!(PresentedKey::parse(&text), None);
        }
    }
}
