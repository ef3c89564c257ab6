//! Who asks at a tenant's Mercure hub: the tokens of publishers and subscribers (draft-dunglas-mercure, Authorization),
//! and those that clients of before 1.0 carry.
//!
//! Invariants
//! - The tenant's webhook secret signs for publishing alone, its subscription secret for subscribing alone, an issuer
//!   for what the tenant's settings let it.
//! - Keys belong to somebody: a token is verified with the keys of whom it names, never with all there are; with which
//!   algorithm, the key decides. Keys that a token brings along are not looked at.
//! - Nobody outside learns why a token is not valid; the log does.
//! - A cookie counts only from pages of the tenant's own.
//!
//! `carrier`, `claims` and `grants` are pure; `issuer_keys` fetches the keys of issuers; `proof` puts all together.

pub mod carrier;
pub mod challenge;
pub mod claims;
pub mod grants;
pub mod issuer_keys;
pub mod proof;
