//! What Carillon promises, kept by the real Worker on workerd.
//!
//! One binary, one module per capability. [`world`] starts the runtime and speaks to it as
//! browsers, WordPress sites and operators do; every other module states behaviours.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod world;

mod admission;
mod api_keys;
mod capacity;
mod cors;
mod crashes;
mod diagnose;
mod domains;
mod events;
mod health;
mod hibernation;
mod hosts;
mod isolation;
mod lifecycle;
mod login_limits;
mod logs;
mod mail;
mod page;
mod password_reset;
mod private_events;
mod refresh_tokens;
mod registration;
mod replay;
mod secrets;
mod sessions;
mod sign_in;
mod subscriber_tokens;
mod tenant_config;
mod tenants;
mod tickets;
mod webhooks;
