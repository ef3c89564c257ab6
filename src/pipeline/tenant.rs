//! A request to a tenant: by its host, or on the platform's host by a credential that names it.
//!
//! What is needed is gathered first, then judged by `decide`, then the handler is called.

use std::rc::Rc;

use worker::Method;

use super::context::{Found, RequestContext, ResponseMeta, find, rate_fields};
use super::cross_tenant_audit::CrossTenantAudit;
use super::decide::{self, Presents, RequestFacts, SendingPage, Spends, TokenState, Verifies};
use super::networks;
use super::permit::UnsettledPermit;
use super::presented_credential;
use super::subscriber_token::{SubscriberCredential, presented_token};
use super::tenant_source::TenantSource;
use crate::auth::authenticate_member::{self, Credential, SessionContext};
use crate::auth::principal::{Actor, Member, Named, Reader, Signer, Visitor};
use crate::auth::proofs::{ProofAttempt, ProofScope};
use crate::http::cors::Origin;
use crate::http::incoming::Incoming;
use crate::http::problem::{self, Problem};
use crate::http::request::Params;
use crate::http::response::Response;
use crate::hub::protocol::{Refusal, RequestClass, TenantConfig};
use crate::routes::{self, Endpoint, Matched, Route, Surface, Table, cors};
use crate::storage::bindings::Bindings;
use crate::tenant::tenant_state::{AdmittedRequest, HubError, Needs, StrangerPermit};
use crate::tenant::{resolve, tenant_state};
use crate::tenant_id::TenantId;
use domain::address::is_let_in;
use domain::host::Host;
use domain::rate::Rate;

/// How a request comes to a tenant, and the operation that it asks for.
pub(super) struct RouteMatch {
    /// By what it comes.
    pub source: TenantSource,
    /// The operation, or what to answer in its place.
    pub found: Found,
}

impl RouteMatch {
    fn route(&self) -> Option<&'static Route> {
        self.found.as_ref().ok().map(|(route, _)| *route)
    }
}

/// A request to a tenant that serves it.
struct Entered {
    tenant: TenantId,
    config: Rc<TenantConfig>,
    proof: Proof,
    rate: Option<Rate>,
    /// The permit that the request took as a stranger's, unless it proved somebody.
    permit: Option<StrangerPermit>,
    /// What it presented.
    attempt: Option<ProofAttempt>,
}

/// What a request's credential proves.
enum Proof {
    /// The operation asks for none.
    NotAsked,
    /// A subscriber's token.
    Subscriber(SubscriberCredential),
    /// Somebody who acts in the tenant; nobody, without a credential or with one that is not valid; or the problem of
    /// one that names another tenant.
    Principal(Result<Option<Box<Member>>, Problem>),
}

/// Answers a request on a tenant's host.
pub(super) async fn on_tenant(
    context: RequestContext,
    host: Host,
    meta: &mut ResponseMeta,
) -> Result<Response, Problem> {
    let found = find(Surface::Tenant, &context.request);
    let matched = RouteMatch { found, source: TenantSource::Host(host.clone()) };
    meta.route = matched.route().map(|route| route.name);
    let network = context.request.network();
    if !resolve::is_known(&host) {
        networks::may_look_up(network)?;
    }
    let Some(hinted) = resolve::resolve(&context.bindings, &host).await? else {
        networks::count_unknown_host(network);
        return Err(problem::tenant_not_found());
    };
    match enter(&context, &matched, hinted, meta).await {
        // The hint was stale. What was proven to one tenant is not carried over to another.
        Err(HubError::NotHere) => {
            let tenant = resolve::resolve_uncached(&context.bindings, &host).await?;
            through(context, matched, tenant.ok_or_else(problem::tenant_not_found)?, meta).await
        }
        entered => serve_audited(context, matched, entered?, meta).await,
    }
}

/// Answers a request to a known tenant.
pub(super) async fn through(
    context: RequestContext,
    matched: RouteMatch,
    tenant: TenantId,
    meta: &mut ResponseMeta,
) -> Result<Response, Problem> {
    match enter(&context, &matched, tenant, meta).await {
        Ok(entered) => serve_audited(context, matched, entered, meta).await,
        Err(error) => Err(matched.source.refusal(error)),
    }
}

async fn serve_audited(
    context: RequestContext,
    matched: RouteMatch,
    mut entered: Entered,
    meta: &mut ResponseMeta,
) -> Result<Response, Problem> {
    let audit = CrossTenantAudit::of(&context, &entered.tenant, &entered.config.placement);
    let pending = UnsettledPermit {
        tenant: entered.tenant.clone(),
        route: matched.route(),
        permit: entered.permit.take(),
        attempt: entered.attempt.take(),
        proof: context.proof.clone(),
        is_change: SendingPage::changes(&context.request.method) && entered.proof.spends() != Spends::Strangers,
    };
    let outcome = serve(context, matched, entered, meta).await;
    pending.settle(&outcome);
    if outcome.as_ref().is_err_and(|problem| problem.crosses_tenants) {
        audit.record(meta.route);
    }
    outcome
}

/// Takes a stranger's permit, verifies the credential, and draws what is to be drawn for whom it proved.
async fn enter(
    context: &RequestContext,
    matched: &RouteMatch,
    tenant: TenantId,
    meta: &mut ResponseMeta,
) -> Result<Entered, HubError> {
    let (bindings, host, route) = (&context.bindings, matched.source.host(), matched.route());
    let scope = match &matched.source {
        TenantSource::Host(_) => ProofScope::Tenant(tenant.as_str()),
        TenantSource::Named(_) | TenantSource::Selected => ProofScope::Platform,
    };
    let attempt = route.and_then(|route| presented_credential::attempt(scope, &context.request, route));
    let admitted = admit_stranger(bindings, &tenant, matched, attempt.as_ref()).await;
    if let Err(HubError::Refused(Refusal::RateLimited(_))) = admitted {
        meta.tenant = Some(tenant.to_string());
    }
    let AdmittedRequest { config, rate, mut permit } = admitted?;
    let proof = prove(context, matched, (&tenant, &config), attempt.as_ref()).await?;
    let spends = proof.spends();
    if spends != Spends::Strangers {
        permit.take().into_iter().for_each(StrangerPermit::give_back);
        attempt.iter().for_each(ProofAttempt::succeeded);
    }
    meta.tenant = Some(tenant.to_string());
    let (config, rate) = match decide::request_class(route.map(|route| route.admission), spends) {
        Some(RequestClass::Api) => {
            let drawn = tenant_state::enter(bindings, &tenant, host, Needs::Principal).await?;
            (drawn.config, drawn.rate)
        }
        Some(RequestClass::Anonymous) => (config, rate),
        None => (config, None),
    };
    Ok(Entered { tenant, config, proof, rate, permit, attempt })
}

/// Takes the permit that every request to a tenant's host leaves before anything is looked at. If the tenant has none
/// left, whoever proved to be somebody a moment ago may do so again. On the platform's host the network is bounded.
async fn admit_stranger(
    bindings: &Bindings,
    tenant: &TenantId,
    matched: &RouteMatch,
    attempt: Option<&ProofAttempt>,
) -> Result<AdmittedRequest, HubError> {
    let host = match &matched.source {
        TenantSource::Host(host) => Some(host),
        TenantSource::Named(_) | TenantSource::Selected => {
            return tenant_state::enter(bindings, tenant, None, Needs::Config).await;
        }
    };
    let draws = matched.route().is_none_or(|route| route.admission == routes::Admission::Requests);
    let needs = Needs::Stranger { then_principal: draws && attempt.is_some() };
    match tenant_state::enter(bindings, tenant, host, needs).await {
        Err(HubError::Refused(Refusal::RateLimited(_))) if attempt.is_some_and(ProofAttempt::is_trusted) => {
            tenant_state::enter(bindings, tenant, host, Needs::Config).await
        }
        // It gives its permit back if it is what it says. Whose network failed a moment ago does not wait.
        Err(HubError::Refused(Refusal::RateLimited(_)))
            if (!draws || attempt.is_some()) && !attempt.is_some_and(ProofAttempt::is_distrusted) =>
        {
            tenant_state::enter_or_wait(bindings, tenant, host, needs).await
        }
        entered => entered,
    }
}

/// Verifies what a request presents, unless the same failed a moment ago.
async fn prove(
    context: &RequestContext,
    matched: &RouteMatch,
    (tenant, config): (&TenantId, &Rc<TenantConfig>),
    attempt: Option<&ProofAttempt>,
) -> Result<Proof, HubError> {
    let RequestContext { request, bindings, .. } = context;
    match decide::verifies(matched.route().map(|route| &route.endpoint)) {
        Verifies::Nothing => Ok(Proof::NotAsked),
        Verifies::SubscriberToken => Ok(Proof::Subscriber(presented_token(request, bindings, tenant, attempt).await?)),
        Verifies::Principal => {
            let at = SessionContext { tenant, host: matched.source.host(), config };
            let member = match attempt {
                Some(attempt) if !attempt.has_failed() => {
                    let member = authenticate_member::member(bindings, request, at).await;
                    if let Ok(None) = member {
                        attempt.failed();
                    }
                    member
                }
                Some(_) | None => Ok(None),
            };
            match (&matched.source, &member) {
                (TenantSource::Named(_), Ok(None)) => Err(HubError::NotHere),
                (TenantSource::Named(_), Ok(Some(_)) | Err(_))
                | (TenantSource::Host(_) | TenantSource::Selected, _) => {
                    Ok(Proof::Principal(member.map(|member| member.map(Box::new))))
                }
            }
        }
    }
}

impl Proof {
    /// Whose allowance the request spends.
    fn spends(&self) -> Spends {
        match self {
            Self::Subscriber(SubscriberCredential::Valid(_)) => Spends::Tenants,
            Self::Principal(Ok(Some(member))) => match member.who() {
                Actor::Key { .. } | Actor::User(_) => Spends::Tenants,
                Actor::Operator { .. } | Actor::Impersonator { .. } => Spends::Nothing,
            },
            Self::NotAsked
            | Self::Subscriber(SubscriberCredential::None | SubscriberCredential::Invalid)
            | Self::Principal(Ok(None) | Err(_)) => Spends::Strangers,
        }
    }

    /// The tenant that a valid subscriber token names.
    fn named_tenant(&self) -> Option<&str> {
        match self {
            Self::Subscriber(SubscriberCredential::Valid(token)) => token.tenant_id.as_deref(),
            Self::NotAsked
            | Self::Subscriber(SubscriberCredential::None | SubscriberCredential::Invalid)
            | Self::Principal(_) => None,
        }
    }

    /// The principal and the token that were proven; the problem of a credential that names another tenant.
    fn proven(self) -> Result<(Option<Box<Member>>, SubscriberCredential), Problem> {
        match self {
            Self::NotAsked => Ok((None, SubscriberCredential::None)),
            Self::Subscriber(token) => Ok((None, token)),
            Self::Principal(member) => Ok((member?, SubscriberCredential::None)),
        }
    }
}

/// Judges a request to a tenant that serves it, and calls the handler.
async fn serve(
    context: RequestContext,
    matched: RouteMatch,
    entered: Entered,
    meta: &mut ResponseMeta,
) -> Result<Response, Problem> {
    let Entered { tenant, config, proof, rate, .. } = entered;
    let request = &context.request;
    decide::agree(&request.named_tenants(), proof.named_tenant(), tenant.as_str())?;
    let origin = Origin::judge(request.header("Origin").as_deref(), &config.cors_origins, &request.authority);
    if matched.source.host().is_some() {
        meta.headers = origin.headers(cors::on_tenant(routes::SECTIONS));
    }
    meta.headers.extend(rate.iter().flat_map(rate_fields));
    let (route, params) = match matched.found {
        Ok(found) => found,
        Err(_) if request.method == Method::Options => return preflight(request, &origin, meta),
        Err(other) => return other,
    };
    decide::check_address(&route.endpoint, is_let_in(&config.ip_allowlist, &request.address()))?;
    let (principal, token) = proof.proven()?;
    let fetch_site = request.header("Sec-Fetch-Site");
    let facts = RequestFacts {
        on_own_host: matched.source.host().is_some(),
        presents: presents(request),
        is_proven: principal.is_some(),
        token: token_state(request, &token),
        origin: &origin,
        page: SendingPage {
            changes: SendingPage::changes(&request.method),
            has_origin: request.header("Origin").is_some(),
            fetch_site: fetch_site.as_deref(),
        },
    };
    decide::admit(&route.endpoint, &facts)?;
    if let Some(member) = &principal {
        meta.headers.extend(impersonation_header(member));
        decide::authorise(&route.endpoint, member.permissions(), member.user().is_some())?;
    }
    let admitted = Admitted { tenant, config, source: matched.source, principal, token };
    call_handler(context, (route, params), admitted).await
}

/// Whom a request is from, once it may call its operation.
struct Admitted {
    tenant: TenantId,
    config: Rc<TenantConfig>,
    source: TenantSource,
    principal: Option<Box<Member>>,
    token: SubscriberCredential,
}

impl Admitted {
    fn member(self) -> Result<Box<Member>, Problem> {
        self.principal.ok_or_else(problem::unauthorized)
    }

    /// A member, or whoever sees what is public.
    fn reader(self) -> Reader {
        match self.principal {
            Some(member) => Reader::from(&*member),
            None => Reader::stranger(self.tenant, self.config),
        }
    }

    fn visitor(self) -> Result<Visitor, Problem> {
        let Self { tenant, config, source, token, .. } = self;
        match source {
            TenantSource::Host(host) => Ok(Visitor { tenant, host, config, token: token.valid() }),
            TenantSource::Named(_) | TenantSource::Selected => Err(problem::not_found()),
        }
    }

    fn signer(self) -> Result<Signer, Problem> {
        match self.source {
            TenantSource::Host(host) => Ok(Signer { named: Named::Host(host, self.tenant) }),
            TenantSource::Named(_) | TenantSource::Selected => Err(problem::not_found()),
        }
    }
}

async fn call_handler(
    context: RequestContext,
    (route, params): (&'static Route, Params),
    admitted: Admitted,
) -> Result<Response, Problem> {
    match route.endpoint {
        Endpoint::Member(_, handler) | Endpoint::User(handler) => {
            handler(context.call(params, admitted.member()?)).await
        }
        Endpoint::Reader(_, handler) => handler(context.call(params, Box::new(admitted.reader()))).await,
        Endpoint::Visitor(_, handler) | Endpoint::SignIn(handler) => {
            handler(context.call(params, Box::new(admitted.visitor()?))).await
        }
        Endpoint::Signer(handler) => handler(context.call(params, Box::new(admitted.signer()?))).await,
        Endpoint::TableReader(_, handler) => {
            let table = Table { sections: routes::SECTIONS, reader: Some(admitted.reader()) };
            handler(context.call(params, Box::new(table))).await
        }
        Endpoint::Anyone(_) | Endpoint::Operator(..) | Endpoint::SignedInOperator(_) | Endpoint::Table(_) => {
            Err(problem::not_found())
        }
    }
}

fn presents(request: &Incoming) -> Presents {
    match Credential::of(request) {
        None => Presents::Nothing,
        Some(Credential::Bearer(_)) => Presents::Header,
        Some(Credential::Cookie(_)) => Presents::Cookie,
    }
}

fn token_state(request: &Incoming, token: &SubscriberCredential) -> TokenState {
    match token {
        SubscriberCredential::None => TokenState::Absent,
        SubscriberCredential::Invalid => TokenState::Invalid,
        SubscriberCredential::Valid(_) if request.header("Authorization").is_some() => TokenState::ByHeader,
        SubscriberCredential::Valid(_) => TokenState::ByCookie,
    }
}

/// Says in the answer which operator acts as the user.
fn impersonation_header(member: &Member) -> Option<(&'static str, String)> {
    match member.who() {
        Actor::Impersonator { operator, .. } => {
            Some(("X-Impersonated-By", operator.strip_prefix("operator:").unwrap_or(operator).to_owned()))
        }
        Actor::Key { .. } | Actor::User(_) | Actor::Operator { .. } => None,
    }
}

/// The answer to a preflight, or to any other OPTIONS.
fn preflight(request: &Incoming, origin: &Origin, meta: &mut ResponseMeta) -> Result<Response, Problem> {
    let Matched::Methods(methods) = routes::find(Surface::Tenant, &request.method, &request.path) else {
        return Err(problem::not_found());
    };
    let methods = methods.join(", ");
    meta.headers = origin.preflight_headers(&methods, cors::on_tenant(routes::SECTIONS));
    Ok(Response::empty(204).header("Allow", methods))
}
