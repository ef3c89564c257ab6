//! The rest between two steps of background work, in which a database serves others.

use std::time::Duration;

use worker::Delay;

use super::bindings::SystemClock;
use domain::clock::{Clock, Timestamp};
use domain::turns::rest_millis;

/// Rests as long as what began then took.
pub async fn rest_since(began: Timestamp) {
    let millis = rest_millis(SystemClock.now().since(began));
    Delay::from(Duration::from_millis(millis.unsigned_abs())).await;
}
