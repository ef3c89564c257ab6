//! Spreading events: who gets which bytes, and when the next spread may happen.
//!
//! A lone event leads at once, or after a pause of some milliseconds where a spread costs many times
//! that. Events that follow while the last spread is still being carried wait for the window to end;
//! then each is framed once, and every stream gets one chunk.

use std::collections::HashMap;

use super::event_log::{Entry, EventLog};
use super::protocol::Wire;
use super::reach::{Reach, Reached};
use super::sieve::{RecordFilter, Sieve};
use super::subscriber::{Attachment, message};
use domain::event::Cursor;
use domain::frame::Frames;
use domain::json;
use domain::matching::matcher::Subject;

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
    /// What it asks for and may see, as its socket carries it.
    pub attachment: Attachment,
    /// The same, ready to be held against topics.
    pub reach: Reach,
    /// Everything up to here was sent, or was not for it.
    pub through: u64,
    /// Its filter, read.
    pub filter: Option<RecordFilter>,
}

impl Live {
    /// A stream that stands at a place, added to the index; none if what it asks for cannot be read.
    pub fn new(attachment: Attachment, through: u64, index: &mut Reached) -> Option<Self> {
        let filter = match &attachment.interest.filter {
            Some(text) => Some(RecordFilter::parse(text)?),
            None => None,
        };
        let reach = index.insert(attachment.id, &attachment.interest).ok()?;
        Some(Self { attachment, reach, through, filter })
    }

    /// Whether an event is for this stream at `now` (milliseconds), but for its filter.
    fn admits(&self, entry: &Entry, topics: &[Subject<'_>], now: i64) -> bool {
        let is_entitled = self.attachment.expires_at.is_none_or(|at| now < at);
        (is_entitled || !entry.private) && self.reach.admits(topics, entry.private)
    }

    /// The same of an event that the log gave.
    pub fn wants(&self, entry: &Entry, now: i64) -> bool {
        self.admits(entry, &self.reach.subjects(&entry.topics), now)
    }
}

/// Bytes of a batch that go out as one message.
const PART_BYTES: u64 = 256 * 1024;

/// Bytes that a stream is sent live within [`SURGE_MILLIS`], whether or not its client takes them. With one more part
/// they stay below what may wait in a bridge.
const SURGE_BYTES: u64 = 512 * 1024;

/// The time over which what is sent live is bounded.
const SURGE_MILLIS: i64 = 250;

/// How a part of a batch reaches its streams.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sending {
    /// As it comes.
    Live,
    /// As a page: whoever gets it pulls what follows, as fast as its client takes it.
    Paged,
}

/// What went out in the last moments. More at once than a bridge may hold, such as the records of a large import,
/// is paged, so that no client that keeps up is cut.
#[derive(Debug, Default)]
pub struct Surge {
    since: i64,
    bytes: u64,
}

impl Surge {
    /// How the next part goes out.
    pub fn sending(&mut self, part: &[Entry], now: i64) -> Sending {
        if now - self.since >= SURGE_MILLIS {
            *self = Self { since: now, bytes: 0 };
        }
        self.bytes += part.iter().map(Entry::bytes).sum::<u64>();
        if self.bytes > SURGE_BYTES { Sending::Paged } else { Sending::Live }
    }
}

/// Cuts a batch into parts of some size at most, and of at least one event.
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

/// Frames a batch of events, oldest first, for all live streams, and moves their places.
///
/// Streams that get the same events share one message, whatever it was that they asked for.
pub fn chunks(
    log: &EventLog,
    batch: &[Entry],
    index: &Reached,
    streams: &mut HashMap<u64, Live>,
    sending: Sending,
    now: i64,
) -> Vec<Chunk> {
    let Some(last) = batch.last().map(|entry| entry.seq) else { return Vec::new() };
    let mut wanted: HashMap<u64, Vec<usize>> = HashMap::new();
    let mut sieve = Sieve::default();
    for (position, entry) in batch.iter().enumerate() {
        index.each(&entry.topics, |id, topics| {
            let Some(live) = streams.get(&id) else { return };
            let current = live.attachment.replaying.is_none() && live.through < entry.seq;
            let admitted = current && (!entry.private || live.admits(entry, topics, now));
            if admitted && sieve.passes(entry, live.filter.as_ref()) {
                wanted.entry(id).or_default().push(position);
            }
        });
    }
    let mut groups: HashMap<(Wire, Vec<usize>), Vec<u64>> = HashMap::new();
    for (id, positions) in wanted {
        if let Some(live) = streams.get_mut(&id) {
            live.through = last;
            live.attachment.replaying = (sending == Sending::Paged).then_some(last);
            groups.entry((live.attachment.wire, positions)).or_default().push(id);
        }
    }
    let kind = if sending == Sending::Paged { b'P' } else { b'E' };
    let mut chunks: Vec<Chunk> = Vec::with_capacity(groups.len());
    for ((wire, positions), mut ids) in groups {
        ids.sort_unstable();
        let entries = positions.iter().filter_map(|&position| batch.get(position));
        chunks.push(Chunk { bytes: message(kind, last, &frames(log, entries, wire)), streams: ids });
    }
    chunks.sort_unstable_by(|a, b| a.streams.cmp(&b.streams));
    chunks
}

/// The frames of some events on a wire.
pub fn frames<'e>(log: &EventLog, entries: impl Iterator<Item = &'e Entry>, wire: Wire) -> String {
    let mut frames = Frames::new();
    for entry in entries {
        let id = log.cursor(entry.seq);
        match (wire, &entry.update) {
            (Wire::Mercure, Some(update)) => {
                let own = update.id.clone().unwrap_or_else(|| mercure_id(&id));
                frames.update(&own, update.kind.as_deref(), update.retry, &entry.tail);
            }
            (Wire::Mercure, None) => {
                frames.update(&mercure_id(&id), None, None, &format!("{{\"id\":\"{id}\",{}", entry.tail));
            }
            (Wire::Plain | Wire::Named, update) => {
                let name = (wire == Wire::Named).then_some(entry.name.as_str());
                match update {
                    Some(update) => {
                        frames.event(&id, name, &format!("{}\"data\":{}}}", update.head, json!(entry.tail)))
                    }
                    None => frames.event(&id, name, &entry.tail),
                };
            }
        }
    }
    frames.into_string()
}

/// The id on Mercure's wire of an event that its publisher gave none.
pub fn mercure_id(cursor: &Cursor) -> String {
    format!("#{cursor}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hub::protocol::Update;
    use domain::selector::{Interest, Selector};
    use domain::topic::Topic;
    use proptest::prelude::*;

    fn live(id: u64, selected: &str, granted: &str, wire: Wire) -> Attachment {
        let parse =
            |text: &str| text.split(' ').filter(|s| !s.is_empty()).map(|s| Selector::parse(s).unwrap()).collect();
        let interest = Interest { selected: parse(selected), granted: parse(granted), ..Interest::default() };
        Attachment {
            id,
            interest,
            expires_at: None,
            since: 0,
            address: String::new(),
            ticket: None,
            secret_version: None,
            minted: None,
            subscriber: None,
            wire,
            replaying: None,
        }
    }

    fn world(streams: Vec<Attachment>) -> (EventLog, Reached, HashMap<u64, Live>) {
        let sql = rusqlite::Connection::open_in_memory().unwrap();
        let mut index = Reached::default();
        let live = |attachment: Attachment| (attachment.id, Live::new(attachment, 0, &mut index).unwrap());
        let streams = streams.into_iter().map(live).collect();
        (EventLog::open(&sql, [3; 8]).unwrap(), index, streams)
    }

    fn entry(seq: u64, topic: &str, private: bool) -> Entry {
        Entry {
            seq,
            topics: vec![Topic::parse(topic).unwrap()],
            private,
            name: "n".into(),
            tail: format!("\"t\":{seq}}}"),
            update: None,
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
        let chunks = chunks(&log, &batch, &index, &mut streams, Sending::Live, 0);
        let ids: Vec<_> = chunks.iter().map(|c| c.streams.clone()).collect();
        assert_eq!(ids, [vec![1], vec![2], vec![3]]);
        assert!(chunks.iter().all(|c| c.bytes[..9] == [b'E', 0, 0, 0, 0, 0, 0, 0, 2]));
    }

    #[test]
    fn private_events_reach_the_entitled_only() {
        let (log, index, mut streams) = world(vec![live(1, "a", "", Wire::Plain), live(2, "a", "a", Wire::Plain)]);
        let chunks = chunks(&log, &[entry(1, "a", true)], &index, &mut streams, Sending::Live, 0);
        assert_eq!(chunks.iter().map(|c| c.streams.clone()).collect::<Vec<_>>(), [vec![2]]);
    }

    #[test]
    fn rights_end_with_the_token() {
        let stream = Attachment { expires_at: Some(100), ..live(1, "a", "a", Wire::Plain) };
        let (_, _, streams) = world(vec![stream]);
        assert!(streams[&1].wants(&entry(1, "a", true), 99));
        assert!(!streams[&1].wants(&entry(1, "a", true), 100));
        assert!(streams[&1].wants(&entry(1, "a", false), 100));
    }

    #[test]
    fn each_wire_tells_an_update_in_its_own_way() {
        let (log, ..) = world(Vec::new());
        let update = |id: Option<&str>, kind: Option<&str>, retry| Entry {
            tail: "one\r\n\"two\"".into(),
            name: kind.unwrap_or("update").into(),
            update: Some(Update {
                id: id.map(str::to_owned),
                kind: kind.map(str::to_owned),
                retry,
                head: "\"topics\":[],".into(),
            }),
            ..entry(1, "a", false)
        };
        let told = |entry: &Entry, wire| frames(&log, [entry].into_iter(), wire);
        let full = update(Some("urn:x"), Some("add"), Some(50));
        let cursor = log.cursor(1);
        assert_eq!(told(&full, Wire::Mercure), "id: urn:x\nevent: add\nretry: 50\ndata: one\ndata: \"two\"\n\n");
        let bare = update(None, None, None);
        assert_eq!(told(&bare, Wire::Mercure), format!("id: #{cursor}\ndata: one\ndata: \"two\"\n\n"));
        let json = format!(r#"{{"id":"{cursor}","topics":[],"data":"one\r\n\"two\""}}"#);
        assert_eq!(told(&full, Wire::Plain), format!("id: {cursor}\ndata: {json}\n\n"));
        assert_eq!(told(&full, Wire::Named), format!("id: {cursor}\nevent: add\ndata: {json}\n\n"));
        let webhook = entry(1, "a", false);
        let json = format!(r#"{{"id":"{cursor}","t":1}}"#);
        assert_eq!(told(&webhook, Wire::Mercure), format!("id: #{cursor}\ndata: {json}\n\n"));
    }

    #[test]
    fn a_filtered_stream_gets_what_passes_and_its_neighbours_get_all() {
        let filtered = |id, filter: &str| {
            let mut live = live(id, "records/*", "", Wire::Plain);
            live.interest.filter = Some(filter.into());
            live
        };
        let (log, index, mut streams) = world(vec![
            filtered(1, "score>=3"),
            filtered(2, "score>=3"),
            filtered(3, "score<3"),
            filtered(4, "score=9"),
            live(5, "*", "", Wire::Plain),
        ]);
        let record = |seq, score: u64| Entry {
            tail: format!("\"data\":{{\"record\":{{\"score\":{score}}}}}}}"),
            ..entry(seq, "records/leads", false)
        };
        let batch = [record(1, 3), record(2, 1), record(3, 5)];
        let chunks = chunks(&log, &batch, &index, &mut streams, Sending::Live, 0);
        let given: Vec<_> = chunks
            .iter()
            .map(|chunk| (chunk.streams.clone(), String::from_utf8_lossy(&chunk.bytes).matches("id: ").count()))
            .collect();
        assert_eq!(given, [(vec![1, 2], 2), (vec![3], 1), (vec![5], 3)]);
        assert_eq!(streams[&1].through, 3);
    }

    #[test]
    fn a_batch_is_cut_where_a_message_would_grow_too_long() {
        let sized = |seq, kilobytes: usize| Entry { tail: "x".repeat(kilobytes * 1000), ..entry(seq, "a", false) };
        let batch: Vec<_> = [10, 200, 20, 300, 10, 65, 65, 65, 65].iter().zip(1..).map(|(k, n)| sized(n, *k)).collect();
        let cut: Vec<usize> = parts(&batch).map(<[Entry]>::len).collect();
        assert_eq!(cut, [3, 1, 4, 1]);
        assert_eq!(parts(&[]).count(), 0);
    }

    #[test]
    fn a_surge_is_paged_until_it_is_over() {
        let part = [Entry { tail: "x".repeat(250_000), ..entry(1, "a", false) }];
        let mut surge = Surge::default();
        let sent: Vec<_> = [1000, 1001, 1002, 1100, 1249, 1250].map(|now| surge.sending(&part, now)).into();
        use Sending::{Live, Paged};
        assert_eq!(sent, [Live, Live, Paged, Paged, Paged, Live]);
    }

    #[test]
    fn a_stream_that_is_paged_pulls_what_follows() {
        let (log, index, mut streams) = world(vec![live(1, "a", "", Wire::Plain), live(2, "b", "", Wire::Plain)]);
        let paged = chunks(&log, &[entry(1, "a", false)], &index, &mut streams, Sending::Paged, 0);
        assert_eq!((paged[0].bytes[0], &paged[0].streams), (b'P', &vec![1]));
        assert_eq!(streams[&1].attachment.replaying, Some(1));
        assert_eq!(streams[&2].attachment.replaying, None);
        let both = [entry(2, "a", false), entry(3, "b", false)];
        let live = chunks(&log, &both, &index, &mut streams, Sending::Live, 0);
        assert_eq!(live.iter().map(|chunk| chunk.streams.clone()).collect::<Vec<_>>(), [vec![2]]);
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
            let (log, index, mut streams) = world(vec![live(1, "a", "", Wire::Plain)]);
            streams.get_mut(&1).unwrap().through = through;
            let entries: Vec<_> = topics.iter().enumerate().map(|(i, t)| entry(i as u64 + 1, t, false)).collect();
            let mut text = String::new();
            let mut batch = Vec::new();
            for (i, entry) in entries.iter().enumerate() {
                batch.push(entry.clone());
                if cuts[i] || i + 1 == entries.len() {
                    for chunk in chunks(&log, &batch, &index, &mut streams, Sending::Live, 0) {
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
