//! Handlers of a tenant's records, collections and files, a file per resource.

pub mod bulk;
pub mod collections;
pub mod files;
pub mod media;
mod read_price;
pub mod record;
pub mod stats;
pub mod storage;
pub mod stream;
pub mod templates;
pub mod versions;

use crate::auth::principal::Member;
use crate::http::problem::Problem;
use crate::http::request::Request;
use crate::http::response::Response;
use crate::records::cache;
use crate::records::collection::Collection;
use crate::records::list::RecordList;
use crate::records::outbox;
use domain::json;

/// The response of a write. With `Prefer: return=minimal` (RFC 7240) it is the id of a created record, else empty.
fn preferred(request: &Request<Member>, answer: Response) -> Result<Response, Problem> {
    let prefers = request.incoming.header("Prefer").unwrap_or_default();
    let wants_little = prefers.split(',').any(|preference| preference.trim().eq_ignore_ascii_case("return=minimal"));
    if !wants_little || answer.status >= 300 {
        return Ok(answer);
    }
    let location = answer.headers.iter().find(|(name, _)| *name == "Location");
    let made = location.filter(|_| answer.status == 201).and_then(|(_, path)| path.rsplit('/').next());
    let mut minimal = match made {
        Some(id) => Response::json(answer.status, &json!({ "id": id }), Some(request.caller.tenant.as_str()))?,
        None => Response::empty(204),
    };
    minimal.headers.extend(answer.headers.iter().cloned());
    Ok(minimal.header("Preference-Applied", "return=minimal"))
}

/// After the response of a write: notifies the hub of the change, and recomputes the lists that are requested most.
fn announce(request: &Request<Member>, collection: &Collection) {
    if collection.live {
        outbox::notify_hub(&request.background, &request.bindings, &request.caller.tenant);
    }
    let hot = cache::hottest(&request.caller.tenant, &collection.slug);
    let Ok(rows) = request.caller.rows(&request.bindings) else { return };
    if hot.is_empty() {
        return;
    }
    let bindings = request.bindings.clone();
    request.background.spawn(async move {
        for list in hot {
            let reader = RecordList { bindings: &bindings, rows: &rows, is_member: list.is_member() };
            // A list that fails here is computed at its next request.
            let _ = reader.warm(&list).await;
        }
    });
}
