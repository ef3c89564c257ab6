//! How a request enters a tenant: a stranger's permit before anything is looked at, then its credential, then what is to be
//! drawn for whom it proved.

use std::rc::Rc;

use super::context::{RequestContext, ResponseMeta};
use super::decide::{self, Spends, Verifies};
use super::judgement::JUDGEMENTS;
use super::presented_credential;
use super::subscriber_token::{SubscriberCredential, is_principals, presented_token};
use super::tenant_source::{RouteMatch, TenantSource};
use crate::auth::authenticate_member::{self, SessionContext};
use crate::auth::principal::{Actor, Member};
use crate::auth::proofs::{ProofAttempt, ProofScope};
use crate::http::problem::Problem;
use crate::hub::protocol::{Refusal, RequestClass, TenantConfig};
use crate::routes::{self, JudgedBy, TokenRule};
use crate::tenant::tenant_state::{self, AdmittedRequest, HubError, Needs, StrangerPermit};
use crate::tenant_id::TenantId;
use domain::rate::Rate;

/// A request to a tenant that serves it.
pub(super) struct Entered {
    /// The tenant.
    pub tenant: TenantId,
    /// The configuration that it is judged by.
    pub config: Rc<TenantConfig>,
    /// What its credential proves.
    pub proof: Proof,
    /// The rate that it draws from.
    pub rate: Option<Rate>,
    /// The permit that the request took as a stranger's, unless it proved somebody.
    pub permit: Option<StrangerPermit>,
    /// What it presented on a tenant's host, unless that proved somebody.
    pub attempt: Option<ProofAttempt>,
}

/// What a request's credential proves.
pub(super) enum Proof {
    /// The operation asks for none.
    NotAsked,
    /// A subscriber's token.
    Subscriber(SubscriberCredential),
    /// Somebody who acts in the tenant; nobody, without a credential or with one that is not valid; or the problem of
    /// one that names another tenant.
    Principal(Result<Option<Box<Member>>, Problem>),
}

/// Takes a stranger's permit, verifies the credential, and draws what is to be drawn for whom it proved.
pub(super) async fn enter(
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
    let mut attempt = route.and_then(|route| presented_credential::attempt(scope, &context.request, bindings, route));
    let admitted = admit_stranger(context, &tenant, matched, attempt.as_ref()).await;
    if let Err(HubError::Refused(Refusal::RateLimited(_))) = admitted {
        meta.tenant = Some(tenant.to_string());
    }
    let AdmittedRequest { rate, mut permit, .. } = admitted?;
    let proof = prove(context, matched, &tenant, attempt.as_ref()).await?;
    let spends = proof.spends_in(&tenant);
    // Whoever names another tenant is refused, and has proved nothing here.
    let names_this = decide::agree(&context.request.named_tenants(), proof.named_tenant(), tenant.as_str()).is_ok();
    if names_this && spends != Spends::Strangers {
        permit.take().into_iter().for_each(StrangerPermit::give_back);
        attempt.take().into_iter().for_each(|attempt| attempt.succeeded_as(spends == Spends::Tenants));
    }
    meta.tenant = Some(tenant.to_string());
    let rate = match decide::request_class(route.map(|route| route.admission), spends) {
        Some(RequestClass::Api) => tenant_state::enter(bindings, &tenant, host, Needs::Principal).await?.rate,
        Some(RequestClass::Anonymous) => rate,
        None => None,
    };
    // A preflight without a permit costs nothing: it is answered by the grant that is here.
    let judged_by = match matched.is_preflight() && permit.is_none() {
        true => JudgedBy::Cached,
        false => decide::judged_by(route, &context.request.method),
    };
    let config = match judged_by {
        JudgedBy::Cached => tenant_state::enter(bindings, &tenant, host, Needs::Config).await?.config,
        JudgedBy::Current => tenant_state::enter_now(bindings, &tenant, host).await?,
    };
    let attempt = attempt.filter(|_| host.is_some());
    Ok(Entered { tenant, config, proof, rate, permit, attempt })
}

/// Takes the permit that every request to a tenant's host leaves before anything is looked at. If the tenant has none
/// left, whoever proved to be somebody a moment ago may do so again. On the platform's host the network is bounded.
async fn admit_stranger(
    context: &RequestContext,
    tenant: &TenantId,
    matched: &RouteMatch,
    attempt: Option<&ProofAttempt>,
) -> Result<AdmittedRequest, HubError> {
    let bindings = &context.bindings;
    let host = match &matched.source {
        TenantSource::Host(host) => Some(host),
        TenantSource::Named(_) | TenantSource::Selected => {
            return tenant_state::enter(bindings, tenant, None, Needs::Config).await;
        }
    };
    let draws = matched.route().is_none_or(|route| route.admission == routes::Admission::Requests);
    let verifies = decide::verifies(matched.route().map(|route| &route.endpoint));
    let gives_back = !draws || attempt.is_some() && verifies != Verifies::Nothing;
    // What is drawn for a principal and not used is lost to the tenant: so it is drawn together with the stranger's permit
    // only for who was one a moment ago, and else once the proof has succeeded.
    let then_principal = draws && attempt.is_some_and(ProofAttempt::draws_tenants);
    let needs = Needs::Stranger { then_principal, network: context.request.network() };
    match tenant_state::enter(bindings, tenant, host, needs).await {
        Err(HubError::Refused(Refusal::RateLimited(_))) if matched.is_preflight() => {
            tenant_state::enter(bindings, tenant, host, Needs::Config).await
        }
        Err(HubError::Refused(Refusal::RateLimited(_))) if attempt.is_some_and(ProofAttempt::is_trusted) => {
            tenant_state::enter(bindings, tenant, host, Needs::Config).await
        }
        // It gives its permit back if it is what it says. Whose network failed a moment ago does not wait.
        Err(HubError::Refused(Refusal::RateLimited(_)))
            if gives_back && !attempt.is_some_and(ProofAttempt::is_distrusted) =>
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
    tenant: &TenantId,
    attempt: Option<&ProofAttempt>,
) -> Result<Proof, HubError> {
    let RequestContext { request, bindings, .. } = context;
    match decide::verifies(matched.route().map(|route| &route.endpoint)) {
        Verifies::Nothing => Ok(Proof::NotAsked),
        Verifies::Subscriber(rule) if is_principals(request, bindings, rule) => {
            Ok(match authenticated_member(context, matched, tenant, attempt).await? {
                // Mercure's handler refuses what the header holds with a challenge of its own.
                Ok(None) if rule == TokenRule::Mercure && request.header("Authorization").is_some() => Proof::NotAsked,
                Ok(None) => Proof::Subscriber(SubscriberCredential::Invalid),
                member => Proof::Principal(member.map(|member| member.map(Box::new))),
            })
        }
        Verifies::Subscriber(TokenRule::Mercure | TokenRule::PassedOn) => Ok(Proof::NotAsked),
        Verifies::Subscriber(_) => Ok(Proof::Subscriber(presented_token(request, bindings, tenant, attempt).await?)),
        Verifies::Principal => {
            let member = authenticated_member(context, matched, tenant, attempt).await?;
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

/// The member that the credential proves, looked up while the tenant's configuration was current; none for one that failed
/// a moment ago.
async fn authenticated_member(
    context: &RequestContext,
    matched: &RouteMatch,
    tenant: &TenantId,
    attempt: Option<&ProofAttempt>,
) -> Result<Result<Option<Member>, Problem>, HubError> {
    let Some(attempt) = attempt.filter(|attempt| !attempt.has_failed()) else { return Ok(Ok(None)) };
    let host = matched.source.host();
    let mut judged = 0;
    loop {
        let config = tenant_state::enter(&context.bindings, tenant, host, Needs::Config).await?.config;
        let at = SessionContext { tenant, host, config: &config };
        let member = authenticate_member::member(&context.bindings, &context.request, at).await;
        judged += 1;
        match member.as_ref().err().and_then(|problem| problem.outdated) {
            Some(revision) if judged < JUDGEMENTS => tenant_state::outdated(tenant, revision),
            _ => {
                if let Ok(None) = member {
                    attempt.failed();
                }
                return Ok(member);
            }
        }
    }
}

impl Proof {
    /// Whose allowance the request spends.
    pub fn spends(&self) -> Spends {
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

    /// The same for a request to this tenant: a token that names another one spends nothing of its own requests.
    fn spends_in(&self, tenant: &TenantId) -> Spends {
        match self.named_tenant() {
            Some(named) if named != tenant.as_str() => Spends::Strangers,
            Some(_) | None => self.spends(),
        }
    }

    /// The tenant that a valid subscriber token names.
    pub fn named_tenant(&self) -> Option<&str> {
        match self {
            Self::Subscriber(SubscriberCredential::Valid(token)) => token.tenant_id.as_deref(),
            Self::NotAsked
            | Self::Subscriber(SubscriberCredential::None | SubscriberCredential::Invalid)
            | Self::Principal(_) => None,
        }
    }

    /// The principal and the token that were proven; the problem of a credential that names another tenant.
    pub fn proven(self) -> Result<(Option<Box<Member>>, SubscriberCredential), Problem> {
        match self {
            Self::NotAsked => Ok((None, SubscriberCredential::None)),
            Self::Subscriber(token) => Ok((None, token)),
            Self::Principal(member) => Ok((member?, SubscriberCredential::None)),
        }
    }
}
