//! What a browser's `EventSource` is told that cannot have its stream now.
//!
//! An `EventSource` that gets an error as its answer never asks again (WHATWG HTML, "Server-sent events"). So where waiting
//! helps, whoever asks as it does gets a stream that says when to come back, and ends.

use crate::http::incoming::Incoming;
use crate::http::problem::Problem;
use crate::http::response::Response;
use crate::hub::protocol::WireFormat;
use crate::routes::{self, Admission, Endpoint, Matched, Surface, TokenRule};
use crate::storage::sealed::random;
use domain::frame::Frames;
use worker::Method;

/// At most so many milliseconds are added at random, so that those who are told at once do not come back at once.
const JITTER_MILLIS: u64 = 2_000;
/// The longest time that anybody is told to wait, in milliseconds: an hour.
const MOST_MILLIS: u64 = 3_600_000;

/// On which wire a request asks for a stream as an `EventSource` does; none if it does not. The request alone says so:
/// nothing is looked up, and no tenant need be known.
pub fn wire(request: &Incoming) -> Option<WireFormat> {
    wire_of(&request.method, &request.path, &request.header("Accept")?)
}

fn wire_of(method: &Method, path: &str, accept: &str) -> Option<WireFormat> {
    if *method != Method::Get || !accept.to_ascii_lowercase().contains("text/event-stream") {
        return None;
    }
    let Matched::Route(route, _) = routes::find(Surface::Tenant, method, path) else { return None };
    if route.admission != Admission::Streams {
        return None;
    }
    Some(match route.endpoint {
        Endpoint::Visitor(TokenRule::Mercure, _) => WireFormat::Mercure,
        _ => WireFormat::Plain,
    })
}

/// The answer to a request that failed: to one that asked as an `EventSource` does, a stream where waiting helps.
pub fn answer(problem: &Problem, wire: Option<WireFormat>, request_id: &str) -> Response {
    wire.and_then(|wire| stream(problem, wire, request_id)).unwrap_or_else(|| Response::problem(problem, request_id))
}

/// The stream in place of a problem that goes by itself; none for any other.
fn stream(problem: &Problem, wire: WireFormat, request_id: &str) -> Option<Response> {
    let waits = matches!(problem.status, 429 | 503);
    let after = problem.headers.iter().find(|(name, _)| waits && *name == "Retry-After");
    let seconds: u64 = after?.1.parse().ok()?;
    let jitter = random::<2>().map_or(0, |bytes| u64::from(u16::from_be_bytes(bytes)) % JITTER_MILLIS);
    let text = told(&problem.to_json(request_id), wire, seconds.saturating_mul(1000).saturating_add(jitter));
    let mut answer = Response::event_text(text);
    answer.headers.extend(problem.headers.iter().cloned());
    Some(answer)
}

/// When to come back; and why, where clients know events of the hub.
fn told(problem: &str, wire: WireFormat, millis: u64) -> String {
    let mut frames = Frames::new();
    frames.retry(u32::try_from(millis.min(MOST_MILLIS)).unwrap_or(u32::MAX));
    match wire {
        WireFormat::Plain | WireFormat::Named => frames.control("hub.busy", None, problem),
        WireFormat::Mercure => frames.comment(),
    };
    frames.into_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::problem;

    #[test]
    fn it_says_when_to_come_back_and_why() {
        assert_eq!(
            told(r#"{"code":"x"}"#, WireFormat::Plain, 7_100),
            "retry: 7100\nevent: hub.busy\ndata: {\"code\":\"x\"}\n\n"
        );
        assert_eq!(told("{}", WireFormat::Mercure, u64::MAX), "retry: 3600000\n:\n");
    }

    #[test]
    fn path_and_accept_tell_who_asks_as_an_event_source_does() {
        let wire = |path: &str, accept: &str| wire_of(&Method::Get, path, accept);
        assert_eq!(wire("/events", "text/event-stream"), Some(WireFormat::Plain));
        assert_eq!(wire("/.well-known/mercure", "Text/Event-Stream"), Some(WireFormat::Mercure));
        for (path, accept) in [
            ("/events", "*/*"),
            ("/events", "application/json"),
            ("/api/v1/leads", "text/event-stream"),
            ("/", "text/event-stream"),
            ("/nothing/of/ours", "text/event-stream"),
        ] {
            assert_eq!(wire(path, accept), None, "{path} {accept}");
        }
        for method in [Method::Head, Method::Post, Method::Options] {
            assert_eq!(wire_of(&method, "/events", "text/event-stream"), None, "{method}");
        }
    }

    #[test]
    fn only_what_goes_by_itself_becomes_a_stream() {
        for lasting in [problem::not_found(), problem::internal("x"), problem::unauthorized()] {
            assert!(stream(&lasting, WireFormat::Plain, "r").is_none(), "{lasting:?}");
        }
    }
}
