//! Carillon: the live backend at the edge for fleets of WordPress sites.
//!
//! The entry points of the Worker, and nothing else. The architecture is described in `docs/architecture.md`.

use worker::{Context, Env, Request, Response, ScheduleContext, ScheduledEvent, event};

pub mod api;
pub mod auth;
pub mod credentials;
pub mod graphql;
pub mod http;
pub mod hub;
pub mod isolate_cache;
pub mod live;
pub mod log;
pub mod pipeline;
pub mod records;
pub mod routes;
pub mod storage;
pub mod tenant;
pub mod tenant_id;

/// Every request.
#[event(fetch)]
async fn fetch(request: Request, env: Env, ctx: Context) -> worker::Result<Response> {
    pipeline::handle(request, env, ctx).await
}

/// Each trigger: its background work (`pipeline::cron`).
#[event(scheduled)]
async fn scheduled(event: ScheduledEvent, env: Env, _ctx: ScheduleContext) {
    pipeline::cron::run(env, &event.cron()).await;
}
