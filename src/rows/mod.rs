//! Tenant rows: collections that a tenant describes, and the records in them.
//!
//! Owns: what a collection's schema and its statuses mean, and the templates that collections are made of.
//! Invariants: a record's data is stored only after its schema accepted it, and what a schema accepted it accepts
//! again unchanged. Names, ids and statuses have one shape each ([`names`], [`statuses`]).
//! May not touch: other tenants' rows, and how events reach subscribers.

pub mod faults;
pub mod names;
pub mod schema;
pub mod statuses;
pub mod template;
