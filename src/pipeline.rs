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
use crate::hub::protocol::{Rate, Refusal, RequestClass, TenantConfig};
use crate::ops::log::{self, RequestLine};
use crate::routes::{self, Admission, Handler, Matched, Permission, Route, Surface};
use crate::storage::bindings::{Bindings, SystemClock};
use crate::storage::sealed::random;
use crate::storage::security_events::record_cross_tenant_attempt;
use crate::storage::tenant_db::{Placement, TenantDb};
use crate::tenant::standing::Unheeded;
use crate::tenant::{resolve, secrets, standing};

/// The cookie that carries a subscriber token.
const TOKEN_COOKIE: &str = "carillon_subscriber";

/// What is known of a request by the time it is answered: for its headers and its log line.
#[derive(Default)]
struct Trail {
    tenant: Option<String>,
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
        Handler::Anyone(handler) => handler(call(request, params, bindings, Anyone)).await,
        Handler::Operator(handler) => {
            let operator = Operator::prove(request.bearer().as_deref(), &bindings.settings.platform_key);
            let operator = operator.ok_or_else(problem::unauthorized)?;
            trail.tenant = ClaimedTenant::parse(params.get("tenant_id")).ok().map(|named| named.as_str().to_owned());
            handler(call(request, params, bindings, operator)).await
        }
        Handler::Signer(handler) => {
            let named = request.named_tenants();
            let first = named.first().and_then(|name| ClaimedTenant::parse(name).ok());
            let claimed = first.filter(|claimed| named.iter().all(|name| name == claimed.as_str()));
            handler(call(request, params, bindings, Signer { named: Named::Header(claimed) })).await
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
    let found = find(Surface::Tenant, &request);
    let route = found.as_ref().ok().map(|(route, _)| *route);
    trail.route = route.map(|route| route.name);
    let hinted = resolve::resolve(&bindings, &host).await?.ok_or_else(problem::tenant_not_found)?;
    let entered = match enter(&request, &bindings, &host, hinted, route, trail).await {
        // The hint was stale. What was proven to one tenant is not carried over to another.
        Err(Unheeded::NotHere) => {
            let tenant = resolve::resolve_anew(&bindings, &host).await?.ok_or_else(problem::tenant_not_found)?;
            enter(&request, &bindings, &host, tenant, route, trail).await?
        }
        other => other?,
    };
    let border = Border::of(&request, &bindings, &entered);
    let outcome = inside(request, bindings, entered, found, trail).await;
    if outcome.as_ref().is_err_and(|problem| problem.crosses_tenants) {
        border.record(ctx, trail.route);
    }
    outcome
}

/// Enters a tenant by one of its hosts: verifies the credential, learns how the tenant stands, takes a permit.
async fn enter(
    request: &Incoming,
    bindings: &Bindings,
    host: &Host,
    tenant: TenantId,
    route: Option<&'static Route>,
    trail: &mut Trail,
) -> Result<Entered, Unheeded> {
    let token = match route.map(|route| route.permission) {
        Some(Permission::OptionalSubscriber | Permission::Subscriber) => {
            presented_token(request, bindings, &tenant).await?
        }
        _ => Token::None,
    };
    let class = match (route.map(|route| route.admission), &token) {
        (Some(Admission::Streams | Admission::Webhooks), _) => None,
        (_, Token::Valid(_)) => Some(RequestClass::Api),
        _ => Some(RequestClass::Anonymous),
    };
    let entered = standing::enter(bindings, &tenant, host, class).await;
    if matches!(entered, Ok(_) | Err(Unheeded::Refused(Refusal::RateLimited(_)))) {
        trail.tenant = Some(tenant.to_string());
    }
    let (config, rate) = entered?;
    Ok(Entered { host: host.clone(), tenant, config, token, rate })
}

/// What is known of a request once it is for a tenant that is served.
struct Entered {
    host: Host,
    tenant: TenantId,
    config: TenantConfig,
    token: Token,
    rate: Option<Rate>,
}

async fn inside(
    request: Incoming,
    bindings: Bindings,
    entered: Entered,
    found: Result<(&'static Route, Params), Answered<Answer>>,
    trail: &mut Trail,
) -> Answered<Answer> {
    let Entered { host, tenant, config, token, rate } = entered;
    check_agreement(&request, &tenant, &token)?;
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
        Token::Valid(_) if by_cookie(&request) && origin == Origin::Foreign => {
            return Err(problem::origin_not_allowed());
        }
        Token::Valid(token) => Some(token),
    };
    match route.handler {
        Handler::Visitor(handler) => {
            handler(call(request, params, bindings, Visitor { tenant, host, config, token })).await
        }
        Handler::Signer(handler) => {
            let named = Named::Host(host, tenant);
            handler(call(request, params, bindings, Signer { named })).await
        }
        Handler::Anyone(handler) => handler(call(request, params, bindings, Anyone)).await,
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

/// Every tenant that the request names must be the host's; else it gets the answer of a tenant that does not exist.
fn check_agreement(request: &Incoming, tenant: &TenantId, token: &Token) -> Answered<()> {
    let in_token = match token {
        Token::Valid(token) => token.tenant_id.clone(),
        Token::None | Token::Invalid => None,
    };
    let agree = request.named_tenants().into_iter().chain(in_token).all(|named| named == tenant.as_str());
    if agree { Ok(()) } else { Err(problem::tenant_not_found().crossing_tenants()) }
}

/// Where an attempt to cross into a tenant is recorded: at most one row per address and minute.
struct Border {
    bindings: Bindings,
    tenant: TenantId,
    placement: Placement,
    address: String,
}

impl Border {
    fn of(request: &Incoming, bindings: &Bindings, entered: &Entered) -> Self {
        Self {
            bindings: bindings.clone(),
            tenant: entered.tenant.clone(),
            placement: entered.config.placement.clone(),
            address: request.address(),
        }
    }

    fn record(self, ctx: &Context, route: Option<&'static str>) {
        ctx.wait_until(async move {
            let now = SystemClock.now();
            let recorded = match TenantDb::open(&self.bindings, &self.tenant, &self.placement) {
                Ok(db) => record_cross_tenant_attempt(&db, now, &self.address, route.unwrap_or("none")).await,
                Err(error) => Err(error),
            };
            if let Err(error) = recorded {
                log::fault("audit", &error.to_string());
            }
        });
    }
}

fn call<Who>(request: Incoming, params: Params, bindings: Bindings, who: Who) -> Call<Who> {
    Call { request, params, bindings, who }
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
    let outcome = match Bindings::new(env) {
        Ok(bindings) => {
            crate::tenant::change::finish_left_behind(&bindings).await.map_err(|p| p.cause.clone().unwrap_or_default())
        }
        Err(cause) => Err(cause),
    };
    match outcome {
        Ok(finished) => {
            worker::console_log!("{}", serde_json::json!({ "level": "info", "event": "cron", "finished": finished }))
        }
        Err(cause) => log::fault("cron", &cause),
    }
}
