//! `GET /docs`: a page that lists, searches, shows and tries the operations of the host's OpenAPI document.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;

use crate::http::problem::{self, Problem};
use crate::http::request::Request;
use crate::http::response::Response;
use crate::storage::sealed::random;

const PAGE: &str = include_str!("page.html");

/// The page. Its one script and its one style carry a nonce that no other page has, and it connects to this host alone.
pub async fn show<Who>(_: Request<Who>) -> Result<Response, Problem> {
    let nonce = BASE64.encode(random::<16>().map_err(problem::internal)?);
    let policy = format!(
        "default-src 'none'; script-src 'nonce-{nonce}'; style-src 'nonce-{nonce}'; connect-src 'self'; img-src data:; \
         base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'"
    );
    let page = PAGE.replace("{{nonce}}", &nonce);
    Ok(Response::html(page).header("Content-Security-Policy", policy).header("Referrer-Policy", "no-referrer"))
}
