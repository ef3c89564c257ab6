//! Authorization at a tenant's Mercure hub: tokens of publishers and subscribers (draft-dunglas-mercure, Authorization),
//! and those of clients before 1.0.
//!
//! Invariants
//! - The tenant's webhook secret grants publishing only, its subscription secret subscribing only, an issuer what the
//!   tenant's settings allow it.
//! - A token is verified with the keys of the issuer that it names, never with all keys; the key decides the algorithm.
//!   Keys inside a token are ignored.
//! - A response never says why a token is not valid; the log does.
//! - A cookie is used only if it comes from the tenant's own pages.
//!
//! `carrier`, `claims` and `grants` are pure; `issuer_keys` fetches the keys of issuers; `proof` combines them.

pub mod carrier;
pub mod challenge;
pub mod claims;
pub mod grants;
pub mod issuer_keys;
pub mod proof;
