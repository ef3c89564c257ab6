//! When waiting events are sent: the queue of events, the fan-out's timing, and the watermark.
//!
//! An event that arrives at an idle hub is sent at once, or after a few milliseconds where a fan-out is expensive. Events
//! that arrive while the last fan-out is still being carried out wait until its window ends; then each of them is framed
//! once, and each stream gets one message.
//!
//! Invariant: the watermark never passes an event that is still to be sent to a live stream.

use super::broadcast::Delivery;
use super::event_log::Entry;
use domain::clock::Timestamp;

/// The longest window.
const MAX_WINDOW_MILLIS: i64 = 500;

/// How long publishes must pause before a fan-out that follows another one.
const DEBOUNCE_MILLIS: i64 = 4;

/// The longest pause that a fan-out at an idle hub waits for.
const MAX_FIRST_DEBOUNCE_MILLIS: i64 = 20;

/// Most bytes of events in one message.
const PART_BYTES: u64 = 256 * 1024;

/// Bytes that a stream is sent live within [`BURST_MILLIS`], whether or not its client reads them. With one more part
/// they stay below what a bridge buffers (`SLOW_CLIENT_BYTES` in `hub/client_stream.js`).
const BURST_BYTES: u64 = 512 * 1024;

/// The time over which what is sent live is bounded.
const BURST_MILLIS: i64 = 250;

/// The queue of events that are in the log and not sent yet.
#[derive(Debug, Default)]
pub struct FanOut {
    queue: Vec<Entry>,
    /// When the oldest event in the queue arrived.
    waiting_since: Timestamp,
    /// When the newest one arrived.
    published_at: Timestamp,
    /// When the last fan-out began.
    began_at: Timestamp,
    /// How long after its beginning the next one may begin.
    window_millis: i64,
    burst: Burst,
    /// Every live stream was sent everything up to this sequence number.
    watermark: Option<u64>,
}

impl FanOut {
    /// With the watermark that survived a restart.
    pub fn new(watermark: Option<u64>) -> Self {
        Self { watermark, ..Self::default() }
    }

    pub fn watermark(&self) -> Option<u64> {
        self.watermark
    }

    /// Moves the watermark to the newest event, unless events are waiting. True if it has moved.
    pub fn advance_watermark(&mut self, last: u64) -> bool {
        let advances = self.queue.is_empty() && self.watermark != Some(last);
        if advances {
            self.watermark = Some(last);
        }
        advances
    }

    pub fn enqueue(&mut self, entry: Entry, now: Timestamp) {
        if self.queue.is_empty() {
            self.waiting_since = now;
        }
        self.queue.push(entry);
        self.published_at = now;
    }

    /// How many events wait.
    pub fn waiting(&self) -> u64 {
        self.queue.len() as u64
    }

    /// Drops what waits: there is no stream left to send it to.
    pub fn clear(&mut self) {
        self.queue.clear();
    }

    /// In how many milliseconds the next fan-out is due, if events wait.
    pub fn due_in(&self, now: Timestamp) -> Option<i64> {
        (!self.queue.is_empty()).then(|| self.began_at.plus_millis(self.window_millis).since(now).max(0))
    }

    /// How many milliseconds a fan-out that is due should wait for a pause between publishes, if it should: what they
    /// bring costs less as part of this fan-out than as the next one. It waits at most as long again as the window.
    pub fn debounce(&self, now: Timestamp) -> Option<i64> {
        let free_at = self.began_at.plus_millis(self.window_millis);
        let was_idle = self.waiting_since >= free_at;
        let pause = if was_idle { first_debounce_millis(self.window_millis) } else { DEBOUNCE_MILLIS };
        let due = free_at.max(self.waiting_since);
        is_held(pause, self.window_millis, due, self.published_at, now).then_some(pause)
    }

    /// Begins a fan-out: hands over the queue.
    pub fn begin(&mut self, now: Timestamp) -> Vec<Entry> {
        let batch = std::mem::take(&mut self.queue);
        if !batch.is_empty() {
            self.began_at = now;
        }
        batch
    }

    /// How the next part of a batch is delivered.
    pub fn delivery(&mut self, part: &[Entry], now: Timestamp) -> Delivery {
        self.burst.delivery(part, now)
    }

    /// Notes that the runtime has carried out the last fan-out. The next one waits in proportion. Returns what it cost, in
    /// milliseconds.
    pub fn finish(&mut self, now: Timestamp) -> i64 {
        let cost_millis = now.since(self.began_at);
        self.window_millis = window_millis(cost_millis);
        cost_millis
    }
}

/// How long events wait after a fan-out, counted from its beginning: a quarter longer than it cost, so that a fifth of
/// the runtime's time is always free for publishers.
///
/// Its cost is the time until the event loop comes to a timer of zero that was set behind the sends.
fn window_millis(cost_millis: i64) -> i64 {
    cost_millis.saturating_add(cost_millis / 4).clamp(0, MAX_WINDOW_MILLIS)
}

/// How long publishes must pause before a fan-out at an idle hub: a fifth of what the last one cost, at most 20 ms. Where
/// fan-outs are cheap it is nothing, and a single event is sent at once.
fn first_debounce_millis(window_millis: i64) -> i64 {
    (window_millis / 6).clamp(0, MAX_FIRST_DEBOUNCE_MILLIS)
}

/// Whether a fan-out that was due at `due` waits a little longer, because the last publish is less than `pause` ago.
fn is_held(pause: i64, window: i64, due: Timestamp, published_at: Timestamp, now: Timestamp) -> bool {
    now.since(published_at) < pause && now < due.plus_millis(window)
}

/// Counts what was sent live in the last moments. What exceeds the bound, such as the records of a large import, is
/// paged, so that no client that keeps up is cut off.
#[derive(Debug, Default)]
struct Burst {
    since: Timestamp,
    bytes: u64,
}

impl Burst {
    fn delivery(&mut self, part: &[Entry], now: Timestamp) -> Delivery {
        if now.since(self.since) >= BURST_MILLIS {
            *self = Self { since: now, bytes: 0 };
        }
        self.bytes += part.iter().map(Entry::bytes).sum::<u64>();
        if self.bytes > BURST_BYTES { Delivery::Paged } else { Delivery::Live }
    }
}

/// Cuts a batch into parts of at most [`PART_BYTES`], and of at least one event.
pub fn parts(mut rest: &[Entry]) -> impl Iterator<Item = &[Entry]> {
    std::iter::from_fn(move || {
        let mut bytes = 0;
        let fits = |entry: &&Entry| {
            let is_first = bytes == 0;
            bytes += entry.bytes();
            is_first || bytes <= PART_BYTES
        };
        let (part, left) = rest.split_at_checked(rest.iter().take_while(fits).count())?;
        rest = left;
        (!part.is_empty()).then_some(part)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::topic::Topic;

    fn at(millis: i64) -> Timestamp {
        Timestamp::from_millis(millis)
    }

    fn sized(seq: u64, kilobytes: usize) -> Entry {
        let topics = vec![Topic::parse("a").unwrap()];
        let tail = "x".repeat(kilobytes * 1000);
        Entry {
            seq,
            topics,
            private: false,
            name: "n".into(),
            tail,
            update: None,
            creation_id: None,
            before: None,
            change: None,
        }
    }

    #[test]
    fn a_batch_is_cut_where_a_message_would_grow_too_long() {
        let batch: Vec<_> = [10, 200, 20, 300, 10, 65, 65, 65, 65].iter().zip(1..).map(|(k, n)| sized(n, *k)).collect();
        let cut: Vec<usize> = parts(&batch).map(<[Entry]>::len).collect();
        assert_eq!(cut, [3, 1, 4, 1]);
        assert_eq!(parts(&[]).count(), 0);
    }

    #[test]
    fn a_burst_is_paged_until_it_is_over() {
        let part = [sized(1, 250)];
        let mut burst = Burst::default();
        let sent: Vec<_> = [1000, 1001, 1002, 1100, 1249, 1250].map(|now| burst.delivery(&part, at(now))).into();
        use Delivery::{Live, Paged};
        assert_eq!(sent, [Live, Live, Paged, Paged, Paged, Live]);
    }

    #[test]
    fn the_window_follows_the_cost() {
        assert_eq!(window_millis(0), 0);
        assert_eq!(window_millis(40), 50);
        assert_eq!(window_millis(1000), 500);
        assert_eq!(window_millis(-5), 0, "a clock that steps back");
    }

    #[test]
    fn a_due_fan_out_waits_for_a_pause_but_not_for_ever() {
        assert!(is_held(DEBOUNCE_MILLIS, 100, at(1100), at(1099), at(1100)), "publishes pour in");
        assert!(!is_held(DEBOUNCE_MILLIS, 100, at(1100), at(1096), at(1100)), "a pause");
        assert!(!is_held(DEBOUNCE_MILLIS, 100, at(1100), at(1199), at(1200)), "as long again as the window");
        assert!(!is_held(DEBOUNCE_MILLIS, 0, at(1000), at(1000), at(1000)), "no window, no wait");
    }

    #[test]
    fn at_an_idle_hub_an_event_waits_a_fifth_of_what_its_fan_out_will_cost() {
        assert_eq!(first_debounce_millis(window_millis(2)), 0, "where fan-outs are cheap a single event goes at once");
        assert_eq!(first_debounce_millis(window_millis(50)), 10);
        assert_eq!(first_debounce_millis(window_millis(400)), 20);
    }
}
