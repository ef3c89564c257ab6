//! `POST /api/tenant/config`: a WordPress site asks, with a key of its tenant, for what it needs to connect.
//!
//! Every disclosure of the secrets is audited before it is made. A site that tells another GraphQL
//! endpoint than the registry has changes it, as an operator would.

use serde_json::Value;

use super::deed;
use super::endpoint;
use crate::api::tenants::input;
use crate::auth::principal::Member;
use crate::http::fields::Fields;
use crate::http::incoming::JSON;
use crate::http::problem::{self, Answered};
use crate::http::request::Call;
use crate::http::response::Answer;
use crate::storage::control_db::ControlDb;
use crate::tenant::secrets;
use domain::json;

/// Tells the site its endpoints and secrets.
pub async fn configure(mut call: Call<Member>) -> Answered<Answer> {
    let mut fields = Fields::new(call.request.json_object(JSON).await?);
    let endpoint = fields.parsed("wpgraphql_endpoint", input::parse_endpoint);
    let domain = fields.text("domain", 2000);
    fields.finish()?;

    let tenant = call.who.tenant.as_str();
    let kept = secrets::load_anew(&call.bindings, tenant).await?;
    let now = call.now();
    let (webhook, subscription) = (kept.signing(now), kept.subscription(now));
    let (Some(webhook), Some(subscription)) = (webhook.first(), subscription.first()) else {
        return Err(problem::internal("the tenant has no secrets"));
    };
    let told = json!({ "wpgraphql_endpoint": endpoint, "domain": domain });
    let deed = deed(&call, "tenant.disclose_secrets", Some(tenant), Some(told)).statement();
    call.who.rows(&call.bindings)?.write().add(deed.0, deed.1).commit().await?;
    if let Some(endpoint) = &endpoint {
        let db = ControlDb::open(&call.bindings, "configure a site")?;
        endpoint::set(&call.bindings, &db, tenant, endpoint, call.who.actor(), &call.request.id).await?;
    }
    let origin = origin(&call);
    let mut answer = json!({
        "success": true,
        "data": {
            "tenant_id": tenant,
            "sse_endpoint": format!("{origin}/events"),
            "webhook_endpoint": format!("{origin}/webhook"),
            "webhook_secret": webhook.secret,
            "subscription_secret": subscription.secret,
        },
        "tenant_id": tenant,
    });
    // Plugins of the first hour read the members at the top.
    if let Some(Value::Object(data)) = answer.get("data").cloned()
        && let Value::Object(members) = &mut answer
    {
        members.extend(data);
    }
    Ok(Answer::plain_json(200, answer.to_string()))
}

/// The tenant's own origin, reached as this request was: same scheme, same port.
fn origin(call: &Call<Member>) -> String {
    let own = call.who.host.as_ref().map(|host| host.as_str().to_owned());
    let host = own.or_else(|| call.who.config.hosts.first().cloned()).unwrap_or_default();
    call.request.origin_of(&host)
}
