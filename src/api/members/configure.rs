//! `POST /api/tenant/config`: a WordPress site asks, with a key of its tenant, for what it needs to connect.
//!
//! The subscription secret opens every private event, so only a key that may read them all (`events:read` and
//! `records:read`) is told it. Every disclosure of the secrets is audited before it is made. If the site names another GraphQL endpoint than the
//! registry has, the registry is changed, as an operator would change it.

use serde_json::Value;

use super::audit_entry;
use super::endpoint;
use crate::auth::principal::Member;
use crate::http::fields::Fields;
use crate::http::incoming::JSON;
use crate::http::problem::{self, Problem};
use crate::http::request::Request;
use crate::http::response::Response;
use crate::storage::control_db::ControlDb;
use crate::tenant::secrets;
use domain::hearing::HearingRights;
use domain::json;

/// Responds with the tenant's endpoints and secrets.
pub async fn configure(mut request: Request<Member>) -> Result<Response, Problem> {
    let mut fields = Fields::new(request.incoming.json_object(JSON).await?);
    let may_call = |text: &str| request.bindings.settings.outbound(text).map(drop);
    let sent = fields.text("wpgraphql_endpoint", 2000);
    let domain = fields.text("domain", 2000);
    fields.finish()?;

    let tenant = request.caller.tenant.as_str();
    let endpoint = match sent {
        Some(text) => Some(endpoint::admitted(&request.bindings, tenant, text, &may_call).await?),
        None => None,
    };
    let secrets = secrets::read(&request.bindings, tenant).await?;
    let now = request.now();
    let (webhook, subscription) = (secrets.signing(now), secrets.subscription(now));
    let (Some(webhook), Some(subscription)) = (webhook.first(), subscription.first()) else {
        return Err(problem::internal("the tenant has no secrets"));
    };
    let detail = json!({ "wpgraphql_endpoint": endpoint, "domain": domain });
    let entry = audit_entry(&request, "tenant.disclose_secrets", Some(tenant), Some(detail));
    request.caller.rows(&request.bindings)?.write().audit(entry).commit().await?;
    if let Some(endpoint) = &endpoint {
        let db = ControlDb::open(&request.bindings, "configure a site")?;
        endpoint::set(&request.bindings, &db, tenant, endpoint, request.caller.actor(), &request.incoming.id).await?;
    }
    let origin = origin(&request);
    let hears_all = HearingRights::of(request.caller.permissions()) == HearingRights { events: true, records: true };
    let mut answer = json!({
        "success": true,
        "data": {
            "tenant_id": tenant,
            "sse_endpoint": format!("{origin}/events"),
            "webhook_endpoint": format!("{origin}/webhook"),
            "webhook_secret": webhook.secret,
            "subscription_secret": hears_all.then_some(subscription.secret),
        },
        "tenant_id": tenant,
    });
    // The oldest plugins read the members at the top level.
    if let Some(Value::Object(data)) = answer.get("data").cloned()
        && let Value::Object(members) = &mut answer
    {
        members.extend(data);
    }
    Ok(Response::plain_json(200, answer.to_string()))
}

/// The tenant's own origin, reached as this request was: same scheme, same port.
fn origin(request: &Request<Member>) -> String {
    let own = request.caller.host.as_ref().map(|host| host.as_str().to_owned());
    let host = own.or_else(|| request.caller.config.hosts.first().cloned()).unwrap_or_default();
    request.incoming.origin_of(&host)
}
