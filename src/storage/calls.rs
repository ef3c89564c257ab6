//! How often this isolate has called a database or a hub, for tests that show what a request does not cost.

use std::cell::Cell;

thread_local! {
    static DATABASE: Cell<u64> = const { Cell::new(0) };
    static HUB: Cell<u64> = const { Cell::new(0) };
}

/// Counts a call of D1.
pub(super) fn database_called() {
    DATABASE.with(|count| count.set(count.get() + 1));
}

/// Counts a message to a hub.
pub fn hub_called() {
    HUB.with(|count| count.set(count.get() + 1));
}

/// Calls of D1 and messages to hubs, since the isolate began.
pub fn so_far() -> (u64, u64) {
    (DATABASE.get(), HUB.get())
}
