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
mod collections;
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
mod kept_lists;
mod key_rotation;
mod lifecycle;
mod login_limits;
mod logs;
mod mail;
mod media;
mod mercure_clients;
mod mercure_publication;
mod openapi;
mod operators;
mod page;
mod password_reset;
mod platform_keys;
mod private_events;
mod public_records;
mod record_bulk;
mod record_conditions;
mod record_deletion;
mod record_limits;
mod record_lists;
mod record_paging;
mod record_references;
mod record_versions;
mod records;
mod records_live;
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
mod templates;
mod tenant_config;
mod tenants;
mod tickets;
mod users;
mod webhooks;
