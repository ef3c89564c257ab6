//! Authentication: who sends a request, and with which permissions.
//!
//! Owns: principals and how a credential becomes one, sessions, roles, password hashing, mail with tokens, single
//! sign-on with a tenant's own OpenID providers (`sso`), tokens of Mercure's clients (`mercure`), responses stored for
//! `Idempotency-Key`, and ending streams when rights are revoked. May not touch: the registry of tenants (but through
//! `tenant`).

pub mod account;
pub mod authenticate_member;
pub mod authenticate_operator;
pub mod email_token;
pub mod failed_logins;
pub mod idempotency;
pub mod key_row;
pub mod mail;
pub mod maker;
pub mod mercure;
pub mod outbound_oidc;
pub mod password_hashing;
mod password_turns;
pub mod present_rights;
pub mod principal;
pub mod proofs;
pub mod registration;
pub mod revocation;
pub mod role;
pub mod rules;
pub mod sealed_cache;
pub mod session;
pub mod signing_keys;
pub mod sso;
#[cfg(test)]
mod token_verifiers;
pub mod work_budget;
