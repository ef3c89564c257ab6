//! `GET /health`: whether control database, shards, KV and R2 answer.

use serde_json::{Map, Value};

use crate::auth::principal::Anyone;
use crate::http::answer::Answer;
use crate::http::call::Call;
use crate::http::problem::{self, Answered};
use crate::json;
use crate::storage::probe;

/// 200 once everything the platform stands on answers, else 503.
pub async fn health(call: Call<Anyone>) -> Answered<Answer> {
    let mut checks = Map::new();
    let mut well = true;
    for (name, outcome) in probe::all(&call.bindings).await {
        if let Err(cause) = &outcome {
            worker::console_error!(
                "{}",
                json!({ "level": "error", "event": "health_check", "check": name, "cause": cause })
            );
        }
        well &= outcome.is_ok();
        checks.insert(name, Value::from(if outcome.is_ok() { "ok" } else { "failing" }));
    }
    if !well {
        return Err(problem::unavailable(Value::Object(checks)));
    }
    Answer::json(200, &json!({ "status": "ok", "checks": checks }), None)
}
