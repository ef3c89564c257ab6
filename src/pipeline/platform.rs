//! A request on the platform's host.

use super::tenant::{self, Doors, Entrance, proves_nobody};
use super::walk::{Trail, Walk, find};
use crate::auth::principal::{Anyone, Named, Operator, OperatorKind, Signer};
use crate::auth::{authenticate_operator, signing_keys};
use crate::credentials::key::PresentedKey;
use crate::credentials::platform_token::Kind;
use crate::http::problem::{self, Problem};
use crate::http::response::Response;
use crate::routes::{self, Access, Handler, Surface, Table};
use crate::tenant::resolve;
use crate::tenant_id::TenantId;
use domain::ids::ClaimedTenant;
use domain::permission::PlatformPermission;

pub(super) async fn on_platform(walk: Walk, trail: &mut Trail) -> Result<Response, Problem> {
    let (route, params) = match find(Surface::Platform, &walk.request) {
        Ok(found) => found,
        Err(other) => return other,
    };
    trail.route = Some(route.name);
    match route.handler {
        Handler::Anyone(handler) => handler(walk.call(params, Box::new(Anyone))).await,
        Handler::Operator(handler) => {
            let operator = authenticate_operator::operator(&walk.bindings, &walk.request).await?;
            let operator = operator.ok_or_else(problem::unauthorized)?;
            authorise(&operator, route.access)?;
            trail.tenant = ClaimedTenant::parse(params.get("tenant_id")).ok().map(|named| named.as_str().to_owned());
            handler(walk.call(params, Box::new(operator))).await
        }
        Handler::Member(_) | Handler::Reader(_) => {
            let (entrance, tenant) = entrance_of_credential(&walk, params.get("tenant_id")).await?;
            tenant::through(walk, Doors { entrance, found: Ok((route, params)) }, tenant, trail).await
        }
        Handler::Signer(handler) => {
            let named = walk.request.named_tenants();
            let first = named.first().and_then(|name| ClaimedTenant::parse(name).ok());
            let claimed = first.filter(|claimed| named.iter().all(|name| name == claimed.as_str()));
            handler(walk.call(params, Box::new(Signer { named: Named::Header(claimed) }))).await
        }
        Handler::Table(handler) => {
            let table = Table { sections: routes::SECTIONS, reader: None };
            handler(walk.call(params, Box::new(table))).await
        }
        Handler::Visitor(_) => Err(problem::not_found()),
    }
}

fn authorise(operator: &Operator, access: Access) -> Result<(), Problem> {
    match access {
        Access::Operator(permission) if !operator.permissions().has(permission) => {
            Err(problem::forbidden(permission.as_str()))
        }
        Access::SignedInOperator if !matches!(operator.who(), OperatorKind::Person { .. }) => {
            Err(problem::unauthorized())
        }
        _ => Ok(()),
    }
}

/// The tenant that a credential on the platform's host is for: the one it names, or for a platform key the
/// one it selects. The credential itself is proven in the tenant.
async fn entrance_of_credential(walk: &Walk, in_path: &str) -> Result<(Entrance, TenantId), Problem> {
    let bearer = walk.request.bearer().ok_or_else(problem::unauthorized)?;
    let named = match PresentedKey::parse(&bearer) {
        Some(PresentedKey { tenant: Some(named), .. }) => named,
        None if signing_keys::is_ours(&bearer) => {
            let kinds = &[Kind::Access, Kind::Switch, Kind::Impersonation];
            let verified = signing_keys::verify(&walk.bindings, &bearer, kinds).await?;
            let verified = verified.ok_or_else(problem::unauthorized)?;
            ClaimedTenant::parse(&verified.claims.tenant_id).map_err(|_| problem::unauthorized())?
        }
        _ => return Ok((Entrance::Selected, selected(walk, in_path).await?)),
    };
    let tenant = resolve::by_id(&walk.bindings, &named).await?.ok_or_else(|| proves_nobody(&named))?;
    Ok((Entrance::Named(named), tenant))
}

/// The tenant that a platform key selects, by header, query or path. A person selects none: their session is told nothing of tenants, and
/// the token that a switch gives names its own.
async fn selected(walk: &Walk, in_path: &str) -> Result<TenantId, Problem> {
    let operator = authenticate_operator::operator(&walk.bindings, &walk.request).await?;
    let operator = operator.filter(|operator| !matches!(operator.who(), OperatorKind::Person { .. }));
    let operator = operator.ok_or_else(problem::unauthorized)?;
    authorise(&operator, Access::Operator(PlatformPermission::TenantsEnter))?;
    let named = walk.request.named_tenants();
    let named = named.first().map(String::as_str).or_else(|| Some(in_path).filter(|name| !name.is_empty()));
    let named = named.ok_or_else(problem::no_tenant_selected)?;
    let named = ClaimedTenant::parse(named).map_err(|_| problem::tenant_not_found())?;
    resolve::by_id(&walk.bindings, &named).await?.ok_or_else(problem::tenant_not_found)
}
