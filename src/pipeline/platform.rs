//! A request on the platform's host.

use super::context::{Found, RequestContext, ResponseMeta, find};
use super::decide::{self, CredentialNames, SendingPage};
use super::tenant;
use super::tenant_source::{RouteMatch, TenantSource, credential_not_valid};
use super::unknown_hosts;
use crate::auth::principal::{Anyone, Named, Operator, OperatorKind, Signer};
use crate::auth::proofs::{self, ProofAttempt, ProofScope};
use crate::auth::{authenticate_operator, signing_keys};
use crate::credentials::platform_token::TokenKind;
use crate::http::incoming::Incoming;
use crate::http::problem::{self, Problem, RateBound};
use crate::http::request::{HandlersProof, Params};
use crate::http::response::Response;
use crate::routes::{self, Endpoint, Handler, Matched, Route, Surface, Table};
use crate::tenant::resolve;
use crate::tenant_id::TenantId;
use domain::ids::ClaimedTenant;
use worker::Method;

/// Answers a request on the platform's host.
pub(super) async fn on_platform(context: RequestContext, meta: &mut ResponseMeta) -> Result<Response, Problem> {
    let found = find(Surface::Platform, &context.request);
    if context.request.method != Method::Options && is_nobodys(&context.request) {
        return Err(problem::not_found());
    }
    if let Some(named) = named_by_path(&context.request) {
        return by_path(context, found, &named, meta).await;
    }
    let (route, params) = match found {
        Ok(found) => found,
        Err(other) => return other,
    };
    meta.route = Some(route.name);
    match route.endpoint {
        Endpoint::Anyone(handler) => handler(context.call(params, Box::new(Anyone))).await,
        Endpoint::Operator(_, handler) | Endpoint::SignedInOperator(handler) => {
            let (attempt, proof) = (tried(&context, "operator")?, context.proof.clone());
            let is_change = SendingPage::changes(&context.request.method);
            let outcome = for_operator(context, (route, params), handler, meta).await;
            noted(attempt, &proof, &outcome);
            if is_change && outcome.is_ok() {
                proofs::forget_all_failures();
            }
            outcome
        }
        Endpoint::Member(..) | Endpoint::Reader(..) => {
            let (attempt, proof) = (tried(&context, "member")?, context.proof.clone());
            let outcome = for_member(context, (route, params), meta).await;
            noted(attempt, &proof, &outcome);
            outcome
        }
        Endpoint::Signer(handler) => for_signer(context, params, handler).await,
        Endpoint::Table(handler) => {
            let table = Table { sections: routes::SECTIONS, reader: None };
            handler(context.call(params, Box::new(table))).await
        }
        Endpoint::User(_) | Endpoint::Visitor(..) | Endpoint::SignIn(_) | Endpoint::TableReader(..) => {
            Err(problem::not_found())
        }
    }
}

/// The tenant that a path names as its address, whatever the method: what is there answers as on the tenant's own host.
fn named_by_path(request: &Incoming) -> Option<String> {
    match routes::find(Surface::Platform, &Method::Get, &request.path) {
        Matched::Route(Route { endpoint: Endpoint::Visitor(..), .. }, params) => {
            Some(params.get("tenant_id").to_owned())
        }
        Matched::Route(..) | Matched::Methods(_) | Matched::Nothing => None,
    }
}

async fn by_path(
    context: RequestContext,
    found: Found,
    named: &str,
    meta: &mut ResponseMeta,
) -> Result<Response, Problem> {
    let network = context.request.network();
    unknown_hosts::may_look_up(network)?;
    let resolved = match ClaimedTenant::parse(named) {
        Ok(named) => resolve::by_path(&context.bindings, &named).await?,
        Err(_) => None,
    };
    let Some((tenant, host)) = resolved else {
        unknown_hosts::count(network);
        return Err(problem::tenant_not_found());
    };
    meta.route = found.as_ref().ok().map(|(route, _)| route.name);
    tenant::through(context, RouteMatch { source: TenantSource::Host(host), found }, tenant, meta).await
}

/// What a network is told of whose credentials too many were wrong; holds the seconds until it may try again.
fn failed_too_often(seconds: u64) -> Problem {
    let bound = RateBound { policy: "network-proofs", of: "wrong credentials of one network" };
    problem::rate_limited(bound, seconds)
}

/// Whether a path can only be that of a tenant's records while nothing names a tenant: whoever misspells a path of the
/// platform is told that there is none, whatever they hold.
fn is_nobodys(request: &Incoming) -> bool {
    routes::is_of_records(&request.path)
        && request.named_tenants().is_empty()
        && request.bearer().is_none_or(|bearer| matches!(decide::credential_names(&bearer), CredentialNames::Nobody))
}

/// The credential that a request presents; refused if it failed a moment ago, or its network failed too often.
fn tried(context: &RequestContext, kind: &str) -> Result<Option<ProofAttempt>, Problem> {
    let Some(header) = context.request.header("Authorization") else { return Ok(None) };
    let attempt = ProofAttempt::of(ProofScope::Platform, &context.request, kind, &[&header]);
    attempt.may_try().map_err(failed_too_often)?;
    if attempt.has_failed() {
        return Err(problem::unauthorized());
    }
    Ok(Some(attempt))
}

/// Remembers whether a credential proved somebody. Whatever else is wrong, an answer that is not 401 is somebody's; and so is
/// a 401 to an operator who was proven, whose credential is of another kind than the operation asks for.
fn noted(attempt: Option<ProofAttempt>, proof: &HandlersProof, outcome: &Result<Response, Problem>) {
    let Some(attempt) = attempt else { return };
    match outcome {
        Err(problem) if problem.status == 401 && !proof.has_succeeded() => attempt.failed(),
        Err(problem) if problem.crosses_tenants || problem.status >= 429 => {}
        Ok(_) | Err(_) => attempt.succeeded(),
    }
}

async fn for_member(
    context: RequestContext,
    (route, params): (&'static Route, Params),
    meta: &mut ResponseMeta,
) -> Result<Response, Problem> {
    let (source, tenant) = source_of_credential(&context, params.get("tenant_id")).await?;
    tenant::through(context, RouteMatch { source, found: Ok((route, params)) }, tenant, meta).await
}

/// A webhook that names its tenant: what fails counts against its network, and is kept apart by the name.
async fn for_signer(context: RequestContext, params: Params, handler: Handler<Signer>) -> Result<Response, Problem> {
    let named = decide::named_by_all(&context.request.named_tenants());
    let scope = ProofScope::PlatformFor(named.as_ref().map_or("", ClaimedTenant::as_str));
    let attempt = ProofAttempt::of(scope, &context.request, "sender", &[]);
    attempt.may_try().map_err(failed_too_often)?;
    let proof = context.proof.clone();
    let outcome = handler(context.call(params, Box::new(Signer { named: Named::Header(named) }))).await;
    if proof.has_succeeded() {
        attempt.succeeded();
    }
    outcome
}

async fn for_operator(
    context: RequestContext,
    (route, params): (&'static Route, Params),
    handler: Handler<Operator>,
    meta: &mut ResponseMeta,
) -> Result<Response, Problem> {
    let operator = proven_operator(&context).await?;
    decide::authorise_operator(&route.endpoint, operator.permissions(), is_person(&operator))?;
    routes::query::check(route, &context.request.query)?;
    meta.tenant = ClaimedTenant::parse(params.get("tenant_id")).ok().map(|named| named.as_str().to_owned());
    handler(context.call(params, Box::new(operator))).await
}

/// The operator that a request's credential proves, whatever they may do.
async fn proven_operator(context: &RequestContext) -> Result<Operator, Problem> {
    let operator = authenticate_operator::operator(&context.bindings, &context.request).await?;
    let operator = operator.ok_or_else(problem::unauthorized)?;
    context.proof.succeeded();
    Ok(operator)
}

fn is_person(operator: &Operator) -> bool {
    match operator.who() {
        OperatorKind::Person { .. } => true,
        OperatorKind::FirstKey | OperatorKind::Key { .. } => false,
    }
}

/// The tenant that a credential on the platform's host is for: the one it names, or for a platform key the one it
/// selects. The credential itself is proven in the tenant.
async fn source_of_credential(context: &RequestContext, in_path: &str) -> Result<(TenantSource, TenantId), Problem> {
    let bearer = context.request.bearer().ok_or_else(problem::unauthorized)?;
    let named = match decide::credential_names(&bearer) {
        CredentialNames::Tenant(named) => named,
        CredentialNames::TenantInToken => tenant_of_token(context, &bearer).await?,
        CredentialNames::Nobody => return Ok((TenantSource::Selected, selected(context, in_path).await?)),
    };
    let tenant = resolve::by_id(&context.bindings, &named).await?.ok_or_else(|| credential_not_valid(&named))?;
    Ok((TenantSource::Named(named), tenant))
}

async fn tenant_of_token(context: &RequestContext, token: &str) -> Result<ClaimedTenant, Problem> {
    let kinds = &[TokenKind::Access, TokenKind::Switch, TokenKind::Impersonation];
    let verified = signing_keys::verify(&context.bindings, token, kinds).await?;
    let verified = verified.ok_or_else(problem::unauthorized)?;
    ClaimedTenant::parse(&verified.claims.tenant_id).map_err(|_| problem::unauthorized())
}

/// The tenant that a platform key selects, by header, query or path. A person's session selects none: it may not learn
/// which tenants exist, and the token that a switch gives names its own.
async fn selected(context: &RequestContext, in_path: &str) -> Result<TenantId, Problem> {
    let operator = proven_operator(context).await?;
    decide::may_select(operator.permissions(), is_person(&operator))?;
    let named = decide::selected(&context.request.named_tenants(), in_path)?;
    resolve::by_id(&context.bindings, &named).await?.ok_or_else(problem::tenant_not_found)
}
