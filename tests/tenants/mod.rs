//! The operator's tenants: `/api/v1/tenants` and its aliases.

mod change;
mod create;
mod delete;
mod keys;
mod list;
mod names;
