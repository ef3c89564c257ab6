//! The tenant's hub: one Durable Object per tenant that orders, keeps and spreads its events,
//! counts its limits, and sleeps while nothing happens.
//!
//! Owns: the object and its SQLite, the messages it speaks, the way the Worker calls it; and it alone empties the
//! tenant's outbox of changed records. May not touch: any other row of D1, KV, tenants' secrets (it knows only which
//! versions are accepted).

pub mod attach;
pub mod awake;
pub mod client;
pub mod drain;
pub mod event_log;
pub mod fanout;
pub mod lease;
mod logins;
mod looks;
pub mod object;
mod presence;
pub mod protocol;
pub mod reach;
mod record_event;
mod revocation;
pub mod sieve;
pub mod sockets;
pub mod sqlite;
pub mod subscriber;
mod subscriptions;
pub mod ticket;
