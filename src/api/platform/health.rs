//! `GET /health`: whether control database, shards, KV and R2 respond.

use serde_json::{Map, Value};

use crate::auth::principal::Anyone;
use crate::http::problem::{self, Problem};
use crate::http::request::Request;
use crate::http::response::Response;
use crate::log;
use crate::storage::probe;
use domain::json;

/// 200 if every store responds, else 503.
pub async fn health(request: Request<Anyone>) -> Result<Response, Problem> {
    let mut checks = Map::new();
    let mut is_healthy = true;
    for (name, outcome) in probe::all(&request.bindings).await {
        if let Err(cause) = &outcome {
            log::failed_check(&name, cause);
        }
        is_healthy &= outcome.is_ok();
        checks.insert(name, Value::from(if outcome.is_ok() { "ok" } else { "failing" }));
    }
    if !is_healthy {
        return Err(problem::unavailable(Value::Object(checks)));
    }
    Response::json(200, &json!({ "status": "ok", "version": env!("CARGO_PKG_VERSION"), "checks": checks }), None)
}
