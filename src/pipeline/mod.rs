//! The steps of a request, in order: filter → place the host → resolve → authenticate → enter → agree → authorise → handle → log.
//!
//! May not touch: the contents of requests.
//!
//! Invariants
//! - Every tenant that a request names must be the same one; else it is answered as for a tenant that does not exist.
//! - On a tenant's host nothing is disclosed, not even that a path is unknown, before the tenant is known to be served.
//! - On the platform's host nothing is disclosed of a tenant that a credential names, not even whether it exists, before
//!   the credential proves somebody.

mod busy;
mod context;
pub mod cron;
mod cross_tenant_audit;
mod decide;
mod early_refusal;
mod entry;
mod judgement;
mod network_filter;
mod permit;
mod platform;
mod presented_credential;
mod subscriber_token;
mod tenant;
mod tenant_source;
mod transport;
mod unknown_hosts;

use std::rc::Rc;

use worker::{Context, Env, Method};

use self::context::{RequestContext, ResponseMeta};
use crate::http::incoming::Incoming;
use crate::http::problem::{self, Problem};
use crate::http::rate_fields::RATE_HEADERS;
use crate::http::request::{Background, HandlersProof};
use crate::http::response::Response;
use crate::log::{self, RequestLine};
use crate::storage::bindings::{Bindings, SystemClock};
use crate::storage::sealed::random;
use domain::clock::{Clock, Timestamp};
use domain::host::{Host, HostKind};

/// Answers a request.
pub async fn handle(raw: worker::Request, env: Env, ctx: Context) -> worker::Result<worker::Response> {
    let began = SystemClock.now();
    let id = random::<8>().map_or_else(|_| "-".to_owned(), |bytes| domain::hex::hex(&bytes));
    let closed_out = network_filter::closed_out(&raw).await;
    let request = Box::new(Incoming::new(raw, id.clone()));
    let method = request.method.clone();
    let mut meta = ResponseMeta { event_source: busy::wire(&request), ..ResponseMeta::default() };
    if let Some(problem) = closed_out {
        let answer = busy::answer(&early_refusal::shown_to_all(problem, &request), meta.event_source, &id);
        return answer.identified(&id).into_response(method == Method::Head);
    }
    let (scheme, authority) = (request.scheme.clone(), request.authority.clone());
    let outcome = match Bindings::new(env) {
        Ok(bindings) => {
            let (settings, background) = (Rc::clone(&bindings.settings), Background::new(ctx));
            let context = RequestContext { request, bindings, background, proof: HandlersProof::default() };
            let outcome = by_host(context, &mut meta).await;
            if settings.logs_calls {
                log::calls(&id);
            }
            let (root, is_tenants) = (&settings.root_domain, meta.is_tenants_host);
            let secure = transport::strict_transport_security(&scheme, &authority, root, is_tenants);
            meta.headers.extend(secure.map(|value| ("Strict-Transport-Security", value.to_owned())));
            outcome
        }
        Err(cause) => Err(problem::unavailable(cause)),
    };
    answer(outcome, &id, &method, began, meta)
}

async fn by_host(context: RequestContext, meta: &mut ResponseMeta) -> Result<Response, Problem> {
    let admitted = network_filter::admit(&context.request, &context.bindings).await;
    admitted.map_err(|problem| early_refusal::shown_to_all(problem, &context.request))?;
    let host = Host::parse(&context.request.authority).map_err(|_| problem::tenant_not_found())?;
    match context.bindings.settings.root_domain.kind_of(host) {
        HostKind::Platform => platform::on_platform(context, meta).await,
        HostKind::Tenant(host) => tenant::on_tenant(context, host, meta).await,
        HostKind::Nobody => Err(problem::tenant_not_found()),
    }
}

/// Turns an outcome into the response, and writes its log line.
fn answer(
    outcome: Result<Response, Problem>,
    id: &str,
    method: &Method,
    began: Timestamp,
    meta: ResponseMeta,
) -> worker::Result<worker::Response> {
    let (answer, problem) = match outcome {
        Ok(answer) => (answer, None),
        Err(problem) => (busy::answer(&problem, meta.event_source, id), Some(problem)),
    };
    let status = answer.status;
    let line = RequestLine {
        level: if status >= 500 { "error" } else { "info" },
        event: "request",
        request_id: id,
        tenant: meta.tenant.as_deref(),
        route: meta.route,
        method: method.as_ref(),
        status,
        code: problem.as_ref().map(|p| p.code),
        duration_ms: SystemClock.now().since(began),
        cause: problem.as_ref().and_then(|p: &Problem| p.cause.as_deref()),
    };
    line.write();
    if problem.as_ref().is_some_and(|problem| problem.crosses_tenants) {
        log::cross_tenant_attempt(id, meta.route, meta.tenant.as_deref());
    }
    let mut answer = answer.identified(id);
    let own: Vec<_> = answer.headers.iter().map(|(name, _)| *name).collect();
    // Where another bound was met, how the tenant's limits stand is beside the point.
    let told = |name: &str| own.contains(&"RateLimit") && RATE_HEADERS.contains(&name);
    answer.headers.extend(meta.headers.into_iter().filter(|(name, _)| !own.contains(name) && !told(name)));
    answer.into_response(*method == Method::Head)
}
