//! The platform itself, and its operators.

use super::entry::{get, handler};
use super::route::Endpoint::Anyone;
use super::route::Route;
use crate::api;

pub const ROUTES: &[Route] = &[get("platform.health", "/health", Anyone(handler!(api::platform::health::health)))
    .summary("Whether control database, shards, KV and R2 answer, and which version runs.")
    .answers("200 {status: 'ok', version: string, checks: {*: string}}")];
