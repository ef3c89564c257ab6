//! `GET /events/diagnose`: a stream that shows what proxies between a browser and the Worker do to streams.
//!
//! It sends the headers that arrived, then ticks at a known pace with the time of each, a padded block, and a silence. Ticks
//! that arrive together show a proxy that buffers, an end during the silence one that cuts idle streams, and a missing
//! header one that strips it.

use super::bridge;
use super::events::check_accept;
use crate::auth::principal::Visitor;
use crate::http::problem::{self, Problem};
use crate::http::request::Request;
use crate::http::response::Response;
use domain::frame::Frames;
use domain::json;

/// Request headers that matter to streams.
const SHOWN: [&str; 5] = ["Accept", "Accept-Encoding", "Cache-Control", "Last-Event-ID", "Origin"];
/// Headers with credentials: only their presence is shown.
const PRESENCE_ONLY: [&str; 2] = ["Authorization", "Cookie"];

/// `GET /events/diagnose?ticks=&interval_ms=&idle_ms=`
pub async fn stream(request: Request<Visitor>) -> Result<Response, Problem> {
    check_accept(&request.incoming)?;
    let query = &request.incoming.query;
    let ticks = query.number("ticks", 1..=60, 5)?;
    let interval = query.number("interval_ms", 10..=5000, 1000)?;
    let idle = query.number("idle_ms", 0..=180_000, 0)?;
    if request.is_head() {
        return Ok(Response::events(None));
    }
    let shown = SHOWN.iter().map(|name| (name.to_ascii_lowercase(), json!(request.incoming.header(name))));
    let present =
        PRESENCE_ONLY.iter().map(|name| (name.to_ascii_lowercase(), json!(request.incoming.header(name).is_some())));
    let headers: serde_json::Map<_, _> = shown.chain(present).collect();
    let first = json!({
        "headers": headers,
        "scheme": request.incoming.scheme,
        "sent_at": request.now(),
        "ticks": ticks,
        "interval_ms": interval,
        "idle_ms": idle,
    });
    let mut frames = Frames::new();
    frames.retry(86_400_000).control("diagnose.headers", None, &first.to_string());
    let stream = bridge::diagnosis(&frames.into_string(), ticks, interval, idle, &request.incoming.signal());
    Ok(Response::events(Some(stream.map_err(problem::internal)?)))
}
