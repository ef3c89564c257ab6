//! `GET /api/v1/openapi.json`: what can be asked of this host, as OpenAPI 3.1.
//!
//! Invariants
//! - The document is made of the route table and says nothing that is not in it.
//! - It lists what lives on the host that is asked: a tenant's host tells nothing of the platform's operations.

pub mod document;
pub mod notation;
pub mod page;
mod responses;
pub mod schemas;

use self::document::{Further, document};
use super::route::{Surface, Table};
use crate::auth::signature::digest;
use crate::http::answer::Answer;
use crate::http::call::Call;
use crate::http::etag;
use crate::http::problem::{self, Answered};

/// Others may keep it for a minute, and then ask whether it is still the same.
const CACHING: &str = "public, max-age=60";

/// The document, or 304 for whoever has it.
pub async fn show(call: Call<Table>) -> Answered<Answer> {
    let surface = if call.who.visitor.is_some() { Surface::Tenant } else { Surface::Platform };
    let document = document(call.who.sections, surface, &Further::default());
    let text = document.ok_or_else(|| problem::internal("a contract cannot be read"))?;
    let etag = format!("\"{}\"", digest(text.as_bytes()));
    let answer = if etag::is_known(&call.request, &etag) { Answer::empty(304) } else { Answer::plain_json(200, text) };
    Ok(answer.header("Cache-Control", CACHING).header("ETag", etag))
}
