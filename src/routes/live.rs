//! The live wire: webhooks in, streams out.

use super::entry::{get, handler, post, put};
use super::route::Endpoint::{Signer, Visitor};
use super::route::{Admission, Route, Surface, TokenRule};
use crate::{api, live};

pub const ROUTES: &[Route] = &[
    post("webhook.by_header", "/webhook", Signer(handler!(api::webhook::receive)))
        .on(Surface::Platform)
        .summary(
            "Takes a webhook on the platform's host; `X-Tenant-ID` names the tenant, \
             the signature proves it.",
        )
        .params("X-GraphQL-URL")
        .body("Webhook")
        .answers(
            "202 {id: string, topics: string[]}; 401 invalid_signature <an unknown tenant too>; \
             409 webhook_id_reused wrong_site",
        ),
    post("webhook.receive", "/webhook", Signer(handler!(api::webhook::receive)))
        .summary("Takes a signed webhook and publishes it as one event on all its channels.")
        .params("X-GraphQL-URL")
        .body("Webhook")
        .answers(
            "202 {id: string, topics: string[]} <once the event is durable; \
             the first answer again for a `webhook-id` seen within 24 hours>; 401 invalid_signature; \
             409 webhook_id_reused wrong_site",
        ),
    get("events.stream", "/events", Visitor(TokenRule::Optional, handler!(api::records::stream::stream)))
        .draws_from(Admission::Streams)
        .summary("Streams events as Server-Sent Events. A client whose stream ends or breaks off comes back with its last id, after what `retry` says: \
             so it misses nothing.")
        .params(
            "topic: Selector[](1..100) <`name`, `prefix*` or `*`>, filter?: string <which records, as for a list of the collection; \
             with topics `records/…` alone>, last_event_id?: string, lastEventID?: string, named?: Flag, \
             heartbeat?: 'id'|'data', ticket?: string, Last-Event-ID",
        )
        .answers(
            "200 events <with `Accept: text/event-stream`, `hub.busy` and an end in place of a 429 or 503>; 401 invalid_token unauthorized <without a credential, where the tenant wants one of \
             everybody>; 403 forbidden <a key or user with neither `events:read` nor `records:read`> \
             origin_not_allowed address_not_allowed; 404 not_found <with a filter: a collection that is not there, or not for this caller>; \
             406 not_acceptable; \
             429 rate_limited too_many_streams too_many_connections too_many_patterns <filters of all streams>",
        ),
    put("events.ticket", "/events", Visitor(TokenRule::Required, handler!(live::ticket::issue)))
        .summary("Gives a ticket that opens one stream at a time in place of a token, a key or a session.")
        .answers(
            "201 {ticket: string, expires_at: time} <first use within 60 seconds; \
             it lives an hour at most>; 401 invalid_token; 403 forbidden origin_not_allowed address_not_allowed",
        ),
    get("events.diagnose", "/events/diagnose", Visitor(TokenRule::Ignored, handler!(live::diagnose::stream)))
        .judged_now()
        .summary("Streams ticks at a known pace: shows buffering, idle cuts and stripped headers.")
        .params("ticks?: int(1..60), interval_ms?: int(10..5000), idle_ms?: int(0..180000)")
        .answers(
            "200 events <`diagnose.headers`, `diagnose.tick`…, `diagnose.padded`, `diagnose.idle`, \
             `diagnose.done`>; 406 not_acceptable",
        ),
    get("page.show", "/", Visitor(TokenRule::Ignored, handler!(live::page::show)))
        .judged_now()
        .summary("A page that subscribes and shows events live.")
        .params("topic?: string[]")
        .answers("200 html"),
];
