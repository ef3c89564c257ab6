//! Structured log lines, one per request and some for faults. They hold ids, names and numbers: no address, no
//! credential, no content.
//!
//! The only code that writes to the console. May not touch: data of tenants.

use std::cell::Cell;

use serde::Serialize;

use domain::json;

/// The line of a request.
#[derive(Debug, Serialize)]
pub struct RequestLine<'a> {
    /// `info`, or `error` for a 5xx.
    pub level: &'static str,
    /// Always `request`.
    pub event: &'static str,
    /// Our id for the request.
    pub request_id: &'a str,
    /// The tenant it was for, once proven.
    pub tenant: Option<&'a str>,
    /// The route's name; none for an unknown path.
    pub route: Option<&'static str>,
    /// HTTP method.
    pub method: &'a str,
    /// HTTP status.
    pub status: u16,
    /// The problem's code, for a problem.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code: Option<&'static str>,
    /// Milliseconds until the response's head.
    pub duration_ms: i64,
    /// What really happened, if the response does not say it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cause: Option<&'a str>,
}

impl RequestLine<'_> {
    /// Writes the line.
    pub fn write(&self) {
        if let Ok(line) = serde_json::to_string(self) {
            worker::console_log!("{line}");
        }
    }
}

/// A request named two tenants. The audit row holds the address; this line does not.
pub fn cross_tenant_attempt(request_id: &str, route: Option<&str>, tenant: Option<&str>) {
    let line = json!({
        "level": "warn", "event": "cross_tenant_attempt", "request_id": request_id, "route": route, "tenant": tenant,
    });
    worker::console_warn!("{line}");
}

/// Something failed outside a request, or after its response.
pub fn fault(event: &str, cause: &str) {
    worker::console_error!("{}", json!({ "level": "error", "event": event, "cause": cause }));
}

/// A tenant's change has not reached every store yet; cron will retry it.
pub fn pending_change(tenant: &str, code: &str, cause: Option<&str>) {
    let line = json!({
        "level": "error", "event": "tenant_change_pending", "tenant": tenant, "code": code, "cause": cause,
    });
    worker::console_error!("{line}");
}

/// A store or a hub failed a health check; `check` names it.
pub fn failed_check(check: &str, cause: &str) {
    let line = json!({ "level": "error", "event": "health_check", "check": check, "cause": cause });
    worker::console_error!("{line}");
}

/// A tenant's turn of background work failed; it waits, and has another one later.
pub fn failed_turn(work: &str, tenant: &str, cause: &str) {
    let line = json!({ "level": "error", "event": "background_turn", "work": work, "tenant": tenant, "cause": cause });
    worker::console_error!("{line}");
}

/// A recount found that the bytes of a tenant's collection were counted wrong, by so many too many, and mended them.
pub fn bytes_mended(tenant: &str, collection: &str, difference: i64) {
    let line = json!({
        "level": "error", "event": "bytes_mended", "tenant": tenant, "collection": collection, "difference": difference,
    });
    worker::console_error!("{line}");
}

/// A tenant's site was asked, and did not answer with GraphQL.
pub fn site_failed(tenant: &str, cause: &str) {
    let line = json!({ "level": "warn", "event": "site_failed", "tenant": tenant, "cause": cause });
    worker::console_warn!("{line}");
}

/// A custom domain could not be checked; cron will try again.
pub fn failed_domain_check(tenant: &str, cause: &str) {
    let line = json!({ "level": "error", "event": "domain_check", "tenant": tenant, "cause": cause });
    worker::console_error!("{line}");
}

/// A custom domain is served no more, because its TXT record was missing for days.
pub fn domain_lost(tenant: &str) {
    worker::console_warn!("{}", json!({ "level": "warn", "event": "domain_lost", "tenant": tenant }));
}

/// What a run of cron did: a count for each part, null if it failed.
pub fn cron(parts: &[(&str, Option<u64>)]) {
    let mut line = serde_json::Map::new();
    line.insert("level".into(), "info".into());
    line.insert("event".into(), "cron".into());
    line.extend(parts.iter().map(|(name, done)| ((*name).to_owned(), (*done).into())));
    worker::console_log!("{}", serde_json::Value::Object(line));
}

/// A row of a tenant's outbox became no event, because it could not be read.
pub fn outbox_row_unreadable(tenant: &str, seq: u64) {
    let line = json!({ "level": "error", "event": "outbox_unreadable", "tenant": tenant, "seq": seq });
    worker::console_error!("{line}");
}

/// A hub reads a tenant's outbox from its beginning: the shard was restored to an earlier moment.
pub fn outbox_started_over(tenant: &str) {
    let line = json!({ "level": "warn", "event": "outbox_started_over", "tenant": tenant });
    worker::console_warn!("{line}");
}

/// A mail that is not delivered, with its token; for development and tests only.
pub fn undelivered_mail(kind: &str, tenant: &str, token: &str) {
    let line = json!({ "level": "info", "event": "mail", "type": kind, "tenant": tenant, "token": token });
    worker::console_log!("{line}");
}

thread_local! {
    static DATABASE_CALLS: Cell<u64> = const { Cell::new(0) };
    static HUB_CALLS: Cell<u64> = const { Cell::new(0) };
}

/// Counts a call of a database.
pub fn database_called() {
    DATABASE_CALLS.set(DATABASE_CALLS.get() + 1);
}

/// Counts a message to a hub.
pub fn hub_called() {
    HUB_CALLS.set(HUB_CALLS.get() + 1);
}

/// How often the isolate has called databases and hubs when it answered a request; for tests that show what a request does
/// not cost.
pub fn calls(request_id: &str) {
    let (database, hub) = (DATABASE_CALLS.get(), HUB_CALLS.get());
    let line = json!({
        "level": "info", "event": "calls", "request_id": request_id, "database": database, "hub": hub,
    });
    worker::console_log!("{line}");
}

/// How many rows each statement of a transaction on a tenant's rows read and wrote, by the database's own count; for tests
/// that show what a request costs.
pub fn rows<'a>(tenant: &str, statements: impl Iterator<Item = (&'a str, u64, u64)>) {
    let each = |(name, read, written)| json!({ "name": name, "read": read, "written": written });
    let statements: Vec<_> = statements.map(each).collect();
    let line = json!({ "level": "info", "event": "rows", "tenant": tenant, "statements": statements });
    worker::console_log!("{line}");
}

/// How often a request hashed a password; for tests only.
pub fn password_work(request_id: &str, hashes: u32) {
    let line = json!({
        "level": "info", "event": "password_work", "request_id": request_id, "hashes": hashes,
    });
    worker::console_log!("{line}");
}
