//! Server-Sent Events out: `GET /events`.

mod query;
mod wire;
