//! The platform itself, and its operators.

use worker::Method;

use super::contract::answers;
use super::route::{Access, Admission, Route, Surface, handler, shipped};
use crate::api;

/// The section.
pub const ROUTES: &[Route] = &shipped([Route {
    name: "platform.health",
    method: Method::Get,
    path: "/health",
    aliases: &[],
    surface: Surface::Platform,
    access: Access::Anyone,
    admission: Admission::Unmetered,
    handler: handler!(Anyone, api::platform::health::health),
    contract: answers("200 {status: 'ok', checks: {*: string}}"),
    summary: "Whether control database, shards and KV answer.",
    request: "",
    answer: "200 `{status, checks}`, or 503.",
}]);
