//! Spreading events: who gets which bytes, and when the next spread may happen.
//!
//! A lone event leads at once, or after a pause of some milliseconds where a spread costs many times
//! that. Events that follow while the last spread is still being carried wait for the window to end;
//! then each is framed once, and every stream gets one chunk.

use std::collections::HashMap;

use super::event_log::{Entry, EventLog};
use super::matching::Index;
use super::protocol::Wire;
use super::subscriber::{Attachment, message};
use crate::domain::frame::Frames;

/// The longest wait, in milliseconds.
const MAX_WINDOW_MILLIS: i64 = 500;

/// How long events wait after a spread, counted from its beginning: a quarter longer than it cost, so
/// that a fifth of the runtime's time is always free for publishers.
///
/// The cost is what passes until the event loop comes to a timer of zero set behind the sends.
pub fn window_millis(cost_millis: i64) -> i64 {
    cost_millis.saturating_add(cost_millis / 4).clamp(0, MAX_WINDOW_MILLIS)
}

/// A pause between publishes that counts as a lull while spreads follow one another, in milliseconds.
pub const LULL_MILLIS: i64 = 4;

/// The longest pause that a spread out of stillness waits for.
const MAX_LEAD_LULL_MILLIS: i64 = 20;

/// The pause that a spread out of stillness waits for: a fifth of what the last one cost, at most 20 ms. Where
/// spreads are cheap it is nothing, and a lone event goes at once.
pub fn lead_lull_millis(window: i64) -> i64 {
    (window / 6).clamp(0, MAX_LEAD_LULL_MILLIS)
}

/// Whether a spread that is due waits a little longer: publishes are still pouring in, and what they
/// bring costs less as part of this spread than as the next one. At most as long again as the window.
pub fn holds(lull: i64, window: i64, due: i64, last_publish: i64, now: i64) -> bool {
    now - last_publish < lull && now < due + window
}

/// One message and the streams it goes to.
#[derive(Debug, PartialEq)]
pub struct Chunk {
    /// The message's bytes.
    pub bytes: Vec<u8>,
    /// Numbers of the streams.
    pub streams: Vec<u64>,
}

/// A live stream and the place it has been sent everything up to.
#[derive(Debug)]
pub struct Live {
    /// What it asks for and may see.
    pub attachment: Attachment,
    /// Everything up to here was sent, or was not for it.
    pub through: u64,
}

/// Frames a batch of events, oldest first, for all live streams, and moves their places.
///
/// Streams that get the same events share one message; each event is framed once per wire.
pub fn chunks(
    log: &EventLog,
    batch: &[Entry],
    index: &Index<u64>,
    streams: &mut HashMap<u64, Live>,
    now: i64,
) -> Vec<Chunk> {
    let Some(last) = batch.last().map(|entry| entry.seq) else { return Vec::new() };
    let mut wanted: HashMap<u64, Vec<usize>> = HashMap::new();
    for (position, entry) in batch.iter().enumerate() {
        for id in index.matching(&entry.topics) {
            let Some(live) = streams.get(&id) else { continue };
            let current = live.attachment.replaying.is_none() && live.through < entry.seq;
            if current && (!entry.private || live.attachment.admits(entry, now)) {
                wanted.entry(id).or_default().push(position);
            }
        }
    }
    let mut groups: HashMap<(Wire, Vec<usize>), Vec<u64>> = HashMap::new();
    for (id, positions) in wanted {
        if let Some(live) = streams.get_mut(&id) {
            live.through = last;
            groups.entry((live.attachment.wire, positions)).or_default().push(id);
        }
    }
    let mut chunks: Vec<Chunk> = Vec::with_capacity(groups.len());
    for ((wire, positions), mut ids) in groups {
        ids.sort_unstable();
        let entries = positions.iter().filter_map(|&position| batch.get(position));
        chunks.push(Chunk { bytes: message(b'E', last, &frames(log, entries, wire)), streams: ids });
    }
    chunks.sort_unstable_by(|a, b| a.streams.cmp(&b.streams));
    chunks
}

/// The frames of some events on a wire.
pub fn frames<'e>(log: &EventLog, entries: impl Iterator<Item = &'e Entry>, wire: Wire) -> String {
    let mut frames = Frames::new();
    for entry in entries {
        let name = (wire == Wire::Named).then_some(entry.name.as_str());
        frames.event(&log.cursor(entry.seq), name, &entry.tail);
    }
    frames.into_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::selector::{Interest, Selector};
    use crate::domain::topic::Topic;
    use proptest::prelude::*;

    fn live(id: u64, selected: &str, granted: &str, wire: Wire) -> Live {
        let parse =
            |text: &str| text.split(' ').filter(|s| !s.is_empty()).map(|s| Selector::parse(s).unwrap()).collect();
        let interest = Interest { selected: parse(selected), granted: parse(granted) };
        let attachment = Attachment {
            id,
            interest,
            expires_at: None,
            since: 0,
            address: String::new(),
            ticket: None,
            secret_version: None,
            minted: None,
            wire,
            replaying: None,
        };
        Live { attachment, through: 0 }
    }

    fn world(streams: Vec<Live>) -> (EventLog, Index<u64>, HashMap<u64, Live>) {
        let sql = rusqlite::Connection::open_in_memory().unwrap();
        let mut index = Index::default();
        for stream in &streams {
            index.insert(stream.attachment.id, &stream.attachment.interest);
        }
        let streams = streams.into_iter().map(|s| (s.attachment.id, s)).collect();
        (EventLog::open(&sql, [3; 8]).unwrap(), index, streams)
    }

    fn entry(seq: u64, topic: &str, private: bool) -> Entry {
        Entry {
            seq,
            topics: vec![Topic::parse(topic).unwrap()],
            private,
            name: "n".into(),
            tail: format!("\"t\":{seq}}}"),
        }
    }

    #[test]
    fn streams_that_get_the_same_share_a_message() {
        let (log, index, mut streams) = world(vec![
            live(1, "a", "", Wire::Plain),
            live(2, "*", "", Wire::Plain),
            live(3, "a*", "", Wire::Named),
            live(4, "b", "", Wire::Plain),
        ]);
        let batch = [entry(1, "a", false), entry(2, "ab", false)];
        let chunks = chunks(&log, &batch, &index, &mut streams, 0);
        let ids: Vec<_> = chunks.iter().map(|c| c.streams.clone()).collect();
        assert_eq!(ids, [vec![1], vec![2], vec![3]]);
        assert!(chunks.iter().all(|c| c.bytes[..9] == [b'E', 0, 0, 0, 0, 0, 0, 0, 2]));
    }

    #[test]
    fn private_events_reach_the_entitled_only() {
        let (log, index, mut streams) = world(vec![live(1, "a", "", Wire::Plain), live(2, "a", "a", Wire::Plain)]);
        let chunks = chunks(&log, &[entry(1, "a", true)], &index, &mut streams, 0);
        assert_eq!(chunks.iter().map(|c| c.streams.clone()).collect::<Vec<_>>(), [vec![2]]);
    }

    #[test]
    fn the_window_follows_the_cost() {
        assert_eq!(window_millis(0), 0);
        assert_eq!(window_millis(40), 50);
        assert_eq!(window_millis(1000), 500);
        assert_eq!(window_millis(-5), 0, "a clock that steps back");
    }

    #[test]
    fn a_due_spread_waits_for_a_lull_but_not_for_ever() {
        assert!(holds(LULL_MILLIS, 100, 1100, 1099, 1100), "publishes pour in");
        assert!(!holds(LULL_MILLIS, 100, 1100, 1096, 1100), "a lull");
        assert!(!holds(LULL_MILLIS, 100, 1100, 1199, 1200), "as long again as the window");
        assert!(!holds(LULL_MILLIS, 0, 1000, 1000, 1000), "no window, no wait");
    }

    #[test]
    fn a_lead_waits_a_fifth_of_what_it_will_cost() {
        assert_eq!(lead_lull_millis(window_millis(2)), 0, "where spreads are cheap a lone event goes at once");
        assert_eq!(lead_lull_millis(window_millis(50)), 10);
        assert_eq!(lead_lull_millis(window_millis(400)), 20);
    }

    proptest! {
        /// However events fall into batches, a stream gets each of its events once and in order,
        /// also when part of a batch reached it by its replay.
        #[test]
        fn batches_lose_and_repeat_nothing(topics in prop::collection::vec("[ab]", 1..30), cuts in prop::collection::vec(any::<bool>(), 30), through in 0u64..10) {
            let mut stream = live(1, "a", "", Wire::Plain);
            stream.through = through;
            let (log, index, mut streams) = world(vec![stream]);
            let entries: Vec<_> = topics.iter().enumerate().map(|(i, t)| entry(i as u64 + 1, t, false)).collect();
            let mut text = String::new();
            let mut batch = Vec::new();
            for (i, entry) in entries.iter().enumerate() {
                batch.push(entry.clone());
                if cuts[i] || i + 1 == entries.len() {
                    for chunk in chunks(&log, &batch, &index, &mut streams, 0) {
                        text += std::str::from_utf8(&chunk.bytes[9..]).unwrap();
                    }
                    batch.clear();
                }
            }
            let wanted = entries.iter().filter(|e| e.topics[0].as_str() == "a" && e.seq > through);
            prop_assert_eq!(text, frames(&log, wanted, Wire::Plain));
        }
    }
}
