//! What members and visitors call: a file per resource.

pub mod bulk;
pub mod collections;
pub mod files;
pub mod media;
pub mod records;
pub mod stats;
pub mod templates;
pub mod versions;

use crate::auth::principal::Member;
use crate::http::answer::Answer;
use crate::http::call::Call;
use crate::http::request::Incoming;
use crate::rows::cache;
use crate::rows::collection::Collection;
use crate::rows::list::Listing;
use crate::rows::outbox;

/// The answer of a write, without its body where the client wants none (RFC 7240).
fn preferred(request: &Incoming, answer: Answer) -> Answer {
    let prefers = request.header("Prefer").unwrap_or_default();
    let wants_none = prefers.split(',').any(|preference| preference.trim().eq_ignore_ascii_case("return=minimal"));
    if !wants_none || answer.status >= 300 {
        return answer;
    }
    let status = if answer.status == 201 { 201 } else { 204 };
    let mut minimal = Answer::empty(status).header("Preference-Applied", "return=minimal");
    minimal.headers.extend(answer.headers.iter().cloned());
    minimal
}

/// What follows a write, behind its answer: the hub tells subscribers, and the lists that are asked for most are made
/// anew.
fn announce(call: &Call<Member>, collection: &Collection) {
    if collection.live {
        outbox::nudge(&call.later, &call.bindings, &call.who.tenant);
    }
    let hot = cache::hottest(&call.who.tenant, &collection.slug);
    let Ok(rows) = call.who.rows(&call.bindings) else { return };
    if hot.is_empty() {
        return;
    }
    let bindings = call.bindings.clone();
    call.later.run(async move {
        for listed in hot {
            let listing = Listing { bindings: &bindings, rows: &rows, is_member: listed.is_member() };
            // What fails is made when it is asked for.
            let _ = listing.warm(&listed).await;
        }
    });
}
