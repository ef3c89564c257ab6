//! A tenant's records: collections that describe them, lists and filters that find them, writes that keep them true.
//!
//! Owns the tables of `migrations/tenant/0003_records.sql` but for the outbox, which the hub drains, and those of
//! `0004_files.sql` with the bytes in R2; what a collection's schema and statuses mean; the templates. May not touch:
//! the registry of tenants, the event log, who somebody is.
//!
//! Invariants
//! - A collection is rows, never a table: nothing changes the schema of a database at run time.
//! - A record is stored only after its schema accepted it, and what a schema accepted it accepts again unchanged.
//! - What is derived from a record (its index, references, words, counts, versions, its announcement) is derived by
//!   the schema's triggers in the transaction that writes it.
//! - A file's bytes are somewhere only while a row names them, as a file's or as those to be deleted.
//! - A list is put together of registered pieces behind a head that binds the tenant (`storage/composed.rs`).

pub mod asked;
pub mod beside;
pub mod cache;
pub mod cache_stats;
pub mod collection;
pub mod condition;
pub mod definition;
pub mod draft;
pub mod expand;
pub mod faults;
pub mod file;
pub mod file_url;
pub mod job;
pub mod list;
pub mod names;
pub mod operation;
pub mod order;
pub mod outbox;
pub mod plan;
pub mod projection;
pub mod provision;
pub mod record;
pub mod rules;
pub mod schema;
pub mod stale_jobs;
pub mod statuses;
pub mod sweep;
pub mod template;
pub mod upload;
pub mod write;
