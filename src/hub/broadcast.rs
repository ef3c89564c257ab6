//! Which streams get which events of a batch, and the messages that carry them.

use std::collections::HashMap;

use super::change_judge::{ChangeJudge, Telling, retold};
use super::event_log::{Entry, EventLog};
use super::protocol::{WireFormat, mercure_id};
use super::streams::Streams;
use domain::clock::Timestamp;
use domain::event_name;
use domain::frame::Frames;
use domain::json;
use domain::record_change::ChangeAction;

/// How events are sent to live streams.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Delivery {
    /// As a live message.
    Live,
    /// As a page: each stream that gets it asks for what follows as fast as its client reads.
    Paged,
}

/// What a message to a bridge (`live/bridge.js`) is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MessageKind {
    /// Live events.
    Events,
    /// A page of a replay; the bridge asks for the next one.
    Page,
    /// The last page: the stream is live from now on.
    LastPage,
}

/// A message to a bridge: one byte for its kind, eight for the sequence number that the stream has reached with it
/// (big-endian), then SSE frames.
pub fn message(kind: MessageKind, through: u64, frames: &str) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(9 + frames.len());
    bytes.push(match kind {
        MessageKind::Events => b'E',
        MessageKind::Page => b'P',
        MessageKind::LastPage => b'L',
    });
    bytes.extend(through.to_be_bytes());
    bytes.extend(frames.as_bytes());
    bytes
}

/// One message and the streams it goes to.
#[derive(Debug, PartialEq)]
pub struct Broadcast {
    pub bytes: Vec<u8>,
    pub streams: Vec<u64>,
}

/// What a stream gets of a batch: the positions of its events, in order, and how they are told.
type Told = Vec<(usize, Telling)>;

impl<S> Streams<S> {
    /// Frames a batch of events, oldest first, for all live streams, and moves them forward to the end of the batch.
    ///
    /// Streams that get the same events in the same format share one message, whatever they asked for.
    pub fn broadcasts(
        &mut self,
        log: &EventLog,
        batch: &[Entry],
        delivery: Delivery,
        now: Timestamp,
    ) -> Vec<Broadcast> {
        let Some(last) = batch.last().map(|entry| entry.seq) else { return Vec::new() };
        let mut groups: HashMap<(WireFormat, Told), Vec<u64>> = HashMap::new();
        for (id, told) in self.recipients(batch, now) {
            if let Some(stream) = self.by_id.get_mut(&id) {
                stream.through = last;
                stream.attachment.replaying = (delivery == Delivery::Paged).then_some(last);
                groups.entry((stream.attachment.wire, told)).or_default().push(id);
            }
        }
        let kind = match delivery {
            Delivery::Live => MessageKind::Events,
            Delivery::Paged => MessageKind::Page,
        };
        let mut broadcasts: Vec<Broadcast> = Vec::with_capacity(groups.len());
        for ((wire, told), mut streams) in groups {
            streams.sort_unstable();
            let entries = told.iter().filter_map(|&(position, telling)| Some((batch.get(position)?, telling)));
            broadcasts.push(Broadcast { bytes: message(kind, last, &frames(log, entries, wire)), streams });
        }
        broadcasts.sort_unstable_by(|a, b| a.streams.cmp(&b.streams));
        broadcasts
    }

    /// What each live stream gets that gets any event of a batch.
    fn recipients(&self, batch: &[Entry], now: Timestamp) -> HashMap<u64, Told> {
        let mut recipients: HashMap<u64, Told> = HashMap::new();
        let mut judge = ChangeJudge::default();
        for (position, entry) in batch.iter().enumerate() {
            self.index.each(&entry.topics, entry.private, |id, topics| {
                let Some(stream) = self.by_id.get(&id) else { return };
                let is_due =
                    stream.attachment.replaying.is_none() && stream.through < entry.seq && !stream.has_seen(entry);
                // That a public event was asked for is what the index says.
                let is_admitted = is_due && (!entry.private || stream.admits(entry, topics, now));
                if is_admitted && let Some(telling) = judge.telling(entry, stream.filter()) {
                    recipients.entry(id).or_default().push((position, telling));
                }
            });
        }
        recipients
    }
}

/// The SSE frames of some events.
pub fn frames<'e>(log: &EventLog, told: impl Iterator<Item = (&'e Entry, Telling)>, wire: WireFormat) -> String {
    let mut frames = Frames::new();
    for (entry, telling) in told {
        let id = log.cursor(entry.seq);
        let retold = match telling {
            Telling::AsStored => None,
            Telling::Entering => Some(retold(entry, ChangeAction::Create)),
            Telling::Leaving => Some(retold(entry, ChangeAction::Leave)),
        };
        let (name, tail) = match &retold {
            Some((name, tail)) => (name, tail),
            None => (&entry.name, &entry.tail),
        };
        match (wire, &entry.update) {
            (WireFormat::Mercure, Some(update)) => {
                let own = update.id.clone().unwrap_or_else(|| mercure_id(&id));
                frames.update(&own, update.kind.as_deref(), update.retry, tail);
            }
            (WireFormat::Mercure, None) => {
                frames.update(&mercure_id(&id), None, None, &format!("{{\"id\":\"{id}\",{tail}"));
            }
            (WireFormat::Plain | WireFormat::Named, update) => {
                let is_named = wire == WireFormat::Named;
                match update {
                    Some(update) => {
                        let name = is_named.then(|| event_name::of_update(name));
                        let tail = format!("{}\"data\":{}}}", update.head, json!(tail));
                        frames.event(&id, name.as_deref(), &tail)
                    }
                    None => {
                        let name = is_named.then(|| event_name::of_event(name));
                        frames.event(&id, name.as_deref(), tail)
                    }
                };
            }
        }
    }
    frames.into_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hub::attachment::Attachment;
    use crate::hub::protocol::Basis;
    use crate::hub::protocol::MercureUpdate;
    use crate::hub::sockets::Carriage;
    use crate::hub::stored_state;
    use crate::hub::subscription_index::Adding;
    use domain::selector::{Interest, Selector};
    use domain::topic::Topic;
    use proptest::prelude::*;

    fn live(id: u64, selected: &str, granted: &str, wire: WireFormat) -> Attachment {
        let parse =
            |text: &str| text.split(' ').filter(|s| !s.is_empty()).map(|s| Selector::parse(s).unwrap()).collect();
        let interest = Interest { selected: parse(selected), granted: parse(granted), ..Interest::default() };
        Attachment {
            id,
            interest,
            basis: Basis::default(),
            since: Timestamp::default(),
            address: String::new(),
            host: None,
            ticket: None,
            subscriber: None,
            wire,
            replaying: None,
            history: None,
            seen: None,
            may_be_direct: false,
        }
    }

    fn world(attachments: Vec<Attachment>) -> (EventLog, Streams<()>) {
        let sql = rusqlite::Connection::open_in_memory().unwrap();
        stored_state::create_table(&sql).unwrap();
        let mut streams = Streams::default();
        for attachment in attachments {
            let compiled = streams.compile(&attachment, Adding::Opened).unwrap();
            streams.insert(((), Carriage::Bridged), attachment, compiled, 0);
        }
        (EventLog::open(&sql, [3; 8]).unwrap(), streams)
    }

    fn now() -> Timestamp {
        Timestamp::default()
    }

    fn recipients(broadcasts: &[Broadcast]) -> Vec<Vec<u64>> {
        broadcasts.iter().map(|broadcast| broadcast.streams.clone()).collect()
    }

    fn entry(seq: u64, topic: &str, private: bool) -> Entry {
        Entry {
            seq,
            topics: vec![Topic::parse(topic).unwrap()],
            private,
            name: "n".into(),
            tail: format!("\"t\":{seq}}}"),
            update: None,
            creation_id: None,
            before: None,
            change: None,
        }
    }

    #[test]
    fn streams_that_get_the_same_share_a_message() {
        let (log, mut streams) = world(vec![
            live(1, "a", "", WireFormat::Plain),
            live(2, "*", "", WireFormat::Plain),
            live(3, "a*", "", WireFormat::Named),
            live(4, "b", "", WireFormat::Plain),
        ]);
        let batch = [entry(1, "a", false), entry(2, "ab", false)];
        let broadcasts = streams.broadcasts(&log, &batch, Delivery::Live, now());
        assert_eq!(recipients(&broadcasts), [vec![1], vec![2], vec![3]]);
        assert!(broadcasts.iter().all(|b| b.bytes[..9] == [b'E', 0, 0, 0, 0, 0, 0, 0, 2]));
    }

    #[test]
    fn private_events_reach_the_entitled_only() {
        let (log, mut streams) = world(vec![live(1, "a", "", WireFormat::Plain), live(2, "a", "a", WireFormat::Plain)]);
        let broadcasts = streams.broadcasts(&log, &[entry(1, "a", true)], Delivery::Live, now());
        assert_eq!(recipients(&broadcasts), [vec![2]]);
    }

    #[test]
    fn rights_end_with_the_token() {
        let expiring = Basis { expires_at: Some(Timestamp::from_millis(100)), ..Basis::default() };
        let stream = Attachment { basis: expiring, ..live(1, "a", "a", WireFormat::Plain) };
        let (_, streams) = world(vec![stream]);
        assert!(streams.by_id[&1].wants(&entry(1, "a", true), Timestamp::from_millis(99)));
        assert!(!streams.by_id[&1].wants(&entry(1, "a", true), Timestamp::from_millis(100)));
        assert!(streams.by_id[&1].wants(&entry(1, "a", false), Timestamp::from_millis(100)));
    }

    #[test]
    fn each_wire_format_frames_an_update_in_its_own_way() {
        let (log, _) = world(Vec::new());
        let update = |id: Option<&str>, kind: Option<&str>, retry| Entry {
            tail: "one\r\n\"two\"".into(),
            name: kind.unwrap_or("update").into(),
            update: Some(MercureUpdate {
                id: id.map(str::to_owned),
                kind: kind.map(str::to_owned),
                retry,
                head: "\"topics\":[],".into(),
            }),
            ..entry(1, "a", false)
        };
        let framed = |entry: &Entry, wire| frames(&log, [(entry, Telling::AsStored)].into_iter(), wire);
        let full = update(Some("urn:x"), Some("add"), Some(50));
        let cursor = log.cursor(1);
        assert_eq!(
            framed(&full, WireFormat::Mercure),
            "id: urn:x\nevent: add\nretry: 50\ndata: one\ndata: \"two\"\n\n"
        );
        let bare = update(None, None, None);
        assert_eq!(framed(&bare, WireFormat::Mercure), format!("id: #{cursor}\ndata: one\ndata: \"two\"\n\n"));
        let json = format!(r#"{{"id":"{cursor}","topics":[],"data":"one\r\n\"two\""}}"#);
        assert_eq!(framed(&full, WireFormat::Plain), format!("id: {cursor}\ndata: {json}\n\n"));
        assert_eq!(framed(&full, WireFormat::Named), format!("id: {cursor}\nevent: add\ndata: {json}\n\n"));
        let webhook = entry(1, "a", false);
        let json = format!(r#"{{"id":"{cursor}","t":1}}"#);
        assert_eq!(framed(&webhook, WireFormat::Mercure), format!("id: #{cursor}\ndata: {json}\n\n"));
    }

    #[test]
    fn no_event_takes_a_name_of_the_hubs_or_of_the_browsers() {
        let (log, _) = world(Vec::new());
        let update = |kind: &str| {
            let update = MercureUpdate { id: None, kind: Some(kind.to_owned()), retry: None, head: String::new() };
            Entry { name: kind.to_owned(), update: Some(update), ..entry(1, "a", false) }
        };
        let webhook = |name: &str| Entry { name: name.into(), ..entry(1, "a", false) };
        let name = |entry: &Entry, wire| {
            let framed = frames(&log, [(entry, Telling::AsStored)].into_iter(), wire);
            framed.lines().find_map(|line| line.strip_prefix("event: ")).map(str::to_owned)
        };
        for kind in ["hub.reset", "hub.closed", "open", "error", "message"] {
            assert_eq!(name(&update(kind), WireFormat::Named), Some(format!("mercure.{kind}")));
            assert_eq!(name(&update(kind), WireFormat::Mercure).as_deref(), Some(kind), "as Mercure has it");
            assert_eq!(name(&update(kind), WireFormat::Plain), None);
        }
        assert_eq!(name(&webhook("hub.reset"), WireFormat::Named).as_deref(), Some("event.hub.reset"));
        assert_eq!(name(&webhook("post.update"), WireFormat::Named).as_deref(), Some("post.update"));
        assert_eq!(name(&webhook("hub.reset"), WireFormat::Plain), None);
    }

    #[test]
    fn a_filtered_stream_gets_what_passes_and_its_neighbours_get_all() {
        let filtered = |id, filter: &str| {
            let mut live = live(id, "records/*", "", WireFormat::Plain);
            live.interest.filter = Some(filter.into());
            live
        };
        let (log, mut streams) = world(vec![
            filtered(1, "score>=3"),
            filtered(2, "score>=3"),
            filtered(3, "score<3"),
            filtered(4, "score=9"),
            live(5, "*", "", WireFormat::Plain),
        ]);
        let record = |seq, score: u64| Entry {
            tail: format!("\"action\":\"UPDATE\",\"data\":{{\"record\":{{\"score\":{score}}}}}}}"),
            before: Some(r#"{"version":1}"#.into()),
            ..entry(seq, "records/leads", false)
        };
        let batch = [record(1, 3), record(2, 1), record(3, 5)];
        let broadcasts = streams.broadcasts(&log, &batch, Delivery::Live, now());
        let given: Vec<_> = broadcasts
            .iter()
            .map(|broadcast| {
                (broadcast.streams.clone(), String::from_utf8_lossy(&broadcast.bytes).matches("id: ").count())
            })
            .collect();
        assert_eq!(given, [(vec![1, 2], 2), (vec![3], 1), (vec![5], 3)]);
        assert_eq!(streams.by_id[&1].through, 3);
    }

    #[test]
    fn a_stream_that_is_paged_pulls_what_follows() {
        let (log, mut streams) = world(vec![live(1, "a", "", WireFormat::Plain), live(2, "b", "", WireFormat::Plain)]);
        let paged = streams.broadcasts(&log, &[entry(1, "a", false)], Delivery::Paged, now());
        assert_eq!((paged[0].bytes[0], &paged[0].streams), (b'P', &vec![1]));
        assert_eq!(streams.by_id[&1].attachment.replaying, Some(1));
        assert_eq!(streams.by_id[&2].attachment.replaying, None);
        let both = [entry(2, "a", false), entry(3, "b", false)];
        let live = streams.broadcasts(&log, &both, Delivery::Live, now());
        assert_eq!(recipients(&live), [vec![2]]);
    }

    proptest! {
        /// However events fall into batches, a stream gets each of its events once and in order,
        /// also when part of a batch reached it by its replay.
        #[test]
        fn batches_lose_and_repeat_nothing(topics in prop::collection::vec("[ab]", 1..30), cuts in prop::collection::vec(any::<bool>(), 30), through in 0u64..10) {
            let (log, mut streams) = world(vec![live(1, "a", "", WireFormat::Plain)]);
            streams.get_mut(1).unwrap().through = through;
            let entries: Vec<_> = topics.iter().enumerate().map(|(i, t)| entry(i as u64 + 1, t, false)).collect();
            let mut text = String::new();
            let mut batch = Vec::new();
            for (i, entry) in entries.iter().enumerate() {
                batch.push(entry.clone());
                if cuts[i] || i + 1 == entries.len() {
                    for broadcast in streams.broadcasts(&log, &batch, Delivery::Live, now()) {
                        text += std::str::from_utf8(&broadcast.bytes[9..]).unwrap();
                    }
                    batch.clear();
                }
            }
            let wanted = entries.iter().filter(|e| e.topics[0].as_str() == "a" && e.seq > through);
            let wanted = wanted.map(|entry| (entry, Telling::AsStored));
            prop_assert_eq!(text, frames(&log, wanted, WireFormat::Plain));
        }
    }
}
