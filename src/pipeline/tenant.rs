//! A request to a tenant: by its host, or on the platform's host by a credential that names it.
//!
//! What is needed is gathered first (`entry.rs`), then judged by `decide`, then the handler is called. A request that was
//! judged by a configuration of before is judged again (`judgement.rs`).

use std::rc::Rc;

use worker::Method;

use super::context::{RequestContext, ResponseMeta, find, rate_fields};
use super::cross_tenant_audit::CrossTenantAudit;
use super::decide::{self, Presents, RequestFacts, SendingPage, Spends, TokenState};
use super::early_refusal;
use super::entry::{Entered, Proof, enter};
use super::judgement::{JUDGEMENTS, Judgement};
use super::permit::UnsettledPermit;
use super::subscriber_token::SubscriberCredential;
use super::tenant_source::{RouteMatch, TenantSource};
use super::unknown_hosts;
use crate::auth::authenticate_member::Credential;
use crate::auth::principal::{Actor, Member, Named, Reader, Signer, Visitor};
use crate::http::cors::Origin;
use crate::http::incoming::Incoming;
use crate::http::problem::{self, Problem};
use crate::http::request::Params;
use crate::http::response::Response;
use crate::hub::protocol::{Refusal, TenantConfig};
use crate::routes::{self, Endpoint, Matched, Route, Surface, Table, cors};
use crate::tenant::resolve;
use crate::tenant::tenant_state::{self, HubError};
use crate::tenant_id::TenantId;
use domain::address::is_let_in;
use domain::host::Host;

/// Answers a request on a tenant's host.
pub(super) async fn on_tenant(
    mut context: RequestContext,
    host: Host,
    meta: &mut ResponseMeta,
) -> Result<Response, Problem> {
    for _ in 1..JUDGEMENTS {
        let again = context.again();
        let outcome = judge_on_tenant(context, host.clone(), meta).await;
        if !outcome.as_ref().is_err_and(|problem| problem.outdated.is_some()) {
            return outcome;
        }
        let Some(fresh) = again.context() else { return outcome };
        context = fresh;
    }
    judge_on_tenant(context, host, meta).await
}

async fn judge_on_tenant(context: RequestContext, host: Host, meta: &mut ResponseMeta) -> Result<Response, Problem> {
    let found = find(Surface::Tenant, &context.request);
    let matched = RouteMatch { found, source: TenantSource::Host(host.clone()) };
    meta.route = matched.route().map(|route| route.name);
    let network = context.request.network();
    let is_known = resolve::is_known(&host);
    if !is_known {
        unknown_hosts::may_look_up(network)
            .map_err(|problem| early_refusal::shown_to_all(problem, &context.request))?;
    }
    let Some(hinted) = resolve::resolve(&context.bindings, &host).await? else {
        if !is_known {
            unknown_hosts::count(network);
        }
        return Err(problem::tenant_not_found());
    };
    match enter_shown(&context, &matched, hinted, meta).await {
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
    match enter_shown(&context, &matched, tenant, meta).await {
        Ok(entered) => serve_audited(context, matched, entered, meta).await,
        Err(error) => Err(matched.source.refusal(error)),
    }
}

/// Enters. A refusal by a tenant that serves the host can be read by the pages that may read its other answers, as far as
/// this isolate remembers which: nothing is asked for it.
async fn enter_shown(
    context: &RequestContext,
    matched: &RouteMatch,
    tenant: TenantId,
    meta: &mut ResponseMeta,
) -> Result<Entered, HubError> {
    let entered = enter(context, matched, tenant.clone(), meta).await;
    match (&entered, matched.source.host()) {
        (Err(HubError::Refused(Refusal::RateLimited(_)) | HubError::Failed(_)), Some(host)) => {
            if let Some(config) = tenant_state::remembered(&tenant, host) {
                show(&origin_of(&context.request, &config), meta);
            }
        }
        // A tenant that is not served tells nothing.
        (Ok(_) | Err(HubError::NotHere | HubError::Refused(_) | HubError::Failed(_)), _) => {}
    }
    entered
}

fn origin_of(request: &Incoming, config: &TenantConfig) -> Origin {
    Origin::judge(request.header("Origin").as_deref(), &config.cors_origins, request.sent_to())
}

/// Lets pages of an origin read the answer on a tenant's host.
fn show(origin: &Origin, meta: &mut ResponseMeta) {
    meta.is_tenants_host = true;
    meta.headers = origin.headers(cors::on_tenant(routes::SECTIONS));
}

async fn serve_audited(
    context: RequestContext,
    matched: RouteMatch,
    mut entered: Entered,
    meta: &mut ResponseMeta,
) -> Result<Response, Problem> {
    let audit = CrossTenantAudit::of(&context, &entered.tenant, &entered.config.placement);
    let is_somebodys = entered.proof.spends() != Spends::Strangers;
    let judgement = Judgement {
        bindings: context.bindings.clone(),
        tenant: entered.tenant.clone(),
        host: matched.source.host().cloned(),
        revision: entered.config.revision,
        may_be_outdated: decide::may_be_outdated(matched.route(), is_somebodys, presents(&context.request)),
    };
    let pending = UnsettledPermit {
        tenant: entered.tenant.clone(),
        route: matched.route(),
        permit: entered.permit.take(),
        attempt: entered.attempt.take(),
        proof: context.proof.clone(),
        is_change: SendingPage::changes(&context.request.method) && is_somebodys,
    };
    let outcome = serve(context, matched, entered, meta).await;
    let outcome = judgement.confirm(outcome, meta).await;
    pending.settle(&outcome);
    if outcome.as_ref().is_err_and(|problem| problem.crosses_tenants) {
        audit.record(meta.route);
    }
    outcome
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
    let origin = origin_of(request, &config);
    if matched.source.host().is_some() {
        show(&origin, meta);
    }
    meta.headers.extend(rate.iter().flat_map(rate_fields));
    let (route, params) = match matched.found {
        Ok(found) => found,
        Err(_) if request.method == Method::Options => return preflight(request, &origin, meta),
        Err(other) => return other,
    };
    let acts = matches!(proof, Proof::Principal(Ok(Some(_))));
    decide::check_address(&route.endpoint, acts, is_let_in(&config.ip_allowlist, &request.address()))?;
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
    routes::query::check(route, &request.query)?;
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
        let Self { tenant, config, source, token, principal } = self;
        match source {
            TenantSource::Host(host) => Ok(Visitor { tenant, host, config, token: token.valid(), member: principal }),
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
