//! HTTP for all rooms above: requests read within limits, responses in one envelope, problems in one form (RFC 9457),
//! cursors that cannot be forged, CORS by exact origin.
//!
//! Owns: the shapes on the wire. May not touch: databases, the hub, tenants.

pub mod accept;
pub mod body_text;
pub mod cors;
pub mod cursor;
pub mod etag;
pub mod fields;
pub mod incoming;
pub mod letters;
pub mod listing;
pub mod outbound;
pub mod precondition;
pub mod problem;
pub mod range;
pub mod rate_fields;
pub mod request;
pub mod response;
