//! `GET /.well-known/jwks.json`: the keys that our tokens verify with.

use crate::auth::principal::{Anyone, Visitor};
use crate::auth::signing_keys::SigningKeys;
use crate::http::problem::Answered;
use crate::http::request::Call;
use crate::http::response::Answer;
use crate::storage::bindings::Bindings;

/// Seconds that others may keep the set: a new key signs at once, so they look again for one they do not know.
const MAX_AGE: &str = "public, max-age=300";

/// On the platform's host.
pub async fn show(call: Call<Anyone>) -> Answered<Answer> {
    keys(&call.bindings).await
}

/// On a tenant's host.
pub async fn show_on_tenant(call: Call<Visitor>) -> Answered<Answer> {
    keys(&call.bindings).await
}

async fn keys(bindings: &Bindings) -> Answered<Answer> {
    let keys = SigningKeys::load(bindings).await?;
    Ok(Answer::plain_json(200, keys.jwks().to_string()).header("Cache-Control", MAX_AGE))
}
