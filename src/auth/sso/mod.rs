//! Single sign-on: a tenant's users sign in with its own OpenID providers (OpenID Connect Core 1.0, code flow with PKCE).
//!
//! Invariants
//! - A sign-in is completed in the browser and on the host where it began, once, within ten minutes.
//! - A provider signs in nobody with permissions that whoever configured it does not have.
//! - Everything that a provider sends is verified before it is used; its error texts are neither shown nor logged.
//! - A tenant's client secrets, and cached documents of its providers, are sealed under the tenant's key.
//!
//! `id_token` and the decisions of `provider` are pure.

pub mod account;
pub mod attempt;
pub mod discovery;
pub mod exchange;
pub mod id_token;
pub mod provider;
