//! Who asks: keys, tokens, sessions, signatures, and the principals they prove.
//!
//! Owns: the proof of each kind of principal, and the types no handler can make itself. The forms
//! (`key`, `access`, `token`, `jws`, `jwk`, `signature`, `password`) are pure; `prove_member`,
//! `prove_operator` and `signing_keys` read the rows behind them; `api` is what users and tenants' keys
//! call, `operator_api` what the platform's own people and keys do; `sso` is signing in with a tenant's
//! own providers, `mercure` what the tokens of Mercure's clients allow.
//! May not touch: the registry of tenants, but through `tenant`.

pub mod access;
pub mod account;
pub mod api;
pub mod jwk;
pub mod jws;
pub mod key;
pub mod key_row;
pub mod mail;
pub mod mailed;
pub mod memory;
pub mod mercure;
pub mod operator_api;
pub mod outside;
pub mod password;
pub mod principal;
pub mod prove_member;
pub mod prove_operator;
pub mod role;
pub mod rules;
pub mod session;
pub mod signature;
pub mod signing_keys;
pub mod sso;
pub mod token;
pub mod work;
