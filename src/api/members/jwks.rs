//! `GET /.well-known/jwks.json`: the keys that our tokens verify with.

use crate::auth::principal::{Anyone, Visitor};
use crate::auth::signing_keys::SigningKeys;
use crate::http::problem::Problem;
use crate::http::request::Request;
use crate::http::response::Response;
use crate::storage::bindings::Bindings;

/// How long others may cache the keys. A new key signs at once, so they fetch again when they see one they do not know.
const MAX_AGE: &str = "public, max-age=300";

/// On the platform's host.
pub async fn show(request: Request<Anyone>) -> Result<Response, Problem> {
    keys(&request.bindings).await
}

/// On a tenant's host.
pub async fn show_on_tenant(request: Request<Visitor>) -> Result<Response, Problem> {
    keys(&request.bindings).await
}

async fn keys(bindings: &Bindings) -> Result<Response, Problem> {
    let keys = SigningKeys::load(bindings).await?;
    Ok(Response::plain_json(200, keys.jwks().to_string()).header("Cache-Control", MAX_AGE))
}
