//! `GET /` on a tenant's host: a developer's first look. Subscribes on either wire and shows events live; publishes on
//! Mercure's.

use crate::auth::principal::Visitor;
use crate::http::problem::Problem;
use crate::http::request::Request;
use crate::http::response::Response;

const PAGE: &str = include_str!("page.html");

/// Scripts and styles are the page's own, and it talks to this host alone.
const POLICY: &str = "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; connect-src 'self'; \
                      img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// The page. The tenant's id is all it is told, and ids need no escaping.
pub async fn show(request: Request<Visitor>) -> Result<Response, Problem> {
    let page = PAGE.replace("{{tenant}}", request.caller.tenant.as_str());
    Ok(Response::html(page).header("Content-Security-Policy", POLICY).header("Referrer-Policy", "no-referrer"))
}
