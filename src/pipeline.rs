//! A request's way, in the order it is walked:
//! filter → resolve → authenticate → admit → handle → answer → log.
//!
//! Invariants
//! - Every tenant that a request names must be the same one; else it gets the answer of a tenant
//!   that does not exist.
//! - On a tenant's host nothing is told, not even that a path is unknown, before the tenant is
//!   known to be served.

use worker::{Context, Env, Method, Response};

use crate::auth::principal::{Anyone, Named, Operator, Signer, Visitor};
use crate::auth::token::{self, SubscriberToken};
use crate::domain::clock::{Clock, Timestamp};
use crate::domain::host::{Host, Place};
use crate::domain::ids::{ClaimedTenant, TenantId};
use crate::http::answer::{Answer, rate_headers, rate_left};
use crate::http::call::{Call, Params};
use crate::http::cors::Origin;
use crate::http::problem::{self, Answered, Problem};
use crate::http::request::Incoming;
use crate::hub::protocol::{Rate, RequestClass, TenantConfig};
use crate::ops::log::{self, RequestLine};
use crate::routes::{self, Admission, Handler, Matched, Permission, Route, Surface};
use crate::storage::bindings::{Bindings, SystemClock};
use crate::storage::sealed::random;
use crate::storage::security_events::record_cross_tenant_attempt;
use crate::storage::tenant_db::TenantDb;
use crate::tenant::standing::Unheeded;
use crate::tenant::{resolve, secrets, standing};

/// The cookie that carries a subscriber token.
const TOKEN_COOKIE: &str = "carillon_subscriber";

/// What is known of a request by the time it is answered: for its headers and its log line.
#[derive(Default)]
struct Trail {
    tenant: Option<TenantId>,
    route: Option<&'static str>,
    headers: Vec<(&'static str, String)>,
}

/// Answers a request.
pub async fn handle(raw: worker::Request, env: Env, ctx: Context) -> worker::Result<Response> {
    let began = SystemClock.now();
    let id = random::<8>().map_or_else(|_| "-".to_owned(), |bytes| bytes.map(|b| format!("{b:02x}")).concat());
    let request = Incoming::new(raw, id.clone());
    let method = request.method.clone();
    let mut trail = Trail::default();
    let outcome = match Bindings::new(env) {
        Ok(bindings) => walk(request, bindings, &ctx, &mut trail).await,
        Err(cause) => Err(problem::unavailable(cause)),
    };
    answer(outcome, &id, &method, began, trail)
}

async fn walk(request: Incoming, bindings: Bindings, ctx: &Context, trail: &mut Trail) -> Answered<Answer> {
    filter_address(&request, &bindings).await?;
    let host = Host::parse(&request.authority).map_err(|_| problem::tenant_not_found())?;
    match bindings.settings.root_domain.place(host) {
        Place::Platform => on_platform(request, bindings, trail).await,
        Place::Tenant(host) => on_tenant(request, bindings, host, ctx, trail).await,
        Place::Nobody => Err(problem::tenant_not_found()),
    }
}

/// The first filter, before anything is looked up: a bound per address.
async fn filter_address(request: &Incoming, bindings: &Bindings) -> Answered<()> {
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

async fn on_platform(request: Incoming, bindings: Bindings, trail: &mut Trail) -> Answered<Answer> {
    let (route, params) = match find(Surface::Platform, &request) {
        Ok(found) => found,
        Err(other) => return other,
    };
    trail.route = Some(route.name);
    match route.handler {
        Handler::Anyone(handler) => handler(call(request, params, bindings, route, Anyone)).await,
        Handler::Operator(handler) => {
            let operator = Operator::prove(request.bearer().as_deref(), &bindings.settings.platform_key);
            let operator = operator.ok_or_else(problem::unauthorized)?;
            if let Some(id) = params.0.iter().find(|(name, _)| *name == "tenant_id") {
                trail.tenant = ClaimedTenant::parse(&id.1).ok().map(|claimed| TenantId::proven(claimed.as_str()));
            }
            handler(call(request, params, bindings, route, operator)).await
        }
        Handler::Signer(handler) => {
            let named = request.named_tenants();
            let first = named.first().and_then(|name| ClaimedTenant::parse(name).ok());
            let claimed = first.filter(|claimed| named.iter().all(|name| name == claimed.as_str()));
            handler(call(request, params, bindings, route, Signer { named: Named::Header(claimed) })).await
        }
        Handler::Visitor(_) => Err(problem::not_found()),
    }
}

async fn on_tenant(
    request: Incoming,
    bindings: Bindings,
    host: Host,
    ctx: &Context,
    trail: &mut Trail,
) -> Answered<Answer> {
    let resolved = resolve::resolve(&bindings, &host).await?.ok_or_else(problem::tenant_not_found)?;
    let found = find(Surface::Tenant, &request);
    let route = found.as_ref().ok().map(|(route, _)| *route);
    let token = match route.map(|route| route.permission) {
        Some(Permission::OptionalSubscriber | Permission::Subscriber) => presented_token(&request, &bindings, &resolved).await?,
        _ => Token::None,
    };
    let class = match (route.map(|route| route.admission), &token) {
        (Some(Admission::Streams | Admission::Webhooks), _) => None,
        (_, Token::Valid(_)) => Some(RequestClass::Api),
        _ => Some(RequestClass::Anonymous),
    };
    let entered = standing::enter(&bindings, resolved.clone(), &host, class).await;
    let (tenant, config, rate) = match entered {
        Ok(entered) => entered,
        Err(Unheeded::Refused(crate::hub::protocol::Refusal::RateLimited(rate))) => {
            trail.tenant = Some(resolved);
            return Err(standing::rate_limited(&rate));
        }
        Err(unheeded) => return Err(unheeded.into()),
    };
    trail.tenant = Some(tenant.clone());
    trail.route = route.map(|route| route.name);
    check_agreement(&request, &bindings, &tenant, &config, &token, ctx, trail)?;
    let origin = Origin::judge(request.header("Origin").as_deref(), &config.cors_origins, &request.authority);
    trail.headers = origin.headers();
    trail.headers.extend(rate.iter().flat_map(rate_fields));
    let (route, params) = match found {
        Ok(found) => found,
        Err(_) if request.method == Method::Options => return preflight(&request, &origin, trail),
        Err(other) => return other,
    };
    let token = match token {
        Token::Invalid => return Err(problem::invalid_token()),
        Token::None if route.permission == Permission::Subscriber => return Err(problem::unauthorized()),
        Token::None => None,
        Token::Valid(_) if by_cookie(&request) && origin == Origin::Foreign => return Err(problem::origin_not_allowed()),
        Token::Valid(token) => Some(token),
    };
    match route.handler {
        Handler::Visitor(handler) => {
            handler(call(request, params, bindings, route, Visitor { tenant, config, token })).await
        }
        Handler::Signer(handler) => {
            let named = Named::Host(host, tenant);
            handler(call(request, params, bindings, route, Signer { named })).await
        }
        Handler::Anyone(handler) => handler(call(request, params, bindings, route, Anyone)).await,
        Handler::Operator(_) => Err(problem::not_found()),
    }
}

/// The operation a request asks for, or what to answer in its place.
fn find(surface: Surface, request: &Incoming) -> Result<(&'static Route, Params), Answered<Answer>> {
    match routes::find(surface, &request.method, &request.path) {
        Matched::Route(route, params) => Ok((route, params)),
        Matched::Methods(methods) if request.method == Method::Options => {
            Err(Ok(Answer::empty(204).header("Allow", methods.join(", "))))
        }
        Matched::Methods(methods) => Err(Err(problem::method_not_allowed(&methods.join(", ")))),
        Matched::Nothing => Err(Err(problem::not_found())),
    }
}

/// The answer to a preflight, or to any other OPTIONS.
fn preflight(request: &Incoming, origin: &Origin, trail: &mut Trail) -> Answered<Answer> {
    let Matched::Methods(methods) = routes::find(Surface::Tenant, &request.method, &request.path) else {
        return Err(problem::not_found());
    };
    let methods = methods.join(", ");
    trail.headers = origin.preflight_headers(&methods);
    Ok(Answer::empty(204).header("Allow", methods))
}

/// A subscriber's credential, as it was found.
enum Token {
    None,
    Invalid,
    Valid(SubscriberToken),
}

/// Verifies the token a request presents; one that fails is tried once more with fresh secrets.
async fn presented_token(request: &Incoming, bindings: &Bindings, tenant: &TenantId) -> Answered<Token> {
    let presented = match (request.header("Authorization"), request.cookie(TOKEN_COOKIE)) {
        (Some(_), _) => request.bearer().unwrap_or_default(),
        (None, Some(cookie)) => cookie,
        (None, None) => return Ok(Token::None),
    };
    let now = SystemClock.now();
    let kept = secrets::load(bindings, tenant.as_str()).await?;
    let verified = match token::verify(&presented, &kept.subscription(now), now) {
        Ok(token) => Ok(token),
        Err(_) => {
            let fresh = secrets::load_anew(bindings, tenant.as_str()).await?;
            token::verify(&presented, &fresh.subscription(now), now)
        }
    };
    Ok(verified.map_or(Token::Invalid, Token::Valid))
}

fn by_cookie(request: &Incoming) -> bool {
    request.header("Authorization").is_none()
}

/// Every tenant that the request names must be the host's. Otherwise: the answer of a tenant that
/// does not exist, a log line, and at most one audit row per address and minute.
fn check_agreement(
    request: &Incoming,
    bindings: &Bindings,
    tenant: &TenantId,
    config: &TenantConfig,
    token: &Token,
    ctx: &Context,
    trail: &Trail,
) -> Answered<()> {
    let in_token = match token {
        Token::Valid(token) => token.tenant_id.clone(),
        Token::None | Token::Invalid => None,
    };
    if request.named_tenants().into_iter().chain(in_token).all(|named| named == tenant.as_str()) {
        return Ok(());
    }
    let route = trail.route.unwrap_or("none");
    log::cross_tenant_attempt(&request.id, route, tenant.as_str());
    if let Ok(db) = TenantDb::open(bindings, tenant, &config.placement) {
        let address = request.address();
        ctx.wait_until(async move {
            if let Err(error) = record_cross_tenant_attempt(&db, SystemClock.now(), &address, route).await {
                worker::console_error!("{}", serde_json::json!({ "level": "error", "event": "audit", "cause": error.to_string() }));
            }
        });
    }
    Err(problem::tenant_not_found())
}

fn call<Who>(request: Incoming, params: Params, bindings: Bindings, route: &Route, who: Who) -> Call<Who> {
    Call { request, params, bindings, who, route: route.name }
}

fn rate_fields(rate: &Rate) -> Vec<(&'static str, String)> {
    let mut fields = rate_headers(rate);
    fields.extend(rate_left(rate, SystemClock.now().seconds()));
    fields
}

/// Turns an outcome into the response, and writes its log line.
fn answer(
    outcome: Answered<Answer>,
    id: &str,
    method: &Method,
    began: Timestamp,
    trail: Trail,
) -> worker::Result<Response> {
    let (answer, problem) = match outcome {
        Ok(answer) => (answer, None),
        Err(problem) => (Answer::problem(&problem, id), Some(problem)),
    };
    let status = answer.status;
    let line = RequestLine {
        level: if status >= 500 { "error" } else { "info" },
        event: "request",
        request_id: id,
        tenant: trail.tenant.as_ref().map(TenantId::as_str),
        route: trail.route,
        method: method.as_ref(),
        status,
        code: problem.as_ref().map(|p| p.code),
        duration_ms: SystemClock.now().since(began),
        cause: problem.as_ref().and_then(|p: &Problem| p.cause.as_deref()),
    };
    line.write();
    let mut answer = answer.header("X-Request-Id", id).header("X-Content-Type-Options", "nosniff");
    let own: Vec<_> = answer.headers.iter().map(|(name, _)| *name).collect();
    answer.headers.extend(trail.headers.into_iter().filter(|(name, _)| !own.contains(name)));
    answer.into_response(*method == Method::Head)
}

/// Cron: what has to happen each minute, whoever asks or not.
pub async fn every_minute(env: Env) {
    let outcome = match Bindings::new(env) {
        Ok(bindings) => crate::tenant::change::finish_left_behind(&bindings).await.map_err(|p| p.cause.clone().unwrap_or_default()),
        Err(cause) => Err(cause),
    };
    match outcome {
        Ok(finished) => worker::console_log!("{}", serde_json::json!({ "level": "info", "event": "cron", "finished": finished })),
        Err(cause) => worker::console_error!("{}", serde_json::json!({ "level": "error", "event": "cron", "cause": cause })),
    }
}
