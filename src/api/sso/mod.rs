//! Single sign-on over HTTP: a tenant's providers, its own clients, and signing in with a browser.

pub mod clients;
pub mod providers;
pub mod sign_in;
