//! `GET /api/v1/openapi.json`: the operations of this host, as OpenAPI 3.1.
//!
//! Invariants
//! - The document is made of the route table, and of the tenant's collections by the same table.
//! - It lists the operations of the requested host: a tenant's host discloses none of the platform's.
//! - A stranger is shown no collection that strangers may not read.

pub mod collections;
pub mod document;
pub mod notation;
pub mod page;
pub mod responses;
pub mod schemas;

use crate::auth::principal::Reader;
use crate::auth::work_budget;
use crate::credentials::signature::digest;
use crate::http::etag;
use crate::http::precondition::Validators;
use crate::http::problem::{self, Problem};
use crate::http::request::Request;
use crate::http::response::Response;
use crate::records::collection::Collection;
use crate::routes::openapi::collections::Described;
use crate::routes::openapi::document::document;
use crate::routes::route::{Surface, Table};
use crate::storage::bindings::Bindings;

/// The platform's document may be cached by anybody for a minute, and is revalidated then.
const OF_THE_PLATFORM: &str = "public, max-age=60";
/// A tenant's document depends on the caller, and changes with the collections.
const OF_A_TENANT: &str = "private, no-cache";

/// Bytes of a document that are a unit of a stranger's work: it is made anew for each request.
const UNIT_BYTES: usize = 10_000;

/// The document, or 304 for a caller that has it.
pub async fn show(request: Request<Table>) -> Result<Response, Problem> {
    let stranger = request.caller.reader.as_ref().filter(|reader| !reader.is_member());
    let priced = stranger.map(|_| work_budget::admit(request.incoming.network())).transpose()?.flatten();
    let (surface, caching, described) = match &request.caller.reader {
        None => (Surface::Platform, OF_THE_PLATFORM, Vec::new()),
        Some(reader) => (Surface::Tenant, OF_A_TENANT, described(reader, &request.bindings).await?),
    };
    let document = document(request.caller.sections, surface, &described);
    let text = document.ok_or_else(|| problem::internal("a contract cannot be read"))?;
    if let Some(priced) = priced {
        priced.settle(u32::try_from(text.len() / UNIT_BYTES).unwrap_or(u32::MAX));
    }
    let etag = etag::of_name(&digest(text.as_bytes()));
    let is_known = request.preconditions().is_known(Validators::tag(&etag))?;
    let answer = if is_known { Response::empty(304) } else { Response::plain_json(200, text) };
    Ok(answer.header("Cache-Control", caching).header("ETag", etag))
}

/// The tenant's collections that a caller may know of.
async fn described(reader: &Reader, bindings: &Bindings) -> Result<Vec<Described>, Problem> {
    let collections = Collection::all(&reader.rows(bindings)?).await?;
    let known = collections.iter().filter(|collection| reader.is_member() || collection.public_read);
    Ok(known.map(|collection| Described::of(collection, reader.is_member())).collect())
}
