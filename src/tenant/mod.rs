//! Tenants: their registry, how a host is resolved to its tenant, how a tenant changes.
//!
//! Owns: tenants, their domains and secrets; the one way in which a change reaches shard, hub and KV.
//! May not touch: events, records.

pub mod branding;
pub mod change;
pub mod document;
pub mod domain_checks;
pub mod domains;
pub mod entered;
mod grant;
pub mod known_purges;
pub mod record;
pub mod registry;
pub mod resolve;
pub mod secrets;
pub mod settings;
pub mod site;
pub mod tenant_state;
pub mod turns;
