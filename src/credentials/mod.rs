//! Credentials as pure functions: keys, tokens, signatures, passwords.
//!
//! Owns: the text of each credential and how it is verified. May not touch: any platform type,
//! any store, the clock, who owns a credential.

pub mod audience_token;
pub mod constant_time;
pub mod jose;
pub mod jwk;
pub mod key;
pub mod password;
pub mod platform_token;
pub mod signature;
pub mod signed_text;
pub mod site_key;
pub mod subscriber_token;
pub mod webhook_secret;
