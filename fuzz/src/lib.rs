//! What the fuzz targets hold the Worker's answers against.

pub mod event_stream;
