//! Running the platform: whether it is well, and one log line per request.
//!
//! Owns: the platform's health, the shape of log lines. May not touch: tenants' data.

pub mod health;
pub mod log;
