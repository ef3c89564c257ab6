//! `GET /` on a tenant's host: a page for developers. It subscribes on either wire and shows events live, and publishes on
//! Mercure's.

use crate::auth::principal::Visitor;
use crate::http::problem::Problem;
use crate::http::request::Request;
use crate::http::response::Response;

const PAGE: &str = include_str!("page.html");

/// Inline scripts and styles only, and connections to this host only.
const POLICY: &str = "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; connect-src 'self'; \
                      img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// The page. The tenant's id is its only variable part, and ids need no escaping.
pub async fn show(request: Request<Visitor>) -> Result<Response, Problem> {
    let page = PAGE.replace("{{tenant}}", request.caller.tenant.as_str());
    Ok(Response::html(page).header("Content-Security-Policy", POLICY).header("Referrer-Policy", "no-referrer"))
}
