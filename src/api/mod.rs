//! HTTP handlers, a folder per audience. Each reads its request, calls the room that owns the matter, and answers.
//!
//! Owns: the shapes of bodies, queries and answers. May not touch: how a request is routed and admitted.

pub mod members;
pub mod operators;
pub mod platform;
pub mod records;
pub mod settings;
pub mod sso;
pub mod tenants;
