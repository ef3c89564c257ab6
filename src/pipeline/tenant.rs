//! A request to a tenant: by its host, or on the platform's host by a credential that names it.

use std::rc::Rc;

use worker::Method;

use super::border::Border;
use super::walk::{Trail, Walk, find, rate_fields};
use crate::auth::authenticate_member::{self, Credential, SessionContext};
use crate::auth::principal::{Actor, Anyone, Member, Named, Reader, Signer, Visitor};
use crate::auth::signing_keys;
use crate::credentials::platform_token;
use crate::credentials::subscriber_token::{self, SubscriberToken};
use crate::http::cors::Origin;
use crate::http::incoming::Incoming;
use crate::http::problem::{self, Problem};
use crate::http::request::Params;
use crate::http::response::Response;
use crate::hub::protocol::{Refusal, RequestClass, TenantConfig};
use crate::routes::{self, Access, Admission, Handler, Matched, Route, Surface, Table};
use crate::storage::bindings::{Bindings, SystemClock};
use crate::tenant::tenant_state::HubError;
use crate::tenant::{resolve, secrets, tenant_state};
use crate::tenant_id::TenantId;
use domain::address::is_let_in;
use domain::clock::Clock;
use domain::host::Host;
use domain::ids::ClaimedTenant;
use domain::rate::Rate;

/// The cookie that carries a subscriber token.
const TOKEN_COOKIE: &str = "carillon_subscriber";

/// By what a request comes to a tenant.
pub(super) enum Entrance {
    /// The tenant's own host.
    Host(Host),
    /// On the platform's host, a credential that names the tenant. Until it proves somebody, nothing is told of
    /// the tenant, not even whether it is there.
    Named(ClaimedTenant),
    /// On the platform's host, an operator who selects the tenant, and may know how it stands.
    Selected,
}

impl Entrance {
    fn host(&self) -> Option<&Host> {
        if let Self::Host(host) = self { Some(host) } else { None }
    }

    /// What a request gets that is not let in.
    fn refusal(&self, unheeded: HubError) -> Problem {
        match (self, unheeded) {
            (Self::Named(named), HubError::NotHere | HubError::Refused(Refusal::Stopped)) => proves_nobody(named),
            (_, unheeded) => unheeded.into(),
        }
    }
}

/// 401 on the platform's host for a credential that names a tenant: one answer, whether the tenant is not there, is
/// not served, or does not know the credential. The log alone learns which tenant was tried.
pub(super) fn proves_nobody(named: &ClaimedTenant) -> Problem {
    problem::unauthorized().cause(format!("the credential proves nobody in {}", named.as_str()))
}

/// How a request comes in, and the operation that it asks for.
pub(super) struct Doors {
    /// By what it comes.
    pub entrance: Entrance,
    /// The operation, or what to answer in its place.
    pub found: Result<(&'static Route, Params), Result<Response, Problem>>,
}

impl Doors {
    fn route(&self) -> Option<&'static Route> {
        self.found.as_ref().ok().map(|(route, _)| *route)
    }
}

pub(super) async fn on_tenant(walk: Walk, host: Host, trail: &mut Trail) -> Result<Response, Problem> {
    let doors = Doors { found: find(Surface::Tenant, &walk.request), entrance: Entrance::Host(host.clone()) };
    trail.route = doors.route().map(|route| route.name);
    let hinted = resolve::resolve(&walk.bindings, &host).await?.ok_or_else(problem::tenant_not_found)?;
    match enter(&walk, &doors, hinted, trail).await {
        // The hint was stale. What was proven to one tenant is not carried over to another.
        Err(HubError::NotHere) => {
            let tenant = resolve::resolve_anew(&walk.bindings, &host).await?.ok_or_else(problem::tenant_not_found)?;
            through(walk, doors, tenant, trail).await
        }
        entered => inside_border(walk, doors, entered?, trail).await,
    }
}

/// A request to a tenant that is known: enters it, and does what is asked.
pub(super) async fn through(
    walk: Walk,
    doors: Doors,
    tenant: TenantId,
    trail: &mut Trail,
) -> Result<Response, Problem> {
    match enter(&walk, &doors, tenant, trail).await {
        Ok(entered) => inside_border(walk, doors, entered, trail).await,
        Err(unheeded) => Err(doors.entrance.refusal(unheeded)),
    }
}

async fn inside_border(walk: Walk, doors: Doors, entered: Entered, trail: &mut Trail) -> Result<Response, Problem> {
    let border = Border {
        bindings: walk.bindings.clone(),
        tenant: entered.tenant.clone(),
        placement: entered.config.placement.clone(),
        address: walk.request.address(),
    };
    let background = walk.background.clone();
    let outcome = inside(walk, doors, entered, trail).await;
    if outcome.as_ref().is_err_and(|problem| problem.crosses_tenants) {
        border.record(&background, trail.route);
    }
    outcome
}

/// Enters a tenant: verifies the credential, learns how the tenant stands, takes a permit.
async fn enter(walk: &Walk, doors: &Doors, tenant: TenantId, trail: &mut Trail) -> Result<Entered, HubError> {
    let (request, bindings, host) = (&walk.request, &walk.bindings, doors.entrance.host());
    let route = doors.route();
    let proof = match route.map(|route| route.access) {
        Some(Access::OptionalSubscriber | Access::Subscriber) => {
            Proof::Subscriber(presented_token(request, bindings, &tenant).await?)
        }
        Some(Access::Member(_) | Access::Reader(_) | Access::User) => {
            let (config, _) = tenant_state::enter(bindings, &tenant, host, None).await?;
            let at = SessionContext { tenant: &tenant, host, config: &config };
            let member = authenticate_member::member(bindings, request, at).await;
            if matches!((&doors.entrance, &member), (Entrance::Named(_), Ok(None))) {
                return Err(HubError::NotHere);
            }
            Proof::Member(member.map(|member| member.map(Box::new)))
        }
        _ => Proof::NotAsked,
    };
    let class = match (route.map(|route| route.admission), &proof) {
        (Some(Admission::Streams | Admission::Webhooks | Admission::Unmetered), _) => None,
        (_, Proof::Subscriber(Token::Valid(_)) | Proof::Member(Ok(Some(_)))) => Some(RequestClass::Api),
        _ => Some(RequestClass::Anonymous),
    };
    let entered = tenant_state::enter(bindings, &tenant, host, class).await;
    if matches!(entered, Ok(_) | Err(HubError::Refused(Refusal::RateLimited(_)))) {
        trail.tenant = Some(tenant.to_string());
    }
    let (config, rate) = entered?;
    Ok(Entered { tenant, config, proof, rate })
}

/// What is known of a request once it is for a tenant that is served.
struct Entered {
    tenant: TenantId,
    config: Rc<TenantConfig>,
    proof: Proof,
    rate: Option<Rate>,
}

/// What a request's credential came to.
enum Proof {
    /// The operation asks for none.
    NotAsked,
    /// A subscriber's.
    Subscriber(Token),
    /// Somebody's who acts in the tenant; none was presented or it proves nobody; or it names another tenant.
    Member(Result<Option<Box<Member>>, Problem>),
}

/// A subscriber's credential, as it was found.
enum Token {
    None,
    Invalid,
    Valid(SubscriberToken),
}

async fn inside(walk: Walk, doors: Doors, entered: Entered, trail: &mut Trail) -> Result<Response, Problem> {
    let Entered { tenant, config, proof, rate } = entered;
    let request = &walk.request;
    check_agreement(request, &tenant, &proof)?;
    let origin = Origin::judge(request.header("Origin").as_deref(), &config.cors_origins, &request.authority);
    if doors.entrance.host().is_some() {
        trail.headers = origin.headers();
    }
    trail.headers.extend(rate.iter().flat_map(rate_fields));
    let (route, params) = match doors.found {
        Ok(found) => found,
        Err(_) if request.method == Method::Options => return preflight(request, &origin, trail),
        Err(other) => return other,
    };
    if matches!(route.access, Access::Member(_) | Access::Reader(_) | Access::User | Access::SignIn)
        && !is_let_in(&config.ip_allowlist, &request.address())
    {
        return Err(problem::address_not_allowed());
    }
    match route.handler {
        Handler::Visitor(handler) => {
            let token = subscriber(request, proof, route.access, &origin)?;
            if route.access == Access::SignIn && origin == Origin::Foreign {
                return Err(problem::origin_not_allowed());
            }
            let Entrance::Host(host) = doors.entrance else { return Err(problem::not_found()) };
            handler(walk.call(params, Box::new(Visitor { tenant, host, config, token }))).await
        }
        Handler::Reader(handler) => {
            let is_stranger = Credential::of(request).is_none() && doors.entrance.host().is_some();
            let reader = match is_stranger {
                true => Reader::stranger(tenant, config),
                false => Reader::from(&*admitted(request, proof, route.access, &origin, trail)?),
            };
            handler(walk.call(params, Box::new(reader))).await
        }
        Handler::Member(handler) => {
            let member = admitted(request, proof, route.access, &origin, trail)?;
            handler(walk.call(params, member)).await
        }
        Handler::Signer(handler) => {
            let Entrance::Host(host) = doors.entrance else { return Err(problem::not_found()) };
            handler(walk.call(params, Box::new(Signer { named: Named::Host(host, tenant) }))).await
        }
        Handler::Table(handler) => {
            let reader = match Credential::of(request) {
                Some(_) if matches!(route.access, Access::Reader(_)) => {
                    Reader::from(&*admitted(request, proof, route.access, &origin, trail)?)
                }
                _ => Reader::stranger(tenant, config),
            };
            let table = Table { sections: routes::SECTIONS, reader: Some(reader) };
            handler(walk.call(params, Box::new(table))).await
        }
        Handler::Anyone(handler) => handler(walk.call(params, Box::new(Anyone))).await,
        Handler::Operator(_) => Err(problem::not_found()),
    }
}

/// The member who asks, if they may do it from where they ask.
fn admitted(
    request: &Incoming,
    proof: Proof,
    access: Access,
    origin: &Origin,
    trail: &mut Trail,
) -> Result<Box<Member>, Problem> {
    let Proof::Member(member) = proof else { return Err(problem::unauthorized()) };
    let member = member?.ok_or_else(problem::unauthorized)?;
    if matches!(Credential::of(request), Some(Credential::Cookie(_))) {
        guard_cookie(request, origin)?;
    }
    if let Actor::Impersonator { operator, .. } = member.who() {
        let id = operator.strip_prefix("operator:").unwrap_or(operator);
        trail.headers.push(("X-Impersonated-By", id.to_owned()));
    }
    authorise(&member, access)?;
    Ok(member)
}

/// The subscriber's token, where the operation asks for one.
fn subscriber(
    request: &Incoming,
    proof: Proof,
    access: Access,
    origin: &Origin,
) -> Result<Option<SubscriberToken>, Problem> {
    let Proof::Subscriber(token) = proof else { return Ok(None) };
    match token {
        Token::Invalid => Err(problem::invalid_token()),
        Token::None if access == Access::Subscriber => Err(problem::unauthorized()),
        Token::None => Ok(None),
        Token::Valid(_) if request.header("Authorization").is_none() && *origin == Origin::Foreign => {
            Err(problem::origin_not_allowed())
        }
        Token::Valid(token) => Ok(Some(token)),
    }
}

/// Whether a member may do what is asked.
fn authorise(member: &Member, access: Access) -> Result<(), Problem> {
    match access {
        Access::Member(permission) | Access::Reader(permission) if !member.permissions().has(permission) => {
            Err(problem::forbidden(permission.as_str()))
        }
        Access::User if member.user().is_none() => Err(problem::not_a_user()),
        _ => Ok(()),
    }
}

/// A cookie comes along whoever made the request: a change by cookie must come from the tenant's own pages, or
/// from an origin on its list. A browser says which by `Origin`, or by `Sec-Fetch-Site` where it sends none.
fn guard_cookie(request: &Incoming, origin: &Origin) -> Result<(), Problem> {
    let changes = !matches!(request.method, Method::Get | Method::Head);
    let site = request.header("Sec-Fetch-Site");
    let own_page = match site.as_deref() {
        None => request.header("Origin").is_some(),
        Some(site) => matches!(site, "same-origin" | "none"),
    };
    let welcome = match origin {
        Origin::Foreign => false,
        Origin::Allowed(_) => true,
        Origin::Same => !changes || own_page,
    };
    if welcome { Ok(()) } else { Err(problem::origin_not_allowed()) }
}

/// The answer to a preflight, or to any other OPTIONS.
fn preflight(request: &Incoming, origin: &Origin, trail: &mut Trail) -> Result<Response, Problem> {
    let Matched::Methods(methods) = routes::find(Surface::Tenant, &request.method, &request.path) else {
        return Err(problem::not_found());
    };
    let methods = methods.join(", ");
    trail.headers = origin.preflight_headers(&methods);
    Ok(Response::empty(204).header("Allow", methods))
}

/// Verifies the token a request presents: one of ours, or one that the site signed. One of the site's that
/// fails is tried once more with fresh secrets.
async fn presented_token(request: &Incoming, bindings: &Bindings, tenant: &TenantId) -> Result<Token, Problem> {
    let presented = match (request.header("Authorization"), request.cookie(TOKEN_COOKIE)) {
        (Some(_), _) => request.bearer().unwrap_or_default(),
        (None, Some(cookie)) => cookie,
        (None, None) => return Ok(Token::None),
    };
    if signing_keys::is_ours(&presented) {
        let verified = signing_keys::verify(bindings, &presented, &[platform_token::Kind::Subscriber]).await?;
        let token = verified.and_then(|verified| SubscriberToken::minted(verified).ok());
        return Ok(token.map_or(Token::Invalid, Token::Valid));
    }
    let now = SystemClock.now();
    let kept = secrets::load(bindings, tenant.as_str()).await?;
    let verified = match subscriber_token::verify(&presented, &kept.subscription(now), now) {
        Ok(token) => Ok(token),
        Err(_) => {
            let fresh = secrets::load_anew(bindings, tenant.as_str()).await?;
            subscriber_token::verify(&presented, &fresh.subscription(now), now)
        }
    };
    Ok(verified.map_or(Token::Invalid, Token::Valid))
}

/// Every tenant that the request names must be the host's; else it gets the answer of a tenant that does not exist.
fn check_agreement(request: &Incoming, tenant: &TenantId, proof: &Proof) -> Result<(), Problem> {
    let in_token = match proof {
        Proof::Subscriber(Token::Valid(token)) => token.tenant_id.clone(),
        _ => None,
    };
    let agree = request.named_tenants().into_iter().chain(in_token).all(|named| named == tenant.as_str());
    if agree { Ok(()) } else { Err(problem::tenant_not_found().crossing_tenants()) }
}
