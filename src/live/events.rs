//! `GET /events?topic=…`: a stream of the tenant's events, as plain Server-Sent Events.

use super::{basis, bridge};
use crate::auth::principal::Visitor;
use crate::credentials::signature::digest;
use crate::http::accept::Accept;
use crate::http::incoming::Incoming;
use crate::http::problem::{self, Problem};
use crate::http::request::Request;
use crate::http::response::Response;
use crate::hub::protocol::{Attach, WireFormat};
use crate::tenant::tenant_state;
use domain::error::Invalid;
use domain::log_position::ReadPosition;
use domain::selector::{Interest, Selector};

/// What a stream is.
const MEDIA_TYPE: &str = "text/event-stream";

/// The longest cursor that is parsed; a longer one is unknown.
const MAX_CURSOR: usize = 256;

/// Opens the stream that was asked for. Its HEAD opens none.
pub async fn open(request: &Request<Visitor>, attach: &Attach) -> Result<Response, Problem> {
    if request.is_head() {
        return Ok(Response::events(None));
    }
    let Visitor { tenant, host, config, .. } = &*request.caller;
    let opened = tenant_state::call_hub_judged_at(
        &request.bindings,
        tenant,
        Some(host),
        config.revision,
        async |hub, caller| bridge::open(hub, &caller, attach).await,
    );
    let attached = opened.await.map_err(|error| error.of_stream(&config.limits))?;
    if attach.ticket.is_some() {
        request.proof.succeeded();
    }
    let keep_alive = request.bindings.settings.keep_alive_seconds;
    let stream = attached.pump(keep_alive, attach.heartbeats, &request.incoming.signal()).map_err(problem::internal)?;
    Ok(Response::events(Some(stream)))
}

/// What a request asks for, without its filter: what fields there are, its topics' collections say.
pub fn read(request: &Request<Visitor>) -> Result<Attach, Problem> {
    check_accept(&request.incoming)?;
    let query = &request.incoming.query;
    let selected = query.all("topic").take(Interest::MAX_SELECTORS + 1).map(Selector::parse);
    let selected = selected.collect::<Result<Vec<_>, _>>().map_err(|e| problem::invalid_query("topic", e))?;
    if selected.is_empty() {
        let invalid = Invalid::new("required", "must name at least one topic: topic=name, topic=prefix* or topic=*");
        return Err(problem::invalid_query("topic", invalid));
    }
    let token = request.caller.token.as_ref();
    let granted = token.map(|token| token.granted.clone()).unwrap_or_default();
    let interest = Interest { selected, granted, filter: None, hub: None };
    interest.check().map_err(|e| problem::invalid_query("topic", e))?;
    let cursor = request
        .incoming
        .header("Last-Event-ID")
        .or_else(|| query.get("last_event_id").or_else(|| query.get("lastEventID")).map(str::to_owned))
        .filter(|cursor| !cursor.is_empty())
        .map(|cursor| if cursor.len() > MAX_CURSOR { "unknown".to_owned() } else { cursor });
    let (cursor, seen) = match cursor.as_deref().map(ReadPosition::split) {
        Some((cursor, seen)) => (Some(cursor.to_owned()), seen),
        None => (None, None),
    };
    let ticket = query.get("ticket");
    let presents = token.is_some() || request.caller.member.is_some();
    if ticket.is_some() && presents {
        let invalid = Invalid::new("contradiction", "must not be sent together with another credential");
        return Err(problem::invalid_query("ticket", invalid));
    }
    if ticket.is_none() && !presents && !request.caller.config.mercure.anonymous {
        return Err(problem::unauthorized());
    }
    let heartbeats = match query.get("heartbeat") {
        None | Some("id") => false,
        Some("data") => true,
        Some(_) => {
            let invalid = Invalid::new("invalid_heartbeat", "must be id or data");
            return Err(problem::invalid_query("heartbeat", invalid));
        }
    };
    Ok(Attach {
        interest,
        basis: basis::of_visitor(&request.caller),
        ticket: ticket.map(|ticket| digest(ticket.as_bytes())),
        address: request.incoming.address(),
        wire: if query.flag("named")? { WireFormat::Named } else { WireFormat::Plain },
        cursor,
        seen,
        reattach: false,
        presence: None,
        may_be_direct: true,
        heartbeats,
    })
}

/// 406 for a client that does not take event streams.
pub fn check_accept(incoming: &Incoming) -> Result<(), Problem> {
    if Accept::of(incoming).takes(MEDIA_TYPE) { Ok(()) } else { Err(problem::not_acceptable(MEDIA_TYPE)) }
}
