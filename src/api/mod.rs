//! HTTP handlers, a folder per audience. Each reads its request, calls the room that owns the matter, and responds.
//!
//! Owns: the shapes of bodies, queries and responses. May not touch: how a request is routed and admitted.

pub mod cache;
pub mod documents;
mod key_draft;
pub mod members;
pub mod operators;
pub mod platform;
pub mod records;
pub mod settings;
pub mod sso;
pub mod tenants;
pub mod webhook;
