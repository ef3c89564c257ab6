//! Purges of kept answers that no event brings: entries of the tenant's log that no stream sees.

use super::question::digest_of;
use crate::http::problem::Problem;
use crate::hub::protocol::PurgeAnswers;
use crate::storage::bindings::{Bindings, SystemClock};
use crate::tenant::known_purges;
use crate::tenant::tenant_state;
use crate::tenant_id::TenantId;
use domain::clock::Clock;
use domain::error::Invalid;
use domain::graphql::{DocumentLimits, GraphqlDocument};
use domain::graphql_cache::Tag;
use domain::log_position::Cursor;

/// Purges; gives the purge's number. This isolate honours it from here on.
pub async fn purge(
    bindings: &Bindings,
    tenant: &TenantId,
    revision: i64,
    soft: bool,
    tags: Vec<Tag>,
) -> Result<Cursor, Problem> {
    let asked_at = SystemClock.now();
    let message = PurgeAnswers { soft, tags, after: known_purges::known_through(tenant) };
    let purged = tenant_state::call_hub_judged_at(bindings, tenant, None, revision, async |hub, caller| {
        hub.call_for(&caller, &message).await
    });
    let purged = purged.await?;
    known_purges::learn(tenant, Some(purged.purges), asked_at);
    Ok(purged.id)
}

/// The digest by which a document is purged: that of its normal form, or what is given as a digest.
pub fn document_digest(text: &str) -> Result<String, Invalid> {
    if text.len() == 64 && text.bytes().all(|b| b.is_ascii_hexdigit()) {
        return Ok(text.to_ascii_lowercase());
    }
    match GraphqlDocument::parse(text, &DocumentLimits::default()) {
        Ok(document) => Ok(digest_of(&document.normal_form())),
        Err(_) => {
            Err(Invalid::new("invalid_document", "must be a GraphQL document, or the SHA-256 of one in hexadecimal"))
        }
    }
}
