//! `/api/v1/signing-keys`: the keys that our tokens are signed with, and a new one.

use serde_json::Value;

use super::audit;
use crate::auth::principal::Operator;
use crate::auth::signing_keys::SigningKeys;
use crate::http::problem::{self, Problem};
use crate::http::request::Request;
use crate::http::response::Response;
use crate::storage::control_db::ControlDb;
use domain::json;

/// Most keys that verify at a time: every verifier reads all of them.
const MAX_KEYS: i64 = 20;

/// `GET /api/v1/signing-keys`
pub async fn list(request: Request<Operator>) -> Result<Response, Problem> {
    let keys = SigningKeys::reload(&request.bindings).await?;
    Response::json(200, &keys.shown(), None)
}

/// `POST /api/v1/signing-keys/rotate`
pub async fn rotate(request: Request<Operator>) -> Result<Response, Problem> {
    let before = SigningKeys::reload(&request.bindings).await?.shown();
    if i64::try_from(before.len()).is_ok_and(|count| count >= MAX_KEYS) {
        return Err(problem::too_many("signing_keys", MAX_KEYS));
    }
    let replaced = before.first().and_then(|key| key.get("kid")).cloned().unwrap_or(Value::Null);
    let audit = audit(&request, "signing_keys.rotate", json!({ "replaced": replaced }));
    let db = ControlDb::open(&request.bindings, "rotate the signing keys")?;
    let keys = SigningKeys::rotate(&request.bindings, &db, audit).await?;
    Response::json(201, &keys.shown(), None)
}
