//! Server-Sent Events out: `GET /events`.

mod names;
mod query;
mod wire;
