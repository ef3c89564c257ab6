//! Single sign-on: a tenant's users come from its own OpenID providers (OpenID Connect Core 1.0, code flow
//! with PKCE), and the applications it has registered at them.
//!
//! Invariants
//! - A sign-in ends in the browser and on the host where it began, once, within ten minutes.
//! - A provider signs in nobody who may do more than whoever configured it could have made them.
//! - Everything a provider says is checked before it is believed; its words are neither shown nor logged.
//! - A tenant's client secrets, and what is remembered of its providers, open under its own key only.
//!
//! `providers` and `clients` are what members call, `sign_in` what browsers walk through. `id_token`
//! and what `provider` decides are pure.

pub mod account;
pub mod attempt;
pub mod discovery;
pub mod exchange;
pub mod id_token;
pub mod provider;
