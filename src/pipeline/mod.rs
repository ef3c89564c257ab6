//! A request's way, in the order it is walked:
//! filter → resolve → authenticate → admit → handle → answer → log.
//!
//! May not touch: the contents of requests.
//!
//! Invariants
//! - Every tenant that a request names must be the same one; else it gets the answer of a tenant
//!   that does not exist.
//! - On a tenant's host nothing is told, not even that a path is unknown, before the tenant is
//!   known to be served.
//! - On the platform's host nothing is told of a tenant that a credential names, not even whether it is
//!   there, before the credential proves somebody.

mod border;
mod platform;
mod tenant;
mod walk;

use worker::{Context, Env, Method};

use crate::api::operators::{master_keys, sessions};
use crate::http::incoming::Incoming;
use crate::http::problem::{self, Problem};
use crate::http::request::Background;
use crate::http::response::Response;
use crate::log::{self, RequestLine};
use crate::pipeline::walk::{Trail, Walk};
use crate::records::provision::provision;
use crate::records::{outbox, stale_jobs};
use crate::storage::bindings::{Bindings, SystemClock};
use crate::storage::sealed::random;
use crate::tenant::change;
use crate::tenant::registry::placement_of;
use crate::tenant_id::TenantId;
use domain::clock::{Clock, Timestamp};
use domain::host::{Host, HostKind};

/// Answers a request.
pub async fn handle(raw: worker::Request, env: Env, ctx: Context) -> worker::Result<worker::Response> {
    let began = SystemClock.now();
    let id = random::<8>().map_or_else(|_| "-".to_owned(), |bytes| bytes.map(|b| format!("{b:02x}")).concat());
    let request = Box::new(Incoming::new(raw, id.clone()));
    let method = request.method.clone();
    let mut trail = Trail::default();
    let outcome = match Bindings::new(env) {
        Ok(bindings) => by_host(Walk { request, bindings, background: Background::new(ctx) }, &mut trail).await,
        Err(cause) => Err(problem::unavailable(cause)),
    };
    answer(outcome, &id, &method, began, trail)
}

async fn by_host(walk: Walk, trail: &mut Trail) -> Result<Response, Problem> {
    filter_address(&walk.request, &walk.bindings).await?;
    let host = Host::parse(&walk.request.authority).map_err(|_| problem::tenant_not_found())?;
    match walk.bindings.settings.root_domain.place(host) {
        HostKind::Platform => platform::on_platform(walk, trail).await,
        HostKind::Tenant(host) => tenant::on_tenant(walk, host, trail).await,
        HostKind::Nobody => Err(problem::tenant_not_found()),
    }
}

/// The first filter, before anything is looked up: a bound per address.
async fn filter_address(request: &Incoming, bindings: &Bindings) -> Result<(), Problem> {
    let Some(limiter) = bindings.address_limit() else { return Ok(()) };
    let address = request.address();
    if address.is_empty() {
        return Ok(());
    }
    match limiter.limit(address).await {
        Ok(outcome) if !outcome.success => Err(problem::rate_limited(10)),
        _ => Ok(()),
    }
}

/// Turns an outcome into the response, and writes its log line.
fn answer(
    outcome: Result<Response, Problem>,
    id: &str,
    method: &Method,
    began: Timestamp,
    trail: Trail,
) -> worker::Result<worker::Response> {
    let (answer, problem) = match outcome {
        Ok(answer) => (answer, None),
        Err(problem) => (Response::problem(&problem, id), Some(problem)),
    };
    let status = answer.status;
    let line = RequestLine {
        level: if status >= 500 { "error" } else { "info" },
        event: "request",
        request_id: id,
        tenant: trail.tenant.as_deref(),
        route: trail.route,
        method: method.as_ref(),
        status,
        code: problem.as_ref().map(|p| p.code),
        duration_ms: SystemClock.now().since(began),
        cause: problem.as_ref().and_then(|p: &Problem| p.cause.as_deref()),
    };
    line.write();
    if problem.as_ref().is_some_and(|problem| problem.crosses_tenants) {
        log::cross_tenant_attempt(id, trail.route, trail.tenant.as_deref());
    }
    let mut answer = answer.header("X-Request-Id", id).header("X-Content-Type-Options", "nosniff");
    let own: Vec<_> = answer.headers.iter().map(|(name, _)| *name).collect();
    answer.headers.extend(trail.headers.into_iter().filter(|(name, _)| !own.contains(name)));
    answer.into_response(*method == Method::Head)
}

/// Cron: what has to happen each minute, whoever asks or not.
pub async fn every_minute(env: Env) {
    let bindings = match Bindings::new(env) {
        Ok(bindings) => bindings,
        Err(cause) => return log::fault("cron", &cause),
    };
    let finished = done(change::finish_left_behind(&bindings, provision).await);
    done(sessions::forget_over(&bindings).await);
    let rewrapped = done(master_keys::rewrap_left_behind(&bindings).await);
    let announced = done(outbox::drain_left_behind(&bindings).await);
    let placements = async |tenant: &TenantId| placement_of(&bindings, tenant).await;
    let moved = done(stale_jobs::go_on(&bindings, placements).await);
    let swept = done(stale_jobs::sweep(&bindings, placements).await);
    let count = |done: Option<usize>| done.map(|done| done as u64);
    log::cron(&[
        ("finished", count(finished)),
        ("rewrapped", count(rewrapped)),
        ("announced", announced),
        ("moved", count(moved)),
        ("swept", count(swept)),
    ]);
}

/// What a part of the cron did; its failure is logged and stops no other part.
fn done<T>(outcome: Result<T, Problem>) -> Option<T> {
    outcome.map_err(|problem| log::fault("cron", problem.cause.as_deref().unwrap_or(problem.code))).ok()
}
