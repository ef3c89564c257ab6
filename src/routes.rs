//! The one route table: every operation, on which host it lives, whom it serves, what it costs.
//!
//! The router, the API reference and the isolation matrix read this table. A new operation is a
//! new entry here; a route that is in no row of the matrix fails the tests.

use std::future::Future;
use std::pin::Pin;

use percent_encoding::percent_decode_str;
use worker::Method;

use crate::auth::principal::{Anyone, Operator, Signer, Visitor};
use crate::http::answer::Answer;
use crate::http::call::{Call, Params};
use crate::http::problem::Answered;
use crate::{live, ops, tenant};

/// On which hosts an operation lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Surface {
    /// The platform's host.
    Platform,
    /// Every tenant's host.
    Tenant,
}

/// Whom an operation serves. Proven before the handler is reached, but for a signature, which
/// covers the raw body and is the handler's first act.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Permission {
    /// Everybody.
    Anyone,
    /// The platform key.
    Operator,
    /// Everybody on the tenant's host; a token is not looked at.
    Visitor,
    /// Everybody on the tenant's host; a token that is presented must be valid.
    OptionalSubscriber,
    /// A subscriber token of the tenant.
    Subscriber,
    /// A webhook signed with the tenant's secret.
    Signature,
}

/// What an operation draws from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Admission {
    /// Nothing but the filter per address.
    Unmetered,
    /// The tenant's requests: those of its principals, or those of strangers.
    Requests,
    /// The tenant's streams, counted by the hub when one is opened.
    Streams,
    /// The tenant's webhooks, counted by the hub when one is accepted.
    Webhooks,
}

/// What a handler gives.
pub type Answering = Pin<Box<dyn Future<Output = Answered<Answer>>>>;

/// A handler, by the kind of principal it takes.
#[derive(Clone, Copy)]
pub enum Handler {
    /// For everybody.
    Anyone(fn(Call<Anyone>) -> Answering),
    /// For operators.
    Operator(fn(Call<Operator>) -> Answering),
    /// For visitors of a tenant's host.
    Visitor(fn(Call<Visitor>) -> Answering),
    /// For sites that sign.
    Signer(fn(Call<Signer>) -> Answering),
}

/// One operation.
pub struct Route {
    /// Its name: in logs, metrics and audits.
    pub name: &'static str,
    /// Its method; GET serves HEAD too.
    pub method: Method,
    /// Its path; `{name}` is one segment.
    pub path: &'static str,
    /// Further paths of the same operation.
    pub aliases: &'static [&'static str],
    /// Where it lives.
    pub surface: Surface,
    /// Whom it serves.
    pub permission: Permission,
    /// What it draws from.
    pub admission: Admission,
    /// Its handler.
    pub handler: Handler,
    /// One sentence for the API reference.
    pub summary: &'static str,
    /// Body, query and headers it reads, for the API reference.
    pub request: &'static str,
    /// What it answers, for the API reference.
    pub answer: &'static str,
}

macro_rules! handler {
    ($kind:ident, $path:path) => {
        Handler::$kind(|call| Box::pin($path(call)))
    };
}

const TENANT: &str = "/api/v1/tenants/{tenant_id}";

/// Every operation.
pub static ROUTES: &[Route] = &[
    Route {
        name: "platform.health",
        method: Method::Get,
        path: "/health",
        aliases: &[],
        surface: Surface::Platform,
        permission: Permission::Anyone,
        admission: Admission::Unmetered,
        handler: handler!(Anyone, ops::health::health),
        summary: "Whether control database, shards and KV answer.",
        request: "",
        answer: "200 `{status, checks}`, or 503.",
    },
    Route {
        name: "tenants.create",
        method: Method::Post,
        path: "/api/v1/tenants",
        aliases: &["/admin/tenants", "/api/tenants"],
        surface: Surface::Platform,
        permission: Permission::Operator,
        admission: Admission::Unmetered,
        handler: handler!(Operator, tenant::api::create),
        summary: "Creates a tenant. Its secrets are shown in this answer only.",
        request: "`tenant_id`, `slug`, `display_name`, `admin_email`, `plan` (or `tier`), `features`, `resources`, `custom_domains[]`, `wpgraphql_endpoint`, `webhook_secret`, `subscription_secret`, `cors_origins[]`, `rate_limits`, `settings`, `branding`, `require_standard_webhooks`, `expires_at`; all optional. Header `Idempotency-Key`.",
        answer: "201 the tenant with `webhook_secret` and `subscription_secret`; 202 with `pending: true` while the change is on its way; 409 where a name is taken; 422 with a pointer per mistake.",
    },
    Route {
        name: "tenants.list",
        method: Method::Get,
        path: "/api/v1/tenants",
        aliases: &["/admin/tenants", "/api/tenants"],
        surface: Surface::Platform,
        permission: Permission::Operator,
        admission: Admission::Unmetered,
        handler: handler!(Operator, tenant::list::list),
        summary: "Lists tenants, newest first.",
        request: "Query `status` (active, suspended, deleted), `plan`, `q` (text in id, slug or name), `limit` (1 to 200) with `cursor`, or `page` with `per_page`; `count=true` counts.",
        answer: "200 a list with `pagination`.",
    },
    Route {
        name: "tenants.get",
        method: Method::Get,
        path: TENANT,
        aliases: &["/admin/tenants/{tenant_id}", "/api/tenants/{tenant_id}"],
        surface: Surface::Platform,
        permission: Permission::Operator,
        admission: Admission::Unmetered,
        handler: handler!(Operator, tenant::api::get),
        summary: "Shows a tenant.",
        request: "Header `If-None-Match`.",
        answer: "200 the tenant with `ETag`; 304.",
    },
    Route {
        name: "tenants.replace",
        method: Method::Put,
        path: TENANT,
        aliases: &["/admin/tenants/{tenant_id}", "/api/tenants/{tenant_id}"],
        surface: Surface::Platform,
        permission: Permission::Operator,
        admission: Admission::Unmetered,
        handler: handler!(Operator, tenant::api::replace),
        summary: "Replaces what an operator sets; what is left out gets its default.",
        request: "As for creation but for id, slug, domains and secrets; `status` (active, suspended). Header `If-Match`.",
        answer: "200 the tenant once shard and hub have the change, else 202 with `pending: true`; 412.",
    },
    Route {
        name: "tenants.patch",
        method: Method::Patch,
        path: TENANT,
        aliases: &["/admin/tenants/{tenant_id}", "/api/tenants/{tenant_id}"],
        surface: Surface::Platform,
        permission: Permission::Operator,
        admission: Admission::Unmetered,
        handler: handler!(Operator, tenant::api::patch),
        summary: "Changes a tenant (JSON Merge Patch, RFC 7396). Suspending ends its streams at once.",
        request: "Any fields of PUT; `null` takes one away. Header `If-Match`.",
        answer: "200 the tenant once shard and hub have the change, else 202 with `pending: true`; 412.",
    },
    Route {
        name: "tenants.delete",
        method: Method::Delete,
        path: TENANT,
        aliases: &["/admin/tenants/{tenant_id}", "/api/tenants/{tenant_id}"],
        surface: Surface::Platform,
        permission: Permission::Operator,
        admission: Admission::Unmetered,
        handler: handler!(Operator, tenant::api::delete),
        summary: "Stops a tenant; with `?purge=true`, once it is deleted, removes it for ever.",
        request: "Query `purge`. Header `If-Match`.",
        answer: "200, or 202 with `pending: true`; 409 `not_deleted`. Id and slug of a purged tenant are never given again.",
    },
    Route {
        name: "tenants.health",
        method: Method::Get,
        path: "/api/v1/tenants/{tenant_id}/health",
        aliases: &["/admin/tenants/{tenant_id}/health", "/api/tenants/{tenant_id}/health"],
        surface: Surface::Platform,
        permission: Permission::Operator,
        admission: Admission::Unmetered,
        handler: handler!(Operator, tenant::health::health),
        summary: "Asks the tenant's rows, hub, KV and WordPress endpoint.",
        request: "",
        answer: "200 `{status, revision, pending, checks}`, whatever the parts say.",
    },
    Route {
        name: "domains.list",
        method: Method::Get,
        path: "/api/v1/tenants/{tenant_id}/domains",
        aliases: &["/admin/tenants/{tenant_id}/domains", "/api/tenants/{tenant_id}/domains"],
        surface: Surface::Platform,
        permission: Permission::Operator,
        admission: Admission::Unmetered,
        handler: handler!(Operator, tenant::domains::list),
        summary: "Lists a tenant's custom domains, the primary one first.",
        request: "",
        answer: "200 a list of `{domain, is_primary, ssl_enabled, created_at}`.",
    },
    Route {
        name: "domains.attach",
        method: Method::Post,
        path: "/api/v1/tenants/{tenant_id}/domains",
        aliases: &["/admin/tenants/{tenant_id}/domains", "/api/tenants/{tenant_id}/domains"],
        surface: Surface::Platform,
        permission: Permission::Operator,
        admission: Admission::Unmetered,
        handler: handler!(Operator, tenant::domains::attach),
        summary: "Attaches a custom domain; an international name is kept as punycode.",
        request: "`domain`, `is_primary`. Header `If-Match`.",
        answer: "201 the domain; 409 while it is another tenant's, or for ten minutes after it was let go.",
    },
    Route {
        name: "domains.detach",
        method: Method::Delete,
        path: "/api/v1/tenants/{tenant_id}/domains/{domain}",
        aliases: &["/admin/tenants/{tenant_id}/domains/{domain}", "/api/tenants/{tenant_id}/domains/{domain}"],
        surface: Surface::Platform,
        permission: Permission::Operator,
        admission: Admission::Unmetered,
        handler: handler!(Operator, tenant::domains::detach),
        summary: "Lets a custom domain go.",
        request: "Header `If-Match`.",
        answer: "200 `{domain}`; 404.",
    },
    Route {
        name: "secrets.rotate",
        method: Method::Post,
        path: "/api/v1/tenants/{tenant_id}/secrets/{kind}/rotate",
        aliases: &[
            "/admin/tenants/{tenant_id}/secrets/{kind}/rotate",
            "/api/tenants/{tenant_id}/secrets/{kind}/rotate",
        ],
        surface: Surface::Platform,
        permission: Permission::Operator,
        admission: Admission::Unmetered,
        handler: handler!(Operator, tenant::rotate::rotate),
        summary: "Makes a new `webhook` or `subscription` secret and shows it once; the one before stays good for its grace.",
        request: "`grace_seconds` (0 to 2592000, by default 86400), `secret`. Header `If-Match`.",
        answer: "200 `{kind, secret, version, previous_valid_until}`.",
    },
    Route {
        name: "webhook.by_header",
        method: Method::Post,
        path: "/webhook",
        aliases: &[],
        surface: Surface::Platform,
        permission: Permission::Signature,
        admission: Admission::Webhooks,
        handler: handler!(Signer, live::webhook::receive),
        summary: "Takes a webhook on the platform's host; `X-Tenant-ID` names the tenant, the signature proves it.",
        request: "As on a tenant's host, and header `X-Tenant-ID`.",
        answer: "As on a tenant's host; an unknown tenant is 401 like a wrong signature.",
    },
    Route {
        name: "webhook.receive",
        method: Method::Post,
        path: "/webhook",
        aliases: &[],
        surface: Surface::Tenant,
        permission: Permission::Signature,
        admission: Admission::Webhooks,
        handler: handler!(Signer, live::webhook::receive),
        summary: "Takes a signed webhook and publishes it as one event on all its channels.",
        request: "`tenant_id`, `node_type`, `action`, `channels[]` (1 to 100, without `*`), `data`, `keys[]`, `private`; at most 256 KB. Header `X-Webhook-Signature: sha256=<hex>`, or `webhook-id`, `webhook-timestamp`, `webhook-signature` (Standard Webhooks).",
        answer: "202 `{id, topics}` once the event is durable; the first answer again for a `webhook-id` seen within 24 hours; 401, 409 `webhook_id_reused`, 413, 422, 429.",
    },
    Route {
        name: "events.stream",
        method: Method::Get,
        path: "/events",
        aliases: &[],
        surface: Surface::Tenant,
        permission: Permission::OptionalSubscriber,
        admission: Admission::Streams,
        handler: handler!(Visitor, live::events::stream),
        summary: "Streams events as Server-Sent Events.",
        request: "Query `topic` (repeatable: `name`, `prefix*`, `*`), `last_event_id` or `lastEventID`, `named=true`, `heartbeat=data`, `ticket`. Headers `Last-Event-ID`, `Authorization: Bearer`; cookie `carillon_subscriber`.",
        answer: "200 `text/event-stream`; 400, 401 `invalid_token`, 429 `too_many_streams` or `too_many_connections`.",
    },
    Route {
        name: "events.ticket",
        method: Method::Put,
        path: "/events",
        aliases: &[],
        surface: Surface::Tenant,
        permission: Permission::Subscriber,
        admission: Admission::Requests,
        handler: handler!(Visitor, live::ticket::issue),
        summary: "Gives a ticket that opens one stream at a time in place of a token.",
        request: "Header `Authorization: Bearer`, or cookie `carillon_subscriber`.",
        answer: "201 `{ticket, expires_at}`; first use within 60 seconds.",
    },
    Route {
        name: "events.diagnose",
        method: Method::Get,
        path: "/events/diagnose",
        aliases: &[],
        surface: Surface::Tenant,
        permission: Permission::Visitor,
        admission: Admission::Requests,
        handler: handler!(Visitor, live::diagnose::stream),
        summary: "Streams ticks at a known pace: shows buffering, idle cuts and stripped headers.",
        request: "Query `ticks` (1 to 60), `interval_ms` (10 to 5000), `idle_ms` (0 to 180000).",
        answer: "200 `text/event-stream`: `diagnose.headers`, `diagnose.tick`…, `diagnose.padded`, `diagnose.idle`, `diagnose.done`.",
    },
    Route {
        name: "page.show",
        method: Method::Get,
        path: "/",
        aliases: &[],
        surface: Surface::Tenant,
        permission: Permission::Visitor,
        admission: Admission::Requests,
        handler: handler!(Visitor, live::page::show),
        summary: "A page that subscribes and shows events live.",
        request: "Query `topic`.",
        answer: "200 `text/html`.",
    },
];

/// What a path comes to.
pub enum Matched {
    /// An operation, and the path's parameters.
    Route(&'static Route, Params),
    /// The path is known, the method is not; these are.
    Methods(Vec<&'static str>),
    /// Nothing.
    Nothing,
}

/// Finds the operation of a path. HEAD finds GET's.
pub fn find(surface: Surface, method: &Method, path: &str) -> Matched {
    let wanted = if *method == Method::Head { Method::Get } else { method.clone() };
    let mut methods = Vec::new();
    for route in ROUTES.iter().filter(|route| route.surface == surface) {
        let paths = std::iter::once(&route.path).chain(route.aliases);
        if let Some(params) = paths.into_iter().find_map(|pattern| match_path(pattern, path)) {
            if route.method == wanted {
                return Matched::Route(route, params);
            }
            methods.push(method_name(&route.method));
        }
    }
    if methods.is_empty() {
        return Matched::Nothing;
    }
    if methods.contains(&"GET") {
        methods.push("HEAD");
    }
    methods.push("OPTIONS");
    Matched::Methods(methods)
}

/// A method as it stands in `Allow`.
fn method_name(method: &Method) -> &'static str {
    match method {
        Method::Put => "PUT",
        Method::Post => "POST",
        Method::Patch => "PATCH",
        Method::Delete => "DELETE",
        _ => "GET",
    }
}

fn match_path(pattern: &'static str, path: &str) -> Option<Params> {
    let (mut wanted, mut given) = (pattern.split('/'), path.split('/'));
    let mut params = Vec::new();
    loop {
        match (wanted.next(), given.next()) {
            (None, None) => return Some(Params(params)),
            (Some(segment), Some(text)) => match segment.strip_prefix('{').and_then(|s| s.strip_suffix('}')) {
                Some(name) if !text.is_empty() => {
                    params.push((name, percent_decode_str(text).decode_utf8().ok()?.into_owned()));
                }
                None if segment == text => {}
                _ => return None,
            },
            _ => return None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(surface: Surface, method: Method, path: &str) -> Option<(&'static str, Params)> {
        match find(surface, &method, path) {
            Matched::Route(route, params) => Some((route.name, params)),
            _ => None,
        }
    }

    #[test]
    fn paths_find_their_operations() {
        let (name, params) = found(Surface::Platform, Method::Delete, "/admin/tenants/a%20b/domains/x.test").unwrap();
        assert_eq!((name, params.get("tenant_id"), params.get("domain")), ("domains.detach", "a b", "x.test"));
        assert_eq!(found(Surface::Tenant, Method::Head, "/events").unwrap().0, "events.stream");
        assert!(found(Surface::Tenant, Method::Get, "/api/v1/tenants").is_none());
        assert!(found(Surface::Platform, Method::Get, "/events").is_none());
        assert!(found(Surface::Platform, Method::Get, "/api/v1/tenants/").is_none());
        let Matched::Methods(methods) = find(Surface::Tenant, &Method::Post, "/events") else { panic!("known path") };
        assert_eq!(methods, ["GET", "PUT", "HEAD", "OPTIONS"]);
    }

    #[test]
    fn names_and_paths_are_unique() {
        let mut names = std::collections::HashSet::new();
        let mut paths = std::collections::HashSet::new();
        for route in ROUTES {
            assert!(names.insert(route.name), "{}", route.name);
            for path in std::iter::once(&route.path).chain(route.aliases) {
                assert!(paths.insert((format!("{:?}", route.surface), route.method.to_string(), *path)), "{path}");
            }
        }
    }
}
