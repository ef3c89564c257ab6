//! Tenant rows: collections that a tenant describes, and the records in them.
//!
//! Owns: what a collection's schema means.
//! Invariants: a record's data is stored only after its schema accepted it, and what a schema accepted it accepts
//! again unchanged. Names and ids have one shape each ([`names`]).
//! May not touch: other tenants' rows, and how events reach subscribers.

pub mod faults;
pub mod names;
pub mod schema;
