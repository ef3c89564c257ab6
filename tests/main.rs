//! What Carillon promises, kept by the real Worker on workerd.
//!
//! One binary, one module per capability. [`world`] starts the runtime and speaks to it as
//! browsers, WordPress sites and operators do; every other module states behaviours.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod world;

mod admission;
mod api_keys;
mod audit;
mod branding;
mod capacity;
mod cors;
mod crashes;
mod diagnose;
mod domains;
mod events;
mod health;
mod hibernation;
mod hosts;
mod idempotency;
mod impersonation;
mod invitations;
mod isolation;
mod key_rotation;
mod lifecycle;
mod login_limits;
mod logs;
mod mail;
mod operators;
mod page;
mod password_reset;
mod platform_keys;
mod private_events;
mod records;
mod refresh_tokens;
mod registration;
mod replay;
mod roles;
mod secrets;
mod sessions;
mod settings;
mod sign_in;
mod sso;
mod sso_clients;
mod sso_providers;
mod subscriber_tokens;
mod switching;
mod tenant_config;
mod tenants;
mod tickets;
mod users;
mod webhooks;
