//! Purges by mutations: the nodes that a mutation's answer shows are those that it may have changed.

use super::exchange::SiteResponse;
use super::fetching::gathered;
use super::purging;
use super::warming;
use crate::auth::principal::Visitor;
use crate::http::outbound::{ForwardedResponse, GatheredBody, NoResponse};
use crate::http::request::Request;
use domain::graphql_cache::PurgeTags;

/// The site's answer to a mutation, once what it has changed is purged.
pub async fn answered(
    request: &Request<Visitor>,
    sent: Result<ForwardedResponse, NoResponse>,
) -> Result<SiteResponse, NoResponse> {
    let response = gathered(sent).await?;
    let shown = match &response.body {
        Some(GatheredBody::Text(body)) if response.status == 200 => PurgeTags::of_mutation(body),
        // What is longer than any answer that is kept streams through unread.
        Some(GatheredBody::Text(_) | GatheredBody::Stream(_)) | None => PurgeTags::default(),
    };
    if !shown.is_empty() {
        let Visitor { tenant, config, .. } = &*request.caller;
        // It is done, whatever becomes of the purge; the site's webhook names what has changed, too.
        let _ = purging::purge(&request.bindings, tenant, config.revision, false, shown.into_tags()).await;
        warming::after_purges(&request.bindings, &request.background, tenant);
    }
    Ok(response)
}
