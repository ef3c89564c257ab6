//! Single sign-on over HTTP: a tenant's providers, its own clients, and the browser's way through a sign-in.

pub mod clients;
pub mod providers;
pub mod sign_in;
