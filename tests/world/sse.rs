//! A browser's side of Server-Sent Events: blocks off the wire, and the cursor they move.

use std::collections::VecDeque;

use futures_util::StreamExt;
use futures_util::stream::BoxStream;
use reqwest::header::HeaderMap;
use serde_json::Value;

use super::within;

/// What stands between two blank lines.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Block {
    pub id: Option<String>,
    pub event: Option<String>,
    pub data: Option<String>,
    pub retry: Option<u64>,
    pub comments: Vec<String>,
}

impl Block {
    fn parse(text: &str) -> Block {
        let mut block = Block::default();
        for line in text.lines() {
            let (field, value) = line.split_once(':').unwrap_or((line, ""));
            let value = value.strip_prefix(' ').unwrap_or(value);
            match field {
                "" => block.comments.push(value.to_owned()),
                "id" => block.id = Some(value.to_owned()),
                "event" => block.event = Some(value.to_owned()),
                "retry" => block.retry = value.parse().ok(),
                "data" => match &mut block.data {
                    Some(data) => *data = format!("{data}\n{value}"),
                    None => block.data = Some(value.to_owned()),
                },
                other => panic!("no field of an event stream: {other:?} in {text:?}"),
            }
        }
        block
    }

    /// Says nothing at all.
    pub fn is_comment(&self) -> bool {
        self.is_keep_alive() && self.id.is_none()
    }

    /// Moves the cursor and fires nothing.
    pub fn is_keep_alive(&self) -> bool {
        self.event.is_none() && self.data.is_none() && self.retry.is_none()
    }

    /// The data as JSON.
    pub fn json(&self) -> Value {
        let data = self.data.as_deref().unwrap_or_default();
        serde_json::from_str(data).unwrap_or_else(|_| panic!("no JSON in {self:?}"))
    }

    /// The name, where the hub itself speaks.
    fn of_hub(&self) -> Option<&str> {
        self.event.as_deref().filter(|name| name.starts_with("hub."))
    }
}

/// One published event as a page's handler sees it.
#[derive(Clone, Debug)]
pub struct Event {
    pub id: String,
    pub name: Option<String>,
    pub body: Value,
}

/// An open stream. Dropping it is a client that vanishes.
pub struct Stream {
    pub headers: HeaderMap,
    /// `Last-Event-ID` as a browser would send it now.
    pub cursor: String,
    body: BoxStream<'static, reqwest::Result<Vec<u8>>>,
    rest: Vec<u8>,
    blocks: VecDeque<Block>,
}

impl Stream {
    pub(super) fn new(headers: HeaderMap, body: BoxStream<'static, reqwest::Result<Vec<u8>>>) -> Stream {
        Stream { headers, cursor: String::new(), body, rest: Vec::new(), blocks: VecDeque::new() }
    }

    /// The next block of any kind; `None` when the stream has ended or broken.
    pub async fn block(&mut self) -> Option<Block> {
        within("the next block of a stream", async {
            while self.blocks.is_empty() {
                let chunk = self.body.next().await?.ok()?;
                self.rest.extend_from_slice(&chunk);
                self.split();
            }
            let block = self.blocks.pop_front()?;
            if let Some(id) = &block.id {
                self.cursor.clone_from(id);
            }
            Some(block)
        })
        .await
    }

    /// The next block, of a stream that must still be open.
    pub async fn must(&mut self) -> Block {
        match self.block().await {
            Some(block) => block,
            None => panic!("the stream ended after {:?}", self.cursor),
        }
    }

    /// The next update on Mercure's wire.
    pub async fn update(&mut self) -> Block {
        within("the next update of a stream", async {
            loop {
                let block = self.must().await;
                if block.data.is_some() {
                    return block;
                }
            }
        })
        .await
    }

    /// The updates on Mercure's wire before the one with this data.
    pub async fn updates_before(&mut self, data: &str) -> Vec<Block> {
        let mut updates = Vec::new();
        loop {
            let update = self.update().await;
            if update.data.as_deref() == Some(data) {
                return updates;
            }
            updates.push(update);
        }
    }

    /// The data of those.
    pub async fn data_before(&mut self, data: &str) -> Vec<String> {
        let updates = self.updates_before(data).await;
        updates.into_iter().map(|update| update.data.unwrap_or_default()).collect()
    }

    /// The next published event; keep-alives pass, the hub's own words are not expected here.
    pub async fn event(&mut self) -> Event {
        loop {
            let block = self.must().await;
            if let Some(name) = block.of_hub()
                && name != "hub.heartbeat"
            {
                panic!("expected an event, and the hub said {block:?}");
            }
            if block.data.is_none() || block.of_hub().is_some() {
                continue;
            }
            let body = block.json();
            let id = block.id.unwrap_or_else(|| panic!("an event without id: {body}"));
            assert_eq!(body["id"], *id, "the event's two ids agree");
            return Event { id, name: block.event, body };
        }
    }

    /// The `data` of the next `n` published events.
    pub async fn next_data(&mut self, n: usize) -> Vec<Value> {
        let mut all = Vec::new();
        for _ in 0..n {
            all.push(self.event().await.body["data"].clone());
        }
        all
    }

    /// What the hub says next by an event of its own, such as `hub.resumed`.
    pub async fn hub(&mut self, name: &str) -> Value {
        loop {
            let block = self.must().await;
            match block.of_hub() {
                Some("hub.heartbeat") if name != "hub.heartbeat" => {}
                Some(said) if said == name => return block.json(),
                Some(_) => panic!("expected {name}, and the hub said {block:?}"),
                None => assert!(block.data.is_none(), "expected {name} before {block:?}"),
            }
        }
    }

    /// The next block that only keeps the stream alive.
    pub async fn keep_alive(&mut self) -> Block {
        loop {
            let block = self.must().await;
            assert!(block.data.is_none(), "expected a quiet stream, and it said {block:?}");
            if block.is_keep_alive() {
                return block;
            }
        }
    }

    /// The next keep-alive that moves the cursor: of the two parts that a live stream's have, the first.
    pub async fn beat(&mut self) -> String {
        loop {
            if let Some(id) = self.keep_alive().await.id {
                return id;
            }
        }
    }

    /// Reads to the stream's end and returns why the hub closed it.
    pub async fn closed(&mut self) -> String {
        let mut reason = String::new();
        within("the end of a stream", async {
            while let Some(block) = self.block().await {
                if block.event.as_deref() == Some("hub.closed") {
                    reason = block.json()["reason"].as_str().unwrap_or_default().to_owned();
                }
            }
        })
        .await;
        reason
    }

    fn split(&mut self) {
        loop {
            let end = self.rest.windows(2).position(|pair| pair == b"\n\n");
            // A comment on Mercure's wire stands alone: no blank line follows, and the block around it goes on.
            let starts = self.rest.starts_with(b":\n").then_some(0);
            let comment = starts.or_else(|| Some(self.rest.windows(3).position(|line| line == b"\n:\n")? + 1));
            match (comment, end) {
                (Some(at), end) if end.is_none_or(|end| at < end) => {
                    self.rest.drain(at..at + 2);
                    self.blocks.push_back(Block { comments: vec![String::new()], ..Block::default() });
                }
                (_, Some(end)) => {
                    let text = std::str::from_utf8(&self.rest[..end]).unwrap();
                    if !text.is_empty() {
                        self.blocks.push_back(Block::parse(text));
                    }
                    self.rest.drain(..end + 2);
                }
                (_, None) => break,
            }
        }
    }
}
