//! The registry of tenants over HTTP, for operators.

pub mod domains;
pub mod health;
pub mod input;
pub mod list;
mod other_names;
pub mod secrets;
mod subject;
pub mod tenant;
