//! Webhooks in: `POST /webhook`.

mod body;
mod delivery;
mod signature;
