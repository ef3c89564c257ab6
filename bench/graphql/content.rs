//! What a site has: nodes of several types and their lists, each with a revision. An answer shows the revisions of all that it is
//! made of, and a webhook promises that from then on answers show the one that it tells of.

use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

/// Types of nodes, and the kinds in their Relay ids. A node's number says its type.
const TYPES: [(&str, &str); 4] = [("post", "post"), ("page", "post"), ("category", "term"), ("user", "user")];
/// Of so many documents one is a list, of so many nodes of one type; any other one shows the node of its number.
const LIST_EVERY: usize = 50;
const NODES: usize = 10;
/// Bytes that a document shows.
const BYTES: usize = 1_000;

/// A node, or the lists of a type.
#[derive(Default)]
struct Part {
    revision: AtomicU64,
    /// Since when which revision must be shown.
    promised: Mutex<Vec<(Instant, u64)>>,
}

impl Part {
    fn promised(&self, at: Instant) -> u64 {
        let promised = self.promised.lock().unwrap_or_else(PoisonError::into_inner);
        promised.iter().filter(|(since, _)| *since <= at).map(|(_, revision)| *revision).max().unwrap_or(0)
    }
}

/// The documents of a site, numbered from 1.
pub struct Content {
    nodes: Vec<Part>,
    lists: [Part; 4],
}

/// A change that the site has made, and that nobody has heard of yet.
pub struct Change<'c> {
    /// The body of the webhook that tells of it.
    pub webhook: Value,
    part: &'c Part,
    revision: u64,
}

impl Change<'_> {
    /// The webhook is answered.
    pub fn told(self) {
        let mut promised = self.part.promised.lock().unwrap_or_else(PoisonError::into_inner);
        promised.push((Instant::now(), self.revision));
    }
}

fn type_of(number: usize) -> (&'static str, &'static str) {
    TYPES[number % TYPES.len()]
}

fn relay(number: usize) -> String {
    STANDARD.encode(format!("{}:{number}", type_of(number).1))
}

/// The nodes that a document shows.
fn shown(document: usize) -> Vec<usize> {
    match document.is_multiple_of(LIST_EVERY) {
        true => (1..=NODES).map(|nth| document - nth * TYPES.len()).collect(),
        false => vec![document],
    }
}

impl Content {
    pub fn of(documents: usize) -> Self {
        Self { nodes: (0..=documents).map(|_| Part::default()).collect(), lists: Default::default() }
    }

    fn parts(&self, document: usize) -> impl Iterator<Item = &Part> {
        let list = document.is_multiple_of(LIST_EVERY).then(|| &self.lists[document % TYPES.len()]);
        shown(document).into_iter().map(|node| &self.nodes[node]).chain(list)
    }

    /// The question for a document.
    pub fn question(document: usize) -> String {
        format!("{{found(document:{document}){{revision content}}}}")
    }

    /// What the site answers for a document: its keys and its data.
    pub fn answer(&self, document: usize) -> (String, Value) {
        let revision: u64 = self.parts(document).map(|part| part.revision.load(SeqCst)).sum();
        let mut keys: Vec<String> = shown(document).into_iter().map(relay).collect();
        if document.is_multiple_of(LIST_EVERY) {
            keys.push(format!("list:{}", type_of(document).0));
        }
        (keys.join(" "), json!({"found": {"revision": revision, "content": "x".repeat(BYTES)}}))
    }

    /// The least revision that a document may show to whoever knows of what was told until then.
    pub fn promised(&self, document: usize, until: Instant) -> u64 {
        self.parts(document).map(|part| part.promised(until)).sum()
    }

    /// Changes what a document shows, by turns: a node that the webhook tells by its number, one that it names by its key, and a
    /// node that comes to the lists of the type.
    pub fn change(&self, turn: usize, document: usize) -> Change<'_> {
        let (name, _) = type_of(document);
        let (part, action, data, keys) = match turn % 3 {
            0 => (&self.nodes[document], "UPDATE", json!({"databaseId": document}), None),
            1 => (&self.nodes[document], "UPDATE", json!({}), Some([relay(document)])),
            _ => (&self.lists[document % TYPES.len()], "CREATE", json!({"databaseId": self.nodes.len() + turn}), None),
        };
        let revision = part.revision.fetch_add(1, SeqCst) + 1;
        let webhook = json!({"tenant_id": "bench", "node_type": name, "action": action, "channels": ["post"], "data": data, "keys": keys});
        Change { webhook, part, revision }
    }
}
