//! Mercure's protocol on a tenant's host.

use super::entry::{get, handler, post};
use super::route::Endpoint::Visitor;
use super::route::{Admission, Route, TokenRule};
use crate::live::mercure;

pub const ROUTES: &[Route] = &[
    get("mercure.subscribe", "/.well-known/mercure", Visitor(TokenRule::Mercure, handler!(mercure::subscribe::stream)))
        .draws_from(Admission::Streams)
        .summary("Streams updates as Mercure's clients read them (draft-dunglas-mercure). See docs/mercure.md.")
        .params(
            "match?: string[](..100), match_exact?: string[](..100), match_urlpattern?: string[](..100), \
             topic?: string[](..100) <of before 1.0>, last_event_id?: string, \
             lastEventID?: string <of before 1.0>, authorization?: string <of before 1.0>, Last-Event-ID",
        )
        .answers(
            "200 events +Mercure-Last-Event-ID +Last-Event-ID <the headers where an id was sent; \
             `Last-Event-ID` of before 1.0>; 400 invalid_query <also for patterns that take more than 131,072 steps to compile, all together> \
             malformed_credential; 401 unauthorized invalid_token; 403 forbidden <a key or user with neither `events:read` nor `records:read`> \
             origin_not_allowed address_not_allowed; 406 not_acceptable; 429 rate_limited too_many_streams too_many_connections too_many_patterns",
        ),
    post("mercure.publish", "/.well-known/mercure", Visitor(TokenRule::Mercure, handler!(mercure::publish::publish)))
        .draws_from(Admission::Webhooks)
        .summary("Publishes an update of whoever has the right to, as Mercure's clients do.")
        .form(
            "{topic: string[](1..100) <the canonical one first>, data?: string <at most 1 MB>, \
             private?: string, id?: string(..1024), type?: string(..1024), retry?: string/^[0-9]{1,15}$/, ...}",
        )
        .answers(
            "200 text <the update's id, once it is durable>; 400 invalid_form malformed_credential; \
             401 unauthorized invalid_token; 403 insufficient_scope origin_not_allowed; \
             413 body_too_large form_too_large",
        ),
    get(
        "mercure.subscriptions",
        "/.well-known/mercure/subscriptions",
        Visitor(TokenRule::Mercure, handler!(mercure::subscriptions::show)),
    )
    .summary("Lists who subscribes to what, for those entitled to know.")
    .params("If-None-Match, If-Match")
    .answers(
        "200 linked {id: string, type: string, subscriptions: {...}[], \
         ...} +ETag +Link <`Link` says the `last-event-id`>; 304; 400 malformed_credential; \
         401 unauthorized invalid_token; 403 insufficient_scope <the token must grant the path itself \
         as a topic>; 404 not_found <the tenant does not tell who subscribes>; 406 not_acceptable",
    ),
    get(
        "mercure.topic_subscriptions",
        "/.well-known/mercure/subscriptions/{first}",
        Visitor(TokenRule::Mercure, handler!(mercure::subscriptions::show)),
    )
    .summary("Lists who subscribes to a topic (`first`, percent-encoded), in the form of before 1.0.")
    .params("If-None-Match, If-Match")
    .answers(
        "200 linked {id: string, type: string, subscriptions: {...}[], \
         ...} +ETag +Link <as for all subscriptions>; 304; 400 malformed_credential; \
         401 unauthorized invalid_token; 403 insufficient_scope; 406 not_acceptable",
    ),
    get(
        "mercure.matcher_subscriptions",
        "/.well-known/mercure/subscriptions/{first}/{second}",
        Visitor(TokenRule::Mercure, handler!(mercure::subscriptions::show)),
    )
    .summary(
        "Lists who subscribes by a matcher: `first` is `exact` or `urlpattern`, `second` the matcher, \
         percent-encoded. In the form of before 1.0, shows a subscription: `first` is the topic, \
         `second` the subscriber.",
    )
    .params("If-None-Match, If-Match")
    .answers(
        "200 linked {id: string, type: string, ...} +ETag +Link <as for all subscriptions>; 304; \
         400 malformed_credential; 401 unauthorized invalid_token; 403 insufficient_scope; 406 not_acceptable",
    ),
    get(
        "mercure.subscription",
        "/.well-known/mercure/subscriptions/{first}/{second}/{third}",
        Visitor(TokenRule::Mercure, handler!(mercure::subscriptions::show)),
    )
    .summary(
        "Shows a subscription: `first` is the type, `second` the matcher, `third` the subscriber, \
         percent-encoded.",
    )
    .params("If-None-Match, If-Match")
    .answers(
        "200 raw {id: string, type: 'subscription', match_type: string, match: string, \
         subscriber: string, active: bool, payload?: any} +ETag +Link; 304; 400 malformed_credential; \
         401 unauthorized invalid_token; 403 insufficient_scope; 406 not_acceptable",
    ),
    get(
        "mercure.metadata",
        "/.well-known/oauth-protected-resource/.well-known/mercure",
        Visitor(TokenRule::Ignored, handler!(mercure::discovery::metadata)),
    )
    .judged_now()
    .summary("Says what the hub is as a protected resource (RFC 9728).")
    .answers(
        "200 raw {resource: string, authorization_servers: string[], \
         authorization_details_types_supported: string[], bearer_methods_supported: string[], \
         mercure_cookie: string, mercure_matcher_types_supported: string[], \
         mercure_subscriptions: bool}",
    ),
];
