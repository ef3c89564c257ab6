//! A Worker that answers every request with 204 and nothing else.

use worker::{Context, Env, Request, Response, event};

/// Every request.
#[event(fetch)]
async fn fetch(_request: Request, _env: Env, _ctx: Context) -> worker::Result<Response> {
    Ok(Response::empty()?.with_status(204))
}
