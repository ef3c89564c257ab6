//! `PUT /events`: a ticket for a stream, for browsers whose `EventSource` cannot set headers.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;

use crate::auth::principal::Visitor;
use crate::credentials::signature::digest;
use crate::http::problem::{self, Problem};
use crate::http::request::Request;
use crate::http::response::Response;
use crate::hub::protocol::IssueTicket;
use crate::storage::sealed::random;
use crate::tenant::tenant_state;
use domain::json;

/// Issues a ticket for a valid subscriber token. The hub stores only its digest.
pub async fn issue(request: Request<Visitor>) -> Result<Response, Problem> {
    let token = request.caller.token.as_ref().ok_or_else(problem::unauthorized)?;
    let Visitor { tenant, host, config, .. } = &*request.caller;
    let ticket = format!("car_st_{}", BASE64.encode(random::<24>().map_err(problem::internal)?));
    let message = IssueTicket {
        digest: digest(ticket.as_bytes()),
        secret_version: token.secret_version,
        minted: token.minted.clone(),
        granted: token.granted.clone(),
        expires_at: token.expires_at,
    };
    let issued = tenant_state::call_hub_judged_at(
        &request.bindings,
        tenant,
        Some(host),
        config.revision,
        async |hub, caller| hub.call_for(&caller, &message).await,
    );
    issued.await?;
    Response::json(201, &json!({ "ticket": ticket, "expires_at": token.expires_at }), Some(tenant.as_str()))
}
