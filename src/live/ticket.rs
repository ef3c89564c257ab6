//! `PUT /events`: a ticket for a stream, for browsers whose `EventSource` cannot set headers.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;

use super::basis;
use crate::auth::principal::Visitor;
use crate::credentials::signature::digest;
use crate::http::problem::{self, Problem};
use crate::http::request::Request;
use crate::http::response::Response;
use crate::hub::protocol::{Grantor, IssueTicket, ReadTicket, TicketRights};
use crate::storage::sealed::random;
use crate::tenant::tenant_state;
use domain::json;

/// How long a ticket lives at most, in milliseconds: it stands in a URL. A token of a subscriber lives no longer.
const LIFE_MILLIS: i64 = 3_600_000;

/// Issues a ticket for a valid credential. The hub stores only its digest.
pub async fn issue(request: Request<Visitor>) -> Result<Response, Problem> {
    let Visitor { tenant, host, config, token, member } = &*request.caller;
    let mut basis = basis::of_visitor(&request.caller);
    if basis.grantor == Grantor::Nobody {
        return Err(problem::unauthorized());
    }
    if member.is_some() {
        let longest = request.now().plus_millis(LIFE_MILLIS);
        basis.expires_at = Some(basis.expires_at.map_or(longest, |at| at.min(longest)));
    }
    let expires_at = basis.expires_at;
    let ticket = format!("car_st_{}", BASE64.encode(random::<24>().map_err(problem::internal)?));
    let message = IssueTicket {
        digest: digest(ticket.as_bytes()),
        basis,
        granted: token.as_ref().map(|token| token.granted.clone()).unwrap_or_default(),
        address: request.incoming.address(),
        networks: member.as_ref().map(|member| member.terms().networks.clone()).unwrap_or_default(),
    };
    let issued = tenant_state::call_hub_judged_at(
        &request.bindings,
        tenant,
        Some(host),
        config.revision,
        async |hub, caller| hub.call_for(&caller, &message).await,
    );
    issued.await?;
    Response::json(201, &json!({ "ticket": ticket, "expires_at": expires_at }), Some(tenant.as_str()))
}

/// What a stream with the request's ticket hears; the ticket is not used by that. 401 for one that is not valid.
pub async fn rights(request: &Request<Visitor>, digest: &str) -> Result<TicketRights, Problem> {
    let Visitor { tenant, host, config, .. } = &*request.caller;
    let message = ReadTicket { digest: digest.to_owned(), address: request.incoming.address() };
    let read = tenant_state::call_hub_judged_at(
        &request.bindings,
        tenant,
        Some(host),
        config.revision,
        async |hub, caller| hub.call_for(&caller, &message).await,
    );
    let rights = read.await?;
    request.proof.succeeded();
    Ok(rights)
}
