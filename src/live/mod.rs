//! The live plane on the wire: webhooks in, Server-Sent Events out.
//!
//! Owns: wire formats over the hub, which it parses and answers; the bridge between a client's
//! stream and the hub's socket. May not touch: the event log, who may see what (the hub decides).

mod basis;
pub mod bridge;
pub mod diagnose;
pub mod events;
pub mod mercure;
pub mod page;
pub mod ticket;
pub mod webhook;
