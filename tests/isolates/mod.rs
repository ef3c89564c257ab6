//! Two isolates over one storage: what one of them changes, the other honours with its next request.
//!
//! A test with one isolate cannot see a memory that another one should have lost. So every change that binds somebody (it
//! takes a right away, narrows one, or gives a name to another thing) is made through one isolate and tried through the
//! other, which has just used what it remembers ([`Pair::binds`](crate::world::Pair::binds)). Nothing waits: where a memory
//! may be stale for a time, `docs/architecture.md` says for how long, and a unit test shows that bound with the time handed
//! in.
//!
//! `matrix` holds the list of changes to the route table and to the configuration of a tenant.

mod answers;
mod collections;
mod documents;
mod matrix;
mod members;
mod operators;
mod providers;
mod secrets;
mod settings;
mod tenants;
