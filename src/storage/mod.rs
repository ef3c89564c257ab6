//! The only code that speaks to D1, KV and R2, and that opens static files. May not touch: decisions about tenants.
//!
//! Invariants
//! - A tenant's rows are reached only through [`tenant_db::TenantDb`], which is opened for a proven tenant and binds its
//!   id as `?1` of every statement.
//! - Reads across tenants go through [`shard_db::ShardDb`], which gives tenants' ids and nothing else.
//! - Every statement is a registered constant, or a list's statement ([`composed`]), put together of constants that each
//!   bind their tenant.
//! - Every write on a shard begins with the fence.
//! - Keys of KV and R2 come from typed constructors, and what is read back is checked to belong to the tenant.

pub mod assets;
pub mod audit_log;
pub mod bindings;
pub mod composed;
pub mod control_db;
mod d1;
pub mod keys;
pub mod kv;
pub mod outbox;
pub mod probe;
pub mod r2;
pub mod rest;
pub mod row;
pub mod sealed;
pub mod security_events;
pub mod settings;
pub mod shard_db;
pub mod sql;
pub mod tenant_db;
