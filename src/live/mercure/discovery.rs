//! The hub's metadata (RFC 9728; Mercure, Protected Resource Metadata).

use crate::auth::mercure::carrier::COOKIE;
use crate::auth::mercure::grants::DETAIL;
use crate::auth::principal::Visitor;
use crate::http::problem::Problem;
use crate::http::request::Request;
use crate::http::response::Response;
use domain::json;

/// `GET /.well-known/oauth-protected-resource/.well-known/mercure`
pub async fn metadata(request: Request<Visitor>) -> Result<Response, Problem> {
    let settings = &request.caller.config.mercure;
    let servers: Vec<&str> = settings.issuers.iter().map(|issuer| issuer.issuer.as_str()).collect();
    let metadata = json!({
        "resource": super::hub_url(&request)?.as_str(),
        "authorization_servers": servers,
        "authorization_details_types_supported": [DETAIL],
        "bearer_methods_supported": ["header"],
        "mercure_cookie": COOKIE,
        "mercure_matcher_types_supported": ["exact", "urlpattern"],
        "mercure_subscriptions": settings.subscriptions,
    });
    Ok(Response::plain_json(200, metadata.to_string()).header("Cache-Control", "public, max-age=60"))
}
