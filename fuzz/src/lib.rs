//! What the fuzz targets hold the Worker's answers against.

pub mod event_stream;
#[path = "../../domain/src/graphql/token_reader.rs"]
pub mod graphql_tokens;
