//! `/api/v1/signing-keys`: the keys that our tokens are signed with, and a new one.

use serde_json::Value;

use super::audited;
use crate::auth::principal::Operator;
use crate::auth::signing_keys::SigningKeys;
use crate::http::problem::{self, Answered};
use crate::http::request::Call;
use crate::http::response::Answer;
use crate::storage::control_db::ControlDb;
use domain::json;

/// Most keys that verify at a time: every verifier reads all of them.
const MAX_KEYS: i64 = 20;

/// `GET /api/v1/signing-keys`
pub async fn list(call: Call<Operator>) -> Answered<Answer> {
    let keys = SigningKeys::load_anew(&call.bindings).await?;
    Answer::json(200, &keys.shown(), None)
}

/// `POST /api/v1/signing-keys/rotate`
pub async fn rotate(call: Call<Operator>) -> Answered<Answer> {
    let before = SigningKeys::load_anew(&call.bindings).await?.shown();
    if i64::try_from(before.len()).is_ok_and(|count| count >= MAX_KEYS) {
        return Err(problem::too_many("signing_keys", MAX_KEYS));
    }
    let replaced = before.first().and_then(|key| key.get("kid")).cloned().unwrap_or(Value::Null);
    let audit = audited(&call, "signing_keys.rotate", json!({ "replaced": replaced }));
    let db = ControlDb::open(&call.bindings, "rotate the signing keys")?;
    let keys = SigningKeys::rotate(&call.bindings, &db, audit).await?;
    Answer::json(201, &keys.shown(), None)
}
