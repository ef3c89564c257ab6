//! A tenant's records: the collections that describe them, the lists and filters that find them, the writes that keep
//! them valid.
//!
//! Owns the tables of `migrations/tenant/0003_records.sql` but for the outbox, which the hub drains, and those of
//! `0004_files.sql` with the bytes in R2; what a collection's schema and statuses mean; the templates. May not touch:
//! the registry of tenants, the event log, who somebody is.
//!
//! Invariants
//! - A collection is stored as rows, never as a table: nothing changes a database's schema at run time.
//! - A record is stored only after its schema accepted it, and a schema accepts again, unchanged, what it accepted once.
//! - Everything derived from a record (index rows, references, full-text terms, counts, versions, the outbox) is written by
//!   the database's triggers in the transaction that writes the record. Only its words are cut before, and bound with it.
//! - A file's bytes exist only while a row names them: as a record's file, or as an object to be deleted.
//! - A list's statement consists of registered pieces after a head that binds the tenant (`storage/composed.rs`).

pub mod beside;
pub mod cache;
pub mod cache_purge;
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
pub mod literal;
pub mod names;
pub mod operation;
pub mod order;
pub mod outbox;
pub mod page;
pub mod plan;
pub mod projection;
pub mod provision;
pub mod record;
pub mod record_query;
pub mod rules;
pub mod schema;
pub mod seek;
pub mod stale_jobs;
pub mod statuses;
pub mod storage;
pub mod sweep;
pub mod template;
pub mod together;
pub mod upload;
pub mod words;
pub mod write;
