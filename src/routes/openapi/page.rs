//! `GET /docs`: the OpenAPI document of the host, for people. Lists, searches, shows and tries its operations.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;

use crate::http::problem::{self, Problem};
use crate::http::request::Request;
use crate::http::response::Response;
use crate::routes::route::Table;
use crate::storage::sealed::random;

const PAGE: &str = include_str!("page.html");

/// The page. Its one script and its one style are known by a number that no other page has, and it talks to this
/// host alone.
pub async fn show(_: Request<Table>) -> Result<Response, Problem> {
    let nonce = BASE64.encode(random::<16>().map_err(problem::internal)?);
    let policy = format!(
        "default-src 'none'; script-src 'nonce-{nonce}'; style-src 'nonce-{nonce}'; connect-src 'self'; img-src data:; \
         base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'"
    );
    let page = PAGE.replace("{{nonce}}", &nonce);
    Ok(Response::html(page).header("Content-Security-Policy", policy).header("Referrer-Policy", "no-referrer"))
}
