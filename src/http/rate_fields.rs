//! The headers that tell how a rate limit stands.

use domain::rate::Rate;

/// Every header that tells how a rate limit stands.
pub const RATE_HEADERS: [&str; 5] =
    ["X-RateLimit-Limit", "X-RateLimit-Remaining", "X-RateLimit-Reset", "RateLimit", "RateLimit-Policy"];

/// The headers that describe a rate limit: `X-RateLimit-*`, and the IETF draft's `RateLimit-Policy`.
pub fn rate_headers(rate: &Rate) -> Vec<(&'static str, String)> {
    let Some(limit) = rate.limit.bound() else { return Vec::new() };
    vec![
        ("X-RateLimit-Limit", limit.to_string()),
        ("X-RateLimit-Remaining", rate.remaining.to_string()),
        ("X-RateLimit-Reset", rate.reset.seconds().to_string()),
        ("RateLimit-Policy", format!("\"{}\";q={limit};w={}", rate.policy, rate.window)),
    ]
}

/// The IETF draft's `RateLimit`, whose time counts from now (seconds since 1970).
pub fn rate_left(rate: &Rate, now_seconds: i64) -> Option<(&'static str, String)> {
    rate.limit.bound()?;
    let left = (rate.reset.seconds() - now_seconds).max(0);
    Some(("RateLimit", format!("\"{}\";r={};t={left}", rate.policy, rate.remaining)))
}
