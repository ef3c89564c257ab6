//! Who asks: principals, signatures of webhooks, tokens of subscribers.
//!
//! Owns: the proof of each kind of principal, pure; and the types no handler can make itself.
//! May not touch: storage. What a proof needs (keys, the time) is handed in.

pub mod principal;
pub mod signature;
pub mod token;
